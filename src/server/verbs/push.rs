//! Sending to one connection, whole messages and parts. Sending to many is in `broadcast`.

use crate::codec::ws::Opcode;
use crate::error::PushError;
use crate::fd::Fd;
use crate::server::Server;
use crate::session::message::Message;

impl Server {
    /// Sends a message to one connection. Strings are sent as text, bytes as binary, and a received
    /// [`Data`](crate::Data) with the kind that it had.
    ///
    /// `Ok` means that the message is in the connection's outbox and will be written, in order, unless the connection
    /// ends first, which `on_close` reports. On an error nothing of it is sent.
    ///
    /// # Errors
    /// [`PushError::Gone`], [`PushError::Closing`], [`PushError::NotOpen`], [`PushError::Unfinished`] in the
    /// middle of a message pushed in parts, or [`PushError::Full`] over the limits of
    /// [`Config::outbox_bytes_max`](crate::Config::outbox_bytes_max).
    ///
    /// ```no_run
    /// # use swio::{Fd, PushError, Server};
    /// fn greet(server: &mut Server, fd: Fd) -> Result<(), PushError> {
    ///     server.push(fd, "text")?;
    ///     server.push(fd, format!("you are number {fd}"))?;
    ///     server.push(fd, &[0xca, 0xfe])
    /// }
    /// ```
    pub fn push<'a>(&mut self, fd: Fd, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        self.sessions.push(fd, message.into())
    }

    /// Sends bytes with an opcode of your choice: text (they must be UTF-8), binary, ping or pong (at most 125 bytes).
    /// They are sent as they are, without the connection's [`Envelope`](crate::Envelope), if it has one.
    ///
    /// # Errors
    /// As for [`Server::push`], and [`PushError::Unsendable`] if opcode and bytes don't go together.
    /// [`Server::disconnect`] sends close frames.
    pub fn push_as(&mut self, fd: Fd, opcode: Opcode, bytes: &[u8]) -> Result<(), PushError> {
        self.sessions.push_as(fd, opcode, bytes)
    }

    /// Sends a part of a message that is too large to have in one piece, or that is still being produced: the first
    /// part as text or binary, each other part as [`Opcode::Continuation`], and the last with `finish`. Each part is a
    /// frame (RFC 6455 §5.4). A text may be cut anywhere, even within a character. The parts are sent as they are,
    /// without the connection's [`Envelope`](crate::Envelope), if it has one.
    ///
    /// Until the last part no other message may come between: a [`push`](Server::push) fails with
    /// [`PushError::Unfinished`], and a [`broadcast`](Server::broadcast) leaves the connection out and says so
    /// ([`Reach::unfinished`](crate::Reach::unfinished)). Pings, pongs and [`disconnect`](Server::disconnect) are
    /// allowed.
    ///
    /// # Errors
    /// As for [`Server::push`]; [`PushError::Unfinished`] if a second message is begun, and [`PushError::Unsendable`]
    /// if there is none to continue, the opcode is a control frame's, a text is not UTF-8, or the connection is not a
    /// WebSocket. After [`PushError::Full`], if the connection lives on, the same part may be pushed again.
    ///
    /// ```no_run
    /// # use swio::{Fd, Opcode, PushError, Server};
    /// fn send_log(server: &mut Server, fd: Fd, lines: &[String]) -> Result<(), PushError> {
    ///     let mut opcode = Opcode::Text;
    ///     for line in lines {
    ///         server.push_part(fd, opcode, line.as_bytes(), false)?;
    ///         opcode = Opcode::Continuation;
    ///     }
    ///     server.push_part(fd, opcode, b"", true)
    /// }
    /// ```
    pub fn push_part(&mut self, fd: Fd, opcode: Opcode, bytes: &[u8], finish: bool) -> Result<(), PushError> {
        self.sessions.push_part(fd, opcode, bytes, finish)
    }

    /// Sends bytes to a connection of any kind as they are, with no frame around them, in order with what else is
    /// pushed.
    ///
    /// This is for protocols of your own. A WebSocket client that did not agree to one takes the bytes for a protocol
    /// error and ends the connection. On HTTP, before an answer, they are taken for that answer: never send what a
    /// client made up.
    ///
    /// # Errors
    /// [`PushError::Gone`], [`PushError::Closing`] or [`PushError::Full`], as for [`Server::push`];
    /// [`PushError::Unsendable`] to a session of long polling or without a socket.
    ///
    /// ```no_run
    /// # use swio::{Fd, PushError, Server};
    /// fn early_hints(server: &mut Server, fd: Fd) -> Result<(), PushError> {
    ///     server.send(fd, b"HTTP/1.1 103 Early Hints\r\nLink: </chat.js>; rel=preload\r\n\r\n")
    /// }
    /// ```
    pub fn send(&mut self, fd: Fd, bytes: &[u8]) -> Result<(), PushError> {
        self.sessions.send(fd, bytes)
    }

    /// Sends a ping of at most 125 bytes, which the peer sends back: `on_pong` gets them. Without bytes the server
    /// uses its own, and the answer gives the [round trip](crate::ClientInfo::round_trip), as for pings that it sends
    /// by itself.
    ///
    /// # Errors
    /// As for [`push_as`](Server::push_as).
    ///
    /// ```no_run
    /// # use swio::{Fd, PushError, Server};
    /// fn measure(server: &mut Server, fd: Fd) -> Result<(), PushError> {
    ///     server.ping(fd, b"")
    /// }
    /// ```
    pub fn ping(&mut self, fd: Fd, data: &[u8]) -> Result<(), PushError> {
        self.sessions.ping(fd, data)
    }
}
