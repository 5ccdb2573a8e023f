//! Protocol state of one connection: where in its HTTP or WebSocket life it is. Kept to 16 bytes; what only a
//! connection in the middle of something needs is behind a pointer.

use super::formats::FormatId;
use super::info::Transport;
use super::route::Route;
use crate::codec::http::ResponseFraming;
use crate::codec::http::body::Body;
use crate::codec::http::head::{HEADERS_MAX, Head};
use crate::codec::tcp::PartialPackage;
use crate::codec::ws::{Decoder, Role, utf8};
use crate::error::CloseReason;
use crate::fd::Fd;
use crate::net::rare::{RareNote, SessionState};
use std::net::SocketAddr;
use std::num::NonZeroU16;

#[derive(Debug)]
pub(crate) enum Session {
    Http(Http),
    WebSocket(WebSocket),
    EventStream(EventStream),
    Socketless(Box<Socketless>),
    /// Raw TCP between packages. Not a struct with the next one: it would not fit.
    Tcp(RawTcp),
    /// Raw TCP in the middle of a package.
    TcpHeld(Box<HeldPackage>),
    /// Raw TCP that is ending.
    TcpEnded(Route),
    /// On its way to become a WebSocket that was opened from here.
    Dialing(Dialing),
}

impl Session {
    /// How messages look to it, while it is established.
    #[inline]
    pub(crate) fn format(&self) -> Option<FormatId> {
        match self {
            Session::WebSocket(websocket) if websocket.phase == Phase::Open => Some(websocket.format),
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

    /// Which end of it this side is.
    pub(crate) fn role(&self) -> Role {
        match self {
            Session::WebSocket(websocket) => websocket.role(),
            Session::Dialing(_) => Role::Client,
            _ => Role::Server,
        }
    }

    /// Whose connection it is, once it is one that can be pushed to.
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

    /// As what it counts, while it is established. What was opened from here does not count.
    pub(crate) fn counted_as(&self) -> Option<Transport> {
        let format = self.format().filter(|format| !format.is_masked());
        format.map(|_| self.transport())
    }

    /// Of a session that messages are posted to, the number of the last that had one.
    pub(crate) fn posted_mut(&mut self) -> Option<&mut u32> {
        match self {
            Session::EventStream(stream) => Some(&mut stream.posted),
            Session::Socketless(socketless) => Some(&mut socketless.posted),
            _ => None,
        }
    }

    /// Memory of what is only partly here.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Session::Http(http) => http.held.as_ref().map_or(0, |held| held.held_bytes()),
            Session::WebSocket(websocket) => websocket.decoder.held_bytes(),
            Session::TcpHeld(held) => held.partial.held_bytes(),
            Session::EventStream(_) | Session::Socketless(_) | Session::Tcp(_) | Session::TcpEnded(_) => 0,
            Session::Dialing(dialing) => dialing.held.as_ref().map_or(0, |held| held.held_bytes()),
        }
    }

    /// Forgets what is only partly here, for nothing will be added to it: how much memory that was.
    pub(crate) fn forget(&mut self) -> usize {
        let held_bytes = self.held_bytes();
        match self {
            Session::Http(http) => http.held = None,
            Session::WebSocket(websocket) => websocket.decoder = Decoder::default(),
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
}

/// What is known of a few connections only; see [`net::rare`](crate::net::rare).
#[derive(Debug, Default)]
pub(crate) struct Note {
    /// The user does not want the connection to be read.
    pub(crate) pause: Option<Pause>,
    /// Where the text that is pushed in parts was cut.
    pub(crate) text: Option<utf8::Validator>,
    /// Frames deferred until the message that is pushed in parts ends.
    pub(crate) held_back: Vec<u8>,
    /// Whose handler writes the body of a response to it.
    pub(crate) writer: Option<Route>,
    /// The listener that it came in by, while it speaks HTTP and if the listener has options of its own.
    pub(crate) listener: Option<Route>,
}

impl Note {
    /// Its part of what counts as held for incomplete messages.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_back.capacity() + self.pause.as_ref().map_or(0, |pause| pause.bytes.capacity())
    }
}

impl RareNote for Note {
    fn is_empty(&self) -> bool {
        self.pause.is_none()
            && self.text.is_none()
            && self.held_back.capacity() == 0
            && self.writer.is_none()
            && self.listener.is_none()
    }
}

/// A connection that is not to be read.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    /// Read before, and not yet looked at.
    pub(crate) bytes: Vec<u8>,
    /// It is read again from the end of the turn on.
    pub(crate) is_ending: bool,
}

impl Default for Session {
    fn default() -> Session {
        Session::Http(Http::default())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Http {
    /// A request that is not whole yet, or waits until the answers before it are read.
    pub(crate) held: Option<Box<Held>>,
}

#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    pub(crate) progress: Progress,
}

impl Http {
    /// The request that is answered later.
    pub(crate) fn waiting(&mut self) -> Option<&mut Waiting> {
        self.held.as_mut()?.progress.waiting.as_mut()
    }
}

impl Held {
    /// What it costs beside its bytes, the allocator's own part included.
    const OWN_BYTES: usize = size_of::<Held>() + 32;

    pub(crate) fn held_bytes(&self) -> usize {
        Held::OWN_BYTES + self.bytes.capacity()
    }

    /// Keeps `more` within `room` bytes of memory for all of it; whether there is so much.
    pub(crate) fn keep(&mut self, more: &[u8], room: usize) -> bool {
        let (needed, capacity) = (self.bytes.len() + more.len(), self.bytes.capacity());
        let Some(spare) = room.checked_sub(Held::OWN_BYTES + needed) else { return false };
        if needed > capacity {
            // Little of what others may need more.
            self.bytes.reserve_exact((2 * capacity).min(needed + spare / 8).max(needed) - self.bytes.len());
        }
        self.bytes.extend_from_slice(more);
        true
    }

    /// Gives `call` the head of the request that waits.
    pub(crate) fn with_head<R>(&self, waiting: &Waiting, call: impl FnOnce(&Head<'_>) -> R) -> R {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let parsed = Head::parse(&self.bytes[..waiting.head_len], &mut headers);
        call(&parsed.ok().flatten().expect("parsed before").0)
    }

    /// Forgets the first bytes, and the memory that they needed where it was much more than is left.
    pub(crate) fn forget(&mut self, len: usize) {
        self.bytes.drain(..len);
        if self.bytes.capacity() / 4 > self.bytes.len().max(1 << 10) {
            self.bytes.shrink_to_fit();
        }
    }
}

/// What is known of the request at the start of the held bytes, so that it is not found out again with each
/// byte that comes.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The head does not end within so many bytes.
    pub(crate) searched: usize,
    /// So many bytes were judged by the parser.
    pub(crate) judged: usize,
    /// The head's length and the state of its body, once the head is whole.
    pub(crate) body: Option<(usize, Body)>,
    /// What decides how long the body may be, once the head is whole.
    pub(crate) policy: Route,
    /// The request was handed to a callback, which answers it later.
    pub(crate) waiting: Option<Waiting>,
}

/// A request at the start of the held bytes that is answered later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Whose request it is.
    pub(crate) route: Route,
    pub(crate) head_len: usize,
    /// Of the body, its chunks joined.
    pub(crate) body_len: usize,
    /// Of all of it, as it came.
    pub(crate) len: usize,
    pub(crate) awaited: Awaited,
    /// The answer is given, and carried out in a moment.
    pub(crate) is_answered: bool,
    /// The connection is to end behind the answer.
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
    /// Output of a session of an application's.
    Output(Fd),
    /// Messages to a session of long polling.
    Poll(Fd),
    /// The end of the response's body, which is being written. Of the request nothing is held any more.
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

/// Raw TCP: its listener's route, and how messages go out to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawTcp {
    pub(crate) route: Route,
    pub(crate) format: FormatId,
}

/// A package of which only the start is here.
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
    /// An answer that is not whole yet.
    pub(crate) held: Option<Box<Held>>,
}

#[derive(Debug, Default)]
pub(crate) struct WebSocket {
    pub(crate) decoder: Decoder,
    pub(crate) phase: Phase,
    pub(crate) marks: Marks,
    pub(crate) format: FormatId,
    /// When its last message came, as `Liveness` notes it.
    pub(crate) spoke: u8,
    /// Of the last ping that was answered, in ms.
    pub(crate) round_trip: Option<NonZeroU16>,
    /// Whose connection it is, and which side opened it.
    pub(crate) route: Route,
}

/// What else there is to know of a WebSocket, in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(u8);

impl Marks {
    /// A ping went out that has to be answered, and nothing was heard since.
    pub(crate) const PINGED: u8 = 1;
    /// A message was pushed in part: nothing but its other parts and control frames may follow.
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
    /// Which end of it this side is.
    pub(crate) fn role(&self) -> Role {
        if self.route.is_outgoing() { Role::Client } else { Role::Server }
    }

    /// Whether it may be sent now what all others of its format are.
    #[inline]
    pub(crate) fn is_shared_now(&self) -> bool {
        self.phase == Phase::Open && !self.marks.has(Marks::UNFINISHED) && !self.format.is_masked()
    }
}

/// An answer that goes on and on (WHATWG HTML §9.2).
#[derive(Debug, Default)]
pub(crate) struct EventStream {
    pub(crate) route: Route,
    pub(crate) is_ended: bool,
    /// It took nothing when it was last looked at.
    pub(crate) is_stalled: bool,
    pub(crate) format: FormatId,
    /// The number of the last message that was posted with one.
    pub(crate) posted: u32,
}

/// A session without a socket: what goes to it waits in its outbox until it is taken, to be sent by other ways.
#[derive(Debug)]
pub(crate) struct Socketless {
    pub(crate) route: Route,
    pub(crate) format: FormatId,
    /// It is one of the server's own long polling, and not of an application's.
    pub(crate) is_poll: bool,
    /// The number of the last message that was posted with one.
    pub(crate) posted: u32,
    /// The client's, as of the request that began it.
    pub(crate) address: Option<SocketAddr>,
    /// For how long it lives without a sign of its client, in ms; 0: as long polling has it.
    pub(crate) timeout_ms: u32,
    /// The connection whose request waits for output, or waited last.
    pub(crate) parked: Option<Fd>,
    /// Units out of the outbox that were read, and that nobody has acknowledged.
    pub(crate) taken: Vec<u8>,
    /// Why it is ending.
    pub(crate) end: Option<Box<CloseReason>>,
}

/// RFC 6455 §7.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Open,
    /// The server's close frame is queued or sent, the peer's is awaited.
    CloseSent,
    /// Both close frames are sent, or there is no use in waiting for the peer's.
    Closed,
}

/// Simulated streams need a tag beside their number.
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
        // Padded to eights, for a simulated stream has 8 where a real one has 4.
        assert_eq!((size_of::<Connection<Session>>() - size_of::<Stream>()).next_multiple_of(8), 64);
        assert_eq!(size_of::<Option<Connection<Session>>>(), size_of::<Connection<Session>>());
        assert_eq!(Wheel::LINK_BYTES, 16);
    }
}
