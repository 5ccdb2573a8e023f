//! Event streams (WHATWG HTML §9.2): a response that does not end, with messages as events in it. Its body ends with
//! the connection and has no chunks, so one encoding of an event serves every client, including HTTP/1.0.

use crate::codec::http::Head;
use crate::codec::labels::{self, Labels};
use crate::codec::page_command;
use crate::codec::sse;
use crate::codec::ws::close;
use crate::error::{Cause, CloseReason};
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::net::quota::Quota;
use crate::session::Sessions;
use crate::session::cors;
use crate::session::formats::FormatId;
use crate::session::heartbeat::jittered;
use crate::session::request::{Acceptance, Request};
use crate::session::route::Route;
use crate::session::state::{EventStream, Session};
use std::fmt::Write as _;
use std::time::Duration;

/// Whether a request asks for an event stream. A `HEAD` asks about the page that a `GET` without `Accept` gets.
pub(crate) fn is_asked(head: &Head<'_>) -> bool {
    let is_event_stream = |member: &str| {
        let kind = member.split(';').next().unwrap_or_default();
        kind.trim_end().eq_ignore_ascii_case("text/event-stream")
    };
    head.method == "GET" && head.list("accept").any(is_event_stream)
}

/// Whether the client asks for its session's token, which it needs to send messages by `POST`. Clients that do not ask
/// do not get it.
fn wants_token(request: &Request<'_>) -> bool {
    page_command::asked(request.query().unwrap_or_default()).next().is_some_and(|what| what == "stream")
}

/// Whether the client asks to speak `swio.1`.
pub(crate) fn wants_labels(request: &Request<'_>) -> bool {
    wants_token(request)
        && request.query_param("protocol").is_some_and(|protocol| protocol == labels::PROTOCOL)
}

impl Sessions {
    /// Answers with the start of an event stream. Returns whether the connection is one now.
    pub(crate) fn start_event_stream(
        &mut self,
        route: Route,
        request: &Request<'_>,
        acceptance: &Acceptance,
        format: FormatId,
    ) -> bool {
        let fd = request.fd;
        let start = self.start_of_stream(request, acceptance);
        // The handler may have ended the connection meanwhile.
        if self.http_mut(fd).is_none() || self.connections.write(fd, [&start, &[]], Quota::Exempt).is_err() {
            return false;
        }
        let stream = EventStream { route, format, ..EventStream::default() };
        self.change_session(fd, |session| *session = Session::EventStream(stream));
        self.forget_listener(fd);
        self.counters.opened += 1;
        self.connections.begin_crossings(fd);
        self.watch(fd);
        if wants_token(request) {
            self.tell_token(fd);
        }
        true
    }

    /// The head of the answer and the start of its body: some proxies pass on the head only together with body bytes.
    fn start_of_stream(&mut self, request: &Request<'_>, acceptance: &Acceptance) -> Vec<u8> {
        let now = self.connections.now();
        let mut head = String::with_capacity(320);
        // RFC 9112 §6.3: a body without a length ends with the connection.
        write!(
            head,
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\n\
             X-Accel-Buffering: no\r\nDate: {}\r\nConnection: close\r\n",
            self.date.text(now)
        )
        .expect("a String takes all");
        for (name, value) in &acceptance.headers {
            write!(head, "{name}: {value}\r\n").expect("a String takes all");
        }
        for (name, value) in cors::headers(&request.head) {
            write!(head, "{name}: {value}\r\n").expect("a String takes all");
        }
        head.push_str("\r\n");
        let mut start = head.into_bytes();
        sse::retry(&mut start, self.config.event_stream_retry.as_millis());
        start
    }

    /// Shows the network that a stream is in use, unless its client has enough to read.
    pub(crate) fn keep_stream_alive(&mut self, fd: Fd) {
        let Some((_, transfers_due)) = self.check_transfers(fd) else { return };
        let Some(connection) = self.connections.open_mut(fd) else { return };
        let Session::EventStream(stream) = &connection.session else { return };
        let sign = self.formats[stream.format].heartbeat();
        let interval = self.config.ping_interval.map(|interval| jittered(interval, fd));
        if interval.is_some() && !connection.flags.has(Flags::BLOCKED) {
            self.connections.write(fd, [sign, &[]], Quota::Control).ok();
        }
        let next = transfers_due.min(interval.unwrap_or(Duration::MAX));
        if next < Duration::MAX {
            self.connections.expire_in(fd, next);
        }
    }

    fn tell_token(&mut self, fd: Fd) {
        match self.tokens.issue(fd) {
            Ok(token) => {
                let run = self.token_event(fd, &token);
                self.connections.write(fd, [&run, &[]], Quota::Exempt).ok();
            }
            Err(error) => {
                log::error!("{fd}: no token, for the system has no random numbers: {error}");
                self.finish_with_code(
                    fd,
                    close::INTERNAL_ERROR,
                    "internal error",
                    Cause::Overload("no randomness"),
                );
            }
        }
    }

    fn token_event(&self, fd: Fd, token: &str) -> Vec<u8> {
        let format = self.channel(fd).ok().map(|channel| channel.format);
        if let Some(encode) = format.and_then(|format| self.formats[format].notice()) {
            let heartbeat = self.config.ping_interval.map(|interval| interval.as_millis().to_string());
            let heartbeat = heartbeat.as_deref().map(|heartbeat| ("heartbeat", heartbeat));
            let notice: Vec<_> = [("session", token)].into_iter().chain(heartbeat).collect();
            return encode(&notice);
        }
        let labels = Labels { event: "swio".to_owned(), ..Labels::default() };
        sse::encode(Some(&labels), false, format!("{{\"session\":\"{token}\"}}").as_bytes())
    }

    /// Ends a stream after everything that was pushed to it, and tells the client why: otherwise it would reconnect.
    pub(crate) fn finish_stream(&mut self, fd: Fd, reason: CloseReason) {
        let event = sse::close(reason.code, &reason.text);
        // Refused only if the connection is gone, and then there is nobody to tell.
        self.connections.write(fd, [&event, &[]], Quota::Exempt).ok();
        self.finish(fd, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::http::head::HEADERS_MAX;

    #[test]
    fn only_a_get_that_accepts_one_asks_for_an_event_stream() {
        let asks = |method: &str, accept: &str| {
            let bytes = format!("{method} / HTTP/1.1\r\nHost: a\r\n{accept}\r\n");
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let (head, _) = Head::parse(bytes.as_bytes(), &mut headers).expect("a head").expect("whole");
            is_asked(&head)
        };
        for accept in [
            "Accept: text/event-stream\r\n",
            "accept: TEXT/Event-Stream ; q=0.9\r\n",
            "Accept: text/html\r\nAccept: */*, text/event-stream\r\n",
        ] {
            assert!(asks("GET", accept), "{accept}");
            assert!(!asks("HEAD", accept) && !asks("POST", accept), "{accept}");
        }
        for accept in ["", "Accept: */*\r\n", "Accept: text/*\r\n", "Accept: text/event-streams\r\n"] {
            assert!(!asks("GET", accept), "{accept}");
        }
    }
}
