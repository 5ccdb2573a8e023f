//! Sessions without a socket: for transports of an application's own, such as Engine.IO's polling.

use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use crate::server::Server;
use crate::session::formats::FormatId;
use crate::session::info::Transport;
use crate::session::request::Request;
use crate::session::socketless::Output;
use crate::session::state::Socketless;
use std::time::Duration;

/// Sessions without a socket. Such a session is a connection like any other: it has an fd, joins topics, is bound to a
/// user, is pushed, published and broadcast to under the same limits, and [`on_close`](crate::Handler::on_close) is its
/// end. Only its bytes go by ways of yours: you are told that it has output
/// ([`on_output`](crate::Handler::on_output)), read it, send it, acknowledge it.
///
/// ```text
///  push, publish ─► outbox of the session ─► on_output ─► read_output ─► respond(parked request)
///                                                                              │
///                              acknowledge_output ◄── the client has it ◄──────┘
/// ```
///
/// ```
/// use std::time::Duration;
/// use swio::{Fd, Handler, Reply, Request, Response, Server};
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
///         // A real gateway waits until the client says that it has them.
///         server.acknowledge_output(fd, count);
///         server.respond(by, Response::text(200, text));
///     }
/// }
///
/// let builder = Server::builder().listen("127.0.0.1:0").handler(|| Polling);
/// ```
impl Server {
    /// Opens a session without a socket for the client that made this request: it counts for the same address, and
    /// belongs to the handler whose callback runs now. It ends with [`Cause::Timeout`] where it is not
    /// [touched](Server::touch_session) for `timeout` (to 64 ms, at most 49 days). `None` where there is no room for
    /// it: as many connections as there may be, of all or of the address, or memory is nearly spent.
    pub fn open_session(&mut self, request: &Request<'_>, timeout: Duration) -> Option<Fd> {
        let socketless = Socketless {
            route: request.route,
            format: FormatId::of(Transport::Session, false),
            is_poll: false,
            posted: 0,
            address: self.remote_addr(request.fd),
            timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1),
            parked: None,
            taken: Vec::new(),
            end: None,
        };
        self.sessions.open_socketless(request.fd, socketless)
    }

    /// The client of a session has given a sign of life: its timeout begins anew. False where this is no such session.
    pub fn touch_session(&mut self, fd: Fd) -> bool {
        self.is_own_session(fd) && self.sessions.touch(fd, true)
    }

    /// What a session has for its client and is not [acknowledged](Server::acknowledge_output), in order: at most
    /// `bytes_max` bytes, with 4 for each message, but one message in any case. What was read once is read again, and
    /// is not dropped in favour of others, until it is acknowledged. It counts against the limits of outboxes. `None`
    /// where this is no such session.
    pub fn read_output(&mut self, fd: Fd, bytes_max: usize) -> Option<Output<'_>> {
        if !self.is_own_session(fd) {
            return None;
        }
        self.sessions.read_output(fd, bytes_max)
    }

    /// The client has the first `count` messages that were read: they are forgotten. False, and nothing is, where not
    /// as many were read.
    pub fn acknowledge_output(&mut self, fd: Fd, count: usize) -> bool {
        self.is_own_session(fd) && self.sessions.acknowledge_output(fd, count)
    }

    /// The connection whose request waits for the output of this session, where one does:
    /// [`respond`](Server::respond) to it.
    pub fn parked_request(&mut self, fd: Fd) -> Option<Fd> {
        self.sessions.parked(fd)
    }

    /// Has a session go on over this WebSocket, which the same client has opened: the session keeps its fd, its topics,
    /// its user and its [envelope](crate::Envelope), and is a WebSocket like any other from the end of this turn on.
    /// What waits for the client is sent over it first, what was read and not
    /// [acknowledged](Server::acknowledge_output) included. What the client sends after the message that this is called
    /// for is the session's. A request that waits for the session's output gets 204.
    ///
    /// The WebSocket's own fd ends: [`on_close`](crate::Handler::on_close) is told [`Cause::Adopted`].
    ///
    /// ```text
    ///                     before                              after
    ///  fd 7   session, topics, user ── requests     fd 7   session, topics, user ── WebSocket
    ///  fd 9   WebSocket                             fd 9   on_close(Adopted)
    /// ```
    ///
    /// False, and nothing happens, if there is no such session or it is ending; or if that is no established WebSocket
    /// of a client, it speaks `swio.1`, or a message to it is [not finished](Server::push_part).
    pub fn adopt(&mut self, session: Fd, websocket: Fd) -> bool {
        self.sessions.adopt(session, websocket)
    }

    /// Counts a message that came from the client of a session by ways of yours: false where that is more than
    /// [`messages_per_second_max`](crate::Config::messages_per_second_max) allows, and the message is better not taken.
    pub fn count_message(&mut self, fd: Fd) -> bool {
        self.sessions.count_message(fd)
    }

    /// Ends a session at once: what was not read is lost. `by` says whose wish it is. Where
    /// [`disconnect`](Server::disconnect) was called before, its code and reason stay: it ends a session only when its
    /// client was told, and this says that it was. False where this is no such session.
    pub fn end_session(&mut self, fd: Fd, by: Side, code: u16, reason: &str) -> bool {
        let reason = CloseReason::new(by, code, reason, Cause::Requested);
        self.is_own_session(fd) && self.sessions.end_socketless(fd, reason)
    }

    /// Whether this is a session that an application carries.
    fn is_own_session(&mut self, fd: Fd) -> bool {
        self.sessions.socketless_mut(fd).is_some_and(|socketless| !socketless.is_poll)
    }
}
