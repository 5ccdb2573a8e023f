//! Long polling: sessions that outlive the requests that carry them. What is pushed to a session waits until a request
//! asks for it, and stays until a later request acknowledges it: an answer that was lost is sent again. It is written
//! on the same functions of [`Server`] as an application's own transport: see `Server::open_session`.

use crate::codec::http::{Refusal, Response};
use crate::codec::number;
use crate::codec::poll::PollBody;
use crate::codec::ws::close;
use crate::error::{CloseReason, Side};
use crate::fd::Fd;
use crate::server::Server;
use crate::server::dispatch::Dispatch;
use crate::session::formats::FormatId;
use crate::session::info::Transport;
use crate::session::posting::{NotTaken, UNKNOWN};
use crate::session::request::{Acceptance, Request};
use crate::session::route::Route;
use crate::session::state::Socketless;
use crate::session::tokens::Token;

/// An answer takes no further message that would make it longer than this.
const ANSWER_BYTES_MAX: usize = 64 << 10;

const BAD_CURSOR: NotTaken = NotTaken(400, "bad cursor");

/// The part of the dispatcher: it finds the session of a request, and answers the request or lets it wait.
impl Dispatch {
    /// Opens a long-polling session.
    pub(super) fn open_poll(
        &mut self,
        route: Route,
        request: &Request<'_>,
        acceptance: &Acceptance,
    ) -> Result<(), Refusal> {
        // The handler may have ended the connection meanwhile.
        if self.server.sessions.http_mut(request.fd).is_none() {
            return Ok(());
        }
        let format = self.server.sessions.choose_format(Transport::LongPolling, acceptance, false)?;
        let (fd, token) = open(&mut self.server, request, format)?;
        self.open_returning(route, &Request { fd, ..*request });
        self.server.sessions.note_carrier(fd, request.fd);
        let mut response = answer(&mut self.server, fd, Some(&token));
        for (name, value) in &acceptance.headers {
            response = response.header(name.clone(), value.clone());
        }
        self.server.sessions.answer_page(request, response, false);
        Ok(())
    }

    /// Takes a request of a long-polling session. Returns the session whose output it waits for, if it is not answered
    /// at once.
    pub(super) fn take_poll(&mut self, token: &str, request: &Request<'_>) -> Result<Option<Fd>, Refusal> {
        let sessions = &mut self.server.sessions;
        sessions.check_origin(request.fd, &request.head, request.route)?;
        let session = sessions.find_session(token, request.fd, &request.head).ok_or(UNKNOWN);
        let session = session.and_then(|fd| sessions.admit_poll(fd).map(|()| fd));
        let taken = session.and_then(|fd| Ok((fd, take(&mut self.server, fd, request)?)));
        let response = match taken {
            Ok((fd, Some(response))) => {
                self.server.sessions.note_carrier(fd, request.fd);
                response
            }
            Ok((fd, None)) if self.server.sessions.wait_for_output(fd, request.fd) => return Ok(Some(fd)),
            Ok((_, None)) => UNKNOWN.response(),
            Err(refused) => refused.response(),
        };
        self.server.sessions.answer_page(request, response, false);
        Ok(None)
    }
}

/// Opens the session of a client whose handshake was accepted. Returns its fd and its token.
fn open(server: &mut Server, request: &Request<'_>, format: FormatId) -> Result<(Fd, String), Refusal> {
    // Drawn before the session is opened: an open session would have to be told of its end.
    let token = Token::draw().map_err(|error| {
        log::error!("no session, for the system has no random numbers: {error}");
        Refusal::Internal
    })?;
    let timeout = server.config().poll_hold.saturating_add(server.config().poll_grace);
    let address = server.remote_addr(request.fd);
    let socketless = Socketless { format, is_poll: true, ..Socketless::new(request.route, address, timeout) };
    let fd = server.sessions.open_socketless(request.fd, socketless).ok_or(Refusal::NotNow)?;
    Ok((fd, server.sessions.tokens.give(fd, token)))
}

/// Takes a request of the session `fd`: drops what it says that its client has. Returns the answer, if there is output
/// for it already.
fn take(server: &mut Server, fd: Fd, request: &Request<'_>) -> Result<Option<Response>, NotTaken> {
    let cursor = request.query_param("cursor").and_then(|cursor| number::canonical::<u64>(&cursor));
    let cursor = cursor.ok_or(BAD_CURSOR)?;
    let acknowledged = server.acknowledged_output(fd).ok_or(UNKNOWN)?;
    // A lower cursor was acknowledged before and its messages are dropped; a higher one was never sent.
    let count = cursor.checked_sub(acknowledged).and_then(|count| usize::try_from(count).ok());
    if !count.is_some_and(|count| server.acknowledge_output(fd, count)) {
        return Err(BAD_CURSOR);
    }
    server.touch_session(fd);
    if let Some(older) = server.parked_request(fd) {
        server.respond(older, encode(&PollBody { cursor, ..PollBody::default() }));
    }
    Ok(server.sessions.has_output(fd).then(|| answer(server, fd, None)))
}

/// Something was queued for a session, it is ending, or a request has waited for long enough.
pub(super) fn on_output(server: &mut Server, fd: Fd) {
    if let Some(by) = server.parked_request(fd) {
        let response = answer(server, fd, None);
        server.respond(by, response);
    }
}

/// The client of a session leaves: what still waits for it is not wanted any more.
pub(super) fn on_goodbye(server: &mut Server, fd: Fd, reason: &CloseReason) {
    if let Some(by) = server.parked_request(fd) {
        let cursor = server.acknowledged_output(fd).unwrap_or_default();
        let closed = Some((reason.code, &*reason.text));
        server.respond(by, encode(&PollBody { cursor, closed, ..PollBody::default() }));
    }
    server.end_session(fd, reason.by, reason.code, &reason.text);
}

/// All messages that the client does not have yet, as far as they fit into an answer. The last answer of an ended
/// session also ends the session. The first answer has the session's token.
fn answer(server: &mut Server, fd: Fd, token: Option<&str>) -> Response {
    let config = server.config();
    let bytes_max = ANSWER_BYTES_MAX.min(config.outbox_bytes_max);
    let hold = token.map(|_| config.poll_hold.as_millis());
    let acknowledged = server.acknowledged_output(fd).unwrap_or_default();
    let Some(output) = server.read_output(fd, bytes_max) else { return UNKNOWN.response() };
    let end = output.end.filter(|_| output.is_all);
    let response = encode(&PollBody {
        session: token,
        hold,
        cursor: acknowledged + output.len() as u64,
        messages: output.units(),
        closed: end.map(|end| (end.code, &*end.text)),
    });
    if end.is_some() {
        // The reason that it is ending for stays.
        server.end_session(fd, Side::Local, close::NORMAL, "");
    }
    response
}

fn encode(answer: &PollBody<'_>) -> Response {
    Response::json("").header("Cache-Control", "no-store").body(answer.encode())
}
