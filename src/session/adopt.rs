//! Moves a session without a socket to a WebSocket: its fd, and everything that is tied to it, outlives the change of
//! transport. This happens at the end of the turn, when no bytes of the WebSocket are being decoded.

use crate::codec::http::Response;
use crate::codec::unit;
use crate::codec::ws::{Opcode, Role, close, header};
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use crate::net::quota::Quota;
use crate::session::Sessions;
use crate::session::follow_up::FollowUp;
use crate::session::state::{ClosePhase, Marks, Session, WebSocket};

impl Sessions {
    /// Moves the session to this WebSocket at the end of the turn. Returns false if that is not possible.
    pub(crate) fn adopt(&mut self, fd: Fd, websocket: Fd) -> bool {
        if !self.can_adopt(fd, websocket) {
            return false;
        }
        // What the client sends from now on belongs to the session.
        let is_paused = self.pause(websocket);
        self.follow_ups.push(FollowUp::Adopted { session: fd, websocket, is_paused });
        true
    }

    fn can_adopt(&self, fd: Fd, websocket: Fd) -> bool {
        let session_of = |fd| Some(&self.connections.get(fd)?.session);
        let is_session = match session_of(fd) {
            Some(Session::Socketless(session)) => !session.is_poll && session.end.is_none(),
            _ => false,
        };
        let is_websocket = match session_of(websocket) {
            Some(Session::WebSocket(other)) => {
                other.role() == Role::Server
                    && !other.marks.has(Marks::UNFINISHED)
                    && !self.formats[other.format].has_labels()
            }
            _ => false,
        };
        is_session && is_websocket && [fd, websocket].into_iter().all(|fd| self.is_established(fd))
    }

    /// Carries out [`Sessions::adopt`]. `is_paused`: the WebSocket is paused only for that.
    pub(crate) fn take_over(&mut self, fd: Fd, websocket: Fd, is_paused: bool) {
        if !self.can_adopt(fd, websocket) {
            if is_paused {
                self.resume(websocket);
            }
            return;
        }
        let is_session_paused = self.is_paused(fd);
        let parked = self.parked(fd);
        let Some(waiting) = self.take_frames(fd) else { return };
        // Its pause may have been ended meanwhile: by the user, or by another session that could not take it over.
        let is_paused = is_paused || self.has_pause(websocket) && !self.is_paused(websocket);
        let kept = self.take_pause(websocket);
        let Some((route, format)) = self.socketless_mut(fd).map(|session| (session.route, session.format))
        else {
            return;
        };
        let format = self.formats.on_websocket(format);
        let Some(other) = self.websocket_mut(websocket) else { return };
        let decoder = std::mem::take(&mut other.decoder);
        let held = decoder.held_bytes();
        let (marks, round_trip) = (other.marks, other.round_trip);
        let session =
            WebSocket { decoder, phase: ClosePhase::Open, marks, format, spoke: 0, round_trip, route };
        self.connections.inbound_changed(websocket, held, 0);
        self.connections.inbound_changed(fd, 0, held);
        let is_taken_over = self.connections.take_over(fd, websocket);
        debug_assert!(is_taken_over, "both are open, and nothing is queued for the session");
        self.change_session(fd, |old| *old = Session::WebSocket(session));
        self.connections.kill(websocket, CloseReason::new(Side::Local, close::NO_STATUS, "", Cause::Adopted));
        if !waiting.is_empty() {
            // It was within the limits before.
            self.connections.write(fd, [&waiting, &[]], Quota::Exempt).ok();
        }
        self.connections.begin_crossings(fd);
        self.watch(fd);
        if let Some(by) = parked {
            self.respond_last(by, Response::new(204));
        }
        self.pause(fd);
        if !self.keep(fd, &kept) {
            let what = "no memory for input";
            return self.finish_with_code(fd, close::TRY_AGAIN_LATER, what, Cause::Overload(what));
        }
        if is_paused && !is_session_paused {
            self.resume(fd);
        }
    }

    /// Takes all messages that wait for the session's client out of it, as frames of a WebSocket.
    fn take_frames(&mut self, fd: Fd) -> Option<Vec<u8>> {
        self.read_output(fd, usize::MAX)?;
        let mut units = std::mem::take(&mut self.socketless_mut(fd)?.taken);
        let mut frames = Vec::with_capacity(units.len());
        for (is_binary, bytes) in unit::iter(&units) {
            let opcode = if is_binary { Opcode::Binary } else { Opcode::Text };
            header::append_frame(&mut frames, opcode, bytes);
        }
        let len = units.len();
        self.connections.uncharge_taken(fd, &mut units, len);
        Some(frames)
    }
}
