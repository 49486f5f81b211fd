//! Answers of the API.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::budget;
use crate::refusal::Refusal;

/// An answer, with its body as text so that the journal can show it.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The whole body.
    pub body: String,
    headers: Vec<(HeaderName, String)>,
}

const JSON: &str = "application/json";

impl Reply {
    fn new(status: StatusCode, content_type: &str, body: String) -> Self {
        Self { status, body, headers: vec![(header::CONTENT_TYPE, content_type.to_owned())] }
    }

    /// Creates an answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, body: String::new(), headers: Vec::new() }
    }

    /// Creates a JSON answer.
    #[must_use]
    pub fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, JSON, body.to_string())
    }

    /// Creates an HTML answer, as of a proxy before the service.
    #[must_use]
    pub fn html(status: StatusCode, body: &str) -> Self {
        Self::new(status, "text/html", body.to_owned())
    }

    /// Creates the 401 as users quoted it: plain text, where the documentation has JSON
    /// (<https://github.com/instacart/lore/issues/169>).
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "text/plain",
            "Credentials are required to access this resource.".to_owned(),
        )
        .with_header("www-authenticate", "Basic realm=\"Librato API\"")
    }

    /// Creates the answer to a refused request.
    #[must_use]
    pub fn refusal(refusal: &Refusal, now: i64) -> Self {
        Self::json(refusal.status(), &refusal.body(now))
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((HeaderName::from_static(name), value.to_owned()));
        self
    }

    /// Replaces the body, and sets the content type by whether it is JSON.
    #[must_use]
    pub fn with_body(mut self, body: String) -> Self {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
        let content_type = if is_json { JSON } else { "text/html" };
        self.headers.retain(|(name, _)| *name != header::CONTENT_TYPE);
        self.headers.push((header::CONTENT_TYPE, content_type.to_owned()));
        self.body = body;
        self
    }

    /// Adds the headers of two exhausted limits, until `reset`.
    #[must_use]
    pub fn exhausted(self, reset: i64) -> Self {
        let value = budget::header(0, reset);
        self.with_header(budget::AGGREGATED, &value).with_header(budget::PLAIN, &value)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            // Only a `Location` holds text of a client, and the name of a metric is plain ASCII.
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
