//! Looking for text in text, where both are short.
//!
//! The standard library's search is made for long texts, and its panics write text as `{:?}` does, which
//! brings tables of Unicode into the module.

use alloc::string::String;

/// Where a text begins in another. What is empty is nowhere.
#[must_use]
pub fn find(text: &str, wanted: &str) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    text.as_bytes().windows(wanted.len()).position(|window| window == wanted.as_bytes())
}

/// Whether a text stands in another.
#[must_use]
pub fn contains(text: &str, wanted: &str) -> bool {
    find(text, wanted).is_some()
}

/// What stands before a text's first place in another, and what stands behind it.
#[must_use]
pub fn split_once<'t>(text: &'t str, wanted: &str) -> Option<(&'t str, &'t str)> {
    let at = find(text, wanted)?;
    Some((text.get(..at)?, text.get(at + wanted.len()..)?))
}

/// A text with another one in each place of a third.
#[must_use]
pub fn replace(text: &str, wanted: &str, by: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = split_once(rest, wanted) {
        replaced.push_str(before);
        replaced.push_str(by);
        rest = behind;
    }
    replaced + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_found_where_the_standard_library_finds_them(
            text in "[ab…é]{0,12}",
            wanted in "[ab…é]{1,3}",
        ) {
            prop_assert_eq!(find(&text, &wanted), text.find(&wanted));
            prop_assert_eq!(contains(&text, &wanted), text.contains(&wanted));
            prop_assert_eq!(split_once(&text, &wanted), text.split_once(&wanted));
            prop_assert_eq!(replace(&text, &wanted, "…a"), text.replace(&wanted, "…a"));
        }
    }

    #[test]
    fn what_is_empty_is_nowhere() {
        assert_eq!(find("a", ""), None);
        assert_eq!(replace("a", "", "b"), "a");
    }
}
