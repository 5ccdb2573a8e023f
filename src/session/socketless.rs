//! Sessions without a socket. Whoever carries their bytes opens, reads, acknowledges and ends them: the server's own
//! long polling, or an application with a transport of its own.

use crate::codec::http::Response;
use crate::codec::unit;
use crate::error::{Cause, CloseReason, Side};
use crate::fd::Fd;
use crate::net::connection::Flags;
use crate::net::pace::Pace;
use crate::session::Sessions;
use crate::session::formats::FormatId;
use crate::session::info::Transport;
use crate::session::posting::UNKNOWN;
use crate::session::route::Route;
use crate::session::state::{Awaited, Session, Socketless};
use std::net::SocketAddr;
use std::time::Duration;

/// What a session without a socket has for its client; returned by
/// [`Server::read_output`](crate::Server::read_output).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Output<'a> {
    units: &'a [u8],
    /// Whether there is nothing more.
    pub is_all: bool,
    /// Why the session is ending, if it is. Tell the client along with the last of the output.
    pub end: Option<&'a CloseReason>,
}

impl<'a> Output<'a> {
    /// The messages in order, as the session's envelope encodes them: whether each is binary, and its bytes.
    pub fn iter(&self) -> impl Iterator<Item = (bool, &'a [u8])> + use<'a> {
        unit::iter(self.units)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        unit::count(self.units)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    pub(crate) fn units(&self) -> &'a [u8] {
        self.units
    }
}

impl Socketless {
    /// A session that an application carries.
    pub(crate) fn new(route: Route, address: Option<SocketAddr>, timeout: Duration) -> Socketless {
        Socketless {
            route,
            format: FormatId::of(Transport::Session, false),
            is_poll: false,
            posted: 0,
            address,
            timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1),
            parked: None,
            acknowledged: 0,
            taken: Vec::new(),
            end: None,
            is_behind: false,
        }
    }
}

impl Sessions {
    /// Opens a session that counts for the address of the connection `by`; `None` if there is no room.
    pub(crate) fn open_socketless(&mut self, by: Fd, socketless: Socketless) -> Option<Fd> {
        let session = Session::Socketless(Box::new(socketless));
        let kind = session.counted_as();
        let fd = self.connections.insert_socketless(by, session)?;
        self.census.recount(None, kind);
        self.counters.opened += 1;
        self.watch(fd);
        Some(fd)
    }

    pub(crate) fn socketless_mut(&mut self, fd: Fd) -> Option<&mut Socketless> {
        match self.connections.session_mut(fd)? {
            Session::Socketless(socketless) => Some(socketless),
            _ => None,
        }
    }

    fn socketless(&self, fd: Fd) -> Option<&Socketless> {
        match &self.connections.get(fd)?.session {
            Session::Socketless(socketless) => Some(socketless),
            _ => None,
        }
    }

    /// How long a session lives without a sign of its client.
    pub(crate) fn socketless_timeout(&self, fd: Fd) -> Duration {
        Duration::from_millis(self.socketless(fd).map_or(0, |socketless| socketless.timeout_ms).into())
    }

    /// Notes a sign of the client: its timeout starts again. A session that is ending keeps its old deadline, if its
    /// client takes nothing. Returns false if this is no such session.
    pub(crate) fn touch(&mut self, fd: Fd) -> bool {
        let Some(socketless) = self.socketless(fd) else { return false };
        let lives_on = socketless.end.is_none();
        let heard = self.connections.tick_now();
        if let Some(connection) = self.connections.open_mut(fd) {
            connection.hear(heard);
        }
        if lives_on {
            self.connections.expire_in(fd, self.socketless_timeout(fd));
        }
        true
    }

    /// Counts a message that came by other means. Returns whether it is within the rate.
    pub(crate) fn count_message(&mut self, fd: Fd) -> bool {
        let heard = self.connections.tick_now();
        let Some(connection) = self.connections.open_mut(fd) else { return false };
        let route = connection.session.route().unwrap_or_default();
        connection.hear(heard);
        let is_within = connection.meter.take_messages(1, &self.paths.policy(route).rates);
        match is_within {
            true => self.counters.messages_received += 1,
            false => self.counters.refusals.message_rate += 1,
        }
        is_within
    }

    /// Whether there is something to answer a request with.
    pub(crate) fn has_output(&self, fd: Fd) -> bool {
        let Some(connection) = self.connections.get(fd) else { return false };
        let Session::Socketless(socketless) = &connection.session else { return false };
        connection.queued_bytes() > 0
            || !socketless.taken.is_empty()
            || socketless.end.is_some()
            || socketless.is_behind
    }

    /// Everything that is not acknowledged, up to `bytes_max` bytes, but at least one message.
    pub(crate) fn read_output(&mut self, fd: Fd, bytes_max: usize) -> Option<Output<'_>> {
        let mut taken = std::mem::take(&mut self.socketless_mut(fd)?.taken);
        self.connections.take_queued(fd, &mut taken, unit::len_of_first, bytes_max);
        self.socketless_mut(fd)?.taken = taken;
        let connection = self.connections.get(fd)?;
        let Session::Socketless(socketless) = &connection.session else { return None };
        let is_all = connection.queued_bytes() == 0 && !socketless.is_behind;
        Some(Output { units: &socketless.taken, is_all, end: socketless.end.as_deref() })
    }

    pub(crate) fn is_socketless(&self, fd: Fd) -> bool {
        self.socketless(fd).is_some()
    }

    /// A session is to be sent something that is still in histories.
    pub(crate) fn fall_behind(&mut self, fd: Fd) {
        if let Some(socketless) = self.socketless_mut(fd) {
            socketless.is_behind = true;
            self.connections.tell_has_output(fd);
        }
    }

    /// It has been given all of that.
    pub(crate) fn is_up_to_date(&mut self, fd: Fd) {
        if let Some(socketless) = self.socketless_mut(fd) {
            socketless.is_behind = false;
        }
    }

    /// How much of its output was read and is not acknowledged.
    pub(crate) fn taken_bytes(&self, fd: Fd) -> usize {
        self.socketless(fd).map_or(0, |socketless| socketless.taken.len())
    }

    /// How many messages were acknowledged in all; `None` if this is no such session.
    pub(crate) fn acknowledged(&self, fd: Fd) -> Option<u64> {
        self.socketless(fd).map(|socketless| socketless.acknowledged)
    }

    /// Drops the first messages that were read, because the client has them. Returns false if fewer were read.
    pub(crate) fn acknowledge_output(&mut self, fd: Fd, count: usize) -> bool {
        let Some(socketless) = self.socketless_mut(fd) else { return false };
        if count > unit::count(&socketless.taken) {
            return false;
        }
        if count > 0 {
            socketless.acknowledged += count as u64;
            let mut taken = std::mem::take(&mut socketless.taken);
            let len = unit::start_of(&taken, count);
            self.connections.uncharge_taken(fd, &mut taken, len);
            if let Some(socketless) = self.socketless_mut(fd) {
                socketless.taken = taken;
            }
            self.connections.expire_in(fd, self.socketless_timeout(fd));
        }
        true
    }

    /// A request of the session is answered at once.
    pub(crate) fn note_carrier(&mut self, fd: Fd, by: Fd) {
        if let Some(socketless) = self.socketless_mut(fd) {
            socketless.parked = Some(by);
        }
    }

    /// The connection whose request waits for a session's output.
    pub(crate) fn parked(&self, fd: Fd) -> Option<Fd> {
        let by = self.socketless(fd)?.parked?;
        let Session::Http(http) = self.connections.session(by)? else { return None };
        let waiting = http.waiting()?;
        (waiting.awaited.session() == Some(fd) && !waiting.is_answered).then_some(by)
    }

    /// A session is over: answers the request that still waits for its output.
    pub(crate) fn answer_parked(&mut self, fd: Fd, parked: Option<Fd>) {
        if let Some(by) = parked
            && let Some(awaited) = self.waiting(by).map(|waiting| waiting.awaited)
            && awaited.session() == Some(fd)
        {
            match awaited {
                Awaited::Output(_) => self.respond_last(by, UNKNOWN.response()),
                _ => self.respond(by, UNKNOWN.response()),
            };
        }
    }

    /// Lets a request wait for the output of a session; false if there is no such session.
    pub(crate) fn wait_for_output(&mut self, fd: Fd, by: Fd) -> bool {
        let older = self.parked(fd);
        let Some(socketless) = self.socketless_mut(fd) else { return false };
        socketless.parked = Some(by);
        if let Some(older) = older {
            self.respond_last(older, Response::text(409, "another request of this session came\n"));
        }
        if self.has_output(fd) {
            self.connections.tell_has_output(fd);
        }
        true
    }

    /// Finishes a session. Its carrier learns that there is an end to deliver, after everything that was pushed. At a
    /// shutdown the session is killed if no request waits: no next request will come.
    pub(crate) fn finish_session(&mut self, fd: Fd, reason: CloseReason) {
        if self.socketless_mut(fd).is_none_or(|socketless| socketless.end.is_some()) {
            return;
        }
        if reason.cause == Cause::Shutdown && self.parked(fd).is_none() {
            return self.connections.kill(fd, reason);
        }
        // However it ends now, this is why.
        self.connections.note_reason(fd, reason.clone());
        self.change_session(fd, |session| {
            if let Session::Socketless(socketless) = session {
                socketless.end = Some(Box::new(reason));
            }
        });
        self.connections.tell_has_output(fd);
    }

    /// Finishes a connection at a shutdown. If it waits for a session's output, the session ends first and the request
    /// is answered. Returns whether it was waiting for one.
    pub(crate) fn finish_parked(&mut self, by: Fd, reason: &CloseReason) -> bool {
        let Some(waiting) = self.waiting(by) else { return false };
        let Some(session) = waiting.awaited.session() else { return false };
        waiting.is_last = true;
        self.finish_session(session, reason.clone());
        true
    }

    /// Kills a session. If it was ending already, its earlier reason is kept.
    pub(crate) fn kill_socketless(&mut self, fd: Fd, reason: CloseReason) -> bool {
        let is_one = self.socketless(fd).is_some();
        if is_one {
            self.connections.kill(fd, reason);
        }
        is_one
    }

    /// Its client gave no sign for too long.
    pub(crate) fn socketless_expired(&mut self, fd: Fd) {
        let is_protected =
            self.connections.get(fd).is_some_and(|connection| connection.flags.has(Flags::PROTECTED));
        let Some(socketless) = self.socketless_mut(fd) else { return };
        if socketless.end.is_none() && is_protected {
            return self.watch(fd);
        }
        // Who still reads the last answer can't ask for the next.
        let (carrier, timeout) = (socketless.parked, self.socketless_timeout(fd));
        match carrier.map(|by| self.connections.pace(by, timeout)) {
            Some(Pace::Steady(next)) => return self.connections.expire_in(fd, next),
            Some(Pace::Arrived) => return self.connections.expire_in(fd, self.config.poll_grace),
            _ => {}
        }
        log::debug!("{fd}: its client is gone");
        self.kill_socketless(fd, CloseReason::without_frame(Side::Local, Cause::Timeout));
    }

    /// A session is over: releases its memory.
    pub(crate) fn free_socketless(&mut self, fd: Fd, mut socketless: Socketless) {
        let len = socketless.taken.len();
        self.connections.uncharge_taken(fd, &mut socketless.taken, len);
    }
}
