//! Messages from clients that can only be pushed to: each is the body of a `POST` that names its session by a token.

use crate::codec::http::{Head, Refusal, Response};
use crate::codec::ws::{Opcode, handshake, utf8};
use crate::net::connection::Flags;
use crate::server::api::message::Frame;
use crate::server::api::request::Request;
use crate::server::dispatch::Dispatch;
use crate::server::transports::cors;

/// For how long a browser need not ask again whether it may post: as long as Chromium keeps it at most.
const PREFLIGHT_SECONDS: &str = "7200";

/// Why a message was not taken.
pub(crate) struct Refused(pub(crate) u16, pub(crate) &'static str);

impl Refused {
    pub(crate) fn response(self) -> Response {
        let Refused(status, error) = self;
        let response = Response::new(status)
            .header("Content-Type", "application/json")
            .header("Cache-Control", "no-store")
            .body(format!("{{\"error\":\"{error}\"}}").into_bytes());
        if status == 503 { response.header("Retry-After", "1") } else { response }
    }
}

/// Whether a request brings a message for a session, or asks whether it may.
pub(crate) fn is_asked(head: &Head<'_>) -> bool {
    let query = head.query().unwrap_or_default();
    matches!(head.method, "POST" | "OPTIONS")
        && form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "swio" && value == "send")
}

impl Dispatch {
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
        self.respond(request.fd, cors::permit(request, response), false, request.head.keeps_alive());
        Ok(())
    }

    fn receive_post(&mut self, request: &Request<'_>) -> Result<(), Refused> {
        const UNKNOWN: Refused = Refused(404, "unknown session");
        let token = request.query_param("session").ok_or(UNKNOWN)?;
        let fd = self.server.tokens.find(&token).ok_or(UNKNOWN)?;
        let refusals = &mut self.server.stats.refusals;
        if request.body.len() > self.server.config.message_bytes_max {
            refusals.message_too_big += 1;
            return Err(Refused(413, "message too big"));
        }
        let opcode = opcode(request).ok_or(Refused(415, "text/plain or application/octet-stream only"))?;
        if opcode == Opcode::Text && utf8::check(request.body).is_err() {
            refusals.invalid_utf8 += 1;
            return Err(Refused(400, "text that is not UTF-8"));
        }
        let rates = self.server.connections.limits.rates;
        let heard = self.server.connections.tick_now();
        let connection = self.server.connections.open_mut(fd).ok_or(UNKNOWN)?;
        let route = connection.session.route().ok_or(UNKNOWN)?;
        if connection.flags.has(Flags::SUSPENDED) {
            return Err(Refused(503, "paused"));
        }
        connection.hear(heard);
        if !connection.meter.take_messages(1, &rates) {
            refusals.message_rate += 1;
            return Err(Refused(429, "too many messages a second"));
        }
        self.server.stats.messages_received += 1;
        let frame = Frame::new(fd, opcode, request.body);
        self.call("on_message", route, Some(fd), |handler, server| handler.on_message(server, frame))
            .ok_or(Refused(500, "internal error"))
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
