//! The numbers that deliveries write under, by the seconds of their points.

use std::collections::BTreeMap;

/// A number that is given to any further delivery of a second, so that a ledger stays small.
pub(super) const MAX_WRITERS: u32 = 65_535;

/// Most words of all sets together: four megabytes, or 35 words for each second of three hours, which are 2,240
/// deliveries of every second.
const MAX_WORDS: usize = 500_000;

/// Numbers that are taken, as a set of bits for each second.
#[derive(Debug, Default)]
pub(super) struct Writers {
    seconds: BTreeMap<u32, Vec<u64>>,
    words: usize,
}

impl Writers {
    /// Returns the smallest number that is not taken at any of these seconds. So there are never many: no more than
    /// deliveries that hold points of the same seconds.
    pub(super) fn free_number(&self, seconds: &[u32]) -> u32 {
        let sets: Vec<_> = seconds.iter().filter_map(|second| self.seconds.get(second)).collect();
        for word in 0..=MAX_WRITERS / u64::BITS {
            let place = word as usize;
            let taken = sets.iter().filter_map(|set| set.get(place)).fold(0, |all, set| all | set);
            if taken != u64::MAX {
                return word * u64::BITS + taken.trailing_ones();
            }
        }
        MAX_WRITERS
    }

    /// Takes a number at these seconds.
    pub(super) fn take(&mut self, number: u32, seconds: &[u32]) {
        let (word, bit) = ((number / u64::BITS) as usize, number % u64::BITS);
        let mut set = vec![0; word];
        set.push(1 << bit);
        for second in seconds {
            self.add(*second, &set);
        }
        self.bound();
    }

    /// Takes sets that [`Self::sets`] gave.
    pub(super) fn take_sets(&mut self, sets: &[(u32, Vec<u64>)]) {
        for (second, set) in sets {
            self.add(*second, set);
        }
        self.bound();
    }

    /// Returns the seconds with their sets.
    pub(super) fn sets(&self) -> impl Iterator<Item = (u32, &[u64])> {
        self.seconds.iter().map(|(second, set)| (*second, set.as_slice()))
    }

    /// Returns the bytes that a record of the sets takes.
    pub(super) fn bytes(&self) -> usize {
        self.seconds.len() * 8 + self.words * 8
    }

    /// Forgets the seconds before this one.
    pub(super) fn forget_before(&mut self, second: u32) {
        while self.seconds.first_key_value().is_some_and(|(first, _)| *first < second) {
            self.forget_first();
        }
    }

    fn add(&mut self, second: u32, set: &[u64]) {
        let known = self.seconds.entry(second).or_default();
        if known.len() < set.len() {
            self.words += set.len() - known.len();
            known.resize(set.len(), 0);
        }
        for (word, more) in known.iter_mut().zip(set) {
            *word |= more;
        }
    }

    /// Where there are too many, the oldest seconds go: the fewest deliveries are still to come for them.
    fn bound(&mut self) {
        while self.words > MAX_WORDS {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let first = self.seconds.pop_first();
        self.words -= first.map_or(0, |(_, set)| set.len());
    }
}
