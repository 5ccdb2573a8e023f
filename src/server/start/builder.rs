//! From configuration and behaviour to a running server.

use crate::codec::http::Answer;
use crate::codec::tcp::Framing;
use crate::config::Config;
use crate::error::{CloseReason, Fault};
use crate::fd::Fd;
use crate::net::connections::Connections;
use crate::net::limits::{Limits, OTHER_FILES};
use crate::net::listener::{self, Listener};
use crate::net::mailbox::mailbox;
use crate::net::reactor::{Reactor, WAKER};
use crate::net::signals::Signals;
use crate::server::api::handler::{Callbacks, Handler, every_callback};
use crate::server::dispatch::Dispatch;
use crate::server::dispatch::routes::{self, Routes};
use crate::server::start::event_loop::{EventLoop, Running};
use crate::server::state::pool::{TaskError, TaskId};
use crate::server::state::presence::Presence;
use crate::server::state::rooms::TopicEvent;
use crate::server::state::settings::Reread;
use crate::server::state::subscription::{SubscribeRequest, Subscription};
use crate::server::{Handle, Mail, Server};
use crate::session::Sessions;
use crate::session::formats::{Formats, TCP_LISTENERS_MAX};
use crate::session::frame::Frame;
use crate::session::request::{Handshake, Reply, Request};
use crate::session::script::Script;
use mio::{Poll, Waker};
use std::any::Any;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Instant;

/// Collects where a server listens, its limits and its behaviour; [`run`](Builder::run),
/// [`start`](Builder::start) or [`build`](Builder::build) makes it live.
///
/// Behaviour is either closures (`on_open`, `on_message` and so on) or one [`Handler`] with state of its own. Of a
/// callback that is given twice, the last counts. Closures are `Clone + Send`; state that several of them share, or
/// that is not `Send`, belongs in a `Handler`.
#[derive(Default)]
#[must_use]
pub struct Builder {
    addresses: Vec<String>,
    tcp: Vec<(String, Framing)>,
    config: Config,
    factory: Option<Factory>,
    closures: Vec<Install>,
    routes: Vec<(String, Factory)>,
    script: Option<String>,
    signals: Option<bool>,
    #[cfg(feature = "toml")]
    settings: Option<std::path::PathBuf>,
}

/// Makes a handler, on the thread that it will live on: one for each reactor.
type Factory = Box<dyn Fn() -> Box<dyn Handler> + Send>;
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
    /// May be called for several.
    pub fn listen(mut self, address: impl fmt::Display) -> Builder {
        self.addresses.push(address.to_string());
        self
    }

    /// Listens on an address for raw TCP: connections from there speak no HTTP. Each comes with
    /// [`on_connect`](Handler::on_connect), is established from then on, brings packages, cut as `framing` says, to
    /// [`on_receive`](Handler::on_receive), and ends with [`on_close`](Handler::on_close). May be called for several,
    /// up to 120.
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
    pub fn listen_tcp(mut self, address: impl fmt::Display, framing: Framing) -> Builder {
        self.tcp.push((address.to_string(), framing));
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

    /// Behaviour with state of its own. `factory` makes one handler for each thread that serves (today there is one),
    /// on that thread, so the state need not be `Send`. It may be called more than once: what it captures it clones.
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

    /// What serves a path: `/chat/{room}` for one segment ([`Request::param`] gives it), `/files/{*path}` for all
    /// that follows. A path without a route gets 404, before any upgrade; `factory` is called as for
    /// [`handler`](Builder::handler). So several applications can share one port.
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
        pattern: impl Into<String>,
        factory: impl Fn() -> H + Send + 'static,
    ) -> Builder {
        self.routes.push((pattern.into(), Box::new(move || Box::new(factory()))));
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
    ///     .on_subscribe(|_, request| request.topic == "news")
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
    /// Several servers of one process all get them.
    pub fn signals(mut self, take: bool) -> Builder {
        self.signals = Some(take);
        self
    }

    /// Serves on this thread until [`Server::shutdown`] or until a [signal](Builder::signals) asks for it.
    ///
    /// # Errors
    /// Where an address can't be bound or a setting can't work (the error names it); later, where the
    /// system's poller fails.
    pub fn run(mut self) -> io::Result<()> {
        self.signals.get_or_insert(true);
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
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn simulate_tcp(self, framings: &[Framing]) -> io::Result<Reactor<Dispatch>> {
        let mut prepared = self.prepare_unbound()?;
        prepared.framings = framings.into();
        prepared.reactor()
    }

    /// A loop that listens nowhere: for clients.
    pub(crate) fn build_unbound(self) -> io::Result<EventLoop> {
        self.prepare_unbound()?.build()
    }

    fn prepare(self) -> io::Result<Prepared> {
        if self.addresses.is_empty() && self.tcp.is_empty() {
            return Err(invalid("no address to listen on: call listen first"));
        }
        self.prepare_unbound()
    }

    fn prepare_unbound(mut self) -> io::Result<Prepared> {
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
        let mut listeners = Vec::new();
        for address in &self.addresses {
            bind(address, 0, &self.config, &mut listeners)?;
        }
        for (number, (address, framing)) in self.tcp.iter().enumerate() {
            framing.check().map_err(|what| invalid(format!("can't listen on {address:?}: {what}")))?;
            if number == TCP_LISTENERS_MAX {
                return Err(invalid(format!("at most {TCP_LISTENERS_MAX} listeners for raw TCP")));
            }
            let protocol = number as u8 + 1;
            bind(address, protocol, &self.config, &mut listeners)?;
        }
        let framings = self.tcp.into_iter().map(|(_, framing)| framing).collect();
        let addresses =
            listeners.iter().map(|listener| listener.socket.local_addr()).collect::<io::Result<Vec<_>>>()?;
        routes::check(self.routes.iter().map(|(pattern, _)| &**pattern))
            .map_err(|error| invalid(error.to_string()))?;
        let script = self.script.map(Script::new).transpose();
        let script = script.map_err(|error| invalid(error.to_string()))?;
        let closures = self.closures;
        let factory = self.factory.unwrap_or_else(|| {
            Box::new(move || Box::new(closures.iter().fold(Callbacks::new(), |all, install| install(all))))
        });
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (sender, mailbox) = mailbox(waker, self.config.mailbox_items_max, self.config.mailbox_bytes_max);
        let signals = if self.signals == Some(true) { Some(Signals::new()?) } else { None };
        Ok(Prepared {
            config: self.config,
            signals,
            reread,
            listeners,
            addresses,
            framings,
            factory,
            routes: self.routes,
            script,
            poll,
            handle: Handle(sender),
            mailbox,
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
            .field("tcp", &self.tcp)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Everything that can fail has been done, and everything here may still change threads.
pub(crate) struct Prepared {
    config: Config,
    signals: Option<Signals>,
    reread: Option<Reread>,
    listeners: Vec<Listener>,
    addresses: Vec<SocketAddr>,
    framings: Vec<Framing>,
    factory: Factory,
    routes: Vec<(String, Factory)>,
    script: Option<Script>,
    poll: Poll,
    handle: Handle,
    mailbox: crate::net::mailbox::Mailbox<Mail>,
}

impl Prepared {
    pub(crate) fn build(self) -> io::Result<EventLoop> {
        let addresses = self.addresses.clone();
        Ok(EventLoop::new(self.reactor()?, addresses))
    }

    fn reactor(self) -> io::Result<Reactor<Dispatch>> {
        let limits = Limits::new(&self.config);
        let connections_max = limits.connections_max;
        for (listener, address) in self.listeners.iter().zip(&self.addresses) {
            let what = if listener.protocol == 0 { "HTTP and WebSockets" } else { "raw TCP" };
            log::info!("listening on {address} for {what}");
        }
        let read_buffer_bytes = self.config.read_buffer_bytes;
        let connections =
            Connections::new(connections_max.saturating_add(OTHER_FILES), limits, Instant::now());
        let sessions = Sessions::new(connections, self.config, Formats::new(&self.framings));
        let mut server = Server::new(sessions, self.handle);
        server.reread = self.reread;
        // A client by itself takes nobody in, and its bound says nothing.
        if !self.addresses.is_empty() {
            log::info!("memory: at most {}", server.memory_bound());
        }
        let mut routes = Routes::new((self.factory)());
        for (pattern, factory) in self.routes {
            routes.add(&pattern, factory());
        }
        let dispatch = Dispatch::new(server, routes, self.script);
        Reactor::new(dispatch, self.poll, self.listeners, self.mailbox, self.signals, read_buffer_bytes)
    }
}

/// Binds every address that a name stands for: `localhost` may be two.
fn bind(address: &str, protocol: u8, config: &Config, listeners: &mut Vec<Listener>) -> io::Result<()> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("can't listen on {address:?}: {error}"));
    let wrong = |error: io::Error| {
        let what =
            format!("can't listen on {address:?}: {error}; expected HOST:PORT, such as 127.0.0.1:9501");
        io::Error::new(error.kind(), what)
    };
    for address in address.to_socket_addrs().map_err(wrong)? {
        listeners.push(listener::bind(address, protocol, config).map_err(named)?);
    }
    Ok(())
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}
