//! HTTP connections: requests collected until they are whole, answered in order, or turned into WebSockets.

use crate::codec::http::body::Body;
use crate::codec::http::head::{self, HEADERS_MAX, Head};
use crate::codec::http::response::Exchange;
use crate::codec::http::{BadRequest, Refusal, Response};
use crate::codec::ws::{close, handshake};
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::net::output::Quota;
use crate::server::api::handler::Handler;
use crate::server::api::request::{Reply, Request};
use crate::server::api::routes::{Params, Route};
use crate::server::dispatch::Dispatch;
use crate::server::session::{Awaited, Held, Http, Progress, Session, Waiting};
use crate::server::{Answering, Server};
use std::borrow::Cow;
use std::time::Duration;

/// While more than this waits to be read by a client, its next request waits too: a client that only asks
/// would fill the outbox otherwise.
const UNREAD_ANSWERS_MAX: usize = 64 << 10;

/// What became of the bytes at the start of the input.
enum Step {
    /// No whole request yet.
    More,
    /// A request of so many bytes was answered.
    Done(usize),
    /// The request's answer will be given within so much time.
    Later(Duration),
}

impl Dispatch {
    pub(crate) fn http_bytes(&mut self, fd: Fd, bytes: &mut [u8]) {
        match self.take_held(fd) {
            None => {
                if let Some((start, progress)) = self.serve(fd, bytes, Progress::default(), true) {
                    let mut held = Box::<Held>::default();
                    held.progress = progress;
                    if held.keep(&bytes[start..], self.server.connections.inbound_room()) {
                        held.condense();
                        self.hold(fd, held);
                    } else {
                        self.refuse(fd, Refusal::NoRoom);
                    }
                }
            }
            Some(mut held) => {
                if held.keep(bytes, self.server.connections.inbound_room()) {
                    self.serve_held(fd, held);
                } else {
                    self.refuse(fd, Refusal::NoRoom);
                }
            }
        }
    }

    /// What is held of requests, which is counted no more.
    pub(crate) fn take_held(&mut self, fd: Fd) -> Option<Box<Held>> {
        let held = self.http_mut(fd)?.held.take()?;
        self.server.connections.inbound_bytes -= held.held_bytes();
        Some(held)
    }

    fn serve_held(&mut self, fd: Fd, mut held: Box<Held>) {
        if held.progress.waiting.is_some() {
            return self.wait_on(fd, held);
        }
        let progress = std::mem::take(&mut held.progress);
        self.serve_from(fd, held, progress, false);
    }

    pub(crate) fn serve_from(&mut self, fd: Fd, mut held: Box<Held>, progress: Progress, is_new: bool) {
        if let Some((start, progress)) = self.serve(fd, &mut held.bytes, progress, is_new) {
            held.forget(start);
            held.progress = progress;
            held.condense();
            self.hold(fd, held);
        }
    }

    pub(crate) fn http_mut(&mut self, fd: Fd) -> Option<&mut Http> {
        match self.server.connections.session_mut(fd)? {
            Session::Http(http) => Some(http),
            _ => None,
        }
    }

    /// Answers the whole requests in `bytes`; gives what is to be kept: where it starts, and what is known of
    /// it. `is_new`: the first request only begins now.
    fn serve(
        &mut self,
        fd: Fd,
        bytes: &mut [u8],
        mut progress: Progress,
        mut is_new: bool,
    ) -> Option<(usize, Progress)> {
        let mut start = 0;
        loop {
            match self.server.connections.session_mut(fd)? {
                Session::Http(_) => {}
                Session::Dialing(_) => return None,
                Session::WebSocket(_) => {
                    self.websocket_bytes(fd, &mut bytes[start..]);
                    return None;
                }
                _ => return None,
            }
            if is_new {
                // RFC 9112 §2.2: empty lines in front of a request are ignored.
                start += bytes[start..].iter().take_while(|byte| b"\r\n".contains(byte)).count();
            }
            if start == bytes.len() {
                return None;
            }
            let connection = self.server.connections.get(fd)?;
            if connection.flags.has(Flags::SUSPENDED) {
                return Some((start, progress));
            }
            if connection.queued_bytes() > UNREAD_ANSWERS_MAX {
                self.server.connections.pause_until_drained(fd);
                return Some((start, progress));
            }
            match self.step(fd, &mut bytes[start..], &mut progress) {
                Ok(Step::More) => {
                    if is_new {
                        self.begin_request_timeout(fd);
                    }
                    return Some((start, progress));
                }
                Ok(Step::Later(timeout)) => {
                    self.server.connections.deadline(fd, timeout);
                    return Some((start, progress));
                }
                Ok(Step::Done(used)) => {
                    start += used;
                    (progress, is_new) = (Progress::default(), true);
                }
                Err(refusal) => {
                    self.refuse_request(fd, &bytes[start..], refusal);
                    return None;
                }
            }
        }
    }

    fn begin_request_timeout(&mut self, fd: Fd) {
        let timeout = self.server.config.request_timeout;
        self.server.connections.deadline(fd, timeout);
    }

    pub(crate) fn hold(&mut self, fd: Fd, held: Box<Held>) {
        let held_bytes = held.held_bytes();
        if let Some(http) = self.http_mut(fd) {
            http.held = Some(held);
            self.server.connections.inbound_bytes += held_bytes;
        }
    }

    fn step(&mut self, fd: Fd, bytes: &mut [u8], progress: &mut Progress) -> Result<Step, Refusal> {
        if progress.body.is_none() && !self.judge_head(fd, bytes, progress)? {
            return Ok(Step::More);
        }
        let config = &self.server.config;
        let (head_len, body) = progress.body.as_mut().expect("the head is whole");
        let Some(body_len) = body.end(&bytes[*head_len..], config.body_bytes_max)? else {
            return Ok(Step::More);
        };
        let (head_bytes, rest) = bytes.split_at_mut(*head_len);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let (head, _) = Head::parse(head_bytes, &mut headers)?.expect("judged before");
        let body = body.plain(&mut rest[..body_len]);
        if self.server.connections.is_via_proxy(fd) {
            self.note_client(fd, &head);
        }
        if let Some(script) = self.script.as_ref().and_then(|script| script.answer(&head)) {
            self.server.stats.requests += 1;
            self.respond(fd, script, head.method == "HEAD", head.keeps_alive());
            return Ok(Step::Done(*head_len + body_len));
        }
        let router = self.routes.router();
        let matched = router.as_ref().map(|router| router.at(head.path()).ok());
        let (route, params) = match &matched {
            None => (Route::ROOT, Params(None)),
            Some(Some(matched)) => (*matched.value, Params(Some(&matched.params))),
            Some(None) => {
                self.not_found(fd, &head)?;
                return Ok(Step::Done(*head_len + body_len));
            }
        };
        let request = Request { fd, head, body, params };
        if self.is_post(&request.head) {
            self.take_post(&request)?;
            return Ok(Step::Done(*head_len + body_len));
        }
        let len = *head_len + body_len;
        let Some(awaited) = self.hand_over(route, &request)? else { return Ok(Step::Done(len)) };
        let (head_len, body_len) = (*head_len, body.len());
        progress.waiting =
            Some(Waiting { route, head_len, body_len, len, awaited, is_answered: false, is_last: false });
        let config = &self.server.config;
        Ok(Step::Later(match awaited {
            Awaited::Messages(_) => config.poll_hold,
            _ => config.request_timeout,
        }))
    }

    /// Gives a request to whom it is for; what it waits for, where it is not answered at once.
    fn hand_over(&mut self, route: Route, request: &Request<'_>) -> Result<Option<Awaited>, Refusal> {
        if self.is_poll(&request.head)
            && let Some(token) = request.query_param("session")
        {
            return Ok(self.take_poll(&token, request)?.map(Awaited::Messages));
        }
        Ok(if self.is_handshake(&request.head) {
            (!self.upgrade(route, request)?).then_some(Awaited::Handshake)
        } else {
            (!self.answer(route, request)?).then_some(Awaited::Response)
        })
    }

    /// Finds the head's end; with it, everything that refuses the request before its body is read. What can't
    /// become a head is refused before its end comes, but a slow one is not parsed anew with each byte.
    fn judge_head(&mut self, fd: Fd, bytes: &[u8], progress: &mut Progress) -> Result<bool, Refusal> {
        let config = &self.server.config;
        let is_whole = head::has_end(&bytes[progress.searched.saturating_sub(3)..]);
        progress.searched = bytes.len();
        if !is_whole {
            if bytes.len() > config.head_bytes_max {
                return Err(Refusal::HeadTooBig);
            }
            if progress.judged > 0 && bytes.len() < 2 * progress.judged {
                return Ok(false);
            }
        }
        progress.judged = bytes.len();
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let Some((head, len)) = Head::parse(bytes, &mut headers)? else {
            return if is_whole { Err(BadRequest::Head.into()) } else { Ok(false) };
        };
        if len > config.head_bytes_max {
            return Err(Refusal::HeadTooBig);
        }
        let body = if handshake::is_attempt(&head) {
            // Refused for its body, if it has one, along with the rest of the handshake's rules.
            Body::Length(0)
        } else {
            let body = Body::new(head.framing()?, config.body_bytes_max)?;
            let is_waiting = head.is_1_1 && head.lists("expect", "100-continue") && bytes.len() == len;
            if is_waiting && !matches!(body, Body::Length(0)) {
                let go_on: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
                self.server.connections.write(fd, [go_on, &[]], Quota::Exempt).ok();
            }
            body
        };
        progress.body = Some((len, body));
        Ok(true)
    }

    fn not_found(&mut self, fd: Fd, head: &Head<'_>) -> Result<(), Refusal> {
        if handshake::is_attempt(head) {
            return Err(Refusal::NotFound);
        }
        self.server.stats.refusals.not_found += 1;
        let response = Response::text(404, format!("{}\n", Refusal::NotFound));
        self.respond(fd, response, head.method == "HEAD", head.keeps_alive());
        Ok(())
    }

    /// Whether the request was answered, not left to be.
    fn answer(&mut self, route: Route, request: &Request<'_>) -> Result<bool, Refusal> {
        let fd = request.fd;
        self.server.stats.requests += 1;
        let (reply, is_last) =
            self.ask(route, fd, "on_request", |handler, server| handler.on_request(server, request));
        match reply {
            Some(Reply::Now(response)) => self.conclude(request, response, is_last),
            Some(Reply::Later) if is_last => return Err(Refusal::NotNow),
            Some(Reply::Later) => return Ok(false),
            // It panicked.
            None => self.conclude(request, Response::text(500, "Internal server error\n"), true),
        }
        Ok(true)
    }

    pub(crate) fn conclude(&mut self, request: &Request<'_>, response: Response, is_last: bool) {
        let keep_alive = request.head.keeps_alive() && !is_last && response.status() != 426;
        self.respond(request.fd, response, request.method() == "HEAD", keep_alive);
    }

    /// Calls a callback that answers `fd`. With the answer comes whether the callback ended the connection.
    pub(crate) fn ask<R>(
        &mut self,
        route: Route,
        fd: Fd,
        callback: &'static str,
        call: impl FnOnce(&mut dyn Handler, &mut Server) -> R,
    ) -> (Option<R>, bool) {
        self.server.answering = Some(Answering { fd, is_last: false });
        let answer = self.call(callback, route, Some(fd), call);
        let is_last = self.server.answering.take().is_some_and(|answering| answering.is_last);
        (answer, is_last)
    }

    pub(crate) fn respond(&mut self, fd: Fd, response: Response, is_head: bool, keep_alive: bool) {
        self.respond_within(fd, response, is_head, keep_alive, Quota::Limited);
    }

    pub(crate) fn respond_within(
        &mut self,
        fd: Fd,
        response: Response,
        is_head: bool,
        keep_alive: bool,
        quota: Quota,
    ) {
        let status = response.status();
        let now = self.server.connections.now();
        let (head, body) =
            response.encode(&Exchange { is_head, keep_alive, date: self.server.date.text(now) });
        let written = match body {
            Cow::Borrowed(body) => self.server.connections.write(fd, [&head, body], quota),
            Cow::Owned(body) => self.server.connections.write_owned(fd, &head, body, quota),
        };
        if let Err(refused) = written {
            log::warn!("{fd}: a response with status {status} was not sent: {refused:?}");
            return self
                .server
                .end(fd, CloseReason::new(Side::Local, close::ABNORMAL, "", Cause::SlowConsumer));
        }
        self.server.stats.responses += 1;
        if !keep_alive {
            self.server.end(fd, CloseReason::new(Side::Local, close::ABNORMAL, "", Cause::Requested));
        }
        // The time to read the answer, and from then on to ask again.
        let timeout = self.server.config.keep_alive_timeout;
        self.server.connections.deadline(fd, timeout);
    }

    /// The client has read its answers: the requests that waited go on.
    pub(crate) fn http_drained(&mut self, fd: Fd) {
        self.server.connections.resume(fd);
        let Some(held) = self.take_held(fd) else { return };
        self.begin_request_timeout(fd);
        self.serve_held(fd, held);
    }

    /// It is read again, because the user wants it.
    pub(crate) fn http_resumed(&mut self, fd: Fd) {
        if self.http_mut(fd).is_none_or(|http| http.waiting().is_some()) {
            return;
        }
        self.begin_request_timeout(fd);
        if let Some(held) = self.take_held(fd) {
            self.serve_held(fd, held);
        }
    }

    pub(crate) fn http_expired(&mut self, fd: Fd) {
        if self.wait_expired(fd) {
            return;
        }
        let is_paused = self.server.connections.is_paused(fd);
        let timeout = CloseReason::new(Side::Local, close::ABNORMAL, "", Cause::Timeout);
        if self.server.connections.take_progress(fd) {
            let timeout = self.server.config.keep_alive_timeout;
            self.server.connections.deadline(fd, timeout);
        } else if is_paused {
            log::debug!("{fd}: does not read its answers");
            self.server.connections.kill(fd, timeout);
        } else if let Some(held) = self.take_held(fd) {
            self.refuse_request(fd, &held.bytes, Refusal::RequestTimeout);
        } else {
            self.server.end(fd, timeout);
        }
    }
}
