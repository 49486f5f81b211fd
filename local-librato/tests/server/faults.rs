//! Fault injection.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::librato::{Answer, Librato, now, wait_for};

fn post(librato: &Librato) -> Result<Answer, ureq::Error> {
    librato.call("POST", "/v1/metrics", &json!({"gauges": [{"name": "a", "value": 1}]}))
}

/// Returns the number of stored samples of the metric.
fn stored(librato: &Librato) -> u64 {
    let metrics = librato.state()["metrics"].take();
    metrics[0]["count"].as_u64().unwrap_or_default()
}

#[test]
fn answers() {
    let librato = Librato::new();
    let limit = "You have hit the API limit for measurements [measure:raw_rate]. Contact: support@librato.com to adjust this limit.";
    let cases = [
        ("500", 500, Some(json!({"errors": {"system": ["An internal error occurred"]}}))),
        ("503", 503, Some(json!({"errors": {"system": ["The service is down for maintenance"]}}))),
        ("504", 504, None),
        ("429", 429, Some(json!({"error": limit}))),
        ("403-limit", 403, Some(json!({"error": limit}))),
        (
            "403-readonly",
            403,
            Some(json!({"errors": {"request": ["The token is not allowed to submit measurements"]}})),
        ),
        ("401", 401, None),
        ("413", 413, None),
        ("400-garbage", 400, None),
        ("200-errors", 200, Some(json!({"errors": ["The measurements could not be stored"]}))),
    ];
    for (name, status, expected) in cases {
        let queued = librato.fault(&json!({"answer": name}));
        assert_eq!(queued["faults"][0]["answer"], name);
        let answer = post(&librato).unwrap();
        assert_eq!(answer.status, status, "{name}");
        if let Some(expected) = expected {
            let mut body = answer.json();
            body.as_object_mut().unwrap().remove("request_time");
            assert_eq!(body, expected, "{name}");
        } else {
            assert!(serde_json::from_str::<Value>(&answer.body).is_err(), "{}", answer.body);
        }
        assert_eq!(answer.header("retry-after"), None, "{name}");
        assert!(answer.header("x-librato-ratelimit-std").is_some(), "{name}");

        let request = librato.last_request();
        assert_eq!((&request["fault"], &request["status"]), (&json!(name), &json!(status)));
        assert_eq!(request["members"][0]["verdict"], "not stored");
        assert_eq!(request["members"][0]["reason"], format!("fault {name}"));
        let error = (status != 200).then_some(answer.body);
        assert_eq!(request["error"], json!(error));
    }
    assert_eq!(stored(&librato), 0);
    assert_eq!(post(&librato).unwrap().status, 200);
    assert_eq!(stored(&librato), 1);
}

#[test]
fn the_plain_text_of_a_401_and_the_empty_413() {
    let librato = Librato::new();
    librato.fault(&json!({"answer": "401"}));
    librato.fault(&json!({"answer": "413"}));
    let answer = post(&librato).unwrap();
    assert_eq!(answer.body, "Credentials are required to access this resource.");
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    let answer = post(&librato).unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (413, ""));
}

#[test]
fn limits_tell_when_they_end() {
    let librato = Librato::new();
    for name in ["429", "403-limit"] {
        librato.fault(&json!({"answer": name, "retryAfter": 7}));
        let answer = post(&librato).unwrap();
        assert_eq!(answer.header("retry-after"), Some("7"));
        for header in ["x-librato-ratelimit-agg", "x-librato-ratelimit-std"] {
            let value = answer.header(header).unwrap();
            let reset = value.strip_prefix("limit=600000,remaining=0,reset=").unwrap();
            assert!((now()..=now() + 7).contains(&reset.parse().unwrap()), "{value}");
        }
    }
    librato.fault(&json!({"answer": "503", "retryAfter": 30}));
    assert_eq!(post(&librato).unwrap().header("retry-after"), Some("30"));
}

#[test]
fn a_body_of_ones_own() {
    let librato = Librato::new();
    for (body, content_type) in
        [(r#"{"errors":{"params":{"name":["a"]}}}"#, "application/json"), ("what?", "text/html")]
    {
        librato.fault(&json!({"answer": "400-garbage", "body": body}));
        let answer = post(&librato).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (400, body));
        assert_eq!(answer.header("content-type"), Some(content_type));
    }
}

#[test]
fn orders_are_taken_in_turn() {
    let librato = Librato::new();
    librato.fault(&json!({"answer": "503", "times": 2}));
    librato.fault(&json!({"answer": "500", "times": 0}));
    let statuses = |n: usize| -> Vec<u16> { (0..n).map(|_| post(&librato).unwrap().status).collect() };
    assert_eq!(statuses(1), [503]);
    let queue = librato.get("/local/faults").json();
    let expected = json!({"faults": [
        {"answer": "503", "times": 2, "remaining": 1, "retryAfter": null, "delayMs": null, "body": null},
        {"answer": "500", "times": 0, "remaining": null, "retryAfter": null, "delayMs": null, "body": null},
    ]});
    assert_eq!(queue, expected);
    assert_eq!(librato.state()["faults"], expected["faults"]);
    assert_eq!(statuses(3), [503, 500, 500]);
    let cleared = librato.call("DELETE", "/local/faults", &json!({})).unwrap();
    assert_eq!((cleared.status, cleared.json()), (200, json!({"faults": []})));
    assert_eq!(statuses(1), [200]);
}

#[test]
fn only_measurements_use_them_up() {
    let librato = Librato::new();
    librato.fault(&json!({"answer": "503"}));
    assert_eq!(librato.get("/v1/metrics").status, 200);
    assert_eq!(librato.put("b", &json!({"type": "gauge"})).status, 201);
    assert_eq!(post(&librato).unwrap().status, 503);
    // A fault affects the other API too.
    librato.fault(&json!({"answer": "503"}));
    let answer = librato.call("POST", "/v1/measurements", &json!({})).unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(librato.last_request()["path"], "/v1/measurements");
}

#[test]
fn slow_answers_rightly() {
    let librato = Librato::new();
    librato.fault(&json!({"answer": "slow", "delayMs": 300}));
    let started = Instant::now();
    assert_eq!(post(&librato).unwrap().status, 200);
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(stored(&librato), 1);
    let request = librato.last_request();
    assert_eq!(request["members"][0]["verdict"], "stored");
    assert!(request["ms"].as_u64().unwrap() >= 300);
    // Other faults can be delayed as well.
    librato.fault(&json!({"answer": "503", "delayMs": 200}));
    let started = Instant::now();
    assert_eq!(post(&librato).unwrap().status, 503);
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[test]
fn slow_takes_two_seconds_unless_told() {
    let librato = Librato::new();
    librato.fault(&json!({"answer": "slow"}));
    let started = Instant::now();
    assert_eq!(post(&librato).unwrap().status, 200);
    assert!(started.elapsed() >= Duration::from_secs(2));
}

/// Sends a request over a plain socket and returns the connection.
fn send(librato: &Librato) -> TcpStream {
    let body = r#"{"gauges":[{"name":"a","value":1}]}"#;
    let address = librato.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(crate::librato::DEADLINE)).unwrap();
    write!(
        stream,
        "POST /v1/metrics HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic bG9jYWw6bG9jYWw=\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    stream
}

#[test]
fn hang_never_answers() {
    let librato = Librato::new();
    librato.fault(&json!({"answer": "hang"}));
    let mut stream = send(&librato);
    wait_for("the request", || librato.state()["requests"] == 1);
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let error = stream.read(&mut [0; 1]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    stream.shutdown(Shutdown::Both).unwrap();
    let request = librato.last_request();
    assert_eq!((&request["fault"], &request["status"]), (&json!("hang"), &json!(0)));
    assert_eq!(request["members"][0]["verdict"], "not stored");
    assert_eq!(stored(&librato), 0);
}

#[test]
fn hang_ends_when_told() {
    let librato = Librato::new();
    librato.fault(&json!({"answer": "hang", "delayMs": 200}));
    let error = send(&librato).read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn resets_are_tcp_resets() {
    let librato = Librato::new();
    for (name, before, after, verdict) in
        [("reset-before", 0, 0, "not stored"), ("reset-after", 0, 1, "stored"), ("reset-before", 1, 1, "not stored")]
    {
        assert_eq!(stored(&librato), before);
        librato.fault(&json!({"answer": name}));
        let error = send(&librato).read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{name}");
        assert_eq!(stored(&librato), after, "{name}");
        let request = librato.last_request();
        assert_eq!((&request["fault"], &request["status"]), (&json!(name), &json!(0)));
        assert_eq!(request["members"][0]["verdict"], verdict);
    }
    // A client library gets an error too, and the next connection works.
    librato.fault(&json!({"answer": "reset-before"}));
    assert!(post(&librato).is_err());
    assert_eq!(post(&librato).unwrap().status, 200);
}

#[test]
fn orders_that_are_none() {
    let librato = Librato::new();
    for body in [
        json!({}),
        json!({"answer": "418"}),
        json!({"answer": 503}),
        json!({"answer": "503", "times": -1}),
        json!({"answer": "503", "forever": true}),
    ] {
        let answer = librato.call("POST", "/local/faults", &body).unwrap();
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(librato.get("/local/faults").json(), json!({"faults": []}));
    for _ in 0..100 {
        librato.fault(&json!({"answer": "503"}));
    }
    let answer = librato.call("POST", "/local/faults", &json!({"answer": "503"})).unwrap();
    assert_eq!(answer.status, 400);
}
