//! How much memory the server's own structures can take, worked out from the configuration alone.

use crate::codec::ws::Spare;
use crate::config::Config;
use crate::error::CloseReason;
use crate::fd::Fd;
use crate::net::addresses::{ADDRESS_BYTES, REMEMBERED_MAX};
use crate::net::budget::PAYER_BYTES;
use crate::net::connection::Connection;
use crate::net::forwarded::FORWARDED_BYTES;
use crate::net::limits::{BATCH_BYTES_MAX, OTHER_FILES};
use crate::net::outbox::{EMPTY_BYTES, KEPT_BYTES, RUN_BYTES, TAIL_SPARE_BYTES};
use crate::net::outboxes::POOLED_MAX;
use crate::net::output::CONTROLS_BYTES;
use crate::net::rare::rare_bytes;
use crate::net::reactor::EVENTS;
use crate::net::table::{Table, reserved_for};
use crate::server::Mail;
use crate::server::Server;
use crate::server::state::command::Command;
use crate::server::state::report::MemoryBound;
use crate::session::note::Note;
use crate::session::state::{Session, Socketless};

/// A map may have room for twice as many entries as it holds, with an eighth of it empty, and one byte for each.
const fn map_bytes(entry: usize) -> usize {
    (entry + 1) * 16 / 7
}

/// A connection's place in the table, its deadline, and the client's address that a proxy sent.
const PLACE_BYTES: usize =
    size_of::<Option<Connection<Session>>>() + Table::<Session>::SLOT_BYTES + 16 + FORWARDED_BYTES;
/// What only few connections have at a time, though all may have it, such as a reason to end with its text.
const RARE_BYTES: usize = rare_bytes::<Note>() + 123 + 32;
/// Its address, what its handler is told of its outbox, and its session.
const NOTES_BYTES: usize = ADDRESS_BYTES + PAYER_BYTES + 4 * size_of::<(Fd, bool)>() + SESSION_BYTES;
/// A token, found from either side, and its session.
const SESSION_BYTES: usize =
    2 * map_bytes(16 + size_of::<Fd>()) + size_of::<Socketless>() + size_of::<CloseReason>() + 2 * 16;
/// A mail's place, in a list that may have grown to twice its need, and the command in it: once in the mailbox, and
/// once among the commands that are being carried out.
const MAIL_BYTES: usize = 2 * (2 * size_of::<Mail>() + size_of::<Command>());
/// The lists of a turn: flush, read on, reap, expire, and what is left for the next. Some exist twice, while one is
/// processed and another filled.
const LISTS: usize = 11;
/// A close frame, which is always accepted.
const CLOSE_FRAME_BYTES: usize = 4 + 125 + 2 * RUN_BYTES;

impl Config {
    /// How much memory a server with this configuration can take for so many connections.
    pub fn memory_bound(&self, connections: usize) -> MemoryBound {
        let places = connections.saturating_add(OTHER_FILES);
        self.bound(connections, reserved_for(places, self.connections_max.is_some()))
    }

    /// The same for a table that has room for `reserved` without moving.
    fn bound(&self, connections: usize, reserved: usize) -> MemoryBound {
        let places = connections.saturating_add(OTHER_FILES);
        // If a table grows beyond what was reserved, it exists twice while it moves, the second time with room to
        // spare.
        let growth = if places > reserved { 3 } else { 1 };
        let lists = 2 * size_of::<Fd>() * (LISTS + self.reads_per_turn_max as usize);
        let place = growth * PLACE_BYTES + lists + RARE_BYTES + NOTES_BYTES;
        let frame = self.outbox_bytes_max.saturating_add(16);
        let request = self.head_bytes_max + 2 * self.body_bytes_max + (64 << 10) + 2 * self.read_buffer_bytes;
        MemoryBound {
            connections,
            // Including the addresses that are remembered beyond those of the connections.
            table: places.saturating_mul(place).saturating_add((64 << 10) + REMEMBERED_MAX * ADDRESS_BYTES),
            outboxes: (self.outboxes_bytes_max)
                .saturating_add(CONTROLS_BYTES + TAIL_SPARE_BYTES)
                .saturating_add(places.saturating_mul(CLOSE_FRAME_BYTES)),
            // A buffer that grows exists twice for a moment, and what is being delivered no longer counts as held.
            inbound: self
                .inbound_bytes_max
                .saturating_add(2usize.saturating_mul(self.message_bytes_max))
                .saturating_add(request.saturating_mul(2)),
            turn: (4 * BATCH_BYTES_MAX + self.read_buffer_bytes + EVENTS * 16)
                .saturating_add(frame.saturating_mul(2))
                .saturating_add(places.saturating_mul(2 * 24)),
            mailbox: self.mailbox_bytes_max.saturating_add(self.mailbox_items_max.saturating_mul(MAIL_BYTES)),
            histories: self.history_bytes_max,
            spare: Spare::BYTES_MAX + POOLED_MAX * (EMPTY_BYTES + KEPT_BYTES),
        }
    }
}

impl Server {
    /// How much memory this server's structures can take: [`Config::memory_bound`] for as many connections as it
    /// accepts.
    pub fn memory_bound(&self) -> MemoryBound {
        let connections = &self.sessions.connections;
        let widest = self.sessions.paths.widest(&self.sessions.config);
        widest.bound(connections.limits.connections_max, connections.reserved())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_setting_allows_is_in_the_bound() {
        let mut config = Config::default();
        let bound = config.memory_bound(1_000);
        assert!(bound.outboxes > config.outboxes_bytes_max && bound.inbound > config.inbound_bytes_max);
        assert!(bound.mailbox >= config.mailbox_bytes_max && bound.turn > config.read_buffer_bytes);
        assert!(bound.table >= 1_000 * 64 && config.memory_bound(2_000).table > bound.table);
        let more = 100 << 20;
        config.outboxes_bytes_max += more;
        assert!(config.memory_bound(1_000).total() >= bound.total() + more);
        assert!(bound.to_string().contains(" MiB for 1000 connections: table "), "{bound}");
        // Of a table that does not move there is never a second one. Only the limit of open files may be any number.
        let table = |config: &Config, connections| config.memory_bound(connections).table / connections;
        assert!(table(&config, 2_000_000) > 100 + table(&config, 1_000_000));
        config.connections_max = Some(2_000_000);
        assert!(table(&config, 2_000_000) <= table(&config, 1_000_000));
        let server = crate::Server::builder().simulate().expect("the defaults are valid").app.server;
        assert!(server.memory_bound().total() > bound.outboxes);
    }
}
