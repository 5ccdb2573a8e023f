//! How connections end, and the words for it, in all layers: to *close* is to begin the close handshake, or what a
//! transport has in its place; to *finish*, to end once all output is sent; to *kill*, to end at once, whatever is
//! lost. A connection that has ended is *gone*. Of the verbs that users have, `disconnect` and `close` close, `reset`
//! and `end_session` kill.

use crate::codec::ws::{Opcode, Role, close};
use crate::error::{Cause, CloseReason, Fault, PushError, Side};
use crate::fd::Fd;
use crate::net::quota::Quota;
use crate::session::Sessions;
use crate::session::info::Transport;
use crate::session::note::Note;
use crate::session::state::{ClosePhase, Session};

impl Sessions {
    /// Ends a connection at the application's request.
    pub(crate) fn disconnect(&mut self, fd: Fd, code: u16, reason: &str) -> bool {
        let code = if close::may_be_sent(code) {
            code
        } else {
            log::warn!("{fd}: close code {code} may not be sent, 1000 is sent instead");
            close::NORMAL
        };
        let reason = &reason[..reason.floor_char_boundary(close::REASON_BYTES_MAX)];
        self.close(fd, CloseReason::new(Side::Local, code, reason, Cause::Requested))
    }

    /// Kills a connection at the application's request, and lets its peer see a reset.
    pub(crate) fn reset(&mut self, fd: Fd) -> bool {
        let Some(connection) = self.connections.get(fd) else { return false };
        connection.stream.reset_on_close();
        self.connections.kill(fd, CloseReason::without_frame(Side::Local, Cause::Requested));
        true
    }

    /// Begins the close handshake and waits for the peer's close frame; what has no such handshake finishes. Returns
    /// false if the connection is gone or ending already.
    pub(crate) fn close(&mut self, fd: Fd, reason: CloseReason) -> bool {
        match self.transport(fd) {
            Ok(Transport::EventStream) => {
                self.finish_stream(fd, reason);
                true
            }
            Ok(Transport::LongPolling | Transport::Session) => {
                self.finish_session(fd, reason);
                true
            }
            Ok(Transport::Tcp) => {
                self.finish(fd, reason);
                true
            }
            Ok(Transport::WebSocket) => {
                self.write_close(fd, reason.code, &reason.text);
                self.set_phase(fd, ClosePhase::Sent);
                // To see the peer's close frame.
                self.resume(fd);
                self.connections.note_reason(fd, reason);
                self.connections.watch_pace(fd);
                self.connections.expire_in(fd, self.config.close_timeout);
                true
            }
            Err(PushError::NotOpen) => {
                if let Some(answering) = self.answering.as_mut().filter(|answering| answering.fd == fd) {
                    return !std::mem::replace(&mut answering.is_last, true);
                }
                if let Some(is_new) = self.finish_after_answer(fd) {
                    return is_new;
                }
                if reason.cause == Cause::Shutdown && self.finish_parked(fd, &reason) {
                    return true;
                }
                if self.role(fd) == Role::Client {
                    // The peer has not answered yet: there is no close handshake to make.
                    self.connections.kill(fd, reason);
                    return true;
                }
                let was_open = self.connections.session_mut(fd).is_some();
                self.finish(fd, reason);
                was_open
            }
            Ok(Transport::Http) | Err(_) => false,
        }
    }

    /// Finishes a connection that can't go on. The last of its output is a close frame with this code, whose answer is
    /// not waited for (RFC 6455 §7.1.7).
    pub(crate) fn finish_with_code(&mut self, fd: Fd, code: u16, text: &str, cause: Cause) {
        let reason = CloseReason::new(Side::Local, code, text, cause);
        if matches!(cause, Cause::SlowConsumer | Cause::Timeout) {
            // It had its chance to read these. Their memory is better used for peers that read.
            self.connections.discard_unbegun(fd);
        }
        match self.transport(fd) {
            Ok(Transport::WebSocket) => self.write_close(fd, code, text),
            Ok(Transport::EventStream) => return self.finish_stream(fd, reason),
            Ok(Transport::LongPolling | Transport::Session) => return self.finish_session(fd, reason),
            _ => {}
        }
        self.finish(fd, reason);
    }

    /// The peer broke the protocol or exceeded a limit. Returns what the handler is to be told.
    pub(crate) fn broken(&mut self, fd: Fd, code: u16, what: &'static str) -> Option<Fault> {
        log::debug!("{fd}: {what}, closing with {code}");
        let refusals = &mut self.counters.refusals;
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
        self.finish_for_fault(fd, code, what, cause)
    }

    pub(crate) fn rate_limited(&mut self, fd: Fd, what: &'static str) -> Option<Fault> {
        log::debug!("{fd}: {what}, closing");
        self.finish_for_fault(fd, close::POLICY_VIOLATION, what, Cause::RateLimited(what))
    }

    /// Finishes a connection because of what its peer did. Returns what the handler is to be told.
    fn finish_for_fault(&mut self, fd: Fd, code: u16, what: &'static str, cause: Cause) -> Option<Fault> {
        let is_open = self.is_established(fd);
        self.finish_with_code(fd, code, what, cause);
        let is_peers = is_open && !matches!(cause, Cause::Overload(_));
        is_peers.then_some(Fault::Protocol { code, what })
    }

    /// Finishes a connection whose peer does not read what it is sent.
    pub(crate) fn close_slow(&mut self, fd: Fd, what: &'static str) {
        log::debug!("{fd}: {what}, closing");
        self.finish_with_code(fd, close::TRY_AGAIN_LATER, "slow consumer", Cause::SlowConsumer);
    }

    /// Ends a connection once its outbox is empty.
    pub(crate) fn finish(&mut self, fd: Fd, reason: CloseReason) {
        if self.kill_in_body(fd, &reason) {
            return;
        }
        self.end_input(fd);
        self.connections.finish(fd, reason);
    }

    /// Ignores everything that still comes from a connection, and drops its incomplete messages.
    pub(crate) fn end_input(&mut self, fd: Fd) {
        if let Some(held_bytes) = self.change_session(fd, Session::end_input) {
            self.connections.inbound_changed(fd, held_bytes, 0);
        }
    }

    pub(crate) fn write_close(&mut self, fd: Fd, code: u16, text: &str) {
        let payload = close::payload(code, text);
        let frame = self.control_frame(fd, Opcode::Close, &payload);
        // Refused only if the connection is gone, and then there is nobody to tell.
        self.connections.write(fd, [frame.as_slice(), &[]], Quota::Exempt).ok();
    }

    /// A connection is gone: updates the counts, and the memory that counts as held, and revokes its token.
    pub(crate) fn note_gone(&mut self, fd: Fd, session: &Session, note: &Note, reason: &CloseReason) {
        self.connections.inbound_changed(fd, session.held_bytes() + note.held_bytes(), 0);
        self.census.recount(session.counted_as(), None);
        match reason.cause {
            Cause::SlowConsumer => self.counters.refusals.slow_consumer += 1,
            Cause::Timeout if session.role() == Role::Server => self.counters.refusals.timeout += 1,
            Cause::Idle => self.counters.refusals.idle += 1,
            _ => {}
        }
        if let Session::EventStream(_) | Session::Socketless(_) = session {
            self.tokens.revoke(fd);
        }
    }
}
