//! What Librato's answers mean, in one place.

use serde_json::{Map, Value};

use super::WINDOW;
use crate::Millis;
use crate::destination::{
    Class, Judgement, PermanentRejection, Reply, RetryReason, RetryableError, redact, retry_after, seconds_until,
};
use crate::measurement::Measurement;
use crate::secret::Secret;

/// Judges an answer to `POST /v1/metrics` or `POST /v1/measurements`. The secrets are taken out of what is passed on of
/// its words.
pub(super) fn reply(reply: &Reply, batch: &[&Measurement], now: Millis, secrets: &[Secret]) -> Judgement {
    let body = Body::read(&reply.body);
    let later = |reason: RetryReason| {
        let retry_after = reason.is_for_client().then(|| pause(reply, now)).flatten();
        let detail = format!("Librato answered {}", reply.status);
        Judgement::Later(RetryableError { reason, retry_after, detail })
    };
    match Class::of(reply.status) {
        Class::Success if body.has_errors() => {
            let refusal = body.refusal(batch, now, secrets);
            if body.is_partly_stored() { Judgement::Partly(refusal) } else { Judgement::Refused(refusal) }
        }
        Class::Success => Judgement::Delivered,
        Class::BadRequest if body.is_verdict() => Judgement::Refused(body.refusal(batch, now, secrets)),
        Class::BadRequest => later(RetryReason::Unavailable),
        // The one status stands for limits, plain HTTP, a read-only token and a closed account; only its text tells
        // them apart.
        Class::Later(RetryReason::Unauthorized) if reply.status == 403 && body.is_api_limit() => {
            later(RetryReason::Throttled)
        }
        Class::Later(reason) => later(reason),
        Class::TooLarge => Judgement::TooLarge,
        Class::Rejected => {
            let words = redact(&body.text(), secrets);
            Judgement::Rejected(format!("Librato answered {}: {words}", reply.status))
        }
    }
}

/// Returns Librato's words, in one line and without secrets.
pub(super) fn words_of(reply: &Reply, secrets: &[Secret]) -> String {
    redact(&Body::read(&reply.body).text(), secrets)
}

/// Seconds until Librato wants to be asked again: `Retry-After`, or the latest reset of a rate limit that is used up.
fn pause(reply: &Reply, now: Millis) -> Option<u32> {
    retry_after(reply, now).or_else(|| seconds_until(used_up(reply)?.checked_mul(1_000)?, now))
}

/// The second in which the last of the limits that are used up is reset.
fn used_up(reply: &Reply) -> Option<i64> {
    reply
        .rate_limits
        .iter()
        .filter_map(|(_, value)| {
            let part = |wanted: &str| {
                let mut parts = value.split(',').filter_map(|part| part.trim().split_once('='));
                parts.find(|(name, _)| *name == wanted)?.1.parse::<i64>().ok()
            };
            let is_used_up = part("remaining").is_none_or(|remaining| remaining <= 0);
            part("reset").filter(|_| is_used_up)
        })
        .max()
}

enum Body {
    Json(Map<String, Value>),
    /// Something else than a JSON object.
    Other(String),
}

impl Body {
    fn read(body: &[u8]) -> Self {
        match serde_json::from_slice(body) {
            Ok(object) => Self::Json(object),
            Err(_) => Self::Other(String::from_utf8_lossy(body).into_owned()),
        }
    }

    /// Returns what stands under a key of an object.
    fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Json(object) => object.get(key),
            Self::Other(_) => None,
        }
    }

    /// Returns whether a 400 is the API's own: `errors`, or `{"code": 400, "message": …}` for what is no JSON. Whatever
    /// stands before Librato answers 400 in other forms when it hiccups (<https://github.com/heroku/x/pull/13>).
    fn is_verdict(&self) -> bool {
        self.has_errors() || self.get("code").and_then(Value::as_u64) == Some(400)
    }

    fn is_api_limit(&self) -> bool {
        self.text().to_ascii_lowercase().contains("api limit")
    }

    /// Returns whether `errors` holds anything.
    fn has_errors(&self) -> bool {
        match self.get("errors") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Array(errors)) => !errors.is_empty(),
            Some(Value::Object(errors)) => !errors.is_empty(),
            Some(Value::String(error)) => !error.is_empty(),
            Some(_) => true,
        }
    }

    /// Whether some of the measurements are stored although others were refused, as the tagged API does it: its summary
    /// says so. Without one, a request with errors stored nothing.
    fn is_partly_stored(&self) -> bool {
        self.summary("accepted").is_some_and(|accepted| accepted > 0)
    }

    /// A figure of the tagged API's summary.
    fn summary(&self, figure: &str) -> Option<u64> {
        self.get("measurements")?.get("summary")?.get(figure)?.as_u64()
    }

    /// All that it says, in one line: bodies come in a handful of shapes, and as plain text.
    fn text(&self) -> String {
        match self {
            Self::Json(object) => {
                let said = ["errors", "error", "message"].iter().find_map(|key| object.get(*key));
                said.map(words).unwrap_or_default()
            }
            Self::Other(text) => text.trim().to_owned(),
        }
    }

    /// Names that the errors give as such: under `name`, or in quotation marks.
    fn named(&self) -> Vec<String> {
        fn collect(value: &Value, names: &mut Vec<String>) {
            match value {
                Value::String(text) => {
                    // Between every other pair of marks stands a quotation.
                    let parts = text.split(['\'', '"', '`']);
                    names.extend(parts.skip(1).step_by(2).map(str::to_owned));
                }
                Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
                Value::Object(object) => {
                    for (key, value) in object {
                        match (key.as_str(), value) {
                            ("name", Value::String(name)) => names.push(name.clone()),
                            ("name", Value::Array(values)) => {
                                names.extend(values.iter().filter_map(Value::as_str).map(str::to_owned));
                            }
                            _ => collect(value, names),
                        }
                    }
                }
                _ => {}
            }
        }
        let mut names = Vec::new();
        if let Some(errors) = self.get("errors") {
            collect(errors, &mut names);
        }
        names
    }

    fn refusal(&self, batch: &[&Measurement], now: Millis, secrets: &[Secret]) -> PermanentRejection {
        let text = self.text();
        let params = self.get("errors").and_then(|errors| errors.get("params"));
        let said_of = |field: &str| params.and_then(|params| params.get(field)).map(words);
        let find = |is_suspect: &dyn Fn(&Measurement) -> bool| -> Vec<usize> {
            let members = batch.iter().enumerate();
            members.filter(|(_, member)| is_suspect(member)).map(|(place, _)| place).collect()
        };
        let request_time = self.get("request_time").and_then(Value::as_i64);
        let librato_now = request_time.unwrap_or(now.div_euclid(1_000));
        // Whose fault it is by its name, where that stands by itself ...
        let named = self.named();
        let mut suspects = find(&|member| named.iter().any(|name| name.eq_ignore_ascii_case(&member.name)));
        // ... or by the field that is complained about ...
        if let Some(said) = said_of("measure_time") {
            suspects = if said.contains("future") {
                find(&|member| member.time > librato_now.saturating_add(WINDOW.max_ahead))
            } else {
                find(&|member| member.time < librato_now.saturating_sub(WINDOW.max_age))
            };
        }
        if let Some(said) = said_of("source").filter(|_| suspects.is_empty()) {
            suspects = find(&|member| mentions(&said, &member.source));
        }
        // ... or by its name somewhere in the text. That is a hint, which costs a request when it is wrong; where
        // nothing will be sent again, it counts only if it is about as many as failed.
        if suspects.is_empty() {
            let hinted = find(&|member| mentions(&text, &member.name));
            if !self.is_partly_stored() || self.summary("failed") == Some(hinted.len() as u64) {
                suspects = hinted;
            }
        }
        // A clash of types is about the metric: each of its members would be refused the same way.
        let is_certain = said_of("type").is_some_and(|said| {
            suspects.iter().all(|place| batch.get(*place).is_some_and(|member| mentions(&said, &member.name)))
        });
        let reason = match text.as_str() {
            "" => "Librato refused it without a reason".to_owned(),
            text => format!("Librato refused it: {}", redact(text, secrets)),
        };
        PermanentRejection { reason, suspects, is_certain }
    }
}

/// The texts in a value of any shape, with the keys that they stand under.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(words).collect::<Vec<_>>().join("; "),
        Value::Object(object) => {
            let entry = |(key, value): (&String, &Value)| format!("{key}: {}", words(value));
            object.iter().map(entry).collect::<Vec<_>>().join("; ")
        }
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Whether a text holds a metric's or source's name as a word of its own, in any case.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
    let (text, name) = (text.to_ascii_lowercase(), name.to_ascii_lowercase());
    let (text, name) = (text.as_bytes(), name.as_bytes());
    text.windows(name.len().max(1)).enumerate().any(|(at, found)| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        found == name && !is_part(before) && !is_part(text.get(at + found.len()))
    })
}
