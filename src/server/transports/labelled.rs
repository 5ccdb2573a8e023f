//! Messages with labels: events, messages that wait for a poll, and frames of `swio.1`. They are pushed alike and
//! differ only in how they are encoded. Notices are told to those that have labels in common.

use crate::codec::labels::{self, Labels, Notice};
use crate::codec::sse;
use crate::codec::ws::{Opcode, close};
use crate::error::{Cause, PushError};
use crate::fd::Fd;
use crate::net::output::{Quota, Refused};
use crate::server::api::broadcast::{Reach, Target};
use crate::server::api::message::Message;
use crate::server::census::Kind;
use crate::server::session::{Marks, Session};
use crate::server::{Channel, Server};

struct Encoding {
    message: fn(Option<&Labels>, bool, &[u8]) -> Vec<u8>,
    /// `None`: they know none.
    notice: Option<fn(Notice<'_>) -> Vec<u8>>,
    /// Who is told by it.
    kind: Kind,
}

const EVENTS: Encoding = Encoding { message: sse::encode, notice: None, kind: Kind::EventStream };

const LABELLED_EVENTS: Encoding =
    Encoding { message: labels::event, notice: Some(labels::notice_event), kind: Kind::LabelledEventStream };

const POLLED: Encoding =
    Encoding { message: labels::polled, notice: Some(labels::notice_polled), kind: Kind::LongPolling };

const FRAMES: Encoding =
    Encoding { message: labels::frame, notice: Some(labels::notice_frame), kind: Kind::LabelledWebSocket };

impl Encoding {
    fn run(&self, message: &Message<'_>) -> Vec<u8> {
        let is_binary = message.opcode() == Opcode::Binary;
        (self.message)(message.labels(), is_binary, message.as_bytes())
    }
}

impl Channel {
    /// How messages are encoded where they have labels.
    fn encoding(&self) -> Option<&'static Encoding> {
        match self {
            Channel::WebSocket { is_labelled: true, .. } => Some(&FRAMES),
            Channel::EventStream { is_labelled: false } => Some(&EVENTS),
            Channel::EventStream { is_labelled: true } => Some(&LABELLED_EVENTS),
            Channel::LongPolling => Some(&POLLED),
            Channel::WebSocket { is_labelled: false, .. } | Channel::Tcp(_) => None,
        }
    }

    /// Whether it is in the middle of a message that is pushed in parts.
    fn is_unfinished(&self) -> bool {
        matches!(self, Channel::WebSocket { is_unfinished: true, .. })
    }

    /// Whether its client is told notices, and may subscribe.
    pub(crate) fn has_notices(&self) -> bool {
        self.encoding().is_some_and(|encoding| encoding.notice.is_some())
    }
}

impl Server {
    /// Pushes a message to a connection with labels. In the middle of a message that is pushed in parts it goes
    /// behind that.
    pub(crate) fn push_labelled(
        &mut self,
        fd: Fd,
        channel: &Channel,
        (opcode, bytes): (Opcode, &[u8]),
        labels: Option<&Labels>,
        quota: Quota,
    ) -> Result<(), PushError> {
        let Some(encoding) = channel.encoding().filter(|_| !opcode.is_control()) else {
            return Err(PushError::Unsendable);
        };
        let run = (encoding.message)(labels, opcode == Opcode::Binary, bytes);
        if channel.is_unfinished() {
            self.hold_back(fd, &run)?;
        } else {
            let written = self.connections.write_owned(fd, &[], run, quota);
            written.map_err(|refused| self.refused(fd, refused))?;
        }
        self.stats.messages_sent += 1;
        Ok(())
    }

    /// Tells a client that has labels something beside its messages. It is told for certain while the connection
    /// lives: one that has no room even for this is ended.
    pub(crate) fn tell(&mut self, fd: Fd, notice: Notice<'_>) {
        let Ok(channel) = self.channel(fd) else { return };
        let Some(encode) = channel.encoding().and_then(|encoding| encoding.notice) else { return };
        let run = encode(notice);
        if channel.is_unfinished() {
            self.hold_back(fd, &run).ok();
        } else {
            self.write_certain(fd, run);
        }
    }

    pub(crate) fn write_certain(&mut self, fd: Fd, run: Vec<u8>) {
        if let Err(Refused::Full(_)) = self.connections.write_owned(fd, &[], run, Quota::Control) {
            log::debug!("{fd}: the outbox is full, closing");
            self.fail(fd, close::TRY_AGAIN_LATER, "slow consumer", Cause::SlowConsumer);
        }
    }

    /// Queues a message for all of those that are meant who have labels.
    pub(crate) fn fan_out_labelled(
        &mut self,
        target: Target,
        message: &Message<'_>,
        except: &[Fd],
        reach: &mut Reach,
    ) {
        for encoding in [&FRAMES, &EVENTS, &LABELLED_EVENTS, &POLLED] {
            if self.census[encoding.kind] == 0 {
                continue;
            }
            let run = encoding.run(message);
            let reached = self.fan_out(target, &run, None, message.delivery(), |fd, connection| {
                connection.session.kind() == Some(encoding.kind)
                    && !is_unfinished(&connection.session)
                    && !except.contains(&fd)
            });
            reach.queued += reached.queued;
            reach.refused += reached.refused;
        }
    }

    /// A message of a history may not be missed without a word: whoever is in the middle of another gets it behind
    /// that.
    pub(crate) fn hold_back_kept(&mut self, message: &Message<'_>, unfinished: Vec<Fd>, reach: &mut Reach) {
        let run = FRAMES.run(message);
        for fd in unfinished {
            match self.hold_back(fd, &run) {
                Ok(()) => reach.queued += 1,
                Err(_) => reach.refused += 1,
            }
        }
    }

    /// Keeps frames for when the message that is pushed in parts is finished. It counts as what is only partly here.
    fn hold_back(&mut self, fd: Fd, run: &[u8]) -> Result<(), PushError> {
        let (held, room) = (
            self.connections.note(fd).map_or(0, |note| note.held_back.len()),
            self.connections.inbound_room(),
        );
        if held + run.len() > self.config.outbox_bytes_max || run.len() > room {
            log::debug!("{fd}: too much has to go behind a message in parts, closing");
            self.fail(fd, close::TRY_AGAIN_LATER, "slow consumer", Cause::SlowConsumer);
            return Err(PushError::Full);
        }
        let note = self.connections.note_or_default(fd).ok_or(PushError::Gone)?;
        let held = &mut note.held_back;
        let (before, needed) = (held.capacity(), held.len() + run.len());
        if needed > before {
            // Little of what others may need more.
            held.reserve_exact((2 * before).min(needed + room / 8).max(needed) - held.len());
        }
        held.extend_from_slice(run);
        let more = held.capacity() - before;
        self.connections.inbound_bytes += more;
        Ok(())
    }

    /// A message that was pushed in parts is finished: what had to go behind it goes now.
    pub(crate) fn release_held_back(&mut self, fd: Fd) {
        let Some(note) = self.connections.note_mut(fd) else { return };
        let run = std::mem::take(&mut note.held_back);
        self.connections.tidy_note(fd);
        self.connections.inbound_bytes -= run.capacity();
        if !run.is_empty() {
            self.write_certain(fd, run);
        }
    }
}

fn is_unfinished(session: &Session) -> bool {
    matches!(session, Session::WebSocket(websocket) if websocket.marks.has(Marks::UNFINISHED))
}
