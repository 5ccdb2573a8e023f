//! The clients that a server is: what each wants, and how far it has come.

use crate::codec::ws::handshake_client::Ask;
use crate::fd::Fd;
use crate::net::resolver::Resolver;
use crate::net::timers::TimerId;
use crate::session::route::Route;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{io, vec};

/// Names a [`Client`](crate::Client) of a server for all time, over all its connections; given by
/// [`Server::connect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub(crate) u64);

/// The waits between a client's attempts: each twice as long as the one before, up to a limit, and by chance up to half
/// shorter, so that those who were cut off together do not come back together.
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
    /// No wait is longer. A connection that was open for so long begins anew with the first wait. Default 30 s.
    pub longest: Duration,
    /// Attempts in a row that come to nothing, or to a connection that was open for less than `longest`, until the
    /// client gives up. `None`, the default: any number.
    pub attempts_max: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30), attempts_max: None }
    }
}

impl Backoff {
    /// How long to wait behind so many failures, the first counted as 0; `chance` is from 0 to 1.
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

/// All clients that this server is.
#[derive(Default)]
pub(crate) struct Outgoing {
    pub(crate) clients: HashMap<ClientId, Box<OutgoingClient>>,
    /// Whose the connections are, from the first attempt on.
    pub(crate) fds: HashMap<Fd, ClientId>,
    pub(crate) resolver: Resolver,
    pub(crate) last: u64,
    /// Why the last one that never opened did not.
    pub(crate) failure: Option<io::Error>,
}

pub(crate) struct OutgoingClient {
    pub(crate) target: ClientTarget,
    pub(crate) route: Route,
    /// The handler is nobody else's.
    pub(crate) owns_route: bool,
    /// Those that this attempt has not tried yet.
    pub(crate) addresses: vec::IntoIter<SocketAddr>,
    /// What the handshake was asked for with, once TCP stands.
    pub(crate) key: Option<String>,
    pub(crate) fd: Option<Fd>,
    pub(crate) opened_at: Option<Instant>,
    pub(crate) retry: Option<TimerId>,
    /// Attempts in a row that came to nothing.
    pub(crate) failures: u32,
    pub(crate) is_stopped: bool,
}

impl Outgoing {
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether the connection was begun from here.
    pub(crate) fn has(&self, fd: Fd) -> bool {
        !self.fds.is_empty() && self.fds.contains_key(&fd)
    }

    pub(crate) fn client_mut(&mut self, client: ClientId) -> Option<&mut OutgoingClient> {
        self.clients.get_mut(&client).map(|client| &mut **client)
    }
}
