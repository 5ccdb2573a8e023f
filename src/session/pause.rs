//! Connections that are not read for a while, because the application says so.

use crate::error::PushError;
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::session::Sessions;
use crate::session::follow_up::FollowUp;
use crate::session::note::Pause;

impl Sessions {
    pub(crate) fn pause(&mut self, fd: Fd) -> bool {
        // A connection that is ending must be read, to see the peer end it.
        if let Err(PushError::Closing | PushError::Gone) = self.channel(fd) {
            return false;
        }
        let Some(connection) = self.connections.open_mut(fd) else { return false };
        connection.flags.set(Flags::PAUSED_BY_USER);
        let Some(note) = self.connections.note_or_default(fd) else { return false };
        match &mut note.pause {
            Some(pause) => std::mem::take(&mut pause.is_ending),
            none => {
                *none = Some(Pause::default());
                true
            }
        }
    }

    pub(crate) fn resume(&mut self, fd: Fd) -> bool {
        let pause = self.connections.note_mut(fd).and_then(|note| note.pause.as_mut());
        let Some(pause) = pause.filter(|pause| !pause.is_ending) else { return false };
        pause.is_ending = true;
        self.follow_ups.push(FollowUp::Resumed(fd));
        true
    }

    fn pause_of(&self, fd: Fd) -> Option<&Pause> {
        self.connections.note(fd)?.pause.as_ref()
    }

    pub(crate) fn has_pause(&self, fd: Fd) -> bool {
        self.pause_of(fd).is_some()
    }

    /// Whether the user has paused it, and has not asked to read it again.
    pub(crate) fn is_paused(&self, fd: Fd) -> bool {
        self.pause_of(fd).is_some_and(|pause| !pause.is_ending)
    }

    /// The memory of what was read of a connection and not decoded: it is paused, or has had its share of the turn.
    pub(crate) fn kept_bytes(&self, fd: Fd) -> usize {
        let paused = self.pause_of(fd).map_or(0, |pause| pause.bytes.len());
        paused + self.connections.rest_bytes(fd).0
    }

    /// Keeps the rest of a read until the pause is over. Returns whether there is room for it.
    pub(crate) fn keep(&mut self, fd: Fd, bytes: &[u8]) -> bool {
        let room = self.connections.inbound_room(fd);
        let note = self.connections.note_mut(fd);
        let Some(pause) = note.and_then(|note| note.pause.as_mut()) else { return true };
        if bytes.len() > room {
            return false;
        }
        pause.bytes = bytes.to_vec();
        let held_bytes = pause.bytes.capacity();
        self.connections.inbound_changed(fd, 0, held_bytes);
        true
    }

    /// Ends a pause after [`Sessions::resume`]. Returns the kept bytes, to be decoded before the socket is read again.
    pub(crate) fn take_resumed(&mut self, fd: Fd) -> Option<Vec<u8>> {
        if !self.pause_of(fd).is_some_and(|pause| pause.is_ending) {
            return None;
        }
        let bytes = self.take_pause(fd);
        self.connections.resume_for_user(fd);
        // What is incomplete could not come on meanwhile.
        self.begin_arrival(fd);
        Some(bytes)
    }

    /// Ends a pause. Returns the bytes that were kept during it.
    pub(crate) fn take_pause(&mut self, fd: Fd) -> Vec<u8> {
        let connections = &mut self.connections;
        let pause = connections.note_mut(fd).and_then(|note| note.pause.take()).unwrap_or_default();
        connections.tidy_note(fd);
        connections.inbound_changed(fd, pause.bytes.capacity(), 0);
        pause.bytes
    }
}
