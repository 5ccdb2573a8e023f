//! Moves bytes between sockets and an [`App`]. Contract of this layer: it knows no HTTP, no WebSocket and no
//! user callbacks; it owns every connection, its outbox and its deadline, and calls the app from one place,
//! the reactor's turn. Methods of `Connections` never call back, and do no I/O, except that output which is too
//! much to keep until the end of the turn is written early.

pub(crate) mod addresses;
mod admission;
mod arrivals;
pub(crate) mod batch;
pub(crate) mod blocking;
pub(crate) mod budget;
mod carried;
pub(crate) mod carrying;
pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod expiry;
mod failure;
pub(crate) mod fan_out;
pub(crate) mod flush;
pub(crate) mod forwarded;
mod horizon;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod live;
pub(crate) mod lost;
pub(crate) mod mailbox;
mod notes;
pub(crate) mod outbox;
pub(crate) mod outboxes;
pub(crate) mod output;
pub(crate) mod pace;
mod pauses;
pub(crate) mod quota;
pub(crate) mod rare;
pub(crate) mod rate;
pub(crate) mod reactor;
pub(crate) mod resolver;
mod shares;
pub(crate) mod signals;
mod socketless;
pub(crate) mod stream;
pub(crate) mod table;
mod take_over;
pub(crate) mod turn_clock;
pub(crate) mod turns;
mod watch;
pub(crate) mod wheel;
pub(crate) mod wire;
mod writing;

use crate::error::CloseReason;
use crate::fd::Fd;
use rare::SessionState;
use std::io;
use std::time::Instant;

/// What the reactor drives. Each method may use everything of [`Connections`]; none may block.
pub(crate) trait App {
    /// The app's own state of one connection.
    type Session: SessionState;
    /// What other threads may send.
    type Mail;

    fn connections(&mut self) -> &mut connections::Connections<Self::Session>;

    /// A connection was accepted by the listener with this number, and is in the table.
    fn accepted(&mut self, fd: Fd, listener: u16, admission: Admission);
    /// A connection that the app began is established.
    fn connected(&mut self, fd: Fd);
    /// Which of [`Connections::rates`](connections::Connections::rates) a connection has; asked only if there are
    /// several.
    fn rates_number(&self, fd: Fd) -> usize;
    /// Whether the peer may send at any speed; asked when it is over the rate limit.
    fn is_exempt(&self, fd: Fd) -> bool;
    /// Bytes arrived. The app may change them in place.
    fn bytes(&mut self, fd: Fd, bytes: &mut [u8]);
    /// Bytes arrived that exceed the rate limit. They are dropped.
    fn flooded(&mut self, fd: Fd);
    /// The peer will send no more.
    fn peer_ended(&mut self, fd: Fd);
    /// The outbox is empty again; asked for by [`Connections::pause_until_drained`](connections::Connections).
    fn drained(&mut self, fd: Fd);
    /// The connection's deadline has passed.
    fn expired(&mut self, fd: Fd);
    /// The connection is gone, and its fd no longer valid. `note`: what the app kept of it.
    fn gone(
        &mut self,
        fd: Fd,
        session: Self::Session,
        note: <Self::Session as SessionState>::Note,
        reason: CloseReason,
    );

    fn mail(&mut self, mail: Self::Mail);
    /// When [`App::run_timers`] wants to be called.
    fn next_timer(&self) -> Option<Instant>;
    fn run_timers(&mut self, now: Instant);

    /// Runs the callbacks that were deferred. Called until all connections are flushed and reaped.
    fn run_deferred(&mut self);
    /// Whether callbacks are still deferred: then the next turn is due at once.
    fn has_deferred(&self) -> bool;

    fn accept_failed(&mut self, error: io::Error);
    fn signal(&mut self, signal: signals::Signal);
    /// What the server as a whole is doing.
    fn phase(&self) -> AppPhase;
}

/// Whether a new connection is served, or told why it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Welcome,
    /// The table is full.
    ServerFull,
    /// Memory for outboxes, or for incomplete messages and requests, is nearly used up.
    MemoryFull,
    /// Its address has too many connections already.
    AddressFull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppPhase {
    Serving,
    /// No more connections are accepted.
    Stopping,
    /// There is nothing left to do.
    Ended,
}
