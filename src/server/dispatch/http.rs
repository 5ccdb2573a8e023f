//! From HTTP requests to their handlers: served in order, handed over, answered.

use crate::codec::http::head::{HEADERS_MAX, Head};
use crate::codec::http::{Refusal, Response};
use crate::fd::Fd;
use crate::net::App as _;
use crate::server::Server;
use crate::server::api::handler::Handler;
use crate::server::dispatch::Dispatch;
use crate::session::Answering;
use crate::session::follow_up::LateAnswer;
use crate::session::http::{ResponseMode, Speaks};
use crate::session::posting::UNKNOWN;
use crate::session::request::{Reply, Request};
use crate::session::route::{Params, Route};
use crate::session::state::{Awaited, Held, Progress, Waiting};
use std::time::Duration;

/// What was done with the bytes at the start of the input.
enum HttpStep {
    /// There is no complete request yet.
    More,
    /// A request of this many bytes was answered.
    Done(usize),
    /// The answer to the request will be given within this time.
    Later(Duration),
    /// The answer to a request of this many bytes has begun.
    Begun(usize),
}

impl Dispatch {
    pub(crate) fn http_bytes(&mut self, fd: Fd, bytes: &mut [u8]) {
        match self.server.sessions.take_held(fd) {
            None => {
                if let Some((start, progress)) = self.serve(fd, bytes, Progress::default(), true) {
                    let mut held = Box::<Held>::default();
                    held.progress = progress;
                    if let Some(mut held) = self.server.sessions.keep_or_refuse(fd, held, &bytes[start..]) {
                        held.condense();
                        self.server.sessions.hold(fd, held);
                    }
                }
            }
            Some(held) => {
                if let Some(held) = self.server.sessions.keep_or_refuse(fd, held, bytes) {
                    self.serve_held(fd, held);
                }
            }
        }
    }

    fn serve_held(&mut self, fd: Fd, mut held: Box<Held>) {
        if held.progress.waiting.is_some() {
            return self.server.sessions.wait_on(fd, held);
        }
        let progress = std::mem::take(&mut held.progress);
        self.serve_from(fd, held, progress, false);
    }

    pub(crate) fn serve_from(&mut self, fd: Fd, mut held: Box<Held>, progress: Progress, is_new: bool) {
        if let Some((start, progress)) = self.serve(fd, &mut held.bytes, progress, is_new) {
            held.consume(start);
            held.progress = progress;
            held.condense();
            self.server.sessions.hold(fd, held);
        }
    }

    /// Answers the complete requests in `bytes`. Returns what is to be kept: where it starts, and what is known of it.
    /// `is_new`: the first request only begins now.
    fn serve(
        &mut self,
        fd: Fd,
        bytes: &mut [u8],
        mut progress: Progress,
        mut is_new: bool,
    ) -> Option<(usize, Progress)> {
        let mut start = 0;
        loop {
            match self.server.sessions.speaks(fd) {
                Speaks::Http => {}
                Speaks::WebSocket => {
                    self.websocket_bytes(fd, &mut bytes[start..]);
                    return None;
                }
                Speaks::Nothing => return None,
            }
            if is_new {
                // RFC 9112 §2.2: empty lines before a request are ignored.
                start += bytes[start..].iter().take_while(|byte| b"\r\n".contains(byte)).count();
            }
            if start == bytes.len() {
                return None;
            }
            if !self.server.sessions.may_serve(fd) {
                return Some((start, progress));
            }
            match self.step(fd, &mut bytes[start..], &mut progress) {
                Ok(HttpStep::More) => {
                    if is_new {
                        self.server.sessions.begin_request_timeout(fd);
                    }
                    return Some((start, progress));
                }
                Ok(HttpStep::Later(timeout)) => {
                    self.server.sessions.connections.expire_in(fd, timeout);
                    return Some((start, progress));
                }
                Ok(HttpStep::Begun(used)) => return Some((start + used, progress)),
                Ok(HttpStep::Done(used)) => {
                    start += used;
                    (progress, is_new) = (Progress::default(), true);
                    let rest = &bytes[start..];
                    if !rest.is_empty() && self.server.sessions.connections.puts_back(fd, rest) {
                        return None;
                    }
                }
                Err(refusal) => {
                    self.server.sessions.refuse_request(fd, &bytes[start..], refusal);
                    return None;
                }
            }
        }
    }

    fn step(&mut self, fd: Fd, bytes: &mut [u8], progress: &mut Progress) -> Result<HttpStep, Refusal> {
        let sessions = &mut self.server.sessions;
        let Some(end) = sessions.request_end(fd, bytes, progress)? else { return Ok(HttpStep::More) };
        sessions.admit_request(fd, progress.policy_route)?;
        let (head_bytes, rest) = bytes.split_at_mut(end.head_len);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let (head, _) = Head::parse(head_bytes, &mut headers)?.expect("judged before");
        let (_, body) = progress.body.as_mut().expect("its end was found");
        let body = body.plain(&mut rest[..end.body_len]);
        if sessions.connections.is_via_proxy(fd) {
            sessions.note_forwarded(fd, &head);
        }
        if let Some(script) = self.script.as_ref().and_then(|script| script.answer(&head)) {
            sessions.counters.requests += 1;
            sessions.write_response(fd, script, ResponseMode::to(&head));
            return Ok(HttpStep::Done(end.len()));
        }
        let listener = sessions.listener_route(fd);
        let router = sessions.paths.router();
        let matched = router.as_ref().map(|router| router.at(head.path()).ok());
        let (route, params) = match &matched {
            None => (listener, Params(None)),
            Some(Some(matched)) => {
                (sessions.paths.route(listener, *matched.value), Params(Some(&matched.params)))
            }
            Some(None) => {
                sessions.not_found(fd, &head)?;
                return Ok(HttpStep::Done(end.len()));
            }
        };
        let request = Request { fd, head, body, params, route };
        if sessions.is_post(route, &request.head) {
            self.take_post(&request)?;
            return Ok(HttpStep::Done(end.len()));
        }
        if sessions.is_preflight(route, &request.head) {
            self.take_preflight(&request)?;
            return Ok(HttpStep::Done(end.len()));
        }
        let Some(awaited) = self.hand_over(route, &request)? else { return Ok(HttpStep::Done(end.len())) };
        let waiting = Waiting {
            route,
            head_len: end.head_len,
            body_len: body.len(),
            len: end.len(),
            awaited,
            is_answered: false,
            is_last: false,
        };
        progress.waiting = Some(match awaited {
            Awaited::Body(body) => waiting.streaming(body),
            _ => waiting,
        });
        let config = &self.server.sessions.config;
        Ok(match awaited {
            Awaited::Body(_) => HttpStep::Begun(end.len()),
            Awaited::Poll(_) | Awaited::Output(_) => HttpStep::Later(config.poll_hold),
            Awaited::Handshake | Awaited::Response => HttpStep::Later(config.request_timeout),
        })
    }

    /// Hands a request over. Returns what it waits for, if it is not answered at once.
    fn hand_over(&mut self, route: Route, request: &Request<'_>) -> Result<Option<Awaited>, Refusal> {
        if self.server.sessions.is_poll(route, &request.head)
            && let Some(token) = request.query_param("session")
        {
            return Ok(self.take_poll(&token, request)?.map(Awaited::Poll));
        }
        Ok(if self.server.sessions.is_handshake(route, &request.head) {
            (!self.upgrade(route, request)?).then_some(Awaited::Handshake)
        } else {
            self.answer(route, request)?
        })
    }

    /// Asks the handler for the answer. Returns what the request waits for, if it is not answered at once.
    fn answer(&mut self, route: Route, request: &Request<'_>) -> Result<Option<Awaited>, Refusal> {
        let fd = request.fd;
        self.server.sessions.counters.requests += 1;
        let (reply, is_last) =
            self.ask(route, fd, "on_request", |handler, server| handler.on_request(server, request));
        let sessions = &mut self.server.sessions;
        match reply {
            Some(Reply::Now(response)) => sessions.conclude(request, response, is_last),
            Some(Reply::Later | Reply::Output(_)) if is_last => return Err(Refusal::NotNow),
            Some(Reply::Later) => return Ok(Some(Awaited::Response)),
            Some(Reply::Output(session)) if sessions.wait_for_output(session, fd) => {
                return Ok(Some(Awaited::Output(session)));
            }
            Some(Reply::Output(_)) => sessions.conclude(request, UNKNOWN.response(), is_last),
            Some(Reply::Stream(head)) => {
                let body = sessions.send_response_head(route, fd, &request.head, &head, is_last);
                return Ok(body.map(Awaited::Body));
            }
            // The callback panicked.
            None => sessions.conclude(request, Response::text(500, "Internal server error\n"), true),
        }
        Ok(None)
    }

    /// Calls a callback that answers `fd`. Returns its answer, and whether it ended the connection.
    pub(crate) fn ask<R>(
        &mut self,
        route: Route,
        fd: Fd,
        callback: &'static str,
        call: impl FnOnce(&mut dyn Handler, &mut Server) -> R,
    ) -> (Option<R>, bool) {
        self.server.sessions.answering = Some(Answering { fd, is_last: false });
        let answer = self.call(callback, route, Some(fd), call);
        let is_last = self.server.sessions.answering.take().is_some_and(|answering| answering.is_last);
        (answer, is_last)
    }

    /// The client has read its answers: serves the requests that waited.
    pub(crate) fn http_drained(&mut self, fd: Fd) {
        self.server.sessions.connections.resume_for_protocol(fd);
        let Some(held) = self.server.sessions.take_held(fd) else { return };
        self.server.sessions.begin_request_timeout(fd);
        self.serve_held(fd, held);
        self.end_if_peer_has(fd);
    }

    /// Requests that waited were served. A client that ended its side meanwhile sends no others.
    fn end_if_peer_has(&mut self, fd: Fd) {
        if self.server.sessions.connections.has_peer_ended(fd) {
            self.peer_ended(fd);
        }
    }

    /// The connection is read again, because the application resumed it.
    pub(crate) fn http_resumed(&mut self, fd: Fd) {
        if self.server.sessions.http_mut(fd).is_none_or(|http| http.waiting().is_some()) {
            return;
        }
        self.server.sessions.begin_request_timeout(fd);
        if let Some(held) = self.server.sessions.take_held(fd) {
            self.serve_held(fd, held);
        }
        self.end_if_peer_has(fd);
    }

    /// The answer was given: carries it out, and goes on with what the client sent after its request.
    pub(crate) fn answered(&mut self, fd: Fd, answer: LateAnswer) {
        // The connection may have ended meanwhile.
        let Some(waiting) = self.server.sessions.waiting(fd).copied() else { return };
        let Some(mut held) = self.server.sessions.take_held(fd) else { return };
        self.server.sessions.connections.resume_for_protocol(fd);
        if let Err(refusal) = self.carry_out(fd, &held.bytes, &waiting, answer) {
            return self.server.sessions.refuse_request(fd, &held.bytes, refusal);
        }
        held.consume(waiting.len);
        self.serve_from(fd, held, Progress::default(), true);
        self.end_if_peer_has(fd);
    }

    /// The body of a response has ended: serves the requests after it.
    pub(crate) fn body_ended(&mut self, fd: Fd) {
        // The connection may have ended meanwhile.
        let Some(waiting) = self.server.sessions.waiting(fd).copied() else { return };
        let Awaited::Body(body) = waiting.awaited else { return };
        let Some(held) = self.server.sessions.take_held(fd) else { return };
        self.server.sessions.connections.resume_for_protocol(fd);
        self.server.sessions.conclude_body(fd, body.keep_alive && !waiting.is_last);
        self.serve_from(fd, held, Progress::default(), true);
        self.end_if_peer_has(fd);
    }

    fn carry_out(
        &mut self,
        fd: Fd,
        bytes: &[u8],
        waiting: &Waiting,
        answer: LateAnswer,
    ) -> Result<(), Refusal> {
        let (head, rest) = bytes.split_at(waiting.head_len);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let (head, _) = Head::parse(head, &mut headers)?.expect("parsed before");
        let router = self.server.sessions.paths.router();
        let matched = router.as_ref().and_then(|router| router.at(head.path()).ok());
        let params = Params(matched.as_ref().map(|matched| &matched.params));
        let request = Request { fd, head, body: &rest[..waiting.body_len], params, route: waiting.route };
        match answer {
            LateAnswer::Handshake(handshake) => {
                let offer = self.server.sessions.judge_handshake(&request)?;
                self.conclude_handshake(waiting.route, &request, &offer, handshake, waiting.is_last)
            }
            LateAnswer::Response(response) => {
                match waiting.awaited {
                    Awaited::Poll(_) => self.server.sessions.answer_page(&request, response, waiting.is_last),
                    _ => self.server.sessions.conclude(&request, response, waiting.is_last),
                }
                Ok(())
            }
        }
    }
}
