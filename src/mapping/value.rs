//! The magnitude of a measurement.

use crate::json::{Scalar, number};
use crate::measurement::is_in_range;
use crate::rejection::{Code, Rejection};
use crate::segment::event::Event;

/// `properties.value`: 1 when it is absent or null, a number, or a string that is one, with an optional `$`. All other
/// properties are ignored.
///
/// # Errors
///
/// [`Code::InvalidValue`] for anything else and for what is beyond Librato's range.
pub fn of(event: &Event) -> Result<f64, Rejection> {
    let value = Scalar::of_field(event.properties.value());
    match &value {
        Scalar::Null => Ok(1.0),
        Scalar::Number(text) => in_range(number(text)),
        Scalar::Text(text) => match numeric(text) {
            Some(value) => in_range(value),
            None => Err(invalid("a string that is not a number")),
        },
        other => Err(invalid(other.kind())),
    }
}

/// Passes what Librato takes.
///
/// # Errors
///
/// [`Code::InvalidValue`] for what it does not.
pub fn in_range(value: f64) -> Result<f64, Rejection> {
    if is_in_range(value) { Ok(value) } else { Err(invalid("one of 1e127 or more")) }
}

fn invalid(found: &str) -> Rejection {
    Rejection::new(Code::InvalidValue, format!("properties.value: expected a number below 1e127, found {found}"))
}

/// A string's number: white space around it, a sign and a `$` in either order, decimal digits with an optional fraction
/// and exponent.
fn numeric(text: &str) -> Option<f64> {
    let text = text.trim();
    let (text, dollar) = strip(text, '$');
    let (text, negative) = match text.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    };
    let (text, second_dollar) = strip(text, '$');
    // `parse` takes a sign of its own, and words such as `inf`.
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.');
    if !begins || (dollar && second_dollar) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    Some(if negative { -value } else { value })
}

fn strip(text: &str, prefix: char) -> (&str, bool) {
    text.strip_prefix(prefix).map_or((text, false), |rest| (rest, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_that_are_numbers() {
        for (text, value) in [
            ("5", 5.0),
            (" 5\n", 5.0),
            ("+5", 5.0),
            ("-2.5", -2.5),
            ("$1.50", 1.5),
            ("-$2", -2.0),
            ("$-2", -2.0),
            ("1e3", 1000.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("0", 0.0),
        ] {
            assert_eq!(numeric(text), Some(value), "{text}");
        }
        for text in [
            "", " ", "$", "-", ".", "abc", "inf", "NaN", "Infinity", "0x10", "1,000", "5 6", "$$5", "$-$5", "--5",
            "1e", "5€", "e5",
        ] {
            assert_eq!(numeric(text), None, "{text}");
        }
    }
}
