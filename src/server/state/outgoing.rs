//! Connections that this server opens as a client: what each client wants, and its state.

use crate::codec::ws::handshake_client::Ask;
use crate::fd::Fd;
use crate::net::resolver::Resolver;
use crate::server::state::timers::TimerId;
use crate::session::route::Route;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{io, vec};

/// Identifies a [`Client`](crate::Client) of a server for ever, over all its connections; returned by
/// [`Server::connect`](crate::Server::connect).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub(crate) u64);

/// The waits between a client's attempts: each twice as long as the one before, up to a limit, and shortened by a
/// random part of up to half, so that clients that were cut off together do not come back together.
///
/// ```
/// use std::time::Duration;
/// use swio::{Backoff, Client};
///
/// let client = Client::connect("ws://127.0.0.1:9501/chat")
///     .reconnect(Backoff { longest: Duration::from_secs(10), ..Backoff::default() });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait. Default 500 ms.
    pub first: Duration,
    /// The longest wait. After a connection that was open for so long, the next wait is the first one again. Default
    /// 30 s.
    pub longest: Duration,
    /// Attempts in a row that fail, or whose connection was open for less than `longest`, until the client gives up.
    /// `None`, the default: any number.
    pub attempts_max: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30), attempts_max: None }
    }
}

impl Backoff {
    /// How long to wait after so many failures, counted from 0; `chance` is from 0 to 1.
    pub(crate) fn wait(&self, failures: u32, chance: f64) -> Duration {
        let grown = self.first.saturating_mul(2u32.saturating_pow(failures.min(31)));
        grown.min(self.longest).mul_f64(1.0 - chance / 2.0)
    }
}

/// What a client wants.
#[derive(Clone, Debug)]
pub(crate) struct ClientTarget {
    pub(crate) ask: Ask,
    pub(crate) backoff: Option<Backoff>,
}

/// All clients that this server runs.
#[derive(Default)]
pub(crate) struct Outgoing {
    pub(crate) clients: HashMap<ClientId, Box<OutgoingClient>>,
    /// The clients of connections, from the first attempt on.
    pub(crate) fds: HashMap<Fd, ClientId>,
    pub(crate) resolver: Resolver,
    pub(crate) last: u64,
    /// Why the last client whose connection never opened gave up.
    pub(crate) failure: Option<io::Error>,
}

pub(crate) struct OutgoingClient {
    pub(crate) target: ClientTarget,
    pub(crate) route: Route,
    /// The handler belongs to this client alone.
    pub(crate) owns_route: bool,
    /// The addresses that this attempt has not tried yet.
    pub(crate) addresses: vec::IntoIter<SocketAddr>,
    /// The key of the handshake, once it was sent.
    pub(crate) key: Option<String>,
    pub(crate) fd: Option<Fd>,
    pub(crate) opened_at: Option<Instant>,
    pub(crate) retry: Option<TimerId>,
    /// Attempts in a row that failed.
    pub(crate) failures: u32,
    pub(crate) is_stopped: bool,
}

impl Outgoing {
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether this server opened the connection.
    pub(crate) fn has(&self, fd: Fd) -> bool {
        !self.fds.is_empty() && self.fds.contains_key(&fd)
    }

    pub(crate) fn client_mut(&mut self, client: ClientId) -> Option<&mut OutgoingClient> {
        self.clients.get_mut(&client).map(|client| &mut **client)
    }
}
