//! The bytes of a request.

use super::answer::{Failure, FailureCode, Fallible};
use super::gzip;
use crate::text::{concat, whole};

/// Longest request that is read, in bytes, before and after unpacking (Segment documents 500 KB;
/// the libraries of Ruby, PHP and Java count 512,000).
pub const MAX_REQUEST: usize = 512_000;

/// The failure of a body that is longer than `limit`.
#[must_use]
pub fn too_large(limit: usize) -> Box<Failure> {
    let message = concat(&["body: expected at most ", &whole(limit as u64), " bytes"]);
    Failure::new(FailureCode::PayloadTooLarge, message)
}

/// The text of a body.
///
/// Packing is told by the first bytes: a hop before us may have unpacked a body without taking the
/// header away, and some libraries forget to set it. `content_encoding` only decides how a body that
/// is neither is called.
///
/// # Errors
///
/// [`FailureCode::PayloadTooLarge`], [`FailureCode::UnsupportedEncoding`] for a damaged gzip or
/// another packing, [`FailureCode::MalformedJson`] for what is not UTF-8.
pub fn text(body: Vec<u8>, content_encoding: Option<&str>, limit: usize) -> Fallible<String> {
    let body = if gzip::is_gzip(&body) { unzip(&body, limit)? } else { body };
    if body.len() > limit {
        return Err(too_large(limit));
    }
    String::from_utf8(body).map_err(|_| match content_encoding {
        Some(encoding) if !matches!(encoding, "" | "identity" | "gzip" | "x-gzip") => Failure::new(
            FailureCode::UnsupportedEncoding,
            "Content-Encoding: expected gzip or none",
        ),
        _ => Failure::new(FailureCode::MalformedJson, "body: expected JSON in UTF-8"),
    })
}

fn unzip(packed: &[u8], limit: usize) -> Fallible<Vec<u8>> {
    gzip::unpack(packed, limit).map_err(|gzip::Damaged| {
        Failure::new(FailureCode::UnsupportedEncoding, "body: expected gzip, found a damaged one")
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn zip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn code(body: Vec<u8>, encoding: Option<&str>) -> Result<usize, &'static str> {
        text(body, encoding, MAX_REQUEST)
            .map(|text| text.len())
            .map_err(|failure| failure.code.parts().0)
    }

    #[test]
    fn the_limit_is_on_unpacked_bytes() {
        assert_eq!(code(zip(&vec![b' '; MAX_REQUEST]), None), Ok(MAX_REQUEST));
        assert_eq!(code(zip(&vec![b' '; MAX_REQUEST + 1]), None), Err("payload_too_large"));
        assert_eq!(code(vec![b' '; MAX_REQUEST + 1], None), Err("payload_too_large"));
        assert_eq!(code(zip(&vec![0; 100 << 20]), None), Err("payload_too_large"));
    }

    #[test]
    fn packing_is_told_by_the_bytes() {
        assert_eq!(code(b"{}".to_vec(), Some("gzip")), Ok(2));
        assert_eq!(code(zip(b"{}"), Some("br")), Ok(2));
        assert_eq!(code([zip(b"{"), zip(b"}")].concat(), None), Ok(2));
        assert_eq!(code(zip(b"{}")[..12].to_vec(), None), Err("unsupported_encoding"));
        assert_eq!(code(vec![0x1b, 0xff], Some("br")), Err("unsupported_encoding"));
        assert_eq!(code(vec![0x7b, 0xff], None), Err("malformed_json"));
    }
}
