//! A model of Librato that counts what it stores, and a simulation of deliveries to it.
#![allow(dead_code)]

use std::collections::{BTreeSet, HashMap};

use librato_edge::Millis;
use librato_edge::delivery::{
    Arrival, Delivery, Destination, MAX_IN_FLIGHT, OutboundRequest, Outcome, Policy, Reply, Step,
};
use librato_edge::librato::MAX_MEMBERS;
use librato_edge::measurement::Measurement;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::settings;

/// The time of the tests.
pub(crate) const NOW: Millis = 1_795_435_200_000;

#[track_caller]
pub(crate) fn librato() -> Box<dyn Destination> {
    settings([]).destination.unwrap()
}

/// Outcome of one request.
#[derive(Debug, Clone)]
pub(crate) enum Weather {
    /// Librato validates it.
    Fair,
    Answer(u16, &'static str),
    Limited {
        status: u16,
        retry_after: Option<&'static str>,
        reset: Option<i64>,
    },
    TimedOut,
    Lost,
    /// It is stored, and the answer is lost.
    StoredAndLost,
}

/// Wording of a refusal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wording {
    NamesTheCulprit,
    NamesTheField,
    Vague,
    /// As of a body that is not JSON.
    OnlyACode,
}

/// A Librato that counts what it stores, and refuses a request with a bad source as a whole.
pub(crate) struct Model {
    pub(crate) bad: BTreeSet<String>,
    pub(crate) wording: Wording,
    /// How often each source was stored.
    pub(crate) stored: HashMap<String, u32>,
    /// How many samples each source has.
    pub(crate) samples: HashMap<String, u64>,
    pub(crate) lost_after_storing: BTreeSet<String>,
    pub(crate) largest: usize,
}

impl Model {
    #[track_caller]
    pub(crate) fn post(&mut self, body: &[u8], weather: &Weather) -> Arrival {
        let body: Value = serde_json::from_slice(body).unwrap();
        let gauges = body["gauges"].as_array().unwrap();
        assert!(!gauges.is_empty(), "an empty request");
        assert!(gauges.len() <= MAX_MEMBERS);
        let sources: Vec<_> = gauges.iter().map(|gauge| gauge["source"].as_str().unwrap().to_owned()).collect();
        let answered = |status, body: Vec<u8>| Arrival::Answered(Reply { status, body, ..Reply::default() });
        match weather {
            Weather::TimedOut => return Arrival::TimedOut,
            Weather::Lost => return Arrival::Lost,
            Weather::Answer(status, text) => return answered(*status, text.as_bytes().to_vec()),
            Weather::Limited { status, retry_after, reset } => {
                return Arrival::Answered(Reply {
                    status: *status,
                    retry_after: retry_after.map(str::to_owned),
                    rate_limits: reset
                        .iter()
                        .map(|reset| {
                            let at = NOW / 1_000 + reset;
                            ("x-librato-ratelimit-agg", format!("limit=9,remaining=0,reset={at}"))
                        })
                        .collect(),
                    body: br#"{"error":"You have hit the API limit for measurements"}"#.to_vec(),
                });
            }
            Weather::Fair | Weather::StoredAndLost => {}
        }
        if gauges.len() > self.largest {
            return answered(413, Vec::new());
        }
        if let Some(bad) = sources.iter().find(|source| self.bad.contains(*source)) {
            let body = match self.wording {
                Wording::NamesTheCulprit => {
                    let culprit = gauges.iter().find(|gauge| gauge["source"] == json!(bad));
                    json!({"errors": {"params": {"value": ["is wrong"], "name": culprit.unwrap()["name"]}}})
                }
                Wording::NamesTheField => {
                    json!({"errors": {"params": {"source": [format!("{bad} is not a valid source name")]}}})
                }
                Wording::Vague => json!({"errors": {"request": ["something is wrong"]}}),
                Wording::OnlyACode => json!({"code": 400, "message": "Unable to process JSON"}),
            };
            return answered(400, body.to_string().into_bytes());
        }
        for (source, gauge) in sources.iter().zip(gauges) {
            *self.stored.entry(source.clone()).or_default() += 1;
            let count = gauge["count"].as_u64().unwrap_or(1);
            *self.samples.entry(source.clone()).or_default() += count;
        }
        if matches!(weather, Weather::StoredAndLost) {
            self.lost_after_storing.extend(sources);
            return Arrival::Lost;
        }
        answered(200, Vec::new())
    }
}

pub(crate) struct Course {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) requests: u64,
    pub(crate) ended_at: Millis,
}

/// Simulates a delivery. `order` picks which of the open requests is answered next, and after how long.
#[track_caller]
pub(crate) fn play(
    all: &[Measurement],
    model: &mut Model,
    weather: &[Weather],
    policy: Policy,
    begin: Millis,
    order: &[(usize, Millis)],
) -> Course {
    let librato = librato();
    let mut delivery = Delivery::new(&*librato, all, policy);
    let mut now = begin;
    let mut under_way: Vec<(OutboundRequest, Millis)> = Vec::new();
    let mut weather = weather.iter().chain(std::iter::repeat(&Weather::Fair));
    let mut order = order.iter().chain(std::iter::repeat(&(0, 10)));
    loop {
        match delivery.next(now) {
            Step::Send(shipment) => {
                assert!(shipment.timeout <= policy.timeout && shipment.timeout > 0);
                under_way.push((shipment, now));
                assert!(under_way.len() <= MAX_IN_FLIGHT);
            }
            Step::Wait(until) => {
                if under_way.is_empty() {
                    now = until.expect("it waits for something").max(now);
                    continue;
                }
                let &(pick, took) = order.next().unwrap();
                let (shipment, sent) = under_way.swap_remove(pick % under_way.len());
                let arrival = match weather.next().unwrap() {
                    // A time-out takes its full time.
                    Weather::TimedOut => {
                        now = now.max(sent + shipment.timeout);
                        Arrival::TimedOut
                    }
                    weather => {
                        now = now.max(sent + took.min(shipment.timeout));
                        model.post(&shipment.body, weather)
                    }
                };
                delivery.settle(shipment.id, &arrival, now);
            }
            Step::Done => break,
        }
        assert!(delivery.requests() < 5_000, "it does not end");
    }
    assert!(under_way.is_empty());
    let requests = delivery.requests();
    Course { outcomes: delivery.finish(), requests, ended_at: now }
}

pub(crate) fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        6 => Just(Weather::Fair),
        1 => prop_oneof![Just(500_u16), Just(502), Just(503), Just(504), Just(301), Just(401), Just(408)]
            .prop_map(|status| Weather::Answer(status, "Credentials are required to access this resource.")),
        1 => Just(Weather::Answer(403, r#"{"errors":{"request":["Please use secured connection through https!"]}}"#)),
        1 => prop_oneof![Just("<html>Bad Request</html>"), Just(""), Just(r#"{"message":"Bad Request"}"#)]
            .prop_map(|body| Weather::Answer(400, body)),
        1 => (prop_oneof![Just(404_u16), Just(405)], Just("<html>Not Found</html>"))
            .prop_map(|(status, body)| Weather::Answer(status, body)),
        1 => (prop_oneof![Just(403_u16), Just(429)], prop_oneof![Just(None), Just(Some("1")), Just(Some("90"))], proptest::option::of(-5_i64..400))
            .prop_map(|(status, retry_after, reset)| Weather::Limited { status, retry_after, reset }),
        1 => Just(Weather::TimedOut),
        1 => Just(Weather::Lost),
        1 => Just(Weather::StoredAndLost),
    ]
}

pub(crate) fn wording() -> impl Strategy<Value = Wording> {
    prop_oneof![
        Just(Wording::NamesTheCulprit),
        Just(Wording::NamesTheField),
        Just(Wording::Vague),
        Just(Wording::OnlyACode),
    ]
}
