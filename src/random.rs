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
        if self.block.is_empty() { self.refill(getrandom::fill) } else { Ok(()) }
    }

    fn refill<E: Into<io::Error>>(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> io::Result<()> {
        // A block that could not be filled is nobody's: it is all zeros.
        let mut block = std::mem::take(&mut self.block);
        block.resize(BLOCK_BYTES, 0);
        fill(&mut block).map_err(Into::into)?;
        self.block = block;
        Ok(())
    }

    /// Bytes that nobody else is given.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        if self.block.len() < N {
            self.refill(getrandom::fill).expect("a system that gave randomness before gives more");
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

    #[test]
    fn without_randomness_nothing_is_given_out() {
        let mut random = Random::default();
        random.refill(|_| Err(io::ErrorKind::Other)).expect_err("no randomness");
        assert!(random.block.is_empty());
        random.check().expect("the system gives randomness");
        assert_ne!(random.bytes(), [0; 16]);
    }
}
