//! Messages and commands from clients that can only be pushed to: each is a `POST` that names its session by a token.
//! A post with a number is taken once, however often it is sent.

use crate::codec::http::{Head, Response};
use crate::codec::number;
use crate::codec::page_command::{self, CommandError, PageCommand};
use crate::codec::ws::{Opcode, utf8};
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::session::Sessions;
use crate::session::info::Transport;
use crate::session::request::Request;
use crate::session::route::Route;
use crate::session::state::Session;
use std::borrow::Cow;
use std::num::NonZeroU32;

/// How long a browser need not ask again whether it may post: the longest time that Chromium accepts.
const PREFLIGHT_SECONDS: &str = "7200";

/// What pages may send beside what they may send anyway. Polyfills of `EventSource` send most of these. Never a header
/// that proxies pass something on in.
const ALLOWED_HEADERS: &str =
    "Authorization, Cache-Control, Content-Type, Last-Event-ID, Pragma, X-Requested-With";

pub(crate) const UNKNOWN: NotTaken = NotTaken(404, "unknown session");

/// A topic name of up to this length is answered, even if topics' names may not be as long.
const ANSWERED_BYTES_MAX: usize = 1024;

/// The result of a post.
pub(crate) enum Posted<'a> {
    /// Nobody has to be told.
    Done,
    /// The body is a message of this kind for the session with this route.
    Message(Route, Fd, Opcode),
    Command(Route, Fd, PageCommand<'a>),
    /// The client of a session of long polling goes.
    Left(Fd, CloseReason),
}

/// Why a message was not taken.
pub(crate) struct NotTaken(pub(crate) u16, pub(crate) &'static str);

impl NotTaken {
    pub(crate) fn response(self) -> Response {
        let NotTaken(status, error) = self;
        let response = Response::new(status)
            .header("Content-Type", "application/json")
            .header("Cache-Control", "no-store")
            .body(format!("{{\"error\":\"{error}\"}}").into_bytes());
        if matches!(status, 429 | 503) { response.header("Retry-After", "1") } else { response }
    }
}

impl Sessions {
    /// Whether a request posts a message or command for a session.
    pub(crate) fn is_post(&self, route: Route, head: &Head<'_>) -> bool {
        let policy = self.policy(route);
        (policy.event_streams || policy.long_polling)
            && head.method == "POST"
            && page_command::is_one(head.query().unwrap_or_default())
    }

    /// Whether a browser asks for a page of another origin if it may post for a session, open one or poll.
    pub(crate) fn is_preflight(&self, route: Route, head: &Head<'_>) -> bool {
        let policy = self.policy(route);
        let is_served = |what: Cow<'_, str>| match &*what {
            "stream" => policy.event_streams,
            "poll" => policy.long_polling,
            _ => policy.event_streams || policy.long_polling,
        };
        head.method == "OPTIONS" && page_command::asked(head.query().unwrap_or_default()).any(is_served)
    }

    /// Answers a preflight (WHATWG Fetch §4.8).
    pub(crate) fn preflight(head: &Head<'_>) -> Response {
        let is_post = page_command::is_one(head.query().unwrap_or_default());
        Response::new(204)
            .header("Access-Control-Allow-Methods", if is_post { "POST" } else { "GET" })
            .header("Access-Control-Allow-Headers", ALLOWED_HEADERS)
            .header("Access-Control-Max-Age", PREFLIGHT_SECONDS)
            .header("Cache-Control", "no-store")
    }

    /// Judges a post. Returns what the handler is to be told of.
    pub(crate) fn judge_post<'a>(&mut self, request: &Request<'a>) -> Result<Posted<'a>, NotTaken> {
        let token = request.query_param("session").ok_or(UNKNOWN)?;
        let fd = self.find_session(&token, request.fd, &request.head).ok_or(UNKNOWN)?;
        let channel = self.channel(fd).map_err(|_| UNKNOWN)?;
        let number = request.query_param("number").map(|text| number::canonical::<NonZeroU32>(&text));
        let number = number.map(|number| number.ok_or(NotTaken(400, "bad number"))).transpose()?;
        if number.is_some_and(|number| number.get() <= self.posted(fd)) {
            // It was taken before, and the answer was lost.
            return Ok(Posted::Done);
        }
        let query = request.query().unwrap_or_default().as_bytes();
        let command = self.parse_command(query).map_err(|error| NotTaken(error.status(), error.what()))?;
        let is_next = number.is_none_or(|number| number.get() - 1 == self.posted(fd));
        if !is_next {
            return Err(NotTaken(409, "a message before it is missing"));
        }
        match command {
            PageCommand::Send => {
                let opcode = self.judge_message(fd, request)?;
                let route = self.admit_post(fd, number)?;
                self.counters.messages_received += 1;
                Ok(Posted::Message(route, fd, opcode))
            }
            // Nothing is in the way of a client that goes.
            PageCommand::Close { code, reason } => {
                let reason = CloseReason::new(Side::Peer, code, &reason, Cause::Requested);
                if channel.transport == Transport::LongPolling {
                    return Ok(Posted::Left(fd, reason));
                }
                self.finish_stream(fd, reason);
                Ok(Posted::Done)
            }
            _ if !self.formats[channel.format].has_labels() => {
                Err(NotTaken(409, "not on a stream without labels"))
            }
            command => Ok(Posted::Command(self.admit_post(fd, number)?, fd, command)),
        }
    }

    /// Checks whether the body is a message that may be taken. Returns its kind.
    fn judge_message(&mut self, fd: Fd, request: &Request<'_>) -> Result<Opcode, NotTaken> {
        // The session's own limit: another path may have a larger one.
        let bytes_max = self.policy(self.limits_route(fd)).message_bytes_max;
        let refusals = &mut self.counters.refusals;
        if request.body.len() > bytes_max {
            refusals.message_too_big += 1;
            return Err(NotTaken(413, "message too big"));
        }
        let opcode = opcode(request).ok_or(NotTaken(415, "text/plain or application/octet-stream only"))?;
        if opcode == Opcode::Text && utf8::check(request.body).is_err() {
            refusals.invalid_utf8 += 1;
            return Err(NotTaken(400, "text that is not UTF-8"));
        }
        Ok(opcode)
    }

    /// Reads a command. Names that are out of all proportion are not worth an answer.
    pub(crate) fn parse_command<'a>(&self, query: &'a [u8]) -> Result<PageCommand<'a>, CommandError> {
        PageCommand::parse(query, self.config.topic_bytes_max.max(ANSWERED_BYTES_MAX))
    }

    /// Takes a post, within the session's rate. Returns the session's route. A post with this number is not taken
    /// again.
    fn admit_post(&mut self, fd: Fd, number: Option<NonZeroU32>) -> Result<Route, NotTaken> {
        let connection = self.connections.open_mut(fd).ok_or(UNKNOWN)?;
        let route = connection.session.route().ok_or(UNKNOWN)?;
        if connection.flags.has(Flags::PAUSED_BY_USER) {
            return Err(NotTaken(503, "paused"));
        }
        self.admit_for_session(fd, route)?;
        let connection = self.connections.open_mut(fd).ok_or(UNKNOWN)?;
        if let (Some(number), Some(posted)) = (number, connection.session.posted_mut()) {
            *posted = number.get();
        }
        Ok(route)
    }

    /// Counts a poll as a message of its session, whichever connection it came by.
    pub(crate) fn admit_poll(&mut self, fd: Fd) -> Result<(), NotTaken> {
        self.admit_for_session(fd, self.limits_route(fd))
    }

    fn admit_for_session(&mut self, fd: Fd, route: Route) -> Result<(), NotTaken> {
        let heard = self.connections.tick_now();
        let connection = self.connections.open_mut(fd).ok_or(UNKNOWN)?;
        connection.hear(heard);
        if connection.meter.take_messages(1, &self.paths.policy(route).rates) {
            return Ok(());
        }
        self.counters.refusals.message_rate += 1;
        Err(NotTaken(429, "too many messages a second"))
    }

    /// The session with this token, for a page that may use it and asks by the connection `by`. The session's own path
    /// decides which origins may: a page that another path lets in can't use it.
    pub(crate) fn find_session(&mut self, token: &str, by: Fd, head: &Head<'_>) -> Option<Fd> {
        let fd = self.tokens.find(token)?;
        self.check_origin(by, head, self.limits_route(fd)).is_ok().then_some(fd)
    }

    /// The number of the last message that was posted for a session.
    fn posted(&mut self, fd: Fd) -> u32 {
        self.connections.session_mut(fd).and_then(Session::posted_mut).map_or(0, |posted| *posted)
    }
}

/// The kind of message in the body; `None` if its content type is not supported.
fn opcode(request: &Request<'_>) -> Option<Opcode> {
    let Some(kind) = request.header("content-type") else { return Some(Opcode::Text) };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("text/plain") {
        Some(Opcode::Text)
    } else if kind.eq_ignore_ascii_case("application/octet-stream") {
        Some(Opcode::Binary)
    } else {
        None
    }
}
