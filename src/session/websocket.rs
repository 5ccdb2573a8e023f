//! The bytes of a WebSocket: decoded into events for the handler; what the protocol itself can answer is answered here
//! (RFC 6455 §5, §7).

use crate::codec::ws::{Event, MessageLimits, Opcode, ProtocolError, Role};
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::net::rate::Rates;
use crate::session::Sessions;
use crate::session::route::Route;
use crate::session::state::{ClosePhase, Marks, Session};

/// One read of a WebSocket: what is the same for all of its frames.
pub(crate) struct WebSocketRead {
    pub(crate) route: Route,
    /// It speaks `swio.1`.
    pub(crate) is_labelled: bool,
    limits: MessageLimits,
    rates: Rates,
}

/// What the start of the bytes is.
pub(crate) enum Step {
    /// This many bytes were used, and they ended in this event.
    Event(usize, Event),
    /// This many bytes were used, for nothing that anybody has to know.
    Used(usize),
    /// The rest is kept for later, or ignored.
    Stop,
    Broken(ProtocolError),
    /// More messages than its rate allows.
    TooFast,
}

impl Sessions {
    /// Begins a read; `None` if nothing that comes counts any more.
    #[inline]
    pub(crate) fn begin_websocket_read(&mut self, fd: Fd) -> Option<WebSocketRead> {
        let websocket = self.websocket_mut(fd)?;
        if websocket.phase == ClosePhase::Done {
            return None;
        }
        websocket.marks.set(Marks::PINGED, false);
        let route = websocket.route;
        let is_labelled = websocket.format.has_labelled_frames();
        let (mut limits, rates) = self.limits(route);
        // The labels before a payload are not for the handler.
        limits.in_parts &= !is_labelled;
        Some(WebSocketRead { route, is_labelled, limits, rates })
    }

    /// Decodes the next message, control frame, or part of one from the start of `bytes`, which are not empty.
    #[inline(always)]
    pub(crate) fn websocket_step(&mut self, fd: Fd, bytes: &mut [u8], read: &mut WebSocketRead) -> Step {
        // Looked up again for each message, because a callback may have ended the connection.
        let Some(connection) = self.connections.open_mut(fd) else { return Step::Stop };
        let Session::WebSocket(websocket) = &mut connection.session else { return Step::Stop };
        if connection.flags.has(Flags::PAUSED_BY_USER) {
            return if self.keep(fd, bytes) { Step::Stop } else { Step::Broken(ProtocolError::NoRoom) };
        }
        let is_open = websocket.phase == ClosePhase::Open;
        match websocket.decoder.whole(bytes, &read.limits) {
            Ok(Some((used, event))) => {
                // Of a labelled message it is not known yet whether it is only a sign of life.
                if matches!(event, Event::Message(..)) && !read.is_labelled {
                    websocket.spoke = self.liveness.coarse(connection.heard);
                }
                if !connection.meter.take_messages(1, &read.rates) {
                    return Step::TooFast;
                }
                if is_open || matches!(event, Event::Close(..)) {
                    Step::Event(used, event)
                } else {
                    Step::Used(used)
                }
            }
            // RFC 6455 §1.4: after its own close frame the server discards everything but the peer's.
            Ok(None) => match self.piece(fd, bytes, read) {
                Step::Event(used, event) if !is_open && !matches!(event, Event::Close(..)) => {
                    Step::Used(used)
                }
                step => step,
            },
            Err(error) => Step::Broken(error),
        }
    }

    /// A client was sent what it had missed, because it asked to be in a topic: that counts as so many messages. If it
    /// was much, it is read on when it has taken it.
    pub(crate) fn charge_for_missed(&mut self, fd: Fd, messages: usize) {
        let Some(connection) = self.connections.open_mut(fd) else { return };
        let route = connection.session.route().unwrap_or_default();
        let is_websocket = matches!(connection.session, Session::WebSocket(_));
        connection.meter.charge_messages(messages as u64, &self.paths.policy(route).rates);
        if is_websocket && messages > 0 {
            self.connections.wait_until_read(fd);
        }
    }

    /// Notes that a message came, for the idle timeout.
    pub(crate) fn note_message(&mut self, fd: Fd) {
        let Some(connection) = self.connections.open_mut(fd) else { return };
        if let Session::WebSocket(websocket) = &mut connection.session {
            websocket.spoke = self.liveness.coarse(connection.heard);
        }
    }

    /// What a peer may send, and how fast.
    #[inline]
    fn limits(&self, route: Route) -> (MessageLimits, Rates) {
        let policy = self.policy(route);
        let role = if route.is_outgoing() { Role::Client } else { Role::Server };
        let limits = MessageLimits {
            role,
            message_bytes_max: policy.message_bytes_max,
            fragments_max: policy.fragments_max,
            room: usize::MAX,
            in_parts: policy.deliver_fragments,
        };
        let rates = match role {
            Role::Server => policy.rates,
            Role::Client => Rates::default(),
        };
        (limits, rates)
    }

    /// Decodes a part of a message. Parts take memory, and there is only so much for all connections together.
    #[inline(never)]
    fn piece(&mut self, fd: Fd, bytes: &mut [u8], read: &mut WebSocketRead) -> Step {
        read.limits.room = self.connections.inbound_room(fd);
        let Some(connection) = self.connections.open_mut(fd) else { return Step::Stop };
        let Session::WebSocket(websocket) = &mut connection.session else { return Step::Stop };
        let (before, begins) = (websocket.decoder.held_bytes(), !websocket.decoder.is_inside());
        let step = websocket.decoder.piece(bytes, &read.limits, &mut self.spare);
        let (held, begins) = (websocket.decoder.held_bytes(), begins && websocket.decoder.is_inside());
        // A peer that uploads is not idle, however long the upload takes.
        websocket.spoke = self.liveness.coarse(connection.heard);
        let is_within = connection.meter.take_messages(self.spare.frames, &read.rates);
        self.connections.inbound_changed(fd, before, held);
        if begins {
            self.begin_arrival(fd);
        }
        match step {
            Err(error) => Step::Broken(error),
            Ok(_) if !is_within => Step::TooFast,
            Ok((used, Some(event))) => Step::Event(used, event),
            Ok((used, None)) => Step::Used(used),
        }
    }

    /// RFC 6455 §5.5.3. If the peer does not read, only the newest pong is kept for it.
    pub(crate) fn answer_ping(&mut self, fd: Fd, payload: &[u8]) {
        self.counters.pings_received += 1;
        let frame = self.control_frame(fd, Opcode::Pong, payload);
        self.connections.write_urgent(fd, frame.as_slice()).ok();
    }

    /// RFC 6455 §5.5.1: the close frame is answered with its own code. Then the server ends TCP (§7.1.1); a client
    /// waits for that. `is_last`: nothing came after the close frame, as it should be.
    pub(crate) fn close_received(&mut self, fd: Fd, code: u16, reason: Box<str>, is_last: bool) {
        if is_last {
            self.connections.peer_sends_no_more(fd);
        }
        if self.is_established(fd) {
            self.write_close(fd, code, "");
        }
        let reason = CloseReason { by: Side::Peer, code, text: reason, cause: Cause::Requested };
        if self.role(fd) == Role::Client {
            return self.await_peer_end(fd, reason);
        }
        self.finish(fd, reason);
    }
}
