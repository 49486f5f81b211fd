//! Events in a query: the tracking pixel, and the scripts that the classic library loads where it can do no better.

use base64::Engine;
use serde_json::{Map, Value};

use super::answer::{Answer, ApiError, Body, ErrorCode, Result, embeddable};
use super::credential::LENIENT_BASE64;
use super::query;

/// Most parts of a dotted name; a longer one is left out.
const MAX_PARTS: usize = 16;

/// The JSON of the event that a pixel's query holds: `data` in base64, or flat, dotted parameters such as
/// `properties.value=2` (Segment's pixel API, and AMP pages).
///
/// # Errors
///
/// [`ErrorCode::MalformedJson`] for `data` that is no base64 of UTF-8.
pub fn event(query: &str) -> Result<String> {
    match query::parameter(query, "data") {
        Some(data) => decode(&data),
        None => Ok(Value::Object(unfold(query)).to_string()),
    }
}

/// Decodes `data`.
///
/// # Errors
///
/// [`ErrorCode::MalformedJson`].
pub fn decode(data: &str) -> Result<String> {
    let data: String = data
        .chars()
        .filter_map(|c| match c {
            // A `+` that was not escaped has become a space on the way.
            '-' | ' ' => Some('+'),
            '_' => Some('/'),
            '=' | '\r' | '\n' => None,
            other => Some(other),
        })
        .collect();
    // Both alphabets have become one.
    let bytes = LENIENT_BASE64.decode(data).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| ApiError::new(ErrorCode::MalformedJson, "data: expected the base64 of a JSON event"))
}

/// The object that dotted parameters stand for. Its keys are in their own order: which of those is first does not hang
/// on a parameter's place.
fn unfold(query: &str) -> Map<String, Value> {
    let mut event = Map::new();
    for (name, value) in query::parameters(query) {
        let parts: Vec<&str> = name.split('.').collect();
        if parts.len() <= MAX_PARTS {
            insert(&mut event, &parts, value);
        }
    }
    event
}

fn insert(object: &mut Map<String, Value>, path: &[&str], value: String) {
    let Some((name, rest)) = path.split_first() else { return };
    let slot = object.entry(*name).or_insert(Value::Null);
    if rest.is_empty() {
        *slot = Value::String(value);
        return;
    }
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    if let Value::Object(inner) = slot {
        insert(inner, rest, value);
    }
}

/// What a pixel shows, whatever became of its event: that stands in a header.
#[must_use]
pub fn answer(of_event: &Answer) -> Answer {
    Answer {
        status: 200,
        code: of_event.code,
        headers: vec![
            ("X-Event-Status", of_event.code.unwrap_or("accepted").to_owned()),
            ("Cache-Control", "no-store".to_owned()),
            embeddable(),
        ],
        body: Body::Gif,
    }
}

/// The answer as a script that hands it to the page's function `callback`.
///
/// A page sees of a script only whether it ran: it runs unless the event is to be sent again.
#[must_use]
pub fn script(of_event: Answer, callback: &str) -> Answer {
    let is_name = callback.len() <= 128
        && callback.split('.').all(|part| {
            part.as_bytes().first().is_some_and(|first| !first.is_ascii_digit())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
        });
    if !is_name {
        return of_event;
    }
    let status = if of_event.status < 429 { 200 } else { of_event.status };
    // The comment keeps what follows from being taken for the file of another kind.
    let body = Body::Script(format!("/**/{callback}({});", of_event.text()));
    let mut answer = Answer { status, body, ..of_event };
    answer.headers.push(embeddable());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> serde_json::Value {
        serde_json::from_str(&event(query).unwrap()).unwrap()
    }

    #[test]
    fn data_in_either_alphabet_padded_or_not() {
        // `{"a":"?>~"}` has both characters in which the alphabets differ.
        for data in ["eyJhIjoiPz5-In0=", "eyJhIjoiPz5-In0", "eyJhIjoiPz5+In0=", "eyJhIjoiPz5%2BIn0%3D"] {
            assert_eq!(parsed(&format!("data={data}")), serde_json::json!({"a": "?>~"}), "{data}");
        }
        // What is no UTF-8 is no parameter.
        assert_eq!(event("data=%ff").unwrap(), "{}");
        assert!(event("data=e").is_err());
    }

    #[test]
    fn dotted_names_are_objects() {
        assert_eq!(
            parsed("writeKey=k&event=A+B&properties.value=2&context.page.path=%2Fx&properties=7&userId"),
            serde_json::json!({"writeKey": "k", "event": "A B", "properties": "7", "context": {"page": {"path": "/x"}}, "userId": ""})
        );
        assert_eq!(parsed("a=1&a.b=2"), serde_json::json!({"a": {"b": "2"}}));
        assert_eq!(parsed(&format!("{}=1", "a.".repeat(100))), serde_json::json!({}));
    }

    #[test]
    fn a_callback_is_a_name() {
        let good = super::super::answer::success(1, &[]);
        assert_eq!(script(good.clone(), "a.b_$1").text(), r#"/**/a.b_$1({"success":true});"#);
        for callback in ["", "1a", "a(b)", "a..b", "a;b", "\u{e9}", &"a".repeat(129)] {
            assert_eq!(script(good.clone(), callback), good, "{callback}");
        }
    }
}
