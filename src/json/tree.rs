//! JSON as a tree: for what is read seldom and looked at from all sides, such as a refusal.

use std::borrow::Cow;

use super::reader::{Malformed, Reader};
use super::writer::{ToJson, Writer};
use super::{Scalar, number};
use crate::text::{read_integer, read_whole};

/// One JSON value, with all that is in it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number that an `f64` can hold, as it was written.
    Number(&'a str),
    /// A string, unescaped.
    Text(Cow<'a, str>),
    /// The members of an array.
    Array(Vec<Self>),
    /// The entries of an object, as they were written: of a repeated key all of them.
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Value<'a> {
    /// Reads the one value that a text is. `None` when it is not JSON, and when there is a string in it
    /// that is no Unicode, or a number beyond an `f64`.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let mut reader = Reader::new(text);
        let value = value(&mut reader).ok()?;
        reader.end().ok().map(|()| value)
    }

    /// The same for bytes, which may be no UTF-8.
    #[must_use]
    pub fn read_bytes(bytes: &'a [u8]) -> Option<Self> {
        Self::read(std::str::from_utf8(bytes).ok()?)
    }

    /// What stands under a key of an object: of repeated keys under the last, as in JavaScript.
    #[must_use]
    pub fn get(&self, wanted: &str) -> Option<&Self> {
        let Self::Object(entries) = self else { return None };
        entries.iter().rfind(|(key, _)| key == wanted).map(|(_, value)| value)
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number that is written as an integer.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            // JavaScript's negative zero is none.
            Self::Number(text) if *text != "-0" => read_integer(text),
            _ => None,
        }
    }

    /// A number that is written as an integer without a minus and fits the type.
    #[must_use]
    pub fn as_whole<T: TryFrom<u64>>(&self) -> Option<T> {
        match self {
            Self::Number(text) => read_whole(text),
            _ => None,
        }
    }

    /// A number.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(text) => Some(number(text)),
            _ => None,
        }
    }

    /// The members of an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(members) => Some(members),
            _ => None,
        }
    }
}

/// Reads a value. It calls itself for what is in one, at most as often as the reader lets it go deeper.
fn value<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, Malformed> {
    Ok(match reader.peek() {
        Some(b'{') => {
            let mut entries = Vec::new();
            reader.object(|key, reader| {
                entries.push((key.text().ok_or(Malformed)?, value(reader)?));
                Ok(())
            })?;
            Value::Object(entries)
        }
        Some(b'[') => {
            let mut members = Vec::new();
            reader.array(|reader| {
                members.push(value(reader)?);
                Ok(())
            })?;
            Value::Array(members)
        }
        _ => match Scalar::of(reader.raw()?) {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Number(text) if number(text).is_finite() => Value::Number(text),
            Scalar::Text(text) => Value::Text(text),
            _ => return Err(Malformed),
        },
    })
}

impl ToJson for Value<'_> {
    fn write(&self, json: &mut Writer) {
        match self {
            Self::Null => json.raw("null"),
            Self::Bool(value) => json.value(value),
            Self::Number(text) => json.raw(text),
            Self::Text(text) => json.value(text),
            Self::Array(members) => json.value(members),
            Self::Object(entries) => json.object(|json| {
                for (key, value) in entries {
                    json.item(key);
                    json.raw(":");
                    json.value(value);
                }
            }),
        }
    }
}
