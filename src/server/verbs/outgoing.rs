//! Connections that are opened from here: names resolved, addresses tried in turn, and another attempt after a wait.
//! What is open then is a WebSocket like any other, but masked. The handshake is in `dialing`.

use crate::codec::ws::handshake_client::Ask;
use crate::codec::ws::header::{ControlFrame, EncodedHeader};
use crate::codec::ws::{Opcode, Role, close, mask};
use crate::error::{Cause, CloseReason, Fault, Side};
use crate::fd::Fd;
use crate::net::output::{Quota, Refused};
use crate::net::resolver::Resolver;
use crate::net::timers::TimerId;
use crate::server::Server;
use crate::server::api::handle::Mail;
use crate::server::api::handler::Handler;
use crate::server::api::routes::Route;
use crate::server::deferred::Deferred;
use crate::server::dispatch::Dispatch;
use crate::server::session::{Dialing, Session};
use crate::server::verbs::shutdown::Stage;
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{io, vec};

/// Names a [`Client`](crate::Client) of a server for all time, over all its connections; given by
/// [`Server::connect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(u64);

/// The waits between a client's attempts: each twice as long as the one before, up to a limit, and by chance up to half
/// shorter, so that those who were cut off together do not come back together.
///
/// ```
/// use std::time::Duration;
/// use swio::{Backoff, Client};
///
/// let client = Client::connect("ws://127.0.0.1:9501/chat")
///     .reconnect(Backoff { longest: Duration::from_secs(10), ..Backoff::default() });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait. Default 500 ms.
    pub first: Duration,
    /// No wait is longer. A connection that was open for so long begins anew with the first wait. Default 30 s.
    pub longest: Duration,
    /// Attempts in a row that come to nothing, or to a connection that was open for less than `longest`, until the
    /// client gives up. `None`, the default: any number.
    pub attempts_max: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30), attempts_max: None }
    }
}

impl Backoff {
    /// How long to wait behind so many failures, the first counted as 0; `chance` is from 0 to 1.
    pub(crate) fn wait(&self, failures: u32, chance: f64) -> Duration {
        let grown = self.first.saturating_mul(2u32.saturating_pow(failures.min(31)));
        grown.min(self.longest).mul_f64(1.0 - chance / 2.0)
    }
}

/// What a client wants.
#[derive(Clone, Debug)]
pub(crate) struct ClientTarget {
    pub(crate) ask: Ask,
    pub(crate) backoff: Option<Backoff>,
}

/// All clients that this server is.
#[derive(Default)]
pub(crate) struct Outgoing {
    clients: HashMap<ClientId, Box<OutgoingClient>>,
    /// Whose the connections are, from the first attempt on.
    pub(crate) fds: HashMap<Fd, ClientId>,
    resolver: Resolver,
    last: u64,
    /// Why the last one that never opened did not.
    failure: Option<io::Error>,
}

pub(crate) struct OutgoingClient {
    pub(crate) target: ClientTarget,
    pub(crate) route: Route,
    /// The handler is nobody else's.
    owns_route: bool,
    /// Those that this attempt has not tried yet.
    addresses: vec::IntoIter<SocketAddr>,
    /// What the handshake was asked for with, once TCP stands.
    pub(crate) key: Option<String>,
    pub(crate) fd: Option<Fd>,
    pub(crate) opened_at: Option<Instant>,
    retry: Option<TimerId>,
    /// Attempts in a row that came to nothing.
    failures: u32,
    is_stopped: bool,
}

impl Outgoing {
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether the connection was begun from here.
    pub(crate) fn has(&self, fd: Fd) -> bool {
        !self.fds.is_empty() && self.fds.contains_key(&fd)
    }

    pub(crate) fn client_mut(&mut self, client: ClientId) -> Option<&mut OutgoingClient> {
        self.clients.get_mut(&client).map(|client| &mut **client)
    }
}

impl Server {
    /// Takes a client in, which belongs to the handler whose callback runs where it brings none. It begins to
    /// connect when the callback is over.
    pub(crate) fn add_client(
        &mut self,
        target: ClientTarget,
        handler: impl FnOnce(ClientId) -> Option<Box<dyn Handler>>,
    ) -> io::Result<ClientId> {
        self.random.check()?;
        self.outgoing.last += 1;
        let id = ClientId(self.outgoing.last);
        let client = OutgoingClient {
            target,
            route: self.route.outgoing(),
            owns_route: false,
            addresses: Vec::new().into_iter(),
            key: None,
            fd: None,
            opened_at: None,
            retry: None,
            failures: 0,
            is_stopped: false,
        };
        self.outgoing.clients.insert(id, Box::new(client));
        self.deferred.push(Deferred::Dial(id, handler(id)));
        Ok(id)
    }

    /// Ends a client for good: its connection by a close frame with 1000 behind all that was pushed to it, an attempt
    /// or a wait at once. False where it is over already.
    pub fn stop_client(&mut self, client: ClientId) -> bool {
        let Some(found) = self.outgoing.client_mut(client) else { return false };
        let was_stopped = std::mem::replace(&mut found.is_stopped, true);
        match (found.fd, found.retry.take()) {
            (Some(fd), _) => {
                self.disconnect(fd, close::NORMAL, "");
            }
            (None, retry) => {
                retry.map(|timer| self.cancel(timer));
                self.deferred.push(Deferred::Dial(client, None));
            }
        }
        !was_stopped
    }

    /// Why the last client that gave up did so.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.outgoing.failure.take()
    }

    /// The fd of a client's open connection, `None` while it has none. Another for each connection.
    pub fn client_fd(&self, client: ClientId) -> Option<Fd> {
        let fd = self.outgoing.clients.get(&client)?.fd?;
        self.is_established(fd).then_some(fd)
    }

    pub(crate) fn write_masked(
        &mut self,
        fd: Fd,
        header: EncodedHeader,
        bytes: Cow<'_, [u8]>,
        quota: Quota,
    ) -> Result<(), Refused> {
        // RFC 6455 §5.3: a key of its own for each frame, which nobody can foretell.
        let key = self.random.bytes();
        let mut bytes = bytes.into_owned();
        mask::apply(&mut bytes, key);
        self.connections.write_owned(fd, header.masked(key).as_slice(), bytes, quota)
    }

    /// A control frame as the connection needs it.
    pub(crate) fn control_frame(&mut self, fd: Fd, opcode: Opcode, payload: &[u8]) -> ControlFrame {
        let key = (self.role(fd) == Role::Client).then(|| self.random.bytes());
        ControlFrame::new(opcode, payload, key)
    }

    /// Both close frames are sent: the peer, which is the server, ends TCP (RFC 6455 §7.1.1).
    pub(crate) fn await_end(&mut self, fd: Fd, reason: CloseReason) {
        self.hear_no_more(fd);
        self.connections.note_reason(fd, reason);
        self.connections.deadline(fd, self.config.close_timeout);
    }
}

impl Dispatch {
    /// A client's next attempt, or its end where it was stopped meanwhile.
    pub(crate) fn dial(&mut self, id: ClientId, handler: Option<Box<dyn Handler>>) {
        let is_serving = self.server.stage == Stage::Serving;
        let Some(client) = self.server.outgoing.client_mut(id) else { return };
        client.retry = None;
        if let Some(handler) = handler {
            let Some(route) = self.routes.add_client(handler).map(Route::outgoing) else {
                let what = Cause::Overload("too many clients with callbacks of their own");
                client.target.backoff = None;
                return self.attempt_failed(id, what, "".into());
            };
            (client.route, client.owns_route) = (route, true);
        }
        if client.fd.is_some() {
            return;
        }
        if client.is_stopped || !is_serving {
            return self.end_client(id);
        }
        let url = &client.target.ask.url;
        if let Some(address) = url.address() {
            let address = SocketAddr::new(address, url.port);
            return self.resolved(id, Ok(vec![address]));
        }
        let (host, port) = (url.host.clone(), url.port);
        let handle = self.server.handle();
        let tell = move |found: io::Result<Vec<SocketAddr>>| {
            // Gone with the server, where that has ended.
            handle.0.send_exempt(Mail::Resolved(id, found)).ok();
        };
        if let Err(error) = self.server.outgoing.resolver.resolve(host, port, tell) {
            self.attempt_failed(id, Cause::Io(error.kind()), error.to_string().into());
        }
    }

    pub(crate) fn resolved(&mut self, id: ClientId, addresses: io::Result<Vec<SocketAddr>>) {
        // It may have been stopped meanwhile.
        let Some(client) = self.server.outgoing.client_mut(id) else { return };
        match addresses {
            Ok(addresses) => {
                client.addresses = addresses.into_iter();
                self.try_next_address(id, Cause::Lost, "".into());
            }
            Err(error) => self.attempt_failed(id, Cause::Io(error.kind()), error.to_string().into()),
        }
    }

    /// Tries the addresses that are left, or fails as the last one did.
    pub(crate) fn try_next_address(&mut self, id: ClientId, mut cause: Cause, mut text: Box<str>) {
        loop {
            let Some(client) = self.server.outgoing.client_mut(id) else { return };
            let address = if client.is_stopped { None } else { client.addresses.next() };
            let Some(address) = address else { return self.attempt_failed(id, cause, text) };
            let dialing = Session::Dialing(Dialing::default());
            match self.server.connections.connect(address, dialing, &self.server.config) {
                Ok(fd) => {
                    log::debug!("{fd}: connecting to {address}");
                    client.fd = Some(fd);
                    self.server.outgoing.fds.insert(fd, id);
                    let timeout = self.server.config.connect_timeout;
                    return self.server.connections.deadline(fd, timeout);
                }
                Err(error) => (cause, text) = (Cause::Io(error.kind()), error.to_string().into()),
            }
        }
    }

    /// An attempt came to nothing.
    pub(crate) fn attempt_failed(&mut self, id: ClientId, cause: Cause, text: Box<str>) {
        let Some(client) = self.server.outgoing.client_mut(id) else { return };
        if client.is_stopped {
            return self.end_client(id);
        }
        let (route, url) = (client.route, client.target.ask.url.to_string().into());
        let fault = Fault::Connect { url, cause, text };
        log::debug!("{fault}");
        self.server.route = route;
        self.report(route, None, &fault);
        if !self.retry(id) {
            let kind = if let Cause::Io(kind) = cause { kind } else { io::ErrorKind::Other };
            self.server.outgoing.failure = Some(io::Error::new(kind, fault.to_string()));
            self.end_client(id);
        }
    }

    /// A connection that was open is gone, and `on_close` was told.
    pub(crate) fn outgoing_ended(&mut self, fd: Fd, reason: &CloseReason) {
        let now = self.server.connections.now();
        let Some(id) = self.server.outgoing.fds.remove(&fd) else { return };
        let Some(client) = self.server.outgoing.client_mut(id) else { return };
        (client.fd, client.key) = (None, None);
        let was_open = client.opened_at.take().map(|at| now.saturating_duration_since(at));
        if let (Some(backoff), Some(was_open)) = (client.target.backoff, was_open)
            && was_open >= backoff.longest
        {
            client.failures = 0;
        }
        let is_wanted =
            reason.by == Side::Local && matches!(reason.cause, Cause::Requested | Cause::Shutdown);
        if is_wanted || !self.retry(id) {
            self.end_client(id);
        }
    }

    /// Waits for the next attempt, where there is to be one.
    fn retry(&mut self, id: ClientId) -> bool {
        let server = &mut self.server;
        let is_serving = server.stage == Stage::Serving;
        let Some(client) = server.outgoing.clients.get_mut(&id) else { return false };
        let Some(backoff) = client.target.backoff else { return false };
        if client.is_stopped
            || !is_serving
            || backoff.attempts_max.is_some_and(|max| client.failures + 1 >= max)
        {
            return false;
        }
        let wait = backoff.wait(client.failures, server.random.share());
        client.failures = client.failures.saturating_add(1);
        log::debug!("{}: trying again in {wait:?}", client.target.ask.url);
        server.route = Route::ROOT;
        let timer = server.after(wait, move |server| server.deferred.push(Deferred::Dial(id, None)));
        if let Some(client) = self.server.outgoing.client_mut(id) {
            client.retry = Some(timer);
        }
        true
    }

    /// A client is over.
    pub(crate) fn end_client(&mut self, id: ClientId) {
        let Some(client) = self.server.outgoing.clients.remove(&id) else { return };
        if client.owns_route {
            let handler = self.routes.remove_client(client.route);
            self.call("a client's end", Route::ROOT, None, |_, _| drop(handler));
        }
    }
}
