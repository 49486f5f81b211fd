//! Why an event is refused.

/// The reasons, in the order in which they are looked for. Their names are part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// It is longer than an event may be.
    EventTooLarge,
    /// It is something else than an object.
    InvalidEvent,
    /// A member of a batch has no `type`.
    MissingType,
    /// Its `type` is not one of Segment's.
    UnsupportedType,
    /// A Track call has no `event`.
    MissingEvent,
    /// It has neither `userId` nor `anonymousId`.
    MissingIdentity,
    /// `properties.value` is not a number that Librato takes.
    InvalidValue,
    /// `timestamp` is not a date.
    InvalidTimestamp,
    /// Its time is outside what Librato takes.
    TimestampOutOfRange,
    /// `ALLOWED_EVENTS` does not list the metric.
    EventNotAllowed,
    /// A `source` is not a string or a number.
    InvalidSource,
    /// Librato refused the measurement.
    RefusedByLibrato,
}

impl Code {
    /// The code as clients see it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventTooLarge => "event_too_large",
            Self::InvalidEvent => "invalid_event",
            Self::MissingType => "missing_type",
            Self::UnsupportedType => "unsupported_type",
            Self::MissingEvent => "missing_event",
            Self::MissingIdentity => "missing_identity",
            Self::InvalidValue => "invalid_value",
            Self::InvalidTimestamp => "invalid_timestamp",
            Self::TimestampOutOfRange => "timestamp_out_of_range",
            Self::EventNotAllowed => "event_not_allowed",
            Self::InvalidSource => "invalid_source",
            Self::RefusedByLibrato => "refused_by_librato",
        }
    }
}

/// A refused event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The reason.
    pub code: Code,
    /// The field and what was expected. Holds no value of the event but a metric's name.
    pub message: String,
}

impl Rejection {
    /// A refusal.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
