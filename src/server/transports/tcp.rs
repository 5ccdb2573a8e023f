//! Raw TCP connections: packages out of their bytes to the handler, and messages to them as packages.

use crate::codec::tcp::{Error, Framer, Limits, Package};
use crate::codec::ws::close;
use crate::error::{Cause, CloseReason, PushError, Side};
use crate::fd::Fd;
use crate::net::Admission;
use crate::net::connection::Flags;
use crate::net::output::Quota;
use crate::server::Server;
use crate::server::api::routes::Route;
use crate::server::dispatch::Dispatch;
use crate::server::formats::{Carrier, FormatId};
use crate::server::session::{HeldPackage, Session};
use std::borrow::Cow;
use std::rc::Rc;

impl Dispatch {
    pub(crate) fn tcp_accepted(&mut self, fd: Fd, listener: u8, admission: Admission) {
        if admission != Admission::Welcome {
            log::debug!("{fd}: turned away: {admission:?}");
            let reason =
                CloseReason::new(Side::Local, close::TRY_AGAIN_LATER, "", Cause::Overload("too many"));
            return self.server.connections.finish(fd, reason);
        }
        self.server.change_session(fd, |session| *session = Session::Tcp(FormatId::of_listener(listener)));
        self.server.watch(fd);
        if self.server.config.delay_receive {
            self.server.pause(fd);
        }
        self.call("on_connect", Route::ROOT, Some(fd), |handler, server| handler.on_connect(server, fd));
    }

    pub(crate) fn tcp_bytes(&mut self, fd: Fd, mut bytes: &[u8]) {
        let Some(framer) = self.server.framer(fd) else { return };
        while !bytes.is_empty() {
            let limits = Limits {
                package_bytes_max: self.server.config.message_bytes_max,
                room: self.server.connections.inbound_room(),
            };
            // Looked up anew for each package: a callback may have ended the connection, or paused it.
            let Some(connection) = self.server.connections.open_mut(fd) else { return };
            if connection.flags.has(Flags::SUSPENDED) {
                if !self.keep(fd, bytes) {
                    self.framing_error(fd, Error::NoRoom);
                }
                return;
            }
            let step = match &mut connection.session {
                Session::Tcp(format) => {
                    let format = *format;
                    match framer.whole(bytes, &limits) {
                        Ok(Some((used, data))) => {
                            self.receive(fd, &framer, &bytes[data]);
                            Ok(used)
                        }
                        Ok(None) => {
                            self.set_session(fd, Session::TcpHeld(HeldPackage::boxed(format)));
                            Ok(0)
                        }
                        Err(error) => Err(error),
                    }
                }
                Session::TcpHeld(_) => self.held_bytes(fd, &framer, bytes, &limits),
                _ => return,
            };
            match step {
                Ok(used) => bytes = &bytes[used..],
                Err(error) => return self.framing_error(fd, error),
            }
        }
    }

    /// More of a package that is only partly here: how many bytes were used.
    fn held_bytes(&mut self, fd: Fd, framer: &Framer, bytes: &[u8], limits: &Limits) -> Result<usize, Error> {
        let Some(Session::TcpHeld(held)) = self.server.connections.session_mut(fd) else { return Ok(0) };
        let format = held.format;
        let before = held.partial.held_bytes();
        let step = held.partial.step(framer, bytes, limits);
        let after = held.partial.held_bytes();
        let inbound = &mut self.server.connections.inbound_bytes;
        *inbound = *inbound + after - before;
        let (used, data) = step?;
        if let Some(data) = data
            && let Some(Session::TcpHeld(held)) = self.set_session(fd, Session::Tcp(format))
        {
            self.receive(fd, framer, &held.partial.bytes()[data]);
        }
        Ok(used)
    }

    /// Puts another session in place; what either holds is counted.
    fn set_session(&mut self, fd: Fd, session: Session) -> Option<Session> {
        let after = session.held_bytes();
        let before = std::mem::replace(self.server.connections.session_mut(fd)?, session);
        let inbound = &mut self.server.connections.inbound_bytes;
        *inbound = *inbound + after - before.held_bytes();
        Some(before)
    }

    fn receive(&mut self, fd: Fd, framer: &Framer, data: &[u8]) {
        let rates = self.server.connections.limits.rates;
        // Without packages there is nothing to count: how much comes at a time is the network's doing.
        if let Some(connection) = self.server.connections.open_mut(fd)
            && !matches!(framer, Framer::None)
            && !connection.meter.take_messages(1, &rates)
        {
            self.server.stats.refusals.message_rate += 1;
            return self.rate_limited(Route::ROOT, fd, "too many messages a second");
        }
        self.server.stats.messages_received += 1;
        self.call("on_receive", Route::ROOT, Some(fd), |handler, server| {
            handler.on_receive(server, fd, data)
        });
    }

    fn framing_error(&mut self, fd: Fd, error: Error) {
        let code = match error {
            Error::TooBig => close::TOO_BIG,
            Error::LengthTooShort => close::PROTOCOL_ERROR,
            Error::NoRoom => close::TRY_AGAIN_LATER,
        };
        self.broken(Route::ROOT, fd, code, error.what());
    }
}

impl Server {
    /// Pushes a package without copying its payload, where the framing leaves it as it is.
    pub(crate) fn push_package(
        &mut self,
        fd: Fd,
        framer: &Framer,
        bytes: Cow<'_, [u8]>,
        quota: Quota,
    ) -> Result<(), PushError> {
        let Some(Package { head, body, mark }) = framer.frame(bytes) else {
            // Logged too: what a push answers is easily overlooked, and then all that is missing is the message.
            log::debug!("{fd}: a message with the end mark in it, or too long for its length, is not sent");
            return Err(PushError::Unsendable);
        };
        if head.as_slice().is_empty() && body.is_empty() && mark.is_empty() {
            return Ok(());
        }
        let written = match body {
            Cow::Borrowed(body) if mark.is_empty() => {
                self.connections.write(fd, [head.as_slice(), body], quota)
            }
            Cow::Borrowed(body) => self.connections.write(fd, [body, mark], quota),
            Cow::Owned(mut body) => {
                body.extend_from_slice(mark);
                self.connections.write_owned(fd, head.as_slice(), body, quota)
            }
        };
        written.map_err(|refused| self.refused(fd, refused))?;
        self.stats.messages_sent += 1;
        Ok(())
    }

    /// How the packages of a raw TCP connection that is established are cut.
    fn framer(&self, fd: Fd) -> Option<Rc<Framer>> {
        match &self.formats[self.channel(fd).ok()?.format].carrier {
            Carrier::Tcp(framer) => Some(framer.clone()),
            _ => None,
        }
    }
}
