//! The server as callbacks see it, and what makes it one: sessions on connections, dispatch to a handler, the builder.
//! Contract of this layer: it speaks the protocols and calls the user; it never touches a socket.

// What users hold, besides the server itself.
pub(crate) mod api;
// From a connection's bytes to a handler, and back.
pub(crate) mod transports;
// What users do with a server, and what that keeps.
pub(crate) mod verbs;

// What all of them share.
pub(crate) mod census;
mod channel;
mod deferred;
pub(crate) mod dispatch;
pub(crate) mod session;

use crate::config::Config;
use crate::fd::Fd;
use crate::net::connections::Connections;
use crate::net::timers::{TimerId, Timers};
use crate::random::Random;
use api::builder::Builder;
use api::handle::Handle;
use api::info::Stats;
use api::routes::Route;
use census::Census;
use channel::Channel;
use deferred::Deferred;
use session::Session;
use std::fmt;
use std::time::{Duration, Instant};
use transports::date::Date;
use transports::liveness::Liveness;
use transports::tcp::Tcp;
use transports::tokens::Tokens;
use verbs::history::Histories;
use verbs::outgoing::Outgoing;
use verbs::recovery::Returning;
use verbs::reload::Reread;
use verbs::shutdown::Stage;
use verbs::tasks::Tasks;
use verbs::topics::Rooms;

/// The live server: what every callback receives first.
///
/// Every method acts at once and in the order of the calls, never blocks, and never calls back. Sending is
/// queueing: what is pushed in one turn leaves in one write after the callback, or earlier where it is 16 KiB and
/// more for one connection, always in the order of the pushes.
/// A dead fd is an answer ([`PushError::Gone`](crate::PushError::Gone)), never a panic and never another client.
///
/// Made by [`Server::builder`]:
///
/// ```no_run
/// use swio::Server;
///
/// Server::builder()
///     .listen("127.0.0.1:9501")
///     .on_message(|server, frame| {
///         server.push(frame.fd, frame.data).ok();
///     })
///     .run()
/// # .unwrap();
/// ```
pub struct Server {
    pub(crate) connections: Connections<Session>,
    config: Config,
    timers: Timers<Timer>,
    handle: Handle,
    census: Census,
    stage: Stage,
    date: Date,
    answering: Option<Answering>,
    /// Whose callback runs, or ran last.
    route: Route,
    deferred: Vec<Deferred>,
    /// What others count is added when it is asked for.
    stats: Stats,
    liveness: Liveness,
    reread: Option<Reread>,
    tasks: Tasks,
    rooms: Rooms,
    tcp: Tcp,
    outgoing: Outgoing,
    random: Random,
    tokens: Tokens,
    histories: Histories,
    returning: Option<Returning>,
}

/// A request that a callback is answering now.
struct Answering {
    fd: Fd,
    /// The callback ended the connection: behind its answer.
    is_last: bool,
}

type Tick = dyn FnMut(&mut Server, TimerId);

/// What a user timer calls, and whose it is.
pub(crate) enum Timer {
    Once(Route, Box<dyn FnOnce(&mut Server)>),
    Every(Route, Box<Tick>),
    /// The handler's `on_timer`.
    Handler(Route),
}

impl Server {
    /// Begins a server: where it listens and what it does.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(connections: Connections<Session>, config: Config, handle: Handle) -> Server {
        let liveness = Liveness::new(&config);
        Server {
            connections,
            config,
            timers: Timers::default(),
            handle,
            census: Census::default(),
            stage: Stage::Serving,
            date: Date::default(),
            answering: None,
            route: Route::ROOT,
            deferred: Vec::new(),
            stats: Stats::new(),
            liveness,
            reread: None,
            tasks: Tasks::default(),
            rooms: Rooms::default(),
            tcp: Tcp::default(),
            outgoing: Outgoing::default(),
            random: Random::default(),
            tokens: Tokens::default(),
            histories: Histories::default(),
            returning: None,
        }
    }

    /// Calls `call` when the callback that runs now is over, before the turn's output is written.
    ///
    /// ```no_run
    /// # use swio::{Fd, Server};
    /// fn join_late(server: &mut Server, fd: Fd) {
    ///     server.defer(move |server| {
    ///         server.push(fd, "behind all that this callback pushes").ok();
    ///     });
    /// }
    /// ```
    pub fn defer(&mut self, call: impl FnOnce(&mut Server) + 'static) {
        self.deferred.push(Deferred::Call(self.route, Box::new(call)));
    }

    /// The same server for other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The configuration that is in force.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("usage", &self.usage()).finish_non_exhaustive()
    }
}

/// A time after `now`; a delay that no clock can hold is cut to one that is never over.
fn later(now: Instant, delay: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(1 << 32);
    now + delay.min(NEVER)
}
