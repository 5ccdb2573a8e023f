//! Ending a connection: with or without a handshake, as the kind of connection has it.

use crate::codec::ws::{Opcode, Role, close};
use crate::error::{Cause, CloseReason, PushError, Side};
use crate::fd::Fd;
use crate::net::output::Quota;
use crate::session::Sessions;
use crate::session::channel::Channel;
use crate::session::state::{Marks, Phase, Session};

impl Sessions {
    /// Ends a connection by the application's wish.
    pub(crate) fn disconnect(&mut self, fd: Fd, code: u16, reason: &str) -> bool {
        let code = if close::may_be_sent(code) {
            code
        } else {
            log::warn!("{fd}: close code {code} may not be sent, 1000 is sent instead");
            close::NORMAL
        };
        let reason = &reason[..reason.floor_char_boundary(close::REASON_BYTES_MAX)];
        self.close_for(fd, CloseReason::new(Side::Local, code, reason, Cause::Requested))
    }

    /// Begins the close handshake and waits for the peer's half of it.
    pub(crate) fn close_for(&mut self, fd: Fd, reason: CloseReason) -> bool {
        match self.channel(fd) {
            Ok(Channel::EventStream { .. }) => {
                self.end_stream(fd, reason);
                true
            }
            Ok(Channel::LongPolling) => {
                self.end_poll(fd, reason);
                true
            }
            Ok(Channel::Tcp(_)) => {
                self.end(fd, reason);
                true
            }
            Ok(Channel::WebSocket { .. }) => {
                self.write_close(fd, reason.code, &reason.text);
                self.set_phase(fd, Phase::CloseSent);
                // To see its half of it.
                self.resume(fd);
                self.connections.note_reason(fd, reason);
                self.connections.deadline(fd, self.config.close_timeout);
                true
            }
            Err(PushError::NotWebSocket) => {
                if let Some(answering) = self.answering.as_mut().filter(|answering| answering.fd == fd) {
                    return !std::mem::replace(&mut answering.is_last, true);
                }
                if let Some(is_new) = self.end_after_answer(fd) {
                    return is_new;
                }
                if reason.cause == Cause::Shutdown && self.end_parked(fd, &reason) {
                    return true;
                }
                if self.role(fd) == Role::Client {
                    // There is nobody yet to take leave of.
                    self.connections.kill(fd, reason);
                    return true;
                }
                let was_open = self.connections.session_mut(fd).is_some();
                self.connections.finish(fd, reason);
                was_open
            }
            Err(_) => false,
        }
    }

    /// Ends a connection whose peer can't be talked to any more: the close frame goes out with this code,
    /// then TCP ends without waiting for an answer (RFC 6455 §7.1.7).
    pub(crate) fn fail(&mut self, fd: Fd, code: u16, text: &str, cause: Cause) {
        let reason = CloseReason::new(Side::Local, code, text, cause);
        match self.channel(fd) {
            Ok(Channel::WebSocket { .. }) => self.write_close(fd, code, text),
            Ok(Channel::EventStream { .. }) => return self.end_stream(fd, reason),
            Ok(Channel::LongPolling) => return self.end_poll(fd, reason),
            _ => {}
        }
        self.end(fd, reason);
    }

    /// Ends a connection once its outbox is empty.
    pub(crate) fn end(&mut self, fd: Fd, reason: CloseReason) {
        self.hear_no_more(fd);
        self.connections.finish(fd, reason);
    }

    /// What comes from a connection is of no use any more, nor what is only partly here.
    pub(crate) fn hear_no_more(&mut self, fd: Fd) {
        self.set_phase(fd, Phase::Closed);
        if let Some(held_bytes) = self.change_session(fd, Session::forget) {
            self.connections.inbound_bytes -= held_bytes;
        }
    }

    pub(crate) fn write_close(&mut self, fd: Fd, code: u16, text: &str) {
        let payload = close::payload(code, text);
        let frame = self.control_frame(fd, Opcode::Close, &payload);
        // Refused only where the connection is gone, and then there is nobody to tell.
        self.connections.write(fd, [frame.as_slice(), &[]], Quota::Exempt).ok();
    }

    /// A connection is gone: forgets and counts what there was of it.
    pub(crate) fn forget(&mut self, fd: Fd, session: &Session, reason: &CloseReason) {
        self.connections.inbound_bytes -= session.held_bytes();
        self.census.recount(session.kind(), None);
        self.forget_client(fd);
        self.forget_listener(fd);
        self.end_pause(fd);
        match reason.cause {
            Cause::SlowConsumer => self.stats.refusals.slow_consumer += 1,
            Cause::Timeout if session.role() == Role::Server => self.stats.refusals.timeout += 1,
            Cause::Idle => self.stats.refusals.idle += 1,
            _ => {}
        }
        match session {
            Session::WebSocket(websocket) if websocket.marks.has(Marks::UNFINISHED) => {
                self.texts.remove(&fd);
                self.take_held_back(fd);
            }
            Session::EventStream(_) => self.tokens.revoke(fd),
            _ => {}
        }
    }
}
