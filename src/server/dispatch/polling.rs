//! Long polling: sessions that outlive the requests that carry them. What is pushed to a session waits until a request
//! asks for it, and stays until a later request acknowledges it: an answer that was lost is sent again. These are the
//! same sessions without a socket that applications can open.

use crate::codec::http::{Refusal, Response};
use crate::codec::poll::PollBody;
use crate::codec::ws::handshake;
use crate::error::CloseReason;
use crate::fd::{Fd, FdMap};
use crate::server::Server;
use crate::session::formats::FormatId;
use crate::session::posting::{NotTaken, UNKNOWN};
use crate::session::request::{Acceptance, Request};
use crate::session::route::Route;
use crate::session::state::Socketless;
use crate::session::tokens::Token;

/// An answer takes no further message that would make it longer than this.
const ANSWER_BYTES_MAX: usize = 64 << 10;

const BAD_CURSOR: NotTaken = NotTaken(400, "bad cursor");

/// All long-polling sessions.
#[derive(Debug, Default)]
pub(crate) struct Polling {
    /// How many messages each client has acknowledged.
    acknowledged: FdMap<u64>,
}

impl Polling {
    /// Opens the session of a client whose handshake was accepted. Returns its fd and its token.
    pub(super) fn open(
        &mut self,
        server: &mut Server,
        route: Route,
        request: &Request<'_>,
        format: FormatId,
    ) -> Result<(Fd, String), Refusal> {
        // Drawn before the session is opened: an open session would have to be told of its end.
        let token = Token::draw().map_err(|error| {
            log::error!("no session, for the system has no random numbers: {error}");
            Refusal::Internal
        })?;
        let socketless = Socketless {
            route,
            format,
            is_poll: true,
            posted: 0,
            address: server.remote_addr(request.fd),
            timeout_ms: 0,
            parked: None,
            taken: Vec::new(),
            end: None,
        };
        let fd = server.sessions.open_socketless(request.fd, socketless).ok_or(Refusal::NotNow)?;
        self.acknowledged.insert(fd, 0);
        Ok((fd, server.sessions.tokens.give(fd, token)))
    }

    /// Answers the request that began a session, with its token and what was pushed in `on_open`.
    pub(super) fn answer_first(
        &mut self,
        server: &mut Server,
        (fd, token): (Fd, &str),
        request: &Request<'_>,
        acceptance: &Acceptance,
    ) {
        let headers = acceptance.headers.iter();
        let response = headers.fold(self.answer(server, fd, Some(token)), |response, (name, value)| {
            response.header(name.clone(), value.clone())
        });
        server.sessions.conclude_poll(request, response, false);
    }

    /// Takes a request of a session. Returns the session whose messages it waits for, if it is not answered at once.
    pub(super) fn take(
        &mut self,
        server: &mut Server,
        token: &str,
        request: &Request<'_>,
    ) -> Result<Option<Fd>, Refusal> {
        handshake::check_origin(&request.head, &server.sessions.policy(request.route).origins)?;
        let response = match self.acknowledge(server, token, request) {
            Ok(fd) if server.sessions.has_output(fd) => self.answer(server, fd, None),
            Ok(fd) => return Ok(Some(fd)),
            Err(refused) => refused.response(),
        };
        server.sessions.conclude_poll(request, response, false);
        Ok(None)
    }

    /// Drops what the request says that its client has. Then this request is the one that waits.
    fn acknowledge(
        &mut self,
        server: &mut Server,
        token: &str,
        request: &Request<'_>,
    ) -> Result<Fd, NotTaken> {
        let cursor = request.query_param("cursor");
        let cursor = cursor.and_then(|cursor| cursor.parse::<u64>().ok()).ok_or(BAD_CURSOR);
        let fd = server.sessions.find_session(token, &request.head).ok_or(UNKNOWN)?;
        let acknowledged = self.acknowledged.get_mut(fd).ok_or(UNKNOWN)?;
        let unacknowledged = server.sessions.unacknowledged(fd).ok_or(UNKNOWN)?;
        let cursor = cursor?;
        // A lower cursor was acknowledged before and its messages are dropped; a higher one was never sent.
        let count = cursor.checked_sub(*acknowledged).ok_or(BAD_CURSOR)?;
        let count = usize::try_from(count).ok().filter(|count| *count <= unacknowledged).ok_or(BAD_CURSOR)?;
        server.sessions.acknowledge_output(fd, count);
        *acknowledged = cursor;
        // A session that is ending keeps its old deadline, if its client takes nothing.
        server.sessions.touch(fd, server.is_established(fd) || count > 0);
        if let Some(older) = server.sessions.park(fd, request.fd) {
            let nothing = PollBody { cursor, ..PollBody::default() };
            server.respond(older, encode(&nothing));
        }
        Ok(fd)
    }

    /// Something was queued for a session, it is ending, or a request has waited for long enough.
    pub(super) fn on_output(&mut self, server: &mut Server, fd: Fd) {
        if let Some(by) = server.sessions.parked(fd) {
            let response = self.answer(server, fd, None);
            server.respond(by, response);
        }
    }

    /// The client of a session leaves: what still waits for it is not wanted any more.
    pub(super) fn leave(&mut self, server: &mut Server, fd: Fd, reason: CloseReason) {
        if let Some(by) = server.sessions.parked(fd) {
            let cursor = self.acknowledged.get(fd).copied().unwrap_or_default();
            let closed = Some((reason.code, &*reason.text));
            server.respond(by, encode(&PollBody { cursor, closed, ..PollBody::default() }));
        }
        server.sessions.connections.kill(fd, reason);
    }

    /// A session is over.
    pub(super) fn gone(&mut self, fd: Fd) {
        self.acknowledged.remove(fd);
    }

    /// All messages that the client does not have yet, as far as they fit into an answer. The last answer of an ended
    /// session also ends the session.
    fn answer(&mut self, server: &mut Server, fd: Fd, token: Option<&str>) -> Response {
        let config = server.config();
        let bytes_max = ANSWER_BYTES_MAX.min(config.outbox_bytes_max);
        let hold = token.map(|_| config.poll_hold.as_millis());
        let acknowledged = self.acknowledged.get(fd).copied().unwrap_or_default();
        let Some(output) = server.sessions.read_output(fd, bytes_max) else { return UNKNOWN.response() };
        let end = output.end.filter(|_| output.is_all);
        let response = encode(&PollBody {
            session: token,
            hold,
            cursor: acknowledged + output.len() as u64,
            messages: output.units(),
            closed: end.map(|end| (end.code, &*end.text)),
        });
        if let Some(end) = end.cloned() {
            server.sessions.kill_session(fd, end);
        } else if let Some(socketless) = server.sessions.socketless_mut(fd) {
            socketless.parked = None;
        }
        response
    }
}

fn encode(answer: &PollBody<'_>) -> Response {
    Response::json("").header("Cache-Control", "no-store").body(answer.encode())
}

#[cfg(test)]
impl crate::server::dispatch::Dispatch {
    /// How many messages the client of a session has acknowledged.
    pub(crate) fn acknowledged(&self, fd: Fd) -> Option<u64> {
        self.polling.acknowledged.get(fd).copied()
    }
}
