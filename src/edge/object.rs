//! What the Durable Objects have in common: how they are asked, and their database.

use serde::Serialize;
use worker::js_sys::Uint8Array;
use worker::web_sys;
use worker::{
    Method, ObjectNamespace, Request, RequestInit, Response, Result, SqlStorage, SqlStorageValue, State, console_error,
};

use super::http;
use crate::Millis;

/// A Durable Object's storage failed, or holds what cannot be read.
#[derive(Debug)]
pub(super) struct StorageError {
    /// What happened, without anything that is stored.
    cause: String,
}

impl StorageError {
    pub(super) fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into() }
    }

    /// Returns the error of a statement. `SQLite` names columns and constraints in it, and no values.
    fn of(error: &worker::Error) -> Self {
        Self::new(error.to_string())
    }

    /// Writes it to the log, as one line.
    pub(super) fn log(&self, object: &str) {
        #[derive(Serialize)]
        struct Line<'l> {
            event: &'l str,
            object: &'l str,
            error: &'l str,
        }
        let line = Line { event: "storage", object, error: &self.cause };
        console_error!("{}", serde_json::to_string(&line).unwrap_or_default());
    }
}

/// The name of the object that holds the operator's figures, and what log lines call it.
pub(super) const OPERATOR: &str = "operator";

/// Asks the object of a name. Returns `None` where it does not answer in time.
pub(super) async fn ask(namespace: &ObjectNamespace, name: &str, question: &[u8], timeout: Millis) -> Option<Vec<u8>> {
    http::within(timeout, exchange(namespace, name, question)).await?.ok().flatten()
}

async fn exchange(namespace: &ObjectNamespace, name: &str, question: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(Uint8Array::from(question).into()));
    let request = Request::new_with_init("https://object.invalid/", &init)?;
    let response = namespace.get_by_name(name)?.fetch_with_request(request).await?;
    if response.status_code() != 200 {
        return Ok(None);
    }
    let bytes = http::whole(web_sys::Response::from(response).array_buffer()).await?;
    Ok(Some(bytes))
}

/// Answers a question of at most so many bytes. One that does not come whole is not answered: what has come of it could
/// be taken for another.
///
/// # Errors
///
/// Never: whoever asked would see a JavaScript error. It keeps what it has when the answer is a 503.
pub(super) async fn answer(
    object: &str,
    request: &Request,
    limit: usize,
    answer: impl FnOnce(&[u8]) -> std::result::Result<Vec<u8>, StorageError>,
) -> Result<Response> {
    let request = request.inner();
    let Ok(question) = http::read_body(request, http::content_length(request), limit).await else {
        return Response::error("the question did not come whole", 503);
    };
    match answer(&question) {
        Ok(bytes) => Response::from_bytes(bytes),
        Err(error) => {
            error.log(object);
            Response::error("the storage is out of order", 503)
        }
    }
}

/// The database of an object.
pub(super) struct Database(SqlStorage);

/// The values of a row.
pub(super) type Row = Vec<SqlStorageValue>;

impl Database {
    pub(super) fn of(state: &State) -> Self {
        Self(state.storage().sql())
    }

    /// Runs a statement that gives nothing.
    pub(super) fn run(&self, statement: &str, values: Vec<SqlStorageValue>) -> std::result::Result<(), StorageError> {
        self.each(statement, values, |_| Ok(()))
    }

    /// Runs a statement and returns its rows.
    pub(super) fn rows(
        &self,
        statement: &str,
        values: Vec<SqlStorageValue>,
    ) -> std::result::Result<Vec<Row>, StorageError> {
        let mut rows = Vec::new();
        self.each(statement, values, |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Runs a statement and takes its rows one by one. Another statement meanwhile would end their cursor.
    pub(super) fn each(
        &self,
        statement: &str,
        values: Vec<SqlStorageValue>,
        mut take: impl FnMut(Row) -> std::result::Result<(), StorageError>,
    ) -> std::result::Result<(), StorageError> {
        let cursor = self.0.exec(statement, values).map_err(|error| StorageError::of(&error))?;
        for row in cursor.raw() {
            take(row.map_err(|error| StorageError::of(&error))?)?;
        }
        Ok(())
    }
}

/// Returns a whole number of a row.
pub(super) fn number(row: &Row, column: usize) -> std::result::Result<u32, StorageError> {
    match row.get(column) {
        Some(SqlStorageValue::Integer(number)) => u32::try_from(*number).ok(),
        _ => None,
    }
    .ok_or_else(|| StorageError::new("a number that is none"))
}

/// Returns a number as a database takes it.
pub(super) fn integer(number: u32) -> SqlStorageValue {
    i64::from(number).into()
}
