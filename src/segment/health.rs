//! Whether the Worker is set up, by `GET /health`.

use super::answer::{Answer, Failure, FailureCode, Fallible};
use crate::delivery::Arrival;
use crate::destination::Destination;
use crate::ingest::bad_credentials;
use crate::json::writer::{ToJson, Writer};
use crate::settings::{Problem, Settings};
use crate::text::{concat, join, whole};

/// Fails a route that needs settings which are missing or malformed. Names all of them and shows no
/// value.
///
/// # Errors
///
/// [`FailureCode::Misconfigured`].
pub fn require(settings: &Settings, is_needed: impl Fn(&Problem) -> bool) -> Fallible<()> {
    let problems = settings.problems.iter().filter(|problem| is_needed(problem));
    let problems = join(problems.map(Problem::text), "; ");
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::new(FailureCode::Misconfigured, problems).after(Some(60)))
}

/// Judges what came of asking a destination whether its credentials are good.
///
/// # Errors
///
/// [`FailureCode::Misconfigured`] when they are not, [`FailureCode::UpstreamUnavailable`] when that
/// could not be found out.
pub fn checked(destination: &dyn Destination, arrival: &Arrival) -> Fallible<()> {
    let names = destination.names();
    let expected = |what: String| {
        Failure::new(FailureCode::UpstreamUnavailable, concat(&[names.url, ": expected ", &what]))
    };
    match arrival {
        Arrival::Answered(reply) if destination.is_well(reply.status) => Ok(()),
        Arrival::Answered(reply) if matches!(reply.status, 401 | 403) => {
            Err(bad_credentials(names))
        }
        Arrival::Answered(reply) => {
            Err(expected(concat(&["an answer of 200, found ", &whole(reply.status.into())])))
        }
        Arrival::TimedOut | Arrival::Lost => Err(expected("an answer, found none".to_owned())),
    }
}

/// What a deep look found.
#[derive(Debug)]
pub struct Deep {
    /// Whether the destination takes the credentials.
    pub destination: Fallible<()>,
    /// How measurements get there.
    pub delivery: Delivery,
}

/// How measurements get to the destination.
#[derive(Debug)]
pub enum Delivery {
    /// While the client waits.
    Direct,
    /// Through the queue.
    Durable {
        /// Events that a consumer has seen and not yet delivered. `None` when that is not known.
        waiting: Option<usize>,
        /// What was set aside and not yet sent again.
        set_aside: Option<i64>,
    },
}

/// 200, or 503 with what is missing; with what a deep look found, where one was taken.
#[must_use]
pub fn answer(settings: &Settings, deep: Option<Deep>) -> Answer {
    let (destination, delivery) = match deep {
        Some(Deep { destination, delivery }) => (Some(destination), Some(delivery)),
        None => (None, None),
    };
    let asked = destination.is_some();
    let failure = require(settings, |_| true).and_then(|()| destination.unwrap_or(Ok(()))).err();
    let report = Answer::ok(&Report {
        settings,
        failure: failure.as_deref(),
        asked,
        delivery: delivery.as_ref(),
    });
    let mut answer = match &failure {
        None => report,
        Some(failure) => Answer { body: report.body, ..failure.answer() },
    };
    answer.headers.push(("Cache-Control", "no-store".to_owned()));
    answer
}

struct Report<'a> {
    settings: &'a Settings,
    failure: Option<&'a Failure>,
    /// Whether the destination was asked about the credentials.
    asked: bool,
    delivery: Option<&'a Delivery>,
}

impl ToJson for Report<'_> {
    fn write(&self, json: &mut Writer) {
        json.object(|json| {
            json.field("status", self.failure.map_or("ok", |failure| failure.code.parts().0));
            json.field("version", env!("CARGO_PKG_VERSION"));
            if self.asked && self.failure.is_none() {
                json.field("destination", "it takes the credentials");
            }
            json.field_of("delivery", self.delivery);
            if let Some(failure) = self.failure {
                failure.write_fields(json);
            }
            if !self.settings.problems.is_empty() {
                json.field("missing", &self.settings.problems);
            }
            let destination = self.settings.destination.as_ref();
            if let Some(note) = destination.and_then(|destination| destination.note()) {
                json.field("notes", &[note][..]);
            }
        });
    }
}

impl ToJson for Delivery {
    fn write(&self, json: &mut Writer) {
        json.object(|json| match self {
            Self::Direct => json.field("mode", "direct"),
            Self::Durable { waiting, set_aside } => {
                json.field("mode", "durable");
                json.field("waiting", waiting);
                json.field("setAside", set_aside);
            }
        });
    }
}

impl ToJson for Problem {
    fn write(&self, json: &mut Writer) {
        json.object(|json| {
            json.field("setting", self.setting);
            json.field("expected", self.expected);
        });
    }
}
