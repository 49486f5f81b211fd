//! Inflating (RFC 1951) what is there as a whole.
//!
//! Libraries inflate what comes in pieces, and are made for speed: ten kilobytes of code. Read bit by bit, as
//! Mark Adler's `puff` reads, half a megabyte of JSON takes a few milliseconds in WebAssembly.
//!
//! What is damaged is refused as zlib refuses it.

/// How many symbols a code has: that of literals and lengths, and that of distances.
const LITERALS: usize = 288;
const DISTANCES: usize = 32;

/// The symbol that ends a block. Literals are below it, lengths above.
const END: usize = 256;

/// In which order a block tells the lengths of the code in which it tells all other lengths.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Unpacks one stream behind what is there, up to `most` bytes in all. Tells what follows the stream, and
/// whether there was room for all of it; `None` for what is damaged.
pub(super) fn inflate<'p>(
    packed: &'p [u8],
    most: usize,
    out: &mut Vec<u8>,
) -> Option<(&'p [u8], bool)> {
    let begin = out.len();
    let mut inflater = Inflater { packed, at: 0, out, begin, most };
    let has_room = inflater.blocks()?;
    // Nothing follows where bits were missing.
    Some((packed.get(inflater.at.div_ceil(8)..)?, has_room))
}

struct Inflater<'p, 'o> {
    packed: &'p [u8],
    /// The place of the next bit.
    at: usize,
    out: &'o mut Vec<u8>,
    /// Where in `out` the stream begins: what is before that cannot be repeated.
    begin: usize,
    most: usize,
}

// What is a number or nothing takes two words, which WebAssembly hands over by way of memory, and every
// caller would ask which of both it is. So bits that are missing are zeros, of which there is an end: they
// begin no block, and all else that they make needs room. And what is no symbol is a number that means none.
impl Inflater<'_, '_> {
    /// Unpacks all blocks, and tells whether there was room.
    fn blocks(&mut self) -> Option<bool> {
        let mut codes = Codes { literals: Code::EMPTY, distances: Code::EMPTY };
        loop {
            let is_last = self.bits(1) == 1;
            let has_room = match self.bits(2) {
                0 => self.stored()?,
                kind => {
                    match kind {
                        1 => codes.fix()?,
                        2 => self.codes(&mut codes)?,
                        _ => return None,
                    }
                    self.symbols(&codes)?
                }
            };
            if is_last || !has_room {
                return Some(has_room);
            }
        }
    }

    /// Takes over what is not packed, and tells whether there was room.
    fn stored(&mut self) -> Option<bool> {
        self.at = self.at.next_multiple_of(8);
        let length = self.bits(16);
        if length ^ self.bits(16) != 0xffff {
            return None;
        }
        let taken = length.min(self.most - self.out.len());
        let begin = self.at / 8;
        self.out.extend_from_slice(self.packed.get(begin..begin + taken)?);
        self.at += taken * 8;
        Some(taken == length)
    }

    /// Unpacks the symbols of a block, and tells whether there was room.
    fn symbols(&mut self, codes: &Codes) -> Option<bool> {
        loop {
            let symbol = self.symbol(&codes.literals);
            let literal = u8::try_from(symbol).ok();
            let (from, length) = match symbol {
                ..END => (0, 1),
                END => return Some(true),
                257..286 => {
                    let length = if symbol == 285 { 258 } else { 3 + self.number(symbol - 257, 2) };
                    let symbol = self.symbol(&codes.distances);
                    if symbol >= 30 {
                        return None;
                    }
                    let distance = 1 + self.number(symbol, 1);
                    if distance > self.out.len() - self.begin {
                        return None;
                    }
                    (self.out.len() - distance, length)
                }
                _ => return None,
            };
            // Byte by byte, for what is repeated may reach into what comes of it.
            for at in from..from + length {
                if self.out.len() == self.most {
                    return Some(false);
                }
                let byte = literal.or_else(|| self.out.get(at).copied())?;
                self.out.push(byte);
            }
        }
    }

    /// Reads the codes that a block brings: the lengths of a code for lengths, then in that code those of
    /// the other two.
    fn codes(&mut self, codes: &mut Codes) -> Option<()> {
        let literals = self.bits(5) + 257;
        let distances = self.bits(5) + 1;
        let told = self.bits(4) + 4;
        if literals > 286 || distances > 30 {
            return None;
        }
        let mut lengths = [0; LITERALS + DISTANCES];
        for place in ORDER.iter().take(told) {
            *lengths.get_mut(*place)? = u8::try_from(self.bits(3)).ok()?;
        }
        // A code of one symbol, which zlib refuses here at once, makes all lengths the same, and that is no
        // code: there are 257 at least.
        codes.literals.set(lengths.get(..ORDER.len())?)?;
        let lengths = lengths.get_mut(..literals + distances)?;
        let mut at = 0;
        while at < lengths.len() {
            let symbol = self.symbol(&codes.literals);
            let (length, times) = match symbol {
                ..16 => (u8::try_from(symbol).ok()?, 1),
                16 => (*lengths.get(at.checked_sub(1)?)?, 3 + self.bits(2)),
                17 => (0, 3 + self.bits(3)),
                18 => (0, 11 + self.bits(7)),
                _ => return None,
            };
            lengths.get_mut(at..at + times)?.fill(length);
            at += times;
        }
        if *lengths.get(END)? == 0 {
            return None;
        }
        let (literals, distances) = lengths.split_at_checked(literals)?;
        codes.literals.set(literals)?;
        codes.distances.set(distances)
    }

    /// The number that a symbol and its further bits stand for, from zero. Of the first `2 << digits` symbols
    /// none has such bits, and of each `1 << digits` after them all have one more.
    fn number(&mut self, symbol: usize, digits: usize) -> usize {
        let further = (symbol >> digits).saturating_sub(1);
        ((symbol - (further << digits)) << further) + self.bits(further)
    }

    /// The next symbol in a code.
    fn symbol(&mut self, code: &Code) -> usize {
        let [absent, ends @ ..] = &code.ends;
        let mut begin = usize::from(*absent);
        // How far a code is behind those that are symbols. With a bit more, each step is two.
        let mut beyond = 0;
        for end in ends {
            let end = usize::from(*end);
            let place = begin + beyond * 2 + self.bit();
            if place < end {
                return code.symbols.get(place).copied().unwrap_or_default().into();
            }
            beyond = place - end;
            begin = end;
        }
        usize::MAX
    }

    /// So many bits as a number, the first of them its lowest.
    fn bits(&mut self, count: usize) -> usize {
        (0..count).fold(0, |bits, n| bits | self.bit() << n)
    }

    // Where it is called it costs fifty bytes, packed, and spares nearly half of the time.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn bit(&mut self) -> usize {
        let byte = self.packed.get(self.at / 8).copied().unwrap_or_default();
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        bit.into()
    }
}

/// The codes of a block.
struct Codes {
    /// Of literals, lengths, and the end.
    literals: Code,
    distances: Code,
}

impl Codes {
    /// Makes them those that need not be told.
    fn fix(&mut self) -> Option<()> {
        let mut lengths = [8; LITERALS];
        lengths.get_mut(144..256)?.fill(9);
        lengths.get_mut(256..280)?.fill(7);
        self.literals.set(&lengths)?;
        self.distances.set(&[5; DISTANCES])
    }
}

/// A Huffman code, in which each length goes on where the shorter ones end.
struct Code {
    /// The symbols, by the lengths of their codes. First come those that have none.
    symbols: [u16; LITERALS],
    /// Where in `symbols` each length ends.
    ends: [u16; 16],
}

impl Code {
    const EMPTY: Self = Self { symbols: [0; LITERALS], ends: [0; 16] };

    /// Makes it the code of these lengths.
    fn set(&mut self, lengths: &[u8]) -> Option<()> {
        self.ends = [0; 16];
        for length in lengths {
            *self.ends.get_mut(usize::from(*length))? += 1;
        }
        let [absent, counts @ ..] = &mut self.ends;
        let mut begin = std::mem::take(absent);
        let mut free = 1;
        for count in counts {
            free = free * 2 - i32::from(*count);
            begin += std::mem::replace(count, begin);
        }
        // Each length is told by its begin until it is filled. A code may be free only beside a single
        // symbol of one bit, or where there are no symbols: who repeats nothing needs no distances.
        let [_, _, long, ..] = self.ends;
        if free < 0 || free > 0 && usize::from(long) < lengths.len() {
            return None;
        }
        for (symbol, length) in (0..).zip(lengths) {
            let end = self.ends.get_mut(usize::from(*length))?;
            *self.symbols.get_mut(usize::from(*end))? = symbol;
            *end += 1;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    const MOST: usize = 15_001;

    /// The bytes of a stream, how many follow it, and whether there was room.
    type Unpacked = Option<(Vec<u8>, usize, bool)>;

    fn unpacked(packed: &[u8], most: usize) -> Unpacked {
        let before = b"what was there before";
        let mut out = before.to_vec();
        let (rest, has_room) = inflate(packed, before.len() + most, &mut out)?;
        assert!(packed.ends_with(rest));
        let bytes = out.strip_prefix(before).unwrap();
        assert!(bytes.len() <= most);
        Some((bytes.to_vec(), rest.len(), has_room))
    }

    /// What `flate2` makes of it, all at once: in pieces, it takes what reaches before the beginning for zeros.
    fn reference(packed: &[u8], most: usize) -> Unpacked {
        let mut bytes = vec![0; most];
        let mut reference = Decompress::new(false);
        let status = reference.decompress(packed, &mut bytes, FlushDecompress::Finish).ok()?;
        let [read, written] =
            [reference.total_in(), reference.total_out()].map(|n| usize::try_from(n).unwrap());
        bytes.truncate(written);
        match status {
            Status::StreamEnd => Some((bytes, packed.len() - read, true)),
            // It does not tell whether it wants room or bits, nor where it stands.
            _ if written == most => unpacked(packed, most).map(|(_, rest, _)| (bytes, rest, false)),
            _ => None,
        }
    }

    /// Parts of one stream, each in blocks of its own: stored at level 0, by the fixed codes when it is short.
    fn pack(parts: &[(Vec<u8>, u32)]) -> Vec<u8> {
        let mut packed = Vec::new();
        for (n, (part, level)) in parts.iter().enumerate() {
            let is_last = n + 1 == parts.len();
            let flush = if is_last { FlushCompress::Finish } else { FlushCompress::Sync };
            packed.reserve(2 * part.len() + 100);
            let mut compress = Compress::new(Compression::new(*level), false);
            compress.compress_vec(part, &mut packed, flush).unwrap();
        }
        packed
    }

    fn parts() -> impl Strategy<Value = Vec<(Vec<u8>, u32)>> {
        let part = prop_oneof![
            vec(any::<u8>(), 0..500),
            vec(0_u8..4, 0..1_000),
            // Codes of many lengths.
            vec(any::<u64>().prop_map(|n| n.trailing_zeros().to_le_bytes()[0]), 0..2_000),
            vec("[a-f]{1,5}", 0..200).prop_map(|words| words.concat().into()),
            (any::<u8>(), 0_usize..5_000).prop_map(|(byte, times)| vec![byte; times]),
        ];
        vec((part, 0_u32..10), 1..4)
    }

    /// The lengths of a code that is whole: it stays so when one becomes two that are longer by one.
    fn code(symbols: usize) -> impl Strategy<Value = Vec<u8>> {
        vec(any::<Index>(), 1..symbols)
            .prop_map(move |divided| {
                let mut lengths = vec![0];
                for place in divided {
                    let place = place.index(lengths.len());
                    if lengths[place] < 15 {
                        lengths[place] += 1;
                        lengths.push(lengths[place]);
                    }
                }
                lengths.resize(symbols, 0);
                lengths
            })
            .prop_shuffle()
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(
            parts in parts(),
            behind in any::<Vec<u8>>(),
            most in 0..MOST,
        ) {
            let bytes: Vec<u8> = parts.iter().flat_map(|(part, _)| part.clone()).collect();
            let packed = [pack(&parts), behind.clone()].concat();
            let whole = Some((bytes.clone(), behind.len(), true));
            prop_assert_eq!(&unpacked(&packed, bytes.len()), &whole);
            if most < bytes.len() {
                let (beginning, _, has_room) = unpacked(&packed, most).unwrap();
                prop_assert_eq!((&*beginning, has_room), (&bytes[..most], false));
            } else {
                prop_assert_eq!(unpacked(&packed, most), whole);
            }
        }

        #[test]
        fn damage_is_what_others_call_so(
            parts in parts(),
            changed in vec((any::<Index>(), 0_u8..8), 0..3),
            // Where the codes stand.
            early in vec(0_usize..600, 0..2),
            end in prop::option::of(any::<Index>()),
            most in prop_oneof![Just(MOST), 0..MOST],
        ) {
            let mut packed = pack(&parts);
            for (place, bit) in changed {
                let place = place.index(packed.len());
                packed[place] ^= 1 << bit;
            }
            for bit in early {
                let place = (bit / 8).min(packed.len() - 1);
                packed[place] ^= 1 << (bit % 8);
            }
            packed.truncate(end.map_or(packed.len(), |end| end.index(packed.len())));
            prop_assert_eq!(unpacked(&packed, most), reference(&packed, most));
        }

        #[test]
        fn any_bytes_are_what_others_take_them_for(bytes in vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(unpacked(&bytes, MOST), reference(&bytes, MOST));
        }

        #[test]
        fn any_symbols_are_what_others_take_them_for(
            own in prop::option::of((code(286), code(30))),
            symbols in vec((0..LITERALS, any::<u32>()), 0..200),
        ) {
            let (mut block, literals, distances) = match own {
                None => (Bits::fixed(), FIXED.to_vec(), [5; DISTANCES].to_vec()),
                Some((mut literals, distances)) => {
                    let first = literals.iter().position(|length| *length > 0).unwrap();
                    if literals[END] == 0 {
                        literals.swap(first, END);
                    }
                    (Bits::dynamic(&literals, &distances), literals, distances)
                }
            };
            for (symbol, random) in symbols {
                block = block.symbol(&literals, symbol);
                if symbol > END {
                    // Mostly near: there is not much yet.
                    let distance = random.leading_zeros() as usize % DISTANCES;
                    block = block
                        .further(symbol - 257, 4, random)
                        .symbol(&distances, distance)
                        .further(distance, 2, random);
                }
            }
            let packed = block.symbol(&literals, END).bytes();
            prop_assert_eq!(unpacked(&packed, MOST), reference(&packed, MOST));
        }
    }

    const FIXED: [u8; LITERALS] = {
        let mut lengths = [8; LITERALS];
        let mut symbol = 144;
        while symbol < 280 {
            lengths[symbol] = if symbol < END { 9 } else { 7 };
            symbol += 1;
        }
        lengths
    };

    /// A stream, written bit by bit.
    #[derive(Default)]
    struct Bits(Vec<bool>);

    impl Bits {
        fn bits(mut self, value: usize, count: usize) -> Self {
            self.0.extend((0..count).map(|bit| value >> bit & 1 == 1));
            self
        }

        /// So many bits that are the same.
        fn same(mut self, bit: bool, count: usize) -> Self {
            self.0.resize(self.0.len() + count, bit);
            self
        }

        /// A symbol of a code; nothing when it has none.
        fn symbol(mut self, lengths: &[u8], symbol: usize) -> Self {
            let length = lengths.get(symbol).copied().unwrap_or_default();
            let is_before = |(other, of): &(usize, &u8)| {
                (1..length).contains(*of) || **of == length && *other < symbol
            };
            let before = lengths.iter().enumerate().filter(is_before);
            let code: usize = before.map(|(_, other)| 1 << (length - other)).sum();
            self.0.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
            self
        }

        /// The further bits of a symbol.
        fn further(self, symbol: usize, step: usize, random: u32) -> Self {
            let is_longest = step == 4 && symbol == 28;
            let count = if is_longest { 0 } else { (symbol / step).saturating_sub(1) };
            self.bits(random as usize, count)
        }

        /// A last block, stored, that tells its length twice, the second time as its complement.
        fn stored(length: usize, complement: usize) -> Self {
            Self::default().bits(0b001, 8).bits(length, 16).bits(complement, 16)
        }

        /// The beginning of a last block with the fixed codes.
        fn fixed() -> Self {
            Self::default().bits(0b011, 3)
        }

        /// The beginning of a last block with so many lengths, told in a code of these.
        fn lengths(literals: usize, distances: usize, code: [u8; 19]) -> Self {
            let block = Self::default().bits(0b101, 3);
            let block = block.bits(literals - 257, 5).bits(distances - 1, 5).bits(15, 4);
            ORDER.iter().fold(block, |block, place| block.bits(code[*place].into(), 3))
        }

        /// The beginning of a last block with these codes.
        fn dynamic(literals: &[u8], distances: &[u8]) -> Self {
            let mut code = [4; 19];
            code[16..].fill(0);
            let block = Self::lengths(literals.len(), distances.len(), code);
            let lengths = literals.iter().chain(distances);
            lengths.fold(block, |block, length| block.symbol(&code, (*length).into()))
        }

        fn bytes(&self) -> Vec<u8> {
            let byte = |bits: &[bool]| bits.iter().rfold(0, |byte, bit| byte << 1 | u8::from(*bit));
            self.0.chunks(8).map(byte).collect()
        }
    }

    const A: usize = b'a' as usize;
    const B: usize = b'b' as usize;

    /// So many lengths, of which these are not zero.
    fn of<const N: usize>(count: usize, symbols: [(usize, u8); N]) -> Vec<u8> {
        let mut lengths = vec![0; count];
        for (symbol, length) in symbols {
            lengths[symbol] = length;
        }
        lengths
    }

    fn check<const N: usize>(cases: [(&str, Bits, Option<&str>); N]) {
        for (name, packed, expected) in cases {
            let packed = packed.bytes();
            let expected = expected.map(|text| (text.into(), 0, true));
            assert_eq!(unpacked(&packed, MOST), expected, "{name}");
            assert_eq!(reference(&packed, MOST), expected, "{name}, by flate2");
        }
    }

    #[test]
    fn blocks_without_codes_of_their_own() {
        let fixed = |symbols: &[usize]| {
            symbols.iter().fold(Bits::fixed(), |block, symbol| block.symbol(&FIXED, *symbol))
        };
        let repeated = |symbols: &[usize], distance| {
            fixed(symbols).symbol(&[5; DISTANCES], distance).symbol(&FIXED, END)
        };
        let other = |kind| Bits::default().bits(kind, 3).same(false, 7);
        check([
            ("no block", Bits::default(), None),
            ("not the last", other(0b010), None),
            ("a kind that there is not", other(0b111), None),
            ("stored", Bits::stored(1, 0xfffe).bits(A, 8), Some("a")),
            ("nothing stored", Bits::stored(0, 0xffff), Some("")),
            ("another complement", Bits::stored(1, 0xffff).bits(A, 8), None),
            ("not all that is stored", Bits::stored(2, 0xfffd).bits(A, 8), None),
            ("half a length", Bits::default().bits(0b001, 8).bits(0, 8), None),
            ("an end", fixed(&[END]), Some("")),
            ("no end", fixed(&[A]), None),
            ("a repetition", repeated(&[A, 257], 0), Some("aaaa")),
            ("of nothing", repeated(&[257], 0), None),
            ("that reaches too far", repeated(&[A, 257], 1), None),
            ("of length 286", repeated(&[A, 286], 0), None),
            ("of length 287", repeated(&[A, 287], 0), None),
        ]);
    }

    #[test]
    fn codes_are_whole_or_of_a_single_bit() {
        let block = |literals: &[u8], distances: &[u8], symbols: &[usize]| {
            let begin = Bits::dynamic(literals, distances);
            symbols.iter().fold(begin, |block, symbol| block.symbol(literals, *symbol))
        };
        let ended = |literals: &[u8]| block(literals, &[0], &[END]);
        let apart = |distances: &[u8]| block(&of(257, [(A, 1), (END, 1)]), distances, &[A, END]);
        // A repetition at the first of some distances, or at another.
        let repeating = of(258, [(A, 2), (END, 2), (257, 1)]);
        let other = |distances: &[u8]| block(&repeating, distances, &[A, 257]).same(true, 100);
        let first = |distances: &[u8]| {
            let block = block(&repeating, distances, &[A, 257]);
            block.symbol(distances, 0).symbol(&repeating, END)
        };
        check([
            ("two literals", ended(&of(257, [(A, 1), (END, 1)])), Some("")),
            ("an end alone", ended(&of(257, [(END, 1)])), Some("")),
            ("its other half", Bits::dynamic(&of(257, [(END, 1)]), &[0]).same(true, 100), None),
            ("an end alone, of two bits", ended(&of(257, [(END, 2)])), None),
            ("no literals", Bits::dynamic(&[0; 257], &[0]).same(false, 100), None),
            ("no end", block(&of(257, [(A, 1), (B, 1)]), &[0], &[A]), None),
            ("too few literals", ended(&of(257, [(A, 2), (END, 1)])), None),
            ("too many literals", ended(&of(257, [(A, 1), (B, 1), (END, 1)])), None),
            ("286 literals", ended(&of(286, [(A, 1), (END, 1)])), Some("")),
            ("287 literals", ended(&of(287, [(A, 1), (END, 1)])), None),
            ("30 distances", apart(&[0; 30]), Some("a")),
            ("31 distances", apart(&[0; 31]), None),
            ("no distances, and a repetition", other(&[0]), None),
            ("one distance", first(&[1]), Some("aaaa")),
            ("its other half", other(&[1]), None),
            ("one distance, of two bits", first(&[2]), None),
            ("two distances", first(&[1, 1]), Some("aaaa")),
            ("too few distances", first(&[1, 2]), None),
            ("too many distances", first(&[1, 1, 1]), None),
        ]);
        // Others see that there is no end when they come to it.
        let endless = Bits::dynamic(&of(257, [(A, 1), (B, 1)]), &[0]).same(false, 100).bytes();
        assert_eq!(unpacked(&endless, 10), None);
    }

    #[test]
    fn lengths_are_told_in_a_code_that_is_whole() {
        let again = |block: Bits, code| block.symbol(code, 16).bits(0, 2);
        let zeros = |block: Bits, code, count: usize| {
            block.symbol(code, 18).bits(127, 7).symbol(code, 18).bits(count - 138 - 11, 7)
        };
        let code_of = |kinds: [usize; 4]| {
            let mut code = [0; 19];
            for kind in kinds {
                code[kind] = 2;
            }
            code
        };
        // The last literal has one bit, and three more symbols have: the end and two distances.
        let ones = code_of([0, 1, 16, 18]);
        let across = |distances| {
            let block = zeros(Bits::lengths(257, distances, ones), &ones, 255);
            again(block.symbol(&ones, 1), &ones).bits(1, 1)
        };
        // As many bits as what is before the first, and the end, would have in a whole code.
        let twos = code_of([0, 2, 16, 18]);
        let block = again(Bits::lengths(257, 1, twos), &twos);
        let first = zeros(block, &twos, 253).symbol(&twos, 2).symbol(&twos, 0).bits(3, 2);
        let any = |code| Bits::lengths(257, 1, code).same(false, 4_000);
        check([
            ("across both codes", across(2), Some("")),
            ("beyond both codes", across(1), None),
            ("the one before the first", first, None),
            ("no code", any([0; 19]), None),
            ("too few", any([5; 19]), None),
            ("too many", any([4; 19]), None),
        ]);
        for kind in 0..19 {
            let mut single = [0; 19];
            single[kind] = 1;
            check([("a single kind", any(single), None)]);
        }
    }

    #[test]
    fn the_farthest_and_the_longest_are_repeated() {
        let far: Vec<u8> = (0..40_000_u32).map(|n| ((n * n) >> 7).to_le_bytes()[0]).collect();
        let [low, high] = 40_000_u16.to_le_bytes();
        let header = [0, low, high, !low, !high];
        let from = far.len() - 32_768;
        let bytes = [&*far, &far[from..from + 258]].concat();
        // 258 has a symbol of its own, and is the last of the one before.
        for (symbol, further, distance, expected) in [
            (285, 0, 29, Some(&bytes)),
            (284, 5, 29, Some(&bytes)),
            (285, 0, 30, None),
            (285, 0, 31, None),
        ] {
            let block = Bits::fixed().symbol(&FIXED, symbol).same(true, further);
            let block = block.symbol(&[5; DISTANCES], distance).same(distance == 29, 13);
            let block = block.symbol(&FIXED, END).same(false, 8).bytes();
            let found = unpacked(&[&header, &*far, &block].concat(), 50_000);
            assert_eq!(found, reference(&[&header, &*far, &block].concat(), 50_000));
            assert_eq!(found.map(|(bytes, ..)| bytes).as_ref(), expected);
        }
    }
}
