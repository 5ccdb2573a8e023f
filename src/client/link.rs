//! What a client's callbacks get, and the handler that calls them.

use crate::codec::http::Answer;
use crate::error::{CloseReason, Fault, PushError};
use crate::fd::Fd;
use crate::server::Server;
use crate::server::api::handler::Handler;
use crate::server::state::outgoing::ClientId;
use crate::session::frame::Frame;
use crate::session::message::Message;
use std::fmt;

/// What a client's callbacks get: its connection, and the loop that runs it.
pub struct Link<'s> {
    server: &'s mut Server,
    client: ClientId,
    fd: Option<Fd>,
}

impl Link<'_> {
    /// Sends a message, as [`Server::push`] does.
    ///
    /// # Errors
    /// As for [`Server::push`]; [`PushError::Gone`] if the client is not connected.
    pub fn push<'a>(&mut self, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        self.server.push(self.fd.ok_or(PushError::Gone)?, message)
    }

    /// Sends a ping with up to 125 bytes, which the pong brings back; see [`Server::ping`].
    ///
    /// # Errors
    /// As for [`Link::push`], and [`PushError::Unsendable`] over 125 bytes.
    pub fn ping(&mut self, data: &[u8]) -> Result<(), PushError> {
        self.server.ping(self.fd.ok_or(PushError::Gone)?, data)
    }

    /// Closes the connection, as [`Server::disconnect`] does, and ends the client: it does not reconnect after this.
    /// False if the connection is closing already.
    pub fn disconnect(&mut self, code: u16, reason: &str) -> bool {
        self.fd.is_some_and(|fd| self.server.disconnect(fd, code, reason))
    }

    /// Ends the client for good, connected or not; see [`Server::stop_client`].
    pub fn stop(&mut self) -> bool {
        self.server.stop_client(self.client)
    }

    /// The connection; `None` if it has ended or was never opened.
    pub fn fd(&self) -> Option<Fd> {
        self.fd
    }

    /// The client's id, which stays the same over all its connections.
    pub fn id(&self) -> ClientId {
        self.client
    }

    /// The loop that runs the client, for timers, other connections and so on.
    pub fn server(&mut self) -> &mut Server {
        self.server
    }
}

impl fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("client", &self.client).field("fd", &self.fd).finish_non_exhaustive()
    }
}

type OnOpen = dyn FnMut(&mut Link<'_>, &Answer<'_>) + Send;
type OnMessage = dyn FnMut(&mut Link<'_>, Frame<'_>) + Send;
type OnData = dyn FnMut(&mut Link<'_>, &[u8]) + Send;
type OnClose = dyn FnMut(&mut Link<'_>, &CloseReason) + Send;
type OnError = dyn FnMut(&mut Link<'_>, &Fault) + Send;

/// A client's callbacks.
#[derive(Default)]
pub(super) struct ClientCallbacks {
    pub(super) open: Option<Box<OnOpen>>,
    pub(super) message: Option<Box<OnMessage>>,
    pub(super) ping: Option<Box<OnData>>,
    pub(super) pong: Option<Box<OnData>>,
    pub(super) close: Option<Box<OnClose>>,
    pub(super) error: Option<Box<OnError>>,
}

impl ClientCallbacks {
    /// `None` if there are no callbacks.
    pub(super) fn into_handler(self, client: ClientId) -> Option<Box<dyn Handler>> {
        let ClientCallbacks { open: None, message: None, ping: None, pong: None, close: None, error: None } =
            self
        else {
            return Some(Box::new(ClientHandler { client, callbacks: self }));
        };
        None
    }
}

/// The handler that calls one client's callbacks.
struct ClientHandler {
    client: ClientId,
    callbacks: ClientCallbacks,
}

impl ClientHandler {
    fn link<'s>(&self, server: &'s mut Server, fd: Option<Fd>) -> Link<'s> {
        Link { server, client: self.client, fd }
    }
}

impl Handler for ClientHandler {
    fn on_client_open(&mut self, server: &mut Server, fd: Fd, answer: &Answer<'_>) {
        let mut link = self.link(server, Some(fd));
        if let Some(call) = &mut self.callbacks.open {
            call(&mut link, answer);
        }
    }

    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        let mut link = self.link(server, Some(frame.fd));
        if let Some(call) = &mut self.callbacks.message {
            call(&mut link, frame);
        }
    }

    fn on_ping(&mut self, server: &mut Server, fd: Fd, data: &[u8]) {
        let mut link = self.link(server, Some(fd));
        if let Some(call) = &mut self.callbacks.ping {
            call(&mut link, data);
        }
    }

    fn on_pong(&mut self, server: &mut Server, fd: Fd, data: &[u8]) {
        let mut link = self.link(server, Some(fd));
        if let Some(call) = &mut self.callbacks.pong {
            call(&mut link, data);
        }
    }

    fn on_close(&mut self, server: &mut Server, _fd: Fd, reason: &CloseReason) {
        let mut link = self.link(server, None);
        if let Some(call) = &mut self.callbacks.close {
            call(&mut link, reason);
        }
    }

    fn on_error(&mut self, server: &mut Server, fd: Option<Fd>, fault: &Fault) {
        let mut link = self.link(server, fd);
        if let Some(call) = &mut self.callbacks.error {
            call(&mut link, fault);
        }
    }
}
