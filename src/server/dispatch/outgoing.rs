//! Connections that this server opens: names resolved, addresses tried in turn, and another attempt after a wait.

use crate::error::{Cause, CloseReason, Fault, Side};
use crate::fd::Fd;
use crate::server::Deferred;
use crate::server::api::handler::Handler;
use crate::server::dispatch::Dispatch;
use crate::server::state::outgoing::ClientId;
use crate::server::state::stage::Stage;
use crate::session::route::Route;
use crate::session::state::{Dialing, Session};
use std::io;
use std::net::SocketAddr;

impl Dispatch {
    /// Starts a client's next attempt, or ends it if it was stopped meanwhile.
    pub(crate) fn dial(&mut self, id: ClientId, handler: Option<Box<dyn Handler>>) {
        let is_serving = self.server.stage == Stage::Serving;
        let Some(client) = self.server.outgoing.client_mut(id) else { return };
        client.retry = None;
        if let Some(handler) = handler {
            let Some(route) = self.handlers.add_client(handler).map(Route::outgoing) else {
                let what = Cause::Overload("too many clients with callbacks of their own");
                client.target.backoff = None;
                return self.attempt_failed(id, what, "".into());
            };
            (client.route, client.owns_route) = (route, true);
            self.ask_for_watches(route);
        }
        let Some(client) = self.server.outgoing.client_mut(id) else { return };
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
            // Dropped with the server, if that has ended.
            handle.resolved(id, found);
        };
        if let Err(error) = self.server.outgoing.resolver.resolve(host, port, tell) {
            self.attempt_failed(id, Cause::Io(error.kind()), error.to_string().into());
        }
    }

    pub(crate) fn resolved(&mut self, id: ClientId, addresses: io::Result<Vec<SocketAddr>>) {
        // The client may have been stopped meanwhile.
        let Some(client) = self.server.outgoing.client_mut(id) else { return };
        match addresses {
            Ok(addresses) => {
                client.addresses = addresses.into_iter();
                self.try_next_address(id, Cause::Lost, "".into());
            }
            Err(error) => self.attempt_failed(id, Cause::Io(error.kind()), error.to_string().into()),
        }
    }

    /// Tries the addresses that are left. If there are none, fails as the last one did.
    pub(crate) fn try_next_address(&mut self, id: ClientId, mut cause: Cause, mut text: Box<str>) {
        loop {
            let Some(client) = self.server.outgoing.client_mut(id) else { return };
            let address = if client.is_stopped { None } else { client.addresses.next() };
            let Some(address) = address else { return self.attempt_failed(id, cause, text) };
            let dialing = Session::Dialing(Dialing::default());
            match self.server.sessions.connections.connect(address, dialing, &self.server.sessions.config) {
                Ok(fd) => {
                    log::debug!("{fd}: connecting to {address}");
                    client.fd = Some(fd);
                    self.server.outgoing.fds.insert(fd, id);
                    let timeout = self.server.sessions.config.connect_timeout;
                    return self.server.sessions.connections.expire_in(fd, timeout);
                }
                Err(error) => (cause, text) = (Cause::Io(error.kind()), error.to_string().into()),
            }
        }
    }

    /// An attempt has failed.
    pub(crate) fn attempt_failed(&mut self, id: ClientId, cause: Cause, text: Box<str>) {
        let Some(client) = self.server.outgoing.client_mut(id) else { return };
        if client.is_stopped {
            return self.end_client(id);
        }
        let (route, url) = (client.route, client.target.ask.url.to_string().into());
        let fault = Fault::Connect { url, cause, text };
        log::debug!("{fault}");
        self.report(route, None, &fault);
        if !self.retry(id) {
            let kind = if let Cause::Io(kind) = cause { kind } else { io::ErrorKind::Other };
            self.server.outgoing.failure = Some(io::Error::new(kind, fault.to_string()));
            self.end_client(id);
        }
    }

    /// A connection that was open is gone, and `on_close` was called.
    pub(crate) fn outgoing_gone(&mut self, fd: Fd, reason: &CloseReason) {
        let now = self.server.sessions.connections.now();
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

    /// Waits for the next attempt, if there is to be one.
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
        let wait = backoff.wait(client.failures, server.sessions.random.share());
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
            let handler = self.handlers.remove_client(client.route);
            self.ask_for_watches(client.route);
            self.call("a client's end", Route::ROOT, None, |_, _| drop(handler));
        }
    }
}
