//! Handshakes: what the handler answers, and what follows.

use crate::codec::http::Refusal;
use crate::codec::labels::PROTOCOL;
use crate::codec::ws::handshake;
use crate::server::dispatch::Dispatch;
use crate::session::cors;
use crate::session::event_stream;
use crate::session::http::ResponseMode;
use crate::session::info::Transport;
use crate::session::request::{Handshake, Request, Verdict};
use crate::session::route::Route;
use crate::session::upgrade::Offer;

impl Dispatch {
    /// Asks the handler. Returns whether the handshake was answered, and not left for later.
    pub(crate) fn upgrade(&mut self, route: Route, request: &Request<'_>) -> Result<bool, Refusal> {
        let fd = request.fd;
        self.server.sessions.admit_handshake(fd)?;
        let offer = self.server.sessions.judge_handshake(request)?;
        let (answer, is_last) =
            self.ask(route, fd, "on_handshake", |handler, server| handler.on_handshake(server, request));
        let Some(answer) = answer else { return Err(Refusal::Internal) };
        match answer {
            Handshake(Verdict::Later) if !is_last => Ok(false),
            answer => self.conclude_handshake(route, request, &offer, answer, is_last).map(|()| true),
        }
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
                self.server.sessions.counters.refusals.handshake += 1;
                let response = match offer {
                    Offer::WebSocket { .. } => response,
                    Offer::EventStream | Offer::LongPolling => cors::permit(&request.head, response),
                };
                self.server.sessions.write_response(request.fd, response, ResponseMode::LAST);
                return Ok(());
            }
            Verdict::Accept(acceptance) if !is_last => acceptance,
            Verdict::Accept(_) | Verdict::Later => return Err(Refusal::NotNow),
        };
        let (accept, preferred) = match offer {
            Offer::WebSocket { accept, preferred } => (accept, preferred),
            Offer::EventStream => {
                let sessions = &mut self.server.sessions;
                let wants_labels = event_stream::wants_labels(request);
                let format = sessions.choose_format(Transport::EventStream, &acceptance, wants_labels)?;
                if sessions.start_event_stream(route, request, &acceptance, format) {
                    self.open_returning(route, request);
                }
                return Ok(());
            }
            Offer::LongPolling => return self.open_poll(route, request, &acceptance),
        };
        let mut preferred = preferred.clone();
        if acceptance.envelope.is_some() && preferred.as_deref() == Some(PROTOCOL) {
            let own = handshake::subprotocol(
                &request.head,
                &self.server.sessions.policy(request.route).subprotocols,
            )?;
            preferred = own.map(str::to_owned);
        }
        let subprotocol = acceptance.subprotocol.as_deref().or(preferred.as_deref());
        if let Some(name) = subprotocol
            && !request.subprotocols().any(|offered| offered == name)
        {
            log::error!("on_handshake chose the subprotocol {name:?}, which the client did not offer");
            return Err(Refusal::Internal);
        }
        let sessions = &mut self.server.sessions;
        let format =
            sessions.choose_format(Transport::WebSocket, &acceptance, subprotocol == Some(PROTOCOL))?;
        if !sessions.switch(route, request, (accept, subprotocol), &acceptance, format) {
            return Ok(());
        }
        match format.has_labelled_frames() {
            true => self.open_returning(route, request),
            false => {
                let fd = request.fd;
                self.call("on_open", route, Some(fd), |handler, server| handler.on_open(server, request));
            }
        }
        Ok(())
    }

    /// Calls `on_open` for a client that may have been here before, and sends it what it missed in the topics that it
    /// joins there.
    pub(crate) fn open_returning(&mut self, route: Route, request: &Request<'_>) {
        let fd = request.fd;
        let positions = self.server.positions(fd, request);
        self.server.begin_return(fd, positions);
        self.call("on_open", route, Some(fd), |handler, server| handler.on_open(server, request));
        self.server.bring_up_to_date(None);
    }
}
