//! Who is where: connections in topics, connections of users, users in topics.

use crate::fd::Fd;
use crate::server::state::groups::Groups;
use crate::server::state::presence::Roster;
use crate::server::state::watches::Watchers;
use std::collections::HashMap;
use std::rc::Rc;

/// What [`on_topic`](crate::Handler::on_topic) is told of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicEvent {
    /// The first connection is in it.
    Occupied,
    /// The last connection has left it.
    Vacated,
}

/// Who is where: connections in topics, connections of users, users in topics.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    pub(crate) topics: Groups,
    /// Each connection is in one at most.
    pub(crate) users: Groups,
    pub(crate) roster: Roster,
    /// What was said of users, by their numbers.
    pub(crate) data: HashMap<u32, Rc<str>>,
    /// Who is told of what changes here.
    pub(crate) watchers: Watchers,
    /// Whose `on_close` runs, or ran last.
    pub(crate) departed: Option<Departed>,
}

impl Rooms {
    /// A connection is the user's no more.
    pub(crate) fn remove_user(&mut self, fd: Fd, user: u32) {
        self.users.remove(fd, user);
        self.forget_data(user);
    }

    /// The user is in one topic less.
    pub(crate) fn release_user(&mut self, user: u32) {
        self.users.release(user);
        self.forget_data(user);
    }

    /// What was said of a user who is gone is forgotten before the number is another's.
    fn forget_data(&mut self, user: u32) {
        if !self.users.has(user) && self.data.remove(&user).is_some() && self.data.is_empty() {
            self.data.shrink_to(64);
        }
    }
}

/// What a connection was bound to and in when it ended.
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
