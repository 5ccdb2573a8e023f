//! What this layer counts. Counts of other layers are added when the statistics are asked for.

use super::info::Refusals;

/// Totals since the start, with the names that they have in [`Stats`](crate::Stats).
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) opened: u64,
    pub(crate) requests: u64,
    pub(crate) responses: u64,
    pub(crate) messages_received: u64,
    pub(crate) messages_sent: u64,
    pub(crate) pings_sent: u64,
    pub(crate) pings_received: u64,
    pub(crate) pongs_received: u64,
    pub(crate) refusals: Refusals,
}
