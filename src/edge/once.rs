//! The memory of seen events: a Durable Object around [`Ledger`].

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use worker::{DurableObject, Env, Request, Response, Result, SqlStorageValue, State, Storage, durable_object};

use super::clock::{now, random};
use super::env::Platform;
use super::object::{self, Database, Row, StorageError, integer, number};
use super::stop;
use crate::Millis;
use crate::destination::WriterId;
use crate::durable::once::{
    Answer, Claim, Ledger, LedgerStats, MAX_EVENTS, MAX_QUESTION_BYTES, MAX_QUESTION_EVENTS, Question, Record,
    WriterRequest, WriterSettlement, by_shard,
};
use crate::durable::parcel::{EventId, Owner};

/// How long an answer is waited for. Without one, events stay in the queue.
pub(super) const LEDGER_TIMEOUT: Millis = 10_000;
/// Most objects that are asked at once how full they are.
const AT_ONCE: usize = 8;

/// Returns whose these events are. Where no object is bound, everybody's are granted: then nothing is remembered. An
/// object that does not answer leaves its events unknown.
pub(super) async fn claim(platform: &Platform, claims: &[(u32, (EventId, Owner))]) -> Vec<Claim> {
    let places = claims.iter().enumerate().map(|(place, (shard, _))| (*shard, place));
    let places = by_shard(places);
    let parts = places
        .iter()
        .flat_map(|(shard, places)| places.chunks(MAX_QUESTION_EVENTS).map(move |places| (*shard, places)));
    let asked = parts.map(|(shard, places)| async move {
        let part = places.iter().filter_map(|place| claims.get(*place)).map(|(_, claim)| *claim).collect();
        (places, ask(platform, shard, &Question::Claim(part), LEDGER_TIMEOUT).await)
    });
    let mut answers = vec![Claim::Unknown; claims.len()];
    for (places, reply) in join_all(asked).await {
        let part = match reply {
            LedgerReply::Answer(Answer::Claim(claims)) => claims,
            LedgerReply::NotBound => vec![Claim::Granted; places.len()],
            LedgerReply::Answer(_) | LedgerReply::Unavailable => continue,
        };
        for (place, answer) in places.iter().zip(part) {
            if let Some(slot) = answers.get_mut(*place) {
                *slot = answer;
            }
        }
    }
    answers
}

/// Tells the objects what is done. One that cannot be told still knows the owner, so that nobody else's copy counts.
pub(super) async fn mark_done(platform: &Platform, ids: Vec<(u32, EventId)>, may_wait: bool) {
    let parts = by_shard(ids.into_iter());
    let told = parts.iter().flat_map(|(shard, ids)| ids.chunks(MAX_QUESTION_EVENTS).map(move |ids| (*shard, ids))).map(
        |(shard, ids)| async move {
            let question = Question::Done(ids.to_vec(), may_wait);
            // A part of a message that comes again must be known to be done.
            tell(platform, shard, &question).await;
        },
    );
    join_all(told).await;
}

/// Tells an object something, once more where it does not answer.
async fn tell(platform: &Platform, shard: u32, question: &Question) {
    if let LedgerReply::Unavailable = ask(platform, shard, question, LEDGER_TIMEOUT).await {
        _ = ask(platform, shard, question, LEDGER_TIMEOUT).await;
    }
}

/// Returns the writer id of a delivery. One object answers for all: two would give the same number. Where none is bound
/// a number is drawn; `None` when it does not answer in time.
pub(super) async fn writer(platform: &Platform, request: WriterRequest, timeout: Millis) -> Option<WriterId> {
    match ask(platform, 0, &Question::AllocateWriter(request), timeout).await {
        LedgerReply::Answer(Answer::WriterAllocated(number, _)) => Some(WriterId::Assigned(number)),
        LedgerReply::NotBound => Some(WriterId::random(random())),
        LedgerReply::Answer(_) | LedgerReply::Unavailable => None,
    }
}

/// Tells that object which numbers are free. One that it is not told of is free when its lease ends.
pub(super) async fn settle_writers(platform: &Platform, settlement: WriterSettlement) {
    tell(platform, 0, &Question::SettleWriters(settlement)).await;
}

/// Returns the occupancy of each object; a few are asked at once. `None` where one does not answer.
pub(super) async fn stats(platform: &Platform, shards: u32) -> Option<Vec<LedgerStats>> {
    let asked = (0..shards).map(|shard| async move { ask(platform, shard, &Question::Stats, LEDGER_TIMEOUT).await });
    let mut replies = stream::iter(asked).buffer_unordered(AT_ONCE);
    let mut all = Vec::new();
    while let Some(reply) = replies.next().await {
        let LedgerReply::Answer(Answer::Stats(stats)) = reply else { return None };
        all.push(stats);
    }
    Some(all)
}

/// Reply of a ledger's object.
enum LedgerReply {
    Answer(Answer),
    NotBound,
    /// It does not answer in time, or with anything that is no answer to the question.
    Unavailable,
}

async fn ask(platform: &Platform, shard: u32, question: &Question, timeout: Millis) -> LedgerReply {
    let Some(namespace) = platform.once() else { return LedgerReply::NotBound };
    let bytes = object::ask(&namespace, &format!("once-{shard}"), &question.write(), timeout).await;
    let answer = bytes.and_then(|bytes| Answer::read(&bytes, question));
    answer.map_or(LedgerReply::Unavailable, LedgerReply::Answer)
}

/// One ledger, with its log.
#[durable_object(alarm)]
pub struct Once {
    database: Database,
    storage: Storage,
    /// Whether an alarm is set.
    is_alarmed: Cell<bool>,
    held: Rc<Held>,
}

/// The ledger of an object in memory.
struct Held {
    /// The object's.
    id: String,
    /// Read from the log at the first question.
    ledger: RefCell<Option<Ledger>>,
    /// When it was asked last.
    asked: Cell<Millis>,
}

thread_local! {
    /// What this isolate holds: objects of a class may share one
    /// (<https://developers.cloudflare.com/durable-objects/reference/in-memory-state/>), and one that has left the memory
    /// is freed only when JavaScript's garbage is collected.
    static HELD: RefCell<Vec<Weak<Held>>> = const { RefCell::new(Vec::new()) };
}

/// A ledger that was not asked for so long, in milliseconds, is not kept in memory where another wants the room: its
/// object may have left, and reads the log anew if not.
const IDLE: Millis = 60_000;

impl Held {
    fn new(id: String) -> Rc<Self> {
        let held = Rc::new(Self { id, ledger: RefCell::new(None), asked: Cell::new(now()) });
        HELD.with_borrow_mut(|all| {
            all.retain(|held| held.strong_count() > 0);
            all.push(Rc::downgrade(&held));
        });
        held
    }

    /// Makes room for the events that it remembers, and returns how many it may: what the others of the isolate leave,
    /// and its part in any case.
    fn share(&self, events: usize) -> usize {
        let mut others = self.others();
        let mut total: usize = others.iter().map(|other| other.tracked()).sum();
        others.retain(|other| {
            let is_idle = self.asked.get() - other.asked.get() > IDLE && events + total > MAX_EVENTS;
            let owes_row = other.ledger.borrow().as_ref().is_some_and(Ledger::owes_row);
            let stays = other.id != self.id && (!is_idle || owes_row);
            if !stays {
                total -= other.tracked();
                *other.ledger.borrow_mut() = None;
            }
            stays
        });
        let part = MAX_EVENTS / (others.len() + 1);
        for other in others {
            let rest = total - other.tracked();
            if let Some(ledger) = other.ledger.borrow_mut().as_mut() {
                ledger.resize(MAX_EVENTS.saturating_sub(events + rest).max(part));
            }
            total = rest + other.tracked();
        }
        MAX_EVENTS.saturating_sub(total).max(part)
    }

    /// Returns how many events it remembers.
    fn tracked(&self) -> usize {
        self.ledger.borrow().as_ref().map_or(0, Ledger::tracked)
    }

    /// Returns all others that are in memory.
    fn others(&self) -> Vec<Rc<Self>> {
        let is_other = |held: &Rc<Self>| !std::ptr::eq(Rc::as_ptr(held), self) && held.ledger.borrow().is_some();
        HELD.with_borrow(|all| all.iter().filter_map(Weak::upgrade).filter(is_other).collect())
    }
}

impl DurableObject for Once {
    fn new(state: State, _: Env) -> Self {
        stop::watch();
        Self {
            database: Database::of(&state),
            storage: state.storage(),
            is_alarmed: Cell::new(false),
            held: Held::new(state.id().to_string()),
        }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let answer = object::answer(OBJECT, &request, MAX_QUESTION_BYTES, |question| self.answer(question)).await;
        let owes_row = self.held.ledger.borrow().as_ref().is_some_and(Ledger::owes_row);
        if owes_row && !self.is_alarmed.replace(true) && self.storage.set_alarm(FLUSH_AFTER).await.is_err() {
            self.is_alarmed.set(false);
        }
        answer
    }

    async fn alarm(&self) -> Result<Response> {
        self.is_alarmed.set(false);
        self.flush();
        Response::empty()
    }
}

/// How log lines call it.
const OBJECT: &str = "once";

/// When what is done is logged if no claims have come to share their row with, in milliseconds: an object that nobody asks
/// leaves the memory after ten seconds
/// (<https://developers.cloudflare.com/durable-objects/concepts/durable-object-lifecycle/>).
const FLUSH_AFTER: i64 = 5_000;

impl Once {
    fn flush(&self) {
        let Some(mut ledger) = self.held.ledger.borrow_mut().take() else { return };
        let second = u32::try_from(now().div_euclid(1_000)).unwrap_or_default();
        let flushed = ledger.flush(second).map_or(Ok(()), |record| self.append(second / 3_600, &record));
        match flushed {
            Ok(()) => *self.held.ledger.borrow_mut() = Some(ledger),
            // It is read anew at the next question.
            Err(error) => error.log(OBJECT),
        }
    }

    fn answer(&self, body: &[u8]) -> std::result::Result<Vec<u8>, StorageError> {
        let question = Question::read(body).ok_or_else(|| StorageError::new("a question that cannot be read"))?;
        // Taken out, not borrowed: an exception of the platform would leave it borrowed for good. When something fails
        // it is read anew, since what is not written must not be remembered.
        self.held.asked.set(now());
        let known = self.held.ledger.borrow_mut().take();
        let mut ledger = match known {
            Some(mut ledger) => {
                ledger.resize(self.held.share(ledger.tracked()));
                ledger
            }
            None => self.load()?,
        };
        let second = u32::try_from(now().div_euclid(1_000)).unwrap_or_default();
        let hour = second / 3_600;
        if let Some(first) = ledger.forget(hour) {
            self.database.run("DELETE FROM log WHERE hour < ?", vec![integer(first)])?;
        }
        let (answer, record) = ledger.ask(&question, second);
        if let Some(record) = record {
            self.append(hour, &record)?;
        }
        if ledger.is_log_long() {
            match self.rewrite(&ledger) {
                Ok(()) => ledger.log_rewritten(),
                // The log is as it was.
                Err(error) => error.log(OBJECT),
            }
        }
        *self.held.ledger.borrow_mut() = Some(ledger);
        Ok(answer.write())
    }

    fn append(&self, hour: u32, record: &Record) -> std::result::Result<(), StorageError> {
        let row = vec![integer(hour), SqlStorageValue::Blob(record.write())];
        self.database.run("INSERT INTO log (hour, question) VALUES (?, ?)", row)
    }

    /// Writes the log anew. Statements without an await between them are stored all or none
    /// (<https://developers.cloudflare.com/durable-objects/best-practices/access-durable-objects-storage/>).
    fn rewrite(&self, ledger: &Ledger) -> std::result::Result<(), StorageError> {
        let last = self.database.rows("SELECT max(seq) FROM log", Vec::new())?;
        let Some(SqlStorageValue::Integer(last)) = last.first().and_then(|row| row.first()) else {
            return Ok(());
        };
        let appended = ledger.records().try_for_each(|(hour, record)| self.append(hour, &record));
        let gone = match appended {
            Ok(()) => "DELETE FROM log WHERE seq <= ?",
            Err(_) => "DELETE FROM log WHERE seq > ?",
        };
        let deleted = self.database.run(gone, vec![SqlStorageValue::Integer(*last)]);
        appended.and(deleted)
    }

    /// Reads the log. A row that cannot be read is left out: without it some events are not remembered, and without the
    /// others none would be.
    fn load(&self) -> std::result::Result<Ledger, StorageError> {
        self.database
            .run("CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, hour INTEGER, question BLOB)", Vec::new())?;
        let size = self.database.rows("SELECT sum(length(question)) FROM log", Vec::new())?;
        let bytes = match size.first().and_then(|row| row.first()) {
            Some(SqlStorageValue::Integer(bytes)) => usize::try_from(*bytes).unwrap_or_default(),
            _ => 0,
        };
        // An event takes eight bytes at the least.
        let mut ledger = Ledger::new(self.held.share(bytes / 8));
        ledger.reserve(bytes);
        let mut unreadable = 0;
        let statement = "SELECT hour, question FROM log ORDER BY seq";
        self.database.each(statement, Vec::new(), |row| {
            match record_of(&row) {
                Some((hour, record)) => ledger.replay(&record, hour),
                None => unreadable += 1,
            }
            Ok(())
        })?;
        if unreadable > 0 {
            let cause = format!("rows of the log that cannot be read are left out: {unreadable}");
            StorageError::new(cause).log(OBJECT);
        }
        Ok(ledger)
    }
}

fn record_of(row: &Row) -> Option<(u32, Record)> {
    let Some(SqlStorageValue::Blob(record)) = row.get(1) else { return None };
    Some((number(row, 0).ok()?, Record::read(record)?))
}
