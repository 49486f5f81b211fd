//! Librato as a destination: source-based gauges by `POST /v1/metrics`, or tagged measurements by `POST
//! /v1/measurements`.

mod encode;
mod judge;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::destination::{
    ADDRESS_NOTE, Check, Destination, Endpoint, Judgement, Limits, Names, Reply, Window, WriterId, is_address,
};
use crate::measurement::Measurement;
use crate::secret::Secret;
use crate::{Millis, USER_AGENT};

/// Most measurements in a request (Librato API documentation: about 300).
pub const MAX_MEMBERS: usize = 300;
/// Most bytes in a request (Librato support: under 1 MB).
pub const MAX_BYTES: usize = 1_000_000;

/// Librato takes nothing that is older than two hours (Librato support, on `librato-metrics`). How far ahead of its own
/// clock it takes a measurement is undocumented; clients are seen to send up to 49 s.
pub const WINDOW: Window = Window { max_age: 7_200, max_ahead: 600 };

/// Which of Librato's two APIs is spoken (`LIBRATO_API`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Api {
    /// Source-based gauges, `POST /v1/metrics`.
    #[default]
    Metrics,
    /// Tagged measurements, `POST /v1/measurements`.
    Measurements,
}

impl Api {
    /// Its name, which is also that of its route.
    fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Measurements => "measurements",
        }
    }
}

/// Where Librato's own service was, until it was switched off.
const SWITCHED_OFF: &str = "librato.com";

/// An account at Librato, or at what speaks its API.
#[derive(Debug)]
pub struct Librato {
    endpoint: Endpoint,
    api: Api,
    period: Option<u32>,
    notes: Vec<&'static str>,
    /// What must not be passed on when an answer repeats it, longest first.
    secrets: [Secret; 3],
}

impl Librato {
    /// An account. `url` is the base URL, without a trailing slash and without `/v1`; `email` and `token` are user and
    /// password of HTTP Basic; `period` is `METRIC_PERIOD`.
    #[must_use]
    pub fn new(url: &str, email: Secret, token: Secret, api: Api, period: Option<u32>) -> Self {
        let encoded = STANDARD.encode(format!("{}:{}", email.expose(), token.expose()));
        let route = api.as_str();
        let host = url.split('/').nth(2);
        let is_switched_off = host.is_some_and(|host| host.ends_with(SWITCHED_OFF));
        let notes = [
            is_switched_off.then_some("LIBRATO_URL names Librato's own service, which was switched off"),
            is_address(url).then_some(ADDRESS_NOTE),
        ];
        let notes = notes.into_iter().flatten().collect();
        Self {
            endpoint: Endpoint {
                url: format!("{url}/v1/{route}"),
                content_type: "application/json",
                headers: vec![
                    ("Authorization".to_owned(), Secret::new(format!("Basic {encoded}"))),
                    ("User-Agent".to_owned(), Secret::new(USER_AGENT.to_owned())),
                ],
                check: Check::Get(format!("{url}/v1/metrics?length=1")),
            },
            api,
            period,
            notes,
            secrets: [Secret::new(encoded), token, email],
        }
    }
}

impl Destination for Librato {
    fn names(&self) -> Names {
        Names { destination: "Librato", url: "LIBRATO_URL", credentials: "LIBRATO_EMAIL and LIBRATO_TOKEN" }
    }

    fn form(&self) -> (&'static str, &'static str) {
        ("librato", self.api.as_str())
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn limits(&self) -> Limits {
        Limits { members: MAX_MEMBERS, bytes: MAX_BYTES }
    }

    fn window(&self) -> Window {
        WINDOW
    }

    fn encode(&self, batch: &[&Measurement], _writer: WriterId) -> Vec<u8> {
        match self.api {
            Api::Metrics => encode::gauges(batch, self.period),
            Api::Measurements => encode::tagged(batch, self.period),
        }
    }

    fn judge(&self, reply: &Reply, batch: &[&Measurement], now: Millis) -> Judgement {
        judge::reply(reply, batch, now, &self.secrets)
    }

    fn is_healthy_status(&self, status: u16) -> bool {
        (200..300).contains(&status)
    }

    fn limit_headers(&self) -> &'static [&'static str] {
        &["x-librato-ratelimit-agg", "x-librato-ratelimit-std"]
    }

    fn words(&self, reply: &Reply) -> String {
        judge::words_of(reply, &self.secrets)
    }

    fn notes(&self) -> Vec<&'static str> {
        self.notes.clone()
    }
}
