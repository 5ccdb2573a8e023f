//! One connection: its stream, what is queued for it, and where in its life it is. Every idle connection costs
//! this struct, so its size is asserted; what only busy connections need is behind a pointer.

use super::batch::Span;
use super::outbox::Outbox;
use super::rate::Meter;
use super::stream::Stream;
use super::wheel::TICK;
use super::wire::FilterKey;
use crate::config::SlowConsumer;

pub(crate) struct Connection<S> {
    /// Together with its place in the table this is its fd.
    pub(crate) generation: u32,
    pub(crate) stream: Stream,
    /// Output that the socket did not take; usually `None`.
    pub(crate) outbox: Option<Box<Outbox>>,
    pub(crate) session: S,
    /// Output of this turn that is not flushed yet. Always empty when there is an outbox.
    pub(crate) span: Span,
    /// When it was accepted, in ticks since the start of all, whatever counts for deadlines.
    pub(crate) accepted: u32,
    /// When the peer last sent something, in ticks.
    pub(crate) heard: u32,
    /// Its entry in the count of addresses; 0 if they are not counted.
    pub(crate) address: u32,
    /// How fast it has been sending.
    pub(crate) meter: Meter,
    /// What its bytes pass through between here and the socket.
    pub(crate) filter: FilterKey,
    /// What happens to messages that don't fit in its outbox; `None`: the server's policy.
    pub(crate) slow_consumer: Option<SlowConsumer>,
    pub(crate) life: Life,
    pub(crate) flags: Flags,
}

/// The stages of a connection's life, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Life {
    /// Begun by this side; counts as blocked until it is established.
    Connecting,
    /// Both sides may send.
    Open,
    /// Queued output is sent, then this side of TCP is ended; input is discarded.
    Finishing,
    /// This side is ended; input is discarded until the peer ends its side too, or its time is up. Closing with
    /// unread input would send a reset, which can destroy the last bytes on their way to the peer.
    Lingering,
    /// Reaped at the end of the turn.
    Dead,
}

/// What a turn has to remember about a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags(u16);

impl Flags {
    /// The socket takes no more: wait for the writable edge.
    pub(crate) const BLOCKED: u16 = 1 << 0;
    /// In the list of connections to flush: something is queued, or the end is.
    pub(crate) const DIRTY: u16 = 1 << 1;
    /// In the list of connections to read from in the next turn: no further edge will come.
    pub(crate) const CARRIED: u16 = 1 << 2;
    /// In the list of connections to write to in the next turn: it has had its share of this one.
    pub(crate) const YIELDED: u16 = 1 << 3;
    /// The protocol wants no input now.
    pub(crate) const PAUSED_BY_PROTOCOL: u16 = 1 << 4;
    /// The user has paused it.
    pub(crate) const PAUSED_BY_USER: u16 = 1 << 5;
    pub(crate) const PAUSED: u16 = Flags::PAUSED_BY_PROTOCOL | Flags::PAUSED_BY_USER;
    /// It became readable while it was paused.
    pub(crate) const MISSED: u16 = 1 << 6;
    /// The app is to be told when the outbox is empty.
    pub(crate) const WANTS_DRAINED: u16 = 1 << 7;
    /// The peer ended its side: no further edge will come, so read until the end is seen.
    pub(crate) const HUNG_UP: u16 = 1 << 8;
    /// The peer ended its side, and all its bytes were read.
    pub(crate) const PEER_ENDED: u16 = 1 << 9;
    /// The peer will send nothing more: nothing needs to be read before the socket is closed.
    pub(crate) const PEER_DONE: u16 = 1 << 10;
    /// What is on its way to the peer is watched; see [`pace`](super::pace).
    pub(crate) const PACED: u16 = 1 << 11;
    /// Exempt from idle timeouts.
    pub(crate) const PROTECTED: u16 = 1 << 12;
    /// It is only told that it is refused, and does not count against the limits.
    pub(crate) const TURNED_AWAY: u16 = 1 << 13;
    /// The other end of TCP is a trusted proxy.
    pub(crate) const VIA_PROXY: u16 = 1 << 14;
    /// It has an entry in [`rare`](super::rare).
    pub(crate) const RARE: u16 = 1 << 15;

    /// Whether any of these flags is set.
    pub(crate) fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }

    pub(crate) fn set(&mut self, flag: u16) {
        self.0 |= flag;
    }

    /// Clears all of `flags` and returns which of them were set.
    pub(crate) fn take_all(&mut self, flags: u16) -> u16 {
        let had = self.0 & flags;
        self.0 &= !flags;
        had
    }

    /// Clears a flag and returns whether it was set.
    pub(crate) fn take(&mut self, flag: u16) -> bool {
        let had = self.has(flag);
        self.0 &= !flag;
        had
    }
}

impl<S> Connection<S> {
    /// Notes that the peer sent something at this tick.
    pub(crate) fn hear(&mut self, tick: u32) {
        if tick != self.heard {
            self.meter.drain(tick - self.heard, TICK);
            self.heard = tick;
        }
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.span.len() + self.outbox.as_ref().map_or(0, |outbox| outbox.bytes())
    }
}
