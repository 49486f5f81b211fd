//! Query strings.

use alloc::string::String;
use alloc::vec::Vec;

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
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
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
        assert_eq!(
            parameter("a=1&writeKey=x%2By+z&writeKey=2", "writeKey").as_deref(),
            Some("x+y z")
        );
        assert_eq!(parameter("writeKey", "writeKey").as_deref(), Some(""));
        for query in ["", "a=writeKey", "writeKey=%zz", "writeKey=%f", "writeKey=%ff"] {
            assert_eq!(parameter(query, "writeKey"), None, "{query}");
        }
    }
}
