//! One connection under the application's hand: ended, not read for a while, exempt from timeouts.

use crate::codec::ws::close;
use crate::config::SlowConsumer;
use crate::fd::Fd;
use crate::server::Server;

impl Server {
    /// Ends a connection: a WebSocket by a close frame behind all that was pushed to it (RFC 6455 §7.1.2),
    /// an HTTP connection after its answer, an event stream by an event `close` whose data is
    /// `{"code":1000,"reason":""}` (browsers come back after it, unless the page closes the stream), raw TCP behind
    /// all that was pushed (code and reason are for `on_close` alone then). Nothing more is delivered from it. True
    /// where it was not ending already.
    ///
    /// Codes for applications are 1000 to 1003, 1007 to 1014 and 3000 to 4999; any other is sent as 1000. The
    /// reason may have 123 bytes and is cut off behind.
    pub fn disconnect(&mut self, fd: Fd, code: u16, reason: &str) -> bool {
        self.sessions.disconnect(fd, code, reason)
    }

    /// Ends a connection in good order: [`disconnect`](Server::disconnect) with code 1000 and no reason.
    pub fn close(&mut self, fd: Fd) -> bool {
        self.disconnect(fd, close::NORMAL, "")
    }

    /// Ends a connection at once by a TCP reset: what was pushed to it is lost, the peer is told nothing, and nothing
    /// of it stays in the system. For peers that do harm. False where there is no such connection.
    pub fn reset(&mut self, fd: Fd) -> bool {
        self.sessions.reset(fd)
    }

    /// Reads no more from a connection until [`resume`](Server::resume): what its peer sends waits in the system, and,
    /// when that is full, with the peer. No message is delivered any more, not even one that was read with the one
    /// that is being delivered now. False where there is no such connection, it is ending, or paused already.
    ///
    /// Pushing goes on. Neither silence nor [`idle_timeout`](crate::Config::idle_timeout) end a paused WebSocket,
    /// for its pongs are not read either; an error of its socket does, an end of the peer's side is seen after the
    /// pause. To HTTP the timeouts still apply. What is posted to an event stream or session of long polling gets 503.
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

    /// Reads from a paused connection again, from the end of this turn on; what it has sent meanwhile is delivered.
    /// False where it is not paused.
    pub fn resume(&mut self, fd: Fd) -> bool {
        self.sessions.resume(fd)
    }

    /// Begins to read from a connection that was accepted with [`delay_receive`](crate::Config::delay_receive). The
    /// [`request_timeout`](crate::Config::request_timeout) begins anew. False where it does not wait for that.
    pub fn confirm(&mut self, fd: Fd) -> bool {
        self.resume(fd)
    }

    /// Exempts a connection from what ends silent ones, or ends that, and then it begins anew: a WebSocket from
    /// [`idle_timeout`](crate::Config::idle_timeout) and [`pong_timeout`](crate::Config::pong_timeout) (it is pinged
    /// all the same), an event stream that is not read, a session of long polling that is not asked for. False where
    /// there is no such connection, or it is ending.
    pub fn protect(&mut self, fd: Fd, is_protected: bool) -> bool {
        self.sessions.protect(fd, is_protected)
    }

    /// What becomes of messages for which this connection has no room, in place of
    /// [`Config::slow_consumer`](crate::Config::slow_consumer); `None`: that again. Holds for what is pushed from now
    /// on. False where the connection is gone.
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
        self.sessions.connections.set_policy(fd, policy.into())
    }
}
