//! What the server reports about itself: what it has done, what it holds, how long its turns take, and the most memory
//! that it can take.

use crate::net::lost::Lost;
use crate::session::info::Refusals;
use std::fmt;
use std::time::{Duration, SystemTime};

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
