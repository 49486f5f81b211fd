//! What is set aside, with the reason, so that an operator can look at it and send it again.

use serde::{Deserialize, Serialize};

use crate::Millis;
use crate::measurement::{Measurement, Samples};
use crate::time::iso8601;

/// The shape of letters that this version writes.
const VERSION: u32 = 1;

/// Longest part of an unreadable message that is kept, in bytes.
const MAX_ORIGINAL: usize = 60_000;

/// A letter in the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The shape of this letter.
    pub schema_version: u32,
    /// Why it was set aside: a code, or the destination's own words.
    pub reason: String,
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
    pub fn of(measurement: &Measurement, reason: &str, received_at: i64) -> Self {
        let Samples { count, sum, min, max, sum_squares } = measurement.samples;
        Self {
            schema_version: VERSION,
            reason: reason.to_owned(),
            received_at: iso8601(received_at * 1_000),
            measurement: Some(Gauge {
                name: measurement.name.clone(),
                source: measurement.source.clone(),
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

    /// A message that cannot be read.
    #[must_use]
    pub fn unreadable(message: &str, reason: &str, now: Millis) -> Self {
        let mut end = message.len().min(MAX_ORIGINAL);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            schema_version: VERSION,
            reason: reason.to_owned(),
            received_at: iso8601(now),
            measurement: None,
            original: Some(message.get(..end).unwrap_or_default().to_owned()),
        }
    }

    /// What came into the dead-letter queue: a letter, or a whole message that the platform moved there
    /// after its last retry.
    #[must_use]
    pub fn read(message: &str, now: Millis) -> Self {
        serde_json::from_str(message)
            .unwrap_or_else(|_| Self::unreadable(message, "the queue gave it up", now))
    }

    /// The text.
    #[must_use]
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The measurement, to be sent again.
    #[must_use]
    pub fn revived(&self) -> Option<Measurement> {
        let gauge = self.measurement.as_ref()?;
        Some(Measurement {
            name: gauge.name.clone(),
            source: gauge.source.clone(),
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
