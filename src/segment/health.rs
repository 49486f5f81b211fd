//! Whether the Worker is set up, by `GET /health`.

use serde::Serialize;

use super::answer::{Answer, ApiError, ErrorBody, ErrorCode, Result};
use crate::delivery::Arrival;
use crate::destination::{Destination, Names, is_page};
use crate::durable::once::Occupancy;
use crate::settings::{Need, Problem, Settings};

/// Fails a request that needs settings which are missing or malformed. Names all of them and shows no value.
///
/// # Errors
///
/// [`ErrorCode::Misconfigured`].
pub fn require(settings: &Settings, need: Need) -> Result<()> {
    misconfigured(settings.problems.iter().filter(|problem| problem.concerns(need)))
}

fn misconfigured<'p>(problems: impl Iterator<Item = &'p Problem>) -> Result<()> {
    let problems: Vec<_> = problems.map(Problem::to_string).collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::Misconfigured, problems.join("; ")).after(Some(60)))
}

/// Returns the failure of credentials that a destination does not take.
#[must_use]
pub fn bad_credentials(names: Names) -> Box<ApiError> {
    let Names { destination, credentials, .. } = names;
    let message = format!("{credentials}: expected credentials that {destination} accepts");
    ApiError::new(ErrorCode::Misconfigured, message).after(Some(60))
}

/// Returns the failure of a URL at which nothing takes measurements.
#[must_use]
pub fn misdirected(names: Names) -> Box<ApiError> {
    let Names { destination, url, .. } = names;
    let message = format!("{url}: expected a URL at which {destination} takes measurements, found none there");
    ApiError::new(ErrorCode::Misconfigured, message).after(Some(60))
}

/// Judges what came of asking a destination whether its credentials are good. Its own words, redacted, are told to the
/// operator alone.
///
/// # Errors
///
/// [`ErrorCode::Misconfigured`] when they are not, [`ErrorCode::UpstreamUnavailable`] when that could not be found out.
pub fn checked(destination: &dyn Destination, arrival: &Arrival, is_operator: bool) -> Result<()> {
    let names = destination.names();
    let Arrival::Answered(reply) = arrival else {
        let message = format!("{}: expected an answer, found none", names.url);
        return Err(ApiError::new(ErrorCode::UpstreamUnavailable, message));
    };
    if destination.is_healthy_status(reply.status) {
        return if is_page(&reply.body) { Err(misdirected(names)) } else { Ok(()) };
    }
    let mut failure = match reply.status {
        401 | 403 => bad_credentials(names),
        status => {
            let message = format!("{}: expected an answer of 200, found {status}", names.url);
            ApiError::new(ErrorCode::UpstreamUnavailable, message)
        }
    };
    let words = destination.words(reply);
    if is_operator && !words.is_empty() {
        failure.message = format!("{}; it says: {words}", failure.message).into();
    }
    Err(failure)
}

/// Returns the failure of a destination that has refused all that was lately sent. Its own words may quote events: they
/// are told to the operator alone.
#[must_use]
pub fn refusing(destination: &dyn Destination, words: &str, is_operator: bool) -> Box<ApiError> {
    let mut message = format!("{} refused all that was lately sent", destination.names().destination);
    if let Some(hint) = destination.hint(words) {
        message = format!("{message}; {hint}");
    }
    if is_operator && !words.is_empty() {
        message = format!("{message}; it says: {words}");
    }
    ApiError::new(ErrorCode::UpstreamUnavailable, message)
}

/// What a deep look found.
#[derive(Debug, Clone)]
pub struct Deep {
    /// Whether the destination takes the credentials, and what is sent.
    pub destination: Result<()>,
    /// Events that a consumer has seen and not yet delivered. `None` when that is not known, or not asked.
    pub waiting: Option<u64>,
    /// What was set aside and not yet sent again.
    pub set_aside: Option<i64>,
    /// How full the memory of seen events is, for the operator.
    pub ledger: Option<Occupancy>,
}

/// What the platform tells of this Worker.
#[derive(Debug)]
pub struct Deployment {
    /// Scheme, host and path that clients are told.
    pub public_url: String,
    /// Whether measurements are queued.
    pub is_durable: bool,
    /// Bindings of the shipped `wrangler.toml` that are missing.
    pub missing_bindings: Vec<&'static str>,
    /// Whether the last events are shown; told to the operator, as where measurements go is.
    pub live_list: Option<bool>,
}

/// Returns 200, or 503 with what is missing; with what a deep look found, where one was taken.
#[must_use]
pub fn answer(settings: &Settings, deployment: &Deployment, deep: Option<Deep>) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Report<'a> {
        status: &'static str,
        version: &'static str,
        public_url: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        destination: Option<&'static str>,
        delivery: Delivery,
        #[serde(skip_serializing_if = "Option::is_none")]
        live_list: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sends_to: Option<SendsTo<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ledger: Option<Occupancy>,
        #[serde(flatten)]
        failure: Option<ErrorBody<'a>>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        missing: &'a [Problem],
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        notes: &'a [String],
    }
    let sends_to = settings.destination.as_ref().filter(|_| deployment.live_list.is_some()).map(|to| {
        let (destination, profile) = to.form();
        SendsTo { destination, profile, host: to.endpoint().url.split('/').nth(2).unwrap_or_default() }
    });
    let is_deep = deep.is_some();
    let mut delivery = if deployment.is_durable { Delivery::Durable } else { Delivery::Direct };
    let mut failure = misconfigured(settings.problems.iter());
    let mut ledger = None;
    if let Some(Deep { destination, waiting, set_aside, ledger: occupancy }) = deep {
        ledger = occupancy;
        if deployment.is_durable {
            delivery = Delivery::Backlog { waiting, set_aside };
        }
        failure = failure.and(destination);
    }
    let failure = failure.err();
    let report = Answer::ok(&Report {
        status: failure.as_ref().map_or("ok", |failure| failure.code.parts().0),
        version: env!("CARGO_PKG_VERSION"),
        public_url: &deployment.public_url,
        destination: (is_deep && failure.is_none()).then_some("it takes the credentials"),
        delivery,
        live_list: deployment.live_list,
        sends_to,
        ledger,
        failure: failure.as_ref().map(|failure| failure.body()),
        missing: &settings.problems,
        notes: &notes(settings, deployment),
    });
    let mut answer = match &failure {
        None => report,
        Some(failure) => Answer { body: report.body, ..failure.answer() },
    };
    answer.headers.push(("Cache-Control", "no-store".to_owned()));
    answer
}

/// Where measurements go, as the operator is told.
#[derive(Serialize)]
struct SendsTo<'a> {
    destination: &'static str,
    profile: &'static str,
    host: &'a str,
}

/// How measurements get to the destination.
#[derive(Serialize)]
#[serde(tag = "mode", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Delivery {
    /// While the client waits.
    Direct,
    /// Through the queue.
    Durable,
    /// The same, looked at deeply; `null` for what is not known.
    #[serde(rename = "durable")]
    Backlog { waiting: Option<u64>, set_aside: Option<i64> },
}

/// Returns what an operator should know although nothing is malformed.
fn notes(settings: &Settings, deployment: &Deployment) -> Vec<String> {
    let destination = settings.destination.iter().flat_map(|destination| destination.notes());
    let bindings = deployment.missing_bindings.iter().map(|binding| {
        let effect = match *binding {
            "MEASUREMENTS" => "delivery is direct, and nothing is kept while the destination fails",
            "SET_ASIDE" => "what the destination refuses comes again for ever",
            "ONCE" => "an event that is sent again counts again",
            "LETTERS" => "what is set aside cannot be looked at or sent again",
            "OPERATOR" => "nothing is counted for the operator's page",
            _ => "analytics.js is not served",
        };
        format!("{binding} is not bound, as wrangler.toml has it: {effect}")
    });
    destination.map(str::to_owned).chain(bindings).collect()
}
