//! Audiences and computed traits of Segment's Engage, which arrive as Identify calls.

use std::rc::Rc;

use crate::json::{Scalar, field, number};
use crate::measurement::clean_source;
use crate::segment::event::Event;

/// What an Engage Identify call measures.
pub(crate) struct Engage {
    /// The trait's name.
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) source: Rc<str>,
}

/// The trait that `context.personas.computation_key` names: an audience's `true` or `false` counts 1 under the source
/// `entered` or `exited`, a number is a computed trait's value.
pub(crate) fn measured(event: &Event) -> Option<Engage> {
    let key = Scalar::of(field(event.context.personas?, "computation_key")?);
    let Scalar::Text(key) = key else { return None };
    let (value, source) = match Scalar::of(field(event.traits?, &key)?) {
        Scalar::Bool(true) => (1.0, "entered".into()),
        Scalar::Bool(false) => (1.0, "exited".into()),
        Scalar::Number(text) => (number(text), clean_source(&key)),
        _ => return None,
    };
    (!key.is_empty()).then(|| Engage { name: key.into_owned(), value, source })
}
