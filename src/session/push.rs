//! Sending to one connection, and what happens if its outbox is full. Sending to many is in `fan_out`.

use crate::codec::ws::header::{ControlFrame, EncodedHeader};
use crate::codec::ws::{Opcode, Role, header, mask, utf8};
use crate::config::SlowConsumer;
use crate::error::PushError;
use crate::fd::Fd;
use crate::net::outbox::Bytes;
use crate::net::quota::{Quota, Refused};
use crate::session::Sessions;
use crate::session::carrier::Carrier;
use crate::session::channel::Channel;
use crate::session::formats::FormatId;
use crate::session::info::Transport;
use crate::session::message::Message;
use std::borrow::Cow;

impl Sessions {
    pub(crate) fn push(&mut self, fd: Fd, message: Message<'_>) -> Result<(), PushError> {
        let channel = self.channel(fd)?;
        self.push_to(fd, channel, message)
    }

    pub(crate) fn push_as(&mut self, fd: Fd, opcode: Opcode, bytes: &[u8]) -> Result<(), PushError> {
        let is_sendable = match opcode {
            Opcode::Text => utf8::check(bytes).is_ok(),
            Opcode::Binary => true,
            Opcode::Ping | Opcode::Pong => bytes.len() <= header::CONTROL_MAX,
            Opcode::Close | Opcode::Continuation => false,
        };
        let channel = self.channel(fd)?;
        if !is_sendable || opcode.is_control() && channel.transport != Transport::WebSocket {
            return Err(PushError::Unsendable);
        }
        if opcode.is_control() {
            let written = self.write_frame(fd, channel.format, opcode, bytes.into(), Quota::Control);
            written.map_err(|refused| self.refused(fd, refused))?;
            self.counters.pings_sent += u64::from(opcode == Opcode::Ping);
            return Ok(());
        }
        let format = self.formats[channel.format].bare;
        self.push_to(fd, Channel { format, ..channel }, Message::new(opcode, bytes))
    }

    /// Pushes a message in the channel's format.
    #[inline(always)]
    pub(crate) fn push_to(
        &mut self,
        fd: Fd,
        channel: Channel,
        message: Message<'_>,
    ) -> Result<(), PushError> {
        if channel.is_unfinished {
            return Err(PushError::Unfinished);
        }
        let is_alone = message.prepared().is_none();
        if channel.format == FormatId::PLAIN && is_alone || channel.format.is_masked() {
            let (opcode, quota) = (message.opcode(), Quota::Message(message.delivery()));
            // A WebSocket frame, without a copy of the payload.
            let written = self.write_frame(fd, channel.format, opcode, message.into_bytes(), quota);
            written.map_err(|refused| self.refused(fd, refused))?;
            self.counters.messages_sent += 1;
            return Ok(());
        }
        self.push_run(fd, channel, message)
    }

    /// Pushes the bytes that a message is in the channel's format.
    fn push_run(&mut self, fd: Fd, channel: Channel, message: Message<'_>) -> Result<(), PushError> {
        let Channel { transport, format, .. } = channel;
        let delivery = message.delivery();
        let own = &self.formats[format];
        if let Carrier::Tcp(framer) = &own.carrier
            && own.bare == format
            && message.prepared().is_none()
        {
            let framer = framer.clone();
            return self.push_package(fd, &framer, message.into_bytes(), Quota::Message(delivery));
        }
        let written = match self.formats.run(format, &message) {
            None => {
                log::debug!("{fd}: a message that has no form by {transport:?} is not sent");
                return Err(PushError::Unsendable);
            }
            Some(run) if run.as_slice().is_empty() => return Ok(()),
            Some(Bytes::Shared(run)) => self.connections.write_encoded(fd, &run, delivery),
            Some(run) => self.connections.write_owned(fd, &[], run, Quota::Message(delivery)),
        };
        written.map_err(|refused| self.refused(fd, refused))?;
        self.counters.messages_sent += 1;
        Ok(())
    }

    /// Queues a WebSocket frame, masked if this side is the client.
    #[inline]
    fn write_frame(
        &mut self,
        fd: Fd,
        format: FormatId,
        opcode: Opcode,
        bytes: Cow<'_, [u8]>,
        quota: Quota,
    ) -> Result<(), Refused> {
        let header = header::encode(true, opcode, bytes.len());
        match bytes {
            bytes if format.is_masked() => self.write_masked(fd, header, bytes, quota),
            Cow::Borrowed(bytes) => self.connections.write(fd, [header.as_slice(), bytes], quota),
            Cow::Owned(bytes) => self.connections.write_owned(fd, header.as_slice(), bytes.into(), quota),
        }
    }

    /// Turns a refused write into the caller's error. If the outbox is full, applies the policy.
    pub(crate) fn refused(&mut self, fd: Fd, refused: Refused) -> PushError {
        match refused {
            Refused::Gone => PushError::Gone,
            Refused::Closing => PushError::Closing,
            Refused::Full(policy) => {
                self.counters.refusals.pushes += 1;
                if policy == SlowConsumer::Close {
                    self.close_slow(fd, "the outbox is full");
                }
                PushError::Full
            }
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, fd: Fd, bytes: &[u8]) -> Result<(), PushError> {
        match self.transport(fd) {
            Ok(Transport::LongPolling | Transport::Session) => return Err(PushError::Unsendable),
            Ok(_) | Err(PushError::NotOpen) => {}
            Err(error) => return Err(error),
        }
        let written = self.connections.write(fd, [bytes, &[]], Quota::Limited);
        written.map_err(|refused| self.refused(fd, refused))
    }

    pub(crate) fn write_masked(
        &mut self,
        fd: Fd,
        header: EncodedHeader,
        bytes: Cow<'_, [u8]>,
        quota: Quota,
    ) -> Result<(), Refused> {
        // RFC 6455 §5.3: each frame has its own key, which nobody can predict.
        let key = self.random.bytes();
        let mut bytes = bytes.into_owned();
        mask::apply(&mut bytes, key);
        self.connections.write_owned(fd, header.masked(key).as_slice(), bytes.into(), quota)
    }

    /// A control frame, masked if this side is the client.
    pub(crate) fn control_frame(&mut self, fd: Fd, opcode: Opcode, payload: &[u8]) -> ControlFrame {
        let key = (self.role(fd) == Role::Client).then(|| self.random.bytes());
        ControlFrame::new(opcode, payload, key)
    }
}
