//! What only a few connections have, in addition to their session.

use crate::codec::ws::utf8;
use crate::net::rare::RareNote;
use crate::session::route::Route;

/// What only a few connections need; see [`net::rare`](crate::net::rare).
#[derive(Debug, Default)]
pub(crate) struct Note {
    /// The application does not want the connection to be read.
    pub(crate) pause: Option<Pause>,
    /// UTF-8 state at the end of the last part of a text that is pushed in parts.
    pub(crate) text: Option<utf8::Validator>,
    /// Frames deferred until the message that is pushed in parts ends.
    pub(crate) held_back: Vec<u8>,
    /// The route whose handler is writing a response body to it. `buffer_route` tells that too, but not once the
    /// connection is ending: its request is dropped then, and this handler still has to be told of the end.
    pub(crate) writer: Option<Route>,
    /// The listener that accepted it, while it speaks HTTP and if the listener has options of its own.
    pub(crate) listener: Option<Route>,
}

impl Note {
    /// Its share of the memory that counts as held for incomplete messages.
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

/// A pause in reading a connection.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    /// Bytes that were read but not decoded yet.
    pub(crate) bytes: Vec<u8>,
    /// Reading starts again at the end of this turn.
    pub(crate) is_ending: bool,
}
