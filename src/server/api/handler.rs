//! The one extension point: a user's behaviour as a trait, and closures as a shorthand for it.

use crate::codec::http::{Answer, Response};
use crate::error::{CloseReason, Fault};
use crate::fd::Fd;
use crate::server::Server;
use crate::server::state::pool::{TaskError, TaskId};
use crate::server::state::presence::PresenceEvent;
use crate::server::state::rooms::TopicEvent;
use crate::server::state::subscription::{SubscribeRequest, Subscription};
use crate::server::state::timers::TimerId;
use crate::server::state::watches::Watches;
use crate::session::frame::Frame;
use crate::session::request::{Handshake, Reply, Request};
use std::any::Any;
use std::fmt;

/// A server's behaviour with state of its own. Its shape is that of Ratchet's component: open, message, close, error.
///
/// Every method has a default. Each is called on the reactor's thread, one at a time, and should be quick: while it
/// runs, no other connection is served. No method of [`Server`] calls a handler, so a handler is never entered twice.
/// A panic costs at most the connection that is served (close code 1011, or status 500 for a request or handshake).
///
/// ```
/// use swio::{CloseReason, Fd, Frame, Handler, Request, Server};
/// use std::collections::HashSet;
///
/// #[derive(Default)]
/// struct Chat {
///     clients: HashSet<Fd>,
/// }
///
/// impl Handler for Chat {
///     fn on_open(&mut self, _server: &mut Server, request: &Request<'_>) {
///         self.clients.insert(request.fd);
///     }
///
///     fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
///         for &fd in self.clients.iter().filter(|&&fd| fd != frame.fd) {
///             server.push(fd, frame.data).ok();
///         }
///     }
///
///     fn on_close(&mut self, _server: &mut Server, fd: Fd, _reason: &CloseReason) {
///         self.clients.remove(&fd);
///     }
/// }
///
/// let builder = Server::builder().listen("127.0.0.1:0").handler(Chat::default);
/// ```
///
/// If a server has several handlers, the one given to [`Builder::handler`](crate::Builder::handler) is called for
/// everything that concerns the server as a whole, and the one of a [route](crate::Builder::route) for its own
/// connections. At start and stop all of them are called.
#[expect(unused_variables, reason = "the parameters' names are documentation")]
pub trait Handler {
    /// The server starts. Called once, before the first connection.
    ///
    /// ```
    /// use std::time::Duration;
    /// use swio::Server;
    ///
    /// let builder = Server::builder().listen("127.0.0.1:0").on_start(|server| {
    ///     server.every(Duration::from_secs(60), |server, _| log::info!("{:?}", server.stats()));
    /// });
    /// ```
    fn on_start(&mut self, server: &mut Server) {}

    /// A worker, which is one reactor, starts. Called on its own thread.
    fn on_worker_start(&mut self, server: &mut Server) {}

    /// A TCP connection was accepted. Nothing was received from it yet. Its end is reported by
    /// [`on_close`](Handler::on_close) if [`on_open`](Handler::on_open) was called for it or it is [raw
    /// TCP](crate::Builder::listen_tcp), and by [`on_disconnect`](Handler::on_disconnect) otherwise. Raw TCP can be
    /// pushed to from now on.
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use swio::Server;
    ///
    /// let blocked: Vec<IpAddr> = vec!["192.0.2.7".parse()?];
    /// let builder = Server::builder().listen("127.0.0.1:0").on_connect(move |server, fd| {
    ///     if server.remote_addr(fd).is_some_and(|address| blocked.contains(&address.ip())) {
    ///         server.reset(fd);
    ///     }
    /// });
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    fn on_connect(&mut self, server: &mut Server, fd: Fd) {}

    /// A valid WebSocket handshake: accept it, choose a subprotocol, or refuse it. Also called for a request for an
    /// [event stream](crate::Config::event_streams) or for a [long-polling](crate::Config::long_polling) session,
    /// which have no subprotocol. Browsers ask for an event stream again and again until they are refused with 204.
    fn on_handshake(&mut self, server: &mut Server, request: &Request<'_>) -> Handshake {
        Handshake::accept()
    }

    /// A plain HTTP request. The default tells the client that this is a WebSocket server: 426, or 405 for methods
    /// other than GET and HEAD. Answer a `HEAD` like a `GET`; the server leaves the body out. A closure may return a
    /// [`Response`], a [`ResponseHead`](crate::ResponseHead) or a [`Reply`].
    fn on_request(&mut self, server: &mut Server, request: &Request<'_>) -> Reply {
        websockets_only(request).into()
    }

    /// A WebSocket, event stream or long-polling session is open. It can be pushed to from now on.
    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {}

    /// A WebSocket that a [`Client`](crate::Client) of this handler opened is open. What it receives is reported by
    /// the same callbacks as for other WebSockets, and its end by [`on_close`](Handler::on_close).
    fn on_client_open(&mut self, server: &mut Server, fd: Fd, answer: &Answer<'_>) {}

    /// A message, or a part of one: see [`Frame::finish`].
    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {}

    /// A client asks to be in a topic, by `swio.1` or long polling (docs/PROTOCOL.md). Allow it, and the client
    /// [joins](Server::join) the topic and gets your data; or deny it, which is the default; or answer
    /// [later](Subscription::later). The name comes from the client and may be any text, so this is where you decide
    /// who may receive what. A handler that allows every name lets clients create up to
    /// [`Config::topics_max`](crate::Config::topics_max) topics. If the topic has a [history](Server::keep_history),
    /// the client is pushed what it has missed once it is allowed. Do not begin a history here for a name that you do
    /// not know: it exists until you end it. A closure may return a `bool` or a [`Subscription`].
    ///
    /// ```
    /// use swio::Server;
    ///
    /// let builder = Server::builder().listen("127.0.0.1:0").on_subscribe(|server, request| {
    ///     let own = server.uid(request.fd).map(|uid| format!("private/{uid}"));
    ///     request.topic == "news" || own.is_some_and(|own| own == request.topic)
    /// });
    /// ```
    fn on_subscribe(&mut self, server: &mut Server, request: &SubscribeRequest<'_>) -> Subscription {
        false.into()
    }

    /// Raw TCP received a package, complete and without its framing; with [`Framing::None`](crate::Framing::None),
    /// whatever has arrived. See [`Builder::listen_tcp`](crate::Builder::listen_tcp).
    fn on_receive(&mut self, server: &mut Server, fd: Fd, data: &[u8]) {}

    /// A [session without a socket](Server::open_session) of this handler has output to be taken, is ending, or the
    /// request that waits for its output has waited for as long as it may. Called at the end of the turn, once for
    /// everything that was pushed in it.
    fn on_output(&mut self, server: &mut Server, fd: Fd) {}

    /// A ping arrived. The server answers it.
    fn on_ping(&mut self, server: &mut Server, fd: Fd, data: &[u8]) {}

    /// A pong arrived, whether it answers a ping of the server or not.
    fn on_pong(&mut self, server: &mut Server, fd: Fd, data: &[u8]) {}

    /// So much is queued for a connection that its peer seems not to keep up: at least
    /// [`Config::buffer_high_watermark`](field@crate::Config::buffer_high_watermark) bytes. Called at the end of the
    /// turn, once each time that the mark is reached; [`on_buffer_empty`](Handler::on_buffer_empty) comes before it is
    /// called again. If you produce data as fast as it is taken, stop here and go on there.
    fn on_buffer_full(&mut self, server: &mut Server, fd: Fd) {}

    /// What was queued when [`on_buffer_full`](Handler::on_buffer_full) was called has been written, down to
    /// [`Config::buffer_low_watermark`](crate::Config::buffer_low_watermark).
    fn on_buffer_empty(&mut self, server: &mut Server, fd: Fd) {}

    /// A WebSocket, event stream or session has ended: called exactly once for each that [`on_open`](Handler::on_open)
    /// or [`on_client_open`](Handler::on_client_open) was called for or that you [opened](Server::open_session). Or
    /// raw TCP has ended: exactly once for each that [`on_connect`](Handler::on_connect) was called for. The fd is
    /// gone already: pushing to it gives [`PushError::Gone`](crate::PushError::Gone).
    fn on_close(&mut self, server: &mut Server, fd: Fd, reason: &CloseReason) {}

    /// A connection has ended that spoke HTTP and became nothing else. The server's handler is called; if the body of
    /// a response was being written, so is the handler whose response it was. HTTP has no close codes: the code of the
    /// reason is 1006, even if all was well.
    fn on_disconnect(&mut self, server: &mut Server, fd: Fd, reason: &CloseReason) {}

    /// Something went wrong: a callback panicked, a peer broke the protocol, accepting failed. `fd` is `None` if this
    /// concerns no single connection.
    fn on_error(&mut self, server: &mut Server, fd: Option<Fd>, fault: &Fault) {}

    /// A timer that was set with [`Server::timer`] is due.
    fn on_timer(&mut self, server: &mut Server, timer: TimerId) {}

    /// The deadline of a connection, set with [`Server::set_deadline`], has passed. Called on the handler of the
    /// connection. A connection that speaks HTTP has none yet: then on the handler that set the deadline.
    fn on_deadline(&mut self, server: &mut Server, fd: Fd) {}

    /// [`Handle::send_message`](crate::Handle::send_message) was called on another thread.
    fn on_pipe_message(&mut self, server: &mut Server, message: Box<dyn Any + Send>) {}

    /// A task that was started by [`Server::offload`] has ended. The result is what its work returned, with that type.
    fn on_finish(
        &mut self,
        server: &mut Server,
        task: TaskId,
        result: Result<Box<dyn Any + Send>, TaskError>,
    ) {
    }

    /// The configuration has changed: see [`Server::reload`]. Also called on SIGHUP if there is no settings file: see
    /// [`Builder::signals`](crate::Builder::signals).
    fn on_reload(&mut self, server: &mut Server) {}

    /// The topics for which [`on_topic`](Handler::on_topic) and [`on_presence`](Handler::on_presence) of this handler
    /// are called. Asked once, before [`on_start`](Handler::on_start); [`Server::watch`](crate::Server::watch) changes
    /// it later. The default is none: a handler that has one of the two methods names its topics here. [`Callbacks`]
    /// and the builder's closures watch all topics for those of the two that they have.
    ///
    /// ```
    /// use swio::{Handler, PresenceEvent, Server, Watches};
    ///
    /// struct Lobby;
    ///
    /// impl Handler for Lobby {
    ///     fn watches(&self) -> Watches {
    ///         Watches::topics_with_prefix("lobby/").only_presence()
    ///     }
    ///
    ///     fn on_presence(&mut self, _server: &mut Server, event: PresenceEvent<'_>) {
    ///         println!("{} in {}: {:?}", event.uid, event.topic, event.kind);
    ///     }
    /// }
    /// ```
    fn watches(&self) -> Watches {
        Watches::none()
    }

    /// A topic got its first connection or lost its last. Called at the end of the turn: by then the opposite may have
    /// happened, and the next call says so. Called on those handlers that [watch](Handler::watches) the topic.
    fn on_topic(&mut self, server: &mut Server, topic: &str, event: TopicEvent) {}

    /// A user came to a topic, or left it. Called like [`on_topic`](Handler::on_topic). Each `Joined` is followed by a
    /// `Left`, at a shutdown at the latest.
    fn on_presence(&mut self, server: &mut Server, event: PresenceEvent<'_>) {}

    /// [`Server::shutdown`] was called, and connections are about to be told that the server ends.
    ///
    /// ```
    /// use swio::Server;
    ///
    /// let builder = Server::builder().listen("127.0.0.1:0").on_before_shutdown(|server| {
    ///     server.broadcast("the server is restarted, be back in a moment").send();
    /// });
    /// ```
    fn on_before_shutdown(&mut self, server: &mut Server) {}

    /// A worker has ended, and all its connections are gone.
    fn on_worker_stop(&mut self, server: &mut Server) {}

    /// The server has ended. This is the last of all calls.
    fn on_shutdown(&mut self, server: &mut Server) {}
}

fn websockets_only(request: &Request<'_>) -> Response {
    match request.method() {
        "GET" | "HEAD" => Response::text(426, "This is a WebSocket server.\n")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13"),
        _ => Response::text(405, "This is a WebSocket server.\n").header("Allow", "GET, HEAD"),
    }
}

/// Passes to `$then` every callback that may be a closure: its name, its parameters after the server, and its return
/// type. `-> T`: closures return `T`, as the method does. `=> R: Into<T>`: closures return any such `R`.
macro_rules! every_callback {
    ($then:ident) => {
        $then! {
            on_start();
            on_worker_start();
            on_connect(fd: Fd);
            on_handshake(request: &Request<'_>) -> Handshake;
            on_request(request: &Request<'_>) => R: Into<Reply>;
            on_open(request: &Request<'_>);
            on_client_open(fd: Fd, answer: &Answer<'_>);
            on_message(frame: Frame<'_>);
            on_subscribe(request: &SubscribeRequest<'_>) => R: Into<Subscription>;
            on_receive(fd: Fd, data: &[u8]);
            on_output(fd: Fd);
            on_ping(fd: Fd, data: &[u8]);
            on_pong(fd: Fd, data: &[u8]);
            on_buffer_full(fd: Fd);
            on_buffer_empty(fd: Fd);
            on_close(fd: Fd, reason: &CloseReason);
            on_disconnect(fd: Fd, reason: &CloseReason);
            on_error(fd: Option<Fd>, fault: &Fault);
            on_deadline(fd: Fd);
            on_pipe_message(message: Box<dyn Any + Send>);
            on_finish(task: TaskId, result: Result<Box<dyn Any + Send>, TaskError>);
            on_reload();
            on_topic(topic: &str, event: TopicEvent);
            on_presence(event: PresenceEvent<'_>);
            on_before_shutdown();
            on_worker_stop();
            on_shutdown();
        }
    };
}
pub(crate) use every_callback;

macro_rules! define_callbacks {
    (
        $($name:ident($($parameter:ident: $type:ty),*) $(-> $answer:ty)? $(=> $given:ident: Into<$reply:ty>)?;)*
    ) => {
        /// Closures as a handler, for example of a [route](crate::Builder::route). A callback without a closure does
        /// what [`Handler`] does by default.
        ///
        /// ```
        /// use swio::{Callbacks, Server};
        ///
        /// let builder = Server::builder()
        ///     .listen("127.0.0.1:0")
        ///     .route("/echo", || Callbacks::new().on_message(|server, frame| {
        ///         server.push(frame.fd, frame.data).ok();
        ///     }));
        /// ```
        #[derive(Default)]
        #[must_use]
        pub struct Callbacks {
            $($name: Option<Box<dyn FnMut(&mut Server, $($type),*) $(-> $answer)? $(-> $reply)?>>,)*
        }

        impl Callbacks {
            $(
                #[doc = concat!("See [`Handler::", stringify!($name), "`].")]
                pub fn $name $(<$given: Into<$reply>>)? (
                    mut self,
                    mut call: impl FnMut(&mut Server, $($type),*) $(-> $answer)? $(-> $given)? + 'static,
                ) -> Callbacks {
                    // Converts a `$given`; for all others `into` changes nothing.
                    self.$name = Some(Box::new(move |server, $($parameter),*| {
                        call(server, $($parameter),*).into()
                    }));
                    self
                }
            )*
        }

        impl Handler for Callbacks {
            fn watches(&self) -> Watches {
                let topics = if self.on_topic.is_some() { Watches::all().only_topics() } else { Watches::none() };
                match self.on_presence {
                    Some(_) => topics.and(Watches::all().only_presence()),
                    None => topics,
                }
            }

            $(
                fn $name(&mut self, server: &mut Server, $($parameter: $type),*) $(-> $answer)? $(-> $reply)? {
                    match &mut self.$name {
                        Some(call) => call(server, $($parameter),*),
                        None => Nothing.$name(server, $($parameter),*),
                    }
                }
            )*
        }
    };
}
every_callback!(define_callbacks);

impl Callbacks {
    /// No closures yet.
    pub fn new() -> Callbacks {
        Callbacks::default()
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callbacks")
    }
}

/// The default of every method.
pub(crate) struct Nothing;

impl Handler for Nothing {}
