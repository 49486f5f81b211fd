//! The core by itself: from the text of a batch of 100 events to the body of the request to Librato, against
//! `serde_json` merely passing over the same text. The two run by turns; `npm run bench` tells the ratio.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "../bench/batch.rs"]
mod batch;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::de::IgnoredAny;

/// How often each has its turn.
const TURNS: usize = 7;

fn core(criterion: &mut Criterion) {
    let settings = batch::settings();
    let body = batch::batch(100);
    let delivered = batch::deliver(&body, &settings);
    let gauges = String::from_utf8_lossy(&delivered).matches("measure_time").count();
    assert!((32..100).contains(&gauges), "{gauges} gauges");

    let mut group = criterion.benchmark_group("batch of 100");
    group
        .throughput(Throughput::Bytes(body.len() as u64))
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20);
    for turn in 0..TURNS {
        group.bench_function(format!("deliver-{turn}"), |bencher| {
            bencher.iter(|| batch::deliver(&body, &settings));
        });
        group.bench_function(format!("skip-{turn}"), |bencher| {
            bencher.iter(|| serde_json::from_slice::<IgnoredAny>(body.as_bytes()).expect("JSON"));
        });
    }
}

criterion_group!(benches, core);
criterion_main!(benches);
