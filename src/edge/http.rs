//! Requests in, answers out, by the types of `web_sys`.
//!
//! `worker::Request` and `worker::Response` are dear: with them and `worker::Fetch` a request cost 1.73 times what the
//! JavaScript of `bench/peer` does, with the platform's own types 1.13 to 1.26 (CPU of workerd, one event, direct
//! delivery). `Request::from` reads method, URL, headers and `cf` whether they are wanted or not, and `bytes()` reads
//! chunk by chunk. They would also read wrongly: `method()` takes an unknown method for GET, and `bytes()` has no
//! limit.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;

use futures_util::future::{Either, select};
use wasm_bindgen::{JsCast, JsValue, intern};
use worker::js_sys::{self, Object, Reflect, Uint8Array};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{Headers, ReadableStream, ReadableStreamDefaultReader, Request, Response, ResponseInit};

use super::clock::sleep;
use crate::Millis;
use crate::segment::answer::{self, Answer, ApiError, ErrorCode};
use crate::segment::body::{MAX_READ, too_large};
use crate::segment::cors::Origin;

/// How long a body is waited for. An answer takes seven seconds at the most.
const BODY_TIMEOUT: Millis = 5_000;

/// Method, URL parts and headers that are read from every request.
pub(super) struct RequestHead {
    /// As it was sent.
    pub(super) method: String,
    url: Url,
    /// The page's origin, by the header.
    pub(super) from: Option<String>,
    pub(super) authorization: Option<String>,
    pub(super) content_length: Option<u64>,
}

impl RequestHead {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            method: request.method(),
            url: Url::of(request.url()),
            from: header(request, "Origin"),
            authorization: header(request, "Authorization"),
            content_length: content_length(request),
        }
    }

    /// Returns scheme and host.
    pub(super) fn origin(&self) -> &str {
        self.url.text.get(..self.url.path_at).unwrap_or_default()
    }

    /// Returns the path, as it was sent.
    pub(super) fn path(&self) -> &str {
        self.url.text.get(self.url.path_at..self.url.path_end).unwrap_or_default()
    }

    /// Returns the query without `?`.
    pub(super) fn query(&self) -> &str {
        let query = self.url.text.get(self.url.path_end..self.url.end).unwrap_or_default();
        query.strip_prefix('?').unwrap_or(query)
    }

    pub(super) fn is_get(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// A URL that the platform has parsed, and where its parts begin. `worker::Request::url` would parse it once more, and
/// link the tables of internationalised domain names for it.
struct Url {
    text: String,
    path_at: usize,
    path_end: usize,
    /// Where the fragment begins.
    end: usize,
}

impl Url {
    fn of(text: String) -> Self {
        let end = text.find('#').unwrap_or(text.len());
        let whole = text.get(..end).unwrap_or_default();
        let path_end = whole.find('?').unwrap_or(end);
        let host_at = whole.find("://").map_or(0, |at| at + 3);
        let host_and_path = whole.get(host_at..path_end).unwrap_or_default();
        let path_at = host_at + host_and_path.find('/').unwrap_or(host_and_path.len());
        Self { text, path_at, path_end, end }
    }
}

/// Returns one header of a request.
pub(super) fn header(request: &Request, name: &'static str) -> Option<String> {
    request.headers().get(intern(name)).ok().flatten()
}

/// Returns the length of a request's body, where it is told.
pub(super) fn content_length(request: &Request) -> Option<u64> {
    header(request, "Content-Length")?.parse().ok()
}

/// Reads a request's body. Of one that is too large nothing is held, but it is read to its end within bounds, so that
/// whoever sends it is still there for the answer.
pub(super) async fn read_body(request: &Request, length: Option<u64>, limit: usize) -> answer::Result<Vec<u8>> {
    let is_too_large = Cell::new(length.is_some_and(|length| length > limit as u64));
    let body = match length {
        Some(length) if length > MAX_READ as u64 => return Err(too_large(limit)),
        // One promise where a stream takes one for each of its chunks.
        Some(_) if !is_too_large.get() => within(BODY_TIMEOUT, whole(request.array_buffer())).await,
        _ => match request.body() {
            Some(stream) => within(BODY_TIMEOUT, bounded(&stream, limit, &is_too_large)).await,
            None => Some(Ok(Vec::new())),
        },
    };
    match body {
        _ if is_too_large.get() => Err(too_large(limit)),
        Some(Ok(bytes)) if bytes.len() > limit => Err(too_large(limit)),
        Some(Ok(bytes)) => Ok(bytes),
        // An upload that stops is a fault of the network: it may well succeed the next time.
        Some(Err(_)) | None => {
            Err(ApiError::new(ErrorCode::UpstreamUnavailable, "body: expected more bytes, and none came"))
        }
    }
}

/// Reads, within bounds, a body that nobody wanted. A client that is answered while it still sends may lose the answer:
/// the server before the Worker then says "Network connection lost" (`wrangler dev`), or resets the connection.
pub(super) async fn read_to_end(request: &Request, length: Option<u64>) {
    if request.body_used() || length.is_some_and(|length| length > MAX_READ as u64) {
        return;
    }
    if let Some(stream) = request.body() {
        _ = within(BODY_TIMEOUT, bounded(&stream, 0, &Cell::new(true))).await;
    }
}

/// Reads a stream, and once it is too large throws away what comes.
async fn bounded(stream: &ReadableStream, limit: usize, is_too_large: &Cell<bool>) -> Result<Vec<u8>, JsValue> {
    let chunks = Chunks::of(stream)?;
    let mut bytes = Vec::new();
    let mut read = 0;
    while let Some(chunk) = chunks.next().await? {
        read += chunk.length() as usize;
        is_too_large.set(is_too_large.get() || read > limit);
        if read > MAX_READ {
            break;
        }
        if is_too_large.get() {
            bytes = Vec::new();
        } else {
            bytes.extend_from_slice(&chunk.to_vec());
        }
    }
    Ok(bytes)
}

/// Waits for a future, but not for longer than that.
pub(super) async fn within<T>(timeout: Millis, future: impl Future<Output = T>) -> Option<T> {
    match select(pin!(future), pin!(sleep(timeout))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// Returns the bytes of a promised `ArrayBuffer`.
pub(super) async fn whole(promised: Result<js_sys::Promise, JsValue>) -> Result<Vec<u8>, JsValue> {
    let buffer = JsFuture::from(promised?).await?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

/// Reads the first bytes of a stream, and tells whoever sends that no more are wanted.
pub(super) async fn beginning(stream: &ReadableStream, limit: usize) -> Result<Vec<u8>, JsValue> {
    let chunks = Chunks::of(stream)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await? {
        bytes.extend_from_slice(&chunk.to_vec());
        if bytes.len() >= limit {
            bytes.truncate(limit);
            chunks.cancel();
            break;
        }
    }
    Ok(bytes)
}

/// The chunks of a stream. Not `worker::ByteStream`, which takes an error with the text "Error: aborted" for the end of
/// the stream, so that a truncated body looks whole.
struct Chunks(ReadableStreamDefaultReader);

impl Chunks {
    fn of(stream: &ReadableStream) -> Result<Self, JsValue> {
        ReadableStreamDefaultReader::new(stream).map(Self)
    }

    async fn next(&self) -> Result<Option<Uint8Array>, JsValue> {
        let read = JsFuture::from(self.0.read()).await?;
        if Reflect::get(&read, &"done".into())?.is_truthy() {
            return Ok(None);
        }
        Ok(Some(Reflect::get(&read, &"value".into())?.dyn_into()?))
    }

    /// Ends the stream. Whether that succeeds concerns nobody; awaited, it could hang.
    fn cancel(&self) {
        drop(JsFuture::from(self.0.cancel()));
    }
}

/// Returns headers as the platform's constructors take them.
pub(super) fn headers<'h>(lines: impl IntoIterator<Item = (&'h str, &'h str)>) -> JsValue {
    let plain = Object::new();
    for (name, value) in lines {
        // Setting a property of a plain object does not fail.
        _ = Reflect::set(&plain, &name.into(), &value.into());
    }
    // From `Headers` others are made without reading the texts anew. What is none is refused where it is used.
    Headers::new_with_record_from_str_to_str(&plain).map_or(plain.into(), JsValue::from)
}

/// Returns the headers of an answer. They are those of the last one, but where another page asks: each text that
/// crosses to JavaScript costs.
fn answer_headers<'h>(lines: impl Iterator<Item = (&'h str, &'h str)>) -> JsValue {
    thread_local! {
        static LAST: RefCell<(Vec<(String, String)>, JsValue)> = const { RefCell::new((Vec::new(), JsValue::NULL)) };
    }
    let lines: Vec<_> = lines.collect();
    LAST.with_borrow_mut(|(known, made)| {
        let is_known =
            |((name, value), known): (&(&str, &str), &(String, String))| *name == known.0 && *value == known.1;
        if made.is_null() || known.len() != lines.len() || !lines.iter().zip(known.iter()).all(is_known) {
            *made = headers(lines.iter().copied());
            *known = lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        }
        made.clone()
    })
}

/// Makes an answer, with the headers that every answer has.
///
/// # Errors
///
/// What the platform throws at a header that is none.
pub(super) fn respond(answer: &Answer, origin: Origin) -> worker::Result<Response> {
    let (body, content_type) = answer.body.parts();
    let own = answer.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let content_type = content_type.map(|content_type| ("Content-Type", content_type));
    let init = ResponseInit::new();
    init.set_status(answer.status);
    init.set_headers(&answer_headers(origin.headers().into_iter().chain(own).chain(content_type)));
    // A copy: the memory of the module changes while the answer is sent.
    let bytes = (!body.is_empty()).then(|| Uint8Array::from(body));
    let made = Response::new_with_opt_js_u8_array_and_init(bytes.as_ref(), &init);
    match made {
        // Only what the page calls itself can be a header that is not to be sent.
        Err(_) if origin != Origin::None => respond(answer, Origin::None),
        made => Ok(made?),
    }
}
