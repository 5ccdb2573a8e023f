//! The opening handshake from the client's side: asked for once TCP stands, its answer collected and judged.

use crate::codec::http::Answer;
use crate::codec::http::head::{self, HEADERS_MAX};
use crate::codec::ws::close;
use crate::codec::ws::handshake_client::{self, AnswerError};
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use crate::net::output::Quota;
use crate::server::dispatch::Dispatch;
use crate::server::session::{Session, WebSocket};

impl Dispatch {
    /// TCP stands: the handshake is asked for.
    pub(crate) fn ask_for_upgrade(&mut self, fd: Fd) {
        let server = &mut self.server;
        let Some(&id) = server.outgoing.fds.get(&fd) else { return };
        let Some(client) = server.outgoing.client_mut(id) else { return };
        let key = handshake_client::key(server.random.bytes());
        let request = client.target.ask.encode(client.key.insert(key));
        server.connections.write(fd, [request.as_bytes(), &[]], Quota::Exempt).ok();
        server.connections.deadline(fd, server.config.connect_timeout);
    }

    /// Collects the answer until it is whole, and judges it.
    pub(crate) fn dialing_bytes(&mut self, fd: Fd, bytes: &[u8]) {
        let server = &mut self.server;
        let room = server.connections.inbound_room();
        let Some(Session::Dialing(dialing)) = server.connections.session_mut(fd) else { return };
        let mut held = dialing.held.take().unwrap_or_default();
        if !held.bytes.is_empty() {
            server.connections.inbound_bytes -= held.held_bytes();
        }
        if !held.keep(bytes, room) {
            return self.refuse_answer(fd, Cause::Overload("no memory for partial answers"), "");
        }
        loop {
            let is_http = held.bytes.iter().zip(b"HTTP/1.").all(|(byte, expected)| byte == expected);
            let is_whole = head::has_end(&held.bytes[held.progress.searched.saturating_sub(3)..]);
            held.progress.searched = held.bytes.len();
            if !is_http {
                return self.refuse_answer(fd, AnswerError::NotHttp.into(), "");
            }
            if !is_whole {
                break;
            }
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let Ok(Some((answer, len))) = Answer::parse(&held.bytes, &mut headers) else {
                return self.refuse_answer(fd, AnswerError::Malformed.into(), "");
            };
            held.progress.judged += len;
            if held.progress.judged > self.server.config.head_bytes_max {
                return self.refuse_answer(fd, Cause::TooBig("the head of the answer"), "");
            }
            match answer.status() {
                101 => {
                    let (head, rest) = held.bytes.split_at(len);
                    return self.judge_answer(fd, head, &mut rest.to_vec());
                }
                // RFC 9110 §15.2: an answer before the answer. All together they are no longer than one may be.
                100..=199 => {
                    held.forget(len);
                    held.progress.searched = 0;
                }
                status => {
                    return self.refuse_answer(fd, Cause::Refused(status), &answer.summary());
                }
            }
        }
        if held.bytes.len() > self.server.config.head_bytes_max {
            return self.refuse_answer(fd, Cause::TooBig("the head of the answer"), "");
        }
        let held_bytes = held.held_bytes();
        if let Some(Session::Dialing(dialing)) = self.server.connections.session_mut(fd)
            && !held.bytes.is_empty()
        {
            dialing.held = Some(held);
            self.server.connections.inbound_bytes += held_bytes;
        }
    }

    /// There is no use in this connection.
    fn refuse_answer(&mut self, fd: Fd, cause: Cause, text: &str) {
        self.server.connections.kill(fd, CloseReason::new(Side::Peer, close::ABNORMAL, text, cause));
    }

    /// A 101: with it the connection is a WebSocket, if all else of it is right.
    fn judge_answer(&mut self, fd: Fd, head: &[u8], rest: &mut [u8]) {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let Ok(Some((answer, _))) = Answer::parse(head, &mut headers) else { return };
        let server = &mut self.server;
        let Some(&id) = server.outgoing.fds.get(&fd) else { return };
        let now = server.connections.now();
        let Some(client) = server.outgoing.client_mut(id) else { return };
        if let Err(error) = client.target.ask.check(&answer, client.key.as_deref().unwrap_or_default()) {
            return self.refuse_answer(fd, error.into(), "");
        }
        client.opened_at = Some(now);
        let route = client.route;
        if let Some(session) = server.connections.session_mut(fd) {
            *session = Session::WebSocket(WebSocket { route, ..WebSocket::default() });
        }
        server.watch(fd);
        self.call("on_client_open", route, Some(fd), |handler, server| {
            handler.on_client_open(server, fd, &answer);
        });
        self.websocket_bytes(fd, rest);
    }

    pub(crate) fn dialing_expired(&mut self, fd: Fd) {
        let reason = CloseReason::new(Side::Local, close::ABNORMAL, "", Cause::Timeout);
        self.server.connections.kill(fd, reason);
    }

    /// A connection is gone before it was open.
    pub(crate) fn dialing_ended(&mut self, fd: Fd, reason: CloseReason) {
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
