//! Protocol state of one connection: how far it is in its HTTP or WebSocket life. Kept to 16 bytes; what a connection
//! needs only while something is incomplete is boxed.

use super::formats::FormatId;
use super::held::{HeldAnswer, append_within};
use super::info::Transport;
use super::note::Note;
use super::route::Route;
use crate::codec::arrival::Arrival;
use crate::codec::http::ResponseFraming;
use crate::codec::http::body::Body;
use crate::codec::http::head::{HEADERS_MAX, Head};
use crate::codec::tcp::PartialPackage;
use crate::codec::ws::{Decoder, Role};
use crate::error::CloseReason;
use crate::fd::Fd;
use crate::net::rare::SessionState;
use std::net::SocketAddr;
use std::num::NonZeroU16;

#[derive(Debug)]
pub(crate) enum Session {
    Http(Http),
    WebSocket(WebSocket),
    EventStream(EventStream),
    Socketless(Box<Socketless>),
    /// Raw TCP between packages. A variant apart from `TcpHeld`, because one struct for both would not fit.
    Tcp(RawTcp),
    /// Raw TCP in the middle of a package.
    TcpHeld(Box<HeldPackage>),
    /// Raw TCP that is ending.
    TcpEnded(Route),
    /// A WebSocket that this side is opening.
    Dialing(Dialing),
}

impl Session {
    /// The format of messages to this connection, while it is established.
    #[inline]
    pub(crate) fn format(&self) -> Option<FormatId> {
        match self {
            Session::WebSocket(websocket) if websocket.phase == ClosePhase::Open => Some(websocket.format),
            Session::EventStream(stream) if !stream.is_ended => Some(stream.format),
            Session::Socketless(socketless) if socketless.end.is_none() => Some(socketless.format),
            Session::Tcp(tcp) => Some(tcp.format),
            Session::TcpHeld(held) => Some(held.tcp.format),
            _ => None,
        }
    }

    pub(crate) fn set_format(&mut self, new: FormatId) {
        match self {
            Session::WebSocket(websocket) => websocket.format = new,
            Session::EventStream(stream) => stream.format = new,
            Session::Socketless(socketless) => socketless.format = new,
            Session::Tcp(tcp) => tcp.format = new,
            Session::TcpHeld(held) => held.tcp.format = new,
            Session::Http(_) | Session::Dialing(_) | Session::TcpEnded(_) => {}
        }
    }

    /// The role of this side.
    pub(crate) fn role(&self) -> Role {
        match self {
            Session::WebSocket(websocket) => websocket.role(),
            Session::Dialing(_) => Role::Client,
            _ => Role::Server,
        }
    }

    /// The route of the connection, once messages can be pushed to it.
    pub(crate) fn route(&self) -> Option<Route> {
        match self {
            Session::WebSocket(websocket) => Some(websocket.route),
            Session::EventStream(stream) => Some(stream.route),
            Session::Socketless(socketless) => Some(socketless.route),
            Session::Tcp(tcp) => Some(tcp.route),
            Session::TcpHeld(held) => Some(held.tcp.route),
            Session::Http(_) | Session::Dialing(_) | Session::TcpEnded(_) => None,
        }
    }

    pub(crate) fn transport(&self) -> Transport {
        match self {
            Session::Http(_) => Transport::Http,
            Session::WebSocket(_) | Session::Dialing(_) => Transport::WebSocket,
            Session::EventStream(_) => Transport::EventStream,
            Session::Socketless(socketless) if socketless.is_poll => Transport::LongPolling,
            Session::Socketless(_) => Transport::Session,
            Session::Tcp(_) | Session::TcpHeld(_) | Session::TcpEnded(_) => Transport::Tcp,
        }
    }

    /// The transport that it counts as while it is established. Connections that this side opened do not count.
    pub(crate) fn counted_as(&self) -> Option<Transport> {
        let format = self.format().filter(|format| !format.is_masked());
        format.map(|_| self.transport())
    }

    /// The number of the last numbered message posted for this session; `None` if none can be posted.
    pub(crate) fn posted_mut(&mut self) -> Option<&mut u32> {
        match self {
            Session::EventStream(stream) => Some(&mut stream.posted),
            Session::Socketless(socketless) => Some(&mut socketless.posted),
            _ => None,
        }
    }

    /// Memory of incomplete messages and requests.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Session::Http(http) => http.held.as_ref().map_or(0, |held| held.held_bytes()),
            Session::WebSocket(websocket) => websocket.decoder.held_bytes(),
            Session::TcpHeld(held) => held.partial.held_bytes(),
            Session::EventStream(_) | Session::Socketless(_) | Session::Tcp(_) | Session::TcpEnded(_) => 0,
            Session::Dialing(dialing) => dialing.held.as_ref().map_or(0, |held| held.held_bytes()),
        }
    }

    /// Drops incomplete messages and takes no more input. Returns how much memory they took.
    pub(crate) fn end_input(&mut self) -> usize {
        let held_bytes = self.held_bytes();
        match self {
            Session::Http(http) => http.held = None,
            Session::WebSocket(websocket) => {
                websocket.phase = ClosePhase::Done;
                websocket.decoder = Decoder::default();
            }
            Session::EventStream(stream) => stream.is_ended = true,
            Session::Socketless(_) | Session::TcpEnded(_) => {}
            Session::Tcp(tcp) => *self = Session::TcpEnded(tcp.route),
            Session::TcpHeld(held) => *self = Session::TcpEnded(held.tcp.route),
            Session::Dialing(dialing) => dialing.held = None,
        }
        held_bytes
    }
}

impl SessionState for Session {
    type Note = Note;

    /// RFC 9112 §6.3: a response without a length ends so.
    fn ends_by_close(&self) -> bool {
        matches!(self, Session::Http(_))
    }

    /// What is established looks at the clock; elsewhere the deadline itself says what it is for.
    fn may_expire_early(&self) -> bool {
        self.format().is_some()
    }
}

impl Default for Session {
    fn default() -> Session {
        Session::Http(Http::default())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Http {
    /// A request that is incomplete, waits for its answer, or waits until the client has read earlier answers.
    pub(crate) held: Option<Box<Held>>,
}

#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    pub(crate) progress: Progress,
}

impl Http {
    /// The request that is answered later.
    pub(crate) fn waiting(&self) -> Option<&Waiting> {
        self.held.as_ref()?.progress.waiting.as_ref()
    }

    pub(crate) fn waiting_mut(&mut self) -> Option<&mut Waiting> {
        self.held.as_mut()?.progress.waiting.as_mut()
    }
}

impl Held {
    /// Without its bytes, and including the allocator's overhead.
    const OWN_BYTES: usize = size_of::<Held>() + 32;

    pub(crate) fn held_bytes(&self) -> usize {
        Held::OWN_BYTES + self.bytes.capacity()
    }

    /// Appends `more` if everything then fits into `room` bytes of memory. Returns whether it did.
    pub(crate) fn keep(&mut self, more: &[u8], room: usize) -> bool {
        room.checked_sub(Held::OWN_BYTES).is_some_and(|room| append_within(&mut self.bytes, more, room))
    }

    /// Calls `call` with the head of the waiting request.
    pub(crate) fn with_head<R>(&self, waiting: &Waiting, call: impl FnOnce(&Head<'_>) -> R) -> R {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let parsed = Head::parse(&self.bytes[..waiting.head_len], &mut headers);
        call(&parsed.ok().flatten().expect("parsed before").0)
    }

    /// Drops the first `len` bytes, and frees memory if far more is allocated than is still needed.
    pub(crate) fn consume(&mut self, len: usize) {
        self.bytes.drain(..len);
        if self.bytes.capacity() / 4 > self.bytes.len().max(1 << 10) {
            self.bytes.shrink_to_fit();
        }
    }
}

/// What is already known of the request at the start of the held bytes, so that it is not worked out again for each
/// byte that arrives.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The end of the head is not within this many bytes.
    pub(crate) searched: usize,
    /// The parser has already judged this many bytes.
    pub(crate) judged: usize,
    /// The length of the head and the state of the body, once the head is complete.
    pub(crate) body: Option<(usize, Body)>,
    /// The route that limits the length of the body, once the head is complete.
    pub(crate) policy_route: Route,
    /// How the body comes on.
    pub(crate) arrival: Arrival,
    /// The request was given to a callback, which answers it later.
    pub(crate) waiting: Option<Waiting>,
}

/// A request at the start of the held bytes that is answered later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// The route of the request.
    pub(crate) route: Route,
    pub(crate) head_len: usize,
    /// The length of the body with its chunks joined.
    pub(crate) body_len: usize,
    /// The length of the whole request as received.
    pub(crate) len: usize,
    pub(crate) awaited: Awaited,
    /// The answer was given and will be sent in a moment.
    pub(crate) is_answered: bool,
    /// The connection ends after the answer.
    pub(crate) is_last: bool,
}

impl Awaited {
    /// The session whose output it waits for.
    pub(crate) fn session(self) -> Option<Fd> {
        match self {
            Awaited::Output(session) | Awaited::Poll(session) => Some(session),
            Awaited::Handshake | Awaited::Response | Awaited::Body(_) => None,
        }
    }
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// [`Server::answer_handshake`](crate::Server::answer_handshake).
    Handshake,
    /// [`Server::respond`](crate::Server::respond).
    Response,
    /// Output of a session that the application carries.
    Output(Fd),
    /// Messages for a long-polling session.
    Poll(Fd),
    /// The end of the response body, which is being written. Nothing of the request is held any more.
    Body(BodyOut),
}

impl Waiting {
    /// The same request while the body of its response is being written.
    pub(crate) fn streaming(self, body: BodyOut) -> Waiting {
        Waiting { head_len: 0, body_len: 0, len: 0, awaited: Awaited::Body(body), ..self }
    }

    /// The body of its response that is being written.
    pub(crate) fn body(&self) -> Option<&BodyOut> {
        match &self.awaited {
            Awaited::Body(body) => Some(body),
            _ => None,
        }
    }
}

/// A response body that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyOut {
    pub(crate) framing: ResponseFraming,
    pub(crate) keep_alive: bool,
}

/// A raw TCP connection: the route of its listener, and the format of messages to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawTcp {
    pub(crate) route: Route,
    pub(crate) format: FormatId,
}

/// A package that is incomplete.
#[derive(Debug)]
pub(crate) struct HeldPackage {
    pub(crate) tcp: RawTcp,
    pub(crate) partial: PartialPackage,
}

impl HeldPackage {
    pub(crate) fn boxed(tcp: RawTcp) -> Box<HeldPackage> {
        Box::new(HeldPackage { tcp, partial: PartialPackage::default() })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Dialing {
    /// The beginning of an answer that is incomplete.
    pub(crate) held: Option<Box<HeldAnswer>>,
}

#[derive(Debug, Default)]
pub(crate) struct WebSocket {
    pub(crate) decoder: Decoder,
    pub(crate) phase: ClosePhase,
    pub(crate) marks: Marks,
    pub(crate) format: FormatId,
    /// When its last message came, as noted by `Liveness::coarse`.
    pub(crate) spoke: u8,
    /// Round trip of the last ping that was answered, in ms.
    pub(crate) round_trip: Option<NonZeroU16>,
    /// The route of the connection. It also tells which side opened it.
    pub(crate) route: Route,
}

/// Flags of a WebSocket, in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(u8);

impl Marks {
    /// A ping that must be answered was sent, and nothing was received since.
    pub(crate) const PINGED: u8 = 1;
    /// A message was pushed in part: only its other parts and control frames may follow.
    pub(crate) const UNFINISHED: u8 = 2;

    /// Whether one of `marks` is set.
    pub(crate) fn has(self, marks: u8) -> bool {
        self.0 & marks != 0
    }

    pub(crate) fn set(&mut self, mark: u8, is_set: bool) {
        self.0 = if is_set { self.0 | mark } else { self.0 & !mark };
    }
}

impl WebSocket {
    pub(crate) fn role(&self) -> Role {
        if self.route.is_outgoing() { Role::Client } else { Role::Server }
    }

    /// Whether it can now take the bytes that all connections of its format share.
    #[inline]
    pub(crate) fn is_shared_now(&self) -> bool {
        self.phase == ClosePhase::Open && !self.marks.has(Marks::UNFINISHED) && !self.format.is_masked()
    }
}

/// A response that does not end, sent event by event (WHATWG HTML §9.2).
#[derive(Debug, Default)]
pub(crate) struct EventStream {
    pub(crate) route: Route,
    pub(crate) is_ended: bool,
    pub(crate) format: FormatId,
    /// The number of the last numbered message posted for it.
    pub(crate) posted: u32,
}

/// A session without a socket. Messages to it wait in its outbox until they are taken, to be sent by other means:
///
/// ```text
/// push ──> outbox ──(read_output)──> taken ──(acknowledge_output)──> dropped
/// ```
#[derive(Debug)]
pub(crate) struct Socketless {
    pub(crate) route: Route,
    pub(crate) format: FormatId,
    /// It belongs to the server's own long polling, not to the application.
    pub(crate) is_poll: bool,
    /// The number of the last numbered message posted for it.
    pub(crate) posted: u32,
    /// The client's address, as of the request that opened the session.
    pub(crate) address: Option<SocketAddr>,
    /// How long it lives without a sign of its client, in ms.
    pub(crate) timeout_ms: u32,
    /// The connection whose request waits for output, or was answered last.
    pub(crate) parked: Option<Fd>,
    pub(crate) acknowledged: u64,
    /// Units that were read out of the outbox and are not acknowledged yet.
    pub(crate) taken: Vec<u8>,
    /// Why it is ending.
    pub(crate) end: Option<Box<CloseReason>>,
    pub(crate) is_behind: bool,
}

/// State of the close handshake (RFC 6455 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClosePhase {
    #[default]
    Open,
    /// This side's close frame is queued or sent; the peer's is awaited.
    Sent,
    /// Nothing is awaited any more, but the connection is still there until its output is sent and TCP is ended.
    Done,
}

/// Not checked with simulated streams, which need a tag beside their number.
#[cfg(not(any(test, feature = "sim")))]
const _: () = assert!(size_of::<crate::net::connection::Connection<Session>>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::connection::Connection;
    use crate::net::stream::Stream;
    use crate::net::wheel::Wheel;

    #[test]
    fn an_idle_connection_costs_its_stream_60_bytes_and_its_place_in_the_wheel() {
        // Rounded up to a multiple of 8, because a simulated stream takes 8 bytes and a real one 4.
        assert_eq!((size_of::<Connection<Session>>() - size_of::<Stream>()).next_multiple_of(8), 64);
        assert_eq!(size_of::<Option<Connection<Session>>>(), size_of::<Connection<Session>>());
        assert_eq!(Wheel::LINK_BYTES, 16);
    }
}
