//! Tests of every rule of the mapping, by its table in `tests/fixtures/mapping`, and of the recordings of the original
//! destination in `tests/fixtures/original.jsonl`.

// Tests may panic; the Worker may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{gauges, moment, post, settings};
use librato_edge::Millis;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    received_at: String,
    path: String,
    body: Option<Box<RawValue>>,
    raw_body: Option<String>,
    expect: Expectation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    gauges: Vec<Map<String, Value>>,
    #[serde(default)]
    rejected: Vec<Value>,
}

thread_local! {
    /// Whether the JavaScript engine would have been asked to parse a date.
    static ENGINE_ASKED: Cell<bool> = const { Cell::new(false) };
}

fn native_date(_: &str) -> Option<Millis> {
    ENGINE_ASKED.with(|asked| asked.set(true));
    None
}

/// Compares numbers as such: `2` and `2.0` are equal.
fn same(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Number(actual), Value::Number(expected)) => actual.as_f64() == expected.as_f64(),
        _ => actual == expected,
    }
}

fn check(case: &Case) -> Result<(), String> {
    let settings = settings(case.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let body = match (&case.body, &case.raw_body) {
        (Some(body), None) => body.get(),
        (None, Some(body)) => body,
        _ => return Err("a case has either body or rawBody".into()),
    };
    let received_at = moment(&case.received_at);
    let intake = post(&settings, &case.path, body, received_at, native_date)
        .map_err(|failure| format!("refused as a whole: {failure:?}"))?;
    let answer: Value = serde_json::from_str(intake.answer().text()).map_err(|e| e.to_string())?;
    let rejected: Vec<Value> = match &answer["rejected"] {
        Value::Array(list) => {
            list.iter().map(|item| serde_json::json!({"index": item["index"], "code": item["code"]})).collect()
        }
        _ if answer["success"] == false => {
            vec![serde_json::json!({"index": 0, "code": answer["code"]})]
        }
        _ => Vec::new(),
    };
    if rejected != case.expect.rejected {
        return Err(format!("rejected {rejected:?}, expected {:?}", case.expect.rejected));
    }
    let with_creation = case.expect.gauges.iter().any(|gauge| gauge.contains_key("period"))
        || case.settings.contains_key("METRIC_PERIOD");
    let mut actual = gauges(&settings, &intake);
    let with_display = case.expect.gauges.iter().any(|gauge| gauge.contains_key("display_name"));
    if !with_display {
        actual.iter_mut().filter_map(Value::as_object_mut).for_each(|gauge| {
            gauge.remove("display_name");
        });
    }
    if !with_creation {
        for gauge in &mut actual {
            let gauge = gauge.as_object_mut().ok_or("a gauge is an object")?;
            gauge.retain(|key, _| key != "period" && key != "attributes");
        }
    }
    let equal = actual.len() == case.expect.gauges.len()
        && actual.iter().zip(&case.expect.gauges).all(|(actual, expected)| {
            actual.as_object().is_some_and(|actual| {
                actual.len() == expected.len()
                    && expected.iter().all(|(key, value)| actual.get(key).is_some_and(|actual| same(actual, value)))
            })
        });
    if equal {
        return Ok(());
    }
    let show = |gauges: &[Value]| serde_json::to_string(gauges).unwrap_or_default();
    let expected: Vec<_> = case.expect.gauges.iter().cloned().map(Value::Object).collect();
    Err(format!("\n  actual   {}\n  expected {}", show(&actual), show(&expected)))
}

#[test]
fn every_rule_by_its_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mapping");
    let mut failures = Vec::new();
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let rule = path.file_stem().unwrap().to_string_lossy().into_owned();
        // Dates that only the engine parses are tested with it, in `tests/e2e`.
        if rule == "timestamp-native" {
            continue;
        }
        let table: Table =
            serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{rule}: {error}"));
        for case in &table.cases {
            cases += 1;
            if let Err(error) = check(case) {
                failures.push(format!("{rule}: {}: {error}", case.name));
            }
        }
    }
    assert!(cases > 500, "only {cases} cases were found");
    assert!(failures.is_empty(), "{} of {cases}\n{}", failures.len(), failures.join("\n"));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording<'a> {
    #[serde(rename = "in", borrow)]
    event: &'a RawValue,
    out: Option<Map<String, Value>>,
    /// Whether only a JavaScript engine parses its timestamp.
    #[serde(default)]
    native: bool,
}

#[test]
fn names_values_sources_and_seconds_are_those_of_the_original() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/original.jsonl");
    let recorded = fs::read_to_string(file).unwrap();
    let settings = settings([]);
    let received_at = moment("2026-11-23T12:00:00.000Z");
    let (mut compared, mut by_engine, mut failures) = (0, 0, Vec::new());
    for line in recorded.lines() {
        let recording: Recording = serde_json::from_str(line).unwrap();
        ENGINE_ASKED.with(|asked| asked.set(false));
        // Compared in `tests/e2e`, with the engine.
        by_engine += usize::from(recording.native);
        let body = format!("{{\"batch\":[{}]}}", recording.event.get());
        let intake = post(&settings, "/v1/batch", &body, received_at, native_date).unwrap();
        if recording.native {
            assert!(ENGINE_ASKED.with(Cell::get) || recording.out.is_none(), "{line}");
            continue;
        }
        compared += 1;
        let actual = gauges(&settings, &intake);
        let expected: Vec<_> = recording.out.iter().collect();
        let equal = actual.len() == expected.len()
            && actual
                .iter()
                .zip(&expected)
                .all(|(actual, expected)| expected.iter().all(|(key, value)| same(&actual[key.as_str()], value)));
        if !equal {
            failures.push(format!("{line}\n  {actual:?} {}", intake.answer().text()));
        }
    }
    assert!(compared >= 2_500, "only {compared} recordings, and {by_engine} for the engine");
    assert!(
        failures.is_empty(),
        "{} of {compared}\n{}",
        failures.len(),
        failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
    );
}
