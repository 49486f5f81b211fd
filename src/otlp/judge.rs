//! What answers to OTLP/HTTP mean, in one place (OTLP 1.9, "OTLP/HTTP Response").

use super::NAME;
use super::proto::{Malformed, Said};
use crate::Millis;
use crate::destination::{Judgement, Remark, Reply, Trouble, TroubleKind, passed_on, retry_after};
use crate::json::tree::Value;
use crate::settings::Secret;
use crate::text::{concat, lossy, read_integer, whole};

/// Judges an answer. The secrets are taken out of what is passed on of its words.
pub(super) fn reply(reply: &Reply, now: Millis, secrets: &[Secret]) -> Judgement {
    let later = |kind| {
        let retry_after =
            (kind != TroubleKind::Unauthorized).then(|| retry_after(reply, now)).flatten();
        let detail = concat(&[NAME, " answered ", &whole(reply.status.into())]);
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
            let colon = if words.is_empty() { "" } else { ": " };
            let status = whole(status.into());
            Judgement::Rejected(concat(&[NAME, " answered ", &status, colon, &words]))
        }
    }
}

/// A 200. What it says to have refused must not be sent again.
fn taken(body: &[u8], secrets: &[Secret]) -> Judgement {
    let json;
    // In protobuf; or in JSON, which some answer whatever they were sent.
    let said = if body.trim_ascii_start().first() == Some(&b'{') {
        json = Value::read_bytes(body);
        json.as_ref().map(of_json).ok_or(Malformed)
    } else {
        Said::of_response(body)
    };
    let (refused, what, words) = match said {
        Ok(Said { number: ..=0, words: "" }) => return Judgement::Delivered,
        Ok(Said { number: ..=0, words }) => (0, "warns: ", words),
        Ok(Said { number, words }) => (number.unsigned_abs(), "refused some points: ", words),
        Err(Malformed) => (0, "answered 200 with something else than OTLP", ""),
    };
    let words = concat(&[NAME, " ", what, &passed_on(words, secrets)]);
    Judgement::Remarked(Remark { refused, words })
}

/// What a response in JSON says.
fn of_json<'b>(body: &'b Value) -> Said<'b> {
    let partial = body.get("partialSuccess");
    let field = |name| partial.and_then(|partial| partial.get(name));
    // A 64-bit integer is a string in protobuf's JSON.
    let number = |value: &Value| value.as_integer().or_else(|| read_integer(value.as_str()?));
    Said {
        number: field("rejectedDataPoints").and_then(number).unwrap_or_default(),
        words: field("errorMessage").and_then(Value::as_str).unwrap_or_default(),
    }
}

/// The words of a refusal: a `Status` in protobuf or JSON, or text.
fn words(body: &[u8]) -> String {
    // Keys of the fields 1 and 2 of a `Status`. No text begins with such a character.
    if let Some(0x08 | 0x12) = body.first()
        && let Ok(said) = Said::of_status(body)
    {
        return said.words.to_owned();
    }
    let json = Value::read_bytes(body);
    let said = json
        .as_ref()
        .and_then(|json| ["message", "error"].into_iter().find_map(|key| json.get(key)?.as_str()));
    if let Some(said) = said {
        return said.to_owned();
    }
    lossy(body).trim().to_owned()
}
