//! What clients are told. Their retry behaviour hangs on it: a refusal of events is always 400, because older libraries
//! send every other 4xx again, and what should be sent again is 429 or 503.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// The code of a failure or of a refused event; `None` for a success.
    pub code: Option<&'static str>,
    /// Headers of this answer alone; those that every answer has are added where it is sent.
    pub headers: Vec<(&'static str, String)>,
    /// What it says.
    pub body: Body,
}

/// The body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// JSON.
    Json(String),
    /// A script that calls a function of the page.
    Script(String),
    /// A text of this type.
    Text(&'static str, String),
    /// A transparent picture of one pixel.
    Gif,
}

/// The smallest transparent GIF.
const GIF: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\0\0\0!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

impl Body {
    /// The bytes, and what they are.
    #[must_use]
    pub fn parts(&self) -> (&[u8], Option<&'static str>) {
        match self {
            Self::None => (b"", None),
            Self::Json(text) => (text.as_bytes(), Some("application/json")),
            Self::Script(text) => (text.as_bytes(), Some("text/javascript; charset=utf-8")),
            Self::Text(content_type, text) => (text.as_bytes(), Some(content_type)),
            Self::Gif => (GIF, Some("image/gif")),
        }
    }
}

impl Answer {
    /// Returns an answer of 200 in JSON.
    #[must_use]
    pub fn ok(body: &impl Serialize) -> Self {
        Self::json(200, body)
    }

    /// Returns an answer in JSON. What is answered here can be written: its keys are texts.
    fn json(status: u16, body: &impl Serialize) -> Self {
        let body = Body::Json(serde_json::to_string(body).unwrap_or_default());
        Self { status, code: None, headers: Vec::new(), body }
    }

    /// The body's text; empty for a picture.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.body {
            Body::Json(text) | Body::Script(text) | Body::Text(_, text) => text,
            Body::None | Body::Gif => "",
        }
    }
}

/// Returns the header without which a page that is isolated (`Cross-Origin-Embedder-Policy: require-corp`) neither
/// shows a picture of another origin nor runs its script.
#[must_use]
pub fn embeddable() -> (&'static str, String) {
    ("Cross-Origin-Resource-Policy", "cross-origin".to_owned())
}

/// An event that was refused, by its place in the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// Place in the batch, from 0.
    pub index: usize,
    /// Its `messageId`, when it has one.
    pub message_id: Option<String>,
    /// Why.
    pub code: &'static str,
    /// The field and what was expected.
    pub message: String,
}

/// Result of handling a request. The error is boxed to keep the `Ok` path small.
pub type Result<T> = std::result::Result<T, Box<ApiError>>;

/// Why a whole request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// What kind of failure, which decides about the status.
    pub code: ErrorCode,
    /// The field and what was expected, or what is out of order.
    pub message: Cow<'static, str>,
    /// After how many seconds it may be sent again, for those that may.
    pub retry_after: Option<u32>,
    /// The refused events, where events were judged one by one.
    pub rejected: Vec<Rejected>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.code.parts().0, self.message)
    }
}

impl std::error::Error for ApiError {}

/// What every failure tells in JSON.
#[derive(Debug, Serialize)]
pub(super) struct ErrorBody<'a> {
    success: bool,
    pub(super) code: &'static str,
    message: &'a str,
    /// The same, under the key that the Ruby library reads.
    error: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rejected: &'a [Rejected],
}

/// The codes of whole requests. Their names are part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The body is not JSON.
    MalformedJson,
    /// It is JSON of another shape, or no event of a batch could be accepted.
    InvalidEvent,
    /// There is no write key, or an unknown one.
    InvalidWriteKey,
    /// A webhook's signature is not that of its body.
    InvalidSignature,
    /// The operator's token is missing or wrong.
    InvalidToken,
    /// The body is longer than is read, or a batch has too many events.
    PayloadTooLarge,
    /// The body is packed in a way that is not understood, or damaged.
    UnsupportedEncoding,
    /// The one event of the request was refused, with its own code.
    Event(&'static str),
    /// A page of an origin that may not send.
    OriginNotAllowed,
    /// No such route.
    NotFound,
    /// A route that does not take the method; it takes these.
    MethodNotAllowed(&'static str),
    /// Too much, here or at Librato.
    RateLimited,
    /// A setting is missing or wrong.
    Misconfigured,
    /// Librato does not answer as it should.
    UpstreamUnavailable,
}

impl ErrorCode {
    /// Returns code and status.
    #[must_use]
    pub fn parts(self) -> (&'static str, u16) {
        match self {
            Self::MalformedJson => ("malformed_json", 400),
            Self::InvalidEvent => ("invalid_event", 400),
            Self::InvalidWriteKey => ("invalid_write_key", 400),
            Self::InvalidSignature => ("invalid_signature", 401),
            Self::InvalidToken => ("invalid_token", 401),
            Self::PayloadTooLarge => ("payload_too_large", 400),
            Self::UnsupportedEncoding => ("unsupported_encoding", 400),
            Self::Event(code) => (code, 400),
            Self::OriginNotAllowed => ("origin_not_allowed", 403),
            Self::NotFound => ("not_found", 404),
            Self::MethodNotAllowed(_) => ("method_not_allowed", 405),
            Self::RateLimited => ("rate_limited", 429),
            Self::Misconfigured => ("misconfigured", 503),
            Self::UpstreamUnavailable => ("upstream_unavailable", 503),
        }
    }
}

impl ApiError {
    /// Returns a failure that is not worth sending again.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        let message = message.into();
        Box::new(Self { code, message, retry_after: None, rejected: Vec::new() })
    }

    /// Returns the same failure for another reason.
    #[must_use]
    pub fn because(mut self: Box<Self>, code: ErrorCode) -> Box<Self> {
        self.code = code;
        self
    }

    /// Returns the same failure, to be sent again after so many seconds where anybody said.
    #[must_use]
    pub fn after(mut self: Box<Self>, seconds: Option<u32>) -> Box<Self> {
        self.retry_after = seconds;
        self
    }

    /// Returns the same failure with the events that were refused.
    #[must_use]
    pub fn with(mut self: Box<Self>, rejected: Vec<Rejected>) -> Box<Self> {
        self.rejected = rejected;
        self
    }

    /// Returns the answer. Clients understand a pause of 1 to 300 seconds.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let (code, status) = self.code.parts();
        let mut headers = Vec::new();
        if let ErrorCode::MethodNotAllowed(methods) = self.code {
            headers.push(("Allow", methods.to_owned()));
        }
        if matches!(status, 429 | 503) {
            let seconds = self.retry_after.unwrap_or(DEFAULT_RETRY_AFTER).clamp(1, 300).to_string();
            if status == 429 {
                headers.push(("X-RateLimit-Reset", seconds.clone()));
            }
            headers.push(("Retry-After", seconds));
        }
        Answer { code: Some(code), headers, ..Answer::json(status, &self.body()) }
    }

    pub(super) fn body(&self) -> ErrorBody<'_> {
        let (code, message, rejected) = (self.code.parts().0, &self.message, &self.rejected);
        ErrorBody { success: false, code, message, error: message, rejected }
    }
}

/// Seconds after which to come back where nobody said how long it takes.
const DEFAULT_RETRY_AFTER: u32 = 10;

/// Returns the answer to a request of which everything that can be kept is kept: `accepted` events, and what was
/// refused.
#[must_use]
pub fn success(accepted: usize, rejected: &[Rejected]) -> Answer {
    #[derive(Serialize)]
    struct SuccessBody<'a> {
        success: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        accepted: Option<usize>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        rejected: &'a [Rejected],
    }
    let accepted = (!rejected.is_empty()).then_some(accepted);
    Answer::ok(&SuccessBody { success: true, accepted, rejected })
}
