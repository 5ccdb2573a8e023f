//! Sessions without a socket: for an application's own transports, such as Engine.IO's polling.

use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use crate::server::Server;
use crate::session::request::Request;
use crate::session::socketless::Output;
use crate::session::state::Socketless;
use std::time::Duration;

/// Sessions without a socket. Such a session is a connection like any other: it has an fd, joins topics, is bound to a
/// user, gets what is pushed, published and broadcast under the same limits, and
/// [`on_close`](crate::Handler::on_close) reports its end. Only its bytes are carried by you:
/// [`on_output`](crate::Handler::on_output) says that it has output; you read it, send it and acknowledge it.
///
/// The server's own [long polling](crate::Config::long_polling) is written on these functions. Its sessions are read
/// and acknowledged by the server: leave that to it.
///
/// ```text
///  push, publish ─► outbox of the session ─► on_output ─► read_output ─► respond(parked request)
///                                                                              │
///                              acknowledge_output ◄── the client has it ◄──────┘
/// ```
///
/// After [`disconnect`](Server::disconnect) the session stays until you have told its client and call
/// [`end_session`](Server::end_session), or until its timeout. The code and reason of `disconnect` are kept.
///
/// ```
/// use std::time::Duration;
/// use swio::{Fd, Handler, Reply, Request, Response, Server, Side};
///
/// /// `GET /` opens a session and returns its name; `GET /?s=NAME` waits for messages.
/// struct Polling;
///
/// impl Handler for Polling {
///     fn on_request(&mut self, server: &mut Server, request: &Request<'_>) -> Reply {
///         let Some(name) = request.query_param("s") else {
///             return match server.open_session(request, Duration::from_secs(60)) {
///                 Some(fd) => Response::text(200, fd.to_string()).into(),
///                 None => Response::text(503, "full\n").into(),
///             };
///         };
///         // A real gateway has names that no one can guess.
///         match name.parse::<Fd>().ok().filter(|fd| server.touch_session(*fd)) {
///             Some(fd) => Reply::Output(fd),
///             None => Response::text(404, "unknown session\n").into(),
///         }
///     }
///
///     fn on_output(&mut self, server: &mut Server, fd: Fd) {
///         let Some(by) = server.parked_request(fd) else { return };
///         let Some(output) = server.read_output(fd, 64 << 10) else { return };
///         let lines: Vec<_> = output.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect();
///         let (text, count) = (lines.join("\n"), output.len());
///         // The session was disconnected, and the client has all else.
///         if let (0, Some(end)) = (count, output.end) {
///             let (code, text) = (end.code, format!("{} {}\n", end.code, end.text));
///             server.respond(by, Response::text(410, text));
///             server.end_session(fd, Side::Local, code, "");
///             return;
///         }
///         // A real gateway waits until the client says that it has them.
///         server.acknowledge_output(fd, count);
///         server.respond(by, Response::text(200, text));
///     }
/// }
///
/// let builder = Server::builder().listen("127.0.0.1:0").handler(|| Polling);
/// ```
impl Server {
    /// Opens a session without a socket for the client that made this request. It counts for the same address, and
    /// belongs to the handler of the request. It ends with [`Cause::Timeout`] if it is not
    /// [touched](Server::touch_session) for `timeout` (to 64 ms, at most 49 days). `None` if there is no room for it:
    /// the limit of connections, of all or of the address, is reached, or memory is nearly used up.
    ///
    /// Nobody is asked about it: neither [`on_handshake`](crate::Handler::on_handshake) nor
    /// [`Config::origins`](crate::Config::origins) is consulted, and [`on_open`](crate::Handler::on_open) is not
    /// called. Check first who asks, and do right after this what you would do in `on_open`: join topics, bind the
    /// user, [set its envelope](Server::set_envelope).
    pub fn open_session(&mut self, request: &Request<'_>, timeout: Duration) -> Option<Fd> {
        let socketless = Socketless::new(request.route, self.remote_addr(request.fd), timeout);
        self.sessions.open_socketless(request.fd, socketless)
    }

    /// The client of a session gave a sign of life: its timeout starts again. Once the session is ending, only an
    /// [acknowledgement](Server::acknowledge_output) does that. Returns false if this is no such session.
    pub fn touch_session(&mut self, fd: Fd) -> bool {
        self.sessions.touch(fd)
    }

    /// What a session has for its client and is not [acknowledged](Server::acknowledge_output), in order: at most
    /// `bytes_max` bytes, counting 4 more for each message, but at least one message. What was read is read again, and
    /// is not dropped to make room, until it is acknowledged. It counts against the limits of outboxes. `None` if this
    /// is no such session.
    pub fn read_output(&mut self, fd: Fd, bytes_max: usize) -> Option<Output<'_>> {
        self.catch_up(fd, bytes_max.saturating_sub(self.sessions.taken_bytes(fd)));
        self.sessions.read_output(fd, bytes_max)
    }

    /// Drops the first `count` messages that were read, because the client has them, and starts the session's timeout
    /// again. Returns false, and drops nothing, if fewer were read.
    pub fn acknowledge_output(&mut self, fd: Fd, count: usize) -> bool {
        self.sessions.acknowledge_output(fd, count)
    }

    /// How many messages of a session were acknowledged since it was opened. A client that numbers its messages by it
    /// can say "I have those up to N". `None` if this is no such session.
    pub fn acknowledged_output(&self, fd: Fd) -> Option<u64> {
        self.sessions.acknowledged(fd)
    }

    /// The connection whose request waits for the output of this session, if there is one:
    /// [`respond`](Server::respond) to it. If another request comes to wait for the same session, this one is answered
    /// with 409.
    pub fn parked_request(&self, fd: Fd) -> Option<Fd> {
        self.sessions.parked(fd)
    }

    /// Moves a session to this WebSocket, which the same client has opened. The session keeps its fd, its topics, its
    /// user and its [envelope](crate::Envelope), and is a WebSocket like any other from the end of this turn on.
    /// Output that waits for the client is sent over it first, including what was read and not
    /// [acknowledged](Server::acknowledge_output). What the client sends after the message for which this is called
    /// belongs to the session. A request that waits for the session's output gets 204.
    ///
    /// The WebSocket's own fd ends: its [`on_close`](crate::Handler::on_close) gets [`Cause::Adopted`].
    ///
    /// ```text
    ///                     before                              after
    ///  fd 7   session, topics, user ── requests     fd 7   session, topics, user ── WebSocket
    ///  fd 9   WebSocket                             fd 9   on_close(Adopted)
    /// ```
    ///
    /// Returns false, and does nothing, if there is no such session or it is ending; or if `websocket` is not an
    /// established WebSocket of a client, speaks `swio.1`, or has a message that is [not finished](Server::push_part).
    pub fn adopt(&mut self, session: Fd, websocket: Fd) -> bool {
        self.sessions.adopt(session, websocket)
    }

    /// Counts a message that you received from the client of a session. Returns false if this is more than
    /// [`messages_per_second_max`](crate::Config::messages_per_second_max) allows: then better ignore the message.
    pub fn count_message(&mut self, fd: Fd) -> bool {
        self.sessions.count_message(fd)
    }

    /// Ends a session at once: output that was not read is lost. `by` says which side wanted it. If
    /// [`disconnect`](Server::disconnect) was called before, its code and reason stay: it ends a session only once the
    /// client was told, and this says that it was. Returns false if this is no such session.
    pub fn end_session(&mut self, fd: Fd, by: Side, code: u16, reason: &str) -> bool {
        let reason = CloseReason::new(by, code, reason, Cause::Requested);
        self.sessions.kill_socketless(fd, reason)
    }
}
