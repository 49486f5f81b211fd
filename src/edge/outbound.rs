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
use crate::delivery::{Arrival, Delivery, Outcome, Policy, Reply, Shipment, Step};
use crate::librato::Librato;
use crate::measurement::Measurement;
use crate::segment::cors::Origin;
use crate::{Millis, USER_AGENT};

/// Headers in which Librato tells about its limits.
const RATE_LIMITS: [&str; 2] = ["x-librato-ratelimit-agg", "x-librato-ratelimit-std"];

/// Carries out a delivery. Tells the outcomes and how many requests it took.
pub(super) async fn deliver(
    librato: &Librato,
    measurements: &[Measurement],
    policy: Policy,
) -> (Vec<Outcome>, u64) {
    let mut delivery = Delivery::new(librato, measurements, policy);
    let mut in_flight = FuturesUnordered::new();
    loop {
        let until = match delivery.next(now()) {
            Step::Send(shipment) => {
                in_flight.push(post(librato, shipment));
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
    let requests = delivery.requests();
    drop(in_flight);
    (delivery.finish(), requests)
}

/// Posts one request. The time limit covers the answer's body too.
async fn post(librato: &Librato, shipment: Shipment) -> (u64, Arrival) {
    let controller = AbortController::default();
    let signal = controller.signal();
    let exchange = async {
        let request = request(librato, &shipment.body)?;
        let response = Fetch::Request(request).send_with_signal(&signal).await?;
        read(response).await
    };
    let arrival = match select(pin!(exchange), pin!(sleep(shipment.timeout))).await {
        Either::Left((Ok(reply), _)) => Arrival::Answered(reply),
        Either::Left((Err(_), _)) => Arrival::Lost,
        Either::Right(_) => {
            controller.abort();
            Arrival::TimedOut
        }
    };
    (shipment.id, arrival)
}

fn request(librato: &Librato, body: &[u8]) -> Result<Request> {
    let headers = Headers::new();
    headers.set("Authorization", &librato.authorization)?;
    headers.set("Content-Type", "application/json")?;
    headers.set("User-Agent", USER_AGENT)?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        // Followed, a redirect would turn the POST into a GET of some page that answers 200.
        .with_redirect(RequestRedirect::Manual)
        .with_body(Some(JsValue::from(js_sys::Uint8Array::from(body))));
    Request::new_with_init(&librato.url, &init)
}

async fn read(mut response: Response) -> Result<Reply> {
    let header = |name: &str| response.headers().get(name).ok().flatten();
    let (status, retry_after) = (response.status_code(), header("retry-after"));
    let rate_limits =
        RATE_LIMITS.iter().filter_map(|name| header(name).map(|value| (*name, value))).collect();
    let body = response.bytes().await?;
    Ok(Reply { status, retry_after, rate_limits, body })
}

async fn sleep(millis: Millis) {
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
