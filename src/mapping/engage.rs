//! Audiences and computed traits of Segment's Engage, which arrive as Identify calls.

use std::rc::Rc;

use super::{name, source};
use crate::json::{Scalar, number};
use crate::segment::event::Event;

/// What an Engage Identify call measures.
pub(crate) struct Engage {
    pub(crate) name: Rc<str>,
    pub(crate) value: f64,
    pub(crate) source: Rc<str>,
}

/// Whether an Engage computation made the event.
pub(crate) fn is_engage(event: &Event) -> bool {
    event.context.personas.is_some_and(|raw| Scalar::of(raw) == Scalar::Object)
}

/// The trait that `context.personas.computation_key` names: an audience's `true` or `false` counts 1
/// under the source `entered` or `exited`, a number is a computed trait's value.
pub(crate) fn measured(event: &Event) -> Option<Engage> {
    let key = Scalar::of(event.context.personas?.field("computation_key")?);
    let Scalar::Text(key) = key else { return None };
    let name = name::clean(&key);
    let (value, source) = match Scalar::of(event.traits?.field(&key)?) {
        Scalar::Bool(true) => (1.0, "entered".into()),
        Scalar::Bool(false) => (1.0, "exited".into()),
        Scalar::Number(text) => (number(text), source::clean(&key)),
        _ => return None,
    };
    (!name.is_empty()).then_some(Engage { name, value, source })
}
