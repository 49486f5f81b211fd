//! The messages of OTLP 1.9 that are needed, with the fields that are needed of them. Names and numbers are those of
//! `opentelemetry/proto/{collector/metrics,metrics,resource,common}/v1`; fields that a reader meets and that are not
//! here are skipped, as protobuf has it.

use prost::{Message, Oneof};

/// `collector.metrics.v1.ExportMetricsServiceRequest`: the body of a request.
#[derive(Clone, PartialEq, Message)]
pub struct ExportRequest {
    /// One for each sender: here there is one.
    #[prost(message, repeated, tag = "1")]
    pub resource_metrics: Vec<ResourceMetrics>,
}

/// `metrics.v1.ResourceMetrics`.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceMetrics {
    /// Who sends.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// One for each piece of code that measures: here there is one.
    #[prost(message, repeated, tag = "2")]
    pub scope_metrics: Vec<ScopeMetrics>,
}

/// `resource.v1.Resource`.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// What identifies it.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// `metrics.v1.ScopeMetrics`.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeMetrics {
    /// What measures.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// The metrics.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
}

/// `common.v1.InstrumentationScope`.
#[derive(Clone, PartialEq, Message)]
pub struct Scope {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// `metrics.v1.Metric`.
#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it is, for people.
    #[prost(string, tag = "2")]
    pub description: String,
    /// Unit, by UCUM.
    #[prost(string, tag = "3")]
    pub unit: String,
    /// The points.
    #[prost(oneof = "Data", tags = "5, 7")]
    pub data: Option<Data>,
}

/// The kinds of `metrics.v1.Metric.data` that are sent.
#[derive(Clone, PartialEq, Oneof)]
pub enum Data {
    /// Numbers as they are.
    #[prost(message, tag = "5")]
    Gauge(Gauge),
    /// Numbers that add up.
    #[prost(message, tag = "7")]
    Sum(Sum),
}

/// `metrics.v1.Gauge`.
#[derive(Clone, PartialEq, Message)]
pub struct Gauge {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberDataPoint>,
}

/// `metrics.v1.AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA`.
pub const DELTA: i32 = 1;

/// `metrics.v1.Sum`.
#[derive(Clone, PartialEq, Message)]
pub struct Sum {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberDataPoint>,
    /// Whether a point is what came since the last one, or since the beginning.
    #[prost(int32, tag = "2")]
    pub aggregation_temporality: i32,
    /// Whether values are never negative.
    #[prost(bool, tag = "3")]
    pub is_monotonic: bool,
}

/// `metrics.v1.NumberDataPoint`. Its value is always a double.
#[derive(Clone, PartialEq, Message)]
pub struct NumberDataPoint {
    /// What tells this series from others of the metric.
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<KeyValue>,
    /// When the interval began, in nanoseconds since 1970; the moment itself is outside.
    #[prost(fixed64, tag = "2")]
    pub start_time_unix_nano: u64,
    /// When it ended; the moment itself is inside.
    #[prost(fixed64, tag = "3")]
    pub time_unix_nano: u64,
    /// The value. A member of a `oneof`, so that a zero is written too.
    #[prost(double, optional, tag = "4")]
    pub as_double: Option<f64>,
}

/// `common.v1.KeyValue`.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// Key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// `common.v1.AnyValue`, of which only strings are sent.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// A string.
    #[prost(string, optional, tag = "1")]
    pub string_value: Option<String>,
}

impl KeyValue {
    /// A string under a key.
    #[must_use]
    pub fn text(key: &str, value: &str) -> Self {
        let string_value = Some(value.to_owned());
        Self { key: key.to_owned(), value: Some(AnyValue { string_value }) }
    }
}

/// `collector.metrics.v1.ExportMetricsServiceResponse`: the body of a 200.
#[derive(Clone, PartialEq, Message)]
pub struct ExportResponse {
    /// What was wrong although the request was taken.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// `collector.metrics.v1.ExportMetricsPartialSuccess`.
#[derive(Clone, PartialEq, Message)]
pub struct PartialSuccess {
    /// How many points were refused.
    #[prost(int64, tag = "1")]
    pub rejected_data_points: i64,
    /// Why, or a warning when none was.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// `google.rpc.Status`: the body of a refusal. OTLP leaves the code to HTTP.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// What is wrong.
    #[prost(string, tag = "2")]
    pub message: String,
}
