//! Validation of `POST /v1/measurements`, the tag-based API.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::measurement::{Kind, Measurement};
use crate::refusal::{Errors, Refusal};
use crate::validate::{Batch, Fields, Member, NOT_A_HASH, UNKNOWN};

/// Most tags of a measurement (Librato API docs, "Measurement Restrictions").
pub const MAX_TAGS: usize = 50;
/// Longest name of a tag.
pub const MAX_TAG_NAME: usize = 64;
/// Longest value of a tag.
pub const MAX_TAG_VALUE: usize = 255;
/// Tag that corresponds to the source of the source-based API.
const SOURCE: &str = "source";

/// Validates the body of a `POST /v1/measurements` (Librato API docs, "Create a Measurement").
///
/// # Errors
///
/// When the request is refused as a whole. Errors of a measurement are part of the batch.
pub fn measurements(body: &[u8], now: i64) -> Result<Batch, Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Refusal::Unparsable)?;
    let Value::Object(mut request) = body else {
        return Err(Refusal::shape("the payload", NOT_A_HASH));
    };
    let measurements = match request.remove("measurements") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(measurements)) => measurements,
        Some(_) => return Err(Refusal::shape("measurements", "must be an array")),
    };
    if let Some(unknown) = request.keys().find(|key| !matches!(key.as_str(), "tags" | "time" | "period")) {
        return Err(Refusal::shape(unknown, UNKNOWN));
    }
    if measurements.is_empty() {
        return Err(Refusal::NoTaggedMeasurement);
    }
    Ok(Batch {
        members: measurements.into_iter().map(|measurement| judge(measurement, &request, now)).collect(),
        errors: Errors::default(),
    })
}

/// Validates one measurement. Its own tags, if it has any, replace all those at the top level.
fn judge(measurement: Value, defaults: &Map<String, Value>, now: i64) -> Member {
    let Value::Object(fields) = measurement else {
        return Member::not_a_hash();
    };
    let mut fields = Fields::new(fields);
    for (field, value) in defaults {
        fields.default(field, value);
    }
    fields.default("time", &Value::from(now));
    let shown = fields.shown();

    let name = fields.name();
    let time = fields.time("time", now);
    let sample = fields.sample(&["min", "max", "last", "stddev"]);
    let tags = fields.take("tags").unwrap_or_default();
    let tags = match tags_of(&tags) {
        Ok(tags) => Some(tags),
        Err(text) => {
            fields.errors.add("tags", text);
            None
        }
    };
    let properties = fields.properties(Kind::Gauge);
    let outcome = match (fields.finish(), name, time, sample, tags) {
        (Ok(()), Some(name), Some(time), Some(sample), Some(tags)) => {
            Ok(Measurement { kind: Kind::Gauge, name, source: stream_of(tags), time, sample, properties })
        }
        (finished, ..) => Err(finished.err().unwrap_or_default()),
    };
    Member { shown, outcome }
}

/// Validates tags, and returns them in lower case, as the service keeps them.
fn tags_of(tags: &Value) -> Result<BTreeMap<String, String>, &'static str> {
    let tags = match tags {
        // The first draft of the API fell back to `source=unassigned`; since 2017 tags are required.
        Value::Null => return Err("is required"),
        Value::Object(tags) if tags.is_empty() => return Err("is required"),
        Value::Object(tags) if tags.len() > MAX_TAGS => return Err("are more than 50"),
        Value::Object(tags) => tags,
        _ => return Err(NOT_A_HASH),
    };
    tags.iter()
        .map(|(name, value)| {
            if !is_made_of(name, MAX_TAG_NAME, b"-.:_") {
                return Err("has an invalid tag name");
            }
            match value {
                Value::String(value) if is_made_of(value, MAX_TAG_VALUE, b"-.:_?\\/ ") => {
                    Ok((name.to_ascii_lowercase(), value.to_ascii_lowercase()))
                }
                _ => Err("has an invalid tag value"),
            }
        })
        .collect()
}

/// Returns whether a text has a valid length and only ASCII letters, digits and `others`.
fn is_made_of(text: &str, longest: usize, others: &[u8]) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
}

/// Returns the name of a stream: the value of its tag `source`, as in the source-based API, and after it all other
/// tags.
fn stream_of(mut tags: BTreeMap<String, String>) -> String {
    let source = tags.remove(SOURCE);
    let others = tags.into_iter().map(|(name, value)| format!("{name}={value}"));
    source.into_iter().chain(others).collect::<Vec<_>>().join(",")
}
