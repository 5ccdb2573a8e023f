//! What the server tells of itself and of its connections.

use crate::fd::Fd;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What is known of one connection; see [`client_info`](crate::Server::client_info).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientInfo {
    /// The connection.
    pub fd: Fd,
    /// How far it has come.
    pub status: Status,
    /// The address of the other end of TCP.
    pub remote_addr: Option<SocketAddr>,
    /// When it was accepted, to 64 ms.
    pub connected_at: Instant,
    /// When bytes last came from it, to 64 ms.
    pub last_received_at: Instant,
    /// Bytes pushed to it and not yet written.
    pub queued_bytes: usize,
    /// Memory of a message or request of it that is only partly here.
    pub held_bytes: usize,
    /// Whose it is, where [`bind`](crate::Server::bind) has said so.
    pub uid: Option<Box<str>>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It speaks HTTP, or has not spoken yet.
    Http,
    /// An open WebSocket.
    Established,
    /// It is ending.
    Closing,
}

/// What a server holds at the moment; see [`usage`](crate::Server::usage). With no connections, no user
/// timers, nothing to do and no user in [`Config::presence_grace`](crate::Config::presence_grace), all of it is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Connections in the table, in whatever state.
    pub connections: usize,
    /// Open WebSockets.
    pub websockets: usize,
    /// Connections with a deadline.
    pub deadlines: usize,
    /// User timers.
    pub timers: usize,
    /// Addresses that connections are counted for.
    pub addresses: usize,
    /// Connections whose socket did not take at once what was pushed.
    pub outboxes: usize,
    /// Bytes accepted and not yet written; what one broadcast queued for many is there once.
    pub queued_bytes: usize,
    /// Memory of messages and requests that are only partly here.
    pub inbound_bytes: usize,
    /// Connections waiting for the reactor to read, flush or reap them.
    pub pending: usize,
    /// Connections that are known to end and are not gone yet.
    pub ending: usize,
    /// Topics that somebody is in, or was a moment ago.
    pub topics: usize,
    /// Connections in topics, each counted for each of its topics.
    pub memberships: usize,
    /// Users who have a connection, or were in a topic a moment ago.
    pub users: usize,
    /// Users in topics, each counted for each of them.
    pub attendances: usize,
}

/// How long the server's turns took: one turn is everything between two waits, so this is how long a message may have
/// waited for others. Percentiles are at most an eighth too high; see [`turns`](crate::Server::turns).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turns {
    /// Turns so far.
    pub count: u64,
    /// Half of them were shorter.
    pub p50: Duration,
    /// One of a hundred was longer.
    pub p99: Duration,
    /// One of a thousand was longer.
    pub p999: Duration,
    /// The longest.
    pub longest: Duration,
}
