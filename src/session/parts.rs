//! The rarer ways to send: a message in parts, and raw bytes.

use crate::codec::ws::{Opcode, header, utf8};
use crate::error::PushError;
use crate::fd::Fd;
use crate::net::quota::Quota;
use crate::session::Sessions;
use crate::session::channel::Channel;
use crate::session::info::Transport;
use crate::session::state::Marks;

impl Sessions {
    pub(crate) fn push_part(
        &mut self,
        fd: Fd,
        opcode: Opcode,
        bytes: &[u8],
        finish: bool,
    ) -> Result<(), PushError> {
        let Channel { transport: Transport::WebSocket, format, is_unfinished: is_begun } =
            self.channel(fd)?
        else {
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
        let labels = if is_begun { b"" } else { format.head_of_parts() };
        let header = header::encode(finish, opcode, labels.len() + bytes.len());
        let written = if format.is_masked() {
            self.write_masked(fd, header, bytes.into(), Quota::Limited)
        } else {
            let head = [header.as_slice(), labels].concat();
            self.connections.write(fd, [&head, bytes], Quota::Limited)
        };
        written.map_err(|refused| self.refused(fd, refused))?;
        self.stats.messages_sent += u64::from(finish);
        if let Some(websocket) = self.websocket_mut(fd) {
            websocket.marks.set(Marks::UNFINISHED, !finish);
            self.note_text(fd, text.filter(|_| !finish));
        }
        if finish {
            self.flush_held_back(fd);
        }
        Ok(())
    }

    /// Keeps the UTF-8 state at the end of a part until the next part comes.
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

    pub(crate) fn send(&mut self, fd: Fd, bytes: &[u8]) -> Result<(), PushError> {
        match self.transport(fd) {
            Ok(Transport::LongPolling | Transport::Session) => return Err(PushError::Unsendable),
            Ok(_) | Err(PushError::NotOpen) => {}
            Err(error) => return Err(error),
        }
        let written = self.connections.write(fd, [bytes, &[]], Quota::Limited);
        written.map_err(|refused| self.refused(fd, refused))
    }
}
