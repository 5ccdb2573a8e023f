//! Sending to one connection, and what a full outbox means.

use crate::codec::labels::Labels;
use crate::codec::ws::header::{ControlFrame, Encoded};
use crate::codec::ws::{Opcode, Role, close, header, mask, utf8};
use crate::config::SlowConsumer;
use crate::error::{Cause, PushError};
use crate::fd::Fd;
use crate::net::output::{Delivery, Quota, Refused};
use crate::session::Sessions;
use crate::session::channel::Channel;
use crate::session::message::{Content, Message};
use std::borrow::Cow;

impl Sessions {
    pub(crate) fn push(&mut self, fd: Fd, message: Message<'_>) -> Result<(), PushError> {
        let (opcode, delivery) = (message.opcode(), message.delivery());
        let (content, labels) = message.into_content();
        let labels = labels.as_deref();
        match content {
            Content::Bytes(bytes) => self.push_frame(fd, opcode, bytes, labels, Quota::Message(delivery)),
            Content::Prepared(prepared) => self.push_prepared(fd, &prepared, labels, delivery),
        }
    }

    pub(crate) fn push_as(&mut self, fd: Fd, opcode: Opcode, bytes: &[u8]) -> Result<(), PushError> {
        let is_sendable = match opcode {
            Opcode::Text => utf8::check(bytes).is_ok(),
            Opcode::Binary => true,
            Opcode::Ping | Opcode::Pong => bytes.len() <= header::CONTROL_MAX,
            Opcode::Close | Opcode::Continuation => false,
        };
        if !is_sendable {
            return Err(PushError::Unsendable);
        }
        let quota = if opcode.is_control() { Quota::Control } else { Quota::Message(Delivery::default()) };
        self.push_frame(fd, opcode, Cow::Borrowed(bytes), None, quota)
    }

    pub(crate) fn push_frame(
        &mut self,
        fd: Fd,
        opcode: Opcode,
        bytes: Cow<'_, [u8]>,
        labels: Option<&Labels>,
        quota: Quota,
    ) -> Result<(), PushError> {
        let role = match self.channel(fd)? {
            Channel::WebSocket { is_unfinished: false, is_labelled: false, role } => role,
            Channel::WebSocket { role, .. } if opcode.is_control() => role,
            Channel::WebSocket { is_unfinished: true, .. } => return Err(PushError::Unfinished),
            Channel::Tcp(framing) => return self.push_package(fd, framing, bytes, quota),
            channel => return self.push_labelled(fd, &channel, (opcode, &bytes), labels, quota),
        };
        let header = header::encode(true, opcode, bytes.len());
        let written = match (role, bytes) {
            (Role::Client, bytes) => self.write_masked(fd, header, bytes, quota),
            (_, Cow::Borrowed(bytes)) => self.connections.write(fd, [header.as_slice(), bytes], quota),
            (_, Cow::Owned(bytes)) => self.connections.write_owned(fd, header.as_slice(), bytes, quota),
        };
        match (written, opcode) {
            (Ok(()), Opcode::Ping) => self.stats.pings_sent += 1,
            (Ok(()), Opcode::Pong) => {}
            (Ok(()), _) => self.stats.messages_sent += 1,
            (Err(refused), _) => return Err(self.refused(fd, refused)),
        }
        Ok(())
    }

    /// Turns a refused write into the caller's error, and a full outbox into what the policy wants.
    pub(crate) fn refused(&mut self, fd: Fd, refused: Refused) -> PushError {
        match refused {
            Refused::Gone => PushError::Gone,
            Refused::Closing => PushError::Closing,
            Refused::Full(policy) => {
                self.stats.refusals.pushes += 1;
                if policy == SlowConsumer::Close {
                    log::debug!("{fd}: the outbox is full, closing");
                    self.fail(fd, close::TRY_AGAIN_LATER, "slow consumer", Cause::SlowConsumer);
                }
                PushError::Full
            }
        }
    }

    pub(crate) fn write_masked(
        &mut self,
        fd: Fd,
        header: Encoded,
        bytes: Cow<'_, [u8]>,
        quota: Quota,
    ) -> Result<(), Refused> {
        // RFC 6455 §5.3: a key of its own for each frame, which nobody can foretell.
        let key = self.random.bytes();
        let mut bytes = bytes.into_owned();
        mask::apply(&mut bytes, key);
        self.connections.write_owned(fd, header.masked(key).as_slice(), bytes, quota)
    }

    /// A control frame, masked where this side is the client.
    pub(crate) fn control_frame(&mut self, fd: Fd, opcode: Opcode, payload: &[u8]) -> ControlFrame {
        let key = (self.role(fd) == Role::Client).then(|| self.random.bytes());
        ControlFrame::new(opcode, payload, key)
    }
}
