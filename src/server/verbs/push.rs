//! Sending to one connection, whole messages and parts. What goes to many is in `broadcast`.

use crate::codec::ws::Opcode;
use crate::error::PushError;
use crate::fd::Fd;
use crate::server::Server;
use crate::session::message::Message;

impl Server {
    /// Sends a message to one connection. Strings go as text, bytes as binary, a received
    /// [`Data`](crate::Data) as what it came as.
    ///
    /// `Ok` means that the message is in the connection's outbox and will be written, in order, unless the
    /// connection ends first; then `on_close` tells. On an error nothing of it is sent.
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

    /// Sends bytes with an opcode of your choice: text (they must be UTF-8), binary, ping or pong (at most
    /// 125 bytes). They go as they are, not in the connection's [`Envelope`](crate::Envelope), if it has one.
    ///
    /// # Errors
    /// As for [`Server::push`], and [`PushError::Unsendable`] where opcode and bytes don't go together. A
    /// close frame is [`Server::disconnect`]'s.
    pub fn push_as(&mut self, fd: Fd, opcode: Opcode, bytes: &[u8]) -> Result<(), PushError> {
        self.sessions.push_as(fd, opcode, bytes)
    }

    /// Sends part of a message, for one that is too large to have in one piece, or that is only being made: the
    /// first part as text or binary, each that follows as [`Opcode::Continuation`], and the last with `finish`.
    /// Each part is a frame (RFC 6455 §5.4). A text may be cut anywhere, also within a character. The parts go as they
    /// are, not in the connection's [`Envelope`](crate::Envelope), if it has one.
    ///
    /// Until the last part no other message may come between: a [`push`](Server::push) is
    /// [`PushError::Unfinished`], and a [`broadcast`](Server::broadcast) leaves the connection out and says so
    /// ([`Reach::unfinished`](crate::Reach::unfinished)). Pings, pongs and [`disconnect`](Server::disconnect) may.
    ///
    /// # Errors
    /// As for [`Server::push`]; [`PushError::Unfinished`] where a second message is begun, and
    /// [`PushError::Unsendable`] where there is none to continue, the opcode is a control frame's, a text is no
    /// UTF-8, or the connection is no WebSocket. After [`PushError::Full`], where the connection lives on, the same
    /// part may be pushed again.
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

    /// Sends bytes to a connection as they are, with no frame around them: after what was pushed to it before, and
    /// before what is pushed later.
    ///
    /// This is for protocols of your own. To a WebSocket that did not agree to one it is
    /// an error of yours that the client ends the connection for, and on HTTP, ahead of an answer, it is taken for
    /// that answer: never send what a client made up.
    ///
    /// # Errors
    /// [`PushError::Gone`], [`PushError::Closing`] or [`PushError::Full`], as for [`Server::push`];
    /// [`PushError::Unsendable`] to a session of long polling, whose answers are JSON, and to a
    /// [session without a socket](Server::open_session).
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

    /// Sends a ping of at most 125 bytes, which the peer sends back: `on_pong` is told. Without bytes the server puts
    /// its own in, by which the answer gives the [round trip](crate::ClientInfo::round_trip), as those do that it sends
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
