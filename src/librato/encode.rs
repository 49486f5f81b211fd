//! A batch on the wire.

use serde::Serialize;

use crate::json::Number;
use crate::measurement::{Measurement, Samples, is_in_range};

/// Writes the body of `POST /v1/metrics`.
pub(super) fn gauges(batch: &[&Measurement], period: Option<u32>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        gauges: Vec<Member<'a>>,
    }
    let gauges = batch
        .iter()
        .map(|measurement| {
            let Samples { count, sum_squares, .. } = measurement.samples;
            let has_squares = count > 1 && is_in_range(sum_squares);
            Member {
                sum_squares: has_squares.then_some(Number(sum_squares)),
                source: Some(&measurement.source),
                measure_time: Some(measurement.time),
                ..Member::of(measurement, period)
            }
        })
        .collect();
    write(&Body { gauges })
}

/// Writes the body of `POST /v1/measurements`, which knows no `sum_squares`.
pub(super) fn tagged(batch: &[&Measurement], period: Option<u32>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        measurements: Vec<Member<'a>>,
    }
    let measurements = batch
        .iter()
        .map(|measurement| Member {
            time: Some(measurement.time),
            tags: Some(Tags { source: &measurement.source }),
            ..Member::of(measurement, period)
        })
        .collect();
    write(&Body { measurements })
}

/// A measurement in either API's words. `value` and `count` exclude each other.
#[derive(Serialize, Default)]
struct Member<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sum: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sum_squares: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measure_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Tags<'a>>,
    display_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<Attributes>,
}

#[derive(Serialize)]
struct Tags<'a> {
    source: &'a str,
}

/// How the values of a metric are put together.
#[derive(Serialize)]
struct Attributes {
    aggregate: bool,
    summarize_function: &'static str,
}

impl<'a> Member<'a> {
    /// Returns what both APIs call the same.
    ///
    /// `display_name` shows a new metric by the event's name as it was written. `period` and the attributes make a new
    /// metric one whose gauges are summed over a minute, as Segment's documentation asks for; on a metric that exists
    /// they do nothing.
    fn of(measurement: &'a Measurement, period: Option<u32>) -> Self {
        let Samples { count, sum, min, max, .. } = measurement.samples;
        let creation = Self {
            name: &measurement.name,
            display_name: &measurement.display_name,
            period,
            attributes: period.map(|_| Attributes { aggregate: true, summarize_function: "sum" }),
            ..Self::default()
        };
        if count == 1 {
            return Self { value: Some(Number(sum)), ..creation };
        }
        Self { count: Some(count), sum: Some(Number(sum)), min: Some(Number(min)), max: Some(Number(max)), ..creation }
    }
}

/// Texts and finite numbers can be written.
fn write(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}
