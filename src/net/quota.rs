//! How a write counts against the limits, and why it may be refused.

use crate::config::SlowConsumer;

/// How a write counts against the limits of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quota {
    /// Refused if there is no room for it.
    Limited,
    /// Limited too. If there is no room, [`SlowConsumer`] says what becomes of it.
    Message(Delivery),
    /// There is a little room beyond the limits for these: pings, pongs and notices.
    Control,
    /// The answer to a request, of which there is one at a time: only the memory of all outboxes, and of its address,
    /// is a limit.
    Answer,
    /// Always taken. For what ends a connection, or is the answer to a request within limits of its own.
    Exempt,
}

/// What a message asks for in case it can't be written at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// In place of the connection's own.
    pub(crate) slow_consumer: Option<SlowConsumer>,
    /// A newer message with the same key takes its place.
    pub(crate) key: Option<u64>,
}

impl Quota {
    pub(super) fn key(self) -> Option<u64> {
        match self {
            Quota::Message(delivery) => delivery.key,
            _ => None,
        }
    }
}

/// How far pings and the like may go beyond the limit of one outbox.
pub(crate) const CONTROL_BYTES: usize = 4 << 10;
/// And beyond the limit of all outboxes together.
pub(crate) const CONTROLS_BYTES: usize = 1 << 20;

/// Why a write was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Gone,
    Closing,
    Full(SlowConsumer),
}
