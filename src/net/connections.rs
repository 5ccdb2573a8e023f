//! All connections, and what can be done to them during a turn: queue bytes, end one, set a deadline. Nothing here
//! calls back; the reactor works through the lists that are kept here. Queueing is in `output`.

use super::batch::{Batch, Span};
use super::budget::Budget;
use super::carried::Carried;
use super::connection::{Connection, Flags, Life};
use super::forwarded::Forwarded;
use super::limits::Limits;
use super::live::Live;
use super::rare::{Rares, SessionState};
use super::rate::{Meter, Rates};
use super::stream::Stream;
use super::table::Table;
use super::turn_clock::TurnClock;
use super::turns::TurnLengths;
use super::wheel::{TICK, Wheel};
use super::wire::FilterKey;
use crate::config::{Config, SlowConsumer};
use crate::error::CloseReason;
use crate::fd::Fd;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) struct Connections<S: SessionState> {
    pub(super) table: Table<S>,
    pub(super) wheel: Wheel,
    pub(super) budget: Budget,
    /// The connection whose end is told now, and the address that it counts for.
    pub(super) leaving: Option<(Fd, u32)>,
    /// The blocked connection that was read last, and what waited for it before.
    pub(super) unread: Option<(Fd, usize)>,
    pub(crate) limits: Limits,
    /// How fast peers may send, by numbers of the app's; a number that is not here has the rates in `limits`.
    pub(crate) rates: Vec<Rates>,
    /// Flushed in this turn.
    pub(super) dirty: Vec<Fd>,
    /// Reaped in this turn.
    pub(super) dead: Vec<Fd>,
    /// What is left for the next turn.
    pub(super) carried: Carried,
    /// How long this turn goes on.
    pub(super) clock: TurnClock,
    /// Registered with the poller in this turn.
    pub(super) unwatched: Vec<Fd>,
    /// Their sockets, which the poller knows under another fd, are registered anew in this turn.
    pub(super) taken_over: Vec<Fd>,
    /// Output that is not flushed yet.
    pub(super) batch: Batch,
    /// How many connections are only being told that they are refused.
    pub(super) turned_away: usize,
    /// How many connections have no socket.
    pub(super) socketless: usize,
    pub(super) rares: Rares<S::Note>,
    pub(super) forwarded: Forwarded,
    /// Outboxes that reached the high watermark (true), or after that the low one, not yet reported to the app.
    pub(crate) crossings: Vec<(Fd, bool)>,
    /// Connections without a socket that have output, not yet reported to the app.
    pub(crate) with_output: Vec<Fd>,
    pub(crate) turns: TurnLengths,
    pub(crate) traffic: Traffic,
    began: Instant,
    /// Ticks are counted from here. It moves on by the time that counts for no deadline.
    start: Instant,
    now: Instant,
    /// The tick of `now`, which each read notes.
    tick_now: u32,
}

/// Totals since the start.
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

/// What [`Connections`] holds now, for tests and operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holdings {
    pub(crate) connections: usize,
    pub(crate) deadlines: usize,
    pub(crate) addresses: usize,
    /// Addresses whose connections hold something that all share.
    pub(crate) payers: usize,
    pub(crate) outboxes: usize,
    pub(crate) queued_bytes: usize,
    pub(crate) pending: usize,
    pub(crate) ending: usize,
}

impl<S: SessionState> Connections<S> {
    pub(crate) fn new(expected: usize, limits: Limits, now: Instant) -> Connections<S> {
        let table = Table::new(0, expected);
        Connections {
            wheel: Wheel::new(table.reserved()),
            table,
            budget: Budget::default(),
            leaving: None,
            unread: None,
            limits,
            rates: Vec::new(),
            dirty: Vec::new(),
            dead: Vec::new(),
            carried: Carried::default(),
            clock: TurnClock::new(Instant::now, now),
            unwatched: Vec::new(),
            taken_over: Vec::new(),
            batch: Batch::default(),
            turned_away: 0,
            socketless: 0,
            rares: Rares::default(),
            forwarded: Forwarded::default(),
            crossings: Vec::new(),
            with_output: Vec::new(),
            turns: TurnLengths::default(),
            traffic: Traffic::default(),
            // Tick 0 means "none" to the wheel, so time begins one tick earlier.
            began: now,
            start: now.checked_sub(TICK).unwrap_or(now),
            now,
            tick_now: u32::from(now.checked_sub(TICK).is_some()),
        }
    }

    /// Puts a new connection in; `None` if the table can't grow.
    pub(crate) fn insert(&mut self, stream: Stream) -> Option<Fd> {
        let (now, accepted) = (self.tick_now, ticks(self.now.saturating_duration_since(self.began)));
        let is_socketless = matches!(stream, Stream::Socketless);
        let fd = self.table.insert(|generation| Connection {
            generation,
            stream,
            outbox: None,
            session: S::default(),
            span: Span::default(),
            accepted,
            heard: now,
            address: 0,
            meter: Meter::default(),
            filter: FilterKey::NONE,
            slow_consumer: None,
            life: Life::Open,
            flags: Flags::default(),
        })?;
        self.socketless += usize::from(is_socketless);
        Some(fd)
    }

    /// Begins to connect to an address. The outcome is reported later, by
    /// [`App::connected`](super::App::connected) or [`App::gone`](super::App::gone).
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

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Lets tests know when the clock is looked at.
    #[cfg(test)]
    pub(crate) fn look_after_each_message(&mut self) {
        self.clock.look_after_each_message();
    }

    /// Lets small simulations reach this limit too.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn limit_batch(&mut self, bytes_max: usize) {
        self.limits.batch_bytes_max = bytes_max;
    }

    /// Time never goes backwards here, whatever the caller's clock does.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.now = now.max(self.now);
        self.tick_now = self.tick(self.now);
    }

    /// Time goes on to `now`. What is more than `most` of it counts for no deadline: the loop attended to nobody.
    pub(super) fn go_on_to(&mut self, now: Instant, most: Duration) {
        self.start += now.saturating_duration_since(self.now).saturating_sub(most);
        self.set_now(now);
    }

    pub(super) fn tick(&self, at: Instant) -> u32 {
        ticks(at.saturating_duration_since(self.start))
    }

    /// When a connection was accepted.
    pub(crate) fn accepted_at(&self, connection: &Connection<S>) -> Instant {
        self.began + TICK * connection.accepted
    }

    pub(crate) fn tick_now(&self) -> u32 {
        self.tick_now
    }

    /// The time since the start in ms; wraps around after 49 days.
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
            addresses: self.budget.addresses.len(),
            payers: self.budget.payers(),
            outboxes: self.budget.pool.in_use(),
            queued_bytes: self.budget.pool.total().bytes + self.batch.len(),
            pending: self.dirty.len() + self.dead.len() + self.carried.len(),
            ending: self.rares.ending(),
        }
    }

    /// What the batch has, of which some may be written already.
    #[cfg(test)]
    pub(crate) fn batch_bytes(&self) -> usize {
        self.batch.len()
    }

    /// A connection that is not yet dead.
    pub(crate) fn get(&self, fd: Fd) -> Option<&Connection<S>> {
        self.table.get(fd).filter(|connection| connection.life != Life::Dead)
    }

    /// The session of an open connection.
    pub(crate) fn session(&self, fd: Fd) -> Option<&S> {
        self.get(fd).filter(|connection| connection.life == Life::Open).map(|connection| &connection.session)
    }

    pub(crate) fn session_mut(&mut self, fd: Fd) -> Option<&mut S> {
        self.open_mut(fd).map(|connection| &mut connection.session)
    }

    /// An open connection: one whose input still counts.
    pub(crate) fn open_mut(&mut self, fd: Fd) -> Option<&mut Connection<S>> {
        self.table.get_mut(fd).filter(|connection| connection.life == Life::Open)
    }

    /// The connection at a place in the table, counted from 1, and its fd.
    pub(crate) fn at(&self, index: u32) -> Option<(Fd, &Connection<S>)> {
        self.table.at(index).filter(|(_, connection)| connection.life != Life::Dead)
    }

    /// The connections from the place `from` of the table on, in its order.
    pub(crate) fn iter_from(&self, from: u32) -> impl Iterator<Item = (Fd, &Connection<S>)> {
        std::iter::successors(self.next_live(from), |index| self.next_live(index + 1))
            .filter_map(|index| self.at(index))
    }

    /// The places of the table that are taken now, for walks during which connections come and go: look at each place
    /// with [`Connections::at`] when its turn comes.
    pub(crate) fn live(&self) -> Rc<Live> {
        self.table.live()
    }

    /// The first place from `from` on that is taken. Dead connections take theirs until they are reaped.
    pub(crate) fn next_live(&self, from: u32) -> Option<u32> {
        self.table.next_live(from)
    }

    /// Sets what happens to messages that don't fit; `None`: the server's policy. False if the connection is gone.
    pub(crate) fn set_slow_consumer(&mut self, fd: Fd, slow_consumer: Option<SlowConsumer>) -> bool {
        let connection = self.table.get_mut(fd).filter(|connection| connection.life != Life::Dead);
        connection.map(|connection| connection.slow_consumer = slow_consumer).is_some()
    }

    /// Ends a connection after its queued output is sent. Input is discarded from now on.
    pub(crate) fn finish(&mut self, fd: Fd, reason: CloseReason) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        if connection.life != Life::Open {
            return;
        }
        if matches!(connection.stream, Stream::Socketless) {
            return self.kill(fd, reason);
        }
        connection.life = Life::Finishing;
        mark_dirty(fd, connection, &mut self.dirty);
        self.note_reason(fd, reason);
        self.watch_pace(fd);
        // The peer's end has to be seen.
        self.resume_for_user(fd);
        self.resume_for_protocol(fd);
        self.expire_in(fd, self.limits.finish_timeout);
    }

    /// The peer has announced that it sends no more: [`Connections::finish`] then waits for nothing.
    pub(crate) fn peer_sends_no_more(&mut self, fd: Fd) {
        if let Some(connection) = self.table.get_mut(fd) {
            connection.flags.set(Flags::PEER_DONE);
        }
    }

    /// Ends a connection at once. Queued output is lost.
    pub(crate) fn kill(&mut self, fd: Fd, reason: CloseReason) {
        if self.get(fd).is_none() {
            return;
        }
        self.note_reason(fd, reason);
        let Some(connection) = self.table.get_mut(fd) else { return };
        connection.life = Life::Dead;
        if connection.queued_bytes() > 0 && connection.session.ends_by_close() {
            connection.stream.reset_on_close();
        }
        connection.span = Span::default();
        if let Some(outbox) = connection.outbox.take() {
            self.budget.put_outbox(connection.address, outbox);
        }
        self.dead.push(fd);
    }

    /// Sets the connection's one deadline, replacing the one it has.
    pub(crate) fn expire_in(&mut self, fd: Fd, after: Duration) {
        if self.table.get(fd).is_none() {
            return;
        }
        let at = self.now.checked_add(after).map_or(u32::MAX, |at| self.tick(at));
        self.wheel.set(fd.index(), at.saturating_add(1));
    }

    /// Sets the connection's deadline unless it has an earlier one.
    pub(crate) fn expire_by(&mut self, fd: Fd, after: Duration) {
        let at = self.now.checked_add(after).map_or(u32::MAX, |at| self.tick(at));
        if self.table.get(fd).is_some() {
            self.wheel.set_earlier(fd.index(), at.saturating_add(1));
        }
    }

    /// Marks a new connection as one that is only told that it is refused.
    pub(super) fn turn_away(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        connection.flags.set(Flags::TURNED_AWAY);
        self.turned_away += 1;
        let address = std::mem::take(&mut connection.address);
        self.uncount_address(address);
    }

    /// Whether the peer ended its side, and all that it sent was read.
    pub(crate) fn has_peer_ended(&self, fd: Fd) -> bool {
        self.get(fd).is_some_and(|connection| connection.flags.has(Flags::PEER_ENDED))
    }

    /// How long the peer has been silent.
    pub(crate) fn silence(&self, fd: Fd) -> Option<Duration> {
        let heard = self.get(fd)?.heard;
        Some(self.now.saturating_duration_since(self.instant(heard)))
    }
}

fn ticks(time: Duration) -> u32 {
    let millis = time.as_secs().saturating_mul(1_000) + u64::from(time.subsec_millis());
    u32::try_from(millis / TICK.as_millis() as u64).unwrap_or(u32::MAX)
}

/// Puts a connection on the list of those to flush, once.
pub(super) fn mark_dirty<S>(fd: Fd, connection: &mut Connection<S>, dirty: &mut Vec<Fd>) {
    if !connection.flags.has(Flags::DIRTY) {
        connection.flags.set(Flags::DIRTY);
        dirty.push(fd);
    }
}
