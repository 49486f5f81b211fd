//! Text: put together, looked for in another, taken for a number.
//!
//! The standard library's search is made for long texts, and its panics write text as `{:?}` does, which
//! brings tables of Unicode into the module. Its `format!` and `parse` are made for any type, width and
//! radix: several kilobytes for a few sentences with a number in them. So the module has neither.

use alloc::string::String;
use alloc::vec::Vec;

use crate::json::number::write_whole;

/// Texts, one behind the other.
#[must_use]
pub fn concat(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        text.push_str(part);
    }
    text
}

/// Texts with another one between each two.
#[must_use]
pub fn join(parts: impl Iterator<Item = impl AsRef<str>>, between: &str) -> String {
    let mut text = String::new();
    for (place, part) in parts.enumerate() {
        if place > 0 {
            text.push_str(between);
        }
        text.push_str(part.as_ref());
    }
    text
}

/// The digits of a number.
#[must_use]
pub fn whole(number: u64) -> String {
    let mut digits = Vec::new();
    write_whole(number, &mut digits);
    String::from_utf8(digits).unwrap_or_default()
}

/// The number that a text is: a plus or none, and digits. `None` for any other text, and beyond the type.
#[must_use]
pub fn read_whole<T: TryFrom<u64>>(text: &str) -> Option<T> {
    read_digits(text.strip_prefix('+').unwrap_or(text)).and_then(|number| T::try_from(number).ok())
}

/// The same of a number that may have a minus.
#[must_use]
pub fn read_integer(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(size) => 0_i64.checked_sub_unsigned(read_digits(size)?),
        None => read_whole(text),
    }
}

fn read_digits(text: &str) -> Option<u64> {
    read_radix(text, 10)
}

/// The number that a text is in hexadecimal digits, large or small.
#[must_use]
pub fn read_hex(text: &str) -> Option<u64> {
    read_radix(text, 16)
}

fn read_radix(text: &str, radix: u32) -> Option<u64> {
    let number = text.bytes().try_fold(0, |number: u64, byte| {
        let digit = char::from(byte).to_digit(radix)?;
        number.checked_mul(radix.into())?.checked_add(digit.into())
    });
    number.filter(|_| !text.is_empty())
}

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

    proptest! {
        #[test]
        fn numbers_are_read_as_the_standard_library_reads_them(
            text in prop_oneof!["[+-]?[0-9]{0,3}", "[+-]?0{0,3}[0-9]{18,21}", "[+-]{0,2}[0-9a-fx ]{0,3}"],
            number in any::<i64>(),
        ) {
            for text in [text, number.to_string(), number.unsigned_abs().to_string()] {
                prop_assert_eq!(read_whole(&text), text.parse::<u64>().ok());
                prop_assert_eq!(read_whole(&text), text.parse::<u32>().ok());
                prop_assert_eq!(read_integer(&text), text.parse().ok());
                let unsigned = text.trim_start_matches('+');
                prop_assert_eq!(read_hex(unsigned), u64::from_str_radix(unsigned, 16).ok());
            }
        }

        #[test]
        fn numbers_are_written_as_they_are_read(number in any::<u64>()) {
            prop_assert_eq!(read_whole(&whole(number)), Some(number));
        }
    }

    #[test]
    fn the_largest_number_is_read_and_none_beyond() {
        assert_eq!(read_whole("18446744073709551615"), Some(u64::MAX));
        assert_eq!(read_whole::<u64>("18446744073709551616"), None);
        assert_eq!(read_integer("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(read_integer("9223372036854775808"), None);
        assert_eq!(read_hex("ffffffffffffffff"), Some(u64::MAX));
        assert_eq!(read_hex("10000000000000000"), None);
    }

    #[test]
    fn texts_are_put_together() {
        assert_eq!(concat(&["a", "", "b"]), "ab");
        assert_eq!(join(["a", "", "b"].iter(), ", "), "a, , b");
        assert_eq!(join([""; 0].iter(), ", "), "");
    }

    #[test]
    fn what_is_empty_is_nowhere() {
        assert_eq!(find("a", ""), None);
        assert_eq!(replace("a", "", "b"), "a");
    }
}
