//! Output: queueing what the app writes, for one connection or for many, within the limits. What is queued waits for
//! the end of the turn, unless it is so much that writing it early is cheaper than keeping it. Never calls back.

use super::batch::Span;
use super::connection::{Connection, Flags, Life};
use super::connections::{Connections, mark_dirty};
use super::flush::{FlushFrom, Written, unwritten};
use super::outbox::{Bytes, COPIED_MAX, EMPTY_BYTES, Encoded, Outbox, RUN_BYTES, Terms};
use super::quota::CONTROL_BYTES;
pub(crate) use super::quota::{CONTROLS_BYTES, Delivery, Quota, Refused};
use super::rare::SessionState;
use crate::config::SlowConsumer;
use crate::fd::Fd;

/// This much for one connection is written at once rather than at the end of the turn: copying it would cost more than
/// the system call that is saved.
const EARLY_BYTES: usize = 16 << 10;

impl<S: SessionState> Connections<S> {
    /// Queues a copy of `parts`, which belong together. Where this and its like return `Ok`, the connection is alive;
    /// it may end in any other case, even where nothing was written to it, for what was queued before may be written.
    pub(crate) fn write(&mut self, fd: Fd, parts: [&[u8]; 2], quota: Quota) -> Result<(), Refused> {
        let len = parts[0].len() + parts[1].len();
        if quota.key().is_none() && self.write_small(fd, parts, len) {
            return Ok(());
        }
        let terms = self.admit(fd, len, quota)?;
        if len >= self.early_bytes() && self.is_idle(fd)? {
            let rest = self.write_now(fd, parts, quota, len)?;
            return match rest {
                0 => Ok(()),
                rest if rest < len || !terms.stand_alone() => self.queue(fd, |outbox| {
                    outbox.push_copy(unwritten(parts, len - rest), true);
                    // Its beginning is on the wire: nothing may come in between.
                    outbox.pin();
                }),
                _ => self.queue_message(fd, Bytes::Own(parts.concat()), terms),
            };
        }
        if quota.key().is_none() {
            self.make_room(len);
            if self.write_small(fd, parts, len) {
                return Ok(());
            }
        }
        if terms.stand_alone() {
            return self.queue_message(fd, Bytes::Own(parts.concat()), terms);
        }
        self.queue(fd, |outbox| outbox.push_copy(parts, quota == Quota::Exempt))
    }

    /// Handles the common case in one look-up: little output for an open connection with little queued. False if it is
    /// not that case. No limit can be exceeded by it: each is more than what is written early.
    fn write_small(&mut self, fd: Fd, parts: [&[u8]; 2], len: usize) -> bool {
        let early_bytes = self.early_bytes();
        let Some(connection) = self.table.get_mut(fd) else { return false };
        if connection.life != Life::Open
            || connection.outbox.is_some()
            || connection.flags.has(Flags::BLOCKED)
            || connection.span.len() + len >= early_bytes
            || self.batch.len() + len > self.limits.batch_bytes_max
        {
            return false;
        }
        let span = self.batch.add(parts);
        if !connection.span.extend(span) {
            return self.write_apart(fd, span);
        }
        mark_dirty(fd, connection, &mut self.dirty);
        true
    }

    /// Joins a span that was just added to what a connection has already. False, and it is gone, if that can't be.
    #[cold]
    #[inline(never)]
    fn write_apart(&mut self, fd: Fd, span: Span) -> bool {
        let Some(connection) = self.table.get_mut(fd) else { return false };
        let is_queued = self.batch.join(&mut connection.span, span, self.limits.batch_bytes_max);
        if is_queued {
            mark_dirty(fd, connection, &mut self.dirty);
        } else {
            self.batch.give_back(span);
        }
        is_queued
    }

    /// Queues `head` followed by `body`, which belong together, without copying a large body.
    pub(crate) fn write_owned(
        &mut self,
        fd: Fd,
        head: &[u8],
        body: Bytes,
        quota: Quota,
    ) -> Result<(), Refused> {
        let parts = [head, body.as_slice()];
        let len = head.len() + parts[1].len();
        if len < self.early_bytes() {
            return self.write(fd, parts, quota);
        }
        let memory = if let Bytes::Static(_) = body { head.len() } else { len };
        let terms = self.admit(fd, memory, quota)?;
        let rest = if self.is_idle(fd)? { self.write_now(fd, parts, quota, memory)? } else { len };
        if rest == len && terms.stand_alone() {
            return self.queue_message(fd, Bytes::Own(parts.concat()), terms);
        }
        if rest > 0 {
            self.queue(fd, |outbox| {
                outbox.push_owned(head, body);
                outbox.skip(len - rest);
            })?;
        }
        Ok(())
    }

    /// Queues a run that may be shared with other connections, without copying a large one.
    pub(crate) fn write_encoded(&mut self, fd: Fd, run: &Encoded, delivery: Delivery) -> Result<(), Refused> {
        let waits = self.table.get(fd).is_some_and(|connection| connection.outbox.is_some());
        if run.len() <= COPIED_MAX || !waits && run.len() < self.early_bytes() {
            return self.write(fd, [run, &[]], Quota::Message(delivery));
        }
        self.write_shared(fd, &mut Bytes::Shared(run.clone()), delivery)
    }

    pub(super) fn early_bytes(&self) -> usize {
        EARLY_BYTES.min(self.limits.outbox_bytes_max)
    }

    /// Sees to it that the batch stays small, whatever one callback writes. True if it was cleared for that: then
    /// no span from before is valid.
    pub(super) fn make_room(&mut self, len: usize) -> bool {
        if self.batch.len() + len <= self.limits.batch_bytes_max {
            return false;
        }
        // Every connection that has a span is in one of these lists.
        for index in 0..self.carried.unflushed.len() + self.dirty.len() {
            let left = self.carried.unflushed.get(index);
            let fd = left.copied().unwrap_or_else(|| self.dirty[index - self.carried.unflushed.len()]);
            if self.table.get(fd).is_some_and(|connection| !connection.span.is_empty()) {
                self.write_out(fd, FlushFrom::Queueing);
            }
        }
        self.batch.clear();
        true
    }

    /// Queues a run that others may get too: if it has to wait and is large, it becomes shared.
    pub(super) fn write_shared(
        &mut self,
        fd: Fd,
        bytes: &mut Bytes,
        delivery: Delivery,
    ) -> Result<(), Refused> {
        let quota = Quota::Message(delivery);
        let run = bytes.as_slice();
        let (len, terms) = (run.len(), self.admit(fd, run.len(), quota)?);
        if len <= COPIED_MAX {
            // Not by way of the batch: others' spans point into it.
            return match terms.stand_alone() {
                true => self.queue_message(fd, Bytes::Own(run.to_vec()), terms),
                false => self.queue(fd, |outbox| outbox.push_copy([run, &[]], false)),
            };
        }
        let rest = if self.is_idle(fd)? { self.write_now(fd, [run, &[]], quota, len)? } else { len };
        if rest == 0 {
            return Ok(());
        }
        let shared = bytes.share();
        if rest == len && terms.stand_alone() {
            return self.queue_message(fd, Bytes::Shared(shared), terms);
        }
        self.queue(fd, |outbox| {
            outbox.push_shared(shared);
            outbox.skip(len - rest);
        })
    }

    /// Queues a run that goes ahead of what waits. While the socket is blocked only the newest is kept: a peer that
    /// asks for many gets one when it reads again.
    pub(crate) fn write_urgent(&mut self, fd: Fd, run: &[u8]) -> Result<(), Refused> {
        let connection = self.table.get_mut(fd).ok_or(Refused::Gone)?;
        if !connection.flags.has(Flags::BLOCKED) {
            return self.write(fd, [run, &[]], Quota::Exempt);
        }
        if connection.life != Life::Open {
            return Err(Refused::Closing);
        }
        self.queue(fd, |outbox| outbox.push_urgent(run.to_vec()))
    }

    /// Forbids urgent runs to overtake what is queued now.
    pub(crate) fn pin(&mut self, fd: Fd) {
        // A span that has to wait becomes an outbox that is pinned.
        if let Some(Connection { outbox: Some(outbox), .. }) = self.table.get_mut(fd) {
            outbox.pin();
        }
    }

    /// Whether `len` more bytes may be queued, and on what terms. If that would be much together with what is queued
    /// already, the latter is written first: a peer that reads must not look slow because of the output of one turn.
    fn admit(&mut self, fd: Fd, len: usize, quota: Quota) -> Result<Terms, Refused> {
        let connection = self.table.get(fd).ok_or(Refused::Gone)?;
        match connection.life {
            Life::Open => {}
            Life::Connecting | Life::Finishing | Life::Lingering => return Err(Refused::Closing),
            Life::Dead => return Err(Refused::Gone),
        }
        let room = self.budget.outboxes_room(connection.address, &self.limits);
        let queued = connection.queued_bytes();
        let is_much = queued + len >= self.early_bytes() || queued + len + EMPTY_BYTES + 2 * RUN_BYTES > room;
        if queued > 0
            && is_much
            && !connection.flags.has(Flags::BLOCKED)
            && self.write_out(fd, FlushFrom::Queueing) == Written::Failed
        {
            return Err(Refused::Gone);
        }
        let (policy, key) = self.slow_consumer(fd, quota);
        let may_drop = matches!(quota, Quota::Message(_)) && policy == SlowConsumer::DropOldest;
        let terms = Terms { may_drop, key };
        let beyond = match quota {
            Quota::Exempt => return Ok(Terms::default()),
            Quota::Control => (CONTROL_BYTES, CONTROLS_BYTES),
            Quota::Answer => (usize::MAX, 0),
            Quota::Limited | Quota::Message(_) => (0, 0),
        };
        let excess = self.excess(fd, len, terms, beyond);
        if excess == 0 || self.drop_oldest(fd, excess, terms) {
            return Ok(terms);
        }
        Err(self.full(fd, quota, policy))
    }

    /// Refuses a write for want of room. A message is counted as lost if the connection lives on without it.
    pub(super) fn full(&mut self, fd: Fd, quota: Quota, policy: SlowConsumer) -> Refused {
        if matches!(quota, Quota::Message(_)) && policy != SlowConsumer::Close {
            self.count_dropped(fd, 1);
        }
        Refused::Full(policy)
    }

    /// What happens to a write that does not fit, and its key. Only messages can be dropped.
    pub(crate) fn slow_consumer(&self, fd: Fd, quota: Quota) -> (SlowConsumer, Option<u64>) {
        let own = || self.table.get(fd).and_then(|connection| connection.slow_consumer);
        match quota {
            Quota::Message(delivery) => {
                (delivery.slow_consumer.or_else(own).unwrap_or(self.limits.slow_consumer), delivery.key)
            }
            Quota::Control | Quota::Answer => (SlowConsumer::DropNewest, None),
            Quota::Limited => (own().unwrap_or(self.limits.slow_consumer), None),
            Quota::Exempt => (SlowConsumer::Close, None),
        }
    }

    /// By how many bytes a message of `len` would exceed the connection's limit, the limit of all outboxes or the share
    /// of its address, which are raised by `beyond`.
    fn excess(&self, fd: Fd, len: usize, terms: Terms, beyond: (usize, usize)) -> usize {
        let Some(connection) = self.table.get(fd) else { return 0 };
        let outbox = connection.outbox.as_deref();
        let used = connection.span.len() + outbox.map_or(0, Outbox::cost);
        let replaced = outbox.zip(terms.key).map_or(0, |(outbox, key)| outbox.cost_of(key));
        let cost = len + if terms.stand_alone() { RUN_BYTES } else { 0 };
        let of_own =
            (used - replaced + cost).saturating_sub(self.limits.outbox_bytes_max.saturating_add(beyond.0));
        // A socket that takes its output costs no memory, however much others hold.
        let is_blocked = connection.flags.has(Flags::BLOCKED);
        if !is_blocked {
            return of_own;
        }
        let own = if outbox.is_none() { EMPTY_BYTES } else { 0 };
        let more = (own + len + 2 * RUN_BYTES).saturating_sub(replaced);
        of_own.max(self.budget.outboxes_excess(connection.address, more, beyond.1, &self.limits))
    }

    /// Drops what may be dropped for a message that exceeds a limit by `excess`. False if that is not enough.
    fn drop_oldest(&mut self, fd: Fd, excess: usize, terms: Terms) -> bool {
        let Some(&mut Connection { outbox: Some(ref mut outbox), address, .. }) = self.table.get_mut(fd)
        else {
            return false;
        };
        let before = outbox.size();
        let Some(dropped) = outbox.drop_oldest(excess, terms.key) else { return false };
        self.budget.changed(address, before, outbox.size());
        self.count_dropped(fd, dropped);
        true
    }

    /// Whether nothing is queued that has to be sent first.
    fn is_idle(&self, fd: Fd) -> Result<bool, Refused> {
        let connection = self.table.get(fd).ok_or(Refused::Gone)?;
        Ok(connection.outbox.is_none() && connection.span.is_empty())
    }

    /// Changes the outbox of a connection, after moving into it what the connection has in the batch.
    fn queue(&mut self, fd: Fd, put: impl FnOnce(&mut Outbox)) -> Result<(), Refused> {
        let connection = self.table.get_mut(fd).ok_or(Refused::Gone)?;
        // Making room may have been its end.
        if connection.life == Life::Dead {
            return Err(Refused::Gone);
        }
        mark_dirty(fd, connection, &mut self.dirty);
        let span = std::mem::take(&mut connection.span);
        let payer = connection.address;
        let outbox = connection.outbox.get_or_insert_with(|| self.budget.take_outbox(payer));
        let before = outbox.size();
        if !span.is_empty() {
            let span = self.batch.in_one(span);
            outbox.push_copy([self.batch.get(span).expect("it is in one"), &[]], true);
            outbox.pin();
            self.batch.give_back(span);
        }
        put(outbox);
        self.budget.changed(payer, before, outbox.size());
        self.note_crossing(fd);
        Ok(())
    }

    /// From now on the app reports full outboxes: one that is full already is reported as if it had just become so.
    pub(crate) fn begin_crossings(&mut self, fd: Fd) {
        if !self.crossings.is_empty() {
            self.crossings.retain(|(other, _)| *other != fd);
        }
        if let Some(Connection { outbox: Some(outbox), .. }) = self.table.get_mut(fd) {
            outbox.is_above = false;
            self.note_crossing(fd);
        }
    }

    /// Notes for the app that an outbox has reached the high watermark, or after that the low one.
    pub(super) fn note_crossing(&mut self, fd: Fd) {
        let Some(Connection { outbox: Some(outbox), .. }) = self.table.get_mut(fd) else { return };
        let bytes = outbox.bytes();
        let is_crossed = match outbox.is_above {
            false => bytes >= self.limits.buffer_high_watermark,
            true => bytes <= self.limits.buffer_low_watermark,
        };
        if is_crossed {
            outbox.is_above = !outbox.is_above;
            self.crossings.push((fd, outbox.is_above));
        }
    }

    fn queue_message(&mut self, fd: Fd, bytes: Bytes, terms: Terms) -> Result<(), Refused> {
        let mut is_replaced = false;
        self.queue(fd, |outbox| is_replaced = outbox.push_message(bytes, terms))?;
        if is_replaced {
            self.count_replaced(fd);
        }
        Ok(())
    }
}
