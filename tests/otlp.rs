//! OTLP as a destination: what measurements become on the wire, what its answers mean, and that each series has one
//! writer at a second.

// A test may fail by a panic; the Worker may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::model::NOW;
use common::{moment, otlp};
use librato_edge::delivery::{
    Arrival, Delivery, Destination, Judgement, Outcome, PartialSuccess, Partition, PermanentRejection, Policy, Reply,
    RetryReason, Step, WriterId,
};
use librato_edge::durable::consume::{Consumption, Decision};
use librato_edge::durable::dead_letter::DeadLetter;
use librato_edge::durable::once::{Answer, Ledger, MAX_EVENTS, Question, Record, WriterRequest};
use librato_edge::durable::parcel::{MAX_BYTES, Parcel};
use librato_edge::durable::replay::Replay;
use librato_edge::measurement::{Measurement, Samples};
use librato_edge::otlp::proto::{
    self, DELTA, Data, ExportRequest, ExportResponse, Gauge, KeyValue, Metric, NumberDataPoint, Resource,
    ResourceMetrics, Scope, ScopeMetrics, Status, Sum,
};
use librato_edge::otlp::{LIMITS, WINDOW};
use librato_edge::segment::health;
use librato_edge::settings::Settings;
use proptest::prelude::*;
use prost::Message;

const TOKEN: &str = "hunter2-and-more";

fn measurement(name: &str, source: &str, second: i64, values: &[f64]) -> Measurement {
    let samples = values[1..]
        .iter()
        .fold(Samples::one(values[0]), |all, value| all.merged(Samples::one(*value)).expect("in range"));
    Measurement { name: name.into(), display_name: name.into(), source: source.into(), time: second, samples }
}

fn destination(settings: &Settings) -> &dyn Destination {
    settings.destination.as_deref().expect("complete settings")
}

/// One point with all that identifies it, as flat as a store keeps it.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    metric: String,
    unit: String,
    /// Temporality and monotonicity; `None` for a gauge.
    sum: Option<(i32, bool)>,
    attributes: Vec<(String, String)>,
    start: u64,
    time: u64,
    value: f64,
}

fn read(body: &[u8]) -> (BTreeMap<String, String>, Vec<Point>) {
    let request = ExportRequest::decode(body).expect("protobuf");
    let [resource] = &request.resource_metrics[..] else { panic!("one resource") };
    let text = |attribute: &KeyValue| {
        let value = attribute.value.as_ref().and_then(|value| value.string_value.clone());
        (attribute.key.clone(), value.expect("a string"))
    };
    let [scope] = &resource.scope_metrics[..] else { panic!("one scope") };
    assert_eq!(scope.scope.as_ref().expect("a scope").name, "librato-edge");
    let points = scope.metrics.iter().flat_map(|metric| {
        let (sum, points) = match metric.data.as_ref().expect("data") {
            Data::Gauge(gauge) => (None, &gauge.data_points),
            Data::Sum(sum) => (Some((sum.aggregation_temporality, sum.is_monotonic)), &sum.data_points),
        };
        points.iter().map(move |point: &NumberDataPoint| Point {
            metric: metric.name.clone(),
            unit: metric.unit.clone(),
            sum,
            attributes: point.attributes.iter().map(text).collect(),
            start: point.start_time_unix_nano,
            time: point.time_unix_nano,
            value: point.as_double.expect("a value"),
        })
    });
    let resource = resource.resource.as_ref().expect("a resource");
    (resource.attributes.iter().map(text).collect(), points.collect())
}

#[test]
fn a_measurement_is_its_sum_and_its_count_in_each_profile() {
    let one = measurement("Order-Completed", "web", 1_000, &[2.5, -4.0, 0.25]);
    for (profile, value, count) in [
        ("delta", Some((DELTA, false)), Some((DELTA, true))),
        ("monotonic", Some((DELTA, true)), Some((DELTA, true))),
        ("gauge", None, None),
    ] {
        let settings = otlp([("OTLP_PROFILE", profile), ("ROLLUP_SECONDS", "10")]);
        let body = destination(&settings).encode(&[&one], WriterId::Assigned(7));
        let (resource, points) = read(&body);
        let attributes = vec![("source".to_owned(), "web".to_owned())];
        let point = |metric: &str, unit: &str, sum, value| Point {
            metric: metric.into(),
            unit: unit.into(),
            sum,
            attributes: attributes.clone(),
            start: 990_000_000_000,
            time: 1_000_000_000_000,
            value,
        };
        assert_eq!(
            points,
            [point("Order-Completed", "", value, -1.25), point("Order-Completed.count", "{event}", count, 3.0),],
            "{profile}"
        );
        assert_eq!(resource["service.name"], "librato-edge");
        assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(resource["service.instance.id"], "7");
    }
}

#[test]
fn solarwinds_is_told_a_unit_and_no_source_is_no_attribute() {
    let url = "https://otel.collector.na-01.cloud.solarwinds.com/v1/metrics";
    let settings = otlp([("OTLP_URL", url)]);
    let one = measurement("a", "", 1_000, &[0.0]);
    let (_, points) = read(&destination(&settings).encode(&[&one], WriterId::Random(3)));
    assert_eq!((points[0].unit.as_str(), points[0].value), ("{value}", 0.0), "a zero is written");
    assert_eq!(points[1].unit, "{event}");
    assert!(points.iter().all(|point| point.attributes.is_empty()));
}

#[test]
// It is one table.
#[allow(clippy::too_many_lines)]
fn every_answer_is_judged_as_the_table_says() {
    let settings = otlp([("OTLP_HEADERS", format!("Authorization=Bearer%20{TOKEN},x=1").as_str())]);
    let destination = destination(&settings);
    let one = measurement("a", "b", NOW / 1_000, &[1.0]);
    let judge = |status, retry_after: Option<&str>, body: Vec<u8>| {
        let retry_after = retry_after.map(str::to_owned);
        let reply = Reply { status, retry_after, body, ..Reply::default() };
        destination.judge(&reply, &[&one], NOW)
    };
    let partial = |rejected_data_points, message: &str| {
        let error_message = message.to_owned();
        let partial_success = Some(proto::PartialSuccess { rejected_data_points, error_message });
        ExportResponse { partial_success }.encode_to_vec()
    };

    let json = |text: &str| text.as_bytes().to_vec();
    for body in [
        Vec::new(),
        partial(0, ""),
        ExportResponse::default().encode_to_vec(),
        json("{}"),
        json(r#"{"partialSuccess":{}}"#),
    ] {
        assert_eq!(judge(200, None, body.clone()), Judgement::Delivered, "{body:?}");
    }
    let refused = "the OTLP endpoint refused some points";
    let other = "the OTLP endpoint answered with something else than OTLP";
    for (body, rejected_points, summary, message) in [
        (partial(3, "too late"), 3, refused, "too late"),
        (partial(0, "slow down"), 0, "the OTLP endpoint warns", "slow down"),
        (partial(1, &format!("x {TOKEN} y")), 1, refused, "x … y"),
        (json(r#" {"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"no"}}"#), 2, refused, "no"),
        (json(r#"{"partialSuccess":{"rejectedDataPoints":2}}"#), 2, refused, ""),
        (json("{"), 0, other, ""),
        (json("OK"), 0, other, ""),
        (json("<html>Sign in</html>"), 0, other, ""),
        (partial(-1, "below nothing"), 0, "the OTLP endpoint warns", "below nothing"),
        (
            json(r#"{"partialSuccess":{"rejectedDataPoints":"-2","errorMessage":"no"}}"#),
            0,
            "the OTLP endpoint warns",
            "no",
        ),
    ] {
        // Any success is one.
        for status in [200, 202, 204, 299] {
            let expected = Judgement::Partial(PartialSuccess {
                rejected_points,
                summary: summary.to_owned(),
                message: message.to_owned(),
            });
            assert_eq!(judge(status, None, body.clone()), expected);
        }
    }

    for (status, reason, asked_for, expected) in [
        (408, RetryReason::Unavailable, Some("7"), Some(7)),
        (429, RetryReason::Throttled, Some("7"), Some(7)),
        (500, RetryReason::Unavailable, None, None),
        (501, RetryReason::Unavailable, None, None),
        (502, RetryReason::Unavailable, None, None),
        (503, RetryReason::Unavailable, Some("Mon, 23 Nov 2026 12:01:40 GMT"), Some(100)),
        (503, RetryReason::Unavailable, Some("Mon, 23 Nov 2020 12:01:40 GMT"), Some(1)),
        // https://github.com/getsentry/sentry/issues/7919
        (429, RetryReason::Throttled, Some("292.052427053"), Some(293)),
        (429, RetryReason::Throttled, Some("2.0"), Some(2)),
        (429, RetryReason::Throttled, Some("0.129"), Some(1)),
        (429, RetryReason::Throttled, Some("-1.5"), None),
        (429, RetryReason::Throttled, Some("1e3"), None),
        (429, RetryReason::Throttled, Some("4294967296.5"), None),
        (429, RetryReason::Throttled, Some("4294967295.5"), Some(u32::MAX)),
        (429, RetryReason::Throttled, Some(""), None),
        (504, RetryReason::Unavailable, Some("soon"), None),
        (599, RetryReason::Unavailable, None, None),
        (301, RetryReason::Unavailable, None, None),
        (401, RetryReason::Unauthorized, Some("7"), None),
        (403, RetryReason::Unauthorized, None, None),
        (404, RetryReason::Misdirected, Some("7"), None),
        (405, RetryReason::Misdirected, None, None),
    ] {
        let judgement = judge(status, asked_for, json(TOKEN));
        let Judgement::Later(error) = judgement else { panic!("{status}: {judgement:?}") };
        assert_eq!((error.reason, error.retry_after), (reason, expected), "{status}");
        assert_eq!(error.detail, format!("the OTLP endpoint answered {status}"));
    }

    assert_eq!(judge(413, None, Vec::new()), Judgement::TooLarge);

    let status = Status { message: format!("bad point of {TOKEN}") }.encode_to_vec();
    let with_code = [b"\x08\x03", &status[..]].concat();
    for (status, body, words) in [
        (400, status, ": bad point of …"),
        (400, with_code, ": bad point of …"),
        (400, json(&format!(r#"{{"code":3,"message":"bad Bearer {TOKEN}"}}"#)), ": bad …"),
        (400, json(r#"{"error":"bad"}"#), ": bad"),
        (400, Vec::new(), ""),
        (402, Vec::new(), ""),
        (414, json(" no\nsuch page\n"), ": nosuch page"),
        (415, json(r#"["x"]"#), r#": ["x"]"#),
        (422, vec![0x12, 0xff], ": \u{fffd}"),
        (422, vec![0x12, 0x01, 0xff], ": \u{fffd}"),
    ] {
        let reason = format!("the OTLP endpoint answered {status}{words}");
        let expected = match status {
            // Halved, until the offender is alone.
            400 => Judgement::Refused(PermanentRejection { reason, suspects: Vec::new(), is_certain: false }),
            _ => Judgement::Rejected(reason),
        };
        assert_eq!(judge(status, None, body), expected, "{status}");
    }
    // A gateway's page is none of the API's words.
    let judgement = judge(400, None, json(" <html>Bad Request</html>"));
    assert!(matches!(judgement, Judgement::Later(_)), "{judgement:?}");
}

#[test]
fn what_stands_in_basic_is_not_told_either() {
    // `printf 123456:glc_hunter2 | base64`
    let settings = otlp([("OTLP_HEADERS", "Authorization=Basic%20MTIzNDU2OmdsY19odW50ZXIy")]);
    for (said, told) in [
        ("invalid token glc_hunter2", "invalid token …"),
        ("no user 123456:glc_hunter2", "no user …"),
        ("bad Basic MTIzNDU2OmdsY19odW50ZXIy", "bad …"),
        ("bad MTIzNDU2OmdsY19odW50ZXIy", "bad …"),
        ("no tenant 123456", "no tenant 123456"),
    ] {
        let reply = Reply { status: 401, body: said.into(), ..Reply::default() };
        assert_eq!(destination(&settings).words(&reply), told);
    }
}

#[test]
fn health_asks_with_an_empty_request() {
    let settings = otlp([]);
    let destination = destination(&settings);
    let checked = |arrival| health::checked(destination, &arrival, true).map_err(|f| f.message);
    let answered = |status| Arrival::Answered(Reply { status, ..Reply::default() });
    for status in [200, 202, 400] {
        assert_eq!(checked(answered(status)), Ok(()));
    }
    let page = Reply { status: 200, body: b"<!doctype html>".to_vec(), ..Reply::default() };
    for (arrival, message) in [
        (
            Arrival::Answered(page),
            "OTLP_URL: expected a URL at which the OTLP endpoint takes measurements, found none there",
        ),
        (answered(401), "OTLP_HEADERS: expected credentials that the OTLP endpoint accepts"),
        (answered(403), "OTLP_HEADERS: expected credentials that the OTLP endpoint accepts"),
        (answered(404), "OTLP_URL: expected an answer of 200, found 404"),
        (answered(302), "OTLP_URL: expected an answer of 200, found 302"),
        (Arrival::Lost, "OTLP_URL: expected an answer, found none"),
    ] {
        assert_eq!(checked(arrival), Err(message.into()));
    }
}

#[test]
fn an_event_may_be_an_hour_old() {
    let settings = otlp([]);
    let at = |seconds: i64| {
        let timestamp = librato_edge::time::iso8601(NOW - seconds * 1_000);
        let body = format!(r#"{{"event":"e","userId":"u","properties":{{"value":1}},"timestamp":"{timestamp}"}}"#);
        assert_eq!(moment(&timestamp), NOW - seconds * 1_000);
        common::post(&settings, "/v1/t", &body, NOW, |_| None).expect("JSON").answer().text().to_owned()
    };
    assert_eq!(at(3_600), r#"{"success":true}"#);
    assert_eq!(at(-600), r#"{"success":true}"#);
    assert!(at(3_601).contains(
        "timestamp: expected a time between 3600 s before and 600 s after its receipt, \
         found one 3601 s before"
    ));
    assert!(at(-601).contains("timestamp_out_of_range"));
}

fn measurements() -> impl Strategy<Value = Vec<Measurement>> {
    let one = (
        "[A-Za-z0-9._-]{1,255}|[ab]",
        "[A-Za-z0-9._-]{0,255}|[ab]",
        0_i64..3_600,
        proptest::collection::vec(-1e100_f64..1e100, 1..4),
    );
    proptest::collection::vec(
        one.prop_map(|(name, source, age, values)| measurement(&name, &source, NOW / 1_000 - age, &values)),
        1..80,
    )
}

/// Measurements that share names and points, with whatever numbers a request can be asked to hold.
fn any_measurements() -> impl Strategy<Value = Vec<Measurement>> {
    let value = prop_oneof![Just(0.0), Just(-0.0), -9.0..9.0, -1e300..1e300];
    let one = (
        "[ab]|[a-z]{1,255}|\\PC{1,40}",
        "|[ab]|[a-z]{1,255}|\\PC{1,40}",
        prop_oneof![-2_i64..70, Just(NOW / 1_000)],
        prop_oneof![1_u64..4, any::<u64>()],
        value,
    );
    let one = one.prop_map(|(name, source, time, count, sum)| {
        let samples = Samples { count, sum, ..Samples::one(sum) };
        Measurement { name: name.as_str().into(), display_name: name.into(), source: source.into(), time, samples }
    });
    proptest::collection::vec(one, 0..100)
}

/// The messages of a request, one by one.
fn request(all: &[Measurement], writer: WriterId, profile: &str, unit: &str, interval: i64) -> ExportRequest {
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_by_key(|one| (&one.name, &one.source, one.time));
    let points = |measurements: &[&Measurement], value: fn(&Samples) -> f64| {
        let equal = measurements.chunk_by(|a, b| (&a.source, a.time) == (&b.source, b.time));
        let point = |equal: &[&Measurement]| {
            let Measurement { source, time, .. } = equal[0];
            let nanoseconds = |second: i64| u64::try_from(second).unwrap_or(0) * 1_000_000_000;
            let attributes = [KeyValue::text("source", source)].into_iter();
            NumberDataPoint {
                attributes: attributes.filter(|_| !source.is_empty()).collect(),
                start_time_unix_nano: nanoseconds(time - interval),
                time_unix_nano: nanoseconds(*time),
                as_double: equal.iter().map(|one| value(&one.samples)).reduce(|a, b| a + b),
            }
        };
        equal.map(point).collect::<Vec<_>>()
    };
    let metric = |name: String, unit: &str, is_monotonic, data_points| {
        let data = if profile == "gauge" {
            Data::Gauge(Gauge { data_points })
        } else {
            Data::Sum(Sum { data_points, aggregation_temporality: DELTA, is_monotonic })
        };
        let description = name.strip_suffix(".count").filter(|_| unit == "{event}").unwrap_or(&name);
        Metric { description: description.to_owned(), name, unit: unit.to_owned(), data: Some(data) }
    };
    #[allow(clippy::cast_precision_loss)]
    let count = |samples: &Samples| samples.count as f64;
    let metrics = sorted.chunk_by(|a, b| a.name == b.name).flat_map(|same| {
        let name = same[0].name.to_string();
        let counts = metric(format!("{name}.count"), "{event}", true, points(same, count));
        let sums = points(same, |samples| samples.sum);
        [metric(name, unit, profile == "monotonic", sums), counts]
    });
    let (name, version) = ("librato-edge", env!("CARGO_PKG_VERSION"));
    let attributes = vec![
        KeyValue::text("service.name", name),
        KeyValue::text("service.version", version),
        KeyValue::text("service.instance.id", &writer.text()),
    ];
    ExportRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(Scope { name: name.to_owned(), version: version.to_owned() }),
                metrics: metrics.collect(),
            }],
        }],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_what_was_measured(
        all in measurements(),
        profile in prop_oneof![Just("delta"), Just("monotonic"), Just("gauge")],
        number in any::<u32>(),
    ) {
        let settings = otlp([("OTLP_PROFILE", profile)]);
        let batch: Vec<_> = all.iter().collect();
        let body = destination(&settings).encode(&batch, WriterId::Assigned(number));
        let (resource, points) = read(&body);
        prop_assert_eq!(&resource["service.instance.id"], &number.to_string());
        let mut sums = BTreeMap::new();
        let mut counts = BTreeMap::new();
        for one in &all {
            let key = (String::from(&*one.name), String::from(&*one.source), one.time);
            *sums.entry(key.clone()).or_insert(0.0) += one.samples.sum;
            *counts.entry(key).or_insert(0) += one.samples.count;
        }
        let (mut seen, mut values) = (BTreeSet::new(), 0);
        for point in &points {
            let source = point.attributes.first().map_or("", |(_, value)| value).to_owned();
            let second = i64::try_from(point.time / 1_000_000_000).unwrap();
            prop_assert_eq!(point.time - point.start, 1_000_000_000);
            // No store could tell two such points apart.
            let is_count = point.unit == "{event}";
            prop_assert!(seen.insert((point.metric.clone(), is_count, source.clone(), second)));
            if is_count {
                let name = point.metric.strip_suffix(".count").unwrap().to_owned();
                #[allow(clippy::cast_precision_loss)]
                let expected = counts[&(name, source, second)] as f64;
                prop_assert_eq!(point.value.to_bits(), expected.to_bits());
            } else {
                let expected: f64 = sums[&(point.metric.clone(), source, second)];
                prop_assert_eq!(point.value.to_bits(), (expected + 0.0).to_bits());
                values += 1;
            }
        }
        prop_assert_eq!(values, sums.len());
        prop_assert_eq!(points.len(), 2 * sums.len());
    }

    #[test]
    fn a_request_is_byte_for_byte_what_its_messages_are(
        all in any_measurements(),
        profile in prop_oneof![Just("delta"), Just("monotonic"), Just("gauge")],
        (url, unit) in prop_oneof![
            Just(("https://otlp.example.com/v1/metrics", "")),
            Just(("https://otel.collector.na-01.cloud.solarwinds.com/v1/metrics", "{value}")),
        ],
        interval in prop_oneof![Just(1_i64), Just(60)],
        writer in prop_oneof![any::<u32>().prop_map(WriterId::Assigned), any::<u64>().prop_map(WriterId::random)],
    ) {
        let rollup = interval.to_string();
        let settings =
            otlp([("OTLP_PROFILE", profile), ("OTLP_URL", url), ("ROLLUP_SECONDS", rollup.as_str())]);
        let batch: Vec<_> = all.iter().collect();
        let body = destination(&settings).encode(&batch, writer);
        let expected = request(&all, writer, profile, unit, interval);
        prop_assert_eq!(&body, &expected.encode_to_vec());
        prop_assert_eq!(ExportRequest::decode(&body[..]).expect("protobuf"), expected);
    }

    #[test]
    fn a_shipment_fits_a_message_and_comes_out_of_it_as_the_same_bytes(
        long in 0_usize..256,
        seed in any::<u64>(),
        values in proptest::collection::vec(-1e100_f64..1e100, 2..4),
    ) {
        let settings = otlp([]);
        let to = destination(&settings);
        // Names of one length, from one letter to the longest: whatever is the worst is among them.
        let all: Vec<_> = (0..LIMITS.members).map(|n| {
            let name = format!("{n:x}{}", "n".repeat(long.saturating_sub(3)));
            let source = format!("{n}{}", "s".repeat(usize::try_from(seed % 250).unwrap()));
            let one = measurement(&name, &source, NOW / 1_000 - 3_599, &values);
            // As written by people, in more than one way.
            Measurement { display_name: format!("{name} {}", n % 3).into(), ..one }
        }).collect();
        let mut delivery = Delivery::of_partitions(to, &all, &[Partition { writer: WriterId::Assigned(9), members: all.len() }], Policy::durable(NOW, 1));
        let mut sent = Vec::new();
        for _ in 0..1_000 {
            match delivery.next(NOW) {
                Step::Send(shipment) => {
                    prop_assert!(shipment.body.len() <= LIMITS.bytes);
                    sent.push(shipment.body.clone());
                    // The first three fail, and then nothing more is begun.
                    delivery.settle(shipment.id, &Arrival::Lost, NOW);
                }
                Step::Wait(_) => {}
                Step::Done => break,
            }
        }
        let failed = delivery.failed().to_vec();
        prop_assert_eq!(failed.len(), sent.len());
        for (members, body) in failed.iter().zip(&sent) {
            let shipment: Vec<_> = members.iter().map(|member| &all[*member]).collect();
            let message = Parcel::seal(&shipment, 1, NOW / 1_000, seed, WriterId::Assigned(9));
            let message = message.expect("a shipment fits a message");
            prop_assert!(message.len() <= MAX_BYTES);
            let parcel = Parcel::read(&message).unwrap();
            prop_assert_eq!(parcel.sealed, Some(WriterId::Assigned(9)));
            let again: Vec<_> = parcel.entries.iter().map(|entry| &entry.measurement).collect();
            prop_assert_eq!(&to.encode(&again, WriterId::Assigned(9)), body);
        }
    }

    #[test]
    fn no_two_deliveries_write_a_second_under_one_number(
        deliveries in proptest::collection::vec(proptest::collection::btree_set(0_u32..40, 1..12), 1..120),
        evictions in proptest::collection::vec(any::<bool>(), 120),
    ) {
        let now = u32::try_from(NOW / 1_000).unwrap();
        let mut ledger = Ledger::new(MAX_EVENTS);
        let mut log = Vec::new();
        let mut taken = BTreeSet::new();
        for (seconds, is_evicted) in deliveries.iter().zip(evictions) {
            if is_evicted {
                ledger = Ledger::new(MAX_EVENTS);
                for record in &log {
                    ledger.replay(record, now / 3_600);
                }
            }
            let question = late(seconds.iter().copied());
            let question = Question::read(&question.write()).unwrap();
            let (answer, record) = ledger.ask(&question, now);
            let Some(Answer::WriterAllocated(number, _)) = Answer::read(&answer.write(), &question)
            else {
                panic!("{answer:?}");
            };
            log.push(Record::read(&record.unwrap().write()).unwrap());
            for second in seconds {
                prop_assert!(taken.insert((*second, number)), "{number} twice at {second}");
            }
            // As small as possible: no smaller one was free at all of them.
            for smaller in 0..number {
                prop_assert!(seconds.iter().any(|second| taken.contains(&(*second, smaller))));
            }
        }
    }

    #[test]
    fn nothing_that_is_answered_makes_a_panic_or_tells_a_secret(
        status in 100_u16..600,
        body in prop_oneof![
            any::<Vec<u8>>(),
            "\\PC{0,400}".prop_map(String::into_bytes),
            "[a-z]{0,400}".prop_map(|text| Status { message: format!("{text}{TOKEN}{text}") }.encode_to_vec()),
            "[a-z]{0,400}".prop_map(|text| format!(r#"{{"message":"{text}{TOKEN}"}}"#).into_bytes()),
        ],
    ) {
        let settings = otlp([("OTLP_HEADERS", format!("api-key={TOKEN}").as_str())]);
        let one = measurement("a", "b", 0, &[1.0]);
        let reply = Reply { status, body, ..Reply::default() };
        let said = match destination(&settings).judge(&reply, &[&one], NOW) {
            Judgement::Rejected(words)
            | Judgement::Partial(PartialSuccess { message: words, .. })
            | Judgement::Refused(PermanentRejection { reason: words, .. }) => words,
            Judgement::Later(trouble) => trouble.detail,
            Judgement::Delivered => {
                prop_assert!((200..300).contains(&status));
                String::new()
            }
            Judgement::TooLarge => String::new(),
            other @ Judgement::Partly(_) => panic!("{other:?}"),
        };
        prop_assert!(said.chars().count() < 400 && !said.contains(char::is_control), "{said:?}");
        prop_assert!(!said.contains("hunter2"), "{said:?}");
    }
}

/// Asks for a number for points whose order is lost.
fn late(seconds: impl IntoIterator<Item = u32>) -> Question {
    let seconds = seconds.into_iter().collect();
    Question::AllocateWriter(WriterRequest { holder: 1, lease: 0, first: u32::MAX, last: 0, seconds })
}

#[test]
fn a_steady_stream_needs_two_numbers() {
    // Each delivery holds the rest of the last second and the beginning of this one.
    let mut ledger = Ledger::new(MAX_EVENTS);
    for second in 1_000..2_000 {
        let request =
            WriterRequest { holder: 1, lease: 0, first: second - 1, last: second, seconds: vec![second - 1, second] };
        let (answer, _) = ledger.ask(&Question::AllocateWriter(request), second);
        let Answer::WriterAllocated(number, _) = answer else { panic!("{answer:?}") };
        assert!(number < 2, "{number} at {second}");
    }
}

#[test]
fn direct_delivery_sends_the_same_bytes_again() {
    let settings = otlp([]);
    let all = [measurement("a", "b", NOW / 1_000, &[1.0])];
    let partitions = [Partition { writer: WriterId::Assigned(4), members: 1 }];
    let mut delivery = Delivery::of_partitions(destination(&settings), &all, &partitions, Policy::direct(NOW, NOW, 7));
    let (mut bodies, mut now) = (Vec::new(), NOW);
    loop {
        match delivery.next(now) {
            Step::Send(shipment) => {
                bodies.push(shipment.body);
                let reply = if bodies.len() == 1 { 503 } else { 200 };
                let reply = Reply { status: reply, ..Reply::default() };
                delivery.settle(shipment.id, &Arrival::Answered(reply), now);
            }
            Step::Wait(until) => now = until.expect("it waits for the second try"),
            Step::Done => break,
        }
    }
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(delivery.finish(), [Outcome::Delivered]);
}

#[test]
fn the_window_is_an_hour() {
    assert_eq!((WINDOW.max_age, WINDOW.max_ahead), (3_600, 600));
}

/// What one request meets.
#[derive(Debug, Clone, Copy)]
enum Weather {
    Fair,
    Answer(u16),
    Lost,
    /// It is stored, and the answer is lost.
    StoredAndLost,
}

/// What befalls the consumer of one batch.
#[derive(Debug, Clone)]
struct Round {
    /// How many messages it is handed.
    messages: usize,
    weather: Vec<Weather>,
    /// Whether it gets a number to write under.
    is_numbered: bool,
    /// Whether the queue takes what is sealed.
    is_sealing: bool,
    /// Whether it stops without a word before anything is sent.
    is_stopped: bool,
    /// Events of a request that comes before: their source, and by how many seconds each is late.
    sent: Vec<(usize, i64)>,
}

fn round() -> impl Strategy<Value = Round> {
    let weather = prop_oneof![
        4 => Just(Weather::Fair),
        2 => prop_oneof![Just(503_u16), Just(429), Just(502), Just(504), Just(401)].prop_map(Weather::Answer),
        1 => Just(Weather::Lost),
        2 => Just(Weather::StoredAndLost),
    ];
    let sent = proptest::collection::vec((0_usize..12, 0_i64..4), 0..40);
    (
        1_usize..6,
        proptest::collection::vec(weather, 0..4),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.1),
        sent,
    )
        .prop_map(|(messages, weather, is_numbered, is_sealing, is_stopped, sent)| Round {
            messages,
            weather,
            is_numbered,
            is_sealing,
            is_stopped,
            sent,
        })
}

/// A source that the store does not take.
const BAD: &str = "s11";

type Series = (String, Vec<(String, String)>, u64, String);

/// A store that keeps one value for a series and a second, as `VictoriaMetrics` does it.
#[derive(Default)]
struct Store {
    points: BTreeMap<Series, f64>,
    stored_and_lost: Vec<Vec<u8>>,
    bodies: Vec<Vec<u8>>,
    /// Whether it takes the bad source as well.
    is_mended: bool,
}

impl Store {
    fn take(&mut self, body: &[u8], weather: Weather) -> Arrival {
        self.bodies.push(body.to_vec());
        let answered = |status| Arrival::Answered(Reply { status, ..Reply::default() });
        match weather {
            Weather::Answer(status) => return answered(status),
            Weather::Lost => return Arrival::Lost,
            Weather::Fair | Weather::StoredAndLost => {}
        }
        let (resource, points) = read(body);
        // What it takes of a request depends on the request alone. A refusal after a lost answer would set aside what
        // is stored.
        if points.len() > 12 {
            return answered(413);
        }
        let is_bad = |(_, source): &(String, String)| source == BAD;
        if !self.is_mended && points.iter().any(|point| point.attributes.iter().any(is_bad)) {
            return answered(400);
        }
        for point in points {
            let instance = resource["service.instance.id"].clone();
            let series = (point.metric, point.attributes, point.time, instance);
            let before = self.points.insert(series.clone(), point.value);
            // The same point again is the same; another value would take the place of the first.
            assert!(before.is_none_or(|value| value.to_bits() == point.value.to_bits()), "{series:?}");
        }
        if matches!(weather, Weather::StoredAndLost) {
            self.stored_and_lost.push(body.to_vec());
            return Arrival::Lost;
        }
        answered(200)
    }

    /// How many events of a source it has.
    fn count(&self, source: &str) -> f64 {
        let of_source = self.points.iter().filter(|((metric, attributes, ..), _)| {
            metric.strip_suffix(".count").is_some() && attributes.iter().any(|(_, value)| value == source)
        });
        of_source.map(|(_, value)| value).sum()
    }
}

struct World {
    settings: Settings,
    queue: Vec<String>,
    ledger: Ledger,
    store: Store,
    letters: Vec<DeadLetter>,
    sent: BTreeMap<String, f64>,
    /// Sources of which something was stored without an answer and could not be sealed.
    risky: BTreeSet<String>,
    owners: u64,
}

impl World {
    fn ask(&mut self, question: &Question) -> Answer {
        self.ledger.ask(question, u32::try_from(NOW / 1_000).unwrap()).0
    }

    fn send(&mut self, sent: &[(usize, i64)]) {
        let measured: Vec<_> =
            sent.iter().map(|(n, age)| measurement("m", &format!("s{n}"), NOW / 1_000 - age, &[1.0])).collect();
        for one in &measured {
            *self.sent.entry(String::from(&*one.source)).or_default() += 1.0;
        }
        let packed: Vec<_> = measured.iter().map(|one| (one, None)).collect();
        let owners = &mut self.owners;
        let messages = Parcel::pack(&packed, 1, NOW / 1_000, &mut || {
            *owners += 1;
            *owners
        });
        self.queue.extend(messages);
    }

    fn consume(&mut self, round: &Round) {
        let taken = round.messages.min(self.queue.len());
        let batch: Vec<_> = self.queue.drain(..taken).map(Some).collect();
        let mut consumption = Consumption::read(&batch, 1, NOW);
        let Answer::Claim(claims) =
            self.ask(&Question::Claim(consumption.claims().into_iter().map(|(_, claim)| claim).collect()))
        else {
            panic!("no answer to a claim");
        };
        consumption.plan(&claims, &self.settings, NOW);
        self.owners += 1;
        let holder = self.owners;
        let mut mine = None;
        if let Some(request) = consumption.writer_request(holder) {
            let Answer::WriterAllocated(number, _) = self.ask(&Question::AllocateWriter(request)) else {
                panic!("no number");
            };
            let writer = Some(WriterId::Assigned(number)).filter(|_| round.is_numbered);
            consumption.write_as(writer);
            mine = writer.map(|writer| (writer, holder));
        }
        if round.is_stopped {
            return self.queue.extend(batch.into_iter().flatten());
        }
        let (gauges, partitions) = consumption.load();
        let to = self.settings.destination.as_deref().unwrap();
        let mut delivery = Delivery::of_partitions(to, gauges, partitions, Policy::durable(NOW, 7));
        let mut weather = round.weather.iter().chain(std::iter::repeat(&Weather::Fair));
        let mut under_way = Vec::new();
        let before = self.store.stored_and_lost.len();
        loop {
            match delivery.next(NOW) {
                Step::Send(shipment) => under_way.push(shipment),
                Step::Wait(_) => {
                    let shipment = under_way.remove(0);
                    let arrival = self.store.take(&shipment.body, *weather.next().unwrap());
                    delivery.settle(shipment.id, &arrival, NOW);
                }
                Step::Done => break,
            }
        }
        let failed = delivery.failed().to_vec();
        let outcomes = delivery.finish();
        let letters = consumption.delivered(&outcomes).to_vec();
        let mut owner = self.owners;
        let seals = consumption.seal(&failed, &mut |_| 0, &mut || {
            owner += 1;
            owner
        });
        self.owners = owner;
        for seal in seals {
            assert!(seal.message.len() <= MAX_BYTES && (1..=43_200).contains(&seal.delay));
            if round.is_sealing {
                consumption.sealed(&seal);
                self.queue.push(seal.message);
            }
        }
        if !round.is_sealing {
            for body in self.store.stored_and_lost.split_off(before) {
                let (_, points) = read(&body);
                let sources = points.into_iter().flat_map(|point| point.attributes);
                self.risky.extend(sources.map(|(_, source)| source));
            }
        }
        let sent = vec![true; letters.len()];
        self.letters.extend(letters);
        let done = consumption.set_aside(sent).into_iter().map(|(_, id)| id).collect();
        if let Some(settlement) = consumption.settlement(mine) {
            self.ask(&Question::SettleWriters(settlement));
        }
        self.ask(&Question::Done(done, false));
        let decisions = consumption.decide(&vec![1; batch.len()], &mut |_| 0);
        let again = batch.into_iter().flatten().zip(decisions);
        self.queue.extend(again.filter(|(_, decision)| *decision != Decision::Acknowledge).map(|(body, _)| body));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// An event counts once also where the answer was lost, and what was sent again was sent as it was.
    #[test]
    fn each_event_is_stored_or_set_aside_exactly_once(rounds in proptest::collection::vec(round(), 1..30)) {
        let mut world = World {
            settings: otlp([("OTLP_PROFILE", "gauge")]),
            queue: Vec::new(),
            ledger: Ledger::new(MAX_EVENTS),
            store: Store::default(),
            letters: Vec::new(),
            sent: BTreeMap::new(),
            risky: BTreeSet::new(),
            owners: 0,
        };
        for round in &rounds {
            world.send(&round.sent);
            world.consume(round);
        }
        let fair = Round { messages: 10, weather: Vec::new(), is_numbered: true, is_sealing: true, is_stopped: false, sent: Vec::new() };
        for _ in 0..1_000 {
            if !world.queue.is_empty() {
                world.consume(&fair);
            }
        }
        prop_assert!(world.queue.is_empty());
        let mut aside: BTreeMap<String, f64> = BTreeMap::new();
        for letter in &world.letters {
            let one = letter.revived().expect("a measurement");
            #[allow(clippy::cast_precision_loss)]
            let count = one.samples.count as f64;
            *aside.entry(String::from(&*one.source)).or_default() += count;
        }
        for (source, sent) in &world.sent {
            let all = world.store.count(source) + aside.get(source).copied().unwrap_or_default();
            prop_assert!(all >= *sent, "{source} is lost: {all} of {sent}");
            prop_assert!(all.to_bits() == sent.to_bits() || world.risky.contains(source), "{source} counts {all} times, not {sent}");
        }
        for body in &world.store.stored_and_lost {
            prop_assert!(world.store.bodies.iter().filter(|other| *other == body).count() > 1, "it was not sent again as it was");
        }
        // Whatever is sent again, and be it twice, goes out under the writer that it had, and counts once.
        world.store.is_mended = true;
        let letters: Vec<_> = (1..).zip(std::mem::take(&mut world.letters)).collect();
        for (_, letter) in &letters {
            prop_assert!(letter.writer.as_deref().and_then(WriterId::read).is_some());
        }
        let mut owner = world.owners;
        for _ in 0..2 {
            let replay = Replay::pack(&letters, None, 1, NOW / 1_000, &mut || { owner += 1; owner });
            prop_assert_eq!(replay.letters.len(), letters.len());
            world.queue.extend(replay.messages);
        }
        world.owners = owner;
        for _ in 0..1_000 {
            if !world.queue.is_empty() {
                world.consume(&fair);
            }
        }
        prop_assert_eq!((world.queue.len(), world.letters.len()), (0, 0));
        for (source, sent) in &world.sent {
            let all = world.store.count(source);
            prop_assert!(all.to_bits() == sent.to_bits() || world.risky.contains(source), "{source} counts {all} times, not {sent}");
        }
    }
}
