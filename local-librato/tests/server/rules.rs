//! Each rule of validation, with a fixed clock.

use local_librato::measurement::{Kind, Sample};
use local_librato::refusal::Refusal;
use local_librato::validate::{Batch, metrics};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_500_000_000;

fn judge(request: &Value) -> Batch {
    metrics(request.to_string().as_bytes(), NOW).unwrap_or_else(|e| panic!("{request}: {e:?}"))
}

/// Returns the errors of the only member.
fn wrong(list: &str, member: &Value) -> Value {
    let mut members = judge(&json!({list: [member]})).members;
    assert_eq!(members.len(), 1);
    match members.remove(0).outcome {
        Ok(_) => json!({}),
        Err(errors) => errors.to_params(),
    }
}

fn check(list: &str, cases: impl IntoIterator<Item = (Value, Value)>) {
    for (member, expected) in cases {
        assert_eq!(wrong(list, &member), expected, "{member}");
    }
}

#[test]
fn names_are_1_to_255_of_a_set() {
    let long = "x".repeat(255);
    let longer = "x".repeat(256);
    let cases = [
        (json!({"name": "Az09.:-_", "value": 1}), json!({})),
        (json!({"name": long, "value": 1}), json!({})),
        (json!({"name": longer, "value": 1}), json!({"name": [format!("{longer} is not a valid metric name")]})),
        (json!({"value": 1}), json!({"name": ["is not present"]})),
        (json!({"name": null, "value": 1}), json!({"name": ["is not present"]})),
        (json!({"name": "", "value": 1}), json!({"name": [" is not a valid metric name"]})),
        (json!({"name": "a b", "value": 1}), json!({"name": ["a b is not a valid metric name"]})),
        (json!({"name": "ä", "value": 1}), json!({"name": ["ä is not a valid metric name"]})),
        (json!({"name": "a\n", "value": 1}), json!({"name": ["a\n is not a valid metric name"]})),
        (json!({"name": 7, "value": 1}), json!({"name": ["7 is not a valid metric name"]})),
    ];
    check("gauges", cases);
}

#[test]
fn sources_are_too_but_for_a_reserved_word() {
    let long = "x".repeat(255);
    let longer = "x".repeat(256);
    let cases = [
        (json!({"name": "a", "value": 1, "source": long}), json!({})),
        (json!({"name": "a", "value": 1, "source": null}), json!({})),
        (json!({"name": "a", "value": 1, "source": "all-"}), json!({})),
        (
            json!({"name": "a", "value": 1, "source": longer}),
            json!({"source": [format!("{longer} is not a valid source name")]}),
        ),
        (json!({"name": "a", "value": 1, "source": "all"}), json!({"source": ["all is not a valid source name"]})),
        (json!({"name": "a", "value": 1, "source": "aLL"}), json!({"source": ["aLL is not a valid source name"]})),
        (json!({"name": "a", "value": 1, "source": "a/b"}), json!({"source": ["a/b is not a valid source name"]})),
        (json!({"name": "a", "value": 1, "source": ""}), json!({"source": [" is not a valid source name"]})),
    ];
    check("gauges", cases);
}

#[test]
fn values_are_json_numbers_within_the_exponents() {
    let cases = [
        (json!({"name": "a", "value": 0}), json!({})),
        (json!({"name": "a", "value": -1.5}), json!({})),
        (json!({"name": "a", "value": 9.99e126}), json!({})),
        (json!({"name": "a", "value": 1e-300}), json!({})),
        (json!({"name": "a", "value": 1e127}), json!({"value": ["is too large: the exponent is above 126"]})),
        (json!({"name": "a", "value": -1e127}), json!({"value": ["is too large: the exponent is above 126"]})),
        (json!({"name": "a", "value": "1"}), json!({"value": ["is not a number"]})),
        (json!({"name": "a", "value": null}), json!({"value": ["is not a number"]})),
        (json!({"name": "a", "value": true}), json!({"value": ["is not a number"]})),
        (json!({"name": "a"}), json!({"value": ["is not present"]})),
    ];
    check("gauges", cases);
}

#[test]
fn summaries_have_count_and_sum() {
    let cases = [
        (json!({"name": "a", "count": 1, "sum": 0}), json!({})),
        (json!({"name": "a", "count": 2, "sum": 3.5, "min": 1, "max": 2.5, "sum_squares": 7.25}), json!({})),
        (json!({"name": "a", "count": 2, "sum": 3, "max": 2}), json!({})),
        (
            json!({"name": "a", "count": 2, "sum": 3, "value": 1}),
            json!({"value": ["must not be set when count is set"]}),
        ),
        (json!({"name": "a", "count": 2}), json!({"sum": ["is required"]})),
        (json!({"name": "a", "count": 2, "sum": null}), json!({"sum": ["is not a number"]})),
        (json!({"name": "a", "count": 0, "sum": 0}), json!({"count": ["must be positive"]})),
        (json!({"name": "a", "count": -1, "sum": 0}), json!({"count": ["must be positive"]})),
        (json!({"name": "a", "count": 1.5, "sum": 0}), json!({"count": ["is not an integer"]})),
        (json!({"name": "a", "count": "1", "sum": 0}), json!({"count": ["is not a number"]})),
        (
            json!({"name": "a", "count": 1, "sum": 1e200, "min": "x", "max": [], "sum_squares": 1e127}),
            json!({
                "sum": ["is too large: the exponent is above 126"],
                "min": ["is not a number"],
                "max": ["is not a number"],
                "sum_squares": ["is too large: the exponent is above 126"],
            }),
        ),
        (
            json!({"name": "a", "sum": 1}),
            json!({"sum": ["must not be set without count"], "value": ["is not present"]}),
        ),
        (json!({"name": "a", "value": 1, "min": 1}), json!({"min": ["must not be set without count"]})),
    ];
    check("gauges", cases);
}

#[test]
fn times_are_whole_seconds_from_two_hours_ago_to_ten_minutes_ahead() {
    let cases = [
        (json!({"name": "a", "value": 1, "measure_time": NOW}), json!({})),
        (json!({"name": "a", "value": 1, "measure_time": NOW - 7200}), json!({})),
        (json!({"name": "a", "value": 1, "measure_time": NOW + 600}), json!({})),
        (
            json!({"name": "a", "value": 1, "measure_time": NOW - 7201}),
            json!({"measure_time": ["is too far in the past"]}),
        ),
        (
            json!({"name": "a", "value": 1, "measure_time": NOW + 601}),
            json!({"measure_time": ["is too far in the future"]}),
        ),
        (
            json!({"name": "a", "value": 1, "measure_time": NOW * 1000}),
            json!({"measure_time": ["is too far in the future"]}),
        ),
        (
            json!({"name": "a", "value": 1, "measure_time": u64::MAX}),
            json!({"measure_time": ["is too far in the future"]}),
        ),
        (json!({"name": "a", "value": 1, "measure_time": -1}), json!({"measure_time": ["is too far in the past"]})),
        (
            json!({"name": "a", "value": 1, "measure_time": 1_500_000_000.5}),
            json!({"measure_time": ["is not an integer"]}),
        ),
        (
            json!({"name": "a", "value": 1, "measure_time": "1500000000"}),
            json!({"measure_time": ["is not an integer"]}),
        ),
        (json!({"name": "a", "value": 1, "measure_time": null}), json!({"measure_time": ["is not an integer"]})),
    ];
    check("gauges", cases);
}

#[test]
fn properties_have_their_types() {
    let cases = [
        (
            json!({
                "name": "a", "value": 1, "type": "gauge", "display_name": "A", "description": "an a",
                "period": 60, "attributes": {
                    "aggregate": true, "summarize_function": "sum", "display_min": 0,
                    "display_max": null, "display_units_short": "a", "display_units_long": "as",
                    "display_stacked": false, "display_transform": "x*(9/5)+32",
                    "gap_detection": true, "color": "#52D74C", "created_by_ua": "me",
                },
            }),
            json!({}),
        ),
        (
            json!({
                "name": "a", "value": 1, "type": "counter", "display_name": 1, "description": [],
                "period": 1.5, "attributes": {
                    "aggregate": "true", "summarize_function": "mean", "display_min": "0",
                    "display_units_short": 1, "display_stacked": 0, "display_transform": "y",
                    "gap_detection": "no", "color": "red", "colour": "red",
                },
            }),
            json!({
                "type": ["'a' is a gauge, but was submitted as different type"],
                "display_name": ["is not a string"],
                "description": ["is not a string"],
                "period": ["is not an integer"],
                "aggregate": ["must be true or false"],
                "summarize_function": ["must be one of average, sum, count, min, max"],
                "display_min": ["is not a number"],
                "display_units_short": ["is not a string"],
                "display_stacked": ["must be true or false"],
                "display_transform": ["is not a linear formula"],
                "gap_detection": ["must be true or false"],
                "color": ["must look like #52D74C"],
                "colour": ["is not a known parameter"],
            }),
        ),
        (json!({"name": "a", "value": 1, "period": 0}), json!({"period": ["must be positive"]})),
        (json!({"name": "a", "value": 1, "attributes": 1}), json!({"attributes": ["is not a hash"]})),
        (json!({"name": "a", "value": 1, "period": 3600}), json!({})),
        (
            json!({"name": "a", "value": 1, "period": 9, "attributes": {"aggregate": true}}),
            json!({"period": ["must be between 10 and 600 seconds for service-side aggregation"]}),
        ),
        (
            json!({"name": "a", "value": 1, "period": 601, "attributes": {"aggregate": true}}),
            json!({"period": ["must be between 10 and 600 seconds for service-side aggregation"]}),
        ),
        (json!({"name": "a", "value": 1, "period": 10, "attributes": {"aggregate": true}}), json!({})),
        (json!({"name": "a", "value": 1, "period": 600, "attributes": {"aggregate": true}}), json!({})),
    ];
    check("gauges", cases);
}

#[test]
fn what_nobody_knows_or_only_the_other_api() {
    let cases = [
        (
            json!({"name": "a", "value": 1, "tags": {"a": "b"}, "stddev": 1}),
            json!({"tags": ["is not a known parameter"], "stddev": ["is not a known parameter"]}),
        ),
        (json!(7), json!({"measurement": ["is not a hash"]})),
        (json!(null), json!({"measurement": ["is not a hash"]})),
    ];
    check("gauges", cases);
}

#[test]
fn counters() {
    let cases = [
        (json!({"name": "a", "value": 0}), json!({})),
        (json!({"name": "a", "value": 1, "source": "b", "measure_time": NOW, "period": 5}), json!({})),
        (json!({"name": "a", "value": -1}), json!({"value": ["must be positive"]})),
        (json!({"name": "a", "value": "1"}), json!({"value": ["is not a number"]})),
        (json!({"name": "a"}), json!({"value": ["is not present"]})),
        (
            json!({"name": "a", "value": 1, "count": 1, "sum": 1}),
            json!({"count": ["is not a known parameter"], "sum": ["is not a known parameter"]}),
        ),
        (
            json!({"name": "a", "value": 1, "attributes": {"aggregate": true}}),
            json!({"aggregate": ["is an attribute of gauges only"]}),
        ),
        (
            json!({"name": "a", "value": 1, "type": "gauge"}),
            json!({"type": ["'a' is a counter, but was submitted as different type"]}),
        ),
    ];
    check("counters", cases);
}

#[test]
fn a_tiny_number_is_zero() {
    for (given, taken) in [(1.01e-130, 1.01e-130), (9.9e-131, 0.0), (-1e-200, 0.0), (5e-324, 0.0)] {
        let batch = judge(&json!({"gauges": [{"name": "a", "value": given}]}));
        let measurement = batch.members[0].outcome.as_ref().unwrap();
        assert_eq!(measurement.sample, Sample::single(taken), "{given}");
    }
}

#[test]
fn a_list_is_an_array_or_a_hash() {
    let names = |list: Value| -> Vec<String> {
        let members = judge(&json!({"gauges": list})).members.into_iter();
        members.map(|member| member.outcome.unwrap().name).collect()
    };
    assert_eq!(names(json!([{"name": "b", "value": 1}, {"name": "a", "value": 1}])), ["b", "a"]);
    assert_eq!(names(json!({"login": {"value": 1}})), ["login"]);
    assert_eq!(names(json!({"0": {"name": "login", "value": 1}})), ["login"]);
}

#[test]
fn a_hash_keeps_its_order() {
    let body = r#"{"gauges": {"10": {"name": "x", "value": 1}, "9": {"name": "x", "value": 2}}}"#;
    let members = metrics(body.as_bytes(), NOW).unwrap().members;
    let values = members.into_iter().map(|member| member.outcome.unwrap().sample.sum);
    assert_eq!(values.collect::<Vec<_>>(), [1.0, 2.0]);
}

#[test]
fn the_top_level_has_defaults() {
    let batch = judge(&json!({
        "source": "s", "measure_time": NOW - 5, "period": 30, "attributes": {"aggregate": true},
        "gauges": [
            {"name": "a", "value": 1},
            {"name": "b", "value": 1, "source": "t", "measure_time": NOW - 6, "period": 10,
             "attributes": {"aggregate": false}},
            {"name": "c", "value": 1, "source": null},
        ],
    }));
    let taken: Vec<_> = batch
        .members
        .into_iter()
        .map(|member| {
            let m = member.outcome.unwrap();
            (m.source, m.time, m.properties.period, json!(m.properties.attributes))
        })
        .collect();
    let s = ("s".to_owned(), NOW - 5, Some(30), json!({"aggregate": true}));
    let t = ("t".to_owned(), NOW - 6, Some(10), json!({"aggregate": false}));
    assert_eq!(taken, [s.clone(), t, s]);
}

#[test]
fn without_defaults_it_is_unassigned_and_now() {
    let batch = judge(&json!({"counters": [{"name": "a", "value": 1}], "gauges": null}));
    let measurement = batch.members[0].outcome.as_ref().unwrap();
    assert_eq!(measurement.kind, Kind::Counter);
    assert_eq!((measurement.source.as_str(), measurement.time), ("unassigned", NOW));
}

#[test]
fn a_bad_default_harms_only_those_that_take_it() {
    let batch = judge(&json!({
        "source": "a b",
        "gauges": [{"name": "a", "value": 1, "source": "s"}, {"name": "a", "value": 1}],
    }));
    assert!(batch.errors.is_empty());
    assert!(batch.members[0].outcome.is_ok());
    let errors = batch.members[1].outcome.as_ref().unwrap_err();
    assert_eq!(errors.to_params(), json!({"source": ["a b is not a valid source name"]}));
}

#[test]
fn what_the_top_level_does_not_know() {
    let gauge = json!([{"name": "a", "value": 1}]);
    let cases = [
        (json!({"gauges": gauge, "tags": {}}), json!({"tags": ["is not a known parameter"]})),
        (
            json!({"gauges": 1, "counters": "x"}),
            json!({"gauges": ["must be an array or a hash"], "counters": ["must be an array or a hash"]}),
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(judge(&request).errors.to_params(), expected, "{request}");
    }
}

#[test]
fn what_is_refused_unread() {
    let deep = format!(r#"{{"gauges":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let cases = [
        ("", Refusal::Unparsable),
        ("{", Refusal::Unparsable),
        ("gauges[0][name]=a", Refusal::Unparsable),
        (r#"{"gauges":[{"name":"a","value":NaN}]}"#, Refusal::Unparsable),
        (r#"{"gauges":[{"name":"a","value":Infinity}]}"#, Refusal::Unparsable),
        (r#"{"gauges":[{"name":"a","value":1e400}]}"#, Refusal::Unparsable),
        (r#"{"gauges":[{"name":"\ud800","value":1}]}"#, Refusal::Unparsable),
        (deep.as_str(), Refusal::Unparsable),
        ("{}", Refusal::NoMeasurement),
        ("[]", Refusal::NoMeasurement),
        ("null", Refusal::NoMeasurement),
        (r#"{"gauges":[]}"#, Refusal::NoMeasurement),
        (r#"{"gauges":[],"counters":{}}"#, Refusal::NoMeasurement),
        (r#"{"gauges":null,"source":"a"}"#, Refusal::NoMeasurement),
    ];
    for (body, expected) in cases {
        assert_eq!(metrics(body.as_bytes(), NOW).unwrap_err(), expected, "{body}");
    }
    let not_utf8 = b"{\"gauges\":[{\"name\":\"\xff\",\"value\":1}]}";
    assert_eq!(metrics(not_utf8, NOW).unwrap_err(), Refusal::Unparsable);
}

/// Generates any JSON, in which known names are frequent.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (NOW - 8000..NOW + 1000).prop_map(Value::from),
        "[a-z.:_ -]{0,6}".prop_map(Value::from),
        ".{0,300}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        "(gauges|counters|measurements|name|source|tags|value|count|sum|measure_time|time|attributes)",
        ".{0,4}",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Any input is validated, and an accepted measurement follows the rules.
    #[test]
    fn what_passes_keeps_to_the_rules(list in any_json(), text in ".{0,200}") {
        let _ = metrics(text.as_bytes(), NOW);
        let request = json!({"gauges": list});
        let Ok(batch) = metrics(request.to_string().as_bytes(), NOW) else { return Ok(()) };
        for member in batch.members {
            let Ok(measurement) = member.outcome else { continue };
            for name in [&measurement.name, &measurement.source] {
                prop_assert!((1..=255).contains(&name.len()));
            }
            prop_assert!((NOW - 7200..=NOW + 600).contains(&measurement.time));
            prop_assert!(measurement.sample.count >= 1);
            prop_assert!(measurement.sample.sum.abs() < 1e127);
        }
    }
}
