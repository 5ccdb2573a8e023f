//! Errors for callers, and the reasons why connections end. Knows no protocol and no socket.

use crate::config::ConfigError;
use std::fmt;
use std::io;

/// Why a push was refused. Nothing of the message was sent or kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PushError {
    /// No such connection (any more). The fd will never be valid again.
    Gone,
    /// The connection is closing: nothing may follow the close frame (RFC 6455 §5.5.1).
    Closing,
    /// The connection has not finished its handshake, or only speaks HTTP.
    NotOpen,
    /// The connection's outbox, or all outboxes together, would exceed their limit
    /// ([`Config::outbox_bytes_max`](crate::Config::outbox_bytes_max),
    /// [`outboxes_bytes_max`](crate::Config::outboxes_bytes_max)). With
    /// [`SlowConsumer::Close`](crate::SlowConsumer::Close) the connection is being closed now.
    Full,
    /// The payload can't be sent with this opcode: text that is not UTF-8, a control frame over 125 bytes,
    /// or an opcode that is not a message's (to close, use [`disconnect`](crate::Server::disconnect)). On raw TCP: what
    /// its [`Framing`](crate::Framing) can't carry. To a response body: more than its
    /// [`content_length`](crate::ResponseHead::content_length).
    Unsendable,
    /// A message that is pushed in parts ([`push_part`](crate::Server::push_part)) is not finished, and no other
    /// message may come between its parts (RFC 6455 §5.4).
    Unfinished,
    /// No response body is being written to the connection: none was begun, or it has ended
    /// ([`write_body`](crate::Server::write_body)).
    NoBody,
    /// From a [`Handle`](crate::Handle) only: the mailbox is full. Try again later.
    Busy,
    /// From a [`Handle`](crate::Handle) only: the server has ended.
    Stopped,
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PushError::Gone => "no such connection (any more)",
            PushError::Closing => "the connection is closing",
            PushError::NotOpen => "the connection is not open yet, or speaks nothing but HTTP",
            PushError::Full => "the outbox is full: the message is too large, or the peer reads too slowly",
            PushError::Unsendable => "the payload is not valid for its opcode, or the framing can't carry it",
            PushError::Unfinished => "a message pushed in parts is not finished",
            PushError::NoBody => "no response body is being written",
            PushError::Busy => "the server's mailbox is full",
            PushError::Stopped => "the server has ended",
        })
    }
}

impl std::error::Error for PushError {}

/// Why a connection could not join a topic or be bound to a user. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum JoinError {
    /// No such connection (any more). The fd will never be valid again.
    Gone,
    /// The connection is closing.
    Closing,
    /// The connection has not finished its handshake, or only speaks HTTP.
    NotOpen,
    /// The topic's name, or the uid, is empty or too long ([`Config::topic_bytes_max`](crate::Config::topic_bytes_max),
    /// [`Config::uid_bytes_max`](crate::Config::uid_bytes_max)).
    NameLength,
    /// What is said about a user is too long ([`Config::user_data_bytes_max`](crate::Config::user_data_bytes_max)).
    DataLength,
    /// The connection is in as many topics as allowed
    /// ([`Config::topics_per_connection_max`](crate::Config::topics_per_connection_max)).
    ConnectionFull,
    /// This would be a new topic, and there are as many as allowed
    /// ([`Config::topics_max`](crate::Config::topics_max)).
    TopicsFull,
    /// The system gives no random numbers, without which a [history](crate::Server::keep_history) has no ids.
    NoRandomness,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JoinError::Gone => "no such connection (any more)",
            JoinError::Closing => "the connection is closing",
            JoinError::NotOpen => "the connection is not open yet, or speaks nothing but HTTP",
            JoinError::NameLength => {
                "the name is empty or longer than topic_bytes_max (of a user id: uid_bytes_max)"
            }
            JoinError::DataLength => "the user's data is longer than user_data_bytes_max",
            JoinError::ConnectionFull => "the connection is in too many topics (topics_per_connection_max)",
            JoinError::TopicsFull => "there are too many topics (topics_max)",
            JoinError::NoRandomness => "the system gives no random numbers",
        })
    }
}

impl std::error::Error for JoinError {}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The other side, or the network between.
    Peer,
    /// This side: the server, or the [`Client`](crate::Client).
    Local,
}

/// What ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Somebody wanted it: the peer sent a close frame, or ended its side of raw TCP between packages, or
    /// [`disconnect`](crate::Server::disconnect) was called.
    Requested,
    /// The peer ended the TCP connection without a close frame.
    Lost,
    /// The connection failed with this error.
    Io(io::ErrorKind),
    /// The peer was silent for too long, and did not answer a ping either.
    Timeout,
    /// The client sent no message in [`idle_timeout`](crate::Config::idle_timeout).
    Idle,
    /// A client's handshake was answered with this status instead of 101.
    Refused(u16),
    /// The peer read too slowly what was pushed to it.
    SlowConsumer,
    /// The peer broke the protocol; the text says how.
    Protocol(&'static str),
    /// The peer sent more than a limit allows; the text says which.
    TooBig(&'static str),
    /// A resource of the server was used up; the text says which.
    Overload(&'static str),
    /// The peer sent faster than a limit allows; the text says which.
    RateLimited(&'static str),
    /// A callback panicked.
    Panic,
    /// The socket goes on as another connection's, that of the session that
    /// [adopted](crate::Server::adopt) this WebSocket.
    Adopted,
    /// The server is shutting down.
    Shutdown,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Requested => f.write_str("requested"),
            Cause::Lost => f.write_str("connection lost"),
            Cause::Io(kind) => write!(f, "I/O error: {kind}"),
            Cause::Timeout => f.write_str("timeout"),
            Cause::Idle => f.write_str("idle for too long"),
            Cause::Refused(status) => write!(f, "handshake refused with status {status}"),
            Cause::SlowConsumer => f.write_str("slow consumer"),
            Cause::Protocol(what) => write!(f, "protocol error: {what}"),
            Cause::TooBig(what) => write!(f, "too big: {what}"),
            Cause::Overload(what) => write!(f, "overload: {what}"),
            Cause::RateLimited(what) => write!(f, "rate limited: {what}"),
            Cause::Adopted => f.write_str("adopted by a session"),
            Cause::Panic => f.write_str("a callback panicked"),
            Cause::Shutdown => f.write_str("server shutdown"),
        }
    }
}

/// Why a connection ended, as `on_close` gets it. The first reason counts: a reset after a close does not replace it.
///
/// ```
/// use swio::{Cause, CloseReason, Side};
///
/// let reason = CloseReason::new(Side::Peer, 1001, "going away", Cause::Requested);
/// assert_eq!(reason.to_string(), "closed by the peer, 1001 \"going away\"");
/// let what = "message over message_bytes_max";
/// let reason = CloseReason::new(Side::Local, 1009, what, Cause::TooBig(what));
/// assert_eq!(reason.to_string(), "closed by this side, 1009 (too big: message over message_bytes_max)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReason {
    /// Who ended it.
    pub by: Side,
    /// The close code (RFC 6455 §7.4.1) of the side that began to close; what the other side answered does not matter.
    /// 1005 if the peer's close frame had no code, 1006 if there was no close frame. Raw TCP has no close codes: there
    /// it is 1005 if the peer ended its side between packages, and a code that the server sets reaches only your
    /// callback.
    pub code: u16,
    /// The reason text of the close frame; often empty.
    pub text: Box<str>,
    /// What ended it.
    pub cause: Cause,
}

impl CloseReason {
    /// Makes a reason, for tests of your handlers.
    pub fn new(by: Side, code: u16, text: &str, cause: Cause) -> CloseReason {
        CloseReason { by, code, text: text.into(), cause }
    }

    /// Of a connection that ends without a close frame.
    pub(crate) fn without_frame(by: Side, cause: Cause) -> CloseReason {
        CloseReason::new(by, 1006, "", cause)
    }
}

impl std::error::Error for CloseReason {}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            Side::Peer => "the peer",
            Side::Local => "this side",
        };
        write!(f, "closed by {by}, {}", self.code)?;
        // Most causes repeat the text that the peer was sent, and say more.
        let cause = if self.cause == Cause::Requested { String::new() } else { self.cause.to_string() };
        if !self.text.is_empty() && !cause.ends_with(&*self.text) {
            write!(f, " {:?}", self.text)?;
        }
        if cause.is_empty() { Ok(()) } else { write!(f, " ({cause})") }
    }
}

/// What went wrong, as `on_error` gets it. If it ends a connection, `on_close` is called as well.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// A callback panicked. The WebSocket that it served is closed with 1011, a request gets status 500; no other
    /// connection is affected.
    Panic {
        /// The callback's name, such as `on_message`.
        callback: &'static str,
        /// The message of the panic, if it has one that is text.
        message: String,
    },
    /// The peer broke the protocol, or exceeded a limit. The connection is being closed with this code.
    Protocol {
        /// The close code that the peer is sent, unless it speaks raw TCP.
        code: u16,
        /// What the peer did wrong.
        what: &'static str,
    },
    /// A connection could not be accepted, for instance because the process can open no more files. The server tries
    /// again after a pause.
    Accept(io::Error),
    /// A [`Client`](crate::Client) could not connect. Reported for each attempt; a client that
    /// [reconnects](crate::Client::reconnect) tries again after a wait.
    Connect {
        /// The server's URL.
        url: Box<str>,
        /// What went wrong.
        cause: Cause,
        /// Details, if there are any: the resolver's error, or the status line that came instead of 101.
        text: Box<str>,
    },
    /// SIGHUP came, but the settings file has an error. Nothing was changed.
    Settings(ConfigError),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Panic { callback, message } => write!(f, "{callback} panicked: {message}"),
            // The peer is told the same by these codes (RFC 6455 §7.4.1).
            Fault::Protocol { code: code @ (1008 | 1009), what } => {
                write!(f, "the peer exceeded a limit ({code}): {what}")
            }
            Fault::Protocol { code, what } => write!(f, "the peer broke the protocol ({code}): {what}"),
            Fault::Accept(error) => write!(f, "accept failed: {error}"),
            Fault::Connect { url, cause, text } if text.is_empty() => {
                write!(f, "can't connect to {url}: {cause}")
            }
            // The system's error text says it all.
            Fault::Connect { url, cause: Cause::Io(_), text } => write!(f, "can't connect to {url}: {text}"),
            Fault::Connect { url, cause, text } => write!(f, "can't connect to {url}: {cause}: {text}"),
            Fault::Settings(error) => write!(f, "the settings were not applied: {error}"),
        }
    }
}

impl std::error::Error for Fault {}
