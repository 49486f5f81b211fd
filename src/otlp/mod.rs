//! OTLP as a destination: OpenTelemetry's protocol for metrics, in protobuf over HTTP, as nearly every living backend
//! takes it.
//!
//! A measurement becomes two points: `NAME`, the sum of its values, and `NAME.count`, the number of its events, with
//! the source as an attribute. `docs/otlp.md` tells why.

mod encode;
mod judge;
pub mod proto;

use crate::destination::{
    ADDRESS_NOTE, Check, Destination, Endpoint, Judgement, Limits, Names, Reply, Window, WriterId, is_address, redact,
};
use crate::measurement::{MAX_NAME, Measurement};
use crate::secret::Secret;
use crate::segment::credential::basic_pair;
use crate::{Millis, USER_AGENT};
use encode::Format;

/// How it is called in messages.
const NAME: &str = "the OTLP endpoint";

/// The most in a request. Backends take 500 KB and more (Datadog the least); but what could not be delivered must fit a
/// message of the queue, where a measurement can be longer than on the wire.
pub const LIMITS: Limits = Limits { members: 500, bytes: 100_000 };

/// How late each backend takes points is not known of most; of an hour, nobody has heard a complaint.
pub const WINDOW: Window = Window { max_age: 3_600, max_ahead: 600 };

/// The one backend that wants a unit of every metric ("About metrics" in its documentation).
const WANTS_UNITS: &str = ".solarwinds.com";

/// Less than this is no secret, and taking it out would only garble a text.
const SHORTEST_SECRET: usize = 4;

/// What kind of points measurements become (`OTLP_PROFILE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Delta sums that may fall as well as rise: what a measurement is.
    #[default]
    Delta,
    /// Delta sums that only rise, where a backend takes no others and no value is negative.
    Monotonic,
    /// Gauges, where a backend takes no delta sums.
    Gauge,
}

/// What is appended to a metric's name for the number of its events, unless `OTLP_COUNT_SUFFIX` says otherwise.
pub const COUNT_SUFFIX: &str = ".count";

/// How measurements are written.
#[derive(Debug)]
pub struct Options {
    /// What points are.
    pub profile: Profile,
    /// What is appended to a metric's name for the number of its events; `None` where that is not sent.
    pub count_suffix: Option<String>,
    /// `ROLLUP_SECONDS`: the length of a measurement's interval, in seconds.
    pub interval: u32,
}

/// An OTLP endpoint.
#[derive(Debug)]
pub struct Otlp {
    endpoint: Endpoint,
    format: Format,
    notes: Vec<&'static str>,
    /// What must not be passed on when an answer repeats it, longest first.
    secrets: Vec<Secret>,
}

impl Otlp {
    /// Returns an endpoint by its whole URL, with headers for every request.
    #[must_use]
    pub fn new(url: String, given: Vec<(String, Secret)>, options: Options) -> Self {
        let host = url.split('/').nth(2).and_then(|host| host.split(':').next());
        let unit = match host {
            Some(host) if host.ends_with(WANTS_UNITS) => "{value}",
            _ => "",
        };
        // A token stands behind its scheme, and in Basic behind a user; a backend may quote it with or without.
        let mut secrets: Vec<Secret> = Vec::new();
        for (_, value) in &given {
            let whole = value.expose();
            let token = whole.split_once(' ').map_or("", |(_, token)| token);
            let pair = basic_pair(whole).unwrap_or_default();
            let password = pair.split_once(':').map_or("", |(_, password)| password);
            for part in [whole, token, &pair, password] {
                if part.len() >= SHORTEST_SECRET {
                    let place = secrets.partition_point(|other| other.expose().len() >= part.len());
                    secrets.insert(place, Secret::new(part.to_owned()));
                }
            }
        }
        let mut headers = given;
        headers.push(("User-Agent".to_owned(), Secret::new(USER_AGENT.to_owned())));
        let notes = if is_address(&url) { vec![ADDRESS_NOTE] } else { Vec::new() };
        Self {
            endpoint: Endpoint { url, content_type: "application/x-protobuf", headers, check: Check::PostNothing },
            notes,
            format: Format { options, unit },
            secrets,
        }
    }
}

impl Destination for Otlp {
    fn names(&self) -> Names {
        Names { destination: NAME, url: "OTLP_URL", credentials: "OTLP_HEADERS" }
    }

    fn form(&self) -> (&'static str, &'static str) {
        let profile = match self.format.options.profile {
            Profile::Delta => "delta",
            Profile::Monotonic => "monotonic",
            Profile::Gauge => "gauge",
        };
        ("otlp", profile)
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn window(&self) -> Window {
        WINDOW
    }

    fn encode(&self, batch: &[&Measurement], writer: WriterId) -> Vec<u8> {
        encode::request(batch, writer, &self.format)
    }

    fn judge(&self, reply: &Reply, _batch: &[&Measurement], now: Millis) -> Judgement {
        judge::reply(reply, now, &self.secrets)
    }

    /// An empty request is a valid one; a backend that finds fault with it has let it in.
    fn is_healthy_status(&self, status: u16) -> bool {
        matches!(status, 200..=299 | 400)
    }

    fn deduplicates_points(&self) -> bool {
        true
    }

    /// The name with the suffix must not be longer than others are.
    fn max_name(&self) -> usize {
        MAX_NAME - self.format.options.count_suffix.as_ref().map_or(0, String::len)
    }

    fn words(&self, reply: &Reply) -> String {
        redact(&judge::words(&reply.body), &self.secrets)
    }

    fn hint(&self, words: &str) -> Option<&'static str> {
        let words = words.to_ascii_lowercase();
        let is_about_kind = ["temporality", "delta", "cumulative"].iter().any(|word| words.contains(word));
        is_about_kind.then_some("OTLP_PROFILE: expected another one: it does not take such points")
    }

    fn notes(&self) -> Vec<&'static str> {
        self.notes.clone()
    }
}
