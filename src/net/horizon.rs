//! Until when everything that has come is known to be reported. A deadline is judged by this time and not by the
//! clock: after a long turn, or when the process was stopped, answers may have come that were not read yet.

use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Horizon {
    at: Instant,
    /// Polls in a row reported as much as they can: when the first began, and how much they reported.
    full: Option<(Instant, usize)>,
}

impl Horizon {
    pub(crate) fn new(now: Instant) -> Horizon {
        Horizon { at: now, full: None }
    }

    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// A poll that began at `asked` reported `events`, where it can't report more than `events_max`. `sources`: how
    /// many there are that can be reported.
    pub(crate) fn polled(&mut self, asked: Instant, events: usize, events_max: usize, sources: usize) {
        if events < events_max {
            (self.at, self.full) = (asked, None);
            return;
        }
        let (begun, before) = self.full.unwrap_or((asked, 0));
        let events = before + events;
        // A source that was reported goes behind all others that are ready.
        if events >= sources {
            (self.at, self.full) = (begun, None);
        } else {
            self.full = Some((begun, events));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_moves_when_a_poll_was_not_full_or_all_have_had_their_turn() {
        let start = Instant::now();
        let mut horizon = Horizon::new(start);
        let at = |second| start + Duration::from_secs(second);
        horizon.polled(at(1), 9, 10, 35);
        assert_eq!(horizon.at(), at(1));
        for second in 2..5 {
            horizon.polled(at(second), 10, 10, 35);
            assert_eq!(horizon.at(), at(1));
        }
        // 40 of 35: whatever was ready when the first of them began was among them.
        horizon.polled(at(5), 10, 10, 35);
        assert_eq!(horizon.at(), at(2));
        horizon.polled(at(6), 10, 10, 35);
        assert_eq!(horizon.at(), at(2));
        horizon.polled(at(7), 0, 10, 35);
        assert_eq!(horizon.at(), at(7));
        horizon.polled(at(8), 10, 10, 7);
        assert_eq!(horizon.at(), at(8));
    }
}
