//! The opening handshake from the client's side: sent once TCP is connected, its answer collected and judged.

use crate::codec::http::Answer;
use crate::codec::http::head::HEADERS_MAX;
use crate::codec::ws::handshake_client;
use crate::error::{Cause, CloseReason};
use crate::fd::Fd;
use crate::net::quota::Quota;
use crate::server::dispatch::Dispatch;
use crate::session::formats::FormatId;
use crate::session::state::{Session, WebSocket};

impl Dispatch {
    /// TCP is connected: sends the handshake.
    pub(crate) fn ask_for_upgrade(&mut self, fd: Fd) {
        let server = &mut self.server;
        let Some(&id) = server.outgoing.fds.get(&fd) else { return };
        let Some(client) = server.outgoing.client_mut(id) else { return };
        let key = handshake_client::key(server.sessions.random.bytes());
        let request = client.target.ask.encode(client.key.insert(key));
        server.sessions.connections.write(fd, [request.as_bytes(), &[]], Quota::Exempt).ok();
        server.sessions.connections.expire_in(fd, server.sessions.config.connect_timeout);
    }

    /// More bytes of the answer arrived.
    pub(crate) fn dialing_bytes(&mut self, fd: Fd, bytes: &[u8]) {
        if let Some((head, mut rest)) = self.server.sessions.collect_answer(fd, bytes) {
            self.judge_answer(fd, &head, &mut rest);
        }
    }

    /// A 101 arrived: the connection is a WebSocket now, if everything else in it is right.
    fn judge_answer(&mut self, fd: Fd, head: &[u8], rest: &mut [u8]) {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let Ok(Some((answer, _))) = Answer::parse(head, &mut headers) else { return };
        let server = &mut self.server;
        let Some(&id) = server.outgoing.fds.get(&fd) else { return };
        let now = server.sessions.connections.now();
        let Some(client) = server.outgoing.client_mut(id) else { return };
        if let Err(error) = client.target.ask.check(&answer, client.key.as_deref().unwrap_or_default()) {
            return server.sessions.kill_dialing(fd, error.into(), "");
        }
        let route = client.route;
        let Some(session) = server.sessions.connections.session_mut(fd) else { return };
        *session = Session::WebSocket(WebSocket { route, format: FormatId::MASKED, ..WebSocket::default() });
        client.opened_at = Some(now);
        server.sessions.watch(fd);
        self.call("on_client_open", route, Some(fd), |handler, server| {
            handler.on_client_open(server, fd, &answer);
        });
        self.websocket_bytes(fd, rest);
    }

    /// A connection is gone before it was open.
    pub(crate) fn dialing_gone(&mut self, fd: Fd, reason: CloseReason) {
        let Some(id) = self.server.outgoing.fds.remove(&fd) else { return };
        let Some(client) = self.server.outgoing.client_mut(id) else { return };
        client.fd = None;
        if reason.cause == Cause::Shutdown {
            return self.end_client(id);
        }
        if client.key.take().is_some() {
            return self.attempt_failed(id, reason.cause, reason.text);
        }
        self.try_next_address(id, reason.cause, reason.text);
    }
}
