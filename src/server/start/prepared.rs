//! A server that is ready to run and can still be moved to another thread. Everything that can fail has been done: the
//! addresses are bound, patterns and settings are checked.

use crate::codec::tcp::Framing;
use crate::config::Config;
use crate::config::Reread;
use crate::config::options::{ListenOptions, RouteOptions};
use crate::net::connections::Connections;
use crate::net::limits::{Limits, OTHER_FILES};
use crate::net::listener::{self, Listener};
use crate::net::mailbox::{Mailbox, mailbox};
use crate::net::reactor::{Reactor, WAKER};
use crate::net::signals::Signals;
use crate::net::stream::canonical;
use crate::net::table::reserved_for;
use crate::server::api::handler::Handler;
use crate::server::dispatch::Dispatch;
use crate::server::dispatch::handlers::Handlers;
use crate::server::start::event_loop::EventLoop;
use crate::server::{Handle, Mail, Server};
use crate::session::Sessions;
use crate::session::formats::{Formats, TCP_LISTENERS_MAX};
use crate::session::paths::{Named, Paths, Plan};
use crate::session::route::Route;
use crate::session::script::Script;
use mio::{Poll, Waker};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Instant;

/// Makes a handler on the thread where it will live: one for each reactor.
pub(crate) type Factory = Box<dyn Fn() -> Box<dyn Handler> + Send>;

/// A listener for raw TCP, and its handler if that is not the server's.
pub(crate) type TcpListen = (ListenOptions, Framing, Option<Factory>);

/// What a server is made of.
pub(crate) struct Blueprint {
    pub(crate) config: Config,
    pub(crate) reread: Option<Reread>,
    pub(crate) addresses: Vec<ListenOptions>,
    pub(crate) tcp: Vec<TcpListen>,
    pub(crate) root: Factory,
    pub(crate) routes: Vec<(RouteOptions, Factory)>,
    pub(crate) script: Option<String>,
    pub(crate) takes_signals: bool,
}

/// A server for which everything that can fail has been done. It can still be moved to another thread.
pub(crate) struct PreparedServer {
    config: Config,
    signals: Option<Signals>,
    reread: Option<Reread>,
    listeners: Vec<Listener>,
    pub(crate) addresses: Vec<SocketAddr>,
    framings: Vec<Framing>,
    paths: Paths,
    /// How many listeners for HTTP have options.
    listeners_with_options: usize,
    root: Factory,
    tcp: Vec<Option<Factory>>,
    routes: Vec<Factory>,
    script: Option<Script>,
    poll: Poll,
    pub(crate) handle: Handle,
    mailbox: Mailbox<Mail>,
}

impl Blueprint {
    /// Does everything that can fail. `binds`: binds the addresses too.
    pub(crate) fn prepare(self, binds: bool) -> io::Result<PreparedServer> {
        let config = self.config;
        for (listener, framing, _) in &self.tcp {
            let address = &listener.address;
            framing.check().map_err(|what| invalid(format!("can't listen on {address:?}: {what}")))?;
        }
        let tcp = self.tcp.iter().map(|(listener, ..)| named(listener)).collect::<Vec<_>>();
        if tcp.len() > TCP_LISTENERS_MAX {
            return Err(invalid(format!("at most {TCP_LISTENERS_MAX} listeners for raw TCP")));
        }
        let with_options = self.addresses.iter().filter(|listener| !listener.overrides.is_empty());
        let listeners = with_options.map(named).collect::<Vec<_>>();
        let listeners_with_options = listeners.len();
        let routes = self.routes.iter().map(|(route, _)| (route.pattern.clone(), route.overrides.clone()));
        let plan = Plan { tcp, listeners, routes: routes.collect() };
        let paths = Paths::new(plan, &config)?;
        let mut listeners = Vec::new();
        if binds {
            let http = self.addresses.iter().zip(numbered(&paths, &self.addresses));
            let tcp = self.tcp.iter().map(|(listener, ..)| listener).zip(1..);
            for (listener, number) in http.chain(tcp) {
                bind(&listener.address, number, &config, &mut listeners)?;
            }
        }
        let addresses =
            listeners.iter().map(|listener| listener.socket.local_addr()).collect::<io::Result<Vec<_>>>()?;
        let script = self.script.map(Script::new).transpose();
        let script = script.map_err(|error| invalid(error.to_string()))?;
        let widest = paths.widest(&config);
        if script.is_some() && !(widest.event_streams || widest.long_polling) {
            log::warn!(
                "pages have no fallback where WebSockets do not get through: neither event_streams nor long_polling is on"
            );
        }
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (sender, mailbox) = mailbox(waker, config.mailbox_items_max, config.mailbox_bytes_max);
        let (framings, tcp) = self.tcp.into_iter().map(|(_, framing, factory)| (framing, factory)).unzip();
        Ok(PreparedServer {
            signals: if self.takes_signals { Some(Signals::new()?) } else { None },
            config,
            reread: self.reread,
            listeners,
            addresses,
            framings,
            paths,
            listeners_with_options,
            root: self.root,
            tcp,
            routes: self.routes.into_iter().map(|(_, factory)| factory).collect(),
            script,
            poll,
            handle: Handle(sender),
            mailbox,
        })
    }
}

impl PreparedServer {
    pub(crate) fn build(self) -> io::Result<EventLoop> {
        let addresses = self.addresses.clone();
        Ok(EventLoop::new(self.reactor()?, addresses))
    }

    pub(crate) fn reactor(self) -> io::Result<Reactor<Dispatch>> {
        let limits = Limits::new(&self.paths.widest(&self.config));
        let connections_max = limits.connections_max;
        for (listener, address) in self.listeners.iter().zip(&self.addresses) {
            let route = Route::new(listener.number.into()).unwrap_or_default();
            let is_tcp = self.paths.framing_of(route).is_some();
            let what = if is_tcp { "raw TCP" } else { "HTTP and WebSockets" };
            log::info!("listening on {address} for {what}");
        }
        let read_buffer_bytes = self.config.read_buffer_bytes;
        let places = connections_max.saturating_add(OTHER_FILES);
        let reserved = reserved_for(places, self.config.connections_max.is_some());
        let connections = Connections::new(reserved, limits, Instant::now());
        let mut sessions = Sessions::new(connections, self.config, Formats::new(&self.framings), self.paths);
        let addresses = self.addresses.iter().map(|address| canonical(*address));
        sessions.loopback_listeners = addresses.filter(|address| address.ip().is_loopback()).collect();
        let mut server = Server::new(sessions, self.handle);
        server.reread = self.reread;
        // A loop for clients only accepts no connections, so its bound means nothing.
        if !self.addresses.is_empty() {
            log::info!("memory: at most {}", server.memory_bound());
        }
        let root = (self.root)();
        let tcp = self.tcp.into_iter().map(|factory| factory.map(|factory| factory())).collect();
        let paths = self.routes.into_iter().map(|factory| factory()).collect();
        let handlers = Handlers::new(root, tcp, paths, self.listeners_with_options);
        debug_assert_eq!(handlers.routes_len(), server.sessions.paths.len(), "each route has its handler");
        let dispatch = Dispatch::new(server, handlers, self.script);
        Reactor::new(dispatch, self.poll, self.listeners, self.mailbox, self.signals, read_buffer_bytes)
    }
}

fn named(listener: &ListenOptions) -> Named {
    Named { name: format!("listener {:?}", listener.address), overrides: listener.overrides.clone() }
}

/// The number that each listener for HTTP gives its connections, in order.
fn numbered(paths: &Paths, listeners: &[ListenOptions]) -> Vec<u16> {
    let mut with_options = 0;
    let number = |listener: &ListenOptions| {
        if listener.overrides.is_empty() {
            return 0;
        }
        with_options += 1;
        paths.listener(with_options - 1).number() as u16
    };
    listeners.iter().map(number).collect()
}

/// Binds every address of a name: `localhost` may have two.
fn bind(address: &str, number: u16, config: &Config, listeners: &mut Vec<Listener>) -> io::Result<()> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("can't listen on {address:?}: {error}"));
    let wrong = |error: io::Error| {
        let what =
            format!("can't listen on {address:?}: {error}; expected HOST:PORT, such as 127.0.0.1:9501");
        io::Error::new(error.kind(), what)
    };
    if let Some((scheme, rest)) = address.split_once("://") {
        let what =
            format!("can't listen on {address:?}: write the address without {scheme}://, such as {rest:?}");
        return Err(invalid(what));
    }
    for address in address.to_socket_addrs().map_err(wrong)? {
        listeners.push(listener::bind(address, number, config).map_err(named)?);
    }
    Ok(())
}

pub(crate) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}
