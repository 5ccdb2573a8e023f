//! What is received and what is sent: frames as callbacks see them, and messages as callers give them.

use crate::codec::ws::Opcode;
use crate::fd::Fd;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// What `on_message` receives: one whole message, its fragments joined.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Who sent it.
    pub fd: Fd,
    /// [`Opcode::Text`] or [`Opcode::Binary`].
    pub opcode: Opcode,
    /// The payload. Pushed on as it is, it keeps its kind.
    pub data: Data<'a>,
    /// Whether this is the message's end; always so, since fragments are joined.
    pub finish: bool,
}

impl<'a> Frame<'a> {
    pub(crate) fn new(fd: Fd, opcode: Opcode, bytes: &'a [u8]) -> Frame<'a> {
        Frame { fd, opcode, data: Data { opcode, bytes }, finish: true }
    }
}

/// A received payload: bytes that know whether they came as text, which is UTF-8 then.
///
/// Reads as `&[u8]`, prints as text, and goes into [`push`](crate::Server::push) and
/// [`broadcast`](crate::Server::broadcast) as a message of its own kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Data<'a> {
    opcode: Opcode,
    bytes: &'a [u8],
}

impl<'a> Data<'a> {
    /// The text of a text message, `None` of a binary one.
    pub fn as_str(self) -> Option<&'a str> {
        if self.opcode != Opcode::Text {
            return None;
        }
        Some(std::str::from_utf8(self.bytes).expect("text was checked as it arrived"))
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

/// A message to send. Made from what you have: strings become text messages, bytes binary ones, and a
/// received [`Data`] keeps its kind.
///
/// ```
/// use swio::{Message, Opcode};
///
/// assert_eq!(Message::from("hello").opcode(), Opcode::Text);
/// assert_eq!(Message::from(vec![1, 2, 3]).opcode(), Opcode::Binary);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    opcode: Opcode,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Message<'a> {
    /// Text or Binary.
    pub fn opcode(&self) -> Opcode {
        self.opcode
    }

    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Cow<'a, [u8]> {
        self.bytes
    }

    /// The same message, owning its bytes.
    pub fn into_owned(self) -> Message<'static> {
        Message { opcode: self.opcode, bytes: Cow::Owned(self.bytes.into_owned()) }
    }

    fn text(bytes: impl Into<Cow<'a, [u8]>>) -> Message<'a> {
        Message { opcode: Opcode::Text, bytes: bytes.into() }
    }

    fn binary(bytes: impl Into<Cow<'a, [u8]>>) -> Message<'a> {
        Message { opcode: Opcode::Binary, bytes: bytes.into() }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Message<'a> {
        Message::text(text.as_bytes())
    }
}

impl<'a> From<&'a String> for Message<'a> {
    fn from(text: &'a String) -> Message<'a> {
        Message::text(text.as_bytes())
    }
}

impl From<String> for Message<'_> {
    fn from(text: String) -> Self {
        Message::text(text.into_bytes())
    }
}

impl<'a> From<Cow<'a, str>> for Message<'a> {
    fn from(text: Cow<'a, str>) -> Message<'a> {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Message<'a> {
        Message::binary(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    fn from(bytes: &'a [u8; N]) -> Message<'a> {
        Message::binary(bytes.as_slice())
    }
}

impl<'a> From<&'a Vec<u8>> for Message<'a> {
    fn from(bytes: &'a Vec<u8>) -> Message<'a> {
        Message::binary(bytes.as_slice())
    }
}

impl From<Vec<u8>> for Message<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Message::binary(bytes)
    }
}

impl<'a> From<Data<'a>> for Message<'a> {
    fn from(data: Data<'a>) -> Message<'a> {
        Message { opcode: data.opcode, bytes: Cow::Borrowed(data.bytes) }
    }
}
