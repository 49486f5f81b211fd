//! The messages of OTLP 1.9 as `prost` writes and reads them: what the project's own writer and reader are
//! held against. Names and numbers are those of
//! `opentelemetry/proto/{collector/metrics,metrics,resource,common}/v1`.
#![allow(dead_code)]

use prost::{Message, Oneof};

/// `collector.metrics.v1.ExportMetricsServiceRequest`: the body of a request.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportRequest {
    /// One for each sender: here there is one.
    #[prost(message, repeated, tag = "1")]
    pub(crate) resource_metrics: Vec<ResourceMetrics>,
}

/// `metrics.v1.ResourceMetrics`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResourceMetrics {
    /// Who sends.
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<Resource>,
    /// One for each piece of code that measures: here there is one.
    #[prost(message, repeated, tag = "2")]
    pub(crate) scope_metrics: Vec<ScopeMetrics>,
}

/// `resource.v1.Resource`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Resource {
    /// What identifies it.
    #[prost(message, repeated, tag = "1")]
    pub(crate) attributes: Vec<KeyValue>,
}

/// `metrics.v1.ScopeMetrics`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ScopeMetrics {
    /// What measures.
    #[prost(message, optional, tag = "1")]
    pub(crate) scope: Option<Scope>,
    /// The metrics.
    #[prost(message, repeated, tag = "2")]
    pub(crate) metrics: Vec<Metric>,
}

/// `common.v1.InstrumentationScope`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Scope {
    /// Its name.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub(crate) version: String,
}

/// `metrics.v1.Metric`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metric {
    /// Name.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Unit, by UCUM.
    #[prost(string, tag = "3")]
    pub(crate) unit: String,
    /// The points.
    #[prost(oneof = "Data", tags = "5, 7")]
    pub(crate) data: Option<Data>,
}

/// The kinds of `metrics.v1.Metric.data` that are sent.
#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Data {
    /// Numbers as they are.
    #[prost(message, tag = "5")]
    Gauge(Gauge),
    /// Numbers that add up.
    #[prost(message, tag = "7")]
    Sum(Sum),
}

/// `metrics.v1.Gauge`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Gauge {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub(crate) data_points: Vec<NumberDataPoint>,
}

/// `metrics.v1.AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA`.
pub(crate) const DELTA: i32 = 1;

/// `metrics.v1.Sum`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sum {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub(crate) data_points: Vec<NumberDataPoint>,
    /// Whether a point is what came since the last one, or since the beginning.
    #[prost(int32, tag = "2")]
    pub(crate) aggregation_temporality: i32,
    /// Whether values are never negative.
    #[prost(bool, tag = "3")]
    pub(crate) is_monotonic: bool,
}

/// `metrics.v1.NumberDataPoint`. Its value is always a double.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NumberDataPoint {
    /// What tells this series from others of the metric.
    #[prost(message, repeated, tag = "7")]
    pub(crate) attributes: Vec<KeyValue>,
    /// When the interval began, in nanoseconds since 1970; the moment itself is outside.
    #[prost(fixed64, tag = "2")]
    pub(crate) start_time_unix_nano: u64,
    /// When it ended; the moment itself is inside.
    #[prost(fixed64, tag = "3")]
    pub(crate) time_unix_nano: u64,
    /// The value. A member of a `oneof`, so that a zero is written too.
    #[prost(double, optional, tag = "4")]
    pub(crate) as_double: Option<f64>,
}

/// `common.v1.KeyValue`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyValue {
    /// Key.
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    /// Value.
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<AnyValue>,
}

/// `common.v1.AnyValue`, of which only strings are sent.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AnyValue {
    /// A string.
    #[prost(string, optional, tag = "1")]
    pub(crate) string_value: Option<String>,
}

impl KeyValue {
    /// A string under a key.
    pub(crate) fn text(key: &str, value: &str) -> Self {
        let string_value = Some(value.to_owned());
        Self { key: key.to_owned(), value: Some(AnyValue { string_value }) }
    }
}

/// `collector.metrics.v1.ExportMetricsServiceResponse`: the body of a 200.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportResponse {
    /// What was wrong although the request was taken.
    #[prost(message, optional, tag = "1")]
    pub(crate) partial_success: Option<PartialSuccess>,
}

/// `collector.metrics.v1.ExportMetricsPartialSuccess`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PartialSuccess {
    /// How many points were refused.
    #[prost(int64, tag = "1")]
    pub(crate) rejected_data_points: i64,
    /// Why, or a warning when none was.
    #[prost(string, tag = "2")]
    pub(crate) error_message: String,
}

/// `google.rpc.Status`: the body of a refusal. OTLP leaves the code to HTTP.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    /// Which kind of fault.
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    /// What is wrong.
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}
