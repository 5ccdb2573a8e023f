//! Who is where: connections in topics, connections of users, users in topics.

use crate::fd::Fd;
use crate::server::state::groups::Groups;
use crate::server::state::presence::Roster;
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
    /// Whose `on_close` runs, or ran last.
    pub(crate) departed: Option<Departed>,
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
