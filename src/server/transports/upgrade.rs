//! Handshakes: what is in order, what the handler says to it, and how a connection becomes a WebSocket.

use crate::codec::http::{Head, Refusal};
use crate::codec::labels::PROTOCOL;
use crate::codec::ws::handshake;
use crate::net::output::Quota;
use crate::server::api::request::{Acceptance, Handshake, Request, Verdict};
use crate::server::api::routes::Route;
use crate::server::dispatch::Dispatch;
use crate::server::session::{Marks, Session, WebSocket};
use crate::server::transports::cors;
use crate::server::transports::event_stream;
use crate::server::transports::http::NOT_NOW;
use std::fmt::Write as _;

/// What the server answers a handshake that is in order with, where nobody objects.
pub(crate) enum Offer {
    WebSocket { accept: String, preferred: Option<String> },
    EventStream,
    LongPolling,
}

impl Dispatch {
    /// Whether a request asks for more than one answer.
    pub(crate) fn is_handshake(&self, head: &Head<'_>) -> bool {
        handshake::is_attempt(head)
            || self.server.config.event_streams && event_stream::is_asked(head)
            || self.is_poll(head)
    }

    /// Whether the handshake was answered, not left to be.
    pub(crate) fn upgrade(&mut self, route: Route, request: &Request<'_>) -> Result<bool, Refusal> {
        let fd = request.fd;
        self.admit_handshake(fd)?;
        let offer = self.judge_handshake(request)?;
        let (answer, is_last) =
            self.ask(route, fd, "on_handshake", |handler, server| handler.on_handshake(server, request));
        let Some(answer) = answer else { return Err(Refusal::new(500, "internal server error")) };
        match answer {
            Handshake(Verdict::Later) if !is_last => Ok(false),
            answer => self.conclude_handshake(route, request, &offer, answer, is_last).map(|()| true),
        }
    }

    /// Everything that refuses a handshake before anybody is asked.
    pub(crate) fn judge_handshake(&self, request: &Request<'_>) -> Result<Offer, Refusal> {
        let accept = match handshake::is_attempt(&request.head) {
            true => Some(handshake::check(&request.head)?),
            false => None,
        };
        handshake::check_origin(&request.head, &self.server.config.origins).inspect_err(|_| {
            let (fd, origin) = (request.fd, request.header("origin").unwrap_or("not text"));
            log::debug!(
                "{fd}: a page of {origin:?} asks for {:?}",
                request.header("host").unwrap_or_default()
            );
        })?;
        let Some(accept) = accept else {
            let is_poll = self.is_poll(&request.head);
            return Ok(if is_poll { Offer::LongPolling } else { Offer::EventStream });
        };
        let preferred = match request.subprotocols().any(|offered| offered == PROTOCOL) {
            true => Some(PROTOCOL),
            false => handshake::subprotocol(&request.head, &self.server.config.subprotocols)?,
        };
        let preferred = preferred.map(str::to_owned);
        Ok(Offer::WebSocket { accept, preferred })
    }

    pub(crate) fn conclude_handshake(
        &mut self,
        route: Route,
        request: &Request<'_>,
        offer: &Offer,
        Handshake(verdict): Handshake,
        is_last: bool,
    ) -> Result<(), Refusal> {
        let acceptance = match verdict {
            Verdict::Refuse(response) => {
                self.server.stats.refusals.handshake += 1;
                let response = match offer {
                    Offer::WebSocket { .. } => response,
                    Offer::EventStream | Offer::LongPolling => cors::permit(&request.head, response),
                };
                self.respond(request.fd, response, false, false);
                return Ok(());
            }
            Verdict::Accept(acceptance) if !is_last => acceptance,
            Verdict::Accept(_) | Verdict::Later => return Err(NOT_NOW),
        };
        let (accept, preferred) = match offer {
            Offer::WebSocket { accept, preferred } => (accept, preferred),
            Offer::EventStream => {
                self.open_event_stream(route, request, &acceptance);
                return Ok(());
            }
            Offer::LongPolling => return self.open_poll(route, request, &acceptance),
        };
        let subprotocol = acceptance.subprotocol.as_deref().or(preferred.as_deref());
        if let Some(name) = subprotocol
            && !request.subprotocols().any(|offered| offered == name)
        {
            log::error!("on_handshake chose the subprotocol {name:?}, which the client did not offer");
            return Err(Refusal::new(500, "internal server error"));
        }
        self.switch(route, request, accept, subprotocol, &acceptance);
        Ok(())
    }

    fn switch(
        &mut self,
        route: Route,
        request: &Request<'_>,
        accept: &str,
        subprotocol: Option<&str>,
        acceptance: &Acceptance,
    ) {
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
            || self.server.connections.write(fd, [response.as_bytes(), &[]], Quota::Exempt).is_err()
        {
            return;
        }
        // A pong may overtake messages, but not the answer that makes it one.
        self.server.connections.pin(fd);
        let is_labelled = subprotocol == Some(PROTOCOL);
        let mut websocket = WebSocket { route, ..WebSocket::default() };
        websocket.marks.set(Marks::LABELLED, is_labelled);
        self.server.change_session(fd, |session| *session = Session::WebSocket(websocket));
        self.server.stats.opened += 1;
        self.server.connections.begin_crossings(fd);
        self.server.watch(fd);
        match is_labelled {
            true => self.open_returning(route, request),
            false => {
                self.call("on_open", route, Some(fd), |handler, server| handler.on_open(server, request));
            }
        }
    }

    /// Calls `on_open` for a client that may have been here before, and brings it up to date in what it joins there.
    pub(crate) fn open_returning(&mut self, route: Route, request: &Request<'_>) {
        let fd = request.fd;
        let positions = self.server.positions(fd, request);
        self.server.begin_return(fd, positions);
        self.call("on_open", route, Some(fd), |handler, server| handler.on_open(server, request));
        self.server.bring_up_to_date(None);
    }
}
