//! How far a server has come: whether it serves, and how its end goes.

use std::time::Instant;

/// How far the server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Serving,
    Draining(Drain),
    /// Everybody was told; who is still here at this time is cut off.
    Stopping(Instant),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drain {
    /// The place in the table that is told next.
    pub(crate) next: u32,
    /// Connections to a step.
    pub(crate) share: usize,
    /// `None` until the handlers were told.
    pub(crate) step_at: Option<Instant>,
    pub(crate) cut_off_at: Instant,
}
