//! The operator's figures: a Durable Object around [`Book`].
//!
//! One is enough. An isolate asks it once in five seconds at the most, and an object answers a thousand questions of
//! this size in a second (<https://developers.cloudflare.com/durable-objects/platform/limits/>).

use std::cell::RefCell;

use serde::de::DeserializeOwned;
use worker::{DurableObject, Env, Request, Response, Result, SqlStorageValue, State, durable_object};

use super::clock::now;
use super::env::Platform;
use super::object::{self, Database, StorageError};
use super::stop;
use crate::Millis;
use crate::operator::book::{Book, Change, Question};

/// How long an answer is waited for; by a request, until its deadline.
const TIMEOUT: Millis = 10_000;
/// Most bytes of a question: an hour of an isolate whose flushes fail, with as many metrics as are held.
const MAX_QUESTION: usize = 20_000_000;

/// Asks the object. `None` where it does not answer.
pub(super) async fn ask<T: DeserializeOwned>(platform: &Platform, question: &Question) -> Option<T> {
    let namespace = platform.operator()?;
    let question = serde_json::to_vec(question).ok()?;
    let answer = object::ask(&namespace, object::OPERATOR, &question, TIMEOUT).await?;
    serde_json::from_slice(&answer).ok()
}

/// The object.
#[durable_object(fetch)]
pub struct Operator {
    database: Database,
    /// Read from its rows at the first question.
    book: RefCell<Option<Book>>,
}

impl DurableObject for Operator {
    fn new(state: State, _: Env) -> Self {
        stop::watch();
        Self { database: Database::of(&state), book: RefCell::new(None) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        object::answer(object::OPERATOR, &request, MAX_QUESTION, |question| self.answer(question)).await
    }
}

impl Operator {
    fn answer(&self, question: &[u8]) -> std::result::Result<Vec<u8>, StorageError> {
        let question =
            serde_json::from_slice(question).map_err(|_| StorageError::new("a question that cannot be read"))?;
        // Taken out, as `Once` does it: when something fails, it is read anew.
        let known = self.book.borrow_mut().take();
        let mut book = match known {
            Some(book) => book,
            None => self.load()?,
        };
        let (answer, changes) = book.ask(question, now());
        // Without an await between them, they are stored all or none.
        for change in changes {
            let (statement, values) = match change {
                Change::Put(kind, key, text) => (
                    "INSERT INTO figures (kind, key, text) VALUES (?, ?, ?) \
                     ON CONFLICT (kind, key) DO UPDATE SET text = excluded.text",
                    vec![kind.into(), key.into(), text.into()],
                ),
                Change::Forget(kind, before, _) => {
                    ("DELETE FROM figures WHERE kind = ? AND key < ?", vec![kind.into(), before.into()])
                }
            };
            self.database.run(statement, values)?;
        }
        *self.book.borrow_mut() = Some(book);
        Ok(answer)
    }

    fn load(&self) -> std::result::Result<Book, StorageError> {
        // Without a row id, a row is written once and not once more for the index of its key.
        let table = "CREATE TABLE IF NOT EXISTS figures (kind TEXT, key INTEGER, text TEXT, PRIMARY KEY (kind, key)) \
                     WITHOUT ROWID";
        self.database.run(table, Vec::new())?;
        let mut book = Book::default();
        self.database.each("SELECT kind, key, text FROM figures", Vec::new(), |row| {
            if let [SqlStorageValue::String(kind), SqlStorageValue::Integer(key), SqlStorageValue::String(text)] =
                row.as_slice()
            {
                book.load(kind, *key, text);
            }
            Ok(())
        })?;
        Ok(book)
    }
}
