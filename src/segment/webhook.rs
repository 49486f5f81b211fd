//! Segment itself, through a Webhooks destination.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::value::RawValue;
use sha1::Sha1;

use super::answer::{ApiError, ErrorCode, Result};

/// Longest request of a webhook, in bytes: Segment batches up to 4,000 events, and a request that is refused is lost.
pub const MAX_REQUEST: usize = 8_000_000;
/// Most events in such a request (Segment's Webhooks destination).
pub const MAX_EVENTS: usize = 4_000;

/// Checks `X-Signature`, which is the HMAC-SHA1 in hex of the JSON text that was sent; for an array, of its first
/// element's. The text is taken as it came: written anew, it might differ.
///
/// A signature that holds for an array says nothing about its other elements.
///
/// # Errors
///
/// [`ErrorCode::InvalidSignature`].
pub fn verify(secret: &str, body: &[u8], signature: Option<&str>) -> Result<()> {
    let signature = signature.and_then(|text| hex(text.trim()));
    let is_of = |text: &[u8]| {
        // Any length of key is a key for HMAC.
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else { return false };
        mac.update(text);
        // In constant time.
        signature.as_ref().is_some_and(|signature| mac.verify_slice(signature).is_ok())
    };
    if is_of(body) || first_element(body).is_some_and(|text| is_of(text.as_bytes())) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::InvalidSignature,
        "X-Signature: expected the HMAC-SHA1 of the body under WEBHOOK_SECRET, in hex",
    ))
}

fn first_element(body: &[u8]) -> Option<&str> {
    let elements: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    elements.first().map(|element| element.get())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
    pairs.iter().map(byte).collect::<Option<_>>().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_over_the_bytes_as_they_came() {
        // `printf '{"a": 1}' | openssl dgst -sha1 -hmac secret`
        let good = "3a11128db5d52967b47b427b632d43eb6a71391c";
        for body in [r#"{"a": 1}"#, r#"[{"a": 1}]"#, r#" [ {"a": 1} , {"b":2}]"#] {
            assert!(verify("secret", body.as_bytes(), Some(good)).is_ok(), "{body}");
        }
        for body in [r#"{"a":1}"#, r#"[{"b":2},{"a": 1}]"#, "[]", "", "\u{ff}"] {
            assert!(verify("secret", body.as_bytes(), Some(good)).is_err(), "{body}");
        }
        for signature in [None, Some(""), Some("zz"), good.get(2..), Some("é")] {
            assert!(verify("secret", br#"{"a": 1}"#, signature).is_err(), "{signature:?}");
        }
        assert!(verify("other", br#"{"a": 1}"#, Some(good)).is_err());
    }
}
