//! Leaving work for the next turn, when the time of this one or a connection's share of it is over.

use super::carried::UNFLUSHED_KEPT;
use super::connection::Flags;
use super::connections::Connections;
use super::rare::SessionState;
use super::turn_clock::STALL;
use crate::fd::Fd;

/// While more than this waits for a client to read it, what it asks for next waits too. Otherwise a client that only
/// asks would fill its outbox.
pub(crate) const UNREAD_MAX: usize = 64 << 10;

impl<S: SessionState> Connections<S> {
    /// Reads on in the next turn, after those that had no share of this one.
    pub(super) fn carry(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if !connection.flags.has(Flags::CARRIED) {
            connection.flags.set(Flags::CARRIED);
            self.carried.served.push(fd);
        }
    }

    /// Leaves a connection unread until the next turn: the time of this one is over.
    pub(super) fn leave_unread(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if !connection.flags.has(Flags::CARRIED) {
            connection.flags.set(Flags::CARRIED);
            self.carried.unread.push(fd);
        }
    }

    /// Continues writing in the next turn.
    pub(super) fn yield_turn(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if !connection.flags.has(Flags::YIELDED) {
            connection.flags.set(Flags::YIELDED);
            self.carried.yielded.push(fd);
        }
    }

    /// Leaves the connections from this place of the list on to be flushed in the next turn.
    pub(super) fn leave_unflushed(&mut self, from: usize) {
        let count = self.dirty.len();
        self.carried.unflushed.extend(self.dirty.drain(from..));
        self.dirty.clear();
        // After a burst its memory is given back.
        if self.dirty.capacity() > UNFLUSHED_KEPT.max(8 * count) {
            self.dirty.shrink_to(UNFLUSHED_KEPT.max(2 * count));
        }
    }

    /// Empties the batch, if all that is in it was written.
    pub(super) fn clear_batch(&mut self) {
        if self.dirty.is_empty() && self.carried.unflushed.is_empty() {
            self.carried.unflushed.shrink_to(UNFLUSHED_KEPT);
            self.batch.clear();
        }
    }

    /// Memory that the batch, the unused outboxes and the list of those to flush keep for the next turn.
    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> (usize, usize, usize) {
        (self.batch.capacity(), self.budget.pool.kept_bytes(), self.dirty.capacity() * size_of::<Fd>())
    }

    /// Counts work that takes as long as so many messages.
    pub(crate) fn charge(&mut self, work: usize) {
        self.clock.charge(work);
    }

    /// Reads no further from a connection until it has taken what it was sent, if that is much.
    pub(crate) fn wait_until_read(&mut self, fd: Fd) {
        if self.open_mut(fd).is_some_and(|connection| connection.queued_bytes() > UNREAD_MAX) {
            self.pause_until_drained(fd);
            self.clock.charge(usize::MAX);
        }
    }

    /// Whether a connection has had its share of the turn, or is not to be read now. Then the `rest` of its input is
    /// kept, and comes again in the next turn; unless there is no room for it, or it is not to come.
    #[inline(always)]
    pub(crate) fn puts_back(&mut self, fd: Fd, rest: &[u8]) -> bool {
        self.clock.is_due_after_message() && self.put_back(fd, rest)
    }

    #[inline(never)]
    fn put_back(&mut self, fd: Fd, rest: &[u8]) -> bool {
        self.look();
        let Some(connection) = self.open_mut(fd) else { return false };
        let is_over = connection.flags.has(Flags::PAUSED_BY_PROTOCOL) || self.clock.is_share_over();
        if !is_over || rest.len() > self.inbound_room(fd) {
            return false;
        }
        let rest = rest.to_vec();
        self.inbound_changed(fd, 0, rest.capacity());
        let older = self.carried.rests.insert(fd.index(), rest);
        debug_assert!(older.is_none(), "{fd}: more was read before the rest was worked on");
        self.carry(fd);
        true
    }

    /// Takes what was put back.
    pub(super) fn take_rest(&mut self, fd: Fd) -> Option<Vec<u8>> {
        if self.carried.rests.is_empty() {
            return None;
        }
        let rest = self.carried.rests.remove(&fd.index())?;
        self.inbound_changed(fd, rest.capacity(), 0);
        Some(rest)
    }

    /// The socket of a connection, and what was read from it, belong to another one now.
    pub(super) fn move_rest(&mut self, from: Fd, to: Fd) {
        if let Some(rest) = self.carried.rests.remove(&from.index()) {
            self.inbound_changed(from, rest.capacity(), 0);
            self.inbound_changed(to, 0, rest.capacity());
            self.carried.rests.insert(to.index(), rest);
        }
    }

    /// The memory of what was put back, and how many bytes that is.
    pub(crate) fn rest_bytes(&self, fd: Fd) -> (usize, usize) {
        self.carried.rests.get(&fd.index()).map_or((0, 0), |rest| (rest.capacity(), rest.len()))
    }

    /// Looks at the clock: what is done from now on is done at this time.
    #[cold]
    #[inline(never)]
    pub(super) fn look(&mut self) {
        if let Some(now) = self.clock.look() {
            self.go_on_to(now, STALL);
        }
    }

    /// Whether the turn's time was over when the clock was last looked at, which happens here if it is time for it.
    #[inline(always)]
    pub(super) fn is_turn_over(&mut self) -> bool {
        if self.clock.is_due() {
            self.look();
        }
        self.clock.is_over()
    }
}
