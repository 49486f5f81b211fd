//! From the text of a request to measurements, and from their outcome to the answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rustc_hash::{FxBuildHasher, FxHashSet};
use serde_json::value::RawValue;

use crate::Millis;
use crate::delivery::Outcome;
use crate::destination::{Names, RetryReason, RetryableError};
use crate::durable::parcel::EventId;
use crate::json::{Scalar, field, with_words_quoted};
use crate::mapping::{self, MappingContext, MetricNames, Unmeasured, Verdict};
use crate::measurement::Measurement;
use crate::operator::live::{self, LiveEvent, LiveGauge, LiveOutcome};
use crate::rejection::{Code, Rejection};
use crate::segment::answer::{self, Answer, ApiError, ErrorCode, Rejected, Result};
use crate::segment::event::Event;
use crate::segment::health;
use crate::segment::payload::{self, Batch, Member};
use crate::segment::route::EventType;
use crate::settings::Settings;
use crate::time::{NativeDate, Timestamp};

/// What is known of a request besides its body.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The Worker's settings.
    pub settings: &'a Settings,
    /// One event of this type, or a batch.
    pub kind: Kind,
    /// When it arrived.
    pub received_at: Millis,
    /// The write key of the `Authorization` header; it has the first say.
    pub header_key: Option<&'a str>,
    /// The write key of the query; it has the last.
    pub query_key: Option<&'a str>,
    /// The JavaScript engine's reading of dates.
    pub native_date: NativeDate,
    /// How many of its events may be shown to the operator.
    pub shown: usize,
}

/// The shape of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One event, whose type the path gives.
    Single(EventType),
    /// Events that each name their type: in an envelope, in an array, or one alone.
    Batch,
    /// One event or many from Segment itself, whose signature has been verified and whose times have been corrected.
    Webhook,
}

/// The events of a request: measurements to deliver, and what became of each event so far.
#[derive(Debug)]
pub struct ParsedRequest<'b> {
    /// Whether the events stood in an array, so that a refusal is about one of them and not about the request.
    is_batch: bool,
    /// The write key that they came with; empty for a webhook.
    pub write_key: String,
    /// Measured events whose name has no letter and no digit that a metric's may have.
    illegible_names: usize,
    /// The client library of the first refused event.
    rejected_library: Option<String>,
    /// The events, in order.
    events: Vec<JudgedEvent<'b>>,
    /// What is shown of the first of them.
    shown: Vec<LiveEvent>,
}

#[derive(Debug)]
struct JudgedEvent<'b> {
    /// A part of the body, unless that escapes it.
    message_id: Option<Cow<'b, str>>,
    /// Who sent it, where that is told and matters.
    sender: Option<u32>,
    outcome: EventOutcome,
}

#[derive(Debug)]
enum EventOutcome {
    /// Accepted, and nothing to deliver.
    Accepted(Unmeasured),
    Measured(Measurement),
    Rejected(Rejection),
}

/// Figures of a request, for its log line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events in the request.
    pub events: usize,
    /// Events that were accepted.
    pub accepted: usize,
    /// Events that are in a measurement.
    pub measured: usize,
    /// Measured events whose name has no letter and no digit that a metric's may have.
    pub illegible_names: usize,
    /// Accepted events without a measurement, by the reason.
    pub not_measured: BTreeMap<&'static str, usize>,
    /// Refused events by code.
    pub rejected: BTreeMap<&'static str, usize>,
    /// The client library of the first refused event, such as `analytics.js/1.84.3`.
    pub rejected_library: Option<String>,
}

/// Reads a request.
///
/// # Errors
///
/// What is wrong with the request as a whole: its key, its JSON, its shape or size.
pub fn parse<'b>(body: &'b str, call: &Call) -> Result<ParsedRequest<'b>> {
    // A key in the header is judged before anything of the body is looked at.
    if let (Some(key), false) = (call.header_key, call.kind == Kind::Webhook) {
        authenticate(Some(key), call.settings)?;
    }
    let failure = match parse_json(body, call) {
        Err(failure) if failure.code == ErrorCode::MalformedJson => failure,
        parsed => return parsed,
    };
    // Looked for only now, since no other client writes such words.
    with_words_quoted(body).map_or(Err(failure), |body| parse_json(&body, call).map(ParsedRequest::into_owned))
}

fn parse_json<'b>(body: &'b str, call: &Call) -> Result<ParsedRequest<'b>> {
    match call.kind {
        Kind::Single(event_type) => parse_single(body, event_type, call),
        Kind::Batch => parse_batch(body, call),
        Kind::Webhook => parse_webhook(body, call),
    }
}

fn parse_webhook<'b>(body: &'b str, call: &Call) -> Result<ParsedRequest<'b>> {
    let payload::Webhook { members, is_single } = payload::webhook(body)?;
    let mut collector = Collector::new(call, members.len(), "");
    for member in &members {
        collector.add(member, None, None);
    }
    Ok(collector.finish(!is_single))
}

fn parse_single<'b>(body: &'b str, event_type: EventType, call: &Call) -> Result<ParsedRequest<'b>> {
    let member = payload::single(body)?;
    let body_key = text(member.event.write_key);
    let key = key_of(call, body_key.as_deref())?;
    let mut collector = Collector::new(call, 1, key);
    let sent_at = moment(member.event.sent_at, call);
    collector.add(&member, Some(event_type), sent_at);
    Ok(collector.finish(false))
}

fn parse_batch<'b>(body: &'b str, call: &Call) -> Result<ParsedRequest<'b>> {
    let Batch { envelope, mut members, is_single } = payload::batch(body)?;
    let body_key = text(envelope.write_key).or_else(|| members.iter().find_map(|member| text(member.event.write_key)));
    let key = key_of(call, body_key.as_deref())?;
    let mut collector = Collector::new(call, members.len(), key);
    let sent_at = moment(envelope.sent_at, call);
    for member in &mut members {
        let event = &mut member.event;
        event.context.apply_defaults(&envelope.context);
        event.integrations.apply_defaults(&envelope.integrations);
        let sent_at = sent_at.or_else(|| moment(event.sent_at, call));
        collector.add(member, None, sent_at);
    }
    Ok(collector.finish(!is_single))
}

/// Returns the write key of a request, by the first place that has one; the header's has been judged.
fn key_of<'k>(call: &Call<'k>, body_key: Option<&'k str>) -> Result<&'k str> {
    call.header_key.map_or_else(|| authenticate(body_key.or(call.query_key), call.settings), Ok)
}

/// Returns the write key where it is accepted.
///
/// # Errors
///
/// [`ErrorCode::InvalidWriteKey`], with the words "invalid write key", at which `RudderStack`'s library for Android
/// stops sending.
pub fn authenticate<'k>(key: Option<&'k str>, settings: &Settings) -> Result<&'k str> {
    let message = match key {
        Some(key) if settings.knows(key) => return Ok(key),
        Some(_) => "writeKey: invalid write key: expected one that is accepted here, found another",
        None => {
            "writeKey: invalid write key: expected one, as the user name of HTTP Basic, as `writeKey` in the body or in \
             the query, found none"
        }
    };
    Err(ApiError::new(ErrorCode::InvalidWriteKey, message))
}

/// Returns a field that is text and not empty.
fn text(field: Option<&RawValue>) -> Option<Cow<'_, str>> {
    match Scalar::of_field(field) {
        Scalar::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// Returns a moment such as `sentAt`. What is no date counts as absent, since it is the sender's clock and not the
/// event.
fn moment(field: Option<&RawValue>, call: &Call) -> Option<Millis> {
    match Timestamp::read(&Scalar::of_field(field), call.native_date) {
        Timestamp::At(moment) => Some(moment),
        Timestamp::Missing | Timestamp::Invalid => None,
    }
}

struct Collector<'c, 'b> {
    call: &'c Call<'c>,
    events: Vec<JudgedEvent<'b>>,
    /// The ids of the events that are measured. A sender may choose ids that share a hash: a batch is bounded.
    seen: FxHashSet<Cow<'b, str>>,
    names: MetricNames,
    /// The sender of the last event: those of a batch are mostly of one.
    sender: Option<(Box<str>, u32)>,
    write_key: String,
    illegible_names: usize,
    rejected_library: Option<String>,
    shown: Vec<LiveEvent>,
}

impl<'c, 'b> Collector<'c, 'b> {
    fn new(call: &'c Call<'c>, events: usize, write_key: &str) -> Self {
        Self {
            call,
            write_key: write_key.to_owned(),
            events: Vec::with_capacity(events),
            // One event alone repeats nothing.
            seen: FxHashSet::with_capacity_and_hasher(if events > 1 { events } else { 0 }, FxBuildHasher),
            names: MetricNames::default(),
            sender: None,
            illegible_names: 0,
            rejected_library: None,
            shown: Vec::new(),
        }
    }

    fn add(&mut self, member: &Member<'b>, event_type: Option<EventType>, sent_at: Option<Millis>) {
        let message_id = Scalar::of_field(member.event.message_id).into_id();
        let outcome = match self.judge(member, event_type, sent_at) {
            Ok(Verdict::NotMeasured(reason)) => EventOutcome::Accepted(reason),
            // Only an event that counts makes the next one with its id a repetition.
            Ok(Verdict::Measured(_)) if self.repeats(message_id.as_ref()) => {
                EventOutcome::Accepted(Unmeasured::Duplicate)
            }
            Ok(Verdict::Measured(measurement)) => {
                self.illegible_names += usize::from(is_illegible(&measurement));
                EventOutcome::Measured(measurement)
            }
            Err(rejection) => {
                if self.rejected_library.is_none() {
                    self.rejected_library = member.event.context.library.and_then(library);
                }
                EventOutcome::Rejected(rejection)
            }
        };
        let sender = match outcome {
            EventOutcome::Measured(_) => self.sender(member),
            _ => None,
        };
        if self.shown.len() < self.call.shown {
            self.shown.push(self.show(&member.event, event_type));
        }
        self.events.push(JudgedEvent { message_id, sender, outcome });
    }

    /// Returns the number of an event's sender, where the ledger has shards.
    fn sender(&mut self, member: &Member) -> Option<u32> {
        if self.call.settings.once_shards == 1 {
            return None;
        }
        let id = |field| Scalar::of_field(field).into_id();
        let id = id(member.event.anonymous_id).or_else(|| id(member.event.user_id))?;
        match &self.sender {
            Some((last, number)) if **last == *id => Some(*number),
            _ => {
                let number = EventId::named(&self.write_key, &id).sender();
                self.sender = Some((id.into(), number));
                Some(number)
            }
        }
    }

    /// Returns what is shown of an event, but for what becomes of it.
    fn show(&self, event: &Event, event_type: Option<EventType>) -> LiveEvent {
        let kind = text(event.kind).or(event_type.map(|kind| kind.as_str().into()));
        let name = text(event.event).or_else(|| text(event.name)).or_else(|| text(event.category));
        LiveEvent {
            at: self.call.received_at,
            kind: kind.as_deref().map(live::shown).unwrap_or_default(),
            name: name.as_deref().map(live::shown),
            write_key: live::shown_key(&self.write_key),
            library: event.context.library.and_then(library),
            ..LiveEvent::default()
        }
    }

    fn judge(
        &mut self,
        member: &Member,
        event_type: Option<EventType>,
        sent_at: Option<Millis>,
    ) -> std::result::Result<Verdict, Rejection> {
        member.check()?;
        let context = MappingContext {
            settings: self.call.settings,
            received_at: self.call.received_at,
            sent_at,
            native_date: self.call.native_date,
            is_webhook: self.call.kind == Kind::Webhook,
        };
        mapping::judge(&member.event, event_type, &context, &mut self.names)
    }

    /// Returns whether an event that counts had this id. The next one has.
    fn repeats(&mut self, id: Option<&Cow<'b, str>>) -> bool {
        self.seen.capacity() > 0 && id.is_some_and(|id| !self.seen.insert(id.clone()))
    }

    fn finish(self, is_batch: bool) -> ParsedRequest<'b> {
        let Self { write_key, events, illegible_names, rejected_library, shown, .. } = self;
        ParsedRequest { is_batch, write_key, illegible_names, rejected_library, events, shown }
    }
}

/// Returns name and version of `context.library`, where they are what libraries write: nothing else of an event may
/// stand in a log line.
fn library(library: &RawValue) -> Option<String> {
    let part = |name| text(field(library, name)).filter(|text| is_library_part(text));
    match (part("name")?, part("version")) {
        (name, Some(version)) => Some(format!("{name}/{version}")),
        (name, None) => Some(name.into_owned()),
    }
}

fn is_library_part(text: &str) -> bool {
    let is_mark = |byte: u8| b"@/._+-".contains(&byte);
    text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte))
}

/// Returns whether cleaning has left no letter and no digit of a name: another alphabet's events of one length are one
/// metric.
fn is_illegible(measurement: &Measurement) -> bool {
    !measurement.display_name.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

impl ParsedRequest<'_> {
    /// Returns the same with texts of its own.
    fn into_owned(self) -> ParsedRequest<'static> {
        let Self { is_batch, write_key, illegible_names, rejected_library, events, shown } = self;
        let owned = |JudgedEvent { message_id, sender, outcome }: JudgedEvent| JudgedEvent {
            message_id: message_id.map(|id| Cow::Owned(id.into_owned())),
            sender,
            outcome,
        };
        let events = events.into_iter().map(owned).collect();
        ParsedRequest { is_batch, write_key, illegible_names, rejected_library, events, shown }
    }

    /// Returns what is to be delivered, in the order of the events, each with its `messageId`.
    pub fn measured(&self) -> impl Iterator<Item = (&Measurement, Option<&str>)> {
        self.events.iter().filter_map(|event| match &event.outcome {
            EventOutcome::Measured(measurement) => Some((measurement, event.message_id.as_deref())),
            _ => None,
        })
    }

    /// Returns the same, each with the identity under which it is counted once, where it has one.
    pub fn identified(&self) -> impl Iterator<Item = (&Measurement, Option<EventId>)> {
        self.events.iter().filter_map(|event| match &event.outcome {
            EventOutcome::Measured(measurement) => {
                let id = event.message_id.as_deref().map(|id| EventId::named(&self.write_key, id));
                let id = id.map(|id| event.sender.map_or(id, |sender| id.among(sender)));
                Some((measurement, id))
            }
            _ => None,
        })
    }

    /// Takes over what became of the measurements, in the order of [`Self::measured`]: an event whose measurement was
    /// set aside is refused. `names` are the destination's.
    ///
    /// # Errors
    ///
    /// When something could not be delivered now, so that the client must send the request again.
    pub fn settle(&mut self, outcomes: &[&Outcome], names: Names) -> Result<()> {
        let errors = outcomes.iter().filter_map(|outcome| match *outcome {
            Outcome::Later(error) => Some(error),
            _ => None,
        });
        if let Some(error) = errors.max_by_key(|error| error.reason) {
            let rejected = if self.is_batch { self.rejected() } else { Vec::new() };
            return Err(failure(error, names).with(rejected));
        }
        let measured = self.events.iter_mut().filter(|event| matches!(event.outcome, EventOutcome::Measured(_)));
        for (event, outcome) in measured.zip(outcomes) {
            if let Outcome::SetAside(reason) = outcome {
                let rejection = Rejection::new(Code::RefusedByLibrato, reason.clone());
                event.outcome = EventOutcome::Rejected(rejection);
            }
        }
        Ok(())
    }

    /// Returns the answer when everything that can be kept is kept.
    ///
    /// A batch that could be read is 200 even where nothing of it is accepted: some libraries keep a refused batch at
    /// the head of their queue for ever.
    #[must_use]
    pub fn answer(&self) -> Answer {
        match self.events.as_slice() {
            [JudgedEvent { outcome: EventOutcome::Rejected(rejection), .. }] if !self.is_batch => {
                let code = ErrorCode::Event(rejection.code.as_str());
                ApiError::new(code, rejection.message.clone()).answer()
            }
            events => {
                let rejected = self.rejected();
                answer::success(events.len() - rejected.len(), &rejected)
            }
        }
    }

    /// Returns figures for the log.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            events: self.events.len(),
            illegible_names: self.illegible_names,
            rejected_library: self.rejected_library.clone(),
            ..Counts::default()
        };
        for event in &self.events {
            match &event.outcome {
                EventOutcome::Accepted(reason) => {
                    counts.accepted += 1;
                    *counts.not_measured.entry(reason.as_str()).or_default() += 1;
                }
                EventOutcome::Measured(_) => {
                    counts.accepted += 1;
                    counts.measured += 1;
                }
                EventOutcome::Rejected(rejection) => {
                    *counts.rejected.entry(rejection.code.as_str()).or_default() += 1;
                }
            }
        }
        counts
    }

    /// Takes what is shown to the operator of the first events, and what became of them.
    pub fn take_shown(&mut self) -> impl Iterator<Item = LiveEvent> {
        let shown = std::mem::take(&mut self.shown).into_iter();
        shown.zip(&self.events).map(|(event, JudgedEvent { outcome, .. })| match outcome {
            EventOutcome::Accepted(reason) => LiveEvent { code: Some(reason.as_str().to_owned()), ..event },
            EventOutcome::Measured(measurement) => LiveEvent {
                name: event.name.or_else(|| Some(measurement.display_name.to_string())),
                outcome: LiveOutcome::Measured,
                gauge: Some(LiveGauge::of(measurement)),
                ..event
            },
            EventOutcome::Rejected(Rejection { code, message }) => LiveEvent {
                outcome: LiveOutcome::Refused,
                code: Some(code.as_str().to_owned()),
                message: Some(live::shown(message)),
                ..event
            },
        })
    }

    fn rejected(&self) -> Vec<Rejected> {
        let events = self.events.iter().enumerate();
        let rejected = events.filter_map(|(index, event)| match &event.outcome {
            EventOutcome::Rejected(rejection) => Some(Rejected {
                index,
                message_id: event.message_id.as_deref().map(str::to_owned),
                code: rejection.code.as_str(),
                message: rejection.message.clone(),
            }),
            _ => None,
        });
        rejected.collect()
    }
}

/// Returns what a client is told of a destination that does not take measurements now.
fn failure(error: &RetryableError, names: Names) -> Box<ApiError> {
    let (code, said) = match error.reason {
        RetryReason::Throttled => (ErrorCode::RateLimited, "limits the account"),
        RetryReason::Unauthorized => return health::bad_credentials(names),
        RetryReason::Misdirected => return health::misdirected(names),
        RetryReason::Unavailable => (ErrorCode::UpstreamUnavailable, "does not take measurements now"),
    };
    let message = format!("{} {said}: send again later", names.destination);
    ApiError::new(code, message).after(error.retry_after)
}
