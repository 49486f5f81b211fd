//! The bytes of a request.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::answer::{ApiError, ErrorCode, Result};

/// Longest request that is taken, in bytes, before and after unpacking. Segment documents 500 KB; `RudderStack`'s
/// mobile libraries make files somewhat above that, and throw a refused one away.
pub const MAX_REQUEST: usize = 1_048_576;

/// Longest request that is read to its end, so that whoever sends too much is still there for the answer.
pub const MAX_READ: usize = 8_000_000;

/// The first bytes of gzip (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Returns the failure of a body that is longer than `limit`.
#[must_use]
pub fn too_large(limit: usize) -> Box<ApiError> {
    let message = format!("body: expected at most {limit} bytes");
    ApiError::new(ErrorCode::PayloadTooLarge, message)
}

/// Returns the text of a body.
///
/// Packing is told by the first bytes: a hop before us may have unpacked a body without taking the header away, and
/// some libraries forget to set it. `content_encoding` only decides how a body that is neither is called.
///
/// # Errors
///
/// [`ErrorCode::PayloadTooLarge`], [`ErrorCode::UnsupportedEncoding`] for a damaged gzip or another packing,
/// [`ErrorCode::MalformedJson`] for what is not UTF-8.
pub fn text(body: Vec<u8>, content_encoding: Option<&str>, limit: usize) -> Result<String> {
    let body = if body.starts_with(&GZIP) { unzip(&body, limit)? } else { body };
    if body.len() > limit {
        return Err(too_large(limit));
    }
    String::from_utf8(body).map_err(|_| match content_encoding {
        Some(encoding) if !matches!(encoding, "" | "identity" | "gzip" | "x-gzip") => {
            let message = "Content-Encoding: expected gzip or none";
            ApiError::new(ErrorCode::UnsupportedEncoding, message)
        }
        _ => ApiError::new(ErrorCode::MalformedJson, "body: expected JSON in UTF-8"),
    })
}

/// Unpacks no more than tells that it is too large.
fn unzip(packed: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    let unpacked = MultiGzDecoder::new(packed).take(limit as u64 + 1).read_to_end(&mut body);
    unpacked.map(|_| body).map_err(|_| {
        let message = "body: expected gzip, found a damaged one";
        ApiError::new(ErrorCode::UnsupportedEncoding, message)
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

    fn code(body: Vec<u8>, encoding: Option<&str>) -> std::result::Result<usize, &'static str> {
        text(body, encoding, MAX_REQUEST).map(|text| text.len()).map_err(|error| error.code.parts().0)
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
