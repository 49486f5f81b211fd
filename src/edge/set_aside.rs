//! What was set aside, where an operator can look at it: a Durable Object with a table.

use std::cell::Cell;

use serde::{Deserialize, Serialize};
use worker::{DurableObject, Env, Request, Response, Result, SqlStorageValue, State, durable_object};

use super::clock::now;
use super::env::Platform;
use super::object::{self, Database, Row, StorageError, integer, number};
use super::stop;
use crate::Millis;
use crate::durable::dead_letter::DeadLetter;

/// How long the object is waited for; by a request, until its deadline.
const TIMEOUT: Millis = 10_000;

/// Most bytes of letters in one request, but for one that is longer: in JSON it takes a megabyte at most, since a
/// message has 128 KB (<https://developers.cloudflare.com/queues/platform/limits/>).
const MAX_KEEP: usize = 1_000_000;

/// Most bytes of a request: a letter is a text in a text, in which each quotation mark takes two.
const MAX_REQUEST: usize = 2 * MAX_KEEP + 100_000;

/// How long the identity of a letter is remembered that was sent again or deleted, in days. A queue keeps a message for
/// 14 at most (<https://developers.cloudflare.com/queues/platform/limits/>), and may deliver it again until then.
const REMEMBERED_DAYS: u32 = 15;

/// Request to the object that keeps dead letters.
#[derive(Serialize, Deserialize)]
enum DeadLetterRequest {
    /// Keeps letters, each after its identity.
    Keep(Vec<(String, String)>),
    /// The newest before a number.
    List { before: u32, limit: u32 },
    /// These, or the oldest.
    Find { numbers: Vec<u32>, limit: u32 },
    /// Forgets letters, but not their identities.
    Forget { numbers: Vec<u32> },
}

/// Letters with their numbers, and how many there are in all.
#[derive(Serialize, Deserialize)]
pub(super) struct Letters {
    pub(super) count: i64,
    pub(super) letters: Vec<(u32, DeadLetter)>,
}

/// Keeps letters. Returns for each whether it is kept.
pub(super) async fn keep(platform: &Platform, letters: &[DeadLetter]) -> Vec<bool> {
    let mut kept = Vec::new();
    let mut rest: Vec<_> =
        letters.iter().map(|letter| (letter.letter_id.clone().unwrap_or_default(), letter.write())).collect();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |(_, letter): &&(String, String)| {
            bytes += letter.len();
            bytes <= MAX_KEEP
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let others = rest.split_off(count);
        let is_kept = ask(platform, &DeadLetterRequest::Keep(rest)).await.is_ok();
        kept.resize(kept.len() + count, is_kept);
        rest = others;
    }
    kept
}

/// Returns the newest letters before a number.
pub(super) async fn list(platform: &Platform, before: u32, limit: u32) -> std::result::Result<Letters, StorageError> {
    ask(platform, &DeadLetterRequest::List { before, limit }).await
}

/// Returns the letters of these numbers; without numbers, the oldest.
pub(super) async fn find(
    platform: &Platform,
    numbers: Vec<u32>,
    limit: u32,
) -> std::result::Result<Letters, StorageError> {
    ask(platform, &DeadLetterRequest::Find { numbers, limit }).await
}

/// Forgets letters.
pub(super) async fn forget(platform: &Platform, numbers: Vec<u32>) -> std::result::Result<Letters, StorageError> {
    ask(platform, &DeadLetterRequest::Forget { numbers }).await
}

async fn ask(platform: &Platform, request: &DeadLetterRequest) -> std::result::Result<Letters, StorageError> {
    let silent = || StorageError::new("LETTERS does not answer");
    let namespace = platform.letters().ok_or_else(silent)?;
    let question = serde_json::to_vec(request).map_err(|_| silent())?;
    let answer = object::ask(&namespace, "letters", &question, TIMEOUT).await;
    serde_json::from_slice(&answer.ok_or_else(silent)?).map_err(|_| silent())
}

/// The table of what was set aside.
#[durable_object(fetch)]
pub struct SetAside {
    database: Database,
    /// The day on which the table was last seen to, since 1970.
    day: Cell<Option<u32>>,
}

impl DurableObject for SetAside {
    fn new(state: State, _: Env) -> Self {
        stop::watch();
        Self { database: Database::of(&state), day: Cell::new(None) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        object::answer("set-aside", &request, MAX_REQUEST, |body| {
            let request =
                serde_json::from_slice(body).map_err(|_| StorageError::new("a request that cannot be read"))?;
            let letters = self.handle(request, now())?;
            serde_json::to_vec(&letters).map_err(|_| StorageError::new("letters without a text"))
        })
        .await
    }
}

impl SetAside {
    fn handle(&self, request: DeadLetterRequest, now: Millis) -> std::result::Result<Letters, StorageError> {
        let database = &self.database;
        let today = u32::try_from(now.div_euclid(86_400_000)).unwrap_or_default();
        if self.day.get() != Some(today) {
            self.prepare()?;
            let before = integer(today.saturating_sub(REMEMBERED_DAYS));
            database.run("DELETE FROM letters WHERE removed < ?", vec![before])?;
            self.day.set(Some(today));
        }
        let mut letters = Vec::new();
        match request {
            DeadLetterRequest::Keep(kept) => {
                for (identity, letter) in kept {
                    database.run(
                        "INSERT INTO letters (identity, letter) VALUES (?, ?) ON CONFLICT (identity) DO NOTHING",
                        vec![identity.into(), letter.into()],
                    )?;
                }
            }
            DeadLetterRequest::List { before, limit } => {
                letters = self.select(
                    "SELECT number, letter FROM letters WHERE removed IS NULL AND number < ? \
                     ORDER BY number DESC LIMIT ?",
                    vec![integer(before), integer(limit)],
                    now,
                )?;
            }
            DeadLetterRequest::Find { numbers, limit } if numbers.is_empty() => {
                letters = self.select(
                    "SELECT number, letter FROM letters WHERE removed IS NULL ORDER BY number LIMIT ?",
                    vec![integer(limit)],
                    now,
                )?;
            }
            DeadLetterRequest::Find { numbers, .. } => {
                for number in numbers {
                    letters.extend(self.select(
                        "SELECT number, letter FROM letters WHERE removed IS NULL AND number = ?",
                        vec![integer(number)],
                        now,
                    )?);
                }
            }
            DeadLetterRequest::Forget { numbers } => {
                for number in numbers {
                    database.run(
                        "UPDATE letters SET letter = NULL, removed = ? WHERE removed IS NULL AND number = ?",
                        vec![integer(today), integer(number)],
                    )?;
                }
            }
        }
        let counted = database.rows("SELECT count(*) FROM letters WHERE removed IS NULL", Vec::new())?;
        let count = counted.first().ok_or_else(|| StorageError::new("no count"))?;
        Ok(Letters { count: number(count, 0)?.into(), letters })
    }

    /// Makes the table, or gives the one of an older version what it lacks. A letter of that version has no identity,
    /// which any number of letters may lack.
    fn prepare(&self) -> std::result::Result<(), StorageError> {
        let run = |statement| self.database.run(statement, Vec::new());
        run("CREATE TABLE IF NOT EXISTS letters (number INTEGER PRIMARY KEY AUTOINCREMENT, letter TEXT)")?;
        let columns = self.database.rows("PRAGMA table_info(letters)", Vec::new())?;
        let is_there = |name: &str| {
            columns.iter().any(|column| matches!(column.get(1), Some(SqlStorageValue::String(other)) if other == name))
        };
        if !is_there("identity") {
            run("ALTER TABLE letters ADD COLUMN identity TEXT")?;
        }
        if !is_there("removed") {
            run("ALTER TABLE letters ADD COLUMN removed INTEGER")?;
        }
        run("CREATE UNIQUE INDEX IF NOT EXISTS letters_identity ON letters (identity)")
    }

    fn select(
        &self,
        statement: &str,
        values: Vec<SqlStorageValue>,
        now: Millis,
    ) -> std::result::Result<Vec<(u32, DeadLetter)>, StorageError> {
        let read = |row: &Row| {
            let Some(SqlStorageValue::String(letter)) = row.get(1) else {
                return Err(StorageError::new("a letter without a text"));
            };
            Ok((number(row, 0)?, DeadLetter::read_kept(letter, now)))
        };
        self.database.rows(statement, values)?.iter().map(read).collect()
    }
}
