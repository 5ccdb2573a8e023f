//! Connections that are gone: taken out of the table, and told to the app.

use super::App;
use super::connection::Flags;
use super::failure::connection_lost;
use super::reactor::Reactor;
use super::stream::Stream;
use crate::fd::Fd;

impl<A: App> Reactor<A> {
    pub(super) fn reap(&mut self, fd: Fd) {
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
