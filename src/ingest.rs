//! From the text of a request to measurements, and from their fate to the answer.

use std::borrow::Cow;

use crate::Millis;
use crate::delivery::Outcome;
use crate::destination::{Names, Trouble, TroubleKind};
use crate::index::{Index, hash};
use crate::json::Scalar;
use crate::json::reader::Raw;
use crate::json::writer::{ToJson, Writer};
use crate::mapping::rejection::{Code, Rejection};
use crate::mapping::{self, Circumstances, Verdict};
use crate::measurement::Measurement;
use crate::segment::answer::{self, Answer, Failure, FailureCode, Fallible, Rejected};
use crate::segment::payload::{self, Envelope, Member};
use crate::segment::route::EventType;
use crate::settings::Settings;
use crate::text::{concat, whole};
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
}

/// The shape of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One event, whose type the path gives.
    Single(EventType),
    /// An envelope with events that each name their type.
    Batch,
    /// One event or many from Segment itself, whose signature has been verified and whose times have
    /// been corrected.
    Webhook,
}

/// What a request holds: measurements to deliver, and what became of each event so far.
#[derive(Debug)]
pub struct Intake<'a> {
    /// Whether events were judged one by one.
    is_batch: bool,
    /// The write key that they came with; empty for a webhook.
    pub write_key: String,
    /// The events, in order.
    events: Vec<Judged<'a>>,
}

#[derive(Debug)]
struct Judged<'a> {
    message_id: Option<Cow<'a, str>>,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    /// Accepted, and nothing to deliver: not measured, or seen before in this request.
    Accepted,
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
    /// Refused events by code.
    pub rejected: Tally,
}

/// How often which code, by the code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(Vec<(&'static str, usize)>);

impl Tally {
    fn add(&mut self, code: &'static str) {
        match self.0.binary_search_by_key(&code, |(code, _)| code) {
            Ok(place) => self.0.get_mut(place).map_or((), |(_, count)| *count += 1),
            Err(place) => self.0.insert(place, (code, 1)),
        }
    }

    /// The figures.
    pub fn values(&self) -> impl Iterator<Item = &usize> {
        self.0.iter().map(|(_, count)| count)
    }
}

impl ToJson for Tally {
    fn write(&self, json: &mut Writer) {
        json.object(|json| {
            for (code, count) in &self.0 {
                json.field(code, count);
            }
        });
    }
}

/// Reads a request.
///
/// # Errors
///
/// What is wrong with the request as a whole: its key, its JSON, its shape or size.
pub fn take<'a>(body: &'a str, call: &Call) -> Fallible<Intake<'a>> {
    if call.kind == Kind::Webhook {
        return take_webhook(body, call);
    }
    // A key in the header is judged before anything of the body is looked at.
    if let Some(key) = call.header_key {
        authenticate(Some(key), call.settings)?;
    }
    match call.kind {
        Kind::Single(event_type) => take_single(body, event_type, call),
        Kind::Batch | Kind::Webhook => take_batch(body, call),
    }
}

fn take_webhook<'a>(body: &'a str, call: &Call) -> Fallible<Intake<'a>> {
    let members = payload::webhook(body)?;
    let mut collector = Collector::new(call, members.len(), "");
    for member in &members {
        collector.add(member, None, None);
    }
    Ok(collector.finish())
}

fn take_single<'a>(body: &'a str, event_type: EventType, call: &Call) -> Fallible<Intake<'a>> {
    let member = payload::single(body)?;
    let body_key = text(member.event.write_key);
    let key = call.header_key.or(body_key.as_deref()).or(call.query_key);
    let key = authenticate(key, call.settings)?;
    let mut collector = Collector::new(call, 1, key);
    let sent_at = moment(member.event.sent_at, call);
    collector.add(&member, Some(event_type), sent_at);
    Ok(collector.finish())
}

fn take_batch<'a>(body: &'a str, call: &Call) -> Fallible<Intake<'a>> {
    let (envelope, mut members) = Envelope::read(body)?;
    let body_key = text(envelope.write_key)
        .or_else(|| members.iter().find_map(|member| text(member.event.write_key)));
    let key = call.header_key.or(body_key.as_deref()).or(call.query_key);
    let key = authenticate(key, call.settings)?;
    let mut collector = Collector::new(call, members.len(), key);
    let sent_at = moment(envelope.sent_at, call);
    for member in &mut members {
        let event = &mut member.event;
        event.context.fill(&envelope.context);
        event.integrations.fill(&envelope.integrations);
        let sent_at = sent_at.or_else(|| moment(event.sent_at, call));
        collector.add(member, None, sent_at);
    }
    Ok(collector.finish())
}

/// Passes an accepted write key.
///
/// # Errors
///
/// [`FailureCode::InvalidWriteKey`].
pub fn authenticate<'k>(key: Option<&'k str>, settings: &Settings) -> Fallible<&'k str> {
    let message = match key {
        Some(key) if settings.knows(key) => return Ok(key),
        Some(_) => "writeKey: expected a write key that is accepted here, found another",
        None => {
            "writeKey: expected one, as the user name of HTTP Basic, as `writeKey` in the body or \
             in the query"
        }
    };
    Err(Failure::new(FailureCode::InvalidWriteKey, message))
}

/// A field that is text and not empty.
fn text(field: Option<Raw<'_>>) -> Option<Cow<'_, str>> {
    match Scalar::of_field(field) {
        Scalar::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// `sentAt`; what is no date counts as absent, since it is the sender's clock and not the event.
fn moment(field: Option<Raw<'_>>, call: &Call) -> Option<Millis> {
    match Timestamp::read(&Scalar::of_field(field), call.native_date) {
        Timestamp::At(moment) => Some(moment),
        Timestamp::Missing | Timestamp::Invalid => None,
    }
}

struct Collector<'a, 'c> {
    call: &'c Call<'c>,
    events: Vec<Judged<'a>>,
    /// Which events are measured, by their ids. One event alone repeats nothing.
    seen: Option<Index>,
    write_key: String,
}

impl<'a, 'c> Collector<'a, 'c> {
    fn new(call: &'c Call<'c>, events: usize, write_key: &str) -> Self {
        Self {
            call,
            write_key: write_key.to_owned(),
            events: Vec::with_capacity(events),
            seen: (events > 1).then(|| Index::with_capacity(events)),
        }
    }

    fn add(&mut self, member: &Member<'a>, event_type: Option<EventType>, sent_at: Option<Millis>) {
        let message_id = text(member.event.message_id);
        let circumstances = Circumstances {
            settings: self.call.settings,
            received_at: self.call.received_at,
            sent_at,
            native_date: self.call.native_date,
            is_webhook: self.call.kind == Kind::Webhook,
        };
        let verdict = match &member.fault {
            Some(rejection) => Err(rejection.clone()),
            None => mapping::judge(&member.event, event_type, &circumstances),
        };
        let fate = match verdict {
            Ok(Verdict::NotMeasured) => Fate::Accepted,
            // Only an event that counts makes the next one with its id a repetition.
            Ok(Verdict::Measured(measurement)) => match &message_id {
                Some(id) if self.repeats(id) => Fate::Accepted,
                _ => Fate::Measured(measurement),
            },
            Err(rejection) => Fate::Rejected(rejection),
        };
        self.events.push(Judged { message_id, fate });
    }

    /// Whether an event that counts has this id. If not, the next one does.
    fn repeats(&mut self, id: &str) -> bool {
        let Some(seen) = &mut self.seen else { return false };
        let next = self.events.len();
        let place = seen.place(hash(0, id.as_bytes()), next, &mut |place| {
            let event = self.events.get(*place);
            event.is_some_and(|event| event.message_id.as_deref() == Some(id))
        });
        place != next
    }

    fn finish(self) -> Intake<'a> {
        Intake {
            is_batch: match self.call.kind {
                Kind::Single(_) => false,
                Kind::Batch => true,
                Kind::Webhook => self.events.len() != 1,
            },
            write_key: self.write_key,
            events: self.events,
        }
    }
}

impl Intake<'_> {
    /// What is to be delivered, in the order of the events, each with its `messageId`.
    pub fn measured(&self) -> impl Iterator<Item = (&Measurement, Option<&str>)> {
        self.events.iter().filter_map(|event| match &event.fate {
            Fate::Measured(measurement) => Some((measurement, event.message_id.as_deref())),
            _ => None,
        })
    }

    /// Takes over what became of the measurements, in the order of [`Self::measured`]: an event whose
    /// measurement was set aside is refused. `names` are the destination's.
    ///
    /// # Errors
    ///
    /// When something could not be delivered now, so that the client must send the request again.
    pub fn settle(&mut self, outcomes: &[&Outcome], names: Names) -> Fallible<()> {
        let trouble = outcomes.iter().filter_map(|outcome| match *outcome {
            Outcome::Later(trouble) => Some(trouble),
            _ => None,
        });
        if let Some(trouble) = trouble.max_by_key(|trouble| trouble.kind) {
            let rejected = if self.is_batch { self.rejected() } else { Vec::new() };
            return Err(failure(trouble, names).with(rejected));
        }
        let measured =
            self.events.iter_mut().filter(|event| matches!(event.fate, Fate::Measured(_)));
        for (event, outcome) in measured.zip(outcomes) {
            if let Outcome::SetAside(reason) = outcome {
                let rejection = Rejection::new(Code::RefusedByLibrato, reason.clone());
                event.fate = Fate::Rejected(rejection);
            }
        }
        Ok(())
    }

    /// The answer when everything that can be kept is kept.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let rejected = self.rejected();
        let accepted = self.events.len() - rejected.len();
        let Some(first) = rejected.first().filter(|_| accepted == 0) else {
            return answer::success(accepted, &rejected);
        };
        if !self.is_batch {
            return Failure::new(FailureCode::Event(first.code), first.message.clone()).answer();
        }
        let message = concat(&[
            "batch: none of ",
            &whole(rejected.len() as u64),
            " events could be accepted; the first: ",
            &first.message,
        ]);
        Failure::new(FailureCode::InvalidEvent, message).with(rejected).answer()
    }

    /// Figures for the log.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { events: self.events.len(), ..Counts::default() };
        for event in &self.events {
            match &event.fate {
                Fate::Accepted => counts.accepted += 1,
                Fate::Measured(_) => {
                    counts.accepted += 1;
                    counts.measured += 1;
                }
                Fate::Rejected(rejection) => {
                    counts.rejected.add(rejection.code.as_str());
                }
            }
        }
        counts
    }

    fn rejected(&self) -> Vec<Rejected> {
        let events = self.events.iter().enumerate();
        let rejected = events.filter_map(|(index, event)| match &event.fate {
            Fate::Rejected(rejection) => Some(Rejected {
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

/// The failure of credentials that a destination does not take.
#[must_use]
pub fn bad_credentials(names: Names) -> Box<Failure> {
    let Names { destination, credentials, .. } = names;
    let message = concat(&[credentials, ": expected credentials that ", destination, " accepts"]);
    Failure::new(FailureCode::Misconfigured, message).after(Some(60))
}

/// What a client is told of a destination that does not take measurements now.
fn failure(trouble: &Trouble, names: Names) -> Box<Failure> {
    let (code, said) = match trouble.kind {
        TroubleKind::Throttled => (FailureCode::RateLimited, "limits the account"),
        TroubleKind::Unauthorized => return bad_credentials(names),
        TroubleKind::Unavailable => {
            (FailureCode::UpstreamUnavailable, "does not take measurements now")
        }
    };
    let message = concat(&[names.destination, " ", said, ": send again later"]);
    Failure::new(code, message).after(trouble.retry_after)
}
