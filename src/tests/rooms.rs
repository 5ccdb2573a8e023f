//! What the simulation's handler knows of topics and users, as naively as can be: compared with the server after every
//! turn.

use crate::{Fd, JoinError, Presence, PresenceEvent, Server, TopicEvent};
use std::collections::{BTreeMap, BTreeSet};

const TOPICS: u8 = 7;
/// Of these, those that the handler puts anybody into; only clients themselves subscribe to the others.
pub(super) const JOINED: u8 = 5;
const USERS: u8 = 4;

#[derive(Debug, Default)]
pub(super) struct Rooms {
    members: BTreeMap<String, BTreeSet<Fd>>,
    users: BTreeMap<Fd, String>,
    /// As the handler was told.
    occupied: BTreeSet<String>,
    present: BTreeSet<(String, String)>,
    /// How often each event came.
    pub(super) events: u64,
}

pub(super) fn topic(number: u8) -> String {
    format!("topic {}", number % TOPICS)
}

pub(super) fn user(number: u8) -> String {
    format!("user {}", number % USERS)
}

impl Rooms {
    pub(super) fn members(&self, topic: &str) -> Vec<Fd> {
        self.members.get(topic).into_iter().flatten().copied().collect()
    }

    pub(super) fn connections_of(&self, uid: &str) -> Vec<Fd> {
        self.users.iter().filter(|(_, other)| *other == uid).map(|(fd, _)| *fd).collect()
    }

    /// Whether it was not in it.
    pub(super) fn join(&mut self, server: &mut Server, fd: Fd, topic: &str) -> bool {
        let is_new = self.members.get(topic).is_none_or(|members| !members.contains(&fd));
        match server.join(fd, topic) {
            Ok(joined) => {
                assert_eq!(joined, is_new, "{fd}: {topic}");
                self.members.entry(topic.to_owned()).or_default().insert(fd);
                joined
            }
            Err(error) => {
                self.check_refused(server, fd, error);
                false
            }
        }
    }

    pub(super) fn leave(&mut self, server: &mut Server, fd: Fd, topic: &str) {
        let was_in = self.members.get_mut(topic).is_some_and(|members| members.remove(&fd));
        assert_eq!(server.leave(fd, topic), was_in, "{fd}: {topic}");
    }

    pub(super) fn bind(&mut self, server: &mut Server, fd: Fd, uid: &str) {
        match server.bind(fd, uid) {
            Ok(_) => drop(self.users.insert(fd, uid.to_owned())),
            Err(error) => self.check_refused(server, fd, error),
        }
    }

    pub(super) fn unbind(&mut self, server: &mut Server, fd: Fd) {
        assert_eq!(server.unbind(fd), self.users.remove(&fd).is_some(), "{fd}");
    }

    /// Only who is not there, or not for long, is refused.
    fn check_refused(&self, server: &Server, fd: Fd, error: JoinError) {
        assert!(matches!(error, JoinError::Gone | JoinError::Closing), "{fd}: {error}");
        assert!(!server.is_established(fd), "{fd}: {error}");
    }

    /// In `on_close` what the connection was is still known; then it is nothing any more.
    pub(super) fn closed(&mut self, server: &Server, fd: Fd) {
        let were: BTreeSet<&str> = server.topics_of(fd).collect();
        let expected = self.members.iter().filter(|(_, members)| members.contains(&fd));
        assert_eq!(were, expected.map(|(topic, _)| &**topic).collect(), "{fd}");
        assert_eq!(server.uid(fd), self.users.get(&fd).map(|uid| &**uid), "{fd}");
        self.members.values_mut().for_each(|members| {
            members.remove(&fd);
        });
        self.users.remove(&fd);
    }

    /// The first is told when the last was, and the other way round.
    pub(super) fn topic_changed(&mut self, topic: &str, event: TopicEvent) {
        self.events += 1;
        match event {
            TopicEvent::Occupied => assert!(self.occupied.insert(topic.to_owned()), "{topic}"),
            TopicEvent::Vacated => assert!(self.occupied.remove(topic), "{topic}"),
        }
    }

    pub(super) fn presence_changed(&mut self, event: PresenceEvent<'_>) {
        self.events += 1;
        let PresenceEvent { topic, uid, kind, .. } = event;
        let seat = (topic.to_owned(), uid.to_owned());
        match kind {
            Presence::Joined => assert!(self.present.insert(seat), "{uid} in {topic}"),
            // Told at the end of the turn: the user may be here again, and then that is told next.
            Presence::Left => assert!(self.present.remove(&seat), "{uid} in {topic}"),
        }
    }

    /// The users of the connections in a topic.
    fn here(&self, topic: &str) -> BTreeSet<&str> {
        let members = self.members.get(topic).into_iter().flatten();
        members.filter_map(|fd| self.users.get(fd)).map(|uid| &**uid).collect()
    }

    /// After a turn in which everything was told.
    pub(super) fn check(&self, server: &Server) {
        let mut memberships = 0;
        for number in 0..TOPICS {
            let topic = topic(number);
            let expected: BTreeSet<Fd> = self.members(&topic).into_iter().collect();
            memberships += expected.len();
            assert_eq!(server.members(&topic).collect::<BTreeSet<_>>(), expected, "{topic}");
            assert_eq!(server.member_count(&topic), expected.len(), "{topic}");
            assert_eq!(self.occupied.contains(&topic), !expected.is_empty(), "{topic}");
            let told: BTreeSet<&str> =
                self.present.iter().filter(|(other, _)| *other == topic).map(|(_, uid)| &**uid).collect();
            let users: BTreeSet<&str> = server.users_in(&topic).collect();
            assert_eq!(users, told, "{topic}");
            assert!(users.is_superset(&self.here(&topic)), "{topic}: {users:?}");
        }
        for number in 0..USERS {
            let uid = user(number);
            let connections: BTreeSet<Fd> = server.connections_of(&uid).collect();
            assert_eq!(connections, self.connections_of(&uid).into_iter().collect(), "{uid}");
        }
        assert_eq!(server.usage().memberships, memberships);
    }
}
