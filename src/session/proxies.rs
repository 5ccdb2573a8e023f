//! Clients of reverse proxies: whose address counts, and how many connections of one address may come, and how fast.

use crate::codec::http::{Head, Refusal, forwarded};
use crate::fd::Fd;
use crate::session::Sessions;
use crate::session::state::Session;
use std::net::SocketAddr;

impl Sessions {
    /// The client's address, as its proxy reported it, or else the other end of TCP.
    pub(crate) fn remote_addr(&self, fd: Fd) -> Option<SocketAddr> {
        let connection = self.connections.get(fd)?;
        match &connection.session {
            Session::Socketless(socketless) => socketless.address,
            _ => self.connections.forwarded(fd).or_else(|| connection.stream.peer_addr()),
        }
    }

    /// Keeps the client's address that a trusted proxy sent with this request. The next request on the connection may
    /// be another client's.
    pub(crate) fn note_forwarded(&mut self, fd: Fd, head: &Head<'_>) {
        let config = &self.config;
        let address = forwarded::client(head, config.forwarded_header, &config.trusted_proxies);
        self.connections.set_forwarded(fd, address);
    }

    /// Whether the address that asks for a WebSocket may have one more, now.
    pub(crate) fn admit_handshake(&mut self, fd: Fd) -> Result<(), Refusal> {
        if let Some(client) = self.connections.forwarded(fd)
            && !self.connections.admit_client(fd, client.ip())
        {
            return Err(Refusal::AddressFull);
        }
        if self.admit_connect(fd) { Ok(()) } else { Err(Refusal::HandshakeRate) }
    }

    /// Counts a connection that is to be established, under its address. Returns whether that is within the rate.
    pub(crate) fn admit_connect(&mut self, fd: Fd) -> bool {
        let is_within = self.connections.admit_handshake(fd);
        self.counters.refusals.handshake_rate += u64::from(!is_within);
        is_within
    }
}
