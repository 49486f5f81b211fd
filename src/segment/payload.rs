//! The shape of a request's body: one event, or an envelope with many.

use std::slice;

use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::answer::{ApiError, ErrorCode, Result};
use super::event::{Event, Section};
use crate::json::read::{MAX_DEPTH, Pass, Target, Unreadable, Value, brackets, is_too_deep, stopped};
use crate::json::{Key, Scalar};
use crate::rejection::{Code, Rejection};

/// Longest event, in bytes as it was sent. Segment documents 32 KB; the mobile libraries of `RudderStack` make some of
/// 64 KB, and throw a whole file away when one is refused.
pub const MAX_EVENT: usize = 65_536;
/// Most events in a batch (Segment's HTTP API).
pub const MAX_EVENTS: usize = 2_500;

/// One event of a body, and what is wrong with it before it is looked into.
#[derive(Debug, Default)]
pub struct Member<'a> {
    /// What could be read of it. One that is refused still tells its `messageId`.
    pub event: Event<'a>,
    /// Whether it is something else than an object.
    is_other: bool,
    /// Its length in bytes as it was written, where that was looked at.
    length: usize,
}

impl Member<'_> {
    /// Checks what must hold of an event before it is looked into.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidEvent`] for something else than an object, [`Code::EventTooLarge`].
    pub fn check(&self) -> std::result::Result<(), Rejection> {
        let length = self.length;
        if self.is_other {
            Err(Rejection::new(Code::InvalidEvent, "event: expected an object"))
        } else if length > MAX_EVENT {
            let message = format!("event: expected at most {MAX_EVENT} bytes, found {length}");
            Err(Rejection::new(Code::EventTooLarge, message))
        } else {
            Ok(())
        }
    }
}

impl<'a> Target<'a> for Member<'a> {
    type Element = ();

    fn member<A: MapAccess<'a>>(&mut self, key: Key<'a>, value: Value<'_, A>) -> std::result::Result<(), A::Error> {
        self.event.member(&key, value)
    }

    fn other(&mut self, _: bool) {
        self.is_other = true;
    }

    fn length(&mut self, length: usize) {
        self.length = length;
    }
}

/// The events of an array, of which no more are kept than may be.
#[derive(Debug, Default)]
struct Members<'a, const LIMIT: usize> {
    is_array: bool,
    count: usize,
    kept: Vec<Member<'a>>,
}

impl<'a, const LIMIT: usize> Target<'a> for Members<'a, LIMIT> {
    type Element = Member<'a>;

    fn member<A: MapAccess<'a>>(&mut self, _: Key<'a>, value: Value<'_, A>) -> std::result::Result<(), A::Error> {
        value.skip()
    }

    fn array(&mut self) {
        /// As many as most clients send at once.
        const USUAL: usize = 16;
        self.is_array = true;
        self.kept.reserve(USUAL);
    }

    fn element(&mut self) -> Option<&mut Member<'a>> {
        self.count += 1;
        if self.count > LIMIT {
            return None;
        }
        self.kept.push(Member::default());
        self.kept.last_mut()
    }

    fn other(&mut self, _: bool) {}
}

impl<'a, const LIMIT: usize> Members<'a, LIMIT> {
    fn finish(self) -> Result<Vec<Member<'a>>> {
        if !self.is_array {
            let message = "batch: expected an array of events";
            return Err(ApiError::new(ErrorCode::InvalidEvent, message));
        }
        let count = self.count;
        if count > LIMIT {
            let message = format!("batch: expected at most {LIMIT} events, found {count}");
            return Err(ApiError::new(ErrorCode::PayloadTooLarge, message));
        }
        Ok(self.kept)
    }
}

/// The envelope of `/v1/batch`.
#[derive(Debug, Default)]
pub struct Envelope<'a> {
    /// `sentAt`, for all its members.
    pub sent_at: Option<&'a RawValue>,
    /// `writeKey`.
    pub write_key: Option<&'a RawValue>,
    /// Default `context` of the members.
    pub context: Section<'a>,
    /// Default `integrations` of the members.
    pub integrations: Section<'a>,
    /// `type`, which an event has and an envelope has not.
    kind: Option<&'a RawValue>,
    batch: Members<'a, MAX_EVENTS>,
    has_batch: bool,
}

impl<'a> Target<'a> for Envelope<'a> {
    type Element = Member<'a>;

    fn member<A: MapAccess<'a>>(&mut self, key: Key<'a>, value: Value<'_, A>) -> std::result::Result<(), A::Error> {
        match key.bytes() {
            b"batch" => {
                self.has_batch = true;
                value.read(&mut self.batch)
            }
            b"sentAt" => value.keep(&mut self.sent_at),
            b"writeKey" => value.keep(&mut self.write_key),
            b"type" => value.keep(&mut self.kind),
            b"context" => value.read(&mut self.context),
            b"integrations" => value.read(&mut self.integrations),
            _ => value.skip(),
        }
    }

    /// A bare array is a batch without an envelope.
    fn array(&mut self) {
        self.has_batch = true;
        self.batch.array();
    }

    fn element(&mut self) -> Option<&mut Member<'a>> {
        self.batch.element()
    }

    fn other(&mut self, _: bool) {}
}

/// The events of a batch's body.
#[derive(Debug)]
pub struct Batch<'a> {
    /// What stands around them; empty around a bare array and a single event.
    pub envelope: Envelope<'a>,
    /// The events.
    pub members: Vec<Member<'a>>,
    /// Whether it is one event alone and no array.
    pub is_single: bool,
}

/// Reads an envelope with events, a bare array of them, or a single event that names a type.
///
/// # Errors
///
/// [`ErrorCode::MalformedJson`], [`ErrorCode::InvalidEvent`] for JSON of another shape and
/// [`ErrorCode::PayloadTooLarge`] for too many events.
pub fn batch(body: &str) -> Result<Batch<'_>> {
    let mut envelope: Envelope = read(body)?;
    if !envelope.has_batch
        && let Scalar::Text(kind) = Scalar::of_field(envelope.kind)
        && !kind.is_empty()
    {
        let members = vec![single(body)?];
        return Ok(Batch { envelope: Envelope::default(), members, is_single: true });
    }
    let members = std::mem::take(&mut envelope.batch).finish()?;
    Ok(Batch { envelope, members, is_single: false })
}

/// The events of a webhook's body.
#[derive(Debug)]
pub struct Webhook<'a> {
    /// The events.
    pub members: Vec<Member<'a>>,
    /// Whether it is one event alone and no array.
    pub is_single: bool,
}

/// Reads the events of a webhook's body: one, or an array of them.
///
/// # Errors
///
/// Those of [`batch`].
pub fn webhook(body: &str) -> Result<Webhook<'_>> {
    if !body.trim_ascii_start().starts_with('[') {
        return Ok(Webhook { members: vec![single(body)?], is_single: true });
    }
    let members: Members<{ super::webhook::MAX_EVENTS }> = read(body)?;
    Ok(Webhook { members: members.finish()?, is_single: false })
}

/// Reads the one event of a body.
///
/// # Errors
///
/// [`ErrorCode::MalformedJson`], and [`ErrorCode::InvalidEvent`] for JSON of another shape.
pub fn single(body: &str) -> Result<Member<'_>> {
    let member: Member = read(body)?;
    if member.is_other { Err(not_an_object()) } else { Ok(member) }
}

/// What a body is read as.
trait Body<'a>: Target<'a> {
    /// Returns the events in it.
    fn members(&self) -> &[Member<'a>];
}

impl<'a> Body<'a> for Member<'a> {
    fn members(&self) -> &[Self] {
        slice::from_ref(self)
    }
}

impl<'a, const LIMIT: usize> Body<'a> for Members<'a, LIMIT> {
    fn members(&self) -> &[Member<'a>] {
        &self.kept
    }
}

impl<'a> Body<'a> for Envelope<'a> {
    fn members(&self) -> &[Member<'a>] {
        self.batch.members()
    }
}

/// Reads a body that is an object, or an array of what may be one. A byte order mark before it is no part of it.
///
/// In one pass where that is enough, which it is unless something strange stands in an object's place or an event may
/// be too large or too deep: a second pass over the text of each costs a batch as much as all the rest.
fn read<'a, T: Body<'a>>(body: &'a str) -> Result<T> {
    let body = body.strip_prefix('\u{feff}').unwrap_or(body);
    let start = body.trim_ascii_start().as_bytes().first();
    let read = match Pass::read::<T>(body, false) {
        Ok(target) if are_surely_plain(body.as_bytes(), target.members()) => Ok(target),
        _ => Pass::read(body, true),
    };
    match read {
        Ok(_) if !matches!(start, Some(b'{' | b'[')) => Err(not_an_object()),
        Ok(target) => Ok(target),
        Err(Unreadable::TooDeep | Unreadable::Malformed) => Err(malformed(body)),
    }
}

/// Returns whether no event can be longer or nest deeper than it may: told by what stands between the types of the
/// events before and behind it, between which it lies.
fn are_surely_plain(body: &[u8], members: &[Member]) -> bool {
    /// How deep an event stands in a body.
    const DEPTH: usize = 2;
    let is_plain = |length, brackets| length <= MAX_EVENT && brackets + DEPTH <= MAX_DEPTH;
    // An event by itself need not say its type.
    if body.len() <= MAX_EVENT && is_plain(body.len(), brackets(body)) {
        return true;
    }
    let start = body.as_ptr().addr();
    let place = |member: &Member| Some(member.event.kind?.get().as_ptr().addr() - start);
    let places = members.iter().map(place).chain([Some(body.len())]);
    // Where the part ends that was looked at last, its length, and its brackets.
    let (mut end, mut last) = (0, (0, 0));
    for place in places {
        let Some(part) = place.and_then(|place| body.get(end..place)) else { return false };
        let (length, count) = (part.len(), brackets(part));
        if !is_plain(last.0 + length, last.1 + count) {
            return false;
        }
        (end, last) = (end + length, (length, count));
    }
    true
}

fn not_an_object() -> Box<ApiError> {
    ApiError::new(ErrorCode::InvalidEvent, "body: expected a JSON object")
}

/// Returns what is wrong with a body that could not be read.
fn malformed(body: &str) -> Box<ApiError> {
    let message = if body.trim_ascii().is_empty() {
        "body: expected a JSON object, found nothing".to_owned()
    } else if is_too_deep(body.as_bytes()) {
        format!("body: expected at most {MAX_DEPTH} levels of nesting")
    } else {
        // The error's own text may quote the payload.
        let (line, column) = stopped(body).unwrap_or((1, 1));
        format!("body: expected JSON, stopped at line {line}, column {column}")
    };
    ApiError::new(ErrorCode::MalformedJson, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(body: &str) -> Vec<Option<Code>> {
        let members = batch(body).unwrap().members;
        members.iter().map(|member| member.check().err().map(|rejection| rejection.code)).collect()
    }

    /// An event of so many bytes, with its type in front or at its end.
    fn event(length: usize, is_in_front: bool) -> String {
        let kind = r#""type":"track""#;
        let filler = |room: usize| format!(r#""x":"{}""#, "x".repeat(room));
        let filler = filler(length - kind.len() - filler(0).len() - 3);
        if is_in_front { format!("{{{kind},{filler}}}") } else { format!("{{{filler},{kind}}}") }
    }

    #[test]
    fn an_event_may_be_as_long_as_it_may_be_wherever_its_type_stands() {
        let too_large = Some(Code::EventTooLarge);
        for first in [false, true] {
            for second in [false, true] {
                let body =
                    |one: usize, two: usize| format!(r#"{{"batch":[{},{}]}}"#, event(one, first), event(two, second));
                assert_eq!(lengths(&body(MAX_EVENT, 40)), [None, None]);
                assert_eq!(lengths(&body(MAX_EVENT + 1, 40)), [too_large, None]);
                assert_eq!(lengths(&body(40, MAX_EVENT + 1)), [None, too_large]);
                assert_eq!(lengths(&body(MAX_EVENT, MAX_EVENT + 1)), [None, too_large]);
            }
        }
        let without_type = format!(r#"[{{"x":"{}"}},{{}}]"#, "x".repeat(MAX_EVENT));
        assert_eq!(lengths(&without_type), [too_large, None]);
        let single = event(MAX_EVENT + 1, true);
        assert_eq!(lengths(&single), [too_large]);
    }

    #[test]
    fn anything_may_stand_in_an_objects_place() {
        for strange in ["1e999", r#""\ud83c""#, "[1e999]", "null", "[[]]", "-0", "\"\""] {
            let body = format!(
                r#"{{"batch":[{strange},{{"type":"track","event":"A","context":{strange},"properties":{strange}}}]}}"#
            );
            assert_eq!(lengths(&body), [Some(Code::InvalidEvent), None], "{body}");
            let section = |body| single(body).unwrap().event.context.is_truthy;
            let body = format!(r#"{{"context":{strange}}}"#);
            assert_eq!(section(&body), !matches!(strange, "null" | "-0" | "\"\""), "{body}");
        }
    }

    #[test]
    fn nesting_is_bounded_wherever_it_stands() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for (before, after, levels) in [
            (r#"{"x":"#, "}", 1),
            (r#"{"batch":[{"x":"#, "}]}", 3),
            (r#"{"batch":[{"context":{"Librato":"#, "}}]}", 4),
            (r#"{"batch":[{"properties":{"x":"#, "}}]}", 4),
            (r#"{"batch":["#, "]}", 2),
            (r#"{"batch":[{"type":"track"},{"x":"#, r#","type":"track"},{"type":"track"}]}"#, 3),
            (r#"{"batch":[{"type":"track"}],"x":"#, "}", 1),
        ] {
            let body = |more| format!("{before}{}{after}", nested(MAX_DEPTH - levels + more));
            let is_read = |body: &str| match Pass::read::<Envelope>(body, true) {
                Ok(_) => true,
                Err(reason) => {
                    assert_eq!(reason, Unreadable::TooDeep);
                    false
                }
            };
            assert!(is_read(&body(0)), "{before}");
            assert!(!is_read(&body(1)), "{before}");
            assert!(batch(&body(1)).unwrap_err().message.contains("levels of nesting"));
        }
    }
}
