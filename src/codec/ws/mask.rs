//! Masking (RFC 6455 §5.3): XOR with a key of four bytes, in place.

/// Masks or unmasks `data`. Its first byte is combined with `key[0]`.
///
/// Plain code for eight bytes at a time, which the compiler turns into vector instructions.
pub(crate) fn apply(data: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = data.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

/// The key for the bytes after the first `done` ones.
pub(crate) fn rotate(mut key: [u8; 4], done: usize) -> [u8; 4] {
    key.rotate_left(done % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(data: &mut [u8], key: [u8; 4]) {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }

    #[test]
    fn equals_the_naive_loop_at_every_small_size_and_alignment() {
        let key = [0x11, 0x22, 0x44, 0x88];
        for offset in 0..8 {
            for len in 0..64 {
                let mut ours: Vec<u8> = (0..offset + len).map(|i| i as u8).collect();
                let mut theirs = ours.clone();
                apply(&mut ours[offset..], key);
                naive(&mut theirs[offset..], key);
                assert_eq!(ours, theirs, "offset {offset}, length {len}");
            }
        }
    }

    #[test]
    fn in_two_parts_equals_in_one() {
        let key = [1, 2, 4, 8];
        for split in 0..32 {
            let mut whole: Vec<u8> = (0..32).collect();
            let mut parts = whole.clone();
            apply(&mut whole, key);
            let (first, second) = parts.split_at_mut(split);
            apply(first, key);
            apply(second, rotate(key, split));
            assert_eq!(whole, parts, "split at {split}");
        }
    }
}
