//! What was set aside, where an operator can look at it: a Durable Object with a table.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::bindings::{Deferred, Env, Request, State};
use super::now;
use super::object::{self, Database, Fault};
use super::once;
use crate::durable::dead_letter::DeadLetter;

/// What the object is asked for.
#[derive(Serialize, Deserialize)]
enum Wish {
    Keep(Vec<String>),
    /// The newest before a number.
    List {
        before: u32,
        limit: u32,
    },
    /// These, or the oldest.
    Find {
        numbers: Vec<u32>,
        limit: u32,
    },
    Forget {
        numbers: Vec<u32>,
    },
}

/// Letters with their numbers, and how many there are in all.
#[derive(Serialize, Deserialize)]
pub(super) struct Letters {
    pub(super) count: i64,
    pub(super) letters: Vec<(u32, DeadLetter)>,
}

/// Keeps letters. Tells whether they are kept.
pub(super) async fn keep(env: &Env, letters: &[String]) -> bool {
    ask(env, &Wish::Keep(letters.to_vec())).await.is_ok()
}

/// The newest letters before a number.
pub(super) async fn list(env: &Env, before: u32, limit: u32) -> Result<Letters, Fault> {
    ask(env, &Wish::List { before, limit }).await
}

/// The letters of these numbers; without numbers, the oldest.
pub(super) async fn find(env: &Env, numbers: Vec<u32>, limit: u32) -> Result<Letters, Fault> {
    ask(env, &Wish::Find { numbers, limit }).await
}

/// Forgets letters.
pub(super) async fn forget(env: &Env, numbers: Vec<u32>) -> Result<Letters, Fault> {
    ask(env, &Wish::Forget { numbers }).await
}

async fn ask(env: &Env, wish: &Wish) -> Result<Letters, Fault> {
    let namespace = env.letters().ok_or(Fault)?;
    let question = serde_json::to_vec(wish)?;
    let answer =
        object::ask(&namespace, "letters", &question, once::PATIENCE).await.ok_or(Fault)?;
    Ok(serde_json::from_slice(&answer)?)
}

/// The table of what was set aside.
#[wasm_bindgen]
pub struct SetAside(Rc<Database>);

#[wasm_bindgen]
impl SetAside {
    /// As the platform makes it.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state: &State) -> Self {
        Self(Rc::new(Database::of(state)))
    }

    /// A wish, and what came of it.
    pub fn fetch(&self, promise: Deferred, request: Request) {
        let database = Rc::clone(&self.0);
        let answer = move |body: &[u8]| {
            let letters = fulfil(&database, serde_json::from_slice(body)?)?;
            Ok(serde_json::to_vec(&letters)?)
        };
        object::answer(promise, request, Box::new(answer));
    }
}

fn fulfil(database: &Database, wish: Wish) -> Result<Letters, Fault> {
    database.run(
        "CREATE TABLE IF NOT EXISTS letters (number INTEGER PRIMARY KEY AUTOINCREMENT, letter TEXT)",
        &[],
    )?;
    let mut letters = Vec::new();
    match wish {
        Wish::Keep(kept) => {
            for letter in kept {
                database.run("INSERT INTO letters (letter) VALUES (?)", &[letter.into()])?;
            }
        }
        Wish::List { before, limit } => {
            letters = select(
                database,
                "SELECT number, letter FROM letters WHERE number < ? ORDER BY number DESC LIMIT ?",
                &[before.into(), limit.into()],
            )?;
        }
        Wish::Find { numbers, limit } if numbers.is_empty() => {
            letters = select(
                database,
                "SELECT number, letter FROM letters ORDER BY number LIMIT ?",
                &[limit.into()],
            )?;
        }
        Wish::Find { numbers, .. } => {
            for number in numbers {
                letters.extend(select(
                    database,
                    "SELECT number, letter FROM letters WHERE number = ?",
                    &[number.into()],
                )?);
            }
        }
        Wish::Forget { numbers } => {
            for number in numbers {
                database.run("DELETE FROM letters WHERE number = ?", &[number.into()])?;
            }
        }
    }
    let counted = database.rows("SELECT count(*) FROM letters", &[])?;
    let count = counted.first().ok_or(Fault)?.number(0)?;
    Ok(Letters { count: count.into(), letters })
}

fn select(
    database: &Database,
    statement: &str,
    values: &[JsValue],
) -> Result<Vec<(u32, DeadLetter)>, Fault> {
    let read = |row: &object::Row| {
        let letter = row.value(1).as_string().ok_or(Fault)?;
        Ok((row.number(0)?, DeadLetter::read(&letter, now())))
    };
    database.rows(statement, values)?.iter().map(read).collect()
}
