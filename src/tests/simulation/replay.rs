//! What the handler saw and did, told to the model: each entry is judged by what came before it.

use super::*;

impl Simulation {
    /// Tells the model what the handler saw and did, judging each entry by what came before it.
    pub(super) fn replay(&mut self) {
        let entries = std::mem::take(&mut *self.log.borrow_mut());
        for entry in entries {
            match entry {
                Entry::Open(fd, opening) => {
                    if let Some(number) = opening.filter(|_| !self.by_fd.contains_key(&fd)) {
                        assert!(self.openings[number].fd.replace(fd).is_none(), "{fd}: a second session");
                        let sitting = Sitting::new(self.now, self.is_shut);
                        let is_new = self.sessions.insert(fd, sitting).is_none();
                        assert!(is_new && !self.past.contains(&fd), "{fd}: names two sessions");
                        self.totals.sessions += 1;
                    } else {
                        let kind = self.client(fd).script.kind;
                        assert!(!matches!(kind, Kind::Http | Kind::Carrier), "{fd}");
                        self.totals.event_streams += u64::from(kind == Kind::EventStream);
                    }
                    assert!(!std::mem::replace(&mut self.model(fd).is_opened, true), "{fd}: opened twice");
                }
                Entry::Message(fd, opcode, data) => {
                    self.totals.messages += 1;
                    let model = self.model(fd);
                    assert!(!model.is_closing && model.closed.is_none(), "{fd}: a message after its end");
                    model.messages += 1;
                    let nth = model.messages;
                    let client = self.by_fd.get(&fd).map(|index| &self.clients[*index]);
                    match client.filter(|client| client.script.kind != Kind::EventStream) {
                        Some(client) => {
                            assert_eq!(client.message(nth), Some((opcode, &data[..])), "{fd}: message {nth}");
                        }
                        None => self.delivered(fd, opcode, &data),
                    }
                }
                Entry::Push(fd, push, result) => self.replay_push(fd, push, result),
                Entry::Brought(fd, told) => {
                    let is_certain = self.reactor.app.server.is_established(fd);
                    let model = self.model(fd);
                    if !is_certain {
                        model.is_doubtful = true;
                        model.pushed.doubt();
                    }
                    for (opcode, data) in told {
                        model.pushed.accept(opcode, data, Fate::Kept);
                    }
                }
                Entry::Doubt(fd) => self.model(fd).pushed.doubt(),
                Entry::Closing(fd) => self.model(fd).is_closing = true,
                Entry::Close(fd, reason) => {
                    match self.sessions.contains_key(&fd) {
                        true => self.judge_session_close(fd, &reason),
                        false => self.judge_close(fd, &reason),
                    }
                    let model = self.model(fd);
                    assert!(model.closed.replace(reason).is_none(), "{fd}: closed twice");
                }
                Entry::Disconnect(fd) => {
                    let model = &mut self.client(fd).model;
                    assert!(!std::mem::replace(&mut model.is_disconnected, true), "{fd}: disconnected twice");
                }
                Entry::Broken(message) => panic!("a callback panicked: {message}"),
                Entry::Subscribe(fd, topic) => self.subscribed(fd, &topic),
                Entry::Request(fd, path) => {
                    self.totals.requests += 1;
                    let client = self.client(fd);
                    let expected = client.script.items.get(client.model.requests).map(|item| &item.what);
                    assert_eq!(expected, Some(&What::Request(path)), "{fd}");
                    client.model.requests += 1;
                }
            }
        }
    }

    pub(super) fn client(&mut self, fd: Fd) -> &mut Client {
        let index = *self.by_fd.get(&fd).expect("an fd that was given out");
        &mut self.clients[index]
    }

    pub(super) fn model(&mut self, fd: Fd) -> &mut Model {
        match self.by_fd.get(&fd) {
            Some(index) => &mut self.clients[*index].model,
            None => &mut self.sessions.get_mut(&fd).expect("an fd that was given out").model,
        }
    }

    pub(super) fn replay_push(&mut self, fd: Fd, push: Push, result: Result<(), PushError>) {
        if self.past.contains(&fd) {
            return assert_eq!(result, Err(PushError::Gone), "{fd}");
        }
        let may_be_ending = self.may_be_ending(fd);
        let model = self.model(fd);
        match result {
            Ok(()) => {
                assert!(!model.is_closing && model.closed.is_none(), "{fd}: pushed after its end");
                model.pushed.accept(push.opcode, push.data, push.fate);
                self.totals.pushes += 1;
            }
            Err(PushError::Full) => {
                if push.policy == SlowConsumer::Close {
                    model.is_closing = true;
                } else {
                    model.pushed.refused += 1;
                }
                self.totals.refused_full += 1;
            }
            Err(PushError::Gone | PushError::Closing) => assert!(may_be_ending, "{fd}: {result:?} too early"),
            Err(error) => panic!("{fd}: {error}"),
        }
    }

    /// The server may know of a connection's end before the handler is told.
    fn may_be_ending(&mut self, fd: Fd) -> bool {
        let now = self.now;
        if let Some(Sitting { model, heard, .. }) = self.sessions.get(&fd) {
            let config = self.reactor.app.server.config();
            let is_ending = model.is_closing || model.is_doubtful || model.is_shut || model.closed.is_some();
            let is_ending = is_ending || model.left.is_some();
            return is_ending || now + TICK - *heard >= config.poll_hold + config.poll_grace;
        }
        let client = self.client(fd);
        // Its timeouts may have ended it as well; the shortest is the close handshake's.
        !client.is_healthy()
            || now - client.heard >= Duration::from_secs(3)
            || wire(client.wire, |wire| wire.room == 0)
            || client.transfers.have_dragged
    }

    /// A connection ends for a reason that can be seen from outside.
    pub(super) fn judge_close(&mut self, fd: Fd, reason: &CloseReason) {
        let (now, is_reported_in_order) = (self.now, self.events_max > 0);
        let is_paused = self.controls.borrow().is_paused(fd);
        let client = self.client(fd);
        let (is_fin, is_reset) = wire(client.wire, |wire| (wire.fin, wire.reset));
        let consumed = client.consumed_now();
        let read = |what: &What| {
            client.script.items.iter().any(|item| item.end <= consumed + 20_001 && item.what == *what)
        };
        match reason.cause {
            Cause::Requested if reason.by == crate::Side::Peer => {
                let is_said = match client.script.kind {
                    Kind::WebSocket => read(&What::Close(reason.code)),
                    _ => is_fin && reason.code == 1005 || client.model.left == Some(reason.code),
                };
                assert!(is_said, "{fd}: {reason}");
                self.totals.clean_closes += 1;
            }
            Cause::Requested => assert!(client.model.is_closing, "{fd}: {reason}"),
            Cause::Lost => assert!(is_fin, "{fd}: {reason}"),
            Cause::Io(_) => assert!(is_reset, "{fd}: {reason}"),
            Cause::Timeout => {
                // At least nine tenths of the ping interval and the pong timeout, or the close timeout.
                let silence = Duration::from_secs(if reason.code == 1001 { 42 } else { 3 });
                let is_dragging = client.transfers.have_dragged;
                assert!(now - client.heard >= silence || is_dragging, "{fd}: {reason}");
                // Its answer may be there, and was not reported.
                let was_in_time = client.was_unread && client.spoke - client.heard < silence;
                let is_excused =
                    reason.code != 1001 || is_paused || client.was_held || is_dragging || !was_in_time;
                assert!(!is_reported_in_order || is_excused, "{fd}: had answered");
                self.totals.timeouts += 1;
            }
            // Without a close code: it was blocked while all outboxes together were full.
            Cause::SlowConsumer => {
                let is_blocked = wire(client.wire, |wire| wire.room == 0);
                let is_known = client.model.is_closing || client.model.is_doubtful;
                assert!(is_known || (is_blocked && reason.code == 1006), "{fd}: {reason}");
            }
            Cause::Protocol(_) | Cause::TooBig(_) => {
                assert!(read(&What::Error(reason.code)), "{fd}: {reason}");
                self.totals.protocol_errors += 1;
            }
            Cause::Panic => {
                assert!(client.model.is_closing && reason.code == 1011, "{fd}: {reason}");
                self.totals.panics += 1;
            }
            Cause::Shutdown => assert!(client.model.is_shut, "{fd}: {reason}"),
            _ => panic!("{fd}: {reason}"),
        }
    }
}
