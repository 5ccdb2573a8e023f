//! One connection: its stream, what is queued for it, and where in its life it is. Every idle connection
//! costs this struct, so its size is asserted; whatever only busy ones need is behind a pointer.

use super::batch::Span;
use super::connections::TICK;
use super::outbox::Outbox;
use super::rate::Meter;
use super::stream::Stream;
use crate::config::SlowConsumer;
use crate::fd::Fd;

pub(crate) struct Connection<S> {
    pub(crate) fd: Fd,
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
    pub(crate) const BLOCKED: u16 = 1;
    /// In the list of connections to flush: something is queued, or the end is.
    pub(crate) const DIRTY: u16 = 2;
    /// In the list of connections to read on in the next turn, for no edge will tell again.
    pub(crate) const CARRIED: u16 = 4;
    /// The app does not want to be given bytes now.
    pub(crate) const PAUSED: u16 = 8;
    /// Readiness came while paused.
    pub(crate) const MISSED: u16 = 16;
    /// The app is to be told when the outbox is empty.
    pub(crate) const WANTS_DRAINED: u16 = 32;
    /// The peer ended its side, and everything before that was read.
    pub(crate) const ENDED: u16 = 64;
    /// The peer ended its side: no edge will tell again, so read until that is seen.
    pub(crate) const HUNG_UP: u16 = 128;
    /// The peer has read on since its deadline was last looked at: it is slow, but there.
    pub(crate) const PROGRESSED: u16 = 256;
    /// The peer has said all it will: nothing needs to be read before the socket is closed.
    pub(crate) const SAID_ALL: u16 = 1024;
    /// The user does not want it to be read.
    pub(crate) const SUSPENDED: u16 = 2048;
    /// No silence ends it.
    pub(crate) const PROTECTED: u16 = 4096;
    /// Only told that it may not stay; it takes no place from others.
    pub(crate) const TURNED_AWAY: u16 = 512;

    /// The other end of TCP is a trusted proxy.
    pub(crate) const VIA_PROXY: u16 = 8192;

    /// What becomes of what does not fit: two bits that name a policy; 0 is the server's own.
    const POLICY: u16 = 3 << Flags::POLICY_SHIFT;
    const POLICY_SHIFT: u32 = 14;

    pub(crate) fn policy(self) -> Option<SlowConsumer> {
        match self.0 >> Flags::POLICY_SHIFT {
            1 => Some(SlowConsumer::Close),
            2 => Some(SlowConsumer::DropNewest),
            3 => Some(SlowConsumer::DropOldest),
            _ => None,
        }
    }

    pub(crate) fn set_policy(&mut self, policy: Option<SlowConsumer>) {
        let name = match policy {
            None => 0,
            Some(SlowConsumer::Close) => 1,
            Some(SlowConsumer::DropNewest) => 2,
            Some(SlowConsumer::DropOldest) => 3,
        };
        self.0 = self.0 & !Flags::POLICY | name << Flags::POLICY_SHIFT;
    }

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
