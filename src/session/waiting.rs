//! Answers that are given later than in the callback that was asked for them: the request stays where it was held,
//! and what follows from the answer gets it whole again.

use crate::codec::http::{Refusal, Response};
use crate::fd::Fd;
use crate::session::Sessions;
use crate::session::request::{Handshake, Verdict};
use crate::session::state::{Awaited, Held, Session, Waiting};

/// What was waited for.
#[derive(Debug)]
pub(crate) enum Answer {
    Handshake(Handshake),
    Response(Response),
}

/// What a verb makes the server do when the callback that it was called from is over: a verb calls nobody back.
pub(crate) enum FollowUp {
    /// A waiting request got its answer.
    Answered(Fd, Answer),
    /// A pause is to end.
    Resumed(Fd),
}

impl Sessions {
    pub(crate) fn answer_handshake(&mut self, fd: Fd, handshake: Handshake) -> bool {
        if matches!(handshake.0, Verdict::Later) {
            return false;
        }
        self.answer_waiting(fd, Awaited::Handshake, Answer::Handshake(handshake))
    }

    pub(crate) fn respond_later(&mut self, fd: Fd, response: Response) -> bool {
        if response.is_later() {
            return false;
        }
        self.answer_waiting(fd, Awaited::Response, Answer::Response(response))
    }

    pub(crate) fn answer_waiting(&mut self, fd: Fd, awaited: Awaited, answer: Answer) -> bool {
        let waiting = self.waiting(fd).filter(|waiting| waiting.awaited == awaited);
        let is_new = waiting.is_some_and(|waiting| !std::mem::replace(&mut waiting.is_answered, true));
        if is_new {
            self.follow_ups.push(FollowUp::Answered(fd, answer));
        }
        is_new
    }

    /// Of a connection whose answer is on its way: ends it after the answer; whether it was not ending already.
    pub(crate) fn end_after_answer(&mut self, fd: Fd) -> Option<bool> {
        let waiting = self.waiting(fd).filter(|waiting| waiting.is_answered)?;
        Some(!std::mem::replace(&mut waiting.is_last, true))
    }

    pub(crate) fn waiting(&mut self, fd: Fd) -> Option<&mut Waiting> {
        match self.connections.session_mut(fd)? {
            Session::Http(http) => http.waiting(),
            _ => None,
        }
    }

    /// More came while an answer is waited for. The client's end shall be seen, so it is read on, but only so far.
    pub(crate) fn wait_on(&mut self, fd: Fd, held: Box<Held>) {
        let len = held.progress.waiting.map_or(0, |waiting| waiting.len);
        if held.bytes.len() - len > self.config.head_bytes_max {
            self.connections.pause(fd);
        }
        self.hold(fd, held);
    }

    /// Whether the deadline was that of an answer.
    pub(crate) fn wait_expired(&mut self, fd: Fd) -> bool {
        let Some(waiting) = self.waiting(fd) else { return false };
        let awaited = waiting.awaited;
        if waiting.is_answered {
            return true;
        }
        if let Awaited::Messages(session) = awaited {
            self.poll_held(fd, session);
        } else if let Some(held) = self.take_held(fd) {
            self.refuse_request(fd, &held.bytes, Refusal::new(503, "the answer took too long"));
        }
        true
    }
}
