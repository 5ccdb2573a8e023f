//! What is on its way to one peer, as it was once, to be compared with what it is later. Used by `pace`.

use super::connection::Connection;

/// What was on its way when a peer was last judged, or when it began to be watched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// The tick of that.
    pub(super) since: u32,
    /// All of it, in bytes.
    pub(super) left: usize,
    /// The kernel's part.
    pub(super) unacknowledged: usize,
    /// How much the socket has taken since.
    pub(super) written: usize,
}

impl Watch {
    pub(super) fn begin<S>(connection: &Connection<S>, since: u32) -> Watch {
        let unacknowledged = connection.stream.unacknowledged();
        Watch { since, left: connection.queued_bytes() + unacknowledged, unacknowledged, written: 0 }
    }

    pub(super) fn acknowledged(&self, unacknowledged: usize) -> usize {
        (self.written + self.unacknowledged).saturating_sub(unacknowledged)
    }
}
