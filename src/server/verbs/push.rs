//! Sending: to one connection, and what a full outbox means. What goes to many is in `broadcast`.

use crate::codec::ws::{Opcode, close, header, utf8};
use crate::config::SlowConsumer;
use crate::error::{Cause, PushError};
use crate::fd::Fd;
use crate::net::outbox::Bytes;
use crate::net::output::{Quota, Refused};
use crate::server::Server;
use crate::server::api::broadcast::{Broadcast, Target};
use crate::server::api::info::Transport;
use crate::server::api::message::Message;
use crate::server::channel::Channel;
use crate::server::formats::{Carrier, FormatId};
use std::borrow::Cow;

impl Server {
    /// Sends a message to one connection. Strings go as text, bytes as binary, a received
    /// [`Data`](crate::Data) as what it came as.
    ///
    /// `Ok` means that the message is in the connection's outbox and will be written, in order, unless the
    /// connection ends first; then `on_close` tells. On an error nothing of it is sent.
    ///
    /// # Errors
    /// [`PushError::Gone`], [`PushError::Closing`], [`PushError::NotWebSocket`], [`PushError::Unfinished`] in the
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
        let channel = self.channel(fd)?;
        self.push_to(fd, channel, message)
    }

    /// Sends bytes with an opcode of your choice: text (they must be UTF-8), binary, ping or pong (at most
    /// 125 bytes). They go as they are, not in the connection's [`Envelope`](crate::Envelope), if it has one.
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
        let channel = self.channel(fd)?;
        if !is_sendable || opcode.is_control() && channel.transport != Transport::WebSocket {
            return Err(PushError::Unsendable);
        }
        if opcode.is_control() {
            let written = self.write_frame(fd, channel.format, opcode, bytes.into(), Quota::Control);
            written.map_err(|refused| self.refused(fd, refused))?;
            self.stats.pings_sent += u64::from(opcode == Opcode::Ping);
            return Ok(());
        }
        let format = self.formats[channel.format].bare;
        self.push_to(fd, Channel { format, ..channel }, Message::new(opcode, bytes))
    }

    /// Pushes a message in the channel's format.
    #[inline]
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
        if channel.format == FormatId::PLAIN && is_alone || channel.format == FormatId::MASKED {
            let (opcode, quota) = (message.opcode(), Quota::Message(message.delivery()));
            return self.push_frame(fd, channel.format, opcode, message.into_bytes(), quota);
        }
        self.push_run(fd, channel, message)
    }

    /// As a WebSocket frame, without a copy of the payload.
    fn push_frame(
        &mut self,
        fd: Fd,
        format: FormatId,
        opcode: Opcode,
        bytes: Cow<'_, [u8]>,
        quota: Quota,
    ) -> Result<(), PushError> {
        let written = self.write_frame(fd, format, opcode, bytes, quota);
        written.map_err(|refused| self.refused(fd, refused))?;
        self.stats.messages_sent += 1;
        Ok(())
    }

    /// As what the format makes of it.
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
            Some(Bytes::Own(run)) => self.connections.write_owned(fd, &[], run, Quota::Message(delivery)),
            Some(Bytes::Shared(run)) => self.connections.write_encoded(fd, &run, delivery),
        };
        written.map_err(|refused| self.refused(fd, refused))?;
        self.stats.messages_sent += 1;
        Ok(())
    }

    /// Queues a WebSocket frame, masked where this side is the client.
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
            bytes if format == FormatId::MASKED => self.write_masked(fd, header, bytes, quota),
            Cow::Borrowed(bytes) => self.connections.write(fd, [header.as_slice(), bytes], quota),
            Cow::Owned(bytes) => self.connections.write_owned(fd, header.as_slice(), bytes, quota),
        }
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
    /// [`except`](Broadcast::except) to some. It is encoded once for each form that a receiver gets it in, such as that
    /// of plain WebSockets, of event streams or of an [`Envelope`](crate::Envelope).
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
