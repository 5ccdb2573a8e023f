//! Connections that this server opens: starting, stopping and looking them up. Once open, such a connection is a
//! WebSocket like any other, but masked.

use crate::codec::ws::close;
use crate::fd::Fd;
use crate::server::api::handler::Handler;
use crate::server::state::outgoing::{ClientId, ClientTarget, OutgoingClient};
use crate::server::{Deferred, Server};
use std::any::Any;
use std::io;

impl Server {
    /// Adds a client. It belongs to the handler whose callback runs, unless it brings its own. It starts to connect
    /// after the callback.
    pub(crate) fn add_client(
        &mut self,
        target: ClientTarget,
        handler: impl FnOnce(ClientId) -> Option<Box<dyn Handler>>,
    ) -> io::Result<ClientId> {
        self.sessions.random.check()?;
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
        self.deferred.push(Deferred::Dial(id, handler(id).map(|own| Box::new(own) as Box<dyn Any>)));
        Ok(id)
    }

    /// Ends a client for good: its connection by a close frame with code 1000 after everything that was pushed to it,
    /// an attempt or a wait at once. Returns false if it has ended already.
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

    /// The fd of a client's open connection; `None` while it has none. Each connection has a new one.
    pub fn client_fd(&self, client: ClientId) -> Option<Fd> {
        let fd = self.outgoing.clients.get(&client)?.fd?;
        self.is_established(fd).then_some(fd)
    }
}
