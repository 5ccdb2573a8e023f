//! Which slots of a table hold a connection: a bit for each slot, and a second level with a bit for each word of the
//! first that is not 0. Walking over ten connections takes about ten steps, however many there once were.

/// Slots are named by their index, which counts from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Live {
    slots: Vec<u64>,
    /// A bit for each word of `slots` that has a bit set.
    words: Vec<u64>,
}

const BITS: usize = u64::BITS as usize;

impl Live {
    pub(super) fn with_capacity(slots: usize) -> Live {
        let words = slots / BITS + 1;
        Live { slots: Vec::with_capacity(words), words: Vec::with_capacity(words / BITS + 1) }
    }

    pub(super) fn insert(&mut self, index: u32) {
        let (word, bit) = split(index as usize);
        let (above, above_bit) = split(word);
        if word >= self.slots.len() {
            self.slots.resize(word + 1, 0);
            self.words.resize(above + 1, 0);
        }
        self.slots[word] |= 1 << bit;
        self.words[above] |= 1 << above_bit;
    }

    pub(super) fn remove(&mut self, index: u32) {
        let (word, bit) = split(index as usize);
        let Some(slots) = self.slots.get_mut(word) else { return };
        *slots &= !(1 << bit);
        if *slots == 0 {
            let (above, above_bit) = split(word);
            self.words[above] &= !(1 << above_bit);
        }
    }

    /// The first live slot at `from` or after it.
    pub(crate) fn next(&self, from: u32) -> Option<u32> {
        let (word, bit) = split(from as usize);
        let slots = self.slots.get(word)? >> bit;
        if slots != 0 {
            return Some(from + slots.trailing_zeros());
        }
        let word = self.next_word(word + 1)?;
        Some((word * BITS) as u32 + self.slots[word].trailing_zeros())
    }

    /// The live slots at `from` and after it, in ascending order.
    pub(crate) fn iter(&self, from: u32) -> impl Iterator<Item = u32> + use<'_> {
        let (mut word, bit) = split(from as usize);
        let mut slots = self.slots.get(word).map_or(0, |slots| slots >> bit << bit);
        std::iter::from_fn(move || {
            if slots == 0 {
                word = self.next_word(word + 1)?;
                slots = self.slots[word];
            }
            let index = (word * BITS) as u32 + slots.trailing_zeros();
            slots &= slots - 1;
            Some(index)
        })
    }

    /// The first word at `from` or after it that has a bit set.
    fn next_word(&self, from: usize) -> Option<usize> {
        let (mut above, bit) = split(from);
        let mut words = self.words.get(above)? >> bit << bit;
        while words == 0 {
            above += 1;
            words = *self.words.get(above)?;
        }
        Some(above * BITS + words.trailing_zeros() as usize)
    }

    /// The memory that it owns.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        (self.slots.capacity() + self.words.capacity()) * size_of::<u64>()
    }
}

/// A number as the place of a word and that of a bit in it.
fn split(number: usize) -> (usize, usize) {
    (number / BITS, number % BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn agrees_with_a_naive_set_over_random_moves() {
        let mut random = crate::tests::Random::new(3);
        for round in 0..60 {
            let (mut live, mut naive) = (Live::default(), BTreeSet::new());
            // Dense, sparse, and very sparse ones.
            let spread = [100, 5_000, 1 << 20][round % 3];
            for _ in 0..300 {
                let index = 1 + random.below(spread) as u32;
                if random.chance(60) {
                    live.insert(index);
                    naive.insert(index);
                } else {
                    // One that may be there, or another.
                    let index = naive.range(index..).next().copied().unwrap_or(index);
                    live.remove(index);
                    naive.remove(&index);
                }
                let from = 1 + random.below(spread) as u32;
                assert_eq!(live.next(from), naive.range(from..).next().copied(), "from {from}");
            }
            assert!(live.iter(1).eq(naive.iter().copied()));
            let from = 1 + random.below(spread) as u32;
            assert!(live.iter(from).eq(naive.range(from..).copied()), "from {from}");
            while let Some(index) = live.next(0) {
                live.remove(index);
                assert!(naive.remove(&index));
            }
            assert!(naive.is_empty() && live.words.iter().chain(&live.slots).all(|word| *word == 0));
        }
    }

    #[test]
    fn it_takes_less_than_a_byte_for_each_slot() {
        let mut live = Live::with_capacity(1 << 20);
        let reserved = live.bytes();
        (1..=1 << 20).for_each(|index| live.insert(index));
        assert_eq!(live.bytes(), reserved, "what was reserved is enough");
        assert!(reserved * 7 < 1 << 20, "{reserved}");
    }
}
