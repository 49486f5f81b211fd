//! What a metric is called.

use std::borrow::Cow;
use std::rc::Rc;

use super::rejection::{Code, Rejection};
use crate::json::reader::Raw;
use crate::json::{Scalar, javascript_string};
use crate::segment::event::Event;
use crate::text::{concat, is_one_of};

/// Longest name and source that Librato takes (Librato API documentation, `POST /v1/metrics`).
pub const MAX_LENGTH: usize = 255;

/// The metric of a Track call: its `event`, cleaned.
///
/// # Errors
///
/// [`Code::MissingEvent`] unless `event` is a string that is not empty.
pub fn track(event: &Event) -> Result<Rc<str>, Rejection> {
    match Scalar::of_field(event.event) {
        Scalar::Text(name) if !name.is_empty() => Ok(clean(&name)),
        Scalar::LoneSurrogate => Err(Rejection::lone_surrogate("event")),
        other => {
            let found = match other {
                Scalar::Null => "nothing",
                Scalar::Text(_) => "an empty string",
                ref other => other.kind(),
            };
            Err(Rejection::new(
                Code::MissingEvent,
                concat(&["event: expected a string that is not empty, found ", found]),
            ))
        }
    }
}

/// The metric of a Page call: `Viewed {category} {name} Page`, `Viewed {name} Page`, or
/// `Loaded a Page` without a name, cleaned. Only top-level fields count (npm `@segment/facade`,
/// `Page.fullName` and `Page.event`).
///
/// # Errors
///
/// [`Code::MalformedJson`] when one of the two is no Unicode text.
pub fn page(event: &Event) -> Result<Rc<str>, Rejection> {
    let Some(name) = part(event.name, "name")? else {
        return Ok(clean("Loaded a Page"));
    };
    Ok(match part(event.category, "category")? {
        Some(category) => clean(&concat(&["Viewed ", &category, " ", &name, " Page"])),
        None => clean(&concat(&["Viewed ", &name, " Page"])),
    })
}

/// A field's text as JavaScript would concatenate it, unless JavaScript takes it for false.
fn part<'a>(field: Option<Raw<'a>>, label: &str) -> Result<Option<Cow<'a, str>>, Rejection> {
    match field {
        Some(raw) if Scalar::of(raw).is_truthy() => {
            javascript_string(raw).map(Some).ok_or_else(|| Rejection::lone_surrogate(label))
        }
        _ => Ok(None),
    }
}

/// Turns each UTF-16 code unit outside `A-Z a-z 0-9 . _ -` into `-` and keeps the first
/// [`MAX_LENGTH`]. Librato would take `:` as well; the original destination replaced it.
#[must_use]
pub fn clean(text: &str) -> Rc<str> {
    clean_keeping(text, |byte| byte.is_ascii_alphanumeric() || is_one_of(byte, "._-"))
}

/// The same with another set of characters, all of them ASCII.
pub(crate) fn clean_keeping(text: &str, is_kept: impl Fn(u8) -> bool) -> Rc<str> {
    let mut cleaned = [b'-'; MAX_LENGTH];
    let mut length = 0;
    for byte in text.bytes() {
        let Some(slot) = cleaned.get_mut(length) else { break };
        if is_kept(byte) {
            *slot = byte;
        }
        // The original worked on JavaScript strings: an emoji is two units and becomes two dashes. What
        // has four bytes in UTF-8 has two units, and only the first byte of anything is counted.
        length += match byte {
            0x80..0xc0 => 0,
            0xf0.. => 2,
            _ => 1,
        };
    }
    let cleaned = cleaned.get(..length).unwrap_or(&cleaned);
    std::str::from_utf8(cleaned).unwrap_or_default().into()
}
