//! What both Durable Objects have in common: how they are asked, and their database.

use worker::js_sys::Uint8Array;
use worker::web_sys;
use worker::{
    Method, ObjectNamespace, Request, RequestInit, Response, Result, SqlStorage, SqlStorageValue,
    State,
};

use super::http;
use crate::Millis;

/// Most bytes of a question.
const MAX_QUESTION: usize = 32_000_000;

/// A Durable Object's storage failed, or holds what cannot be read.
#[derive(Debug)]
pub(super) struct StorageError;

/// Asks the object of a name. Returns `None` where it does not answer in time.
pub(super) async fn ask(
    namespace: &ObjectNamespace,
    name: &str,
    question: &[u8],
    timeout: Millis,
) -> Option<Vec<u8>> {
    http::within(timeout, exchange(namespace, name, question)).await?.ok().flatten()
}

async fn exchange(
    namespace: &ObjectNamespace,
    name: &str,
    question: &[u8],
) -> Result<Option<Vec<u8>>> {
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

/// Answers a question.
///
/// # Errors
///
/// Never: whoever asked would see a JavaScript error. It keeps what it has when the answer is a 503.
pub(super) async fn answer(
    request: &Request,
    answer: impl FnOnce(&[u8]) -> std::result::Result<Vec<u8>, StorageError>,
) -> Result<Response> {
    let question = http::read_body(request.inner(), None, MAX_QUESTION).await.unwrap_or_default();
    match answer(&question) {
        Ok(bytes) => Response::from_bytes(bytes),
        Err(StorageError) => Response::error("what is stored cannot be read", 503),
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
    pub(super) fn run(
        &self,
        statement: &str,
        values: Vec<SqlStorageValue>,
    ) -> std::result::Result<(), StorageError> {
        self.rows(statement, values).map(drop)
    }

    /// Runs a statement and gives its rows: all at once, since another statement ends their cursor.
    pub(super) fn rows(
        &self,
        statement: &str,
        values: Vec<SqlStorageValue>,
    ) -> std::result::Result<Vec<Row>, StorageError> {
        let cursor = self.0.exec(statement, values).map_err(|_| StorageError)?;
        cursor.raw().collect::<Result<_>>().map_err(|_| StorageError)
    }
}

/// Returns a whole number of a row.
pub(super) fn number(row: &Row, column: usize) -> std::result::Result<u32, StorageError> {
    match row.get(column) {
        Some(SqlStorageValue::Integer(number)) => u32::try_from(*number).map_err(|_| StorageError),
        _ => Err(StorageError),
    }
}

/// Returns a number as a database takes it.
pub(super) fn integer(number: u32) -> SqlStorageValue {
    i64::from(number).into()
}
