//! What is set aside, with the reason, so that an operator can look at it and send it again.

use super::parcel::MAX_BYTES;
use crate::Millis;
use crate::json::tree::Value;
use crate::json::writer::{ToJson, Writer, to_json};
use crate::mapping::rejection::Code;
use crate::measurement::{Measurement, Samples};
use crate::time::iso8601;

/// The shape of letters that this version writes.
const VERSION: u32 = 1;

/// A letter in the dead-letter queue.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The shape of this letter.
    pub schema_version: u32,
    /// Why it was set aside: the code of the refusal.
    pub reason: String,
    /// The same in words; the destination's own where it refused it.
    pub message: Option<String>,
    /// When the oldest of its events arrived.
    pub received_at: String,
    /// The measurement, as Librato calls its parts; `None` where there was none to read.
    pub measurement: Option<Gauge>,
    /// The message that could not be read.
    pub original: Option<String>,
}

/// A measurement as Librato calls its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// Metric name.
    pub name: String,
    /// Source.
    pub source: String,
    /// First second of its interval.
    pub measure_time: i64,
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The sum of their squares.
    pub sum_squares: f64,
}

impl DeadLetter {
    /// A measurement that is set aside.
    #[must_use]
    pub fn of(
        measurement: &Measurement,
        code: Code,
        message: Option<&str>,
        received_at: i64,
    ) -> Self {
        let Samples { count, sum, min, max, sum_squares } = measurement.samples;
        Self {
            schema_version: VERSION,
            reason: code.as_str().to_owned(),
            message: message.map(str::to_owned),
            received_at: iso8601(received_at * 1_000),
            measurement: Some(Gauge {
                name: (*measurement.name).to_owned(),
                source: (*measurement.source).to_owned(),
                measure_time: measurement.time,
                count,
                sum,
                min,
                max,
                sum_squares,
            }),
            original: None,
        }
    }

    /// A message that cannot be read, whole: another version may be able to.
    #[must_use]
    pub fn unreadable(original: &str, message: &str, now: Millis) -> Self {
        Self {
            schema_version: VERSION,
            reason: "unreadable_message".to_owned(),
            message: Some(message.to_owned()),
            received_at: iso8601(now),
            measurement: None,
            original: Some(original.to_owned()),
        }
    }

    /// What came into the dead-letter queue: a letter, or a whole message without one, because the
    /// platform moved it there or because it left no room for more.
    #[must_use]
    pub fn read(message: &str, now: Millis) -> Self {
        Value::read(message)
            .and_then(|letter| Self::of_json(&letter))
            .unwrap_or_else(|| Self::unreadable(message, "a message as it was in the queue", now))
    }

    /// A letter that was written as JSON; `None` for anything else.
    #[must_use]
    pub fn of_json(letter: &Value) -> Option<Self> {
        Some(Self {
            schema_version: letter.get("schemaVersion")?.as_whole()?,
            reason: text(letter.get("reason")?)?,
            message: optional(letter.get("message"), text)?,
            received_at: text(letter.get("receivedAt")?)?,
            measurement: optional(letter.get("measurement"), Gauge::of_json)?,
            original: optional(letter.get("original"), text)?,
        })
    }

    /// Writes its fields into an object.
    pub fn write_fields(&self, json: &mut Writer) {
        json.field("schemaVersion", &self.schema_version);
        json.field("reason", &self.reason);
        json.field_of("message", self.message.as_ref());
        json.field("receivedAt", &self.received_at);
        json.field("measurement", &self.measurement);
        json.field_of("original", self.original.as_ref());
    }

    /// The text that is kept.
    #[must_use]
    pub fn write(&self) -> String {
        to_json(self)
    }

    /// The text that travels: the letter, or where a queue would not take that, what it is about.
    #[must_use]
    pub fn posted(&self) -> String {
        let letter = self.write();
        match &self.original {
            Some(original) if letter.len() > MAX_BYTES => original.clone(),
            _ => letter,
        }
    }

    /// The measurement, to be sent again.
    #[must_use]
    pub fn revived(&self) -> Option<Measurement> {
        let gauge = self.measurement.as_ref()?;
        Some(Measurement {
            name: gauge.name.as_str().into(),
            source: gauge.source.as_str().into(),
            time: gauge.measure_time,
            samples: Samples {
                count: gauge.count,
                sum: gauge.sum,
                min: gauge.min,
                max: gauge.max,
                sum_squares: gauge.sum_squares,
            },
        })
    }
}

impl ToJson for DeadLetter {
    fn write(&self, json: &mut Writer) {
        json.object(|json| self.write_fields(json));
    }
}

impl Gauge {
    fn of_json(gauge: &Value) -> Option<Self> {
        let number = |name| gauge.get(name)?.as_f64();
        Some(Self {
            name: text(gauge.get("name")?)?,
            source: text(gauge.get("source")?)?,
            measure_time: gauge.get("measure_time")?.as_integer()?,
            count: gauge.get("count")?.as_whole()?,
            sum: number("sum")?,
            min: number("min")?,
            max: number("max")?,
            sum_squares: number("sum_squares")?,
        })
    }
}

impl ToJson for Gauge {
    fn write(&self, json: &mut Writer) {
        json.object(|json| {
            json.field("name", &self.name);
            json.field("source", &self.source);
            json.field("measure_time", &self.measure_time);
            json.field("count", &self.count);
            json.number_field("sum", self.sum);
            json.number_field("min", self.min);
            json.number_field("max", self.max);
            json.number_field("sum_squares", self.sum_squares);
        });
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A field that may be absent or `null`: `None` for what is neither and cannot be read.
#[allow(clippy::option_option)]
fn optional<T>(value: Option<&Value>, read: impl Fn(&Value) -> Option<T>) -> Option<Option<T>> {
    match value {
        None | Some(Value::Null) => Some(None),
        Some(value) => read(value).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAUGE: &str = r#"{"name":"a","source":"b","measure_time":60,"count":2,"sum":3.0,"min":1,"max":2e0,"sum_squares":5.5}"#;

    fn letter(more: &str) -> String {
        format!(
            r#"{{"schemaVersion":1,"reason":"r","receivedAt":"t","measurement":{GAUGE}{more}}}"#
        )
    }

    #[test]
    fn a_letter_is_read_as_it_was_written_by_any_writer() {
        let read = DeadLetter::read(&letter(""), 0);
        let sums = read.measurement.as_ref().map(|gauge| (gauge.count, gauge.sum, gauge.max));
        assert_eq!(sums, Some((2, 3.0, 2.0)));
        for more in [r#","message":null,"original":null"#, r#","x":[{}],"reason":"r""#] {
            assert_eq!(DeadLetter::read(&letter(more), 0), read, "{more}");
        }
        assert_eq!(DeadLetter::read(&read.write(), 0), read);
    }

    #[test]
    fn what_is_no_letter_is_kept_whole() {
        for text in [
            "x".to_owned(),
            "{}".to_owned(),
            letter(r#","message":1"#),
            letter(r#","schemaVersion":1.0"#),
            letter(r#","measurement":{}"#),
            letter(r#","x":1e999"#),
        ] {
            let read = DeadLetter::read(&text, 0);
            assert_eq!(read.original.as_ref(), Some(&text));
            assert_eq!(read.measurement, None);
        }
    }
}
