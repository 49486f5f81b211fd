//! Query strings.

/// The parameters of a query, decoded, in order. One that is no UTF-8 is left out.
pub fn parameters(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        decode(name).zip(decode(value))
    })
}

/// The first parameter of a name.
#[must_use]
pub fn parameter(query: &str, wanted: &str) -> Option<String> {
    parameters(query).find(|(name, _)| name == wanted).map(|(_, value)| value)
}

fn decode(text: &str) -> Option<String> {
    percent_decoded(text, b' ')
}

/// Returns what a text with percent signs in it stands for, as in a URL, and each plus for `plus`. `None` where two
/// digits are missing, and when that is no UTF-8.
///
/// The crates for it follow WHATWG's rules, by which what is broken passes as it is or becomes U+FFFD: an event would
/// count under a name that nobody sent, and a header be sent with a part of its value.
#[must_use]
pub(crate) fn percent_decoded(text: &str, plus: u8) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => plus,
            b'%' => {
                let value = digit(bytes.next()?)? * 16 + digit(bytes.next()?)?;
                u8::try_from(value).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_parameter() {
        assert_eq!(parameter("a=1&writeKey=x%2By+z&writeKey=2", "writeKey").as_deref(), Some("x+y z"));
        assert_eq!(parameter("writeKey", "writeKey").as_deref(), Some(""));
        for query in ["", "a=writeKey", "writeKey=%zz", "writeKey=%f", "writeKey=%ff"] {
            assert_eq!(parameter(query, "writeKey"), None, "{query}");
        }
    }

    #[test]
    fn what_is_escaped_in_a_url() {
        assert_eq!(percent_decoded("a+%2B%c3%A9é", b' ').as_deref(), Some("a +éé"));
        assert_eq!(percent_decoded("+", b'+').as_deref(), Some("+"));
        for text in ["%", "%2", "%+2", "%2é", "%zz", "%ff"] {
            assert_eq!(percent_decoded(text, b' '), None, "{text}");
        }
    }
}
