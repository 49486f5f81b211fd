//! What was set aside, where an operator can look at it: a Durable Object with a table.

use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use worker::{
    DurableObject, Env, Method, Request, RequestInit, Response, Result, SqlStorage,
    SqlStorageValue, State, durable_object,
};

use super::now;
use crate::durable::dead_letter::DeadLetter;

/// The namespace of the object.
const LETTERS: &str = "LETTERS";

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
pub(super) async fn list(env: &Env, before: u32, limit: u32) -> Result<Letters> {
    ask(env, &Wish::List { before, limit }).await
}

/// The letters of these numbers; without numbers, the oldest.
pub(super) async fn find(env: &Env, numbers: Vec<u32>, limit: u32) -> Result<Letters> {
    ask(env, &Wish::Find { numbers, limit }).await
}

/// Forgets letters.
pub(super) async fn forget(env: &Env, numbers: Vec<u32>) -> Result<Letters> {
    ask(env, &Wish::Forget { numbers }).await
}

async fn ask(env: &Env, wish: &Wish) -> Result<Letters> {
    let stub = env.durable_object(LETTERS)?.get_by_name("letters")?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(JsValue::from(serde_json::to_string(wish)?)));
    let request = Request::new_with_init("https://letters.invalid/", &init)?;
    let mut response = stub.fetch_with_request(request).await?;
    if response.status_code() != 200 {
        return Err("the letters could not be asked for".into());
    }
    Ok(serde_json::from_slice(&response.bytes().await?)?)
}

/// The table of what was set aside.
#[durable_object]
pub struct SetAside {
    sql: SqlStorage,
}

#[derive(Deserialize)]
struct Row {
    number: u32,
    letter: String,
}

#[derive(Deserialize)]
struct Count {
    count: i64,
}

impl DurableObject for SetAside {
    fn new(state: State, _env: Env) -> Self {
        Self { sql: state.storage().sql() }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let body = request.bytes().await.unwrap_or_default();
        match serde_json::from_slice(&body).map_err(Into::into).and_then(|wish| self.fulfil(wish)) {
            Ok(letters) => Response::from_bytes(serde_json::to_vec(&letters)?),
            Err(_) => Response::error("the letters cannot be read", 503),
        }
    }
}

impl SetAside {
    fn fulfil(&self, wish: Wish) -> Result<Letters> {
        self.sql.exec(
            "CREATE TABLE IF NOT EXISTS letters (number INTEGER PRIMARY KEY AUTOINCREMENT, letter TEXT)",
            None,
        )?;
        let mut letters = Vec::new();
        match wish {
            Wish::Keep(kept) => {
                for letter in kept {
                    self.sql.exec(
                        "INSERT INTO letters (letter) VALUES (?)",
                        Some(vec![letter.into()]),
                    )?;
                }
            }
            Wish::List { before, limit } => {
                letters = self.select(
                    "SELECT number, letter FROM letters WHERE number < ? ORDER BY number DESC LIMIT ?",
                    vec![i64::from(before).into(), i64::from(limit).into()],
                )?;
            }
            Wish::Find { numbers, limit } if numbers.is_empty() => {
                letters = self.select(
                    "SELECT number, letter FROM letters ORDER BY number LIMIT ?",
                    vec![i64::from(limit).into()],
                )?;
            }
            Wish::Find { numbers, .. } => {
                for number in numbers {
                    letters.extend(self.select(
                        "SELECT number, letter FROM letters WHERE number = ?",
                        vec![i64::from(number).into()],
                    )?);
                }
            }
            Wish::Forget { numbers } => {
                for number in numbers {
                    self.sql.exec(
                        "DELETE FROM letters WHERE number = ?",
                        Some(vec![i64::from(number).into()]),
                    )?;
                }
            }
        }
        let counts = self.sql.exec("SELECT count(*) AS count FROM letters", None)?;
        let count = counts.next::<Count>().next().transpose()?.map_or(0, |row| row.count);
        Ok(Letters { count, letters })
    }

    fn select(&self, query: &str, values: Vec<SqlStorageValue>) -> Result<Vec<(u32, DeadLetter)>> {
        let rows = self.sql.exec(query, Some(values))?;
        rows.next::<Row>()
            .map(|row| row.map(|row| (row.number, DeadLetter::read(&row.letter, now()))))
            .collect()
    }
}
