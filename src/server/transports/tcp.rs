//! Raw TCP connections: packages out of their bytes to the handler, and messages to them as packages.

use crate::codec::tcp::{Framer, Framing, Package, PackageError, PackageLimits};
use crate::codec::ws::close;
use crate::error::{Cause, CloseReason, PushError, Side};
use crate::fd::Fd;
use crate::net::Admission;
use crate::net::connection::Flags;
use crate::net::output::Quota;
use crate::server::Server;
use crate::server::api::broadcast::{Reach, Target};
use crate::server::api::message::Message;
use crate::server::api::routes::Route;
use crate::server::dispatch::Dispatch;
use crate::server::session::{HeldPackage, Session};
use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

/// What a server has for its raw TCP connections.
#[derive(Debug, Default)]
pub(crate) struct Tcp {
    /// One for each listener.
    framers: Rc<[Framer]>,
}

impl Tcp {
    pub(crate) fn new(framings: &[Framing]) -> Tcp {
        Tcp { framers: framings.iter().map(Framer::new).collect() }
    }
}

impl Dispatch {
    pub(crate) fn tcp_accepted(&mut self, fd: Fd, framing: u8, admission: Admission) {
        if admission != Admission::Welcome {
            log::debug!("{fd}: turned away: {admission:?}");
            let reason =
                CloseReason::new(Side::Local, close::TRY_AGAIN_LATER, "", Cause::Overload("too many"));
            return self.server.connections.finish(fd, reason);
        }
        self.server.change_session(fd, |session| *session = Session::Tcp(framing));
        self.server.watch(fd);
        if self.server.config.delay_receive {
            self.server.pause(fd);
        }
        self.call("on_connect", Route::ROOT, Some(fd), |handler, server| handler.on_connect(server, fd));
    }

    pub(crate) fn tcp_bytes(&mut self, fd: Fd, mut bytes: &[u8]) {
        let framers = self.server.tcp.framers.clone();
        while !bytes.is_empty() {
            let limits = PackageLimits {
                package_bytes_max: self.server.config.message_bytes_max,
                room: self.server.connections.inbound_room(),
            };
            // Looked up anew for each package: a callback may have ended the connection, or paused it.
            let Some(connection) = self.server.connections.open_mut(fd) else { return };
            if connection.flags.has(Flags::SUSPENDED) {
                if !self.keep(fd, bytes) {
                    self.framing_error(fd, PackageError::NoRoom);
                }
                return;
            }
            let step = match &mut connection.session {
                Session::Tcp(framing) => {
                    let framing = *framing;
                    let framer = &framers[usize::from(framing)];
                    match framer.whole(bytes, &limits) {
                        Ok(Some((used, data))) => {
                            self.receive(fd, framer, &bytes[data]);
                            Ok(used)
                        }
                        Ok(None) => {
                            self.set_session(fd, Session::TcpHeld(HeldPackage::boxed(framing)));
                            Ok(0)
                        }
                        Err(error) => Err(error),
                    }
                }
                Session::TcpHeld(_) => self.held_bytes(fd, &framers, bytes, &limits),
                _ => return,
            };
            match step {
                Ok(used) => bytes = &bytes[used..],
                Err(error) => return self.framing_error(fd, error),
            }
        }
    }

    /// More of a package that is only partly here: how many bytes were used.
    fn held_bytes(
        &mut self,
        fd: Fd,
        framers: &[Framer],
        bytes: &[u8],
        limits: &PackageLimits,
    ) -> Result<usize, PackageError> {
        let Some(Session::TcpHeld(held)) = self.server.connections.session_mut(fd) else { return Ok(0) };
        let framing = held.framing;
        let framer = &framers[usize::from(framing)];
        let before = held.partial.held_bytes();
        let step = held.partial.step(framer, bytes, limits);
        let after = held.partial.held_bytes();
        let inbound = &mut self.server.connections.inbound_bytes;
        *inbound = *inbound + after - before;
        let (used, data) = step?;
        if let Some(data) = data
            && let Some(Session::TcpHeld(held)) = self.set_session(fd, Session::Tcp(framing))
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

    fn framing_error(&mut self, fd: Fd, error: PackageError) {
        self.broken(Route::ROOT, fd, error.close_code(), error.what());
    }
}

impl Server {
    pub(crate) fn push_package(
        &mut self,
        fd: Fd,
        framing: u8,
        bytes: Cow<'_, [u8]>,
        quota: Quota,
    ) -> Result<(), PushError> {
        if !matches!(quota, Quota::Message(_)) {
            return Err(PushError::Unsendable);
        }
        let framers = self.tcp.framers.clone();
        let Package { head, body, mark } =
            framers[usize::from(framing)].frame(bytes).ok_or_else(unsendable)?;
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

    /// Queues a message for all raw TCP connections that are meant: framed once for each listener.
    pub(crate) fn fan_out_packages(
        &mut self,
        target: Target,
        message: &Message<'_>,
        except: &[Fd],
        reach: &mut Reach,
    ) {
        let framers = self.tcp.framers.clone();
        for (framing, framer) in framers.iter().enumerate() {
            let package = framer.frame(message.as_bytes().into());
            let run = package.as_ref().map(Package::to_vec);
            let has_run = run.as_ref().is_some_and(|run| !run.is_empty());
            let without_run = Cell::new(0);
            let (bytes, delivery) = (run.as_deref().unwrap_or_default(), message.delivery());
            let reached = self.fan_out(target, bytes, None, delivery, |connection| {
                let is_meant = connection.session.framing().map(usize::from) == Some(framing)
                    && !except.contains(&connection.fd);
                without_run.set(without_run.get() + usize::from(is_meant && !has_run));
                is_meant && has_run
            });
            reach.queued += reached.queued;
            reach.refused += reached.refused;
            // Nothing, on raw TCP, is sent at once.
            *(if run.is_some() { &mut reach.queued } else { &mut reach.unsendable }) += without_run.get();
            if run.is_none() && without_run.get() > 0 {
                unsendable();
            }
        }
    }
}

/// Logged too: what a push answers is easily overlooked, and then all that is missing is the message.
fn unsendable() -> PushError {
    log::debug!("raw TCP: a message with the end mark in it, or too long for its length, is not sent");
    PushError::Unsendable
}
