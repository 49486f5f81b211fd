//! Properties that hold for every input.

// Tests may panic; the Worker may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
// Exactness is the property.
#![allow(clippy::float_cmp)]

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;

use common::{WRITE_KEY, gauges, post, settings};
use librato_edge::destination::WriterId;
use librato_edge::ingest::{self, Call, Kind};
use librato_edge::json::{javascript_number, javascript_string};
use librato_edge::measurement::{
    MAGNITUDE_LIMIT, MAX_NAME, Measurement, Samples, clean_name, clean_source, is_in_range,
};
use librato_edge::rollup::Rollup;
use librato_edge::segment::route::{EventType, Route};
use librato_edge::segment::{body, credential, pixel, webhook};
use librato_edge::time::http_date;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const NOW: i64 = 1_795_435_200_250;

/// Generates any JSON, with fields of the protocol among the keys and its values among the values.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop_oneof![Just("track"), Just("page"), Just("identify"), Just("2026-11-23T12:00:00Z"), Just("$5")]
            .prop_map(Value::from),
    ];
    let key = prop_oneof![
        4 => prop_oneof![
            Just("type"), Just("event"), Just("name"), Just("category"), Just("userId"),
            Just("anonymousId"), Just("messageId"), Just("timestamp"), Just("sentAt"),
            Just("properties"), Just("value"), Just("VA_LUE"), Just("integrations"), Just("options"),
            Just("context"), Just("Librato"), Just("librato"), Just("source"), Just("All"),
            Just("providers"), Just("batch"), Just("writeKey"), Just("personas"), Just("traits"),
            Just("computation_key"), Just("consent"),
        ].prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Generates an event that is likely to be measured: it has the required fields, and now and then anything in their
/// place.
fn nearly_event() -> impl Strategy<Value = Value> {
    let or_any = |usual: BoxedStrategy<Value>| prop_oneof![6 => usual, 1 => any_json()];
    let text = || "\\PC{1,300}".prop_map(Value::from).boxed();
    let number = prop_oneof![any::<f64>(), -1e9..1e9].prop_map(Value::from).boxed();
    let source = prop_oneof![Just(Value::Null), text()].boxed();
    let rest = proptest::option::weighted(0.3, any_json());
    (or_any(text()), or_any(text()), or_any(number), or_any(source), rest).prop_map(
        |(event, user, value, source, rest)| {
            json!({
                "type": "track", "event": event, "name": event, "userId": user,
                "properties": {"value": value},
                "integrations": {"Librato": {"source": source}},
                "context": rest,
            })
        },
    )
}

/// Generates almost valid JSON, with a piece removed, repeated or replaced.
fn nearly_json() -> impl Strategy<Value = String> {
    (any_json(), any::<prop::sample::Index>(), 0_usize..8, "[\\[\\]{}\",:\\\\u0-9eE.+-]{0,6}").prop_map(
        |(json, at, cut, put)| {
            let text: Vec<char> = json.to_string().chars().collect();
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text[..at].iter().chain(put.chars().collect::<Vec<_>>().iter()).chain(&text[end..]).collect()
        },
    )
}

fn measurement() -> impl Strategy<Value = Measurement> {
    let value = prop_oneof![-1_000_i32..1_000, Just(0_i32),].prop_map(f64::from);
    let value = prop_oneof![8 => value, 1 => -9.9e126..9.9e126, 1 => Just(9.9e126), 1 => Just(-9.9e126)];
    ("[AaBb]{1,2}", "[XxYy]", 0_i64..5, value).prop_map(|(name, source, time, value)| Measurement {
        display_name: name.as_str().into(),
        name: name.into(),
        source: source.into(),
        time,
        samples: Samples::one(value),
    })
}

fn is_name(text: &str, also: &[u8]) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b) || also.contains(&b))
}

const CASES: u32 = 1_000;

#[test]
fn nothing_makes_anything_but_gauges_that_librato_takes() {
    let settings = settings([("ROLLUP_SECONDS", "7"), ("CONSENT_CATEGORIES", "a")]);
    let mut runner = TestRunner::new(ProptestConfig { cases: CASES, ..ProptestConfig::default() });
    let measured = RefCell::new(BTreeMap::<&str, u32>::new());
    let checked = runner.run(&prop_oneof![nearly_event(), any_json()], |json| {
        for (path, body) in [
            ("/v1/t", json.to_string()),
            ("/v1/p", json.to_string()),
            ("/v1/i", json.to_string()),
            ("/v1/b", json.to_string()),
            ("/v1/b", json!({"batch": [json, json], "context": json}).to_string()),
        ] {
            let Ok(request) = post(&settings, path, &body, NOW, |_| Some(NOW)) else { continue };
            for gauge in gauges(&settings, &request) {
                *measured.borrow_mut().entry(path).or_default() += 1;
                prop_assert!(is_name(gauge["name"].as_str().unwrap(), b""));
                prop_assert!(is_name(gauge["source"].as_str().unwrap(), b":"));
                prop_assert!(gauge["measure_time"].is_i64());
                let value = gauge.get("value").or(gauge.get("sum")).and_then(Value::as_f64);
                prop_assert!(value.is_some_and(is_in_range), "{gauge}");
                prop_assert_eq!(gauge.get("value").is_some(), gauge.get("count").is_none());
            }
            let counts = request.counts();
            let rejected: usize = counts.rejected.values().sum();
            prop_assert_eq!(counts.accepted + rejected, counts.events);
        }
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
    // A test of no gauge would prove nothing.
    for path in ["/v1/t", "/v1/p", "/v1/b"] {
        let count = measured.borrow().get(path).copied().unwrap_or_default();
        assert!(count > CASES / 10, "{path} has made {count} gauges");
    }
    assert_eq!(measured.borrow().get("/v1/i"), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn cleaning_yields_names_that_librato_takes(text in "\\PC{1,300}") {
        let cleaned = clean_name(&text);
        prop_assert!(is_name(&cleaned, b""));
        prop_assert_eq!(cleaned.len(), text.encode_utf16().count().min(MAX_NAME));
        prop_assert_eq!(clean_name(&cleaned), cleaned.clone());
        let source = clean_source(&text);
        prop_assert!(is_name(&source, b":") && !source.eq_ignore_ascii_case("all"));
    }

    #[test]
    fn coalescing_keeps_counts_and_sums(all in proptest::collection::vec(measurement(), 0..200), interval in 1_u32..10, not_before in 0_i64..3) {
        let mut rollup = Rollup::new(interval, not_before);
        let places: Vec<usize> = all.iter().map(|m| rollup.add(m)).collect();
        let merged = rollup.finish();
        prop_assert!(places.iter().all(|place| *place < merged.len()));
        for (n, measurement) in merged.iter().enumerate() {
            let members: Vec<_> = all.iter().zip(&places).filter(|(_, place)| **place == n).map(|(m, _)| m).collect();
            let samples = measurement.samples;
            prop_assert!(is_in_range(samples.sum), "a sum beyond {MAGNITUDE_LIMIT}");
            // Added up in the original order, so that the sum is exact to the last digit.
            let values = || members.iter().map(|member| member.samples.sum);
            let expected = Samples {
                count: values().count() as u64,
                sum: values().sum(),
                min: values().fold(f64::INFINITY, f64::min),
                max: values().fold(f64::NEG_INFINITY, f64::max),
                sum_squares: values().map(|value| value * value).sum(),
            };
            prop_assert_eq!(samples, expected);
            let begin = measurement.time - measurement.time % i64::from(interval);
            prop_assert!(measurement.time == begin || measurement.time <= not_before);
            for member in &members {
                prop_assert!(member.name.eq_ignore_ascii_case(&measurement.name));
                prop_assert!(member.source.eq_ignore_ascii_case(&measurement.source));
                prop_assert!((begin..begin + i64::from(interval)).contains(&member.time));
            }
            prop_assert_eq!(&members[0].name, &measurement.name, "the first spelling is kept");
        }
    }

    #[test]
    fn no_text_makes_a_panic(text in prop_oneof![nearly_json(), any::<String>(), "\\PC*"]) {
        let settings = settings([("PATH_PREFIX", "/x")]);
        for kind in [Kind::Single(EventType::Track), Kind::Single(EventType::Page), Kind::Batch] {
            for header_key in [Some(WRITE_KEY), None] {
                let call = Call { settings: &settings, kind, received_at: NOW, header_key,
                    query_key: Some(WRITE_KEY), native_date: |_| None, shown: 0 };
                if let Ok(intake) = ingest::parse(&text, &call) {
                    prop_assert!(intake.answer().status == 200 || intake.answer().status == 400);
                }
            }
        }
        _ = Route::of(&text, "/x");
        _ = credential::basic_user(&text);
        _ = pixel::event(&text);
        _ = http_date(&text);
        _ = webhook::verify(&text, text.as_bytes(), Some(&text));
        _ = settings.allowed_events.allow(&text);
    }

    #[test]
    fn a_pixels_parameters_are_an_object_in_which_the_last_one_stands(
        all in proptest::collection::vec(("[ab]{1,2}(\\.[ab]{1,2}){0,3}", any::<String>()), 1..8)
    ) {
        let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
        let query: Vec<_> = all.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let event: Value = serde_json::from_str(&pixel::event(&query.join("&")).unwrap()).unwrap();
        let (name, value) = all.last().unwrap();
        let place = format!("/{}", name.replace('.', "/"));
        prop_assert_eq!(event.pointer(&place), Some(&Value::from(value.as_str())));
    }

    #[test]
    fn no_bytes_make_a_panic(mut bytes in any::<Vec<u8>>(), gzip in any::<bool>()) {
        if gzip {
            bytes.splice(0..0, [0x1f, 0x8b, 8, 0]);
        }
        _ = body::text(bytes, None, body::MAX_REQUEST);
    }

    #[test]
    fn javascript_numbers_read_back_as_themselves(value in any::<f64>()) {
        prop_assume!(value.is_finite());
        prop_assert_eq!(javascript_number(value).parse::<f64>().unwrap(), value);
        let text = serde_json::to_string(&value).unwrap();
        let raw: &RawValue = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(javascript_string(raw), javascript_number(value));
    }

    #[test]
    fn what_is_encoded_is_what_was_measured(all in proptest::collection::vec(measurement(), 1..20)) {
        let settings = settings([]);
        let librato = settings.destination.as_deref().unwrap();
        let mut rollup = Rollup::new(1, 0);
        for measurement in all {
            rollup.add(&measurement);
        }
        let merged = rollup.finish();
        let batch: Vec<_> = merged.iter().collect();
        let body: Value = serde_json::from_slice(&librato.encode(&batch, WriterId::NONE)).unwrap();
        let gauges = body["gauges"].as_array().unwrap();
        prop_assert_eq!(gauges.len(), merged.len());
        for (gauge, measurement) in gauges.iter().zip(&merged) {
            prop_assert_eq!(gauge["name"].as_str(), Some(&*measurement.name));
            prop_assert_eq!(gauge["source"].as_str(), Some(&*measurement.source));
            prop_assert_eq!(gauge["measure_time"].as_i64(), Some(measurement.time));
            let samples = measurement.samples;
            let number = |key: &str| gauge.get(key).and_then(Value::as_f64);
            if samples.count == 1 {
                prop_assert_eq!(number("value"), Some(samples.sum));
            } else {
                prop_assert_eq!(gauge["count"].as_u64(), Some(samples.count));
                prop_assert_eq!(number("sum"), Some(samples.sum));
                prop_assert_eq!(number("min"), Some(samples.min));
                prop_assert_eq!(number("max"), Some(samples.max));
                let squares = Some(samples.sum_squares).filter(|squares| is_in_range(*squares));
                prop_assert_eq!(number("sum_squares"), squares);
            }
        }
    }
}
