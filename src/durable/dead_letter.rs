//! What is set aside, with the reason, so that an operator can look at it and send it again.

use serde::{Deserialize, Serialize};

use super::parcel::MAX_BYTES;
use crate::Millis;
use crate::json::serialize_number;
use crate::measurement::{Measurement, Samples};
use crate::rejection::Code;
use crate::time::iso8601;

/// The shape of letters that this version writes.
const VERSION: u32 = 1;

/// A letter in the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The shape of this letter.
    pub schema_version: u32,
    /// Why it was set aside: the code of the refusal.
    pub reason: String,
    /// The same in words; the destination's own where it refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the oldest of its events arrived.
    pub received_at: String,
    /// The measurement, as Librato calls its parts; `None` where there was none to read.
    pub measurement: Option<Gauge>,
    /// The message that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
}

/// A measurement as Librato calls its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gauge {
    /// Metric name.
    pub name: String,
    /// The name as it was written, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Source.
    pub source: String,
    /// First second of its interval.
    pub measure_time: i64,
    /// How many values.
    pub count: u64,
    /// Their sum.
    #[serde(serialize_with = "serialize_number")]
    pub sum: f64,
    /// The smallest.
    #[serde(serialize_with = "serialize_number")]
    pub min: f64,
    /// The largest.
    #[serde(serialize_with = "serialize_number")]
    pub max: f64,
    /// The sum of their squares.
    #[serde(serialize_with = "serialize_number")]
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
                name: measurement.name.to_string(),
                display_name: (measurement.display_name != measurement.name)
                    .then(|| measurement.display_name.to_string()),
                source: measurement.source.to_string(),
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
        serde_json::from_str(message)
            .unwrap_or_else(|_| Self::unreadable(message, "a message as it was in the queue", now))
    }

    /// The text that is kept.
    #[must_use]
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
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
            display_name: gauge.display_name.as_ref().unwrap_or(&gauge.name).as_str().into(),
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
        for more in [r#","message":null,"original":null"#, r#","x":[{"y":1e999}]"#] {
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
            letter(r#","reason":"r""#),
        ] {
            let read = DeadLetter::read(&text, 0);
            assert_eq!(read.original.as_ref(), Some(&text));
            assert_eq!(read.measurement, None);
        }
    }
}
