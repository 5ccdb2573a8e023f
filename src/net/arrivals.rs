//! New connections: those that listeners accept, and those that this side begins.

use super::connection::{Flags, Life};
use super::failure::{connection_lost, io_failure};
use super::listener::Accepted;
use super::reactor::Reactor;
use super::stream::Stream;
use super::{Admission, App, AppPhase};
use crate::fd::Fd;
use mio::Token;
use std::io;
use std::time::Instant;

/// How many connections at a time are told that they are refused; any more are just closed.
const TURNED_AWAY_MAX: usize = 32;

/// So many are accepted however long a turn has taken: whoever is here must not shut others out.
const ACCEPTED_ANYWAY: u32 = 16;

impl<A: App> Reactor<A> {
    pub(super) fn accept_from_all(&mut self, now: Instant) {
        if self.app.phase() != AppPhase::Serving {
            self.listeners.clear();
        }
        for number in 0..self.listeners.len() {
            let most = self.app.connections().limits.accepts_per_turn_max;
            let mut count = 0;
            let listener = &mut self.listeners[number];
            listener.retry_at = listener.retry_at.filter(|at| *at > now);
            while self.listeners[number].is_pending
                && self.listeners[number].retry_at.is_none()
                && count < most
                && (count < ACCEPTED_ANYWAY || !self.app.connections().is_turn_over())
            {
                count += 1;
                match self.listeners[number].accept(now) {
                    Accepted::Stream(stream, address) => {
                        let listener = self.listeners[number].number;
                        self.admit(Stream::Socket(stream), listener, Some(address.ip()));
                    }
                    Accepted::None | Accepted::Skipped => {}
                    Accepted::BackOff(error) => {
                        log::warn!("accept: {error}; trying again in a moment");
                        self.app.accept_failed(error);
                    }
                }
            }
        }
    }

    /// Adds a new connection to the table, or refuses it.
    pub(crate) fn admit(&mut self, stream: Stream, listener: u16, address: Option<std::net::IpAddr>) {
        let connections = self.app.connections();
        #[cfg(any(test, feature = "sim"))]
        if let Stream::Sim(_) = stream {
            connections.clock.set(crate::sim::clock);
        }
        let Some((fd, admission)) = connections.take_in(stream, address) else { return };
        if admission != Admission::Welcome {
            connections.turn_away(fd);
            if connections.turned_away > TURNED_AWAY_MAX {
                return connections.kill(fd, connection_lost());
            }
        }
        if self.watch(fd) {
            self.app.accepted(fd, listener, admission);
        } else if admission == Admission::Welcome {
            // The app must not be told of the end of a connection that it was not told of.
            self.app.connections().turn_away(fd);
        }
    }

    /// Registers the connections that were begun in this turn, or have taken over the socket of another.
    pub(super) fn watch_new(&mut self) {
        while let Some(fd) = self.app.connections().taken_over.pop() {
            if let Some(connection) = self.app.connections().table.get_mut(fd)
                && let Err(error) = connection.stream.reregister(self.poll.registry(), fd)
            {
                log::warn!("{fd}: its new socket can't be watched: {error}");
                self.app.connections().kill(fd, io_failure(&error));
            }
        }
        while let Some(fd) = self.app.connections().unwatched.pop() {
            self.watch(fd);
        }
    }

    fn watch(&mut self, fd: Fd) -> bool {
        let registered = self.register(fd);
        if let Err(error) = &registered {
            log::warn!("a connection can't be watched: {error}");
            self.app.connections().kill(fd, io_failure(error));
        }
        registered.is_ok()
    }

    fn register(&mut self, fd: Fd) -> io::Result<()> {
        let connection = self.app.connections().table.get_mut(fd).expect("just inserted");
        connection.stream.register(self.poll.registry(), Token(fd.to_u64() as usize))?;
        #[cfg(any(test, feature = "sim"))]
        if let Stream::Sim(stream) = &mut connection.stream {
            stream.opened_as(fd);
        }
        Ok(())
    }

    /// Handles the outcome of a connection that this side began. True if it is established.
    pub(super) fn is_connected(&mut self, fd: Fd) -> bool {
        let connections = self.app.connections();
        let Some(connection) = connections.table.get_mut(fd) else { return false };
        match connection.stream.is_connected() {
            Ok(true) => {
                connection.life = Life::Open;
                self.app.connected(fd);
                true
            }
            Ok(false) => {
                connection.flags.set(Flags::BLOCKED);
                false
            }
            Err(error) => {
                connections.kill(fd, io_failure(&error));
                false
            }
        }
    }
}
