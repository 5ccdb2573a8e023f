//! Protocol state of one connection: where in its HTTP or WebSocket life it is. Kept to 16 bytes; what only a
//! connection in the middle of something needs is behind a pointer.

use super::routes::Route;
use crate::codec::http::body::Body;
use crate::codec::ws::Decoder;

#[derive(Debug)]
pub(crate) enum Session {
    Http(Http),
    WebSocket(WebSocket),
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
}

#[derive(Debug, Default)]
pub(crate) struct WebSocket {
    pub(crate) decoder: Decoder,
    pub(crate) phase: Phase,
    /// A ping went out, and nothing was heard since.
    pub(crate) is_pinged: bool,
    /// Whose connection it is.
    pub(crate) route: Route,
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

/// In debug builds mio's streams carry a check of their own.
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<crate::net::connection::Connection<Session>>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::connection::Connection;
    use crate::net::stream::Stream;
    use crate::net::wheel::Wheel;

    #[test]
    fn an_idle_connection_costs_56_bytes_its_stream_and_its_place_in_the_wheel() {
        assert_eq!(size_of::<Connection<Session>>() - size_of::<Stream>(), 56);
        assert_eq!(size_of::<Option<Connection<Session>>>(), size_of::<Connection<Session>>());
        assert_eq!(Wheel::LINK_BYTES, 16);
    }
}
