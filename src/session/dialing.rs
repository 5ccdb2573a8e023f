//! The opening handshake from the client's side: collecting the server's answer.

use crate::codec::http::Answer;
use crate::codec::http::answer::AnswerError;
use crate::codec::http::head::{self, HEADERS_MAX};
use crate::codec::ws::close;
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use crate::session::Sessions;
use crate::session::state::Session;

impl Sessions {
    /// Collects the answer to a handshake that this side sent. Returns the head of a complete 101, and the bytes after
    /// it. Any other final answer ends the connection.
    pub(crate) fn collect_answer(&mut self, fd: Fd, bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let room = self.connections.inbound_room(fd);
        let Some(Session::Dialing(dialing)) = self.connections.session_mut(fd) else { return None };
        let mut held = match dialing.held.take() {
            Some(held) => {
                self.connections.inbound_changed(fd, held.held_bytes(), 0);
                held
            }
            None => Box::default(),
        };
        if !held.keep(bytes, room) {
            self.kill_dialing(fd, Cause::Overload("no memory for partial answers"), "");
            return None;
        }
        loop {
            let is_http = held.bytes.iter().zip(b"HTTP/1.").all(|(byte, expected)| byte == expected);
            let is_whole = head::has_end(&held.bytes[held.searched.saturating_sub(3)..]);
            held.searched = held.bytes.len();
            if !is_http {
                self.kill_dialing(fd, AnswerError::NotHttp.into(), "");
                return None;
            }
            if !is_whole {
                break;
            }
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let Ok(Some((answer, len))) = Answer::parse(&held.bytes, &mut headers) else {
                self.kill_dialing(fd, AnswerError::Malformed.into(), "");
                return None;
            };
            if held.interim_len + len > self.config.head_bytes_max {
                self.kill_dialing(fd, Cause::TooBig("the head of the answer"), "");
                return None;
            }
            match answer.status() {
                101 => {
                    let (head, rest) = held.bytes.split_at(len);
                    return Some((head.to_vec(), rest.to_vec()));
                }
                // RFC 9110 §15.2: interim responses. All of them together may be as long as one head.
                100..=199 => held.pass_interim(len),
                status => {
                    self.kill_dialing(fd, Cause::Refused(status), &answer.summary());
                    return None;
                }
            }
        }
        if held.bytes.len() > self.config.head_bytes_max {
            self.kill_dialing(fd, Cause::TooBig("the head of the answer"), "");
            return None;
        }
        let held_bytes = held.held_bytes();
        if let Some(Session::Dialing(dialing)) = self.connections.session_mut(fd)
            && !held.bytes.is_empty()
        {
            dialing.held = Some(held);
            self.connections.inbound_changed(fd, 0, held_bytes);
        }
        None
    }

    /// Ends a connection whose answer is of no use.
    pub(crate) fn kill_dialing(&mut self, fd: Fd, cause: Cause, text: &str) {
        self.connections.kill(fd, CloseReason::new(Side::Peer, close::ABNORMAL, text, cause));
    }

    pub(crate) fn dialing_expired(&mut self, fd: Fd) {
        let reason = CloseReason::without_frame(Side::Local, Cause::Timeout);
        self.connections.kill(fd, reason);
    }

    /// Both close frames are sent. The peer is the server, so it is the one to end TCP (RFC 6455 §7.1.1).
    pub(crate) fn await_peer_end(&mut self, fd: Fd, reason: CloseReason) {
        self.end_input(fd);
        self.connections.note_reason(fd, reason);
        self.connections.expire_in(fd, self.config.close_timeout);
    }
}
