//! From configuration and behaviour to a running server.

use crate::codec::http::Answer;
use crate::codec::tcp::Framing;
use crate::config::Config;
use crate::config::Reread;
use crate::config::options::{ListenOptions, RouteOptions};
use crate::error::{CloseReason, Fault};
use crate::fd::Fd;
#[cfg(any(test, feature = "sim"))]
use crate::net::reactor::Reactor;
use crate::server::Server;
use crate::server::api::handler::{Callbacks, Handler, every_callback};
#[cfg(any(test, feature = "sim"))]
use crate::server::dispatch::Dispatch;
use crate::server::start::event_loop::{EventLoop, Running};
use crate::server::start::prepared::{Blueprint, Factory, PreparedServer, TcpListen, invalid};
use crate::server::state::pool::{TaskError, TaskId};
use crate::server::state::presence::PresenceEvent;
use crate::server::state::rooms::TopicEvent;
use crate::server::state::subscription::{SubscribeRequest, Subscription};
use crate::session::frame::Frame;
use crate::session::request::{Handshake, Reply, Request};
use std::any::Any;
use std::fmt;
use std::io;

/// Collects where a server listens, its limits and its behaviour. [`run`](Builder::run), [`start`](Builder::start) or
/// [`build`](Builder::build) then starts it.
///
/// Behaviour is given either as closures (`on_open`, `on_message` and so on) or as one [`Handler`] with state of its
/// own. If a callback is given twice, the last one counts. Closures are `Clone + Send`, and do not share variables: a
/// clone of some state in each of them is a separate state in each. What several callbacks use, or what is not `Send`,
/// belongs in a `Handler`.
#[derive(Default)]
#[must_use]
pub struct Builder {
    addresses: Vec<ListenOptions>,
    tcp: Vec<TcpListen>,
    config: Config,
    factory: Option<Factory>,
    closures: Vec<Install>,
    routes: Vec<(RouteOptions, Factory)>,
    script: Option<String>,
    signals: Option<bool>,
    #[cfg(feature = "toml")]
    settings: Option<std::path::PathBuf>,
}

/// Installs one closure. Closures are `Clone` so that each reactor can have its own copy, as each of Swoole's
/// workers has.
type Install = Box<dyn Fn(Callbacks) -> Callbacks + Send>;

impl Server {
    /// Begins to configure a server: where it listens and what it does.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Listens on an address such as `127.0.0.1:9501`, `[::]:80` or `localhost:0` (port 0: any free port). May be
    /// called several times. [`ListenOptions`] give an address limits of its own.
    pub fn listen(mut self, address: impl Into<ListenOptions>) -> Builder {
        self.addresses.push(address.into());
        self
    }

    /// Listens on an address for raw TCP: its connections speak no HTTP. [`on_connect`](Handler::on_connect) reports a
    /// new connection, which is established from then on; [`on_receive`](Handler::on_receive) gets its packages, cut
    /// as `framing` says; and [`on_close`](Handler::on_close) reports its end. May be called up to 120 times. The
    /// callbacks are those of the server's own handler; [`listen_tcp_with`](Builder::listen_tcp_with) gives a listener
    /// a handler of its own. [`ListenOptions`] give it limits.
    ///
    /// Such a connection is used like any other: [`push`](Server::push) frames messages as the listener's `framing`
    /// says (text and binary alike), [`broadcast`](Server::broadcast) and [`publish`](Server::publish) reach it like
    /// WebSockets, and limits and policies are the same. [`Config::message_bytes_max`] limits a package without its
    /// framing. There are no pings. A peer that ends its side ends the connection, with code 1005 between packages and
    /// 1006 within one; what was pushed until then is still sent. A peer that breaks the framing is disconnected
    /// without a message, because raw TCP has none for that.
    ///
    /// ```no_run
    /// use swio::{Framing, Server};
    ///
    /// // A chat for `nc 127.0.0.1 9502`, one message a line.
    /// Server::builder()
    ///     .listen_tcp("127.0.0.1:9502", Framing::EndMark(b"\n".into()))
    ///     .on_connect(|server, fd| { server.push(fd, "welcome to the chat room").ok(); })
    ///     .on_receive(|server, fd, line| { server.broadcast(line).except(fd).send(); })
    ///     .on_close(|_server, fd, reason| println!("{fd} left: {reason}"))
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn listen_tcp(mut self, address: impl Into<ListenOptions>, framing: Framing) -> Builder {
        self.tcp.push((address.into(), framing, None));
        self
    }

    /// Like [`listen_tcp`](Builder::listen_tcp), with a handler for this listener alone. It gets the callbacks of the
    /// listener's connections instead of the server's handler, and the timers that are set in them. `factory` is
    /// called as for [`handler`](Builder::handler).
    ///
    /// ```no_run
    /// use swio::{Callbacks, Framing, Server};
    ///
    /// Server::builder()
    ///     .listen("0.0.0.0:9501")
    ///     .on_open(|server, request| { server.join(request.fd, "news").ok(); })
    ///     // Other programs on this machine say what is new, one message a line.
    ///     .listen_tcp_with("127.0.0.1:9502", Framing::EndMark(b"\n".into()), || {
    ///         Callbacks::new().on_receive(|server, _fd, line| { server.publish("news", line).send(); })
    ///     })
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn listen_tcp_with<H: Handler + 'static>(
        mut self,
        address: impl Into<ListenOptions>,
        framing: Framing,
        factory: impl Fn() -> H + Send + 'static,
    ) -> Builder {
        self.tcp.push((address.into(), framing, Some(Box::new(move || Box::new(factory())))));
        self
    }

    /// Changes limits and timeouts.
    ///
    /// ```
    /// use swio::Server;
    ///
    /// let builder = Server::builder().configure(|config| {
    ///     config.message_bytes_max = 64 << 10;
    ///     config.ping_interval = None;
    /// });
    /// ```
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Builder {
        change(&mut self.config);
        self
    }

    /// With the feature `toml`: reads limits and timeouts from a TOML file, as [`Config::from_toml`] describes, at
    /// start and whenever [`Server::reload_settings`] is called. Values in the file take precedence; for all others
    /// [`configure`](Builder::configure) gives the defaults, in whatever order the two are called.
    ///
    /// ```no_run
    /// swio::Server::builder().listen("127.0.0.1:9501").settings("swio.toml").run()
    /// # .unwrap();
    /// ```
    #[cfg(feature = "toml")]
    pub fn settings(mut self, path: impl Into<std::path::PathBuf>) -> Builder {
        self.settings = Some(path.into());
        self
    }

    /// Sets a handler, behaviour with state of its own. `factory` makes one handler for each thread that serves (today
    /// there is one), on that thread, so the state need not be `Send`. It may be called more than once, so it must
    /// clone what it captures.
    ///
    /// ```
    /// use std::sync::mpsc::{self, Sender};
    /// use swio::{Fd, Handler, Request, Server};
    ///
    /// struct Greeter(Sender<Fd>);
    ///
    /// impl Handler for Greeter {
    ///     fn on_open(&mut self, _server: &mut Server, request: &Request<'_>) {
    ///         self.0.send(request.fd).ok();
    ///     }
    /// }
    ///
    /// let (sender, _opened) = mpsc::channel();
    /// let builder = Server::builder().listen("127.0.0.1:0").handler(move || Greeter(sender.clone()));
    /// ```
    pub fn handler<H: Handler + 'static>(mut self, factory: impl Fn() -> H + Send + 'static) -> Builder {
        self.factory = Some(Box::new(move || Box::new(factory())));
        self
    }

    /// Serves a path by a handler of its own: `/chat/{room}` matches one segment ([`Request::param`] returns it),
    /// `/files/{*path}` everything that follows. A path without a route gets 404, before any upgrade. So several
    /// applications can share one port. `factory` is called as for [`handler`](Builder::handler). [`RouteOptions`]
    /// give a path limits, origins and subprotocols of its own.
    ///
    /// ```
    /// use swio::{Callbacks, Server};
    ///
    /// let builder = Server::builder()
    ///     .listen("127.0.0.1:0")
    ///     .route("/chat/{room}", || Callbacks::new().on_open(|server, request| {
    ///         let room = request.param("room").unwrap_or_default();
    ///         server.push(request.fd, format!("welcome to {room}")).ok();
    ///     }));
    /// ```
    pub fn route<H: Handler + 'static>(
        mut self,
        route: impl Into<RouteOptions>,
        factory: impl Fn() -> H + Send + 'static,
    ) -> Builder {
        self.routes.push((route.into(), Box::new(move || Box::new(factory()))));
        self
    }

    /// Serves the [script for pages](crate::SCRIPT) at a path, before all routes and `on_request`. Browsers ask each
    /// time whether their copy is still the server's, and load it only once.
    ///
    /// ```no_run
    /// use swio::{Response, Server};
    ///
    /// const PAGE: &str = r#"<!doctype html><script src="/swio.js"></script><script>
    ///   const swio = new Swio("/");
    ///   swio.subscribe("news").onmessage = ({ data }) => document.body.append(data);
    /// </script>"#;
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .configure(|config| (config.event_streams, config.long_polling) = (true, true))
    ///     .script("/swio.js")
    ///     .on_request(|_, _| Response::html(PAGE))
    ///     .on_subscribe(|_, request| request.topic == "news")
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn script(mut self, path: impl Into<String>) -> Builder {
        self.script = Some(path.into());
        self
    }

    /// Whether the server handles the signals of its process. By default [`run`](Builder::run) does, and
    /// [`start`](Builder::start) and [`build`](Builder::build) do not.
    ///
    /// SIGTERM and SIGINT call [`Server::shutdown`]. A second one ends the server at once, or the whole process if the
    /// server can't react because a callback hangs. SIGHUP reads the settings file again, if there is one, and calls
    /// `on_reload`; if the file is wrong, `on_error` is called and nothing changes. When the server has ended, signals
    /// have their default effect again.
    ///
    /// If a process has several servers, all of them get its signals.
    pub fn signals(mut self, take: bool) -> Builder {
        self.signals = Some(take);
        self
    }

    /// Serves on this thread until [`Server::shutdown`] or until a [signal](Builder::signals) asks for it.
    ///
    /// # Errors
    /// If an address can't be bound or a setting can't work (the error names it); later, if the system's poller fails.
    pub fn run(mut self) -> io::Result<()> {
        self.signals.get_or_insert(true);
        self.build()?.run()
    }

    /// Serves on a thread of its own. The addresses are bound when this returns.
    ///
    /// # Errors
    /// As for [`Builder::run`], except for the poller's.
    pub fn start(self) -> io::Result<Running> {
        let prepared = self.prepare()?;
        Running::spawn(prepared.handle.clone(), prepared.addresses.clone(), || prepared.build())
    }

    /// Binds the addresses and returns the loop, for programs that have a loop of their own; see [`EventLoop`].
    ///
    /// # Errors
    /// As for [`Builder::start`].
    pub fn build(self) -> io::Result<EventLoop> {
        self.prepare()?.build()
    }

    /// A reactor without listeners, for simulated sockets.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn simulate(self) -> io::Result<Reactor<Dispatch>> {
        self.prepare_unbound()?.reactor()
    }

    /// The same, with raw TCP of these framings.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn simulate_tcp(mut self, framings: &[Framing]) -> io::Result<Reactor<Dispatch>> {
        let listeners = framings.iter().map(|framing| ("nowhere".into(), framing.clone(), None));
        self.tcp = listeners.collect();
        self.simulate()
    }

    /// A loop without listeners, for clients.
    pub(crate) fn build_unbound(self) -> io::Result<EventLoop> {
        self.prepare_unbound()?.build()
    }

    fn prepare(self) -> io::Result<PreparedServer> {
        if self.addresses.is_empty() && self.tcp.is_empty() {
            return Err(invalid("no address to listen on: call listen first"));
        }
        self.blueprint()?.prepare(true)
    }

    fn prepare_unbound(self) -> io::Result<PreparedServer> {
        self.blueprint()?.prepare(false)
    }

    fn blueprint(mut self) -> io::Result<Blueprint> {
        let reread = self.reread();
        match &reread {
            Some(reread) => self.config = reread()?,
            None => self.config.check()?,
        }
        for warning in self.config.warnings() {
            log::warn!("{warning}");
        }
        if self.factory.is_some() && !self.closures.is_empty() {
            return Err(invalid("a server has either a handler or closures, not both"));
        }
        let closures = self.closures;
        let root = self.factory.unwrap_or_else(|| {
            Box::new(move || Box::new(closures.iter().fold(Callbacks::new(), |all, install| install(all))))
        });
        Ok(Blueprint {
            config: self.config,
            reread,
            addresses: self.addresses,
            tcp: self.tcp,
            root,
            routes: self.routes,
            script: self.script,
            takes_signals: self.signals == Some(true),
        })
    }

    /// How to read the settings file, if there is one.
    fn reread(&mut self) -> Option<Reread> {
        #[cfg(feature = "toml")]
        if let Some(path) = self.settings.take() {
            let file = crate::config::SettingsFile { path, base: self.config.clone() };
            return Some(Box::new(move || file.read()));
        }
        None
    }
}

/// The setters of [`Callbacks`] again, for closures that may be used on more than one thread.
macro_rules! define_setters {
    (
        $($name:ident($($parameter:ident: $type:ty),*) $(-> $answer:ty)? $(=> $given:ident: Into<$reply:ty>)?;)*
    ) => {
        /// Behaviour by closures.
        impl Builder {
            $(
                #[doc = concat!("See [`Handler::", stringify!($name), "`].")]
                pub fn $name<F $(, $given: Into<$reply>)?>(mut self, call: F) -> Builder
                where
                    F: FnMut(&mut Server, $($type),*) $(-> $answer)? $(-> $given)? + Clone + Send + 'static,
                {
                    self.closures.push(Box::new(move |callbacks| callbacks.$name(call.clone())));
                    self
                }
            )*
        }
    };
}
every_callback!(define_setters);

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("addresses", &self.addresses)
            .field("routes", &self.routes.iter().map(|(route, _)| route).collect::<Vec<_>>())
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
