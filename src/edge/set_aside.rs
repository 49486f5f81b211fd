//! What was set aside, where an operator can look at it: a Durable Object with a table.

use worker::{
    DurableObject, Env, Request, Response, Result, SqlStorageValue, State, durable_object,
};

use super::clock::now;
use super::env::Platform;
use super::object::{self, Database, Row, StorageError, integer, number};
use super::{once, stop};
use crate::Millis;
use crate::durable::dead_letter::DeadLetter;
use crate::json::tree::Value;
use crate::json::writer::{ToJson, Writer, to_json};

/// What the object is asked for.
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

impl Wish {
    fn read(bytes: &[u8]) -> Option<Self> {
        let Some(Value::Object(wish)) = Value::read_bytes(bytes) else { return None };
        let [(name, wish)] = wish.as_slice() else { return None };
        let whole = |name| wish.get(name)?.as_whole();
        let numbers = || -> Option<Vec<u32>> {
            wish.get("numbers")?.as_array()?.iter().map(Value::as_whole).collect()
        };
        match &**name {
            "Keep" => {
                let letters = wish.as_array()?.iter();
                letters
                    .map(|letter| letter.as_str().map(str::to_owned))
                    .collect::<Option<_>>()
                    .map(Self::Keep)
            }
            "List" => Some(Self::List { before: whole("before")?, limit: whole("limit")? }),
            "Find" => Some(Self::Find { numbers: numbers()?, limit: whole("limit")? }),
            "Forget" => Some(Self::Forget { numbers: numbers()? }),
            _ => None,
        }
    }
}

impl ToJson for Wish {
    fn write(&self, json: &mut Writer) {
        json.object(|json| match self {
            Self::Keep(letters) => json.field("Keep", letters),
            Self::List { before, limit } => {
                json.name("List");
                json.object(|json| {
                    json.field("before", before);
                    json.field("limit", limit);
                });
            }
            Self::Find { numbers, limit } => {
                json.name("Find");
                json.object(|json| {
                    json.field("numbers", numbers);
                    json.field("limit", limit);
                });
            }
            Self::Forget { numbers } => {
                json.name("Forget");
                json.object(|json| json.field("numbers", numbers));
            }
        });
    }
}

/// Letters with their numbers, and how many there are in all.
pub(super) struct Letters {
    pub(super) count: i64,
    pub(super) letters: Vec<(u32, DeadLetter)>,
}

impl Letters {
    fn read(bytes: &[u8]) -> Option<Self> {
        let answer = Value::read_bytes(bytes)?;
        let mut letters = Vec::new();
        for numbered in answer.get("letters")?.as_array()? {
            let [number, letter] = numbered.as_array()? else { return None };
            letters.push((number.as_whole()?, DeadLetter::of_json(letter)?));
        }
        Some(Self { count: answer.get("count")?.as_integer()?, letters })
    }
}

impl ToJson for Letters {
    fn write(&self, json: &mut Writer) {
        json.object(|json| {
            json.field("count", &self.count);
            json.name("letters");
            json.raw("[");
            for (place, (number, letter)) in self.letters.iter().enumerate() {
                json.raw(if place == 0 { "[" } else { ",[" });
                json.value(number);
                json.item(letter);
                json.raw("]");
            }
            json.raw("]");
        });
    }
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
    let question = to_json(wish).into_bytes();
    let answer = object::ask(&namespace, "letters", &question, once::LEDGER_TIMEOUT)
        .await
        .ok_or(StorageError)?;
    Letters::read(&answer).ok_or(StorageError)
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
            let letters = fulfil(&self.database, Wish::read(body).ok_or(StorageError)?, now())?;
            Ok(to_json(&letters).into_bytes())
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
