//! Protobuf, as much of it as OTLP 1.9 needs here: a few fields are written, fewer are read, and what is
//! not known is skipped.
//!
//! A library has a type for each message, and code for each of them to measure, write, read and drop
//! it, which is four times as much (`tests/otlp.rs` holds both against each other).

/// Numbers of fields, in a module for each message.
macro_rules! messages {
    ($($(#[$about:meta])* $message:ident { $($(#[$field_about:meta])* $field:ident = $number:literal,)* })*) => {$(
        $(#[$about])*
        pub(super) mod $message {
            $($(#[$field_about])* pub(in super::super) const $field: u32 = $number;)*
        }
    )*};
}

// Messages and fields are called as in `opentelemetry/proto/{collector/metrics,metrics,resource,common}/v1`.
messages! {
    /// The body of a request.
    export_metrics_service_request {
        /// One for each sender: here there is one.
        RESOURCE_METRICS = 1,
    }
    resource_metrics {
        /// Who sends.
        RESOURCE = 1,
        /// One for each piece of code that measures: here there is one.
        SCOPE_METRICS = 2,
    }
    resource {
        /// What identifies it.
        ATTRIBUTES = 1,
    }
    scope_metrics {
        /// What measures.
        SCOPE = 1,
        METRICS = 2,
    }
    instrumentation_scope {
        NAME = 1,
        VERSION = 2,
    }
    metric {
        NAME = 1,
        /// By UCUM.
        UNIT = 3,
        /// Numbers as they are.
        GAUGE = 5,
        /// Numbers that add up.
        SUM = 7,
    }
    gauge {
        DATA_POINTS = 1,
    }
    sum {
        DATA_POINTS = 1,
        /// Whether a point is what came since the last one, or since the beginning.
        AGGREGATION_TEMPORALITY = 2,
        /// Whether values are never negative.
        IS_MONOTONIC = 3,
    }
    number_data_point {
        /// When the interval began, in nanoseconds since 1970; the moment itself is outside.
        START_TIME_UNIX_NANO = 2,
        /// When it ended; the moment itself is inside.
        TIME_UNIX_NANO = 3,
        /// The value. A member of a `oneof`, so that a zero is written too.
        AS_DOUBLE = 4,
        /// What tells this series from others of the metric.
        ATTRIBUTES = 7,
    }
    key_value {
        KEY = 1,
        VALUE = 2,
    }
    any_value {
        STRING_VALUE = 1,
    }
    /// The body of a 200.
    export_metrics_service_response {
        /// What was wrong although the request was taken.
        PARTIAL_SUCCESS = 1,
    }
    /// `export_metrics_partial_success`, and `google.rpc.Status`, which is the body of a refusal.
    said {
        /// `rejected_data_points`, `code`.
        NUMBER = 1,
        /// `error_message`, `message`.
        WORDS = 2,
    }
}

/// How a value is written, told in the last three bits of its field's key.
mod wire {
    pub(super) const VARINT: u32 = 0;
    pub(super) const FIXED64: u32 = 1;
    pub(super) const BYTES: u32 = 2;
    pub(super) const FIXED32: u32 = 5;
}

/// A message that is being written, field by field.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Where the next field begins.
    pub(super) fn at(&self) -> usize {
        self.0.len()
    }

    /// Makes what has been written from a place on one field: a text, or a message of its own. Its length
    /// stands before it and is known behind it, so it moves by a few bytes.
    pub(super) fn enclose(&mut self, field: u32, begin: usize) {
        self.insert(begin, self.0.len() - begin);
        self.insert(begin, (field << 3 | wire::BYTES) as usize);
    }

    /// A varint before what has been written from a place on: seven bits a byte, the lowest first, and a
    /// mark on all bytes but the last.
    fn insert(&mut self, begin: usize, number: usize) {
        #[allow(clippy::cast_possible_truncation)]
        let low = number as u8;
        if number < 0x80 {
            self.0.insert(begin, low);
        } else {
            self.insert(begin, number >> 7);
            self.0.insert(begin, low | 0x80);
        }
    }

    /// A part of a text that is to be [enclosed](Self::enclose).
    pub(super) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    // What is nothing is not written: it is what a reader takes for a field that is not there.

    /// A text.
    pub(super) fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            let begin = self.at();
            self.raw(text);
            self.enclose(field, begin);
        }
    }

    /// A truth, or one of a few choices: a number below 128.
    pub(super) fn small(&mut self, field: u32, number: u8) {
        if number != 0 {
            self.key(field, wire::VARINT);
            self.0.push(number);
        }
    }

    /// A number of 64 bits.
    pub(super) fn fixed64(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.word(field, number);
        }
    }

    /// A floating-point number of a `oneof`, in which zero is something.
    pub(super) fn double(&mut self, field: u32, number: f64) {
        self.word(field, number.to_bits());
    }

    fn word(&mut self, field: u32, bits: u64) {
        self.key(field, wire::FIXED64);
        self.0.extend_from_slice(&bits.to_le_bytes());
    }

    fn key(&mut self, field: u32, wire: u32) {
        self.insert(self.at(), (field << 3 | wire) as usize);
    }

    /// The bytes of the whole.
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Bytes are not the message that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// What an answer says. The two messages that say it are alike: `ExportMetricsPartialSuccess`, within the
/// body of a 200, and `google.rpc.Status`, the body of a refusal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said<'a> {
    /// How many points were refused; in a `Status` a code, which OTLP leaves to HTTP.
    pub number: i64,
    /// Why, or a warning when none was; in a `Status` what is wrong.
    pub words: &'a str,
}

impl<'a> Said<'a> {
    /// What an `ExportMetricsServiceResponse` says; nothing when all is well.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn of_response(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::read(bytes, true)
    }

    /// What a `google.rpc.Status` says.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn of_status(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::read(bytes, false)
    }

    fn read(bytes: &'a [u8], is_response: bool) -> Result<Self, Malformed> {
        let mut said = Self::default();
        said.add(bytes, is_response)?;
        Ok(said)
    }

    /// Reads a message, or one more piece of it: a message that comes again adds to what was said, and of
    /// any other field the last value counts.
    fn add(&mut self, bytes: &'a [u8], is_response: bool) -> Result<(), Malformed> {
        let mut reader = Reader(bytes);
        while let Some(field) = reader.field()? {
            match field.number {
                export_metrics_service_response::PARTIAL_SUCCESS if is_response => {
                    self.add(field.bytes()?, false)?;
                }
                _ if is_response => {}
                said::NUMBER => self.number = field.integer()?,
                said::WORDS => self.words = field.text()?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A message that is being read, field by field.
struct Reader<'a>(&'a [u8]);

/// A field that has been read.
struct Field<'a> {
    number: u32,
    wire: u32,
    /// The value of a varint.
    varint: u64,
    /// The value of anything else.
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next field, or none at the end. Groups are refused: protobuf has given them up, and some texts,
    /// such as "st", would be messages with one.
    fn field(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let (number, wire) = (key >> 3, key & 7);
        let mut varint = 0;
        let length = match wire {
            wire::VARINT => {
                varint = self.varint()?;
                0
            }
            wire::FIXED64 => 8,
            wire::BYTES => self.varint()?,
            wire::FIXED32 => 4,
            _ => return Err(Malformed),
        };
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        // No field has this number.
        if number == 0 { Err(Malformed) } else { Ok(Some(Field { number, wire, varint, bytes })) }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let (mut number, mut shift) = (0, 0);
        while let Some((byte, rest)) = self.0.split_first() {
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            // Only one of sixty-four bits is left for the tenth byte.
            if shift == 63 && *byte > 1 {
                break;
            }
            if *byte < 0x80 {
                return Ok(number);
            }
            shift += 7;
        }
        Err(Malformed)
    }
}

impl<'a> Field<'a> {
    fn integer(&self) -> Result<i64, Malformed> {
        self.of(wire::VARINT)?;
        Ok(self.varint.cast_signed())
    }

    fn bytes(&self) -> Result<&'a [u8], Malformed> {
        self.of(wire::BYTES)?;
        Ok(self.bytes)
    }

    fn text(&self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    fn of(&self, wire: u32) -> Result<(), Malformed> {
        if self.wire == wire { Ok(()) } else { Err(Malformed) }
    }
}
