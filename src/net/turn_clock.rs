//! How long a turn works on what has come: each connection has a share, and all together have an end. What is over then
//! goes on in the next turn. The clock is looked at only after some work, because a look costs as much as a small
//! message; where work takes long, it is looked at more often.

use std::time::{Duration, Instant};

/// A turn begins no more work on input after this time, and flushes no more after this time again.
pub(crate) const TURN: Duration = Duration::from_millis(2);
/// Input of one connection keeps a turn for this time, and then waits while others have theirs.
pub(crate) const SHARE: Duration = Duration::from_micros(250);

/// Work that takes longer than this without a look, or a process that is stopped for longer, is no time in which a peer
/// could have been heard.
pub(crate) const STALL: Duration = Duration::from_millis(100);

/// Looks are to be between a quarter of this and this apart.
const LOOKS: Duration = Duration::from_micros(80);
/// The most work between two looks.
const STRIDE_MAX: u32 = 32;
/// A message may take long, because it has a callback: more work than a read or a write.
const MESSAGE: u32 = 4;

/// Writing so many bytes takes as long as a message.
const BYTES_OF_WORK: usize = 4 << 10;

/// Where the time comes from. Simulations have their own.
pub(crate) type NowFn = fn() -> Instant;

#[derive(Debug)]
pub(crate) struct TurnClock {
    now: NowFn,
    looked: Instant,
    /// Work since the last look: reads, messages, and what counts as so many.
    work: u32,
    /// How much work there may be between two looks now, and at most.
    stride: u32,
    stride_max: u32,
    share_begun: Instant,
    turn_ends: Instant,
    /// The turn's time was over at the last look.
    is_over: bool,
}

impl TurnClock {
    pub(crate) fn new(now: NowFn, begun: Instant) -> TurnClock {
        let (looked, share_begun, turn_ends) = (begun, begun, begun);
        TurnClock {
            now,
            looked,
            work: 0,
            stride: 1,
            stride_max: STRIDE_MAX,
            share_begun,
            turn_ends,
            is_over: false,
        }
    }

    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn set(&mut self, now: NowFn) {
        self.now = now;
    }

    #[cfg(test)]
    pub(crate) fn look_after_each_message(&mut self) {
        (self.stride, self.stride_max) = (1, 1);
    }

    pub(crate) fn begin(&mut self, now: Instant) {
        (self.looked, self.share_begun, self.turn_ends) = (now, now, now + TURN);
        self.is_over = false;
    }

    /// From now on the turn only writes, for some more time.
    pub(crate) fn begin_flush(&mut self) {
        (self.turn_ends, self.is_over) = (self.looked + TURN, false);
    }

    /// Another connection has its share from now on.
    pub(crate) fn begin_share(&mut self) {
        self.share_begun = self.looked;
    }

    /// Counts work that is worth so many messages.
    pub(crate) fn charge(&mut self, work: usize) {
        // More makes no difference.
        self.work = (self.work + work.min(STRIDE_MAX as usize) as u32).min(2 * STRIDE_MAX);
    }

    /// Counts bytes that were written, or copied to be written.
    pub(crate) fn charge_bytes(&mut self, len: usize) {
        self.charge(len / BYTES_OF_WORK);
    }

    /// Counts a read or a write, and tells whether it is time to look at the clock.
    #[inline(always)]
    pub(crate) fn is_due(&mut self) -> bool {
        self.work += 1;
        self.work >= self.stride
    }

    /// The same of a message that is one of several.
    #[inline(always)]
    pub(crate) fn is_due_after_message(&mut self) -> bool {
        self.work += MESSAGE;
        self.work >= self.stride
    }

    /// Looks at the clock, and returns the time if any has passed.
    pub(crate) fn look(&mut self) -> Option<Instant> {
        let now = (self.now)();
        self.work = 0;
        if now <= self.looked {
            self.stride = (self.stride * 2).min(self.stride_max);
            return None;
        }
        let passed = now - self.looked;
        if passed > LOOKS {
            self.stride = (self.stride / 2).max(1);
        } else if passed < LOOKS / 4 {
            self.stride = (self.stride * 2).min(self.stride_max);
        }
        self.looked = now;
        self.is_over = now >= self.turn_ends;
        Some(now)
    }

    /// Whether the connection's share is over, or the turn's time, as far as is known.
    pub(crate) fn is_share_over(&self) -> bool {
        self.is_over || self.looked - self.share_begun >= SHARE
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(crate) fn is_half_over(&self) -> bool {
        self.looked + TURN / 2 >= self.turn_ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    fn now() -> Instant {
        NOW.get().expect("set before")
    }

    fn pass(time: Duration) {
        NOW.set(Some(now() + time));
    }

    fn begun() -> TurnClock {
        NOW.set(Some(Instant::now()));
        let mut clock = TurnClock::new(now, now());
        clock.begin(now());
        clock.begin_share();
        clock
    }

    /// How much work there is until the clock is looked at.
    fn work(clock: &mut TurnClock) -> u32 {
        (1..).find(|_| clock.is_due()).expect("it is due at some time")
    }

    #[test]
    fn the_clock_is_looked_at_often_where_work_takes_long_and_seldom_where_it_does_not() {
        let mut clock = begun();
        for expected in [1, 2, 4, 8, 16, 32, 32] {
            assert_eq!(work(&mut clock), expected);
            pass(Duration::from_micros(3));
            clock.look();
        }
        for expected in [32, 16, 8, 4, 2, 1, 1] {
            assert_eq!(work(&mut clock), expected);
            pass(LOOKS * 2);
            clock.look();
        }
        for _ in 0..5 {
            pass(LOOKS / 2);
            clock.look();
        }
        assert_eq!(work(&mut clock), 1, "that is as it should be");
        clock.charge(usize::MAX);
        clock.look();
        clock.charge(100);
        assert!(clock.is_due());
    }

    #[test]
    fn a_share_ends_before_the_turn_does() {
        let mut clock = begun();
        let mut shares = 0;
        while !clock.is_over() {
            clock.begin_share();
            while !clock.is_share_over() {
                pass(Duration::from_micros(50));
                clock.look();
            }
            shares += 1;
        }
        assert_eq!(shares, TURN.as_micros() / SHARE.as_micros());
        clock.begin(now());
        clock.begin_share();
        assert!(!clock.is_over() && !clock.is_share_over());
    }
}
