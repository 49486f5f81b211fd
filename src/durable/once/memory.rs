//! Events that are remembered: those that wait, with their owners, and those that are done, as compact as can be.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::durable::parcel::{EventId, Owner};

/// What is known of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It waits to be delivered by this owner.
    Waiting(Owner),
    /// It is delivered or set aside.
    Done,
}

/// Events that wait, in the order in which they came, each with its owner and the minute in which it was claimed.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    events: FxHashMap<Key, (Owner, u32)>,
    /// Some of these are done meanwhile.
    order: VecDeque<(Key, u32)>,
}

/// An event within a ledger: the 64 bits of its identity that do not tell its sender.
pub(super) type Key = u64;

/// Returns the key of an event.
pub(super) fn key_of(id: EventId) -> Key {
    let [_, _, _, _, rest @ ..] = id.0;
    Key::from_le_bytes(rest)
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns for how many events there is room.
    pub(super) fn room(&self) -> usize {
        self.events.capacity()
    }

    pub(super) fn owner(&self, key: Key) -> Option<Owner> {
        self.events.get(&key).map(|(owner, _)| *owner)
    }

    /// Remembers an event, and forgets the oldest beyond so many.
    pub(super) fn insert(&mut self, key: Key, owner: Owner, minute: u32, most: usize) {
        self.events.insert(key, (owner, minute));
        self.order.push_back((key, minute));
        while self.events.len() > most.max(1) {
            self.forget_first();
        }
        // What is done leaves its place behind.
        if self.order.len() > 2 * self.events.len() + 1_000 {
            let events = &self.events;
            self.order.retain(|(key, minute)| events.get(key).is_some_and(|(_, held)| held == minute));
        }
    }

    pub(super) fn remove(&mut self, key: Key) {
        if !self.events.is_empty() {
            self.events.remove(&key);
        }
    }

    /// Forgets the events of the minutes before this one.
    pub(super) fn forget_before(&mut self, minute: u32) {
        while self.order.front().is_some_and(|(_, first)| *first < minute) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((key, minute)) = self.order.pop_front()
            && self.events.get(&key).is_some_and(|(_, held)| *held == minute)
        {
            self.events.remove(&key);
        }
    }

    /// Forgets the oldest beyond so many, and gives their room back.
    pub(super) fn shrink(&mut self, most: usize) {
        while self.events.len() > most {
            self.forget_first();
        }
        let events = &self.events;
        self.order.retain(|(key, minute)| events.get(key).is_some_and(|(_, held)| held == minute));
        self.order.shrink_to_fit();
        self.events.shrink_to_fit();
    }

    /// Returns the events, the oldest first, with owner and minute.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, Owner, u32)> {
        let live = |(key, minute): &(Key, u32)| {
            let (owner, held) = self.events.get(key)?;
            (held == minute).then_some((*key, *owner, *minute))
        };
        self.order.iter().filter_map(live)
    }
}

/// Parts of a table of done events: it grows one by one, so that growing takes little room.
pub(super) const PARTS: usize = 256;

/// Bits of a slot that hold the minute: 2,048 minutes are more than a ledger remembers.
const MINUTE_BITS: u32 = 11;
const MINUTES: u64 = 1 << MINUTE_BITS;

/// A slot that holds none.
const EMPTY: u64 = 0;

/// Events that are done, with the minute, in eight bytes each: three bits of a key are left out, so that of 2^61 keys
/// one is taken for another. Open addressing.
#[derive(Debug)]
pub(super) struct Done {
    parts: Vec<Part>,
    /// How many were done in each minute, the first first.
    minutes: VecDeque<(u32, usize)>,
    len: usize,
}

#[derive(Debug, Clone, Default)]
struct Part {
    slots: Vec<u64>,
    len: usize,
}

impl Part {
    /// Returns the place where a key is, or where it would be.
    fn place(&self, key: u64) -> usize {
        // The upper bits choose the place, whatever the size (<https://lemire.me/blog/2016/06/27/>).
        let size = self.slots.len() as u128;
        let home = usize::try_from((u128::from(key) * size) >> (u64::BITS - MINUTE_BITS)).unwrap_or_default();
        let places = (home..self.slots.len()).chain(0..home);
        let is_found = |slot: u64| slot == EMPTY || slot >> MINUTE_BITS == key;
        places.into_iter().find(|place| self.slots.get(*place).is_none_or(|slot| is_found(*slot))).unwrap_or_default()
    }

    fn contains(&self, key: u64) -> bool {
        self.slots.get(self.place(key)).is_some_and(|slot| *slot != EMPTY)
    }

    /// Adds a slot, and returns whether its key was not there. The part is four fifths full at the most.
    fn add(&mut self, slot: u64) -> bool {
        if (self.len + 1) * 5 > self.slots.len() * 4 {
            self.rebuild(self.slots.len() + self.slots.len() / 4 + 8, |_| true);
        }
        self.put(slot)
    }

    fn put(&mut self, slot: u64) -> bool {
        let place = self.place(slot >> MINUTE_BITS);
        let free = self.slots.get_mut(place).filter(|found| **found == EMPTY);
        let is_news = free.is_some();
        if let Some(free) = free {
            *free = slot;
            self.len += 1;
        }
        is_news
    }

    /// Keeps some in so many slots.
    fn rebuild(&mut self, size: usize, is_kept: impl Fn(u64) -> bool) {
        let before = std::mem::replace(&mut self.slots, vec![EMPTY; size]);
        self.len = 0;
        for slot in before.into_iter().filter(|slot| *slot != EMPTY && is_kept(*slot)) {
            self.put(slot);
        }
    }
}

impl Default for Done {
    fn default() -> Self {
        Self { parts: vec![Part::default(); PARTS], minutes: VecDeque::new(), len: 0 }
    }
}

impl Done {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns for how many events there is room.
    pub(super) fn room(&self) -> usize {
        self.parts.iter().map(|part| part.slots.len()).sum()
    }

    /// Makes room for so many events.
    pub(super) fn reserve(&mut self, events: usize) {
        for part in &mut self.parts {
            let size = events / PARTS * 4 / 3;
            if size > part.slots.len() {
                part.rebuild(size, |_| true);
            }
        }
    }

    /// Returns the first minute of which events are remembered.
    pub(super) fn since(&self) -> Option<u32> {
        self.minutes.front().map(|(minute, _)| *minute)
    }

    /// Returns the last one.
    pub(super) fn last(&self) -> Option<u32> {
        self.minutes.back().map(|(minute, _)| *minute)
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        let (part, key) = split(key);
        self.parts.get(part).is_some_and(|part| part.contains(key))
    }

    /// Remembers an event, and forgets the oldest minutes beyond so many. Returns whether it was not there.
    pub(super) fn insert(&mut self, key: Key, minute: u32, most: usize) -> bool {
        let (part, key) = split(key);
        let is_news = self.put(part, (key << MINUTE_BITS) | (u64::from(minute) % MINUTES), minute);
        if self.len > most.max(1) {
            self.make_room(most);
        }
        is_news
    }

    fn put(&mut self, part: usize, slot: u64, minute: u32) -> bool {
        if !self.parts.get_mut(part).is_some_and(|part| part.add(slot)) {
            return false;
        }
        self.len += 1;
        let place = match self.minutes.back() {
            Some((last, _)) if *last < minute => Err(self.minutes.len()),
            _ => self.minutes.binary_search_by_key(&minute, |(minute, _)| *minute),
        };
        match place {
            Ok(place) => {
                if let Some((_, count)) = self.minutes.get_mut(place) {
                    *count += 1;
                }
            }
            Err(place) => self.minutes.insert(place, (minute, 1)),
        }
        true
    }

    /// Forgets the oldest minutes beyond so many events, and gives their room back.
    pub(super) fn shrink(&mut self, most: usize) {
        if self.len > most {
            self.make_room(most);
        }
        for part in &mut self.parts {
            let size = part.len * 4 / 3;
            if size < part.slots.len() {
                part.rebuild(size, |_| true);
            }
        }
    }

    /// Forgets the oldest minutes, at least a sixty-fourth, since it takes a look at all of them.
    fn make_room(&mut self, most: usize) {
        let mut left = self.len;
        let mut first = 0;
        for (minute, count) in &self.minutes {
            if left + most / 64 <= most {
                break;
            }
            (left, first) = (left - count, minute + 1);
        }
        self.forget_before(first);
    }

    /// Forgets the events of the minutes before this one.
    pub(super) fn forget_before(&mut self, minute: u32) {
        let mut gone = vec![false; usize::try_from(MINUTES).unwrap_or_default()];
        let mut is_any = false;
        while let Some((first, count)) = self.minutes.front().copied()
            && first < minute
        {
            self.minutes.pop_front();
            self.len -= count;
            if let Some(gone) = gone.get_mut(usize::try_from(u64::from(first) % MINUTES).unwrap_or_default()) {
                (*gone, is_any) = (true, true);
            }
        }
        for part in self.parts.iter_mut().filter(|_| is_any) {
            let is_kept = |slot: u64| {
                let minute = usize::try_from(slot % MINUTES).unwrap_or_default();
                !gone.get(minute).copied().unwrap_or_default()
            };
            part.rebuild(part.slots.len(), is_kept);
        }
    }

    /// Returns the slots of a part, as [`Self::take`] takes them.
    pub(super) fn slots(&self, part: usize) -> impl Iterator<Item = u64> {
        let part = self.parts.get(part);
        part.into_iter().flat_map(|part| &part.slots).copied().filter(|slot| *slot != EMPTY)
    }

    /// Takes slots of a part that were written by this minute, but for those before the first.
    pub(super) fn take(&mut self, part: usize, slots: &[u64], written: u32, first: u32) {
        for slot in slots.iter().filter(|slot| **slot != EMPTY) {
            let age = (u64::from(written) + MINUTES - slot % MINUTES) % MINUTES;
            let minute = written.saturating_sub(u32::try_from(age).unwrap_or_default());
            if minute >= first {
                self.put(part % PARTS, *slot, minute);
            }
        }
    }
}

/// Splits a key into its part and what a slot holds of it, which is never zero.
fn split(key: Key) -> (usize, u64) {
    let part = usize::try_from(key % PARTS as u64).unwrap_or_default();
    (part, (key >> MINUTE_BITS).max(1))
}
