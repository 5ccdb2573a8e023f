//! Control over one connection: ending it, pausing it, exempting it from timeouts.

use crate::codec::ws::close;
use crate::config::SlowConsumer;
use crate::fd::Fd;
use crate::server::Server;

impl Server {
    /// Ends a connection: a WebSocket by a close frame after everything that was pushed to it (RFC 6455 §7.1.2), an
    /// HTTP connection after its answer, an event stream by an event `close` whose data is `{"code":1000,"reason":""}`
    /// (browsers come back after it, unless the page closes the stream), raw TCP after everything that was pushed to
    /// it (code and reason are then for `on_close` alone). Nothing more is delivered from it. Returns true if it was
    /// not ending already.
    ///
    /// A [session without a socket](Server::open_session) stays until you have told its client and call
    /// [`end_session`](Server::end_session), or until its timeout. The code and reason given here are kept.
    ///
    /// Codes for applications are 1000 to 1003, 1007 to 1014 and 3000 to 4999; any other is sent as 1000. A reason of
    /// more than 123 bytes is cut off.
    pub fn disconnect(&mut self, fd: Fd, code: u16, reason: &str) -> bool {
        // What it has missed was pushed before.
        self.catch_up(fd, usize::MAX);
        self.sessions.disconnect(fd, code, reason)
    }

    /// Ends a connection normally: [`disconnect`](Server::disconnect) with code 1000 and no reason.
    pub fn close(&mut self, fd: Fd) -> bool {
        self.disconnect(fd, close::NORMAL, "")
    }

    /// Ends a connection at once by a TCP reset: what was pushed to it is lost, the peer is told nothing, and no state
    /// of it stays in the system. For harmful peers. Returns false if there is no such connection.
    pub fn reset(&mut self, fd: Fd) -> bool {
        self.sessions.reset(fd)
    }

    /// Stops reading from a connection until [`resume`](Server::resume): what its peer sends waits in the system, and,
    /// when that is full, at the peer. No more messages are delivered, not even one that was read together with the
    /// one that is being delivered now. Returns false if there is no such connection, or it is ending or paused
    /// already.
    ///
    /// Pushing still works. Neither silence nor [`idle_timeout`](crate::Config::idle_timeout) end a paused WebSocket,
    /// because its pongs are not read either. An error of its socket does; the end of the peer's side is seen after
    /// the pause. On HTTP the timeouts still apply. What is posted to an event stream or long-polling session gets
    /// 503.
    ///
    /// ```no_run
    /// # use swio::{Frame, Server};
    /// # use std::time::Duration;
    /// fn one_a_second(server: &mut Server, frame: Frame<'_>) {
    ///     let fd = frame.fd;
    ///     server.pause(fd);
    ///     server.after(Duration::from_secs(1), move |server| { server.resume(fd); });
    /// }
    /// ```
    pub fn pause(&mut self, fd: Fd) -> bool {
        self.sessions.pause(fd)
    }

    /// Reads from a paused connection again, from the end of this turn on. What it has sent meanwhile is delivered.
    /// Returns false if it is not paused.
    pub fn resume(&mut self, fd: Fd) -> bool {
        self.sessions.resume(fd)
    }

    /// Starts to read from a connection that was accepted with [`delay_receive`](crate::Config::delay_receive). The
    /// [`request_timeout`](crate::Config::request_timeout) starts again. The same as [`resume`](Server::resume), by the
    /// name that Swoole has for it: it also ends a [`pause`](Server::pause). Returns false if it is not paused.
    pub fn confirm(&mut self, fd: Fd) -> bool {
        self.resume(fd)
    }

    /// Exempts a connection from the timeouts that end silent ones; with `false`, ends the exemption, and the timeouts
    /// start again. For a WebSocket these are [`idle_timeout`](crate::Config::idle_timeout) and
    /// [`pong_timeout`](crate::Config::pong_timeout) (it is pinged all the same), for an event stream that it is not
    /// read, for a long-polling session that it is not polled. Returns false if there is no such connection, or it is
    /// ending.
    pub fn protect(&mut self, fd: Fd, is_protected: bool) -> bool {
        self.sessions.protect(fd, is_protected)
    }

    /// Sets what happens to messages for which this connection has no room, instead of
    /// [`Config::slow_consumer`](crate::Config::slow_consumer); `None` restores that. Applies to what is pushed from
    /// now on. Returns false if the connection is gone.
    ///
    /// ```no_run
    /// # use swio::{Request, Server, SlowConsumer};
    /// fn on_open(server: &mut Server, request: &Request<'_>) {
    ///     if request.path() == "/ticker" {
    ///         server.set_slow_consumer(request.fd, SlowConsumer::DropOldest);
    ///     }
    /// }
    /// ```
    pub fn set_slow_consumer(&mut self, fd: Fd, policy: impl Into<Option<SlowConsumer>>) -> bool {
        self.sessions.connections.set_slow_consumer(fd, policy.into())
    }
}
