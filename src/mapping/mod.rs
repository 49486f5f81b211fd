//! From an event to a measurement: the rules of Segment's own Librato destination, so that every chart goes on under
//! the same names, and the refusals that it did not know.

pub mod consent;
pub mod enabled;
pub mod engage;
pub mod name;
pub mod source;
pub mod value;

use crate::Millis;
use crate::destination::Window;
use crate::json::Scalar;
use crate::measurement::{Measurement, Samples};
use crate::rejection::{Code, Rejection};
use crate::segment::event::Event;
use crate::segment::route::EventType;
use crate::settings::{LateEvents, Settings};
use crate::time::{NativeDate, Timestamp};
pub use name::MetricNames;

/// What an event is judged by besides itself.
#[derive(Clone, Copy)]
pub struct MappingContext<'a> {
    /// The Worker's settings.
    pub settings: &'a Settings,
    /// When the request arrived.
    pub received_at: Millis,
    /// When it was sent by the sender's clock; `None` where that is unknown, or where the times have been corrected
    /// already.
    pub sent_at: Option<Millis>,
    /// The JavaScript engine's reading of dates.
    pub native_date: NativeDate,
    /// Whether Segment itself sent the event, to us and nobody else.
    pub is_webhook: bool,
}

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is measured.
    Measured(Measurement),
    /// It is accepted and not measured.
    NotMeasured(Unmeasured),
}

/// Why an accepted event is not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmeasured {
    /// It is another type of call.
    Type,
    /// The visitor did not agree.
    NoConsent,
    /// `integrations` switches it off.
    SwitchedOff,
    /// An event of the same request has its id.
    Duplicate,
}

impl Unmeasured {
    /// The code as operators see it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Type => "not_measured",
            Self::NoConsent => "no_consent",
            Self::SwitchedOff => "switched_off",
            Self::Duplicate => "duplicate",
        }
    }
}

/// Judges one event. Its faults are looked for in the order of [`Code`]; the first is told.
///
/// `names` are those of the request so far. `given_type` is the type that the request's path gives; without it the
/// event must name its own.
///
/// # Errors
///
/// What is wrong with the event, naming the field and what was expected.
pub fn judge(
    event: &Event,
    given_type: Option<EventType>,
    context: &MappingContext,
    names: &mut MetricNames,
) -> Result<Verdict, Rejection> {
    let settings = context.settings;
    let event_type = match given_type {
        Some(given) => given,
        // A notice that a user is to be forgotten, of whom nothing is kept here.
        None if context.is_webhook && is_delete(event) => return Ok(Verdict::NotMeasured(Unmeasured::Type)),
        None => named_type(event)?,
    };
    let (written, value, source) = match event_type {
        EventType::Track => (name::track(event)?, None, None),
        EventType::Page => (name::page(event), None, None),
        EventType::Identify => match engage::measured(event) {
            Some(engage) => (engage.name.into(), Some(engage.value), Some(engage.source)),
            None => return Ok(Verdict::NotMeasured(Unmeasured::Type)),
        },
        EventType::Other => return Ok(Verdict::NotMeasured(Unmeasured::Type)),
    };
    if event_type != EventType::Identify {
        identity(event)?;
    }
    if !consent::is_given(event, settings) {
        return Ok(Verdict::NotMeasured(Unmeasured::NoConsent));
    }
    if !enabled::is_enabled(event, context.is_webhook) {
        return Ok(Verdict::NotMeasured(Unmeasured::SwitchedOff));
    }
    let value = match value {
        Some(value) => value::in_range(value)?,
        None => value::of(event)?,
    };
    let time = time(event, context)?;
    let name = names.of(&written, settings);
    if !settings.allows(&name.metric) {
        let message = format!("event: the metric `{}` is not among the names that may be created here", name.metric);
        return Err(Rejection::new(Code::EventNotAllowed, message));
    }
    let source = match source {
        Some(source) => source,
        None => source::of(event, &name.cleaned)?,
    };
    Ok(Verdict::Measured(Measurement {
        name: name.metric,
        display_name: name.written,
        source,
        time,
        samples: Samples::one(value),
    }))
}

fn is_delete(event: &Event) -> bool {
    Scalar::of_field(event.kind) == Scalar::Text("delete".into())
}

fn named_type(event: &Event) -> Result<EventType, Rejection> {
    let missing = |message: String| Err(Rejection::new(Code::MissingType, message));
    let named = match Scalar::of_field(event.kind) {
        Scalar::Text(kind) if !kind.is_empty() => EventType::named(&kind),
        Scalar::Null | Scalar::Text(_) => {
            return missing("type: required in a batch, for example \"track\"".into());
        }
        other => return missing(format!("type: expected a string, found {}", other.kind())),
    };
    named.ok_or_else(|| {
        Rejection::new(Code::UnsupportedType, "type: expected track, page, screen, identify, group or alias")
    })
}

/// Segment wants a `userId` or an `anonymousId`; libraries send numbers as well.
fn identity(event: &Event) -> Result<(), Rejection> {
    let is_present = |field| Scalar::of_field(field).into_id().is_some();
    if is_present(event.user_id) || is_present(event.anonymous_id) {
        return Ok(());
    }
    Err(Rejection::new(
        Code::MissingIdentity,
        "userId or anonymousId: one of them is required, as a string or a number",
    ))
}

/// Returns the second that an event counts for: by its `timestamp`, corrected for the sender's clock as Segment's API
/// does it (`receivedAt − (sentAt − timestamp)`), rounded down.
///
/// `originalTimestamp` stands in for a missing `timestamp`. Where a pipeline has added it, together with `receivedAt`,
/// the `timestamp` has been corrected already.
fn time(event: &Event, context: &MappingContext) -> Result<i64, Rejection> {
    let MappingContext { received_at, native_date, settings, .. } = *context;
    let (field, value) = match (event.timestamp, event.original_timestamp) {
        (None, Some(original)) => ("originalTimestamp", Some(original)),
        (timestamp, _) => ("timestamp", timestamp),
    };
    let is_corrected = event.timestamp.is_some() && event.original_timestamp.is_some() && event.received_at.is_some();
    let value = Scalar::of_field(value);
    let moment = match Timestamp::read(&value, native_date) {
        Timestamp::At(moment) => match context.sent_at.filter(|_| !is_corrected) {
            Some(sent_at) => received_at - (sent_at - moment),
            None => moment,
        },
        Timestamp::Missing => received_at,
        Timestamp::Invalid if settings.late_events == LateEvents::Now => received_at,
        Timestamp::Invalid => {
            let found = match value {
                Scalar::Text(_) => "a string that is no date",
                ref other => other.kind(),
            };
            let message =
                format!("{field}: expected an ISO 8601 date such as \"2026-01-31T12:00:00.000Z\", found {found}");
            return Err(Rejection::new(Code::InvalidTimestamp, message));
        }
    };
    let (second, now) = (moment.div_euclid(1_000), received_at.div_euclid(1_000));
    let window = settings.window();
    if window.holds(second, now) {
        return Ok(second);
    }
    match settings.late_events {
        LateEvents::Now => Ok(now),
        LateEvents::Reject => {
            let Window { max_age, max_ahead } = window;
            let (distance, side) = (second.abs_diff(now), if second < now { "before" } else { "after" });
            let message = format!(
                "{field}: expected a time between {max_age} s before and {max_ahead} s after its receipt, found one \
                 {distance} s {side}"
            );
            Err(Rejection::new(Code::TimestampOutOfRange, message))
        }
    }
}
