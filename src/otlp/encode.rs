//! A batch on the wire.

use super::Profile;
use super::proto::{
    Message, any_value, export_metrics_service_request, gauge, instrumentation_scope, key_value,
    metric, number_data_point, resource, resource_metrics, scope_metrics, sum,
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
/// `AGGREGATION_TEMPORALITY_DELTA`: a point is what came since the last one.
const DELTA: u8 = 1;
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

/// The body of a request. It depends on nothing but its arguments and stands in an order of its own, so
/// that what is sent again is the same.
pub(super) fn request(batch: &[&Measurement], writer: Writer, format: &Format) -> Vec<u8> {
    let mut out = Message::default();
    // Three messages begin here, one in another: their first fields are all that is in front.
    let begin = out.at();
    attribute(&mut out, resource::ATTRIBUTES, "service.name", SERVICE);
    attribute(&mut out, resource::ATTRIBUTES, "service.version", VERSION);
    attribute(&mut out, resource::ATTRIBUTES, "service.instance.id", &writer.text());
    out.enclose(resource_metrics::RESOURCE, begin);

    let metrics = out.at();
    out.text(instrumentation_scope::NAME, SERVICE);
    out.text(instrumentation_scope::VERSION, VERSION);
    out.enclose(scope_metrics::SCOPE, metrics);
    for measurements in sorted(batch).chunk_by(|one, next| one.name == next.name) {
        format.metric(&mut out, measurements, false);
        format.metric(&mut out, measurements, true);
    }
    out.enclose(resource_metrics::SCOPE_METRICS, metrics);
    out.enclose(export_metrics_service_request::RESOURCE_METRICS, begin);
    out.finish()
}

/// By name, source and second. A few hundred at most: put in their places one by one.
fn sorted<'a>(batch: &[&'a Measurement]) -> Vec<&'a Measurement> {
    fn key(measurement: &Measurement) -> (&str, &str, i64) {
        (&measurement.name, &measurement.source, measurement.time)
    }
    let mut sorted: Vec<&Measurement> = Vec::new();
    for measurement in batch {
        let place = sorted.partition_point(|other| key(other) <= key(measurement));
        sorted.insert(place, measurement);
    }
    sorted
}

impl Format {
    /// One of the two metrics of measurements of one name: their sums, or their counts.
    fn metric(&self, out: &mut Message, measurements: &[&Measurement], is_count: bool) {
        let metric = out.at();
        let Some(first) = measurements.first() else { return };
        out.raw(&first.name);
        if is_count {
            out.raw(COUNT);
        }
        out.enclose(metric::NAME, metric);
        out.text(metric::UNIT, if is_count { EVENT } else { self.unit });

        let data = out.at();
        let is_gauge = self.profile == Profile::Gauge;
        let points = if is_gauge { gauge::DATA_POINTS } else { sum::DATA_POINTS };
        // The sum of nothing: a 0.0 would make a positive zero of a negative one.
        let mut value = -0.0;
        for (place, one) in measurements.iter().enumerate() {
            // Exact up to 2^53 events.
            #[allow(clippy::cast_precision_loss)]
            let own = if is_count { one.samples.count as f64 } else { one.samples.sum };
            value += own;
            // Of equal points in one request a store keeps one, so they are added up.
            let next = measurements.get(place + 1);
            if next.is_some_and(|next| (&next.source, next.time) == (&one.source, one.time)) {
                continue;
            }
            let point = out.at();
            self.point(out, one, value);
            out.enclose(points, point);
            value = -0.0;
        }
        if is_gauge {
            out.enclose(metric::GAUGE, data);
        } else {
            out.small(sum::AGGREGATION_TEMPORALITY, DELTA);
            let is_monotonic = is_count || self.profile == Profile::Monotonic;
            out.small(sum::IS_MONOTONIC, is_monotonic.into());
            out.enclose(metric::SUM, data);
        }
        out.enclose(scope_metrics::METRICS, metric);
    }

    /// The point of a measurement, or of the last of several that are one.
    fn point(&self, out: &mut Message, one: &Measurement, value: f64) {
        let Measurement { source, time, .. } = one;
        let nanoseconds = |second: i64| u64::try_from(second).unwrap_or_default() * NANOSECONDS;
        let start = nanoseconds(time - i64::from(self.interval));
        out.fixed64(number_data_point::START_TIME_UNIX_NANO, start);
        out.fixed64(number_data_point::TIME_UNIX_NANO, nanoseconds(*time));
        out.double(number_data_point::AS_DOUBLE, value);
        // Whoever has no source has no attribute.
        if !source.is_empty() {
            attribute(out, number_data_point::ATTRIBUTES, "source", source);
        }
    }
}

/// A text under a key.
fn attribute(out: &mut Message, field: u32, key: &str, value: &str) {
    let attribute = out.at();
    out.text(key_value::KEY, key);
    let begin = out.at();
    out.text(any_value::STRING_VALUE, value);
    out.enclose(key_value::VALUE, begin);
    out.enclose(field, attribute);
}
