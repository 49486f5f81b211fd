//! The memory of seen events: a Durable Object around [`Ledger`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::future::{Either, join_all, select};
use serde::Deserialize;
use wasm_bindgen::JsValue;
use worker::{
    DurableObject, Env, Method, Request, RequestInit, Response, Result, SqlStorage,
    SqlStorageValue, State, Stub, durable_object, js_sys,
};

use super::outbound::sleep;
use super::{now, random};
use crate::Millis;
use crate::destination::Writer;
use crate::durable::once::{
    Claim, Figures, Ledger, Question, hour_of, read_answers, read_number, shard, write_answer,
};
use crate::durable::parcel::{EventId, Owner};

/// The namespace of the objects.
const ONCE: &str = "ONCE";
/// How long an answer is waited for. Without one, events stay in the queue.
pub(super) const PATIENCE: Millis = 10_000;
/// Most events in one question, which is one row: rows hold two megabytes.
const MAX_EVENTS: usize = 50_000;

/// Whose these events are. Where no object is bound, everybody's are granted: then nothing is
/// remembered. An object that does not answer leaves its events unknown.
pub(super) async fn claim(env: &Env, claims: &[(EventId, Owner)], shards: u32) -> Vec<Claim> {
    let mut places: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (place, (id, _)) in claims.iter().enumerate() {
        places.entry(shard(*id, shards)).or_default().push(place);
    }
    let parts = places
        .iter()
        .flat_map(|(shard, places)| places.chunks(MAX_EVENTS).map(move |places| (*shard, places)));
    let asked = parts.map(|(shard, places)| async move {
        let part = places.iter().filter_map(|place| claims.get(*place).copied()).collect();
        (places, ask(env, shard, &Question::Claim(part)).await)
    });
    let mut answers = vec![Claim::Unknown; claims.len()];
    for (places, answer) in join_all(asked).await {
        let part = match answer {
            Answered::Bytes(bytes) => read_answers(&bytes),
            Answered::Unbound => vec![Claim::Granted; places.len()],
            Answered::Silent => continue,
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
pub(super) async fn tell(env: &Env, question: &Question, shards: u32) {
    let Question::Done(ids) = question else { return };
    let mut parts: BTreeMap<u32, Vec<EventId>> = BTreeMap::new();
    for id in ids {
        parts.entry(shard(*id, shards)).or_default().push(*id);
    }
    let told = parts.iter().flat_map(|(shard, ids)| {
        ids.chunks(MAX_EVENTS).map(move |ids| async move {
            let question = Question::Done(ids.to_vec());
            // Once more, since a part of a message that comes again must be known to be done.
            if let Answered::Silent = ask(env, *shard, &question).await {
                _ = ask(env, *shard, &question).await;
            }
        })
    });
    join_all(told).await;
}

/// Whose the points of these seconds are that one delivery holds. One object answers for all: two would
/// give the same number. Where none is bound a number is drawn; `None` when it does not answer in time.
pub(super) async fn writer(env: &Env, seconds: Vec<u32>, patience: Millis) -> Option<Writer> {
    let question = Question::Write(seconds);
    let asked = ask(env, 0, &question);
    match select(pin!(asked), pin!(sleep(patience))).await {
        Either::Left((Answered::Bytes(bytes), _)) => read_number(&bytes).map(Writer::Numbered),
        Either::Left((Answered::Unbound, _)) => Some(Writer::drawn(random())),
        _ => None,
    }
}

/// How full the objects are, together. `None` where one does not answer.
pub(super) async fn figures(env: &Env, shards: u32) -> Option<Figures> {
    let asked = (0..shards).map(|shard| async move {
        match fetch(env, shard, None).await {
            Answered::Bytes(bytes) => serde_json::from_slice::<(usize, usize)>(&bytes).ok(),
            _ => None,
        }
    });
    join_all(asked).await.into_iter().try_fold(Figures { events: 0, waiting: 0 }, |all, part| {
        let (events, waiting) = part?;
        Some(Figures { events: all.events + events, waiting: all.waiting + waiting })
    })
}

enum Answered {
    Bytes(Vec<u8>),
    Unbound,
    Silent,
}

async fn ask(env: &Env, shard: u32, question: &Question) -> Answered {
    fetch(env, shard, Some(question.write())).await
}

async fn fetch(env: &Env, shard: u32, body: Option<Vec<u8>>) -> Answered {
    let Ok(namespace) = env.durable_object(ONCE) else { return Answered::Unbound };
    let Ok(stub) = namespace.get_by_name(&format!("once-{shard}")) else { return Answered::Silent };
    match select(pin!(exchange(&stub, body)), pin!(sleep(PATIENCE))).await {
        Either::Left((Ok(bytes), _)) => Answered::Bytes(bytes),
        _ => Answered::Silent,
    }
}

async fn exchange(stub: &Stub, body: Option<Vec<u8>>) -> Result<Vec<u8>> {
    let mut init = RequestInit::new();
    if let Some(body) = body {
        let bytes = js_sys::Uint8Array::from(body.as_slice());
        init.with_method(Method::Post).with_body(Some(JsValue::from(bytes)));
    }
    let request = Request::new_with_init("https://once.invalid/", &init)?;
    let mut response = stub.fetch_with_request(request).await?;
    if response.status_code() != 200 {
        return Err("the ledger could not be asked".into());
    }
    response.bytes().await
}

/// One ledger, with its log.
#[durable_object]
pub struct Once {
    sql: SqlStorage,
    /// Read from the log at the first question.
    ledger: RefCell<Option<Ledger>>,
    /// The hour in which old events were last forgotten.
    hour: RefCell<u32>,
}

#[derive(Deserialize)]
struct Row {
    hour: u32,
    question: serde_bytes::ByteBuf,
}

impl DurableObject for Once {
    fn new(state: State, _env: Env) -> Self {
        Self { sql: state.storage().sql(), ledger: RefCell::new(None), hour: RefCell::new(0) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let body = request.bytes().await.unwrap_or_default();
        match self.answer(&body) {
            Ok(bytes) => Response::from_bytes(bytes),
            // The consumer keeps its messages.
            Err(_) => Response::error("the ledger cannot be read", 503),
        }
    }
}

impl Once {
    fn answer(&self, body: &[u8]) -> Result<Vec<u8>> {
        let mut slot = self.ledger.borrow_mut();
        let ledger = match &mut *slot {
            Some(ledger) => ledger,
            empty => empty.insert(self.load()?),
        };
        if body.is_empty() {
            let Figures { events, waiting } = ledger.figures();
            return Ok(format!("[{events},{waiting}]").into_bytes());
        }
        let question = Question::read(body).ok_or("not a question")?;
        let hour = hour_of(now().div_euclid(1_000));
        if *self.hour.borrow() != hour {
            let first = ledger.forget(hour);
            self.sql.exec("DELETE FROM log WHERE hour < ?", Some(vec![i64::from(first).into()]))?;
            *self.hour.borrow_mut() = hour;
        }
        let (answers, logged) = ledger.ask(&question, hour);
        let answer = write_answer(&answers, logged.as_ref());
        if let Some(logged) = logged {
            let row = vec![i64::from(hour).into(), SqlStorageValue::Blob(logged.write())];
            let written =
                self.sql.exec("INSERT INTO log (hour, question) VALUES (?, ?)", Some(row));
            if let Err(error) = written {
                // What is not written must not be remembered: it would be gone with the isolate.
                *slot = None;
                return Err(error);
            }
        }
        Ok(answer)
    }

    fn load(&self) -> Result<Ledger> {
        self.sql.exec(
            "CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, hour INTEGER, question BLOB)",
            None,
        )?;
        let rows = self.sql.exec("SELECT hour, question FROM log ORDER BY seq", None)?;
        let mut ledger = Ledger::default();
        for row in rows.next::<Row>() {
            let row = row?;
            let question = Question::read(&row.question).ok_or("not a question")?;
            ledger.replay(&question, row.hour);
        }
        Ok(ledger)
    }
}
