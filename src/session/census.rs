//! Counts the established connections of each transport. A change of a connection's session goes through
//! `change_session`, which keeps the counts; one that is opened, and one that is gone, are counted by `recount`.

use super::info::Transport;
use std::ops::Index;

/// The number of established connections of each transport. Connections that this side opened are not counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Census([usize; Transport::Tcp as usize + 1]);

impl Census {
    /// A connection became established, changed its transport, or ended. `None`: not established.
    pub(crate) fn recount(&mut self, before: Option<Transport>, after: Option<Transport>) {
        if let Some(transport) = before {
            self.0[transport as usize] -= 1;
        }
        if let Some(transport) = after {
            self.0[transport as usize] += 1;
        }
    }

    pub(crate) fn all(&self) -> usize {
        self.0.iter().sum()
    }
}

impl Index<Transport> for Census {
    type Output = usize;

    fn index(&self, transport: Transport) -> &usize {
        &self.0[transport as usize]
    }
}
