//! All outboxes together: what they come to, and those that wait for their next use.

use super::outbox::{Outbox, Size};

/// All outboxes: what those in use come to, and those that nobody uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    #[expect(clippy::vec_box, reason = "connections hold boxes, so that an idle one costs a pointer")]
    spare: Vec<Box<Outbox>>,
    in_use: usize,
    total: Size,
}

/// Kept for the next use; more are given back to the allocator, so a burst leaves no lasting mark.
pub(crate) const POOLED_MAX: usize = 64;

impl Pool {
    pub(crate) fn take(&mut self) -> Box<Outbox> {
        self.in_use += 1;
        let outbox = self.spare.pop().unwrap_or_default();
        self.changed(Size::default(), outbox.size());
        outbox
    }

    pub(crate) fn put(&mut self, mut outbox: Box<Outbox>) {
        self.in_use -= 1;
        self.changed(outbox.size(), Size::default());
        if self.spare.len() < POOLED_MAX {
            outbox.clear();
            self.spare.push(outbox);
        }
    }

    /// One outbox came to `before`, and comes to `after`.
    pub(crate) fn changed(&mut self, before: Size, after: Size) {
        self.total.bytes = self.total.bytes + after.bytes - before.bytes;
        self.total.held = self.total.held + after.held - before.held;
    }

    /// What those in use come to.
    pub(crate) fn total(&self) -> Size {
        self.total
    }

    /// The memory that it keeps for the next use.
    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> usize {
        self.spare.iter().map(|outbox| outbox.size().held).sum()
    }

    pub(crate) fn in_use(&self) -> usize {
        self.in_use
    }
}
