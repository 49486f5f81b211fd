//! Requests in, answers out.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use worker::{Delay, Headers, Request, Response, Result};

use crate::segment::answer::{Answer, Failure, FailureCode};
use crate::segment::body::too_large;
use crate::segment::cors::Origin;

/// How long a body is waited for. An answer takes seven seconds at the most.
const BODY_PATIENCE: Duration = Duration::from_secs(5);

/// Where a request goes, taken apart without the tables of a URL library.
pub(super) struct Target {
    /// Scheme and host.
    pub(super) origin: String,
    /// Path, as it was sent.
    pub(super) path: String,
    /// Query without `?`.
    pub(super) query: String,
}

impl Target {
    pub(super) fn of(request: &Request) -> Self {
        let url = request.inner().url();
        let (rest, query) = url.split_once('?').unwrap_or((&url, ""));
        let query = query.split('#').next().unwrap_or_default();
        let rest = rest.split('#').next().unwrap_or_default();
        let host_at = rest.find("://").map_or(0, |at| at + 3);
        let host_and_path = rest.get(host_at..).unwrap_or_default();
        let path_at = host_at + host_and_path.find('/').unwrap_or(host_and_path.len());
        let (origin, path) = rest.split_at_checked(path_at).unwrap_or((rest, ""));
        Self { origin: origin.to_owned(), path: path.to_owned(), query: query.to_owned() }
    }
}

/// One header of a request.
pub(super) fn header(request: &Request, name: &str) -> Option<String> {
    request.headers().get(name).ok().flatten()
}

/// Reads a body, and stops at the limit: what is too large is never held.
pub(super) async fn read_body(
    request: &mut Request,
    limit: usize,
) -> std::result::Result<Vec<u8>, Failure> {
    let length = header(request, "Content-Length").and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let Ok(mut stream) = request.stream() else { return Ok(Vec::new()) };
    let mut body =
        Vec::with_capacity(usize::try_from(length.unwrap_or_default()).unwrap_or_default());
    let mut patience = pin!(Delay::from(BODY_PATIENCE));
    loop {
        let part = match select(pin!(stream.next()), patience.as_mut()).await {
            Either::Left((part, _)) => part,
            Either::Right(_) => return Err(incomplete()),
        };
        match part {
            Some(Ok(part)) if body.len() + part.len() > limit => return Err(too_large(limit)),
            Some(Ok(part)) => body.extend_from_slice(&part),
            Some(Err(_)) => return Err(incomplete()),
            None => return Ok(body),
        }
    }
}

/// An upload that stops is a fault of the network: it may well succeed the next time.
fn incomplete() -> Failure {
    Failure::new(FailureCode::UpstreamUnavailable, "body: expected more bytes, and none came")
}

/// Sends an answer with the headers that every answer has.
pub(super) fn respond(answer: &Answer, origin: Origin) -> Result<Response> {
    let headers = Headers::new();
    for (name, value) in origin.headers() {
        headers.set(name, value)?;
    }
    for (name, value) in &answer.headers {
        headers.set(name, value)?;
    }
    let (body, content_type) = answer.body.parts();
    if let Some(content_type) = content_type {
        headers.set("Content-Type", content_type)?;
    }
    let response = Response::builder().with_status(answer.status).with_headers(headers);
    Ok(if body.is_empty() { response.empty() } else { response.fixed(body.to_vec()) })
}
