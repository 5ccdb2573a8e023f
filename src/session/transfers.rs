//! What has begun to come has to come on: a slow line is waited for, who sends a byte now and then is not. How fast
//! peers read is judged in `net::pace`.

use crate::codec::arrival::{Arrival, LeastArrival};
use crate::codec::ws::close;
use crate::error::Cause;
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::net::pace::Pace;
use crate::net::wheel::TICK;
use crate::session::Sessions;
use crate::session::state::Session;
use std::time::Duration;

impl Sessions {
    /// What has to come in `time`.
    fn least_arrival(&self, time: Duration) -> LeastArrival {
        let bytes = time.as_secs_f64() * f64::from(self.config.bytes_per_second_min);
        let ticks = u32::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX);
        LeastArrival { bytes: bytes as usize, time: ticks }
    }

    /// From now on the rest of a message or package is to come, if one is incomplete.
    #[cold]
    #[inline(never)]
    pub(crate) fn begin_arrival(&mut self, fd: Fd) {
        let now = self.connections.tick_now();
        if let Some(session) = self.connections.session_mut(fd)
            && let Some((len, arrival)) = session.arriving()
        {
            *arrival = Arrival::from(now, len);
            self.connections.expire_by(fd, self.config.pong_timeout);
        }
    }

    /// Whether the body of an incomplete request comes fast enough to go on waiting for it.
    pub(crate) fn body_comes_on(&mut self, fd: Fd) -> bool {
        let now = self.connections.tick_now();
        let least = self.least_arrival(self.config.request_timeout);
        let Some(held) = self.http_mut(fd).and_then(|http| http.held.as_mut()) else { return false };
        held.progress.body.is_some() && held.progress.arrival.comes_on(held.bytes.len(), now, least).is_some()
    }

    /// Judges how fast an established peer sends what it has begun. Gives the time until the next look is due, or,
    /// after giving it up, `None`.
    fn message_comes_on(&mut self, fd: Fd) -> Option<Duration> {
        let now = self.connections.tick_now();
        let least = self.least_arrival(self.config.pong_timeout);
        let connection = self.connections.open_mut(fd)?;
        let is_exempt = connection.flags.has(Flags::PAUSED_BY_USER | Flags::PROTECTED);
        let Some((len, arrival)) = connection.session.arriving() else { return Some(Duration::MAX) };
        if is_exempt {
            *arrival = Arrival::from(now, len);
            return Some(self.config.pong_timeout);
        }
        if let Some(next) = arrival.comes_on(len, now, least) {
            return Some(TICK * next);
        }
        log::debug!("{fd}: sends what it has begun too slowly, giving up");
        self.finish_with_code(fd, close::GOING_AWAY, "message too slow", Cause::Timeout);
        None
    }

    /// Judges the transfers of an established peer. Gives how it reads and the time until the next look is due, or,
    /// after giving it up, `None`.
    pub(crate) fn check_transfers(&mut self, fd: Fd) -> Option<(Pace, Duration)> {
        let next = self.message_comes_on(fd)?;
        let pace = self.connections.pace(fd, self.config.pong_timeout);
        let is_protected = self.connections.get(fd)?.flags.has(Flags::PROTECTED);
        match pace {
            Pace::TooSlow if !is_protected => {
                log::debug!("{fd}: reads too slowly, giving up");
                self.finish_with_code(fd, close::GOING_AWAY, "does not read", Cause::Timeout);
                None
            }
            Pace::Steady(then) => Some((pace, next.min(then))),
            _ => Some((pace, next)),
        }
    }
}

impl Session {
    /// What is incomplete: how much of it has come, and how it comes on.
    fn arriving(&mut self) -> Option<(usize, &mut Arrival)> {
        match self {
            Session::WebSocket(websocket) => websocket.decoder.arriving(),
            Session::TcpHeld(held) => Some(held.partial.arriving()),
            _ => None,
        }
    }
}
