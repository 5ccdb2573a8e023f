//! What the server reports about itself and its connections.

use crate::fd::Fd;
use crate::net::lost::Lost;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

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

/// What a server has done since it started; see [`stats`](crate::Server::stats).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Stats {
    /// When the server started.
    #[cfg_attr(feature = "serde", serde(with = "crate::session::scalars::unix_millis"))]
    pub started_at: SystemTime,
    /// Connections in the table now, in any state.
    pub connections: usize,
    /// WebSockets open now.
    pub websockets: usize,
    /// Raw TCP connections now, except those that are ending.
    pub tcp: usize,
    /// Event streams open now.
    pub event_streams: usize,
    /// Long-polling sessions open now.
    pub long_polls: usize,
    /// Sessions without a socket that an application [carries](crate::Server::open_session), open now.
    pub sessions: usize,
    /// Connections accepted, those included that were only told that they may not stay.
    pub accepted: u64,
    /// Connections that are gone.
    pub closed: u64,
    /// WebSockets, event streams and sessions opened.
    pub opened: u64,
    /// Plain HTTP requests given to a handler.
    pub requests: u64,
    /// HTTP answers queued. Refusals and answers to polls are included; the start of a WebSocket or event stream is
    /// not.
    pub responses: u64,
    /// Whole messages received, not their fragments; and packages of raw TCP.
    pub messages_received: u64,
    /// Messages that an outbox took: a broadcast counts once for each connection that it reached.
    pub messages_sent: u64,
    /// Bytes read from sockets.
    pub bytes_received: u64,
    /// Bytes that sockets took.
    pub bytes_sent: u64,
    /// Tasks started.
    pub tasks: u64,
    /// Pings sent, heartbeats included.
    pub pings_sent: u64,
    /// Pings received, each of which was answered.
    pub pings_received: u64,
    /// Pongs received.
    pub pongs_received: u64,
    /// Messages that slow connections lost.
    pub lost: Lost,
    /// What was not served, by cause.
    pub refusals: Refusals,
}

impl Stats {
    pub(crate) fn new() -> Stats {
        Stats {
            started_at: SystemTime::now(),
            connections: 0,
            websockets: 0,
            tcp: 0,
            event_streams: 0,
            long_polls: 0,
            sessions: 0,
            accepted: 0,
            closed: 0,
            opened: 0,
            requests: 0,
            responses: 0,
            messages_received: 0,
            messages_sent: 0,
            bytes_received: 0,
            bytes_sent: 0,
            tasks: 0,
            pings_sent: 0,
            pings_received: 0,
            pongs_received: 0,
            lost: Lost::default(),
            refusals: Refusals::default(),
        }
    }
}

/// What a server has refused since it started, by cause: a part of [`Stats`]. Each connection, request or message is
/// counted once.
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
    /// Connections closed over [`messages_per_second_max`](crate::Config::messages_per_second_max).
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

/// What a server holds at the moment; see [`usage`](crate::Server::usage). All of it is 0 if there are no connections,
/// no user timers, no pending work, and no user in [`Config::presence_grace`](crate::Config::presence_grace).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Usage {
    /// Connections in the table, in any state.
    pub connections: usize,
    /// Open WebSockets.
    pub websockets: usize,
    /// Raw TCP connections that are not ending.
    pub tcp: usize,
    /// Open event streams.
    pub event_streams: usize,
    /// Long-polling sessions open now.
    pub long_polls: usize,
    /// Sessions without a socket that an application [carries](crate::Server::open_session), open now.
    pub sessions: usize,
    /// Connections with a deadline.
    pub deadlines: usize,
    /// User timers, deadlines of connections, and subscriptions that wait for an answer.
    pub timers: usize,
    /// Tasks without a result yet.
    pub tasks: usize,
    /// Addresses for which connections are counted.
    pub addresses: usize,
    /// Connections whose socket did not take at once everything that was pushed.
    pub outboxes: usize,
    /// Bytes accepted and not yet written. Bytes that a broadcast queued for many connections count once.
    pub queued_bytes: usize,
    /// Memory that counts against [`Config::outboxes_bytes_max`](crate::Config::outboxes_bytes_max).
    pub outboxes_bytes: usize,
    /// Memory of incomplete messages and requests.
    pub inbound_bytes: usize,
    /// Connections waiting for the reactor to read, flush or reap them.
    pub pending: usize,
    /// Connections that are ending and not gone yet.
    pub ending: usize,
    /// Topics with members, or that had some a moment ago.
    pub topics: usize,
    /// Connections in topics; a connection counts once for each of its topics.
    pub memberships: usize,
    /// Users who have a connection, or were in a topic a moment ago.
    pub users: usize,
    /// Users in topics; a user counts once for each topic.
    pub attendances: usize,
    /// Connections that this server opens to other servers, including those that wait to try again.
    pub clients: usize,
}

/// How long the server's turns took. A turn is everything between two waits, so this is how long a message may have
/// waited for others. Percentiles are at most an eighth too high; see [`turns`](crate::Server::turns).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Turns {
    /// Turns so far.
    pub count: u64,
    /// Half of the turns were shorter.
    #[cfg_attr(feature = "serde", serde(rename = "p50_nanos", with = "crate::session::scalars::nanos"))]
    pub p50: Duration,
    /// One in a hundred turns was longer.
    #[cfg_attr(feature = "serde", serde(rename = "p99_nanos", with = "crate::session::scalars::nanos"))]
    pub p99: Duration,
    /// One in a thousand turns was longer.
    #[cfg_attr(feature = "serde", serde(rename = "p999_nanos", with = "crate::session::scalars::nanos"))]
    pub p999: Duration,
    /// The longest turn.
    #[cfg_attr(feature = "serde", serde(rename = "longest_nanos", with = "crate::session::scalars::nanos"))]
    pub longest: Duration,
}

/// The most user-space memory, in bytes, that the structures of a server can take, whatever its clients do.
/// [`Config::memory_bound`](crate::Config::memory_bound) computes it, and
/// [`Server::memory_bound`](crate::Server::memory_bound) for a running server. It is logged at start.
///
/// Not included: what the kernel holds for sockets; the program itself, and what the allocator loses between pieces;
/// what your own code makes, such as its state, timers, deferred calls, tasks, topics and users.
///
/// ```
/// use swio::Config;
///
/// let mut config = Config::default();
/// config.outboxes_bytes_max = 64 << 20;
/// config.inbound_bytes_max = 16 << 20;
/// config.history_bytes_max = 16 << 20;
/// let bound = config.memory_bound(10_000);
/// assert!(bound.total() < 300 << 20, "{bound}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct MemoryBound {
    /// The number of connections that it is computed for.
    pub connections: usize,
    /// What each connection costs by existing: its place in the table, its deadline, its places in the lists of a
    /// turn, the reason for its end.
    pub table: usize,
    /// All outboxes, with the control frames that go beyond the limit.
    pub outboxes: usize,
    /// Incomplete messages and requests, and the one that is being delivered.
    pub inbound: usize,
    /// What is being written in one turn, a broadcast while it is distributed, and the read buffer.
    pub turn: usize,
    /// Commands from other threads.
    pub mailbox: usize,
    /// What topics keep for clients that reconnect.
    pub histories: usize,
    /// Buffers that are kept for the next use.
    pub spare: usize,
}

impl MemoryBound {
    /// The sum of all parts.
    pub fn total(&self) -> usize {
        [self.table, self.outboxes, self.inbound, self.turn, self.mailbox, self.histories, self.spare]
            .into_iter()
            .fold(0, usize::saturating_add)
    }
}

impl fmt::Display for MemoryBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        write!(
            f,
            "{} MiB for {} connections: table {}, outboxes {}, inbound {}, turn {}, mailbox {}, histories {}, spare {}",
            mib(self.total()),
            self.connections,
            mib(self.table),
            mib(self.outboxes),
            mib(self.inbound),
            mib(self.turn),
            mib(self.mailbox),
            mib(self.histories),
            mib(self.spare),
        )
    }
}
