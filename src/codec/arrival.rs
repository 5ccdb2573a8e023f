//! How something that arrives in pieces comes on. Knows no clock: its callers count time in what they like.

/// How far it had come when that was last looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    since: u32,
    len: usize,
}

/// What has to come, in bytes, in how much time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeastArrival {
    pub(crate) bytes: usize,
    pub(crate) time: u32,
}

impl Arrival {
    /// Of `len` bytes that came until now, all others are yet to come.
    pub(crate) fn from(now: u32, len: usize) -> Arrival {
        Arrival { since: now, len }
    }

    /// Judges the time since this last began anew, if it was long enough: `len` bytes have come in all. Gives the time
    /// until the next look is due; `None` if too little came.
    pub(crate) fn comes_on(&mut self, len: usize, now: u32, least: LeastArrival) -> Option<u32> {
        let time = now.saturating_sub(self.since);
        if time < least.time {
            return Some(least.time - time);
        }
        let has_come = len.saturating_sub(self.len);
        *self = Arrival::from(now, len);
        (has_come >= least.bytes).then_some(least.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_of_time_has_to_bring_enough() {
        let least = LeastArrival { bytes: 100, time: 10 };
        let mut arrival = Arrival::from(5, 7);
        assert_eq!(arrival.comes_on(7, 14, least), Some(1), "too early to say");
        assert_eq!(arrival.comes_on(107, 15, least), Some(10));
        assert_eq!(arrival.comes_on(10_000, 24, least), Some(1));
        assert_eq!(arrival.comes_on(10_000, 25, least), Some(10));
        // What came before that is no credit.
        assert_eq!(arrival.comes_on(10_099, 35, least), None);
    }
}
