//! Which users are in which topics, each once however many connections it has there, and which of them left a moment
//! ago and may be back in the next: reloading a page must not look like leaving.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Memory below this size is kept when it has become empty.
const KEPT_MAX: usize = 1_024;

/// Whether a user has come to a topic or has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// The user's first connection is in the topic.
    Joined,
    /// The user's last connection was taken out of the topic, or has been gone for
    /// [`Config::presence_grace`](crate::Config::presence_grace).
    Left,
}

/// A user that came to a topic, or left it: what [`on_presence`](crate::Handler::on_presence) gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceEvent<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The user, as [`bind`](crate::Server::bind) named it.
    pub uid: &'a str,
    /// The data of the user, as [`bind_with`](crate::Server::bind_with) or
    /// [`set_user_data`](crate::Server::set_user_data) set it, when this happened.
    pub data: Option<&'a str>,
    /// What happened.
    pub kind: Presence,
}

/// Which users are in which topics, by their numbers. Whoever gives the numbers keeps a number while it is in here.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    attendances: HashMap<(u32, u32), Attendance>,
    /// The users of each topic, in no order.
    users: HashMap<u32, Vec<u32>>,
    /// Absences in the order in which they began, including those of users who came back.
    absences: VecDeque<Absence>,
    /// The number of the last absence.
    last: u64,
}

#[derive(Debug)]
struct Attendance {
    connections: u32,
    /// The position of this user in the topic's users.
    position: u32,
    /// The last absence. It counts while there is no connection.
    absence: u64,
}

#[derive(Debug)]
struct Absence {
    since: Instant,
    topic: u32,
    user: u32,
    number: u64,
}

impl Roster {
    /// One more connection of the user is in the topic. Returns true if the user was not in it before.
    pub(crate) fn enter(&mut self, topic: u32, user: u32) -> bool {
        if let Some(attendance) = self.attendances.get_mut(&(topic, user)) {
            attendance.connections += 1;
            return false;
        }
        let users = self.users.entry(topic).or_default();
        let position = users.len() as u32;
        users.push(user);
        self.attendances.insert((topic, user), Attendance { connections: 1, position, absence: 0 });
        true
    }

    /// One connection less, because it ended. Without any the user is absent.
    pub(crate) fn exit(&mut self, topic: u32, user: u32, now: Instant) {
        let attendance = self.attendances.get_mut(&(topic, user)).expect("who exits has entered");
        attendance.connections -= 1;
        if attendance.connections == 0 {
            self.last += 1;
            attendance.absence = self.last;
            self.absences.push_back(Absence { since: now, topic, user, number: self.last });
        }
    }

    /// One connection less, on purpose. Returns true if the user has left the topic with it.
    pub(crate) fn exit_for_good(&mut self, topic: u32, user: u32) -> bool {
        let attendance = self.attendances.get_mut(&(topic, user)).expect("who exits has entered");
        attendance.connections -= 1;
        let is_last = attendance.connections == 0;
        if is_last {
            self.remove(topic, user);
        }
        is_last
    }

    /// Takes out a user who is absent for `grace`, or, if more than `absences_max` are absent, for less long.
    pub(crate) fn pop(&mut self, now: Instant, grace: Duration, absences_max: usize) -> Option<(u32, u32)> {
        while let Some(absence) = self.absences.front() {
            let is_over = now.saturating_duration_since(absence.since) >= grace;
            if !is_over && self.absences.len() <= absences_max {
                return None;
            }
            let Absence { topic, user, number, .. } = self.absences.pop_front()?;
            let attendance = self.attendances.get(&(topic, user));
            if attendance.is_some_and(|other| other.connections == 0 && other.absence == number) {
                self.remove(topic, user);
                return Some((topic, user));
            }
        }
        if self.absences.capacity() > KEPT_MAX {
            self.absences = VecDeque::new();
        }
        None
    }

    fn remove(&mut self, topic: u32, user: u32) {
        let attendance = self.attendances.remove(&(topic, user)).expect("checked");
        let users = self.users.get_mut(&topic).expect("it has users");
        users.swap_remove(attendance.position as usize);
        if let Some(moved) = users.get(attendance.position as usize) {
            let moved = self.attendances.get_mut(&(topic, *moved)).expect("a user of the topic");
            moved.position = attendance.position;
        }
        if users.is_empty() {
            self.users.remove(&topic);
        }
        // After a burst its memory is released.
        if self.attendances.is_empty() && self.attendances.capacity() > KEPT_MAX {
            (self.attendances, self.users) = (HashMap::new(), HashMap::new());
        }
    }

    /// When to check again.
    pub(crate) fn next(&self, grace: Duration) -> Option<Instant> {
        self.absences.front().and_then(|absence| absence.since.checked_add(grace))
    }

    pub(crate) fn users(&self, topic: u32) -> &[u32] {
        self.users.get(&topic).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn len(&self) -> usize {
        self.attendances.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Random;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn the_roster_is_as_a_naive_model_has_it() {
        const GRACE: Duration = Duration::from_secs(5);
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut roster = Roster::default();
            // For each topic and user: its connections, and since when there is none.
            let mut model: BTreeMap<(u32, u32), (u32, Option<Instant>)> = BTreeMap::new();
            let mut now = Instant::now();
            for _ in 0..400 {
                let key @ (topic, user) = (random.below(4) as u32, random.below(6) as u32);
                match random.below(3) {
                    0 => {
                        assert_eq!(roster.enter(topic, user), !model.contains_key(&key));
                        let (connections, since) = model.entry(key).or_default();
                        (*connections, *since) = (*connections + 1, None);
                    }
                    1 => {
                        let Some((connections @ 1.., since)) = model.get_mut(&key) else { continue };
                        roster.exit(topic, user, now);
                        *connections -= 1;
                        *since = (*connections == 0).then_some(now);
                    }
                    _ => now += Duration::from_millis(random.below(2_000)),
                }
                let left: BTreeSet<_> = std::iter::from_fn(|| roster.pop(now, GRACE, usize::MAX)).collect();
                let is_over = |since: Option<Instant>| since.is_some_and(|since| since + GRACE <= now);
                let over = model.iter().filter(|(_, (_, since))| is_over(*since)).map(|(key, _)| *key);
                assert_eq!(left, over.collect(), "seed {seed}");
                model.retain(|_, (_, since)| !is_over(*since));
                for topic in 0..4 {
                    let users: BTreeSet<u32> = roster.users(topic).iter().copied().collect();
                    assert_eq!(users.len(), roster.users(topic).len(), "a user twice");
                    let expected = model.keys().filter(|key| key.0 == topic).map(|key| key.1);
                    assert_eq!(users, expected.collect(), "seed {seed}");
                }
                assert_eq!(roster.len(), model.len());
            }
            while model.values().any(|(connections, _)| *connections > 0) {
                for (key, (connections, _)) in
                    model.iter_mut().filter(|(_, (connections, _))| *connections > 0)
                {
                    roster.exit(key.0, key.1, now);
                    *connections -= 1;
                }
            }
            assert_eq!(
                std::iter::from_fn(|| roster.pop(now, Duration::ZERO, usize::MAX)).count(),
                model.len()
            );
            assert_eq!((roster.len(), roster.next(GRACE), roster.users.len()), (0, None, 0));
        }
    }

    #[test]
    fn of_too_many_that_are_absent_the_longest_absent_have_left() {
        let now = Instant::now();
        let mut roster = Roster::default();
        for user in 0..10 {
            assert!(roster.enter(1, user));
            roster.exit(1, user, now);
        }
        let left: Vec<_> = std::iter::from_fn(|| roster.pop(now, Duration::MAX, 7)).collect();
        assert_eq!(left, [(1, 0), (1, 1), (1, 2)]);
        assert_eq!((roster.len(), roster.absences.len()), (7, 7));
    }
}
