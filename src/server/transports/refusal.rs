//! Requests that no callback gets to see: answered, counted by cause, and closed.

use crate::codec::http::{Refusal, Response};
use crate::fd::Fd;
use crate::server::dispatch::Dispatch;
use crate::server::transports::http::{NO_ROOM, NOT_NOW};

impl Dispatch {
    pub(crate) fn refuse(&mut self, fd: Fd, refusal: Refusal) {
        log::debug!("{fd}: {}, answering {}", refusal.what, refusal.status);
        let refusals = &mut self.server.stats.refusals;
        match refusal.status {
            403 => refusals.origin += 1,
            404 => refusals.not_found += 1,
            408 => refusals.request_timeout += 1,
            413 => refusals.body_too_big += 1,
            431 => refusals.head_too_big += 1,
            503 if refusal == NO_ROOM => refusals.inbound_full += 1,
            503 if refusal == NOT_NOW => refusals.handshake += 1,
            // Counted where they are found.
            429 | 500 | 503 => {}
            _ => refusals.bad_request += 1,
        }
        let response = Response::text(refusal.status, format!("{}\n", refusal.what));
        let response = match refusal.status {
            405 => response.header("Allow", "GET"),
            426 => response.header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13"),
            429 | 503 => response.header("Retry-After", "5"),
            _ => response,
        };
        self.respond(fd, response, false, false);
    }
}
