//! The server as callbacks see it, and what makes it one: sessions on connections, dispatch to a handler, the builder.
//! Contract of this layer: it speaks the protocols and calls the user; it never touches a socket.

// What users hold, besides the server itself.
pub(crate) mod broadcast;
pub(crate) mod builder;
pub(crate) mod event_loop;
pub(crate) mod handle;
pub(crate) mod handler;
pub(crate) mod info;
pub(crate) mod message;
pub(crate) mod request;
pub(crate) mod routes;

// Verbs of the server, and what they keep.
mod control;
mod groups;
pub(crate) mod history;
mod lookup;
pub(crate) mod memory;
pub(crate) mod outgoing;
mod parts;
mod pool;
pub(crate) mod presence;
pub(crate) mod recovery;
mod reload;
mod shutdown;
pub(crate) mod tasks;
mod timing;
pub(crate) mod topics;
mod users;
mod waiting;

// From a connection's bytes to a handler, and back.
mod cors;
mod date;
mod dialing;
pub(crate) mod dispatch;
mod event_stream;
mod http;
mod labelled;
mod liveness;
mod polling;
mod posting;
mod proxies;
mod refusal;
pub(crate) mod session;
mod tcp;
mod tokens;
mod upgrade;
mod websocket;

// What all of them share.
mod channel;
mod notices;

use crate::codec::sse::Labels;
use crate::codec::ws::{Opcode, Role, close, header, utf8};
use crate::config::{Config, SlowConsumer};
use crate::error::{Cause, CloseReason, PushError, Side};
use crate::fd::Fd;
use crate::net::connections::Connections;
use crate::net::output::{Delivery, Quota, Refused};
use crate::net::timers::{TimerId, Timers};
use crate::random::Random;
use broadcast::{Broadcast, Target};
use builder::Builder;
use channel::Channel;
use control::Pause;
use date::Date;
use event_stream::EventStreams;
use handle::Handle;
use history::Histories;
use info::Stats;
use liveness::Liveness;
use message::{Content, Message};
use notices::Notice;
use outgoing::Outgoing;
use recovery::Returning;
use reload::Reread;
use routes::Route;
use session::{Phase, Session};
use shutdown::Stage;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tasks::Tasks;
use tcp::Tcp;
use tokens::Tokens;
use topics::Rooms;

/// The live server: what every callback receives first.
///
/// Every method acts at once and in the order of the calls, never blocks, and never calls back. Sending is
/// queueing: what is pushed in one turn leaves in one write after the callback, or earlier where it is 16 KiB and
/// more for one connection, always in the order of the pushes.
/// A dead fd is an answer ([`PushError::Gone`]), never a panic and never another client.
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
    established: usize,
    stage: Stage,
    date: Date,
    answering: Option<Answering>,
    /// Whose callback runs, or ran last.
    route: Route,
    notices: Vec<Notice>,
    /// What others count is added when it is asked for.
    stats: Stats,
    liveness: Liveness,
    /// Of each connection that a proxy brought, whom it spoke for last.
    clients: HashMap<Fd, SocketAddr>,
    /// Of each connection that is not to be read.
    pauses: HashMap<Fd, Pause>,
    reread: Option<Reread>,
    tasks: Tasks,
    /// Of each text that is pushed in parts, where it was cut.
    texts: HashMap<Fd, utf8::Validator>,
    rooms: Rooms,
    tcp: Tcp,
    event_streams: EventStreams,
    /// Sessions of long polling that are open.
    polls: usize,
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
            established: 0,
            stage: Stage::Serving,
            date: Date::default(),
            answering: None,
            route: Route::ROOT,
            notices: Vec::new(),
            stats: Stats::new(),
            liveness,
            clients: HashMap::new(),
            pauses: HashMap::new(),
            reread: None,
            tasks: Tasks::default(),
            texts: HashMap::new(),
            rooms: Rooms::default(),
            tcp: Tcp::default(),
            event_streams: EventStreams::default(),
            polls: 0,
            outgoing: Outgoing::default(),
            random: Random::default(),
            tokens: Tokens::default(),
            histories: Histories::default(),
            returning: None,
        }
    }

    /// Sends a message to one connection. Strings go as text, bytes as binary, a received
    /// [`Data`](crate::Data) as what it came as.
    ///
    /// `Ok` means that the message is in the connection's outbox and will be written, in order, unless the
    /// connection ends first; then `on_close` tells. On an error nothing of it is sent.
    ///
    /// # Errors
    /// [`PushError::Gone`], [`PushError::Closing`], [`PushError::NotWebSocket`], [`PushError::Unfinished`] in the
    /// middle of a message pushed in parts, or [`PushError::Full`] over the limits of [`Config::outbox_bytes_max`].
    ///
    /// ```no_run
    /// # use swio::{Fd, PushError, Server};
    /// fn greet(server: &mut Server, fd: Fd) -> Result<(), PushError> {
    ///     server.push(fd, "text")?;
    ///     server.push(fd, format!("you are number {fd}"))?;
    ///     server.push(fd, &[0xca, 0xfe])
    /// }
    /// ```
    pub fn push<'a>(&mut self, fd: Fd, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        let message = message.into();
        let (opcode, delivery) = (message.opcode(), message.delivery());
        let (content, labels) = message.into_content();
        let labels = labels.as_deref();
        match content {
            Content::Bytes(bytes) => self.push_frame(fd, opcode, bytes, labels, Quota::Message(delivery)),
            Content::Prepared(prepared) => self.push_prepared(fd, &prepared, labels, delivery),
        }
    }

    /// Sends bytes with an opcode of your choice: text (they must be UTF-8), binary, ping or pong (at most
    /// 125 bytes).
    ///
    /// # Errors
    /// As for [`Server::push`], and [`PushError::Unsendable`] where opcode and bytes don't go together. A
    /// close frame is [`Server::disconnect`]'s.
    pub fn push_as(&mut self, fd: Fd, opcode: Opcode, bytes: &[u8]) -> Result<(), PushError> {
        let is_sendable = match opcode {
            Opcode::Text => utf8::check(bytes).is_ok(),
            Opcode::Binary => true,
            Opcode::Ping | Opcode::Pong => bytes.len() <= header::CONTROL_MAX,
            Opcode::Close | Opcode::Continuation => false,
        };
        if !is_sendable {
            return Err(PushError::Unsendable);
        }
        let quota = if opcode.is_control() { Quota::Control } else { Quota::Message(Delivery::default()) };
        self.push_frame(fd, opcode, Cow::Borrowed(bytes), None, quota)
    }

    fn push_frame(
        &mut self,
        fd: Fd,
        opcode: Opcode,
        bytes: Cow<'_, [u8]>,
        labels: Option<&Labels>,
        quota: Quota,
    ) -> Result<(), PushError> {
        let role = match self.channel(fd)? {
            Channel::WebSocket { is_unfinished: true, .. } if !opcode.is_control() => {
                return Err(PushError::Unfinished);
            }
            Channel::WebSocket { role, .. } => role,
            channel @ (Channel::EventStream | Channel::LongPolling) => {
                return self.push_labelled(fd, &channel, (opcode, &bytes), labels, quota);
            }
            Channel::Tcp(framing) => return self.push_package(fd, framing, bytes, quota),
        };
        let header = header::encode(true, opcode, bytes.len());
        let written = match (role, bytes) {
            (Role::Client, bytes) => self.write_masked(fd, header, bytes, quota),
            (_, Cow::Borrowed(bytes)) => self.connections.write(fd, [header.as_slice(), bytes], quota),
            (_, Cow::Owned(bytes)) => self.connections.write_owned(fd, header.as_slice(), bytes, quota),
        };
        match (written, opcode) {
            (Ok(()), Opcode::Ping) => self.stats.pings_sent += 1,
            (Ok(()), Opcode::Pong) => {}
            (Ok(()), _) => self.stats.messages_sent += 1,
            (Err(refused), _) => return Err(self.refused(fd, refused)),
        }
        Ok(())
    }

    /// Turns a refused write into the caller's error, and a full outbox into what the policy wants.
    pub(crate) fn refused(&mut self, fd: Fd, refused: Refused) -> PushError {
        match refused {
            Refused::Gone => PushError::Gone,
            Refused::Closing => PushError::Closing,
            Refused::Full(policy) => {
                self.stats.refusals.pushes += 1;
                if policy == SlowConsumer::Close {
                    log::debug!("{fd}: the outbox is full, closing");
                    self.fail(fd, close::TRY_AGAIN_LATER, "slow consumer", Cause::SlowConsumer);
                }
                PushError::Full
            }
        }
    }

    /// Sends a message to every established connection: [`send`](Broadcast::send) it, perhaps
    /// [`except`](Broadcast::except) to some. It is encoded once, and for raw TCP once for each listener.
    ///
    /// ```no_run
    /// # use swio::{Frame, Server};
    /// fn relay(server: &mut Server, frame: Frame<'_>) {
    ///     server.broadcast(frame.data).except(frame.fd).send();
    /// }
    /// ```
    pub fn broadcast<'a>(&mut self, message: impl Into<Message<'a>>) -> Broadcast<'_, 'a> {
        Broadcast::new(self, Target::All, message.into())
    }

    /// Ends a connection: a WebSocket by a close frame behind all that was pushed to it (RFC 6455 §7.1.2),
    /// an HTTP connection after its answer, an event stream by an event `close` whose data is
    /// `{"code":1000,"reason":""}` (browsers come back after it, unless the page closes the stream), raw TCP behind all that was pushed (code and reason are for `on_close`
    /// alone then). Nothing more is delivered from it. True where it was not ending already.
    ///
    /// Codes for applications are 1000 to 1003, 1007 to 1014 and 3000 to 4999; any other is sent as 1000. The
    /// reason may have 123 bytes and is cut off behind.
    pub fn disconnect(&mut self, fd: Fd, code: u16, reason: &str) -> bool {
        let code = if close::may_be_sent(code) {
            code
        } else {
            log::warn!("{fd}: close code {code} may not be sent, 1000 is sent instead");
            close::NORMAL
        };
        let reason = &reason[..reason.floor_char_boundary(close::REASON_BYTES_MAX)];
        self.close_for(fd, CloseReason::new(Side::Server, code, reason, Cause::Requested))
    }

    /// Begins the close handshake and waits for the peer's half of it.
    fn close_for(&mut self, fd: Fd, reason: CloseReason) -> bool {
        match self.channel(fd) {
            Ok(Channel::EventStream) => {
                self.end_stream(fd, reason);
                true
            }
            Ok(Channel::LongPolling) => {
                self.end_poll(fd, reason);
                true
            }
            Ok(Channel::Tcp(_)) => {
                self.end(fd, reason);
                true
            }
            Ok(Channel::WebSocket { .. }) => {
                self.write_close(fd, reason.code, &reason.text);
                self.set_phase(fd, Phase::CloseSent);
                // To see its half of it.
                self.resume(fd);
                self.connections.note_reason(fd, reason);
                self.connections.deadline(fd, self.config.close_timeout);
                true
            }
            Err(PushError::NotWebSocket) => {
                if let Some(answering) = self.answering.as_mut().filter(|answering| answering.fd == fd) {
                    return !std::mem::replace(&mut answering.is_last, true);
                }
                if let Some(is_new) = self.end_behind_answer(fd) {
                    return is_new;
                }
                if reason.cause == Cause::Shutdown && self.end_parked(fd, &reason) {
                    return true;
                }
                if self.role(fd) == Role::Client {
                    // There is nobody yet to take leave of.
                    self.connections.kill(fd, reason);
                    return true;
                }
                let was_open = self.connections.session_mut(fd).is_some();
                self.connections.finish(fd, reason);
                was_open
            }
            Err(_) => false,
        }
    }

    /// Ends a connection whose peer can't be talked to any more: the close frame goes out with this code,
    /// then TCP ends without waiting for an answer (RFC 6455 §7.1.7).
    fn fail(&mut self, fd: Fd, code: u16, text: &str, cause: Cause) {
        let reason = CloseReason::new(Side::Server, code, text, cause);
        match self.channel(fd) {
            Ok(Channel::WebSocket { .. }) => self.write_close(fd, code, text),
            Ok(Channel::EventStream) => return self.end_stream(fd, reason),
            Ok(Channel::LongPolling) => return self.end_poll(fd, reason),
            _ => {}
        }
        self.end(fd, reason);
    }

    /// Ends a connection once its outbox is empty.
    fn end(&mut self, fd: Fd, reason: CloseReason) {
        self.set_phase(fd, Phase::Closed);
        if let Some(session) = self.connections.session_mut(fd) {
            self.tcp.established -= usize::from(session.framing().is_some());
            if session.is_event_stream() {
                self.event_streams.open -= 1;
                self.tokens.revoke(fd);
            }
            let held_bytes = session.forget();
            self.connections.inbound_bytes -= held_bytes;
        }
        self.connections.finish(fd, reason);
    }

    fn write_close(&mut self, fd: Fd, code: u16, text: &str) {
        let payload = close::payload(code, text);
        let frame = self.control_frame(fd, Opcode::Close, &payload);
        // Refused only where the connection is gone, and then there is nobody to tell.
        self.connections.write(fd, [frame.as_slice(), &[]], Quota::Exempt).ok();
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
        self.notices.push(Notice::Deferred(self.route, Box::new(call)));
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
