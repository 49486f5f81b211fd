//! Measurements of one metric, source and interval become one.
//!
//! Librato keeps only the last of two values for one second unless the metric aggregates, so this is what makes counts
//! right and not a saving alone.

use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::measurement::Measurement;

/// Collects measurements, in order of first appearance.
#[derive(Debug)]
pub struct Rollup {
    interval: i64,
    not_before: i64,
    /// Places of what further samples are added to. Senders choose names; how many there are is bounded by a request or
    /// a batch of the queue.
    places: FxHashMap<Key, usize>,
    /// The first spelling is the one that is sent.
    measurements: Vec<Measurement>,
}

/// What one measurement is about: Librato ignores case in names and sources.
#[derive(Debug)]
struct Key {
    name: Rc<str>,
    source: Rc<str>,
    /// First second of the interval.
    begin: i64,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.begin == other.begin && is_same(&self.name, &other.name) && is_same(&self.source, &other.source)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i64(self.begin);
        hash_ignoring_case(&self.name, state);
        // Without a source of its own it is the name, which need not be hashed twice.
        if !is_same(&self.name, &self.source) {
            hash_ignoring_case(&self.source, state);
        }
    }
}

/// Returns whether two texts are the same but for case, which those of one request mostly share.
fn is_same(one: &Rc<str>, other: &Rc<str>) -> bool {
    Rc::ptr_eq(one, other) || one.eq_ignore_ascii_case(other)
}

fn hash_ignoring_case(text: &str, state: &mut impl Hasher) {
    for chunk in text.as_bytes().chunks(64) {
        let mut lower = [0; 64];
        let lower = lower.get_mut(..chunk.len()).unwrap_or_default();
        lower.copy_from_slice(chunk);
        lower.make_ascii_lowercase();
        state.write(lower);
    }
    // As `str` ends its own, so that no two texts are like one.
    state.write_u8(0xff);
}

impl Rollup {
    /// Collects by intervals of so many seconds (`ROLLUP_SECONDS`), aligned to 1970. An interval is named by its first
    /// second, or by `not_before` when it began before what the destination takes.
    #[must_use]
    pub fn new(interval: u32, not_before: i64) -> Self {
        let interval = i64::from(interval.max(1));
        Self { interval, not_before, places: FxHashMap::default(), measurements: Vec::new() }
    }

    /// Adds a measurement and returns which one of [`Self::finish`] holds it.
    pub fn add(&mut self, measurement: &Measurement) -> usize {
        let begin = measurement.time - measurement.time.rem_euclid(self.interval);
        let next = self.measurements.len();
        let Measurement { name, source, samples, .. } = measurement;
        let key = Key { name: Rc::clone(name), source: Rc::clone(source), begin };
        match self.places.entry(key) {
            Entry::Vacant(slot) => _ = slot.insert(next),
            Entry::Occupied(mut slot) => {
                let held = self.measurements.get_mut(*slot.get());
                match held.and_then(|held| Some((held.samples.merged(*samples)?, held))) {
                    Some((merged, held)) => {
                        held.samples = merged;
                        return *slot.get();
                    }
                    // A sum out of range would be refused with all it holds: begin another.
                    None => _ = slot.insert(next),
                }
            }
        }
        let time = begin.max(self.not_before.min(measurement.time));
        self.measurements.push(Measurement { time, ..measurement.clone() });
        next
    }

    /// Collects all of a list. Returns the collected measurements, and for each of the list which one holds it.
    pub fn of<'m>(
        measurements: impl Iterator<Item = &'m Measurement>,
        interval: u32,
        not_before: i64,
    ) -> (Vec<Measurement>, Vec<usize>) {
        let mut rollup = Self::new(interval, not_before);
        let most = measurements.size_hint().1.unwrap_or_default();
        rollup.places.reserve(most);
        rollup.measurements.reserve(most);
        let places = measurements.map(|measurement| rollup.add(measurement)).collect();
        (rollup.finish(), places)
    }

    /// Returns the collected measurements.
    #[must_use]
    pub fn finish(self) -> Vec<Measurement> {
        self.measurements
    }
}
