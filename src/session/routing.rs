//! From the fd of a connection to a route. What a connection may send, who is told of it, and who let it in are
//! different questions, and have different answers until it is established.

use crate::fd::Fd;
use crate::session::Sessions;
use crate::session::route::Route;
use crate::session::state::{Session, Waiting};

/// | the route of | HTTP, no request waits | HTTP, a request waits | established | of a client |
/// |---|---|---|---|---|
/// | [`limits_route`](Sessions::limits_route) | the listener | the listener | its own | the root |
/// | [`policy_route`](Sessions::policy_route) | the path | the path | not asked | not asked |
/// | [`listener_route`](Sessions::listener_route) | the listener | the listener | the root | the root |
/// | [`handler_route`](Sessions::handler_route) | none | the request | its own | its own |
/// | [`buffer_route`](Sessions::buffer_route) | none | the request, once its body is written | its own | its own |
impl Sessions {
    /// The route whose limits apply to what a connection sends.
    pub(crate) fn limits_route(&self, fd: Fd) -> Route {
        let session = self.connections.get(fd).map(|connection| &connection.session);
        match session.and_then(Session::route) {
            Some(route) if route.is_outgoing() => Route::ROOT,
            Some(route) => route,
            None => self.listener_route(fd),
        }
    }

    /// The route whose policy applies to a request for this path.
    pub(crate) fn policy_route(&self, fd: Fd, path: &str) -> Route {
        self.paths.policy_route(self.listener_route(fd), path)
    }

    /// The route for paths that have none of their own. It is forgotten once the connection speaks something else.
    pub(crate) fn listener_route(&self, fd: Fd) -> Route {
        self.connections.note(fd).and_then(|note| note.listener).unwrap_or_default()
    }

    /// The route whose handler a connection has now: that of its session, or of the request that waits on it.
    pub(crate) fn handler_route(&self, fd: Fd) -> Option<Route> {
        self.session_or_waiting(fd, |_| true)
    }

    /// The route whose handler is told that a connection's outbox is full, or empty again.
    pub(crate) fn buffer_route(&self, fd: Fd) -> Option<Route> {
        self.session_or_waiting(fd, |waiting| waiting.body().is_some())
    }

    fn session_or_waiting(&self, fd: Fd, counts: impl FnOnce(&Waiting) -> bool) -> Option<Route> {
        match self.connections.session(fd)? {
            Session::Http(http) => {
                http.waiting().filter(|waiting| counts(waiting)).map(|waiting| waiting.route)
            }
            session => session.route(),
        }
    }
}
