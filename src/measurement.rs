//! What an event becomes, before any destination's format.

use std::rc::Rc;

/// Values of at least this magnitude are refused by Librato: "base-10 exponent above 126" aborts a
/// whole request (Librato API documentation, `POST /v1/metrics`).
pub const MAGNITUDE_LIMIT: f64 = 1e127;

/// Whether Librato takes a number.
#[must_use]
pub fn is_in_range(value: f64) -> bool {
    value.abs() < MAGNITUDE_LIMIT
}

/// One or more samples of one metric and source in one interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Metric name, of Librato's characters and length.
    pub name: Rc<str>,
    /// Source, likewise; where none is given it is the name, and the same text.
    pub source: Rc<str>,
    /// First second of the interval, since 1970.
    pub time: i64,
    /// The values.
    pub samples: Samples,
}

/// The values of one interval, as far as a gauge can tell them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Samples {
    /// How many; at least 1.
    pub count: u64,
    /// Their sum; the value itself when there is one.
    pub sum: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The sum of their squares, which may lie beyond [`MAGNITUDE_LIMIT`].
    pub sum_squares: f64,
}

impl Samples {
    /// A single value.
    #[must_use]
    pub fn one(value: f64) -> Self {
        // `-0` would be written as `-0.0`, which some readers take for text.
        let value = value + 0.0;
        Self { count: 1, sum: value, min: value, max: value, sum_squares: value * value }
    }

    /// Both together, or `None` when their sum is beyond what Librato takes.
    #[must_use]
    pub fn merged(self, other: Self) -> Option<Self> {
        let sum = self.sum + other.sum;
        is_in_range(sum).then(|| Self {
            count: self.count.saturating_add(other.count),
            sum,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            sum_squares: self.sum_squares + other.sum_squares,
        })
    }
}
