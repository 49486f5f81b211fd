//! OTLP as a destination: what measurements become on the wire, what its answers mean, and that each
//! series has one writer at a second.

// A test may fail by a panic; the Worker may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::model::NOW;
use common::proto::{
    DELTA, Data, ExportRequest, ExportResponse, Gauge, KeyValue, Metric, NumberDataPoint,
    PartialSuccess, Resource, ResourceMetrics, Scope, ScopeMetrics, Status, Sum,
};
use common::{moment, otlp};
use librato_edge::delivery::{
    Arrival, Delivery, Destination, Judgement, Lot, Outcome, Policy, Remark, Reply, Step,
    TroubleKind, Writer,
};
use librato_edge::durable::consume::{Consumption, Decision};
use librato_edge::durable::dead_letter::DeadLetter;
use librato_edge::durable::once::{
    Ledger, Question, hour_of, read_answers, read_number, write_answer,
};
use librato_edge::durable::parcel::{MAX_BYTES, Parcel};
use librato_edge::measurement::{Measurement, Samples};
use librato_edge::otlp::proto::{Malformed, Said};
use librato_edge::otlp::{LIMITS, WINDOW};
use librato_edge::segment::health;
use librato_edge::settings::Settings;
use proptest::prelude::*;
use prost::Message;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_varint, skip_field,
};

const TOKEN: &str = "hunter2-and-more";

fn measurement(name: &str, source: &str, second: i64, values: &[f64]) -> Measurement {
    let samples = values[1..].iter().fold(Samples::one(values[0]), |all, value| {
        all.merged(Samples::one(*value)).expect("in range")
    });
    Measurement { name: name.into(), source: source.into(), time: second, samples }
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
            Data::Sum(sum) => {
                (Some((sum.aggregation_temporality, sum.is_monotonic)), &sum.data_points)
            }
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
        let body = destination(&settings).encode(&[&one], Writer::Numbered(7));
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
            [
                point("Order-Completed", "", value, -1.25),
                point("Order-Completed.count", "{event}", count, 3.0),
            ],
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
    let (_, points) = read(&destination(&settings).encode(&[&one], Writer::Drawn(3)));
    assert_eq!((points[0].unit.as_str(), points[0].value), ("{value}", 0.0), "a zero is written");
    assert_eq!(points[1].unit, "{event}");
    assert!(points.iter().all(|point| point.attributes.is_empty()));
}

#[test]
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
        let partial_success = Some(PartialSuccess { rejected_data_points, error_message });
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
    for (body, refused, words) in [
        (partial(3, "too late"), 3, "the OTLP endpoint refused some points: too late"),
        (partial(0, "slow down"), 0, "the OTLP endpoint warns: slow down"),
        (partial(1, &format!("x {TOKEN} y")), 1, "the OTLP endpoint refused some points: x … y"),
        (
            json(r#" {"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"no"}}"#),
            2,
            "the OTLP endpoint refused some points: no",
        ),
        (
            json(r#"{"partialSuccess":{"rejectedDataPoints":2}}"#),
            2,
            "the OTLP endpoint refused some points: ",
        ),
        (
            json("<html>Sign in</html>"),
            0,
            "the OTLP endpoint answered 200 with something else than OTLP",
        ),
        (json("{"), 0, "the OTLP endpoint answered 200 with something else than OTLP"),
        // A group of protobuf's, by chance.
        (json("st"), 0, "the OTLP endpoint answered 200 with something else than OTLP"),
    ] {
        let expected = Judgement::Remarked(Remark { refused, words: words.into() });
        assert_eq!(judge(200, None, body), expected);
    }

    for (status, kind, asked_for, expected) in [
        (429, TroubleKind::Throttled, Some("7"), Some(7)),
        (502, TroubleKind::Unavailable, None, None),
        (503, TroubleKind::Unavailable, Some("Mon, 23 Nov 2026 12:01:40 GMT"), Some(100)),
        (504, TroubleKind::Unavailable, Some("soon"), None),
        (401, TroubleKind::Unauthorized, Some("7"), None),
        (403, TroubleKind::Unauthorized, None, None),
    ] {
        let judgement = judge(status, asked_for, json(TOKEN));
        let Judgement::Later(trouble) = judgement else { panic!("{status}: {judgement:?}") };
        assert_eq!((trouble.kind, trouble.retry_after), (kind, expected), "{status}");
        assert_eq!(trouble.detail, format!("the OTLP endpoint answered {status}"));
    }

    assert_eq!(judge(413, None, Vec::new()), Judgement::TooLarge);

    let status = Status { code: 0, message: format!("bad point of {TOKEN}") }.encode_to_vec();
    let with_code = Status { code: -3, message: format!("bad point of {TOKEN}") }.encode_to_vec();
    for (status, body, words) in [
        (400, status, ": bad point of …"),
        (400, with_code, ": bad point of …"),
        (400, json(&format!(r#"{{"code":3,"message":"bad Bearer {TOKEN}"}}"#)), ": bad …"),
        (400, json(r#"{"error":"bad"}"#), ": bad"),
        (404, json(" no\nsuch page\n"), ": nosuch page"),
        (415, json(r#"["x"]"#), r#": ["x"]"#),
        (500, Vec::new(), ""),
        (501, json("x"), ": x"),
        (301, Vec::new(), ""),
        (202, Vec::new(), ""),
        (204, Vec::new(), ""),
        (408, Vec::new(), ""),
        (422, vec![0x12, 0xff], ": \u{fffd}"),
        (422, vec![0x12, 0x01, 0xff], ": \u{fffd}"),
    ] {
        let expected = Judgement::Rejected(format!("the OTLP endpoint answered {status}{words}"));
        assert_eq!(judge(status, None, body), expected, "{status}");
    }
}

#[test]
fn health_asks_with_an_empty_request() {
    let settings = otlp([]);
    let destination = destination(&settings);
    let checked = |arrival| health::checked(destination, &arrival).map_err(|f| f.message);
    let answered = |status| Arrival::Answered(Reply { status, ..Reply::default() });
    for status in [200, 202, 400] {
        assert_eq!(checked(answered(status)), Ok(()));
    }
    for (arrival, message) in [
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
        let body = format!(
            r#"{{"event":"e","userId":"u","properties":{{"value":1}},"timestamp":"{timestamp}"}}"#
        );
        assert_eq!(moment(&timestamp), NOW - seconds * 1_000);
        common::post(&settings, "/v1/t", &body, NOW, |_| None)
            .expect("JSON")
            .answer()
            .text()
            .to_owned()
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
        one.prop_map(|(name, source, age, values)| {
            measurement(&name, &source, NOW / 1_000 - age, &values)
        }),
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
        Measurement { name: name.into(), source: source.into(), time, samples }
    });
    proptest::collection::vec(one, 0..100)
}

/// The messages of a request, one by one.
fn request(
    all: &[Measurement],
    writer: Writer,
    profile: &str,
    unit: &str,
    interval: i64,
) -> ExportRequest {
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
        Metric { name, unit: unit.to_owned(), data: Some(data) }
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

/// Bytes that are a message, or nearly one: known fields and others, as they should be written and
/// otherwise, with texts and messages in them, and a few bytes changed.
fn nearly_a_message() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![8 => 1_u64..3, 2 => 0_u64..20, 1 => any::<u32>().prop_map(u64::from), 1 => any::<u64>()];
    let wire = prop_oneof![4 => Just(0_u64), 6 => Just(2), 2 => 0_u64..8];
    let integer = prop_oneof![0_u64..300, any::<u64>(), any::<u32>().prop_map(|n| !u64::from(n))];
    let bytes =
        prop_oneof!["\\PC{0,9}".prop_map(String::into_bytes), any::<[u8; 3]>().prop_map(Vec::from)];
    let message = bytes.prop_recursive(3, 24, 4, move |inner| {
        let field = (number.clone(), wire.clone(), integer.clone(), inner);
        let field = field.prop_map(|(number, wire, integer, inner)| {
            let mut field = Vec::new();
            encode_varint(number << 3 | wire, &mut field);
            match wire {
                0 => encode_varint(integer, &mut field),
                1 => field.extend(integer.to_le_bytes()),
                2 => {
                    encode_varint(inner.len() as u64, &mut field);
                    field.extend(inner);
                }
                3 => {
                    field.extend(inner);
                    encode_varint(number << 3 | 4, &mut field);
                }
                5 => field.extend([1, 2, 3, 4]),
                _ => {}
            }
            field
        });
        proptest::collection::vec(field, 0..4).prop_map(|fields| fields.concat())
    });
    let changes = prop_oneof![
        3 => Just(Vec::new()),
        1 => proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..4),
    ];
    (message, changes).prop_map(|(mut message, changes)| {
        for (place, byte, kind) in changes {
            let place = place.index(message.len() + 1);
            match kind {
                0 => message.insert(place, byte),
                1 => message.truncate(place),
                _ => message[place..].iter_mut().take(1).for_each(|other| *other ^= byte),
            }
        }
        message
    })
}

/// Whether a message that is well formed has a group in it.
fn has_group(mut message: &[u8], is_response: bool) -> bool {
    while let Ok((field, wire)) = decode_key(&mut message) {
        let mut value = message;
        skip_field(wire, field, &mut message, DecodeContext::default()).expect("well formed");
        let is_partial_success = is_response && field == 1;
        if wire == WireType::StartGroup
            || is_partial_success && {
                let length = decode_varint(&mut value).expect("well formed");
                has_group(&value[..usize::try_from(length).unwrap()], false)
            }
        {
            return true;
        }
    }
    false
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
        let body = destination(&settings).encode(&batch, Writer::Numbered(number));
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
        writer in prop_oneof![any::<u32>().prop_map(Writer::Numbered), any::<u64>().prop_map(Writer::drawn)],
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
            measurement(&name, &source, NOW / 1_000 - 3_599, &values)
        }).collect();
        let mut delivery = Delivery::of_lots(to, &all, &[Lot { writer: Writer::Numbered(9), members: all.len() }], Policy::durable(NOW, 1));
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
            let message = Parcel::seal(&shipment, NOW / 1_000, seed, Writer::Numbered(9));
            let message = message.expect("a shipment fits a message");
            prop_assert!(message.len() <= MAX_BYTES);
            let parcel = Parcel::read(&message).unwrap();
            prop_assert_eq!(parcel.sealed, Some(Writer::Numbered(9)));
            let again: Vec<_> = parcel.entries.iter().map(|entry| &entry.measurement).collect();
            prop_assert_eq!(&to.encode(&again, Writer::Numbered(9)), body);
        }
    }

    #[test]
    fn no_two_deliveries_write_a_second_under_one_number(
        deliveries in proptest::collection::vec(proptest::collection::btree_set(0_u32..40, 1..12), 1..120),
        evictions in proptest::collection::vec(any::<bool>(), 120),
    ) {
        let hour = hour_of(NOW / 1_000);
        let mut ledger = Ledger::default();
        let mut log = Vec::new();
        let mut taken = BTreeSet::new();
        for (seconds, is_evicted) in deliveries.iter().zip(evictions) {
            if is_evicted {
                ledger = Ledger::default();
                for question in &log {
                    ledger.replay(question, hour);
                }
            }
            let question = Question::Write(seconds.iter().copied().collect());
            let question = Question::read(&question.write()).unwrap();
            let (answers, logged) = ledger.ask(&question, hour);
            let answer = write_answer(&answers, logged.as_ref());
            let number = read_number(&answer).unwrap();
            log.push(Question::read(&logged.unwrap().write()).unwrap());
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
            "[a-z]{0,400}".prop_map(|text| Status { code: 3, message: format!("{text}{TOKEN}{text}") }.encode_to_vec()),
            "[a-z]{0,400}".prop_map(|text| format!(r#"{{"message":"{text}{TOKEN}"}}"#).into_bytes()),
        ],
    ) {
        let settings = otlp([("OTLP_HEADERS", format!("api-key={TOKEN}").as_str())]);
        let one = measurement("a", "b", 0, &[1.0]);
        let reply = Reply { status, body, ..Reply::default() };
        let said = match destination(&settings).judge(&reply, &[&one], NOW) {
            Judgement::Rejected(words) | Judgement::Remarked(Remark { words, .. }) => words,
            Judgement::Later(trouble) => trouble.detail,
            Judgement::Delivered => {
                prop_assert_eq!(status, 200);
                String::new()
            }
            Judgement::TooLarge => String::new(),
            other => panic!("{other:?}"),
        };
        prop_assert!(said.chars().count() < 400 && !said.contains(char::is_control), "{said:?}");
        prop_assert!(!said.contains("hunter2"), "{said:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_is_read_as_another_reader_does_it(bytes in prop_oneof![
        4 => nearly_a_message(),
        1 => any::<Vec<u8>>(),
        1 => proptest::collection::vec(0_u8..0x30, 0..12),
    ]) {
        let response = ExportResponse::decode(&bytes[..]);
        let response = response.ok().filter(|_| !has_group(&bytes, true));
        let partial = response.map(|response| response.partial_success.unwrap_or_default());
        let expected = partial.as_ref().map(|partial| Said {
            number: partial.rejected_data_points,
            words: &partial.error_message,
        });
        prop_assert_eq!(Said::of_response(&bytes), expected.ok_or(Malformed));

        let status = Status::decode(&bytes[..]);
        let status = status.ok().filter(|_| !has_group(&bytes, false));
        let expected = status.as_ref().map(|status| &*status.message);
        prop_assert_eq!(Said::of_status(&bytes).map(|said| said.words), expected.ok_or(Malformed));
    }
}

#[test]
fn integers_and_texts_of_answers_are_read_to_their_ends() {
    for rejected_data_points in [0, 1, -1, 127, 128, i64::from(i32::MIN), i64::MIN, i64::MAX] {
        for length in [0, 1, 127, 128, 16_383, 16_384, 2_097_152] {
            let words = "é".repeat(length / 2);
            let partial_success =
                Some(PartialSuccess { rejected_data_points, error_message: words.clone() });
            let bytes = ExportResponse { partial_success }.encode_to_vec();
            let expected = Said { number: rejected_data_points, words: &words };
            assert_eq!(Said::of_response(&bytes), Ok(expected));
            let shorter = Said::of_response(&bytes[..bytes.len().saturating_sub(1)]);
            assert_eq!(shorter == Err(Malformed), !bytes.is_empty(), "{shorter:?}");
        }
    }
}

#[test]
fn a_varint_has_sixty_four_bits() {
    for begin in [0x80, 0xff] {
        for (length, last) in (0..12).flat_map(|length| (0..=255).map(move |last| (length, last))) {
            let varint = [&vec![begin; length][..], &[last]].concat();
            let partial_success = [&[0x08], &varint[..]].concat();
            let size = u8::try_from(partial_success.len()).unwrap();
            let response = [&[0x0a, size], &partial_success[..]].concat();
            let number = decode_varint(&mut &varint[..]).ok().map(u64::cast_signed);
            let said = Said::of_response(&response).ok().map(|said| said.number);
            assert_eq!(said, number, "{varint:x?}");
        }
    }
}

#[test]
fn of_what_comes_twice_the_last_counts_and_pieces_of_a_message_add_up() {
    let piece = |partial: &[u8]| [&[0x0a, u8::try_from(partial.len()).unwrap()], partial].concat();
    let said = |number, words| Ok(Said { number, words });
    let pieces = [piece(b"\x08\x03\x12\x01a"), piece(b"\x12\x01b"), piece(b"")].concat();
    assert_eq!(Said::of_response(&pieces), said(3, "b"));
    assert_eq!(Said::of_response(&piece(b"\x08\x03\x12\x01a\x08\x00\x12\x00")), said(0, ""));
    assert_eq!(Said::of_status(b"\x12\x01a\x08\x03\x12\x01b\x08\x04"), said(4, "b"));
    // What is overwritten must be well formed too.
    assert_eq!(Said::of_status(b"\x12\x01\xff\x12\x01b"), Err(Malformed));
}

#[test]
fn a_steady_stream_needs_two_numbers() {
    // Each delivery holds the rest of the last second and the beginning of this one.
    let mut ledger = Ledger::default();
    for second in 1_000..2_000 {
        let (_, logged) = ledger.ask(&Question::Write(vec![second - 1, second]), 0);
        let Some(Question::Wrote(number, _)) = logged else { panic!("{logged:?}") };
        assert!(number < 2, "{number} at {second}");
    }
}

#[test]
fn direct_delivery_sends_the_same_bytes_again() {
    let settings = otlp([]);
    let all = [measurement("a", "b", NOW / 1_000, &[1.0])];
    let lots = [Lot { writer: Writer::Numbered(4), members: 1 }];
    let mut delivery =
        Delivery::of_lots(destination(&settings), &all, &lots, Policy::direct(NOW, NOW, 7));
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
        // What it takes of a request depends on the request alone. A refusal after a lost answer would
        // set aside what is stored.
        if points.len() > 12 {
            return answered(413);
        }
        if points.iter().any(|point| point.attributes.iter().any(|(_, source)| source == BAD)) {
            return answered(400);
        }
        for point in points {
            let instance = resource["service.instance.id"].clone();
            let series = (point.metric, point.attributes, point.time, instance);
            let before = self.points.insert(series.clone(), point.value);
            // The same point again is the same; another value would take the place of the first.
            assert!(
                before.is_none_or(|value| value.to_bits() == point.value.to_bits()),
                "{series:?}"
            );
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
            metric.strip_suffix(".count").is_some()
                && attributes.iter().any(|(_, value)| value == source)
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
    fn ask(&mut self, question: &Question) -> Vec<u8> {
        let (answers, logged) = self.ledger.ask(question, hour_of(NOW / 1_000));
        write_answer(&answers, logged.as_ref())
    }

    fn send(&mut self, sent: &[(usize, i64)]) {
        let measured: Vec<_> = sent
            .iter()
            .map(|(n, age)| measurement("m", &format!("s{n}"), NOW / 1_000 - age, &[1.0]))
            .collect();
        for one in &measured {
            *self.sent.entry(String::from(&*one.source)).or_default() += 1.0;
        }
        let packed: Vec<_> = measured.iter().map(|one| (one, None)).collect();
        let owners = &mut self.owners;
        let messages = Parcel::pack(&packed, NOW / 1_000, &mut || {
            *owners += 1;
            *owners
        });
        self.queue.extend(messages);
    }

    fn consume(&mut self, round: &Round) {
        let taken = round.messages.min(self.queue.len());
        let batch: Vec<_> = self.queue.drain(..taken).map(Some).collect();
        let mut consumption = Consumption::read(&batch, NOW);
        let claims = read_answers(&self.ask(&Question::Claim(consumption.claims())));
        consumption.plan(&claims, &self.settings, NOW);
        let seconds = consumption.seconds();
        if !seconds.is_empty() {
            let number = self.ask(&Question::Write(seconds));
            let number = read_number(&number).map(Writer::Numbered);
            consumption.write_as(number.filter(|_| round.is_numbered));
        }
        if round.is_stopped {
            return self.queue.extend(batch.into_iter().flatten());
        }
        let (gauges, lots) = consumption.load();
        let to = self.settings.destination.as_deref().unwrap();
        let mut delivery = Delivery::of_lots(to, gauges, lots, Policy::durable(NOW, 7));
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
        let done = consumption.set_aside(sent);
        self.ask(&Question::Done(done));
        let decisions = consumption.decide(&vec![1; batch.len()], &mut |_| 0);
        let again = batch.into_iter().flatten().zip(decisions);
        self.queue.extend(
            again.filter(|(_, decision)| *decision != Decision::Acknowledge).map(|(body, _)| body),
        );
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
            ledger: Ledger::default(),
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
    }
}
