//! Messages that are pushed in parts, and what must wait until such a message is finished.

use crate::codec::ws::{Opcode, header, utf8};
use crate::error::PushError;
use crate::fd::Fd;
use crate::net::quota::Quota;
use crate::session::Sessions;
use crate::session::channel::Channel;
use crate::session::fan_out::Reach;
use crate::session::formats::FormatId;
use crate::session::info::Transport;
use crate::session::message::Message;
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
        self.counters.messages_sent += u64::from(finish);
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

    /// Pushes a message to a connection that is catching up. If the connection has labels and a message in parts is
    /// unfinished, it gets this message after that one.
    pub(crate) fn push_in_order(&mut self, fd: Fd, message: Message<'_>) -> Result<(), PushError> {
        let channel = self.channel(fd)?;
        if !channel.is_unfinished || !self.formats[channel.format].has_labels() {
            return self.push_to(fd, channel, message);
        }
        let run = self.formats.run(channel.format, &message).ok_or(PushError::Unsendable)?;
        self.hold_back(fd, run.as_slice()).inspect_err(|_| self.counters.refusals.pushes += 1)?;
        self.counters.messages_sent += 1;
        Ok(())
    }

    /// Messages of a history must not be lost silently: WebSockets of `swio.1` that are in the middle of another
    /// message get this one after it.
    pub(crate) fn hold_back_kept(&mut self, message: &Message<'_>, unfinished: Vec<Fd>, reach: &mut Reach) {
        let run =
            self.formats.run(FormatId::LABELLED, message).expect("every message has a form with labels");
        for fd in unfinished {
            match self.hold_back(fd, run.as_slice()) {
                Ok(()) => reach.queued += 1,
                Err(_) => {
                    self.counters.refusals.pushes += 1;
                    reach.refused += 1;
                }
            }
        }
    }

    /// Keeps frames until the message in parts is finished. They count as memory of incomplete messages.
    pub(crate) fn hold_back(&mut self, fd: Fd, run: &[u8]) -> Result<(), PushError> {
        let room = self.connections.inbound_room(fd);
        let held = self.connections.note(fd).map_or(0, |note| note.held_back.len());
        if held + run.len() > self.config.outbox_bytes_max || run.len() > room {
            self.close_slow(fd, "too much waits for the end of a message in parts");
            return Err(PushError::Full);
        }
        let note = self.connections.note_or_default(fd).ok_or(PushError::Gone)?;
        let held = &mut note.held_back;
        let (before, needed) = (held.capacity(), held.len() + run.len());
        if needed > before {
            // Do not reserve much of the memory that connections share.
            held.reserve_exact((2 * before).min(needed + room / 8).max(needed) - held.len());
        }
        held.extend_from_slice(run);
        let after = held.capacity();
        self.connections.inbound_changed(fd, before, after);
        Ok(())
    }

    /// A message in parts is finished: sends what was deferred until then.
    pub(crate) fn flush_held_back(&mut self, fd: Fd) {
        let Some(note) = self.connections.note_mut(fd) else { return };
        let run = std::mem::take(&mut note.held_back);
        self.connections.tidy_note(fd);
        self.connections.inbound_changed(fd, run.capacity(), 0);
        if !run.is_empty() {
            self.write_certain(fd, run);
        }
    }
}
