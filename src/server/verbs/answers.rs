//! Answers that are given later than in the callback that was asked for them.

use crate::codec::http::{Response, ResponseHead};
use crate::error::PushError;
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
    /// up, was answered already or never asked. Requests that the client sent after this one wait for it too; over
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
    /// Begins to answer a request that [`on_request`](crate::Handler::on_request) left open by
    /// [`Reply::Later`](crate::Reply::Later), with a response whose body is written piece by piece. True where the
    /// connection waits for it. Where the head is known at once, [`Reply::Stream`](crate::Reply::Stream) is shorter.
    pub fn start_body(&mut self, fd: Fd, head: ResponseHead) -> bool {
        self.sessions.start_body(fd, &head)
    }

    /// Writes the next piece of the body of a response that was begun with [`Reply::Stream`](crate::Reply::Stream) or
    /// [`Server::start_body`]. To HTTP/1.1 each piece is a chunk (RFC 9112 §7.1), unless
    /// [`content_length`](crate::ResponseHead::content_length) was given; to HTTP/1.0 the body ends with the
    /// connection. In answer to `HEAD`, and with status 204 or 304, there is no body, and what is written is left out.
    ///
    /// Requests that the client sent after this one wait until [`Server::end_body`].
    /// [`on_buffer_full`](crate::Handler::on_buffer_full) and [`on_buffer_empty`](crate::Handler::on_buffer_empty) tell
    /// when to write less and more, [`on_disconnect`](crate::Handler::on_disconnect) that the client has gone. A body
    /// to which nothing is written for as long as [`Config::keep_alive_timeout`](crate::Config::keep_alive_timeout), or
    /// of which the client reads nothing for so long, is cut off ([`protect`](Server::protect) prevents that), and so
    /// it is at a shutdown. The client can tell: the last chunk or the last bytes are missing, or, in HTTP/1.0 without
    /// a length, the connection is reset.
    ///
    /// # Errors
    /// [`PushError::Full`] where [`Config::outbox_bytes_max`](crate::Config::outbox_bytes_max) leaves no room for it:
    /// nothing of it was taken, write it again after `on_buffer_empty`. [`PushError::Unsendable`] where it is more than
    /// the length that was given, [`PushError::NoBody`], [`PushError::Closing`], [`PushError::Gone`].
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

    /// Ends the body of a response: the client's next request is served from the end of this callback on. True where
    /// the body is whole; false where none was being written, or less than its
    /// [`content_length`](crate::ResponseHead::content_length), and then the connection is cut off.
    pub fn end_body(&mut self, fd: Fd) -> bool {
        self.sessions.end_body(fd)
    }
}
