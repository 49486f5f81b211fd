//! Requests to the destination.

use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue, intern};
use worker::js_sys::{Promise, Uint8Array};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{AbortSignal, RequestInit, RequestRedirect, Response};

use super::clock::{now, sleep};
use super::http::{self, headers};
use super::tally;
use crate::Millis;
use crate::delivery::{Arrival, Delivery, Outcome, Partition, Policy, Step};
use crate::destination::{Check, Destination, PartialSuccess, Reply};
use crate::measurement::Measurement;
use crate::segment::answer::Result;
use crate::segment::health;

/// How long the answer to a question about the credentials is waited for.
const CHECK_TIMEOUT: Millis = 5_000;

/// Most bytes of an answer that are read, unpacked: Librato names each of 300 refused measurements in less, and whoever
/// answers more is not understood anyway.
const MAX_REPLY: usize = 65_536;

/// A URL, and how it is asked: made once, as each text that crosses to JavaScript costs.
struct Target {
    url: JsValue,
    init: RequestInit,
}

impl Target {
    fn new(url: &str, method: &str, headers: &JsValue) -> Self {
        let init = RequestInit::new();
        init.set_method(method);
        init.set_headers(headers);
        // Followed, a redirect would turn a POST into a GET of some page that answers 200, and take the credentials to
        // wherever it leads.
        init.set_redirect(RequestRedirect::Manual);
        Self { url: url.into(), init }
    }

    /// Begins a request. What differs from one to the next is read before this returns.
    fn fetch(&self, body: &[u8], signal: &AbortSignal) -> std::result::Result<Promise, JsValue> {
        self.init.set_signal(Some(signal));
        if !body.is_empty() {
            self.init.set_body(&Uint8Array::from(body));
        }
        fetch(&self.url, &self.init)
    }
}

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
        let common = || endpoint.headers.iter().map(|(name, value)| (name.as_str(), value.expose()));
        let post = || {
            let headers = headers(common().chain([("Content-Type", endpoint.content_type)]));
            Target::new(&endpoint.url, "POST", &headers)
        };
        let check = match &endpoint.check {
            Check::Get(url) => Target::new(url, "GET", &headers(common())),
            Check::PostNothing => post(),
        };
        Self { posts: post(), check }
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
    /// How often the destination has answered with which status, but for success.
    pub(super) answers: BTreeMap<u16, u64>,
    /// The measurements of each request that failed.
    pub(super) failed: Vec<Vec<usize>>,
    unnamed: Option<String>,
    partial: Option<PartialSuccess>,
}

impl Report {
    /// Returns what the log tells of it: the last fault. What was set aside is counted elsewhere, and the destination's
    /// own words, which may quote the event, stay out of it.
    pub(super) fn trouble(&self) -> Option<String> {
        let later = self.outcomes.iter().rev().find_map(|outcome| match outcome {
            Outcome::Later(error) => Some(error.detail.clone()),
            Outcome::SetAside(_) | Outcome::Delivered => None,
        });
        let partial = || self.partial.as_ref().map(|partial| partial.summary.clone());
        later.or_else(|| self.unnamed.clone()).or_else(partial)
    }

    /// Returns how many points the destination says to have refused of what it took.
    pub(super) fn refused_points(&self) -> u64 {
        self.partial.as_ref().map_or(0, |partial| partial.rejected_points)
    }
}

/// Carries out a delivery.
pub(super) async fn deliver(
    upstream: Upstream<'_>,
    measurements: &[Measurement],
    partitions: &[Partition],
    policy: Policy,
) -> Report {
    let destination = upstream.destination;
    let mut delivery = Delivery::of_partitions(destination, measurements, partitions, policy);
    let mut in_flight = FuturesUnordered::new();
    loop {
        let until = match delivery.next(now()) {
            Step::Send(shipment) => {
                in_flight.push(async move {
                    let (target, begun) = (&upstream.targets.posts, now());
                    let arrival = exchange(destination, target, &shipment.body, shipment.timeout).await;
                    (shipment.id, arrival, begun)
                });
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
        if let Some((id, arrival, begun)) = arrived {
            let arrived = now();
            tally::with(|tally| {
                if let Some(figures) = tally.figures(arrived) {
                    figures.upstream.record(&arrival, arrived - begun);
                }
            });
            delivery.settle(id, &arrival, arrived);
        }
    }
    drop(in_flight);
    let unnamed = (delivery.unnamed() > 0).then(|| {
        let name = destination.names().destination;
        format!("{name} refused some of a request without saying which")
    });
    let report = Report {
        requests: delivery.requests(),
        answers: delivery.answers().clone(),
        failed: delivery.failed().to_vec(),
        unnamed,
        partial: delivery.partial().cloned(),
        outcomes: delivery.finish(),
    };
    tally::with(|tally| tally.delivered(measurements, &report.outcomes, report.partial.as_ref(), now()));
    report
}

#[wasm_bindgen]
extern "C" {
    /// `catch`, unlike the one of `web_sys`: what it throws would leave the module half-way.
    #[wasm_bindgen(catch)]
    fn fetch(url: &JsValue, init: &RequestInit) -> std::result::Result<Promise, JsValue>;
}

/// Sends a request and reads its answer. The time limit covers the answer's body too.
async fn exchange(destination: &dyn Destination, target: &Target, body: &[u8], timeout: Millis) -> Arrival {
    let signal = AbortSignal::timeout_with_u32(u32::try_from(timeout.max(0)).unwrap_or(u32::MAX));
    match send(destination, target, body, &signal).await {
        Ok(reply) => Arrival::Answered(reply),
        Err(_) if signal.aborted() => Arrival::TimedOut,
        Err(_) => Arrival::Lost,
    }
}

async fn send(
    destination: &dyn Destination,
    target: &Target,
    body: &[u8],
    signal: &AbortSignal,
) -> std::result::Result<Reply, JsValue> {
    let response: Response = JsFuture::from(target.fetch(body, signal)?).await?.dyn_into()?;
    read(destination, &response).await
}

/// Reads an answer, as far as it is looked at.
async fn read(destination: &dyn Destination, response: &Response) -> std::result::Result<Reply, JsValue> {
    let known = response.headers();
    let header = |name: &str| known.get(intern(name)).ok().flatten();
    let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
    let is_packed = || header("content-encoding").is_some();
    let body = match length {
        Some(0) => Vec::new(),
        // One promise, where the length is that of the bytes and not of what they are packed in.
        Some(..=MAX_REPLY) if !is_packed() => http::whole(response.array_buffer()).await?,
        _ => match response.body() {
            Some(stream) => http::beginning(&stream, MAX_REPLY).await?,
            None => Vec::new(),
        },
    };
    let mut reply = Reply { status: response.status(), body, ..Reply::default() };
    // Of what went well nobody asks more.
    if !response.ok() {
        reply.retry_after = header("retry-after");
        let names = destination.limit_headers().iter();
        reply.rate_limits = names.filter_map(|name| header(name).map(|value| (*name, value))).collect();
    }
    Ok(reply)
}

/// Asks whether the credentials are good. The destination's own words are told to the operator alone.
pub(super) async fn check(upstream: Upstream<'_>, is_operator: bool) -> Result<()> {
    let Upstream { destination, targets } = upstream;
    let arrival = exchange(destination, &targets.check, &[], CHECK_TIMEOUT).await;
    health::checked(destination, &arrival, is_operator)?;
    tally::with(|tally| match tally.lately.refusal(now()) {
        Some(words) => Err(health::refusing(destination, words, is_operator)),
        None => Ok(()),
    })
}
