//! What both Durable Objects have in common: how they are asked, and their database.

use wasm_bindgen::JsValue;

use super::bindings::{self, Deferred, Namespace, Request, Row, Sql, State};
use super::http;
use super::outbound;
use super::task::Tasks;
use crate::Millis;

/// Most bytes of a question.
const MAX_QUESTION: usize = 32_000_000;

/// Something is out of order. What it is, only an operator could tell.
#[derive(Debug)]
pub(super) struct Fault;

/// Asks the object of a name, at once. `None` where it does not answer.
pub(super) fn ask(
    tasks: &Tasks,
    namespace: &Namespace,
    name: &str,
    question: &[u8],
    patience: Millis,
) -> impl Future<Output = Option<Vec<u8>>> + use<> {
    let patience = outbound::millis(patience);
    let asked = tasks.begun(|ticket| bindings::ask(ticket, namespace, name, question, patience));
    async {
        let answer = asked.await;
        (answer.code == 1).then_some(answer.bytes)
    }
}

/// What an object makes of a question.
type Answerer = Box<dyn FnOnce(&[u8]) -> Result<Vec<u8>, Fault>>;

/// Answers a question.
pub(super) fn answer(tasks: &Tasks, promise: Deferred, request: Request, answer: Answerer) {
    let reading = tasks.clone();
    let answered = async move {
        let question =
            http::read_body(&reading, &request, None, MAX_QUESTION).await.unwrap_or_default();
        let response = match answer(&question) {
            Ok(bytes) => bindings::respond(200, "", &bytes),
            // Whoever asked keeps what it has.
            Err(Fault) => bindings::respond(503, "", b"what is stored cannot be read"),
        };
        response.unwrap_or_default()
    };
    tasks.run(promise, Box::pin(answered));
}

/// The database of an object.
pub(super) struct Database(Sql);

impl Database {
    pub(super) fn of(state: &State) -> Self {
        Self(state.storage().sql())
    }

    /// Runs a statement that gives nothing.
    pub(super) fn run(&self, statement: &str, values: &[JsValue]) -> Result<(), Fault> {
        self.rows(statement, values).map(drop)
    }

    /// Runs a statement and gives its rows.
    pub(super) fn rows(&self, statement: &str, values: &[JsValue]) -> Result<Vec<Row>, Fault> {
        bindings::rows(&self.0, statement, values.to_vec()).map_err(|_| Fault)
    }
}

impl Row {
    pub(super) fn number(&self, column: u32) -> Result<u32, Fault> {
        // SQLite's integers come as JavaScript's numbers; ours are small and not negative.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        self.value(column).as_f64().map(|number| number as u32).ok_or(Fault)
    }
}
