//! Counts what was given up for want of room: of each connection, and of all.

use crate::fd::Fd;
use std::collections::HashMap;

/// Messages that were pushed and will never be sent, though their connections lived on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Lost {
    /// For want of room, by a policy of [`SlowConsumer`](crate::SlowConsumer).
    pub dropped: u64,
    /// In favour of a newer one with the same key ([`Message::latest`](crate::Message::latest)).
    pub replaced: u64,
}

/// Empty mostly: nothing is kept for connections that lost nothing.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    by_fd: HashMap<Fd, Lost>,
    all: Lost,
}

impl Losses {
    pub(crate) fn dropped(&mut self, fd: Fd, count: u64) {
        self.add(fd, |lost| lost.dropped += count);
    }

    pub(crate) fn replaced(&mut self, fd: Fd) {
        self.add(fd, |lost| lost.replaced += 1);
    }

    fn add(&mut self, fd: Fd, add: impl Fn(&mut Lost)) {
        add(self.by_fd.entry(fd).or_default());
        add(&mut self.all);
    }

    pub(crate) fn of(&self, fd: Fd) -> Lost {
        self.by_fd.get(&fd).copied().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> Lost {
        self.all
    }

    /// The connection is gone; what it lost stays in the sum.
    pub(crate) fn forget(&mut self, fd: Fd) {
        if !self.by_fd.is_empty() {
            self.by_fd.remove(&fd);
            if self.by_fd.is_empty() {
                self.by_fd = HashMap::new();
            }
        }
    }
}
