//! Which parcel an event belongs to, so that it counts once however often it is sent.
//!
//! The ledger lives in a Durable Object: one thread, so that two consumers that ask at the same time get different
//! answers, and storage that survives the isolate. It is kept in memory and written as a log of records, one row for
//! each question: a row is what storage is paid by, and a question is about all events of up to a hundred messages.
//!
//! Both are bounded, whatever the rate. In memory the oldest of the events that are done are forgotten, and the oldest
//! of those that wait. The log is written anew, with what is remembered and nothing else, when it has grown to more than
//! twice that.
//!
//! Within a ledger an event is known by 61 bits of a digest. Among four million events that are remembered, one in 500
//! billion is taken for another that was seen before, and does not count: with a billion a day, one in a year and a half.
//!
//! If the ledger is unavailable nothing is lost: unclaimed events stay in the queue.

mod memory;
mod wire;
mod writers;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

use memory::{Done, Key, Known, PARTS, Waiting, key_of};
pub use wire::{Answer, Change, Question, Record, WriterRequest, WriterSettlement};
use writers::Writers;

use super::parcel::{EventId, Owner};
use crate::measurement::Measurement;

/// How long an event is remembered after it was claimed or done, in hours. Segment promises 24; the hour in which that
/// was counts whole.
pub const HOURS: u32 = 25;

/// How long the numbers of a second are remembered, in hours. No destination that wants numbers takes points that are
/// older ([`crate::otlp::WINDOW`]).
const WRITER_HOURS: u32 = 3;

/// Most events that one ledger remembers to be done.
///
/// An isolate has 128 MB (<https://developers.cloudflare.com/workers/platform/limits/#memory>). One event takes 8 bytes
/// in a table that is at least 64 % full, so these take 50 MB. With those that wait, four megabytes of `writers` and a
/// question with its answer, a ledger has less than 90 MB. Ledgers that share an isolate share this too
/// ([`Ledger::resize`]).
pub const MAX_EVENTS: usize = 4_000_000;

/// How many times fewer may wait: 200,000. One takes 25 bytes of a hash table, which has room for twice as many and
/// while it grows is there one and a half times, and up to 32 bytes of the order: these take 25 MB.
const EVENTS_PER_WAITING: usize = 20;

/// Two claims within so many seconds are often: what is done waits for the next to share their row. Should an object end
/// before they come, it knows those events to wait: they stay their owner's, whose messages are acknowledged.
const BUSY: u32 = 3;

/// Most slots in a record.
const MAX_RECORD_SLOTS: usize = 50_000;

/// Most events in one question or record, which is one row: rows hold two megabytes
/// (<https://developers.cloudflare.com/durable-objects/platform/limits/>).
pub const MAX_QUESTION_EVENTS: usize = 50_000;

/// Most bytes of a question: a letter, how many claims there are, and 20 for each.
pub const MAX_QUESTION_BYTES: usize = 1 + 4 + 20 * MAX_QUESTION_EVENTS;

/// What a row of the log weighs beside its bytes: reading many small ones takes time.
const ROW_BYTES: usize = 64;

/// Bytes that a log may have in any case.
const SHORT_LOG: usize = 4_194_304;

/// The hour of a moment in seconds since 1970.
#[must_use]
pub fn hour_of(second: i64) -> u32 {
    u32::try_from(second.div_euclid(3_600)).unwrap_or_default()
}

/// How old an event may be at its receipt, in seconds, and how far ahead of the clock, to be sent as it happened: then
/// its point must not come after newer ones of its series.
const ON_TIME: i64 = 10;

/// Returns whether a second of an event is on time. All are since 1970.
#[must_use]
pub fn is_on_time(second: i64, received_at: i64, now: i64) -> bool {
    (received_at - ON_TIME..=now + ON_TIME).contains(&second)
}

impl WriterRequest {
    /// Returns the request of a delivery of these measurements, each with whether it [`is_on_time`].
    pub fn of<'m>(holder: Owner, lease: u32, measured: impl Iterator<Item = (&'m Measurement, bool)>) -> Self {
        let mut request = Self { holder, lease, first: u32::MAX, last: 0, seconds: Vec::new() };
        for (measurement, is_on_time) in measured {
            let Ok(second) = u32::try_from(measurement.time) else { continue };
            if let Err(place) = request.seconds.binary_search(&second) {
                request.seconds.insert(place, second);
            }
            if is_on_time {
                request.first = second.min(request.first);
                request.last = second.max(request.last);
            }
        }
        request
    }
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Claim {
    /// It is the claimant's, and has not been delivered: deliver it.
    Granted,
    /// Another parcel has it, or it has been delivered or set aside: there is nothing to do.
    Settled,
    /// The ledger could not be asked.
    Unknown,
}

/// Occupancy of a ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LedgerStats {
    /// Events that it remembers.
    pub tracked: u64,
    /// Those among them that are neither delivered nor set aside: the backlog.
    pub pending: u64,
    /// Since when it remembers what is done, in seconds since 1970; 0 where nothing is.
    pub since: u64,
}

/// Occupancy of all ledgers, as an operator is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Occupancy {
    /// How many there are.
    pub shards: usize,
    /// How full the fullest is.
    pub fullest_percent: u64,
    /// How many hours the most forgetful remembers; `None` where there is nothing to remember.
    pub remembers_hours: Option<u64>,
    /// How many a day of the traffic of these hours wants.
    pub wanted_shards: u64,
}

impl Occupancy {
    /// Returns what the ledgers tell together at a second since 1970.
    #[must_use]
    pub fn of(stats: &[LedgerStats], now: u64) -> Self {
        let done = |one: &LedgerStats| one.tracked - one.pending.min(one.tracked);
        // Of less than an hour nothing can be told.
        let age = |one: &LedgerStats| now.saturating_sub(one.since).max(3_600);
        let a_day = stats.iter().map(|one| done(one) * u64::from(HOURS) * 3_600 / age(one)).sum::<u64>();
        let hours = stats.iter().filter(|one| one.since > 0).map(|one| now.saturating_sub(one.since) / 3_600);
        Self {
            shards: stats.len(),
            fullest_percent: stats.iter().map(done).max().unwrap_or_default() * 100 / MAX_EVENTS as u64,
            remembers_hours: hours.min().map(|hours| hours.min(HOURS.into())),
            wanted_shards: a_day.div_ceil(MAX_EVENTS as u64).max(1),
        }
    }
}

/// Ledger of who owns which event.
#[derive(Debug)]
pub struct Ledger {
    waiting: Waiting,
    done: Done,
    /// Most events that are done, and most that wait.
    max_events: usize,
    max_waiting: usize,
    writers: Writers,
    /// Events that are done and not logged yet: their row is that of the next claims.
    unlogged: Vec<Key>,
    /// The seconds of the latest claims and of those before.
    claims: (u32, u32),
    /// The hour of the latest question.
    hour: u32,
    /// Bytes of the log.
    logged: usize,
}

impl Ledger {
    /// Returns an empty ledger that remembers so many events that are done, and a twentieth of that which wait.
    #[must_use]
    pub fn new(max_events: usize) -> Self {
        Self {
            waiting: Waiting::default(),
            done: Done::default(),
            max_events,
            max_waiting: max_events / EVENTS_PER_WAITING,
            writers: Writers::default(),
            unlogged: Vec::new(),
            claims: (0, 0),
            hour: 0,
            logged: 0,
        }
    }

    fn get(&self, key: Key) -> Option<Known> {
        match self.waiting.owner(key) {
            Some(owner) => Some(Known::Waiting(owner)),
            None => self.done.contains(key).then_some(Known::Done),
        }
    }

    /// Returns whether claims come so often that the next can be waited for.
    fn is_busy(&self, now: u32) -> bool {
        now.saturating_sub(self.claims.1) <= BUSY && self.unlogged.len() < MAX_QUESTION_EVENTS
    }

    /// Returns whether something is done and not logged yet: [`Self::flush`] is to be called soon.
    #[must_use]
    pub fn owes_row(&self) -> bool {
        !self.unlogged.is_empty()
    }

    /// Returns what is to be logged of that.
    pub fn flush(&mut self, now: u32) -> Option<Record> {
        self.log_done(now / 60)
    }

    /// Changes how many events it remembers. Beyond that, the oldest are forgotten and their room is given back.
    pub fn resize(&mut self, max_events: usize) {
        (self.max_events, self.max_waiting) = (max_events, max_events / EVENTS_PER_WAITING);
        if self.done.len() > self.max_events || self.done.room() > 2 * self.max_events {
            self.done.shrink(self.max_events);
        }
        if self.waiting.len() > self.max_waiting || self.waiting.room() > 4 * self.max_waiting {
            self.waiting.shrink(self.max_waiting);
        }
    }

    /// Returns how many events it remembers.
    #[must_use]
    pub fn tracked(&self) -> usize {
        self.done.len() + self.waiting.len()
    }

    /// Makes room for as many events as a log of so many bytes can hold: growing step by step would take longer.
    pub fn reserve(&mut self, bytes: usize) {
        self.done.reserve((bytes / 8).min(self.max_events));
    }

    /// Remembers that an event is done. Returns whether that is news.
    fn finish(&mut self, key: Key, minute: u32) -> bool {
        self.waiting.remove(key);
        self.done.insert(key, minute, self.max_events)
    }

    /// Answers a question at a second since 1970. The second part is what is to be logged, so that [`Self::replay`]
    /// brings the ledger back to where it is; `None` when nothing has changed.
    pub fn ask(&mut self, question: &Question, now: u32) -> (Answer, Option<Record>) {
        let minute = now / 60;
        self.forget(now / 3_600);
        let (answer, record) = match question {
            Question::Claim(claims) => {
                let mut change = Change::default();
                let answers = claims.iter().map(|(id, owner)| match self.get(key_of(*id)) {
                    None => {
                        self.waiting.insert(key_of(*id), *owner, minute, self.max_waiting);
                        change.claim(key_of(*id), *owner);
                        Claim::Granted
                    }
                    Some(Known::Waiting(holder)) if holder == *owner => Claim::Granted,
                    Some(Known::Waiting(_) | Known::Done) => Claim::Settled,
                });
                let answer = Answer::Claim(answers.collect());
                self.claims = (now, self.claims.0);
                let record = (!change.claimed.is_empty()).then(|| {
                    change.done = std::mem::take(&mut self.unlogged);
                    Record::Events(Some(minute), change)
                });
                (answer, record)
            }
            Question::Done(ids, may_wait) => {
                let keys = ids.iter().map(|id| key_of(*id));
                let keys: Vec<_> = keys.filter(|key| self.finish(*key, minute)).collect();
                self.unlogged.extend(keys);
                let is_due = !(*may_wait && self.is_busy(now));
                (Answer::Done(ids.len()), is_due.then(|| self.log_done(minute)).flatten())
            }
            Question::AllocateWriter(request) => {
                let number = self.writers.free_number(request, now);
                let until = now.saturating_add(request.lease);
                self.writers.take(number, request, until);
                let record = Record::WriterLeased(number, request.clone(), until);
                (Answer::WriterAllocated(number, request.seconds.len()), Some(record))
            }
            Question::SettleWriters(settlement) => {
                let until = Writers::seal_until(now);
                let is_news = self.writers.settle(settlement, until);
                let answer = Answer::WritersSettled(settlement.released.len() + settlement.held.len());
                (answer, is_news.then(|| Record::WritersSettled(settlement.clone(), until)))
            }
            Question::Stats => (Answer::Stats(self.stats()), self.log_done(minute)),
        };
        self.logged += record.as_ref().map_or(0, weight);
        (answer, record)
    }

    /// Returns the record of what is done and not logged yet.
    fn log_done(&mut self, minute: u32) -> Option<Record> {
        let change = Change { done: std::mem::take(&mut self.unlogged), claimed: Vec::new() };
        (!change.done.is_empty()).then_some(Record::Events(Some(minute), change))
    }

    /// Takes a logged record back in. The latest holds, since only what was news has been logged: what was said before
    /// may have been forgotten in between, to make room for events that are gone.
    pub fn replay(&mut self, record: &Record, hour: u32) {
        self.forget(hour);
        let first = self.hour.saturating_sub(HOURS - 1) * 60;
        self.logged += weight(record);
        match record {
            Record::Events(minute, Change { done, claimed }) => {
                let minute = minute.unwrap_or(hour * 60);
                if minute < first {
                    return;
                }
                for key in done {
                    self.finish(*key, minute);
                }
                for (owner, keys) in claimed {
                    for key in keys {
                        self.waiting.insert(*key, *owner, minute, self.max_waiting);
                    }
                }
            }
            Record::Slots(written, parts) => {
                for (part, slots) in parts {
                    self.done.take(*part as usize, slots, *written, first);
                }
            }
            Record::WriterLeased(number, request, until) => self.writers.take(*number, request, *until),
            Record::WritersSettled(settlement, until) => _ = self.writers.settle(settlement, *until),
            Record::Leases(latest, leases) => self.writers.take_leases(latest, leases),
            Record::Writers(sets) => self.writers.take_sets(sets),
        }
    }

    /// Forgets what is older than a day. Where that has changed, returns the first hour that is still remembered: the
    /// log before it can go.
    pub fn forget(&mut self, now: u32) -> Option<u32> {
        if now <= self.hour {
            return None;
        }
        self.hour = now;
        let first = now.saturating_sub(HOURS - 1);
        self.waiting.forget_before(first * 60);
        self.done.forget_before(first * 60);
        self.writers.forget_before(now.saturating_sub(WRITER_HOURS - 1).saturating_mul(3_600));
        Some(first)
    }

    /// Returns whether the log is so much longer than what is remembered that [`Self::records`] should take its place.
    #[must_use]
    pub fn is_log_long(&self) -> bool {
        self.logged > 2 * self.bytes() + SHORT_LOG
    }

    /// Returns the records of all that is remembered, with their hours: a log in place of the one before.
    pub fn records(&self) -> impl Iterator<Item = (u32, Record)> {
        let parts = (0..).zip(0..PARTS).flat_map(|(number, part)| {
            let slots: Vec<_> = self.done.slots(part).collect();
            slots.chunks(MAX_RECORD_SLOTS).map(|slots| (number, slots.to_vec())).collect::<Vec<_>>()
        });
        let mut parts = parts.peekable();
        let (hour, written) = (self.hour, self.done.last().unwrap_or_default());
        let slots = std::iter::from_fn(move || {
            let mut row = vec![parts.next()?];
            let mut size = row.iter().map(|(_, slots)| slots.len()).sum::<usize>();
            while let Some(next) = parts.next_if(|(_, slots)| size + slots.len() <= MAX_RECORD_SLOTS) {
                size += next.1.len();
                row.push(next);
            }
            Some((hour, Record::Slots(written, row)))
        });
        let waiting = self.waiting.iter().map(|(key, owner, minute)| (minute, (key, owner)));
        let waiting = rows(waiting, MAX_QUESTION_EVENTS);
        let waiting = waiting.map(|(minute, claims)| {
            let mut change = Change::default();
            for (key, owner) in claims {
                change.claim(key, owner);
            }
            (minute / 60, Record::Events(Some(minute), change))
        });
        // A set has eight kilobytes at most.
        let sets = self.writers.sets().map(|(second, set)| (self.hour, (second, set.to_vec())));
        let sets = rows(sets, 100).map(|(hour, sets)| (hour, Record::Writers(sets)));
        // These have half a megabyte at most.
        let (latest, leases) = (self.writers.latest().to_vec(), self.writers.leases().collect::<Vec<_>>());
        let is_any = !latest.is_empty() || !leases.is_empty();
        let leases = is_any.then_some((self.hour, Record::Leases(latest, leases)));
        slots.chain(waiting).chain(sets).chain(leases)
    }

    /// Takes that the log consists of [`Self::records`] now.
    pub fn log_rewritten(&mut self) {
        self.unlogged.clear();
        self.logged = self.records().map(|(_, record)| weight(&record)).sum();
    }

    /// Returns the bytes of [`Self::records`], about.
    fn bytes(&self) -> usize {
        self.waiting.len() * 20 + self.done.len() * 8 + self.writers.bytes()
    }

    /// Returns occupancy counters.
    #[must_use]
    pub fn stats(&self) -> LedgerStats {
        let pending = self.waiting.len() as u64;
        let since = u64::from(self.done.since().unwrap_or_default()) * 60;
        LedgerStats { tracked: self.tracked() as u64, pending, since }
    }
}

/// What a record adds to the log.
fn weight(record: &Record) -> usize {
    ROW_BYTES + borsh::object_length(record).unwrap_or_default()
}

/// Packs what follows each other and has the same hour into rows of at most so many.
fn rows<T>(all: impl Iterator<Item = (u32, T)>, most: usize) -> impl Iterator<Item = (u32, Vec<T>)> {
    let mut all = all.peekable();
    std::iter::from_fn(move || {
        let (hour, first) = all.next()?;
        let mut row = vec![first];
        while row.len() < most
            && let Some((_, next)) = all.next_if(|(next, _)| *next == hour)
        {
            row.push(next);
        }
        Some((hour, row))
    })
}

/// Returns which of `shards` ledgers a sender's events belong to, by jump consistent hashing
/// (<https://arxiv.org/abs/1406.2294>): with more shards, those senders move that the new ones get, and no others.
#[must_use]
pub fn shard(sender: u32, shards: u32) -> u32 {
    const LAST: u64 = 1 << 31;
    let (mut key, mut shard, mut next) = (u64::from(sender), 0, 0);
    while next < u64::from(shards.max(1)) {
        shard = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = (shard + 1).saturating_mul(LAST) / ((key >> 33) + 1);
    }
    u32::try_from(shard).unwrap_or_default()
}

/// Returns the same of an event in a message that does not say how many shards there are, as older versions wrote it.
#[must_use]
pub fn shard_before(id: EventId, shards: u32) -> u32 {
    id.sender() % shards.max(1)
}

/// Collects what goes to the same shard.
#[must_use]
pub fn by_shard<T>(all: impl Iterator<Item = (u32, T)>) -> Vec<(u32, Vec<T>)> {
    let mut parts: Vec<(u32, Vec<T>)> = Vec::new();
    for (shard, with) in all {
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
    use proptest::prelude::*;

    use super::writers::MAX_WRITERS;
    use super::*;

    /// A ledger as anybody would write it down.
    #[derive(Debug, Default)]
    struct Table {
        waiting: Vec<(EventId, Owner, u32)>,
        done: Vec<(EventId, u32)>,
    }

    impl Table {
        fn get(&self, id: EventId) -> Option<Known> {
            if self.done.iter().any(|(done, _)| *done == id) {
                return Some(Known::Done);
            }
            let waiting = self.waiting.iter().find(|(waiting, ..)| *waiting == id);
            waiting.map(|(_, owner, _)| Known::Waiting(*owner))
        }

        fn claim(&mut self, id: EventId, owner: Owner, hour: u32) -> (Claim, bool) {
            match self.get(id) {
                Some(Known::Waiting(holder)) if holder == owner => (Claim::Granted, false),
                Some(_) => (Claim::Settled, false),
                None => {
                    self.waiting.push((id, owner, hour));
                    (Claim::Granted, true)
                }
            }
        }

        fn finish(&mut self, id: EventId, hour: u32) -> bool {
            let is_news = self.get(id) != Some(Known::Done);
            if is_news {
                self.waiting.retain(|(waiting, ..)| *waiting != id);
                self.done.push((id, hour));
            }
            is_news
        }

        fn forget(&mut self, first: u32) {
            self.waiting.retain(|(.., hour)| *hour >= first);
            self.done.retain(|(_, hour)| *hour >= first);
        }
    }

    /// What a ledger knows of some events.
    fn known(ledger: &Ledger, ids: impl IntoIterator<Item = EventId>) -> Vec<Option<Known>> {
        ids.into_iter().map(|id| ledger.get(key_of(id))).collect()
    }

    fn replayed<'r>(log: impl IntoIterator<Item = &'r (u32, Record)>) -> Ledger {
        let mut ledger = Ledger::new(MAX_EVENTS);
        for (hour, record) in log {
            let stored = Record::read(&record.write()).expect("what is logged can be read");
            assert_eq!(&stored, record);
            ledger.replay(&stored, *hour);
        }
        ledger
    }

    proptest! {
        #[test]
        fn a_ledger_answers_as_a_table_of_events_does(
            steps in prop::collection::vec((0..8, 0_u8..40, 0_u64..3, 0_u32..12), 0..300),
        ) {
            let (mut ledger, mut table) = (Ledger::new(MAX_EVENTS), Table::default());
            let (mut log, mut now) = (Vec::new(), HOURS);
            ledger.forget(now);
            for (kind, event, owner, hours) in steps {
                let id = EventId([event; 12]);
                let record = match kind {
                    0 => {
                        now += hours;
                        let first = now - (HOURS - 1);
                        prop_assert_eq!(ledger.forget(now), (hours > 0).then_some(first));
                        table.forget(first);
                        log.retain(|(hour, _)| *hour >= first);
                        None
                    }
                    1 => {
                        // The object is evicted and comes back from its log.
                        ledger = replayed(&log);
                        ledger.forget(now);
                        None
                    }
                    2 => {
                        log = ledger.records().collect();
                        ledger.log_rewritten();
                        None
                    }
                    3..=4 => {
                        let is_new = table.finish(id, now);
                        let (answer, record) = ledger.ask(&Question::Done(vec![id], false), now * 3_600);
                        prop_assert_eq!(answer, Answer::Done(1));
                        prop_assert_eq!(record.is_some(), is_new);
                        record
                    }
                    _ => {
                        let (claim, is_new) = table.claim(id, owner, now);
                        let (answer, record) = ledger.ask(&Question::Claim(vec![(id, owner)]), now * 3_600);
                        prop_assert_eq!(answer, Answer::Claim(vec![claim]));
                        prop_assert_eq!(record.is_some(), is_new);
                        record
                    }
                };
                log.extend(record.map(|record| (now, record)));
                let ids = (0..40).map(|event| EventId([event; 12]));
                let expected: Vec<_> = ids.clone().map(|id| table.get(id)).collect();
                prop_assert_eq!(known(&ledger, ids), expected);
                let pending = table.waiting.len() as u64;
                let since = table.done.iter().map(|(_, hour)| u64::from(*hour) * 3_600).min().unwrap_or(0);
                let stats = LedgerStats { tracked: pending + table.done.len() as u64, pending, since };
                prop_assert_eq!(ledger.stats(), stats);
                prop_assert_eq!(ledger.ask(&Question::Stats, now * 3_600), (Answer::Stats(stats), None));
            }
        }

        #[test]
        fn a_log_that_was_written_anew_tells_the_same(
            events in prop::collection::vec((any::<[u8; 12]>(), any::<u64>(), any::<bool>(), 0_u32..90), 0..60),
            deliveries in prop::collection::vec(prop::collection::vec(0_u32..9_000, 0..6), 0..80),
        ) {
            let mut ledger = Ledger::new(MAX_EVENTS);
            let mut now = HOURS * 3_600;
            for (id, owner, is_done, minutes) in &events {
                now += minutes * 60;
                ledger.ask(&Question::Claim(vec![(EventId(*id), *owner)]), now);
                if *is_done {
                    ledger.ask(&Question::Done(vec![EventId(*id)], false), now);
                }
            }
            for mut seconds in deliveries {
                for second in &mut seconds {
                    *second += now;
                }
                let (first, last) = (seconds.iter().copied().min().unwrap_or(u32::MAX), seconds.iter().copied().max());
                let holder = u64::from(first);
                let request = WriterRequest { holder, lease: first % 500, first, last: last.unwrap_or(0), seconds };
                let (answer, _) = ledger.ask(&Question::AllocateWriter(request), now);
                let Answer::WriterAllocated(number, _) = answer else { panic!("{answer:?}") };
                let (mine, seals) = ((number, holder), vec![(number, 7), (number, 8)]);
                let settlement = match first % 3 {
                    0 => WriterSettlement { released: vec![mine], held: seals },
                    1 => WriterSettlement { released: vec![mine, (number, 7)], held: Vec::new() },
                    _ => continue,
                };
                ledger.ask(&Question::SettleWriters(settlement), now);
            }
            let log: Vec<_> = ledger.records().collect();
            let again = replayed(&log);
            let ids = || events.iter().map(|(id, ..)| EventId(*id));
            prop_assert_eq!(known(&again, ids()), known(&ledger, ids()));
            prop_assert_eq!(again.stats(), ledger.stats());
            prop_assert_eq!(again.writers.sets().collect::<Vec<_>>(), ledger.writers.sets().collect::<Vec<_>>());
            prop_assert_eq!(again.writers.latest(), ledger.writers.latest());
            prop_assert_eq!(again.writers.leases().collect::<Vec<_>>(), ledger.writers.leases().collect::<Vec<_>>());
            ledger.log_rewritten();
            prop_assert_eq!(again.logged, ledger.logged);
        }
    }

    #[test]
    fn a_log_of_the_version_before_is_read() {
        let (waiting, done) = (EventId::named("k", "a"), EventId::named("k", "b"));
        let old =
            |letter: u8, rows: &[&[u8]]| Record::read(&[&[letter], &rows.concat()[..]].concat()).expect("a record");
        let owner = 7_u64.to_le_bytes();
        let mut ledger = Ledger::new(MAX_EVENTS);
        ledger.replay(&old(b'c', &[&waiting.0, &owner, &done.0, &owner]), 100);
        ledger.replay(&old(b'd', &[&done.0]), 100);
        ledger.replay(&old(b'n', &[&2_u32.to_le_bytes(), &360_000_u32.to_le_bytes()]), 100);
        assert_eq!(known(&ledger, [waiting, done]), [Some(Known::Waiting(7)), Some(Known::Done)]);
        assert_eq!(ledger.writers.latest(), [0, 0, 360_000]);
        // It is remembered for as long as it was to be.
        ledger.forget(100 + HOURS - 1);
        assert_eq!(known(&ledger, [waiting, done]), [Some(Known::Waiting(7)), Some(Known::Done)]);
        ledger.forget(100 + HOURS);
        assert_eq!(known(&ledger, [waiting, done]), [None, None]);
    }

    #[test]
    fn the_numbers_of_writers_are_bounded() {
        let mut ledger = Ledger::new(1);
        for second in 0..600 {
            let taken = vec![(3_600 * HOURS + second, vec![u64::MAX; 1_024])];
            ledger.replay(&Record::Writers(taken), HOURS);
        }
        assert!(ledger.writers.bytes() < 5_000_000, "{}", ledger.writers.bytes());
        for (_, record) in ledger.records() {
            assert!(record.write().len() < 1_000_000);
        }
        // The latest are the ones that are remembered.
        for (second, number) in [(0, 0), (599, MAX_WRITERS)] {
            let seconds = vec![3_600 * HOURS + second];
            let request = WriterRequest { holder: 0, lease: 0, first: u32::MAX, last: 0, seconds };
            let question = Question::AllocateWriter(request);
            assert_eq!(ledger.ask(&question, 3_600 * HOURS).0, Answer::WriterAllocated(number, 1));
        }
    }
}
