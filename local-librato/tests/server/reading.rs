//! `GET /v1/metrics`, `GET` and `PUT /v1/metrics/{name}`.

use serde_json::{Value, json};

use crate::librato::{Librato, now};

/// Returns the start of a minute that is over and well within the accepted time.
fn minute() -> i64 {
    let past = now() - 600;
    past - past.rem_euclid(60)
}

fn measurements(librato: &Librato, path: &str) -> Value {
    librato.get(path).json()["measurements"].take()
}

#[test]
fn a_metric_alone_has_no_measurements() {
    let librato = Librato::new();
    librato.store(&json!([{"name": "a", "value": 1}]));
    let metric = librato.get("/v1/metrics/A").json();
    assert!(metric.get("measurements").is_none() && metric.get("resolution").is_none());
    assert_eq!(librato.get("/v1/metrics/b").status, 404);
}

#[test]
fn without_aggregation_the_later_of_one_second_replaces_the_earlier() {
    let librato = Librato::new();
    let time = minute();
    librato.store(&json!([
        {"name": "a", "source": "s", "value": 1, "measure_time": time},
        {"name": "a", "source": "S", "value": 2, "measure_time": time},
        {"name": "a", "source": "s", "value": 5, "measure_time": time + 1},
    ]));
    assert_eq!(
        measurements(&librato, "/v1/metrics/a?resolution=1&count=9"),
        json!({"s": [
            {"measure_time": time, "value": 2.0, "count": 1, "sum": 2.0, "min": 2.0, "max": 2.0, "sum_squares": 4.0},
            {"measure_time": time + 1, "value": 5.0, "count": 1, "sum": 5.0, "min": 5.0, "max": 5.0, "sum_squares": 25.0},
        ]})
    );
    // The totals include it.
    assert_eq!(librato.metric("a")["sources"][0]["sum"], 8.0);
}

#[test]
fn with_aggregation_all_samples_of_a_period_become_one() {
    let librato = Librato::new();
    let time = minute();
    let attributes = json!({"aggregate": true, "summarize_function": "sum"});
    librato.store(&json!([
        {"name": "a", "source": "s", "value": 1, "measure_time": time, "period": 30, "attributes": attributes},
        {"name": "a", "source": "s", "value": 2, "measure_time": time},
        {"name": "a", "source": "s", "measure_time": time + 29, "count": 2, "sum": 7, "min": 3, "max": 4, "sum_squares": 25},
        {"name": "a", "source": "s", "value": 8, "measure_time": time + 30},
        {"name": "a", "source": "t", "value": 16, "measure_time": time},
    ]));
    // A late sample is added to its period.
    librato.store(&json!([{"name": "A", "source": "S", "value": 0.5, "measure_time": time + 10}]));
    let first = json!({"measure_time": time, "value": 10.5, "count": 5, "sum": 10.5, "min": 0.5, "max": 4.0, "sum_squares": 30.25});
    let second = json!({"measure_time": time + 30, "value": 8.0, "count": 1, "sum": 8.0, "min": 8.0, "max": 8.0, "sum_squares": 64.0});
    let other = json!({"measure_time": time, "value": 16.0, "count": 1, "sum": 16.0, "min": 16.0, "max": 16.0, "sum_squares": 256.0});
    for resolution in [1, 30] {
        assert_eq!(
            measurements(&librato, &format!("/v1/metrics/a?resolution={resolution}&count=9")),
            json!({"s": [first, second], "t": [other]}),
            "{resolution}"
        );
    }
    let minute = json!({"measure_time": time, "value": 18.5, "count": 6, "sum": 18.5, "min": 0.5, "max": 8.0, "sum_squares": 94.25});
    assert_eq!(measurements(&librato, "/v1/metrics/a?resolution=60&count=9&source=s"), json!({"s": [minute]}));
}

#[test]
fn aggregation_without_a_period_takes_a_minute() {
    let librato = Librato::new();
    let time = minute();
    librato.store(&json!([
        {"name": "a", "value": 1, "measure_time": time, "attributes": {"aggregate": true}},
        {"name": "a", "value": 3, "measure_time": time + 59},
        {"name": "a", "value": 5, "measure_time": time + 60},
    ]));
    let read = measurements(&librato, "/v1/metrics/a?resolution=1&count=9");
    let values = |read: &Value| -> Vec<(i64, f64)> {
        let readings = read["unassigned"].as_array().unwrap();
        readings.iter().map(|r| (r["measure_time"].as_i64().unwrap(), r["value"].as_f64().unwrap())).collect()
    };
    // The default summary is the average.
    assert_eq!(values(&read), [(time, 2.0), (time + 60, 5.0)]);
}

#[test]
fn the_summarize_function_makes_the_value() {
    let librato = Librato::new();
    let time = minute();
    for (function, expected) in [("average", 4.0), ("sum", 12.0), ("count", 3.0), ("min", 1.0), ("max", 9.0)] {
        let attributes = json!({"summarize_function": function});
        librato.store(&json!([
            {"name": function, "value": 1, "measure_time": time, "attributes": attributes},
            {"name": function, "value": 9, "measure_time": time + 1},
            {"name": function, "value": 2, "measure_time": time + 2},
        ]));
        let read = measurements(&librato, &format!("/v1/metrics/{function}?resolution=60&count=1"));
        assert_eq!(read["unassigned"][0]["value"].as_f64(), Some(expected), "{function}");
    }
}

#[test]
fn a_summary_may_lack_its_extremes() {
    let librato = Librato::new();
    let time = minute();
    librato.store(&json!([
        {"name": "a", "count": 4, "sum": 10, "measure_time": time, "attributes": {"summarize_function": "max"}},
    ]));
    assert_eq!(
        measurements(&librato, "/v1/metrics/a?resolution=60&count=1"),
        json!({"unassigned": [{"measure_time": time, "value": 2.5, "count": 4, "sum": 10.0}]})
    );
    librato.store(&json!([{"name": "a", "value": 3, "measure_time": time + 1}]));
    assert_eq!(
        measurements(&librato, "/v1/metrics/a?resolution=60&count=1"),
        json!({"unassigned": [{"measure_time": time, "value": 3.0, "count": 5, "sum": 13.0, "min": 3.0, "max": 3.0}]})
    );
}

#[test]
fn a_counter_reads_what_it_last_said() {
    let librato = Librato::new();
    let time = minute();
    let counters = json!([
        {"name": "c", "value": 7, "measure_time": time},
        {"name": "c", "value": 9, "measure_time": time + 5},
    ]);
    assert_eq!(librato.post(&json!({"counters": counters})).status, 200);
    assert_eq!(
        measurements(&librato, "/v1/metrics/c?resolution=60&count=1"),
        json!({"unassigned": [{"measure_time": time, "value": 9.0, "count": 1}]})
    );
}

#[test]
fn intervals() {
    let librato = Librato::new();
    let time = minute();
    let gauges: Vec<_> = (0..5).map(|i| json!({"name": "a", "value": i, "measure_time": time + i})).collect();
    librato.store(&json!(gauges));
    librato.store(&json!([{"name": "a", "source": "web-1", "value": 9, "measure_time": time}]));
    let times = |query: &str| -> Vec<i64> {
        let read = measurements(&librato, &format!("/v1/metrics/a?{query}"));
        let readings = read["unassigned"].as_array().cloned().unwrap_or_default();
        readings.iter().map(|r| r["measure_time"].as_i64().unwrap() - time).collect()
    };
    assert_eq!(times("count=2"), [3, 4]);
    assert_eq!(times("resolution=1"), [0, 1, 2, 3, 4]);
    assert_eq!(times(&format!("count=2&end_time={}", time + 2)), [1, 2]);
    assert_eq!(times(&format!("count=2&start_time={}", time + 1)), [1, 2]);
    assert_eq!(times(&format!("start_time={}", time + 3)), [3, 4]);
    assert_eq!(times(&format!("start_time={}&end_time={}", time + 1, time + 3)), [1, 2, 3]);

    let sources = |query: &str| -> Vec<String> {
        let read = measurements(&librato, &format!("/v1/metrics/a?count=1&{query}"));
        read.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(sources(""), ["unassigned", "web-1"]);
    assert_eq!(sources("source=WEB*"), ["web-1"]);
    assert_eq!(sources("source=*b-*1"), ["web-1"]);
    assert_eq!(sources("source=*b"), Vec::<String>::new());
    assert_eq!(sources("sources%5B%5D=web-1&sources%5B%5D=unassigned"), ["unassigned", "web-1"]);

    for (query, expected) in [
        ("resolution=0", json!({"resolution": ["is not a valid number"]})),
        ("count=0", json!({"count": ["is not a valid number"]})),
        (
            "start_time=x&end_time=1.5",
            json!({"start_time": ["is not a valid number"], "end_time": ["is not a valid number"]}),
        ),
        ("summarize_time=true", json!({"summarize_time": ["is not a known parameter"]})),
    ] {
        let answer = librato.get(&format!("/v1/metrics/a?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.json()["errors"]["params"], expected);
    }
}

#[test]
fn the_list_is_paged() {
    let librato = Librato::new();
    let names = ["b.two", "A.one", "b.three", "c"];
    let gauges: Vec<_> = names.map(|name| json!({"name": name, "value": 1})).into();
    librato.store(&json!(gauges));
    let list = |query: &str| {
        let list = librato.get(&format!("/v1/metrics?{query}")).json();
        let metrics = list["metrics"].as_array().unwrap();
        let names: Vec<String> = metrics.iter().map(|metric| metric["name"].as_str().unwrap().to_owned()).collect();
        (names, list["query"].clone())
    };
    let query =
        |found: u32, length: u32, offset: u32| json!({"found": found, "length": length, "offset": offset, "total": 4});
    assert_eq!(list(""), (["A.one", "b.three", "b.two", "c"].map(String::from).into(), query(4, 4, 0)));
    assert_eq!(
        list("sort=desc&orderby=name&length=2&offset=1"),
        (["b.two", "b.three"].map(String::from).into(), query(4, 2, 1))
    );
    assert_eq!(list("name=B.T"), (["b.three", "b.two"].map(String::from).into(), query(2, 2, 0)));
    assert_eq!(list("name=none"), (vec![], query(0, 0, 0)));
    assert_eq!(list("offset=9"), (vec![], query(4, 0, 9)));
    assert_eq!(librato.get("/v1/metrics?length=many").status, 400);
    assert_eq!(librato.get("/v1/metrics?sort=up").status, 400);
    assert_eq!(librato.get("/v1/metrics?orderby=type").status, 400);

    let more: Vec<_> = (0..150).map(|i| json!({"name": format!("m{i}"), "value": 1})).collect();
    librato.store(&json!(more));
    assert_eq!(list("length=1000").0.len(), 100);
}

#[test]
fn put_creates_a_metric() {
    let librato = Librato::new();
    let answer = librato.put("Queue", &json!({"description": "of jobs"}));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["errors"]["params"], json!({"type": ["is required"]}));

    let answer = librato.put("Queue", &json!({"type": "gauge", "description": "of jobs", "display_name": "Jobs"}));
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), Some("/v1/metrics/Queue"));
    assert_eq!(answer.json(), librato.get("/v1/metrics/queue").json());
    assert_eq!(answer.json()["period"], json!(null));
    // It applies to later measurements.
    let errors = librato.post(&json!({"counters": [{"name": "queue", "value": 1}]})).json();
    assert_eq!(
        errors["errors"]["params"],
        json!({"type": ["'queue' is a gauge, but was submitted as different type"]})
    );
}

#[test]
fn put_changes_a_metric() {
    let librato = Librato::new();
    let time = minute();
    librato.store(&json!([
        {"name": "a", "value": 1, "measure_time": time},
        {"name": "a", "value": 2, "measure_time": time + 1},
    ]));
    let answer =
        librato.put("A", &json!({"period": 60, "attributes": {"aggregate": true, "summarize_function": "sum"}}));
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let metric = librato.get("/v1/metrics/a").json();
    assert_eq!((&metric["period"], &metric["name"]), (&json!(60), &json!("a")));
    let read = measurements(&librato, "/v1/metrics/a?resolution=1&count=9");
    assert_eq!(read["unassigned"][0]["value"], 3.0);
    // Other properties are kept.
    assert_eq!(librato.put("a", &json!({"attributes": {"color": "#52D74C"}})).status, 204);
    let attributes = librato.get("/v1/metrics/a").json()["attributes"].take();
    assert_eq!((&attributes["aggregate"], &attributes["color"]), (&json!(true), &json!("#52D74C")));
}

#[test]
fn what_put_refuses() {
    let librato = Librato::new();
    librato.store(&json!([{"name": "g", "value": 1, "period": 3600}]));
    assert_eq!(librato.post(&json!({"counters": [{"name": "c", "value": 1}]})).status, 200);
    let not_aggregating = json!({"period": ["must be between 10 and 600 seconds for service-side aggregation"]});
    let cases = [
        ("g", json!({"type": "counter"}), json!({"type": ["'g' is a gauge, but was submitted as different type"]})),
        ("g", json!({"type": "composite"}), json!({"type": ["composite is not offered by this local Librato"]})),
        ("g", json!({"type": "gouge"}), json!({"type": ["must be one of gauge, counter, composite"]})),
        ("g", json!({"value": 1}), json!({"value": ["is not a known parameter"]})),
        ("g", json!({"period": 0}), json!({"period": ["must be positive"]})),
        ("g", json!({"attributes": {"aggregate": true}, "period": 5}), not_aggregating.clone()),
        ("g", json!({"attributes": {"aggregate": true}}), not_aggregating),
        ("c", json!({"attributes": {"aggregate": true}}), json!({"aggregate": ["is an attribute of gauges only"]})),
        ("no%20name", json!({"type": "gauge"}), json!({"name": ["no name is not a valid metric name"]})),
        ("g", json!([]), json!({"metric": ["is not a hash"]})),
    ];
    for (name, body, expected) in cases {
        let answer = librato.put(name, &body);
        assert_eq!(answer.status, 400, "{name} {body}");
        assert_eq!(answer.json()["errors"]["params"], expected, "{name} {body}");
    }
    assert_eq!(librato.get("/v1/metrics/g").json()["period"], 3600);
}
