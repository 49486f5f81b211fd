//! Query strings.

use crate::text::{percent_decoded, split, split_once};

/// The parameters of a query, decoded, in order. One that is no UTF-8 is left out.
pub fn parameters(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    split(query, "&").filter(|pair| !pair.is_empty()).filter_map(|pair| {
        let (name, value) = split_once(pair, "=").unwrap_or((pair, ""));
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
