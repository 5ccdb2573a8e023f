//! What is told of a connection, and what connections were refused.

use crate::fd::Fd;
use crate::net::lost::Lost;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Information about one connection; see [`client_info`](crate::Server::client_info).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientInfo {
    /// The connection.
    pub fd: Fd,
    /// Its state.
    pub status: Status,
    /// How messages are sent to it.
    pub transport: Transport,
    /// The client's address; see [`remote_addr`](crate::Server::remote_addr).
    pub remote_addr: Option<SocketAddr>,
    /// When it was accepted, to 64 ms.
    pub connected_at: Instant,
    /// When bytes last came from it, to 64 ms.
    pub last_received_at: Instant,
    /// Bytes that were pushed to it and are not yet written to its socket.
    pub queued_bytes: usize,
    /// The local address that it connected to.
    pub local_addr: Option<SocketAddr>,
    /// The last measured time between a ping and its pong, to 1 ms, including the server's own turns. `None` if none
    /// was measured yet. Answers that took over a minute are not measured.
    pub round_trip: Option<Duration>,
    /// Whether it is not read for now: [`pause`](crate::Server::pause).
    pub is_paused: bool,
    /// Whether silence does not end it: [`protect`](crate::Server::protect).
    pub is_protected: bool,
    /// Memory of an incomplete message or request from it.
    pub held_bytes: usize,
    /// Its user, if [`bind`](crate::Server::bind) has named one.
    pub uid: Option<Box<str>>,
    /// Messages to it that were dropped because it reads too slowly.
    pub lost: Lost,
}

/// How messages are sent to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Transport {
    /// Answers to requests only.
    Http,
    /// Frames, both ways.
    WebSocket,
    /// Events of an event stream, and messages from the client by POST; see
    /// [`Config::event_streams`](crate::Config::event_streams).
    EventStream,
    /// Answers to requests that wait for messages, and messages from the client by POST; see
    /// [`Config::long_polling`](crate::Config::long_polling).
    LongPolling,
    /// Output that an application takes and carries: a [session without a socket](crate::Server::open_session).
    Session,
    /// Packages of raw TCP, both ways.
    Tcp,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Status {
    /// It speaks HTTP, or has not spoken yet.
    Http,
    /// This server is [opening](crate::Server::connect) it, and it is not open yet.
    Connecting,
    /// An open WebSocket, event stream, session, or raw TCP connection.
    Established,
    /// It is ending.
    Closing,
}

/// What a server has refused since it started, by cause: a part of [`Stats`](crate::Stats). Each connection, request or
/// message is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Refusals {
    /// Connections over [`connections_max`](crate::Config::connections_max).
    pub server_full: u64,
    /// Connections that came while [`outboxes_bytes_max`](crate::Config::outboxes_bytes_max) or
    /// [`inbound_bytes_max`](crate::Config::inbound_bytes_max) was nearly used up.
    pub memory_full: u64,
    /// Connections over [`connections_per_address_max`](crate::Config::connections_per_address_max).
    pub address_full: u64,
    /// Requests whose head was over [`head_bytes_max`](crate::Config::head_bytes_max) or had too many lines.
    pub head_too_big: u64,
    /// Requests whose body was over [`body_bytes_max`](crate::Config::body_bytes_max).
    pub body_too_big: u64,
    /// Requests that were incomplete after [`request_timeout`](crate::Config::request_timeout).
    pub request_timeout: u64,
    /// Malformed requests, including handshakes that break RFC 6455 §4.2.1.
    pub bad_request: u64,
    /// Handshakes of pages that [`origins`](crate::Config::origins) does not allow.
    pub origin: u64,
    /// Requests for hosts that [`hosts`](crate::Config::hosts) does not let in.
    pub host: u64,
    /// Requests for paths without a [route](crate::Builder::route).
    pub not_found: u64,
    /// Handshakes that `on_handshake` refused.
    pub handshake: u64,
    /// Messages and requests for which there was no room within
    /// [`inbound_bytes_max`](crate::Config::inbound_bytes_max).
    pub inbound_full: u64,
    /// Handshakes, and connections to raw TCP, over
    /// [`handshakes_per_address_max`](crate::Config::handshakes_per_address_max).
    pub handshake_rate: u64,
    /// Connections closed, and polls and posts refused, over
    /// [`messages_per_second_max`](crate::Config::messages_per_second_max).
    pub message_rate: u64,
    /// Connections closed over [`bytes_per_second_max`](crate::Config::bytes_per_second_max).
    pub byte_rate: u64,
    /// Connections closed, and posts refused, over [`message_bytes_max`](crate::Config::message_bytes_max) or
    /// [`fragments_max`](crate::Config::fragments_max).
    pub message_too_big: u64,
    /// Texts that are not UTF-8: WebSockets closed, posts refused.
    pub invalid_utf8: u64,
    /// WebSockets closed for any other violation of RFC 6455, and raw TCP for a violation of its framing.
    pub protocol: u64,
    /// Pushes that a full outbox did not take: a broadcast counts once for each connection that it missed.
    pub pushes: u64,
    /// Connections ended because they did not read what was sent.
    pub slow_consumer: u64,
    /// Connections ended because nothing was received from them: no request, no answer to a ping or close frame.
    pub timeout: u64,
    /// WebSockets and raw TCP closed because their peers sent no message in
    /// [`idle_timeout`](crate::Config::idle_timeout).
    pub idle: u64,
    /// Calls of callbacks, timers and deferred closures that panicked.
    pub panics: u64,
}
