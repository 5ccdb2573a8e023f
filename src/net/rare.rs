//! What only a few connections have at any time: a reason to end, losses, and a note of the app. Such a connection has
//! one entry here, found by its index. Knows nothing of connections; what uses it is in `notes`.

use super::lost::Lost;
use super::watch::Watch;
use crate::error::CloseReason;
use std::collections::HashMap;

/// The app's own state of one connection.
pub(crate) trait SessionState: Default {
    /// What it keeps for a few connections only.
    type Note: RareNote;

    /// Whether the app may be told of a deadline before the one that it has set.
    fn may_expire_early(&self) -> bool {
        true
    }

    /// Whether the peer may take the end of the connection for the end of what it was sent, so that it must not look
    /// like a good one if some of that is lost.
    fn ends_by_close(&self) -> bool {
        false
    }
}

pub(crate) trait RareNote: Default {
    /// Whether it can be forgotten.
    fn is_empty(&self) -> bool;
}

impl SessionState for () {
    type Note = ();
}

impl RareNote for () {
    fn is_empty(&self) -> bool {
        true
    }
}

#[derive(Debug, Default)]
pub(crate) struct Rare<N> {
    /// Why the connection is ending.
    pub(super) reason: Option<CloseReason>,
    /// The tick by which it has to be gone, if it is ending.
    pub(super) ends_by: u32,
    pub(super) lost: Lost,
    /// How fast the peer takes what is on its way to it, while that is watched.
    pub(super) watch: Option<Watch>,
    pub(super) note: N,
}

impl<N: RareNote> Rare<N> {
    pub(super) fn is_empty(&self) -> bool {
        self.reason.is_none() && self.lost == Lost::default() && self.watch.is_none() && self.note.is_empty()
    }
}

#[derive(Debug, Default)]
pub(super) struct Rares<N> {
    /// By the connection's index. Boxed, because a map has room for twice as many.
    entries: HashMap<u32, Box<Rare<N>>>,
    /// How many have a reason to end.
    ending: usize,
    /// What all connections have lost since the start.
    pub(super) lost: Lost,
}

/// Room for entries that is kept when there are few.
pub(super) const ENTRIES_KEPT: usize = 1024;

/// The most memory of an entry, without what it points to.
pub(crate) const fn rare_bytes<N>() -> usize {
    size_of::<Rare<N>>() + 16 + (size_of::<(u32, Box<Rare<N>>)>() + 1) * 16 / 7
}

impl<N: RareNote> Rares<N> {
    pub(super) fn ending(&self) -> usize {
        self.ending
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    pub(super) fn get(&self, index: u32) -> Option<&Rare<N>> {
        self.entries.get(&index).map(|rare| &**rare)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Rare<N>> {
        self.entries.get_mut(&index).map(|rare| &mut **rare)
    }

    pub(super) fn get_or_default(&mut self, index: u32) -> &mut Rare<N> {
        self.entries.entry(index).or_default()
    }

    /// Keeps a reason to end, and the tick by which that has to be over, unless there is one already.
    pub(super) fn set_reason(&mut self, index: u32, reason: CloseReason, ends_by: u32) {
        let rare = self.entries.entry(index).or_default();
        if rare.reason.is_none() {
            (rare.reason, rare.ends_by) = (Some(reason), ends_by);
            self.ending += 1;
        }
    }

    /// Takes an entry out. After a burst the memory for entries is given back.
    pub(super) fn remove(&mut self, index: u32) -> Rare<N> {
        let rare = self.entries.remove(&index).map(|rare| *rare).unwrap_or_default();
        self.ending -= usize::from(rare.reason.is_some());
        if self.entries.capacity() > ENTRIES_KEPT.max(8 * self.entries.len()) {
            self.entries.shrink_to(ENTRIES_KEPT.max(2 * self.entries.len()));
        }
        rare
    }
}
