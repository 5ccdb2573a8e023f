//! Requests that no callback sees: they are answered, counted by cause, and their connections closed.

use crate::codec::http::head::HEADERS_MAX;
use crate::codec::http::{Head, Refusal, Response};
use crate::fd::Fd;
use crate::session::Sessions;
use crate::session::cors;
use crate::session::http::ResponseMode;
use std::time::Duration;

/// A refused origin is logged as a warning only so often: anybody can ask again and again.
const ORIGIN_WARNING_EVERY: Duration = Duration::from_secs(5);
/// As much of an origin is told.
const ORIGIN_BYTES_MAX: usize = 100;

impl Sessions {
    pub(crate) fn refuse(&mut self, fd: Fd, refusal: Refusal) {
        self.refuse_request(fd, &[], refusal);
    }

    /// Refuses the request at the start of `bytes`. An allowed page of another origin may read why: otherwise it would
    /// take the refusal for a network error, and send the same again.
    pub(crate) fn refuse_request(&mut self, fd: Fd, bytes: &[u8], refusal: Refusal) {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let head = Head::parse(bytes, &mut headers).ok().flatten().map(|(head, _)| head);
        let what = match head {
            Some(head) if refusal == Refusal::Origin => self.refused_origin(fd, &head),
            _ => refusal.to_string(),
        };
        log::debug!("{fd}: {what}, answering {}", refusal.status());
        let refusals = &mut self.counters.refusals;
        match refusal {
            Refusal::BadRequest(_) => refusals.bad_request += 1,
            Refusal::HeadTooBig | Refusal::TooManyHeaders => refusals.head_too_big += 1,
            Refusal::BodyTooBig => refusals.body_too_big += 1,
            Refusal::RequestTimeout => refusals.request_timeout += 1,
            Refusal::Origin => refusals.origin += 1,
            Refusal::Host => refusals.host += 1,
            Refusal::NotFound => refusals.not_found += 1,
            Refusal::NoRoom => refusals.inbound_full += 1,
            Refusal::NotNow => refusals.handshake += 1,
            // Counted where the limit is checked.
            Refusal::ServerFull
            | Refusal::MemoryFull
            | Refusal::AddressFull
            | Refusal::HandshakeRate
            | Refusal::ByteRate
            | Refusal::RequestRate => {}
            // A fault of the server or its handler: logged there.
            Refusal::AnswerTimeout | Refusal::Internal => {}
        }
        if self.finish_in_body(fd) {
            return;
        }
        let response = Response::text(refusal.status(), format!("{what}\n"));
        let response = match refusal.status() {
            405 => response.header("Allow", "GET"),
            426 => response.header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13"),
            429 | 503 => response.header("Retry-After", "5"),
            _ => response,
        };
        let response = match head {
            Some(head) if self.is_of_page(fd, &head) => cors::permit(&head, response),
            _ => response,
        };
        self.write_response(fd, response, ResponseMode::LAST);
    }

    /// What is told of an origin that may not connect, to its developer and to the operator. In printable ASCII, for a
    /// header may have any bytes.
    fn refused_origin(&mut self, fd: Fd, head: &Head<'_>) -> String {
        let Some(origin) = head.values("origin").next() else { return Refusal::Origin.to_string() };
        let origin: String = origin.escape_ascii().take(ORIGIN_BYTES_MAX).map(char::from).collect();
        let what = format!("origin \"{origin}\" is not allowed (Config::origins)");
        let now = self.connections.now();
        if self.origin_warned.is_none_or(|at| now.duration_since(at) >= ORIGIN_WARNING_EVERY) {
            self.origin_warned = Some(now);
            let host = self.asked_host(fd, head).map_or("", |host| host.text);
            log::warn!("{fd}: {what} at {host:?}");
        }
        what
    }

    fn is_of_page(&self, fd: Fd, head: &Head<'_>) -> bool {
        let route = self.policy_route(fd, head.path());
        (self.is_post(route, head) || self.is_preflight(route, head) || self.is_handshake(route, head))
            && self.check_origin(fd, head, route).is_ok()
    }
}
