//! A connection without a socket takes over the socket of another, and everything that belongs to the socket: what is
//! queued there, what it is registered as, and whose address was forwarded.

use super::connection::{Flags, Life};
use super::connections::{Connections, mark_dirty};
use super::rare::SessionState;
use super::stream::Stream;
use super::wire::FilterKey;
use crate::fd::Fd;

/// What is true of a socket, whichever connection has it.
const OF_THE_SOCKET: u16 = Flags::BLOCKED
    | Flags::PAUSED
    | Flags::MISSED
    | Flags::WANTS_DRAINED
    | Flags::HUNG_UP
    | Flags::PEER_ENDED
    | Flags::PEER_DONE
    | Flags::VIA_PROXY;

impl<S: SessionState> Connections<S> {
    /// Gives `fd`, which has no socket and nothing queued, the socket of `from`, which is left without one. False, and
    /// nothing is done, if that can't be.
    pub(crate) fn take_over(&mut self, fd: Fd, from: Fd) -> bool {
        let is_open = |fd: Fd, is_socketless: bool| {
            self.table.get(fd).is_some_and(|connection| {
                connection.life == Life::Open
                    && matches!(connection.stream, Stream::Socketless) == is_socketless
                    && (!is_socketless || connection.queued_bytes() == 0)
            })
        };
        if !is_open(fd, true) || !is_open(from, false) {
            return false;
        }
        self.end_pace(from);
        let Some(source) = self.table.get_mut(from) else { return false };
        let stream = std::mem::replace(&mut source.stream, Stream::Socketless);
        let filter = std::mem::replace(&mut source.filter, FilterKey::NONE);
        let payer = source.address;
        let (outbox, span) = (source.outbox.take(), std::mem::take(&mut source.span));
        let (meter, heard) = (std::mem::take(&mut source.meter), source.heard);
        let flags = source.flags.take_all(OF_THE_SOCKET);
        let (is_carried, is_yielded) = (source.flags.has(Flags::CARRIED), source.flags.has(Flags::YIELDED));
        source.flags.set(Flags::BLOCKED);
        let Some(target) = self.table.get_mut(fd) else { return false };
        (target.stream, target.filter, target.outbox, target.span) = (stream, filter, outbox, span);
        self.budget.hand_over(payer, target.address, target.outbox.as_deref());
        (target.meter, target.heard) = (meter, heard);
        target.flags.take(Flags::BLOCKED);
        target.flags.set(flags);
        mark_dirty(fd, target, &mut self.dirty);
        self.move_rest(from, fd);
        if is_carried {
            self.carry(fd);
        }
        if is_yielded {
            self.yield_turn(fd);
        }
        let client = self.forwarded.get(from.index());
        self.forwarded.set(fd.index(), client, self.table.reserved());
        self.taken_over.push(fd);
        true
    }
}
