//! Reads the credentials, headers and body of a request.

use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use serde_json::json;

use crate::app::App;
use crate::clock::{clock, millis};
use crate::reply::Reply;

/// Longest body that is accepted (Librato support: 3 MB).
const MAX_BODY: usize = 3_000_000;
/// Longest body that is read, so that the sender of a refused one gets to see the answer.
const MAX_READ: usize = 10 * MAX_BODY;

/// Checks the HTTP Basic credentials, which every request must have (Librato API docs, "Authentication").
pub(crate) fn authenticate(app: &App, headers: &HeaderMap) -> Result<(), Reply> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, credentials)| STANDARD.decode(credentials.trim()).ok());
    let expected = format!("{}:{}", app.settings.user, app.settings.token);
    if given.as_deref() == Some(expected.as_bytes()) { Ok(()) } else { Err(Reply::unauthorized()) }
}

/// Requires JSON as the content type, with any parameters. The service also took forms, and a missing header for one;
/// this server does not read forms.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Reply> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Reply::json(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &json!({"errors": {"request": [
                "Content-Type must be application/json: this local Librato reads no forms"
            ]}}),
        ))
    }
}

/// Returns the `User-Agent` header.
pub(crate) fn user_agent(headers: &HeaderMap) -> Option<String> {
    headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// A received body, of which nothing beyond the limit is kept.
pub(crate) struct Received {
    /// When reading began.
    pub(crate) since: Instant,
    /// The same in epoch milliseconds.
    pub(crate) at: u64,
    bytes: Vec<u8>,
    /// Length of the whole body, in bytes.
    pub(crate) length: usize,
}

impl Received {
    /// Reads a body to its end, or to [`MAX_READ`].
    pub(crate) async fn read(mut body: Body) -> Result<Self, Reply> {
        let mut received = Self { since: Instant::now(), at: millis(clock()), bytes: Vec::new(), length: 0 };
        while let Some(frame) = body.frame().await {
            // The client has gone away, so that the answer does not matter.
            let frame = frame.map_err(|_| Reply::empty(StatusCode::BAD_REQUEST))?;
            let data = frame.into_data().unwrap_or_else(|_| Bytes::new());
            received.length += data.len();
            if received.length <= MAX_BODY {
                received.bytes.extend_from_slice(&data);
            } else if received.length > MAX_READ {
                break;
            }
        }
        Ok(received)
    }

    /// Returns the body, or the answer to one that is too long.
    pub(crate) fn within_limit(&self) -> Result<&[u8], Reply> {
        if self.length <= MAX_BODY { Ok(&self.bytes) } else { Err(Reply::empty(StatusCode::PAYLOAD_TOO_LARGE)) }
    }
}
