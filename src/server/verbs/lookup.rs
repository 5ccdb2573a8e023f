//! What can be asked of the server: which connections there are, what is known of each, and what all of them hold.

use crate::codec::ws::Role;
use crate::fd::Fd;
use crate::net::connection::{Flags, Life};
use crate::server::Server;
use crate::server::state::report::{Stats, Turns, Usage};
use crate::session::info::{ClientInfo, Refusals, Status, Transport};
use crate::session::state::Session;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

impl Server {
    /// Whether the fd names a connection, in any state.
    pub fn exists(&self, fd: Fd) -> bool {
        self.sessions.connections.get(fd).is_some()
    }

    /// Whether the fd names an open WebSocket, event stream, session or raw TCP connection: one that can be pushed to.
    pub fn is_established(&self, fd: Fd) -> bool {
        self.sessions.check_established(fd).is_ok()
    }

    /// How many connections are established. Those that [`Server::connect`] opened are not counted.
    pub fn connection_count(&self) -> usize {
        self.sessions.census.all()
    }

    /// All established connections opened by clients, of every kind, in the order of the table. They borrow the server:
    /// to push to each, collect them first, or use [`Server::connections_page`]. To push the same to all,
    /// [broadcast](Server::broadcast).
    ///
    /// ```no_run
    /// # use swio::Server;
    /// fn greet_all(server: &mut Server) {
    ///     for fd in server.connections().collect::<Vec<_>>() {
    ///         server.push(fd, format!("you are {fd}")).ok();
    ///     }
    /// }
    /// ```
    pub fn connections(&self) -> impl Iterator<Item = Fd> {
        self.connections_from(1)
    }

    /// Up to `limit` established connections that come after `after` in the table, or from its start. This is the way
    /// to go through very many over several turns: connections that open and end meanwhile don't disturb it, and
    /// `after` itself may be gone.
    pub fn connections_page(&self, after: Option<Fd>, limit: usize) -> Vec<Fd> {
        self.connections_from(after.map_or(1, |fd| fd.index() + 1)).take(limit).collect()
    }

    fn connections_from(&self, start: u32) -> impl Iterator<Item = Fd> {
        self.sessions
            .connections
            .iter_from(start)
            .map(|(fd, _)| fd)
            .filter(|fd| self.is_established(*fd) && self.sessions.role(*fd) == Role::Server)
    }

    /// The client's address: the one that a proxy of [`trusted_proxies`](crate::Config::trusted_proxies) sent with its
    /// last request (port 0 if it sent no port), or the other end of TCP. The latter is asked of the system each time,
    /// because most connections are never asked about. `None` if the connection is gone.
    pub fn remote_addr(&self, fd: Fd) -> Option<SocketAddr> {
        self.sessions.remote_addr(fd)
    }

    /// Information about a connection; `None` if it is gone.
    pub fn client_info(&self, fd: Fd) -> Option<ClientInfo> {
        let connection = self.sessions.connections.get(fd)?;
        let status = match (&connection.session, connection.life) {
            (Session::Http(_), Life::Open) => Status::Http,
            (Session::Dialing(_), Life::Connecting | Life::Open) => Status::Connecting,
            _ if self.is_established(fd) => Status::Established,
            _ => Status::Closing,
        };
        Some(ClientInfo {
            fd,
            status,
            transport: connection.session.transport(),
            remote_addr: self.remote_addr(fd),
            connected_at: self.sessions.connections.accepted_at(connection),
            last_received_at: self.sessions.connections.instant(connection.heard),
            queued_bytes: connection.queued_bytes(),
            held_bytes: connection.session.held_bytes() + self.sessions.kept_bytes(fd),
            local_addr: connection.stream.local_addr(),
            round_trip: match &connection.session {
                Session::WebSocket(websocket) => {
                    websocket.round_trip.map(|trip| Duration::from_millis(trip.get().into()))
                }
                _ => None,
            },
            is_paused: connection.flags.has(Flags::PAUSED_BY_USER),
            is_protected: connection.flags.has(Flags::PROTECTED),
            uid: self.uid(fd).map(Box::from),
            lost: self.sessions.connections.lost(fd),
        })
    }

    /// What the server has done since it started, and what it refused. [`usage`](Server::usage) is what it holds at
    /// the moment, [`turns`](Server::turns) how long its turns take.
    ///
    /// ```no_run
    /// # use swio::Server;
    /// fn report(server: &Server) -> String {
    ///     let stats = server.stats();
    ///     format!("{} open, {} messages, {} over a rate", stats.websockets, stats.messages_received,
    ///         stats.refusals.message_rate + stats.refusals.byte_rate)
    /// }
    /// ```
    pub fn stats(&self) -> Stats {
        let traffic = &self.sessions.connections.traffic;
        let counters = &self.sessions.counters;
        Stats {
            started_at: self.started_at,
            connections: self.sessions.connections.len(),
            websockets: self.sessions.census[Transport::WebSocket],
            tcp: self.sessions.census[Transport::Tcp],
            event_streams: self.sessions.census[Transport::EventStream],
            long_polls: self.sessions.census[Transport::LongPolling],
            sessions: self.sessions.census[Transport::Session],
            accepted: traffic.accepted,
            closed: traffic.closed,
            opened: counters.opened,
            requests: counters.requests,
            responses: counters.responses,
            messages_received: counters.messages_received,
            messages_sent: counters.messages_sent,
            bytes_received: traffic.bytes_received,
            bytes_sent: traffic.bytes_sent,
            tasks: self.tasks.started(),
            pings_sent: counters.pings_sent,
            pings_received: counters.pings_received,
            pongs_received: counters.pongs_received,
            lost: self.sessions.connections.lost_by_all(),
            refusals: Refusals {
                server_full: traffic.server_full,
                memory_full: traffic.memory_full,
                address_full: traffic.address_full,
                ..counters.refusals
            },
        }
    }

    /// What the server holds at the moment: for monitoring, and for tests that it leaks nothing.
    pub fn usage(&self) -> Usage {
        let holdings = self.sessions.connections.holdings();
        Usage {
            connections: holdings.connections,
            websockets: self.sessions.census[Transport::WebSocket],
            tcp: self.sessions.census[Transport::Tcp],
            event_streams: self.sessions.census[Transport::EventStream],
            long_polls: self.sessions.census[Transport::LongPolling],
            sessions: self.sessions.census[Transport::Session],
            deadlines: holdings.deadlines,
            timers: self.timers.len(),
            tasks: self.tasks.len(),
            addresses: holdings.addresses,
            outboxes: holdings.outboxes,
            queued_bytes: holdings.queued_bytes,
            outboxes_bytes: self.sessions.connections.outboxes_bytes(),
            inbound_bytes: self.sessions.connections.inbound_bytes(),
            pending: holdings.pending,
            ending: holdings.ending,
            topics: self.rooms.topics.len(),
            memberships: self.rooms.topics.memberships(),
            users: self.rooms.users.len(),
            attendances: self.rooms.roster.len(),
            clients: self.outgoing.len(),
        }
    }

    /// How long this server's turns took, since it started. A long turn means a slow callback, or very much to do at
    /// once: the server's own work is put off to the next turn after 2 ms of input and 2 ms of output. Turns of a
    /// second and more are logged as warnings, the first and then one in a hundred.
    pub fn turns(&self) -> Turns {
        let turns = &self.sessions.connections.turns;
        Turns {
            count: turns.count(),
            p50: turns.all_but(500),
            p99: turns.all_but(10),
            p999: turns.all_but(1),
            longest: turns.longest(),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("usage", &self.usage()).finish_non_exhaustive()
    }
}
