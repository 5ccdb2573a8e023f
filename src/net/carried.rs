//! What a turn leaves for the next one: sockets that were not read, what was read and not worked on, and output that
//! was not written. Each list is in the order in which its connections have their turn.

use crate::fd::Fd;
use std::collections::{HashMap, VecDeque};

/// Room in the list of those to flush that is kept.
pub(super) const UNFLUSHED_KEPT: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Carried {
    /// To be read first in the next turn: the time of the last one was over before they had a share.
    pub(super) unread: Vec<Fd>,
    /// To be read after all others: they had their share, and there is more.
    pub(super) served: Vec<Fd>,
    /// To be flushed again: they had their share, and their sockets would take more.
    pub(super) yielded: Vec<Fd>,
    /// To be flushed: the time for it was over. What they have in the batch stays there until then.
    pub(super) unflushed: VecDeque<Fd>,
    /// What was read of some and not worked on, by their index. Counts as held bytes.
    pub(super) rests: HashMap<u32, Vec<u8>>,
}

impl Carried {
    pub(super) fn len(&self) -> usize {
        self.unread.len() + self.served.len() + self.yielded.len() + self.unflushed.len()
    }
}
