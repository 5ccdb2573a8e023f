//! Sending: to one connection, and what a full outbox means. What goes to many is in `broadcast`.

use crate::codec::labels::Labels;
use crate::codec::ws::{Opcode, Role, close, header, utf8};
use crate::config::SlowConsumer;
use crate::error::{Cause, PushError};
use crate::fd::Fd;
use crate::net::output::{Delivery, Quota, Refused};
use crate::server::Server;
use crate::server::api::broadcast::{Broadcast, Target};
use crate::server::api::message::{Content, Message};
use crate::server::channel::Channel;
use std::borrow::Cow;

impl Server {
    /// Sends a message to one connection. Strings go as text, bytes as binary, a received
    /// [`Data`](crate::Data) as what it came as.
    ///
    /// `Ok` means that the message is in the connection's outbox and will be written, in order, unless the
    /// connection ends first; then `on_close` tells. On an error nothing of it is sent.
    ///
    /// # Errors
    /// [`PushError::Gone`], [`PushError::Closing`], [`PushError::NotOpen`], [`PushError::Unfinished`] in the
    /// middle of a message pushed in parts, or [`PushError::Full`] over the limits of
    /// [`Config::outbox_bytes_max`](crate::Config::outbox_bytes_max).
    ///
    /// ```no_run
    /// # use swio::{Fd, PushError, Server};
    /// fn greet(server: &mut Server, fd: Fd) -> Result<(), PushError> {
    ///     server.push(fd, "text")?;
    ///     server.push(fd, format!("you are number {fd}"))?;
    ///     server.push(fd, &[0xca, 0xfe])
    /// }
    /// ```
    pub fn push<'a>(&mut self, fd: Fd, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        let message = message.into();
        let (opcode, delivery) = (message.opcode(), message.delivery());
        let (content, labels) = message.into_content();
        let labels = labels.as_deref();
        match content {
            Content::Bytes(bytes) => self.push_frame(fd, opcode, bytes, labels, Quota::Message(delivery)),
            Content::Prepared(prepared) => self.push_prepared(fd, &prepared, labels, delivery),
        }
    }

    /// Sends bytes with an opcode of your choice: text (they must be UTF-8), binary, ping or pong (at most
    /// 125 bytes).
    ///
    /// # Errors
    /// As for [`Server::push`], and [`PushError::Unsendable`] where opcode and bytes don't go together. A
    /// close frame is [`Server::disconnect`]'s.
    pub fn push_as(&mut self, fd: Fd, opcode: Opcode, bytes: &[u8]) -> Result<(), PushError> {
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

    /// Sends a message to every established connection: [`send`](Broadcast::send) it, perhaps
    /// [`except`](Broadcast::except) to some. It is encoded once, and for raw TCP once for each listener.
    ///
    /// ```no_run
    /// # use swio::{Frame, Server};
    /// fn relay(server: &mut Server, frame: Frame<'_>) {
    ///     server.broadcast(frame.data).except(frame.fd).send();
    /// }
    /// ```
    pub fn broadcast<'a>(&mut self, message: impl Into<Message<'a>>) -> Broadcast<'_, 'a> {
        Broadcast::new(self, Target::All, message.into())
    }
}
