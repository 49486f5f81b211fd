//! What a measurement is, once it has been found valid.

use serde_json::{Map, Value};

/// The source under which Librato lists measurements that came without one.
pub const UNASSIGNED: &str = "unassigned";

/// The two types of metric that take measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value at a point in time.
    Gauge,
    /// A number that only grows within a run.
    Counter,
}

impl Kind {
    /// The word that the API uses.
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
    /// How many values are summarised.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest, unless a summary came without it.
    pub min: Option<f64>,
    /// The largest, unless a summary came without it.
    pub max: Option<f64>,
    /// The sum of the squares, unless a summary came without it.
    pub sum_squares: Option<f64>,
}

impl Sample {
    /// The sample that a plain `value` is.
    #[must_use]
    pub fn single(value: f64) -> Self {
        Self {
            count: 1,
            sum: value,
            min: Some(value),
            max: Some(value),
            sum_squares: Some(value * value),
        }
    }

    /// Both together. A smallest or largest value that one of them lacks is taken from the other; a
    /// sum of squares that one of them lacks is lost, because half of one is no estimate.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            sum: self.sum + other.sum,
            min: either(self.min, other.min, f64::min),
            max: either(self.max, other.max, f64::max),
            sum_squares: self.sum_squares.zip(other.sum_squares).map(|(a, b)| a + b),
        }
    }

    /// The mean, which for a plain value is the value itself.
    #[must_use]
    pub fn average(&self) -> f64 {
        // A count is a whole number of samples: past 2^53 of them nothing of this is measurable.
        #[allow(clippy::cast_precision_loss)]
        let count = self.count as f64;
        self.sum / count
    }
}

fn either(a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(pick(a, b)),
        (one, other) => one.or(other),
    }
}

/// The properties of a metric that a request may set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// Name shown to people.
    pub display_name: Option<String>,
    /// What the metric measures.
    pub description: Option<String>,
    /// Seconds between reports, and the interval of service-side aggregation.
    pub period: Option<u32>,
    /// How the metric is drawn and summarised.
    pub attributes: Map<String, Value>,
}

/// A measurement that breaks no rule of its own. Whether its metric is of another type only the
/// [store](crate::store) can tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The type of the list that it stood in.
    pub kind: Kind,
    /// Name of the metric, as it was written.
    pub name: String,
    /// Its source, as it was written.
    pub source: String,
    /// Epoch seconds.
    pub time: i64,
    /// What was measured.
    pub sample: Sample,
    /// Used only if this measurement creates its metric.
    pub properties: Properties,
}
