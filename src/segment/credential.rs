//! The write key in HTTP Basic.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Base64 as clients write it, who disagree about the padding.
pub(super) const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// User name and password of HTTP Basic, as they stand in it; `None` for another scheme, such as `Bearer`.
#[must_use]
pub(crate) fn basic_pair(authorization: &str) -> Option<String> {
    let (scheme, encoded) = authorization.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    String::from_utf8(LENIENT_BASE64.decode(encoded.trim()).ok()?).ok()
}

/// The user name of HTTP Basic, which is the write key. The password is ignored, and so is the colon's absence, which
/// Segment forgives.
#[must_use]
pub fn basic_user(authorization: &str) -> Option<String> {
    let decoded = basic_pair(authorization)?;
    let user = decoded.split(':').next()?;
    (!user.is_empty()).then(|| user.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic() {
        for (header, user) in [
            ("Basic bG9jYWw6", Some("local")),
            ("basic  bG9jYWw6cGFzcw==", Some("local")),
            ("Basic bG9jYWw", Some("local")),
            ("Basic bG9jYWw=", Some("local")),
            ("Basic Og==", None),
            ("Basic ///", None),
            ("Basic", None),
            ("Bearer bG9jYWw6", None),
            ("", None),
        ] {
            assert_eq!(basic_user(header).as_deref(), user, "{header}");
        }
    }
}
