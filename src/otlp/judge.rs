//! What answers to OTLP/HTTP mean, in one place (OTLP 1.9, "OTLP/HTTP Response").

use alloc::borrow::ToOwned;
use alloc::string::String;

use prost::Message;

use super::NAME;
use super::proto::{ExportResponse, PartialSuccess, Status};
use crate::Millis;
use crate::destination::{Judgement, Remark, Reply, Trouble, TroubleKind, passed_on, retry_after};
use crate::json::tree::Value;
use crate::settings::Secret;

/// Judges an answer. The secrets are taken out of what is passed on of its words.
pub(super) fn reply(reply: &Reply, now: Millis, secrets: &[Secret]) -> Judgement {
    let later = |kind| {
        let retry_after =
            (kind != TroubleKind::Unauthorized).then(|| retry_after(reply, now)).flatten();
        let detail = format!("{NAME} answered {}", reply.status);
        Judgement::Later(Trouble { kind, retry_after, detail })
    };
    match reply.status {
        200 => taken(&reply.body, secrets),
        // Not to be sent again, says the protocol; but an operator will set them right, and then
        // nothing is lost.
        401 | 403 => later(TroubleKind::Unauthorized),
        413 => Judgement::TooLarge,
        429 => later(TroubleKind::Throttled),
        502..=504 => later(TroubleKind::Unavailable),
        status => {
            let words = passed_on(&words(&reply.body), secrets);
            let words = if words.is_empty() { words } else { format!(": {words}") };
            Judgement::Rejected(format!("{NAME} answered {status}{words}"))
        }
    }
}

/// A 200. What it says to have refused must not be sent again.
fn taken(body: &[u8], secrets: &[Secret]) -> Judgement {
    let remark = |refused, words: String| Judgement::Remarked(Remark { refused, words });
    match partial_success(body) {
        Ok(PartialSuccess { rejected_data_points: ..=0, error_message }) => {
            match error_message.as_str() {
                "" => Judgement::Delivered,
                message => remark(0, format!("{NAME} warns: {}", passed_on(message, secrets))),
            }
        }
        Ok(PartialSuccess { rejected_data_points, error_message }) => remark(
            rejected_data_points.unsigned_abs(),
            format!("{NAME} refused some points: {}", passed_on(&error_message, secrets)),
        ),
        Err(NotOtlp) => remark(0, format!("{NAME} answered 200 with something else than OTLP")),
    }
}

/// A body that is no `ExportMetricsServiceResponse`.
struct NotOtlp;

/// In protobuf; or in JSON, which some answer whatever they were sent.
fn partial_success(body: &[u8]) -> Result<PartialSuccess, NotOtlp> {
    if body.trim_ascii_start().first() == Some(&b'{') {
        let body = Value::read_bytes(body).ok_or(NotOtlp)?;
        let partial = body.get("partialSuccess");
        let field = |name| partial.and_then(|partial| partial.get(name));
        let rejected = field("rejectedDataPoints");
        // A 64-bit integer is a string in protobuf's JSON.
        let number = |value: &Value| value.as_integer().or_else(|| value.as_str()?.parse().ok());
        let message = field("errorMessage").and_then(Value::as_str);
        return Ok(PartialSuccess {
            rejected_data_points: rejected.and_then(number).unwrap_or_default(),
            error_message: message.unwrap_or_default().to_owned(),
        });
    }
    let response = ExportResponse::decode(body).map_err(|_| NotOtlp)?;
    Ok(response.partial_success.unwrap_or_default())
}

/// The words of a refusal: a `Status` in protobuf or JSON, or text.
fn words(body: &[u8]) -> String {
    /// Keys of the fields 1 and 2 of a `Status`. No text begins with such a character.
    const KEYS: [u8; 2] = [0x08, 0x12];
    if body.first().is_some_and(|first| KEYS.contains(first))
        && let Ok(status) = Status::decode(body)
    {
        return status.message;
    }
    let json = Value::read_bytes(body);
    let said = json
        .as_ref()
        .and_then(|json| ["message", "error"].into_iter().find_map(|key| json.get(key)?.as_str()));
    if let Some(said) = said {
        return said.to_owned();
    }
    String::from_utf8_lossy(body).trim().to_owned()
}
