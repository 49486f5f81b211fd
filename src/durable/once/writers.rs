//! The numbers that deliveries write under.
//!
//! A number is given to one delivery at a time, and to the next only when that one is settled, so that nothing comes
//! again under it after newer points. One whose consumer died comes free when its lease ends.

use std::collections::BTreeMap;

use super::wire::{WriterRequest, WriterSettlement};
use crate::durable::parcel::Owner;

/// A number that is given to any further delivery of a second, so that a ledger stays small.
pub(super) const MAX_WRITERS: u32 = 65_535;

/// Most words of all sets together: four megabytes, or 35 words for each second of three hours, which are 2,240
/// deliveries of every second.
const MAX_WORDS: usize = 500_000;

/// Most leases: one for each delivery under way and each message that waits to be sent again as it was. Beyond that,
/// the one that would end first ends. They take a megabyte.
const MAX_LEASES: usize = 20_000;

/// How long the number of what is to be sent again as it was is kept for it, in seconds: a destination that wants
/// numbers takes nothing that is an hour older ([`crate::otlp::WINDOW`]), and it may be as old when it is stored.
const SEAL_LEASE: u32 = 7_200;

/// Numbers that are taken.
#[derive(Debug, Default)]
pub(super) struct Writers {
    /// By the seconds of their points, as sets of bits.
    seconds: BTreeMap<u32, Vec<u64>>,
    words: usize,
    /// The latest second that was written in order under each.
    latest: Vec<u32>,
    /// Who has which, and until when, in seconds since 1970.
    leases: BTreeMap<(u32, Owner), u32>,
}

/// Who has which number, and until when.
pub(super) type Lease = (u32, Owner, u32);

impl Writers {
    /// Returns the smallest number that is nobody's now, is not taken at any of these seconds, and has written nothing
    /// in order that is newer. So there are never many: no more than deliveries that are under way, wait to be sent
    /// again, or hold points of the same seconds.
    pub(super) fn free_number(&self, request: &WriterRequest, now: u32) -> u32 {
        let mut taken = Vec::new();
        for set in request.seconds.iter().filter_map(|second| self.seconds.get(second)) {
            unite(&mut taken, set);
        }
        let is_taken = |number: u32| {
            let word = taken.get((number / u64::BITS) as usize);
            word.is_some_and(|word| word >> (number % u64::BITS) & 1 == 1)
        };
        let latest = |number: u32| self.latest.get(number as usize).copied().unwrap_or_default();
        let is_leased =
            |number: u32| self.leases.range((number, 0)..=(number, Owner::MAX)).any(|(_, until)| *until > now);
        (0..MAX_WRITERS)
            .find(|number| !is_taken(*number) && latest(*number) < request.first && !is_leased(*number))
            .unwrap_or(MAX_WRITERS)
    }

    /// Takes a number for a delivery, until this second at the latest.
    pub(super) fn take(&mut self, number: u32, request: &WriterRequest, until: u32) {
        let (word, bit) = ((number / u64::BITS) as usize, number % u64::BITS);
        let mut set = vec![0; word];
        set.push(1 << bit);
        for second in &request.seconds {
            self.add(*second, &set);
        }
        self.bound();
        self.wrote(number, request.last);
        self.hold((number, request.holder, until));
    }

    /// Returns until when numbers are kept from now on for what is to be sent again as it was.
    pub(super) fn seal_until(now: u32) -> u32 {
        now.saturating_add(SEAL_LEASE)
    }

    /// Takes that leases have ended and others have begun. Returns whether that changes anything.
    pub(super) fn settle(&mut self, settlement: &WriterSettlement, until: u32) -> bool {
        for (number, holder) in &settlement.held {
            self.hold((*number, *holder, until));
        }
        let mut is_news = !settlement.held.is_empty();
        for lease in &settlement.released {
            is_news |= self.leases.remove(lease).is_some();
        }
        is_news
    }

    /// Takes sets that [`Self::sets`] gave.
    pub(super) fn take_sets(&mut self, sets: &[(u32, Vec<u64>)]) {
        for (second, set) in sets {
            self.add(*second, set);
        }
        self.bound();
    }

    /// Takes what [`Self::latest`] and [`Self::leases`] gave.
    pub(super) fn take_leases(&mut self, latest: &[u32], leases: &[Lease]) {
        for (number, second) in (0..).zip(latest) {
            self.wrote(number, *second);
        }
        for lease in leases {
            self.hold(*lease);
        }
    }

    /// Returns the seconds with their sets.
    pub(super) fn sets(&self) -> impl Iterator<Item = (u32, &[u64])> {
        self.seconds.iter().map(|(second, set)| (*second, set.as_slice()))
    }

    /// Returns the latest second that was written in order under each number.
    pub(super) fn latest(&self) -> &[u32] {
        &self.latest
    }

    /// Returns the leases.
    pub(super) fn leases(&self) -> impl Iterator<Item = Lease> {
        self.leases.iter().map(|((number, holder), until)| (*number, *holder, *until))
    }

    /// Returns the bytes that records of all this take.
    pub(super) fn bytes(&self) -> usize {
        (self.seconds.len() + self.words) * 8 + self.latest.len() * 4 + self.leases.len() * 16
    }

    /// Forgets the seconds before this one, and the leases that end before it.
    pub(super) fn forget_before(&mut self, second: u32) {
        while self.seconds.first_key_value().is_some_and(|(first, _)| *first < second) {
            self.forget_first();
        }
        while self.latest.pop_if(|latest| *latest < second).is_some() {}
        self.leases.retain(|_, until| *until >= second);
    }

    fn hold(&mut self, (number, holder, until): Lease) {
        self.leases.insert((number, holder), until);
        if self.leases.len() > MAX_LEASES
            && let Some(first) = self.leases.iter().min_by_key(|(_, until)| **until).map(|(lease, _)| *lease)
        {
            self.leases.remove(&first);
        }
    }

    fn wrote(&mut self, number: u32, last: u32) {
        let place = number as usize;
        if last > 0 && self.latest.len() <= place {
            self.latest.resize(place + 1, 0);
        }
        if let Some(latest) = self.latest.get_mut(place) {
            *latest = last.max(*latest);
        }
    }

    fn add(&mut self, second: u32, set: &[u64]) {
        let known = self.seconds.entry(second).or_default();
        let before = known.len();
        unite(known, set);
        self.words += known.len() - before;
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

/// Adds a set to another.
fn unite(all: &mut Vec<u64>, set: &[u64]) {
    if all.len() < set.len() {
        all.resize(set.len(), 0);
    }
    for (word, more) in all.iter_mut().zip(set) {
        *word |= more;
    }
}
