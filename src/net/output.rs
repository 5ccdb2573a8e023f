//! The way out: queueing what the app writes, for one connection or for many, and writing it to the sockets.
//! What is queued waits for the end of the turn, unless it is so much that to write it early costs less than to
//! keep it. Calls nobody back.

use super::batch::Span;
use super::connection::{Connection, Flags, Life};
use super::connections::{Connections, mark_dirty};
use super::io_failure;
use super::outbox::{COPIED_MAX, Encoded, Flushed, Outbox};
use super::stream::Stream;
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use std::io::{self, IoSlice};

/// Whether a write counts against the limits. Control frames do not: they are what tells a peer, and its
/// user, what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quota {
    Limited,
    Exempt,
}

/// So much for one connection is written at once, not at the end of the turn: a system call saved for each
/// 16 KiB is little, a copy of them is more.
const EARLY_BYTES: usize = 16 << 10;

/// How writing out ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    All,
    /// The socket takes no more for now.
    Blocked,
    /// The socket would take more, but others are waiting.
    Some,
    /// The connection is dead.
    Failed,
}

/// Why a write was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Gone,
    Closing,
    Full,
}

impl<S> Connections<S> {
    /// Queues a copy of `parts`, which belong together.
    pub(crate) fn write(&mut self, fd: Fd, parts: [&[u8]; 2], quota: Quota) -> Result<(), Refused> {
        let len = parts[0].len() + parts[1].len();
        if self.write_small(fd, parts, len) {
            return Ok(());
        }
        self.admit(fd, len, quota)?;
        if len >= self.early_bytes() && self.is_idle(fd)? {
            let written = self.write_now(fd, parts)?;
            if written < len {
                let outbox = self.outbox(fd, len - written)?;
                let (head, body) = (parts[0].get(written..), written.saturating_sub(parts[0].len()));
                outbox.copy([head.unwrap_or_default(), &parts[1][body..]]);
                // Begun on the wire: nothing may come between.
                outbox.pin();
            }
            return Ok(());
        }
        self.make_room(len);
        if !self.write_small(fd, parts, len) {
            self.outbox(fd, len)?.copy(parts);
        }
        Ok(())
    }

    /// The common case in one look-up: little for an open connection of which little waits; whether it was that.
    /// It is within every limit, for what is written early is never more than one.
    fn write_small(&mut self, fd: Fd, parts: [&[u8]; 2], len: usize) -> bool {
        let early_bytes = self.early_bytes();
        let Some(connection) = self.table.get_mut(fd) else { return false };
        if connection.life != Life::Open
            || connection.outbox.is_some()
            || connection.span.len() + len >= early_bytes
            || self.batch.len() + len > self.limits.batch_bytes_max
        {
            return false;
        }
        let span = self.batch.add(parts);
        let is_queued = connection.span.extend(span);
        if is_queued {
            mark_dirty(connection, &mut self.dirty);
        } else {
            self.batch.give_back(span);
        }
        is_queued
    }

    /// Queues `head` and then `body`, which belong together, without copying a large body.
    pub(crate) fn write_owned(
        &mut self,
        fd: Fd,
        head: &[u8],
        body: Vec<u8>,
        quota: Quota,
    ) -> Result<(), Refused> {
        let len = head.len() + body.len();
        if len < self.early_bytes() {
            return self.write(fd, [head, &body], quota);
        }
        self.admit(fd, len, quota)?;
        let written = if self.is_idle(fd)? { self.write_now(fd, [head, &body])? } else { 0 };
        if written < len {
            let outbox = self.outbox(fd, len - written)?;
            outbox.own(head, body);
            outbox.skip(written);
        }
        Ok(())
    }

    /// Queues a run that others may share, without copying a large one.
    pub(crate) fn write_encoded(&mut self, fd: Fd, run: &Encoded) -> Result<(), Refused> {
        let waits = self.table.get(fd).is_some_and(|connection| connection.outbox.is_some());
        if run.len() <= COPIED_MAX || !waits && run.len() < self.early_bytes() {
            return self.write(fd, [run, &[]], Quota::Limited);
        }
        self.write_shared(fd, run, &mut Some(run.clone()))
    }

    /// Queues one run for every open connection at one of these places in the table that `wants` it: how many took it,
    /// and who could not. `shared`: the run itself, where somebody has it already.
    pub(crate) fn fan_out(
        &mut self,
        run: &[u8],
        mut shared: Option<Encoded>,
        indices: impl Iterator<Item = u32>,
        wants: impl Fn(&Connection<S>) -> bool,
    ) -> (usize, Vec<(Fd, Refused)>) {
        let early_bytes = self.early_bytes();
        let is_early = run.len() >= early_bytes;
        self.make_room(run.len());
        let span = if is_early { Span::default() } else { self.batch.add_shared(run) };
        // Where none is given, it is made when somebody can't take it at once.
        let mut taken = 0;
        let mut refused = Vec::new();
        for index in indices {
            let Some(connection) = self.table.at_mut(index) else { continue };
            if connection.life != Life::Open || !wants(connection) {
                continue;
            }
            let fd = connection.fd;
            // What most members need is done here, without looking the connection up again.
            if !is_early
                && connection.outbox.is_none()
                && connection.span.len() + run.len() < early_bytes
                && connection.span.extend(span)
            {
                mark_dirty(connection, &mut self.dirty);
                taken += 1;
                continue;
            }
            match self.write_shared(fd, run, &mut shared) {
                Ok(()) => taken += 1,
                Err(error) => refused.push((fd, error)),
            }
        }
        (taken, refused)
    }

    fn early_bytes(&self) -> usize {
        EARLY_BYTES.min(self.limits.outbox_bytes_max)
    }

    /// Sees to it that the batch stays small, whatever one callback writes.
    fn make_room(&mut self, len: usize) {
        if self.batch.len() + len <= self.limits.batch_bytes_max {
            return;
        }
        // Whoever has a span is on this list.
        for index in 0..self.dirty.len() {
            let fd = self.dirty[index];
            if self.table.get(fd).is_some_and(|connection| !connection.span.is_empty()) {
                self.write_out(fd);
            }
        }
        self.batch.clear();
    }

    fn write_shared(&mut self, fd: Fd, run: &[u8], shared: &mut Option<Encoded>) -> Result<(), Refused> {
        self.admit(fd, run.len(), Quota::Limited)?;
        if run.len() <= COPIED_MAX {
            // Not by way of the batch: others' spans point into it.
            self.outbox(fd, run.len())?.copy([run, &[]]);
            return Ok(());
        }
        let written = if self.is_idle(fd)? { self.write_now(fd, [run, &[]])? } else { 0 };
        if written < run.len() {
            let outbox = self.outbox(fd, run.len() - written)?;
            outbox.share(shared.get_or_insert_with(|| run.into()).clone());
            outbox.skip(written);
        }
        Ok(())
    }

    /// Queues a run that goes ahead of what waits. While the socket is blocked only the newest is kept, so
    /// whoever asks for many gets one when it reads again.
    pub(crate) fn write_urgent(&mut self, fd: Fd, run: &[u8]) -> Result<(), Refused> {
        let connection = self.table.get_mut(fd).ok_or(Refused::Gone)?;
        if !connection.flags.has(Flags::BLOCKED) {
            return self.write(fd, [run, &[]], Quota::Exempt);
        }
        if connection.life != Life::Open {
            return Err(Refused::Closing);
        }
        let outbox = connection.outbox.as_mut().expect("blocked on its outbox");
        self.queued_bytes -= outbox.bytes();
        outbox.urgent(run.to_vec());
        self.queued_bytes += outbox.bytes();
        Ok(())
    }

    /// Lets no urgent run overtake what is queued now.
    pub(crate) fn pin(&mut self, fd: Fd) {
        // A span that has to wait becomes an outbox that is pinned.
        if let Some(Connection { outbox: Some(outbox), .. }) = self.table.get_mut(fd) {
            outbox.pin();
        }
    }

    /// Whether `len` more bytes may be queued. What is there already goes out first where it and they would be
    /// much: a peer that reads is not to be taken for a slow one because of what one turn brings.
    fn admit(&mut self, fd: Fd, len: usize, quota: Quota) -> Result<(), Refused> {
        let connection = self.table.get(fd).ok_or(Refused::Gone)?;
        match connection.life {
            Life::Open => {}
            Life::Finishing | Life::Lingering => return Err(Refused::Closing),
            Life::Dead => return Err(Refused::Gone),
        }
        let queued = connection.queued_bytes();
        let is_much =
            queued > 0 && queued + len >= self.early_bytes() && !connection.flags.has(Flags::BLOCKED);
        let queued = match is_much {
            true => match self.write_out(fd) {
                Written::Failed => return Err(Refused::Gone),
                _ => self.table.get(fd).map_or(0, Connection::queued_bytes),
            },
            false => queued,
        };
        // A socket that takes what it is given costs no memory, however much others hold.
        let is_blocked = self.table.get(fd).is_some_and(|connection| connection.flags.has(Flags::BLOCKED));
        let is_over = |limit: usize, used: usize| len > limit.saturating_sub(used);
        if quota == Quota::Limited
            && (is_over(self.limits.outbox_bytes_max, queued)
                || is_blocked && is_over(self.limits.outboxes_bytes_max, self.queued_bytes))
        {
            return Err(Refused::Full);
        }
        Ok(())
    }

    /// Whether nothing is queued that must go first.
    fn is_idle(&self, fd: Fd) -> Result<bool, Refused> {
        let connection = self.table.get(fd).ok_or(Refused::Gone)?;
        Ok(connection.outbox.is_none() && connection.span.is_empty())
    }

    /// Writes to the socket itself, without a copy: how much it took.
    fn write_now(&mut self, fd: Fd, parts: [&[u8]; 2]) -> Result<usize, Refused> {
        let connection = self.table.get_mut(fd).ok_or(Refused::Gone)?;
        loop {
            match connection.stream.write_vectored(&parts.map(IoSlice::new)) {
                Ok(0) => break,
                Ok(written) => {
                    self.traffic.bytes_sent += written as u64;
                    return Ok(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.kill(fd, io_failure(&error));
                    return Err(Refused::Gone);
                }
            }
        }
        self.kill(fd, io_failure(&io::ErrorKind::WriteZero.into()));
        Err(Refused::Gone)
    }

    /// The outbox to put `len` bytes into, already counted. What was in the batch goes in first.
    fn outbox(&mut self, fd: Fd, len: usize) -> Result<&mut Outbox, Refused> {
        let connection = self.table.get_mut(fd).ok_or(Refused::Gone)?;
        mark_dirty(connection, &mut self.dirty);
        let span = std::mem::take(&mut connection.span);
        let outbox = connection.outbox.get_or_insert_with(|| self.pool.take());
        if !span.is_empty() {
            outbox.copy([self.batch.get(span), &[]]);
            outbox.pin();
        }
        self.queued_bytes += span.len() + len;
        Ok(outbox)
    }

    /// Writes what is queued for one connection, as far as the socket takes it.
    pub(super) fn write_out(&mut self, fd: Fd) -> Written {
        let Some(connection) = self.table.get_mut(fd) else { return Written::Failed };
        let span = std::mem::take(&mut connection.span);
        let flushed = if !span.is_empty() {
            write_span(&mut connection.stream, self.batch.get(span)).map(|written| {
                self.traffic.bytes_sent += written as u64;
                if written == span.len() {
                    self.batch.give_back(span);
                    return Written::All;
                }
                let mut outbox = self.pool.take();
                outbox.copy([&self.batch.get(span)[written..], &[]]);
                outbox.pin();
                self.queued_bytes += outbox.bytes();
                connection.outbox = Some(outbox);
                Written::Blocked
            })
        } else if let Some(outbox) = &mut connection.outbox {
            let before = outbox.bytes();
            let flushed = outbox.flush(&mut connection.stream);
            self.queued_bytes -= before - outbox.bytes();
            self.traffic.bytes_sent += (before - outbox.bytes()) as u64;
            if outbox.bytes() < before {
                connection.flags.set(Flags::PROGRESSED);
            }
            flushed.map(|flushed| match flushed {
                Flushed::Drained => {
                    self.pool.put(connection.outbox.take().expect("just flushed"));
                    Written::All
                }
                Flushed::Blocked => Written::Blocked,
                Flushed::Yielded => Written::Some,
            })
        } else {
            Ok(Written::All)
        };
        match flushed {
            Ok(Written::Blocked) if self.queued_bytes > self.limits.outboxes_bytes_max => {
                // Not even the room to tell it why: its last frame may be half on the wire.
                self.kill(fd, CloseReason::new(Side::Server, 1006, "", Cause::SlowConsumer));
                Written::Failed
            }
            Ok(Written::Blocked) => {
                connection.flags.set(Flags::BLOCKED);
                Written::Blocked
            }
            Ok(written) => written,
            Err(error) => {
                self.kill(fd, io_failure(&error));
                Written::Failed
            }
        }
    }
}

/// Writes until all is written or the socket takes no more: how much it took.
fn write_span(stream: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => written += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
