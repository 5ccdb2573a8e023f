//! The rarer ways to send: a message in parts, one that is encoded already, and bytes as they are.

use crate::codec::labels::Labels;
use crate::codec::ws::{Opcode, Role, header, utf8};
use crate::error::PushError;
use crate::fd::Fd;
use crate::net::output::{Delivery, Quota};
use crate::server::api::message::Prepared;
use crate::server::session::Marks;
use crate::server::{Channel, Server};

impl Server {
    /// Sends part of a message, for one that is too large to have in one piece, or that is only being made: the
    /// first part as text or binary, each that follows as [`Opcode::Continuation`], and the last with `finish`.
    /// Each part is a frame (RFC 6455 §5.4). A text may be cut anywhere, also within a character.
    ///
    /// Until the last part no other message may come between: a [`push`](Server::push) is
    /// [`PushError::Unfinished`], and a [`broadcast`](Server::broadcast) leaves the connection out and says so
    /// ([`Reach::unfinished`](crate::Reach::unfinished)). Pings, pongs and [`disconnect`](Server::disconnect) may.
    ///
    /// # Errors
    /// As for [`Server::push`]; [`PushError::Unfinished`] where a second message is begun, and
    /// [`PushError::Unsendable`] where there is none to continue, the opcode is a control frame's, a text is no
    /// UTF-8, or the connection is no WebSocket. After [`PushError::Full`], where the connection lives on, the same
    /// part may be pushed again.
    ///
    /// ```no_run
    /// # use swio::{Fd, Opcode, PushError, Server};
    /// fn send_log(server: &mut Server, fd: Fd, lines: &[String]) -> Result<(), PushError> {
    ///     let mut opcode = Opcode::Text;
    ///     for line in lines {
    ///         server.push_part(fd, opcode, line.as_bytes(), false)?;
    ///         opcode = Opcode::Continuation;
    ///     }
    ///     server.push_part(fd, opcode, b"", true)
    /// }
    /// ```
    pub fn push_part(&mut self, fd: Fd, opcode: Opcode, bytes: &[u8], finish: bool) -> Result<(), PushError> {
        let Channel::WebSocket { is_unfinished: is_begun, is_labelled, role } = self.channel(fd)? else {
            return Err(PushError::Unsendable);
        };
        let mut text = match (opcode, is_begun) {
            (Opcode::Text, false) => Some(utf8::Validator::default()),
            (Opcode::Binary, false) => None,
            (Opcode::Continuation, true) => self.connections.note(fd).and_then(|note| note.text),
            (Opcode::Text | Opcode::Binary, true) => return Err(PushError::Unfinished),
            _ => return Err(PushError::Unsendable),
        };
        if let Some(text) = &mut text {
            text.push(bytes).map_err(|_| PushError::Unsendable)?;
            if finish {
                text.finish().map_err(|_| PushError::Unsendable)?;
            }
        }
        // It has no labels, which are in front of its first part.
        let labels: &[u8] = if is_labelled && !is_begun { b"\n" } else { b"" };
        let header = header::encode(finish, opcode, labels.len() + bytes.len());
        let written = match role {
            Role::Server => {
                let head = [header.as_slice(), labels].concat();
                self.connections.write(fd, [&head, bytes], Quota::Limited)
            }
            Role::Client => self.write_masked(fd, header, bytes.into(), Quota::Limited),
        };
        written.map_err(|refused| self.refused(fd, refused))?;
        self.stats.messages_sent += u64::from(finish);
        if let Some(websocket) = self.websocket_mut(fd) {
            websocket.marks.set(Marks::UNFINISHED, !finish);
            self.note_text(fd, text.filter(|_| !finish));
        }
        if finish {
            self.release_held_back(fd);
        }
        Ok(())
    }

    /// Keeps where a text was cut until its next part comes.
    fn note_text(&mut self, fd: Fd, text: Option<utf8::Validator>) {
        let note = match text {
            Some(_) => self.connections.note_or_default(fd),
            None => self.connections.note_mut(fd),
        };
        if let Some(note) = note {
            note.text = text;
            self.connections.tidy_note(fd);
        }
    }

    pub(crate) fn push_prepared(
        &mut self,
        fd: Fd,
        prepared: &Prepared,
        labels: Option<&Labels>,
        delivery: Delivery,
    ) -> Result<(), PushError> {
        let quota = Quota::Message(delivery);
        match self.channel(fd)? {
            Channel::WebSocket { is_unfinished: true, .. } => return Err(PushError::Unfinished),
            Channel::WebSocket { role: Role::Server, is_labelled: false, .. } => {}
            // Its frame needs a mask of its own.
            Channel::WebSocket { role: Role::Client, .. } => {
                return self.push_frame(fd, prepared.opcode(), prepared.as_bytes().into(), None, quota);
            }
            Channel::Tcp(framing) => {
                return self.push_package(fd, framing, prepared.as_bytes().into(), quota);
            }
            channel => {
                let message = (prepared.opcode(), prepared.as_bytes());
                return self.push_labelled(fd, &channel, message, labels, quota);
            }
        }
        let written = self.connections.write_encoded(fd, prepared.frame(), delivery);
        written.map_err(|refused| self.refused(fd, refused))?;
        self.stats.messages_sent += 1;
        Ok(())
    }

    /// Sends bytes to a connection of any kind as they are, with no frame around them: behind what was pushed to
    /// it, ahead of what is.
    ///
    /// This is for protocols of your own. To a WebSocket that did not agree to one it is
    /// an error of yours that the client ends the connection for, and on HTTP, ahead of an answer, it is taken for
    /// that answer: never send what a client made up.
    ///
    /// # Errors
    /// [`PushError::Gone`], [`PushError::Closing`] or [`PushError::Full`], as for [`Server::push`];
    /// [`PushError::Unsendable`] to a session of long polling, whose answers are JSON.
    ///
    /// ```no_run
    /// # use swio::{Fd, PushError, Server};
    /// fn early_hints(server: &mut Server, fd: Fd) -> Result<(), PushError> {
    ///     server.send(fd, b"HTTP/1.1 103 Early Hints\r\nLink: </chat.js>; rel=preload\r\n\r\n")
    /// }
    /// ```
    pub fn send(&mut self, fd: Fd, bytes: &[u8]) -> Result<(), PushError> {
        match self.channel(fd) {
            Ok(Channel::LongPolling) => return Err(PushError::Unsendable),
            Ok(_) | Err(PushError::NotWebSocket) => {}
            Err(error) => return Err(error),
        }
        let written = self.connections.write(fd, [bytes, &[]], Quota::Limited);
        written.map_err(|refused| self.refused(fd, refused))
    }
}
