//! The shape of a request's body: one event, or an envelope with many.

use super::answer::{Failure, FailureCode, Fallible};
use super::event::{Event, Section};
use crate::json::is_too_deep;
use crate::json::reader::{MAX_DEPTH, Malformed, Raw, Reader, stopped};
use crate::mapping::rejection::{Code, Rejection};
use crate::text::{concat, whole};

/// Longest event, in bytes as it was sent (Segment documents 32 KB; its libraries count 32,768).
pub const MAX_EVENT: usize = 32_768;
/// Most events in a batch (Segment's HTTP API).
pub const MAX_EVENTS: usize = 2_500;

/// One event of a body, and what is wrong with it before it is looked into.
#[derive(Debug, Default)]
pub struct Member<'a> {
    /// What could be read of it. One that is refused still tells its `messageId`.
    pub event: Event<'a>,
    /// It is too long, or something else than an object.
    pub fault: Option<Rejection>,
    /// As it was written.
    pub raw: Raw<'a>,
}

impl<'a> Member<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        if reader.peek() != Some(b'{') {
            self.fault = Some(Rejection::new(Code::InvalidEvent, "event: expected an object"));
            self.raw = reader.raw()?;
            return Ok(());
        }
        self.raw = reader.with_text(|reader| self.event.read(reader))?;
        let length = self.raw.text().len();
        if length > MAX_EVENT {
            self.fault = Some(Rejection::new(
                Code::EventTooLarge,
                found("event: expected at most ", MAX_EVENT, " bytes, found ", length),
            ));
        }
        Ok(())
    }
}

/// The envelope of `/v1/batch`.
#[derive(Debug, Default)]
pub struct Envelope<'a> {
    /// `sentAt`, for all its members.
    pub sent_at: Option<Raw<'a>>,
    /// `writeKey`.
    pub write_key: Option<Raw<'a>>,
    /// Default `context` of the members.
    pub context: Section<'a>,
    /// Default `integrations` of the members.
    pub integrations: Section<'a>,
}

/// Events that are read, of which no more are kept than may be.
struct Members<'a> {
    limit: usize,
    count: usize,
    kept: Vec<Member<'a>>,
}

impl<'a> Members<'a> {
    fn new(limit: usize) -> Self {
        Self { limit, count: 0, kept: Vec::new() }
    }

    fn read(mut self, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        reader.array(|reader| {
            self.count += 1;
            if self.count > self.limit {
                return reader.pass();
            }
            self.kept.push(Member::default());
            self.kept.last_mut().map_or(Ok(()), |member| member.read(reader))
        })?;
        Ok(self)
    }

    fn finish(self) -> Fallible<Vec<Member<'a>>> {
        let Self { limit, count, kept } = self;
        if count <= limit {
            return Ok(kept);
        }
        Err(Failure::new(
            FailureCode::PayloadTooLarge,
            found("batch: expected at most ", limit, " events, found ", count),
        ))
    }
}

impl<'a> Envelope<'a> {
    /// Reads the envelope and its members.
    ///
    /// # Errors
    ///
    /// [`FailureCode::MalformedJson`], [`FailureCode::InvalidEvent`] for JSON of another shape and
    /// [`FailureCode::PayloadTooLarge`] for too many events.
    pub fn read(body: &'a str) -> Fallible<(Self, Vec<Member<'a>>)> {
        let (mut envelope, mut members) = (Self::default(), None);
        read(body, |reader| {
            reader.object(|key, reader| {
                let slot = match key.bytes().as_ref() {
                    b"batch" => {
                        let is_array = reader.peek() == Some(b'[');
                        members = if is_array {
                            Some(Members::new(MAX_EVENTS).read(reader)?)
                        } else {
                            reader.pass().map(|()| None)?
                        };
                        return Ok(());
                    }
                    b"sentAt" => &mut envelope.sent_at,
                    b"writeKey" => &mut envelope.write_key,
                    b"context" => return envelope.context.read(reader),
                    b"integrations" => return envelope.integrations.read(reader),
                    _ => return reader.pass(),
                };
                *slot = reader.raw()?.unless_null();
                Ok(())
            })
        })?;
        let members = members.ok_or_else(|| {
            Failure::new(FailureCode::InvalidEvent, "batch: expected an array of events")
        })?;
        Ok((envelope, members.finish()?))
    }
}

/// The events of a webhook's body: one, or an array of them.
///
/// # Errors
///
/// Those of [`Envelope::read`].
pub fn webhook(body: &str) -> Fallible<Vec<Member<'_>>> {
    if !body.trim_ascii_start().starts_with('[') {
        return single(body).map(|event| vec![event]);
    }
    let mut reader = Reader::new(body);
    let members = Members::new(super::webhook::MAX_EVENTS).read(&mut reader);
    let members = members.and_then(|members| reader.end().map(|()| members));
    members.map_err(|Malformed| malformed(body))?.finish()
}

/// The one event of a body.
///
/// # Errors
///
/// [`FailureCode::MalformedJson`], and [`FailureCode::InvalidEvent`] for JSON of another shape.
pub fn single(body: &str) -> Fallible<Member<'_>> {
    let mut member = Member::default();
    read(body, |reader| member.read(reader))?;
    Ok(member)
}

/// Reads a body that is an object. A byte order mark before it is no part of it.
fn read<'a>(
    body: &'a str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<(), Malformed>,
) -> Fallible<()> {
    let body = body.strip_prefix('\u{feff}').unwrap_or(body);
    let mut reader = Reader::new(body);
    match reader.peek() {
        Some(b'{') => {
            let read = read(&mut reader).and_then(|()| reader.end());
            read.map_err(|Malformed| malformed(body))
        }
        _ => match reader.pass().and_then(|()| reader.end()) {
            Ok(()) => Err(Failure::new(FailureCode::InvalidEvent, "body: expected a JSON object")),
            Err(Malformed) => Err(malformed(body)),
        },
    }
}

/// What is wrong with a body that could not be read.
fn malformed(body: &str) -> Box<Failure> {
    let message = if body.trim_ascii().is_empty() {
        "body: expected a JSON object, found nothing".to_owned()
    } else if is_too_deep(body.as_bytes()) {
        concat(&["body: expected at most ", &whole(MAX_DEPTH.into()), " levels of nesting"])
    } else {
        let (line, column) = stopped(body);
        found("body: expected JSON, stopped at line ", line, ", column ", column)
    };
    Failure::new(FailureCode::MalformedJson, message)
}

/// A message with two numbers.
fn found(before: &str, first: usize, between: &str, second: usize) -> String {
    concat(&[before, &whole(first as u64), between, &whole(second as u64)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_as_far_as_another_reader_comes() {
        for body in [
            "{",
            "{\"a\"",
            "{\"a\": }",
            "{\"a\":1,\n \"b\":2,\n}",
            "{\"a\":1}\n\n}",
            "{\"context\":{\"page\":[1 2]}}",
            "{\"name\":1 }\n [",
            "{\"name\":[1,\n2,x]}",
            "[]]",
            "x",
        ] {
            let error = serde_json::from_str::<serde::de::IgnoredAny>(body).unwrap_err();
            let (line, column) = (error.line(), error.column());
            assert_eq!(
                single(body).unwrap_err().message,
                format!("body: expected JSON, stopped at line {line}, column {column}"),
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_broken_in_itself_is_told_by_its_beginning() {
        for (body, column) in [
            ("{\"a\":\"b", 6),
            ("{\"a\":\"b\\q\"}", 6),
            ("{\"a\":{\"b\":1.}}", 11),
            ("{\"a\":nul}", 6),
        ] {
            assert_eq!(
                single(body).unwrap_err().message,
                format!("body: expected JSON, stopped at line 1, column {column}"),
                "{body}"
            );
        }
    }
}
