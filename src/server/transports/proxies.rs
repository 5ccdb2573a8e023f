//! Clients behind reverse proxies: whose address counts, and how many, and how fast, of one address may come.

use crate::codec::http::{Head, Refusal, forwarded};
use crate::fd::Fd;
use crate::server::dispatch::Dispatch;

impl Dispatch {
    /// Keeps whom a trusted proxy says that the request is from. Another request on the connection may be another
    /// client's.
    pub(crate) fn note_client(&mut self, fd: Fd, head: &Head<'_>) {
        let config = &self.server.config;
        match forwarded::client(head, config.forwarded_header, &config.trusted_proxies) {
            Some(address) => self.server.clients.insert(fd, address),
            None => self.server.clients.remove(&fd),
        };
    }

    /// Whether the address of whoever asks for a WebSocket may have one more, now.
    pub(crate) fn admit_handshake(&mut self, fd: Fd) -> Result<(), Refusal> {
        let server = &mut self.server;
        if let Some(client) = server.clients.get(&fd)
            && !server.connections.admit_client(fd, client.ip())
        {
            return Err(Refusal::AddressFull);
        }
        if !server.connections.admit_handshake(fd) {
            server.stats.refusals.handshake_rate += 1;
            return Err(Refusal::HandshakeRate);
        }
        Ok(())
    }

    pub(crate) fn forget_client(&mut self, fd: Fd) {
        let clients = &mut self.server.clients;
        if clients.is_empty() {
            return;
        }
        clients.remove(&fd);
        if clients.is_empty() {
            clients.shrink_to(64);
        }
    }
}
