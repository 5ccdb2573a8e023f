//! Messages with labels: events, messages that wait for a poll, and frames of `swio.1`. They are pushed alike and
//! differ only in how they are encoded. Notices are told to those that have labels in common.

use crate::codec::labels::{self, Labels, Notice};
use crate::codec::sse;
use crate::codec::ws::{Opcode, close};
use crate::error::{Cause, PushError};
use crate::fd::Fd;
use crate::net::output::{Quota, Refused};
use crate::session::Sessions;
use crate::session::census::Kind;
use crate::session::channel::Channel;
use crate::session::fan_out::Reach;
use crate::session::message::Message;
use crate::session::state::{Marks, Session};

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

impl Sessions {
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
        indices: impl Iterator<Item = u32> + Clone,
        message: &Message<'_>,
        except: &[Fd],
        reach: &mut Reach,
    ) {
        for encoding in [&FRAMES, &EVENTS, &LABELLED_EVENTS, &POLLED] {
            if self.census[encoding.kind] == 0 {
                continue;
            }
            let run = encoding.run(message);
            let reached = self.fan_out_run(indices.clone(), &run, None, message.delivery(), |connection| {
                connection.session.kind() == Some(encoding.kind)
                    && !is_unfinished(&connection.session)
                    && !except.contains(&connection.fd)
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
        let (held, room) = (self.held_back.get(&fd).map_or(0, Vec::len), self.connections.inbound_room());
        if held + run.len() > self.config.outbox_bytes_max || run.len() > room {
            log::debug!("{fd}: too much has to go behind a message in parts, closing");
            self.fail(fd, close::TRY_AGAIN_LATER, "slow consumer", Cause::SlowConsumer);
            return Err(PushError::Full);
        }
        let held = self.held_back.entry(fd).or_default();
        let (before, needed) = (held.capacity(), held.len() + run.len());
        if needed > before {
            // Little of what others may need more.
            held.reserve_exact((2 * before).min(needed + room / 8).max(needed) - held.len());
        }
        held.extend_from_slice(run);
        self.connections.inbound_bytes += held.capacity() - before;
        Ok(())
    }

    pub(crate) fn take_held_back(&mut self, fd: Fd) -> Option<Vec<u8>> {
        let held = self.held_back.remove(&fd)?;
        self.connections.inbound_bytes -= held.capacity();
        Some(held)
    }

    /// A message that was pushed in parts is finished: what had to go behind it goes now.
    pub(crate) fn release_held_back(&mut self, fd: Fd) {
        if let Some(run) = self.take_held_back(fd) {
            self.write_certain(fd, run);
        }
    }
}

fn is_unfinished(session: &Session) -> bool {
    matches!(session, Session::WebSocket(websocket) if websocket.marks.has(Marks::UNFINISHED))
}
