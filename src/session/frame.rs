//! What is received: frames as callbacks see them.

use crate::codec::ws::decoder::Part;
use crate::codec::ws::{Opcode, utf8};
use crate::fd::Fd;
use std::fmt;
use std::ops::Deref;

/// What `on_message` receives: one whole message, its fragments joined; or what came of one, where
/// [`Config::deliver_fragments`](crate::Config::deliver_fragments) asks for that.
///
/// ```no_run
/// # use swio::Server;
/// Server::builder()
///     .listen("127.0.0.1:9501")
///     .configure(|config| {
///         config.deliver_fragments = true;
///         config.message_bytes_max = 1 << 30;
///     })
///     // Back as it comes: the server holds nothing of it, however much it is.
///     .on_message(|server, frame| {
///         server.push_part(frame.fd, frame.opcode, &frame.data, frame.finish).ok();
///     })
///     .run()
/// # .unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Who sent it.
    pub fd: Fd,
    /// [`Opcode::Text`] or [`Opcode::Binary`]; [`Opcode::Continuation`] of all parts but the first.
    pub opcode: Opcode,
    /// The payload. Pushed on as it is, it keeps its kind. A part of a text that is cut within a character is no text
    /// for itself, and counts as binary.
    pub data: Data<'a>,
    /// Whether this is the message's end; always so, unless it is delivered in parts.
    pub finish: bool,
}

impl<'a> Frame<'a> {
    pub(crate) fn new(fd: Fd, opcode: Opcode, bytes: &'a [u8]) -> Frame<'a> {
        Frame { fd, opcode, data: Data { opcode, bytes }, finish: true }
    }

    /// Some of a message of this kind.
    pub(crate) fn part(fd: Fd, kind: Opcode, part: &Part, bytes: &'a [u8]) -> Frame<'a> {
        let is_text = kind == Opcode::Text && utf8::check(bytes).is_ok();
        let data = Data { opcode: if is_text { Opcode::Text } else { Opcode::Binary }, bytes };
        let opcode = if part.is_first { kind } else { Opcode::Continuation };
        Frame { fd, opcode, data, finish: part.is_last }
    }
}

/// A received payload: bytes that know whether they came as text, which is UTF-8 then.
///
/// Reads as `&[u8]`, prints as text, and goes into [`push`](crate::Server::push) and
/// [`broadcast`](crate::Server::broadcast) as a message of its own kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Data<'a> {
    pub(crate) opcode: Opcode,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Data<'a> {
    pub(crate) fn new(opcode: Opcode, bytes: &'a [u8]) -> Data<'a> {
        Data { opcode, bytes }
    }

    /// The text of a text message, `None` of a binary one.
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

/// Text as it is; binary bytes that are no UTF-8 as replacement characters.
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
