//! Questions and answers as they travel, and records as they are logged.
//!
//! Each begins with a letter of its own and has exactly the length that its contents say; an answer says how much was
//! asked. What is cut, empty or meant for somebody else is never taken for an answer, nor is the answer to a question
//! of which only a part has come.

use super::memory::{Key, key_of};
use super::writers::{Lease, MAX_WRITERS};
use super::{Claim, LedgerStats};
use crate::durable::parcel::{EventId, Owner};

/// A question to a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Asks who owns these events.
    Claim(Vec<(EventId, Owner)>),
    /// Tells that these events are delivered or set aside; and whether that may be logged later, because no message
    /// with one of them comes again.
    Done(Vec<EventId>, bool),
    /// Allocates a writer id.
    AllocateWriter(WriterRequest),
    /// Tells which writer ids are free and which are not yet.
    SettleWriters(WriterSettlement),
    /// Asks how full the ledger is.
    Stats,
}

/// A delivery that wants a writer id.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriterSettlement {
    /// Everything under them is delivered or set aside.
    pub released: Vec<(u32, Owner)>,
    /// Something is to be sent again under them.
    pub held: Vec<(u32, Owner)>,
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
    /// So many leases are known to have ended or begun.
    WritersSettled(usize),
    /// How full the ledger is.
    Stats(LedgerStats),
}

/// A change of a ledger, as it is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// These events wait for their owners since this minute, or since the hour in which it was logged where there is none.
    Claimed(Option<u32>, Vec<(Key, Owner)>),
    /// These are delivered or set aside since then.
    Done(Option<u32>, Vec<Key>),
    /// The last are delivered or set aside, and the first wait.
    Both(u32, Vec<(Key, Owner)>, Vec<Key>),
    /// Slots of the table of done events as it was in this minute, by parts.
    Slots(u32, Vec<(u32, Vec<u64>)>),
    /// This number is taken, until this second at the latest.
    WriterLeased(u32, WriterRequest, u32),
    /// These leases have ended, and the others end at this second.
    WritersSettled(WriterSettlement, u32),
    /// The latest second that each number has written in order, and leases.
    Leases(Vec<u32>, Vec<Lease>),
    /// The numbers of these bits are taken at these Unix seconds.
    Writers(Vec<(u32, Vec<u64>)>),
}

const CLAIM: u8 = b'c';
const DONE: u8 = b'd';
const WRITER: u8 = b'a';
const SETTLE: u8 = b'v';
const STATS: u8 = b's';
const CLAIMED: u8 = b'p';
const FINISHED: u8 = b'f';
const BOTH: u8 = b't';
const SLOTS: u8 = b'q';
const LEASED: u8 = b'l';
const SETTLED: u8 = b'h';
const LEASES: u8 = b'o';
const WRITERS: u8 = b'b';
/// As versions before 0.2 logged that a number was taken.
const WRITER_ALLOCATED: u8 = b'n';

impl Question {
    /// Returns the bytes: a letter, then 20 or 12 for each event (and before the latter whether they may wait), 12 for each lease, or 20 and 4 for each second.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Claim(claims) => write_claims(claims),
            Self::Done(ids, may_wait) => {
                let mut bytes = vec![DONE, u8::from(*may_wait)];
                bytes.extend(ids.iter().flat_map(|id| id.0));
                bytes
            }
            Self::AllocateWriter(request) => {
                let mut bytes = vec![WRITER];
                write_request(&mut bytes, request);
                bytes
            }
            Self::SettleWriters(settlement) => {
                let mut bytes = vec![SETTLE];
                write_settlement(&mut bytes, settlement);
                bytes
            }
            Self::Stats => vec![STATS],
        }
    }

    /// Reads such bytes; `None` when they are none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match *tag {
            CLAIM => read_claims(rest).map(Self::Claim),
            // As a version before 0.2 tells it, while one takes the place of the other.
            DONE if rest.len() % 12 == 0 => Some(Self::Done(read_ids(rest)?, false)),
            DONE => {
                let (may_wait, ids) = rest.split_first()?;
                (*may_wait <= 1).then_some(Self::Done(read_ids(ids)?, *may_wait == 1))
            }
            WRITER => read_request(rest).map(Self::AllocateWriter),
            SETTLE => read_settlement(rest).map(Self::SettleWriters),
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
            Self::WritersSettled(count) => write_counts(SETTLE, &[*count as u64]),
            Self::Stats(LedgerStats { tracked, pending, since }) => write_counts(STATS, &[*tracked, *pending, *since]),
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
            (DONE, Question::Done(ids, _)) => {
                let [count] = read_counts(rest)?;
                (count == ids.len() as u64).then_some(Self::Done(ids.len()))
            }
            (WRITER, Question::AllocateWriter(WriterRequest { seconds, .. })) => {
                let [number, count] = read_counts(rest)?;
                let number = u32::try_from(number).ok().filter(|number| *number <= MAX_WRITERS)?;
                let count = Some(seconds.len()).filter(|seconds| *seconds as u64 == count)?;
                Some(Self::WriterAllocated(number, count))
            }
            (SETTLE, Question::SettleWriters(WriterSettlement { released, held })) => {
                let [count] = read_counts(rest)?;
                let told = released.len() + held.len();
                (count == told as u64).then_some(Self::WritersSettled(told))
            }
            (STATS, Question::Stats) => {
                let [tracked, pending, since] = read_counts(rest)?;
                (pending <= tracked).then_some(Self::Stats(LedgerStats { tracked, pending, since }))
            }
            _ => None,
        }
    }
}

impl Record {
    /// Returns the bytes: a letter, then the minute with 8 for each event, and with 12 more for each owner of claims; or
    /// as [`Question::write`], before which stand 8 with the number and the end of its
    /// lease or 4 with the end alone; or 4 for each number and 16 for each lease; or for each second 4 of it, 4 of the
    /// number of words, and 8 for each.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Claimed(minute, claims) => {
                let mut bytes = tagged(CLAIMED, [minute.unwrap_or_default().to_le_bytes()]);
                write_owned(&mut bytes, claims);
                bytes
            }
            Self::Both(minute, claims, done) => {
                let count = u32::try_from(done.len()).unwrap_or_default();
                let mut bytes = tagged(BOTH, [minute, &count].map(|number| number.to_le_bytes()));
                bytes.extend(done.iter().flat_map(|key| key.to_le_bytes()));
                write_owned(&mut bytes, claims);
                bytes
            }
            Self::Done(minute, keys) => {
                let mut bytes = tagged(FINISHED, [minute.unwrap_or_default().to_le_bytes()]);
                bytes.extend(keys.iter().flat_map(|key| key.to_le_bytes()));
                bytes
            }
            Self::Slots(minute, parts) => {
                let mut bytes = tagged(SLOTS, [minute.to_le_bytes()]);
                write_sets(&mut bytes, parts);
                bytes
            }
            Self::WriterLeased(number, request, until) => {
                let mut bytes = tagged(LEASED, [number, until].map(|number| number.to_le_bytes()));
                write_request(&mut bytes, request);
                bytes
            }
            Self::WritersSettled(settlement, until) => {
                let mut bytes = tagged(SETTLED, [until.to_le_bytes()]);
                write_settlement(&mut bytes, settlement);
                bytes
            }
            Self::Leases(latest, leases) => {
                let count = u32::try_from(latest.len()).unwrap_or_default();
                let mut bytes = tagged(LEASES, [&count].into_iter().chain(latest).map(|number| number.to_le_bytes()));
                for (number, holder, until) in leases {
                    write_lease(&mut bytes, (*number, *holder));
                    bytes.extend_from_slice(&until.to_le_bytes());
                }
                bytes
            }
            Self::Writers(sets) => {
                let mut bytes = vec![WRITERS];
                write_sets(&mut bytes, sets);
                bytes
            }
        }
    }

    /// Reads such bytes; `None` when they are none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match *tag {
            CLAIMED => {
                let (minute, rest) = read_minute(rest)?;
                read_owned(rest).map(|claims| Self::Claimed(minute, claims))
            }
            BOTH => {
                let (minute, rest) = rest.split_first_chunk::<4>()?;
                let (count, rest) = rest.split_first_chunk::<4>()?;
                let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
                let (done, rest) = rest.split_at_checked(count.checked_mul(8)?)?;
                Some(Self::Both(u32::from_le_bytes(*minute), read_owned(rest)?, read_keys(done)?))
            }
            FINISHED => {
                let (minute, rest) = read_minute(rest)?;
                read_keys(rest).map(|keys| Self::Done(minute, keys))
            }
            SLOTS => {
                let (minute, rest) = rest.split_first_chunk::<4>()?;
                read_sets(rest, MAX_ROW_WORDS).map(|parts| Self::Slots(u32::from_le_bytes(*minute), parts))
            }
            // As versions before 0.2 logged claims and results: in their own hour.
            CLAIM => {
                let claims = read_claims(rest)?.into_iter().map(|(id, owner)| (key_of(id), owner));
                Some(Self::Claimed(None, claims.collect()))
            }
            DONE => Some(Self::Done(None, read_ids(rest)?.into_iter().map(key_of).collect())),
            LEASED => {
                let [number, until, rest @ ..] = &read_numbers(rest)?[..] else { return None };
                let request = request_of(rest)?;
                (*number <= MAX_WRITERS).then_some(Self::WriterLeased(*number, request, *until))
            }
            SETTLED => {
                let (until, rest) = rest.split_first_chunk::<4>()?;
                Some(Self::WritersSettled(read_settlement(rest)?, u32::from_le_bytes(*until)))
            }
            LEASES => {
                let numbers = read_numbers(rest)?;
                let (count, rest) = numbers.split_first()?;
                let (latest, rest) = rest.split_at_checked(usize::try_from(*count).ok()?)?;
                let (leases, rest) = rest.as_chunks::<4>();
                let leases = leases.iter().map(|[number, low, high, until]| (*number, owner_of(*low, *high), *until));
                let is_whole = rest.is_empty() && latest.len() <= MAX_WRITERS as usize + 1;
                is_whole.then(|| Self::Leases(latest.to_vec(), leases.collect()))
            }
            WRITER_ALLOCATED => {
                let numbers = read_numbers(rest)?;
                let (number, seconds) = numbers.split_first()?;
                let first = seconds.iter().min().copied().unwrap_or(u32::MAX);
                let last = seconds.iter().max().copied().unwrap_or_default();
                let request = WriterRequest { holder: 0, lease: 0, first, last, seconds: seconds.to_vec() };
                (*number <= MAX_WRITERS).then_some(Self::WriterLeased(*number, request, 0))
            }
            WRITERS => read_sets(rest, (MAX_WRITERS / u64::BITS) as usize + 1).map(Self::Writers),
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

fn read_ids(bytes: &[u8]) -> Option<Vec<EventId>> {
    let (ids, rest) = bytes.as_chunks::<12>();
    rest.is_empty().then(|| ids.iter().map(|id| EventId(*id)).collect())
}

fn read_numbers(bytes: &[u8]) -> Option<Vec<u32>> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| numbers.iter().map(|number| u32::from_le_bytes(*number)).collect())
}

fn write_request(bytes: &mut Vec<u8>, request: &WriterRequest) {
    let WriterRequest { holder, lease, first, last, seconds } = request;
    bytes.extend_from_slice(&holder.to_le_bytes());
    let numbers = [lease, first, last].into_iter().chain(seconds);
    bytes.extend(numbers.flat_map(|number| number.to_le_bytes()));
}

fn read_request(bytes: &[u8]) -> Option<WriterRequest> {
    request_of(&read_numbers(bytes)?)
}

fn request_of(numbers: &[u32]) -> Option<WriterRequest> {
    let [low, high, lease, first, last, seconds @ ..] = numbers else { return None };
    let (holder, seconds) = (owner_of(*low, *high), seconds.to_vec());
    Some(WriterRequest { holder, lease: *lease, first: *first, last: *last, seconds })
}

/// Returns the owner of whom the halves are these, the lower one first.
fn owner_of(low: u32, high: u32) -> Owner {
    Owner::from(high) << 32 | Owner::from(low)
}

fn write_lease(bytes: &mut Vec<u8>, (number, holder): (u32, Owner)) {
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&holder.to_le_bytes());
}

/// Writes those that are free after their number.
fn write_settlement(bytes: &mut Vec<u8>, WriterSettlement { released, held }: &WriterSettlement) {
    let count = u32::try_from(released.len()).unwrap_or_default();
    bytes.extend_from_slice(&count.to_le_bytes());
    for lease in released.iter().chain(held) {
        write_lease(bytes, *lease);
    }
}

fn read_settlement(bytes: &[u8]) -> Option<WriterSettlement> {
    let numbers = read_numbers(bytes)?;
    let (count, leases) = numbers.split_first()?;
    let (leases, rest) = leases.as_chunks::<3>();
    let leases: Vec<_> = leases.iter().map(|[number, low, high]| (*number, owner_of(*low, *high))).collect();
    let (released, held) = leases.split_at_checked(usize::try_from(*count).ok()?)?;
    rest.is_empty().then(|| WriterSettlement { released: released.to_vec(), held: held.to_vec() })
}

/// A row holds two megabytes.
const MAX_ROW_WORDS: usize = 262_144;

/// Writes claims, those of an owner behind it.
fn write_owned(bytes: &mut Vec<u8>, claims: &[(Key, Owner)]) {
    for of_owner in claims.chunk_by(|(_, one), (_, other)| one == other) {
        let owner = of_owner.first().map_or(0, |(_, owner)| *owner);
        write_lease(bytes, (u32::try_from(of_owner.len()).unwrap_or_default(), owner));
        bytes.extend(of_owner.iter().flat_map(|(key, _)| key.to_le_bytes()));
    }
}

fn read_owned(mut bytes: &[u8]) -> Option<Vec<(Key, Owner)>> {
    let mut claims = Vec::new();
    while !bytes.is_empty() {
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let (owner, rest) = rest.split_first_chunk::<8>()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (keys, rest) = rest.split_at_checked(count.checked_mul(8)?)?;
        let owner = Owner::from_le_bytes(*owner);
        claims.extend(read_keys(keys)?.into_iter().map(|key| (key, owner)));
        bytes = rest;
    }
    Some(claims)
}

fn read_minute(bytes: &[u8]) -> Option<(Option<u32>, &[u8])> {
    let (minute, rest) = bytes.split_first_chunk::<4>()?;
    Some((Some(u32::from_le_bytes(*minute)).filter(|minute| *minute > 0), rest))
}

fn read_keys(bytes: &[u8]) -> Option<Vec<Key>> {
    let (keys, rest) = bytes.as_chunks::<8>();
    rest.is_empty().then(|| keys.iter().map(|key| Key::from_le_bytes(*key)).collect())
}

fn write_sets(bytes: &mut Vec<u8>, sets: &[(u32, Vec<u64>)]) {
    for (of, set) in sets {
        bytes.extend_from_slice(&of.to_le_bytes());
        let words = u32::try_from(set.len()).unwrap_or_default();
        bytes.extend_from_slice(&words.to_le_bytes());
        bytes.extend(set.iter().flat_map(|word| word.to_le_bytes()));
    }
}

fn read_sets(mut bytes: &[u8], most: usize) -> Option<Vec<(u32, Vec<u64>)>> {
    let mut sets = Vec::new();
    while !bytes.is_empty() {
        let (second, rest) = bytes.split_first_chunk::<4>()?;
        let (words, rest) = rest.split_first_chunk::<4>()?;
        let words = usize::try_from(u32::from_le_bytes(*words)).ok()?;
        if words > most {
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
