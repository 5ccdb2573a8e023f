//! Response bodies that are written piece by piece. The request stays on its connection as a waiting request, so that
//! later requests wait until the body has ended. A client must be able to see that a body was cut off: only `end_body`
//! sends the last chunk, and a body that lasts until the connection ends is cut off by a reset.

use crate::codec::http::response::Exchange;
use crate::codec::http::{Head, ResponseFraming, ResponseHead};
use crate::error::{Cause, CloseReason, PushError, Side};
use crate::fd::Fd;
use crate::net::connection::{Flags, Life};
use crate::net::pace::Pace;
use crate::net::quota::{Quota, Refused};
use crate::session::Sessions;
use crate::session::follow_up::FollowUp;
use crate::session::route::Route;
use crate::session::state::{Awaited, BodyOut, Waiting};
use std::time::Duration;

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Sessions {
    /// Sends the head of a response to the request with this `head`. Returns how to write the body; `None` if the
    /// connection is gone. `is_last`: the connection ends after the response.
    pub(crate) fn send_response_head(
        &mut self,
        route: Route,
        fd: Fd,
        head: &Head<'_>,
        response: &ResponseHead,
        is_last: bool,
    ) -> Option<BodyOut> {
        let keep_alive = head.keeps_alive() && !is_last && !response.ends_by_close(head.is_1_1);
        let now = self.connections.now();
        let about = Exchange { is_head: head.method == "HEAD", keep_alive, date: self.date.text(now) };
        let (bytes, framing) = response.encode(head.is_1_1, &about);
        self.connections.write(fd, [&bytes, &[]], Quota::Exempt).ok()?;
        self.connections.note_or_default(fd)?.writer = Some(route);
        self.counters.responses += 1;
        self.connections.begin_crossings(fd);
        self.connections.expire_in(fd, self.body_timeout());
        Some(BodyOut { framing, keep_alive })
    }

    /// Begins the response to a request that waits for one. Returns whether it did.
    pub(crate) fn start_body(&mut self, fd: Fd, response: &ResponseHead) -> bool {
        let is_waited_for =
            |waiting: &&mut Waiting| waiting.awaited == Awaited::Response && !waiting.is_answered;
        let Some(waiting) = self.waiting(fd).filter(is_waited_for).copied() else { return false };
        let Some(mut held) = self.take_held(fd) else { return false };
        let begun = held.with_head(&waiting, |head| {
            self.send_response_head(waiting.route, fd, head, response, waiting.is_last)
        });
        if let Some(body) = begun {
            held.consume(waiting.len);
            held.progress.waiting = Some(waiting.streaming(body));
        }
        self.hold(fd, held);
        begun.is_some()
    }

    pub(crate) fn write_body(&mut self, fd: Fd, bytes: &[u8]) -> Result<(), PushError> {
        let framing = self.body_mut(fd)?.framing;
        if bytes.is_empty() {
            // An empty chunk would be the last one.
            return Ok(());
        }
        match framing {
            ResponseFraming::Absent => {}
            ResponseFraming::UntilClose => self.write_piece(fd, [bytes, &[]])?,
            ResponseFraming::Length(left) => {
                let left = left.checked_sub(bytes.len() as u64).ok_or(PushError::Unsendable)?;
                self.write_piece(fd, [bytes, &[]])?;
                self.body_mut(fd)?.framing = ResponseFraming::Length(left);
            }
            ResponseFraming::Chunked => {
                self.write_piece(fd, [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes])?;
                self.connections.write(fd, [b"\r\n", &[]], Quota::Exempt).map_err(push_error)?;
            }
        }
        // If the peer takes nothing, queueing more for it is no sign of life.
        if self.connections.get(fd).is_some_and(|connection| !connection.flags.has(Flags::BLOCKED)) {
            self.connections.expire_in(fd, self.body_timeout());
        }
        Ok(())
    }

    /// Ends a body. Returns whether it is complete.
    pub(crate) fn end_body(&mut self, fd: Fd) -> bool {
        let Ok(&mut BodyOut { framing, .. }) = self.body_mut(fd) else { return false };
        match framing {
            ResponseFraming::Length(left @ 1..) => {
                log::warn!("{fd}: a body was ended {left} bytes before its length");
                self.finish(fd, CloseReason::without_frame(Side::Local, Cause::Requested));
                return false;
            }
            ResponseFraming::Chunked
                if self.connections.write(fd, [LAST_CHUNK, &[]], Quota::Exempt).is_err() =>
            {
                return false;
            }
            _ => {}
        }
        if let Some(waiting) = self.waiting(fd) {
            waiting.is_answered = true;
        }
        self.follow_ups.push(FollowUp::BodyEnded(fd));
        true
    }

    /// A body has ended: ends the connection, or lets it go on to the next request.
    pub(crate) fn conclude_body(&mut self, fd: Fd, keep_alive: bool) {
        if let Some(note) = self.connections.note_mut(fd) {
            note.writer = None;
            self.connections.tidy_note(fd);
        }
        if !keep_alive {
            self.finish(fd, CloseReason::without_frame(Side::Local, Cause::Requested));
        }
        // Also after `finish`, which gives less: see `write_response_within`.
        self.connections.expire_in(fd, self.config.keep_alive_timeout);
    }

    /// Nothing was written for too long, or the client does not read.
    pub(crate) fn body_expired(&mut self, fd: Fd) {
        let pace = self.connections.pace(fd, self.body_timeout());
        let Some(connection) = self.connections.get(fd) else { return };
        match pace {
            Pace::Steady(next) => return self.connections.expire_in(fd, next),
            _ if pace == Pace::Arrived || connection.flags.has(Flags::PROTECTED) => {
                return self.connections.expire_in(fd, self.body_timeout());
            }
            _ => {}
        }
        let timeout = CloseReason::without_frame(Side::Local, Cause::Timeout);
        if pace == Pace::TooSlow {
            log::debug!("{fd}: does not read the body of its answer");
            self.connections.kill(fd, timeout);
        } else {
            log::debug!("{fd}: nothing more was written to the body of its answer");
            self.finish(fd, timeout);
        }
    }

    /// Finishes a connection without the end of the body that is being written. Returns whether there is one.
    pub(crate) fn finish_in_body(&mut self, fd: Fd) -> bool {
        let is_one = self.waiting(fd).is_some_and(|waiting| waiting.body().is_some());
        if is_one {
            self.finish(fd, CloseReason::without_frame(Side::Local, Cause::Requested));
        }
        is_one
    }

    /// Kills a connection if a FIN would make the unfinished body that is being written look complete. Returns whether
    /// it did.
    pub(crate) fn kill_in_body(&mut self, fd: Fd, reason: &CloseReason) -> bool {
        let is_unended = |waiting: &&mut Waiting| {
            !waiting.is_answered
                && waiting.body().is_some_and(|body| body.framing == ResponseFraming::UntilClose)
        };
        if self.waiting(fd).filter(is_unended).is_none() {
            return false;
        }
        if let Some(connection) = self.connections.get(fd) {
            connection.stream.reset_on_close();
        }
        self.connections.kill(fd, reason.clone());
        true
    }

    /// The body that is being written.
    fn body_mut(&mut self, fd: Fd) -> Result<&mut BodyOut, PushError> {
        let life = self.connections.get(fd).ok_or(PushError::Gone)?.life;
        if life != Life::Open {
            return Err(PushError::Closing);
        }
        match self.waiting(fd) {
            Some(Waiting { awaited: Awaited::Body(body), is_answered: false, .. }) => Ok(body),
            _ => Err(PushError::NoBody),
        }
    }

    fn write_piece(&mut self, fd: Fd, parts: [&[u8]; 2]) -> Result<(), PushError> {
        self.connections.write(fd, parts, Quota::Limited).map_err(push_error)
    }

    /// How long nothing may be written to a body, or nothing of it be read.
    fn body_timeout(&self) -> Duration {
        self.config.keep_alive_timeout
    }
}

/// The bytes may be written again later, so a full outbox closes nothing here.
fn push_error(refused: Refused) -> PushError {
    match refused {
        Refused::Gone => PushError::Gone,
        Refused::Closing => PushError::Closing,
        Refused::Full(_) => PushError::Full,
    }
}
