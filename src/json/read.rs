//! One pass over a request's body by `serde_json`: what matters is kept as it was written, and the rest is passed over.
//!
//! A derive does not do: a repeated key would be an error, where JavaScript takes the last value, and so would a number
//! or a string that no `f64` or text can hold, in fields that nobody looks at. So an object says of each member, by
//! [`Target::member`], where its value goes.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Scalar;

/// Deepest nesting that is read. The deepest payload of a real client library is below ten.
pub const MAX_DEPTH: usize = 128;

/// Deepest place of a value that is kept or passed over: in a section of an event of a batch.
const DEEPEST_PLACE: usize = 4;

/// A string's bytes without its escapes, such as a key's. Half of a surrogate pair stands as three bytes that are no
/// UTF-8, so that two keys are equal only where they are so in JavaScript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key<'a>(Cow<'a, [u8]>);

impl<'a> Key<'a> {
    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the text, with U+FFFD for half of a surrogate pair.
    pub(super) fn into_text(self) -> Cow<'a, str> {
        /// With which the three bytes of a surrogate begin.
        const SURROGATE: u8 = 0xed;
        let bytes = match String::from_utf8(self.0.into_owned()) {
            Ok(text) => return Cow::Owned(text),
            Err(error) => error.into_bytes(),
        };
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if chunk.invalid().first() == Some(&SURROGATE) {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Cow::Owned(text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(bytes.to_vec())))
            }
        }
        // As bytes, since a string of `serde_json`'s must be Unicode.
        deserializer.deserialize_bytes(Bytes)
    }
}

/// A pass over a body.
pub(crate) struct Pass {
    /// Whether objects are taken as text first and then read: twice the work, but what stands in an object's place may
    /// be anything then, the length of each is known, and how deeply it nests is judged.
    is_careful: bool,
    /// Whether a value was met that may nest too deeply.
    may_be_deep: Cell<bool>,
}

impl Pass {
    /// Reads a text that is one value. Only a careful pass tells whether it nests too deeply; [`brackets`] tells where
    /// it cannot.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub(crate) fn read<'de, T: Target<'de>>(text: &'de str, is_careful: bool) -> Result<T, Unreadable> {
        let pass = Self { is_careful, may_be_deep: Cell::new(false) };
        let mut target = T::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = Seed { target: &mut target, pass: &pass }.deserialize(&mut deserializer);
        read.and_then(|()| deserializer.end()).map_err(|_| Unreadable::Malformed)?;
        // Exactly, and only now: nearly no value is long enough.
        if pass.may_be_deep.get() && is_too_deep(text.as_bytes()) {
            return Err(Unreadable::TooDeep);
        }
        Ok(target)
    }

    /// Notes whether a value may nest too deeply: it has as many brackets, be they in strings.
    fn note(&self, raw: &RawValue) {
        const LIMIT: usize = MAX_DEPTH - DEEPEST_PLACE;
        let text = raw.get().as_bytes();
        // Each level takes two bytes.
        if text.len() > 2 * LIMIT && matches!(text, [b'{' | b'[', ..]) {
            self.may_be_deep.set(self.may_be_deep.get() || brackets(text) > LIMIT);
        }
    }
}

/// Why a body could not be read in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is no JSON; or, unless the pass was careful, something stands in an object's place that cannot be read in
    /// passing.
    Malformed,
    /// It nests deeper than [`MAX_DEPTH`].
    TooDeep,
}

/// Something that is read from an object or an array.
pub(crate) trait Target<'de>: Default {
    /// What an array's elements are read into.
    type Element: Target<'de>;

    /// Begins an object.
    fn object(&mut self) {}

    /// Takes a member of an object. It must take the value, once.
    fn member<A: MapAccess<'de>>(&mut self, key: Key<'de>, value: Value<'_, A>) -> Result<(), A::Error>;

    /// Begins an array. Unless it is expected, it is something else than an object.
    fn array(&mut self) {
        self.other(true);
    }

    /// Begins an element of an array, and returns where it goes if it is kept.
    fn element(&mut self) -> Option<&mut Self::Element> {
        None
    }

    /// Takes that something else stands in its place.
    fn other(&mut self, is_truthy: bool);

    /// Takes its own length, in bytes as it was written, in a careful pass.
    fn length(&mut self, _: usize) {}
}

/// For targets without elements.
impl<'de> Target<'de> for () {
    type Element = Self;

    fn member<A: MapAccess<'de>>(&mut self, _: Key<'de>, value: Value<'_, A>) -> Result<(), A::Error> {
        value.skip()
    }

    fn other(&mut self, _: bool) {}
}

/// The value of a member, which is still to be read.
pub(crate) struct Value<'v, A> {
    map: &'v mut A,
    pass: &'v Pass,
}

impl<'de, A: MapAccess<'de>> Value<'_, A> {
    /// Returns the value as it was written.
    pub(crate) fn raw(self) -> Result<&'de RawValue, A::Error> {
        let raw = self.map.next_value()?;
        if self.pass.is_careful {
            self.pass.note(raw);
        }
        Ok(raw)
    }

    /// Keeps the value as it was written, where `null` counts as absent.
    pub(crate) fn keep(self, slot: &mut Option<&'de RawValue>) -> Result<(), A::Error> {
        *slot = super::unless_null(self.raw()?);
        Ok(())
    }

    /// Passes over the value.
    pub(crate) fn skip(self) -> Result<(), A::Error> {
        if self.pass.is_careful { self.raw().map(drop) } else { self.map.next_value::<IgnoredAny>().map(drop) }
    }

    /// Reads an object or an array. What an equal key before it has left there is forgotten.
    pub(crate) fn read<T: Target<'de>>(self, target: &mut T) -> Result<(), A::Error> {
        *target = T::default();
        self.map.next_value_seed(Seed { target, pass: self.pass })
    }
}

/// Reads a value into a target.
struct Seed<'s, T> {
    target: &'s mut T,
    pass: &'s Pass,
}

impl<'de, T: Target<'de>> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if !self.pass.is_careful {
            return deserializer.deserialize_any(self);
        }
        let raw = <&RawValue>::deserialize(deserializer)?;
        self.pass.note(raw);
        self.target.length(raw.get().len());
        match Scalar::of(raw) {
            Scalar::Object | Scalar::Array => {
                let inner = &mut serde_json::Deserializer::from_str(raw.get());
                inner.deserialize_any(self).map_err(D::Error::custom)
            }
            other => {
                self.target.other(other.is_truthy());
                Ok(())
            }
        }
    }
}

impl<'de, T: Target<'de>> Visitor<'de> for Seed<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.target.object();
        while let Some(key) = map.next_key()? {
            self.target.member(key, Value { map: &mut map, pass: self.pass })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.target.array();
        while let Some(()) = seq.next_element_seed(Element { target: self.target, pass: self.pass })? {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.target.other(false);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.target.other(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.target.other(value != 0);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.target.other(value != 0);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.target.other(value != 0.0);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.target.other(!text.is_empty());
        Ok(())
    }
}

/// Reads an element of an array into what the target has for it.
struct Element<'s, T> {
    target: &'s mut T,
    pass: &'s Pass,
}

impl<'de, T: Target<'de>> DeserializeSeed<'de> for Element<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.target.element() {
            Some(target) => Seed { target, pass: self.pass }.deserialize(deserializer),
            // Beyond the limit: the body is refused anyway.
            None => IgnoredAny::deserialize(deserializer).map(drop),
        }
    }
}

/// Calls `visit` with each member of an object, in order. `None` for what is no object.
pub(super) fn members<'a>(object: &'a RawValue, visit: impl FnMut(Key<'a>, &'a RawValue)) -> Option<()> {
    struct Members<F>(F);
    impl<'de, F: FnMut(Key<'de>, &'de RawValue)> Visitor<'de> for Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((key, value)) = map.next_entry()? {
                (self.0)(key, value);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(object.get()).deserialize_map(Members(visit)).ok()
}

/// Returns the line and the column, both from 1, at which a text ceases to be JSON; `None` where it is JSON.
#[must_use]
pub(crate) fn stopped(text: &str) -> Option<(usize, usize)> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    Some((error.line(), error.column()))
}

/// Returns how many objects and arrays begin in a text, at the most: brackets in strings count too.
pub(crate) fn brackets(text: &[u8]) -> usize {
    // Both have the same bits but for one, and nothing else has them. So many at a time that a byte holds the count,
    // which lets the compiler count in vectors.
    let count = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    text.chunks(224).map(|chunk| usize::from(count(chunk))).sum()
}

/// Returns whether a text nests objects and arrays deeper than [`MAX_DEPTH`]. It looks at brackets outside strings
/// only, so it is as good for text that is not JSON: to tell why it could not be read.
#[must_use]
pub fn is_too_deep(text: &[u8]) -> bool {
    let mut depth = 0_usize;
    let (mut in_string, mut is_escaped) = (false, false);
    for &byte in text {
        if in_string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
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
    fn depth_is_counted_outside_strings() {
        let nested = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(!is_too_deep(&nested(128)));
        assert!(is_too_deep(&nested(129)));
        assert!(!is_too_deep(&[b"\"".to_vec(), nested(500), b"\\\"\"".to_vec()].concat()));
    }
}
