//! One coarse deadline for each connection. Activity only stores a later deadline; the connection sits once
//! in a wheel of lists and is filed anew when its slot comes early, so a deadline costs O(1) however often it
//! moves. Works on table indices; knows neither connections nor clocks.

use std::time::Duration;

/// A tick of the wheel of deadlines. Coarse: no timeout of a connection needs to be exact.
/// 32 bits of them are 8 years.
pub(crate) const TICK: Duration = Duration::from_millis(64);

/// Slots of the wheel: deadlines further away are filed as far as it reaches, and filed again there.
const SLOTS: usize = 4096;
/// No neighbour, no deadline: indices count from 1 and tick 0 is before the first turn.
const NONE: u32 = 0;

pub(crate) struct Wheel {
    /// The first index in the list of each slot.
    heads: Box<[u32; SLOTS]>,
    /// A bit for each slot that has a list, to find the next one without looking at all.
    filled: [u64; SLOTS / 64],
    /// By index.
    links: Vec<WheelLink>,
    /// Everything up to this tick has been looked at.
    now: u32,
    filed: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct WheelLink {
    previous: u32,
    next: u32,
    deadline: u32,
    /// The tick it is filed under, `NONE` if it is not.
    tick: u32,
}

impl Wheel {
    #[cfg(test)]
    pub(crate) const LINK_BYTES: usize = size_of::<WheelLink>();

    pub(crate) fn new(expected: usize) -> Wheel {
        let mut links = Vec::with_capacity(expected + 1);
        links.push(WheelLink::default());
        Wheel { heads: Box::new([NONE; SLOTS]), filled: [0; SLOTS / 64], links, now: 1, filed: 0 }
    }

    /// How many connections there is room for without moving anything.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.links.capacity() - 1
    }

    /// How many deadlines there are.
    pub(crate) fn len(&self) -> usize {
        self.filed
    }

    /// Sets the deadline of `index`; one that is not later than now comes with the next tick.
    pub(crate) fn set(&mut self, index: u32, deadline: u32) {
        while self.links.len() <= index as usize {
            self.links.push(WheelLink::default());
        }
        let deadline = deadline.max(self.now + 1);
        self.links[index as usize].deadline = deadline;
        let tick = self.links[index as usize].tick;
        if tick == NONE {
            self.file(index);
        } else if deadline < tick {
            self.unfile(index);
            self.file(index);
        }
    }

    /// Sets a deadline unless there is an earlier one.
    pub(crate) fn set_earlier(&mut self, index: u32, deadline: u32) {
        let link = self.links.get(index as usize);
        if link.is_none_or(|link| link.tick == NONE || link.deadline > deadline) {
            self.set(index, deadline);
        }
    }

    pub(crate) fn clear(&mut self, index: u32) {
        if self.has(index) {
            self.unfile(index);
        }
    }

    /// The tick at which [`Wheel::advance`] has something to do next; it may turn out to be only filing.
    pub(crate) fn next_tick(&self) -> Option<u32> {
        if self.filed == 0 {
            return None;
        }
        let start = (self.now as usize + 1) % SLOTS;
        let ahead = (0..=SLOTS / 64).find_map(|step| {
            let word = (start / 64 + step) % self.filled.len();
            let mut bits = self.filled[word];
            if step == 0 {
                bits &= u64::MAX << (start % 64);
            }
            if bits == 0 {
                return None;
            }
            let slot = word * 64 + bits.trailing_zeros() as usize;
            Some((slot + SLOTS - start) % SLOTS)
        });
        ahead.map(|ahead| self.now + 1 + ahead as u32)
    }

    /// Whether `index` has a deadline.
    pub(crate) fn has(&self, index: u32) -> bool {
        self.links.get(index as usize).is_some_and(|link| link.tick != NONE)
    }

    /// Moves on to tick `now` and adds to `expired` the indices whose deadline has come; they have none then. Stops
    /// when there are `most` in it: the others come with the next call.
    pub(crate) fn advance(&mut self, now: u32, most: usize, expired: &mut Vec<u32>) {
        while self.now < now {
            match self.next_tick() {
                Some(tick) if tick <= now => self.now = tick,
                _ => {
                    self.now = now;
                    return;
                }
            }
            let slot = self.now as usize % SLOTS;
            let mut index = self.heads[slot];
            while index != NONE {
                if expired.len() >= most {
                    self.now -= 1;
                    return;
                }
                let link = self.links[index as usize];
                self.unfile(index);
                // Against the tick that is asked for, not the slot's: after a jump of the clock all are due.
                if link.deadline <= now {
                    expired.push(index);
                } else {
                    self.file(index);
                }
                index = link.next;
            }
        }
    }

    fn file(&mut self, index: u32) {
        let link = &mut self.links[index as usize];
        // One less than all the way round: never into the slot that `advance` is emptying.
        link.tick = link.deadline.min(self.now + SLOTS as u32 - 1);
        let slot = link.tick as usize % SLOTS;
        let head = self.heads[slot];
        (link.previous, link.next) = (NONE, head);
        self.heads[slot] = index;
        self.filled[slot / 64] |= 1 << (slot % 64);
        if head != NONE {
            self.links[head as usize].previous = index;
        }
        self.filed += 1;
    }

    fn unfile(&mut self, index: u32) {
        let WheelLink { previous, next, tick, .. } = self.links[index as usize];
        let slot = tick as usize % SLOTS;
        if previous == NONE {
            self.heads[slot] = next;
            if next == NONE {
                self.filled[slot / 64] &= !(1 << (slot % 64));
            }
        } else {
            self.links[previous as usize].next = next;
        }
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
        self.links[index as usize].tick = NONE;
        self.filed -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advance(wheel: &mut Wheel, now: u32) -> Vec<u32> {
        let mut expired = Vec::new();
        wheel.advance(now, usize::MAX, &mut expired);
        expired.sort_unstable();
        expired
    }

    #[test]
    fn deadlines_come_at_their_tick_and_not_before() {
        let mut wheel = Wheel::new(0);
        wheel.set(1, 10);
        wheel.set(2, 10);
        wheel.set(3, 11);
        assert_eq!(wheel.next_tick(), Some(10));
        assert_eq!(advance(&mut wheel, 9), []);
        assert_eq!(advance(&mut wheel, 10), [1, 2]);
        assert_eq!(advance(&mut wheel, 10), []);
        assert_eq!(advance(&mut wheel, 11), [3]);
        assert_eq!((wheel.len(), wheel.next_tick()), (0, None));
    }

    #[test]
    fn a_deadline_can_move_both_ways_and_go() {
        let mut wheel = Wheel::new(8);
        wheel.set(1, 10);
        wheel.set(1, 20);
        assert_eq!(advance(&mut wheel, 19), []);
        wheel.set(1, 30);
        wheel.set(1, 22);
        assert_eq!(advance(&mut wheel, 22), [1]);
        wheel.set(2, 40);
        wheel.clear(2);
        wheel.clear(2);
        wheel.clear(77);
        assert_eq!(advance(&mut wheel, 100), []);
        wheel.set(3, 5);
        assert_eq!(advance(&mut wheel, 101), [3]);
    }

    #[test]
    fn more_than_are_asked_for_come_with_the_next_calls() {
        let mut wheel = Wheel::new(0);
        (1..=10).for_each(|index| wheel.set(index, 10 + index % 3));
        let mut all = Vec::new();
        for count in [4, 4, 2, 0] {
            assert_eq!(wheel.next_tick().is_some_and(|tick| tick <= 20), count > 0);
            let mut expired = Vec::new();
            wheel.advance(20, 4, &mut expired);
            assert_eq!((expired.len(), wheel.len()), (count, 10 - all.len() - count));
            all.extend(expired);
            // One that was not told yet can move.
            if all.len() == 8 {
                let left = (1..=10).find(|index| wheel.has(*index)).expect("two are left");
                wheel.set(left, 30);
                wheel.set(left, 15);
            }
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(1..=10));
    }

    /// A wheel against the plainest thing that does the same.
    #[test]
    fn agrees_with_a_naive_map_over_random_moves_and_jumps() {
        let mut random = crate::tests::Random::new(7);
        for _ in 0..50 {
            let mut wheel = Wheel::new(0);
            let mut naive = std::collections::BTreeMap::new();
            let mut now = 1;
            for _ in 0..2_000 {
                let index = 1 + random.below(40) as u32;
                match random.below(8) {
                    0 => {
                        wheel.clear(index);
                        naive.remove(&index);
                    }
                    1 => {
                        now += match random.below(20) {
                            0 => random.below(20_000) as u32,
                            _ => random.below(50) as u32,
                        };
                        let due: Vec<u32> =
                            naive.iter().filter(|(_, at)| **at <= now).map(|(index, _)| *index).collect();
                        naive.retain(|_, at| *at > now);
                        assert_eq!(advance(&mut wheel, now), due);
                    }
                    _ => {
                        let deadline = now + random.below(10_000) as u32;
                        wheel.set(index, deadline);
                        naive.insert(index, deadline.max(now + 1));
                    }
                }
                assert_eq!(wheel.len(), naive.len());
                let next = naive.values().min().copied();
                assert!(wheel.next_tick().is_some() == next.is_some() && wheel.next_tick() <= next);
            }
        }
    }
}
