//! Moves bytes between sockets and an [`App`]. Contract of this layer: it knows no HTTP, no WebSocket and no
//! user callbacks; it owns every connection, its outbox and its deadline, and calls the app from one place,
//! the reactor's turn. No method of `Connections` calls back, and none does I/O but to write early what is too
//! much to hold back until the end of the turn.

pub(crate) mod addresses;
mod admission;
mod arrivals;
pub(crate) mod batch;
pub(crate) mod blocking;
pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod flush;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod lost;
pub(crate) mod mailbox;
pub(crate) mod outbox;
pub(crate) mod outboxes;
pub(crate) mod output;
pub(crate) mod rate;
pub(crate) mod reactor;
pub(crate) mod resolver;
pub(crate) mod signals;
mod socketless;
pub(crate) mod stream;
pub(crate) mod table;
pub(crate) mod timers;
pub(crate) mod turns;
pub(crate) mod wheel;

use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use std::io;
use std::time::Instant;

/// What the reactor drives. Each method may use everything of [`Connections`]; none may block.
pub(crate) trait App {
    /// The app's own state of one connection.
    type Session: Default;
    /// What other threads may send.
    type Mail;

    fn connections(&mut self) -> &mut connections::Connections<Self::Session>;

    /// A connection was accepted, where `protocol` is spoken, and is in the table.
    fn accepted(&mut self, fd: Fd, protocol: u16, admission: Admission);
    /// A connection that the app began stands.
    fn connected(&mut self, fd: Fd);
    /// The number of the rates of a connection among [`Connections::rates`](connections::Connections::rates); asked
    /// where there are more than one.
    fn rates_number(&self, fd: Fd) -> usize;
    /// Whether the peer may send at any speed; asked where it is faster than others may.
    fn is_exempt(&self, fd: Fd) -> bool;
    /// Bytes came. The app may scribble in them.
    fn bytes(&mut self, fd: Fd, bytes: &mut [u8]);
    /// Bytes came, and with them more in a second than the limit allows. They are dropped.
    fn flooded(&mut self, fd: Fd);
    /// The peer will send no more.
    fn ended(&mut self, fd: Fd);
    /// The outbox, which could not be written at once before, is empty again.
    fn drained(&mut self, fd: Fd);
    /// The connection's deadline has passed.
    fn expired(&mut self, fd: Fd);
    /// The connection is gone; its fd is valid no more.
    fn closed(&mut self, fd: Fd, session: Self::Session, reason: CloseReason);

    fn mail(&mut self, mail: Self::Mail);
    /// When [`App::run_timers`] wants to be called.
    fn next_timer(&self) -> Option<Instant>;
    fn run_timers(&mut self, now: Instant);

    /// Tells what verbs left to be told. Called until all connections are flushed and reaped.
    fn notify(&mut self);
    /// Whether there is more to tell: then the next turn is due at once.
    fn has_deferred(&self) -> bool;

    fn accept_failed(&mut self, error: io::Error);
    fn signal(&mut self, signal: signals::Signal);
    /// What the server as a whole is doing.
    fn phase(&self) -> Phase;
}

/// Whether a new connection may be served, or is only to be told that it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Welcome,
    /// The table is full.
    ServerFull,
    /// Memory for outboxes, or for what is only partly here, is nearly spent.
    MemoryFull,
    /// Its address has too many connections already.
    AddressFull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Nobody is accepted any more.
    Stopping,
    /// Nothing is left to do.
    Ended,
}

fn io_failure(error: &io::Error) -> CloseReason {
    let cause = match error.kind() {
        // TCP_USER_TIMEOUT or keepalive: the peer acknowledges nothing.
        io::ErrorKind::TimedOut => Cause::Timeout,
        kind => Cause::Io(kind),
    };
    CloseReason::new(Side::Peer, 1006, "", cause)
}

fn lost() -> CloseReason {
    CloseReason::new(Side::Peer, 1006, "", Cause::Lost)
}
