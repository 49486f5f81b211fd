//! Whether the visitor agreed.

use crate::json::{Scalar, field};
use crate::segment::event::Event;
use crate::settings::Settings;

/// Judges `context.consent.categoryPreferences` as Segment does, before `integrations`: an event without `consent`
/// flows; otherwise each category of `CONSENT_CATEGORIES` must be true.
pub(crate) fn is_given(event: &Event, settings: &Settings) -> bool {
    if settings.consent_categories.is_empty() {
        return true;
    }
    let Some(consent) = event.context.consent else { return true };
    let preferences = field(consent, "categoryPreferences");
    settings.consent_categories.iter().all(|category| {
        let preference = preferences.and_then(|preferences| field(preferences, category));
        Scalar::of_field(preference) == Scalar::Bool(true)
    })
}
