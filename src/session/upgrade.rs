//! Handshakes: checking them, and turning a connection into a WebSocket.

use crate::codec::http::{Head, Refusal};
use crate::codec::labels::PROTOCOL;
use crate::codec::page_command;
use crate::codec::ws::handshake;
use crate::net::quota::Quota;
use crate::session::Sessions;
use crate::session::event_stream;
use crate::session::formats::FormatId;
use crate::session::info::Transport;
use crate::session::request::{Acceptance, Request};
use crate::session::route::Route;
use crate::session::state::{Session, WebSocket};
use std::fmt::Write as _;

/// How the server answers a valid handshake, if nobody objects.
pub(crate) enum Offer {
    WebSocket { accept: String, preferred: Option<String> },
    EventStream,
    LongPolling,
}

impl Sessions {
    /// Whether a request belongs to a long-polling session, or begins one.
    pub(crate) fn is_poll(&self, route: Route, head: &Head<'_>) -> bool {
        let policy = self.policy(route);
        let query = head.query().unwrap_or_default();
        policy.long_polling
            && head.method == "GET"
            && page_command::asked(query).any(|what| what == "poll")
            && !handshake::is_attempt(head)
            && !(policy.event_streams && event_stream::is_asked(head))
    }

    /// Whether a request is a handshake: for a WebSocket, an event stream, or a session of long polling.
    pub(crate) fn is_handshake(&self, route: Route, head: &Head<'_>) -> bool {
        handshake::is_attempt(head)
            || self.policy(route).event_streams && event_stream::is_asked(head)
            || self.is_poll(route, head)
    }

    /// Checks everything that can refuse a handshake before a callback is asked.
    pub(crate) fn judge_handshake(&self, request: &Request<'_>) -> Result<Offer, Refusal> {
        let accept = match handshake::is_attempt(&request.head) {
            true => Some(handshake::check(&request.head)?),
            false => None,
        };
        self.check_origin(request.fd, &request.head, request.route)?;
        let Some(accept) = accept else {
            let is_poll = self.is_poll(request.route, &request.head);
            return Ok(if is_poll { Offer::LongPolling } else { Offer::EventStream });
        };
        let offers_labels = request.subprotocols().any(|offered| offered == PROTOCOL);
        let preferred = match self.config.page_protocol && offers_labels {
            true => Some(PROTOCOL),
            false => handshake::subprotocol(&request.head, &self.policy(request.route).subprotocols)?,
        };
        let preferred = preferred.map(str::to_owned);
        Ok(Offer::WebSocket { accept, preferred })
    }

    /// The format of messages to a client that was accepted.
    pub(crate) fn choose_format(
        &mut self,
        transport: Transport,
        acceptance: &Acceptance,
        wants_labels: bool,
    ) -> Result<FormatId, Refusal> {
        let has_labels = wants_labels && self.config.page_protocol && acceptance.envelope.is_none();
        let format = FormatId::of(transport, has_labels);
        let Some(envelope) = acceptance.envelope else { return Ok(format) };
        self.formats.with_envelope(format, envelope).ok_or_else(|| {
            log::error!("on_handshake chose an envelope that is not this server's");
            Refusal::Internal
        })
    }

    /// Answers with 101. Returns whether the connection is a WebSocket now.
    pub(crate) fn switch(
        &mut self,
        route: Route,
        request: &Request<'_>,
        (accept, subprotocol): (&str, Option<&str>),
        acceptance: &Acceptance,
        format: FormatId,
    ) -> bool {
        let fd = request.fd;
        let mut response = String::with_capacity(192);
        response
            .push_str("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
        write!(response, "Sec-WebSocket-Accept: {accept}\r\n").expect("a String takes all");
        if let Some(name) = subprotocol {
            write!(response, "Sec-WebSocket-Protocol: {name}\r\n").expect("a String takes all");
        }
        for (name, value) in &acceptance.headers {
            write!(response, "{name}: {value}\r\n").expect("a String takes all");
        }
        response.push_str("\r\n");
        // The handler may have ended the connection meanwhile.
        if self.http_mut(fd).is_none()
            || self.connections.write(fd, [response.as_bytes(), &[]], Quota::Exempt).is_err()
        {
            return false;
        }
        // A pong may overtake messages, but not the answer that opens the WebSocket.
        self.connections.pin(fd);
        let websocket = WebSocket { route, format, ..WebSocket::default() };
        self.change_session(fd, |session| *session = Session::WebSocket(websocket));
        // The requests before it were no messages of the WebSocket.
        if let Some(connection) = self.connections.open_mut(fd) {
            connection.meter.forget_messages();
        }
        self.forget_listener(fd);
        self.counters.opened += 1;
        self.connections.begin_crossings(fd);
        self.watch(fd);
        true
    }
}
