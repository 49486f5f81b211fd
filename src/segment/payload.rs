//! The shape of a request's body: one event, or an envelope with many.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::answer::{Failure, FailureCode};
use super::event::{Event, Section};
use crate::json::{Key, MAX_DEPTH, is_too_deep};
use crate::mapping::rejection::{Code, Rejection};

/// Longest event, in bytes as it was sent (Segment documents 32 KB; its libraries count 32,768).
pub const MAX_EVENT: usize = 32_768;
/// Most events in a batch (Segment's HTTP API).
pub const MAX_EVENTS: usize = 2_500;

/// The envelope of `/v1/batch`.
#[derive(Debug, Default)]
pub struct Envelope<'a> {
    batch: Option<&'a RawValue>,
    /// `sentAt`, for all its members.
    pub sent_at: Option<&'a RawValue>,
    /// `writeKey`.
    pub write_key: Option<&'a RawValue>,
    /// Default `context` of the members.
    pub context: Section<'a>,
    /// Default `integrations` of the members.
    pub integrations: Section<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope and the places of its members.
    ///
    /// # Errors
    ///
    /// [`FailureCode::MalformedJson`], [`FailureCode::InvalidEvent`] for JSON of another shape and
    /// [`FailureCode::PayloadTooLarge`] for too many events.
    pub fn read(body: &'a str) -> Result<(Self, Vec<&'a RawValue>), Failure> {
        let body = check(body)?;
        let envelope: Self = serde_json::from_str(body).map_err(|error| malformed(&error))?;
        let members = envelope.batch.map(|batch| serde_json::from_str(batch.get()));
        let Some(Ok(members)) = members else {
            return Err(Failure::new(
                FailureCode::InvalidEvent,
                "batch: expected an array of events",
            ));
        };
        Ok((envelope, at_most(MAX_EVENTS, members)?))
    }
}

fn at_most(limit: usize, members: Vec<&RawValue>) -> Result<Vec<&RawValue>, Failure> {
    if members.len() <= limit {
        return Ok(members);
    }
    Err(Failure::new(
        FailureCode::PayloadTooLarge,
        format!("batch: expected at most {limit} events, found {}", members.len()),
    ))
}

/// The events of a webhook's body: one, or an array of them.
///
/// # Errors
///
/// Those of [`Envelope::read`].
pub fn webhook(body: &str) -> Result<Vec<&RawValue>, Failure> {
    if !body.trim_ascii_start().starts_with('[') {
        return single(body).map(|event| vec![event]);
    }
    if is_too_deep(body.as_bytes()) {
        return Err(too_deep());
    }
    let members = serde_json::from_str(body).map_err(|error| malformed(&error))?;
    at_most(super::webhook::MAX_EVENTS, members)
}

fn too_deep() -> Failure {
    Failure::new(
        FailureCode::MalformedJson,
        format!("body: expected at most {MAX_DEPTH} levels of nesting"),
    )
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnvelopeVisitor;
        impl<'de> Visitor<'de> for EnvelopeVisitor {
            type Value = Envelope<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object with `batch`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(Key(key)) = map.next_key()? {
                    match key.as_ref() {
                        b"batch" => envelope.batch = map.next_value()?,
                        b"sentAt" => envelope.sent_at = map.next_value()?,
                        b"writeKey" => envelope.write_key = map.next_value()?,
                        b"context" => envelope.context = map.next_value()?,
                        b"integrations" => envelope.integrations = map.next_value()?,
                        _ => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

/// The one event of a body, as it was written.
///
/// # Errors
///
/// [`FailureCode::MalformedJson`], and [`FailureCode::InvalidEvent`] for JSON of another shape.
pub fn single(body: &str) -> Result<&RawValue, Failure> {
    serde_json::from_str(check(body)?).map_err(|error| malformed(&error))
}

/// One event, from its text.
///
/// # Errors
///
/// [`Code::EventTooLarge`], [`Code::InvalidEvent`] for what is no object, and
/// [`Code::MalformedJson`] for a string in it that is no Unicode.
pub fn event(raw: &RawValue) -> Result<Event<'_>, Rejection> {
    let text = raw.get();
    if text.len() > MAX_EVENT {
        return Err(Rejection::new(
            Code::EventTooLarge,
            format!("event: expected at most {MAX_EVENT} bytes, found {}", text.len()),
        ));
    }
    if !text.starts_with('{') {
        return Err(Rejection::new(Code::InvalidEvent, "event: expected an object"));
    }
    serde_json::from_str(text).map_err(|error| {
        Rejection::new(
            Code::MalformedJson,
            format!("event: expected readable JSON, stopped at {}", place(&error)),
        )
    })
}

/// Checks what can be told of a body at a glance, and takes a byte order mark away.
fn check(body: &str) -> Result<&str, Failure> {
    let body = body.strip_prefix('\u{feff}').unwrap_or(body);
    match body.trim_ascii_start().as_bytes().first() {
        None => Err(Failure::new(
            FailureCode::MalformedJson,
            "body: expected a JSON object, found nothing",
        )),
        Some(_) if is_too_deep(body.as_bytes()) => Err(too_deep()),
        Some(b'{') => Ok(body),
        Some(_) => match serde_json::from_str::<IgnoredAny>(body) {
            Ok(_) => Err(Failure::new(FailureCode::InvalidEvent, "body: expected a JSON object")),
            Err(error) => Err(malformed(&error)),
        },
    }
}

fn malformed(error: &serde_json::Error) -> Failure {
    Failure::new(
        FailureCode::MalformedJson,
        format!("body: expected JSON, stopped at {}", place(error)),
    )
}

/// Where reading stopped. The error's own text may quote the payload.
fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}
