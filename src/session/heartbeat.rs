//! Heartbeats, idle timeouts, and what else happens when a connection's deadline has passed.

use crate::codec::ws::{Opcode, Role, close};
use crate::error::{Cause, CloseReason, PushError, Side};
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::net::pace::Pace;
use crate::net::quota::Quota;
use crate::session::Sessions;
use crate::session::info::Transport;
use crate::session::liveness::Liveness;
use crate::session::state::{ClosePhase, Marks, Session};
use std::time::Duration;

impl Sessions {
    pub(crate) fn ping(&mut self, fd: Fd, data: &[u8]) -> Result<(), PushError> {
        match data {
            [] => self.push_as(fd, Opcode::Ping, &self.liveness.ping(fd, self.connections.millis())),
            data => self.push_as(fd, Opcode::Ping, data),
        }
    }

    /// Starts to watch an established connection, as if it had just sent something.
    pub(crate) fn watch(&mut self, fd: Fd) {
        let note = self.liveness.coarse(self.connections.tick_now());
        let Some(websocket) = self.websocket_mut(fd) else { return self.watch_other(fd) };
        if websocket.phase != ClosePhase::Open {
            return;
        }
        websocket.spoke = note;
        websocket.marks.set(Marks::PINGED, false);
        let ping = self.config.ping_interval.map(|interval| jittered(interval, fd));
        // If neither is set, the deadline passes at once and without effect, and replaces the previous one.
        let first = ping.into_iter().chain(self.config.idle_timeout).min().unwrap_or_default();
        self.connections.expire_in(fd, first);
    }

    fn watch_other(&mut self, fd: Fd) {
        let first = match self.transport(fd) {
            Ok(Transport::EventStream) => self.config.ping_interval.map(|interval| jittered(interval, fd)),
            Ok(Transport::LongPolling | Transport::Session) => Some(self.socketless_timeout(fd)),
            Ok(Transport::Tcp) if self.config.idle_timeout.is_none() => return,
            Ok(Transport::Tcp) => self.config.idle_timeout,
            _ => return,
        };
        self.connections.expire_in(fd, first.unwrap_or_default());
    }

    /// Watches all connections again, after a change of the configuration.
    pub(crate) fn watch_all(&mut self) {
        self.liveness = Liveness::new(&self.config);
        for index in self.connections.live().iter(1) {
            if let Some((fd, _)) = self.connections.at(index) {
                self.watch(fd);
            }
        }
    }

    /// How much longer the connection may be silent: without end, if that is not limited.
    fn idle_left(&self, fd: Fd) -> Duration {
        let (Some(timeout), Some(connection)) = (self.config.idle_timeout, self.connections.get(fd)) else {
            return Duration::MAX;
        };
        // A server that this side connected to may be silent for as long as it likes.
        if connection.flags.has(Flags::PAUSED | Flags::PROTECTED) || connection.session.role() == Role::Client
        {
            return Duration::MAX;
        }
        timeout.saturating_sub(match &connection.session {
            Session::WebSocket(websocket) => {
                self.liveness.since(websocket.spoke, self.connections.tick_now())
            }
            // On other transports everything that arrives was sent by the client itself, not by its protocol.
            _ => self.connections.silence(fd).unwrap_or_default(),
        })
    }

    /// Pings a silent WebSocket, and gives it up if it stays silent. Raw TCP has no pings: only the idle timeout ends
    /// it. Paused and protected peers need not answer; pings only show the network that their connections are in use.
    pub(crate) fn heartbeat(&mut self, fd: Fd) {
        let idle_left = self.idle_left(fd);
        if idle_left.is_zero() {
            let reason = CloseReason::new(Side::Local, close::GOING_AWAY, "idle for too long", Cause::Idle);
            self.close(fd, reason);
            return;
        }
        let Some((pace, transfers_due)) = self.check_transfers(fd) else { return };
        let ping_interval = self.config.ping_interval;
        let next = match ping_interval.filter(|_| self.websocket_mut(fd).is_some()) {
            Some(interval) => match self.check_pulse(fd, jittered(interval, fd), idle_left, pace) {
                Some(next) => next.min(idle_left),
                None => return,
            },
            None => idle_left,
        };
        let next = next.min(transfers_due);
        if next < Duration::MAX {
            self.connections.expire_in(fd, next);
        }
    }

    /// Exempts a connection from the timeouts that end silent ones, or ends the exemption.
    pub(crate) fn protect(&mut self, fd: Fd, is_protected: bool) -> bool {
        let Some(connection) = self.connections.open_mut(fd) else { return false };
        if is_protected {
            connection.flags.set(Flags::PROTECTED);
        } else if connection.flags.take(Flags::PROTECTED) {
            self.watch(fd);
        }
        true
    }

    /// Returns when to check again; `None` if the peer was given up.
    fn check_pulse(
        &mut self,
        fd: Fd,
        interval: Duration,
        idle_left: Duration,
        pace: Pace,
    ) -> Option<Duration> {
        let pong_timeout = self.config.pong_timeout;
        let silence = self.connections.silence(fd)?;
        let connection = self.connections.open_mut(fd)?;
        let is_exempt = connection.flags.has(Flags::PAUSED_BY_USER | Flags::PROTECTED);
        let is_blocked = connection.flags.has(Flags::BLOCKED);
        let Session::WebSocket(websocket) = &mut connection.session else { return None };
        if websocket.marks.has(Marks::PINGED) && !is_exempt {
            if pace != Pace::Unwatched {
                // What lay before the ping was on its way until now, or is still.
                return Some(pong_timeout);
            }
            log::debug!("{fd}: silent for {silence:?}, giving up");
            self.finish_with_code(fd, close::GOING_AWAY, "no answer to ping", Cause::Timeout);
            return None;
        }
        if silence < interval && !is_exempt {
            return Some(interval - silence);
        }
        // If the client must speak before its pong is due, the idle timeout decides.
        websocket.marks.set(Marks::PINGED, !is_exempt && pong_timeout <= idle_left);
        // Nothing else keeps pings from piling up.
        if !(is_exempt && is_blocked) {
            self.send_ping(fd);
        }
        Some(if is_exempt { interval } else { pong_timeout })
    }

    fn send_ping(&mut self, fd: Fd) {
        // What lies before the ping: the pong is not due while it is on its way.
        self.connections.watch_pace(fd);
        let ping = self.liveness.ping(fd, self.connections.millis());
        let frame = self.control_frame(fd, Opcode::Ping, &ping);
        self.connections.write(fd, [frame.as_slice(), &[]], Quota::Control).ok();
        self.counters.pings_sent += 1;
    }

    /// Notes the round trip, if the pong answers one of the server's own pings.
    pub(crate) fn note_pong(&mut self, fd: Fd, data: &[u8]) {
        self.counters.pongs_received += 1;
        let round_trip = self.liveness.round_trip(fd, data, self.connections.millis());
        if let (Some(_), Some(websocket)) = (round_trip, self.websocket_mut(fd)) {
            websocket.round_trip = round_trip;
        }
    }

    /// A connection's deadline has passed.
    pub(crate) fn expired(&mut self, fd: Fd) {
        match self.connections.session_mut(fd) {
            Some(Session::WebSocket(websocket)) if websocket.phase == ClosePhase::Open => self.heartbeat(fd),
            Some(Session::WebSocket(_)) => self.close_expired(fd),
            Some(Session::Http(_)) => self.http_expired(fd),
            Some(Session::EventStream(_)) => self.keep_stream_alive(fd),
            Some(Session::Socketless(_)) => self.socketless_expired(fd),
            Some(Session::Tcp(_) | Session::TcpHeld(_)) => self.heartbeat(fd),
            Some(Session::Dialing(_)) => self.dialing_expired(fd),
            Some(Session::TcpEnded(_)) | None => {}
        }
    }

    /// The server's close frame was not answered in time; but it may still be waiting in a long queue.
    fn close_expired(&mut self, fd: Fd) {
        if self.connections.extend_end(fd, self.config.close_timeout) {
            return;
        }
        log::debug!("{fd}: the close frame was not answered in time");
        let reason = CloseReason::without_frame(Side::Local, Cause::Timeout);
        self.connections.kill(fd, reason);
    }
}

/// `interval`, shortened by up to a tenth depending on the connection, so that a thousand connections that opened
/// together are not pinged together.
pub(crate) fn jittered(interval: Duration, fd: Fd) -> Duration {
    let share = (fd.to_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
    interval - (interval / 10).mul_f64(f64::from(share) / f64::from(u32::MAX))
}
