//! Answers that are given later than in the callback that was asked for them.

use crate::codec::http::Response;
use crate::fd::Fd;
use crate::server::Server;
use crate::session::request::Handshake;

impl Server {
    /// Answers a handshake that [`on_handshake`](crate::Handler::on_handshake) answered by [`Handshake::later`]. True
    /// where the connection waits for it; false where it is gone, has given up, was answered already or never asked.
    /// [`on_open`](crate::Handler::on_open) is called when the callback that runs now is over, and only from then on
    /// can be pushed to it.
    pub fn answer_handshake(&mut self, fd: Fd, handshake: Handshake) -> bool {
        self.sessions.answer_handshake(fd, handshake)
    }

    /// Answers a request that [`on_request`](crate::Handler::on_request) left open by
    /// [`Reply::Later`](crate::Reply::Later). True where the connection waits for it; false where it is gone, has given
    /// up, was answered already or never asked.
    /// Requests that the client sent behind this one wait for it too; over
    /// [`Config::request_timeout`](crate::Config::request_timeout) it gets 503.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use swio::{Reply, Response, Server};
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .on_request(|server, request| {
    ///         let fd = request.fd;
    ///         server.after(Duration::from_secs(1), move |server| {
    ///             server.respond(fd, Response::text(200, "a second has passed\n"));
    ///         });
    ///         Reply::Later
    ///     })
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn respond(&mut self, fd: Fd, response: Response) -> bool {
        self.sessions.respond_later(fd, response)
    }
}
