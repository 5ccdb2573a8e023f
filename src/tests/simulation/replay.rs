//! What the handler saw and did, told to the model: each entry is judged by what came before it.

use super::*;

impl Simulation {
    /// Tells the model what the handler saw and did, judging each entry by what came before it.
    pub(super) fn replay(&mut self) {
        let entries = std::mem::take(&mut *self.log.borrow_mut());
        for entry in entries {
            match entry {
                Entry::Open(fd) => {
                    let client = self.client(fd);
                    assert!(client.script.kind == Kind::WebSocket && !client.model.is_opened, "{fd}");
                    client.model.is_opened = true;
                }
                Entry::Message(fd, opcode, data) => {
                    self.totals.messages += 1;
                    let model = &mut self.client(fd).model;
                    assert!(!model.is_closing && model.closed.is_none(), "{fd}: a message after its end");
                    model.messages += 1;
                    let nth = model.messages;
                    assert_eq!(
                        self.client(fd).message(nth),
                        Some((opcode, &data[..])),
                        "{fd}: message {nth}"
                    );
                }
                Entry::Push(fd, push, result) => self.replay_push(fd, push, result),
                Entry::Closing(fd) => self.client(fd).model.is_closing = true,
                Entry::Close(fd, reason) => {
                    self.judge_close(fd, &reason);
                    let model = &mut self.client(fd).model;
                    assert!(model.closed.replace(reason).is_none(), "{fd}: closed twice");
                }
                Entry::Disconnect(fd) => {
                    let model = &mut self.client(fd).model;
                    assert!(!std::mem::replace(&mut model.is_disconnected, true), "{fd}: disconnected twice");
                }
                Entry::Broken(message) => panic!("a callback panicked: {message}"),
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

    pub(super) fn replay_push(&mut self, fd: Fd, push: Push, result: Result<(), PushError>) {
        if self.past.contains(&fd) {
            return assert_eq!(result, Err(PushError::Gone), "{fd}");
        }
        let now = self.now;
        let client = self.client(fd);
        // Its timeouts may have ended it as well; the shortest is the close handshake's.
        let may_be_ending = !client.is_healthy()
            || now - client.heard >= Duration::from_secs(3)
            || wire(client.wire, |wire| wire.room == 0);
        let model = &mut client.model;
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
            // The server may know of the end before the handler is told.
            Err(PushError::Gone | PushError::Closing) => assert!(may_be_ending, "{fd}: {result:?} too early"),
            Err(error) => panic!("{fd}: {error}"),
        }
    }

    /// A connection ends for a reason that can be seen from outside.
    pub(super) fn judge_close(&mut self, fd: Fd, reason: &CloseReason) {
        let now = self.now;
        let client = self.client(fd);
        let (is_fin, is_reset) = wire(client.wire, |wire| (wire.fin, wire.reset));
        let consumed = client.consumed_now();
        let read = |what: &What| {
            client.script.items.iter().any(|item| item.end <= consumed + 20_001 && item.what == *what)
        };
        match reason.cause {
            Cause::Requested if reason.by == crate::Side::Peer => {
                assert!(read(&What::Close(reason.code)), "{fd}: {reason}");
                self.totals.clean_closes += 1;
            }
            Cause::Requested => assert!(client.model.is_closing, "{fd}: {reason}"),
            Cause::Lost => assert!(is_fin, "{fd}: {reason}"),
            Cause::Io(_) => assert!(is_reset, "{fd}: {reason}"),
            Cause::Timeout => {
                // At least nine tenths of the ping interval and the pong timeout, or the close timeout.
                let silence = if reason.code == 1001 { 42 } else { 3 };
                assert!(now - client.heard >= Duration::from_secs(silence), "{fd}: {reason}");
                self.totals.timeouts += 1;
            }
            // Without a close code: it was blocked while all outboxes together were full.
            Cause::SlowConsumer => {
                let is_blocked = wire(client.wire, |wire| wire.room == 0);
                assert!(client.model.is_closing || (is_blocked && reason.code == 1006), "{fd}: {reason}");
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
