//! What was set aside, where an operator can look at it: a Durable Object with a table.

use std::cell::Cell;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use worker::{DurableObject, Env, Request, Response, Result, SqlStorageValue, State, durable_object};

use super::clock::now;
use super::env::Platform;
use super::object::{self, Database, Row, StorageError, integer, number};
use super::stop;
use crate::Millis;
use crate::durable::dead_letter::DeadLetter;
use crate::segment::operator::{Choice, Group, Groups};

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

/// A letter's reason. An index has the same, so that letters are counted by it without a look into them.
const REASON: &str = "CASE WHEN json_valid(letter) THEN json_extract(letter, '$.reason') ELSE 'unreadable_message' END";

/// Most letters that are looked through for a text.
const MAX_SCANNED: u32 = 10_000;

/// Most reasons that are told.
const MAX_GROUPS: u32 = 50;

/// Returns what holds of a letter of this reason, and the values in it.
fn condition(reason: Option<String>) -> (String, Vec<SqlStorageValue>) {
    match reason {
        Some(reason) => (format!("removed IS NULL AND {REASON} = ?"), vec![reason.into()]),
        None => ("removed IS NULL".to_owned(), Vec::new()),
    }
}

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
    /// The newest before a number, of a reason and with a text in them.
    Search { reason: Option<String>, text: String, before: u32, limit: u32 },
    /// The first after a number and up to another, of a reason.
    Next { reason: Option<String>, after: u32, up_to: Option<u32>, limit: u32 },
    /// All of them, by their reasons. Answered by [`Groups`].
    Group,
}

/// Letters with their numbers, and how many there are in all.
#[derive(Serialize, Deserialize)]
pub(super) struct Letters {
    pub(super) count: i64,
    pub(super) numbered: Vec<(u32, DeadLetter)>,
    /// For a search, before which number there may be more; for a step, the last number of all steps.
    pub(super) bound: Option<u32>,
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
        let is_kept = ask::<Letters>(platform, &DeadLetterRequest::Keep(rest)).await.is_ok();
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

/// Returns the newest letters before a number, of a reason and with a text in them, in any case.
pub(super) async fn search(
    platform: &Platform,
    reason: Option<String>,
    text: &str,
    before: u32,
    limit: u32,
) -> std::result::Result<Letters, StorageError> {
    let text = text.to_ascii_lowercase();
    ask(platform, &DeadLetterRequest::Search { reason, text, before, limit }).await
}

/// Returns the letters of one step. `count` is how many come after them.
pub(super) async fn choose(
    platform: &Platform,
    choice: Choice,
    limit: u32,
) -> std::result::Result<Letters, StorageError> {
    match choice {
        Choice::Numbers(numbers) => Ok(Letters { count: 0, ..find(platform, numbers, limit).await? }),
        Choice::Next { reason, after, up_to } => {
            ask(platform, &DeadLetterRequest::Next { reason, after, up_to, limit }).await
        }
    }
}

/// Returns how many letters there are of each reason.
pub(super) async fn groups(platform: &Platform) -> std::result::Result<Groups, StorageError> {
    ask(platform, &DeadLetterRequest::Group).await
}

async fn ask<T: DeserializeOwned>(
    platform: &Platform,
    request: &DeadLetterRequest,
) -> std::result::Result<T, StorageError> {
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
            let answer = match request {
                DeadLetterRequest::Group => {
                    self.see_to_the_table(now())?;
                    serde_json::to_vec(&self.groups()?)
                }
                request => serde_json::to_vec(&self.handle(request, now())?),
            };
            answer.map_err(|_| StorageError::new("letters without a text"))
        })
        .await
    }
}

impl SetAside {
    fn handle(&self, request: DeadLetterRequest, now: Millis) -> std::result::Result<Letters, StorageError> {
        let database = &self.database;
        let today = self.see_to_the_table(now)?;
        let mut numbered = Vec::new();
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
                numbered = self.select(
                    "SELECT number, letter FROM letters WHERE removed IS NULL AND number < ? \
                     ORDER BY number DESC LIMIT ?",
                    vec![integer(before), integer(limit)],
                    now,
                )?;
            }
            DeadLetterRequest::Find { numbers, limit } if numbers.is_empty() => {
                numbered = self.select(
                    "SELECT number, letter FROM letters WHERE removed IS NULL ORDER BY number LIMIT ?",
                    vec![integer(limit)],
                    now,
                )?;
            }
            DeadLetterRequest::Find { numbers, .. } => {
                for number in numbers {
                    numbered.extend(self.select(
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
            DeadLetterRequest::Search { reason, text, before, limit } => {
                return self.search(reason, text, before, limit, now);
            }
            DeadLetterRequest::Next { reason, after, up_to, limit } => {
                return self.next(reason, after, up_to, limit, now);
            }
            DeadLetterRequest::Group => {}
        }
        Ok(Letters { count: self.count("removed IS NULL", Vec::new())?, numbered, bound: None })
    }

    /// Makes the table, and once a day forgets which letters were there. Returns the day.
    fn see_to_the_table(&self, now: Millis) -> std::result::Result<u32, StorageError> {
        let today = u32::try_from(now.div_euclid(86_400_000)).unwrap_or_default();
        if self.day.get() != Some(today) {
            self.prepare()?;
            let before = integer(today.saturating_sub(REMEMBERED_DAYS));
            self.database.run("DELETE FROM letters WHERE removed < ?", vec![before])?;
            self.day.set(Some(today));
        }
        Ok(today)
    }

    /// Returns how many letters there are of which this holds.
    fn count(&self, condition: &str, values: Vec<SqlStorageValue>) -> std::result::Result<i64, StorageError> {
        let counted = self.database.rows(&format!("SELECT count(*) FROM letters WHERE {condition}"), values)?;
        let count = counted.first().ok_or_else(|| StorageError::new("no count"))?;
        Ok(number(count, 0)?.into())
    }

    fn search(
        &self,
        reason: Option<String>,
        text: String,
        before: u32,
        limit: u32,
        now: Millis,
    ) -> std::result::Result<Letters, StorageError> {
        let (of_reason, mut values) = condition(reason);
        if text.is_empty() {
            let count = self.count(&of_reason, values.clone())?;
            values.extend([integer(before), integer(limit)]);
            let statement = format!(
                "SELECT number, letter FROM letters WHERE {of_reason} AND number < ? ORDER BY number DESC LIMIT ?"
            );
            let numbered = self.select(&statement, values, now)?;
            let is_full = numbered.len() == limit as usize;
            let bound = numbered.last().map(|(number, _)| *number).filter(|_| is_full);
            return Ok(Letters { count, numbered, bound });
        }
        let scanned = format!(
            "SELECT number, letter FROM letters WHERE {of_reason} AND number < ? ORDER BY number DESC LIMIT {MAX_SCANNED}"
        );
        values.push(integer(before));
        let rest = self.database.rows(&format!("SELECT min(number), count(*) FROM ({scanned})"), values.clone())?;
        let rest = rest.first().filter(|row| number(row, 1).is_ok_and(|count| count == MAX_SCANNED));
        let end = rest.and_then(|row| number(row, 0).ok());
        values.push(text.into());
        let found = format!("FROM ({scanned}) WHERE instr(lower(letter), ?) > 0");
        let counted = self.database.rows(&format!("SELECT count(*) {found}"), values.clone())?;
        let count = counted.first().map_or(Ok(0), |row| number(row, 0))?;
        values.push(integer(limit));
        let statement = format!("SELECT number, letter {found} ORDER BY number DESC LIMIT ?");
        let numbered = self.select(&statement, values, now)?;
        let is_full = numbered.len() == limit as usize;
        let bound = numbered.last().map(|(number, _)| *number).filter(|_| is_full).or(end);
        Ok(Letters { count: count.into(), numbered, bound })
    }

    fn next(
        &self,
        reason: Option<String>,
        after: u32,
        up_to: Option<u32>,
        limit: u32,
        now: Millis,
    ) -> std::result::Result<Letters, StorageError> {
        let (of_reason, values) = condition(reason);
        let up_to = match up_to {
            Some(up_to) => up_to,
            None => {
                let last = self.database.rows("SELECT coalesce(max(number), 0) FROM letters", Vec::new())?;
                last.first().map_or(Ok(0), |row| number(row, 0))?
            }
        };
        let in_step = format!("{of_reason} AND number > ? AND number <= ?");
        let with = |more: &[u32]| [values.clone(), more.iter().copied().map(integer).collect()].concat();
        let statement = format!("SELECT number, letter FROM letters WHERE {in_step} ORDER BY number LIMIT ?");
        let numbered = self.select(&statement, with(&[after, up_to, limit]), now)?;
        let last = numbered.last().map_or(up_to, |(number, _)| *number);
        Ok(Letters { count: self.count(&in_step, with(&[last, up_to]))?, numbered, bound: Some(up_to) })
    }

    /// Counts by the index, and looks into the first and the last letter of each reason.
    fn groups(&self) -> std::result::Result<Groups, StorageError> {
        let field = |table: &str, path: &str| {
            format!("CASE WHEN json_valid({table}.letter) THEN json_extract({table}.letter, '$.{path}') END")
        };
        let statement = format!(
            "WITH groups AS (SELECT {REASON} AS reason, count(*) AS count, min(number) AS first, max(number) AS last \
             FROM letters WHERE removed IS NULL GROUP BY 1 ORDER BY 2 DESC LIMIT {MAX_GROUPS}) \
             SELECT groups.reason, {words}, groups.count, unixepoch({oldest}), unixepoch({newest}) FROM groups \
             JOIN letters AS one ON one.number = groups.first JOIN letters AS other ON other.number = groups.last \
             ORDER BY 3 DESC",
            words = field("other", "message"),
            oldest = field("one", "receivedAt"),
            newest = field("other", "receivedAt"),
        );
        let text = |value: &SqlStorageValue| match value {
            SqlStorageValue::String(text) => Some(text.clone()),
            _ => None,
        };
        let whole = |value: &SqlStorageValue| match value {
            SqlStorageValue::Integer(number) => Some(*number),
            _ => None,
        };
        let mut groups = Vec::new();
        self.database.each(&statement, Vec::new(), |row| {
            if let [reason, words, count, oldest, newest] = row.as_slice() {
                groups.push(Group {
                    reason: text(reason).unwrap_or_default(),
                    words: text(words),
                    count: whole(count).unwrap_or_default(),
                    oldest: whole(oldest),
                    newest: whole(newest),
                });
            }
            Ok(())
        })?;
        Ok(Groups { count: self.count("removed IS NULL", Vec::new())?, groups })
    }

    /// Makes the table, or gives the one of an older version what it lacks. A letter of that version has no identity,
    /// which any number of letters may lack.
    fn prepare(&self) -> std::result::Result<(), StorageError> {
        let run = |statement: &str| self.database.run(statement, Vec::new());
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
        run("CREATE UNIQUE INDEX IF NOT EXISTS letters_identity ON letters (identity)")?;
        run(&format!("CREATE INDEX IF NOT EXISTS letters_reason ON letters ({REASON}) WHERE removed IS NULL"))
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
