//! What is set aside, with the reason, so that an operator can look at it and send it again.
//!
//! A queue delivers at least once, and a consumer that dies may write a letter twice. So each letter has an identity,
//! under which it is kept once: that of the events that it is about, which two letters of equal content do not share.
//! What has none of its own is told by its bytes: a message that the platform has moved has a random token in it.

use serde::{Deserialize, Serialize};

use super::parcel::{EventId, MAX_BYTES};
use crate::Millis;
use crate::destination::WriterId;
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
    /// The writer id under which the measurement was sent, where the destination tells points by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    /// The message that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// The letter's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter_id: Option<String>,
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
    /// Returns the letter of a measurement of these events, which was sent under this writer.
    #[must_use]
    pub fn of(
        measurement: &Measurement,
        code: Code,
        message: Option<&str>,
        received_at: i64,
        events: &[EventId],
        writer: Option<WriterId>,
    ) -> Self {
        // Whatever the reason: events that are set aside again after a crash may have become too old.
        let mut events: Vec<_> = events.iter().map(|id| id.0).collect();
        events.sort_unstable();
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
            writer: writer.map(WriterId::text),
            original: None,
            letter_id: Some(EventId::of(&[b"events", events.as_flattened()]).write()),
        }
    }

    /// Returns the letter of a message that cannot be read, whole: another version may be able to.
    #[must_use]
    pub fn unreadable(original: &str, message: &str, now: Millis) -> Self {
        Self {
            schema_version: VERSION,
            reason: "unreadable_message".to_owned(),
            message: Some(message.to_owned()),
            received_at: iso8601(now),
            measurement: None,
            writer: None,
            original: Some(original.to_owned()),
            letter_id: Some(identity_of(original)),
        }
    }

    /// Reads what came into the dead-letter queue: a letter, or a whole message without one, because the platform moved
    /// it there or because it left no room for more. It always has an identity.
    #[must_use]
    pub fn read(message: &str, now: Millis) -> Self {
        match serde_json::from_str::<Self>(message) {
            Ok(letter) if letter.letter_id.is_some() => letter,
            Ok(letter) => Self { letter_id: Some(identity_of(message)), ..letter },
            Err(_) => Self::unreadable(message, "a message as it was in the queue", now),
        }
    }

    /// Reads a letter that has been kept, perhaps by a version that gave it no identity.
    #[must_use]
    pub fn read_kept(letter: &str, now: Millis) -> Self {
        serde_json::from_str(letter).unwrap_or_else(|_| Self::unreadable(letter, "a letter that cannot be read", now))
    }

    /// Returns the text that is kept.
    #[must_use]
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the text that travels: the letter, or where a queue would not take that, what it is about.
    #[must_use]
    pub fn posted(&self) -> String {
        let letter = self.write();
        match &self.original {
            Some(original) if letter.len() > MAX_BYTES => original.clone(),
            _ => letter,
        }
    }

    /// Returns the measurement, to be sent again.
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

/// The identity of what has none of its own.
fn identity_of(text: &str) -> String {
    EventId::of(&[b"text", text.as_bytes()]).write()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAUGE: &str =
        r#"{"name":"a","source":"b","measure_time":60,"count":2,"sum":3.0,"min":1,"max":2e0,"sum_squares":5.5}"#;

    fn letter(more: &str) -> String {
        format!(r#"{{"schemaVersion":1,"reason":"r","receivedAt":"t","measurement":{GAUGE}{more}}}"#)
    }

    #[test]
    fn a_letter_is_read_as_it_was_written_by_any_writer() {
        let read = DeadLetter::read(&letter(""), 0);
        let sums = read.measurement.as_ref().map(|gauge| (gauge.count, gauge.sum, gauge.max));
        assert_eq!(sums, Some((2, 3.0, 2.0)));
        for more in [r#","message":null,"original":null"#, r#","x":[{"y":1e999}],"writer":null"#] {
            let other = DeadLetter::read(&letter(more), 0);
            assert_eq!(DeadLetter { letter_id: read.letter_id.clone(), ..other }, read, "{more}");
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
            assert_eq!(DeadLetter::read(&read.write(), 1), read);
        }
    }

    #[test]
    fn letters_are_the_same_by_their_events_and_not_by_their_content() {
        let one = Measurement {
            name: "m".into(),
            display_name: "m".into(),
            source: "s".into(),
            time: 60,
            samples: Samples::one(1.0),
        };
        let of = |code, events: &[u8]| {
            let events: Vec<_> = events.iter().map(|event| EventId([*event; 12])).collect();
            let letter = DeadLetter::of(&one, code, None, 7, &events, Some(WriterId::Random(3)));
            assert_eq!(letter.writer.as_deref(), Some("r3"));
            DeadLetter::read(&letter.posted(), 0).letter_id
        };
        let first = of(Code::RefusedByLibrato, &[1, 2]);
        assert!(first.is_some());
        assert_eq!(of(Code::RefusedByLibrato, &[2, 1]), first);
        assert_eq!(of(Code::TimestampOutOfRange, &[1, 2]), first);
        assert_ne!(of(Code::RefusedByLibrato, &[1, 3]), first);
        assert_ne!(of(Code::RefusedByLibrato, &[1]), first);
    }

    #[test]
    fn what_has_no_identity_is_told_by_its_bytes() {
        let id = |text: &str| DeadLetter::read(text, 0).letter_id;
        for text in ["x", "{}", &letter("")] {
            assert!(id(text).is_some());
            assert_eq!(id(text), DeadLetter::read(text, 1).letter_id, "{text}");
            assert_ne!(id(text), id(&format!("{text} ")));
        }
        // The same message, whether its letter or itself has travelled.
        assert_eq!(id("x"), DeadLetter::unreadable("x", "not a parcel", 5).letter_id);
        // What has been kept by an older version still has none.
        assert_eq!(DeadLetter::read_kept(&letter(""), 0).letter_id, None);
    }
}
