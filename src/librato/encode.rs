//! A batch on the wire.

use crate::json::writer::Writer;
use crate::measurement::{Measurement, is_in_range};
use crate::text::{concat, whole};

/// The body of `POST /v1/metrics`.
pub(super) fn gauges(batch: &[&Measurement], period: Option<u32>) -> Vec<u8> {
    list("gauges", batch, period, |json, measurement| {
        let samples = measurement.samples;
        if samples.count > 1 && is_in_range(samples.sum_squares) {
            json.number_field("sum_squares", samples.sum_squares);
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
    own: impl Fn(&mut Writer, &Measurement),
) -> Vec<u8> {
    /// The bytes that a measurement takes as a rule.
    const MEMBER: usize = 256;
    let creation = period.map_or_else(String::new, |period| {
        concat(&[
            r#","period":"#,
            &whole(period.into()),
            r#","attributes":{"aggregate":true,"summarize_function":"sum"}"#,
        ])
    });
    let mut json = Writer::with_capacity(batch.len() * MEMBER);
    json.raw("{\"");
    json.raw(name);
    json.raw("\":[");
    for (place, measurement) in batch.iter().enumerate() {
        json.raw(if place == 0 { r#"{"name":"# } else { r#",{"name":"# });
        json.value(&*measurement.name);
        let samples = measurement.samples;
        // `value` and `count` exclude each other.
        if samples.count == 1 {
            json.number_field("value", samples.sum);
        } else {
            json.field("count", &samples.count);
            json.number_field("sum", samples.sum);
            json.number_field("min", samples.min);
            json.number_field("max", samples.max);
        }
        json.raw(&creation);
        own(&mut json, measurement);
        json.raw("}");
    }
    json.raw("]}");
    json.finish()
}
