//! Answers that are given after the callback that was asked for them has returned.

use crate::codec::http::{Response, ResponseHead};
use crate::error::PushError;
use crate::fd::Fd;
use crate::server::Server;
use crate::session::request::Handshake;

impl Server {
    /// Answers a handshake that [`on_handshake`](crate::Handler::on_handshake) answered with [`Handshake::later`].
    /// Returns true if the connection waits for the answer; false if it is gone, has given up, was answered already or
    /// never asked. [`on_open`](crate::Handler::on_open) is called after the callback that runs now, and the
    /// connection can be pushed to only from then on.
    pub fn answer_handshake(&mut self, fd: Fd, handshake: Handshake) -> bool {
        self.sessions.answer_handshake(fd, handshake)
    }

    /// Answers a request that [`on_request`](crate::Handler::on_request) left open with
    /// [`Reply::Later`](crate::Reply::Later). Returns true if the connection waits for the answer; false if it is
    /// gone, has given up, was answered already or never asked. Requests that the client sent after this one wait too.
    /// After [`Config::request_timeout`](crate::Config::request_timeout) the client gets 503.
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
        self.sessions.respond(fd, response)
    }
    /// Begins a response with a body that is written piece by piece, to a request that
    /// [`on_request`](crate::Handler::on_request) left open with [`Reply::Later`](crate::Reply::Later). Returns true
    /// if the connection waits for it. If the head is known at once, [`Reply::Stream`](crate::Reply::Stream) is
    /// shorter.
    pub fn start_body(&mut self, fd: Fd, head: ResponseHead) -> bool {
        self.sessions.start_body(fd, &head)
    }

    /// Writes the next piece of the body of a response that was begun with [`Reply::Stream`](crate::Reply::Stream) or
    /// [`Server::start_body`]. To HTTP/1.1 each piece is sent as a chunk (RFC 9112 §7.1), unless
    /// [`content_length`](crate::ResponseHead::content_length) was given; to HTTP/1.0 the body ends with the
    /// connection. Responses to `HEAD`, and with status 204 or 304, have no body: what is written to them is left out.
    ///
    /// Requests that the client sent after this one wait until [`Server::end_body`].
    /// [`on_buffer_full`](crate::Handler::on_buffer_full) and [`on_buffer_empty`](crate::Handler::on_buffer_empty) say
    /// when to write less and more, [`on_disconnect`](crate::Handler::on_disconnect) that the client is gone. A body
    /// is cut off if for [`Config::keep_alive_timeout`](crate::Config::keep_alive_timeout) nothing is written to it,
    /// or the client reads nothing of it ([`protect`](Server::protect) prevents that), and at a shutdown. The client
    /// can tell: the last chunk or the last bytes are missing, or, with HTTP/1.0 and no length, the connection is
    /// reset.
    ///
    /// [`PushError::Full`] if [`Config::outbox_bytes_max`](crate::Config::outbox_bytes_max) leaves no room for it:
    /// nothing of it was taken, write it again after `on_buffer_empty`. [`PushError::Unsendable`] if it is more than
    /// the length that was given. [`PushError::NoBody`], [`PushError::Closing`], [`PushError::Gone`].
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use swio::{ResponseHead, Server};
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .on_request(|server, request| {
    ///         let (fd, mut left) = (request.fd, 10);
    ///         server.every(Duration::from_secs(1), move |server, timer| {
    ///             let is_written = server.write_body(fd, format!("{left}\n")).is_ok();
    ///             left -= 1;
    ///             if left == 0 || !is_written {
    ///                 server.end_body(fd);
    ///                 server.cancel(timer);
    ///             }
    ///         });
    ///         ResponseHead::new(200).header("Content-Type", "text/plain")
    ///     })
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn write_body(&mut self, fd: Fd, bytes: impl AsRef<[u8]>) -> Result<(), PushError> {
        self.sessions.write_body(fd, bytes.as_ref())
    }

    /// Ends the body of a response. The client's next request is served after this callback. Returns true if the body
    /// is complete; false if none was being written, or less than its
    /// [`content_length`](crate::ResponseHead::content_length): then the connection is cut off.
    pub fn end_body(&mut self, fd: Fd) -> bool {
        self.sessions.end_body(fd)
    }
}
