//! Measurements of one metric, source and interval become one.
//!
//! Librato keeps only the last of two values for one second unless the metric aggregates, so this is
//! what makes counts right and not a saving alone.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::measurement::Measurement;

/// Collects measurements, in order of first appearance.
#[derive(Debug)]
pub struct Rollup {
    interval: i64,
    not_before: i64,
    /// The first spelling is the one that is sent.
    index: HashMap<Interval, usize, FxBuildHasher>,
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
            index: HashMap::default(),
            measurements: Vec::new(),
        }
    }

    /// Adds a measurement and tells which one of [`Self::finish`] holds it.
    pub fn add(&mut self, mut measurement: Measurement) -> usize {
        let begin = measurement.time - measurement.time.rem_euclid(self.interval);
        let key = Interval {
            name: Rc::clone(&measurement.name),
            source: Rc::clone(&measurement.source),
            begin,
        };
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

/// One interval of one metric and source, in whose names Librato ignores case.
#[derive(Debug)]
struct Interval {
    name: Rc<str>,
    source: Rc<str>,
    begin: i64,
}

impl PartialEq for Interval {
    fn eq(&self, other: &Self) -> bool {
        self.begin == other.begin
            && self.name.eq_ignore_ascii_case(&other.name)
            && self.source.eq_ignore_ascii_case(&other.source)
    }
}

impl Eq for Interval {}

impl Hash for Interval {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i64(self.begin);
        hash_ignoring_case(&self.name, state);
        // Without a source of its own it is the name, which need not be hashed twice.
        if !self.name.eq_ignore_ascii_case(&self.source) {
            hash_ignoring_case(&self.source, state);
        }
    }
}

/// Eight bytes at a time. The bit that makes letters small changes other characters too, which makes a
/// few more names share a hash.
fn hash_ignoring_case(text: &str, state: &mut impl Hasher) {
    const SMALL: u64 = 0x2020_2020_2020_2020;
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    for word in words {
        state.write_u64(u64::from_le_bytes(*word) | SMALL);
    }
    let last = rest.iter().fold(0, |last, byte| last << 8 | u64::from(*byte));
    state.write_u64(last | SMALL);
}
