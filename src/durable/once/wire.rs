//! Questions and answers as they travel, and records as they are logged, by [`borsh`]: each begins with a letter of its
//! own and says how much it holds, so that what is cut, empty or meant for somebody else cannot be read.

use borsh::{BorshDeserialize, BorshSerialize};

use super::memory::{Key, key_of};
use super::writers::{Lease, MAX_WRITERS};
use super::{Claim, LedgerStats};
use crate::durable::parcel::{EventId, Owner};

/// A question to a ledger.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Question {
    /// Asks who owns these events.
    Claim(Vec<(EventId, Owner)>) = b'c',
    /// Tells that these events are delivered or set aside; and whether that may be logged later, because no message
    /// with one of them comes again.
    Done(Vec<EventId>, bool) = b'd',
    /// Allocates a writer id.
    AllocateWriter(WriterRequest) = b'a',
    /// Tells which writer ids are free and which are not yet.
    SettleWriters(WriterSettlement) = b'v',
    /// Asks how full the ledger is.
    Stats = b's',
}

/// A delivery that wants a writer id.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WriterRequest {
    /// Whose it is to be until [`WriterSettlement`] tells otherwise.
    pub holder: Owner,
    /// For so many seconds at the most.
    pub lease: u32,
    /// The first and the last second of the points that must not come after newer ones of their series; `u32::MAX` and 0
    /// where there are none.
    pub first: u32,
    /// See `first`.
    pub last: u32,
    /// The seconds of all points, since 1970.
    pub seconds: Vec<u32>,
}

/// What became of writer ids after a delivery, each with its holder.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WriterSettlement {
    /// Everything under them is delivered or set aside.
    pub released: Vec<(u32, Owner)>,
    /// Something is to be sent again under them.
    pub held: Vec<(u32, Owner)>,
}

/// An answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Answer {
    /// One for each claim.
    Claim(Vec<Claim>) = b'c',
    /// So many events are remembered to be done.
    Done(usize) = b'd',
    /// The number that was allocated, at so many seconds.
    WriterAllocated(u32, usize) = b'a',
    /// So many leases are known to have ended or begun.
    WritersSettled(usize) = b'v',
    /// How full the ledger is.
    Stats(LedgerStats) = b's',
}

/// A change of a ledger, as it is logged.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Record {
    /// What became of events in a minute since 1970, or in the hour in which it was logged where there is none.
    Events(Option<u32>, Change) = b'e',
    /// Slots of the table of done events as it was in this minute, by parts.
    Slots(u32, Vec<(u32, Vec<u64>)>) = b'q',
    /// This number is taken, until this second at the latest.
    WriterLeased(u32, WriterRequest, u32) = b'l',
    /// These leases have ended, and the others end at this second.
    WritersSettled(WriterSettlement, u32) = b'h',
    /// The latest second that each number has written in order, and leases.
    Leases(Vec<u32>, Vec<Lease>) = b'o',
    /// The numbers of these bits are taken at these Unix seconds.
    Writers(Vec<(u32, Vec<u64>)>) = b'b',
}

/// What became of events.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Change {
    /// These are delivered or set aside.
    pub(super) done: Vec<Key>,
    /// These wait for their owners. One owner's, who mostly has several, stand together.
    pub(super) claimed: Vec<(Owner, Vec<Key>)>,
}

impl Change {
    /// Adds an event that waits for its owner.
    pub(super) fn claim(&mut self, key: Key, owner: Owner) {
        match self.claimed.last_mut() {
            Some((last, keys)) if *last == owner => keys.push(key),
            _ => self.claimed.push((owner, vec![key])),
        }
    }
}

/// Nothing that is written fails to be: it goes to memory, and no length is beyond 32 bits.
fn write(value: &impl BorshSerialize) -> Vec<u8> {
    borsh::to_vec(value).unwrap_or_default()
}

impl Question {
    /// Returns the bytes.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        write(self)
    }

    /// Reads such bytes; `None` when they are none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        borsh::from_slice(bytes).ok()
    }
}

impl Answer {
    /// Returns the bytes.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        write(self)
    }

    /// Reads the answer to a question; `None` for anything that is not exactly one: to a question of which only a part
    /// has come, say.
    #[must_use]
    pub fn read(bytes: &[u8], question: &Question) -> Option<Self> {
        let answer = borsh::from_slice(bytes).ok()?;
        let is_answered = match (&answer, question) {
            (Self::Claim(answers), Question::Claim(claims)) => {
                answers.len() == claims.len() && !answers.contains(&Claim::Unknown)
            }
            (Self::Done(count), Question::Done(ids, _)) => *count == ids.len(),
            (Self::WriterAllocated(number, count), Question::AllocateWriter(WriterRequest { seconds, .. })) => {
                *number <= MAX_WRITERS && *count == seconds.len()
            }
            (Self::WritersSettled(count), Question::SettleWriters(WriterSettlement { released, held })) => {
                *count == released.len() + held.len()
            }
            (Self::Stats(LedgerStats { tracked, pending, .. }), Question::Stats) => pending <= tracked,
            _ => false,
        };
        is_answered.then_some(answer)
    }
}

impl Record {
    /// Returns the bytes.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        write(self)
    }

    /// Reads such bytes; `None` when they are none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let is_in_range = |record: &Self| match record {
            Self::WriterLeased(number, ..) => *number <= MAX_WRITERS,
            Self::Leases(latest, _) => latest.len() <= MAX_WRITERS as usize + 1,
            Self::Writers(sets) => sets.iter().all(|(_, set)| set.len() <= (MAX_WRITERS / u64::BITS) as usize + 1),
            Self::Events(..) | Self::Slots(..) | Self::WritersSettled(..) => true,
        };
        borsh::from_slice(bytes).ok().or_else(|| read_before(bytes)).filter(is_in_range)
    }
}

/// Reads what version 0.1 logged, in its own hour: claims, what is done, and that a number was taken at some seconds.
fn read_before(bytes: &[u8]) -> Option<Record> {
    let (letter, rest) = bytes.split_first()?;
    let mut change = Change::default();
    match letter {
        b'c' => {
            let claims: &[[u8; 20]] = whole_chunks(rest)?;
            for claim in claims {
                let (id, owner): (EventId, Owner) = borsh::from_slice(claim).ok()?;
                change.claim(key_of(id), owner);
            }
        }
        b'd' => change.done = whole_chunks(rest)?.iter().map(|id| key_of(EventId(*id))).collect(),
        b'n' => {
            let numbers = whole_chunks(rest)?.iter().map(|number| u32::from_le_bytes(*number)).collect::<Vec<_>>();
            let (number, seconds) = numbers.split_first()?;
            let first = seconds.iter().min().copied().unwrap_or(u32::MAX);
            let last = seconds.iter().max().copied().unwrap_or_default();
            let request = WriterRequest { holder: 0, lease: 0, first, last, seconds: seconds.to_vec() };
            return Some(Record::WriterLeased(*number, request, 0));
        }
        _ => return None,
    }
    Some(Record::Events(None, change))
}

fn whole_chunks<const N: usize>(bytes: &[u8]) -> Option<&[[u8; N]]> {
    let (chunks, rest) = bytes.as_chunks();
    rest.is_empty().then_some(chunks)
}
