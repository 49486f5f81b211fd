//! JSON as it is written, piece by piece: what is the same in every member of a list is text, and is
//! not made of values each time.

use std::borrow::Cow;

use super::number;
use super::reader::plain_until;

/// JSON that is being written.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

/// What can be written as JSON, which cannot fail.
pub trait ToJson {
    /// Writes it, as one value.
    fn write(&self, json: &mut Writer);
}

impl Writer {
    /// Begins, with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Text that is JSON, or a part of it.
    pub fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A value.
    pub fn value(&mut self, value: &(impl ToJson + ?Sized)) {
        value.write(self);
    }

    /// An object, whose fields `fields` writes.
    pub fn object(&mut self, fields: impl FnOnce(&mut Self)) {
        self.raw("{");
        fields(self);
        self.raw("}");
    }

    /// One more field of an object.
    pub fn field(&mut self, name: &str, value: &(impl ToJson + ?Sized)) {
        self.name(name);
        self.value(value);
    }

    /// One more field, where there is a value.
    pub fn field_of(&mut self, name: &str, value: Option<impl ToJson>) {
        if let Some(value) = value {
            self.field(name, &value);
        }
    }

    /// The name of one more field, whose value comes next. It is written as it is, without escapes.
    pub fn name(&mut self, name: &str) {
        self.comma();
        self.raw("\"");
        self.raw(name);
        self.raw("\":");
    }

    /// One more value of a list.
    pub fn item(&mut self, value: &(impl ToJson + ?Sized)) {
        self.comma();
        self.value(value);
    }

    /// What stands between this and what came before it in the same object or list.
    fn comma(&mut self) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[')) {
            self.raw(",");
        }
    }

    /// A finite number, without a needless fraction: `2` and not `2.0`.
    pub fn number(&mut self, value: f64) {
        number::write(value, &mut self.0);
    }

    /// One more field with such a number.
    pub fn number_field(&mut self, name: &str, value: f64) {
        self.name(name);
        self.number(value);
    }

    /// What has been written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// The same as text.
    #[must_use]
    pub fn finish_text(self) -> String {
        String::from_utf8(self.0).unwrap_or_default()
    }
}

/// The JSON of a value.
#[must_use]
pub fn to_json(value: &(impl ToJson + ?Sized)) -> String {
    let mut json = Writer::default();
    json.value(value);
    json.finish_text()
}

impl ToJson for str {
    fn write(&self, json: &mut Writer) {
        let bytes = self.as_bytes();
        json.raw("\"");
        let mut at = 0;
        loop {
            let end = plain_until(bytes, at);
            json.0.extend_from_slice(bytes.get(at..end).unwrap_or_default());
            let Some(special) = bytes.get(end) else { break };
            match special {
                b'"' => json.raw("\\\""),
                b'\\' => json.raw("\\\\"),
                b'\n' => json.raw("\\n"),
                b'\r' => json.raw("\\r"),
                b'\t' => json.raw("\\t"),
                0x08 => json.raw("\\b"),
                0x0c => json.raw("\\f"),
                control => {
                    let digit = |bits: u8| b"0123456789abcdef".get(usize::from(bits)).copied();
                    json.raw("\\u00");
                    json.0.extend([control >> 4, control & 0xf].into_iter().filter_map(digit));
                }
            }
            at = end + 1;
        }
        json.raw("\"");
    }
}

impl ToJson for u64 {
    fn write(&self, json: &mut Writer) {
        number::write_whole(*self, &mut json.0);
    }
}

impl ToJson for i64 {
    fn write(&self, json: &mut Writer) {
        if *self < 0 {
            json.raw("-");
        }
        self.unsigned_abs().write(json);
    }
}

impl ToJson for bool {
    fn write(&self, json: &mut Writer) {
        json.raw(if *self { "true" } else { "false" });
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn write(&self, json: &mut Writer) {
        match self {
            Some(value) => value.write(json),
            None => json.raw("null"),
        }
    }
}

impl<T: ToJson> ToJson for [T] {
    fn write(&self, json: &mut Writer) {
        json.raw("[");
        for member in self {
            json.item(member);
        }
        json.raw("]");
    }
}

/// What is written as something that it holds or becomes.
macro_rules! as_other {
    ($($type:ty => |$self:ident| $other:expr;)*) => {$(
        impl ToJson for $type {
            fn write(&self, json: &mut Writer) {
                let $self = self;
                $other.write(json);
            }
        }
    )*};
}

as_other! {
    String => |text| text.as_str();
    Cow<'_, str> => |text| **text;
    u16 => |number| u64::from(*number);
    u32 => |number| u64::from(*number);
    usize => |number| (*number as u64);
}

impl<T: ToJson + ?Sized> ToJson for &T {
    fn write(&self, json: &mut Writer) {
        (**self).write(json);
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn write(&self, json: &mut Writer) {
        self.as_slice().write(json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_another_writer_does_it() {
        let all: String =
            (0..0x120).filter_map(char::from_u32).chain("😀 \" ends \\".chars()).collect();
        assert_eq!(to_json(all.as_str()), serde_json::to_string(&all).unwrap());
        assert_eq!(to_json(""), "\"\"");
    }

    #[test]
    fn integers_have_all_their_digits() {
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(to_json(&number), number.to_string());
        }
        for number in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(to_json(&number), number.to_string());
        }
    }

    #[test]
    fn commas_stand_between_values() {
        let mut json = Writer::default();
        json.object(|json| {
            json.field("a", &[true, false][..]);
            json.field_of("b", None::<bool>);
            json.field_of("c", Some("{"));
            json.name("d");
            json.object(|json| json.field("e", &Some(Vec::<u32>::new())));
            json.field("f", &None::<u16>);
        });
        assert_eq!(json.finish_text(), r#"{"a":[true,false],"c":"{","d":{"e":[]},"f":null}"#);
    }
}
