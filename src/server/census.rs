//! How many connections of each kind are established: what a server says of itself, and whether a broadcast has to look
//! for such ones at all. A session says as what it counts; whatever changes that goes through here.

use super::Server;
use super::session::Session;
use crate::fd::Fd;
use std::ops::Index;

/// As what an established connection counts. Those that were opened from here count as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    WebSocket,
    /// It speaks `swio.1`, and so does an event stream of the kind below.
    LabelledWebSocket,
    EventStream,
    LabelledEventStream,
    LongPolling,
    Tcp,
}

/// How many there are of each kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Census([usize; Kind::Tcp as usize + 1]);

impl Census {
    /// A connection became established, or is no more.
    pub(crate) fn recount(&mut self, before: Option<Kind>, after: Option<Kind>) {
        if let Some(kind) = before {
            self.0[kind as usize] -= 1;
        }
        if let Some(kind) = after {
            self.0[kind as usize] += 1;
        }
    }

    pub(crate) fn all(&self) -> usize {
        self.0.iter().sum()
    }

    pub(crate) fn websockets(&self) -> usize {
        self[Kind::WebSocket] + self[Kind::LabelledWebSocket]
    }

    pub(crate) fn event_streams(&self) -> usize {
        self[Kind::EventStream] + self[Kind::LabelledEventStream]
    }

    /// Whether somebody is told more of a message than its payload.
    pub(crate) fn has_labels(&self) -> bool {
        self[Kind::LabelledWebSocket] + self[Kind::LabelledEventStream] + self[Kind::LongPolling] > 0
    }
}

impl Index<Kind> for Census {
    type Output = usize;

    fn index(&self, kind: Kind) -> &usize {
        &self.0[kind as usize]
    }
}

impl Server {
    /// Changes a connection's session, and with it what is counted.
    pub(crate) fn change_session<R>(&mut self, fd: Fd, change: impl FnOnce(&mut Session) -> R) -> Option<R> {
        let session = self.connections.session_mut(fd)?;
        let before = session.kind();
        let result = change(session);
        self.census.recount(before, session.kind());
        Some(result)
    }
}

#[cfg(test)]
impl Server {
    /// What is counted is what is there.
    pub(crate) fn check_census(&self) {
        let mut census = Census::default();
        for (_, connection) in self.connections.iter_from(1) {
            census.recount(None, connection.session.kind());
        }
        assert_eq!(self.census, census);
    }
}
