//! How a write counts against the limits, and why it may be refused.

use crate::config::SlowConsumer;

/// Whether a write counts against the limits. Control frames do not: they tell a peer, and its user, what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quota {
    Limited,
    /// Limited; where there is no room, the policy decides what becomes of it.
    Message(Delivery),
    /// There is a little room beyond the limits for these.
    Control,
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
pub(super) const CONTROL_BYTES: usize = 4 << 10;
/// And beyond the limit of all outboxes together.
pub(crate) const CONTROLS_BYTES: usize = 1 << 20;

/// Why a write was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Gone,
    Closing,
    Full(SlowConsumer),
}
