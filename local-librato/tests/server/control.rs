//! `/local` and the live page's files.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value, json};

use crate::librato::{DEADLINE, Librato, now, start};

#[test]
fn the_configuration_has_no_token() {
    let librato = start(&["--user", "u", "--token", "hidden", "--worker", "http://localhost:1", "--write-key", "k"]);
    let answer = librato.get("/local/config");
    assert_eq!(
        answer.json(),
        json!({
            "worker": "http://localhost:1",
            "writeKey": "k",
            "user": "u",
            "version": env!("CARGO_PKG_VERSION"),
        })
    );
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn the_state_holds_exact_totals() {
    let librato = Librato::new();
    let time = now() - 60;
    let attributes = json!({"aggregate": true, "summarize_function": "sum"});
    librato.store(&json!([
        {"name": "a", "source": "s", "value": 2, "measure_time": time + 1, "period": 60, "attributes": attributes},
        {"name": "a", "source": "s", "count": 3, "sum": 9, "min": 1, "max": 5, "measure_time": time},
        {"name": "a", "source": "t", "value": -4, "measure_time": time},
    ]));
    let mut state = librato.state();
    assert!(state["bytes"].take().as_u64().unwrap() > 100);
    assert_eq!(
        state,
        json!({
            "requests": 1, "accepted": 3, "refused": 0, "bytes": null, "faults": [],
            "metrics": [{
                "name": "a", "type": "gauge", "period": 60, "aggregate": true, "summarizeFunction": "sum",
                "count": 5, "sum": 7.0, "lastTime": time + 1,
                "sources": [
                    {"source": "s", "count": 4, "sum": 11.0, "min": 1.0, "max": 5.0, "lastTime": time + 1, "lastValue": 2.0},
                    {"source": "t", "count": 1, "sum": -4.0, "min": -4.0, "max": -4.0, "lastTime": time, "lastValue": -4.0},
                ],
            }],
        })
    );
}

#[test]
fn a_series_has_seconds() {
    let librato = Librato::new();
    let time = now() - 100;
    librato.store(&json!([
        {"name": "a", "source": "s", "value": 2, "measure_time": time + 1, "attributes": {"aggregate": true}},
        {"name": "a", "source": "s", "value": 3, "measure_time": time + 1},
        {"name": "a", "source": "s", "count": 2, "sum": 8, "measure_time": time},
        {"name": "a", "source": "t", "value": 1, "measure_time": time - 1000},
    ]));
    let series = |query: &str| librato.get(&format!("/local/series?{query}")).json();
    let s = json!({"source": "s", "points": [[time, 8.0, 2, null, null], [time + 1, 5.0, 2, 2.0, 3.0]]});
    assert_eq!(
        series("metric=A"),
        json!({"metric": "A", "resolution": 1, "series": [s, {"source": "t", "points": []}]})
    );
    assert_eq!(series("metric=a&seconds=2000")["series"][1]["points"][0][0], time - 1000);
    assert_eq!(series("metric=none")["series"], json!([]));
    assert_eq!(librato.get("/local/series").status, 400);
}

#[test]
fn the_journal_shows_requests_and_no_credentials() {
    let librato = Librato::new();
    librato.store(&json!([{"name": "a", "source": "s", "value": 1.5, "measure_time": now(), "period": 60}]));
    let refused = librato.post(&json!({"gauges": [{"name": "b", "value": [1], "extra": 1}]}));
    let journal = librato.get("/local/requests");
    assert!(!journal.body.contains("bG9jYWw6bG9jYWw"));
    let journal = journal.json();
    assert_eq!(journal["last"], 2);
    let [first, second] = &journal["requests"].as_array().unwrap()[..] else {
        panic!("{journal}");
    };
    assert_eq!((&first["method"], &first["path"]), (&json!("POST"), &json!("/v1/metrics")));
    assert_eq!((&first["status"], &first["fault"], &first["error"]), (&json!(200), &json!(null), &json!(null)));
    assert_eq!(first["gauges"], 1);
    assert!(first["userAgent"].as_str().unwrap().starts_with("ureq/"));
    let member = &first["members"][0];
    assert_eq!(
        (
            &member["name"],
            &member["source"],
            &member["value"],
            &member["period"],
            &member["verdict"],
            &member["reason"]
        ),
        (&json!("a"), &json!("s"), &json!(1.5), &json!(60), &json!("stored"), &json!(null))
    );
    assert_eq!((&second["seq"], &second["status"]), (&json!(2), &json!(400)));
    assert_eq!(second["error"], refused.body);
    assert_eq!(second["members"][0]["reason"], "value: is not a number; extra: is not a known parameter");
    assert_eq!(second["members"][0]["value"], json!([1]));
    assert_eq!(librato.get("/local/requests?after=1").json()["requests"].as_array().unwrap().len(), 1);
    assert_eq!(librato.get("/local/requests?after=2").json(), json!({"requests": [], "last": 2}));
}

#[test]
fn the_journal_is_bounded() {
    let librato = Librato::new();
    let members: Vec<_> = (0..400).map(|i| json!({"name": format!("m{i}"), "value": 1})).collect();
    librato.store(&json!(members));
    let request = librato.last_request();
    assert_eq!(request["gauges"], 400);
    assert_eq!(request["members"].as_array().unwrap().len(), 300);
    let long = "ä".repeat(100_000);
    librato.post(&json!({"gauges": [{"name": long, "value": {"deep": long}}]}));
    assert!(librato.last_request().to_string().len() < 10_000);
    for _ in 0..200 {
        librato.store(&json!([{"name": "a", "value": 1}]));
    }
    let journal = librato.get("/local/requests?limit=1000").json();
    let requests = journal["requests"].as_array().unwrap();
    let seqs: Vec<_> = requests.iter().map(|r| r["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (3..=202).collect::<Vec<_>>());
    // With a limit the newest are returned.
    let journal = librato.get("/local/requests?after=10&limit=2").json();
    assert_eq!((&journal["requests"][0]["seq"], &journal["last"]), (&json!(201), &json!(202)));
}

#[test]
fn reset_forgets_all_but_the_numbers() {
    let librato = Librato::new();
    librato.store(&json!([{"name": "a", "value": 1}]));
    librato.fault(&json!({"answer": "503"}));
    let empty = json!({
        "requests": 0, "accepted": 0, "refused": 0, "bytes": 0, "metrics": [], "faults": [],
    });
    let answer = librato.call("POST", "/local/reset", &json!({})).unwrap();
    assert_eq!((answer.status, answer.json()), (200, empty.clone()));
    assert_eq!(librato.state(), empty);
    assert_eq!(librato.get("/local/requests").json(), json!({"requests": [], "last": 1}));
    assert_eq!(librato.get("/v1/metrics/a").status, 404);
    librato.store(&json!([{"name": "a", "value": 1}]));
    assert_eq!(librato.last_request()["seq"], 2);
}

/// A reader of the live stream.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(librato: &Librato) -> Self {
        let address = librato.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // HTTP/1.0, without chunked encoding.
        write!(stream, "GET /local/stream HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
        let mut stream = Self(BufReader::new(stream));
        assert_eq!(stream.line(), "HTTP/1.0 200 OK");
        let mut headers = std::iter::from_fn(|| Some(stream.line()).filter(|line| !line.is_empty()));
        assert!(headers.any(|line| line == "content-type: text/event-stream"));
        while headers.next().is_some() {}
        stream
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream has ended");
        line.trim_end().to_owned()
    }

    /// Waits for the next event of a name, and skips others.
    fn next(&mut self, name: &str) -> Value {
        let wanted = format!("event: {name}");
        while self.line() != wanted {}
        let data = self.line();
        serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap()
    }

    fn next_state(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let state = self.next("state");
            if wanted(&state) {
                return state;
            }
        }
    }
}

#[test]
fn the_stream_tells_requests_and_states() {
    let librato = Librato::new();
    librato.store(&json!([{"name": "a", "value": 1}]));
    let mut stream = Stream::open(&librato);
    // A new reader gets the state at once.
    assert_eq!(stream.next("state"), librato.state());
    librato.store(&json!([{"name": "a", "value": 2}]));
    assert_eq!(stream.next("request"), librato.last_request());
    let state = stream.next_state(|state| state["requests"] == 2);
    assert_eq!(state["metrics"][0]["sum"], 3.0);
    // Other changes of the state are sent too.
    librato.fault(&json!({"answer": "503"}));
    stream.next_state(|state| state["faults"][0]["answer"] == "503");
    librato.call("POST", "/local/reset", &json!({})).unwrap();
    stream.next_state(|state| state["requests"] == 0);
    librato.put("b", &json!({"type": "gauge"}));
    stream.next_state(|state| state["metrics"][0]["name"] == "b");
}

#[test]
fn the_stream_sends_states_in_moderation() {
    let librato = Librato::new();
    let mut stream = Stream::open(&librato);
    let started = Instant::now();
    stream.next("state");
    for _ in 0..100 {
        librato.store(&json!([{"name": "a", "value": 1}]));
    }
    let mut states = 1;
    while stream.next("state")["requests"] != 100 {
        states += 1;
    }
    // Four a second and the first at once; the last may have arrived already.
    let seconds = started.elapsed().as_secs_f64();
    assert!(f64::from(states) <= 4.0 * seconds + 2.0, "{states} in {seconds} s");
}

#[test]
fn others_may_look_on() {
    let librato = Librato::new();
    let origin = ("origin", "http://localhost:5173");
    for path in ["/local/state", "/local/requests", "/local/faults"] {
        let answer = librato.ask("GET", path, &[origin], "").unwrap();
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
    }
    let preflight =
        [origin, ("access-control-request-method", "DELETE"), ("access-control-request-headers", "content-type")];
    let answer = librato.ask("OPTIONS", "/local/faults", &preflight, "").unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.header("access-control-allow-methods").is_some());
    // Librato's own routes had no such headers.
    let answer = librato.ask("GET", "/v1/metrics", &[origin], "").unwrap();
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn the_page_and_its_libraries() {
    let vendor = std::env::temp_dir().join(format!("local-librato-{}", std::process::id()));
    for (file, text) in [
        ("echarts/dist/echarts.min.js", "charts"),
        ("@segment/analytics-next/dist/umd/index.js", "index"),
        ("@segment/analytics-next/dist/umd/standalone.js", "standalone"),
    ] {
        let file = vendor.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let librato = start(&["--vendor", vendor.to_str().unwrap()]);
    for (path, text) in [
        ("/vendor/echarts.js", "charts"),
        ("/vendor/analytics-next.js", "index"),
        ("/vendor/standalone.js", "standalone"),
    ] {
        let answer = librato.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (200, text));
        assert_eq!(answer.header("content-type"), Some("text/javascript"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
    }
    std::fs::remove_dir_all(vendor).unwrap();
    assert_eq!(librato.get("/vendor/echarts.js").status, 404);

    let page = librato.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    assert_eq!(librato.get("/page/local/index.html").body, page.body);
    assert_eq!(librato.get("/page/../Cargo.toml").status, 404);
    assert_eq!(librato.get("/page/%2e%2e/Cargo.toml").status, 404);
}
