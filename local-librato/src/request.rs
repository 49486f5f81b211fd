//! What the routes of the API read of a request: its credentials, headers and body.

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

/// Larger bodies are refused (Librato support: 3 MB are accepted).
const MAX_BODY: usize = 3_000_000;
/// A larger body is still read up to here, so that its sender gets to see the answer.
const MAX_READ: usize = 10 * MAX_BODY;

/// Basic authentication on every request (Librato API docs, "Authentication").
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

/// JSON alone, whatever follows the semicolon. The service took forms as well, and took a missing
/// header for one; this server does not read forms.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Reply> {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
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

pub(crate) fn user_agent(headers: &HeaderMap) -> Option<String> {
    headers
        .get(header::USER_AGENT)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// A body, kept only as far as the limit.
pub(crate) struct Received {
    pub(crate) since: Instant,
    /// Epoch milliseconds.
    pub(crate) at: u64,
    bytes: Vec<u8>,
    pub(crate) length: usize,
}

impl Received {
    pub(crate) async fn read(mut body: Body) -> Result<Self, Reply> {
        let mut received =
            Self { since: Instant::now(), at: millis(clock()), bytes: Vec::new(), length: 0 };
        while let Some(frame) = body.frame().await {
            // The client broke off: nobody is there to read the answer.
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

    pub(crate) fn within_limit(&self) -> Result<&[u8], Reply> {
        if self.length <= MAX_BODY {
            Ok(&self.bytes)
        } else {
            Err(Reply::empty(StatusCode::PAYLOAD_TOO_LARGE))
        }
    }
}
