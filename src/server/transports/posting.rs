//! Messages and commands from clients that can only be pushed to: each is a `POST` that names its session by a token.
//! One that has a number is taken once, however often it is sent.

use crate::codec::command::{self, Command};
use crate::codec::http::{Head, Refusal, Response};
use crate::codec::ws::{Opcode, handshake, utf8};
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::server::api::message::Frame;
use crate::server::api::request::Request;
use crate::server::api::routes::Route;
use crate::server::dispatch::Dispatch;
use crate::server::session::Session;
use crate::server::transports::cors;
use crate::server::{Channel, Server};
use std::num::NonZeroU32;

/// For how long a browser need not ask again whether it may post: as long as Chromium keeps it at most.
const PREFLIGHT_SECONDS: &str = "7200";

const UNKNOWN: NotTaken = NotTaken(404, "unknown session");

/// Why a message was not taken.
pub(crate) struct NotTaken(pub(crate) u16, pub(crate) &'static str);

impl NotTaken {
    pub(crate) fn response(self) -> Response {
        let NotTaken(status, error) = self;
        let response = Response::new(status)
            .header("Content-Type", "application/json")
            .header("Cache-Control", "no-store")
            .body(format!("{{\"error\":\"{error}\"}}").into_bytes());
        if status == 503 { response.header("Retry-After", "1") } else { response }
    }
}

impl Dispatch {
    /// Whether a request brings a message or command for a session, or asks whether it may.
    pub(crate) fn is_post(&self, head: &Head<'_>) -> bool {
        let config = &self.server.config;
        (config.event_streams || config.long_polling)
            && matches!(head.method, "POST" | "OPTIONS")
            && command::is_one(head.query().unwrap_or_default())
    }

    pub(crate) fn take_post(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        handshake::check_origin(&request.head, &self.server.config.origins)?;
        let response = match request.method() {
            "OPTIONS" => Response::new(204)
                .header("Access-Control-Allow-Methods", "POST")
                .header("Access-Control-Allow-Headers", "Content-Type")
                .header("Access-Control-Max-Age", PREFLIGHT_SECONDS)
                .header("Cache-Control", "no-store"),
            _ => match self.receive_post(request) {
                Ok(()) => Response::new(204).header("Cache-Control", "no-store"),
                Err(refused) => refused.response(),
            },
        };
        self.respond(request.fd, cors::permit(&request.head, response), false, request.head.keeps_alive());
        Ok(())
    }

    fn receive_post(&mut self, request: &Request<'_>) -> Result<(), NotTaken> {
        let token = request.query_param("session").ok_or(UNKNOWN)?;
        let fd = self.server.tokens.find(&token).ok_or(UNKNOWN)?;
        let channel = self.server.channel(fd).map_err(|_| UNKNOWN)?;
        let number = request.query_param("number").map(|number| number.parse::<NonZeroU32>());
        let number = number.transpose().map_err(|_| NotTaken(400, "bad number"))?;
        if number.is_some_and(|number| number.get() <= self.server.posted(fd)) {
            // Taken already: the answer was lost.
            return Ok(());
        }
        let query = request.query().unwrap_or_default().as_bytes();
        let command = self.parse_command(query).map_err(|error| NotTaken(error.status(), error.what()))?;
        let is_next = number.is_none_or(|number| number.get() - 1 == self.server.posted(fd));
        if !is_next {
            return Err(NotTaken(409, "a message before it is missing"));
        }
        match &command {
            Command::Send => self.take_message(fd, number, request),
            // Nothing is in the way of who goes.
            Command::Close { code, reason } => {
                let reason = CloseReason::new(Side::Peer, *code, reason, Cause::Requested);
                match channel {
                    Channel::LongPolling => self.server.leave_poll(fd, reason),
                    _ => self.server.end_stream(fd, reason),
                }
                Ok(())
            }
            _ if !channel.has_notices() => Err(NotTaken(409, "not on a stream without labels")),
            _ => {
                let route = self.admit_post(fd, number)?;
                self.obey(route, fd, &command);
                Ok(())
            }
        }
    }

    fn take_message(
        &mut self,
        fd: Fd,
        number: Option<NonZeroU32>,
        request: &Request<'_>,
    ) -> Result<(), NotTaken> {
        let refusals = &mut self.server.stats.refusals;
        if request.body.len() > self.server.config.message_bytes_max {
            refusals.message_too_big += 1;
            return Err(NotTaken(413, "message too big"));
        }
        let opcode = opcode(request).ok_or(NotTaken(415, "text/plain or application/octet-stream only"))?;
        if opcode == Opcode::Text && utf8::check(request.body).is_err() {
            refusals.invalid_utf8 += 1;
            return Err(NotTaken(400, "text that is not UTF-8"));
        }
        let route = self.admit_post(fd, number)?;
        self.server.stats.messages_received += 1;
        let frame = Frame::new(fd, opcode, request.body);
        self.call("on_message", route, Some(fd), |handler, server| handler.on_message(server, frame))
            .ok_or(NotTaken(500, "internal error"))
    }

    /// Takes what is posted, within the session's rate: whose it is. From here on it is not taken again.
    fn admit_post(&mut self, fd: Fd, number: Option<NonZeroU32>) -> Result<Route, NotTaken> {
        let rates = self.server.connections.limits.rates;
        let heard = self.server.connections.tick_now();
        let connection = self.server.connections.open_mut(fd).ok_or(UNKNOWN)?;
        let route = connection.session.route().ok_or(UNKNOWN)?;
        if connection.flags.has(Flags::SUSPENDED) {
            return Err(NotTaken(503, "paused"));
        }
        connection.hear(heard);
        if !connection.meter.take_messages(1, &rates) {
            self.server.stats.refusals.message_rate += 1;
            return Err(NotTaken(429, "too many messages a second"));
        }
        if let (Some(number), Some(posted)) = (number, connection.session.posted_mut()) {
            *posted = number.get();
        }
        Ok(route)
    }
}

impl Server {
    /// The number of the last message that was posted to a session.
    fn posted(&mut self, fd: Fd) -> u32 {
        self.connections.session_mut(fd).and_then(Session::posted_mut).map_or(0, |posted| *posted)
    }
}

/// What kind of message the body is; `None` where that can't be.
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
