//! Faults on order: the next measurement requests fail as the real service, or the network before
//! it, could.

use std::collections::VecDeque;
use std::time::Duration;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::budget;
use crate::reply::Reply;

/// At most so many orders wait.
const MAX_QUEUED: usize = 100;
/// No answer is held back for longer.
const MAX_DELAY: Duration = Duration::from_secs(120);
/// How long `slow` takes, and `hang` holds on, unless the order says otherwise.
const SLOW: Duration = Duration::from_secs(2);

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// A fault of the service.
    #[serde(rename = "500")]
    InternalError,
    /// Maintenance.
    #[serde(rename = "503")]
    Unavailable,
    /// A gateway in front of it gave up.
    #[serde(rename = "504")]
    GatewayTimeout,
    /// Rate limited, as documented.
    #[serde(rename = "429")]
    TooMany,
    /// Rate limited, as it was in the field.
    #[serde(rename = "403-limit")]
    Limit,
    /// A token that may not write.
    #[serde(rename = "403-readonly")]
    ReadOnly,
    /// Credentials that are no longer good.
    #[serde(rename = "401")]
    Unauthorized,
    /// Too large, says a gateway.
    #[serde(rename = "413")]
    TooLarge,
    /// A 400 that says nothing about the measurements.
    #[serde(rename = "400-garbage")]
    Garbage,
    /// A success that is none.
    #[serde(rename = "200-errors")]
    OkWithErrors,
    /// The right answer, late.
    Slow,
    /// No answer.
    Hang,
    /// The connection is cut, nothing is stored.
    ResetBefore,
    /// Everything is stored, then the connection is cut.
    ResetAfter,
}

impl Effect {
    /// Whether a request that it befalls is stored all the same.
    #[must_use]
    pub fn stores(self) -> bool {
        matches!(self, Self::Slow | Self::ResetAfter)
    }

    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> String {
        // The one place where the names stand is the serialisation.
        json!(self).as_str().unwrap_or_default().to_owned()
    }
}

/// An order for a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// What happens.
    pub answer: Effect,
    /// To how many requests; 0 means to all until the faults are cleared.
    #[serde(default = "once")]
    pub times: u32,
    /// A `Retry-After` header with so many seconds.
    pub retry_after: Option<u32>,
    /// Milliseconds before the answer.
    pub delay_ms: Option<u32>,
    /// Another body for the answer.
    pub body: Option<String>,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// How long the answer takes.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let default = match self.answer {
            Effect::Slow => SLOW,
            Effect::Hang => MAX_DELAY,
            _ => Duration::ZERO,
        };
        self.delay_ms.map_or(default, |ms| Duration::from_millis(ms.into())).min(MAX_DELAY)
    }

    /// The answer that stands in for the right one, or nothing where the right one is given or none.
    #[must_use]
    pub fn reply(&self, now: i64) -> Option<Reply> {
        let limited = |status| {
            Reply::json(
                status,
                &json!({
                    "error": "You have hit the API limit for measurements [measure:raw_rate]. \
                              Contact: support@librato.com to adjust this limit.",
                    "request_time": now,
                }),
            )
        };
        let system = |status, text: &str| {
            Reply::json(status, &json!({"errors": {"system": [text]}, "request_time": now}))
        };
        let mut reply = match self.answer {
            Effect::InternalError => {
                system(StatusCode::INTERNAL_SERVER_ERROR, "An internal error occurred")
            }
            Effect::Unavailable => {
                system(StatusCode::SERVICE_UNAVAILABLE, "The service is down for maintenance")
            }
            Effect::GatewayTimeout => Reply::html(
                StatusCode::GATEWAY_TIMEOUT,
                "<html><head><title>504 Gateway Time-out</title></head></html>",
            ),
            Effect::TooMany => limited(StatusCode::TOO_MANY_REQUESTS),
            Effect::Limit => limited(StatusCode::FORBIDDEN),
            Effect::ReadOnly => Reply::json(
                StatusCode::FORBIDDEN,
                &json!({"errors": {"request": ["The token is not allowed to submit measurements"]}}),
            ),
            Effect::Unauthorized => Reply::unauthorized(),
            Effect::TooLarge => Reply::empty(StatusCode::PAYLOAD_TOO_LARGE),
            Effect::Garbage => Reply::html(
                StatusCode::BAD_REQUEST,
                "<html><head><title>400 Bad Request</title></head></html>",
            ),
            Effect::OkWithErrors => Reply::json(
                StatusCode::OK,
                &json!({"errors": ["The measurements could not be stored"]}),
            ),
            Effect::Slow | Effect::Hang | Effect::ResetBefore | Effect::ResetAfter => return None,
        };
        if let Some(body) = &self.body {
            reply = reply.with_body(body.clone());
        }
        if matches!(self.answer, Effect::TooMany | Effect::Limit) {
            let wait = self.retry_after.map(|wait| now + i64::from(wait));
            reply = reply.exhausted(wait.unwrap_or_else(|| budget::reset(now)));
        }
        Some(match self.retry_after {
            Some(seconds) => reply.with_header("retry-after", &seconds.to_string()),
            None => reply,
        })
    }
}

/// The orders that wait, first come first served.
#[derive(Debug, Default)]
pub struct Queue(VecDeque<Queued>);

#[derive(Debug, Serialize)]
struct Queued {
    #[serde(flatten)]
    fault: Fault,
    /// How many requests are still to fail; nothing means no end.
    remaining: Option<u32>,
}

impl Queue {
    /// Puts an order at the end.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn push(&mut self, fault: Fault) -> Result<(), &'static str> {
        if self.0.len() >= MAX_QUEUED {
            return Err("too many faults are queued: DELETE /local/faults clears them");
        }
        let remaining = (fault.times > 0).then_some(fault.times);
        self.0.push_back(Queued { fault, remaining });
        Ok(())
    }

    /// The fault for the next request, if there is one.
    pub fn take(&mut self) -> Option<Fault> {
        let first = self.0.front_mut()?;
        let fault = first.fault.clone();
        first.remaining = first.remaining.map(|n| n - 1);
        if first.remaining == Some(0) {
            self.0.pop_front();
        }
        Some(fault)
    }

    /// Forgets all orders.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The orders with what remains of them.
    #[must_use]
    pub fn list(&self) -> serde_json::Value {
        json!(self.0.iter().collect::<Vec<_>>())
    }
}
