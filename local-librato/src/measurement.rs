//! Valid measurements.

use serde_json::{Map, Value};

/// Source of measurements that were sent without one.
pub const UNASSIGNED: &str = "unassigned";

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value at a point in time.
    Gauge,
    /// A number that only grows, until it restarts.
    Counter,
}

impl Kind {
    /// Returns the name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        }
    }
}

/// One value, or the summary of several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Number of values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The minimum, unless a summary came without it.
    pub min: Option<f64>,
    /// The maximum, unless a summary came without it.
    pub max: Option<f64>,
    /// The sum of the squares, unless a summary came without it.
    pub sum_squares: Option<f64>,
}

impl Sample {
    /// Creates the sample of a plain `value`.
    #[must_use]
    pub fn single(value: f64) -> Self {
        Self { count: 1, sum: value, min: Some(value), max: Some(value), sum_squares: Some(value * value) }
    }

    /// Merges two samples. A minimum or maximum that one of them lacks is taken from the other; a sum of squares that
    /// one of them lacks is dropped, because it cannot be estimated.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            sum: self.sum + other.sum,
            min: pick_present(self.min, other.min, f64::min),
            max: pick_present(self.max, other.max, f64::max),
            sum_squares: self.sum_squares.zip(other.sum_squares).map(|(a, b)| a + b),
        }
    }

    /// Returns the mean, which for a plain value is the value itself.
    #[must_use]
    pub fn average(&self) -> f64 {
        // The rounding of counts above 2^53 is negligible.
        #[allow(clippy::cast_precision_loss)]
        let count = self.count as f64;
        self.sum / count
    }
}

/// Picks one of two values, where both are there.
fn pick_present(a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(pick(a, b)),
        (one, other) => one.or(other),
    }
}

/// Properties of a metric that a request may set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// Name shown to people.
    pub display_name: Option<String>,
    /// Description of the metric.
    pub description: Option<String>,
    /// Seconds between reports, and the interval of service-side aggregation.
    pub period: Option<u32>,
    /// Attributes for drawing and summarising the metric.
    pub attributes: Map<String, Value>,
}

/// A measurement that is valid by itself. Only the [store](crate::store) knows whether its metric is of another type.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Type of the metric, by the list that it was sent in.
    pub kind: Kind,
    /// Name of the metric, as it was written.
    pub name: String,
    /// Its source, as it was written.
    pub source: String,
    /// Epoch seconds.
    pub time: i64,
    /// The value or values.
    pub sample: Sample,
    /// Properties of the metric, used only if this measurement creates it.
    pub properties: Properties,
}
