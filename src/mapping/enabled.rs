//! Whether an event is meant for this destination.

use std::borrow::Cow;

use crate::segment::event::{Entry, Event, Section};

/// Where options and switches of an event stand, as `@segment/facade` looks them up.
pub(crate) struct Places<'e, 'a> {
    /// `options`, or `context` where there is no `options`.
    pub(crate) options: &'e Section<'a>,
    /// `integrations`, or the oldest place `options.providers`, or the options themselves.
    pub(crate) integrations: Cow<'e, Section<'a>>,
}

impl<'e, 'a> Places<'e, 'a> {
    pub(crate) fn of(event: &'e Event<'a>) -> Self {
        let options = if event.options.is_truthy { &event.options } else { &event.context };
        let integrations = if event.integrations.is_truthy {
            Cow::Borrowed(&event.integrations)
        } else {
            options.providers().map_or(Cow::Borrowed(options), Cow::Owned)
        };
        Self { options, integrations }
    }
}

/// Returns whether the event may be measured: not when `Librato` is `false`, and not when `All` is `false` without an
/// entry for `Librato`. What comes by Segment's webhook has been judged by Segment, so that only the former counts.
pub(crate) fn is_enabled(event: &Event, is_webhook: bool) -> bool {
    let Places { options, integrations } = Places::of(event);
    match integrations.librato() {
        Some(Entry::Bool(on)) => return on,
        Some(_) => return true,
        None => {}
    }
    if let Some(entry) = integrations.providers().and_then(|section| section.librato()) {
        return !matches!(entry, Entry::Bool(false) | Entry::Other);
    }
    let all =
        options.providers().and_then(|section| section.all()).or_else(|| options.all()).or_else(|| integrations.all());
    is_webhook || all != Some(false)
}
