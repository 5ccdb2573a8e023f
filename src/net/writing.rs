//! The part of a turn that writes: what was queued in it, and what earlier ones had no time for.

use super::App;
use super::connection::{Flags, Life};
use super::failure::connection_lost;
use super::flush::{FlushFrom, Written};
use super::reactor::Reactor;
use super::wire::Wire;
use crate::fd::Fd;

/// So many connections are written to before it is asked what time it is: none takes long.
const WRITES_BETWEEN_LOOKS: usize = 8;

impl<A: App> Reactor<A> {
    /// Writes on after a share of the last turn.
    pub(super) fn write_on(&mut self, fd: Fd) {
        if let Some(connection) = self.app.connections().table.get_mut(fd)
            && connection.flags.take(Flags::YIELDED)
        {
            self.flush(fd, FlushFrom::Elsewhere);
        }
    }

    /// Flushes what was queued in this turn, and what earlier ones had no time for: each has half of the time, if both
    /// need it.
    pub(super) fn flush_dirty(&mut self) {
        let are_some_left = !self.app.connections().carried.unflushed.is_empty();
        let (mut next, mut look_at) = (0, WRITES_BETWEEN_LOOKS);
        while let Some(&fd) = self.app.connections().dirty.get(next) {
            next += 1;
            // Cleared only here: a connection that is flushed earlier keeps its one place in the list.
            self.flush(fd, FlushFrom::Dirty);
            if next == look_at {
                look_at += WRITES_BETWEEN_LOOKS;
                let connections = self.app.connections();
                if connections.is_turn_over() || are_some_left && connections.clock.is_half_over() {
                    break;
                }
            }
        }
        self.app.connections().leave_unflushed(next);
        while let Some(fd) = self.app.connections().carried.unflushed.pop_front() {
            self.flush(fd, FlushFrom::Dirty);
            if self.app.connections().is_turn_over() {
                break;
            }
        }
        self.app.connections().clear_batch();
    }

    /// Writes what is queued for a connection and ends it if it is finishing.
    #[inline]
    pub(super) fn flush(&mut self, fd: Fd, from: FlushFrom) {
        let written = self.app.connections().write_out(fd, from);
        if matches!(written, Written::AllAwaited | Written::Some) {
            self.flushed(fd, written);
        }
    }

    #[inline(never)]
    fn flushed(&mut self, fd: Fd, written: Written) {
        match written {
            Written::AllAwaited => self.drained(fd),
            Written::Some => self.app.connections().yield_turn(fd),
            Written::All | Written::Blocked | Written::Failed => {}
        }
    }

    fn drained(&mut self, fd: Fd) {
        let connections = self.app.connections();
        let Some(connection) = connections.table.get_mut(fd) else { return };
        if connection.life == Life::Finishing {
            let is_over = connection.flags.has(Flags::PEER_ENDED) || connection.flags.has(Flags::PEER_DONE);
            if is_over || Wire::of(&mut connection.stream, connection.filter).shutdown_write().is_err() {
                return connections.kill(fd, connection_lost());
            }
            connection.life = Life::Lingering;
            connections.watch_pace(fd);
            connections.expire_in(fd, connections.limits.linger_timeout);
        } else if connection.flags.take(Flags::WANTS_DRAINED) {
            self.app.drained(fd);
        }
    }
}
