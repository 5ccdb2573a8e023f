//! Received messages, as callbacks see them.

use crate::codec::ws::decoder::Part;
use crate::codec::ws::{Opcode, utf8};
use crate::fd::Fd;
use std::fmt;
use std::ops::Deref;

/// What `on_message` receives: one whole message, its fragments joined; or the parts of a message as they arrive, if
/// [`Config::deliver_fragments`](crate::Config::deliver_fragments) is set.
///
/// ```no_run
/// # use swio::Server;
/// Server::builder()
///     .listen("127.0.0.1:9501")
///     .configure(|config| {
///         config.deliver_fragments = true;
///         config.message_bytes_max = 1 << 30;
///     })
///     // Echoes each part as it comes: the server holds nothing of a message, however long it is.
///     .on_message(|server, frame| {
///         server.push_part(frame.fd, frame.opcode, &frame.data, frame.finish).ok();
///     })
///     .run()
/// # .unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// The sender.
    pub fd: Fd,
    /// [`Opcode::Text`] or [`Opcode::Binary`]; [`Opcode::Continuation`] for every part but the first.
    pub opcode: Opcode,
    /// The payload. If you push it on, it keeps its kind. A part of a text that is cut within a character is not a
    /// text by itself, and counts as binary.
    pub data: Data<'a>,
    /// Whether this is the end of the message. Always true, unless messages are delivered in parts.
    pub finish: bool,
}

impl<'a> Frame<'a> {
    pub(crate) fn new(fd: Fd, opcode: Opcode, bytes: &'a [u8]) -> Frame<'a> {
        Frame { fd, opcode, data: Data { opcode, bytes }, finish: true }
    }

    /// A part of a message of this kind.
    pub(crate) fn part(fd: Fd, kind: Opcode, part: &Part, bytes: &'a [u8]) -> Frame<'a> {
        let is_text = kind == Opcode::Text && utf8::check(bytes).is_ok();
        let data = Data { opcode: if is_text { Opcode::Text } else { Opcode::Binary }, bytes };
        let opcode = if part.is_first { kind } else { Opcode::Continuation };
        Frame { fd, opcode, data, finish: part.is_last }
    }
}

/// A received payload and its kind. If it came as text, it is valid UTF-8.
///
/// It dereferences to `[u8]`, prints as text, and can be given to [`push`](crate::Server::push) and
/// [`broadcast`](crate::Server::broadcast) as a message of the same kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Data<'a> {
    pub(crate) opcode: Opcode,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Data<'a> {
    pub(crate) fn new(opcode: Opcode, bytes: &'a [u8]) -> Data<'a> {
        Data { opcode, bytes }
    }

    /// The text of a text message, `None` for a binary message.
    pub fn as_str(self) -> Option<&'a str> {
        if self.opcode != Opcode::Text {
            return None;
        }
        Some(utf8::text(self.bytes).expect("text was checked as it arrived"))
    }

    /// The bytes, for as long as the callback runs.
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }
}

impl Deref for Data<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl AsRef<[u8]> for Data<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

/// Text as it is. In binary data, whatever is not UTF-8 becomes replacement characters.
impl fmt::Display for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.bytes))
    }
}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) => text.fmt(f),
            None => self.bytes.fmt(f),
        }
    }
}
