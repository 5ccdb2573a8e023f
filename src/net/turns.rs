//! How long turns take: the time in which no other connection is served. A histogram of fixed size, so that the tail is
//! known without keeping every length.

use std::time::Duration;

/// Eight steps to a doubling: a percentile is at most an eighth too high.
const STEPS_BITS: u32 = 3;
const STEPS: usize = 1 << STEPS_BITS;
/// From 1 µs to more than an hour; what is longer counts as that.
const BUCKETS: usize = 32 * STEPS;

#[derive(Clone, Debug)]
pub(crate) struct TurnLengths {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    longest: Duration,
    /// How many turns were too long since the last one that was told of.
    untold: u32,
}

/// A turn that takes longer than this is worth telling.
const LONG: Duration = Duration::from_secs(1);
/// One of so many is told, after the first.
const TOLD: u32 = 100;

impl Default for TurnLengths {
    fn default() -> TurnLengths {
        TurnLengths { counts: Box::new([0; BUCKETS]), count: 0, longest: Duration::ZERO, untold: 0 }
    }
}

impl TurnLengths {
    /// Returns whether the turn was so long that somebody should be told.
    pub(crate) fn record(&mut self, length: Duration) -> bool {
        self.counts[bucket(length)] += 1;
        self.count += 1;
        self.longest = self.longest.max(length);
        let is_long = length >= LONG;
        let is_told = is_long && self.untold == 0;
        self.untold = (self.untold + u32::from(is_long)) % TOLD;
        is_told
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn longest(&self) -> Duration {
        self.longest
    }

    /// The length that all but `rare` of a thousand turns stay under.
    pub(crate) fn all_but(&self, rare: u64) -> Duration {
        let rank = self.count - self.count * rare / 1_000;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return end(bucket).min(self.longest);
            }
        }
        self.longest
    }
}

fn bucket(length: Duration) -> usize {
    let micros = u64::try_from(length.as_micros()).unwrap_or(u64::MAX).max(1);
    let doubling = micros.ilog2();
    // The bits after the leading one.
    let step = (micros << STEPS_BITS >> doubling) as usize & (STEPS - 1);
    (doubling as usize * STEPS + step).min(BUCKETS - 1)
}

/// Where the next bucket begins.
fn end(bucket: usize) -> Duration {
    let (doubling, step) = (bucket / STEPS, bucket % STEPS);
    Duration::from_nanos((1_000 * (STEPS + step + 1) as u64) << doubling >> STEPS_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_in_a_bucket_that_ends_an_eighth_above_it_at_most() {
        for micros in (1..10_000_u64).chain([1 << 20, 987_654_321, 1 << 31]) {
            let length = Duration::from_micros(micros);
            let end = end(bucket(length));
            assert!(length < end && end <= length.mul_f64(1.126), "{length:?}: {end:?}");
        }
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_of_all_turns() {
        let mut turns = TurnLengths::default();
        assert_eq!(turns.all_but(1), Duration::ZERO);
        for _ in 0..999 {
            turns.record(Duration::from_micros(8));
        }
        turns.record(Duration::from_millis(5));
        assert_eq!(turns.all_but(500), Duration::from_micros(9));
        assert_eq!(turns.all_but(1), Duration::from_micros(9));
        assert_eq!(turns.all_but(0), Duration::from_millis(5));
        assert_eq!((turns.count(), turns.longest()), (1_000, Duration::from_millis(5)));
    }
}
