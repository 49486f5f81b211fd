//! Requests in, answers out.

use wasm_bindgen::JsValue;

use super::bindings::{self, Request};
use super::task::{Settlement, Tasks};
use crate::segment::answer::{Answer, Failure, FailureCode, Fallible};
use crate::segment::body::too_large;
use crate::segment::cors::Origin;
use crate::text;

/// How long a body is waited for, in milliseconds. An answer takes seven seconds at the most.
const BODY_PATIENCE: f64 = 5_000.0;

/// What every request is asked.
#[derive(Default)]
pub(super) struct Head<'h> {
    /// As it was sent.
    pub(super) method: &'h str,
    /// Scheme and host.
    pub(super) origin: &'h str,
    /// Path, as it was sent.
    pub(super) path: &'h str,
    /// Query without `?`.
    pub(super) query: &'h str,
    /// The page's origin, by the header.
    pub(super) from: Option<&'h str>,
    pub(super) authorization: Option<&'h str>,
    pub(super) content_length: Option<u64>,
}

impl<'h> Head<'h> {
    /// Takes apart what `head` of `platform.js` gives: method, URL, and a few headers, each on a line of its
    /// own, which is empty where there is none. The URL is one that the platform has parsed.
    pub(super) fn of(head: &'h str) -> Self {
        let mut lines = text::split(head, "\n");
        let mut line = || lines.next().filter(|line| !line.is_empty());
        let method = line().unwrap_or_default();
        let url = line().unwrap_or_default();
        let (from, authorization) = (line(), line());
        let content_length = line().and_then(text::read_whole);
        let url = text::split_once(url, "#").map_or(url, |(url, _)| url);
        let (rest, query) = text::split_once(url, "?").unwrap_or((url, ""));
        let host_at = text::find(rest, "://").map_or(0, |at| at + 3);
        let host_and_path = rest.get(host_at..).unwrap_or_default();
        let path_at = host_at + text::find(host_and_path, "/").unwrap_or(host_and_path.len());
        let (origin, path) = rest.split_at_checked(path_at).unwrap_or((rest, ""));
        Self { method, origin, path, query, from, authorization, content_length }
    }
}

/// Reads a body, and stops at the limit: what is too large is never held.
pub(super) async fn read_body(
    tasks: &Tasks,
    request: &Request,
    length: Option<u64>,
    limit: usize,
) -> Fallible<Vec<u8>> {
    let body = match length {
        Some(length) if length > limit as u64 => return Err(too_large(limit)),
        Some(_) => tasks.begun(|ticket| bindings::whole_body(ticket, request, BODY_PATIENCE)),
        None => tasks.begun(|ticket| bindings::bounded_body(ticket, request, limit, BODY_PATIENCE)),
    };
    match body.await {
        Settlement { code: 1, bytes, .. } if bytes.len() > limit => Err(too_large(limit)),
        Settlement { code: 1, bytes, .. } => Ok(bytes),
        // An upload that stops is a fault of the network: it may well succeed the next time.
        _ => Err(Failure::new(
            FailureCode::UpstreamUnavailable,
            "body: expected more bytes, and none came",
        )),
    }
}

/// Sends an answer with the headers that every answer has.
pub(super) fn respond(answer: &Answer, origin: Origin) -> JsValue {
    let (body, content_type) = answer.body.parts();
    let mut lines = Lines::default();
    for (name, value) in origin.headers() {
        lines.push(name, value);
    }
    for (name, value) in &answer.headers {
        lines.push(name, value);
    }
    if let Some(content_type) = content_type {
        lines.push("Content-Type", content_type);
    }
    match bindings::respond(answer.status, lines.as_str(), body) {
        Ok(response) => response,
        // Only what the page calls itself can be a header that is not to be sent.
        Err(_) if origin != Origin::None => respond(answer, Origin::None),
        Err(_) => JsValue::UNDEFINED,
    }
}

/// Headers as `platform.js` takes them: names and values by turns, each on a line of its own.
#[derive(Default)]
pub(super) struct Lines(String);

impl Lines {
    pub(super) fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(name);
        self.0.push('\n');
        // A value with a line break is none, and must not become a header of its own.
        for part in text::split(value, "\n") {
            self.0.push_str(part);
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
