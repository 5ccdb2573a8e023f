//! Notices for clients that speak `swio.1` or poll, and messages that must wait until a message in parts is finished.

use crate::codec::labels::Notice;
use crate::codec::ws::close;
use crate::error::{Cause, PushError};
use crate::fd::Fd;
use crate::net::quota::{Quota, Refused};
use crate::session::Sessions;
use crate::session::fan_out::Reach;
use crate::session::formats::FormatId;
use crate::session::message::Message;

impl Sessions {
    /// Pushes a message to a connection that is catching up. If the connection has labels and a message in parts is
    /// unfinished, it gets this message after that one.
    pub(crate) fn push_in_order(&mut self, fd: Fd, message: Message<'_>) -> Result<(), PushError> {
        let channel = self.channel(fd)?;
        if !channel.is_unfinished || !self.formats[channel.format].has_labels() {
            return self.push_to(fd, channel, message);
        }
        let run = self.formats.run(channel.format, &message).ok_or(PushError::Unsendable)?;
        self.hold_back(fd, run.as_slice())?;
        self.stats.messages_sent += 1;
        Ok(())
    }

    /// Sends a notice to a client that has labels. The notice is certain to be sent while the connection lives: a
    /// connection without room for it is ended.
    pub(crate) fn tell(&mut self, fd: Fd, notice: Notice<'_>) {
        let Ok(channel) = self.channel(fd) else { return };
        let Some(encode) = self.formats[channel.format].notice() else { return };
        let run = encode(notice);
        if channel.is_unfinished {
            self.hold_back(fd, &run).ok();
        } else {
            self.write_certain(fd, run);
        }
    }

    pub(crate) fn write_certain(&mut self, fd: Fd, run: Vec<u8>) {
        if let Err(Refused::Full(_)) = self.connections.write_owned(fd, &[], run, Quota::Control) {
            log::debug!("{fd}: the outbox is full, closing");
            self.finish_with_code(fd, close::TRY_AGAIN_LATER, "slow consumer", Cause::SlowConsumer);
        }
    }

    /// Messages of a history must not be lost silently: WebSockets of `swio.1` that are in the middle of another
    /// message get this one after it.
    pub(crate) fn hold_back_kept(&mut self, message: &Message<'_>, unfinished: Vec<Fd>, reach: &mut Reach) {
        let run =
            self.formats.run(FormatId::LABELLED, message).expect("every message has a form with labels");
        for fd in unfinished {
            match self.hold_back(fd, run.as_slice()) {
                Ok(()) => reach.queued += 1,
                Err(_) => reach.refused += 1,
            }
        }
    }

    /// Keeps frames until the message in parts is finished. They count as memory of incomplete messages.
    fn hold_back(&mut self, fd: Fd, run: &[u8]) -> Result<(), PushError> {
        let room = self.connections.inbound_room();
        let held = self.connections.note(fd).map_or(0, |note| note.held_back.len());
        if held + run.len() > self.config.outbox_bytes_max || run.len() > room {
            log::debug!("{fd}: too much waits for the end of a message in parts, closing");
            self.finish_with_code(fd, close::TRY_AGAIN_LATER, "slow consumer", Cause::SlowConsumer);
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
        let more = held.capacity() - before;
        self.connections.inbound_bytes += more;
        Ok(())
    }

    /// A message in parts is finished: sends what was deferred until then.
    pub(crate) fn flush_held_back(&mut self, fd: Fd) {
        let Some(note) = self.connections.note_mut(fd) else { return };
        let run = std::mem::take(&mut note.held_back);
        self.connections.tidy_note(fd);
        self.connections.inbound_bytes -= run.capacity();
        if !run.is_empty() {
            self.write_certain(fd, run);
        }
    }
}
