//! Random bytes from the system, fetched in blocks. Mask keys and nonces must not be guessable (RFC 6455 §10.3), and a
//! system call for each frame would cost too much. There is no generator of our own.

use std::io;

const BLOCK_BYTES: usize = 1 << 10;

/// A block of random bytes, used up from its end. Allocates nothing until it is first used.
#[derive(Default)]
pub(crate) struct Random {
    block: Vec<u8>,
}

impl Random {
    /// Fails if the system gives no random bytes. After it has succeeded once, [`Random::bytes`] may be called.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        if self.block.is_empty() { self.refill(getrandom::fill) } else { Ok(()) }
    }

    fn refill<E: Into<io::Error>>(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> io::Result<()> {
        // Taken out first: if filling fails, a block of zeros must not be left to be used.
        let mut block = std::mem::take(&mut self.block);
        block.resize(BLOCK_BYTES, 0);
        fill(&mut block).map_err(Into::into)?;
        self.block = block;
        Ok(())
    }

    /// The next random bytes. Each byte is given out once.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        if self.block.len() < N {
            self.refill(getrandom::fill).expect("a system that gave randomness before gives more");
        }
        let bytes = *self.block.last_chunk().expect("a block is longer");
        self.block.truncate(self.block.len() - N);
        bytes
    }

    /// A number from 0 to 1, evenly distributed.
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
