//! What was set aside, where an operator can look at it: a Durable Object with a table.

use serde::{Deserialize, Serialize};
use worker::{
    DurableObject, Env, Request, Response, Result, SqlStorageValue, State, durable_object,
};

use super::clock::now;
use super::env::Platform;
use super::object::{self, Database, Row, StorageError, integer, number};
use super::{once, stop};
use crate::Millis;
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
pub(super) async fn keep(platform: &Platform, letters: &[String]) -> bool {
    ask(platform, &Wish::Keep(letters.to_vec())).await.is_ok()
}

/// The newest letters before a number.
pub(super) async fn list(
    platform: &Platform,
    before: u32,
    limit: u32,
) -> std::result::Result<Letters, StorageError> {
    ask(platform, &Wish::List { before, limit }).await
}

/// The letters of these numbers; without numbers, the oldest.
pub(super) async fn find(
    platform: &Platform,
    numbers: Vec<u32>,
    limit: u32,
) -> std::result::Result<Letters, StorageError> {
    ask(platform, &Wish::Find { numbers, limit }).await
}

/// Forgets letters.
pub(super) async fn forget(
    platform: &Platform,
    numbers: Vec<u32>,
) -> std::result::Result<Letters, StorageError> {
    ask(platform, &Wish::Forget { numbers }).await
}

async fn ask(platform: &Platform, wish: &Wish) -> std::result::Result<Letters, StorageError> {
    let namespace = platform.letters().ok_or(StorageError)?;
    let question = serde_json::to_vec(wish).map_err(|_| StorageError)?;
    let answer = object::ask(&namespace, "letters", &question, once::LEDGER_TIMEOUT)
        .await
        .ok_or(StorageError)?;
    serde_json::from_slice(&answer).map_err(|_| StorageError)
}

/// The table of what was set aside.
#[durable_object(fetch)]
pub struct SetAside {
    database: Database,
}

impl DurableObject for SetAside {
    fn new(state: State, _: Env) -> Self {
        stop::watch();
        Self { database: Database::of(&state) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        object::answer(&request, |body| {
            let letters = fulfil(
                &self.database,
                serde_json::from_slice(body).map_err(|_| StorageError)?,
                now(),
            )?;
            serde_json::to_vec(&letters).map_err(|_| StorageError)
        })
        .await
    }
}

fn fulfil(
    database: &Database,
    wish: Wish,
    now: Millis,
) -> std::result::Result<Letters, StorageError> {
    database.run(
        "CREATE TABLE IF NOT EXISTS letters (number INTEGER PRIMARY KEY AUTOINCREMENT, letter TEXT)",
        Vec::new(),
    )?;
    let mut letters = Vec::new();
    match wish {
        Wish::Keep(kept) => {
            for letter in kept {
                database.run("INSERT INTO letters (letter) VALUES (?)", vec![letter.into()])?;
            }
        }
        Wish::List { before, limit } => {
            letters = select(
                database,
                "SELECT number, letter FROM letters WHERE number < ? ORDER BY number DESC LIMIT ?",
                vec![integer(before), integer(limit)],
                now,
            )?;
        }
        Wish::Find { numbers, limit } if numbers.is_empty() => {
            letters = select(
                database,
                "SELECT number, letter FROM letters ORDER BY number LIMIT ?",
                vec![integer(limit)],
                now,
            )?;
        }
        Wish::Find { numbers, .. } => {
            for number in numbers {
                letters.extend(select(
                    database,
                    "SELECT number, letter FROM letters WHERE number = ?",
                    vec![integer(number)],
                    now,
                )?);
            }
        }
        Wish::Forget { numbers } => {
            for number in numbers {
                database.run("DELETE FROM letters WHERE number = ?", vec![integer(number)])?;
            }
        }
    }
    let counted = database.rows("SELECT count(*) FROM letters", Vec::new())?;
    let count = number(counted.first().ok_or(StorageError)?, 0)?;
    Ok(Letters { count: count.into(), letters })
}

fn select(
    database: &Database,
    statement: &str,
    values: Vec<SqlStorageValue>,
    now: Millis,
) -> std::result::Result<Vec<(u32, DeadLetter)>, StorageError> {
    let read = |row: &Row| {
        let Some(SqlStorageValue::String(letter)) = row.get(1) else { return Err(StorageError) };
        Ok((number(row, 0)?, DeadLetter::read(letter, now)))
    };
    database.rows(statement, values)?.iter().map(read).collect()
}
