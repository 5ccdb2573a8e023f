//! Long polling: sessions that outlive the requests that carry them. What is pushed to one waits until a request asks
//! for it, and stays until a later request acknowledges it: an answer that got lost is given again.

use crate::codec::http::head::HEADERS_MAX;
use crate::codec::http::{Head, Refusal, Response};
use crate::codec::labels::DELIMITER;
use crate::codec::poll;
use crate::codec::ws::{close, handshake};
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::net::output::Quota;
use crate::session::Sessions;
use crate::session::cors;
use crate::session::event_stream;
use crate::session::http::NOT_NOW;
use crate::session::posting::NotTaken;
use crate::session::request::{Acceptance, Request};
use crate::session::route::Route;
use crate::session::state::{Awaited, Held, Poll, Session};
use crate::session::tokens::Token;
use crate::session::waiting::Answer;
use std::time::Duration;

/// An answer takes no further message with which it would be longer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

const UNKNOWN: NotTaken = NotTaken(404, "unknown session");
const BAD_CURSOR: NotTaken = NotTaken(400, "bad cursor");

impl Sessions {
    /// Whether a request is of a session, or begins one.
    pub(crate) fn is_poll(&self, route: Route, head: &Head<'_>) -> bool {
        let policy = self.policy(route);
        let query = head.query().unwrap_or_default().as_bytes();
        policy.long_polling
            && head.method == "GET"
            && form_urlencoded::parse(query).any(|(name, value)| name == "swio" && value == "poll")
            && !handshake::is_attempt(head)
            && !(policy.event_streams && event_stream::is_asked(head))
    }

    /// Begins a session, that of a client whose handshake was accepted: its fd, and its token.
    pub(crate) fn start_poll(
        &mut self,
        route: Route,
        request: &Request<'_>,
    ) -> Result<(Fd, String), Refusal> {
        // Before there is a session: one that was opened would have to be told of its end.
        let token = Token::draw().map_err(|error| {
            log::error!("no session, for the system has no random numbers: {error}");
            Refusal::new(500, "internal server error")
        })?;
        let session = Session::Poll(Box::new(Poll::new(route, self.remote_addr(request.fd))));
        let kind = session.kind();
        let fd = self.connections.insert_socketless(request.fd, session).ok_or(NOT_NOW)?;
        self.census.recount(None, kind);
        self.stats.opened += 1;
        self.watch(fd);
        Ok((fd, self.tokens.give(fd, token)))
    }

    /// Answers the request that began a session: with its token, and what was pushed in `on_open`.
    pub(crate) fn answer_first_poll(
        &mut self,
        fd: Fd,
        token: &str,
        request: &Request<'_>,
        acceptance: &Acceptance,
    ) {
        let headers = acceptance.headers.iter();
        let response = headers.fold(self.poll_answer(fd, Some(token)), |response, (name, value)| {
            response.header(name.clone(), value.clone())
        });
        self.conclude_poll(request, response, false);
    }

    /// A request of a session: which one it waits for now, where it is not answered at once.
    pub(crate) fn take_poll(&mut self, token: &str, request: &Request<'_>) -> Result<Option<Fd>, Refusal> {
        handshake::check_origin(&request.head, &self.policy(request.route).origins)?;
        let response = match self.acknowledge(token, request) {
            Ok(fd) if self.has_news(fd) => self.poll_answer(fd, None),
            Ok(fd) => return Ok(Some(fd)),
            Err(refused) => refused.response(),
        };
        self.conclude_poll(request, response, false);
        Ok(None)
    }

    /// An answer is a little more than the messages in it, which may be as much as an outbox takes.
    pub(crate) fn conclude_poll(&mut self, request: &Request<'_>, response: Response, is_last: bool) {
        let keep_alive = request.head.keeps_alive() && !is_last;
        let response = cors::permit(&request.head, response);
        self.respond_within(request.fd, response, false, keep_alive, Quota::Control);
    }

    /// Something was queued for a session, or it is to end: the request that waits for that is answered.
    pub(crate) fn answer_poll(&mut self, fd: Fd) {
        let Some(by) = self.parked(fd).filter(|_| self.has_news(fd)) else { return };
        let response = self.poll_answer(fd, None);
        self.answer_waiting(by, Awaited::Messages(fd), Answer::Response(response));
    }

    /// Nothing came for as long as a request may wait.
    pub(crate) fn poll_held(&mut self, by: Fd, session: Fd) {
        let response = match self.poll_mut(session) {
            Some(_) => self.poll_answer(session, None),
            None => UNKNOWN.response(),
        };
        self.answer_waiting(by, Awaited::Messages(session), Answer::Response(response));
    }

    /// No request came for too long.
    pub(crate) fn poll_expired(&mut self, fd: Fd) {
        let is_protected =
            self.connections.get(fd).is_some_and(|connection| connection.flags.has(Flags::PROTECTED));
        let Some(poll) = self.poll_mut(fd) else { return };
        let reason = match poll.end.as_deref() {
            Some(end) => end.clone(),
            None if is_protected => return self.watch(fd),
            None => CloseReason::new(Side::Local, close::ABNORMAL, "", Cause::Timeout),
        };
        log::debug!("{fd}: polls no more");
        self.connections.kill(fd, reason);
    }

    /// A session is over: whose it was.
    pub(crate) fn poll_closed(&mut self, fd: Fd, mut poll: Poll) -> Route {
        self.tokens.revoke(fd);
        let len = poll.taken.len();
        self.connections.release_taken(&mut poll.taken, len);
        if let Some(by) = poll.parked {
            self.answer_waiting(by, Awaited::Messages(fd), Answer::Response(UNKNOWN.response()));
        }
        poll.route
    }
}

impl Sessions {
    /// For how long a session lives without a request.
    pub(crate) fn poll_timeout(&self) -> Duration {
        self.config.poll_hold.saturating_add(self.config.poll_grace)
    }

    pub(crate) fn poll_mut(&mut self, fd: Fd) -> Option<&mut Poll> {
        match self.connections.session_mut(fd)? {
            Session::Poll(poll) => Some(poll),
            _ => None,
        }
    }

    /// The connection whose request waits for a session's messages.
    fn parked(&mut self, fd: Fd) -> Option<Fd> {
        let by = self.poll_mut(fd)?.parked?;
        let waiting = self.waiting(by)?;
        (waiting.awaited == Awaited::Messages(fd) && !waiting.is_answered).then_some(by)
    }

    /// Whether there is something to answer a request with.
    fn has_news(&mut self, fd: Fd) -> bool {
        let Some(connection) = self.connections.open_mut(fd) else { return false };
        let queued_bytes = connection.queued_bytes();
        let Session::Poll(poll) = &connection.session else { return false };
        queued_bytes > 0 || !poll.taken.is_empty() || poll.end.is_some()
    }

    /// What a request says that its client has is forgotten; then it is the one that waits.
    fn acknowledge(&mut self, token: &str, request: &Request<'_>) -> Result<Fd, NotTaken> {
        let cursor = request.query_param("cursor");
        let cursor = cursor.and_then(|cursor| cursor.parse::<u64>().ok()).ok_or(BAD_CURSOR);
        let fd = self.find_session(token, &request.head).ok_or(UNKNOWN)?;
        let heard = self.connections.tick_now();
        let connection = self.connections.open_mut(fd).ok_or(UNKNOWN)?;
        let Session::Poll(poll) = &mut connection.session else { return Err(UNKNOWN) };
        let cursor = cursor?;
        // Less was acknowledged before and is forgotten, more was never sent.
        let number = cursor.checked_sub(poll.acknowledged).ok_or(BAD_CURSOR)?;
        if number > poll::count(&poll.taken) {
            return Err(BAD_CURSOR);
        }
        connection.heard = heard;
        // One that is to end, and takes nothing, has the time that it had.
        let lives_on = poll.end.is_none() || number > 0;
        poll.acknowledged = cursor;
        let older = poll.parked.replace(request.fd);
        let mut taken = std::mem::take(&mut poll.taken);
        let len = poll::start_of(&taken, number);
        self.connections.release_taken(&mut taken, len);
        if let Some(poll) = self.poll_mut(fd) {
            poll.taken = taken;
        }
        if lives_on {
            self.connections.deadline(fd, self.poll_timeout());
        }
        if let Some(older) = older.filter(|older| *older != request.fd) {
            let nothing = poll::Answer { cursor, ..poll::Answer::default() };
            self.answer_waiting(older, Awaited::Messages(fd), Answer::Response(answer(&nothing)));
        }
        Ok(fd)
    }

    /// All that the client does not have yet, as far as it fits in an answer. With the last of an ended session goes
    /// the session.
    fn poll_answer(&mut self, fd: Fd, session: Option<&str>) -> Response {
        let bytes_max = self.config.outbox_bytes_max;
        let hold = session.map(|_| self.config.poll_hold.as_millis());
        let Some(poll) = self.poll_mut(fd) else { return UNKNOWN.response() };
        poll.parked = None;
        let bytes_max = ANSWER_BYTES_MAX.min(bytes_max);
        let mut taken = std::mem::take(&mut poll.taken);
        self.connections.take_queued(fd, &mut taken, DELIMITER, bytes_max);
        let is_all = self.connections.get(fd).is_some_and(|connection| connection.queued_bytes() == 0);
        let Some(poll) = self.poll_mut(fd) else { return UNKNOWN.response() };
        let cursor = poll.acknowledged + poll::count(&taken);
        let end = poll.end.as_deref().filter(|_| is_all).cloned();
        let closed = end.as_ref().map(|end| (end.code, &*end.text));
        let response = answer(&poll::Answer { session, hold, cursor, messages: &taken, closed });
        poll.taken = taken;
        if let Some(end) = end {
            self.connections.kill(fd, end);
        }
        response
    }

    /// Ends a session behind all that was pushed to it: its client is told by the answer to the request that waits,
    /// or to the next. A server that goes waits for no next one.
    pub(crate) fn end_poll(&mut self, fd: Fd, reason: CloseReason) {
        let is_parked = self.parked(fd).is_some();
        if self.poll_mut(fd).is_none_or(|poll| poll.end.is_some()) {
            return;
        }
        if reason.cause == Cause::Shutdown && !is_parked {
            return self.connections.kill(fd, reason);
        }
        self.change_session(fd, |session| {
            if let Session::Poll(poll) = session {
                poll.end = Some(Box::new(reason));
            }
        });
        self.connections.tell_laden(fd);
    }

    /// The client of a session goes: what still waits for it nobody wants any more.
    pub(crate) fn leave_poll(&mut self, fd: Fd, reason: CloseReason) {
        let Some(poll) = self.poll_mut(fd) else { return };
        let cursor = poll.acknowledged;
        if let Some(by) = poll.parked {
            let closed = Some((reason.code, &*reason.text));
            let last = answer(&poll::Answer { cursor, closed, ..poll::Answer::default() });
            self.answer_waiting(by, Awaited::Messages(fd), Answer::Response(last));
        }
        self.connections.kill(fd, reason);
    }

    /// The server goes, and with it a connection: where a session's request waits on it, that is answered first.
    pub(crate) fn end_parked(&mut self, by: Fd, reason: &CloseReason) -> bool {
        let Some(waiting) = self.waiting(by) else { return false };
        let Awaited::Messages(session) = waiting.awaited else { return false };
        waiting.is_last = true;
        self.end_poll(session, reason.clone());
        true
    }
}

impl Held {
    /// Forgets of a request that waits for messages all that its answer does not depend on: a browser's head is
    /// several hundred bytes, and most of them wait most of the time.
    pub(crate) fn condense(&mut self) {
        let Some(waiting) = self.progress.waiting.as_mut() else { return };
        let Awaited::Messages(_) = waiting.awaited else { return };
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let parsed = Head::parse(&self.bytes[..waiting.head_len], &mut headers);
        let head = parsed.ok().flatten().expect("parsed before").0;
        let origin = head.value("origin");
        let lines: [&[u8]; 5] = [
            if head.is_1_1 { b"GET / HTTP/1.1\r\nHost:\r\n" } else { b"GET / HTTP/1.0\r\n" },
            match (head.is_1_1, head.keeps_alive()) {
                (true, false) => b"Connection: close\r\n",
                (false, true) => b"Connection: keep-alive\r\n",
                _ => b"",
            },
            if origin.is_some() { b"Origin: " } else { b"" },
            origin.unwrap_or_default().as_bytes(),
            if origin.is_some() { b"\r\n\r\n" } else { b"\r\n" },
        ];
        let behind = &self.bytes[waiting.len..];
        let len: usize = lines.iter().map(|part| part.len()).sum();
        let mut bytes = Vec::with_capacity(len + behind.len());
        lines.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes.extend_from_slice(behind);
        self.bytes = bytes;
        (waiting.head_len, waiting.body_len, waiting.len) = (len, 0, len);
    }
}

fn answer(answer: &poll::Answer<'_>) -> Response {
    Response::json("").header("Cache-Control", "no-store").body(answer.encode())
}
