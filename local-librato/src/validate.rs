//! Validation of `POST /v1/metrics`, the source-based API.
//!
//! Where the service was lenient or its behaviour is not known, this is strict: what passes here would have passed
//! there.

use std::ops::RangeInclusive;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::measurement::{Kind, Measurement, Properties, Sample, UNASSIGNED};
use crate::refusal::{Errors, Refusal};

/// Longest name of a metric or source (Librato API docs, "Metric Properties").
pub const MAX_NAME: usize = 255;
/// Greatest age of a measurement by the server's clock (Librato support: 120 minutes).
pub const PAST_SECONDS: i64 = 2 * 60 * 60;
/// Greatest distance of a measurement ahead of that clock. It is not documented; this is assumed.
pub const FUTURE_SECONDS: i64 = 600;
/// Periods over which the service aggregates (knowledge base, "Service-Side Aggregation").
pub const AGGREGATION_PERIODS: RangeInclusive<u32> = 10..=600;
/// Period of an aggregated metric without one of its own (Librato API docs, "Metric Attributes").
pub const DEFAULT_PERIOD: u32 = 60;

/// A member of a request, and the outcome of its validation.
#[derive(Debug)]
pub struct Member {
    /// Its fields, valid or not, with the defaults of its request.
    pub shown: Map<String, Value>,
    /// The measurement, or all its errors.
    pub outcome: Result<Measurement, Errors>,
}

impl Member {
    pub(crate) fn not_a_hash() -> Self {
        Self { shown: Map::new(), outcome: Err(Errors::one("measurement", NOT_A_HASH)) }
    }
}

/// A request whose members have been validated one by one.
#[derive(Debug, Default)]
pub struct Batch {
    /// The members, in the order of the request.
    pub members: Vec<Member>,
    /// Errors of the request itself.
    pub errors: Errors,
}

/// A value at the top level of a request. The order of members is kept in either form of their list.
#[derive(Deserialize)]
#[serde(untagged)]
enum TopLevel {
    List(Vec<Value>),
    Hash(IndexMap<String, Value>),
    Scalar(Value),
}

impl From<TopLevel> for Value {
    fn from(value: TopLevel) -> Self {
        match value {
            TopLevel::List(list) => Self::Array(list),
            TopLevel::Hash(hash) => Self::Object(hash.into_iter().collect()),
            TopLevel::Scalar(scalar) => scalar,
        }
    }
}

/// Validates the body of a `POST /v1/metrics`.
///
/// The forms are those of the Librato API docs, "Submit Metrics": `gauges` and `counters` as an array, as an object
/// hashed by metric name, or as an object with throw-away keys whose members carry a `name`; `measure_time` and
/// `source` (and, as Librato's own Java client sends them, `period` and `attributes`) at the top level as defaults.
///
/// # Errors
///
/// [`Refusal::Unparsable`] or [`Refusal::NoMeasurement`]. Errors of a member are part of the batch.
pub fn metrics(body: &[u8], now: i64) -> Result<Batch, Refusal> {
    let request: IndexMap<String, TopLevel> = serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Refusal::NoMeasurement,
        _ => Refusal::Unparsable,
    })?;
    let mut batch = Batch::default();
    let mut lists = Vec::new();
    let mut defaults = Map::new();
    for (key, value) in request {
        match key.as_str() {
            "gauges" => lists.push((Kind::Gauge, key, value)),
            "counters" => lists.push((Kind::Counter, key, value)),
            // Not validated here: a default that every member overrides does no harm.
            "measure_time" | "source" | "period" | "attributes" => {
                defaults.insert(key, value.into());
            }
            _ => batch.errors.add(key, UNKNOWN),
        }
    }
    for (kind, key, list) in lists {
        let mut judge = |name: Option<&str>, member| {
            batch.members.push(metric(kind, name, member, &defaults, now));
        };
        match list {
            TopLevel::List(list) => list.into_iter().for_each(|member| judge(None, member)),
            TopLevel::Hash(hash) => {
                for (name, member) in hash {
                    judge(Some(&name), member);
                }
            }
            TopLevel::Scalar(Value::Null) => {}
            TopLevel::Scalar(_) => batch.errors.add(key, "must be an array or a hash"),
        }
    }
    if batch.members.is_empty() && batch.errors.is_empty() {
        return Err(Refusal::NoMeasurement);
    }
    Ok(batch)
}

/// Error of an unknown parameter.
pub(crate) const UNKNOWN: &str = "is not a known parameter";
/// Error that aborts a request of either API.
pub(crate) const TOO_LARGE: &str = "is too large: the exponent is above 126";
const NOT_PRESENT: &str = "is not present";
const NOT_A_NUMBER: &str = "is not a number";
const NOT_AN_INTEGER: &str = "is not an integer";
const NOT_A_STRING: &str = "is not a string";
pub(crate) const NOT_A_HASH: &str = "is not a hash";
const REQUIRED: &str = "is required";
const NOT_POSITIVE: &str = "must be positive";

/// Validates one gauge or counter (Librato API docs, "Measurement Parameters" and "Gauge Specific Parameters").
fn metric(kind: Kind, key: Option<&str>, member: Value, defaults: &Map<String, Value>, now: i64) -> Member {
    let Value::Object(fields) = member else {
        return Member::not_a_hash();
    };
    let mut fields = Fields::new(fields);
    if let Some(key) = key {
        fields.default("name", &Value::from(key));
    }
    for (field, value) in defaults {
        fields.default(field, value);
    }
    fields.default("source", &Value::Null);
    fields.default("measure_time", &Value::from(now));
    let shown = fields.shown();

    let name = fields.name();
    let source = fields.source();
    let time = fields.time("measure_time", now);
    let sample = match kind {
        Kind::Gauge => fields.sample(&["min", "max", "sum_squares"]),
        Kind::Counter => fields.counter_sample(),
    };
    let properties = fields.properties(kind);
    if let Some(given) = fields.take("type")
        && given != kind.as_str()
    {
        let text = mismatch(name.as_deref().unwrap_or_default(), kind);
        fields.errors.add("type", text);
    }
    let outcome = match (fields.finish(), name, time, sample) {
        (Ok(()), Some(name), Some(time), Some(sample)) => Ok(Measurement {
            kind,
            name,
            source: source.unwrap_or_else(|| UNASSIGNED.to_owned()),
            time,
            sample,
            properties,
        }),
        // Missing and invalid fields have added their errors.
        (finished, ..) => Err(finished.err().unwrap_or_default()),
    };
    Member { shown, outcome }
}

/// Validates the body of a `PUT /v1/metrics/{name}`; `existing` is the type of a metric that exists.
///
/// # Errors
///
/// [`Refusal::Unparsable`], or the errors of the parameters.
pub fn properties(name: &str, body: &[u8], existing: Option<Kind>) -> Result<(Option<Kind>, Properties), Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Refusal::Unparsable)?;
    let Value::Object(mut body) = body else {
        return Err(Refusal::Params(Errors::one("metric", NOT_A_HASH)));
    };
    body.insert("name".to_owned(), Value::from(name));
    let mut fields = Fields::new(body);
    fields.name();
    let kind = fields.read("type", |kind| match kind.as_str() {
        Some("gauge") => Ok(Kind::Gauge),
        Some("counter") => Ok(Kind::Counter),
        Some("composite") => Err("composite is not offered by this local Librato"),
        _ => Err("must be one of gauge, counter, composite"),
    });
    let properties = fields.properties(existing.or(kind).unwrap_or(Kind::Gauge));
    match fields.finish() {
        Ok(()) => Ok((kind, properties)),
        Err(errors) => Err(Refusal::Params(errors)),
    }
}

/// Returns the error of a metric that exists with another type, as users of Librato's clients quoted it
/// (<https://github.com/librato/librato-rails/issues/10>).
#[must_use]
pub fn mismatch(name: &str, existing: Kind) -> String {
    let kind = existing.as_str();
    format!("'{name}' is a {kind}, but was submitted as different type")
}

/// Returns whether `name` is a valid name of a metric or a source (Librato API docs, "Metric Properties").
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-_".contains(&b))
}

/// Validates a number (Librato API docs, "Measurement Restrictions"): a base-10 exponent above 126 is refused, one
/// below -130 makes the number zero.
fn number(value: &Value) -> Result<f64, &'static str> {
    let number = value.as_f64().ok_or(NOT_A_NUMBER)?;
    match number.abs() {
        magnitude if magnitude >= 1e127 => Err(TOO_LARGE),
        magnitude if magnitude < 1e-130 => Ok(0.0),
        _ => Ok(number),
    }
}

/// Fields of a member that have not been read yet. Each is taken out once; those left at the end are unknown.
pub(crate) struct Fields {
    fields: Map<String, Value>,
    pub(crate) errors: Errors,
}

impl Fields {
    pub(crate) fn new(fields: Map<String, Value>) -> Self {
        Self { fields, errors: Errors::default() }
    }

    /// Sets a field that is absent. A `null` source counts as absent, as callers of the Ruby client sent it
    /// (<https://github.com/librato/librato-metrics/issues/69>).
    pub(crate) fn default(&mut self, field: &str, value: &Value) {
        let absent = match self.fields.get(field) {
            None => true,
            Some(Value::Null) => field == "source",
            Some(_) => false,
        };
        if absent {
            self.fields.insert(field.to_owned(), value.clone());
        }
    }

    /// Returns the fields, for the journal.
    pub(crate) fn shown(&self) -> Map<String, Value> {
        self.fields.clone()
    }

    /// Takes a field out.
    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field)
    }

    fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Adds an error unless the field is there.
    fn require(&mut self, field: &str, text: &str) {
        if !self.has(field) {
            self.errors.add(field, text);
        }
    }

    /// Takes a field out and reads it; an error of `read` is added to those of the member.
    fn read<T>(&mut self, field: &str, read: impl FnOnce(&Value) -> Result<T, &'static str>) -> Option<T> {
        let value = self.take(field)?;
        match read(&value) {
            Ok(value) => Some(value),
            Err(text) => {
                self.errors.add(field, text);
                None
            }
        }
    }

    /// Reads the required name.
    pub(crate) fn name(&mut self) -> Option<String> {
        match self.take("name") {
            None | Some(Value::Null) => self.errors.add("name", NOT_PRESENT),
            Some(Value::String(name)) if is_name(&name) => return Some(name),
            Some(other) => {
                let text = format!("{} is not a valid metric name", interpolated(&other));
                self.errors.add("name", text);
            }
        }
        None
    }

    /// Reads the source.
    fn source(&mut self) -> Option<String> {
        match self.take("source")? {
            Value::Null => None,
            // `all` is reserved in any case, since Librato ignores the case of sources.
            Value::String(source) if is_name(&source) && !source.eq_ignore_ascii_case("all") => Some(source),
            other => {
                let text = format!("{} is not a valid source name", interpolated(&other));
                self.errors.add("source", text);
                None
            }
        }
    }

    /// Reads a time in whole epoch seconds. The error of one that is too old has the service's own words, that of one
    /// too far ahead assumed ones.
    pub(crate) fn time(&mut self, field: &str, now: i64) -> Option<i64> {
        self.read(field, |value| {
            match value.as_i64() {
                // From 2^63 on it is whole, and far ahead of any clock.
                None if value.is_u64() => Err("is too far in the future"),
                None => Err(NOT_AN_INTEGER),
                Some(time) if time < now - PAST_SECONDS => Err("is too far in the past"),
                Some(time) if time > now + FUTURE_SECONDS => Err("is too far in the future"),
                Some(time) => Ok(time),
            }
        })
    }

    /// Reads a number.
    pub(crate) fn number(&mut self, field: &str) -> Option<f64> {
        self.read(field, number)
    }

    /// Reads a plain `value`, or `count` and `sum` with any of the `optional` summary fields.
    pub(crate) fn sample(&mut self, optional: &[&str]) -> Option<Sample> {
        if !self.has("count") {
            for field in ["sum"].iter().chain(optional) {
                if self.take(field).is_some() {
                    self.errors.add(*field, "must not be set without count");
                }
            }
            self.require("value", NOT_PRESENT);
            return self.number("value").map(Sample::single);
        }
        if self.take("value").is_some() {
            self.errors.add("value", "must not be set when count is set");
        }
        let count = self.read("count", count);
        self.require("sum", REQUIRED);
        let sum = self.number("sum");
        let mut sample = Sample {
            count: count.unwrap_or_default(),
            sum: sum.unwrap_or_default(),
            min: None,
            max: None,
            sum_squares: None,
        };
        for field in optional {
            let number = self.number(field);
            match *field {
                "min" => sample.min = number,
                "max" => sample.max = number,
                "sum_squares" => sample.sum_squares = number,
                _ => {}
            }
        }
        count.and(sum).map(|_| sample)
    }

    /// Reads the value of a counter, which has no summary and is never negative.
    fn counter_sample(&mut self) -> Option<Sample> {
        self.require("value", NOT_PRESENT);
        self.read("value", |value| match number(value)? {
            negative if negative < 0.0 => Err(NOT_POSITIVE),
            value => Ok(Sample::single(value)),
        })
    }

    /// Reads the properties of a metric, which any measurement may carry (Librato API docs, "Update Metric by Name" and
    /// "Metric Attributes").
    pub(crate) fn properties(&mut self, kind: Kind) -> Properties {
        let mut properties = Properties {
            display_name: self.read("display_name", text).flatten(),
            description: self.read("description", text).flatten(),
            period: self.read("period", period),
            attributes: Map::new(),
        };
        if let Some(attributes) = self.read("attributes", |value| value.as_object().cloned().ok_or(NOT_A_HASH)) {
            for (attribute, value) in &attributes {
                if let Err(text) = judge_attribute(kind, attribute, value) {
                    self.errors.add(attribute, text);
                }
            }
            properties.attributes = attributes;
        }
        self.errors.append(judge_aggregation(&properties.attributes, properties.period));
        properties
    }

    /// Returns all errors, those of unknown fields included.
    pub(crate) fn finish(mut self) -> Result<(), Errors> {
        for field in self.fields.keys() {
            self.errors.add(field, UNKNOWN);
        }
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

/// Returns a value as Ruby would interpolate it: a string without quotes.
fn interpolated(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn text(value: &Value) -> Result<Option<String>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(NOT_A_STRING),
    }
}

fn count(value: &Value) -> Result<u64, &'static str> {
    match (value.as_u64(), value.as_f64()) {
        (Some(1..), _) => Ok(value.as_u64().unwrap_or_default()),
        (_, Some(number)) if number < 1.0 => Err(NOT_POSITIVE),
        (_, Some(_)) => Err(NOT_AN_INTEGER),
        (_, None) => Err(NOT_A_NUMBER),
    }
}

fn period(value: &Value) -> Result<u32, &'static str> {
    match value.as_i64() {
        None => Err(NOT_AN_INTEGER),
        Some(..=0) => Err(NOT_POSITIVE),
        Some(period) => u32::try_from(period).map_err(|_| "is too large"),
    }
}

/// Validates the period of a metric that aggregates, which must be one of [`AGGREGATION_PERIODS`].
#[must_use]
pub fn judge_aggregation(attributes: &Map<String, Value>, period: Option<u32>) -> Errors {
    let aggregates = attributes.get("aggregate") == Some(&Value::Bool(true));
    if aggregates && !AGGREGATION_PERIODS.contains(&period.unwrap_or(DEFAULT_PERIOD)) {
        let (from, to) = AGGREGATION_PERIODS.into_inner();
        return Errors::one("period", format!("must be between {from} and {to} seconds for service-side aggregation"));
    }
    Errors::default()
}

fn judge_attribute(kind: Kind, attribute: &str, value: &Value) -> Result<(), &'static str> {
    let only = |valid: bool, text| if valid { Ok(()) } else { Err(text) };
    // Setting an attribute to null removes it; it is then read as null.
    let nullable = |valid: bool, text| only(valid || value.is_null(), text);
    match attribute {
        "aggregate" | "summarize_function" if kind != Kind::Gauge => Err("is an attribute of gauges only"),
        "aggregate" => only(value.is_boolean(), "must be true or false"),
        "summarize_function" => only(
            matches!(value.as_str(), Some("average" | "sum" | "count" | "min" | "max")),
            "must be one of average, sum, count, min, max",
        ),
        "display_stacked" | "gap_detection" => nullable(value.is_boolean(), "must be true or false"),
        "display_min" | "display_max" => nullable(value.is_number(), NOT_A_NUMBER),
        "display_units_short" | "display_units_long" | "created_by_ua" => nullable(value.is_string(), NOT_A_STRING),
        "display_transform" => nullable(
            value.as_str().is_some_and(|formula| {
                !formula.is_empty() && formula.bytes().all(|b| b.is_ascii_digit() || b"xp()*+,-./ ".contains(&b))
            }),
            "is not a linear formula",
        ),
        "color" => nullable(
            value.as_str().is_some_and(|color| {
                color.len() == 7 && color.starts_with('#') && color.bytes().skip(1).all(|b| b.is_ascii_hexdigit())
            }),
            "must look like #52D74C",
        ),
        _ => Err(UNKNOWN),
    }
}
