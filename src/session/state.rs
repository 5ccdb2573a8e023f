//! Protocol state of one connection: where in its HTTP or WebSocket life it is. Kept to 16 bytes; what only a
//! connection in the middle of something needs is behind a pointer.

use super::census::Kind;
use super::info::Transport;
use super::route::Route;
use crate::codec::http::body::Body;
use crate::codec::tcp::Partial;
use crate::codec::ws::{Decoder, Role};
use crate::error::CloseReason;
use crate::fd::Fd;
use std::net::SocketAddr;
use std::num::NonZeroU16;

#[derive(Debug)]
pub(crate) enum Session {
    Http(Http),
    WebSocket(WebSocket),
    EventStream(EventStream),
    Poll(Box<Poll>),
    /// Raw TCP between packages: the number of its framing. Not a struct with the next one: it would not fit.
    Tcp(u8),
    /// Raw TCP in the middle of a package.
    TcpHeld(Box<HeldPackage>),
    /// Raw TCP that is ending: the number of its framing.
    TcpEnded(u8),
    /// On its way to become a WebSocket that was opened from here.
    Dialing(Dialing),
}

impl Session {
    /// The number of the framing of a raw TCP connection that is established.
    pub(crate) fn framing(&self) -> Option<u8> {
        match self {
            Session::Tcp(framing) => Some(*framing),
            Session::TcpHeld(held) => Some(held.framing),
            _ => None,
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
            Session::Poll(poll) => Some(poll.route),
            Session::Tcp(framing) => Some(Route::tcp(*framing)),
            Session::TcpHeld(held) => Some(Route::tcp(held.framing)),
            Session::Http(_) | Session::Dialing(_) | Session::TcpEnded(_) => None,
        }
    }

    pub(crate) fn transport(&self) -> Transport {
        match self {
            Session::Http(_) => Transport::Http,
            Session::WebSocket(_) | Session::Dialing(_) => Transport::WebSocket,
            Session::EventStream(_) => Transport::EventStream,
            Session::Poll(_) => Transport::LongPolling,
            Session::Tcp(_) | Session::TcpHeld(_) | Session::TcpEnded(_) => Transport::Tcp,
        }
    }

    /// As what it counts, while it is established.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Session::WebSocket(websocket) if websocket.phase == Phase::Open => match websocket.role() {
                Role::Server if websocket.marks.has(Marks::LABELLED) => Some(Kind::LabelledWebSocket),
                Role::Server => Some(Kind::WebSocket),
                Role::Client => None,
            },
            Session::EventStream(stream) if !stream.is_ended => match stream.is_labelled {
                true => Some(Kind::LabelledEventStream),
                false => Some(Kind::EventStream),
            },
            Session::Poll(poll) if poll.end.is_none() => Some(Kind::LongPolling),
            Session::Tcp(_) | Session::TcpHeld(_) => Some(Kind::Tcp),
            _ => None,
        }
    }

    /// Of a session that messages are posted to, the number of the last that had one.
    pub(crate) fn posted_mut(&mut self) -> Option<&mut u32> {
        match self {
            Session::EventStream(stream) => Some(&mut stream.posted),
            Session::Poll(poll) => Some(&mut poll.posted),
            _ => None,
        }
    }

    /// Memory of what is only partly here.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Session::Http(http) => http.held.as_ref().map_or(0, |held| held.held_bytes()),
            Session::WebSocket(websocket) => websocket.decoder.held_bytes(),
            Session::TcpHeld(held) => held.partial.held_bytes(),
            Session::EventStream(_) | Session::Poll(_) | Session::Tcp(_) | Session::TcpEnded(_) => 0,
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
            Session::Poll(_) => {}
            Session::Tcp(framing) => *self = Session::TcpEnded(*framing),
            Session::TcpHeld(held) => *self = Session::TcpEnded(held.framing),
            Session::TcpEnded(_) => {}
            Session::Dialing(dialing) => dialing.held = None,
        }
        held_bytes
    }
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

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// [`Server::answer_handshake`](crate::Server::answer_handshake).
    Handshake,
    /// [`Server::respond`](crate::Server::respond).
    Response,
    /// Messages to a session of long polling.
    Messages(Fd),
}

/// A package of which only the start is here, and its framing's number.
#[derive(Debug)]
pub(crate) struct HeldPackage {
    pub(crate) framing: u8,
    pub(crate) partial: Partial,
}

impl HeldPackage {
    pub(crate) fn boxed(framing: u8) -> Box<HeldPackage> {
        Box::new(HeldPackage { framing, partial: Partial::default() })
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
    /// It speaks `swio.1`: its messages have labels.
    pub(crate) const LABELLED: u8 = 4;

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

    /// Whether it takes the same frames as all others, and takes them now.
    pub(crate) fn is_plain(&self) -> bool {
        !self.marks.has(Marks::UNFINISHED | Marks::LABELLED) && !self.route.is_outgoing()
    }
}

/// An answer that goes on and on (WHATWG HTML §9.2).
#[derive(Debug, Default)]
pub(crate) struct EventStream {
    pub(crate) route: Route,
    pub(crate) is_ended: bool,
    /// It took nothing when it was last looked at.
    pub(crate) is_stalled: bool,
    /// It speaks `swio.1`: its messages have labels.
    pub(crate) is_labelled: bool,
    /// The number of the last message that was posted with one.
    pub(crate) posted: u32,
}

/// Long polling: what goes to it waits in the outbox of a connection without a socket.
#[derive(Debug)]
pub(crate) struct Poll {
    pub(crate) route: Route,
    /// The client's, as of the request that began it.
    pub(crate) address: Option<SocketAddr>,
    /// The connection whose request waits, or waited last.
    pub(crate) parked: Option<Fd>,
    /// How many messages the client has said that it has.
    pub(crate) acknowledged: u64,
    /// Messages out of the outbox that were sent, perhaps in vain.
    pub(crate) taken: Vec<u8>,
    /// The number of the last message that was posted with one.
    pub(crate) posted: u32,
    /// Why it is ending.
    pub(crate) end: Option<Box<CloseReason>>,
}

impl Poll {
    pub(crate) fn new(route: Route, address: Option<SocketAddr>) -> Poll {
        Poll { route, address, parked: None, acknowledged: 0, taken: Vec::new(), posted: 0, end: None }
    }
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

/// In debug builds mio's streams carry a check of their own, and simulated ones need a tag beside a number.
#[cfg(not(any(debug_assertions, feature = "sim")))]
const _: () = assert!(size_of::<crate::net::connection::Connection<Session>>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::connection::Connection;
    use crate::net::stream::Stream;
    use crate::net::wheel::Wheel;

    #[test]
    fn an_idle_connection_costs_its_stream_60_bytes_and_its_place_in_the_wheel() {
        // In debug builds padded to eights.
        assert_eq!((size_of::<Connection<Session>>() - size_of::<Stream>()).next_multiple_of(8), 64);
        assert_eq!(size_of::<Option<Connection<Session>>>(), size_of::<Connection<Session>>());
        assert_eq!(Wheel::LINK_BYTES, 16);
    }
}
