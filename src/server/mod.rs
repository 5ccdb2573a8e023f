//! The server as callbacks see it: the state of many connections, and the types that refer to each other because every
//! call is given the server. Its parts, each of which knows only those before it in this list: `state` (what is kept),
//! this file, `api` (what users hold), `verbs` (what they do with a server), `dispatch` (from the reactor to the
//! handlers), `start` (from configuration and behaviour to a running server). This layer calls the user's code. It
//! never touches a socket, and the protocol of one connection belongs to `session`.

pub(crate) mod api;
pub(crate) mod dispatch;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod verbs;

use crate::config::{Config, Reread};
use crate::fd::Fd;
use crate::net::mailbox::Sender;
use crate::session::Sessions;
use crate::session::route::Route;
use state::command::Command;
use state::history::Histories;
use state::laggards::Laggards;
use state::outcome::Outcome;
use state::outgoing::{ClientId, Outgoing};
use state::pool::{TaskError, TaskId, TaskOutput};
use state::presence::Presence;
use state::returning::Returning;
use state::rooms::{Rooms, TopicEvent};
use state::stage::Stage;
use state::subscription::Questions;
use state::tasks::Tasks;
use state::timers::{TimerId, Timers};
use std::any::Any;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

/// The live server: what every callback receives first.
///
/// ```text
///   other threads ── Handle ──> mailbox ──┐
///                                         v
///   sockets ──────────> handler.on_message(&mut server, frame) ── push ──> outboxes ──> sockets
/// ```
///
/// Every method acts at once and in the order of the calls, never blocks, and never calls a handler. To send is to
/// queue: what is pushed in one turn is written in one go after the callback, or earlier if it is 16 KiB or more for
/// one connection, always in the order of the pushes. An fd whose connection is gone gives an answer
/// ([`PushError::Gone`](crate::PushError::Gone)), never a panic and never another client.
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
    pub(crate) sessions: Sessions,
    timers: Timers<Timer>,
    /// The timers of connections that have a deadline of the user's.
    deadlines: HashMap<Fd, TimerId>,
    handle: Handle,
    started_at: SystemTime,
    stage: Stage,
    /// The route whose callback runs, or ran last.
    route: Route,
    deferred: Vec<Deferred>,
    reread: Option<Reread>,
    tasks: Tasks<Finish>,
    rooms: Rooms,
    outgoing: Outgoing,
    histories: Histories,
    returning: Option<Returning>,
    laggards: Laggards,
    /// What clients were brought up to date with since this was last 0: messages, and KiB of them.
    missed_work: usize,
    /// Topics that clients asked to be in, and were not answered yet.
    questions: Questions,
}

type Tick = dyn FnMut(&mut Server, TimerId);

/// What a user timer calls, and for which route.
pub(crate) enum Timer {
    Once(Route, Box<dyn FnOnce(&mut Server)>),
    Every(Route, Box<Tick>),
    /// The handler's `on_timer`.
    Handler(Route),
    /// `on_deadline` of the connection's handler, or of this one if the connection has none yet.
    Deadline(Route, Fd),
    /// The answer to a client that asked for a topic is late.
    Subscription(Fd, Rc<str>),
}

/// What handlers are told because of a verb. A verb never calls a handler itself, so this waits until the callback
/// that called the verb has returned. The sessions' `FollowUp`s, which are due then too, come first.
pub(crate) enum Deferred {
    /// [`Server::defer`].
    Call(Route, Box<dyn FnOnce(&mut Server)>),
    /// [`Server::reload`].
    Reloaded,
    TasksAbandoned,
    /// A client is to connect, or to end if it was stopped. The first time it comes with its own handler, if it has
    /// one: a `Box<dyn Handler>`. Its type is not named, because this file may not know `api`, where handlers are.
    Dial(ClientId, Option<Box<dyn Any>>),
    /// Handlers are told first, then connections.
    BeforeShutdown,
    Topic(Rc<str>, TopicEvent),
    /// The topic, the user, the user's data, and what happened.
    Presence(Rc<str>, Rc<str>, Option<Rc<str>>, Presence),
}

pub(crate) type TaskCall = Box<dyn FnOnce(&mut Server, Result<TaskOutput, TaskError>)>;

/// Who gets the result of a task.
pub(crate) enum Finish {
    Call(Route, TaskCall),
    /// The handler's `on_finish`.
    Handler(Route),
}

/// A live server, usable from any thread. Cheap to clone.
///
/// The commands of one thread are carried out in order, between the callbacks. `Ok` means that the server will see the
/// command. What it finds then (a connection that is gone, an outbox that is full) is known only there: if it matters,
/// use [`Handle::ask`].
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// use swio::Server;
///
/// let running = Server::builder().listen("127.0.0.1:9501").start()?;
/// let handle = running.handle();
/// std::thread::spawn(move || handle.broadcast("the time has come").ok());
/// running.join()
/// # }
/// ```
#[derive(Clone)]
pub struct Handle(pub(crate) Sender<Mail>);

/// What other threads send to the server.
pub(crate) enum Mail {
    /// Boxed, so that the queue stays small.
    Command(Box<Command>, Option<OnOutcome>),
    Errand(Errand),
}

/// What is more than data, and so can only come from this process.
pub(crate) enum Errand {
    Run(Box<dyn FnOnce(&mut Server) + Send>),
    /// For `on_pipe_message`.
    Message(Box<dyn Any + Send>),
    Finished(TaskId, Result<TaskOutput, TaskError>),
    /// The addresses of the name that a client connects to.
    Resolved(ClientId, io::Result<Vec<SocketAddr>>),
}

/// Receives a command's outcome. If it is dropped without one, the outcome is [`Outcome::Stopped`].
pub(crate) struct OnOutcome(pub(crate) Option<Box<dyn FnOnce(Outcome) + Send>>);

impl Server {
    pub(crate) fn new(sessions: Sessions, handle: Handle) -> Server {
        Server {
            sessions,
            timers: Timers::default(),
            deadlines: HashMap::new(),
            handle,
            started_at: SystemTime::now(),
            stage: Stage::Serving,
            route: Route::ROOT,
            deferred: Vec::new(),
            reread: None,
            tasks: Tasks::default(),
            rooms: Rooms::default(),
            outgoing: Outgoing::default(),
            histories: Histories::default(),
            returning: None,
            laggards: Laggards::default(),
            missed_work: 0,
            questions: Questions::default(),
        }
    }

    /// Calls `call` after the callback that runs now, before the turn's output is written.
    ///
    /// ```no_run
    /// # use swio::{Fd, Server};
    /// fn join_late(server: &mut Server, fd: Fd) {
    ///     server.defer(move |server| {
    ///         server.push(fd, "after all that this callback pushes").ok();
    ///     });
    /// }
    /// ```
    pub fn defer(&mut self, call: impl FnOnce(&mut Server) + 'static) {
        self.deferred.push(Deferred::Call(self.route, Box::new(call)));
    }

    /// A handle to this server, for other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The configuration that is in force.
    pub fn config(&self) -> &Config {
        &self.sessions.config
    }
}

/// A time after `now`. A delay that no clock can hold becomes one that never ends.
fn later(now: Instant, delay: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(1 << 32);
    now + delay.min(NEVER)
}
