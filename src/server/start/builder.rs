//! From configuration and behaviour to a running server.

use crate::codec::http::{Answer, Response};
use crate::codec::tcp::Framing;
use crate::config::Config;
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
use crate::server::start::prepared::{Factory, Parts, Prepared, TcpListen, invalid};
use crate::server::state::pool::{TaskError, TaskId};
use crate::server::state::presence::PresenceEvent;
use crate::server::state::rooms::TopicEvent;
use crate::server::state::settings::Reread;
use crate::session::message::Frame;
use crate::session::request::{Handshake, Request};
use std::any::Any;
use std::fmt;
use std::io;

/// Collects where a server listens, its limits and its behaviour; [`run`](Builder::run),
/// [`start`](Builder::start) or [`build`](Builder::build) makes it live.
///
/// Behaviour is either closures (`on_open`, `on_message` and so on) or one [`Handler`] with state of its own. Of a
/// callback that is given twice, the last counts. Closures are `Clone + Send`; state that several of them share, or
/// that is not `Send`, belongs in a `Handler`.
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

/// Puts one closure into its place. Closures are `Clone` so that more than one reactor can have its own, as
/// each of Swoole's workers has its own copy.
type Install = Box<dyn Fn(Callbacks) -> Callbacks + Send>;

impl Server {
    /// Begins a server: where it listens and what it does.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Listens on an address such as `127.0.0.1:9501`, `[::]:80` or `localhost:0` (port 0: any that is free).
    /// May be called for several. [`ListenOptions`] give an address limits of its own.
    pub fn listen(mut self, address: impl Into<ListenOptions>) -> Builder {
        self.addresses.push(address.into());
        self
    }

    /// Listens on an address for raw TCP: connections from there speak no HTTP. Each comes with
    /// [`on_connect`](Handler::on_connect), is established from then on, brings packages, cut as `framing` says, to
    /// [`on_receive`](Handler::on_receive), and ends with [`on_close`](Handler::on_close). May be called for several,
    /// up to 255. Their callbacks are the server's own; [`listen_tcp_with`](Builder::listen_tcp_with) gives a listener
    /// a handler. [`ListenOptions`] give it limits.
    ///
    /// Its fd is one like any other: [`push`](Server::push) frames what it sends as the listener says (text and binary
    /// alike), [`broadcast`](Server::broadcast) and [`publish`](Server::publish) reach it beside WebSockets, limits
    /// and policies are the same, and [`Config::message_bytes_max`] is for a package, without what frames it. Nobody is
    /// pinged. A peer that ends its side ends the connection: code 1005 between packages, 1006 within one; what was
    /// pushed until then goes out. One that breaks the framing is ended without a word: there is none to say.
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

    /// As [`listen_tcp`](Builder::listen_tcp), with a handler for this listener alone: its connections' callbacks are
    /// called there, not of the server's handler, and so are the timers that are set in them. `factory` is run as for
    /// [`handler`](Builder::handler).
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
        factory: impl FnOnce() -> H + Send + 'static,
    ) -> Builder {
        self.tcp.push((address.into(), framing, Some(Box::new(|| Box::new(factory())))));
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

    /// Reads limits and timeouts from a TOML file, as [`Config::from_toml`] has it, at start and whenever
    /// [`Server::reload_settings`] is called. What the file names counts; for all else
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

    /// Behaviour with state of its own: `factory` is run once, on the server's thread, so the state need not
    /// be `Send`.
    pub fn handler<H: Handler + 'static>(mut self, factory: impl FnOnce() -> H + Send + 'static) -> Builder {
        self.factory = Some(Box::new(|| Box::new(factory())));
        self
    }

    /// What serves a path: `/chat/{room}` for one segment ([`Request::param`] gives it), `/files/{*path}` for all
    /// that follows. A path without a route gets 404, before any upgrade; `factory` is run as for
    /// [`handler`](Builder::handler). Several applications can so live on one port. [`RouteOptions`] give a path
    /// limits, origins and subprotocols of its own.
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
        factory: impl FnOnce() -> H + Send + 'static,
    ) -> Builder {
        self.routes.push((route.into(), Box::new(|| Box::new(factory()))));
        self
    }

    /// Serves the [script for pages](crate::SCRIPT) at a path, in front of all routes and `on_request`. Browsers ask
    /// each time whether theirs is still the server's, and load it once.
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
    ///     .on_subscribe(|_, _, topic| topic == "news")
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn script(mut self, path: impl Into<String>) -> Builder {
        self.script = Some(path.into());
        self
    }

    /// Whether the server takes the signals of its process. Without this, [`run`](Builder::run) does and
    /// [`start`](Builder::start) and [`build`](Builder::build) do not.
    ///
    /// SIGTERM and SIGINT are [`Server::shutdown`]; a second one ends the server at once, and the whole process where
    /// the server is not there to take it, because a callback hangs. SIGHUP reads the settings file again, where there
    /// is one, and calls `on_reload`; where the file is wrong, `on_error` is told and all stays as it is. When the
    /// server has ended, signals do what they do by default.
    ///
    /// Several servers of one process all get them. On systems other than Unix there are none: to ask for them is an
    /// error.
    pub fn signals(mut self, take: bool) -> Builder {
        self.signals = Some(take);
        self
    }

    /// Serves on this thread until [`Server::shutdown`] or, on Unix, until a [signal](Builder::signals) asks for it.
    ///
    /// # Errors
    /// Where an address can't be bound or a setting can't work (the error names it); later, where the
    /// system's poller fails.
    pub fn run(mut self) -> io::Result<()> {
        self.signals.get_or_insert(cfg!(unix));
        self.build()?.run()
    }

    /// Serves on a thread of its own. The addresses are bound when this returns.
    ///
    /// # Errors
    /// As for [`Builder::run`], but for the poller's.
    pub fn start(self) -> io::Result<Running> {
        let prepared = self.prepare()?;
        Running::spawn(prepared.handle.clone(), prepared.addresses.clone(), || prepared.build())
    }

    /// Binds the addresses and gives the loop to whoever has one of his own; see [`EventLoop`].
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

    /// The same, and raw TCP of these framings.
    #[cfg(test)]
    pub(crate) fn simulate_tcp(mut self, framings: &[Framing]) -> io::Result<Reactor<Dispatch>> {
        let listeners = framings.iter().map(|framing| ("nowhere".into(), framing.clone(), None));
        self.tcp = listeners.collect();
        self.simulate()
    }

    /// A loop that listens nowhere: for clients.
    pub(crate) fn build_unbound(self) -> io::Result<EventLoop> {
        self.prepare_unbound()?.build()
    }

    fn prepare(self) -> io::Result<Prepared> {
        if self.addresses.is_empty() && self.tcp.is_empty() {
            return Err(invalid("no address to listen on: call listen first"));
        }
        self.parts()?.prepare(true)
    }

    fn prepare_unbound(self) -> io::Result<Prepared> {
        self.parts()?.prepare(false)
    }

    fn parts(mut self) -> io::Result<Parts> {
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
        Ok(Parts {
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

    /// How to read the settings file, where there is one.
    fn reread(&mut self) -> Option<Reread> {
        #[cfg(feature = "toml")]
        if let Some(path) = self.settings.take() {
            let file = crate::config::SettingsFile { path, base: self.config.clone() };
            return Some(Box::new(move || file.read()));
        }
        None
    }
}

/// Beside those of [`Callbacks`], which may be used on more than one thread.
macro_rules! define_setters {
    ($($name:ident($($parameter:ident: $type:ty),*) $(-> $answer:ty)?;)*) => {
        /// Behaviour by closures.
        impl Builder {
            $(
                #[doc = concat!("See [`Handler::", stringify!($name), "`].")]
                pub fn $name<F>(mut self, call: F) -> Builder
                where
                    F: FnMut(&mut Server, $($type),*) $(-> $answer)? + Clone + Send + 'static,
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
