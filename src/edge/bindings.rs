//! The platform's objects, as far as they are used, and what is asked of them: in `platform.js`, so that
//! one crossing does what would take many.

// Types in the signature of an export must be public.
#![allow(unreachable_pub)]

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

// The build says where that is.
#[wasm_bindgen(raw_module = "platform")]
extern "C" {
    /// A promise that is still to be settled.
    pub type Deferred;

    /// Settles a promise.
    pub(super) fn end(deferred: &Deferred, value: &JsValue);

    pub(super) fn sleep(ticket: usize, millis: f64);

    /// A request as it came in.
    pub type Request;

    /// A header.
    pub(super) fn header(request: &Request, name: &str) -> Option<String>;

    /// The bytes of a body with code 1, or code 0.
    #[wasm_bindgen(js_name = wholeBody)]
    pub(super) fn whole_body(ticket: usize, request: &Request, millis: f64);

    /// The same, with not many more bytes than `limit`.
    #[wasm_bindgen(js_name = boundedBody)]
    pub(super) fn bounded_body(ticket: usize, request: &Request, limit: usize, millis: f64);

    /// An answer. `headers` are names and values by turns, each on a line of its own.
    #[wasm_bindgen(catch)]
    pub(super) fn respond(status: u16, headers: &str, body: &[u8]) -> Result<JsValue, JsValue>;

    /// Where requests are sent to, and how.
    pub(super) type Target;

    pub(super) fn target(url: &str, method: &str, headers: &str) -> Target;

    /// The status as code, the body, and of what did not go well the [`Reply`]. Code 0 when there is no
    /// answer in time, 1 when the request fails.
    pub(super) fn exchange(ticket: usize, target: &Target, body: &[u8], millis: f64);

    /// An answer to a request of ours.
    pub(super) type Reply;

    #[wasm_bindgen(js_name = header)]
    pub(super) fn reply_header(reply: &Reply, name: &str) -> Option<String>;

    /// As value an answer with a file of the static assets, or nothing.
    pub(super) fn asset(ticket: usize, assets: &Assets, url: &str, headers: &str);

    /// Code 1 when a rate limiter does not let this pass.
    pub(super) fn limit(ticket: usize, limiter: &RateLimiter, key: &str);

    /// Code 1 when the messages are stored, 2 when they are too many now, 0 when that fails.
    pub(super) fn store(
        ticket: usize,
        queue: &Queue,
        messages: Vec<String>,
        delay: u32,
        millis: f64,
    );

    #[wasm_bindgen(js_name = messageText)]
    pub(super) fn message_text(message: &Message) -> Option<String>;

    /// A message is dealt with. One that cannot be acknowledged comes again, and is known then.
    pub(super) fn acknowledge(message: &Message);

    /// A message is to come again after so many seconds.
    #[wasm_bindgen(js_name = againAfter)]
    pub(super) fn again_after(message: &Message, seconds: u32);

    /// The answer of the Durable Object of a name with code 1, or code 0.
    pub(super) fn ask(
        ticket: usize,
        namespace: &Namespace,
        name: &str,
        question: &[u8],
        millis: f64,
    );

    /// The rows of a statement.
    #[wasm_bindgen(catch)]
    pub(super) fn rows(
        sql: &Sql,
        statement: &str,
        values: Vec<JsValue>,
    ) -> Result<Vec<Row>, JsValue>;

    /// Bytes as a database takes them.
    pub(super) fn blob(bytes: &[u8]) -> JsValue;

    /// The bytes that it gives; `None` for anything else.
    #[wasm_bindgen(js_name = bytesOf)]
    pub(super) fn bytes_of(blob: &JsValue) -> Option<Vec<u8>>;
}

#[wasm_bindgen]
extern "C" {
    /// What is bound to the Worker.
    pub type Env;

    #[wasm_bindgen(method, structural, indexing_getter)]
    fn get(this: &Env, name: &str) -> JsValue;

    /// Where accepted measurements are queued. Without it, delivery is direct.
    #[wasm_bindgen(method, getter, js_name = MEASUREMENTS)]
    pub(super) fn measurements(this: &Env) -> Option<Queue>;

    /// The dead-letter queue.
    #[wasm_bindgen(method, getter, js_name = SET_ASIDE)]
    pub(super) fn set_aside(this: &Env) -> Option<Queue>;

    /// The objects that remember events.
    #[wasm_bindgen(method, getter, js_name = ONCE)]
    pub(super) fn once(this: &Env) -> Option<Namespace>;

    /// The object that keeps what was set aside.
    #[wasm_bindgen(method, getter, js_name = LETTERS)]
    pub(super) fn letters(this: &Env) -> Option<Namespace>;

    #[wasm_bindgen(method, getter, js_name = RATE_LIMITER)]
    pub(super) fn rate_limiter(this: &Env) -> Option<RateLimiter>;

    #[wasm_bindgen(method, getter, js_name = ASSETS)]
    pub(super) fn assets(this: &Env) -> Option<Assets>;

    /// The producer's end of a queue.
    pub(super) type Queue;

    /// Durable Objects of one class.
    pub(super) type Namespace;

    /// A rate limiter.
    pub(super) type RateLimiter;

    /// The static assets beside the Worker.
    pub(super) type Assets;

    /// What a consumer is handed.
    pub type MessageBatch;

    /// Name of the queue.
    #[wasm_bindgen(method, getter)]
    pub(super) fn queue(this: &MessageBatch) -> String;

    #[wasm_bindgen(method, getter)]
    pub(super) fn messages(this: &MessageBatch) -> Vec<Message>;

    /// One message of a batch.
    pub(super) type Message;

    /// How often it has been delivered, this time included.
    #[wasm_bindgen(method, getter)]
    pub(super) fn attempts(this: &Message) -> u32;

    /// What a Durable Object is made with.
    pub type State;

    #[wasm_bindgen(method, getter)]
    pub(super) fn storage(this: &State) -> Storage;

    /// The storage of a Durable Object.
    pub(super) type Storage;

    #[wasm_bindgen(method, getter)]
    pub(super) fn sql(this: &Storage) -> Sql;

    /// Its database.
    pub(super) type Sql;

    /// The values of a row.
    pub(super) type Row;

    #[wasm_bindgen(method, structural, indexing_getter)]
    pub(super) fn value(this: &Row, column: u32) -> JsValue;

    /// The time, in milliseconds.
    #[wasm_bindgen(js_namespace = Date, js_name = now)]
    pub(super) fn date_now() -> f64;

    /// What the engine takes a text for, in milliseconds.
    #[wasm_bindgen(js_namespace = Date, js_name = parse)]
    pub(super) fn parse_date(text: &str) -> f64;

    /// From 0 to below 1.
    #[wasm_bindgen(js_namespace = Math)]
    pub(super) fn random() -> f64;

    #[wasm_bindgen(js_namespace = console, js_name = log)]
    pub(super) fn console_log(line: &str);

    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub(super) fn console_error(line: &str);
}

impl Env {
    /// A variable or a secret.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).as_string()
    }
}
