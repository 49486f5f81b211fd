//! One pass over JSON text, which is checked and taken apart and never built anew.
//!
//! A request is mostly what nobody here looks at: a hundred events have ten thousand values, of which
//! a thousand matter. So reading is passing over, eight bytes of a string at a time, and what matters
//! is told by its place in the text, as [`Raw`]. It takes what any reader of RFC 8259 takes, and
//! nothing else (`tests/fuzz.rs` compares it with `serde_json`).

// The module is optimised for size, where nothing is put into its callers by itself. These are a few
// instructions each, called for every byte or key of a request: without this a batch costs twice as much.
#![allow(clippy::inline_always)]

use std::borrow::Cow;
use std::fmt;

/// Deepest nesting that is read. The deepest payload of a real client library is below ten.
pub const MAX_DEPTH: u32 = 128;

/// One JSON value, as it was written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The text, without white space around it.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.0
    }

    /// The value that a text is.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when it is none, or more than one.
    pub fn read(text: &'a str) -> Result<Self, Malformed> {
        let mut reader = Reader::new(text);
        let raw = reader.raw()?;
        reader.end()?;
        Ok(raw)
    }

    /// The value of a key; of several the last, as in JavaScript. `None` for `null`, and for what is
    /// no object.
    #[must_use]
    pub fn field(self, wanted: &str) -> Option<Self> {
        let mut found = None;
        let mut reader = Reader::new(self.0);
        let read = reader.object(|key, reader| {
            let value = reader.raw()?;
            if key.is(wanted) {
                found = value.unless_null();
            }
            Ok(())
        });
        read.ok().and(found)
    }

    /// The members of an array; `None` for what is none.
    #[must_use]
    pub fn members(self) -> Option<Vec<Self>> {
        let mut members = Vec::new();
        let mut reader = Reader::new(self.0);
        let read = reader.array(|reader| {
            members.push(reader.raw()?);
            Ok(())
        });
        read.ok().map(|()| members)
    }

    /// The members of an array that has so many.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also for what is no array, or one of another length.
    pub fn row<const N: usize>(self) -> Result<[Self; N], Malformed> {
        let mut members = [Self::default(); N];
        let mut slots = members.iter_mut();
        Reader::new(self.0).array(|reader| {
            *slots.next().ok_or(Malformed)? = reader.raw()?;
            Ok(())
        })?;
        if slots.next().is_none() { Ok(members) } else { Err(Malformed) }
    }

    /// The value, where `null` counts as absent.
    #[must_use]
    pub fn unless_null(self) -> Option<Self> {
        (self.0 != "null").then_some(self)
    }
}

/// What a field is that is not there.
impl Default for Raw<'_> {
    fn default() -> Self {
        Self("null")
    }
}

impl fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// An object's key, as it was written: not looked into unless it holds escapes.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    text: &'a str,
    is_escaped: bool,
}

impl<'a> Key<'a> {
    /// The key's text where that is how it was written.
    #[must_use]
    pub fn plain(self) -> Option<&'a str> {
        (!self.is_escaped).then_some(self.text)
    }

    /// The key's bytes without escapes. A key may hold what is no Unicode, such as half of an emoji; that
    /// half stands as its three bytes.
    #[must_use]
    #[inline(always)]
    pub fn bytes(self) -> Cow<'a, [u8]> {
        if !self.is_escaped {
            return self.text.as_bytes().into();
        }
        unescaped(self.text).into()
    }

    /// The key's text without escapes; `None` when it is no Unicode.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        if !self.is_escaped {
            return Some(self.text.into());
        }
        String::from_utf8(unescaped(self.text)).ok().map(Cow::Owned)
    }

    /// Whether it is this one.
    #[must_use]
    pub fn is(self, other: &str) -> bool {
        if self.is_escaped { *self.bytes() == *other.as_bytes() } else { self.text == other }
    }

    /// Whether both are the same, however they were written.
    #[must_use]
    pub fn is_same(self, other: Self) -> bool {
        if self.is_escaped || other.is_escaped {
            self.bytes() == other.bytes()
        } else {
            self.text == other.text
        }
    }
}

/// The bytes of what stands between a string's quotation marks, without its escapes, which have been
/// checked. Half of a surrogate pair stands as its three bytes, with which it is no UTF-8.
#[must_use]
pub fn unescaped(text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    loop {
        let end = plain_until(text, at);
        bytes.extend_from_slice(text.get(at..end).unwrap_or_default());
        let Some(escape) = text.get(end + 1) else { return bytes };
        at = end + 2;
        bytes.push(match escape {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (code, end) = code_point(text, at);
                at = end;
                push_code_point(&mut bytes, code);
                continue;
            }
            itself => *itself,
        });
    }
}

/// The code point of an escape, from behind its `u`, and where it ends: one half of a pair takes the
/// other half's escape with it.
fn code_point(text: &[u8], at: usize) -> (u32, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 4).unwrap_or_default().iter();
        digits.fold(0, |unit, digit| unit << 4 | char::from(*digit).to_digit(16).unwrap_or(0))
    };
    let (first, end) = (unit(at), at + 4);
    if (0xd800..0xdc00).contains(&first) && text.get(end..end + 2) == Some(b"\\u") {
        let second = unit(end + 2);
        if (0xdc00..0xe000).contains(&second) {
            return (0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), end + 6);
        }
    }
    (first, end)
}

fn push_code_point(bytes: &mut Vec<u8>, code: u32) {
    match char::from_u32(code) {
        Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None => {
            // What passes is six bits.
            #[allow(clippy::cast_possible_truncation)]
            let last = |bits: u32| 0x80 | (bits & 0x3f) as u8;
            bytes.extend([0xed, last(code >> 6), last(code)]);
        }
    }
}

/// A text is not JSON, or nests deeper than [`MAX_DEPTH`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Where a text ceases to be JSON: the line and the column, which counts bytes, both from 1. It is the
/// beginning of what does not belong there, or the last byte where more was expected.
///
/// Whatever reads in earnest need not keep that in mind, and is faster for it.
#[must_use]
pub fn stopped(text: &str) -> (usize, usize) {
    let mut reader = Reader::new(text);
    _ = reader.step().and_then(|()| reader.end());
    reader.peek();
    let (mut line, mut column) = (1, 0);
    for byte in text.bytes().take(reader.at + 1) {
        column += 1;
        if byte == b'\n' {
            (line, column) = (line + 1, 0);
        }
    }
    (line, column)
}

/// Where reading has come to in a text.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Reader<'a> {
    /// Begins at the beginning.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The first byte of what comes next.
    #[inline(always)]
    pub fn peek(&mut self) -> Option<u8> {
        self.at = space(self.text.as_bytes(), self.at);
        self.text.as_bytes().get(self.at).copied()
    }

    /// One value, as it was written.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn raw(&mut self) -> Result<Raw<'a>, Malformed> {
        self.with_text(Self::pass)
    }

    /// One value that `read` reads, as it was written.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub fn with_text(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), Malformed>,
    ) -> Result<Raw<'a>, Malformed> {
        self.peek();
        let begin = self.at;
        read(self)?;
        self.text.get(begin..self.at).map(Raw).ok_or(Malformed)
    }

    /// Reads an object. `entry` is called with each key and must read its value.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also for what is no object, and those of `entry`.
    pub fn object(
        &mut self,
        mut entry: impl FnMut(Key<'a>, &mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.open(b'{')?;
        if self.close(b'}') {
            return Ok(());
        }
        loop {
            let key = self.key()?;
            entry(key, self)?;
            if self.close(b'}') {
                return Ok(());
            }
            self.take(b',')?;
        }
    }

    /// Reads an array. `member` is called before each of its members and must read it.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also for what is no array, and those of `member`.
    pub fn array(
        &mut self,
        mut member: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.open(b'[')?;
        if self.close(b']') {
            return Ok(());
        }
        loop {
            member(self)?;
            if self.close(b']') {
                return Ok(());
            }
            self.take(b',')?;
        }
    }

    /// Checks that nothing comes any more.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when something does.
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.peek().map_or(Ok(()), |_| Err(Malformed))
    }

    /// Passes over one value, step by step: where that fails, it stands at what does not belong there.
    fn step(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'{') => self.object(|_, reader| reader.step()),
            Some(b'[') => self.array(Self::step),
            _ => self.pass(),
        }
    }

    #[inline(always)]
    fn take(&mut self, wanted: u8) -> Result<(), Malformed> {
        self.at = byte(self.text.as_bytes(), self.at, wanted).ok_or(Malformed)?;
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<(), Malformed> {
        self.take(bracket)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Malformed) } else { Ok(()) }
    }

    #[inline(always)]
    fn close(&mut self, bracket: u8) -> bool {
        let is_closed = self.peek() == Some(bracket);
        if is_closed {
            self.at += 1;
            self.depth -= 1;
        }
        is_closed
    }

    #[inline(always)]
    fn key(&mut self) -> Result<Key<'a>, Malformed> {
        self.take(b'"')?;
        let begin = self.at;
        let (end, is_escaped) = string(self.text.as_bytes(), begin).ok_or(Malformed)?;
        self.at = end;
        let text = self.text.get(begin..end - 1).ok_or(Malformed)?;
        self.take(b':')?;
        Ok(Key { text, is_escaped })
    }

    /// Passes over one value.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn pass(&mut self) -> Result<(), Malformed> {
        self.at = pass(self.text.as_bytes(), self.at, self.depth).ok_or(Malformed)?;
        Ok(())
    }
}

// What passes over text takes a place and returns the next, so that it stays in a register.

/// Where the next thing begins.
#[inline(always)]
fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// Behind a byte that must come next.
#[inline(always)]
fn byte(text: &[u8], at: usize, wanted: u8) -> Option<usize> {
    let at = space(text, at);
    (text.get(at) == Some(&wanted)).then_some(at + 1)
}

/// Behind a key and its colon.
#[inline(always)]
fn key(text: &[u8], at: usize) -> Option<usize> {
    let (end, _) = string(text, byte(text, at, b'"')?)?;
    byte(text, end, b':')
}

/// Behind a value, which stands so deep already. Not by recursion: what is open is a bit for each level.
fn pass(text: &[u8], mut at: usize, floor: u32) -> Option<usize> {
    let mut depth = floor;
    let mut open_objects = 0_u128;
    loop {
        // A value, ...
        at = space(text, at);
        at = match text.get(at)? {
            b'"' => string(text, at + 1)?.0,
            bracket @ (b'{' | b'[') => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return None;
                }
                let is_object = *bracket == b'{';
                open_objects = open_objects << 1 | u128::from(is_object);
                at = space(text, at + 1);
                match text.get(at)? {
                    b'}' if is_object => at,
                    b']' if !is_object => at,
                    _ => {
                        if is_object {
                            at = key(text, at)?;
                        }
                        continue;
                    }
                }
            }
            b't' => word(text, at, "true")?,
            b'f' => word(text, at, "false")?,
            b'n' => word(text, at, "null")?,
            _ => number(text, at)?,
        };
        // ... and what comes after it: the ends of what it is in, or another.
        loop {
            if depth == floor {
                return Some(at);
            }
            let is_object = open_objects & 1 == 1;
            at = space(text, at);
            match text.get(at)? {
                b',' => {
                    at = if is_object { key(text, at + 1)? } else { at + 1 };
                    break;
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            at += 1;
            depth -= 1;
            open_objects >>= 1;
        }
    }
}

/// Behind a string, from behind its first quotation mark, and whether it holds escapes.
#[inline(always)]
fn string(text: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut is_escaped = false;
    loop {
        at = plain_until(text, at);
        match text.get(at)? {
            b'"' => return Some((at + 1, is_escaped)),
            b'\\' => {
                is_escaped = true;
                at = escape(text, at + 1)?;
            }
            // A control character.
            _ => return None,
        }
    }
}

/// Where in a string, from a place in it, its end comes, an escape, or what may not stand in one.
#[inline(always)]
pub(super) fn plain_until(text: &[u8], mut at: usize) -> usize {
    while let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | ..0x20)).count()
}

/// Whether what stands between a string's quotation marks is the string: nothing in it is escaped.
#[must_use]
pub(super) fn is_plain(text: &str) -> bool {
    plain_until(text.as_bytes(), 0) == text.len()
}

/// Marks in the top bit of each byte whether it ends a run: a quotation mark, a backslash or a control
/// character. Above the first mark there may be false ones (the borrow of the subtractions).
#[inline(always)]
fn special(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x80 * ONES;
    // With its second bit flipped, the quotation mark, 0x22, comes right behind the control characters.
    let low = (word ^ (0x02 * ONES)).wrapping_sub(0x21 * ONES);
    let backslash = (word ^ (0x5c * ONES)).wrapping_sub(ONES);
    // No byte of a character beyond ASCII is any of these; all of theirs have the top bit.
    (low | backslash) & !word & TOPS
}

fn escape(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => {
            let digits = text.get(at + 1..at + 5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 5)
        }
        _ => None,
    }
}

fn word(text: &[u8], at: usize, word: &str) -> Option<usize> {
    text.get(at..)?.starts_with(word.as_bytes()).then_some(at + word.len())
}

fn number(text: &[u8], mut at: usize) -> Option<usize> {
    at += usize::from(text.get(at) == Some(&b'-'));
    // No digit stands behind a zero at the beginning.
    at = if text.get(at) == Some(&b'0') { at + 1 } else { digits(text, at)? };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let is_signed = matches!(text.get(at + 1), Some(b'+' | b'-'));
        at = digits(text, at + 1 + usize::from(is_signed))?;
    }
    Some(at)
}

/// Behind at least one digit.
fn digits(text: &[u8], at: usize) -> Option<usize> {
    let count = text.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then_some(at + count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_where_it_would_byte_by_byte() {
        let ends = |byte: u8| matches!(byte, b'"' | b'\\' | ..0x20);
        for byte in 0..=255 {
            for place in 0..20 {
                for behind in [b'a', b'"', b'!', 0xff, 0] {
                    let mut text = [b'a'; 24];
                    text[place] = byte;
                    text[place + 1] = behind;
                    let expected = text.iter().position(|byte| ends(*byte)).unwrap_or(text.len());
                    assert_eq!(plain_until(&text, 0), expected, "{byte} at {place}, then {behind}");
                }
            }
        }
    }

    #[test]
    fn keys_are_compared_without_their_escapes() {
        let mut keys = Vec::new();
        let text = r#"{"ab":1,"\u0061b":2,"\ud83d":3}"#;
        Reader::new(text)
            .object(|key, reader| {
                keys.push(key);
                reader.raw().map(|_| ())
            })
            .unwrap();
        assert!(keys[0].is("ab") && keys[1].is("ab") && keys[0].is_same(keys[1]));
        assert!(!keys[2].is_same(keys[0]));
        assert_eq!(Raw::read(text).unwrap().field("ab").map(Raw::text), Some("2"));
    }
}
