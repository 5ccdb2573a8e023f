//! Deadlines that have passed. Nobody is given up while something of theirs is unread: what is due is judged by the
//! horizon, and later where input is left for the next turn.

use super::connection::{Flags, Life};
use super::failure::connection_lost;
use super::reactor::Reactor;
use super::stream::Stream;
use super::{App, AppPhase};
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;

/// How many deadlines pass in a turn; the others pass in the next ones.
pub(crate) const EXPIRIES_MAX: usize = 1024;
/// For how many turns a deadline may be put off: a peer that is never read to the end has one too.
const PUT_OFF_MAX: u32 = 100;

impl<A: App> Reactor<A> {
    /// Judges what is due. `are_all_in`: nobody is on the way in, who may be here for a session without a socket.
    pub(super) fn expire(&mut self, are_all_in: bool) {
        let connections = self.app.connections();
        let tick = connections.tick(self.horizon.at());
        connections.wheel.advance(tick, EXPIRIES_MAX, &mut self.expired);
        let uptime = connections.uptime();
        connections.budget.addresses.expire(uptime);
        if self.expired.is_empty() && self.put_off.is_empty() {
            return;
        }
        // The next deadlines are counted from now, not from when a long turn began.
        connections.look();
        let (mut expired, put_off) = (std::mem::take(&mut self.expired), std::mem::take(&mut self.put_off));
        if !put_off.is_empty() {
            // A deadline that one of them was given meanwhile may have passed too: it is judged once.
            let mut fds: Vec<Fd> = put_off.iter().map(|(fd, _)| *fd).collect();
            fds.sort_unstable();
            let table = &self.app.connections().table;
            expired.retain(|index| table.at(*index).is_none_or(|(fd, _)| fds.binary_search(&fd).is_err()));
        }
        for (fd, turns) in put_off {
            // It may have a later deadline now.
            if !self.app.connections().wheel.has(fd.index()) {
                self.judge(fd, turns, are_all_in);
            }
        }
        for index in expired.drain(..) {
            if let Some((fd, _)) = self.app.connections().table.at(index) {
                self.judge(fd, 0, are_all_in);
            }
        }
        self.expired = expired;
    }

    fn judge(&mut self, fd: Fd, turns: u32, are_all_in: bool) {
        let connections = self.app.connections();
        let Some(connection) = connections.table.get(fd) else { return };
        let life = connection.life;
        let is_left = connection.flags.has(Flags::CARRIED | Flags::YIELDED);
        let may_come = !are_all_in && matches!(connection.stream, Stream::Socketless);
        if (is_left || may_come) && turns < PUT_OFF_MAX {
            return self.put_off.push((fd, turns + 1));
        }
        match life {
            Life::Open => self.app.expired(fd),
            Life::Connecting => {
                connections.kill(fd, CloseReason::without_frame(Side::Local, Cause::Timeout));
            }
            // A socket that is closed with input unread loses what is still on its way.
            Life::Finishing | Life::Lingering
                if connections.extend_end(fd, connections.limits.linger_timeout) => {}
            Life::Finishing | Life::Lingering => connections.kill(fd, connection_lost()),
            Life::Dead => {}
        }
    }

    /// Whether nobody waits to be accepted, or was accepted in this turn and could not say yet who it is.
    pub(super) fn are_all_in(&mut self, accepted: u64) -> bool {
        let is_none_pending = !self.listeners.iter().any(|listener| listener.is_pending);
        let is_serving = self.app.phase() == AppPhase::Serving;
        self.app.connections().traffic.accepted == accepted && (is_none_pending || !is_serving)
    }
}

#[cfg(test)]
mod tests {
    use crate::Server;
    use crate::net::reactor::Ready;
    use crate::net::stream::Stream;
    use crate::sim::{self, wire};
    use crate::tests::HANDSHAKE;
    use mio::Token;
    use std::time::{Duration, Instant};

    #[test]
    fn a_deadline_that_was_put_off_and_one_that_came_after_it_are_judged_once() {
        sim::forget_all();
        let mut reactor = Server::builder().simulate().expect("a valid configuration");
        let (stream, number) = sim::socket();
        reactor.admit(Stream::Sim(stream), 0, None);
        let fd = wire(number, |wire| {
            wire.readable.extend(HANDSHAKE);
            wire.room = 1 << 20;
            wire.fd.expect("the table has room")
        });
        let token = Token(fd.to_u64() as usize);
        let ready = Ready { token, readable: true, writable: true, read_closed: false, error: false };
        let now = Instant::now();
        reactor.turn(now, [ready].into_iter());
        reactor.put_off.push((fd, 1));
        // The time of a ping: to be given up, the peer must have had the time to answer.
        for seconds in [30, 31] {
            reactor.turn(now + Duration::from_secs(seconds), [].into_iter());
            assert!(reactor.app.server.is_established(fd));
        }
        assert_eq!(reactor.app.server.stats().pings_sent, 1);
    }
}
