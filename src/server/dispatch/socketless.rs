//! Sessions without a socket: who is told of their output, and of requests that have waited for it long enough.

use crate::codec::http::Response;
use crate::fd::Fd;
use crate::server::dispatch::{Dispatch, polling};
use crate::session::posting::UNKNOWN;

impl Dispatch {
    /// A session without a socket has output, is ending, or a request has waited for its output for as long as it may.
    pub(super) fn output(&mut self, fd: Fd) {
        let Some(socketless) = self.server.sessions.socketless_mut(fd) else { return };
        let route = socketless.route;
        match socketless.is_poll {
            true => polling::on_output(&mut self.server, fd),
            false => {
                self.call("on_output", route, Some(fd), |handler, server| handler.on_output(server, fd));
            }
        }
    }

    /// A request has waited for the output of a session for as long as it may.
    pub(super) fn waited_out(&mut self, by: Fd, session: Fd) {
        if self.server.sessions.parked(session) != Some(by) {
            // Its session has ended, or another request waits for it.
            self.server.respond(by, UNKNOWN.response());
            return;
        }
        self.output(session);
        if self.server.sessions.parked(session) == Some(by) {
            self.server.sessions.respond_last(by, Response::new(204));
        }
    }
}
