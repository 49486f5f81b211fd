//! Where a thing stands in a list, by its hash.
//!
//! The things stay in the lists that hold them anyway, and their hashes beside their places, so that one
//! piece of code serves keys of every kind. A table made for each kind is a kilobyte in the module each time.
use std::mem;

/// A hash, and the place of what has it. Nothing has the hash 0.
type Slot = (u32, usize);

/// Places by hash. What has the same hash, or wants the same slot, stands one after another: a sender who
/// chooses such keys makes each of them pass over the others, and no more.
#[derive(Debug, Default)]
pub struct Index {
    slots: Vec<Slot>,
    taken: usize,
}

impl Index {
    /// An index with room for so many things.
    #[must_use]
    pub fn with_capacity(things: usize) -> Self {
        Self { slots: vec![(0, 0); things * 2], taken: 0 }
    }

    /// The place of an equal thing. `is_same` tells whether it stands at a place, and may put another
    /// place in that one's stead.
    pub fn find(
        &mut self,
        hash: u64,
        is_same: &mut dyn FnMut(&mut usize) -> bool,
    ) -> Option<usize> {
        let (hash, place) = self.slot(short(hash), is_same)?;
        (*hash != 0).then_some(*place)
    }

    /// The same, or `next`, which is then the place of this thing.
    pub fn place(
        &mut self,
        hash: u64,
        next: usize,
        is_same: &mut dyn FnMut(&mut usize) -> bool,
    ) -> usize {
        // A quarter of the slots at least stays empty, which keeps ways short.
        if self.taken * 4 >= self.slots.len() * 3 {
            let grown = Self::with_capacity(self.slots.len().max(4));
            for (hash, place) in mem::replace(self, grown).slots {
                if hash != 0 {
                    self.place(u64::from(hash) << 32, place, &mut |_| false);
                }
            }
        }
        let hash = short(hash);
        match self.slot(hash, is_same) {
            Some((1.., place)) => return *place,
            Some(empty) => *empty = (hash, next),
            // There is an empty one.
            None => {}
        }
        self.taken += 1;
        next
    }

    /// The slot of an equal thing, or the one that it would have: the first empty one from its own on,
    /// around the end.
    fn slot(
        &mut self,
        hash: u32,
        is_same: &mut dyn FnMut(&mut usize) -> bool,
    ) -> Option<&mut Slot> {
        let own = (u64::from(hash) * self.slots.len() as u64) >> 32;
        let (before, from) = self.slots.split_at_mut_checked(own as u32 as usize)?;
        from.iter_mut().chain(before).find_map(|slot| {
            let (other, place) = &mut *slot;
            (*other == 0 || *other == hash && is_same(place)).then_some(slot)
        })
    }
}

/// The upper half, to which every bit of what was multiplied last has come.
fn short(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

/// The hash of a text or an identity, behind what has been hashed before. Letters that differ in case
/// alone have the same, and a few other characters with them.
#[must_use]
pub fn hash(before: u64, bytes: &[u8]) -> u64 {
    const SMALL: u64 = 0x2020_2020_2020_2020;
    /// Odd, and without a pattern: the golden ratio's digits.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = bytes.as_chunks::<8>();
    // The last eight bytes are quicker read than the few behind the last word.
    let last = match bytes.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(0, |last, byte| last << 8 | u64::from(*byte)),
    };
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words.chain([last]).fold(before ^ bytes.len() as u64, |hash, word| {
        (hash.rotate_left(32) ^ (word | SMALL)).wrapping_mul(FACTOR)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Hashes of a few bits, so that many things share a slot or a hash.
        #[test]
        fn things_have_the_places_that_the_standard_library_gives_them(
            keys in prop::collection::vec(0u64..300, 0..400),
            bits in 0u32..=64,
            capacity in 0usize..20,
        ) {
            let hash = |key: u64| hash(0, &key.to_le_bytes()).checked_shr(64 - bits).map_or(0, |hash| hash << (64 - bits));
            let mut index = Index::with_capacity(capacity);
            let mut map = HashMap::new();
            for (next, key) in keys.iter().enumerate() {
                let mut is_same = |place: &mut usize| keys[*place] == *key;
                prop_assert_eq!(index.find(hash(*key), &mut is_same), map.get(key).copied());
                let place = index.place(hash(*key), next, &mut is_same);
                prop_assert_eq!(place, *map.entry(key).or_insert(next));
            }
            // Each may be put elsewhere.
            for key in &keys {
                let moved = index.find(hash(*key), &mut |place| {
                    let is_same = keys[*place % 1_000] == *key;
                    *place += usize::from(is_same) * 1_000;
                    is_same
                });
                let place = map.get_mut(key).unwrap();
                *place += 1_000;
                prop_assert_eq!(moved, Some(*place));
            }
        }

        #[test]
        fn case_does_not_change_a_hash(text in "\\PC{0,20}", before: u64) {
            let hash = |text: &str| hash(before, text.as_bytes());
            prop_assert_eq!(hash(&text.to_ascii_uppercase()), hash(&text.to_ascii_lowercase()));
        }
    }

    #[test]
    fn names_that_are_alike_have_slots_of_their_own() {
        for shape in [
            |number: usize| format!("{number}"),
            |number| format!("user{number:04}"),
            |number| format!("{number:04}, a source behind its number"),
            |number| format!("a number in the middle of {number:04} what is long"),
            |number| "a".repeat(number),
        ] {
            let mut slots: Vec<_> =
                (0..1_000).map(|number| short(hash(0, shape(number).as_bytes())) >> 21).collect();
            slots.sort_unstable();
            slots.dedup();
            // Chance gives 791 slots of 2,048 to a thousand names.
            assert!(slots.len() > 700, "{}: {} slots", shape(7), slots.len());
        }
    }
}
