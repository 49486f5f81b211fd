//! `POST /v1/measurements`.

use serde_json::{Value, json};

use crate::librato::{Answer, Librato, now};

fn post(librato: &Librato, request: &Value) -> Answer {
    librato.call("POST", "/v1/measurements", request).unwrap()
}

#[test]
fn success_is_202_with_a_summary() {
    let librato = Librato::new();
    let answer = post(
        &librato,
        &json!({"measurements": [
            {"name": "a", "value": 1, "tags": {"source": "s"}},
            {"name": "a", "count": 2, "sum": 3, "min": 1, "max": 2, "last": 2, "stddev": 0.5, "tags": {"source": "s"}},
        ]}),
    );
    assert_eq!(answer.status, 202);
    assert_eq!(
        answer.json(),
        json!({"measurements": {"summary": {"total": 2, "accepted": 2, "failed": 0, "filtered": 0}}})
    );
    let metric = librato.metric("a");
    assert_eq!((&metric["count"], &metric["sum"], &metric["type"]), (&json!(3), &json!(4.0), &json!("gauge")));
    assert_eq!(metric["sources"][0]["source"], "s");
    let request = librato.last_request();
    assert_eq!((&request["path"], &request["gauges"]), (&json!("/v1/measurements"), &json!(2)));
    assert_eq!(request["members"][0]["tags"], json!({"source": "s"}));
}

#[test]
fn each_measurement_stands_for_itself() {
    let librato = Librato::new();
    assert_eq!(librato.post(&json!({"counters": [{"name": "c", "value": 1}]})).status, 200);
    let time = now() - 7300;
    let answer = post(
        &librato,
        &json!({"tags": {"source": "s"}, "measurements": [
            {"name": "good", "value": 1},
            {"name": "not good", "value": 1},
            {"name": "late", "value": 1, "time": time},
            {"name": "c", "value": 1},
            {"value": "1"},
            7,
            {"name": "good", "value": 2},
        ]}),
    );
    assert_eq!(answer.status, 202);
    assert_eq!(
        answer.json(),
        json!({
            "measurements": {"summary": {"total": 7, "accepted": 2, "failed": 5, "filtered": 0}},
            "errors": [
                {"name": "not good", "param": "name", "reason": "not good is not a valid metric name"},
                {"name": "late", "param": "time", "reason": "is too far in the past"},
                {"name": "c", "param": "type", "reason": "'c' is a counter, but was submitted as different type"},
                {"name": null, "param": "name", "reason": "is not present"},
                {"name": null, "param": "value", "reason": "is not a number"},
                {"name": null, "param": "measurement", "reason": "is not a hash"},
            ],
        })
    );
    assert_eq!(librato.metric("good")["sum"], 3.0);
    let state = librato.state();
    assert_eq!((&state["accepted"], &state["refused"]), (&json!(3), &json!(5)));
}

#[test]
fn requests_refused_as_a_whole() {
    let librato = Librato::new();
    let cases = [
        (json!({"measurements": []}), 400, json!({"errors": ["Payload must include at least 1 measurement"]})),
        (json!({}), 400, json!({"errors": ["Payload must include at least 1 measurement"]})),
        (json!([]), 422, json!({"errors": ["the payload is not a hash"]})),
        (json!({"measurements": {}}), 422, json!({"errors": ["measurements must be an array"]})),
        (
            json!({"measurements": [{"name": "a", "value": 1}], "source": "s"}),
            422,
            json!({"errors": ["source is not a known parameter"]}),
        ),
    ];
    for (request, status, expected) in cases {
        let answer = post(&librato, &request);
        assert_eq!((answer.status, answer.json()), (status, expected), "{request}");
    }
    let too_large = post(
        &librato,
        &json!({"tags": {"a": "b"}, "measurements": [{"name": "a", "value": 1}, {"name": "a", "value": 1e127}]}),
    );
    assert_eq!(too_large.status, 400);
    assert_eq!(too_large.json()["errors"]["params"], json!({"value": ["is too large: the exponent is above 126"]}));
    let request = librato.last_request();
    assert_eq!(request["members"][0]["verdict"], "not stored");
    assert_eq!(request["members"][1]["verdict"], "refused");
    let headers = [("authorization", "Basic bG9jYWw6bG9jYWw="), ("content-type", "application/json")];
    let garbage = librato.ask("POST", "/v1/measurements", &headers, "{").unwrap();
    assert_eq!((garbage.status, garbage.json()), (400, json!({"code": 400, "message": "Unable to process JSON"})));
    assert_eq!(librato.state()["metrics"], json!([]));
}

#[test]
fn tags() {
    let librato = Librato::new();
    let many = |n: usize| -> Value { (0..n).map(|i| (format!("t{i}"), json!("v"))).collect() };
    let invalid_name = Some("has an invalid tag name");
    let invalid_value = Some("has an invalid tag value");
    let cases = [
        (json!({"source": "s"}), None),
        (json!({"-.:_aZ9": "-.:_?\\/ aZ9"}), None),
        (json!({"a".repeat(64): "b".repeat(255)}), None),
        (many(50), None),
        (json!({"a".repeat(65): "b"}), invalid_name),
        (json!({"": "b"}), invalid_name),
        (json!({"a b": "c"}), invalid_name),
        (json!({"a": "b".repeat(256)}), invalid_value),
        (json!({"a": ""}), invalid_value),
        (json!({"a": "b\nc"}), invalid_value),
        (json!({"a": "ä"}), invalid_value),
        (json!({"a": 1}), invalid_value),
        (json!({"a": null}), invalid_value),
        (many(51), Some("are more than 50")),
        (json!({}), Some("is required")),
        (json!(null), Some("is required")),
        (json!("a"), Some("is not a hash")),
    ];
    for (tags, reason) in cases {
        let answer = post(&librato, &json!({"measurements": [{"name": "a", "value": 1, "tags": tags}]}));
        let expected = match reason {
            None => json!(null),
            Some(reason) => json!([{"name": "a", "param": "tags", "reason": reason}]),
        };
        assert_eq!(answer.json()["errors"], expected, "{tags}");
    }
}

#[test]
fn own_tags_replace_those_at_the_top_and_all_are_lower_case() {
    let librato = Librato::new();
    let answer = post(
        &librato,
        &json!({
            "tags": {"Source": "WEB", "Region": "EU West"}, "time": now() - 5,
            "measurements": [
                {"name": "a", "value": 1},
                {"name": "a", "value": 2, "tags": {"source": "App"}},
                {"name": "a", "value": 4, "tags": {"region": "us"}},
                {"name": "b", "value": 1},
            ],
        }),
    );
    assert_eq!(answer.json()["errors"], json!(null));
    let sources: Vec<_> = librato.metric("a")["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["source"].as_str().unwrap().to_owned(), s["sum"].as_f64().unwrap()))
        .collect();
    let expected = [("web,region=eu west", 1.0), ("app", 2.0), ("region=us", 4.0)];
    assert_eq!(sources, expected.map(|(source, sum)| (source.to_owned(), sum)));
}

#[test]
fn both_ways_lead_to_the_same_metric() {
    let librato = Librato::new();
    librato.store(&json!([{"name": "Orders", "source": "Web", "value": 1}]));
    let answer = post(&librato, &json!({"measurements": [{"name": "orders", "value": 2, "tags": {"source": "web"}}]}));
    assert_eq!(answer.status, 202);
    let metric = librato.metric("Orders");
    assert_eq!((&metric["sum"], &metric["sources"][0]["source"]), (&json!(3.0), &json!("Web")));
    assert_eq!(metric["sources"].as_array().unwrap().len(), 1);
}

#[test]
fn properties_act_on_creation() {
    let librato = Librato::new();
    let answer = post(
        &librato,
        &json!({"tags": {"source": "s"}, "period": 30, "measurements": [
            {"name": "a", "value": 1, "attributes": {"aggregate": true, "summarize_function": "sum"}},
            {"name": "a", "value": 1, "period": 60},
        ]}),
    );
    assert_eq!(answer.json()["errors"], json!(null));
    let metric = librato.metric("a");
    assert_eq!((&metric["period"], &metric["aggregate"]), (&json!(30), &json!(true)));
}

#[test]
fn what_only_the_other_api_knows() {
    let librato = Librato::new();
    let answer = post(
        &librato,
        &json!({"tags": {"a": "b"}, "measurements": [
            {"name": "a", "count": 1, "sum": 1, "sum_squares": 1, "measure_time": 1, "source": "s", "type": "gauge"},
        ]}),
    );
    let body = answer.json();
    let mut params: Vec<_> = body["errors"].as_array().unwrap().iter().map(|e| e["param"].as_str().unwrap()).collect();
    params.sort_unstable();
    assert_eq!(params, ["measure_time", "source", "sum_squares", "type"]);
}
