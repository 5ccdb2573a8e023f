//! Writing to the sockets: queued output, and output that is too large to be queued first. What a socket does not take
//! waits in the connection's outbox, if there is memory for it.

use super::batch::Span;
use super::connection::{Connection, Flags, Life};
use super::connections::Connections;
use super::failure::io_failure;
use super::outbox::{EMPTY_BYTES, Flushed, RUN_BYTES, WRITES_PER_FLUSH};
use super::quota::{Quota, Refused};
use super::rare::SessionState;
use super::stream::Stream;
use super::wire::Wire;
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use std::io::{self, IoSlice};

/// Why a connection is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlushFrom {
    /// It is in the list of those to flush, and is taken off it.
    Dirty,
    Elsewhere,
    /// For what comes next: the batch is to be cleared, or what was queued is not to count against it.
    Queueing,
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    All,
    /// The same, and the connection is ending or the app wants to know.
    AllAwaited,
    /// The socket takes no more for now, or the connection is not written to at all.
    Blocked,
    /// The socket would take more, but other connections are waiting.
    Some,
    /// The connection is dead.
    Failed,
}

impl<S: SessionState> Connections<S> {
    /// Writes straight to the socket, without a copy. Returns how many bytes it did not take: the caller queues those,
    /// and there is memory for them. To keep everything would take `memory` bytes.
    pub(super) fn write_now(
        &mut self,
        fd: Fd,
        parts: [&[u8]; 2],
        quota: Quota,
        memory: usize,
    ) -> Result<usize, Refused> {
        let len = parts[0].len() + parts[1].len();
        let (policy, has_room) = (self.slow_consumer(fd, quota).0, self.has_room(fd, memory));
        // Half an answer is worse than none.
        if quota == Quota::Answer && !has_room {
            return Err(self.full(fd, quota, policy));
        }
        let connection = self.table.get_mut(fd).ok_or(Refused::Gone)?;
        let mut wire = Wire::of(&mut connection.stream, connection.filter);
        let (mut written, mut is_blocked) = (0, false);
        let mut tries = 0..WRITES_PER_FLUSH;
        while written < len && tries.next().is_some() {
            let slices = unwritten(parts, written).map(IoSlice::new);
            match wire.write_vectored(&slices) {
                Ok(0) => {
                    self.kill(fd, io_failure(&io::ErrorKind::WriteZero.into()));
                    return Err(Refused::Gone);
                }
                Ok(more) => {
                    written += more;
                    self.traffic.bytes_sent += more as u64;
                    self.clock.charge_bytes(more);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    is_blocked = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.kill(fd, io_failure(&error));
                    return Err(Refused::Gone);
                }
            }
        }
        let is_paced = connection.flags.has(Flags::PACED);
        if written < len && quota != Quota::Exempt && !has_room {
            if written == 0 {
                return Err(self.full(fd, quota, policy));
            }
            self.kill_for_want_of_room(fd);
            return Err(Refused::Gone);
        }
        if is_paced {
            self.count_written(fd, written);
        }
        if is_blocked {
            self.blocked(fd);
        }
        Ok(len - written)
    }

    /// Writes what is queued for a connection, as far as the socket takes it.
    pub(super) fn write_out(&mut self, fd: Fd, from: FlushFrom) -> Written {
        /// What holds for few connections.
        const SPECIAL: u16 = Flags::BLOCKED | Flags::YIELDED | Flags::WANTS_DRAINED | Flags::PACED;
        let Some(connection) = self.table.get_mut(fd) else { return Written::Failed };
        if from == FlushFrom::Dirty {
            connection.flags.take(Flags::DIRTY);
        }
        let is_special = connection.life != Life::Open || connection.flags.has(SPECIAL);
        // Only what is in an outbox can wait: soon the batch is empty.
        if is_special
            && (connection.life == Life::Dead
                || connection.flags.has(Flags::BLOCKED | Flags::YIELDED) && connection.span.is_empty())
            && from != FlushFrom::Queueing
        {
            if from == FlushFrom::Dirty && matches!(connection.stream, Stream::Socketless) {
                self.with_output.push(fd);
            }
            return Written::Blocked;
        }
        let is_awaited = is_special
            && (connection.life != Life::Open || connection.flags.has(Flags::WANTS_DRAINED | Flags::PACED));
        let all = if is_awaited { Written::AllAwaited } else { Written::All };
        let span = std::mem::take(&mut connection.span);
        let flushed = if !span.is_empty() {
            let Some(bytes) = self.batch.get(span) else { return self.write_joined(fd, span) };
            match write_span(Wire::of(&mut connection.stream, connection.filter), bytes) {
                Ok(written) => {
                    self.traffic.bytes_sent += written as u64;
                    let is_all = written == span.len();
                    if is_all {
                        self.batch.give_back(span);
                        if !is_awaited {
                            return Written::All;
                        }
                    }
                    self.count_written(fd, written);
                    if is_all {
                        return all;
                    }
                    return self.keep_unwritten(fd, span, written);
                }
                Err(error) => Err(error),
            }
        } else if connection.outbox.is_some() {
            self.flush_outbox(fd)
        } else {
            return all;
        };
        match flushed {
            Ok(Written::All) => all,
            Ok(written) => written,
            Err(error) => {
                self.kill(fd, io_failure(&error));
                Written::Failed
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn write_joined(&mut self, fd: Fd, span: Span) -> Written {
        let Some(connection) = self.table.get_mut(fd) else { return Written::Failed };
        connection.span = self.batch.in_one(span);
        self.write_out(fd, FlushFrom::Queueing)
    }

    /// The first `written` bytes of a span were written; the rest waits in an outbox, if there is memory for it.
    fn keep_unwritten(&mut self, fd: Fd, span: Span, written: usize) -> Written {
        if !self.has_room(fd, span.len() - written) {
            self.kill_for_want_of_room(fd);
            return Written::Failed;
        }
        let Some(connection) = self.table.get_mut(fd) else { return Written::Failed };
        let payer = connection.address;
        let outbox = connection.outbox.get_or_insert_with(|| self.budget.take_outbox(payer));
        let before = outbox.size();
        outbox.push_copy([&self.batch.get(span).expect("it is in one")[written..], &[]], true);
        outbox.pin();
        self.budget.changed(payer, before, outbox.size());
        self.batch.give_back(span);
        self.blocked(fd);
        self.note_crossing(fd);
        Written::Blocked
    }

    fn flush_outbox(&mut self, fd: Fd) -> io::Result<Written> {
        let Some(connection) = self.table.get_mut(fd) else { return Ok(Written::Failed) };
        let Some(outbox) = &mut connection.outbox else { return Ok(Written::All) };
        let before = outbox.size();
        let flushed = outbox.flush(Wire::of(&mut connection.stream, connection.filter));
        let after = outbox.size();
        self.budget.changed(connection.address, before, after);
        self.traffic.bytes_sent += (before.bytes - after.bytes) as u64;
        self.clock.charge_bytes(before.bytes - after.bytes);
        if connection.flags.has(Flags::PACED) {
            self.count_written(fd, before.bytes - after.bytes);
        }
        self.note_crossing(fd);
        let Some(connection) = self.table.get_mut(fd) else { return Ok(Written::Failed) };
        match flushed? {
            Flushed::Drained => {
                let outbox = connection.outbox.take().expect("just flushed");
                self.budget.put_outbox(connection.address, outbox);
                Ok(Written::All)
            }
            Flushed::Blocked => {
                self.blocked(fd);
                Ok(Written::Blocked)
            }
            Flushed::Yielded => Ok(Written::Some),
        }
    }

    /// Drops the queued output of a connection of which nothing was written yet, and frees its memory.
    pub(crate) fn discard_unbegun(&mut self, fd: Fd) {
        let Some(Connection { outbox: Some(outbox), address, .. }) = self.table.get_mut(fd) else { return };
        let before = outbox.size();
        outbox.discard_unbegun();
        self.budget.changed(*address, before, outbox.size());
        self.note_crossing(fd);
        if let Some(connection) = self.table.get_mut(fd)
            && let Some(outbox) = connection.outbox.take_if(|outbox| outbox.bytes() == 0)
        {
            self.budget.put_outbox(connection.address, outbox);
        }
    }

    /// Kills a connection that has begun to write what can't be kept. There is no room even to tell the peer why: half
    /// of its last frame may be on the wire.
    fn kill_for_want_of_room(&mut self, fd: Fd) {
        if let Some(connection) = self.table.get(fd).filter(|connection| connection.session.ends_by_close()) {
            connection.stream.reset_on_close();
        }
        self.kill(fd, CloseReason::without_frame(Side::Local, Cause::SlowConsumer));
    }

    /// Whether there is memory for an outbox of `len` bytes.
    fn has_room(&self, fd: Fd, len: usize) -> bool {
        len + EMPTY_BYTES + 3 * RUN_BYTES <= self.budget.outboxes_room(self.payer(fd), &self.limits)
    }
}

/// What remains of two parts that belong together after the first `written` bytes.
pub(super) fn unwritten(parts: [&[u8]; 2], written: usize) -> [&[u8]; 2] {
    let body = written.saturating_sub(parts[0].len());
    [parts[0].get(written..).unwrap_or_default(), &parts[1][body..]]
}

/// Writes until everything is written or the socket takes no more. Returns how much it took.
fn write_span(mut wire: Wire<'_>, bytes: &[u8]) -> io::Result<usize> {
    let mut written = match wire.write(bytes) {
        Ok(len) if len == bytes.len() => return Ok(len),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
        Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
        first => first?,
    };
    while written < bytes.len() {
        match wire.write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => written += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::net::limits::Limits;
    use crate::sim::{self, wire};
    use std::time::Instant;

    /// As a turn that is over makes one do that could write on, and then is written to.
    #[test]
    fn what_is_in_the_batch_does_not_wait_for_a_connection_that_has_yielded() {
        sim::forget_all();
        let mut connections = Connections::<()>::new(4, Limits::new(&Config::default()), Instant::now());
        let (stream, number) = sim::socket();
        let fd = connections.insert(Stream::Sim(stream)).expect("there is room");
        wire(number, |wire| wire.room = 100);
        connections.yield_turn(fd);
        connections.write(fd, [b"in the ", b"batch"], Quota::Exempt).expect("it is open");
        assert_eq!(connections.write_out(fd, FlushFrom::Dirty), Written::All);
        assert_eq!(wire(number, |wire| wire.written.clone()), b"in the batch");
    }
}
