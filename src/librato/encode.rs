//! A batch on the wire.

use serde::{Serialize, Serializer};

use crate::measurement::{Measurement, is_in_range};

/// The body of `POST /v1/metrics`.
///
/// `period` and the two attributes make a new metric one whose gauges are summed over a minute, as
/// Segment's documentation asks for; on a metric that exists they do nothing.
pub(super) fn gauges(batch: &[&Measurement], period: Option<u32>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        gauges: Vec<Gauge<'a>>,
    }
    #[derive(Serialize)]
    struct Gauge<'a> {
        #[serde(flatten)]
        common: Common<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sum_squares: Option<Number>,
        source: &'a str,
        measure_time: i64,
    }
    to_json(&Body {
        gauges: batch
            .iter()
            .map(|measurement| Gauge {
                common: Common::of(measurement, period),
                sum_squares: Some(measurement.samples.sum_squares)
                    .filter(|squares| measurement.samples.count > 1 && is_in_range(*squares))
                    .map(Number),
                source: &measurement.source,
                measure_time: measurement.time,
            })
            .collect(),
    })
}

/// The body of `POST /v1/measurements`, which knows no `sum_squares`.
pub(super) fn tagged(batch: &[&Measurement], period: Option<u32>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        measurements: Vec<Tagged<'a>>,
    }
    #[derive(Serialize)]
    struct Tagged<'a> {
        #[serde(flatten)]
        common: Common<'a>,
        time: i64,
        tags: Tags<'a>,
    }
    #[derive(Serialize)]
    struct Tags<'a> {
        source: &'a str,
    }
    to_json(&Body {
        measurements: batch
            .iter()
            .map(|measurement| Tagged {
                common: Common::of(measurement, period),
                time: measurement.time,
                tags: Tags { source: &measurement.source },
            })
            .collect(),
    })
}

/// What both APIs call the same.
#[derive(Serialize)]
struct Common<'a> {
    name: &'a str,
    #[serde(flatten)]
    samples: Samples,
    #[serde(flatten)]
    creation: Option<Creation>,
}

/// `value` and `count` exclude each other.
#[derive(Serialize)]
#[serde(untagged)]
enum Samples {
    One { value: Number },
    Many { count: u64, sum: Number, min: Number, max: Number },
}

#[derive(Serialize)]
struct Creation {
    period: u32,
    attributes: Attributes,
}

#[derive(Serialize)]
struct Attributes {
    aggregate: bool,
    summarize_function: &'static str,
}

impl<'a> Common<'a> {
    fn of(measurement: &'a Measurement, period: Option<u32>) -> Self {
        let samples = measurement.samples;
        Self {
            name: &measurement.name,
            samples: if samples.count == 1 {
                Samples::One { value: Number(samples.sum) }
            } else {
                Samples::Many {
                    count: samples.count,
                    sum: Number(samples.sum),
                    min: Number(samples.min),
                    max: Number(samples.max),
                }
            },
            creation: period.map(|period| Creation {
                period,
                attributes: Attributes { aggregate: true, summarize_function: "sum" },
            }),
        }
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

/// Serialises what cannot fail: strings, finite numbers and lists of them.
fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}
