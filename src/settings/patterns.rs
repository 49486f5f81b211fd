//! The metrics that may be created (`ALLOWED_EVENTS`).

use wildmatch::WildMatch;

use crate::measurement::clean_name;

/// A list of names in which `*` matches any run of characters, whatever the case. Without a list, all are
/// allowed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patterns(Option<Vec<WildMatch>>);

impl Patterns {
    /// Takes names of metrics; an event's name is meant for its metric's.
    pub(super) fn of(names: &[String]) -> Self {
        if names.iter().any(|name| name == "*") {
            return Self::default();
        }
        // Cleaned, a name has no `?`, which would match any character.
        let pattern = |name: &String| name.split('*').map(clean_name).collect::<Vec<_>>().join("*");
        Self(Some(names.iter().map(|name| WildMatch::new_case_insensitive(&pattern(name))).collect()))
    }

    /// Returns whether one of the patterns matches the whole name.
    #[must_use]
    pub fn allow(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(name)))
    }
}
