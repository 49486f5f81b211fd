//! What an event becomes, before any destination's format.

use std::rc::Rc;

/// Values of at least this magnitude are refused by Librato: "base-10 exponent above 126" aborts a whole request
/// (Librato API documentation, `POST /v1/metrics`).
pub const MAGNITUDE_LIMIT: f64 = 1e127;

/// Whether Librato takes a number.
#[must_use]
pub fn is_in_range(value: f64) -> bool {
    value.abs() < MAGNITUDE_LIMIT
}

/// Longest name and source that Librato takes, in characters (Librato API documentation, `POST /v1/metrics`).
pub const MAX_NAME: usize = 255;

/// Turns each UTF-16 code unit outside `A-Z a-z 0-9 . _ -` into `-` and keeps the first [`MAX_NAME`]. Librato would
/// take `:` as well; the original destination replaced it.
#[must_use]
pub fn clean_name(text: &str) -> Rc<str> {
    cleaned("", text, b"._-", MAX_NAME)
}

/// Cleans a source to Librato's characters, which are those of a name and `:`.
#[must_use]
pub fn clean_source(text: &str) -> Rc<str> {
    unreserved(cleaned("", text, b".:_-", MAX_NAME))
}

/// Returns a source as it is, unless it is `all`, which Librato keeps for itself (Librato API documentation, `POST
/// /v1/metrics`).
#[must_use]
pub fn unreserved(source: Rc<str>) -> Rc<str> {
    if source.eq_ignore_ascii_case("all") { format!("{source}-").into() } else { source }
}

/// Puts a prefix before a name that is cleaned, and keeps the first `length` characters of both.
#[must_use]
pub fn prefixed(prefix: &str, name: &Rc<str>, length: usize) -> Rc<str> {
    if prefix.is_empty() && name.len() <= length {
        return Rc::clone(name);
    }
    cleaned(prefix, name, b"._-", length)
}

/// Puts `prefix` before `text` with each UTF-16 code unit of it replaced by `-` that is neither an ASCII letter or
/// digit nor one of `marks`, and keeps the first `length` characters.
fn cleaned(prefix: &str, text: &str, marks: &[u8], length: usize) -> Rc<str> {
    let mut cleaned = [b'-'; MAX_NAME];
    let length = length.min(MAX_NAME);
    let mut at = 0;
    let kept = prefix
        .bytes()
        .map(|byte| (byte, true))
        .chain(text.bytes().map(|byte| (byte, byte.is_ascii_alphanumeric() || marks.contains(&byte))));
    for (byte, is_kept) in kept {
        let Some(slot) = cleaned.get_mut(at) else { break };
        if is_kept {
            *slot = byte;
        }
        // The original worked on JavaScript strings: an emoji is two units and becomes two dashes. What has four bytes
        // in UTF-8 has two units, and only the first byte of anything is counted.
        at += match byte {
            0x80..0xc0 => 0,
            0xf0.. => 2,
            _ => 1,
        };
    }
    let cleaned = cleaned.get(..at.min(length)).unwrap_or_default();
    std::str::from_utf8(cleaned).unwrap_or_default().into()
}

/// One or more samples of one metric and source in one interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Metric name, of Librato's characters and length.
    pub name: Rc<str>,
    /// The event's name as it was written, by which the metric is shown. Two measurements of one name may differ in it.
    pub display_name: Rc<str>,
    /// Source, likewise; where none is given it is the name, and the same text.
    pub source: Rc<str>,
    /// First second of the interval, since 1970.
    pub time: i64,
    /// The values.
    pub samples: Samples,
}

/// The values of one interval, as far as a gauge can tell them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Samples {
    /// How many; at least 1.
    pub count: u64,
    /// Their sum; the value itself when there is one.
    pub sum: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The sum of their squares, which may lie beyond [`MAGNITUDE_LIMIT`].
    pub sum_squares: f64,
}

impl Samples {
    /// A single value.
    #[must_use]
    pub fn one(value: f64) -> Self {
        // `-0` would be written as `-0.0`, which some readers take for text.
        let value = value + 0.0;
        Self { count: 1, sum: value, min: value, max: value, sum_squares: value * value }
    }

    /// Both together, or `None` when their sum is beyond what Librato takes.
    #[must_use]
    pub fn merged(self, other: Self) -> Option<Self> {
        let sum = self.sum + other.sum;
        is_in_range(sum).then(|| Self {
            count: self.count.saturating_add(other.count),
            sum,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            sum_squares: self.sum_squares + other.sum_squares,
        })
    }
}
