//! The memory of seen events: a Durable Object around [`Ledger`].

use std::cell::{Cell, RefCell};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use worker::{
    DurableObject, Env, Request, Response, Result, SqlStorageValue, State, durable_object,
};

use super::clock::{now, random};
use super::env::Platform;
use super::object::{self, Database, StorageError, integer, number};
use super::stop;
use crate::Millis;
use crate::destination::WriterId;
use crate::durable::once::{
    Claim, Figures, Ledger, Question, by_shard, hour_of, read_answers, read_figures, read_number,
    write_answer, write_figures,
};
use crate::durable::parcel::{EventId, Owner};

/// How long an answer is waited for. Without one, events stay in the queue.
pub(super) const LEDGER_TIMEOUT: Millis = 10_000;
/// Most objects that are asked at once how full they are.
const AT_ONCE: usize = 8;
/// Most events in one question, which is one row: rows hold two megabytes.
const MAX_EVENTS: usize = 50_000;

/// Whose these events are. Where no object is bound, everybody's are granted: then nothing is
/// remembered. An object that does not answer leaves its events unknown.
pub(super) async fn claim(
    platform: &Platform,
    claims: &[(EventId, Owner)],
    shards: u32,
) -> Vec<Claim> {
    let places = claims.iter().enumerate().map(|(place, (id, _))| (*id, place));
    let places = by_shard(places, shards);
    let parts = places
        .iter()
        .flat_map(|(shard, places)| places.chunks(MAX_EVENTS).map(move |places| (*shard, places)));
    let asked = parts.map(|(shard, places)| async move {
        let part = places.iter().filter_map(|place| claims.get(*place).copied()).collect();
        (places, ask(platform, shard, &Question::Claim(part)).await)
    });
    let mut answers = vec![Claim::Unknown; claims.len()];
    for (places, answer) in join_all(asked).await {
        let part = match answer {
            LedgerReply::Bytes(bytes) => read_answers(&bytes),
            LedgerReply::NotBound => vec![Claim::Granted; places.len()],
            LedgerReply::Timeout => continue,
        };
        for (place, answer) in places.iter().zip(part) {
            if let Some(slot) = answers.get_mut(*place) {
                *slot = answer;
            }
        }
    }
    answers
}

/// Tells the objects what is done. One that cannot be told still knows the owner, so that nobody
/// else's copy counts.
pub(super) async fn mark_done(platform: &Platform, question: &Question, shards: u32) {
    let Question::Done(ids) = question else { return };
    let parts = by_shard(ids.iter().map(|id| (*id, *id)), shards);
    let told = parts
        .iter()
        .flat_map(|(shard, ids)| ids.chunks(MAX_EVENTS).map(move |ids| (*shard, ids)))
        .map(|(shard, ids)| async move {
            let question = Question::Done(ids.to_vec());
            // Once more, since a part of a message that comes again must be known to be done.
            if let LedgerReply::Timeout = ask(platform, shard, &question).await {
                _ = ask(platform, shard, &question).await;
            }
        });
    join_all(told).await;
}

/// Whose the points of these seconds are that one delivery holds. One object answers for all: two would
/// give the same number. Where none is bound a number is drawn; `None` when it does not answer in time.
pub(super) async fn writer(
    platform: &Platform,
    seconds: Vec<u32>,
    timeout: Millis,
) -> Option<WriterId> {
    let question = Question::Write(seconds).write();
    match fetch(platform, 0, &question, timeout).await {
        LedgerReply::Bytes(bytes) => read_number(&bytes).map(WriterId::Assigned),
        LedgerReply::NotBound => Some(WriterId::random(random())),
        LedgerReply::Timeout => None,
    }
}

/// How full the objects are, together; a few are asked at once. `None` where one does not answer.
pub(super) async fn figures(platform: &Platform, shards: u32) -> Option<Figures> {
    let asked = (0..shards).map(|shard| fetch(platform, shard, &[], LEDGER_TIMEOUT));
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    let mut all = Figures { events: 0, waiting: 0 };
    while let Some(answer) = answers.next().await {
        let LedgerReply::Bytes(bytes) = answer else { return None };
        let Figures { events, waiting } = read_figures(&bytes)?;
        all = Figures { events: all.events + events, waiting: all.waiting + waiting };
    }
    Some(all)
}

/// What an object says.
enum LedgerReply {
    Bytes(Vec<u8>),
    NotBound,
    Timeout,
}

async fn ask(platform: &Platform, shard: u32, question: &Question) -> LedgerReply {
    fetch(platform, shard, &question.write(), LEDGER_TIMEOUT).await
}

async fn fetch(platform: &Platform, shard: u32, question: &[u8], timeout: Millis) -> LedgerReply {
    let Some(namespace) = platform.once() else { return LedgerReply::NotBound };
    let answer = object::ask(&namespace, &format!("once-{shard}"), question, timeout).await;
    answer.map_or(LedgerReply::Timeout, LedgerReply::Bytes)
}

/// One ledger, with its log.
#[durable_object(fetch)]
pub struct Once {
    database: Database,
    /// Read from the log at the first question.
    ledger: RefCell<Option<Ledger>>,
    /// The hour in which old events were last forgotten.
    hour: Cell<u32>,
}

impl DurableObject for Once {
    fn new(state: State, _: Env) -> Self {
        stop::watch();
        Self { database: Database::of(&state), ledger: RefCell::new(None), hour: Cell::new(0) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        object::answer(&request, |question| self.answer(question)).await
    }
}

impl Once {
    fn answer(&self, body: &[u8]) -> std::result::Result<Vec<u8>, StorageError> {
        // Taken out, not borrowed: an exception of the platform would leave it borrowed for good. When
        // something fails it is read anew, since what is not written must not be remembered.
        let known = self.ledger.borrow_mut().take();
        let mut ledger = match known {
            Some(ledger) => ledger,
            None => self.load()?,
        };
        let answer = self.ask(&mut ledger, body)?;
        *self.ledger.borrow_mut() = Some(ledger);
        Ok(answer)
    }

    fn ask(&self, ledger: &mut Ledger, body: &[u8]) -> std::result::Result<Vec<u8>, StorageError> {
        if body.is_empty() {
            return Ok(write_figures(ledger.figures()));
        }
        let question = Question::read(body).ok_or(StorageError)?;
        let hour = hour_of(now().div_euclid(1_000));
        if self.hour.get() != hour {
            let first = ledger.forget(hour);
            self.database.run("DELETE FROM log WHERE hour < ?", vec![integer(first)])?;
            self.hour.set(hour);
        }
        let (answers, logged) = ledger.ask(&question, hour);
        let answer = write_answer(&answers, logged.as_ref());
        if let Some(logged) = logged {
            let row = vec![integer(hour), SqlStorageValue::Blob(logged.write())];
            self.database.run("INSERT INTO log (hour, question) VALUES (?, ?)", row)?;
        }
        Ok(answer)
    }

    fn load(&self) -> std::result::Result<Ledger, StorageError> {
        self.database.run(
            "CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, hour INTEGER, question BLOB)",
            Vec::new(),
        )?;
        let mut ledger = Ledger::default();
        let rows = self.database.rows("SELECT hour, question FROM log ORDER BY seq", Vec::new())?;
        for row in rows {
            let Some(SqlStorageValue::Blob(question)) = row.get(1) else {
                return Err(StorageError);
            };
            let question = Question::read(question).ok_or(StorageError)?;
            ledger.replay(&question, number(&row, 0)?);
        }
        Ok(ledger)
    }
}
