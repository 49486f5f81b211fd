//! What a metric is called.

use std::borrow::Cow;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use serde_json::value::RawValue;

use crate::json::{Scalar, javascript_string};
use crate::measurement::{MAX_NAME, clean_name, prefixed};
use crate::rejection::{Code, Rejection};
use crate::segment::event::Event;
use crate::settings::Settings;

/// A name in its three forms.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    /// As it was written, in as many characters as a metric's name has.
    pub(crate) written: Rc<str>,
    /// As the original destination cleaned it: the source, where none is given.
    pub(crate) cleaned: Rc<str>,
    /// The metric: with `METRIC_PREFIX`, and of the length that the destination takes.
    pub(crate) metric: Rc<str>,
}

impl Name {
    fn of(written: &str, settings: &Settings) -> Self {
        let cleaned = clean_name(written);
        let metric = prefixed(&settings.metric_prefix, &cleaned, settings.max_name());
        let written = if *cleaned == *written { Rc::clone(&cleaned) } else { beginning(written).into() };
        Self { written, cleaned, metric }
    }
}

/// Returns the first characters of a text: an event's name may be as long as an event, and would travel with each of
/// its measurements.
fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_NAME).map(|(end, _)| end);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// The names of a request, each of which is cleaned once: a batch has few, and many events of each.
#[derive(Debug, Default)]
pub struct MetricNames(FxHashMap<Rc<str>, Name>);

impl MetricNames {
    /// Returns the forms of a name.
    pub(crate) fn of(&mut self, written: &str, settings: &Settings) -> Name {
        if let Some(known) = self.0.get(written) {
            return known.clone();
        }
        let name = Name::of(written, settings);
        self.0.insert(Rc::clone(&name.written), name.clone());
        name
    }
}

/// Returns the name of a Track call: its `event`.
///
/// # Errors
///
/// [`Code::MissingEvent`] unless `event` is a string that is not empty.
pub(crate) fn track<'a>(event: &Event<'a>) -> Result<Cow<'a, str>, Rejection> {
    let found = match Scalar::of_field(event.event) {
        Scalar::Text(name) if !name.is_empty() => return Ok(name),
        Scalar::Null => "nothing",
        Scalar::Text(_) => "an empty string",
        other => other.kind(),
    };
    let message = format!("event: expected a string that is not empty, found {found}");
    Err(Rejection::new(Code::MissingEvent, message))
}

/// Returns the name of a Page call: `Viewed {category} {name} Page`, `Viewed {name} Page`, or `Loaded a Page` without a
/// name. Only top-level fields count (npm `@segment/facade`, `Page.fullName` and `Page.event`).
pub(crate) fn page(event: &Event) -> Cow<'static, str> {
    match (part(event.category), part(event.name)) {
        (_, None) => "Loaded a Page".into(),
        (Some(category), Some(name)) => format!("Viewed {category} {name} Page").into(),
        (None, Some(name)) => format!("Viewed {name} Page").into(),
    }
}

/// Returns a field's text as JavaScript would concatenate it, unless JavaScript takes it for false.
fn part(field: Option<&RawValue>) -> Option<Cow<'_, str>> {
    field.filter(|raw| Scalar::of(raw).is_truthy()).map(javascript_string)
}
