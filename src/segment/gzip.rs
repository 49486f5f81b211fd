//! Unpacking gzip (RFC 1952), of one member or several.
//!
//! `flate2` would do, but its checksum alone brings sixteen kilobytes of tables that no packing makes
//! smaller: a sixth of what the Worker may weigh.

use super::inflate::inflate;

/// The packed bytes are damaged, or they are no gzip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// Whether bytes are gzip, told by the first of them.
#[must_use]
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Unpacks all members; no more than `limit` bytes and one, so that a bomb does no harm.
///
/// # Errors
///
/// [`Damaged`].
pub(super) fn unpack(mut packed: &[u8], limit: usize) -> Result<Vec<u8>, Damaged> {
    // Text is packed to a fifth or so.
    let mut unpacked = Vec::with_capacity((packed.len() * 5).min(limit + 1));
    while !packed.is_empty() && unpacked.len() <= limit {
        packed = member(packed, limit + 1, &mut unpacked)?;
    }
    Ok(unpacked)
}

/// Unpacks one member behind what is there, up to so many bytes in all, and tells what follows it.
fn member<'p>(packed: &'p [u8], most: usize, out: &mut Vec<u8>) -> Result<&'p [u8], Damaged> {
    let rest = header(packed).ok_or(Damaged)?;
    let begin = out.len();
    let (rest, has_room) = inflate(rest, most, out).ok_or(Damaged)?;
    if !has_room {
        return Ok(&[]);
    }
    let content = out.get(begin..).unwrap_or_default();
    let (checksum, rest) = word(rest).ok_or(Damaged)?;
    let (length, rest) = word(rest).ok_or(Damaged)?;
    let is_whole = checksum == crc32(content) && length as usize == content.len();
    if is_whole { Ok(rest) } else { Err(Damaged) }
}

/// What follows a member's header.
fn header(packed: &[u8]) -> Option<&[u8]> {
    const CHECKSUM: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const NAME: u8 = 1 << 3;
    const COMMENT: u8 = 1 << 4;
    const RESERVED: u8 = 0xe0;
    let ([0x1f, 0x8b, 8, flags, ..], mut rest) = packed.split_first_chunk::<10>()? else {
        return None;
    };
    if flags & RESERVED != 0 {
        return None;
    }
    if flags & EXTRA != 0 {
        let (length, behind) = rest.split_first_chunk()?;
        rest = behind.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            rest = rest.get(rest.iter().position(|byte| *byte == 0)? + 1..)?;
        }
    }
    if flags & CHECKSUM != 0 {
        let header = packed.get(..packed.len() - rest.len())?;
        let (checksum, behind) = rest.split_first_chunk()?;
        if u32::from(u16::from_le_bytes(*checksum)) != crc32(header) & 0xffff {
            return None;
        }
        rest = behind;
    }
    Some(rest)
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*word), rest))
}

/// The checksum of RFC 1952, half a byte at a time.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut entry = 0;
        while entry < 16 {
            let mut value = entry;
            let mut bit = 0;
            while bit < 4 {
                value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            // In a constant, what is out of bounds does not compile.
            #[allow(clippy::indexing_slicing)]
            {
                table[entry as usize] = value;
            }
            entry += 1;
        }
        table
    };
    let step = |crc: u32| TABLE.get(crc as usize & 15).copied().unwrap_or_default() ^ crc >> 4;
    !bytes.iter().fold(!0, |crc, byte| step(step(crc ^ u32::from(*byte))))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 10_000;

    fn pack(text: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = flate2::GzBuilder::new()
            .filename("event.json")
            .comment("one")
            .extra([1, 2, 3])
            .write(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(
            members in prop::collection::vec((prop::collection::vec(0_u8..4, 0..3_000), 0_u32..10), 1..4),
        ) {
            let text: Vec<u8> = members.iter().flat_map(|(text, _)| text.clone()).collect();
            let packed: Vec<u8> =
                members.iter().flat_map(|(text, level)| pack(text, *level)).collect();
            prop_assert_eq!(unpack(&packed, LIMIT), Ok(text));
        }

        #[test]
        fn no_change_goes_unnoticed(
            text in prop::collection::vec(any::<u8>(), 1..300),
            place in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let packed = pack(&text, 6);
            let mut changed = packed.clone();
            let place = place.index(packed.len());
            changed[place] ^= 1 << bit;
            // The header may say another time or name.
            let unpacked = unpack(&changed, LIMIT);
            prop_assert!(unpacked.is_err() || unpacked == Ok(text));
            prop_assert_eq!(unpack(&packed[..place], LIMIT).is_ok(), place == 0);
        }

        #[test]
        fn the_checksum_is_that_of_gzip(bytes in any::<Vec<u8>>()) {
            let mut reference = flate2::Crc::new();
            reference.update(&bytes);
            prop_assert_eq!(crc32(&bytes), reference.sum());
        }

        #[test]
        fn no_bytes_make_a_panic(bytes in any::<Vec<u8>>()) {
            let behind_a_header = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], &bytes[..]].concat();
            for bytes in [&bytes, &behind_a_header] {
                _ = unpack(bytes, LIMIT);
            }
        }
    }

    #[test]
    fn no_more_is_unpacked_than_the_limit_and_one() {
        for length in [LIMIT, LIMIT + 1, 100 * LIMIT] {
            let unpacked = unpack(&pack(&vec![0; length], 9), LIMIT).unwrap();
            assert_eq!(unpacked.len(), length.min(LIMIT + 1));
        }
        let members = pack(b"0123456789", 9).repeat(LIMIT);
        assert!(unpack(&members, LIMIT).unwrap().len() > LIMIT);
    }

    #[test]
    fn a_member_repeats_nothing_of_the_one_before() {
        // Three times what is one back: a literal of the member's own, or what the other one ends with.
        let blocks: [(&[u8], &[u8], _); 2] = [
            (&[0x4b, 0x04, 0x02, 0x00], b"aaaa", Ok(b"aaaaaaaa".to_vec())),
            (&[0x03, 0x02, 0x00], b"aaa", Err(Damaged)),
        ];
        for (block, text, expected) in blocks {
            let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
            let length = u32::try_from(text.len()).unwrap();
            let [checksum, length] = [crc32(text), length].map(u32::to_le_bytes);
            let member = [&header, block, &checksum, &length].concat();
            assert_eq!(unpack(&[pack(b"aaaa", 6), member].concat(), LIMIT), expected);
        }
    }
}
