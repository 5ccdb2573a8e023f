//! A WebSocket's bytes: decoded, answered where the protocol says how, handed to the handler where it is a
//! message (RFC 6455 §5, §7).

use super::dispatch::Dispatch;
use super::message::Frame;
use super::routes::Route;
use super::session::Phase;
use crate::codec::ws::decoder::Payload;
use crate::codec::ws::{Error, Event, Limits, Opcode, close, header};
use crate::error::{Cause, CloseReason, Fault, Side};
use crate::fd::Fd;

/// How many bytes were used, and what they ended in.
type Step = Result<(usize, Option<Event>), Error>;

impl Dispatch {
    pub(super) fn websocket_bytes(&mut self, fd: Fd, mut bytes: &mut [u8]) {
        let config = &self.server.config;
        let mut limits = Limits {
            message_bytes_max: config.message_bytes_max,
            fragments_max: config.fragments_max,
            room: usize::MAX,
        };
        let Some(websocket) = self.server.websocket_mut(fd) else { return };
        websocket.is_pinged = false;
        let route = websocket.route;
        while !bytes.is_empty() {
            // Looked up anew for each message: a callback may have ended the connection.
            let Some(websocket) = self.server.websocket_mut(fd) else { return };
            let is_open = websocket.phase == Phase::Open;
            let decoder = &mut websocket.decoder;
            let step = match decoder.whole(bytes, &limits) {
                Ok(Some((used, event))) => Ok((used, Some(event))),
                Ok(None) => self.piece(fd, bytes, &mut limits),
                Err(error) => Err(error),
            };
            let (used, event) = match step {
                Ok(step) => step,
                Err(error) => return self.protocol_error(route, fd, error),
            };
            let (input, rest) = bytes.split_at_mut(used);
            bytes = rest;
            match event {
                // RFC 6455 §1.4: after its own close frame the server discards what is not the peer's.
                Some(Event::Message(..) | Event::Ping(_) | Event::Pong(_)) if !is_open => {}
                Some(Event::Message(opcode, payload)) => {
                    let frame = Frame::new(fd, opcode, payload.bytes(input));
                    self.call("on_message", route, Some(fd), |handler, server| {
                        handler.on_message(server, frame)
                    });
                    if let Payload::Owned(bytes) = payload {
                        self.spare.put(bytes);
                    }
                }
                Some(Event::Ping(payload)) => {
                    let data = payload.bytes(input);
                    self.pong(fd, data);
                    self.call("on_ping", route, Some(fd), |handler, server| {
                        handler.on_ping(server, fd, data)
                    });
                }
                Some(Event::Pong(payload)) => {
                    let data = payload.bytes(input);
                    self.call("on_pong", route, Some(fd), |handler, server| {
                        handler.on_pong(server, fd, data)
                    });
                }
                None => {}
                Some(Event::Close(code, reason)) => {
                    return self.close_received(fd, code, reason, bytes.is_empty());
                }
            }
        }
    }

    /// What is not a whole message takes memory, of which there is so much for all together.
    fn piece(&mut self, fd: Fd, bytes: &mut [u8], limits: &mut Limits) -> Step {
        limits.room = self.server.connections.inbound_room();
        let Some(websocket) = self.server.websocket_mut(fd) else { return Ok((bytes.len(), None)) };
        let before = websocket.decoder.held_bytes();
        let step = websocket.decoder.piece(bytes, limits, &mut self.spare);
        let held = websocket.decoder.held_bytes();
        let inbound = &mut self.server.connections.inbound_bytes;
        *inbound = *inbound + held - before;
        step
    }

    /// RFC 6455 §5.5.3. Where the peer does not read, only the newest pong is kept for it.
    fn pong(&mut self, fd: Fd, payload: &[u8]) {
        let header = header::encode(true, Opcode::Pong, payload.len());
        let mut frame = [0; 2 + header::CONTROL_MAX];
        frame[..2].copy_from_slice(header.as_slice());
        frame[2..2 + payload.len()].copy_from_slice(payload);
        self.server.connections.write_urgent(fd, &frame[..2 + payload.len()]).ok();
    }

    /// RFC 6455 §5.5.1: the close frame is answered with its own code, then the server is the one to end TCP
    /// (§7.1.1). `is_last`: nothing came behind the close frame, as it should be.
    fn close_received(&mut self, fd: Fd, code: u16, reason: Box<str>, is_last: bool) {
        if is_last {
            self.server.connections.said_all(fd);
        }
        if self.server.is_established(fd) {
            self.server.write_close(fd, code, "");
        }
        self.server.end(fd, CloseReason { by: Side::Peer, code, text: reason, cause: Cause::Requested });
    }

    fn protocol_error(&mut self, route: Route, fd: Fd, error: Error) {
        let (code, what) = (error.close_code(), error.what());
        log::debug!("{fd}: {what}, closing with {code}");
        let is_open = self.server.is_established(fd);
        let cause = match code {
            close::TOO_BIG => Cause::TooBig(what),
            close::TRY_AGAIN_LATER => Cause::Overload(what),
            _ => Cause::Protocol(what),
        };
        self.server.fail(fd, code, what, cause);
        if is_open && !matches!(error, Error::NoRoom) {
            self.report(route, Some(fd), &Fault::Protocol { code, what });
        }
    }
}
