//! Membership: connections in topics, connections of users, users in topics.

use crate::fd::Fd;
use crate::server::state::groups::Groups;
use crate::server::state::presence::Roster;
use crate::server::state::watches::Watchers;
use std::collections::HashMap;
use std::rc::Rc;

/// What happened to a topic; see [`on_topic`](crate::Handler::on_topic).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicEvent {
    /// The first connection has joined it.
    Occupied,
    /// The last connection has left it.
    Vacated,
}

/// Membership: connections in topics, connections of users, users in topics.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    pub(crate) topics: Groups,
    /// Each connection has one user at most.
    pub(crate) users: Groups,
    pub(crate) roster: Roster,
    /// The data of users, by their numbers.
    pub(crate) data: HashMap<u32, Rc<str>>,
    /// The handlers that are told of changes.
    pub(crate) watchers: Watchers,
    /// The connection whose `on_close` runs, or ran last.
    pub(crate) departed: Option<Departed>,
}

impl Rooms {
    /// A connection no longer belongs to the user.
    pub(crate) fn remove_user(&mut self, fd: Fd, user: u32) {
        self.users.remove(fd, user);
        self.forget_data(user);
    }

    /// The user is in one topic less.
    pub(crate) fn release_user(&mut self, user: u32) {
        self.users.unpin(user);
        self.forget_data(user);
    }

    /// Drops the data of a user who is gone, before its number is given to another.
    fn forget_data(&mut self, user: u32) {
        if !self.users.has(user) && self.data.remove(&user).is_some() && self.data.is_empty() {
            self.data.shrink_to(64);
        }
    }
}

/// The user and the topics that a connection had when it ended.
#[derive(Debug)]
pub(crate) struct Departed {
    pub(crate) fd: Fd,
    pub(crate) topics: Vec<Rc<str>>,
    pub(crate) uid: Option<Rc<str>>,
}

impl Departed {
    pub(crate) fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }
}
