//! HTTP connections: collecting requests until they are complete, and answering them.

use crate::codec::http::body::Body;
use crate::codec::http::head::{self, HEADERS_MAX, Head};
use crate::codec::http::response::Exchange;
use crate::codec::http::{BadRequest, Refusal, Response};
use crate::codec::ws::handshake;
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use crate::net::carrying::UNREAD_MAX;
use crate::net::connection::Flags;
use crate::net::pace::Pace;
use crate::net::quota::{Quota, Refused};
use crate::session::Sessions;
use crate::session::cors;
use crate::session::request::Request;
use crate::session::route::Route;
use crate::session::state::{Held, Http, Progress, Session};

/// How the bytes of a connection are read.
pub(crate) enum Speaks {
    Http,
    WebSocket,
    /// They are ignored.
    Nothing,
}

/// A complete request at the start of the bytes: the lengths of its head and body, as received.
pub(crate) struct RequestEnd {
    pub(crate) head_len: usize,
    pub(crate) body_len: usize,
}

impl RequestEnd {
    pub(crate) fn len(&self) -> usize {
        self.head_len + self.body_len
    }
}

/// How a response is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseMode {
    /// To a HEAD request: the head alone.
    pub(crate) is_head: bool,
    /// If not, the connection ends after it.
    pub(crate) keep_alive: bool,
}

impl ResponseMode {
    /// The whole response, and then the end of the connection.
    pub(crate) const LAST: ResponseMode = ResponseMode { is_head: false, keep_alive: false };

    /// As the request with this head asks for.
    pub(crate) fn to(head: &Head<'_>) -> ResponseMode {
        ResponseMode { is_head: head.method == "HEAD", keep_alive: head.keeps_alive() }
    }
}

impl Sessions {
    /// Takes the held bytes of requests. They no longer count as held.
    pub(crate) fn take_held(&mut self, fd: Fd) -> Option<Box<Held>> {
        let held = self.http_mut(fd)?.held.take()?;
        self.connections.inbound_changed(fd, held.held_bytes(), 0);
        Some(held)
    }

    /// Adds `more` to what is held, or refuses the request if there is no room for it.
    pub(crate) fn keep_or_refuse(&mut self, fd: Fd, mut held: Box<Held>, more: &[u8]) -> Option<Box<Held>> {
        if held.keep(more, self.connections.inbound_room(fd)) {
            return Some(held);
        }
        // A body may be on its way, and no refusal may be written into it.
        self.hold(fd, held);
        self.refuse(fd, Refusal::NoRoom);
        None
    }

    pub(crate) fn http_mut(&mut self, fd: Fd) -> Option<&mut Http> {
        match self.connections.session_mut(fd)? {
            Session::Http(http) => Some(http),
            _ => None,
        }
    }

    /// Starts a new HTTP connection of this listener.
    pub(crate) fn accept_http(&mut self, fd: Fd, listener: Route) {
        if listener != Route::ROOT
            && let Some(note) = self.connections.note_or_default(fd)
        {
            note.listener = Some(listener);
        }
        self.begin_request_timeout(fd);
        if self.policy(listener).delay_receive {
            self.pause(fd);
        }
    }

    /// The connection no longer speaks HTTP.
    pub(crate) fn forget_listener(&mut self, fd: Fd) {
        let note = self.connections.note_mut(fd);
        if note.and_then(|note| note.listener.take()).is_some() {
            self.connections.tidy_note(fd);
        }
    }

    /// How to read the next bytes of a connection that was speaking HTTP before.
    pub(crate) fn speaks(&mut self, fd: Fd) -> Speaks {
        match self.connections.session_mut(fd) {
            Some(Session::Http(_)) => Speaks::Http,
            Some(Session::WebSocket(_)) => Speaks::WebSocket,
            _ => Speaks::Nothing,
        }
    }

    /// Whether the next request may be served now. If the client does not read its answers, this is checked again when
    /// they are written.
    pub(crate) fn may_serve(&mut self, fd: Fd) -> bool {
        let Some(connection) = self.connections.get(fd) else { return false };
        if connection.flags.has(Flags::PAUSED_BY_USER) {
            return false;
        }
        let is_unread = connection.queued_bytes() > UNREAD_MAX.min(self.config.outbox_bytes_max);
        if is_unread {
            self.connections.pause_until_drained(fd);
        }
        !is_unread
    }

    pub(crate) fn begin_request_timeout(&mut self, fd: Fd) {
        let timeout = self.config.request_timeout;
        self.connections.expire_in(fd, timeout);
    }

    pub(crate) fn hold(&mut self, fd: Fd, held: Box<Held>) {
        let held_bytes = held.held_bytes();
        if let Some(http) = self.http_mut(fd) {
            http.held = Some(held);
            self.connections.inbound_changed(fd, 0, held_bytes);
        }
    }

    /// Finds where the request at the start of `bytes` ends; `None` if it is incomplete.
    pub(crate) fn request_end(
        &mut self,
        fd: Fd,
        bytes: &[u8],
        progress: &mut Progress,
    ) -> Result<Option<RequestEnd>, Refusal> {
        if progress.body.is_none() && !self.judge_head(fd, bytes, progress)? {
            return Ok(None);
        }
        let (head_len, body) = progress.body.as_mut().expect("the head is whole");
        let body_len = body.end(&bytes[*head_len..], self.policy(progress.policy_route).body_bytes_max)?;
        Ok(body_len.map(|body_len| RequestEnd { head_len: *head_len, body_len }))
    }

    /// Finds the end of the head, and checks everything that can refuse the request before its body is read. Bytes
    /// that can't become a head are refused early, but a slow head is not parsed again for each byte that arrives.
    fn judge_head(&mut self, fd: Fd, bytes: &[u8], progress: &mut Progress) -> Result<bool, Refusal> {
        let config = &self.config;
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
        self.check_host(fd, &head)?;
        progress.policy_route = self.policy_route(fd, head.path());
        let body = if handshake::is_attempt(&head) {
            // A body is refused later, along with other breaches of the handshake's rules.
            Body::Length(0)
        } else {
            let body = Body::new(head.framing()?, self.policy(progress.policy_route).body_bytes_max)?;
            let is_waiting = head.is_1_1 && head.lists("expect", "100-continue") && bytes.len() == len;
            if is_waiting && !matches!(body, Body::Length(0)) {
                let go_on: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
                self.connections.write(fd, [go_on, &[]], Quota::Exempt).ok();
            }
            body
        };
        progress.body = Some((len, body));
        Ok(true)
    }

    /// Counts a complete request as a message, before anything is done for it. A trusted proxy sends the requests of
    /// many clients over one connection: these do not count.
    pub(crate) fn admit_request(&mut self, fd: Fd, policy: Route) -> Result<(), Refusal> {
        let Some(connection) = self.connections.open_mut(fd) else { return Ok(()) };
        let rates = &self.paths.policy(policy).rates;
        if connection.flags.has(Flags::VIA_PROXY) || connection.meter.take_messages(1, rates) {
            return Ok(());
        }
        self.counters.refusals.message_rate += 1;
        Err(Refusal::RequestRate)
    }

    /// There is no memory to keep an answer of `len` bytes until the client has read it.
    fn respond_without_room(&mut self, fd: Fd, len: usize) {
        let (share, room) = self.connections.outboxes_share_and_room(fd);
        log::error!(
            "{fd}: a response of {len} bytes was not sent: outboxes_bytes_max leaves room for {room} of the {share} \
             bytes that its address may have"
        );
        let refusal = if len > share { Refusal::Internal } else { Refusal::NotNow };
        let response = Response::text(refusal.status(), format!("{refusal}\n"));
        let response = if len > share { response } else { response.header("Retry-After", "5") };
        let mode = ResponseMode { is_head: false, keep_alive: false };
        self.write_response_within(fd, response, mode, Quota::Exempt);
    }

    /// Writes a response now. [`Sessions::respond`] answers a request that waits.
    pub(crate) fn write_response(&mut self, fd: Fd, response: Response, mode: ResponseMode) {
        self.write_response_within(fd, response, mode, Quota::Answer);
    }

    fn write_response_within(&mut self, fd: Fd, response: Response, mode: ResponseMode, quota: Quota) {
        let ResponseMode { is_head, keep_alive } = mode;
        let status = response.status();
        let now = self.connections.now();
        let (head, body) = response.encode(&Exchange { is_head, keep_alive, date: self.date.text(now) });
        let len = head.len() + body.len();
        match self.connections.write_owned(fd, &head, body.into(), quota) {
            Ok(()) => {}
            Err(Refused::Full(_)) if quota == Quota::Answer => return self.respond_without_room(fd, len),
            Err(refused) => {
                // That a client is gone is no news: there may be many of them.
                let level =
                    if matches!(refused, Refused::Full(_)) { log::Level::Warn } else { log::Level::Debug };
                log::log!(level, "{fd}: a response with status {status} was not sent: {refused:?}");
                return self.finish(fd, CloseReason::without_frame(Side::Local, Cause::SlowConsumer));
            }
        }
        self.counters.responses += 1;
        if !keep_alive {
            self.finish(fd, CloseReason::without_frame(Side::Local, Cause::Requested));
        }
        // The time to read the answer and then to send the next request. A connection that ends gets it too, in place
        // of the shorter time that `finish` gives: a client may pause before it reads its answer.
        let timeout = self.config.keep_alive_timeout;
        self.connections.expire_in(fd, timeout);
    }

    pub(crate) fn not_found(&mut self, fd: Fd, head: &Head<'_>) -> Result<(), Refusal> {
        if handshake::is_attempt(head) {
            return Err(Refusal::NotFound);
        }
        self.counters.refusals.not_found += 1;
        let response = Response::text(404, format!("{}\n", Refusal::NotFound));
        self.write_response(fd, response, ResponseMode::to(head));
        Ok(())
    }

    /// Answers a post or a long-polling request. The quota is exceeded a little on purpose: an answer is longer than
    /// its messages, which may be as much as an outbox takes. Without room the connection ends, for another answer
    /// would say that nothing was done.
    pub(crate) fn answer_page(&mut self, request: &Request<'_>, response: Response, is_last: bool) {
        let keep_alive = request.head.keeps_alive() && !is_last;
        let response = cors::permit(&request.head, response);
        let mode = ResponseMode { is_head: false, keep_alive };
        self.write_response_within(request.fd, response, mode, Quota::Control);
    }

    pub(crate) fn conclude(&mut self, request: &Request<'_>, response: Response, is_last: bool) {
        let keep_alive = request.head.keeps_alive() && !is_last && response.status() != 426;
        let mode = ResponseMode { keep_alive, ..ResponseMode::to(&request.head) };
        self.write_response(request.fd, response, mode);
    }

    pub(crate) fn http_expired(&mut self, fd: Fd) {
        if self.wait_expired(fd) {
            return;
        }
        let timeout = CloseReason::without_frame(Side::Local, Cause::Timeout);
        let keep_alive = self.config.keep_alive_timeout;
        match self.connections.pace(fd, keep_alive) {
            Pace::Steady(next) => return self.connections.expire_in(fd, next),
            Pace::Arrived => return self.connections.expire_in(fd, keep_alive),
            Pace::TooSlow => {
                log::debug!("{fd}: does not read its answers");
                return self.connections.kill(fd, timeout);
            }
            Pace::Unwatched => {}
        }
        if self.body_comes_on(fd) {
            self.begin_request_timeout(fd);
        } else if let Some(held) = self.take_held(fd) {
            self.refuse_request(fd, &held.bytes, Refusal::RequestTimeout);
        } else {
            self.finish(fd, timeout);
        }
    }
}
