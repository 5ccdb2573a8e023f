//! Clients behind reverse proxies: whose address counts, and how many, and how fast, of one address may come.

use crate::codec::http::{Head, Refusal, forwarded};
use crate::fd::Fd;
use crate::server::dispatch::Dispatch;

impl Dispatch {
    /// Keeps whom a trusted proxy says that the request is from. Another request on the connection may be another
    /// client's.
    pub(crate) fn note_forwarded(&mut self, fd: Fd, head: &Head<'_>) {
        let config = &self.server.config;
        let address = forwarded::client(head, config.forwarded_header, &config.trusted_proxies);
        self.server.connections.set_forwarded(fd, address);
    }

    /// Whether the address of whoever asks for a WebSocket may have one more, now.
    pub(crate) fn admit_handshake(&mut self, fd: Fd) -> Result<(), Refusal> {
        let server = &mut self.server;
        if let Some(client) = server.connections.forwarded(fd)
            && !server.connections.admit_client(fd, client.ip())
        {
            return Err(Refusal::new(429, "too many connections from your address"));
        }
        if !server.connections.admit_handshake(fd) {
            server.stats.refusals.handshake_rate += 1;
            return Err(Refusal::new(429, "too many handshakes from your address"));
        }
        Ok(())
    }
}
