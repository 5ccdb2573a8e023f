//! From the reactor to the handlers: finding the session that bytes are for, and guarding every callback.

pub(crate) mod dialing;
pub(crate) mod handlers;
pub(crate) mod http;
pub(crate) mod outgoing;
pub(crate) mod page_commands;
pub(crate) mod polling;
pub(crate) mod posting;
pub(crate) mod signals;
pub(crate) mod socketless;
pub(crate) mod tasks;
pub(crate) mod tcp;
pub(crate) mod upgrade;
pub(crate) mod watches;
pub(crate) mod websocket;

use super::api::handler::Handler;
use super::state::command::Command;
use super::state::presence::PresenceEvent;
use super::state::stage::Stage;
use super::state::subscription::Subscription;
use super::{Deferred, Errand, Mail, OnOutcome, Server, Timer};
use crate::codec::http::Refusal;
use crate::codec::ws::close;
use crate::error::{Cause, CloseReason, Fault, Side};
use crate::fd::Fd;
use crate::net::connections::Connections;
use crate::net::signals::Signal;
use crate::net::{self, Admission, App};
use crate::panics::{discard, message_of};
use crate::session::follow_up::FollowUp;
use crate::session::note::Note;
use crate::session::route::Route;
use crate::session::script::Script;
use crate::session::state::Session;
use handlers::{Handlers, Served};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// The app that the reactor drives: the server, and the handlers beside it, so that a callback can be given the whole
/// server.
pub(crate) struct Dispatch {
    pub(crate) server: Server,
    pub(crate) handlers: Handlers,
    pub(crate) script: Option<Script>,
}

impl Dispatch {
    pub(crate) fn new(server: Server, handlers: Handlers, script: Option<Script>) -> Dispatch {
        let mut dispatch = Dispatch { server, handlers, script };
        for route in dispatch.handlers.all() {
            dispatch.ask_for_watches(route);
        }
        dispatch
    }

    /// Runs a callback of the handler of `route`, for the connection `fd` if it is for one. A panic ends the
    /// connection, not the server; then this returns `None`.
    pub(super) fn call<R>(
        &mut self,
        callback: &'static str,
        route: Route,
        fd: Option<Fd>,
        call: impl FnOnce(&mut dyn Handler, &mut Server) -> R,
    ) -> Option<R> {
        let Served { route: owner, handler } = self.handlers.served(route);
        self.server.route = *owner;
        // Unwind safety: every method leaves the server in a valid state, and the handler is responsible for its own.
        let result = catch_unwind(AssertUnwindSafe(|| call(&mut **handler, &mut self.server)));
        result.map_err(|panic| self.panicked(callback, route, fd, panic)).ok()
    }

    /// Calls every handler.
    fn call_all(&mut self, callback: &'static str, mut call: impl FnMut(&mut dyn Handler, &mut Server)) {
        for route in self.handlers.all() {
            self.call(callback, route, None, &mut call);
        }
    }

    /// A pause is over: what was kept is decoded first, then the socket is read.
    fn resumed(&mut self, fd: Fd) {
        let sessions = &mut self.server.sessions;
        let Some(mut bytes) = sessions.take_resumed(fd) else { return };
        match sessions.connections.session_mut(fd) {
            Some(Session::WebSocket(_)) => {
                sessions.watch(fd);
                self.websocket_bytes(fd, &mut bytes);
            }
            Some(Session::Http(_)) => self.http_resumed(fd),
            Some(Session::Tcp(_) | Session::TcpHeld(_)) => {
                sessions.watch(fd);
                self.tcp_bytes(fd, &bytes);
            }
            Some(Session::EventStream(_)) => sessions.watch(fd),
            Some(Session::Dialing(_)) => self.dialing_bytes(fd, &bytes),
            Some(Session::Socketless(_) | Session::TcpEnded(_)) | None => {}
        }
    }

    /// A command from another thread, which may wait for the outcome.
    fn command(&mut self, command: Command, on_outcome: Option<OnOutcome>) {
        let fd = command.fd();
        self.server.route = Route::ROOT;
        let outcome = match on_outcome {
            Some(_) => self.server.execute(command),
            None => self.server.execute_unasked(command),
        };
        if outcome.is_error() {
            let fd = fd.map(|fd| format!("{fd}: ")).unwrap_or_default();
            log::debug!("{fd}a command from another thread was not carried out: {outcome:?}");
        }
        if let Some(on_outcome) = on_outcome {
            let told = |_: &mut dyn Handler, _: &mut Server| on_outcome.give(outcome);
            self.call("a closure given to Handle::ask", Route::ROOT, None, told);
        }
    }

    /// Before the first turn.
    pub(crate) fn tell_started(&mut self) {
        self.call_all("on_start", |handler, server| handler.on_start(server));
        self.call_all("on_worker_start", |handler, server| handler.on_worker_start(server));
    }

    /// After the last turn.
    pub(crate) fn tell_stopped(&mut self) {
        self.server.tasks.close();
        self.call_all("on_worker_stop", |handler, server| handler.on_worker_stop(server));
        self.call_all("on_shutdown", |handler, server| handler.on_shutdown(server));
    }

    fn panicked(&mut self, callback: &'static str, route: Route, fd: Option<Fd>, panic: Box<dyn Any + Send>) {
        let message = message_of(panic);
        self.server.sessions.counters.refusals.panics += 1;
        match fd {
            Some(fd) => log::error!("{fd}: {callback} panicked: {message}"),
            None => log::error!("{callback} panicked: {message}"),
        }
        // The caller answers an HTTP request with 500.
        if let Some(fd) = fd
            && let Some(session) = self.server.sessions.connections.session_mut(fd)
            && !matches!(session, Session::Http(_))
        {
            self.server.sessions.finish_with_code(fd, close::INTERNAL_ERROR, "internal error", Cause::Panic);
        }
        self.report(route, fd, &Fault::Panic { callback, message });
    }

    /// Tells the handler of a fault. A panic in `on_error` itself is only logged, or this would never end.
    pub(super) fn report(&mut self, route: Route, fd: Option<Fd>, fault: &Fault) {
        let Served { route: owner, handler } = self.handlers.served(route);
        self.server.route = *owner;
        let told = catch_unwind(AssertUnwindSafe(|| handler.on_error(&mut self.server, fd, fault)));
        if let Err(panic) = told {
            discard(panic);
            log::error!("on_error panicked");
        }
    }
}

impl App for Dispatch {
    type Session = Session;
    type Mail = Mail;

    fn connections(&mut self) -> &mut Connections<Session> {
        &mut self.server.sessions.connections
    }

    fn accepted(&mut self, fd: Fd, listener: u16, admission: Admission) {
        let listener = Route::new(listener.into()).expect("a listener has the number of a route");
        if let Some(framing) = self.server.sessions.paths.framing_of(listener) {
            return self.tcp_accepted(fd, framing, admission);
        }
        match admission {
            Admission::Welcome => {
                self.server.sessions.accept_http(fd, listener);
                self.call("on_connect", Route::ROOT, Some(fd), |handler, server| {
                    handler.on_connect(server, fd)
                });
            }
            Admission::MemoryFull => self.server.sessions.refuse(fd, Refusal::MemoryFull),
            Admission::ServerFull => self.server.sessions.refuse(fd, Refusal::ServerFull),
            Admission::AddressFull => self.server.sessions.refuse(fd, Refusal::AddressFull),
        }
    }

    fn connected(&mut self, fd: Fd) {
        self.ask_for_upgrade(fd);
    }

    fn rates_number(&self, fd: Fd) -> usize {
        self.server.sessions.limits_route(fd).number()
    }

    /// This server chose to connect to these peers.
    fn is_exempt(&self, fd: Fd) -> bool {
        self.server.outgoing.has(fd)
    }

    #[inline(always)]
    fn bytes(&mut self, fd: Fd, bytes: &mut [u8]) {
        match self.server.sessions.connections.session_mut(fd) {
            Some(Session::WebSocket(_)) => self.websocket_bytes(fd, bytes),
            Some(Session::Http(_)) => self.http_bytes(fd, bytes),
            Some(Session::Dialing(_)) => self.dialing_bytes(fd, bytes),
            Some(Session::Tcp(_) | Session::TcpHeld(_)) => self.tcp_bytes(fd, bytes),
            // A client does not send anything on these.
            Some(Session::EventStream(_) | Session::Socketless(_) | Session::TcpEnded(_)) | None => {}
        }
    }

    fn flooded(&mut self, fd: Fd) {
        let what = "too many bytes a second";
        match self.server.sessions.connections.session_mut(fd) {
            Some(Session::Http(_)) => self.server.sessions.refuse(fd, Refusal::ByteRate),
            Some(session) => {
                let Some(route) = session.route() else { return };
                self.rate_limited(route, fd, what);
            }
            None => return,
        }
        self.server.sessions.counters.refusals.byte_rate += 1;
    }

    fn peer_ended(&mut self, fd: Fd) {
        if self.server.sessions.is_owed_answer(fd) {
            return;
        }
        let (code, cause) = match self.server.sessions.connections.session_mut(fd) {
            // Between packages, and on an event stream, a peer ends the connection this way.
            Some(Session::Tcp(_) | Session::EventStream(_)) => (close::NO_STATUS, Cause::Requested),
            _ => (close::ABNORMAL, Cause::Lost),
        };
        self.server.sessions.finish(fd, CloseReason::new(Side::Peer, code, "", cause));
    }

    fn drained(&mut self, fd: Fd) {
        self.http_drained(fd);
    }

    fn expired(&mut self, fd: Fd) {
        self.server.sessions.expired(fd);
    }

    fn gone(&mut self, fd: Fd, session: Session, note: Note, reason: CloseReason) {
        log::debug!("{fd}: {reason}");
        let is_outgoing = self.server.outgoing.has(fd);
        self.server.sessions.note_gone(fd, &session, &note, &reason);
        self.server.drop_deadline(fd);
        self.server.drop_questions(fd);
        self.server.forget_missed(fd);
        let route = match session {
            Session::Http(_) => {
                let told = |handler: &mut dyn Handler, server: &mut Server| {
                    handler.on_disconnect(server, fd, &reason);
                };
                self.call("on_disconnect", Route::ROOT, None, told);
                if let Some(writer) = note.writer.filter(|writer| *writer != Route::ROOT) {
                    self.call("on_disconnect", writer, None, told);
                }
                return;
            }
            Session::Dialing(_) => return self.dialing_gone(fd, reason),
            Session::WebSocket(websocket) => websocket.route,
            Session::EventStream(stream) => stream.route,
            Session::Socketless(socketless) => {
                let (route, parked) = (socketless.route, socketless.parked);
                self.server.sessions.free_socketless(fd, *socketless);
                self.server.sessions.answer_parked(fd, parked);
                route
            }
            Session::Tcp(tcp) => tcp.route,
            Session::TcpHeld(held) => held.tcp.route,
            Session::TcpEnded(route) => route,
        };
        self.server.depart(fd);
        let told = |handler: &mut dyn Handler, server: &mut Server| handler.on_close(server, fd, &reason);
        self.call("on_close", route, None, told);
        self.server.forget_departed();
        if is_outgoing {
            self.outgoing_gone(fd, &reason);
        }
    }

    fn mail(&mut self, mail: Mail) {
        match mail {
            Mail::Command(command, on_outcome) => self.command(*command, on_outcome),
            Mail::Errand(Errand::Run(run)) => {
                self.call("a closure given to Handle::run", Route::ROOT, None, |_, server| run(server));
            }
            Mail::Errand(Errand::Message(message)) => {
                let told = |handler: &mut dyn Handler, server: &mut Server| {
                    handler.on_pipe_message(server, message);
                };
                self.call("on_pipe_message", Route::ROOT, None, told);
            }
            Mail::Errand(Errand::Finished(id, result)) => self.task_finished(id, result),
            Mail::Errand(Errand::Resolved(client, addresses)) => self.resolved(client, addresses),
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        let server = &self.server;
        server.timers.next().into_iter().chain(server.next_absence()).chain(server.next_step()).min()
    }

    fn run_timers(&mut self, now: Instant) {
        self.server.settle_absences();
        while let Some((at, id, timer)) = self.server.timers.pop(now) {
            let timer = match timer {
                Timer::Once(route, call) => {
                    self.call("a timer", route, None, |_, server| call(server));
                    Timer::Handler(route)
                }
                Timer::Every(route, mut call) => {
                    if self.call("a timer", route, None, |_, server| call(server, id)).is_none() {
                        self.server.timers.cancel(id);
                    }
                    Timer::Every(route, call)
                }
                Timer::Handler(route) => {
                    self.call("on_timer", route, None, |handler, server| handler.on_timer(server, id));
                    Timer::Handler(route)
                }
                Timer::Subscription(fd, topic) => {
                    let late = Subscription::deny("the answer took too long");
                    self.server.answer_subscribe(fd, &topic, late);
                    Timer::Subscription(fd, topic)
                }
                Timer::Deadline(setter, fd) => {
                    self.server.deadlines.remove(&fd);
                    let route = self.server.sessions.handler_route(fd).unwrap_or(setter);
                    self.call("on_deadline", route, Some(fd), |handler, server| {
                        handler.on_deadline(server, fd);
                    });
                    Timer::Deadline(setter, fd)
                }
            };
            // A timer that has ended is dropped here, and with it what its closure owned.
            self.call("a timer's end", Route::ROOT, None, |_, server| server.timers.ran(at, now, id, timer));
        }
        self.server.run_shutdown(now);
    }

    fn signal(&mut self, signal: Signal) {
        self.signalled(signal);
    }

    fn accept_failed(&mut self, error: io::Error) {
        self.report(Route::ROOT, None, &Fault::Accept(error));
    }

    fn run_deferred(&mut self) {
        for (fd, is_full) in std::mem::take(&mut self.server.sessions.connections.crossings) {
            let Some(route) = self.server.sessions.buffer_route(fd) else { continue };
            match is_full {
                true => self.call("on_buffer_full", route, Some(fd), |handler, server| {
                    handler.on_buffer_full(server, fd);
                }),
                false => self.call("on_buffer_empty", route, Some(fd), |handler, server| {
                    handler.on_buffer_empty(server, fd);
                }),
            };
        }
        for fd in std::mem::take(&mut self.server.sessions.connections.with_output) {
            // It may have been read meanwhile.
            if self.server.sessions.has_output(fd) {
                self.output(fd);
            }
        }
        // Those that are added meanwhile are for the next turn: two that call each other must not hold the loop.
        let deferred = std::mem::take(&mut self.server.deferred);
        for follow_up in std::mem::take(&mut self.server.sessions.follow_ups) {
            match follow_up {
                FollowUp::Answered(fd, answer) => self.answered(fd, answer),
                FollowUp::BodyEnded(fd) => self.body_ended(fd),
                FollowUp::Resumed(fd) => self.resumed(fd),
                FollowUp::WaitedOut(by, session) => self.waited_out(by, session),
                FollowUp::Adopted { session, websocket, is_paused } => {
                    self.server.sessions.take_over(session, websocket, is_paused);
                }
            }
        }
        for deferred in deferred {
            match deferred {
                Deferred::Call(route, call) => {
                    self.call("a deferred call", route, None, |_, server| call(server));
                }
                Deferred::Reloaded => {
                    self.call_all("on_reload", |handler, server| handler.on_reload(server));
                }
                Deferred::TasksAbandoned => self.tasks_abandoned(),
                Deferred::Dial(client, handler) => {
                    let own = handler.map(|own| *own.downcast().expect("a client brings a boxed handler"));
                    self.dial(client, own);
                }
                Deferred::BeforeShutdown => {
                    self.call_all("on_before_shutdown", |handler, server| handler.on_before_shutdown(server));
                    self.server.drain();
                }
                Deferred::Topic(topic, event) => self.topic_changed(&topic, event),
                Deferred::Presence(topic, uid, data, kind) => {
                    let data = data.as_deref();
                    self.presence_changed(PresenceEvent { topic: &topic, uid: &uid, data, kind });
                }
            }
        }
    }

    fn has_deferred(&self) -> bool {
        let connections = &self.server.sessions.connections;
        !self.server.deferred.is_empty()
            || !self.server.sessions.follow_ups.is_empty()
            || !connections.crossings.is_empty()
            || !connections.with_output.is_empty()
    }

    fn phase(&self) -> net::AppPhase {
        match self.server.stage {
            Stage::Serving => net::AppPhase::Serving,
            _ if self.server.sessions.connections.len() > 0 => net::AppPhase::Stopping,
            _ if self.server.tasks.len() > 0 || self.has_deferred() => net::AppPhase::Stopping,
            _ => net::AppPhase::Ended,
        }
    }
}
