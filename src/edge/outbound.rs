//! Requests to others: the destination, and the static assets beside the Worker.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use worker::wasm_bindgen::JsValue;
use worker::{
    AbortController, Delay, Env, Fetch, Headers, Method, Request, RequestInit, RequestRedirect,
    Response, Result, js_sys,
};

use super::now;
use crate::Millis;
use crate::delivery::{Arrival, Delivery, Lot, Outcome, Policy, Shipment, Step};
use crate::destination::{Check, Destination, Remark, Reply};
use crate::measurement::Measurement;
use crate::segment::answer::Failure;
use crate::segment::cors::Origin;
use crate::segment::health;

/// How long the answer to a question about the credentials is waited for.
const CHECK_TIMEOUT: Millis = 5_000;

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
    destination: &dyn Destination,
    measurements: &[Measurement],
    lots: &[Lot],
    policy: Policy,
) -> Report {
    let mut delivery = Delivery::of_lots(destination, measurements, lots, policy);
    let mut in_flight = FuturesUnordered::new();
    loop {
        let until = match delivery.next(now()) {
            Step::Send(shipment) => {
                in_flight.push(post(destination, shipment));
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
    let unnamed = (delivery.unnamed() > 0).then(|| {
        let name = destination.names().destination;
        format!("{name} refused some of a request without saying which")
    });
    Report {
        requests: delivery.requests(),
        failed: delivery.failed().to_vec(),
        unnamed,
        remark: delivery.remark().cloned(),
        outcomes: delivery.finish(),
    }
}

async fn post(destination: &dyn Destination, shipment: Shipment) -> (u64, Arrival) {
    let request = request(destination, &destination.endpoint().url, Some(&shipment.body));
    (shipment.id, exchange(destination, request, shipment.timeout).await)
}

/// Sends a request and reads its answer. The time limit covers the answer's body too.
async fn exchange(
    destination: &dyn Destination,
    request: Result<Request>,
    timeout: Millis,
) -> Arrival {
    let controller = AbortController::default();
    let signal = controller.signal();
    let limits = destination.limit_headers();
    let answered =
        async { read(Fetch::Request(request?).send_with_signal(&signal).await?, limits).await };
    match select(pin!(answered), pin!(sleep(timeout))).await {
        Either::Left((Ok(reply), _)) => Arrival::Answered(reply),
        Either::Left((Err(_), _)) => Arrival::Lost,
        Either::Right(_) => {
            controller.abort();
            Arrival::TimedOut
        }
    }
}

/// A request to a destination: a POST of a body, or a GET without one.
fn request(destination: &dyn Destination, url: &str, body: Option<&[u8]>) -> Result<Request> {
    let headers = Headers::new();
    for (name, value) in &destination.endpoint().headers {
        headers.set(name, value.expose())?;
    }
    let mut init = RequestInit::new();
    // Followed, a redirect would turn a POST into a GET of some page that answers 200.
    init.with_redirect(RequestRedirect::Manual);
    if let Some(body) = body {
        headers.set("Content-Type", destination.endpoint().content_type)?;
        init.with_method(Method::Post)
            .with_body(Some(JsValue::from(js_sys::Uint8Array::from(body))));
    }
    init.with_headers(headers);
    Request::new_with_init(url, &init)
}

/// Asks whether the credentials are good.
pub(super) async fn check(destination: &dyn Destination) -> std::result::Result<(), Failure> {
    let endpoint = destination.endpoint();
    let request = match &endpoint.check {
        Check::Get(url) => request(destination, url, None),
        Check::PostNothing => request(destination, &endpoint.url, Some(&[])),
    };
    health::checked(destination, &exchange(destination, request, CHECK_TIMEOUT).await)
}

async fn read(mut response: Response, limits: &[&'static str]) -> Result<Reply> {
    let header = |name: &str| response.headers().get(name).ok().flatten();
    let (status, retry_after) = (response.status_code(), header("retry-after"));
    let rate_limits =
        limits.iter().filter_map(|name| header(name).map(|value| (*name, value))).collect();
    let body = response.bytes().await?;
    Ok(Reply { status, retry_after, rate_limits, body })
}

pub(super) async fn sleep(millis: Millis) {
    Delay::from(Duration::from_millis(u64::try_from(millis).unwrap_or_default())).await;
}

/// analytics.js itself, from the static assets. `None` where they are not deployed.
pub(super) async fn library(env: &Env, origin: Origin<'_>) -> Option<Response> {
    let assets = env.assets("ASSETS").ok()?;
    let found = assets.fetch("https://assets.invalid/analytics.min.js", None).await.ok()?;
    if found.status_code() != 200 {
        return None;
    }
    let (_, body) = found.into_parts();
    let headers = Headers::new();
    for (name, value) in origin.headers() {
        headers.set(name, value).ok()?;
    }
    headers.set("Content-Type", "text/javascript; charset=utf-8").ok()?;
    headers.set("Cache-Control", "public, max-age=3600").ok()?;
    Some(Response::builder().with_headers(headers).body(body))
}
