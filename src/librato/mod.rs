//! Librato as a destination: source-based gauges by `POST /v1/metrics`, or tagged measurements by
//! `POST /v1/measurements`.

mod encode;
mod judge;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Millis;
use crate::delivery::{Destination, Judgement, Reply};
use crate::measurement::Measurement;
use crate::settings::{Api, Librato as Account, Settings};

/// Most measurements in a request (Librato API documentation: about 300).
pub const MAX_MEMBERS: usize = 300;
/// Most bytes in a request (Librato support: under 1 MB).
pub const MAX_BYTES: usize = 1_000_000;

/// An account at Librato.
pub struct Librato {
    /// Where measurements are posted.
    pub url: String,
    /// The `Authorization` header: HTTP Basic with e-mail address and token.
    pub authorization: String,
    /// Where it can be asked whether the credentials are good.
    pub check_url: String,
    api: Api,
    period: Option<u32>,
    /// What must not be passed on when an answer repeats it, longest first.
    secrets: Vec<String>,
}

impl Librato {
    /// The account of the settings, when they name one.
    #[must_use]
    pub fn new(settings: &Settings) -> Option<Self> {
        let Account { url, email, token, api } = settings.librato.as_ref()?;
        let encoded = STANDARD.encode(format!("{}:{}", email.expose(), token.expose()));
        Some(Self {
            url: match api {
                Api::Metrics => format!("{url}/v1/metrics"),
                Api::Measurements => format!("{url}/v1/measurements"),
            },
            check_url: format!("{url}/v1/metrics?length=1"),
            api: *api,
            authorization: format!("Basic {encoded}"),
            period: settings.metric_period,
            secrets: vec![encoded, token.expose().to_owned(), email.expose().to_owned()],
        })
    }

    /// A text of Librato's without the credentials, which a careless gateway may repeat in it.
    fn redacted(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
    }
}

impl Destination for Librato {
    fn max_members(&self) -> usize {
        MAX_MEMBERS
    }

    fn max_bytes(&self) -> usize {
        MAX_BYTES
    }

    fn encode(&self, batch: &[&Measurement]) -> Vec<u8> {
        match self.api {
            Api::Metrics => encode::gauges(batch, self.period),
            Api::Measurements => encode::tagged(batch, self.period),
        }
    }

    fn judge(&self, reply: &Reply, batch: &[&Measurement], now: Millis) -> Judgement {
        judge::reply(reply, batch, now, &|text| self.redacted(text))
    }
}
