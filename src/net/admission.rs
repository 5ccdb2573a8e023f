//! Who is let in: as long as there is room, and not too many, or too fast, of one address. Those that a trusted proxy
//! brings are not told apart by the proxy's address; whose they are is known when they have said so.

use super::Admission;
use super::connection::Flags;
use super::connections::Connections;
use super::rare::SessionState;
use super::stream::Stream;
use crate::fd::Fd;
use std::net::IpAddr;

impl<S: SessionState> Connections<S> {
    /// Takes a new connection into the table; `None` where the table can't grow.
    pub(super) fn take_in(&mut self, stream: Stream, address: Option<IpAddr>) -> Option<(Fd, Admission)> {
        let mut admission = Admission::Welcome;
        if !self.has_room_for_socket() {
            admission = Admission::ServerFull;
        } else if self.is_nearly_full() {
            admission = Admission::MemoryFull;
        }
        let fd = self.insert(stream)?;
        self.traffic.accepted += 1;
        match address {
            Some(address) if self.limits.is_trusted(address) => {
                if let Some(connection) = self.table.get_mut(fd) {
                    connection.flags.set(Flags::VIA_PROXY);
                }
            }
            Some(address) if !self.count_address(fd, address) => admission = Admission::AddressFull,
            _ => {}
        }
        match admission {
            Admission::Welcome => {}
            Admission::ServerFull => self.traffic.server_full += 1,
            Admission::MemoryFull => self.traffic.memory_full += 1,
            Admission::AddressFull => self.traffic.address_full += 1,
        }
        Some((fd, admission))
    }
}

impl<S: SessionState> Connections<S> {
    /// Whether there may be one more connection with a socket.
    pub(super) fn has_room_for_socket(&self) -> bool {
        let len = self.len() - self.turned_away;
        len < self.limits.connections_max && len - self.socketless < self.limits.of_a_kind_max
    }

    /// Whether there may be one more without.
    pub(super) fn has_room_for_socketless(&self) -> bool {
        let len = self.len() - self.turned_away;
        len < self.limits.connections_max && self.socketless < self.limits.of_a_kind_max
    }

    /// Whether the other end of TCP is a proxy that is believed whom it speaks for.
    pub(crate) fn is_via_proxy(&self, fd: Fd) -> bool {
        self.table.get(fd).is_some_and(|connection| connection.flags.has(Flags::VIA_PROXY))
    }

    /// The client of a connection that a proxy brought: whether its address may have one more.
    pub(crate) fn admit_client(&mut self, fd: Fd, address: IpAddr) -> bool {
        if self.limits.is_trusted(address) {
            return true;
        }
        let is_within = self.count_address(fd, address);
        self.traffic.address_full += u64::from(!is_within);
        is_within
    }

    /// Whether the address of a connection may make one more handshake now, which counts.
    pub(crate) fn admit_handshake(&mut self, fd: Fd) -> bool {
        let Some(per_second) = self.limits.handshakes_per_address_max else { return true };
        let name = self.table.get(fd).map_or(0, |connection| connection.address);
        !self.addresses.is_too_fast(name, per_second, self.uptime())
    }

    /// Counts the connection under its address, once: whether it may have so many.
    fn count_address(&mut self, fd: Fd, address: IpAddr) -> bool {
        let connections_max = self.limits.connections_per_address_max;
        if connections_max.is_none() && self.limits.handshakes_per_address_max.is_none() {
            return true;
        }
        let Some(connection) = self.table.get_mut(fd).filter(|connection| connection.address == 0) else {
            return true;
        };
        let (name, count) = self.addresses.add(address);
        connection.address = name;
        connections_max.is_none_or(|max| count <= max)
    }

    pub(super) fn uncount_address(&mut self, name: u32) {
        let now = self.uptime();
        self.addresses.remove(name, now);
    }
}
