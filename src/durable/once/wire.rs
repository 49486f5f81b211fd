//! Questions and answers as they travel, and records as they are logged.
//!
//! Each begins with a letter of its own and has exactly the length that its contents say; an answer says how much was
//! asked. What is cut, empty or meant for somebody else is never taken for an answer, nor is the answer to a question
//! of which only a part has come.

use super::writers::MAX_WRITERS;
use super::{Claim, LedgerStats};
use crate::durable::parcel::{EventId, Owner};

/// A question to a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Asks who owns these events.
    Claim(Vec<(EventId, Owner)>),
    /// Tells that these events are delivered or set aside.
    Done(Vec<EventId>),
    /// Allocates a writer id that no other delivery uses for these Unix seconds.
    AllocateWriter(Vec<u32>),
    /// Asks how full the ledger is.
    Stats,
}

/// An answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// One for each claim.
    Claim(Vec<Claim>),
    /// So many events are remembered to be done.
    Done(usize),
    /// The number that was allocated, at so many seconds.
    WriterAllocated(u32, usize),
    /// How full the ledger is.
    Stats(LedgerStats),
}

/// A change of a ledger, as it is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// These events wait for their owners.
    Claimed(Vec<(EventId, Owner)>),
    /// These events are delivered or set aside.
    Done(Vec<EventId>),
    /// This number is taken at these Unix seconds.
    WriterAllocated(u32, Vec<u32>),
    /// The numbers of these bits are taken at these Unix seconds.
    Writers(Vec<(u32, Vec<u64>)>),
}

const CLAIM: u8 = b'c';
const DONE: u8 = b'd';
const WRITER: u8 = b'w';
const STATS: u8 = b's';
const WRITER_ALLOCATED: u8 = b'n';
const WRITERS: u8 = b'b';

impl Question {
    /// Returns the bytes: a letter, then 20 or 12 for each event, or 4 for each second.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Claim(claims) => write_claims(claims),
            Self::Done(ids) => write_ids(ids),
            Self::AllocateWriter(seconds) => tagged(WRITER, seconds.iter().map(|second| second.to_le_bytes())),
            Self::Stats => vec![STATS],
        }
    }

    /// Reads such bytes; `None` when they are none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match *tag {
            CLAIM => read_claims(rest).map(Self::Claim),
            DONE => read_ids(rest).map(Self::Done),
            WRITER => read_numbers(rest).map(Self::AllocateWriter),
            STATS => rest.is_empty().then_some(Self::Stats),
            _ => None,
        }
    }
}

impl Answer {
    /// Returns the bytes: the question's letter, then 1 for each claim, or 8 for each number.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Claim(claims) => tagged(CLAIM, claims.iter().map(|claim| [u8::from(*claim == Claim::Granted)])),
            Self::Done(count) => write_counts(DONE, &[*count as u64]),
            Self::WriterAllocated(number, count) => write_counts(WRITER, &[u64::from(*number), *count as u64]),
            Self::Stats(LedgerStats { tracked, pending }) => write_counts(STATS, &[*tracked, *pending]),
        }
    }

    /// Reads the answer to a question; `None` for anything that is not exactly one.
    #[must_use]
    pub fn read(bytes: &[u8], question: &Question) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match (*tag, question) {
            (CLAIM, Question::Claim(claims)) if rest.len() == claims.len() => {
                let claim = |byte: &u8| match byte {
                    0 => Some(Claim::Settled),
                    1 => Some(Claim::Granted),
                    _ => None,
                };
                rest.iter().map(claim).collect::<Option<_>>().map(Self::Claim)
            }
            (DONE, Question::Done(ids)) => {
                let [count] = read_counts(rest)?;
                (count == ids.len() as u64).then_some(Self::Done(ids.len()))
            }
            (WRITER, Question::AllocateWriter(seconds)) => {
                let [number, count] = read_counts(rest)?;
                let number = u32::try_from(number).ok().filter(|number| *number <= MAX_WRITERS)?;
                let count = Some(seconds.len()).filter(|seconds| *seconds as u64 == count)?;
                Some(Self::WriterAllocated(number, count))
            }
            (STATS, Question::Stats) => {
                let [tracked, pending] = read_counts(rest)?;
                (pending <= tracked).then_some(Self::Stats(LedgerStats { tracked, pending }))
            }
            _ => None,
        }
    }
}

impl Record {
    /// Returns the bytes: a letter, then as [`Question::write`], or a number before the seconds, or for each second 4
    /// of it, 4 of the number of words, and 8 for each.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Claimed(claims) => write_claims(claims),
            Self::Done(ids) => write_ids(ids),
            Self::WriterAllocated(number, seconds) => {
                let numbers = std::iter::once(number).chain(seconds);
                tagged(WRITER_ALLOCATED, numbers.map(|number| number.to_le_bytes()))
            }
            Self::Writers(sets) => {
                let mut bytes = vec![WRITERS];
                for (second, set) in sets {
                    bytes.extend_from_slice(&second.to_le_bytes());
                    let words = u32::try_from(set.len()).unwrap_or_default();
                    bytes.extend_from_slice(&words.to_le_bytes());
                    bytes.extend(set.iter().flat_map(|word| word.to_le_bytes()));
                }
                bytes
            }
        }
    }

    /// Reads such bytes; `None` when they are none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match *tag {
            CLAIM => read_claims(rest).map(Self::Claimed),
            DONE => read_ids(rest).map(Self::Done),
            WRITER_ALLOCATED => {
                let numbers = read_numbers(rest)?;
                let (number, seconds) = numbers.split_first()?;
                (*number <= MAX_WRITERS).then(|| Self::WriterAllocated(*number, seconds.to_vec()))
            }
            WRITERS => read_sets(rest).map(Self::Writers),
            _ => None,
        }
    }
}

fn tagged<const N: usize>(tag: u8, parts: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(parts.into_iter().flatten());
    bytes
}

fn write_counts(tag: u8, counts: &[u64]) -> Vec<u8> {
    tagged(tag, counts.iter().map(|count| count.to_le_bytes()))
}

fn read_counts<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (counts, rest) = bytes.as_chunks::<8>();
    let counts = counts.iter().map(|count| u64::from_le_bytes(*count)).collect::<Vec<_>>();
    rest.is_empty().then_some(counts)?.try_into().ok()
}

fn write_claims(claims: &[(EventId, Owner)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + claims.len() * 20);
    bytes.push(CLAIM);
    for (id, owner) in claims {
        bytes.extend_from_slice(&id.0);
        bytes.extend_from_slice(&owner.to_le_bytes());
    }
    bytes
}

fn read_claims(bytes: &[u8]) -> Option<Vec<(EventId, Owner)>> {
    let (claims, rest) = bytes.as_chunks::<20>();
    let claims = claims.iter().map(|chunk| {
        let (id, owner) = chunk.split_first_chunk::<12>()?;
        Some((EventId(*id), Owner::from_le_bytes(owner.try_into().ok()?)))
    });
    rest.is_empty().then_some(claims.collect::<Option<_>>()?)
}

fn write_ids(ids: &[EventId]) -> Vec<u8> {
    tagged(DONE, ids.iter().map(|id| id.0))
}

fn read_ids(bytes: &[u8]) -> Option<Vec<EventId>> {
    let (ids, rest) = bytes.as_chunks::<12>();
    rest.is_empty().then(|| ids.iter().map(|id| EventId(*id)).collect())
}

fn read_numbers(bytes: &[u8]) -> Option<Vec<u32>> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| numbers.iter().map(|number| u32::from_le_bytes(*number)).collect())
}

fn read_sets(mut bytes: &[u8]) -> Option<Vec<(u32, Vec<u64>)>> {
    let mut sets = Vec::new();
    while !bytes.is_empty() {
        let (second, rest) = bytes.split_first_chunk::<4>()?;
        let (words, rest) = rest.split_first_chunk::<4>()?;
        let words = usize::try_from(u32::from_le_bytes(*words)).ok()?;
        if words > (MAX_WRITERS / u64::BITS) as usize + 1 {
            return None;
        }
        let (set, rest) = rest.split_at_checked(words * 8)?;
        let (set, _) = set.as_chunks::<8>();
        let set = set.iter().map(|word| u64::from_le_bytes(*word)).collect();
        sets.push((u32::from_le_bytes(*second), set));
        bytes = rest;
    }
    Some(sets)
}
