//! WebSocket (RFC 6455), one concern per file: handshakes (on parsed heads), frame headers, masking, incremental UTF-8,
//! close codes, and the decoder that uses all of them.

pub(crate) mod close;
pub(crate) mod decoder;
pub(crate) mod handshake;
pub(crate) mod handshake_client;
pub(crate) mod header;
pub(crate) mod mask;
pub(crate) mod url;
pub(crate) mod utf8;

use std::fmt;

pub(crate) use decoder::{Decoder, Event, MessageLimits, Spare};

/// The kind of a frame (RFC 6455 §5.2). The numbers are those of the protocol, and of Swoole's constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// A text message: UTF-8.
    Text = 1,
    /// A binary message.
    Binary = 2,
    /// The close frame.
    Close = 8,
    /// A ping.
    Ping = 9,
    /// A pong: the answer to a ping, or sent unasked.
    Pong = 10,
}

impl Opcode {
    pub(crate) fn from_bits(bits: u8) -> Option<Opcode> {
        match bits {
            0 => Some(Opcode::Continuation),
            1 => Some(Opcode::Text),
            2 => Some(Opcode::Binary),
            8 => Some(Opcode::Close),
            9 => Some(Opcode::Ping),
            10 => Some(Opcode::Pong),
            _ => None,
        }
    }

    /// Whether it is a control frame, which may come between the fragments of a message (RFC 6455 §5.5).
    pub const fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// Which end of a WebSocket this side is. Clients must mask what they send, servers must not (RFC 6455 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    #[default]
    Server,
    Client,
}

/// How a peer broke RFC 6455 or exceeded a limit. The peer gets a close code and a reason text for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProtocolError {
    Unmasked,
    Masked,
    ReservedBits,
    ReservedOpcode,
    LengthNotShortest,
    LengthTopBit,
    ControlTooLong,
    ControlFragmented,
    UnexpectedContinuation,
    ExpectedContinuation,
    CloseTooShort,
    CloseCode,
    InvalidUtf8,
    MessageTooBig,
    TooManyFragments,
    /// The server's memory for incomplete messages is used up; not this peer's fault.
    NoRoom,
}

impl ProtocolError {
    /// Also the reason text of the close frame, so at most 123 bytes.
    pub(crate) fn what(self) -> &'static str {
        match self {
            ProtocolError::Unmasked => "client frames must be masked",
            ProtocolError::Masked => "server frames must not be masked",
            ProtocolError::ReservedBits => "reserved bits set",
            ProtocolError::ReservedOpcode => "reserved opcode",
            ProtocolError::LengthNotShortest => "length not in its shortest form",
            ProtocolError::LengthTopBit => "length over 2^63 - 1",
            ProtocolError::ControlTooLong => "control frame over 125 bytes",
            ProtocolError::ControlFragmented => "fragmented control frame",
            ProtocolError::UnexpectedContinuation => "continuation of no message",
            ProtocolError::ExpectedContinuation => "message begun within a message",
            ProtocolError::CloseTooShort => "close payload of one byte",
            ProtocolError::CloseCode => "close code not allowed",
            ProtocolError::InvalidUtf8 => "text is not UTF-8",
            ProtocolError::MessageTooBig => "message over message_bytes_max",
            ProtocolError::TooManyFragments => "too many fragments",
            ProtocolError::NoRoom => "no memory for partial messages",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}
