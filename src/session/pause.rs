//! Connections that are not read for a while, exempt from timeouts, or reset.

use crate::codec::ws::close;
use crate::error::{Cause, CloseReason, PushError, Side};
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::session::Sessions;
use crate::session::waiting::FollowUp;

/// What is known of a connection that is not to be read.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    /// Read before the pause, and not yet decoded.
    bytes: Vec<u8>,
    /// It is read again from the end of the turn on.
    is_ending: bool,
}

impl Sessions {
    pub(crate) fn pause(&mut self, fd: Fd) -> bool {
        // Of one that is ending the peer's end has to be seen.
        if let Err(PushError::Closing | PushError::Gone) = self.channel(fd) {
            return false;
        }
        let Some(connection) = self.connections.open_mut(fd) else { return false };
        if let Some(pause) = self.pauses.get_mut(&fd) {
            return std::mem::take(&mut pause.is_ending);
        }
        connection.flags.set(Flags::SUSPENDED);
        self.pauses.insert(fd, Pause::default());
        true
    }

    pub(crate) fn resume(&mut self, fd: Fd) -> bool {
        let Some(pause) = self.pauses.get_mut(&fd).filter(|pause| !pause.is_ending) else { return false };
        pause.is_ending = true;
        self.follow_ups.push(FollowUp::Resumed(fd));
        true
    }

    /// Of a paused connection: what was read and not decoded.
    pub(crate) fn kept_bytes(&self, fd: Fd) -> usize {
        self.pauses.get(&fd).map_or(0, |pause| pause.bytes.len())
    }

    pub(crate) fn protect(&mut self, fd: Fd, is_protected: bool) -> bool {
        let Some(connection) = self.connections.open_mut(fd) else { return false };
        if is_protected {
            connection.flags.set(Flags::PROTECTED);
        } else if connection.flags.take(Flags::PROTECTED) {
            self.watch(fd);
        }
        true
    }

    pub(crate) fn reset(&mut self, fd: Fd) -> bool {
        let Some(connection) = self.connections.get(fd) else { return false };
        connection.stream.reset_on_close();
        self.connections.kill(fd, CloseReason::new(Side::Local, close::ABNORMAL, "", Cause::Requested));
        true
    }

    /// Keeps the rest of a read until the pause is over: whether there is room for it.
    pub(crate) fn keep(&mut self, fd: Fd, bytes: &[u8]) -> bool {
        let room = self.connections.inbound_room();
        let Some(pause) = self.pauses.get_mut(&fd) else { return true };
        if bytes.len() > room {
            return false;
        }
        pause.bytes = bytes.to_vec();
        self.connections.inbound_bytes += pause.bytes.capacity();
        true
    }

    /// Ends a pause that [`Sessions::resume`] asked to end: what was kept, to be decoded before the socket is read.
    pub(crate) fn take_resumed(&mut self, fd: Fd) -> Option<Vec<u8>> {
        if !self.pauses.get(&fd).is_some_and(|pause| pause.is_ending) {
            return None;
        }
        let bytes = self.end_pause(fd);
        self.connections.release(fd);
        Some(bytes)
    }

    /// Forgets that a connection is paused: what was kept of it.
    pub(crate) fn end_pause(&mut self, fd: Fd) -> Vec<u8> {
        if self.pauses.is_empty() {
            return Vec::new();
        }
        let pause = self.pauses.remove(&fd).unwrap_or_default();
        if self.pauses.is_empty() {
            self.pauses.shrink_to(64);
        }
        self.connections.inbound_bytes -= pause.bytes.capacity();
        pause.bytes
    }
}
