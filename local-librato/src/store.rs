//! Metrics and their measurements, in bounded memory.

use std::collections::{BTreeMap, HashMap, HashSet};

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::measurement::{Kind, Measurement, Properties, Sample};
use crate::refusal::Errors;
use crate::validate::{DEFAULT_PERIOD, FUTURE_SECONDS, PAST_SECONDS, judge_aggregation, mismatch};

/// Most metrics.
pub const MAX_METRICS: usize = 5_000;
/// Most sources of all metrics together.
pub const MAX_SOURCES: usize = 50_000;
/// Most points (seconds with data) of all sources together; beyond it the oldest are dropped.
pub const MAX_POINTS: usize = 2_000_000;
/// How long a point is kept: as long as it could still be sent.
const KEPT_SECONDS: i64 = PAST_SECONDS + FUTURE_SECONDS;
/// Shortest time between two sweeps of old points.
const SWEEP_SECONDS: i64 = 60;

/// All metrics.
#[derive(Debug, Default)]
pub struct Store {
    /// In order of creation, by name in lower case, since Librato ignores the case of names.
    metrics: IndexMap<String, Metric>,
    sources: usize,
    points: usize,
    swept: i64,
}

/// A metric with its streams.
#[derive(Debug)]
struct Metric {
    name: String,
    kind: Kind,
    properties: Properties,
    /// By source in lower case, since Librato ignores its case too.
    streams: IndexMap<String, Stream>,
}

/// The measurements of one metric from one source.
#[derive(Debug)]
struct Stream {
    source: String,
    /// By second. With service-side aggregation the samples of one second are merged here, and those of one period when
    /// they are read, so that late samples count too.
    points: BTreeMap<i64, Sample>,
    totals: Totals,
}

/// Totals of all samples of a stream, replaced and expired ones included.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    count: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
    last_time: i64,
    last_value: f64,
}

/// A refused measurement: its index in the batch, and its errors.
pub type Refused = (usize, Errors);

/// Numbers of stored measurements, for the rate-limit headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Of metrics with service-side aggregation.
    pub aggregated: usize,
    /// Of all others.
    pub plain: usize,
}

impl Store {
    /// Stores all of `batch`, or nothing.
    ///
    /// # Errors
    ///
    /// Every measurement that cannot be stored: because its metric is of the other type (even if only an earlier member
    /// of the batch would create it), or because the store is full.
    pub fn submit(
        &mut self,
        batch: Vec<Measurement>,
        now: i64,
        user_agent: Option<&str>,
    ) -> Result<Stored, Vec<Refused>> {
        self.judge(&batch)?;
        let mut stored = Stored::default();
        for measurement in batch {
            if self.insert(measurement, user_agent) {
                stored.aggregated += 1;
            } else {
                stored.plain += 1;
            }
        }
        if now - self.swept >= SWEEP_SECONDS || self.points > MAX_POINTS {
            self.sweep(now);
        }
        Ok(stored)
    }

    fn judge(&self, batch: &[Measurement]) -> Result<(), Vec<Refused>> {
        let mut refused = Vec::new();
        let mut new_metrics = HashMap::new();
        let mut new_sources = HashSet::new();
        for (i, measurement) in batch.iter().enumerate() {
            let key = measurement.name.to_ascii_lowercase();
            let source = measurement.source.to_ascii_lowercase();
            let known = self.metrics.get(&key);
            let kind =
                known.map_or_else(|| *new_metrics.entry(key.clone()).or_insert(measurement.kind), |metric| metric.kind);
            let new_source = known.is_none_or(|metric| !metric.streams.contains_key(&source));
            if new_source {
                new_sources.insert((key, source));
            }
            if kind != measurement.kind {
                refused.push((i, Errors::one("type", mismatch(&measurement.name, kind))));
            } else if known.is_none() && self.metrics.len() + new_metrics.len() > MAX_METRICS {
                refused.push((i, full("name", MAX_METRICS, "metrics")));
            } else if new_source && self.sources + new_sources.len() > MAX_SOURCES {
                refused.push((i, full("source", MAX_SOURCES, "sources")));
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }

    /// Stores a measurement. Returns whether its metric aggregates.
    fn insert(&mut self, measurement: Measurement, user_agent: Option<&str>) -> bool {
        let Measurement { kind, name, source, time, sample, properties } = measurement;
        let metric = self
            .metrics
            .entry(name.to_ascii_lowercase())
            .or_insert_with(|| Metric::new(name, kind, properties, user_agent));
        let aggregates = metric.aggregates();
        let stream = metric.streams.entry(source.to_ascii_lowercase()).or_insert_with(|| {
            self.sources += 1;
            Stream::new(source)
        });
        if stream.add(time, sample, aggregates) {
            self.points += 1;
        }
        aggregates
    }

    /// Drops expired points. While too many are left, halves the time for which they are kept.
    fn sweep(&mut self, now: i64) {
        self.swept = now;
        let mut kept = KEPT_SECONDS;
        loop {
            self.points = 0;
            for metric in self.metrics.values_mut() {
                for stream in metric.streams.values_mut() {
                    stream.points = stream.points.split_off(&(now - kept));
                    self.points += stream.points.len();
                }
            }
            if self.points <= MAX_POINTS || kept == 0 {
                return;
            }
            kept /= 2;
        }
    }

    /// Sets properties of a metric, or creates it (Librato API docs, "Update Metric by Name").
    ///
    /// # Errors
    ///
    /// When the metric is of another type than `kind`, when it does not exist and there is no `kind`, and when it would
    /// aggregate over an invalid period.
    pub fn put(
        &mut self,
        name: &str,
        kind: Option<Kind>,
        properties: Properties,
        user_agent: Option<&str>,
    ) -> Result<Put, Errors> {
        let key = name.to_ascii_lowercase();
        let Some(metric) = self.metrics.get_mut(&key) else {
            let kind = kind.ok_or_else(|| Errors::one("type", "is required"))?;
            if self.metrics.len() >= MAX_METRICS {
                return Err(full("name", MAX_METRICS, "metrics"));
            }
            let metric = Metric::new(name.to_owned(), kind, properties, user_agent);
            let body = metric.describe();
            self.metrics.insert(key, metric);
            return Ok(Put::Created(body));
        };
        if kind.is_some_and(|kind| kind != metric.kind) {
            return Err(Errors::one("type", mismatch(name, metric.kind)));
        }
        let mut merged = metric.properties.clone();
        merged.attributes.extend(properties.attributes);
        merged.period = properties.period.or(merged.period);
        merged.display_name = properties.display_name.or(merged.display_name);
        merged.description = properties.description.or(merged.description);
        let errors = judge_aggregation(&merged.attributes, merged.period);
        if !errors.is_empty() {
            return Err(errors);
        }
        metric.properties = merged;
        Ok(Put::Updated)
    }

    /// Returns the type of a metric.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<Kind> {
        let metric = self.metrics.get(&name.to_ascii_lowercase())?;
        Some(metric.kind)
    }

    /// Lists a page of the metrics, by name (Librato API docs, "Retrieve Metrics" and "Pagination").
    #[must_use]
    pub fn list(&self, page: &Page) -> Value {
        let wanted = page.name.to_ascii_lowercase();
        let mut found: Vec<(&String, &Metric)> = self.metrics.iter().filter(|(key, _)| key.contains(&wanted)).collect();
        found.sort_unstable_by_key(|(key, _)| *key);
        if page.descending {
            found.reverse();
        }
        let metrics: Vec<Value> =
            found.iter().skip(page.offset).take(page.length).map(|(_, metric)| metric.describe()).collect();
        json!({
            "query": {
                "found": found.len(),
                "length": metrics.len(),
                "offset": page.offset,
                "total": self.metrics.len(),
            },
            "metrics": metrics,
        })
    }

    /// Returns a metric, with its measurements if an `interval` is given (Librato API docs, "Retrieve Metric by Name"
    /// and "Time Intervals").
    #[must_use]
    pub fn read(&self, name: &str, interval: Option<&Interval>) -> Option<Value> {
        let metric = self.metrics.get(&name.to_ascii_lowercase())?;
        let mut body = metric.describe();
        if let (Some(interval), Value::Object(body)) = (interval, &mut body) {
            let measurements: Map<String, Value> = metric
                .streams
                .values()
                .filter(|stream| interval.selects(&stream.source))
                .map(|stream| (stream.source.clone(), metric.readings(stream, interval)))
                .filter(|(_, readings)| readings.as_array().is_some_and(|all| !all.is_empty()))
                .collect();
            body.insert("resolution".to_owned(), json!(interval.resolution));
            body.insert("measurements".to_owned(), Value::Object(measurements));
        }
        Some(body)
    }

    /// Returns the totals of every metric, in order of creation.
    #[must_use]
    pub fn totals(&self) -> Value {
        self.metrics.values().map(Metric::totals).collect()
    }

    /// Returns the points of a metric from `from` on: `[second, sum, count, min, max]`, by source.
    #[must_use]
    pub fn series(&self, name: &str, from: i64) -> Value {
        let metric = self.metrics.get(&name.to_ascii_lowercase());
        metric
            .into_iter()
            .flat_map(|metric| metric.streams.values())
            .map(|stream| {
                let points: Value =
                    stream.points.range(from..).map(|(time, s)| json!([time, s.sum, s.count, s.min, s.max])).collect();
                json!({"source": stream.source, "points": points})
            })
            .collect()
    }
}

/// Result of a `PUT`.
#[derive(Debug, PartialEq)]
pub enum Put {
    /// The metric was created, and looks like this.
    Created(Value),
    /// The metric was updated.
    Updated,
}

/// Selection of a page of metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Substring of the names.
    pub name: String,
    /// Number of metrics to skip.
    pub offset: usize,
    /// Number of metrics to return.
    pub length: usize,
    /// Whether to sort in descending order.
    pub descending: bool,
}

/// Selection of measurements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interval {
    /// Seconds that are rolled up into one measurement.
    pub resolution: u32,
    /// Number of measurements of a source: the first after `start`, or else the last before `end`.
    pub count: Option<usize>,
    /// First epoch second.
    pub start: Option<i64>,
    /// Last epoch second.
    pub end: Option<i64>,
    /// Names or patterns of sources; all if there are none.
    pub sources: Vec<String>,
}

impl Interval {
    /// Returns whether a source is selected.
    fn selects(&self, source: &str) -> bool {
        self.sources.is_empty()
            || self
                .sources
                .iter()
                .any(|pattern| matches(pattern.to_ascii_lowercase().as_bytes(), source.to_ascii_lowercase().as_bytes()))
    }
}

/// Returns whether `text` matches `pattern`, in which `*` stands for any run of characters.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|i| matches(rest, &text[i..])),
        Some((first, rest)) => text.split_first().is_some_and(|(c, text)| c == first && matches(rest, text)),
    }
}

impl Metric {
    fn new(name: String, kind: Kind, mut properties: Properties, agent: Option<&str>) -> Self {
        if let Some(agent) = agent {
            properties.attributes.entry("created_by_ua").or_insert_with(|| json!(agent));
        }
        Self { name, kind, properties, streams: IndexMap::new() }
    }

    fn aggregates(&self) -> bool {
        self.kind == Kind::Gauge && self.properties.attributes.get("aggregate") == Some(&json!(true))
    }

    /// Returns the seconds that are rolled up when read: a period with aggregation, otherwise 1.
    fn step(&self) -> u32 {
        match self.properties.period {
            _ if !self.aggregates() => 1,
            period => period.unwrap_or(DEFAULT_PERIOD),
        }
    }

    fn summarize_function(&self) -> &str {
        let function = self.properties.attributes.get("summarize_function");
        function.and_then(Value::as_str).unwrap_or("average")
    }

    fn describe(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.kind.as_str(),
            "display_name": self.properties.display_name,
            "description": self.properties.description,
            "period": self.properties.period,
            "attributes": self.properties.attributes,
        })
    }

    fn totals(&self) -> Value {
        let totals = self.streams.values().map(|stream| stream.totals);
        let sources: Vec<Value> = self
            .streams
            .values()
            .map(|stream| {
                let mut totals = json!(stream.totals);
                totals["source"] = json!(stream.source);
                totals
            })
            .collect();
        json!({
            "name": self.name,
            "type": self.kind.as_str(),
            "period": self.properties.period,
            "aggregate": self.aggregates(),
            "summarizeFunction": self.summarize_function(),
            "sources": sources,
            "count": totals.clone().map(|t| t.count).sum::<u64>(),
            "sum": totals.clone().map(|t| t.sum).sum::<f64>(),
            "lastTime": totals.map(|t| t.last_time).max(),
        })
    }

    /// Returns the measurements of a stream, rolled up to the resolution.
    fn readings(&self, stream: &Stream, interval: &Interval) -> Value {
        let step = i64::from(self.step().max(interval.resolution));
        let from = interval.start.unwrap_or(i64::MIN);
        let to = interval.end.unwrap_or(i64::MAX);
        let mut rolled: BTreeMap<i64, Sample> = BTreeMap::new();
        for (time, sample) in &stream.points {
            let start = time - time.rem_euclid(step);
            rolled
                .entry(start)
                .and_modify(|sum| {
                    *sum = match self.kind {
                        Kind::Gauge => sum.merge(*sample),
                        // The latest reading of a counter is its value.
                        Kind::Counter => *sample,
                    }
                })
                .or_insert(*sample);
        }
        let within = rolled
            .into_iter()
            .filter(|(time, _)| (from..=to).contains(time))
            .map(|(time, sample)| self.reading(time, &sample));
        let mut readings: Vec<Value> = within.collect();
        if let Some(count) = interval.count {
            if interval.start.is_some() {
                readings.truncate(count);
            } else {
                readings.drain(..readings.len().saturating_sub(count));
            }
        }
        Value::Array(readings)
    }

    fn reading(&self, time: i64, sample: &Sample) -> Value {
        if self.kind == Kind::Counter {
            return json!({"measure_time": time, "value": sample.sum, "count": 1});
        }
        let value = match self.summarize_function() {
            "sum" => json!(sample.sum),
            "count" => json!(sample.count),
            "min" => json!(sample.min.unwrap_or_else(|| sample.average())),
            "max" => json!(sample.max.unwrap_or_else(|| sample.average())),
            _ => json!(sample.average()),
        };
        let mut reading = json!({
            "measure_time": time,
            "value": value,
            "count": sample.count,
            "sum": sample.sum,
        });
        for (field, value) in [("min", sample.min), ("max", sample.max), ("sum_squares", sample.sum_squares)] {
            if let Some(value) = value {
                reading[field] = json!(value);
            }
        }
        reading
    }
}

impl Stream {
    fn new(source: String) -> Self {
        Self {
            source,
            points: BTreeMap::new(),
            totals: Totals { count: 0, sum: 0.0, min: None, max: None, last_time: i64::MIN, last_value: 0.0 },
        }
    }

    /// Adds a sample. Returns whether its second is new. Without aggregation a later sample replaces an earlier one of
    /// the same second.
    fn add(&mut self, time: i64, sample: Sample, aggregates: bool) -> bool {
        self.totals.add(time, &sample);
        let before = self.points.get(&time);
        let point = match before {
            Some(before) if aggregates => before.merge(sample),
            _ => sample,
        };
        self.points.insert(time, point).is_none()
    }
}

impl Totals {
    fn add(&mut self, time: i64, sample: &Sample) {
        self.count = self.count.saturating_add(sample.count);
        self.sum += sample.sum;
        self.min = [self.min, sample.min].into_iter().flatten().reduce(f64::min);
        self.max = [self.max, sample.max].into_iter().flatten().reduce(f64::max);
        if time >= self.last_time {
            self.last_time = time;
            self.last_value = sample.average();
        }
    }
}

/// Returns the error of a full store.
fn full(field: &str, limit: usize, what: &str) -> Errors {
    Errors::one(field, format!("this local Librato keeps at most {limit} {what}: POST /local/reset empties it"))
}
