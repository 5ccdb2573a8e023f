//! Raw TCP connections: cutting their bytes into packages for the handler, and sending messages as packages.

use crate::codec::tcp::{Framer, Package, PackageError, PackageLimits};
use crate::codec::ws::close;
use crate::error::{Cause, CloseReason, PushError, Side};
use crate::fd::Fd;
use crate::net::Admission;
use crate::net::connection::Flags;
use crate::net::quota::Quota;
use crate::session::Sessions;
use crate::session::formats::FormatId;
use crate::session::route::Route;
use crate::session::state::{HeldPackage, RawTcp, Session};
use std::borrow::Cow;
use std::ops::Range;

/// What the start of the bytes of a raw TCP connection is.
pub(crate) enum TcpRead {
    /// Nothing complete yet; this many bytes were used.
    More(usize),
    /// A package: how many bytes were used, and where in them it is.
    Package(usize, Range<usize>),
    /// A package that was held: how many bytes were used, the held bytes, and where in these it is.
    Held(usize, Box<HeldPackage>, Range<usize>),
    /// The rest is kept for later, or ignored.
    Stop,
    Broken(PackageError),
}

impl Sessions {
    /// Accepts a new connection; false if it may not stay.
    pub(crate) fn accept_tcp(&mut self, fd: Fd, framing: u8, admission: Admission) -> bool {
        if admission != Admission::Welcome || !self.admit_connect(fd) {
            log::debug!("{fd}: turned away: {admission:?}");
            let reason =
                CloseReason::new(Side::Local, close::TRY_AGAIN_LATER, "", Cause::Overload("too many"));
            self.connections.finish(fd, reason);
            return false;
        }
        let tcp = RawTcp { route: Route::tcp(framing), format: FormatId::of_listener(framing) };
        self.change_session(fd, |session| *session = Session::Tcp(tcp));
        self.watch(fd);
        if self.policy(tcp.route).delay_receive {
            self.pause(fd);
        }
        true
    }

    /// Takes the next package, or a part of one, from the start of `bytes`.
    pub(crate) fn tcp_read(&mut self, fd: Fd, bytes: &[u8]) -> TcpRead {
        let room = self.connections.inbound_room(fd);
        let Some(connection) = self.connections.open_mut(fd) else { return TcpRead::Stop };
        if connection.flags.has(Flags::PAUSED_BY_USER) {
            return if self.keep(fd, bytes) { TcpRead::Stop } else { TcpRead::Broken(PackageError::NoRoom) };
        }
        let route = connection.session.route().unwrap_or_default();
        let limits = PackageLimits { package_bytes_max: self.paths.policy(route).message_bytes_max, room };
        match &mut connection.session {
            Session::Tcp(tcp) => {
                let tcp = *tcp;
                match self.formats.framer(tcp.format).whole(bytes, &limits) {
                    Ok(Some((used, data))) => TcpRead::Package(used, data),
                    Ok(None) => {
                        self.set_session(fd, Session::TcpHeld(HeldPackage::boxed(tcp)));
                        self.begin_arrival(fd);
                        TcpRead::More(0)
                    }
                    Err(error) => TcpRead::Broken(error),
                }
            }
            Session::TcpHeld(_) => self.read_held(fd, bytes, &limits),
            _ => TcpRead::Stop,
        }
    }

    /// Takes more bytes of an incomplete package.
    fn read_held(&mut self, fd: Fd, bytes: &[u8], limits: &PackageLimits) -> TcpRead {
        let Some(Session::TcpHeld(held)) = self.connections.session_mut(fd) else { return TcpRead::Stop };
        let tcp = held.tcp;
        let before = held.partial.held_bytes();
        let step = held.partial.step(self.formats.framer(tcp.format), bytes, limits);
        let after = held.partial.held_bytes();
        self.connections.inbound_changed(fd, before, after);
        match step {
            Ok((used, None)) => TcpRead::More(used),
            Ok((used, Some(data))) => match self.set_session(fd, Session::Tcp(tcp)) {
                Some(Session::TcpHeld(held)) => TcpRead::Held(used, held, data),
                _ => TcpRead::More(used),
            },
            Err(error) => TcpRead::Broken(error),
        }
    }

    /// Puts another session in place, and updates the count of held memory. Returns the old session.
    fn set_session(&mut self, fd: Fd, session: Session) -> Option<Session> {
        let after = session.held_bytes();
        let before = std::mem::replace(self.connections.session_mut(fd)?, session);
        self.connections.inbound_changed(fd, before.held_bytes(), after);
        Some(before)
    }

    /// Counts a package that is to be delivered. Returns whether it is within the connection's rate.
    pub(crate) fn count_package(&mut self, fd: Fd) -> bool {
        if let Some(connection) = self.connections.open_mut(fd)
            && let Some(format) = connection.session.format()
            && let Some(route) = connection.session.route()
            // Without packages there is nothing to count: the network decides how much comes at a time.
            && !matches!(self.formats.framer(format), Framer::None)
            && !connection.meter.take_messages(1, &self.paths.policy(route).rates)
        {
            self.counters.refusals.message_rate += 1;
            return false;
        }
        self.counters.messages_received += 1;
        true
    }

    /// Pushes a package without copying its payload, if the framing leaves the payload as it is.
    pub(crate) fn push_package(
        &mut self,
        fd: Fd,
        framer: &Framer,
        bytes: Cow<'_, [u8]>,
        quota: Quota,
    ) -> Result<(), PushError> {
        let Some(Package { head, body, mark }) = framer.frame(bytes) else {
            // Logged too: the error of a push is easily overlooked, and then the message is simply missing.
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
                self.connections.write_owned(fd, head.as_slice(), body.into(), quota)
            }
        };
        written.map_err(|refused| self.refused(fd, refused))?;
        self.counters.messages_sent += 1;
        Ok(())
    }
}
