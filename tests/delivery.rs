//! Simulated deliveries to a model of Librato: for any answers in any order, every measurement is delivered, set aside
//! or kept, and counts twice only if an answer was lost.

// Tests may panic; the Worker may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::collections::{BTreeSet, HashMap};

use common::model::{Course, Model, NOW, Weather, Wording, librato, weather, wording};
use librato_edge::Millis;
use librato_edge::delivery::{Arrival, Delivery, OutboundRequest, Outcome, Policy, Reply, RetryReason, Step, WriterId};
use librato_edge::librato::MAX_MEMBERS;
use librato_edge::measurement::{Measurement, Samples};
use librato_edge::otlp::proto::{Data, ExportRequest};
use proptest::prelude::*;
use prost::Message as _;

/// Direct delivery.
fn play(all: &[Measurement], model: &mut Model, weather: &[Weather], order: &[(usize, Millis)]) -> Course {
    common::model::play(all, model, weather, Policy::direct(NOW, NOW, 7), NOW, order)
}

fn measurements(count: usize) -> Vec<Measurement> {
    (0..count)
        .map(|n| Measurement {
            name: format!("m{}", n % 7).into(),
            display_name: format!("m{}", n % 7).into(),
            source: format!("s{n}").into(),
            time: NOW / 1_000 - i64::try_from(n % 100).unwrap(),
            samples: Samples::one(1.0),
        })
        .collect()
}

fn model(bad: &[usize], wording: Wording) -> Model {
    Model {
        bad: bad.iter().map(|n| format!("s{n}")).collect(),
        wording,
        stored: HashMap::new(),
        samples: HashMap::new(),
        lost_after_storing: BTreeSet::new(),
        largest: MAX_MEMBERS,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_librato_answers_nothing_is_lost(
        count in 0_usize..1_500,
        bad in proptest::collection::btree_set(0_usize..1_500, 0..6),
        wording in wording(),
        largest in prop_oneof![Just(MAX_MEMBERS), Just(300), Just(7)],
        weather in proptest::collection::vec(weather(), 0..40),
        order in proptest::collection::vec((0_usize..6, 1_i64..3_500), 0..60),
    ) {
        let all = measurements(count);
        let bad: Vec<_> = bad.into_iter().filter(|n| *n < count).collect();
        let mut model = Model { largest, ..model(&bad, wording) };
        let course = play(&all, &mut model, &weather, &order);
        prop_assert_eq!(course.outcomes.len(), count);
        prop_assert!(course.ended_at <= NOW + 6_000, "{} ms", course.ended_at - NOW);
        for (n, outcome) in course.outcomes.iter().enumerate() {
            let source = format!("s{n}");
            let stored = model.stored.get(&source).copied().unwrap_or(0);
            match outcome {
                Outcome::Delivered => prop_assert!(
                    stored == 1 || model.lost_after_storing.contains(&source),
                    "{source} is delivered and stored {stored} times"
                ),
                Outcome::SetAside(reason) => {
                    prop_assert!(bad.contains(&n), "{source} is set aside: {reason}");
                    prop_assert_eq!(stored, 0);
                }
                Outcome::Later(_) => prop_assert!(
                    stored == 0 || model.lost_after_storing.contains(&source),
                    "{source} is kept although it is stored"
                ),
            }
        }
    }
}

#[test]
fn in_fair_weather_one_request_carries_three_hundred() {
    for (count, requests) in [(0, 0), (1, 1), (300, 1), (301, 2), (2_500, 9)] {
        let course = play(&measurements(count), &mut model(&[], Wording::Vague), &[], &[]);
        assert_eq!(course.requests, requests, "{count}");
        assert!(course.outcomes.iter().all(|outcome| *outcome == Outcome::Delivered));
    }
}

#[test]
fn the_offender_is_found_and_the_rest_delivered() {
    // The most requests: with a name, one refusal, the others, and the search among the suspects; without, the halving.
    for (wording, most) in
        [(Wording::NamesTheField, 3), (Wording::NamesTheCulprit, 15), (Wording::Vague, 19), (Wording::OnlyACode, 19)]
    {
        let mut model = model(&[123], wording);
        let course = play(&measurements(300), &mut model, &[], &[]);
        for (n, outcome) in course.outcomes.iter().enumerate() {
            match outcome {
                Outcome::SetAside(_) => assert_eq!(n, 123),
                outcome => assert_eq!(*outcome, Outcome::Delivered, "{wording:?} {n}"),
            }
        }
        assert!(course.requests <= most, "{wording:?} took {}", course.requests);
    }
}

#[test]
fn a_clash_of_types_sets_all_of_the_metric_aside_at_once() {
    let clash = r#"{"errors":{"params":{"type":["'m3' is a counter, but was submitted as different type"]}}}"#;
    let mut model = model(&[], Wording::Vague);
    let course = play(&measurements(300), &mut model, &[Weather::Answer(400, clash)], &[]);
    assert_eq!(course.requests, 2);
    for (n, outcome) in course.outcomes.iter().enumerate() {
        assert_eq!(matches!(outcome, Outcome::SetAside(_)), n % 7 == 3, "{n}");
    }
}

type Is = Box<dyn Fn(&Outcome) -> bool>;

#[test]
fn every_answer_is_judged_as_the_table_says() {
    let limit = r#"{"error":"You have hit the API limit for measurements [measure:raw_rate]."}"#;
    let later = |reason| move |outcome: &Outcome| matches!(outcome, Outcome::Later(error) if error.reason == reason);
    let delivered = || -> Is { Box::new(|outcome| *outcome == Outcome::Delivered) };
    let set_aside = || -> Is { Box::new(|outcome| matches!(outcome, Outcome::SetAside(_))) };
    let unavailable = || -> Is { Box::new(later(RetryReason::Unavailable)) };
    let rows: Vec<(u16, &'static str, u64, Is)> = vec![
        (200, "", 1, delivered()),
        (201, "{}", 1, delivered()),
        (202, r#"{"measurements":{"summary":{"total":1,"accepted":1}}}"#, 1, delivered()),
        (204, "", 1, delivered()),
        (200, r#"{"errors":[]}"#, 1, delivered()),
        (200, r#"{"errors":{}}"#, 1, delivered()),
        (200, r#"{"errors":null}"#, 1, delivered()),
        (200, "OK", 1, delivered()),
        (200, r#"{"errors":["name is not present"]}"#, 1, set_aside()),
        (400, r#"{"errors":{"params":{"name":["is not present"]}}}"#, 1, set_aside()),
        (400, r#"{"errors":["Payload must include at least 1 measurement"]}"#, 1, set_aside()),
        (400, r#"{"code":400,"message":"Unable to process JSON"}"#, 1, set_aside()),
        // A gateway before Librato fails: https://github.com/heroku/x/pull/13.
        (400, "", 2, unavailable()),
        (400, "<html>Bad Request</html>", 2, unavailable()),
        (400, r#"{"message":"Bad Request"}"#, 2, unavailable()),
        (400, r#"{"errors":[]}"#, 2, unavailable()),
        (408, "", 2, unavailable()),
        (401, "Credentials are required to access this resource.", 2, Box::new(later(RetryReason::Unauthorized))),
        (403, r#"{"errors":{"request":["read only"]}}"#, 2, Box::new(later(RetryReason::Unauthorized))),
        (403, limit, 2, Box::new(later(RetryReason::Throttled))),
        (429, limit, 2, Box::new(later(RetryReason::Throttled))),
        (429, "", 2, Box::new(later(RetryReason::Throttled))),
        (413, "", 1, set_aside()),
        (404, "", 2, Box::new(later(RetryReason::Misdirected))),
        (404, r#"{"errors":{"request":["Not Found"]}}"#, 2, Box::new(later(RetryReason::Misdirected))),
        (405, "<html>", 2, Box::new(later(RetryReason::Misdirected))),
        (402, "", 1, set_aside()),
        (406, "", 1, set_aside()),
        (415, "", 1, set_aside()),
        (422, "", 1, set_aside()),
        (500, "", 2, unavailable()),
        (503, "<html>", 2, unavailable()),
        (301, "", 2, unavailable()),
    ];
    for (status, body, requests, is_expected) in rows {
        let weather = vec![Weather::Answer(status, body); 4];
        let course = play(&measurements(1), &mut model(&[], Wording::Vague), &weather, &[]);
        assert_eq!(course.requests, requests, "{status} {body}");
        let outcome = &course.outcomes[0];
        assert!(is_expected(outcome), "{status} {body} → {outcome:?}");
    }
}

#[test]
fn the_pause_that_librato_asks_for_is_passed_on() {
    for (retry_after, reset, seconds) in [
        (Some("7"), None, Some(7)),
        (Some(" 120 "), Some(5), Some(120)),
        (Some("Mon, 23 Nov 2026 12:01:40 GMT"), None, Some(100)),
        // https://github.com/urllib3/urllib3/issues/2861
        (Some("119.503"), None, Some(120)),
        (Some("soon"), None, None),
        (Some("soon"), Some(30), Some(30)),
        (None, Some(30), Some(30)),
        (None, Some(-30), Some(1)),
        (None, None, None),
    ] {
        let weather = vec![Weather::Limited { status: 429, retry_after, reset }; 4];
        let course = play(&measurements(1), &mut model(&[], Wording::Vague), &weather, &[]);
        let Outcome::Later(trouble) = &course.outcomes[0] else { panic!("{:?}", course.outcomes) };
        assert_eq!(trouble.retry_after, seconds, "{retry_after:?} {reset:?}");
        // Only a short pause leaves time for the second try.
        let waits_here = seconds.is_none_or(|seconds| seconds < 6);
        assert_eq!(course.requests, if waits_here { 2 } else { 1 }, "{retry_after:?} {reset:?}");
    }
}

#[test]
fn after_a_final_failure_nothing_more_is_begun() {
    // The client will send everything again, so that points sent now would count twice.
    let course = play(&measurements(2_500), &mut model(&[], Wording::Vague), &vec![Weather::Answer(503, ""); 100], &[]);
    assert!(course.requests <= 12, "{} requests", course.requests);
    assert!(course.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Later(_))));
}

#[test]
fn the_same_measurements_are_the_same_bytes() {
    let all = measurements(10);
    let batch: Vec<_> = all.iter().collect();
    let encode = || librato().encode(&batch, WriterId::NONE);
    assert_eq!(encode(), encode());
}

/// A backend that takes a series in order and a request whole or not at all, and says no more than 400.
fn search(bad: &[bool], series: usize) -> (Vec<Outcome>, u64) {
    let settings = common::otlp([("OTLP_PROFILE", "gauge")]);
    let to = settings.destination.as_deref().unwrap();
    let begin = NOW / 1_000 - i64::try_from(bad.len()).unwrap();
    let all: Vec<_> = (0..)
        .zip(bad)
        .map(|(n, _)| Measurement {
            name: format!("m{}", n % series).into(),
            display_name: "m".into(),
            source: "s".into(),
            time: begin + i64::try_from(n).unwrap(),
            samples: Samples::one(1.0),
        })
        .collect();
    let mut delivery = Delivery::new(to, &all, Policy::durable(NOW, 7));
    let mut latest: HashMap<String, u64> = HashMap::new();
    let mut under_way = Vec::new();
    loop {
        match delivery.next(NOW) {
            Step::Send(request) => under_way.push(request),
            // The last one first: what is sent at once may arrive in any order.
            Step::Wait(_) => {
                let OutboundRequest { id, body, .. } = under_way.pop().expect("it waits for something");
                let request = ExportRequest::decode(&body[..]).unwrap();
                let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
                let points = metrics.iter().flat_map(|metric| match metric.data.as_ref().unwrap() {
                    Data::Gauge(gauge) => gauge.data_points.iter().map(|point| (&metric.name, point.time_unix_nano)),
                    Data::Sum(_) => panic!("a sum"),
                });
                let points: Vec<_> = points.collect();
                let is_refused = points.iter().any(|(name, time)| {
                    let place = i64::try_from(time / 1_000_000_000).unwrap() - begin;
                    bad[usize::try_from(place).unwrap()] || latest.get(*name).is_some_and(|latest| time < latest)
                });
                if !is_refused {
                    latest.extend(points.into_iter().map(|(name, time)| (name.clone(), time)));
                }
                let status = if is_refused { 400 } else { 200 };
                delivery.settle(id, &Arrival::Answered(Reply { status, ..Reply::default() }), NOW);
            }
            Step::Done => break,
        }
    }
    let requests = delivery.requests();
    (delivery.finish(), requests)
}

fn assert_found(bad: &[bool], series: usize, most: usize) {
    let (outcomes, requests) = search(bad, series);
    let refused: Vec<_> = outcomes.iter().map(|outcome| matches!(outcome, Outcome::SetAside(_))).collect();
    assert_eq!(refused, bad);
    assert!(outcomes.iter().all(|outcome| !matches!(outcome, Outcome::Later(_))));
    assert!(usize::try_from(requests).unwrap() <= most, "{requests} requests, not {most}: {bad:?}");
}

#[test]
fn a_search_takes_no_more_requests_than_it_says() {
    for n in [1_usize, 2, 3, 8, 9, 40, 100] {
        let log = n.next_power_of_two().ilog2() as usize;
        assert_found(&vec![false; n], 3, 1);
        for one in (0..n).step_by(1 + n / 10) {
            let bad: Vec<_> = (0..n).map(|place| place == one).collect();
            assert_found(&bad, 3, log + 4);
        }
        for offenders in (0..=n).step_by(1 + n / 10) {
            let bad: Vec<_> = (0..n).map(|place| place < offenders).collect();
            assert_found(&bad, 1 + offenders % 4, offenders + 3 * log + 3);
        }
        for period in 2..9 {
            let bad: Vec<_> = (0..n).map(|place| place % period == 0).collect();
            assert_found(&bad, 1 + n % 4, 2 * n);
        }
    }
    // Whatever is refused of a few.
    for n in 1..8_usize {
        for pattern in 0..1_u32 << n {
            let bad: Vec<_> = (0..n).map(|place| pattern >> place & 1 == 1).collect();
            assert_found(&bad, 2, 2 * n);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_whatever_is_refused(
        bad in prop_oneof![0.0..1.0_f64, 0.0..0.05_f64].prop_flat_map(|share| {
            proptest::collection::vec(proptest::bool::weighted(share), 1..120)
        }),
        series in 1_usize..20,
    ) {
        assert_found(&bad, series, 2 * bad.len());
    }
}
