//! JSON as the original destination saw it: in JavaScript, where any field may hold anything.
//!
//! Fields that matter are kept as they were written ([`RawValue`]) and looked at when they are needed, so that a number
//! beyond an `f64` or an object in place of a string is a fault of that field and not of the whole request.

pub(crate) mod read;

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

pub use read::{Key, MAX_DEPTH, is_too_deep};

/// A JSON value, as far as the protocol looks into it.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'a> {
    /// `null`, or no field.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(&'a str),
    /// A string without its escapes. Half of a surrogate pair, which JSON can escape and text cannot hold, is U+FFFD.
    Text(Cow<'a, str>),
    /// An object.
    Object,
    /// An array.
    Array,
}

impl<'a> Scalar<'a> {
    /// Returns what a value is.
    #[must_use]
    pub fn of(raw: &'a RawValue) -> Self {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::Text(string(text)),
            _ => Self::Number(text),
        }
    }

    /// Returns what a field is that may be absent, which is [`Scalar::Null`].
    #[must_use]
    pub fn of_field(raw: Option<&'a RawValue>) -> Self {
        raw.map_or(Self::Null, Self::of)
    }

    /// Returns the text of an identifier: a string that is not empty, or a number, as it was written.
    #[must_use]
    pub fn into_id(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            Self::Number(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    /// Returns whether JavaScript takes the value for true.
    #[must_use]
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(text) => number(text) != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Object | Self::Array => true,
        }
    }

    /// Returns what messages call the value; never its content.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Object => "an object",
            Self::Array => "an array",
        }
    }
}

/// Returns the text of a JSON string.
fn string(json: &str) -> Cow<'_, str> {
    match json.get(1..json.len() - 1) {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        _ => serde_json::from_str(json).map_or(Cow::Borrowed(""), |key: Key| key.into_text()),
    }
}

/// Returns the value of a JSON number. One beyond an `f64` is infinite.
#[must_use]
pub fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// Returns the value of a key of an object: of a repeated one the last, as in JavaScript. `None` for `null` and for
/// what is no object.
#[must_use]
pub fn field<'a>(object: &'a RawValue, wanted: &str) -> Option<&'a RawValue> {
    let mut found = None;
    read::members(object, |key, value| {
        if *key.bytes() == *wanted.as_bytes() {
            found = unless_null(value);
        }
    })?;
    found
}

/// Returns the elements of an array; `None` for what is none.
#[must_use]
pub fn elements(array: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(array.get()).ok()
}

/// Returns the value, where `null` counts as absent.
#[must_use]
pub fn unless_null(raw: &RawValue) -> Option<&RawValue> {
    (raw.get() != "null").then_some(raw)
}

/// Returns what JavaScript's `String(value)` gives.
///
/// The original destination built page names by string concatenation, so a page named `7` is `Viewed-7-Page` on its
/// charts. It calls itself for arrays in arrays, at most [`MAX_DEPTH`] times.
#[must_use]
pub fn javascript_string(raw: &RawValue) -> Cow<'_, str> {
    match Scalar::of(raw) {
        Scalar::Null => Cow::Borrowed("null"),
        Scalar::Bool(true) => Cow::Borrowed("true"),
        Scalar::Bool(false) => Cow::Borrowed("false"),
        Scalar::Number(text) => Cow::Owned(javascript_number(number(text))),
        Scalar::Text(text) => text,
        Scalar::Object => Cow::Borrowed("[object Object]"),
        Scalar::Array => {
            let elements = elements(raw).unwrap_or_default();
            let text = |element| unless_null(element).map(javascript_string).unwrap_or_default();
            Cow::Owned(elements.into_iter().map(text).collect::<Vec<_>>().join(","))
        }
    }
}

/// Returns what JavaScript's `String(number)` gives (ECMA-262, `Number::toString`).
#[must_use]
pub fn javascript_number(value: f64) -> String {
    ryu_js::Buffer::new().format(value).to_owned()
}

/// A finite number that is written as [`serialize_number`] does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_number(&self.0, serializer)
    }
}

/// Writes a finite number without a needless fraction: `2` and not `2.0`, as JavaScript and Librato's own clients do.
/// For `#[serde(serialize_with)]`.
///
/// # Errors
///
/// Those of the serializer.
#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
pub fn serialize_number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    /// Every whole number up to this one is an `f64`.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        // It is whole, and in range.
        #[allow(clippy::cast_possible_truncation)]
        return serializer.serialize_i64(*value as i64);
    }
    serializer.serialize_f64(*value)
}

/// Returns whether a key is found by the original's loose comparison: case and every character but ASCII letters,
/// digits and dots are ignored (npm `obj-case`). `wanted` is in lower case.
#[must_use]
pub fn key_matches(key: &[u8], wanted: &str) -> bool {
    let mut wanted = wanted.bytes();
    for &byte in key {
        if (byte.is_ascii_alphanumeric() || byte == b'.') && wanted.next() != Some(byte.to_ascii_lowercase()) {
            return false;
        }
    }
    wanted.next().is_none()
}

/// The first of an object's entries that matches, as `obj-case` finds it, with JavaScript's view of repeated keys: the
/// last value at the first place.
#[derive(Debug, Clone)]
pub(crate) struct FirstMatch<'a, T>(Option<(Key<'a>, T)>);

impl<T> Default for FirstMatch<'_, T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'a, T: Copy> FirstMatch<'a, T> {
    /// Takes an entry that matches.
    pub(crate) fn offer(&mut self, key: Key<'a>, value: T) {
        match &mut self.0 {
            Some((first, held)) if *first == key => *held = value,
            Some(_) => {}
            none => *none = Some((key, value)),
        }
    }

    pub(crate) fn get(&self) -> Option<T> {
        self.0.as_ref().map(|(_, value)| *value)
    }

    /// Takes another's where nothing has matched.
    pub(crate) fn fill_from(&mut self, other: &Self) {
        if self.0.is_none() {
            self.0.clone_from(&other.0);
        }
    }
}

/// Returns the text with the bare words `NaN`, `Infinity` and `-Infinity` in quotation marks, where they stand in place
/// of a value; `None` where there are none. Python's `json.dumps` writes them for numbers that JSON does not have.
#[must_use]
pub fn with_words_quoted(text: &str) -> Option<String> {
    const WORDS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];
    let mut quoted = String::new();
    let mut taken = 0;
    let mut in_string = false;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if in_string => _ = bytes.next(),
            b'"' => in_string = !in_string,
            b'N' | b'I' | b'-' if !in_string => {
                let rest = text.get(at..).unwrap_or_default();
                // A value, and no key and no part of another word.
                let is_value = |word: &&&str| {
                    let behind = rest.strip_prefix(**word).map(str::trim_ascii_start);
                    behind.is_some_and(|rest| rest.is_empty() || rest.starts_with([',', ']', '}']))
                };
                let Some(word) = WORDS.iter().find(is_value) else { continue };
                quoted.push_str(text.get(taken..at).unwrap_or_default());
                quoted.extend(["\"", word, "\""]);
                taken = at + word.len();
                _ = bytes.nth(word.len() - 2);
            }
            _ => {}
        }
    }
    (taken > 0).then(|| quoted + text.get(taken..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (7.0, "7"),
            (-1.5, "-1.5"),
            (1e21, "1e+21"),
            (1.25e21, "1.25e+21"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (0.000_001, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(javascript_number(value), text);
        }
    }

    #[test]
    fn half_of_a_surrogate_pair_is_one_replacement_character() {
        for (json, text) in [
            (r#""Liked \ud83c""#, "Liked \u{fffd}"),
            (r#""\udf89\ud83c!""#, "\u{fffd}\u{fffd}!"),
            (r#""\ud83c\udf89""#, "\u{1f389}"),
            (r#""\ud83cA\u0041é""#, "\u{fffd}AAé"),
            (r#""\"""#, "\""),
        ] {
            assert_eq!(string(json), text, "{json}");
        }
    }

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
    fn words_that_json_does_not_have_are_quoted_outside_strings() {
        for (text, quoted) in [
            (r#"{"a":NaN}"#, Some(r#"{"a":"NaN"}"#)),
            ("[Infinity,-Infinity, NaN]", Some(r#"["Infinity","-Infinity", "NaN"]"#)),
            (r#"{"NaN":"NaN \" Infinity","b":-1}"#, None),
            (r#"{"a":"\\","b":NaN}"#, Some(r#"{"a":"\\","b":"NaN"}"#)),
            (r#"{"é":"é","b":NaN,"c":"NaN"}"#, Some(r#"{"é":"é","b":"NaN","c":"NaN"}"#)),
            ("{NaN:1}", None),
            ("[NaN1,Infinity.5]", None),
            ("[NaN\n]", Some("[\"NaN\"\n]")),
            ("-", None),
            ("N", None),
            ("", None),
        ] {
            assert_eq!(with_words_quoted(text).as_deref(), quoted, "{text}");
        }
    }
}
