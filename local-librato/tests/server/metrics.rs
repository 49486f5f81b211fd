//! `POST /v1/metrics` on the wire.

use serde_json::{Value, json};

use crate::librato::{Librato, now};

/// Checks for a 400 with a `request_time`, and returns its body without that.
fn refused(librato: &Librato, request: &Value) -> Value {
    let answer = librato.post(request);
    assert_eq!(answer.status, 400, "{request}: {}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let mut body = answer.json();
    let time = body["request_time"].take().as_i64().unwrap();
    assert!((now() - 60..=now()).contains(&time), "{time}");
    body["errors"]["params"].take()
}

#[test]
fn success_is_200_and_empty() {
    let librato = Librato::new();
    let answer = librato.post(&json!({"gauges": [{"name": "a", "value": 1}]}));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, "");
    assert_eq!(answer.header("content-length"), Some("0"));
    assert_eq!(answer.header("content-type"), None);
}

#[test]
fn a_request_is_stored_whole_or_not_at_all() {
    let librato = Librato::new();
    let errors = refused(
        &librato,
        &json!({
            "gauges": [
                {"name": "good", "value": 1},
                {"name": "bad", "value": "1"},
                {"name": "also bad", "value": 1},
            ],
        }),
    );
    // Only the first invalid member is named.
    assert_eq!(errors, json!({"value": ["is not a number"]}));
    let state = librato.state();
    assert_eq!(state["metrics"], json!([]));
    assert_eq!((&state["accepted"], &state["refused"]), (&json!(0), &json!(2)));
    let verdicts: Vec<_> = librato.last_request()["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["verdict"].clone(), m["reason"].clone()))
        .collect();
    assert_eq!(
        verdicts,
        [
            (json!("not stored"), json!("the request was refused as a whole")),
            (json!("refused"), json!("value: is not a number")),
            (json!("refused"), json!("name: also bad is not a valid metric name")),
        ]
    );
}

#[test]
fn bodies_of_refusals() {
    let librato = Librato::new();
    let cases = [
        (
            json!({"gauges": [{"name": "a", "value": 1, "measure_time": now() - 7300}]}),
            json!({"measure_time": ["is too far in the past"]}),
        ),
        (
            json!({"gauges": [{"name": "a", "value": 1, "measure_time": now() + 700}]}),
            json!({"measure_time": ["is too far in the future"]}),
        ),
        (
            json!({"gauges": [{"name": "a", "count": 0}]}),
            json!({"count": ["must be positive"], "sum": ["is required"]}),
        ),
        (json!({"gauges": [{"name": "a", "value": 1}], "extra": 1}), json!({"extra": ["is not a known parameter"]})),
    ];
    for (request, expected) in cases {
        assert_eq!(refused(&librato, &request), expected, "{request}");
    }
    let empty = librato.post(&json!({"gauges": [], "counters": []}));
    assert_eq!(empty.status, 400);
    assert_eq!(empty.json(), json!({"errors": {"request": ["Must contain a measurement"]}}));
    let headers = [("authorization", "Basic bG9jYWw6bG9jYWw="), ("content-type", "application/json")];
    let garbage = librato.ask("POST", "/v1/metrics", &headers, r#"{"gauges":[{"value":NaN}]}"#).unwrap();
    assert_eq!(garbage.status, 400);
    assert_eq!(garbage.json(), json!({"code": 400, "message": "Unable to process JSON"}));
    assert_eq!(librato.state()["metrics"], json!([]));
}

#[test]
fn a_metric_keeps_its_type() {
    let librato = Librato::new();
    librato.store(&json!([{"name": "Hits", "value": 1}]));
    let errors = refused(
        &librato,
        &json!({
            "gauges": [{"name": "fine", "value": 1}],
            "counters": [{"name": "hits", "value": 1}, {"name": "HITS", "value": 1}],
        }),
    );
    assert_eq!(
        errors,
        json!({"type": [
            "'hits' is a gauge, but was submitted as different type",
            "'HITS' is a gauge, but was submitted as different type",
        ]})
    );
    // The same within one request.
    let errors = refused(
        &librato,
        &json!({
            "counters": [{"name": "new", "value": 1}],
            "gauges": [{"name": "new", "value": 1}],
        }),
    );
    assert_eq!(errors, json!({"type": ["'new' is a counter, but was submitted as different type"]}));
    assert_eq!(librato.state()["metrics"].as_array().unwrap().len(), 1);
}

#[test]
fn credentials_come_first() {
    let librato = Librato::new();
    // "local:wrong", "locallocal", and three that are not Basic.
    for authorization in [
        None,
        Some("Basic bG9jYWw6d3Jvbmc="),
        Some("Basic bG9jYWxsb2NhbA=="),
        Some("Basic !"),
        Some("Bearer bG9jYWw6bG9jYWw="),
        Some("bG9jYWw6bG9jYWw="),
    ] {
        let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        for (method, path) in [
            ("POST", "/v1/metrics"),
            ("POST", "/v1/measurements"),
            ("GET", "/v1/metrics"),
            ("GET", "/v1/metrics/a?unknown=1"),
            ("PUT", "/v1/metrics/a"),
        ] {
            let answer = librato.ask(method, path, &headers, "not JSON").unwrap();
            assert_eq!(answer.status, 401, "{method} {path} {authorization:?}");
            assert_eq!(answer.body, "Credentials are required to access this resource.");
            assert_eq!(answer.header("content-type"), Some("text/plain"));
            assert!(answer.header("www-authenticate").unwrap().starts_with("Basic "));
        }
    }
}

#[test]
fn other_credentials_can_be_set() {
    let librato = crate::librato::start(&["--user", "me@example.com", "--token", "a:b"]);
    let good = [("authorization", "basic bWVAZXhhbXBsZS5jb206YTpi"), ("content-type", "application/json")];
    let body = r#"{"gauges":[{"name":"a","value":1}]}"#;
    assert_eq!(librato.ask("POST", "/v1/metrics", &good, body).unwrap().status, 200);
    assert_eq!(librato.get("/v1/metrics").status, 401);
}

#[test]
fn then_the_content_type() {
    let librato = Librato::new();
    let basic = ("authorization", "Basic bG9jYWw6bG9jYWw=");
    for (content_type, status) in [
        (Some("application/json"), 400),
        (Some("Application/JSON ; charset=utf-8"), 400),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("application/jsonp"), 415),
        (Some("text/plain"), 415),
        (None, 415),
    ] {
        let mut headers = vec![basic];
        headers.extend(content_type.map(|value| ("content-type", value)));
        for (method, path) in [("POST", "/v1/metrics"), ("POST", "/v1/measurements"), ("PUT", "/v1/metrics/a")] {
            let answer = librato.ask(method, path, &headers, "not JSON").unwrap();
            assert_eq!(answer.status, status, "{method} {path} {content_type:?}");
        }
    }
}

#[test]
fn three_megabytes_are_the_limit() {
    let librato = Librato::new();
    let request = |length: usize| {
        let empty = json!({"gauges": [{"name": "a", "value": 1, "description": ""}]});
        let padding = "x".repeat(length - empty.to_string().len());
        json!({"gauges": [{"name": "a", "value": 1, "description": padding}]})
    };
    assert_eq!(librato.post(&request(3_000_000)).status, 200);
    for length in [3_000_001, 20_000_000] {
        let answer = librato.post(&request(length));
        assert_eq!((answer.status, answer.body.as_str()), (413, ""));
    }
    let last = librato.last_request();
    assert_eq!((&last["status"], &last["bytes"]), (&json!(413), &json!(20_000_000)));
    assert_eq!(librato.metric("a")["count"], 1);
}

#[test]
fn every_answer_tells_the_limits() {
    let librato = Librato::new();
    let limits = |answer: &crate::librato::Answer| {
        ["x-librato-ratelimit-agg", "x-librato-ratelimit-std"].map(|name| {
            let value = answer.header(name).unwrap();
            let left = value.strip_prefix("limit=600000,remaining=").unwrap();
            let (remaining, reset) = left.split_once(",reset=").unwrap();
            assert!((now()..=now() + 600).contains(&reset.parse().unwrap()), "{value}");
            remaining.parse::<u32>().unwrap()
        })
    };
    // A window may end in between: the sum must be right in at least one of them.
    crate::librato::wait_for("both within a window", || {
        let [before, plain] = limits(&librato.get("/v1/metrics/none"));
        let answer = librato.post(&json!({"gauges": [
            {"name": "a", "value": 1, "attributes": {"aggregate": true}},
            {"name": "a", "value": 1},
            {"name": "b", "value": 1},
        ]}));
        limits(&answer) == [before - 2, plain - 1]
    });
    let unauthorized = librato.ask("GET", "/v1/metrics", &[], "").unwrap();
    limits(&unauthorized);
}

#[test]
fn unknown_routes_and_methods() {
    let librato = Librato::new();
    assert_eq!(librato.get("/v1/alerts").status, 404);
    assert_eq!(librato.call("DELETE", "/v1/metrics", &json!({})).unwrap().status, 405);
}

#[test]
fn properties_act_when_a_metric_is_created_and_never_again() {
    let librato = Librato::new();
    let gauge = |period: u32, function: &str| {
        json!([{
            "name": "Orders", "value": 1, "period": period, "description": function,
            "attributes": {"aggregate": true, "summarize_function": function},
        }])
    };
    librato.store(&gauge(60, "sum"));
    librato.store(&gauge(30, "max"));
    let metric = librato.get("/v1/metrics/orders").json();
    let agent = metric["attributes"]["created_by_ua"].as_str().unwrap();
    assert!(agent.starts_with("ureq/"), "{agent}");
    assert_eq!(
        metric,
        json!({
            "name": "Orders",
            "type": "gauge",
            "display_name": null,
            "description": "sum",
            "period": 60,
            "attributes": {"aggregate": true, "summarize_function": "sum", "created_by_ua": agent},
        })
    );
    // Within one request the first member creates the metric.
    librato.store(&json!([
        {"name": "plain", "value": 1},
        {"name": "plain", "value": 1, "period": 60, "attributes": {"aggregate": true}},
    ]));
    let metric = librato.metric("plain");
    assert_eq!((&metric["period"], &metric["aggregate"]), (&json!(null), &json!(false)));
}

#[test]
fn names_and_sources_ignore_case_and_keep_their_first_spelling() {
    let librato = Librato::new();
    librato.store(&json!([
        {"name": "Order-Completed", "source": "Web", "value": 1},
        {"name": "ORDER-completed", "source": "WEB", "value": 2},
        {"name": "order-completed", "source": "app", "value": 4},
        {"name": "order-completed", "value": 8},
    ]));
    let metric = librato.metric("Order-Completed");
    let sources: Vec<_> = metric["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["source"].as_str().unwrap(), s["count"].as_u64().unwrap(), s["sum"].as_f64().unwrap()))
        .collect();
    assert_eq!(sources, [("Web", 2, 3.0), ("app", 1, 4.0), ("unassigned", 1, 8.0)]);
    assert_eq!(librato.state()["metrics"].as_array().unwrap().len(), 1);
}
