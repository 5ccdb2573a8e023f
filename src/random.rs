//! Randomness of the system's, fetched by the block: mask keys and nonces must not be guessed (RFC 6455 §10.3), and a
//! system call for each frame would be too much. No generator of its own.

use std::io;

const BLOCK_BYTES: usize = 1 << 10;

/// A block of random bytes, used up from its end. Owns nothing until it is asked.
#[derive(Default)]
pub(crate) struct Random {
    block: Vec<u8>,
}

impl Random {
    /// Sees to it that the system gives randomness at all.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        if self.block.is_empty() { self.refill() } else { Ok(()) }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.block.resize(BLOCK_BYTES, 0);
        getrandom::fill(&mut self.block)?;
        Ok(())
    }

    /// Bytes that nobody else is given.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        if self.block.len() < N {
            self.refill().expect("a system that gave randomness before gives more");
        }
        let bytes = *self.block.last_chunk().expect("a block is longer");
        self.block.truncate(self.block.len() - N);
        bytes
    }

    /// Evenly from 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        f64::from(u32::from_ne_bytes(self.bytes())) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_are_the_same() {
        let mut random = Random::default();
        random.check().expect("the system gives randomness");
        let nonces: HashSet<[u8; 16]> = (0..1_000).map(|_| random.bytes()).collect();
        assert_eq!(nonces.len(), 1_000);
        assert!((0..100).all(|_| (0.0..=1.0).contains(&random.share())));
    }
}
