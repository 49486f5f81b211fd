//! Where measurements go: the one seam behind which Librato and OTLP differ.
//!
//! A destination tells where its requests go, how much and how old it takes, what a batch is on the wire, and what an
//! answer means. Whatever delivers knows nothing else of it.
use std::fmt::{self, Debug};
use std::net::IpAddr;

use crate::Millis;
use crate::measurement::{MAX_NAME, Measurement};
use crate::secret::Secret;
use crate::time::http_date;

/// By its name, as the whole of it is nobody's business: what is derived for what is behind a pointer is compiled in,
/// whether it is used or not.
impl Debug for dyn Destination {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.names().destination)
    }
}

/// A destination, made once from the settings.
pub trait Destination: Send + Sync {
    /// How messages and log lines call it and its settings.
    fn names(&self) -> Names;

    /// Its name in `DESTINATION`, and which of its forms is spoken.
    fn form(&self) -> (&'static str, &'static str);

    /// Where its requests go.
    fn endpoint(&self) -> &Endpoint;

    /// The most that a request holds.
    fn limits(&self) -> Limits;

    /// The age that it takes.
    fn window(&self) -> Window;

    /// The body of a request with these measurements; the same ones give the same bytes. `writer` is whose measurements
    /// they are, where [`Self::deduplicates_points`].
    fn encode(&self, batch: &[&Measurement], writer: WriterId) -> Vec<u8>;

    /// What an answer to that request means.
    fn judge(&self, reply: &Reply, batch: &[&Measurement], now: Millis) -> Judgement;

    /// Whether this status answers [`Endpoint::check`] well. 401 and 403 never do.
    fn is_healthy_status(&self, status: u16) -> bool;

    /// Whether it takes a measurement of the same metric, source, second and writer for the same one, whatever its
    /// value. Then no two deliveries may have the same writer for a second, and what is sent again must be sent as it
    /// was.
    fn deduplicates_points(&self) -> bool {
        false
    }

    /// Names, in lower case, of the headers in which it tells about its limits.
    fn limit_headers(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns the length that a metric's name may have, in characters.
    fn max_name(&self) -> usize {
        MAX_NAME
    }

    /// Returns its own words about a request, in one line and without secrets. They may quote an event.
    fn words(&self, reply: &Reply) -> String;

    /// Returns what may be wrong where it refuses everything with these words.
    fn hint(&self, _: &str) -> Option<&'static str> {
        None
    }

    /// Returns what an operator should know about its settings although they are well formed.
    fn notes(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// Who writes a point. A series has one writer at a second (OpenTelemetry, metrics data model, "single writer"): what
/// one delivery holds of a second has another writer than what any other holds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterId {
    /// A number that was given to no other delivery with any of the same seconds.
    Assigned(u32),
    /// One of a few, drawn where nobody gives numbers: two may meet.
    Random(u32),
}

/// How many there are to draw from.
const DRAWN: u64 = 64;

impl WriterId {
    /// Where it does not matter whose measurements they are.
    pub const NONE: Self = Self::Assigned(0);

    /// Draws one.
    #[must_use]
    pub fn random(random: u64) -> Self {
        Self::Random(u32::try_from(random % DRAWN).unwrap_or_default())
    }

    /// The text that stands for it.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Assigned(number) => number.to_string(),
            Self::Random(number) => format!("r{number}"),
        }
    }

    /// Reads what [`Self::text`] gives.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text.strip_prefix('r') {
            Some(number) => number.parse().ok().map(Self::Random),
            None => text.parse().ok().map(Self::Assigned),
        }
    }
}

/// How a destination is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// The destination itself, at the beginning of a sentence or within one.
    pub destination: &'static str,
    /// The setting that holds its URL.
    pub url: &'static str,
    /// The settings that hold the credentials.
    pub credentials: &'static str,
}

/// Where requests go.
#[derive(Debug)]
pub struct Endpoint {
    /// Where measurements are posted.
    pub url: String,
    /// What they are.
    pub content_type: &'static str,
    /// Headers of every request.
    pub headers: Vec<(String, Secret)>,
    /// How it is asked whether the credentials are good.
    pub check: Check,
}

/// A question about the credentials.
#[derive(Debug)]
pub enum Check {
    /// A GET of this URL.
    Get(String),
    /// A POST of an empty body to where measurements are posted.
    PostNothing,
}

/// The most that a request holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Measurements.
    pub members: usize,
    /// Bytes.
    pub bytes: usize,
}

/// What a destination takes, by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How old it may be, in seconds.
    pub max_age: i64,
    /// How far ahead of the clock it may be, in seconds.
    pub max_ahead: i64,
}

impl Window {
    /// Whether a second is taken now; both since 1970.
    #[must_use]
    pub fn holds(&self, second: i64, now: i64) -> bool {
        (self.oldest(now)..=now + self.max_ahead).contains(&second)
    }

    /// The oldest second that is taken now.
    #[must_use]
    pub fn oldest(&self, now: i64) -> i64 {
        now - self.max_age
    }
}

/// An HTTP answer of a destination, as far as it is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// Headers that tell about rate limits: names in lower case, and values.
    pub rate_limits: Vec<(&'static str, String)>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// All of it is stored.
    Delivered,
    /// It is stored, and there is something to say about it.
    Partial(PartialSuccess),
    /// Nothing of it is stored, because of some of its members.
    Refused(PermanentRejection),
    /// It is stored but for the suspects.
    Partly(PermanentRejection),
    /// It is too large as it is.
    TooLarge,
    /// None of it will ever be taken.
    Rejected(String),
    /// Nothing is wrong with it; it is to be sent again later.
    Later(RetryableError),
}

/// A success with a word about it (`ExportMetricsPartialSuccess` of OTLP).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialSuccess {
    /// How many points were refused, without a word about which. They cannot be found, and sending all of them again
    /// would count the rest twice.
    pub rejected_points: u64,
    /// What it is, in words of ours, for the log.
    pub summary: String,
    /// The destination's own words, which may quote an event.
    pub message: String,
}

/// Whom a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermanentRejection {
    /// The destination's own words.
    pub reason: String,
    /// Members that are named or hinted at, by place. They are sent apart from the others, so a wrong hint costs a
    /// request and no measurement. Empty when nothing points at anyone.
    pub suspects: Vec<usize>,
    /// The suspects are told by what they have in common, and sending them alone would say no more.
    pub is_certain: bool,
}

/// Why something could not be delivered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryableError {
    /// What kind of fault.
    pub reason: RetryReason,
    /// Seconds after which the destination wants to be asked again.
    pub retry_after: Option<u32>,
    /// What happened, for the log.
    pub detail: String,
}

/// Kinds of faults, ordered by severity: the maximum is reported to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryReason {
    /// It answers with a fault of its own, or not at all.
    Unavailable,
    /// It wants less.
    Throttled,
    /// There is nothing that takes measurements at its URL: the operator's fault.
    Misdirected,
    /// It does not take the credentials: the operator's fault.
    Unauthorized,
}

impl RetryReason {
    /// Returns whether only the operator can mend it.
    #[must_use]
    pub fn is_operator_fault(self) -> bool {
        matches!(self, Self::Misdirected | Self::Unauthorized)
    }

    /// Returns whether time may mend it, so that what the destination says about a pause counts.
    #[must_use]
    pub fn is_for_client(self) -> bool {
        !self.is_operator_fault()
    }
}

/// What a status means at either destination: the one table that tells a verdict of the API from a fault on the way to
/// it. It is the OpenTelemetry Collector's but for what an operator can set right, which is kept until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It is taken.
    Success,
    /// Something in it is refused, if the API itself says so; else a gateway hiccuped.
    BadRequest,
    /// It is too large as it is.
    TooLarge,
    /// It will never be taken.
    Rejected,
    /// It is to be sent again later.
    Later(RetryReason),
}

impl Class {
    /// Returns the class of a status.
    #[must_use]
    pub fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Success,
            400 => Self::BadRequest,
            401 | 403 => Self::Later(RetryReason::Unauthorized),
            // A gateway, or another Worker of the same zone, which knows no such route.
            404 | 405 => Self::Later(RetryReason::Misdirected),
            408 => Self::Later(RetryReason::Unavailable),
            413 => Self::TooLarge,
            429 => Self::Later(RetryReason::Throttled),
            402..=499 => Self::Rejected,
            // A redirect would turn the POST into a GET of some page that answers 200.
            _ => Self::Later(RetryReason::Unavailable),
        }
    }
}

/// Longest text of a destination's that is passed on, in characters.
const MAX_UPSTREAM_TEXT: usize = 300;

/// What is passed on of a destination's words: one line without these secrets, not too long. Cut last, or a part of a
/// secret might be left, and cleaned first, or one with a control character in it might be.
#[must_use]
pub fn redact(text: &str, secrets: &[Secret]) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let redacted = secrets.iter().fold(text, |text, secret| text.replace(secret.expose(), "…"));
    redacted.chars().take(MAX_UPSTREAM_TEXT).collect()
}

/// The note about a URL whose host is an address.
pub const ADDRESS_NOTE: &str =
    "the destination's URL names an IP address, which Workers may not fetch (error 1003): give it a name";

/// Returns whether a URL's host is an address of IP that is not this machine's own.
/// <https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/error-1003/>
#[must_use]
pub fn is_address(url: &str) -> bool {
    let host = url.split('/').nth(2).unwrap_or_default();
    let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    host.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback())
}

/// Seconds until a moment that a `Retry-After` names, as a number or as a date. Many write a number with a fraction.
#[must_use]
pub fn retry_after(reply: &Reply, now: Millis) -> Option<u32> {
    let text = reply.retry_after.as_deref()?.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(seconds) = whole.parse::<u32>()
    {
        let is_more = fraction.bytes().any(|byte| byte != b'0');
        return Some(seconds.saturating_add(is_more.into()));
    }
    seconds_until(http_date(text)?, now)
}

/// Returns whether an answer is a page and nothing that an API says: of a gateway, or of a site that answers 200 with
/// its own page to every path that it does not know.
#[must_use]
pub fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// Whole seconds until a moment, at least one.
#[must_use]
pub fn seconds_until(moment: Millis, now: Millis) -> Option<u32> {
    let millis = moment.saturating_sub(now).saturating_add(999);
    u32::try_from(millis.div_euclid(1_000).max(1)).ok()
}
