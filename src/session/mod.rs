//! The protocol of one connection: HTTP, WebSockets, event streams, long polling and raw TCP, from bytes to events and
//! from messages to bytes; also closing, liveness and deferred answers. This layer acts on one connection at a time,
//! or on any number of connections given by their indices. It knows no handler, topic or user and never touches a
//! socket. The server layer above it calls the handlers.

pub(crate) mod adopt;
pub(crate) mod body;
pub(crate) mod carrier;
pub(crate) mod census;
pub(crate) mod channel;
pub(crate) mod close;
pub(crate) mod cors;
pub(crate) mod counters;
pub(crate) mod date;
pub(crate) mod dialing;
pub(crate) mod envelope;
pub(crate) mod event_stream;
pub(crate) mod fan_out;
pub(crate) mod follow_up;
pub(crate) mod formats;
pub(crate) mod frame;
pub(crate) mod heartbeat;
pub(crate) mod held;
pub(crate) mod hosts;
pub(crate) mod http;
pub(crate) mod info;
pub(crate) mod liveness;
pub(crate) mod message;
pub(crate) mod note;
pub(crate) mod notices;
pub(crate) mod parts;
pub(crate) mod paths;
pub(crate) mod pause;
pub(crate) mod policy;
pub(crate) mod posting;
pub(crate) mod prepared;
pub(crate) mod proxies;
pub(crate) mod push;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod route;
pub(crate) mod routing;
#[cfg(feature = "serde")]
pub(crate) mod scalars;
pub(crate) mod script;
#[cfg(feature = "serde")]
pub(crate) mod serial;
pub(crate) mod socketless;
pub(crate) mod state;
pub(crate) mod tcp;
pub(crate) mod tokens;
pub(crate) mod transfers;
pub(crate) mod upgrade;
pub(crate) mod waiting;
pub(crate) mod websocket;

use crate::codec::ws::Spare;
use crate::config::{Config, ConfigError};
use crate::fd::Fd;
#[cfg(test)]
use crate::net::connection::Connection;
use crate::net::connections::Connections;
use crate::net::limits::Limits;
use crate::random::Random;
use census::Census;
use counters::Counters;
use date::Date;
use follow_up::FollowUp;
use formats::Formats;
use liveness::Liveness;
use paths::Paths;
use policy::Policy;
use route::Route;
use state::Session;
use std::net::SocketAddr;
use std::time::Instant;
use tokens::Tokens;

/// All connections with their protocol state, and everything that serves all of them alike.
///
/// Its methods are of four kinds:
///
/// - *in*: bytes of a connection become events (`websocket_step`, `request_end`, `tcp_read`, `judge_post`). The server
///   calls the handler with them;
/// - *out*: a message, answer or notice is encoded and queued (`push`, `write_response`, `tell`, `fan_out`);
/// - *ends*: `close` begins the close handshake, `finish` ends a connection once its outbox is empty; the words are
///   explained in `close.rs`;
/// - *time*: `watch` sets a connection's deadline, `expired` handles it.
///
/// ```text
///              handlers
///                 ^ |  callbacks, verbs
///   server/       | v  topics, users, histories, timers, tasks
///              Sessions
///   session/      ^ |  one connection's protocol
///                 | v
///   net/       Connections: sockets, outboxes, deadlines
/// ```
pub(crate) struct Sessions {
    pub(crate) connections: Connections<Session>,
    pub(crate) config: Config,
    pub(crate) census: Census,
    pub(crate) counters: Counters,
    pub(crate) date: Date,
    pub(crate) liveness: Liveness,
    pub(crate) random: Random,
    pub(crate) tokens: Tokens,
    pub(crate) formats: Formats,
    pub(crate) paths: Paths,
    /// Addresses that only this machine can reach.
    pub(crate) loopback_listeners: Vec<SocketAddr>,
    /// Memory for messages that arrive in parts.
    pub(crate) spare: Spare,
    pub(crate) answering: Option<Answering>,
    /// When the log last warned of an origin.
    pub(crate) origin_warned: Option<Instant>,
    /// Work for the server once the current callback has returned.
    pub(crate) follow_ups: Vec<FollowUp>,
}

/// A request that a callback is answering now.
pub(crate) struct Answering {
    pub(crate) fd: Fd,
    /// The callback ended the connection: it ends after this answer.
    pub(crate) is_last: bool,
}

impl Sessions {
    pub(crate) fn new(
        mut connections: Connections<Session>,
        config: Config,
        formats: Formats,
        paths: Paths,
    ) -> Sessions {
        let liveness = Liveness::new(&config);
        connections.rates = paths.rates();
        Sessions {
            connections,
            config,
            census: Census::default(),
            counters: Counters::default(),
            date: Date::default(),
            liveness,
            random: Random::default(),
            tokens: Tokens::default(),
            formats,
            paths,
            loopback_listeners: Vec::new(),
            spare: Spare::default(),
            answering: None,
            origin_warned: None,
            follow_ups: Vec::new(),
        }
    }

    /// What connections with this route may do.
    #[inline]
    pub(crate) fn policy(&self, route: Route) -> &Policy {
        self.paths.policy(route)
    }

    /// Changes a connection's session and keeps the counts up to date.
    pub(crate) fn change_session<R>(&mut self, fd: Fd, change: impl FnOnce(&mut Session) -> R) -> Option<R> {
        let session = self.connections.session_mut(fd)?;
        let before = session.counted_as();
        let result = change(session);
        self.census.recount(before, session.counted_as());
        Some(result)
    }

    /// Applies another configuration, as a whole or not at all.
    pub(crate) fn reload(&mut self, config: Config) -> Result<(), ConfigError> {
        self.paths.reload(&config)?;
        self.connections.limits = Limits::new(&self.paths.widest(&config));
        self.connections.rates = self.paths.rates();
        self.config = config;
        Ok(())
    }
}

#[cfg(test)]
impl Sessions {
    /// Checks the counts against the connections that exist.
    pub(crate) fn check_census(&self) {
        let mut census = Census::default();
        for (_, connection) in self.connections.iter_from(1) {
            census.recount(None, connection.session.counted_as());
        }
        assert_eq!(self.census, census);
    }

    /// Checks what is charged to each address against what its connections hold, without questions that wait.
    pub(crate) fn check_shares(&self) {
        let held = |connection: &Connection<Session>| match &connection.session {
            Session::Socketless(socketless) => socketless.taken.capacity(),
            _ => 0,
        };
        self.connections.check_shares(held, |session| session.held_bytes(), |note| note.held_bytes());
    }
}
