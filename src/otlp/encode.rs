//! A batch on the wire.

use std::iter;

use prost::Message;

use super::proto::{
    DELTA, Data, ExportRequest, Gauge, KeyValue, Metric, NumberDataPoint, Resource, ResourceMetrics, Scope,
    ScopeMetrics, Sum,
};
use super::{Options, Profile};
use crate::destination::WriterId;
use crate::measurement::Measurement;

/// Name of the resource and of the scope.
const SERVICE: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The unit of that number: an annotation of UCUM's, which names nothing in stores that put units into names.
const EVENT: &str = "{event}";
const NANOSECONDS: u64 = 1_000_000_000;

/// How measurements are written, besides what stands in them.
#[derive(Debug)]
pub(super) struct Format {
    pub(super) options: Options,
    /// Unit of the values.
    pub(super) unit: &'static str,
}

/// What becomes one point of each of the two metrics.
struct Cell<'a> {
    source: &'a str,
    second: i64,
    sum: f64,
    count: f64,
}

/// The body of a request. It depends on nothing but its arguments and stands in an order of its own, so that what is
/// sent again is the same.
pub(super) fn request(batch: &[&Measurement], writer: WriterId, format: &Format) -> Vec<u8> {
    let mut metrics: Vec<(&str, &str, Vec<Cell>)> = Vec::new();
    for measurement in sorted(batch) {
        let Measurement { name, display_name, source, time, samples } = measurement;
        let (name, source): (&str, &str) = (name, source);
        // Exact up to 2^53 events.
        #[allow(clippy::cast_precision_loss)]
        let cell = Cell { source, second: *time, sum: samples.sum, count: samples.count as f64 };
        match metrics.last_mut() {
            Some((last, description, cells)) if *last == name => {
                *description = (*description).min(display_name);
                match cells.last_mut() {
                    // Of equal points in one request a store keeps one.
                    Some(equal) if (equal.source, equal.second) == (source, cell.second) => {
                        equal.sum += cell.sum;
                        equal.count += cell.count;
                    }
                    _ => cells.push(cell),
                }
            }
            _ => metrics.push((name, display_name, vec![cell])),
        }
    }
    let options = &format.options;
    let metrics = metrics.iter().flat_map(|(name, description, cells)| {
        let points =
            |value: fn(&Cell) -> f64| cells.iter().map(|cell| point(cell, options.interval, value(cell))).collect();
        let sums = format.metric((*name).to_owned(), description, format.unit, points(|cell| cell.sum));
        let counts = options
            .count_suffix
            .as_ref()
            .map(|suffix| format.metric(format!("{name}{suffix}"), description, EVENT, points(|cell| cell.count)));
        iter::once(sums).chain(counts)
    });
    let attributes = vec![
        KeyValue::text("service.name", SERVICE),
        KeyValue::text("service.version", VERSION),
        KeyValue::text("service.instance.id", &writer.text()),
    ];
    let request = ExportRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(Scope { name: SERVICE.to_owned(), version: VERSION.to_owned() }),
                metrics: metrics.collect(),
            }],
        }],
    };
    request.encode_to_vec()
}

/// By name, source and second. A few hundred at most: put in their places one by one.
fn sorted<'a>(batch: &[&'a Measurement]) -> Vec<&'a Measurement> {
    fn key(measurement: &Measurement) -> (&str, &str, i64) {
        (&measurement.name, &measurement.source, measurement.time)
    }
    let mut sorted: Vec<&Measurement> = Vec::with_capacity(batch.len());
    for measurement in batch {
        let place = sorted.partition_point(|other| key(other) <= key(measurement));
        sorted.insert(place, measurement);
    }
    sorted
}

impl Format {
    fn metric(&self, name: String, description: &str, unit: &str, data_points: Vec<NumberDataPoint>) -> Metric {
        let data = match self.options.profile {
            Profile::Gauge => Data::Gauge(Gauge { data_points }),
            Profile::Delta | Profile::Monotonic => Data::Sum(Sum {
                data_points,
                aggregation_temporality: DELTA,
                is_monotonic: unit == EVENT || self.options.profile == Profile::Monotonic,
            }),
        };
        Metric { name, description: description.to_owned(), unit: unit.to_owned(), data: Some(data) }
    }
}

fn point(cell: &Cell, interval: u32, value: f64) -> NumberDataPoint {
    let nanoseconds = |second: i64| u64::try_from(second).unwrap_or_default() * NANOSECONDS;
    // Whoever has no source has no attribute.
    let source = (!cell.source.is_empty()).then(|| KeyValue::text("source", cell.source));
    NumberDataPoint {
        attributes: source.into_iter().collect(),
        start_time_unix_nano: nanoseconds(cell.second - i64::from(interval)),
        time_unix_nano: nanoseconds(cell.second),
        as_double: Some(value),
    }
}
