//! The server as callbacks see it: what it keeps of many connections, and the types that name each other because a
//! call is given the server. Its parts, each knowing only those above it in this list: `state` (what is kept), this
//! file, `api` (what users hold), `verbs` (what they do with a server), `dispatch` (from the reactor to the handlers),
//! `start` (from configuration and behaviour to a running server). Contract of this layer: it calls the user; it never
//! touches a socket, and one connection's protocol is the business of `session`.

pub(crate) mod api;
pub(crate) mod dispatch;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod verbs;

use crate::config::Config;
use crate::fd::Fd;
use crate::net::mailbox::Sender;
use crate::net::timers::{TimerId, Timers};
use crate::session::Sessions;
use crate::session::route::Route;
use state::clients::{ClientId, Outgoing};
use state::command::{Command, Outcome};
use state::history::Histories;
use state::pool::{TaskError, TaskId, TaskOutput};
use state::presence::Presence;
use state::returning::Returning;
use state::rooms::{Rooms, TopicEvent};
use state::settings::Reread;
use state::stage::Stage;
use state::subscription::Questions;
use state::tasks::Tasks;
use std::any::Any;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

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
    pub(crate) sessions: Sessions,
    timers: Timers<Timer>,
    /// Of each connection that has a deadline of the user's, its timer.
    deadlines: HashMap<Fd, TimerId>,
    handle: Handle,
    stage: Stage,
    /// Whose callback runs, or ran last.
    route: Route,
    deferred: Vec<Deferred>,
    reread: Option<Reread>,
    tasks: Tasks<Finish>,
    rooms: Rooms,
    outgoing: Outgoing,
    histories: Histories,
    returning: Option<Returning>,
    /// What clients asked to be in and were not answered yet.
    questions: Questions,
}

type Tick = dyn FnMut(&mut Server, TimerId);

/// What a user timer calls, and whose it is.
pub(crate) enum Timer {
    Once(Route, Box<dyn FnOnce(&mut Server)>),
    Every(Route, Box<Tick>),
    /// The handler's `on_timer`.
    Handler(Route),
    /// `on_deadline` of the connection's handler, or of this one where it has none yet.
    Deadline(Route, Fd),
    /// The answer to a client that asked for a topic is late.
    Subscription(Fd, Rc<str>),
}

/// What a verb makes handlers hear of. A verb calls nobody back, so what it has to tell waits here until the callback
/// that it was called from is over.
pub(crate) enum Deferred {
    /// [`Server::defer`].
    Call(Route, Box<dyn FnOnce(&mut Server)>),
    /// [`Server::reload`].
    Reloaded,
    TasksAbandoned,
    /// A client is to connect, or to be over where it was stopped; the first time with the handler that is its own, a
    /// `Box<dyn Handler>`.
    Dial(ClientId, Option<Box<dyn Any>>),
    /// Handlers are told, then connections.
    BeforeShutdown,
    Topic(Rc<str>, TopicEvent),
    /// Of a topic and a user, with what was said of the user.
    Presence(Rc<str>, Rc<str>, Option<Rc<str>>, Presence),
}

pub(crate) type TaskCall = Box<dyn FnOnce(&mut Server, Result<TaskOutput, TaskError>)>;

/// Whom the result of a task is for.
pub(crate) enum Finish {
    Call(Route, TaskCall),
    /// The handler's `on_finish`.
    Handler(Route),
}

/// A live server, from any thread. Cheap to clone.
///
/// The commands of one thread are carried out in their order, between the callbacks. `Ok` means that the server
/// will see the command. What it finds then (an fd that is gone, an outbox that is full) is known only there:
/// where that matters, use [`Handle::ask`].
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

/// What comes to the server from another thread.
pub(crate) enum Mail {
    /// In a box, so that the queue stays small.
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
    Shutdown,
}

/// Who waits for a command's outcome. Where it is dropped unanswered, the outcome is [`Outcome::Stopped`].
pub(crate) struct OnOutcome(pub(crate) Option<Box<dyn FnOnce(Outcome) + Send>>);

impl Server {
    pub(crate) fn new(sessions: Sessions, handle: Handle) -> Server {
        Server {
            sessions,
            timers: Timers::default(),
            deadlines: HashMap::new(),
            handle,
            stage: Stage::Serving,
            route: Route::ROOT,
            deferred: Vec::new(),
            reread: None,
            tasks: Tasks::default(),
            rooms: Rooms::default(),
            outgoing: Outgoing::default(),
            histories: Histories::default(),
            returning: None,
            questions: Questions::default(),
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
        &self.sessions.config
    }
}

/// A time after `now`; a delay that no clock can hold is cut to one that is never over.
fn later(now: Instant, delay: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(1 << 32);
    now + delay.min(NEVER)
}
