//! The user's timers: few in comparison with connections, precise, each with something to call. A heap of due times
//! over a slab of timers. A cancelled timer leaves its entry in the heap until it is due or there are many such
//! entries.

use slab::Slab;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Names a timer for [`cancel`](crate::Server::cancel). Never names a later timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId {
    /// Counts all timers ever set, and so orders timers that are due at the same time.
    number: u64,
    key: usize,
}

pub(crate) struct Timers<T> {
    slab: Slab<Armed<T>>,
    due: BinaryHeap<Reverse<(Instant, TimerId)>>,
    number: u64,
}

struct Armed<T> {
    number: u64,
    period: Option<Duration>,
    /// `None` while it is being run.
    call: Option<T>,
}

impl<T> Default for Timers<T> {
    fn default() -> Timers<T> {
        Timers { slab: Slab::new(), due: BinaryHeap::new(), number: 0 }
    }
}

impl<T> Timers<T> {
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Sets a timer, once or, with a period, again and again.
    pub(crate) fn set(&mut self, at: Instant, period: Option<Duration>, call: T) -> TimerId {
        self.number += 1;
        let key = self.slab.insert(Armed { number: self.number, period, call: Some(call) });
        let id = TimerId { number: self.number, key };
        self.due.push(Reverse((at, id)));
        id
    }

    /// Takes a timer out; false where it has run or is cancelled already.
    pub(crate) fn cancel(&mut self, id: TimerId) -> bool {
        if !self.is_set(id) {
            return false;
        }
        self.slab.remove(id.key);
        if self.due.len() > 64 && self.due.len() > 2 * self.slab.len() {
            let slab = &self.slab;
            self.due
                .retain(|Reverse((_, id))| slab.get(id.key).is_some_and(|timer| timer.number == id.number));
        }
        true
    }

    fn is_set(&self, id: TimerId) -> bool {
        self.slab.get(id.key).is_some_and(|timer| timer.number == id.number)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// The next timer that is due and what to call. Give it back with [`Timers::ran`].
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, TimerId, T)> {
        while let Some(Reverse((at, id))) = self.due.peek().copied() {
            if at > now {
                return None;
            }
            self.due.pop();
            if self.is_set(id)
                && let Some(call) = self.slab[id.key].call.take()
            {
                return Some((at, id, call));
            }
        }
        None
    }

    /// After the call: a periodic timer that nobody cancelled meanwhile is set again, one period after it was
    /// due, or after `now` where it is late by more: missed ticks are not made up for.
    pub(crate) fn ran(&mut self, at: Instant, now: Instant, id: TimerId, call: T) {
        if !self.is_set(id) {
            return;
        }
        let timer = &mut self.slab[id.key];
        match timer.period {
            Some(period) => {
                timer.call = Some(call);
                let next = if at + period > now { at + period } else { now + period };
                self.due.push(Reverse((next, id)));
            }
            None => {
                self.slab.remove(id.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(timers: &mut Timers<&'static str>, now: Instant) -> Vec<&'static str> {
        let mut ran = Vec::new();
        while let Some((at, id, call)) = timers.pop(now) {
            ran.push(call);
            timers.ran(at, now, id, call);
        }
        ran
    }

    #[test]
    fn timers_run_in_the_order_they_are_due_then_in_the_order_they_were_set() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(at(20), None, "c");
        timers.set(at(10), None, "a");
        timers.set(at(10), None, "b");
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(run(&mut timers, at(9)), [""; 0]);
        assert_eq!(run(&mut timers, at(30)), ["a", "b", "c"]);
        assert_eq!((timers.len(), timers.next()), (0, None));
    }

    #[test]
    fn a_periodic_timer_goes_on_until_cancelled_and_skips_what_it_missed() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        let id = timers.set(at(10), Some(Duration::from_millis(10)), "tick");
        for ms in [10, 20, 35] {
            assert_eq!(run(&mut timers, at(ms)), ["tick"], "{ms}");
        }
        assert_eq!(run(&mut timers, at(1_000)), ["tick"]);
        assert_eq!(timers.next(), Some(at(1_010)));
        assert!(timers.cancel(id));
        assert!(!timers.cancel(id));
        assert_eq!(run(&mut timers, at(5_000)), [""; 0]);
    }

    #[test]
    fn cancelling_while_it_runs_ends_a_periodic_timer() {
        let now = Instant::now();
        let mut timers = Timers::default();
        timers.set(now, Some(Duration::from_millis(1)), "tick");
        let (at, id, call) = timers.pop(now).expect("due");
        assert!(timers.cancel(id));
        timers.ran(at, now, id, call);
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn an_old_id_never_cancels_a_later_timer_and_cancelled_ones_leave_no_pile() {
        let now = Instant::now();
        let mut timers = Timers::default();
        let old = timers.set(now, None, "old");
        timers.cancel(old);
        let new = timers.set(now, None, "new");
        assert!(!timers.cancel(old));
        for _ in 0..10_000 {
            let id = timers.set(now, None, "gone");
            timers.cancel(id);
        }
        assert!(timers.due.len() <= 65, "{}", timers.due.len());
        assert!(timers.cancel(new));
    }
}
