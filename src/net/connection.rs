//! One connection: its stream, what is queued for it, and where in its life it is. Every idle connection
//! costs this struct, so its size is asserted; whatever only busy ones need is behind a pointer.

use super::batch::Span;
use super::outbox::Outbox;
use super::rate::Meter;
use super::stream::Stream;
use super::wheel::TICK;
use super::wire::FilterKey;
use crate::config::SlowConsumer;

pub(crate) struct Connection<S> {
    /// With its place in the table, its fd.
    pub(crate) generation: u32,
    pub(crate) stream: Stream,
    /// What the socket did not take; `None` mostly.
    pub(crate) outbox: Option<Box<Outbox>>,
    pub(crate) session: S,
    /// What was written in this turn and is not flushed yet; never beside an outbox.
    pub(crate) span: Span,
    /// When it was accepted, in ticks of the wheel.
    pub(crate) accepted: u32,
    /// When the peer was last heard of, in ticks of the wheel.
    pub(crate) heard: u32,
    /// Its entry in the count of addresses, 0 where they are not counted.
    pub(crate) address: u32,
    /// How much it has sent lately.
    pub(crate) meter: Meter,
    /// What its bytes go through on their way.
    pub(crate) filter: FilterKey,
    /// What becomes of messages for which it has no room; `None`: as the server has it.
    pub(crate) policy: Option<SlowConsumer>,
    pub(crate) life: Life,
    pub(crate) flags: Flags,
}

/// The life of a connection, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Life {
    /// Begun from here; blocked until it stands.
    Connecting,
    /// Both sides may send.
    Open,
    /// What is queued goes out, then this side of TCP is ended; what the peer sends is discarded.
    Finishing,
    /// This side is ended; what the peer sends is discarded until it ends too, or its time is up. To close
    /// with input unread would send a reset, which can destroy the last bytes on their way to the peer.
    Lingering,
    /// To be reaped at the end of the turn.
    Dead,
}

/// What the turn has to remember of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags(u16);

impl Flags {
    /// The socket takes no more: wait for the writable edge.
    pub(crate) const BLOCKED: u16 = 1 << 0;
    /// In the list of connections to flush: something is queued, or the end is.
    pub(crate) const DIRTY: u16 = 1 << 1;
    /// In the list of connections to read on in the next turn: no edge will tell again.
    pub(crate) const CARRIED: u16 = 1 << 2;
    /// In the list of connections to write on to in the next turn: it has had its share of this one.
    pub(crate) const YIELDED: u16 = 1 << 3;
    /// The protocol does not want bytes now.
    pub(crate) const HELD_BY_PROTOCOL: u16 = 1 << 4;
    /// The user does not want it to be read.
    pub(crate) const HELD_BY_USER: u16 = 1 << 5;
    pub(crate) const HELD: u16 = Flags::HELD_BY_PROTOCOL | Flags::HELD_BY_USER;
    /// It became readable while it was held.
    pub(crate) const MISSED: u16 = 1 << 6;
    /// The app is to be told when the outbox is empty.
    pub(crate) const WANTS_DRAINED: u16 = 1 << 7;
    /// The peer ended its side: no edge will tell again, so read until that is seen.
    pub(crate) const HUNG_UP: u16 = 1 << 8;
    /// The peer ended its side, and everything before that was read.
    pub(crate) const ENDED: u16 = 1 << 9;
    /// The peer has said all it will: nothing needs to be read before the socket is closed.
    pub(crate) const SAID_ALL: u16 = 1 << 10;
    /// The peer has taken something since its deadline was last looked at: it is slow, but there.
    pub(crate) const PROGRESSED: u16 = 1 << 11;
    /// No silence ends it.
    pub(crate) const PROTECTED: u16 = 1 << 12;
    /// It is only told that it may not stay; it takes no place from others.
    pub(crate) const TURNED_AWAY: u16 = 1 << 13;
    /// The other end of TCP is a trusted proxy.
    pub(crate) const VIA_PROXY: u16 = 1 << 14;
    /// It has an entry among the rare states.
    pub(crate) const RARE: u16 = 1 << 15;

    /// Whether one of `flag` is set.
    pub(crate) fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }

    pub(crate) fn set(&mut self, flag: u16) {
        self.0 |= flag;
    }

    /// Clears a flag; whether it was set.
    pub(crate) fn take(&mut self, flag: u16) -> bool {
        let had = self.has(flag);
        self.0 &= !flag;
        had
    }
}

impl<S> Connection<S> {
    /// The peer is heard of at this tick.
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
