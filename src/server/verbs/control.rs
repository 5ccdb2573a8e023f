//! One connection under the server's hand: not read for a while, exempt from timeouts, ended at once.

use crate::codec::ws::close;
use crate::config::SlowConsumer;
use crate::error::{Cause, CloseReason, PushError, Side};
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::server::Server;
use crate::server::deferred::Deferred;
use crate::server::dispatch::Dispatch;
use crate::server::session::{Pause, Session};

impl Server {
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
        // Of one that is ending the peer's end has to be seen.
        if let Err(PushError::Closing | PushError::Gone) = self.channel(fd) {
            return false;
        }
        let Some(connection) = self.connections.open_mut(fd) else { return false };
        connection.flags.set(Flags::HELD_BY_USER);
        let Some(note) = self.connections.note_or_default(fd) else { return false };
        match &mut note.pause {
            Some(pause) => std::mem::take(&mut pause.is_ending),
            none => {
                *none = Some(Pause::default());
                true
            }
        }
    }

    /// Reads from a paused connection again, from the end of this turn on; what it has sent meanwhile is delivered.
    /// False where it is not paused.
    pub fn resume(&mut self, fd: Fd) -> bool {
        let pause = self.connections.note_mut(fd).and_then(|note| note.pause.as_mut());
        let Some(pause) = pause.filter(|pause| !pause.is_ending) else { return false };
        pause.is_ending = true;
        self.deferred.push(Deferred::Resumed(fd));
        true
    }

    fn pause_of(&self, fd: Fd) -> Option<&Pause> {
        self.connections.note(fd)?.pause.as_ref()
    }

    /// Of a paused connection: what was read and not looked at.
    pub(crate) fn kept_bytes(&self, fd: Fd) -> usize {
        self.pause_of(fd).map_or(0, |pause| pause.bytes.len())
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
        let Some(connection) = self.connections.open_mut(fd) else { return false };
        if is_protected {
            connection.flags.set(Flags::PROTECTED);
        } else if connection.flags.take(Flags::PROTECTED) {
            self.watch(fd);
        }
        true
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
        self.connections.set_policy(fd, policy.into())
    }

    /// Ends a connection in good order: [`disconnect`](Server::disconnect) with code 1000 and no reason.
    pub fn close(&mut self, fd: Fd) -> bool {
        self.disconnect(fd, close::NORMAL, "")
    }

    /// Ends a connection at once by a TCP reset: what was pushed to it is lost, the peer is told nothing, and nothing
    /// of it stays in the system. For peers that do harm. False where there is no such connection.
    pub fn reset(&mut self, fd: Fd) -> bool {
        let Some(connection) = self.connections.get(fd) else { return false };
        connection.stream.reset_on_close();
        self.connections.kill(fd, CloseReason::new(Side::Local, close::ABNORMAL, "", Cause::Requested));
        true
    }
}

impl Dispatch {
    /// Keeps the rest of a read for after the pause: whether there is room for it.
    pub(crate) fn keep(&mut self, fd: Fd, bytes: &[u8]) -> bool {
        let room = self.server.connections.inbound_room();
        let note = self.server.connections.note_mut(fd);
        let Some(pause) = note.and_then(|note| note.pause.as_mut()) else { return true };
        if bytes.len() > room {
            return false;
        }
        pause.bytes = bytes.to_vec();
        let held_bytes = pause.bytes.capacity();
        self.server.connections.inbound_bytes += held_bytes;
        true
    }

    /// The pause is over: what was kept first, then the socket.
    pub(crate) fn resumed(&mut self, fd: Fd) {
        if !self.server.pause_of(fd).is_some_and(|pause| pause.is_ending) {
            return;
        }
        let mut bytes = self.end_pause(fd);
        self.server.connections.release(fd);
        match self.server.connections.session_mut(fd) {
            Some(Session::WebSocket(_)) => {
                self.server.watch(fd);
                self.websocket_bytes(fd, &mut bytes);
            }
            Some(Session::Http(_)) => self.http_resumed(fd),
            Some(Session::Tcp(_) | Session::TcpHeld(_)) => {
                self.server.watch(fd);
                self.tcp_bytes(fd, &bytes);
            }
            Some(Session::EventStream(_)) => self.server.watch(fd),
            Some(Session::Dialing(_)) => self.dialing_bytes(fd, &bytes),
            Some(Session::Poll(_) | Session::TcpEnded) | None => {}
        }
    }

    /// Forgets that a connection is paused: what was kept of it.
    fn end_pause(&mut self, fd: Fd) -> Vec<u8> {
        let connections = &mut self.server.connections;
        let pause = connections.note_mut(fd).and_then(|note| note.pause.take()).unwrap_or_default();
        connections.tidy_note(fd);
        connections.inbound_bytes -= pause.bytes.capacity();
        pause.bytes
    }
}
