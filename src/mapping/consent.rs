//! Whether the visitor agreed.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::json::Scalar;
use crate::segment::event::{Event, field};
use crate::settings::Settings;

/// Judges `context.consent.categoryPreferences` as Segment does, before `integrations`: an event
/// without `consent` flows; otherwise each category of `CONSENT_CATEGORIES` must be true.
pub(crate) fn is_given(event: &Event, settings: &Settings) -> bool {
    if settings.consent_categories.is_empty() {
        return true;
    }
    let Some(consent) = event.context.consent else { return true };
    let preferences: HashMap<Cow<str>, &RawValue> = field(consent, "categoryPreferences")
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    settings.consent_categories.iter().all(|category| {
        preferences.get(category.as_str()).is_some_and(|raw| Scalar::of(raw) == Scalar::Bool(true))
    })
}
