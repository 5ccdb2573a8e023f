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
            Life::Finishing if connections.extend_end(fd, connections.limits.progress_timeout) => {}
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
