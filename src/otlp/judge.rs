//! What answers to OTLP/HTTP mean, in one place (OTLP 1.9, "OTLP/HTTP Response").

use prost::Message;
use serde_json::Value;

use super::NAME;
use super::proto::{ExportResponse, Status};
use crate::Millis;
use crate::destination::{
    Class, Judgement, PartialSuccess, PermanentRejection, Reply, RetryReason, RetryableError, is_page, redact,
    retry_after,
};
use crate::secret::Secret;

/// Judges an answer. The secrets are taken out of what is passed on of its words.
pub(super) fn reply(reply: &Reply, now: Millis, secrets: &[Secret]) -> Judgement {
    let later = |reason: RetryReason| {
        let retry_after = reason.is_for_client().then(|| retry_after(reply, now)).flatten();
        let detail = format!("{NAME} answered {}", reply.status);
        Judgement::Later(RetryableError { reason, retry_after, detail })
    };
    let refusal = || {
        let words = redact(&words(&reply.body), secrets);
        let colon = if words.is_empty() { "" } else { ": " };
        format!("{NAME} answered {}{colon}{words}", reply.status)
    };
    match Class::of(reply.status) {
        // Only 200, says the protocol; the Collector takes any.
        Class::Success => taken(&reply.body, secrets),
        // A page in HTML is a gateway's.
        Class::BadRequest if is_page(&reply.body) => later(RetryReason::Unavailable),
        Class::BadRequest => {
            Judgement::Refused(PermanentRejection { reason: refusal(), suspects: Vec::new(), is_certain: false })
        }
        Class::TooLarge => Judgement::TooLarge,
        Class::Rejected => Judgement::Rejected(refusal()),
        Class::Later(reason) => later(reason),
    }
}

/// Judges a success. What it says to have refused must not be sent again.
fn taken(body: &[u8], secrets: &[Secret]) -> Judgement {
    // In protobuf; or in JSON, which some answer whatever they were sent.
    let said = if body.trim_ascii_start().first() == Some(&b'{') {
        serde_json::from_slice(body).ok().map(|body: Value| of_json(&body))
    } else {
        ExportResponse::decode(body).ok().map(|response| {
            let partial = response.partial_success.unwrap_or_default();
            (partial.rejected_data_points, partial.error_message)
        })
    };
    let (rejected_points, what, words) = match said {
        Some((..=0, words)) if words.is_empty() => return Judgement::Delivered,
        Some((..=0, words)) => (0, "warns", words),
        Some((number, words)) => (number.unsigned_abs(), "refused some points", words),
        None => (0, "answered with something else than OTLP", String::new()),
    };
    Judgement::Partial(PartialSuccess {
        rejected_points,
        summary: format!("{NAME} {what}"),
        message: redact(&words, secrets),
    })
}

/// Returns what a response in JSON says: how many points were refused, and why.
fn of_json(body: &Value) -> (i64, String) {
    let partial = body.get("partialSuccess");
    let field = |name| partial.and_then(|partial| partial.get(name));
    // A 64-bit integer is a string in protobuf's JSON.
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let words = field("errorMessage").and_then(Value::as_str).unwrap_or_default();
    (field("rejectedDataPoints").and_then(number).unwrap_or_default(), words.to_owned())
}

/// Returns the words of a refusal: of a `Status` in protobuf or JSON, or text.
pub(super) fn words(body: &[u8]) -> String {
    // Keys of the fields 1 and 2 of a `Status`. No text begins with such a character.
    if let Some(0x08 | 0x12) = body.first()
        && let Ok(status) = Status::decode(body)
    {
        return status.message;
    }
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let said = json.as_ref().and_then(|json| ["message", "error"].into_iter().find_map(|key| json.get(key)?.as_str()));
    said.map_or_else(|| String::from_utf8_lossy(body).trim().to_owned(), str::to_owned)
}
