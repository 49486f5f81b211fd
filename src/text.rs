//! Text: put together, taken apart, taken for a number.
//!
//! What the standard library has for it is made for more than is needed here, and made anew for each type
//! that it is used with. Of the packed module `format!` and `parse` were 3 kB, as they know any type, width
//! and radix; splitting and trimming by characters, and reading what is no UTF-8, were half as much.
use std::str::from_utf8;

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

/// The byte that two hexadecimal digits are.
#[must_use]
pub fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
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

/// The parts of a text between any of these characters, which are ASCII.
pub fn split<'t>(text: &'t str, marks: &'t str) -> impl Iterator<Item = &'t str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.bytes().position(|byte| is_one_of(byte, marks));
        rest = end.and_then(|end| text.get(end + 1..));
        text.get(..end.unwrap_or(text.len()))
    })
}

/// Whether a byte is one of these characters, which are ASCII.
#[must_use]
pub fn is_one_of(byte: u8, marks: &str) -> bool {
    marks.bytes().any(|mark| mark == byte)
}

/// A text without the slashes at its end.
#[must_use]
pub fn without_slashes(mut text: &str) -> &str {
    while let Some(shorter) = text.strip_suffix("/") {
        text = shorter;
    }
    text
}

/// The text that bytes are, without what is no UTF-8: U+FFFD stands in its place.
#[must_use]
pub fn lossy(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    loop {
        let error = match from_utf8(bytes) {
            Ok(rest) => return text + rest,
            Err(error) => error,
        };
        let (valid, rest) = bytes.split_at_checked(error.valid_up_to()).unwrap_or_default();
        text.push_str(from_utf8(valid).unwrap_or_default());
        text.push('\u{fffd}');
        // Without a length, it is the beginning of a character that is cut off.
        bytes = error.error_len().and_then(|length| rest.get(length..)).unwrap_or_default();
    }
}

/// What a text with percent signs in it stands for, as in a URL, and each plus for `plus`. `None` where
/// two digits are missing, and when that is no UTF-8.
#[must_use]
pub fn percent_decoded(text: &str, plus: u8) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => plus,
            b'%' => hex_byte(bytes.next()?, bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
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
            let parts: Vec<_> = split(&text, "a]").collect();
            prop_assert_eq!(parts, text.split(['a', ']']).collect::<Vec<_>>());
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
        fn bytes_become_text_as_the_standard_library_makes_it(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..9),
                "[a…é😀]{0,4}".prop_map(String::into_bytes),
            ],
            cut in 0_usize..4,
        ) {
            let bytes = bytes.get(cut..).unwrap_or_default();
            prop_assert_eq!(lossy(bytes), String::from_utf8_lossy(bytes));
            let bytes = bytes.get(..bytes.len().saturating_sub(cut)).unwrap();
            prop_assert_eq!(lossy(bytes), String::from_utf8_lossy(bytes));
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
    fn what_is_escaped_in_a_url() {
        assert_eq!(percent_decoded("a+%2B%c3%A9é", b' ').as_deref(), Some("a +éé"));
        assert_eq!(percent_decoded("+", b'+').as_deref(), Some("+"));
        for text in ["%", "%2", "%+2", "%2é", "%zz", "%ff"] {
            assert_eq!(percent_decoded(text, b' '), None, "{text}");
        }
    }

    #[test]
    fn slashes_at_the_end() {
        for (text, without) in [("", ""), ("/", ""), ("a", "a"), ("/a//", "/a"), ("a/b/", "a/b")] {
            assert_eq!(without_slashes(text), without);
        }
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
