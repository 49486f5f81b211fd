//! The memory of seen events: a Durable Object around [`Ledger`].
use std::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::prelude::wasm_bindgen;

use super::bindings::{self, Deferred, Request, State};
use super::object::{self, Database, Fault};
use super::task::Tasks;
use super::{Instance, Platform, random};
use crate::Millis;
use crate::destination::Writer;
use crate::durable::once::{
    Claim, Figures, Ledger, Question, by_shard, hour_of, read_answers, read_figures, read_number,
    write_answer, write_figures,
};
use crate::durable::parcel::{EventId, Owner};
use crate::text::{concat, whole};

/// How long an answer is waited for. Without one, events stay in the queue.
pub(super) const PATIENCE: Millis = 10_000;
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
    let asked: Vec<_> = parts
        .map(|(shard, places)| {
            let part = places.iter().filter_map(|place| claims.get(*place).copied()).collect();
            (places, ask(platform, shard, &Question::Claim(part)))
        })
        .collect();
    let mut answers = vec![Claim::Unknown; claims.len()];
    for (places, answer) in asked {
        let part = match answer.await {
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
pub(super) async fn tell(platform: &Platform, question: &Question, shards: u32) {
    let Question::Done(ids) = question else { return };
    let parts = by_shard(ids.iter().map(|id| (*id, *id)), shards);
    let told: Vec<_> = parts
        .iter()
        .flat_map(|(shard, ids)| ids.chunks(MAX_EVENTS).map(move |ids| (*shard, ids)))
        .map(|(shard, ids)| {
            let question = Question::Done(ids.to_vec());
            (shard, ask(platform, shard, &question), question)
        })
        .collect();
    for (shard, answer, question) in told {
        // Once more, since a part of a message that comes again must be known to be done.
        if let Answered::Silent = answer.await {
            _ = ask(platform, shard, &question).await;
        }
    }
}

/// Whose the points of these seconds are that one delivery holds. One object answers for all: two would
/// give the same number. Where none is bound a number is drawn; `None` when it does not answer in time.
pub(super) async fn writer(
    platform: &Platform,
    seconds: Vec<u32>,
    patience: Millis,
) -> Option<Writer> {
    let question = Question::Write(seconds).write();
    match fetch(platform, 0, &question, patience).await {
        Answered::Bytes(bytes) => read_number(&bytes).map(Writer::Numbered),
        Answered::Unbound => Some(Writer::drawn(random())),
        Answered::Silent => None,
    }
}

/// How full the objects are, together. `None` where one does not answer.
pub(super) async fn figures(platform: &Platform, shards: u32) -> Option<Figures> {
    let asked: Vec<_> = (0..shards).map(|shard| fetch(platform, shard, &[], PATIENCE)).collect();
    let mut all = Figures { events: 0, waiting: 0 };
    for answer in asked {
        let Answered::Bytes(bytes) = answer.await else { return None };
        let Figures { events, waiting } = read_figures(&bytes)?;
        all = Figures { events: all.events + events, waiting: all.waiting + waiting };
    }
    Some(all)
}

enum Answered {
    Bytes(Vec<u8>),
    Unbound,
    Silent,
}

fn ask(
    platform: &Platform,
    shard: u32,
    question: &Question,
) -> impl Future<Output = Answered> + use<> {
    fetch(platform, shard, &question.write(), PATIENCE)
}

/// Asks at once.
fn fetch(
    platform: &Platform,
    shard: u32,
    question: &[u8],
    patience: Millis,
) -> impl Future<Output = Answered> + use<> {
    let asked = platform.env.once().map(|namespace| {
        object::ask(
            &platform.tasks,
            &namespace,
            &concat(&["once-", &whole(shard.into())]),
            question,
            patience,
        )
    });
    async {
        let Some(asked) = asked else { return Answered::Unbound };
        asked.await.map_or(Answered::Silent, Answered::Bytes)
    }
}

/// One ledger, with its log.
#[wasm_bindgen]
pub struct Once(Rc<Memory>);

#[wasm_bindgen]
impl Once {
    /// As the platform makes it.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(instance: &Instance, state: &State) -> Self {
        Self(Rc::new(Memory {
            tasks: instance.tasks.clone(),
            database: Database::of(state),
            ledger: RefCell::new(None),
            hour: RefCell::new(0),
        }))
    }

    /// A question, and its answers.
    pub fn fetch(&self, promise: Deferred, request: Request) {
        let memory = Rc::clone(&self.0);
        object::answer(&self.0.tasks, promise, request, Box::new(move |body| memory.answer(body)));
    }
}

struct Memory {
    tasks: Tasks,
    database: Database,
    /// Read from the log at the first question.
    ledger: RefCell<Option<Ledger>>,
    /// The hour in which old events were last forgotten.
    hour: RefCell<u32>,
}

impl Memory {
    fn answer(&self, body: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut slot = self.ledger.borrow_mut();
        let ledger = match &mut *slot {
            Some(ledger) => ledger,
            empty => empty.insert(self.load()?),
        };
        if body.is_empty() {
            return Ok(write_figures(ledger.figures()));
        }
        let question = Question::read(body).ok_or(Fault)?;
        let hour = hour_of(self.tasks.now().div_euclid(1_000));
        if *self.hour.borrow() != hour {
            let first = ledger.forget(hour);
            self.database.run("DELETE FROM log WHERE hour < ?", &[first.into()])?;
            *self.hour.borrow_mut() = hour;
        }
        let (answers, logged) = ledger.ask(&question, hour);
        let answer = write_answer(&answers, logged.as_ref());
        if let Some(logged) = logged {
            let row = [hour.into(), bindings::blob(&logged.write())];
            let written = self.database.run("INSERT INTO log (hour, question) VALUES (?, ?)", &row);
            if let Err(error) = written {
                // What is not written must not be remembered: it would be gone with the isolate.
                *slot = None;
                return Err(error);
            }
        }
        Ok(answer)
    }

    fn load(&self) -> Result<Ledger, Fault> {
        self.database.run(
            "CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, hour INTEGER, question BLOB)",
            &[],
        )?;
        let mut ledger = Ledger::default();
        for row in self.database.rows("SELECT hour, question FROM log ORDER BY seq", &[])? {
            let hour = row.number(0)?;
            let question = bindings::bytes_of(&row.value(1)).ok_or(Fault)?;
            let question = Question::read(&question).ok_or(Fault)?;
            ledger.replay(&question, hour);
        }
        Ok(ledger)
    }
}
