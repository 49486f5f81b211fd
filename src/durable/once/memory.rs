//! Bounded table of events, in the order in which they are forgotten.
//!
//! Two linked lists run through one table: the events that wait and those that are done, each the oldest first. Every
//! operation takes the same time however many events there are.

use indexmap::IndexMap;

use crate::durable::parcel::{EventId, Owner};

/// The place of no event.
const NOWHERE: u32 = u32::MAX;

/// An event that is remembered.
#[derive(Debug, Clone, Copy)]
struct Held {
    owner: Owner,
    /// The hour in which it was claimed, or was done.
    hour: u32,
    /// Its neighbours in its list.
    before: u32,
    after: u32,
    is_done: bool,
}

/// The ends of a list.
#[derive(Debug)]
struct List {
    first: u32,
    last: u32,
    len: usize,
}

impl List {
    const EMPTY: Self = Self { first: NOWHERE, last: NOWHERE, len: 0 };
}

/// What is known of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It waits to be delivered by this owner.
    Waiting(Owner),
    /// It is delivered or set aside.
    Done,
}

/// Table of events.
#[derive(Debug)]
pub(super) struct Memory {
    events: IndexMap<EventId, Held>,
    waiting: List,
    done: List,
    max_events: usize,
}

impl Memory {
    /// Returns an empty table for so many events.
    pub(super) fn new(max_events: usize) -> Self {
        Self {
            events: IndexMap::new(),
            waiting: List::EMPTY,
            done: List::EMPTY,
            // A place must fit its type, and one event is always remembered.
            max_events: max_events.clamp(1, NOWHERE as usize),
        }
    }

    /// Returns the number of events.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns the number of events that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len
    }

    /// Returns what is known of an event.
    pub(super) fn get(&self, id: &EventId) -> Option<Known> {
        let held = self.events.get(id)?;
        Some(if held.is_done { Known::Done } else { Known::Waiting(held.owner) })
    }

    /// Remembers that an event waits for its owner, whatever was known of it.
    pub(super) fn hold(&mut self, id: EventId, owner: Owner, hour: u32) {
        if let Some(place) = self.events.get_index_of(&id) {
            self.remove(place_of(place));
        }
        self.insert(id, Held { owner, hour, before: NOWHERE, after: NOWHERE, is_done: false });
    }

    /// Remembers that an event is done, as the latest. Returns whether it does: one that was forgotten while it waited
    /// takes no room from those that wait.
    pub(super) fn finish(&mut self, id: EventId, hour: u32) -> bool {
        match self.events.get_index_of(&id).map(place_of) {
            Some(place) => {
                self.unlink(place);
                if let Some(held) = self.at(place) {
                    held.is_done = true;
                    held.hour = hour;
                }
                self.link(place);
            }
            None if self.is_full() && self.done.len == 0 => return false,
            None => {
                let held = Held { owner: 0, hour, before: NOWHERE, after: NOWHERE, is_done: true };
                self.insert(id, held);
            }
        }
        true
    }

    /// Forgets the events of the hours before this one.
    pub(super) fn forget_before(&mut self, hour: u32) {
        for is_done in [true, false] {
            loop {
                let first = self.list(is_done).first;
                if self.at(first).is_none_or(|held| held.hour >= hour) {
                    break;
                }
                self.remove(first);
            }
        }
    }

    /// Returns the events that are done or those that wait, the oldest first, with their hours and owners.
    pub(super) fn iter(&self, is_done: bool) -> impl Iterator<Item = (u32, (EventId, Owner))> {
        let mut next = if is_done { self.done.first } else { self.waiting.first };
        std::iter::from_fn(move || {
            let (id, held) = self.events.get_index(next as usize)?;
            next = held.after;
            Some((held.hour, (*id, held.owner)))
        })
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.max_events
    }

    /// Inserts an event that is not there yet, and forgets the oldest one where there is no room: a done one if there
    /// is any, since of what is done nothing can be lost.
    fn insert(&mut self, id: EventId, held: Held) {
        while self.is_full() {
            let oldest = if self.done.len > 0 { self.done.first } else { self.waiting.first };
            self.remove(oldest);
        }
        let place = place_of(self.events.len());
        self.events.insert(id, held);
        self.link(place);
    }

    fn at(&mut self, place: u32) -> Option<&mut Held> {
        self.events.get_index_mut(place as usize).map(|(_, held)| held)
    }

    fn list(&mut self, is_done: bool) -> &mut List {
        if is_done { &mut self.done } else { &mut self.waiting }
    }

    /// Appends the event of a place to its list.
    fn link(&mut self, place: u32) {
        let Some(is_done) = self.at(place).map(|held| held.is_done) else { return };
        let list = self.list(is_done);
        let before = list.last;
        list.len += 1;
        if let Some(held) = self.at(place) {
            held.before = before;
            held.after = NOWHERE;
        }
        self.join(is_done, before, place);
        self.join(is_done, place, NOWHERE);
    }

    /// Takes the event of a place out of its list.
    fn unlink(&mut self, place: u32) {
        let Some(Held { before, after, is_done, .. }) = self.at(place).copied() else { return };
        self.list(is_done).len -= 1;
        self.join(is_done, before, after);
    }

    /// Makes two places neighbours; nowhere is before the first and after the last.
    fn join(&mut self, is_done: bool, before: u32, after: u32) {
        match self.at(before) {
            Some(held) => held.after = after,
            None => self.list(is_done).first = after,
        }
        match self.at(after) {
            Some(held) => held.before = before,
            None => self.list(is_done).last = before,
        }
    }

    fn remove(&mut self, place: u32) {
        self.unlink(place);
        self.events.swap_remove_index(place as usize);
        // The table's last event is in this place now, and its neighbours must know.
        if let Some(Held { before, after, is_done, .. }) = self.at(place).copied() {
            self.join(is_done, before, place);
            self.join(is_done, place, after);
        }
    }
}

/// Places fit, as there are never more events than [`Memory::max_events`].
fn place_of(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(NOWHERE)
}
