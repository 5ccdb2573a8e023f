//! The event loop: poll, then a turn (mail, readiness, deadlines, timers, flush and reap), then sleep until the next
//! of these is due. A turn gets the time and the readiness from outside, so that a test can control both.

use super::carried::Carried;
use super::connection::{Flags, Life};
use super::failure::{connection_lost, io_failure};
use super::flush::FlushFrom;
use super::horizon::Horizon;
use super::listener::Listener;
use super::mailbox::Mailbox;
use super::signals::Signals;
use super::stream::{SHORT_READ_DRAINS, Stream};
use super::turn_clock::STALL;
use super::wire::Wire;
use super::{App, AppPhase};
use crate::fd::Fd;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::mem::take;
use std::time::{Duration, Instant};

/// Tokens with index 0 are not connections: this is the waker's; each listener has one above it.
pub(crate) const WAKER: Token = Token(0);

/// Above those of the listeners, of which there are never so many.
const SIGNALS: Token = Token(0xffff_ffff << 32);

fn listener_token(number: usize) -> Token {
    Token((number + 1) << 32)
}

/// The waker and the signals.
const OTHER_SOURCES: usize = 2;

/// Events taken from the kernel at a time.
pub(crate) const EVENTS: usize = 1024;

/// A socket's readiness, as reported by mio or made up by a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) token: Token,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer ended its side: read until the end is seen, even after a short read.
    pub(crate) read_closed: bool,
    pub(crate) error: bool,
}

pub(crate) struct Reactor<A: App> {
    pub(crate) app: A,
    pub(super) poll: Poll,
    pub(super) listeners: Vec<Listener>,
    pub(crate) mailbox: Mailbox<A::Mail>,
    signals: Option<Signals>,
    pub(super) horizon: Horizon,
    /// Deadlines that have passed and were not judged, because something was unread; and for how many turns.
    pub(super) put_off: Vec<(Fd, u32)>,
    /// Shared by all connections: an idle one has no buffer.
    buffer: Vec<u8>,
    // Kept between turns only to reuse their memory.
    events: Option<Events>,
    /// How many a poll can report: fewer in simulations.
    pub(crate) events_max: usize,
    mails: Vec<A::Mail>,
    pub(super) expired: Vec<u32>,
}

impl<A: App> Reactor<A> {
    pub(crate) fn new(
        app: A,
        poll: Poll,
        mut listeners: Vec<Listener>,
        mailbox: Mailbox<A::Mail>,
        mut signals: Option<Signals>,
        read_buffer_bytes: usize,
    ) -> io::Result<Reactor<A>> {
        for (number, listener) in listeners.iter_mut().enumerate() {
            poll.registry().register(&mut listener.socket, listener_token(number), Interest::READABLE)?;
        }
        if let Some(signals) = &mut signals {
            signals.register(poll.registry(), SIGNALS)?;
        }
        Ok(Reactor {
            app,
            poll,
            listeners,
            mailbox,
            signals,
            horizon: Horizon::new(Instant::now()),
            put_off: Vec::new(),
            buffer: vec![0; read_buffer_bytes],
            events: Some(Events::with_capacity(EVENTS)),
            events_max: EVENTS,
            mails: Vec::new(),
            expired: Vec::new(),
        })
    }

    pub(crate) fn poll_handle(&self) -> &Poll {
        &self.poll
    }

    /// Waits for something to do, for at most `timeout`, and does one turn of it.
    pub(crate) fn poll(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let asked = Instant::now();
        self.app.connections().go_on_to(asked, STALL);
        let own = self.next_wake_up(asked);
        let timeout = match (own, timeout) {
            (Some(own), Some(asked)) => Some(own.min(asked)),
            (own, asked) => own.or(asked),
        };
        let mut events = self.events.take().expect("put back below");
        let polled = self.poll.poll(&mut events, timeout);
        let now = Instant::now();
        self.app
            .connections()
            .go_on_to(now, timeout.map_or(Duration::MAX, |timeout| timeout.saturating_add(STALL)));
        match polled {
            Ok(()) => self.turn_since(
                asked,
                now,
                events.iter().map(|event| Ready {
                    token: event.token(),
                    readable: event.is_readable(),
                    writable: event.is_writable(),
                    read_closed: event.is_read_closed(),
                    error: event.is_error(),
                }),
            ),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                self.events = Some(events);
                return Err(error);
            }
        }
        self.events = Some(events);
        let length = now.elapsed();
        if self.app.connections().turns.record(length) {
            log::warn!("a turn of the loop took {length:?}, in which nobody else was served");
        }
        Ok(())
    }

    /// How long the loop may sleep; `None`: for ever.
    pub(crate) fn next_wake_up(&mut self, now: Instant) -> Option<Duration> {
        if self.app.has_deferred() {
            return Some(Duration::ZERO);
        }
        let connections = self.app.connections();
        if connections.carried.len() > 0 || !connections.dirty.is_empty() || !self.put_off.is_empty() {
            return Some(Duration::ZERO);
        }
        let mut next = connections.wheel.next_tick().map(|tick| connections.instant(tick));
        let mut consider = |at: Option<Instant>| next = next.into_iter().chain(at).min();
        consider(connections.budget.addresses.next().map(|at| connections.instant_of(at)));
        consider(self.app.next_timer());
        if self.app.phase() == AppPhase::Serving {
            for listener in self.listeners.iter().filter(|listener| listener.is_pending) {
                consider(Some(listener.retry_at.unwrap_or(now)));
            }
        }
        next.map(|at| at.saturating_duration_since(now))
    }

    /// Does one turn. `ready` may be stale or spurious: it is a hint, not a promise.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn turn(&mut self, now: Instant, ready: impl Iterator<Item = Ready>) {
        self.turn_since(now, now, ready);
    }

    /// Does one turn, where the poller was asked for what is `ready` at the time `asked`.
    fn turn_since(&mut self, asked: Instant, now: Instant, ready: impl Iterator<Item = Ready>) {
        let connections = self.app.connections();
        connections.set_now(now);
        let now = connections.now();
        connections.clock.begin(now);
        let accepted = connections.traffic.accepted;
        self.take_mail();
        let Carried { unread, served, yielded, .. } = &mut self.app.connections().carried;
        let (unread, served, yielded) = (take(unread), take(served), take(yielded));
        let unread = self.go_on_with(unread, Self::read_on);
        self.app.connections().carried.unread.splice(..0, unread);
        let mut events = 0;
        for ready in ready {
            events += 1;
            self.handle(ready);
        }
        let served = self.go_on_with(served, Self::read_on);
        // Those that had their share of this turn come after them.
        self.app.connections().carried.served.splice(..0, served);
        self.accept_from_all(now);
        let sources = self.app.connections().len() + self.listeners.len() + OTHER_SOURCES;
        self.horizon.polled(asked, events, self.events_max, sources);
        let are_all_in = self.are_all_in(accepted);
        self.expire(are_all_in);
        self.app.run_timers(now);
        self.app.connections().clock.begin_flush();
        let yielded = self.go_on_with(yielded, Self::write_on);
        self.app.connections().carried.yielded.splice(..0, yielded);
        self.settle();
    }

    /// Goes on with these: one at least, as many as there is time for. Returns the others.
    fn go_on_with(&mut self, mut fds: Vec<Fd>, go_on: fn(&mut Self, Fd)) -> Vec<Fd> {
        let mut count = 0;
        while let Some(&fd) = fds.get(count) {
            count += 1;
            go_on(self, fd);
            if self.app.connections().is_turn_over() {
                break;
            }
        }
        fds.drain(..count);
        fds
    }

    /// Works on what was put back, then reads.
    fn read_on(&mut self, fd: Fd) {
        let connections = self.app.connections();
        let Some(connection) = connections.table.get_mut(fd) else { return };
        if !connection.flags.take(Flags::CARRIED) {
            return;
        }
        if connection.flags.has(Flags::PAUSED_BY_PROTOCOL) {
            return connection.flags.set(Flags::MISSED);
        }
        let is_open = connection.life == Life::Open;
        connections.clock.begin_share();
        if let Some(mut rest) = connections.take_rest(fd)
            && is_open
        {
            self.app.bytes(fd, &mut rest);
            self.flush(fd, FlushFrom::Elsewhere);
        }
        self.read(fd);
    }

    fn take_mail(&mut self) {
        let mut mails = take(&mut self.mails);
        self.mailbox.take(&mut mails);
        for mail in mails.drain(..) {
            self.app.mail(mail);
        }
        self.mails = mails;
    }

    fn handle(&mut self, ready: Ready) {
        let Some(fd) = Fd::from_u64(ready.token.0 as u64) else {
            if ready.token == SIGNALS {
                return self.take_signals();
            }
            for (number, listener) in self.listeners.iter_mut().enumerate() {
                listener.is_pending |= listener_token(number) == ready.token;
            }
            return;
        };
        let connections = self.app.connections();
        let is_over = connections.is_turn_over();
        // Readiness of a connection that is gone finds nothing here.
        let Some(connection) = connections.table.get_mut(fd) else { return };
        if ready.read_closed || ready.error {
            connection.flags.set(Flags::HUNG_UP);
        }
        if (ready.writable || ready.error) && connection.flags.take(Flags::BLOCKED) {
            if connection.life == Life::Connecting && !self.is_connected(fd) {
                return;
            }
            match is_over {
                true => self.app.connections().yield_turn(fd),
                false => self.flush(fd, FlushFrom::Elsewhere),
            }
        }
        if ready.readable || ready.read_closed || ready.error {
            match is_over {
                true => self.app.connections().leave_unread(fd),
                false => {
                    self.app.connections().clock.begin_share();
                    self.read(fd);
                }
            }
        }
        if ready.error {
            self.app.connections().kill_if_failed(fd);
        }
    }

    fn take_signals(&mut self) {
        for signal in self.signals.iter_mut().flat_map(Signals::take) {
            self.app.signal(signal);
        }
    }

    /// Reads what has arrived, within the budget.
    #[inline(always)]
    fn read(&mut self, fd: Fd) {
        let rates_number = if self.app.connections().rates.len() > 1 { self.app.rates_number(fd) } else { 0 };
        for _ in 0..self.app.connections().limits.reads_per_turn_max {
            let connections = self.app.connections();
            let heard = connections.tick_now();
            let Some(connection) = connections.table.get_mut(fd) else { return };
            // One that is carried has its turn later, after what was put back.
            if connection.life == Life::Dead || connection.flags.has(Flags::PEER_ENDED | Flags::CARRIED) {
                return;
            }
            if connection.flags.has(Flags::PAUSED | Flags::BLOCKED) {
                if connection.flags.has(Flags::PAUSED) {
                    connection.flags.set(Flags::MISSED);
                    return connections.release_hung_up(fd);
                }
                connections.unread = Some((fd, connection.queued_bytes()));
            }
            let mut wire = Wire::of(&mut connection.stream, connection.filter);
            match wire.read(&mut self.buffer) {
                Ok(0) => {
                    connection.flags.set(Flags::PEER_ENDED);
                    return self.peer_ended(fd);
                }
                Ok(len) => {
                    connections.traffic.bytes_received += len as u64;
                    let rates = connections.rates.get(rates_number).unwrap_or(&connections.limits.rates);
                    connection.hear(heard);
                    let is_within = connection.meter.take_bytes(len, rates);
                    let is_drained =
                        SHORT_READ_DRAINS && len < self.buffer.len() && !connection.flags.has(Flags::HUNG_UP);
                    if connection.life == Life::Open {
                        if is_within || self.app.is_exempt(fd) {
                            self.app.bytes(fd, &mut self.buffer[..len]);
                        } else {
                            self.app.flooded(fd);
                        }
                        self.flush(fd, FlushFrom::Elsewhere);
                        if self.app.connections().unread.is_some() {
                            self.app.connections().hold_unread(fd);
                        }
                    } else if !is_within && !self.app.is_exempt(fd) {
                        // It is read on only so that its last bytes reach it, and its deadline ends it in any case.
                        return self.app.connections().pause_for_protocol(fd);
                    }
                    if is_drained {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return connections.kill(fd, io_failure(&error)),
            }
        }
        self.app.connections().carry(fd);
    }

    fn peer_ended(&mut self, fd: Fd) {
        let connections = self.app.connections();
        let Some(connection) = connections.table.get(fd) else { return };
        match connection.life {
            Life::Open => self.app.peer_ended(fd),
            // The outbox can still be sent: the peer ended only its own side.
            Life::Finishing | Life::Dead => {}
            Life::Connecting | Life::Lingering => connections.kill(fd, connection_lost()),
        }
    }

    /// Flushes and reaps until neither causes more work: `on_close` may push, a flush may fail.
    fn settle(&mut self) {
        loop {
            self.app.run_deferred();
            self.watch_new();
            self.flush_dirty();
            let dead = take(&mut self.app.connections().dead);
            if dead.is_empty() {
                return;
            }
            for fd in dead {
                self.reap(fd);
            }
        }
    }

    fn reap(&mut self, fd: Fd) {
        let connections = self.app.connections();
        let Some(mut connection) = connections.table.remove(fd) else { return };
        connections.traffic.closed += 1;
        connections.wheel.clear(fd.index());
        if connection.flags.has(Flags::TURNED_AWAY) {
            connections.turned_away -= 1;
        }
        if let Some(outbox) = connection.outbox.take() {
            connections.budget.put_outbox(connection.address, outbox);
        }
        connections.forwarded.set(fd.index(), None, 0);
        connections.leaving = Some((fd, connection.address));
        connections.take_rest(fd);
        let (reason, note) = connections.take_rare(fd, connection.flags);
        connections.socketless -= usize::from(matches!(connection.stream, Stream::Socketless));
        drop(connection.stream);
        if !connection.flags.has(Flags::TURNED_AWAY) {
            self.app.gone(fd, connection.session, note, reason.unwrap_or_else(connection_lost));
        }
        let connections = self.app.connections();
        connections.leaving = None;
        connections.uncount_address(connection.address);
    }
}
