//! JSON as it is written, piece by piece: what is the same in every member of a list is text, and is
//! not made of values each time.

use serde::Serialize;

use super::number;

/// JSON that is being written.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

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

    /// A value: text, a finite number or a list of such, which cannot fail.
    pub fn value(&mut self, value: &(impl Serialize + ?Sized)) {
        _ = serde_json::to_writer(&mut self.0, value);
    }

    /// One more field of an object that has some.
    pub fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.raw(",\"");
        self.raw(name);
        self.raw("\":");
        self.value(value);
    }

    /// One more value of a list that has some.
    pub fn item(&mut self, value: &(impl Serialize + ?Sized)) {
        self.raw(",");
        self.value(value);
    }

    /// A finite number, without a needless fraction: `2` and not `2.0`.
    pub fn number(&mut self, value: f64) {
        number::write(value, &mut self.0);
    }

    /// One more field with such a number.
    pub fn number_field(&mut self, name: &str, value: f64) {
        self.raw(",\"");
        self.raw(name);
        self.raw("\":");
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
