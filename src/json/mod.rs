//! Reading JSON as the original destination did: in JavaScript, where any field may hold anything.
//!
//! Fields that matter are kept as the text they came in ([`Raw`]) and looked at when they are
//! needed, so a number beyond an `f64` or an object in place of a string is a fault of that field
//! and not of the whole request.

pub mod number;
pub mod reader;
pub mod tree;
pub mod writer;

use std::borrow::Cow;

pub use number::javascript_number;
use reader::{Key, MAX_DEPTH, Raw, is_plain, unescaped};

/// One JSON value, as far as the protocol looks into it.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(&'a str),
    /// A string, unescaped.
    Text(Cow<'a, str>),
    /// An object.
    Object,
    /// An array.
    Array,
    /// A string that has no meaning as Unicode: a surrogate without its other half.
    LoneSurrogate,
}

impl<'a> Scalar<'a> {
    /// Looks at a value.
    #[must_use]
    pub fn of(raw: Raw<'a>) -> Self {
        let text = raw.text();
        match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => match text.get(1..text.len() - 1) {
                Some(plain) if is_plain(plain) => Self::Text(Cow::Borrowed(plain)),
                escaped => String::from_utf8(unescaped(escaped.unwrap_or_default()))
                    .map_or(Self::LoneSurrogate, |text| Self::Text(Cow::Owned(text))),
            },
            _ => Self::Number(text),
        }
    }

    /// The same for a field that may be absent, which is `null` here.
    #[must_use]
    pub fn of_field(raw: Option<Raw<'a>>) -> Self {
        raw.map_or(Self::Null, Self::of)
    }

    /// The text of a string.
    #[must_use]
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether JavaScript takes the value for true.
    #[must_use]
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(text) => number(text) != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Object | Self::Array | Self::LoneSurrogate => true,
        }
    }

    /// What messages call the value; never its content.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) | Self::LoneSurrogate => "a string",
            Self::Object => "an object",
            Self::Array => "an array",
        }
    }
}

/// The value of a JSON number. One beyond an `f64` is infinite.
#[must_use]
pub fn number(text: &str) -> f64 {
    number::parse(text).unwrap_or(f64::NAN)
}

/// What JavaScript's `String(value)` makes of a value, or `None` for a lone surrogate.
///
/// The original destination built page names by string concatenation, so a page named `7` is
/// `Viewed-7-Page` on its charts.
#[must_use]
pub fn javascript_string(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    Some(match Scalar::of(raw) {
        Scalar::Null => Cow::Borrowed("null"),
        Scalar::Bool(true) => Cow::Borrowed("true"),
        Scalar::Bool(false) => Cow::Borrowed("false"),
        Scalar::Number(text) => Cow::Owned(javascript_number(number(text))),
        Scalar::Text(text) => text,
        Scalar::Object => Cow::Borrowed("[object Object]"),
        Scalar::Array => {
            let mut joined = String::new();
            for (index, member) in raw.members()?.into_iter().enumerate() {
                if index > 0 {
                    joined.push(',');
                }
                if Scalar::of(member) != Scalar::Null {
                    joined.push_str(&javascript_string(member)?);
                }
            }
            Cow::Owned(joined)
        }
        Scalar::LoneSurrogate => return None,
    })
}

/// Whether a key is found by the original's loose comparison: case and every character but ASCII
/// letters, digits and dots are ignored (npm `obj-case`). `wanted` is in lower case.
#[must_use]
pub fn key_matches(key: &[u8], wanted: &str) -> bool {
    let mut wanted = wanted.bytes();
    for &byte in key {
        if (byte.is_ascii_alphanumeric() || byte == b'.')
            && wanted.next() != Some(byte.to_ascii_lowercase())
        {
            return false;
        }
    }
    wanted.next().is_none()
}

/// The first of an object's entries that matches, as `obj-case` finds it, with JavaScript's view of
/// repeated keys: the last value at the first place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstMatch<'a, T>(Option<(Key<'a>, T)>);

impl<T> Default for FirstMatch<'_, T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'a, T: Copy> FirstMatch<'a, T> {
    pub(crate) fn offer(&mut self, key: Key<'a>, value: T) {
        match &mut self.0 {
            Some((first, held)) if first.is_same(key) => *held = value,
            Some(_) => {}
            none => *none = Some((key, value)),
        }
    }

    pub(crate) fn get(&self) -> Option<T> {
        self.0.map(|(_, value)| value)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }
}

/// Whether a text nests objects and arrays deeper than [`MAX_DEPTH`]. Looks at brackets outside
/// strings only, so it is as good for text that is not JSON: to tell why it could not be read.
#[must_use]
pub fn is_too_deep(text: &[u8]) -> bool {
    let mut depth = 0_u32;
    let mut in_string = false;
    let mut escaped = false;
    for &byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return true;
                    }
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_loosely_but_dots_count() {
        for key in ["value", "Value", "VALUE", "VA_LUE", "$value", "v-a l/u#e", "valueé"] {
            assert!(key_matches(key.as_bytes(), "value"), "{key}");
        }
        for key in ["", "val", "values", "va.lue", "value1", "é"] {
            assert!(!key_matches(key.as_bytes(), "value"), "{key}");
        }
    }

    #[test]
    fn depth_is_counted_outside_strings() {
        let nested = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(!is_too_deep(&nested(128)));
        assert!(is_too_deep(&nested(129)));
        assert!(!is_too_deep(&[b"\"".to_vec(), nested(500), b"\\\"\"".to_vec()].concat()));
    }
}
