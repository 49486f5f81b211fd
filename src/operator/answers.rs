//! What the object answers to the operator's routes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::book::{Book, HALF, METRICS_HALVES};
use super::figures::{Counts, Figures};
use super::live::{LiveList, Numbered};
use crate::json::serialize_number;

/// Most metrics that are listed.
const MAX_METRICS: usize = 200;

/// A time for which figures are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Range {
    /// The last hour by minute.
    Hour,
    /// The last 30 days by hour.
    Month,
}

impl Range {
    /// Reads a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "hour" => Some(Self::Hour),
            "month" => Some(Self::Month),
            _ => None,
        }
    }

    /// How many steps of how many seconds.
    fn steps(self) -> (i64, i64) {
        match self {
            Self::Hour => (60, 60),
            Self::Month => (720, 3_600),
        }
    }
}

/// The figures of a time, step by step.
#[derive(Debug, Serialize, Deserialize)]
pub struct Flow<B> {
    /// The time.
    pub range: Range,
    /// The seconds of a step.
    pub step: i64,
    /// Now, in seconds.
    pub now: i64,
    /// The steps, the oldest first.
    pub buckets: B,
    /// What waits.
    pub waiting: Waiting,
}

/// A [`Flow`] as it is passed on.
pub type RawFlow = Flow<Box<RawValue>>;

/// Events that were stored and are not delivered yet.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Waiting {
    /// How many a consumer has seen, where that is known.
    pub events: Option<u64>,
    /// When the oldest arrived whose delivery failed, in seconds.
    pub oldest: Option<i64>,
}

/// A step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bucket {
    start: i64,
    requests: u64,
    failed: Counts,
    received: u64,
    accepted: u64,
    measured: u64,
    not_measured: Counts,
    refused: Counts,
    delivered: u64,
    refused_points: u64,
    kept: u64,
    set_aside: Counts,
    upstream: Upstream,
}

#[derive(Debug, Serialize)]
struct Upstream {
    requests: u64,
    outcomes: Counts,
    p50: Option<f64>,
    p99: Option<f64>,
}

impl Bucket {
    fn of(start: i64, figures: Figures) -> Self {
        let upstream = figures.upstream;
        Self {
            start,
            requests: figures.requests,
            failed: figures.failed,
            received: figures.received,
            accepted: figures.accepted,
            measured: figures.measured,
            not_measured: figures.not_measured,
            refused: figures.refused,
            delivered: figures.delivered,
            refused_points: figures.refused_points,
            kept: figures.kept,
            set_aside: figures.set_aside,
            upstream: Upstream {
                requests: upstream.requests,
                p50: upstream.latency.percentile(50),
                p99: upstream.latency.percentile(99),
                outcomes: upstream.outcomes,
            },
        }
    }
}

/// Returns the figures of a time. How many events wait is known elsewhere.
pub(super) fn flow(book: &Book, range: Range, now: i64) -> Flow<Vec<Bucket>> {
    let (count, step) = range.steps();
    let last = now - now.rem_euclid(step);
    let starts = (0..count).map(|place| last - (count - 1 - place) * step);
    let mut steps: BTreeMap<i64, Figures> = starts.map(|start| (start, Figures::default())).collect();
    let halves = book.halves().map(|(begin, half)| (begin, &half.figures));
    let minutes = book.minutes().map(|minute| (minute.start, &minute.figures));
    for (start, figures) in halves.chain(minutes) {
        if let Some(all) = steps.get_mut(&(start - start.rem_euclid(step))) {
            all.merge(figures);
        }
    }
    Flow {
        range,
        step,
        now,
        buckets: steps.into_iter().map(|(start, figures)| Bucket::of(start, figures)).collect(),
        waiting: Waiting { events: None, oldest: book.oldest(now) },
    }
}

/// What was delivered in the last day.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetricsAnswer<'b> {
    now: i64,
    step: i64,
    metrics: Vec<Metric<'b>>,
    truncated: bool,
    allowed_events: String,
}

/// A metric and source.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metric<'b> {
    name: &'b str,
    source: &'b str,
    events: u64,
    #[serde(serialize_with = "serialize_number")]
    sum: f64,
    first_seen: i64,
    last_seen: i64,
    is_new: bool,
    series: Vec<u64>,
}

/// Returns what was delivered in the last day, most events first.
pub(super) fn metrics(book: &Book, now: i64) -> MetricsAnswer<'_> {
    let first = now - now.rem_euclid(HALF) - (METRICS_HALVES - 1) * HALF;
    let halves = book.halves().map(|(begin, half)| (begin, &half.metrics));
    let minutes = book.minutes().map(|minute| (minute.start, &minute.metrics));
    let mut truncated = false;
    let mut pairs: BTreeMap<(&str, &str), Metric> = BTreeMap::new();
    for (start, metrics) in halves.chain(minutes).filter(|(start, _)| *start >= first) {
        truncated |= metrics.is_truncated;
        for (name, source, events) in metrics.iter() {
            let metric = pairs.entry((name, source)).or_insert_with(|| {
                let first_seen = book.first_seen(name).unwrap_or(start);
                let is_new = first_seen > now - METRICS_HALVES * HALF;
                let series = (0..METRICS_HALVES).map(|_| 0).collect();
                Metric { name, source, events: 0, sum: 0.0, first_seen, last_seen: 0, is_new, series }
            });
            metric.events += events.count;
            metric.sum += events.sum;
            metric.last_seen = metric.last_seen.max(events.last);
            let place = usize::try_from((start - first) / HALF).unwrap_or_default();
            if let Some(count) = metric.series.get_mut(place) {
                *count += events.count;
            }
        }
    }
    let mut metrics: Vec<_> = pairs.into_values().collect();
    metrics.sort_by_key(|metric| std::cmp::Reverse(metric.events));
    truncated |= metrics.len() > MAX_METRICS;
    metrics.truncate(MAX_METRICS);
    let mut names: Vec<&str> = Vec::new();
    for metric in &metrics {
        if !names.contains(&metric.name) {
            names.push(metric.name);
        }
    }
    let allowed_events = format!("ALLOWED_EVENTS = \"{}\"", names.join(", "));
    MetricsAnswer { now, step: HALF, metrics, truncated, allowed_events }
}

/// The last events.
#[derive(Debug, Serialize)]
pub(super) struct LiveAnswer<'l> {
    enabled: bool,
    latest: u64,
    events: Vec<&'l Numbered>,
}

/// Returns the events after a number.
pub(super) fn live(list: &LiveList, after: u64) -> LiveAnswer<'_> {
    LiveAnswer { enabled: true, latest: list.latest, events: list.after(after).collect() }
}
