//! Raw TCP connections: packages out of their bytes to the handler, and messages to them as packages.

use crate::codec::tcp::{Error, Framer, Framing, Limits, Package};
use crate::codec::ws::close;
use crate::error::{Cause, CloseReason, PushError, Side};
use crate::fd::Fd;
use crate::net::Admission;
use crate::net::connection::Flags;
use crate::net::output::Quota;
use crate::session::Sessions;
use crate::session::fan_out::Reach;
use crate::session::message::Message;
use crate::session::route::Route;
use crate::session::state::{HeldPackage, Session};
use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;
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

/// What the bytes of a raw TCP connection came to.
pub(crate) enum TcpRead {
    /// Nothing whole yet; so many bytes were used.
    More(usize),
    /// A package: where it is in the bytes, of which so many were used.
    Package(usize, Range<usize>),
    /// A package that was held: its bytes, and where it is in them.
    Held(usize, Box<HeldPackage>, Range<usize>),
    /// The rest is for later, or for nobody.
    Stop,
    Broken(Error),
}

impl Sessions {
    /// Takes a new connection in; false where it may not stay.
    pub(crate) fn accept_tcp(&mut self, fd: Fd, framing: u8, admission: Admission) -> bool {
        if admission != Admission::Welcome {
            log::debug!("{fd}: turned away: {admission:?}");
            let reason =
                CloseReason::new(Side::Local, close::TRY_AGAIN_LATER, "", Cause::Overload("too many"));
            self.connections.finish(fd, reason);
            return false;
        }
        self.change_session(fd, |session| *session = Session::Tcp(framing));
        self.watch(fd);
        if self.policy(Route::tcp(framing)).delay_receive {
            self.pause(fd);
        }
        true
    }

    /// Takes the next package, or a part of one, from the start of `bytes`.
    pub(crate) fn tcp_read(&mut self, fd: Fd, bytes: &[u8]) -> TcpRead {
        let room = self.connections.inbound_room();
        let Some(connection) = self.connections.open_mut(fd) else { return TcpRead::Stop };
        if connection.flags.has(Flags::SUSPENDED) {
            return if self.keep(fd, bytes) { TcpRead::Stop } else { TcpRead::Broken(Error::NoRoom) };
        }
        let route = connection.session.route().unwrap_or_default();
        let limits = Limits { package_bytes_max: self.paths.policy(route).message_bytes_max, room };
        match &mut connection.session {
            Session::Tcp(framing) => {
                let framing = *framing;
                match self.tcp.framers[usize::from(framing)].whole(bytes, &limits) {
                    Ok(Some((used, data))) => TcpRead::Package(used, data),
                    Ok(None) => {
                        self.set_session(fd, Session::TcpHeld(HeldPackage::boxed(framing)));
                        TcpRead::More(0)
                    }
                    Err(error) => TcpRead::Broken(error),
                }
            }
            Session::TcpHeld(_) => self.held_bytes(fd, bytes, &limits),
            _ => TcpRead::Stop,
        }
    }

    /// More of a package that is only partly here.
    fn held_bytes(&mut self, fd: Fd, bytes: &[u8], limits: &Limits) -> TcpRead {
        let Some(Session::TcpHeld(held)) = self.connections.session_mut(fd) else { return TcpRead::Stop };
        let framing = held.framing;
        let before = held.partial.held_bytes();
        let step = held.partial.step(&self.tcp.framers[usize::from(framing)], bytes, limits);
        let after = held.partial.held_bytes();
        self.connections.inbound_bytes = self.connections.inbound_bytes + after - before;
        match step {
            Ok((used, None)) => TcpRead::More(used),
            Ok((used, Some(data))) => match self.set_session(fd, Session::Tcp(framing)) {
                Some(Session::TcpHeld(held)) => TcpRead::Held(used, held, data),
                _ => TcpRead::More(used),
            },
            Err(error) => TcpRead::Broken(error),
        }
    }

    /// Puts another session in place; what either holds is counted.
    fn set_session(&mut self, fd: Fd, session: Session) -> Option<Session> {
        let after = session.held_bytes();
        let before = std::mem::replace(self.connections.session_mut(fd)?, session);
        self.connections.inbound_bytes = self.connections.inbound_bytes + after - before.held_bytes();
        Some(before)
    }

    /// Counts a package that is to be delivered: whether it is within the connection's rate.
    pub(crate) fn count_package(&mut self, fd: Fd) -> bool {
        if let Some(connection) = self.connections.open_mut(fd)
            && let Some(framing) = connection.session.framing()
            // Without packages there is nothing to count: how much comes at a time is the network's doing.
            && !matches!(self.tcp.framers[usize::from(framing)], Framer::None)
            && !connection.meter.take_messages(1, &self.paths.policy(Route::tcp(framing)).rates)
        {
            self.stats.refusals.message_rate += 1;
            return false;
        }
        self.stats.messages_received += 1;
        true
    }
}

/// The close code, which no client sees, of a framing error.
pub(crate) fn framing_code(error: Error) -> u16 {
    match error {
        Error::TooBig => close::TOO_BIG,
        Error::LengthTooShort => close::PROTOCOL_ERROR,
        Error::NoRoom => close::TRY_AGAIN_LATER,
    }
}

impl Sessions {
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
        indices: impl Iterator<Item = u32> + Clone,
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
            let reached = self.fan_out_run(indices.clone(), bytes, None, delivery, |connection| {
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
