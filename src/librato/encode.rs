//! A batch on the wire.

use serde::{Serialize, Serializer};

use crate::measurement::{Measurement, is_in_range};

/// The body of `POST /v1/metrics`.
pub(super) fn gauges(batch: &[&Measurement], period: Option<u32>) -> Vec<u8> {
    list("gauges", batch, period, |json, measurement| {
        let samples = measurement.samples;
        if samples.count > 1 && is_in_range(samples.sum_squares) {
            json.field("sum_squares", &Number(samples.sum_squares));
        }
        json.field("source", &*measurement.source);
        json.field("measure_time", &measurement.time);
    })
}

/// The body of `POST /v1/measurements`, which knows no `sum_squares`.
pub(super) fn tagged(batch: &[&Measurement], period: Option<u32>) -> Vec<u8> {
    list("measurements", batch, period, |json, measurement| {
        json.field("time", &measurement.time);
        json.raw(r#","tags":{"source":"#);
        json.value(&*measurement.source);
        json.raw("}");
    })
}

/// A list of measurements: the fields that both APIs call the same, and those of `own`.
///
/// `period` and the two attributes make a new metric one whose gauges are summed over a minute, as
/// Segment's documentation asks for; on a metric that exists they do nothing.
fn list(
    name: &str,
    batch: &[&Measurement],
    period: Option<u32>,
    own: impl Fn(&mut Json, &Measurement),
) -> Vec<u8> {
    /// The bytes that a measurement takes as a rule.
    const MEMBER: usize = 256;
    let creation = period.map_or_else(String::new, |period| {
        format!(
            r#","period":{period},"attributes":{{"aggregate":true,"summarize_function":"sum"}}"#
        )
    });
    let mut json = Json(Vec::with_capacity(batch.len() * MEMBER));
    json.raw("{\"");
    json.raw(name);
    json.raw("\":[");
    for (place, measurement) in batch.iter().enumerate() {
        json.raw(if place == 0 { r#"{"name":"# } else { r#",{"name":"# });
        json.value(&*measurement.name);
        let samples = measurement.samples;
        // `value` and `count` exclude each other.
        if samples.count == 1 {
            json.field("value", &Number(samples.sum));
        } else {
            json.field("count", &samples.count);
            json.field("sum", &Number(samples.sum));
            json.field("min", &Number(samples.min));
            json.field("max", &Number(samples.max));
        }
        json.raw(&creation);
        own(&mut json, measurement);
        json.raw("}");
    }
    json.raw("]}");
    json.0
}

/// JSON as it is written. Most of a body is the same in each measurement, so it is not made of values.
struct Json(Vec<u8>);

impl Json {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// One more field of an object that has some.
    fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.raw(",\"");
        self.raw(name);
        self.raw("\":");
        self.value(value);
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) {
        // Neither writing into memory fails, nor text or a finite number.
        _ = serde_json::to_writer(&mut self.0, value);
    }
}

/// A number without a needless fraction: `2` and not `2.0`.
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Every whole number up to here is exact in an `f64`.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        // What passes fits an i64 and is whole.
        #[allow(clippy::cast_possible_truncation)]
        if self.0.fract() == 0.0 && self.0.abs() <= EXACT {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}
