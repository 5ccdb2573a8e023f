//! What tells whether a peer is still there: signed pings, and the time of its last message in one byte.

use crate::config::Config;
use crate::fd::Fd;
use crate::net::wheel::TICK;
use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU16;
use std::time::Duration;

/// What the server needs to judge all peers.
#[derive(Debug)]
pub(crate) struct Liveness {
    /// Signs the server's own pings, so that a pong that answers one of them can be recognised.
    key: RandomState,
    /// The last message of a connection is noted in one byte: its tick, shifted right by this many bits.
    shift: u32,
}

impl Liveness {
    pub(crate) fn new(config: &Config) -> Liveness {
        let ticks = config.idle_timeout.unwrap_or_default().as_millis() / TICK.as_millis();
        // At most 128 units per timeout: a byte holds twice as many.
        Liveness { key: RandomState::new(), shift: (128 - (ticks >> 7).leading_zeros()).min(31) }
    }

    /// The time of a message, as it is noted in a byte.
    pub(crate) fn coarse(&self, tick: u32) -> u8 {
        (tick >> self.shift) as u8
    }

    /// How much time has passed since, at least: the result is less than two units too small, and never too large.
    pub(crate) fn since(&self, note: u8, tick: u32) -> Duration {
        let units = self.coarse(tick).wrapping_sub(note).saturating_sub(1);
        TICK * (u32::from(units) << self.shift)
    }

    /// The payload of a ping that is sent at this time: the time and a check value.
    pub(crate) fn ping(&self, fd: Fd, sent: u32) -> [u8; 8] {
        let check = self.key.hash_one((fd, sent)) as u32;
        let [a, b, c, d] = sent.to_be_bytes();
        let [e, f, g, h] = check.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// How long the ping that this pong answers was under way; `None` if the pong answers none of the server's own
    /// pings. A peer that answers late looks far away, but no peer can make itself look near.
    pub(crate) fn round_trip(&self, fd: Fd, pong: &[u8], now: u32) -> Option<NonZeroU16> {
        let sent = u32::from_be_bytes(pong.first_chunk().copied()?);
        if pong != self.ping(fd, sent) {
            return None;
        }
        u16::try_from(now.wrapping_sub(sent).max(1)).ok().and_then(NonZeroU16::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn liveness(idle_timeout: Duration) -> Liveness {
        Liveness::new(&Config { idle_timeout: Some(idle_timeout), ..Config::default() })
    }

    fn fd(index: u32) -> Fd {
        Fd::new(0, 0, index)
    }

    #[test]
    fn a_note_tells_the_time_since_to_a_sixty_fourth_of_the_timeout_and_never_too_much() {
        for timeout in [1, 64, 100, 5_000, 60_000, 3_600_000, 100_000_000_000].map(Duration::from_millis) {
            let liveness = liveness(timeout);
            let ticks = (timeout.as_millis() / TICK.as_millis()) as u32;
            for begun in [1, 77, 123_456_789] {
                let note = liveness.coarse(begun);
                let mut over = begun;
                while liveness.since(note, over) < timeout {
                    over += 1.max(ticks / 1_000);
                }
                let since = TICK * (over - begun);
                assert!(since >= timeout, "{since:?} of {timeout:?}");
                assert!(since <= timeout + timeout / 25 + 3 * TICK, "{since:?} of {timeout:?}");
            }
        }
    }

    #[test]
    fn a_pong_tells_the_round_trip_of_the_servers_own_pings_only() {
        let liveness = liveness(Duration::ZERO);
        let ping = liveness.ping(fd(1), 1_000);
        let trip = |fd, pong: &[u8], now| liveness.round_trip(fd, pong, now).map(NonZeroU16::get);
        assert_eq!(trip(fd(1), &ping, 1_030), Some(30));
        assert_eq!(trip(fd(1), &ping, 1_000), Some(1));
        // A late answer or a late copy counts, as far as it can be measured.
        assert_eq!(trip(fd(1), &ping, 66_535), Some(65_535));
        assert_eq!(trip(fd(1), &ping, 66_536), None);
        // The pong of another connection, a made-up one, one cut short, a longer one.
        assert_eq!(trip(fd(2), &ping, 1_030), None);
        for at in 0..8 {
            let mut forged = ping;
            forged[at] ^= 1;
            assert_eq!(trip(fd(1), &forged, 1_030), None);
            assert_eq!(trip(fd(1), &ping[..at], 1_030), None);
        }
        assert_eq!(trip(fd(1), &[&ping[..], b"x"].concat(), 1_030), None);
        // Across the end of the counter.
        let ping = liveness.ping(fd(1), u32::MAX);
        assert_eq!(trip(fd(1), &ping, 4), Some(5));
    }
}
