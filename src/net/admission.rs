//! Admission of new connections: while there is room, and within the limits of each address. Connections from a trusted
//! proxy count under the forwarded address, once that is known.

use super::Admission;
use super::connection::Flags;
use super::connections::Connections;
use super::rare::SessionState;
use super::stream::Stream;
use crate::fd::Fd;
use std::net::{IpAddr, SocketAddr};

impl<S: SessionState> Connections<S> {
    /// Adds a new connection to the table; `None` if the table can't grow.
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

    /// Whether one more connection with a socket is allowed.
    pub(super) fn has_room_for_socket(&self) -> bool {
        let len = self.len() - self.turned_away;
        len < self.limits.connections_max && len - self.socketless < self.limits.of_a_kind_max
    }

    /// Whether one more connection without a socket is allowed.
    pub(super) fn has_room_for_socketless(&self) -> bool {
        let len = self.len() - self.turned_away;
        len < self.limits.connections_max && self.socketless < self.limits.of_a_kind_max
    }

    /// Whether the other end of TCP is a trusted proxy.
    pub(crate) fn is_via_proxy(&self, fd: Fd) -> bool {
        self.table.get(fd).is_some_and(|connection| connection.flags.has(Flags::VIA_PROXY))
    }

    /// Keeps the client's address that a proxy told with the last request, or that it told none.
    pub(crate) fn set_forwarded(&mut self, fd: Fd, address: Option<SocketAddr>) {
        if self.get(fd).is_some() {
            self.forwarded.set(fd.index(), address, self.table.reserved());
        }
    }

    /// The client's address that a proxy told with the last request.
    pub(crate) fn forwarded(&self, fd: Fd) -> Option<SocketAddr> {
        self.get(fd)?;
        self.forwarded.get(fd.index())
    }

    /// For how many connections there is room without moving any.
    pub(crate) fn reserved(&self) -> usize {
        self.table.reserved()
    }

    /// Counts a proxied connection under its client's address. False if that has too many.
    pub(crate) fn admit_client(&mut self, fd: Fd, address: IpAddr) -> bool {
        if self.limits.is_trusted(address) {
            return true;
        }
        let is_within = self.count_address(fd, address);
        self.traffic.address_full += u64::from(!is_within);
        is_within
    }

    /// Counts a handshake for the connection's address. False if that makes too many in a time.
    pub(crate) fn admit_handshake(&mut self, fd: Fd) -> bool {
        let Some(per_second) = self.limits.handshakes_per_address_max else { return true };
        let (name, now) = (self.payer(fd), self.uptime());
        !self.budget.addresses.is_too_fast(name, per_second, now)
    }

    /// Counts the connection under its address, in place of the one that it was counted under. False if that has too
    /// many.
    fn count_address(&mut self, fd: Fd, address: IpAddr) -> bool {
        let connections_max = self.limits.connections_per_address_max;
        if connections_max.is_none() && self.limits.handshakes_per_address_max.is_none() {
            return true;
        }
        let Some(connection) = self.table.get(fd) else { return true };
        let (counted, is_via_proxy) = (connection.address, connection.flags.has(Flags::VIA_PROXY));
        // A proxy sends the requests of many clients over one connection.
        if counted != 0 && (!is_via_proxy || self.budget.addresses.is_of(counted, address)) {
            return true;
        }
        let (name, count) = self.budget.addresses.add(address);
        if let Some(connection) = self.table.get_mut(fd) {
            connection.address = name;
            self.budget.hand_over(counted, name, connection.outbox.as_deref());
        }
        self.uncount_address(counted);
        connections_max.is_none_or(|max| count <= max)
    }

    /// Counts one more connection for the client that speaks over `by`: its entry, and how many it has.
    pub(super) fn share_address(&mut self, by: Fd) -> (u32, u32) {
        let is_counted = self.limits.connections_per_address_max.is_some()
            || self.limits.handshakes_per_address_max.is_some();
        let forwarded = self.forwarded(by).filter(|_| self.is_via_proxy(by)).map(|client| client.ip());
        match forwarded.filter(|client| is_counted && !self.limits.is_trusted(*client)) {
            Some(client) => self.budget.addresses.add(client),
            None => {
                let address = self.table.get(by).map_or(0, |connection| connection.address);
                (address, self.budget.addresses.share(address))
            }
        }
    }

    pub(super) fn uncount_address(&mut self, name: u32) {
        let now = self.uptime();
        self.budget.addresses.remove(name, now);
    }
}
