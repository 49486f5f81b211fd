//! Which parcel an event belongs to, so that it counts once however often it is sent.
//!
//! The ledger lives in a Durable Object: one thread, so that two consumers that ask at the same time get different
//! answers, and storage that survives the isolate. It is kept in memory and written as a log of records, one row for
//! each question: a row is what storage is paid by, and a question is about all events of up to a hundred messages.
//!
//! Both are bounded, whatever the rate. In memory the oldest events are forgotten first, those that are done before
//! those that wait. The log is written anew, with what is remembered and nothing else, when it has grown to more than
//! twice that.
//!
//! If the ledger is unavailable nothing is lost: unclaimed events stay in the queue.

mod memory;
mod wire;
mod writers;

use memory::{Known, Memory};
pub use wire::{Answer, Question, Record, WriterRequest, WriterSettlement};
use writers::Writers;

use super::parcel::{EventId, Owner};
use crate::measurement::Measurement;

/// How long an event is remembered after it was claimed or done, in hours. Segment promises 24; the hour in which that
/// was counts whole.
pub const HOURS: u32 = 25;

/// How long the numbers of a second are remembered, in hours. No destination that wants numbers takes points that are
/// older ([`crate::otlp::WINDOW`]).
const WRITER_HOURS: u32 = 3;

/// Most events that one ledger remembers.
///
/// An object has 128 MB, which it may share with others of its class
/// (<https://developers.cloudflare.com/durable-objects/platform/limits/>). An event takes 40 bytes of WebAssembly's
/// memory (a hash, 12 of its identity, 24 of `memory`'s) and 5 of the hash table. The table has room for 7/8 of 2^19 =
/// 458,752 entries, so this many are 18 MB of entries and at most 5 MB of hashes; while it grows to that, half as much
/// again. The rest is a question of a megabyte and its answer, and four megabytes of `writers`: less than 45 MB in all.
pub const MAX_EVENTS: usize = 450_000;

/// Most events in one question or record, which is one row: rows hold two megabytes
/// (<https://developers.cloudflare.com/durable-objects/platform/limits/>).
pub const MAX_QUESTION_EVENTS: usize = 50_000;

/// Most bytes of a question: a letter, and 20 for each claim.
pub const MAX_QUESTION_BYTES: usize = 1 + 20 * MAX_QUESTION_EVENTS;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is the claimant's, and has not been delivered: deliver it.
    Granted,
    /// Another parcel has it, or it has been delivered or set aside: there is nothing to do.
    Settled,
    /// The ledger could not be asked.
    Unknown,
}

/// Occupancy of a ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerStats {
    /// Events that it remembers.
    pub tracked: u64,
    /// Those among them that are neither delivered nor set aside: the backlog.
    pub pending: u64,
}

/// Ledger of who owns which event.
#[derive(Debug)]
pub struct Ledger {
    memory: Memory,
    writers: Writers,
    /// The hour of the latest question.
    hour: u32,
    /// Bytes of the log.
    logged: usize,
}

impl Ledger {
    /// Returns an empty ledger that remembers so many events.
    #[must_use]
    pub fn new(max_events: usize) -> Self {
        let memory = Memory::new(max_events);
        Self { memory, writers: Writers::default(), hour: 0, logged: 0 }
    }

    /// Answers a question at a second since 1970. The second part is what is to be logged, so that [`Self::replay`] brings the ledger back to
    /// where it is; `None` when nothing has changed.
    pub fn ask(&mut self, question: &Question, now: u32) -> (Answer, Option<Record>) {
        let hour = now / 3_600;
        self.forget(hour);
        let (answer, record) = match question {
            Question::Claim(claims) => {
                let mut fresh = Vec::new();
                let answers = claims.iter().map(|(id, owner)| match self.memory.get(id) {
                    None => {
                        self.memory.hold(*id, *owner, hour);
                        fresh.push((*id, *owner));
                        Claim::Granted
                    }
                    Some(Known::Waiting(holder)) if holder == *owner => Claim::Granted,
                    Some(Known::Waiting(_) | Known::Done) => Claim::Settled,
                });
                let answer = Answer::Claim(answers.collect());
                (answer, (!fresh.is_empty()).then_some(Record::Claimed(fresh)))
            }
            Question::Done(ids) => {
                let fresh =
                    ids.iter().filter(|id| self.memory.get(id) != Some(Known::Done) && self.memory.finish(**id, hour));
                let fresh: Vec<_> = fresh.copied().collect();
                (Answer::Done(ids.len()), (!fresh.is_empty()).then_some(Record::Done(fresh)))
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
            Question::Stats => (Answer::Stats(self.stats()), None),
        };
        self.logged += record.as_ref().map_or(0, weight);
        (answer, record)
    }

    /// Takes a logged record back in. The latest holds, since only what was news has been logged: what was said before
    /// may have been forgotten in between, to make room for events that are gone.
    pub fn replay(&mut self, record: &Record, hour: u32) {
        self.forget(hour);
        self.logged += weight(record);
        match record {
            Record::Claimed(claims) => {
                for (id, owner) in claims {
                    self.memory.hold(*id, *owner, hour);
                }
            }
            Record::Done(ids) => {
                for id in ids {
                    self.memory.finish(*id, hour);
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
        self.memory.forget_before(first);
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
        let done = self.memory.iter(true).map(|(hour, (id, _))| (hour, id));
        let done = rows(done, MAX_QUESTION_EVENTS).map(|(hour, ids)| (hour, Record::Done(ids)));
        let waiting = rows(self.memory.iter(false), MAX_QUESTION_EVENTS);
        let waiting = waiting.map(|(hour, claims)| (hour, Record::Claimed(claims)));
        // A set has eight kilobytes at most.
        let sets = self.writers.sets().map(|(second, set)| (self.hour, (second, set.to_vec())));
        let sets = rows(sets, 100).map(|(hour, sets)| (hour, Record::Writers(sets)));
        // These have half a megabyte at most.
        let (latest, leases) = (self.writers.latest().to_vec(), self.writers.leases().collect::<Vec<_>>());
        let is_any = !latest.is_empty() || !leases.is_empty();
        let leases = is_any.then_some((self.hour, Record::Leases(latest, leases)));
        done.chain(waiting).chain(sets).chain(leases)
    }

    /// Takes that the log consists of [`Self::records`] now.
    pub fn log_rewritten(&mut self) {
        self.logged = self.records().map(|(_, record)| weight(&record)).sum();
    }

    /// Returns the bytes of [`Self::records`], about.
    fn bytes(&self) -> usize {
        let waiting = self.memory.waiting();
        waiting * 20 + (self.memory.len() - waiting) * 12 + self.writers.bytes()
    }

    /// Returns occupancy counters.
    #[must_use]
    pub fn stats(&self) -> LedgerStats {
        LedgerStats { tracked: self.memory.len() as u64, pending: self.memory.waiting() as u64 }
    }
}

/// What a record adds to the log.
fn weight(record: &Record) -> usize {
    ROW_BYTES
        + match record {
            Record::Claimed(claims) => claims.len() * 20,
            Record::Done(ids) => ids.len() * 12,
            Record::WriterLeased(_, request, _) => 28 + request.seconds.len() * 4,
            Record::WritersSettled(WriterSettlement { released, held }, _) => 8 + (released.len() + held.len()) * 12,
            Record::Leases(latest, leases) => 4 + latest.len() * 4 + leases.len() * 16,
            Record::Writers(sets) => sets.iter().map(|(_, set)| 8 + set.len() * 8).sum(),
        }
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

    /// A ledger as anybody would write it down: events in the order in which they are forgotten.
    #[derive(Debug, Clone, Default, PartialEq)]
    struct Table {
        waiting: Vec<(EventId, Owner, u32)>,
        done: Vec<(EventId, u32)>,
        max_events: usize,
    }

    impl Table {
        fn new(max_events: usize) -> Self {
            Self { max_events, ..Self::default() }
        }

        fn make_room(&mut self) {
            if self.waiting.len() + self.done.len() < self.max_events {
                return;
            }
            if self.done.is_empty() {
                self.waiting.remove(0);
            } else {
                self.done.remove(0);
            }
        }

        fn claim(&mut self, id: EventId, owner: Owner, hour: u32) -> (Claim, bool) {
            if self.done.iter().any(|(done, _)| *done == id) {
                return (Claim::Settled, false);
            }
            match self.waiting.iter().find(|(waiting, ..)| *waiting == id) {
                Some((_, holder, _)) if *holder == owner => (Claim::Granted, false),
                Some(_) => (Claim::Settled, false),
                None => {
                    self.make_room();
                    self.waiting.push((id, owner, hour));
                    (Claim::Granted, true)
                }
            }
        }

        fn finish(&mut self, id: EventId, hour: u32) -> bool {
            if self.done.iter().any(|(done, _)| *done == id) {
                return false;
            }
            let waiting = self.waiting.len();
            self.waiting.retain(|(waiting, ..)| *waiting != id);
            if waiting == self.waiting.len() {
                if waiting == self.max_events {
                    return false;
                }
                self.make_room();
            }
            self.done.push((id, hour));
            true
        }

        fn forget(&mut self, first: u32) {
            self.waiting.retain(|(.., hour)| *hour >= first);
            self.done.retain(|(_, hour)| *hour >= first);
        }
    }

    /// What a ledger remembers, in the same order.
    fn table_of(ledger: &Ledger, max_events: usize) -> Table {
        let waiting = ledger.memory.iter(false).map(|(hour, (id, owner))| (id, owner, hour));
        let done = ledger.memory.iter(true).map(|(hour, (id, _))| (id, hour));
        Table { waiting: waiting.collect(), done: done.collect(), max_events }
    }

    /// Whether all of some are there, in the same order.
    fn is_within<T: PartialEq>(some: &[T], all: &[T]) -> bool {
        let mut rest = all.iter();
        some.iter().all(|one| rest.any(|other| other == one))
    }

    fn replayed<'r>(log: impl IntoIterator<Item = &'r (u32, Record)>, max_events: usize) -> Ledger {
        let mut ledger = Ledger::new(max_events);
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
            max_events in 1_usize..30,
        ) {
            let (mut ledger, mut table) = (Ledger::new(max_events), Table::new(max_events));
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
                        // The object is evicted and comes back from its log. It may remember more: what was forgotten
                        // to make room for events whose hour has gone since.
                        ledger = replayed(&log, max_events);
                        ledger.forget(now);
                        let again = table_of(&ledger, max_events);
                        prop_assert!(is_within(&table.waiting, &again.waiting), "{:?} is not {:?}", again, table);
                        prop_assert!(is_within(&table.done, &again.done), "{:?} is not {:?}", again, table);
                        table = again;
                        None
                    }
                    2 => {
                        log = ledger.records().collect();
                        ledger.log_rewritten();
                        None
                    }
                    3..=4 => {
                        let is_new = table.finish(id, now);
                        let (answer, record) = ledger.ask(&Question::Done(vec![id]), now * 3_600);
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
                prop_assert_eq!(&table_of(&ledger, max_events), &table);
                let pending = table.waiting.len() as u64;
                let stats = LedgerStats { tracked: pending + table.done.len() as u64, pending };
                prop_assert_eq!(ledger.stats(), stats);
                prop_assert_eq!(ledger.ask(&Question::Stats, now * 3_600), (Answer::Stats(stats), None));
            }
        }

        #[test]
        fn a_log_that_was_written_anew_tells_the_same(
            events in prop::collection::vec((any::<[u8; 12]>(), any::<u64>(), any::<bool>(), 0_u32..2), 0..60),
            deliveries in prop::collection::vec(prop::collection::vec(0_u32..9_000, 0..6), 0..80),
        ) {
            let mut ledger = Ledger::new(40);
            let mut now = HOURS;
            for (id, owner, is_done, hours) in events {
                now += hours;
                ledger.ask(&Question::Claim(vec![(EventId(id), owner)]), now * 3_600);
                if is_done {
                    ledger.ask(&Question::Done(vec![EventId(id)]), now * 3_600);
                }
            }
            for mut seconds in deliveries {
                for second in &mut seconds {
                    *second += now * 3_600;
                }
                let (first, last) = (seconds.iter().copied().min().unwrap_or(u32::MAX), seconds.iter().copied().max());
                let holder = u64::from(first);
                let request = WriterRequest { holder, lease: first % 500, first, last: last.unwrap_or(0), seconds };
                let (answer, _) = ledger.ask(&Question::AllocateWriter(request), now * 3_600);
                let Answer::WriterAllocated(number, _) = answer else { panic!("{answer:?}") };
                let (mine, seals) = ((number, holder), vec![(number, 7), (number, 8)]);
                let settlement = match first % 3 {
                    0 => WriterSettlement { released: vec![mine], held: seals },
                    1 => WriterSettlement { released: vec![mine, (number, 7)], held: Vec::new() },
                    _ => continue,
                };
                ledger.ask(&Question::SettleWriters(settlement), now * 3_600);
            }
            let log: Vec<_> = ledger.records().collect();
            let again = replayed(&log, 40);
            prop_assert_eq!(table_of(&again, 40), table_of(&ledger, 40));
            prop_assert_eq!(again.writers.sets().collect::<Vec<_>>(), ledger.writers.sets().collect::<Vec<_>>());
            prop_assert_eq!(again.writers.latest(), ledger.writers.latest());
            prop_assert_eq!(again.writers.leases().collect::<Vec<_>>(), ledger.writers.leases().collect::<Vec<_>>());
            ledger.log_rewritten();
            prop_assert_eq!(again.logged, ledger.logged);
        }
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
