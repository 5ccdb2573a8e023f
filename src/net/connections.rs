//! All connections, and what may be done to them during a turn: queue bytes, ask for an end, set deadlines.
//! Nothing here calls back; the reactor acts on the lists that are kept here. What is queued waits for the end
//! of the turn, unless it is so much that to write it early costs less than to keep it.

use super::addresses::Addresses;
use super::batch::{Batch, Span};
use super::connection::{Connection, Flags, Life};
use super::outbox::{COPIED_MAX, Encoded, Flushed, Outbox, Pool};
use super::stream::Stream;
use super::table::Table;
use super::wheel::Wheel;
use crate::error::CloseReason;
use crate::fd::Fd;
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A tick of the wheel of deadlines. Coarse: no timeout of a connection needs to be exact.
/// 32 bits of them are 8 years.
const TICK: Duration = Duration::from_millis(64);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) outbox_bytes_max: usize,
    pub(crate) outboxes_bytes_max: usize,
    pub(crate) finish_timeout: Duration,
    pub(crate) linger_timeout: Duration,
}

pub(crate) struct Connections<S> {
    pub(super) table: Table<S>,
    pub(super) wheel: Wheel,
    pub(super) pool: Pool,
    pub(super) addresses: Addresses,
    pub(super) limits: Limits,
    /// To be flushed in this turn.
    pub(super) dirty: Vec<Fd>,
    /// To be reaped in this turn.
    pub(super) dead: Vec<Fd>,
    /// To be read on in the next turn.
    pub(super) carried: Vec<Fd>,
    /// To be flushed on in the next turn.
    pub(super) yielded: Vec<Fd>,
    /// What was written in this turn and is not flushed yet.
    pub(super) batch: Batch,
    /// Bytes in all outboxes.
    pub(super) queued_bytes: usize,
    /// Connections that are only being told that they may not stay.
    pub(super) turned_away: usize,
    /// Why connections end that are ending. Not in the connection: most are not.
    pub(super) reasons: HashMap<Fd, CloseReason>,
    start: Instant,
    now: Instant,
}

/// Whether a write counts against the limits. Control frames do not: they are what tells a peer, and its
/// user, what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quota {
    Limited,
    Exempt,
}

/// So much for one connection is written at once, not at the end of the turn: to save a system call for each
/// 16 KiB buys nothing, but a copy of them costs.
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

/// What [`Connections`] holds at the moment, for tests and operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holdings {
    pub(crate) connections: usize,
    pub(crate) deadlines: usize,
    pub(crate) addresses: usize,
    pub(crate) outboxes: usize,
    pub(crate) queued_bytes: usize,
    pub(crate) pending: usize,
    pub(crate) ending: usize,
}

impl<S: Default> Connections<S> {
    pub(crate) fn new(expected: usize, limits: Limits, now: Instant) -> Connections<S> {
        Connections {
            table: Table::new(0, expected),
            wheel: Wheel::new(expected),
            pool: Pool::default(),
            addresses: Addresses::default(),
            limits,
            dirty: Vec::new(),
            dead: Vec::new(),
            carried: Vec::new(),
            yielded: Vec::new(),
            batch: Batch::default(),
            queued_bytes: 0,
            turned_away: 0,
            reasons: HashMap::new(),
            // Tick 0 means "none" to the wheel, so time begins one tick earlier.
            start: now.checked_sub(TICK).unwrap_or(now),
            now,
        }
    }

    /// Puts a new connection in; `None` where the table can't grow.
    pub(crate) fn insert(&mut self, stream: Stream) -> Option<Fd> {
        let now = self.tick(self.now);
        self.table.insert(|fd| Connection {
            fd,
            stream,
            outbox: None,
            session: S::default(),
            span: Span::default(),
            accepted: now,
            heard: now,
            address: 0,
            life: Life::Open,
            flags: Flags::default(),
        })
    }

    /// Counts the connection under its address: how many there are now.
    pub(crate) fn count_address(&mut self, fd: Fd, address: IpAddr) -> u32 {
        let Some(connection) = self.table.get_mut(fd) else { return 0 };
        let (name, count) = self.addresses.add(address);
        connection.address = name;
        count
    }
}

impl<S> Connections<S> {
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Time does not go backwards here, whatever the caller's clock does.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.now = now.max(self.now);
    }

    pub(super) fn tick(&self, at: Instant) -> u32 {
        let ticks = at.saturating_duration_since(self.start).as_millis() / TICK.as_millis();
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// When a tick begins.
    pub(crate) fn instant(&self, tick: u32) -> Instant {
        self.start + TICK * tick
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn holdings(&self) -> Holdings {
        Holdings {
            connections: self.table.len(),
            deadlines: self.wheel.len(),
            addresses: self.addresses.len(),
            outboxes: self.pool.in_use(),
            queued_bytes: self.queued_bytes + self.batch.len(),
            pending: self.dirty.len() + self.dead.len() + self.carried.len() + self.yielded.len(),
            ending: self.reasons.len(),
        }
    }

    /// A connection that is not yet dead.
    pub(crate) fn get(&self, fd: Fd) -> Option<&Connection<S>> {
        self.table.get(fd).filter(|connection| connection.life != Life::Dead)
    }

    /// The session of a connection whose input still counts.
    pub(crate) fn session_mut(&mut self, fd: Fd) -> Option<&mut S> {
        match self.table.get_mut(fd) {
            Some(connection) if connection.life == Life::Open => Some(&mut connection.session),
            _ => None,
        }
    }

    /// The connection at a place in the table, counted from 1.
    pub(crate) fn at(&self, index: u32) -> Option<&Connection<S>> {
        self.table.at(index).filter(|connection| connection.life != Life::Dead)
    }

    /// One more than the last place in the table that may be filled.
    pub(crate) fn index_end(&self) -> u32 {
        self.table.index_end()
    }

    /// Queues a copy of `parts`, which belong together.
    pub(crate) fn write(&mut self, fd: Fd, parts: [&[u8]; 2], quota: Quota) -> Result<(), Refused> {
        let len = parts[0].len() + parts[1].len();
        self.admit(fd, len, quota)?;
        if len >= EARLY_BYTES && self.is_idle(fd)? {
            let written = self.write_now(fd, parts)?;
            if written < len {
                let outbox = self.outbox(fd, len - written)?;
                let (head, body) = (parts[0].get(written..), written.saturating_sub(parts[0].len()));
                outbox.copy([head.unwrap_or_default(), &parts[1][body..]]);
            }
            return Ok(());
        }
        let connection = self.table.get_mut(fd).ok_or(Refused::Gone)?;
        if connection.outbox.is_none() && self.batch.has_room(len) {
            let span = self.batch.add(parts);
            if connection.span.extend(span) {
                mark_dirty(connection, &mut self.dirty);
                return Ok(());
            }
            self.batch.give_back(span);
        }
        self.outbox(fd, len)?.copy(parts);
        Ok(())
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
        if len < EARLY_BYTES {
            return self.write(fd, [head, &body], quota);
        }
        self.admit(fd, len, quota)?;
        let written = if self.is_idle(fd)? { self.write_now(fd, [head, &body])? } else { 0 };
        if written < len {
            let outbox = self.outbox(fd, len - written)?;
            outbox.copy([head, &[]]);
            outbox.own(body);
            outbox.skip(written);
        }
        Ok(())
    }

    /// Queues one run for every open connection that `wants` it: how many took it, and who could not.
    pub(crate) fn fan_out(
        &mut self,
        run: &[u8],
        wants: impl Fn(&Connection<S>) -> bool,
    ) -> (usize, Vec<(Fd, Refused)>) {
        let is_early = run.len() >= EARLY_BYTES || !self.batch.has_room(run.len());
        let span = if is_early { Span::default() } else { self.batch.add_shared(run) };
        // Made where somebody can't take it at once; those then share it.
        let mut shared = None;
        let mut taken = 0;
        let mut refused = Vec::new();
        for index in 1..self.table.index_end() {
            let Some(connection) = self.table.at_mut(index) else { continue };
            if connection.life != Life::Open || !wants(connection) {
                continue;
            }
            let fd = connection.fd;
            // What most members need is done here, without looking the connection up again.
            if !is_early
                && connection.outbox.is_none()
                && connection.span.len() + run.len() < EARLY_BYTES
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

    fn write_shared(&mut self, fd: Fd, run: &[u8], shared: &mut Option<Encoded>) -> Result<(), Refused> {
        if run.len() <= COPIED_MAX {
            return self.write(fd, [run, &[]], Quota::Limited);
        }
        self.admit(fd, run.len(), Quota::Limited)?;
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
        let connection = self.table.get_mut(fd).ok_or(Refused::Gone)?;
        match connection.life {
            Life::Open => {}
            Life::Finishing | Life::Lingering => return Err(Refused::Closing),
            Life::Dead => return Err(Refused::Gone),
        }
        let queued = connection.queued_bytes();
        let is_much = queued > 0 && queued + len >= EARLY_BYTES && !connection.flags.has(Flags::BLOCKED);
        let queued = match is_much {
            true => match self.write_out(fd) {
                Written::Failed => return Err(Refused::Gone),
                _ => self.table.get(fd).map_or(0, Connection::queued_bytes),
            },
            false => queued,
        };
        let all = self.queued_bytes + self.batch.len();
        if quota == Quota::Limited
            && (len > self.limits.outbox_bytes_max.saturating_sub(queued)
                || len > self.limits.outboxes_bytes_max.saturating_sub(all))
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
                Ok(written) => return Ok(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.kill(fd, super::io_failure(&error));
                    return Err(Refused::Gone);
                }
            }
        }
        self.kill(fd, super::io_failure(&io::ErrorKind::WriteZero.into()));
        Err(Refused::Gone)
    }

    /// The outbox to put `len` bytes into, already counted. What was in the batch goes in first.
    fn outbox(&mut self, fd: Fd, len: usize) -> Result<&mut Outbox, Refused> {
        let connection = self.table.get_mut(fd).ok_or(Refused::Gone)?;
        let span = std::mem::take(&mut connection.span);
        let outbox = connection.outbox.get_or_insert_with(|| self.pool.take());
        if !span.is_empty() {
            outbox.copy([self.batch.get(span), &[]]);
            outbox.pin();
        }
        self.queued_bytes += span.len() + len;
        if !connection.flags.has(Flags::DIRTY) {
            connection.flags.set(Flags::DIRTY);
            self.dirty.push(fd);
        }
        Ok(outbox)
    }

    /// Writes what is queued for one connection, as far as the socket takes it.
    pub(super) fn write_out(&mut self, fd: Fd) -> Written {
        let Some(connection) = self.table.get_mut(fd) else { return Written::Failed };
        let span = std::mem::take(&mut connection.span);
        let flushed = if !span.is_empty() {
            write_span(&mut connection.stream, self.batch.get(span)).map(|written| {
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
            Ok(Written::Blocked) => {
                connection.flags.set(Flags::BLOCKED);
                Written::Blocked
            }
            Ok(written) => written,
            Err(error) => {
                self.kill(fd, super::io_failure(&error));
                Written::Failed
            }
        }
    }

    /// Keeps `reason` unless there is one already.
    pub(crate) fn note_reason(&mut self, fd: Fd, reason: CloseReason) {
        if self.get(fd).is_some() {
            self.reasons.entry(fd).or_insert(reason);
        }
    }

    /// Ends a connection after what is queued has gone out; what the peer sends from now on is discarded.
    pub(crate) fn finish(&mut self, fd: Fd, reason: CloseReason) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if connection.life != Life::Open {
            return;
        }
        connection.life = Life::Finishing;
        mark_dirty(connection, &mut self.dirty);
        self.reasons.entry(fd).or_insert(reason);
        self.resume(fd);
        self.deadline(fd, self.limits.finish_timeout);
    }

    /// The peer has said that it will send no more: after [`Connections::finish`] nothing is waited for.
    pub(crate) fn said_all(&mut self, fd: Fd) {
        if let Some(connection) = self.table.get_mut(fd) {
            connection.flags.set(Flags::SAID_ALL);
        }
    }

    /// Ends a connection at once, losing what is queued.
    pub(crate) fn kill(&mut self, fd: Fd, reason: CloseReason) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if connection.life == Life::Dead {
            return;
        }
        connection.life = Life::Dead;
        self.dead.push(fd);
        self.reasons.entry(fd).or_insert(reason);
    }

    /// Sets the connection's one deadline, replacing the one it has.
    pub(crate) fn deadline(&mut self, fd: Fd, after: Duration) {
        if self.table.get(fd).is_none() {
            return;
        }
        let at = self.now.checked_add(after).map_or(u32::MAX, |at| self.tick(at));
        self.wheel.set(fd.index(), at.saturating_add(1));
    }

    /// Whether the peer has read something of what waits for it since this was last asked. A deadline that
    /// passed meanwhile is given again: who reads, slowly, is not to be cut off in the middle.
    pub(crate) fn take_progress(&mut self, fd: Fd) -> bool {
        self.table.get_mut(fd).is_some_and(|connection| connection.flags.take(Flags::PROGRESSED))
    }

    /// Marks a new connection as one that is only told that it may not stay.
    pub(super) fn turn_away(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        connection.flags.set(Flags::TURNED_AWAY);
        self.turned_away += 1;
        self.addresses.remove(std::mem::take(&mut connection.address));
    }

    /// How long nothing has been heard of the peer.
    pub(crate) fn silence(&self, fd: Fd) -> Option<Duration> {
        let heard = self.get(fd)?.heard;
        Some(self.now.saturating_duration_since(self.instant(heard)))
    }

    /// Asks for [`App::drained`](super::App::drained) and for no bytes until [`Connections::resume`].
    pub(crate) fn pause_until_drained(&mut self, fd: Fd) {
        if let Some(connection) = self.table.get_mut(fd) {
            connection.flags.set(Flags::PAUSED);
            connection.flags.set(Flags::WANTS_DRAINED);
        }
    }

    /// Wants bytes again, those that came meanwhile included.
    pub(crate) fn resume(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if connection.flags.take(Flags::PAUSED) && connection.flags.take(Flags::MISSED) {
            self.carry(fd);
        }
    }

    pub(crate) fn is_paused(&self, fd: Fd) -> bool {
        self.table.get(fd).is_some_and(|connection| connection.flags.has(Flags::PAUSED))
    }

    pub(super) fn carry(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if !connection.flags.has(Flags::CARRIED) {
            connection.flags.set(Flags::CARRIED);
            self.carried.push(fd);
        }
    }
}

/// Puts a connection on the list of those to flush, once.
fn mark_dirty<S>(connection: &mut Connection<S>, dirty: &mut Vec<Fd>) {
    if !connection.flags.has(Flags::DIRTY) {
        connection.flags.set(Flags::DIRTY);
        dirty.push(connection.fd);
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
