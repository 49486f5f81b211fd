//! Requests to others: the destination, and the static assets beside the Worker.

use std::pin::pin;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use wasm_bindgen::{JsCast, JsValue};

use super::bindings::{self, Env, Target};
use super::http::Lines;
use super::now;
use super::task::settled;
use crate::delivery::{Arrival, Delivery, Outcome, Policy, Reply, Shipment, Step};
use crate::ingest;
use crate::librato::Librato;
use crate::measurement::Measurement;
use crate::segment::answer::{Failure, FailureCode};
use crate::segment::cors::Origin;
use crate::{Millis, USER_AGENT};

/// How long the answer to a question about the credentials is waited for.
const CHECK_TIMEOUT: Millis = 5_000;

/// Headers in which Librato tells about its limits.
const RATE_LIMITS: [&str; 2] = ["x-librato-ratelimit-agg", "x-librato-ratelimit-std"];

/// The destination as the platform reaches it.
pub(super) struct Upstream {
    librato: Librato,
    /// Where measurements are posted.
    posts: Target,
    /// Where it can be asked whether the credentials are good.
    check: Target,
}

impl Upstream {
    pub(super) fn of(librato: Librato) -> Self {
        let mut headers = Lines::default();
        headers.push("Authorization", &librato.authorization);
        headers.push("User-Agent", USER_AGENT);
        let check = bindings::target(&librato.check_url, "GET", headers.as_str());
        headers.push("Content-Type", "application/json");
        let posts = bindings::target(&librato.url, "POST", headers.as_str());
        Self { librato, posts, check }
    }
}

/// What came of a delivery.
pub(super) struct Report {
    /// In the order of the measurements.
    pub(super) outcomes: Vec<Outcome>,
    /// How many requests it took.
    pub(super) requests: u64,
    unnamed: u64,
}

impl Report {
    /// What the log tells of it: the last trouble. What was set aside is counted elsewhere, and
    /// Librato's words about it may quote the event.
    pub(super) fn trouble(&self) -> Option<String> {
        let later = self.outcomes.iter().rev().find_map(|outcome| match outcome {
            Outcome::Later(trouble) => Some(trouble.detail.clone()),
            Outcome::SetAside(_) | Outcome::Delivered => None,
        });
        let unnamed = || "Librato refused some of a request without saying which".to_owned();
        later.or_else(|| (self.unnamed > 0).then(unnamed))
    }
}

/// Carries out a delivery.
pub(super) async fn deliver(
    upstream: &Upstream,
    measurements: &[Measurement],
    policy: Policy,
) -> Report {
    let mut delivery = Delivery::new(&upstream.librato, measurements, policy);
    let mut in_flight = FuturesUnordered::new();
    loop {
        let until = match delivery.next(now()) {
            Step::Send(shipment) => {
                in_flight.push(post(upstream, shipment));
                continue;
            }
            Step::Wait(until) => until,
            Step::Done => break,
        };
        let arrived = match until {
            Some(until) if in_flight.is_empty() => {
                sleep(until - now()).await;
                None
            }
            Some(until) => match select(in_flight.next(), pin!(sleep(until - now()))).await {
                Either::Left((arrived, _)) => arrived,
                Either::Right(_) => None,
            },
            None => match in_flight.next().await {
                Some(arrived) => Some(arrived),
                None => break,
            },
        };
        if let Some((id, arrival)) = arrived {
            delivery.settle(id, &arrival, now());
        }
    }
    drop(in_flight);
    let (requests, unnamed) = (delivery.requests(), delivery.unnamed());
    Report { outcomes: delivery.finish(), requests, unnamed }
}

async fn post(upstream: &Upstream, shipment: Shipment) -> (u64, Arrival) {
    (shipment.id, exchange(&upstream.posts, &shipment.body, shipment.timeout).await)
}

/// Sends a request and reads its answer. The time limit covers the answer's body too.
async fn exchange(target: &Target, body: &[u8], timeout: Millis) -> Arrival {
    let reply = settled(&bindings::exchange(target, body, millis(timeout))).await;
    if reply.is_undefined() {
        return Arrival::TimedOut;
    }
    if reply.is_null() {
        return Arrival::Lost;
    }
    let reply: bindings::Reply = reply.unchecked_into();
    let status = reply.status();
    // What went well is asked for nothing more.
    let header = |name: &str| match status {
        200..=299 => None,
        _ => bindings::reply_header(&reply, name),
    };
    Arrival::Answered(Reply {
        status,
        retry_after: header("retry-after"),
        rate_limits: RATE_LIMITS
            .iter()
            .filter_map(|name| header(name).map(|value| (*name, value)))
            .collect(),
        body: bindings::bytes(&reply.body()).unwrap_or_default(),
    })
}

/// Asks whether the credentials are good.
pub(super) async fn check(upstream: &Upstream) -> Result<(), Failure> {
    match exchange(&upstream.check, &[], CHECK_TIMEOUT).await {
        Arrival::Answered(Reply { status: 200..=299, .. }) => Ok(()),
        Arrival::Answered(Reply { status: 401 | 403, .. }) => Err(ingest::bad_credentials()),
        Arrival::Answered(Reply { status, .. }) => Err(Failure::new(
            FailureCode::UpstreamUnavailable,
            format!("LIBRATO_URL: expected an answer of 200, found {status}"),
        )),
        Arrival::TimedOut | Arrival::Lost => Err(Failure::new(
            FailureCode::UpstreamUnavailable,
            "LIBRATO_URL: expected an answer, found none",
        )),
    }
}

pub(super) async fn sleep(time: Millis) {
    settled(&bindings::sleep(millis(time))).await;
}

/// A time as JavaScript takes it.
fn millis(time: Millis) -> f64 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX).into()
}

/// analytics.js itself, from the static assets. `None` where they are not deployed.
pub(super) async fn library(env: &Env, origin: Origin<'_>) -> Option<JsValue> {
    let assets = env.assets()?;
    let mut headers = Lines::default();
    for (name, value) in origin.headers() {
        headers.push(name, value);
    }
    headers.push("Content-Type", "text/javascript; charset=utf-8");
    headers.push("Cache-Control", "public, max-age=3600");
    let url = "https://assets.invalid/analytics.min.js";
    let found = settled(&bindings::asset(&assets, url, headers.as_str())).await;
    found.is_object().then_some(found)
}
