//! Which parcel an event belongs to, so that it counts once however often it is sent.
//!
//! The ledger lives in a Durable Object: one thread, so that two consumers that ask at the same time
//! get different answers, and storage that survives the isolate. It is kept in memory and written as
//! a log of records, one row for each question: a row is what storage is paid by, and a question is
//! about all events of up to a hundred messages.
//!
//! What is lost when it fails is nothing: events that cannot be claimed stay in the queue.

use indexmap::IndexMap;

use super::parcel::{EventId, Owner};
use crate::measurement::Measurement;

/// How long an event is remembered after it was first seen, in hours. Segment promises 24; the hour
/// in which it came counts whole.
pub const HOURS: u32 = 25;

/// Most events that one ledger remembers: what fits the memory of a Durable Object with room for the
/// table to grow. Beyond, the oldest hour is forgotten early.
pub const MAX_EVENTS: usize = 1_000_000;

/// The hour of a moment in seconds since 1970.
#[must_use]
pub fn hour_of(second: i64) -> u32 {
    u32::try_from(second.div_euclid(3_600)).unwrap_or_default()
}

/// The seconds of these measurements, each once.
#[must_use]
pub fn seconds(measurements: &[Measurement]) -> Vec<u32> {
    let mut seconds = Vec::new();
    for second in measurements.iter().filter_map(|one| u32::try_from(one.time).ok()) {
        if let Err(place) = seconds.binary_search(&second) {
            seconds.insert(place, second);
        }
    }
    seconds
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is the claimant's, and has not been delivered: deliver it.
    Granted,
    /// Another parcel has it, or it has been delivered or set aside: there is nothing to do.
    Settled,
    /// The ledger could not be asked.
    Unknown,
}

/// An event in 24 bytes, of which there are many.
#[derive(Debug)]
struct Held {
    /// The hour, doubled, and one more where the event is delivered or set aside.
    hour: u32,
    owner: Owner,
}

impl Held {
    fn is_done(&self) -> bool {
        self.hour & 1 == 1
    }

    fn is_as_young_as(&self, hour: u32) -> bool {
        self.hour >> 1 >= hour
    }
}

/// A question to a ledger, as it travels and as it is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whose are these?
    Claim(Vec<(EventId, Owner)>),
    /// These are delivered or set aside.
    Done(Vec<EventId>),
    /// What number does a delivery write under that holds points of these seconds since 1970?
    Write(Vec<u32>),
    /// This one: what is logged of the answer.
    Wrote(u32, Vec<u32>),
}

const CLAIM: u8 = b'c';
const DONE: u8 = b'd';
const WRITE: u8 = b'w';
const WROTE: u8 = b'n';

impl Question {
    /// The bytes: a letter, then 20 or 12 for each event, or 4 for each second or number.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let seconds = match self {
            Self::Claim(claims) => {
                bytes.push(CLAIM);
                for (id, owner) in claims {
                    bytes.extend_from_slice(&id.0);
                    bytes.extend_from_slice(&owner.to_le_bytes());
                }
                return bytes;
            }
            Self::Done(ids) => {
                bytes.push(DONE);
                for id in ids {
                    bytes.extend_from_slice(&id.0);
                }
                return bytes;
            }
            Self::Write(seconds) => {
                bytes.push(WRITE);
                seconds
            }
            Self::Wrote(number, seconds) => {
                bytes.push(WROTE);
                bytes.extend_from_slice(&number.to_le_bytes());
                seconds
            }
        };
        for second in seconds {
            bytes.extend_from_slice(&second.to_le_bytes());
        }
        bytes
    }

    /// Reads such bytes; `None` when they are none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            CLAIM => {
                let (claims, rest) = rest.as_chunks::<20>();
                let claims = claims.iter().map(|chunk| {
                    let (id, owner) = chunk.split_at_checked(12)?;
                    Some((
                        EventId(id.try_into().ok()?),
                        Owner::from_le_bytes(owner.try_into().ok()?),
                    ))
                });
                rest.is_empty().then_some(claims.collect::<Option<_>>()?).map(Self::Claim)
            }
            DONE => {
                let (ids, rest) = rest.as_chunks::<12>();
                rest.is_empty().then(|| Self::Done(ids.iter().map(|id| EventId(*id)).collect()))
            }
            WRITE => numbers(rest).map(Self::Write),
            WROTE => {
                let numbers = numbers(rest)?;
                let (number, seconds) = numbers.split_first()?;
                (*number <= MAX_WRITERS).then(|| Self::Wrote(*number, seconds.to_vec()))
            }
            _ => None,
        }
    }
}

fn numbers(bytes: &[u8]) -> Option<Vec<u32>> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| numbers.iter().map(|number| u32::from_le_bytes(*number)).collect())
}

/// A number that is given to any further delivery of a second, so that a ledger stays small.
const MAX_WRITERS: u32 = 65_535;

/// The answers to the claims of a question, a byte each.
#[must_use]
pub fn write_answers(answers: &[Claim]) -> Vec<u8> {
    answers.iter().map(|answer| u8::from(*answer == Claim::Granted)).collect()
}

/// Reads them again.
#[must_use]
pub fn read_answers(bytes: &[u8]) -> Vec<Claim> {
    bytes.iter().map(|byte| if *byte == 1 { Claim::Granted } else { Claim::Settled }).collect()
}

/// The answer to a question, as it travels: a byte for each claim, or a number.
#[must_use]
pub fn write_answer(answers: &[Claim], logged: Option<&Question>) -> Vec<u8> {
    match logged {
        Some(Question::Wrote(number, _)) => number.to_le_bytes().to_vec(),
        _ => write_answers(answers),
    }
}

/// Reads a number again.
#[must_use]
pub fn read_number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_le_bytes)
}

/// How full a ledger is, as it travels.
#[must_use]
pub fn write_figures(Figures { events, waiting }: Figures) -> Vec<u8> {
    format!("[{events},{waiting}]").into_bytes()
}

/// Reads figures again.
#[must_use]
pub fn read_figures(bytes: &[u8]) -> Option<Figures> {
    let (events, waiting) = serde_json::from_slice(bytes).ok()?;
    Some(Figures { events, waiting })
}

/// Who owns which event.
#[derive(Debug, Default)]
pub struct Ledger {
    events: IndexMap<EventId, Held>,
    done: usize,
    /// The numbers that are taken, as a set of bits, by the second and in its order.
    writers: Vec<(u32, Vec<u64>)>,
}

/// How full a ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Events that it remembers.
    pub events: usize,
    /// Those among them that are neither delivered nor set aside: the backlog.
    pub waiting: usize,
}

impl Ledger {
    /// Answers a question. The second part is what is to be logged, so that [`Self::replay`] brings the
    /// ledger back to where it is; `None` when nothing has changed.
    pub fn ask(&mut self, question: &Question, hour: u32) -> (Vec<Claim>, Option<Question>) {
        match question {
            Question::Claim(claims) => {
                let mut fresh = Vec::new();
                let mut answers = Vec::with_capacity(claims.len());
                for (id, owner) in claims {
                    let held = self.events.entry(*id).or_insert_with(|| {
                        fresh.push((*id, *owner));
                        Held { owner: *owner, hour: hour << 1 }
                    });
                    let is_theirs = held.owner == *owner && !held.is_done();
                    answers.push(if is_theirs { Claim::Granted } else { Claim::Settled });
                }
                (answers, (!fresh.is_empty()).then_some(Question::Claim(fresh)))
            }
            Question::Done(ids) => {
                let mut fresh = Vec::new();
                for id in ids {
                    let held = self.events.get_mut(id);
                    if let Some(held) = held.filter(|held| !held.is_done()) {
                        held.hour |= 1;
                        self.done += 1;
                        fresh.push(*id);
                    }
                }
                (Vec::new(), (!fresh.is_empty()).then_some(Question::Done(fresh)))
            }
            Question::Write(seconds) => {
                let number = self.free_number(seconds);
                self.take(number, seconds);
                (Vec::new(), Some(Question::Wrote(number, seconds.clone())))
            }
            Question::Wrote(number, seconds) => {
                self.take(*number, seconds);
                (Vec::new(), None)
            }
        }
    }

    /// The smallest number that is not taken at any of these seconds. So there are never many: no more
    /// than deliveries that hold points of the same seconds.
    fn free_number(&self, seconds: &[u32]) -> u32 {
        let sets = seconds.iter().filter_map(|second| {
            let place = self.writers.binary_search_by_key(second, |(second, _)| *second).ok()?;
            self.writers.get(place).map(|(_, set)| set)
        });
        let sets: Vec<_> = sets.collect();
        for word in 0..=MAX_WRITERS / u64::BITS {
            let place = word as usize;
            let taken = sets.iter().filter_map(|set| set.get(place)).fold(0, |all, set| all | set);
            if taken != u64::MAX {
                return word * u64::BITS + taken.trailing_ones();
            }
        }
        MAX_WRITERS
    }

    fn take(&mut self, number: u32, seconds: &[u32]) {
        let (word, bit) = ((number / u64::BITS) as usize, number % u64::BITS);
        for second in seconds {
            let place = self.writers.binary_search_by_key(second, |(second, _)| *second);
            let place = place.unwrap_or_else(|place| {
                self.writers.insert(place, (*second, Vec::new()));
                place
            });
            let Some((_, set)) = self.writers.get_mut(place) else { continue };
            if set.len() <= word {
                set.resize(word + 1, 0);
            }
            if let Some(word) = set.get_mut(word) {
                *word |= 1 << bit;
            }
        }
    }

    /// Takes a logged question back in.
    pub fn replay(&mut self, logged: &Question, hour: u32) {
        _ = self.ask(logged, hour);
    }

    /// Forgets what is older than a day, and more where there is too much of it. Tells the first hour
    /// that is still remembered: the log before it can go.
    pub fn forget(&mut self, now: u32) -> u32 {
        let mut first = now.saturating_sub(HOURS - 1);
        self.events.retain(|_, held| held.is_as_young_as(first));
        while self.events.len() > MAX_EVENTS && first < now {
            first += 1;
            self.events.retain(|_, held| held.is_as_young_as(first));
        }
        self.writers.retain(|(second, _)| hour_of(i64::from(*second)) >= first);
        self.done = self.events.values().filter(|held| held.is_done()).count();
        first
    }

    /// How full it is.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures { events: self.events.len(), waiting: self.events.len() - self.done }
    }
}

/// Which of `shards` ledgers an event belongs to.
#[must_use]
pub fn shard(id: EventId, shards: u32) -> u32 {
    let [a, b, c, d, ..] = id.0;
    u32::from_le_bytes([a, b, c, d]) % shards.max(1)
}

/// What goes with each event, by the ledger to which the event belongs.
#[must_use]
pub fn by_shard<T>(events: impl Iterator<Item = (EventId, T)>, shards: u32) -> Vec<(u32, Vec<T>)> {
    let mut parts: Vec<(u32, Vec<T>)> = Vec::new();
    for (id, with) in events {
        let shard = shard(id, shards);
        let place = parts.binary_search_by_key(&shard, |(shard, _)| *shard);
        let place = place.unwrap_or_else(|place| {
            parts.insert(place, (shard, Vec::new()));
            place
        });
        if let Some((_, part)) = parts.get_mut(place) {
            part.push(with);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_ledger_answers_as_a_table_of_events_does(
            steps in prop::collection::vec((0..6, 0_u8..40, 0_u64..3, 0_u32..12), 0..200),
        ) {
            let (mut ledger, mut table, mut now) = (Ledger::default(), HashMap::new(), HOURS);
            for (kind, event, owner, hours) in steps {
                let id = EventId([event; 12]);
                match kind {
                    0 => {
                        now += hours;
                        let first = ledger.forget(now);
                        prop_assert_eq!(first, now - (HOURS - 1));
                        table.retain(|_, (_, hour, _)| *hour >= first);
                    }
                    1..=2 => {
                        let held = table.get_mut(&id).filter(|(_, _, is_done)| !is_done);
                        let (_, logged) = ledger.ask(&Question::Done(vec![id]), now);
                        prop_assert_eq!(logged.is_some(), held.is_some());
                        if let Some((_, _, is_done)) = held {
                            *is_done = true;
                        }
                    }
                    _ => {
                        let is_new = !table.contains_key(&id);
                        let (held, _, is_done) = *table.entry(id).or_insert((owner, now, false));
                        let (answers, logged) = ledger.ask(&Question::Claim(vec![(id, owner)]), now);
                        let is_theirs = held == owner && !is_done;
                        prop_assert_eq!(answers, [if is_theirs { Claim::Granted } else { Claim::Settled }]);
                        prop_assert_eq!(logged.is_some(), is_new);
                    }
                }
                let waiting = table.values().filter(|(_, _, is_done)| !is_done).count();
                prop_assert_eq!(ledger.figures(), Figures { events: table.len(), waiting });
            }
        }
    }
}
