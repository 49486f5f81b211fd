//! Fault injection: the next measurement requests fail as the real service, or the network before it, could.

use std::collections::VecDeque;
use std::time::Duration;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::budget;
use crate::reply::Reply;

/// Most faults in the queue.
const MAX_QUEUED: usize = 100;
/// Longest delay of an answer.
const MAX_DELAY: Duration = Duration::from_secs(120);
/// Default delay of [`Effect::Slow`].
const SLOW: Duration = Duration::from_secs(2);

/// Effect of a fault on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// An internal error of the service.
    #[serde(rename = "500")]
    InternalError,
    /// Maintenance.
    #[serde(rename = "503")]
    Unavailable,
    /// A time-out of a gateway before the service.
    #[serde(rename = "504")]
    GatewayTimeout,
    /// A rate limit, as documented.
    #[serde(rename = "429")]
    TooMany,
    /// A rate limit, as clients saw it.
    #[serde(rename = "403-limit")]
    Limit,
    /// A token without the right to write.
    #[serde(rename = "403-readonly")]
    ReadOnly,
    /// Credentials that are no longer valid.
    #[serde(rename = "401")]
    Unauthorized,
    /// A gateway's limit on the size of requests.
    #[serde(rename = "413")]
    TooLarge,
    /// A gateway's 400, which says nothing about the measurements.
    #[serde(rename = "400-garbage")]
    Garbage,
    /// A 200 with `errors` in its body; nothing is stored.
    #[serde(rename = "200-errors")]
    OkWithErrors,
    /// The regular answer, late.
    Slow,
    /// No answer until the client gives up.
    Hang,
    /// A TCP reset before anything is stored.
    ResetBefore,
    /// A TCP reset after everything is stored.
    ResetAfter,
}

impl Effect {
    /// Returns whether the request is stored nevertheless.
    #[must_use]
    pub fn stores(self) -> bool {
        matches!(self, Self::Slow | Self::ResetAfter)
    }

    /// Returns the name in the API.
    #[must_use]
    pub fn name(self) -> String {
        // Only serde knows the names.
        json!(self).as_str().unwrap_or_default().to_owned()
    }
}

/// A fault to inject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Effect on a request.
    pub answer: Effect,
    /// Number of requests that it affects; 0 means all until the faults are cleared.
    #[serde(default = "default_times")]
    pub times: u32,
    /// Seconds in a `Retry-After` header.
    pub retry_after: Option<u32>,
    /// Delay of the answer, in milliseconds.
    pub delay_ms: Option<u32>,
    /// Body that replaces the effect's own.
    pub body: Option<String>,
}

fn default_times() -> u32 {
    1
}

impl Fault {
    /// Returns the delay of the answer.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let default = match self.answer {
            Effect::Slow => SLOW,
            Effect::Hang => MAX_DELAY,
            _ => Duration::ZERO,
        };
        self.delay_ms.map_or(default, |ms| Duration::from_millis(ms.into())).min(MAX_DELAY)
    }

    /// Returns the answer that replaces the regular one; `None` for an effect that gives the regular one, or none at
    /// all.
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
        let system =
            |status, text: &str| Reply::json(status, &json!({"errors": {"system": [text]}, "request_time": now}));
        let mut reply = match self.answer {
            Effect::InternalError => system(StatusCode::INTERNAL_SERVER_ERROR, "An internal error occurred"),
            Effect::Unavailable => system(StatusCode::SERVICE_UNAVAILABLE, "The service is down for maintenance"),
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
            Effect::Garbage => {
                Reply::html(StatusCode::BAD_REQUEST, "<html><head><title>400 Bad Request</title></head></html>")
            }
            Effect::OkWithErrors => {
                Reply::json(StatusCode::OK, &json!({"errors": ["The measurements could not be stored"]}))
            }
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

/// The faults to inject, first in, first out.
#[derive(Debug, Default)]
pub struct Queue(VecDeque<Queued>);

#[derive(Debug, Serialize)]
struct Queued {
    #[serde(flatten)]
    fault: Fault,
    /// Number of requests that it still affects; `None` means all.
    remaining: Option<u32>,
}

impl Queue {
    /// Appends a fault.
    ///
    /// # Errors
    ///
    /// When the queue is full.
    pub fn push(&mut self, fault: Fault) -> Result<(), &'static str> {
        if self.0.len() >= MAX_QUEUED {
            return Err("too many faults are queued: DELETE /local/faults clears them");
        }
        let remaining = (fault.times > 0).then_some(fault.times);
        self.0.push_back(Queued { fault, remaining });
        Ok(())
    }

    /// Takes the fault for the next request.
    pub fn take(&mut self) -> Option<Fault> {
        let first = self.0.front_mut()?;
        let fault = first.fault.clone();
        first.remaining = first.remaining.map(|n| n - 1);
        if first.remaining == Some(0) {
            self.0.pop_front();
        }
        Some(fault)
    }

    /// Removes all faults.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Lists the faults and how many requests each still affects.
    #[must_use]
    pub fn list(&self) -> serde_json::Value {
        json!(self.0.iter().collect::<Vec<_>>())
    }
}
