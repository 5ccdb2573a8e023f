//! Long polling: sessions that outlive the requests that carry them. What is pushed to a session waits until a request
//! asks for it, and stays until a later request acknowledges it: an answer that was lost is sent again. It is written
//! on the same functions of [`Server`] as an application's own transport: see `Server::open_session`.

use crate::codec::http::{Refusal, Response};
use crate::codec::number;
use crate::codec::poll::PollBody;
use crate::error::{CloseReason, Side};
use crate::fd::Fd;
use crate::server::Server;
use crate::session::formats::FormatId;
use crate::session::posting::{NotTaken, UNKNOWN};
use crate::session::request::{Reply, Request};
use crate::session::state::Socketless;
use crate::session::tokens::Token;

/// An answer takes no further message that would make it longer than this.
const ANSWER_BYTES_MAX: usize = 64 << 10;

const BAD_CURSOR: NotTaken = NotTaken(400, "bad cursor");

/// Opens the session of a client whose handshake was accepted. Returns its fd and its token.
pub(super) fn open(
    server: &mut Server,
    request: &Request<'_>,
    format: FormatId,
) -> Result<(Fd, String), Refusal> {
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

/// Takes a request of the session `fd`: drops what it says that its client has, and answers it or lets it wait.
pub(super) fn take(server: &mut Server, fd: Fd, request: &Request<'_>) -> Result<Reply, NotTaken> {
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
    Ok(match server.sessions.has_output(fd) {
        true => answer(server, fd, None).into(),
        false => Reply::Output(fd),
    })
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
pub(super) fn answer(server: &mut Server, fd: Fd, token: Option<&str>) -> Response {
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
        server.end_session(fd, Side::Local, 1000, "");
    }
    response
}

fn encode(answer: &PollBody<'_>) -> Response {
    Response::json("").header("Cache-Control", "no-store").body(answer.encode())
}
