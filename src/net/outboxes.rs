//! All outboxes together: their size, and a pool of unused ones.

use super::outbox::{Outbox, Size};

/// Counts the outboxes in use and keeps unused ones.
#[derive(Debug, Default)]
pub(crate) struct OutboxPool {
    #[expect(clippy::vec_box, reason = "connections hold boxes, so that an idle one costs a pointer")]
    spare: Vec<Box<Outbox>>,
    in_use: usize,
    total: Size,
}

/// Unused outboxes that are kept; more are freed, so that a burst has no lasting effect.
pub(crate) const POOLED_MAX: usize = 64;

impl OutboxPool {
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

    /// The size of one outbox changed.
    pub(crate) fn changed(&mut self, before: Size, after: Size) {
        self.total.bytes = self.total.bytes + after.bytes - before.bytes;
        self.total.held = self.total.held + after.held - before.held;
    }

    /// The size of all outboxes in use.
    pub(crate) fn total(&self) -> Size {
        self.total
    }

    /// The memory of the unused ones.
    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> usize {
        self.spare.iter().map(|outbox| outbox.size().held).sum()
    }

    pub(crate) fn in_use(&self) -> usize {
        self.in_use
    }
}
