//! Measurements of one metric, source and interval become one.
//!
//! Librato keeps only the last of two values for one second unless the metric aggregates, so this is
//! what makes counts right and not a saving alone.

use crate::index::{Index, hash};
use crate::measurement::Measurement;

/// Collects measurements, in order of first appearance.
#[derive(Debug)]
pub struct Rollup {
    interval: i64,
    not_before: i64,
    /// Which measurement is of a name, source and interval.
    index: Index,
    /// The first spelling is the one that is sent.
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
            index: Index::default(),
            measurements: Vec::new(),
        }
    }

    /// Adds a measurement and tells which one of [`Self::finish`] holds it.
    pub fn add(&mut self, mut measurement: Measurement) -> usize {
        let begin = measurement.time - measurement.time.rem_euclid(self.interval);
        measurement.time = begin.max(self.not_before.min(measurement.time));
        let interval = begin..begin.saturating_add(self.interval);
        // Librato ignores case in names and sources.
        let Measurement { name, source, samples, .. } = &measurement;
        let mut hashed = hash(begin.cast_unsigned(), name.as_bytes());
        // Without a source of its own it is the name, which need not be hashed twice.
        if !name.eq_ignore_ascii_case(source) {
            hashed = hash(hashed, source.as_bytes());
        }
        let measurements = &mut self.measurements;
        let next = measurements.len();
        let place = self.index.place(hashed, next, &mut |place| {
            let Some(held) = measurements.get_mut(*place) else { return false };
            let is_same = interval.contains(&held.time)
                && name.eq_ignore_ascii_case(&held.name)
                && source.eq_ignore_ascii_case(&held.source);
            if is_same {
                match held.samples.merged(*samples) {
                    Some(merged) => held.samples = merged,
                    // A sum out of range would be refused with all it holds: begin another.
                    None => *place = next,
                }
            }
            is_same
        });
        if place == next {
            self.measurements.push(measurement);
        }
        place
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
