//! All connections, and what may be done to them during a turn: queue bytes, ask for an end, set deadlines.
//! Nothing here calls back; the reactor acts on the lists that are kept here. Queueing is in `output`.

use super::addresses::Addresses;
use super::batch::{Batch, Span};
use super::connection::{Connection, Flags, Life};
use super::io_failure;
use super::limits::Limits;
use super::lost::Losses;
use super::outboxes::Pool;
use super::rate::{Meter, Rates};
use super::stream::Stream;
use super::table::{RESERVED_MAX, Table};
use super::turns::Turns;
use super::wheel::Wheel;
use crate::config::{Config, SlowConsumer};
use crate::error::CloseReason;
use crate::fd::Fd;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A tick of the wheel of deadlines. Coarse: no timeout of a connection needs to be exact.
/// 32 bits of them are 8 years.
pub(crate) const TICK: Duration = Duration::from_millis(64);

/// Room for reasons that is kept when nobody is ending.
const REASONS_KEPT: usize = 1024;

pub(crate) struct Connections<S> {
    pub(super) table: Table<S>,
    pub(super) wheel: Wheel,
    pub(super) pool: Pool,
    pub(super) addresses: Addresses,
    pub(crate) limits: Limits,
    /// How fast peers may send, by numbers of the app's; as `limits` says for all others.
    pub(crate) rates: Vec<Rates>,
    /// To be flushed in this turn.
    pub(super) dirty: Vec<Fd>,
    /// To be reaped in this turn.
    pub(super) dead: Vec<Fd>,
    /// To be read on in the next turn.
    pub(super) carried: Vec<Fd>,
    /// To be flushed on in the next turn.
    pub(super) yielded: Vec<Fd>,
    /// To be watched from this turn on.
    pub(super) unwatched: Vec<Fd>,
    /// What was written in this turn and is not flushed yet.
    pub(super) batch: Batch,
    /// Memory of what is only partly here, as the app counts it.
    pub(crate) inbound_bytes: usize,
    /// Connections that are only being told that they may not stay.
    pub(super) turned_away: usize,
    /// Connections without a socket.
    pub(super) socketless: usize,
    /// Why connections end that are ending. Not in the connection: most are not.
    pub(super) reasons: HashMap<Fd, CloseReason>,
    pub(crate) losses: Losses,
    /// Outboxes that have become full (true), or empty after that, and nobody was told yet.
    pub(crate) crossings: Vec<(Fd, bool)>,
    /// Connections without a socket for which something was queued, and the app was not told yet.
    pub(crate) laden: Vec<Fd>,
    pub(crate) turns: Turns,
    pub(crate) traffic: Traffic,
    start: Instant,
    now: Instant,
}

/// What came and went since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) accepted: u64,
    pub(crate) closed: u64,
    pub(crate) server_full: u64,
    pub(crate) memory_full: u64,
    pub(crate) address_full: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
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
            wheel: Wheel::new(expected.min(RESERVED_MAX)),
            pool: Pool::default(),
            addresses: Addresses::default(),
            limits,
            rates: Vec::new(),
            dirty: Vec::new(),
            dead: Vec::new(),
            carried: Vec::new(),
            yielded: Vec::new(),
            unwatched: Vec::new(),
            batch: Batch::default(),
            inbound_bytes: 0,
            turned_away: 0,
            socketless: 0,
            reasons: HashMap::new(),
            losses: Losses::default(),
            crossings: Vec::new(),
            laden: Vec::new(),
            turns: Turns::default(),
            traffic: Traffic::default(),
            // Tick 0 means "none" to the wheel, so time begins one tick earlier.
            start: now.checked_sub(TICK).unwrap_or(now),
            now,
        }
    }

    /// Puts a new connection in; `None` where the table can't grow.
    pub(crate) fn insert(&mut self, stream: Stream) -> Option<Fd> {
        let now = self.tick(self.now);
        let is_socketless = matches!(stream, Stream::Socketless);
        let fd = self.table.insert(|fd| Connection {
            fd,
            stream,
            outbox: None,
            session: S::default(),
            span: Span::default(),
            accepted: now,
            heard: now,
            address: 0,
            meter: Meter::default(),
            life: Life::Open,
            flags: Flags::default(),
        })?;
        self.socketless += usize::from(is_socketless);
        Some(fd)
    }

    /// Begins a connection to another's address. What comes of it is told by
    /// [`App::connected`](super::App::connected) or [`App::closed`](super::App::closed), but not from in here.
    pub(crate) fn connect(&mut self, address: SocketAddr, session: S, config: &Config) -> io::Result<Fd> {
        if !self.has_room_for_socket() {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "as many connections as there may be"));
        }
        let stream = Stream::connect(address, config)?;
        let fd = self.insert(stream).ok_or(io::ErrorKind::QuotaExceeded)?;
        if let Some(connection) = self.table.get_mut(fd) {
            (connection.life, connection.session) = (Life::Connecting, session);
            connection.flags.set(Flags::BLOCKED);
        }
        self.unwatched.push(fd);
        Ok(fd)
    }
}

impl<S> Connections<S> {
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// So that small simulations meet this limit too.
    #[cfg(test)]
    pub(crate) fn limit_batch(&mut self, bytes_max: usize) {
        self.limits.batch_bytes_max = bytes_max;
    }

    /// Time does not go backwards here, whatever the caller's clock does.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.now = now.max(self.now);
    }

    pub(super) fn tick(&self, at: Instant) -> u32 {
        let ticks = at.saturating_duration_since(self.start).as_millis() / TICK.as_millis();
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    pub(crate) fn tick_now(&self) -> u32 {
        self.tick(self.now)
    }

    /// The time since the start, in ms that count round after 49 days.
    pub(crate) fn millis(&self) -> u32 {
        self.uptime().as_millis() as u32
    }

    pub(super) fn uptime(&self) -> Duration {
        self.now.saturating_duration_since(self.start)
    }

    pub(super) fn instant_of(&self, uptime: Duration) -> Instant {
        self.start + uptime
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
            queued_bytes: self.pool.total().bytes + self.batch.len(),
            pending: self.dirty.len() + self.dead.len() + self.carried.len() + self.yielded.len(),
            ending: self.reasons.len(),
        }
    }

    /// Memory that the batch, and outboxes that nobody uses, keep for the next turn.
    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> (usize, usize) {
        (self.batch.capacity(), self.pool.kept_bytes())
    }

    /// A connection that is not yet dead.
    pub(crate) fn get(&self, fd: Fd) -> Option<&Connection<S>> {
        self.table.get(fd).filter(|connection| connection.life != Life::Dead)
    }

    /// The session of a connection whose input still counts.
    pub(crate) fn session_mut(&mut self, fd: Fd) -> Option<&mut S> {
        self.open_mut(fd).map(|connection| &mut connection.session)
    }

    /// A connection whose input still counts.
    pub(crate) fn open_mut(&mut self, fd: Fd) -> Option<&mut Connection<S>> {
        self.table.get_mut(fd).filter(|connection| connection.life == Life::Open)
    }

    /// The connection at a place in the table, counted from 1.
    pub(crate) fn at(&self, index: u32) -> Option<&Connection<S>> {
        self.table.at(index).filter(|connection| connection.life != Life::Dead)
    }

    /// One more than the last place in the table that may be filled.
    pub(crate) fn index_end(&self) -> u32 {
        self.table.index_end()
    }

    /// The memory of all outboxes.
    pub(crate) fn outboxes_bytes(&self) -> usize {
        self.pool.total().held
    }

    /// Whether so little memory is left for outboxes, or for what is only partly here, that it had better be kept for
    /// those who are here.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.outboxes_room() < self.limits.outboxes_bytes_max / 16
            || self.inbound_room() < self.limits.inbound_bytes_max / 16
    }

    /// How much more may be held of what is only partly here.
    pub(crate) fn inbound_room(&self) -> usize {
        self.limits.inbound_bytes_max.saturating_sub(self.inbound_bytes)
    }

    /// What becomes of what does not fit; `None`: as the server has it. False where the connection is gone.
    pub(crate) fn set_policy(&mut self, fd: Fd, policy: Option<SlowConsumer>) -> bool {
        let connection = self.table.get_mut(fd).filter(|connection| connection.life != Life::Dead);
        connection.map(|connection| connection.flags.set_policy(policy)).is_some()
    }

    /// Keeps `reason` unless there is one already.
    pub(crate) fn note_reason(&mut self, fd: Fd, reason: CloseReason) {
        if self.get(fd).is_some() {
            self.reasons.entry(fd).or_insert(reason);
        }
    }

    /// Why a connection ended. After a burst the memory for reasons is given back.
    pub(super) fn take_reason(&mut self, fd: Fd) -> Option<CloseReason> {
        let reason = self.reasons.remove(&fd);
        if self.reasons.is_empty() && self.reasons.capacity() > REASONS_KEPT {
            self.reasons = HashMap::new();
        }
        reason
    }

    /// Ends a connection after what is queued has gone out; what the peer sends from now on is discarded.
    pub(crate) fn finish(&mut self, fd: Fd, reason: CloseReason) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if connection.life != Life::Open {
            return;
        }
        if matches!(connection.stream, Stream::Socketless) {
            return self.kill(fd, reason);
        }
        connection.life = Life::Finishing;
        mark_dirty(connection, &mut self.dirty);
        self.reasons.entry(fd).or_insert(reason);
        // Its end has to be seen.
        self.release(fd);
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
        if let Some(outbox) = connection.outbox.take() {
            self.pool.put(outbox);
        }
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
        let address = std::mem::take(&mut connection.address);
        self.uncount_address(address);
    }

    /// How long nothing has been heard of the peer.
    pub(crate) fn silence(&self, fd: Fd) -> Option<Duration> {
        let heard = self.get(fd)?.heard;
        Some(self.now.saturating_duration_since(self.instant(heard)))
    }

    /// Wants no bytes until [`Connections::resume`].
    pub(crate) fn pause(&mut self, fd: Fd) {
        if let Some(connection) = self.table.get_mut(fd) {
            connection.flags.set(Flags::PAUSED);
        }
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
        if connection.flags.take(Flags::PAUSED) {
            self.catch_up(fd);
        }
    }

    /// Wants bytes again from a connection that the user had suspended.
    pub(crate) fn release(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if connection.flags.take(Flags::SUSPENDED) {
            self.catch_up(fd);
        }
    }

    /// Reads in the next turn what came meanwhile, unless there is another reason not to.
    fn catch_up(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if !connection.flags.has(Flags::PAUSED | Flags::SUSPENDED) && connection.flags.take(Flags::MISSED) {
            self.carry(fd);
        }
    }

    /// An error of a socket that is not read is seen all the same.
    pub(super) fn fail_suspended(&mut self, fd: Fd) {
        let Some(connection) = self.table.get(fd) else { return };
        if connection.flags.has(Flags::PAUSED | Flags::SUSPENDED)
            && let Some(error) = connection.stream.take_error()
        {
            self.kill(fd, io_failure(&error));
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
pub(super) fn mark_dirty<S>(connection: &mut Connection<S>, dirty: &mut Vec<Fd>) {
    if !connection.flags.has(Flags::DIRTY) {
        connection.flags.set(Flags::DIRTY);
        dirty.push(connection.fd);
    }
}
