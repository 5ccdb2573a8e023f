//! Sessions of long polling: what waits for them, and how they end.

use super::*;
use crate::codec::unit;
use crate::net::quota::CONTROL_BYTES;

impl Simulation {
    /// What waits for the sessions of long polling: outboxes, and bytes.
    pub(crate) fn check_sessions(&mut self) -> (usize, usize, usize) {
        let (mut open, mut outboxes, mut queued) = (0, 0, 0);
        let server = &self.reactor.app.server;
        let has_deferred = self.reactor.app.has_deferred() || server.usage().pending > 0;
        for (fd, Sitting { model, numbered, .. }) in &self.sessions {
            let connection = server.sessions.connections.get(*fd);
            assert_eq!(connection.is_none(), model.closed.is_some(), "{fd}");
            let Some(connection) = connection else { continue };
            let Session::Socketless(poll) = &connection.session else { panic!("{fd}: no session") };
            open += usize::from(server.is_established(*fd));
            outboxes += usize::from(connection.outbox.is_some());
            queued += connection.queued_bytes() + poll.taken.len();
            // Notices may go beyond it.
            let most = server.config().outbox_bytes_max + CONTROL_BYTES;
            assert!(connection.queued_bytes() <= most, "{fd}: over its limit");
            let acknowledged = poll.acknowledged;
            let taken = acknowledged + unit::count(&poll.taken) as u64;
            assert!(taken >= numbered.len() as u64, "{fd}: more was sent than taken");
            if connection.queued_bytes() == 0 && !poll.is_behind && server.is_established(*fd) {
                let lost = server.client_info(*fd).expect("it is there").lost;
                let accounted = taken + lost.dropped + lost.replaced;
                assert_eq!(model.pushed.count(), accounted, "{fd}: {lost:?}");
            }
            let has_news = connection.queued_bytes() > 0
                || !poll.taken.is_empty()
                || poll.end.is_some()
                || poll.is_behind;
            let is_waiting = || poll.parked.is_some_and(|by| self.is_parked(by, *fd));
            assert!(has_deferred || !has_news || !is_waiting(), "{fd}: messages wait, and so does a request");
        }
        (open, outboxes, queued)
    }

    fn is_parked(&self, by: Fd, session: Fd) -> bool {
        let connection = self.reactor.app.server.sessions.connections.get(by);
        let Some(Session::Http(http)) = connection.map(|connection| &connection.session) else {
            return false;
        };
        let waiting = http.held.as_ref().and_then(|held| held.progress.waiting);
        waiting.is_some_and(|waiting| waiting.awaited == Awaited::Poll(session) && !waiting.is_answered)
    }

    /// A session ends for a reason that can be seen from outside.
    pub(crate) fn judge_session_close(&mut self, fd: Fd, reason: &CloseReason) {
        let config = self.reactor.app.server.config();
        let Sitting { model, heard, .. } = &self.sessions[&fd];
        let is_closing = model.is_closing || model.is_doubtful;
        if reason.by == crate::Side::Peer {
            return assert_eq!((&reason.cause, Some(reason.code)), (&Cause::Requested, model.left), "{fd}");
        }
        match reason.cause {
            Cause::Requested | Cause::Panic => assert!(is_closing, "{fd}: {reason}"),
            Cause::SlowConsumer => assert!(is_closing || reason.code == 1006, "{fd}: {reason}"),
            Cause::Shutdown => assert!(model.is_shut, "{fd}: {reason}"),
            Cause::Timeout => {
                let silence = self.now + TICK - *heard;
                assert!(silence >= config.poll_hold + config.poll_grace, "{fd}: {silence:?}");
                self.totals.expired_sessions += 1;
            }
            _ => panic!("{fd}: {reason}"),
        }
    }
}

impl Sitting {
    pub(crate) fn new(now: Instant, is_shut: bool) -> Sitting {
        let model = Model { is_shut, ..Model::default() };
        Sitting { model, greatest: 0, numbered: Vec::new(), heard: now }
    }

    /// The messages of all answers are those that were pushed; with the last of an ended session, all of them, unless
    /// it was too slow.
    pub(super) fn check_arrivals(&self, closed: Option<u16>) {
        let mut arrivals = self.model.pushed.arrivals();
        for Item { message: (opcode, data), .. } in &self.numbered {
            arrivals.take(*opcode, data);
        }
        if let Some(code) = closed {
            let reason = self.model.closed.as_ref();
            let was_slow = reason.is_some_and(|reason| reason.cause == Cause::SlowConsumer);
            if self.model.left.is_none() && !was_slow {
                arrivals.check_complete();
            }
            assert_eq!(reason.map(|reason| reason.code), Some(code));
        }
    }
}
