//! Which parcel an event belongs to, so that it counts once however often it is sent.
//!
//! The ledger lives in a Durable Object: one thread, so that two consumers that ask at the same time
//! get different answers, and storage that survives the isolate. It is kept in memory and written as
//! a log of records, one row for each question: a row is what storage is paid by, and a question is
//! about all events of up to a hundred messages.
//!
//! What is lost when it fails is nothing: events that cannot be claimed stay in the queue.

use std::collections::HashMap;

use super::parcel::{EventId, Owner};

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

#[derive(Debug, Clone, Copy)]
struct Held {
    owner: Owner,
    hour: u32,
    is_done: bool,
}

/// A question to a ledger, as it travels and as it is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whose are these?
    Claim(Vec<(EventId, Owner)>),
    /// These are delivered or set aside.
    Done(Vec<EventId>),
}

const CLAIM: u8 = b'c';
const DONE: u8 = b'd';

impl Question {
    /// The bytes: a letter, then 20 or 12 for each event.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Claim(claims) => {
                let mut bytes = vec![CLAIM];
                for (id, owner) in claims {
                    bytes.extend(id.0);
                    bytes.extend(owner.to_le_bytes());
                }
                bytes
            }
            Self::Done(ids) => {
                let mut bytes = vec![DONE];
                bytes.extend(ids.iter().flat_map(|id| id.0));
                bytes
            }
        }
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
            _ => None,
        }
    }
}

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

/// Who owns which event.
#[derive(Debug, Default)]
pub struct Ledger {
    events: HashMap<EventId, Held>,
    done: usize,
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
                        Held { owner: *owner, hour, is_done: false }
                    });
                    let is_theirs = held.owner == *owner && !held.is_done;
                    answers.push(if is_theirs { Claim::Granted } else { Claim::Settled });
                }
                (answers, (!fresh.is_empty()).then_some(Question::Claim(fresh)))
            }
            Question::Done(ids) => {
                let mut fresh = Vec::new();
                for id in ids {
                    if let Some(held) = self.events.get_mut(id).filter(|held| !held.is_done) {
                        held.is_done = true;
                        self.done += 1;
                        fresh.push(*id);
                    }
                }
                (Vec::new(), (!fresh.is_empty()).then_some(Question::Done(fresh)))
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
        self.events.retain(|_, held| held.hour >= first);
        while self.events.len() > MAX_EVENTS && first < now {
            first += 1;
            self.events.retain(|_, held| held.hour >= first);
        }
        self.done = self.events.values().filter(|held| held.is_done).count();
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
