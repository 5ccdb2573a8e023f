//! Answers that are given after the callback that was asked for them has returned. The request stays where it was
//! held, and is available as a whole when the answer comes.

use crate::codec::http::head::HEADERS_MAX;
use crate::codec::http::{Head, Refusal, Response};
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::session::Sessions;
use crate::session::follow_up::{FollowUp, LateAnswer};
use crate::session::request::{Handshake, Verdict};
use crate::session::state::{Awaited, Held, Session, Waiting};

impl Sessions {
    pub(crate) fn answer_handshake(&mut self, fd: Fd, handshake: Handshake) -> bool {
        if matches!(handshake.0, Verdict::Later) {
            return false;
        }
        self.answer_waiting(fd, |awaited| awaited == Awaited::Handshake, LateAnswer::Handshake(handshake))
    }

    pub(crate) fn respond(&mut self, fd: Fd, response: Response) -> bool {
        let meant = |awaited| matches!(awaited, Awaited::Response | Awaited::Output(_) | Awaited::Poll(_));
        self.answer_waiting(fd, meant, LateAnswer::Response(response))
    }

    /// The server's own answer to a request whose answer an application may have on its way. The connection ends after
    /// it, so that the other answer can't reach the request that comes next.
    pub(crate) fn respond_last(&mut self, fd: Fd, response: Response) -> bool {
        if let Some(waiting) = self.waiting(fd) {
            waiting.is_last = true;
        }
        self.respond(fd, response)
    }

    /// Answers a request that waits for what is `meant`.
    pub(crate) fn answer_waiting(
        &mut self,
        fd: Fd,
        meant: impl FnOnce(Awaited) -> bool,
        answer: LateAnswer,
    ) -> bool {
        let waiting = self.waiting(fd).filter(|waiting| meant(waiting.awaited));
        let is_new = waiting.is_some_and(|waiting| !std::mem::replace(&mut waiting.is_answered, true));
        if is_new {
            self.follow_ups.push(FollowUp::Answered(fd, answer));
        }
        is_new
    }

    /// If a connection's answer is on its way, finishes the connection after it, and returns whether it was not ending
    /// already.
    pub(crate) fn finish_after_answer(&mut self, fd: Fd) -> Option<bool> {
        let waiting = self.waiting(fd).filter(|waiting| waiting.is_answered)?;
        Some(!std::mem::replace(&mut waiting.is_last, true))
    }

    /// Whether a client that has ended its side, and sends nothing more, is still to get something: the answer that is
    /// late, or those to requests that wait until it has read others. Whether it is gone altogether shows when that is
    /// written. A poll's answer is no loss: what is not acknowledged is sent again.
    pub(crate) fn is_owed_answer(&mut self, fd: Fd) -> bool {
        let is_late = |awaited| matches!(awaited, Awaited::Response | Awaited::Body(_));
        let Some(connection) = self.connections.open_mut(fd) else { return false };
        let is_paused = connection.flags.has(Flags::PAUSED | Flags::WANTS_DRAINED);
        match &mut connection.session {
            Session::Http(http) => match http.waiting() {
                Some(waiting) => is_late(waiting.awaited),
                None => is_paused && http.held.is_some(),
            },
            _ => false,
        }
    }

    pub(crate) fn waiting(&mut self, fd: Fd) -> Option<&mut Waiting> {
        match self.connections.session_mut(fd)? {
            Session::Http(http) => http.waiting_mut(),
            _ => None,
        }
    }

    /// More bytes came while an answer is awaited. Reading goes on, to see if the client closes, but only up to a
    /// limit.
    pub(crate) fn wait_on(&mut self, fd: Fd, held: Box<Held>) {
        let len = held.progress.waiting.map_or(0, |waiting| waiting.len);
        if held.bytes.len() - len > self.config.head_bytes_max {
            self.connections.pause_for_protocol(fd);
        }
        self.hold(fd, held);
    }

    /// Handles a deadline if it belongs to an answer. Returns whether it does.
    pub(crate) fn wait_expired(&mut self, fd: Fd) -> bool {
        let Some(waiting) = self.waiting(fd) else { return false };
        let awaited = waiting.awaited;
        if waiting.is_answered {
            return true;
        }
        match awaited {
            Awaited::Output(session) | Awaited::Poll(session) => {
                self.follow_ups.push(FollowUp::WaitedOut(fd, session));
            }
            Awaited::Body(_) => self.body_expired(fd),
            Awaited::Handshake | Awaited::Response => {
                if let Some(held) = self.take_held(fd) {
                    self.refuse_request(fd, &held.bytes, Refusal::AnswerTimeout);
                }
            }
        }
        true
    }
}

impl Held {
    /// Drops everything of a request waiting for output that its answer does not depend on: a browser's head is
    /// several hundred bytes, and most such requests wait most of the time.
    pub(crate) fn condense(&mut self) {
        let Some(waiting) = self.progress.waiting.as_mut() else { return };
        if waiting.awaited.session().is_none() {
            return;
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let parsed = Head::parse(&self.bytes[..waiting.head_len], &mut headers);
        let head = parsed.ok().flatten().expect("parsed before").0;
        let origin = head.value("origin");
        let lines: [&[u8]; 6] = [
            if head.method == "HEAD" { b"HEAD" } else { b"GET" },
            if head.is_1_1 { b" / HTTP/1.1\r\nHost:\r\n" } else { b" / HTTP/1.0\r\n" },
            match (head.is_1_1, head.keeps_alive()) {
                (true, false) => b"Connection: close\r\n",
                (false, true) => b"Connection: keep-alive\r\n",
                _ => b"",
            },
            if origin.is_some() { b"Origin: " } else { b"" },
            origin.unwrap_or_default().as_bytes(),
            if origin.is_some() { b"\r\n\r\n" } else { b"\r\n" },
        ];
        let after = &self.bytes[waiting.len..];
        let len: usize = lines.iter().map(|part| part.len()).sum();
        let mut bytes = Vec::with_capacity(len + after.len());
        lines.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes.extend_from_slice(after);
        self.bytes = bytes;
        (waiting.head_len, waiting.body_len, waiting.len) = (len, 0, len);
    }
}
