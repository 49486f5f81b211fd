//! Requests to others: the destination, and the static assets beside the Worker.

use wasm_bindgen::{JsCast, JsValue};

use super::Platform;
use super::bindings::{self, Target};
use super::http::Lines;
use super::task::{Begun, Settlement, first};
use crate::Millis;
use crate::delivery::{Arrival, Delivery, Lot, Outcome, Policy, Step};
use crate::destination::{Check, Destination, Remark, Reply};
use crate::measurement::Measurement;
use crate::segment::answer::Fallible;
use crate::segment::cors::Origin;
use crate::segment::health;
use crate::text::concat;

/// How long the answer to a question about the credentials is waited for.
const CHECK_TIMEOUT: Millis = 5_000;

/// How a destination is reached.
pub(super) struct Targets {
    /// Where measurements are posted.
    posts: Target,
    /// Where it can be asked whether the credentials are good.
    check: Target,
}

impl Targets {
    pub(super) fn of(destination: &dyn Destination) -> Self {
        let endpoint = destination.endpoint();
        let mut headers = Lines::default();
        for (name, value) in &endpoint.headers {
            headers.push(name, value.expose());
        }
        let get = |url: &str| bindings::target(url, "GET", headers.as_str());
        let check = match &endpoint.check {
            Check::Get(url) => Some(get(url)),
            Check::PostNothing => None,
        };
        headers.push("Content-Type", endpoint.content_type);
        let post = || bindings::target(&endpoint.url, "POST", headers.as_str());
        Self { posts: post(), check: check.unwrap_or_else(post) }
    }
}

/// The destination and how it is reached.
#[derive(Clone, Copy)]
pub(super) struct Upstream<'u> {
    pub(super) destination: &'u dyn Destination,
    pub(super) targets: &'u Targets,
}

/// What came of a delivery.
pub(super) struct Report {
    /// In the order of the measurements.
    pub(super) outcomes: Vec<Outcome>,
    /// How many requests it took.
    pub(super) requests: u64,
    /// The measurements of each request that failed.
    pub(super) failed: Vec<Vec<usize>>,
    unnamed: Option<String>,
    remark: Option<Remark>,
}

impl Report {
    /// What the log tells of it: the last trouble. What was set aside is counted elsewhere, and
    /// Librato's words about it may quote the event.
    pub(super) fn trouble(&self) -> Option<String> {
        let later = self.outcomes.iter().rev().find_map(|outcome| match outcome {
            Outcome::Later(trouble) => Some(trouble.detail.clone()),
            Outcome::SetAside(_) | Outcome::Delivered => None,
        });
        let remark = || self.remark.as_ref().map(|remark| remark.words.clone());
        later.or_else(|| self.unnamed.clone()).or_else(remark)
    }

    /// How many points the destination says to have refused of what it took.
    pub(super) fn refused_points(&self) -> u64 {
        self.remark.as_ref().map_or(0, |remark| remark.refused)
    }
}

/// Carries out a delivery.
pub(super) async fn deliver(
    platform: &Platform,
    upstream: Upstream<'_>,
    measurements: &[Measurement],
    lots: &[Lot],
    policy: Policy,
) -> Report {
    let destination = upstream.destination;
    let mut delivery = Delivery::of_lots(destination, measurements, lots, policy);
    let mut begun: Vec<(Option<u64>, Begun)> = Vec::new();
    loop {
        let until = match delivery.next(platform.now()) {
            Step::Send(shipment) => {
                let sent =
                    exchange(platform, &upstream.targets.posts, &shipment.body, shipment.timeout);
                begun.push((Some(shipment.id), sent));
                continue;
            }
            Step::Wait(until) => until,
            Step::Done => break,
        };
        if let Some(until) = until {
            begun.push((None, sleep(platform, until - platform.now())));
        }
        let Some((id, settlement)) = first(&mut begun).await else { break };
        if let Some(id) = id {
            delivery.settle(id, &arrival(destination, settlement), platform.now());
        }
        // A pause is over with whatever comes first.
        begun.retain(|(id, _)| id.is_some());
    }
    let unnamed = (delivery.unnamed() > 0).then(|| {
        let name = destination.names().destination;
        concat(&[name, " refused some of a request without saying which"])
    });
    Report {
        requests: delivery.requests(),
        failed: delivery.failed().to_vec(),
        unnamed,
        remark: delivery.remark().cloned(),
        outcomes: delivery.finish(),
    }
}

/// Sends a request. The time limit covers the answer's body too.
fn exchange(platform: &Platform, target: &Target, body: &[u8], timeout: Millis) -> Begun {
    platform.begun(|ticket| bindings::exchange(ticket, target, body, millis(timeout)))
}

/// What came of a request.
fn arrival(destination: &dyn Destination, exchanged: Settlement) -> Arrival {
    let Settlement { code, bytes, value } = exchanged;
    let status = match code {
        0 => return Arrival::TimedOut,
        1 => return Arrival::Lost,
        status => u16::try_from(status).unwrap_or_default(),
    };
    let reply: Option<bindings::Reply> = value.is_object().then(|| value.unchecked_into());
    let header = |name: &str| bindings::reply_header(reply.as_ref()?, name);
    let names = destination.limit_headers().iter();
    let rate_limits = names.filter_map(|name| header(name).map(|value| (*name, value))).collect();
    Arrival::Answered(Reply {
        status,
        retry_after: header("retry-after"),
        rate_limits,
        body: bytes,
    })
}

/// Asks whether the credentials are good.
pub(super) async fn check(platform: &Platform, upstream: Upstream<'_>) -> Fallible<()> {
    let Upstream { destination, targets } = upstream;
    let exchanged = exchange(platform, &targets.check, &[], CHECK_TIMEOUT).await;
    health::checked(destination, &arrival(destination, exchanged))
}

fn sleep(platform: &Platform, time: Millis) -> Begun {
    platform.begun(|ticket| bindings::sleep(ticket, millis(time)))
}

/// A time as JavaScript takes it.
pub(super) fn millis(time: Millis) -> f64 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX).into()
}

/// analytics.js itself, from the static assets. `None` where they are not deployed.
pub(super) async fn library(platform: &Platform, origin: Origin<'_>) -> Option<JsValue> {
    let assets = platform.env.assets()?;
    let mut headers = Lines::default();
    for (name, value) in origin.headers() {
        headers.push(name, value);
    }
    headers.push("Content-Type", "text/javascript; charset=utf-8");
    headers.push("Cache-Control", "public, max-age=3600");
    let url = "https://assets.invalid/analytics.min.js";
    let found = platform
        .begun(|ticket| bindings::asset(ticket, &assets, url, headers.as_str()))
        .await
        .value;
    found.is_object().then_some(found)
}
