//! Connections that are not read for a while: because the app, or its user, wants no input now, or because the peer
//! does not read what its own input causes.

use super::connection::{Flags, Life};
use super::connections::Connections;
use super::failure::io_failure;
use super::rare::SessionState;
use crate::config::SlowConsumer;
use crate::fd::Fd;

impl<S: SessionState> Connections<S> {
    /// Stops reading for the protocol, until [`Connections::resume_for_protocol`].
    pub(crate) fn pause_for_protocol(&mut self, fd: Fd) {
        if let Some(connection) = self.table.get_mut(fd) {
            connection.flags.set(Flags::PAUSED_BY_PROTOCOL);
        }
    }

    /// Stops reading a blocked peer until it has read what waits for it, if that is much and what it sent just now has
    /// added to it. Not where messages are dropped instead.
    #[cold]
    pub(super) fn hold_unread(&mut self, fd: Fd) {
        let Some((_, before)) = self.unread.take().filter(|(read, _)| *read == fd) else { return };
        let Some(connection) = self.table.get(fd).filter(|connection| connection.life == Life::Open) else {
            return;
        };
        let queued = connection.queued_bytes();
        let slow_consumer = connection.slow_consumer.unwrap_or(self.limits.slow_consumer);
        if queued > before
            && queued >= self.limits.unread_bytes_max
            && slow_consumer == SlowConsumer::Close
            && !connection.flags.has(Flags::HUNG_UP)
        {
            self.pause_until_drained(fd);
        }
    }

    /// A peer that has ended its side has sent no more than what arrived: it is read, so that its end is seen. Not
    /// where the app itself makes requests wait.
    pub(super) fn release_hung_up(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if connection.flags.has(Flags::HUNG_UP)
            && !connection.session.ends_by_close()
            && connection.flags.take(Flags::WANTS_DRAINED)
        {
            self.resume_for_protocol(fd);
        }
    }

    /// Stops reading until [`Connections::resume_for_protocol`], and asks for [`App::drained`](super::App::drained).
    pub(crate) fn pause_until_drained(&mut self, fd: Fd) {
        if let Some(connection) = self.table.get_mut(fd) {
            connection.flags.set(Flags::PAUSED_BY_PROTOCOL);
            connection.flags.set(Flags::WANTS_DRAINED);
        }
    }

    /// Reads again for the protocol, beginning with what arrived meanwhile.
    pub(crate) fn resume_for_protocol(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if connection.flags.take(Flags::PAUSED_BY_PROTOCOL) {
            self.catch_up(fd);
        }
    }

    /// Reads again from a connection that the user had paused.
    pub(crate) fn resume_for_user(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if connection.flags.take(Flags::PAUSED_BY_USER) {
            self.catch_up(fd);
        }
    }

    /// Reads what arrived meanwhile in the next turn, unless the connection is still paused for another reason.
    fn catch_up(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if !connection.flags.has(Flags::PAUSED) && connection.flags.take(Flags::MISSED) {
            self.carry(fd);
        }
    }

    /// Notices the error of a socket that is not being read.
    pub(super) fn kill_if_failed(&mut self, fd: Fd) {
        let Some(connection) = self.table.get(fd) else { return };
        if connection.flags.has(Flags::PAUSED | Flags::PEER_ENDED)
            && let Some(error) = connection.stream.take_error()
        {
            self.kill(fd, io_failure(&error));
        }
    }
}
