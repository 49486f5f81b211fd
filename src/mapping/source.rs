//! What a measurement is broken down by.

use std::borrow::Cow;
use std::rc::Rc;

use super::enabled::Places;
use crate::json::{Scalar, javascript_number, number};
use crate::measurement::{clean_source, unreserved};
use crate::rejection::{Code, Rejection};
use crate::segment::event::{Entry, Event};

/// The source: the first that is present of `integrations.Librato.source`; `options.Librato.source` or, without
/// `options`, `context.Librato.source`; `options.source` or `context.source` likewise; the metric's name.
///
/// An object under `integrations.Librato` hides the other `Librato` entry, even when it is empty (npm
/// `@segment/facade`, `Facade.options`).
///
/// # Errors
///
/// [`Code::InvalidSource`] for one that is neither a string nor a number.
pub fn of(event: &Event, name: &Rc<str>) -> Result<Rc<str>, Rejection> {
    let Places { options, integrations } = Places::of(event);
    let librato = match integrations.librato() {
        Some(Entry::Object(source)) => source,
        _ => match options.librato() {
            Some(Entry::Object(source)) => source,
            _ => None,
        },
    };
    let given = [(librato, "Librato.source"), (options.source(), "source")];
    for (raw, field) in given {
        let value = Scalar::of_field(raw);
        if value.is_truthy() {
            return text(&value, field).map(|source| clean_source(&source));
        }
    }
    Ok(unreserved(Rc::clone(name)))
}

fn text<'a>(value: &'a Scalar, field: &str) -> Result<Cow<'a, str>, Rejection> {
    match value {
        Scalar::Text(text) => Ok(Cow::Borrowed(text)),
        Scalar::Number(text) => Ok(javascript_number(number(text)).into()),
        other => Err(Rejection::new(
            Code::InvalidSource,
            format!("{field}: expected a string or a number, found {}", other.kind()),
        )),
    }
}
