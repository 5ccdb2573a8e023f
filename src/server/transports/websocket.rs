//! A WebSocket's bytes: decoded, answered where the protocol says how, handed to the handler where it is a
//! message (RFC 6455 §5, §7).

use crate::codec::ws::decoder::Payload;
use crate::codec::ws::{Event, MessageLimits, Opcode, ProtocolError, Role, close};
use crate::error::{Cause, CloseReason, Fault, Side};
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::net::rate::Rates;
use crate::server::api::message::Frame;
use crate::server::api::routes::Route;
use crate::server::dispatch::Dispatch;
use crate::server::session::{Marks, Phase, Session};

/// How many bytes were used, and what they ended in.
type Step = Result<(usize, Option<Event>), ProtocolError>;

impl Dispatch {
    pub(crate) fn websocket_bytes(&mut self, fd: Fd, mut bytes: &mut [u8]) {
        let Some(websocket) = self.server.websocket_mut(fd) else { return };
        if websocket.phase == Phase::Closed {
            return;
        }
        websocket.marks.set(Marks::PINGED, false);
        let (route, role) = (websocket.route, websocket.role());
        let (is_labelled, spoke) = (websocket.marks.has(Marks::LABELLED), websocket.spoke);
        let (mut limits, rates) = self.limits(role);
        // What is in front of a payload is not for the handler.
        limits.in_parts &= !is_labelled;
        while !bytes.is_empty() {
            // Looked up anew for each message: a callback may have ended the connection.
            let Some(connection) = self.server.connections.open_mut(fd) else { return };
            let Session::WebSocket(websocket) = &mut connection.session else { return };
            if connection.flags.has(Flags::SUSPENDED) {
                if !self.keep(fd, bytes) {
                    self.protocol_error(route, fd, ProtocolError::NoRoom);
                }
                return;
            }
            let is_open = websocket.phase == Phase::Open;
            let decoder = &mut websocket.decoder;
            let (step, is_within) = match decoder.whole(bytes, &limits) {
                Ok(Some((used, event))) => {
                    if matches!(event, Event::Message(..)) {
                        websocket.spoke = self.server.liveness.note(connection.heard);
                    }
                    (Ok((used, Some(event))), connection.meter.take_messages(1, &rates))
                }
                Ok(None) => self.piece(fd, bytes, &mut limits, &rates),
                Err(error) => (Err(error), true),
            };
            let (used, event) = match step {
                Ok(step) => step,
                Err(error) => return self.protocol_error(route, fd, error),
            };
            if !is_within {
                self.server.stats.refusals.message_rate += 1;
                return self.rate_limited(route, fd, "too many messages a second");
            }
            let (input, rest) = bytes.split_at_mut(used);
            bytes = rest;
            match event {
                // RFC 6455 §1.4: after its own close frame the server discards what is not the peer's.
                Some(Event::Message(..) | Event::Part(..) | Event::Ping(_) | Event::Pong(_)) if !is_open => {}
                Some(Event::Message(opcode, payload)) => {
                    match is_labelled {
                        false => self.deliver(route, Frame::new(fd, opcode, payload.bytes(input))),
                        true => self.take_frame(route, fd, opcode, payload.bytes(input), spoke),
                    }
                    if let Payload::Owned(bytes) = payload {
                        self.spare.put(bytes);
                    }
                }
                Some(Event::Part(kind, part)) => {
                    self.deliver(route, Frame::part(fd, kind, &part, &input[part.range.clone()]));
                }
                Some(Event::Ping(payload)) => self.ping_received(route, fd, payload.bytes(input)),
                Some(Event::Pong(payload)) => self.pong_received(route, fd, payload.bytes(input)),
                None => {}
                Some(Event::Close(code, reason)) => {
                    return self.close_received(fd, code, reason, bytes.is_empty());
                }
            }
        }
    }

    /// What a peer may send, and how fast.
    #[inline]
    fn limits(&self, role: Role) -> (MessageLimits, Rates) {
        let config = &self.server.config;
        let limits = MessageLimits {
            role,
            message_bytes_max: config.message_bytes_max,
            fragments_max: config.fragments_max,
            room: usize::MAX,
            in_parts: config.deliver_fragments,
        };
        let rates = match role {
            Role::Server => self.server.connections.limits.rates,
            Role::Client => Rates::default(),
        };
        (limits, rates)
    }

    #[inline]
    pub(crate) fn deliver(&mut self, route: Route, frame: Frame<'_>) {
        self.server.stats.messages_received += u64::from(frame.finish);
        self.call("on_message", route, Some(frame.fd), |handler, server| handler.on_message(server, frame));
    }

    /// What is not a whole message takes memory, of which there is so much for all together. With the step comes
    /// whether its frames are within the connection's rate.
    fn piece(&mut self, fd: Fd, bytes: &mut [u8], limits: &mut MessageLimits, rates: &Rates) -> (Step, bool) {
        limits.room = self.server.connections.inbound_room();
        let over = (Ok((bytes.len(), None)), true);
        let Some(connection) = self.server.connections.open_mut(fd) else { return over };
        let Session::WebSocket(websocket) = &mut connection.session else { return over };
        let before = websocket.decoder.held_bytes();
        let step = websocket.decoder.piece(bytes, limits, &mut self.spare);
        let held = websocket.decoder.held_bytes();
        // Who uploads is not idle, however long it takes.
        websocket.spoke = self.server.liveness.note(connection.heard);
        let is_within = connection.meter.take_messages(self.spare.frames, rates);
        let inbound = &mut self.server.connections.inbound_bytes;
        *inbound = *inbound + held - before;
        (step, is_within)
    }

    fn ping_received(&mut self, route: Route, fd: Fd, data: &[u8]) {
        self.server.stats.pings_received += 1;
        self.pong(fd, data);
        self.call("on_ping", route, Some(fd), |handler, server| handler.on_ping(server, fd, data));
    }

    /// RFC 6455 §5.5.3. Where the peer does not read, only the newest pong is kept for it.
    fn pong(&mut self, fd: Fd, payload: &[u8]) {
        let frame = self.server.control_frame(fd, Opcode::Pong, payload);
        self.server.connections.write_urgent(fd, frame.as_slice()).ok();
    }

    /// RFC 6455 §5.5.1: the close frame is answered with its own code, then the server is the one to end TCP
    /// (§7.1.1), and a client waits for that. `is_last`: nothing came behind the close frame, as it should be.
    fn close_received(&mut self, fd: Fd, code: u16, reason: Box<str>, is_last: bool) {
        if is_last {
            self.server.connections.said_all(fd);
        }
        if self.server.is_established(fd) {
            self.server.write_close(fd, code, "");
        }
        let reason = CloseReason { by: Side::Peer, code, text: reason, cause: Cause::Requested };
        if self.server.role(fd) == Role::Client {
            return self.server.await_end(fd, reason);
        }
        self.server.end(fd, reason);
    }

    fn protocol_error(&mut self, route: Route, fd: Fd, error: ProtocolError) {
        self.broken(route, fd, error.close_code(), error.what());
    }

    /// The peer broke its protocol, or a limit of it.
    pub(crate) fn broken(&mut self, route: Route, fd: Fd, code: u16, what: &'static str) {
        log::debug!("{fd}: {what}, closing with {code}");
        let refusals = &mut self.server.stats.refusals;
        match code {
            close::TOO_BIG => refusals.message_too_big += 1,
            close::INVALID_PAYLOAD => refusals.invalid_utf8 += 1,
            close::TRY_AGAIN_LATER => refusals.inbound_full += 1,
            _ => refusals.protocol += 1,
        }
        let cause = match code {
            close::TOO_BIG => Cause::TooBig(what),
            close::TRY_AGAIN_LATER => Cause::Overload(what),
            _ => Cause::Protocol(what),
        };
        self.fail_for(route, fd, code, what, cause);
    }

    pub(crate) fn rate_limited(&mut self, route: Route, fd: Fd, what: &'static str) {
        log::debug!("{fd}: {what}, closing");
        self.fail_for(route, fd, close::POLICY_VIOLATION, what, Cause::RateLimited(what));
    }

    /// Fails a connection for what its peer did, and tells the handler.
    fn fail_for(&mut self, route: Route, fd: Fd, code: u16, what: &'static str, cause: Cause) {
        let is_open = self.server.is_established(fd);
        self.server.fail(fd, code, what, cause);
        if is_open && !matches!(cause, Cause::Overload(_)) {
            self.report(route, Some(fd), &Fault::Protocol { code, what });
        }
    }
}
