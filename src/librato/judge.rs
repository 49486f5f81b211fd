//! What Librato's answers mean, in one place.

use super::WINDOW;
use crate::Millis;
use crate::destination::{
    Judgement, Refusal, Reply, Trouble, TroubleKind, passed_on, retry_after, seconds_until,
};
use crate::json::tree::Value;
use crate::measurement::Measurement;
use crate::settings::Secret;
use crate::text::{
    concat, contains, is_one_of, join, lossy, read_integer, split, split_once, whole,
};

/// Judges an answer to `POST /v1/metrics` or `POST /v1/measurements`. The secrets are taken out of what
/// is passed on of its words.
pub(super) fn reply(
    reply: &Reply,
    batch: &[&Measurement],
    now: Millis,
    secrets: &[Secret],
) -> Judgement {
    let body = Body::read(&reply.body);
    let later = |kind| {
        Judgement::Later(Trouble {
            kind,
            retry_after: (kind != TroubleKind::Unauthorized).then(|| pause(reply, now)).flatten(),
            detail: concat(&["Librato answered ", &whole(reply.status.into())]),
        })
    };
    match reply.status {
        200..=299 if body.has_errors() => {
            let refusal = body.refusal(batch, now, secrets);
            if body.is_partly_stored() {
                Judgement::Partly(refusal)
            } else {
                Judgement::Refused(refusal)
            }
        }
        200..=299 => Judgement::Delivered,
        400 => Judgement::Refused(body.refusal(batch, now, secrets)),
        // The one status stands for limits, plain HTTP, a read-only token and a closed account; only
        // its text tells them apart.
        403 if contains(&body.text().to_ascii_lowercase(), "api limit") => {
            later(TroubleKind::Throttled)
        }
        401 | 403 => later(TroubleKind::Unauthorized),
        408 => later(TroubleKind::Unavailable),
        413 => Judgement::TooLarge,
        429 => later(TroubleKind::Throttled),
        404..=499 | 402 => Judgement::Rejected(concat(&[
            "Librato answered ",
            &whole(reply.status.into()),
            ": ",
            &passed_on(&body.text(), secrets),
        ])),
        // A redirect would turn the POST into a GET of some page that answers 200.
        _ => later(TroubleKind::Unavailable),
    }
}

/// Seconds until Librato wants to be asked again: `Retry-After`, or the latest reset of a rate limit
/// that is used up.
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
                let mut parts = split(value, ",").filter_map(|part| split_once(part.trim(), "="));
                read_integer(parts.find(|(name, _)| *name == wanted)?.1)
            };
            let is_used_up = part("remaining").is_none_or(|remaining| remaining <= 0);
            part("reset").filter(|_| is_used_up)
        })
        .max()
}

enum Body<'a> {
    /// An object.
    Json(Value<'a>),
    Other(String),
}

impl<'a> Body<'a> {
    fn read(body: &'a [u8]) -> Self {
        match Value::read_bytes(body) {
            Some(object @ Value::Object(_)) => Self::Json(object),
            _ => Self::Other(lossy(body)),
        }
    }

    /// Whether `errors` holds anything.
    fn has_errors(&self) -> bool {
        let Self::Json(object) = self else { return false };
        match object.get("errors") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Array(errors)) => !errors.is_empty(),
            Some(Value::Object(errors)) => !errors.is_empty(),
            Some(Value::Text(error)) => !error.is_empty(),
            Some(_) => true,
        }
    }

    /// Whether some of the measurements are stored although others were refused, as the tagged API
    /// does it: its summary says so. Without one, a request with errors stored nothing.
    fn is_partly_stored(&self) -> bool {
        self.summary("accepted").is_some_and(|accepted| accepted > 0)
    }

    /// A figure of the tagged API's summary.
    fn summary(&self, figure: &str) -> Option<u64> {
        let Self::Json(object) = self else { return None };
        object.get("measurements")?.get("summary")?.get(figure)?.as_whole()
    }

    /// All that it says, in one line: bodies come in a handful of shapes, and as plain text.
    fn text(&self) -> String {
        match self {
            Self::Json(object) => {
                let said = ["errors", "error", "message"].iter().find_map(|key| object.get(key));
                said.map(words).unwrap_or_default()
            }
            Self::Other(text) => text.trim().to_owned(),
        }
    }

    /// Names that the errors give as such: under `name`, or in quotation marks.
    fn named(&self) -> Vec<String> {
        fn collect(value: &Value, names: &mut Vec<String>) {
            match value {
                Value::Text(text) => {
                    // Between every other pair of marks stands a quotation.
                    let parts = split(text, "'\"`");
                    names.extend(parts.skip(1).step_by(2).map(str::to_owned));
                }
                Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
                Value::Object(object) => {
                    for (key, value) in object {
                        match (&**key, value) {
                            ("name", Value::Text(name)) => names.push((**name).to_owned()),
                            ("name", Value::Array(values)) => {
                                names.extend(
                                    values.iter().filter_map(Value::as_str).map(str::to_owned),
                                );
                            }
                            _ => collect(value, names),
                        }
                    }
                }
                _ => {}
            }
        }
        let mut names = Vec::new();
        if let Self::Json(object) = self
            && let Some(errors) = object.get("errors")
        {
            collect(errors, &mut names);
        }
        names
    }

    fn refusal(&self, batch: &[&Measurement], now: Millis, secrets: &[Secret]) -> Refusal {
        let text = self.text();
        let errors = match self {
            Self::Json(object) => object.get("errors"),
            Self::Other(_) => None,
        };
        let params = errors.and_then(|errors| errors.get("params"));
        let said_of = |field: &str| params.and_then(|params| params.get(field)).map(words);
        let find = |is_suspect: &dyn Fn(&Measurement) -> bool| -> Vec<usize> {
            let members = batch.iter().enumerate();
            members.filter(|(_, member)| is_suspect(member)).map(|(place, _)| place).collect()
        };
        let request_time = match self {
            Self::Json(object) => object.get("request_time").and_then(Value::as_integer),
            Self::Other(_) => None,
        };
        let librato_now = request_time.unwrap_or(now.div_euclid(1_000));
        // Whose fault it is by its name, where that stands by itself ...
        let named = self.named();
        let mut suspects =
            find(&|member| named.iter().any(|name| name.eq_ignore_ascii_case(&member.name)));
        // ... or by the field that is complained about ...
        if let Some(said) = said_of("measure_time") {
            suspects = if contains(&said, "future") {
                find(&|member| member.time > librato_now.saturating_add(WINDOW.max_ahead))
            } else {
                find(&|member| member.time < librato_now.saturating_sub(WINDOW.max_age))
            };
        }
        if let Some(said) = said_of("source").filter(|_| suspects.is_empty()) {
            suspects = find(&|member| mentions(&said, &member.source));
        }
        // ... or by its name somewhere in the text. That is a hint, which costs a request when it is
        // wrong; where nothing will be sent again, it counts only if it is about as many as failed.
        if suspects.is_empty() {
            let hinted = find(&|member| mentions(&text, &member.name));
            if !self.is_partly_stored() || self.summary("failed") == Some(hinted.len() as u64) {
                suspects = hinted;
            }
        }
        // A clash of types is about the metric: each of its members would be refused the same way.
        let is_certain = said_of("type").is_some_and(|said| {
            suspects
                .iter()
                .all(|place| batch.get(*place).is_some_and(|member| mentions(&said, &member.name)))
        });
        let reason = match text.as_str() {
            "" => "Librato refused it without a reason".to_owned(),
            text => concat(&["Librato refused it: ", &passed_on(text, secrets)]),
        };
        Refusal { reason, suspects, is_certain }
    }
}

/// The texts in a value of any shape, with the keys that they stand under.
fn words(value: &Value) -> String {
    match value {
        Value::Text(text) => (**text).to_owned(),
        Value::Array(values) => join(values.iter().map(words), "; "),
        Value::Object(object) => {
            join(object.iter().map(|(key, value)| concat(&[key, ": ", &words(value)])), "; ")
        }
        Value::Null => String::new(),
        Value::Bool(value) => (if *value { "true" } else { "false" }).to_owned(),
        Value::Number(text) => (*text).to_owned(),
    }
}

/// Whether a text holds a metric's or source's name as a word of its own, in any case.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || is_one_of(*byte, "._-"))
    };
    let (text, name) = (text.to_ascii_lowercase(), name.to_ascii_lowercase());
    let (text, name) = (text.as_bytes(), name.as_bytes());
    text.windows(name.len().max(1)).enumerate().any(|(at, found)| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        found == name && !is_part(before) && !is_part(text.get(at + found.len()))
    })
}
