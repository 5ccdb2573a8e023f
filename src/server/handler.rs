//! The one extension point: a user's behaviour as a trait, and closures as sugar over it.

use super::Server;
use super::message::Frame;
use super::request::{Handshake, Request};
use crate::codec::http::Response;
use crate::error::{CloseReason, Fault};
use crate::fd::Fd;
use crate::net::timers::TimerId;

/// A server's behaviour with state of its own, the shape of Ratchet's component: open, message, close, error.
///
/// Every method has a default. Each is called on the reactor's thread, one at a time, and should be quick:
/// while it runs, nobody else is served. None of the methods of [`Server`] calls back, so a handler is never
/// entered twice. A panic costs at most the connection that is served (close
/// code 1011, or status 500 for a request or handshake).
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
#[expect(unused_variables, reason = "the parameters' names are documentation")]
pub trait Handler {
    /// A WebSocket handshake that is in order: let it in, choose a subprotocol, or refuse it.
    fn on_handshake(&mut self, server: &mut Server, request: &Request<'_>) -> Handshake {
        Handshake::accept()
    }

    /// A plain HTTP request. The default tells the client that this is a WebSocket server: 426, or 405 for
    /// methods other than GET and HEAD. A `HEAD` is answered as a `GET`; the server leaves the body out.
    fn on_request(&mut self, server: &mut Server, request: &Request<'_>) -> Response {
        websockets_only(request)
    }

    /// A WebSocket is open. Pushing to it is possible from now on.
    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {}

    /// A message.
    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {}

    /// A WebSocket has ended: exactly once for each that `on_open` was called for, and never otherwise. The
    /// fd is gone already: pushing to it is [`PushError::Gone`](crate::PushError::Gone).
    fn on_close(&mut self, server: &mut Server, fd: Fd, reason: &CloseReason) {}

    /// Something went wrong: a callback panicked, a peer broke the protocol, accepting failed. `fd` is `None`
    /// where it concerns no one connection.
    fn on_error(&mut self, server: &mut Server, fd: Option<Fd>, fault: &Fault) {}

    /// A timer that was set with [`Server::timer`] is due.
    fn on_timer(&mut self, server: &mut Server, timer: TimerId) {}
}

fn websockets_only(request: &Request<'_>) -> Response {
    match request.method() {
        "GET" | "HEAD" => Response::text(426, "This is a WebSocket server.\n")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13"),
        _ => Response::text(405, "This is a WebSocket server.\n").header("Allow", "GET, HEAD"),
    }
}

type OnHandshake = dyn FnMut(&mut Server, &Request<'_>) -> Handshake;
type OnRequest = dyn FnMut(&mut Server, &Request<'_>) -> Response;
type OnOpen = dyn FnMut(&mut Server, &Request<'_>);
type OnMessage = dyn FnMut(&mut Server, Frame<'_>);
type OnClose = dyn FnMut(&mut Server, Fd, &CloseReason);
type OnError = dyn FnMut(&mut Server, Option<Fd>, &Fault);

/// The closures of a builder as a handler.
#[derive(Default)]
pub(crate) struct Closures {
    pub(crate) handshake: Option<Box<OnHandshake>>,
    pub(crate) request: Option<Box<OnRequest>>,
    pub(crate) open: Option<Box<OnOpen>>,
    pub(crate) message: Option<Box<OnMessage>>,
    pub(crate) close: Option<Box<OnClose>>,
    pub(crate) error: Option<Box<OnError>>,
}

impl Handler for Closures {
    fn on_handshake(&mut self, server: &mut Server, request: &Request<'_>) -> Handshake {
        match &mut self.handshake {
            Some(call) => call(server, request),
            None => Handshake::accept(),
        }
    }

    fn on_request(&mut self, server: &mut Server, request: &Request<'_>) -> Response {
        match &mut self.request {
            Some(call) => call(server, request),
            None => websockets_only(request),
        }
    }

    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        if let Some(call) = &mut self.open {
            call(server, request);
        }
    }

    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        if let Some(call) = &mut self.message {
            call(server, frame);
        }
    }

    fn on_close(&mut self, server: &mut Server, fd: Fd, reason: &CloseReason) {
        if let Some(call) = &mut self.close {
            call(server, fd, reason);
        }
    }

    fn on_error(&mut self, server: &mut Server, fd: Option<Fd>, fault: &Fault) {
        if let Some(call) = &mut self.error {
            call(server, fd, fault);
        }
    }
}
