//! What a metric is called.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::value::RawValue;

use crate::json::{Scalar, javascript_string};
use crate::measurement::clean_name;
use crate::rejection::{Code, Rejection};
use crate::segment::event::Event;

/// The metric of a Track call: its `event`, cleaned.
///
/// # Errors
///
/// [`Code::MissingEvent`] unless `event` is a string that is not empty.
pub fn track(event: &Event) -> Result<Rc<str>, Rejection> {
    match Scalar::of_field(event.event) {
        Scalar::Text(name) if !name.is_empty() => Ok(clean_name(&name)),
        other => {
            let found = match other {
                Scalar::Null => "nothing",
                Scalar::Text(_) => "an empty string",
                ref other => other.kind(),
            };
            Err(Rejection::new(
                Code::MissingEvent,
                format!("event: expected a string that is not empty, found {found}"),
            ))
        }
    }
}

/// The metric of a Page call: `Viewed {category} {name} Page`, `Viewed {name} Page`, or
/// `Loaded a Page` without a name, cleaned. Only top-level fields count (npm `@segment/facade`,
/// `Page.fullName` and `Page.event`).
#[must_use]
pub fn page(event: &Event) -> Rc<str> {
    match (part(event.category), part(event.name)) {
        (_, None) => clean_name("Loaded a Page"),
        (Some(category), Some(name)) => clean_name(&format!("Viewed {category} {name} Page")),
        (None, Some(name)) => clean_name(&format!("Viewed {name} Page")),
    }
}

/// Returns a field's text as JavaScript would concatenate it, unless JavaScript takes it for false.
fn part(field: Option<&RawValue>) -> Option<Cow<'_, str>> {
    field.filter(|raw| Scalar::of(raw).is_truthy()).map(javascript_string)
}
