//! The store stays within its bounds, and drops nothing before it reaches them.

use std::collections::HashMap;

use local_librato::measurement::{Kind, Measurement, Properties, Sample};
use local_librato::store::{Interval, MAX_METRICS, MAX_POINTS, MAX_SOURCES, Store};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_500_000_000;

fn gauge(name: impl Into<String>, source: impl Into<String>, time: i64, value: f64) -> Measurement {
    Measurement {
        kind: Kind::Gauge,
        name: name.into(),
        source: source.into(),
        time,
        sample: Sample::single(value),
        properties: Properties::default(),
    }
}

fn points(store: &Store, metric: &str) -> usize {
    let series = store.series(metric, i64::MIN);
    let series = series.as_array().unwrap().iter();
    series.map(|s| s["points"].as_array().unwrap().len()).sum()
}

#[test]
fn metrics_are_limited() {
    let mut store = Store::default();
    let batch = |n: usize| (0..n).map(|i| gauge(format!("m{i}"), "s", NOW, 1.0)).collect();
    let refused = store.submit(batch(MAX_METRICS + 1), NOW, None).unwrap_err();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].0, MAX_METRICS);
    store.submit(batch(MAX_METRICS), NOW, None).unwrap();
    let refused = store.submit(vec![gauge("one-more", "s", NOW, 1.0)], NOW, None).unwrap_err();
    assert_eq!(
        refused[0].1.to_params(),
        json!({"name": ["this local Librato keeps at most 5000 metrics: POST /local/reset empties it"]})
    );
    // Metrics and sources that exist are still accepted.
    let mixed = vec![gauge("one-more", "s", NOW, 1.0), gauge("m1", "s", NOW, 1.0)];
    assert_eq!(store.submit(mixed, NOW, None).unwrap_err().len(), 1);
    store.submit(vec![gauge("M1", "S", NOW, 1.0)], NOW, None).unwrap();
}

#[test]
fn sources_are_limited() {
    let mut store = Store::default();
    let batch = |n: usize| (0..n).map(|i| gauge("m", format!("s{i}"), NOW, 1.0)).collect();
    store.submit(batch(MAX_SOURCES), NOW, None).unwrap();
    let refused = store.submit(batch(MAX_SOURCES + 2), NOW, None).unwrap_err();
    assert_eq!(refused.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [MAX_SOURCES, MAX_SOURCES + 1]);
}

#[test]
fn points_go_when_they_are_too_old_and_totals_stay() {
    let mut store = Store::default();
    store.submit(vec![gauge("m", "s", NOW - 7000, 1.0)], NOW, None).unwrap();
    store.submit(vec![gauge("m", "s", NOW, 2.0)], NOW + 100, None).unwrap();
    assert_eq!(points(&store, "m"), 2);
    store.submit(vec![gauge("m", "t", NOW + 1000, 4.0)], NOW + 1000, None).unwrap();
    assert_eq!(points(&store, "m"), 2);
    assert_eq!(store.totals()[0]["sum"], 7.0);
}

#[test]
fn points_are_limited_and_the_oldest_go_first() {
    let mut store = Store::default();
    // 7,200 seconds of each of these sources are slightly too many.
    let sources = MAX_POINTS / 7200 + 1;
    for source in 0..sources {
        let seconds = (NOW - 7199..=NOW).map(|time| gauge("m", format!("s{source}"), time, 1.0));
        store.submit(seconds.collect(), NOW, None).unwrap();
    }
    let kept = points(&store, "m");
    assert!((1..=MAX_POINTS).contains(&kept), "{kept}");
    let series = store.series("m", i64::MIN);
    let last = &series[0]["points"].as_array().unwrap().last().unwrap()[0];
    assert_eq!(last, &json!(NOW));
    assert_eq!(store.totals()[0]["count"], json!(sources * 7200));
}

/// Returns the sum and the count of all measurements of a metric.
fn read(store: &Store, metric: &str, resolution: u32) -> HashMap<String, (f64, u64)> {
    let interval = Interval { resolution, ..Interval::default() };
    let body = store.read(metric, Some(&interval)).unwrap();
    let of =
        |readings: &Value| {
            readings.as_array().unwrap().iter().fold((0.0, 0), |(sum, count), r| {
                (sum + r["sum"].as_f64().unwrap(), count + r["count"].as_u64().unwrap())
            })
        };
    let measurements = body["measurements"].as_object().unwrap();
    measurements.iter().map(|(source, readings)| (source.clone(), of(readings))).collect()
}

proptest! {
    /// With aggregation no sample is lost, in any order and at any resolution.
    #[test]
    fn aggregation_conserves_counts_and_sums(
        samples in prop::collection::vec((0usize..3, 0i64..7200, -1000i32..1000), 1..60),
        period in prop::option::of(10u32..=600),
        resolution in 1u32..1000,
    ) {
        let mut store = Store::default();
        let mut expected: HashMap<String, (f64, u64)> = HashMap::new();
        for (source, age, value) in samples {
            let source = format!("s{source}");
            let value = f64::from(value);
            let mut measurement = gauge("m", &source, NOW - age, value);
            measurement.properties.period = period;
            measurement.properties.attributes.insert("aggregate".to_owned(), json!(true));
            store.submit(vec![measurement], NOW, None).unwrap();
            let total = expected.entry(source).or_default();
            *total = (total.0 + value, total.1 + 1);
        }
        prop_assert_eq!(read(&store, "m", resolution), expected);
    }

    /// Without aggregation the last sample of a second is kept.
    #[test]
    fn without_aggregation_the_last_one_stays(
        samples in prop::collection::vec((0i64..5, -1000i32..1000), 1..40),
    ) {
        let mut store = Store::default();
        let batch = samples.iter().map(|(age, value)| gauge("m", "s", NOW - age, f64::from(*value)));
        store.submit(batch.collect(), NOW, None).unwrap();
        let last: HashMap<i64, i32> = samples.into_iter().collect();
        let expected = (f64::from(last.values().sum::<i32>()), last.len() as u64);
        prop_assert_eq!(read(&store, "m", 1), HashMap::from([("s".to_owned(), expected)]));
    }
}
