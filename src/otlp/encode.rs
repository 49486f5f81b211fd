//! A batch on the wire.

use std::collections::BTreeMap;

use prost::Message;

use super::Profile;
use super::proto::{
    DELTA, Data, ExportRequest, Gauge, KeyValue, Metric, NumberDataPoint, Resource,
    ResourceMetrics, Scope, ScopeMetrics, Sum,
};
use crate::destination::Writer;
use crate::measurement::Measurement;

/// Name of the resource and of the scope.
const SERVICE: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What is appended to a metric's name for the number of its events.
const COUNT: &str = ".count";
/// The unit of that number: an annotation of UCUM's, which names nothing in stores that put units into
/// names.
const EVENT: &str = "{event}";
const NANOSECONDS: u64 = 1_000_000_000;

/// How measurements are written, besides what stands in them.
#[derive(Debug)]
pub(super) struct Format {
    pub(super) profile: Profile,
    /// Unit of the values.
    pub(super) unit: &'static str,
    /// The length of a measurement's interval, in seconds.
    pub(super) interval: u32,
}

/// What a metric holds: by source and second, the sum of the values and the number of events.
type Cells<'a> = BTreeMap<(&'a str, i64), (f64, f64)>;

/// The body of a request. It depends on nothing but its arguments and stands in an order of its own, so
/// that what is sent again is the same.
pub(super) fn request(batch: &[&Measurement], writer: Writer, format: &Format) -> Vec<u8> {
    // Of equal points in one request a store keeps one.
    let mut metrics: BTreeMap<&str, Cells> = BTreeMap::new();
    for measurement in batch {
        let cells = metrics.entry(&*measurement.name).or_default();
        let cell = cells.entry((&*measurement.source, measurement.time)).or_default();
        cell.0 += measurement.samples.sum;
        // Exact up to 2^53 events.
        #[allow(clippy::cast_precision_loss)]
        let count = measurement.samples.count as f64;
        cell.1 += count;
    }
    let metrics = metrics.iter().flat_map(|(name, cells)| {
        [
            metric((*name).to_owned(), format.unit, format, false, points(cells, format, |c| c.0)),
            metric(format!("{name}{COUNT}"), EVENT, format, true, points(cells, format, |c| c.1)),
        ]
    });
    let attributes = vec![
        KeyValue::text("service.name", SERVICE),
        KeyValue::text("service.version", VERSION),
        KeyValue::text("service.instance.id", &writer.to_string()),
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

fn metric(
    name: String,
    unit: &str,
    format: &Format,
    is_count: bool,
    data_points: Vec<NumberDataPoint>,
) -> Metric {
    let data = match format.profile {
        Profile::Gauge => Data::Gauge(Gauge { data_points }),
        Profile::Delta | Profile::Monotonic => Data::Sum(Sum {
            data_points,
            aggregation_temporality: DELTA,
            is_monotonic: is_count || format.profile == Profile::Monotonic,
        }),
    };
    Metric { name, unit: unit.to_owned(), data: Some(data) }
}

fn points(cells: &Cells, format: &Format, value: fn(&(f64, f64)) -> f64) -> Vec<NumberDataPoint> {
    let nanoseconds = |second: i64| u64::try_from(second).unwrap_or_default() * NANOSECONDS;
    let points = cells.iter().map(|((source, second), cell)| NumberDataPoint {
        // Whoever has no source has no attribute.
        attributes: (!source.is_empty())
            .then(|| KeyValue::text("source", source))
            .into_iter()
            .collect(),
        start_time_unix_nano: nanoseconds(second - i64::from(format.interval)),
        time_unix_nano: nanoseconds(*second),
        as_double: Some(value(cell)),
    });
    points.collect()
}
