//! The stage of a server: whether it serves, and how far its shutdown is.

use std::time::Instant;

/// The stage of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Serving,
    Draining(Drain),
    /// Every connection was told; those that are still here at this time are cut off.
    Stopping(Instant),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drain {
    /// The index in the table of the connection that is told next.
    pub(crate) next: u32,
    /// How many connections are told in each step.
    pub(crate) share: usize,
    /// `None` until the handlers were told.
    pub(crate) step_at: Option<Instant>,
    pub(crate) cut_off_at: Instant,
}
