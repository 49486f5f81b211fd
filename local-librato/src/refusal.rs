//! Refusals, and the bodies that answer them.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// Errors by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors(Vec<(String, String)>);

impl Errors {
    /// Creates the error of one field.
    pub fn one(field: impl Into<String>, text: impl Into<String>) -> Self {
        Self(vec![(field.into(), text.into())])
    }

    /// Adds an error of a field.
    pub fn add(&mut self, field: impl Into<String>, text: impl Into<String>) {
        self.0.push((field.into(), text.into()));
    }

    /// Adds all errors of `other`.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the fields and their errors.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(field, text)| (field.as_str(), text.as_str()))
    }

    /// Returns `{"field": ["text", ...], ...}`, as `errors.params` has it.
    #[must_use]
    pub fn to_params(&self) -> Value {
        let mut params = Map::new();
        for (field, text) in &self.0 {
            if let Value::Array(texts) = params.entry(field).or_insert_with(|| json!([])) {
                texts.push(json!(text));
            }
        }
        Value::Object(params)
    }
}

/// Writes all errors on one line, for people.
impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (field, text)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{field}: {text}")?;
        }
        Ok(())
    }
}

/// Reason to refuse a whole request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body is not JSON; `NaN` and `Infinity` are not either.
    Unparsable,
    /// There is no measurement.
    NoMeasurement,
    /// The same, in the tag-based API.
    NoTaggedMeasurement,
    /// The body is JSON of another shape than the tag-based API reads.
    Shape(String),
    /// A parameter breaks a rule.
    Params(Errors),
}

impl Refusal {
    /// Creates the refusal of a payload for one `field`.
    #[must_use]
    pub fn shape(field: &str, text: &str) -> Self {
        Self::Shape(format!("{field} {text}"))
    }

    /// Returns the status of the answer. The 422 is from the first draft of the tag-based API
    /// (<https://github.com/librato/api-docs/commit/6770891>); whether it was kept is not known.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Shape(_) => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns the body of the answer (Librato API docs, "Response Codes & Errors"; the texts are those that users of
    /// the service quoted).
    #[must_use]
    pub fn body(&self, now: i64) -> Value {
        match self {
            Self::Unparsable => json!({"code": 400, "message": "Unable to process JSON"}),
            Self::NoMeasurement => json!({"errors": {"request": ["Must contain a measurement"]}}),
            Self::NoTaggedMeasurement => {
                json!({"errors": ["Payload must include at least 1 measurement"]})
            }
            Self::Shape(text) => json!({"errors": [text]}),
            Self::Params(errors) => {
                json!({"errors": {"params": errors.to_params()}, "request_time": now})
            }
        }
    }
}
