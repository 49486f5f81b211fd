//! Measurements of one metric, source and interval become one.
//!
//! Librato keeps only the last of two values for one second unless the metric aggregates, so this is
//! what makes counts right and not a saving alone.

use std::collections::HashMap;

use crate::measurement::Measurement;

/// Collects measurements, in order of first appearance.
#[derive(Debug)]
pub struct Rollup {
    interval: i64,
    not_before: i64,
    /// Librato ignores case in names and sources; the first spelling is the one that is sent.
    index: HashMap<(String, String, i64), usize>,
    measurements: Vec<Measurement>,
}

impl Rollup {
    /// Collects by intervals of so many seconds (`ROLLUP_SECONDS`), aligned to 1970. An interval is
    /// named by its first second, or by `not_before` when it began before what the destination takes.
    #[must_use]
    pub fn new(interval: u32, not_before: i64) -> Self {
        Self {
            interval: i64::from(interval.max(1)),
            not_before,
            index: HashMap::new(),
            measurements: Vec::new(),
        }
    }

    /// Adds a measurement and tells which one of [`Self::finish`] holds it.
    pub fn add(&mut self, mut measurement: Measurement) -> usize {
        let begin = measurement.time - measurement.time.rem_euclid(self.interval);
        let key =
            (measurement.name.to_ascii_lowercase(), measurement.source.to_ascii_lowercase(), begin);
        measurement.time = begin.max(self.not_before.min(measurement.time));
        let next = self.measurements.len();
        let slot = self.index.entry(key).or_insert(next);
        if let Some(held) = self.measurements.get_mut(*slot) {
            if let Some(merged) = held.samples.merged(measurement.samples) {
                held.samples = merged;
                return *slot;
            }
            // A sum out of range would be refused with all it holds: begin another.
            *slot = next;
        }
        self.measurements.push(measurement);
        next
    }

    /// Collects all of a list. Tells the collected measurements, and for each of the list which one
    /// holds it.
    pub fn of<'m>(
        measurements: impl Iterator<Item = &'m Measurement>,
        interval: u32,
        not_before: i64,
    ) -> (Vec<Measurement>, Vec<usize>) {
        let mut rollup = Self::new(interval, not_before);
        let places = measurements.map(|measurement| rollup.add(measurement.clone())).collect();
        (rollup.finish(), places)
    }

    /// The collected measurements.
    #[must_use]
    pub fn finish(self) -> Vec<Measurement> {
        self.measurements
    }
}
