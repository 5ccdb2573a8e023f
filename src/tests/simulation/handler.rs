//! The simulation's handler: does what messages tell it to, and notes what it saw and did.

use super::*;

pub(super) const PLANNED_PANIC: &str = "a planned panic";

/// What the handler saw and did, in order.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Open(Fd),
    Message(Fd, Opcode, Vec<u8>),
    Push(Fd, Push, Result<(), PushError>),
    /// The server was told to close it.
    Closing(Fd),
    Close(Fd, CloseReason),
    /// It ended before it was opened.
    Disconnect(Fd),
    Request(Fd, String),
    /// A callback panicked that should not have.
    Broken(String),
}

#[derive(Clone, Debug)]
pub(super) struct Push {
    pub(super) opcode: Opcode,
    pub(super) data: Vec<u8>,
    pub(super) fate: Fate,
    pub(super) policy: SlowConsumer,
}

pub(super) type Log = Rc<RefCell<Vec<Entry>>>;

pub(super) struct Commanded {
    pub(super) log: Log,
    pub(super) opened: Vec<Fd>,
    pub(super) policy: SlowConsumer,
    /// Of connections that have one of their own.
    pub(super) policies: FdMap<SlowConsumer>,
    /// Makes contents unique.
    pub(super) count: Cell<u64>,
    pub(super) rooms: Rc<RefCell<Rooms>>,
    pub(super) controls: Rc<RefCell<Controls>>,
}

impl Commanded {
    fn note(&self, entry: Entry) {
        self.log.borrow_mut().push(entry);
    }

    fn policy(&self, fd: Fd) -> SlowConsumer {
        self.policies.get(fd).copied().unwrap_or(self.policy)
    }

    fn push(&self, server: &mut Server, fd: Fd, opcode: Opcode, data: &[u8]) {
        let push = self.describe(opcode, data, self.policy(fd));
        let result = server.push_as(fd, opcode, &push.data);
        self.note(Entry::Push(fd, push, result));
    }

    fn push_message(&self, server: &mut Server, fd: Fd, data: &[u8], policy: SlowConsumer, key: Option<u64>) {
        let mut push = self.describe(Opcode::Binary, data, policy);
        let mut message = Message::from(push.data.clone()).slow_consumer(policy);
        if let Some(key) = key {
            push.fate = Fate::Latest(key);
            message = message.latest(key);
        }
        let result = server.push(fd, message);
        self.note(Entry::Push(fd, push, result));
    }

    fn describe(&self, opcode: Opcode, data: &[u8], policy: SlowConsumer) -> Push {
        let mut data = data.to_vec();
        let fate = if policy == SlowConsumer::DropOldest { Fate::MayBeDropped } else { Fate::Kept };
        if fate != Fate::Kept {
            self.make_unique(&mut data);
        }
        Push { opcode, data, fate, policy }
    }

    fn make_unique(&self, data: &mut Vec<u8>) {
        self.count.set(self.count.get() + 1);
        data.extend_from_slice(format!("#{}", self.count.get()).as_bytes());
    }

    /// A message in two parts, between which none may come.
    fn push_parts(&self, server: &mut Server, fd: Fd, opcode: Opcode, data: &[u8]) {
        let (start, end) = data.split_at(data.len() / 2);
        let mut result = server.push_part(fd, opcode, start, false);
        let is_begun = result.is_ok();
        if is_begun {
            // Writing early may have been its end.
            let expected = if server.exists(fd) { PushError::Unfinished } else { PushError::Gone };
            assert_eq!(server.push(fd, "in between"), Err(expected));
            result = server.push_part(fd, Opcode::Continuation, end, true);
        }
        if result == Err(PushError::Full) {
            // Of a part nothing is dropped: the connection has to go, where it does not by itself.
            if is_begun {
                server.disconnect(fd, 4003, "half a message");
            }
            if !server.is_established(fd) {
                self.note(Entry::Closing(fd));
            }
            return;
        }
        let push = Push { opcode, data: data.to_vec(), fate: Fate::Kept, policy: self.policy(fd) };
        self.note(Entry::Push(fd, push, result));
    }

    fn broadcast(&self, server: &mut Server, data: &[u8], except: Option<Fd>) {
        let everybody = server.connections().filter(|fd| Some(*fd) != except).collect();
        self.fan_out(server, data, everybody, |server| match except {
            Some(fd) => server.broadcast(data).except(fd).send(),
            None => server.broadcast(data).send(),
        });
    }

    fn publish(&self, server: &mut Server, topic: &str, data: &[u8], except: Fd) {
        let members = self.rooms.borrow().members(topic);
        let everybody =
            members.into_iter().filter(|fd| *fd != except && server.is_established(*fd)).collect();
        self.fan_out(server, data, everybody, |server| server.publish(topic, data).except(except).send());
    }

    fn push_to_user(&self, server: &mut Server, uid: &str, data: &[u8]) {
        let connections = self.rooms.borrow().connections_of(uid);
        let everybody = connections.into_iter().filter(|fd| server.is_established(*fd)).collect();
        self.fan_out(server, data, everybody, |server| server.push_to_user(uid, data));
    }

    /// One message to many is noted as one push to each.
    fn fan_out(
        &self,
        server: &mut Server,
        data: &[u8],
        everybody: Vec<Fd>,
        send: impl FnOnce(&mut Server) -> Reach,
    ) {
        if everybody.iter().any(|fd| self.policy(*fd) != SlowConsumer::Close) {
            // Who refused can't be told afterwards.
            return everybody.into_iter().for_each(|fd| self.push(server, fd, Opcode::Binary, data));
        }
        let reach = send(server);
        let (mut queued, mut full, mut gone) = (0, 0, 0);
        for fd in everybody {
            let result = match (server.is_established(fd), server.exists(fd)) {
                (true, _) => Ok(()),
                (false, true) => Err(PushError::Full),
                // A write failed that could not wait for the end of the turn.
                (false, false) => Err(PushError::Gone),
            };
            queued += usize::from(result.is_ok());
            full += usize::from(result == Err(PushError::Full));
            gone += usize::from(result == Err(PushError::Gone));
            let push = self.describe(Opcode::Binary, data, SlowConsumer::Close);
            self.note(Entry::Push(fd, push, result));
        }
        // Who is gone may have been refused, or taken what a later write failed with, or not even have been asked.
        assert!((queued..=queued + gone).contains(&reach.queued), "{reach:?}");
        assert!((full..=full + gone).contains(&reach.refused), "{reach:?}");
    }
}

impl Handler for Commanded {
    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        self.note(Entry::Open(request.fd));
        self.opened.push(request.fd);
        self.push(server, request.fd, Opcode::Text, b"welcome");
    }

    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        let fd = frame.fd;
        self.note(Entry::Message(fd, frame.opcode, frame.data.to_vec()));
        self.controls.borrow().check_read(fd);
        let other = self.opened[usize::from(frame.data[1]) % self.opened.len()];
        match frame.data[0] {
            b'e' => self.push(server, fd, frame.opcode, &frame.data),
            b'b' => self.broadcast(server, &frame.data, Some(fd)),
            b'B' => self.broadcast(server, &frame.data, None),
            b'p' => self.push(server, other, frame.opcode, &frame.data),
            b'd' => {
                self.push(server, fd, Opcode::Text, b"last words");
                server.disconnect(fd, 4001, "told to");
                self.note(Entry::Closing(fd));
                self.push(server, fd, Opcode::Text, b"too late");
            }
            b'k' if server.disconnect(other, 4002, "told to by another") => {
                self.note(Entry::Closing(other));
            }
            b'x' => {
                self.note(Entry::Closing(fd));
                std::panic::panic_any(PLANNED_PANIC);
            }
            b't' => {
                let log = self.log.clone();
                let number = frame.data[1];
                server.after(Duration::from_millis(u64::from(number) * 20), move |server| {
                    let policy = SlowConsumer::Close;
                    let result = server.push(fd, Message::from("from a timer").slow_consumer(policy));
                    let push =
                        Push { opcode: Opcode::Text, data: b"from a timer".into(), fate: Fate::Kept, policy };
                    log.borrow_mut().push(Entry::Push(fd, push, result));
                });
            }
            b'L' => {
                self.push(server, fd, Opcode::Binary, &vec![b'L'; 9_000 + 300 * usize::from(frame.data[1])])
            }
            b'O' => {
                let data = vec![b'O'; 9_000 + 300 * usize::from(frame.data[1])];
                self.push_message(server, fd, &data, self.policy, None);
            }
            b'o' => self.push_message(server, other, &frame.data, SlowConsumer::DropOldest, None),
            b'n' => self.push_message(server, other, &frame.data, SlowConsumer::DropNewest, None),
            b'K' => {
                let mut data = frame.data.to_vec();
                self.make_unique(&mut data);
                let key = u64::from(frame.data[1]) % 3;
                (0..3).for_each(|_| {
                    self.make_unique(&mut data);
                    self.push_message(server, fd, &data, SlowConsumer::Close, Some(key));
                });
            }
            b'S' => {
                let policies = [SlowConsumer::Close, SlowConsumer::DropNewest, SlowConsumer::DropOldest];
                let policy = policies[usize::from(frame.data[1]) % 3];
                assert!(server.set_slow_consumer(fd, policy));
                self.policies.insert(fd, policy);
            }
            b'j' => self.rooms.borrow_mut().join(server, fd, &topic(frame.data[1])),
            b'J' => self.rooms.borrow_mut().join(server, other, &topic(frame.data[1])),
            b'l' => self.rooms.borrow_mut().leave(server, fd, &topic(frame.data[1])),
            b'u' => self.rooms.borrow_mut().bind(server, fd, &user(frame.data[1])),
            b'v' => self.rooms.borrow_mut().unbind(server, fd),
            b'P' => self.publish(server, &topic(frame.data[1]), &frame.data, fd),
            b'U' => self.push_to_user(server, &user(frame.data[1]), &frame.data),
            b'z' => Controls::pause(&self.controls, server, fd),
            b'Z' => Controls::pause(&self.controls, server, other),
            b'q' => drop(server.protect(other, frame.data[1] & 1 == 0)),
            b'r' if server.reset(other) => self.note(Entry::Closing(other)),
            b'f' => self.push_parts(server, fd, frame.opcode, &frame.data),
            b's' => (0..30).for_each(|_| self.push(server, fd, frame.opcode, &frame.data)),
            _ => {}
        }
    }

    fn on_close(&mut self, server: &mut Server, fd: Fd, reason: &CloseReason) {
        self.note(Entry::Close(fd, reason.clone()));
        self.rooms.borrow_mut().closed(server, fd);
        self.controls.borrow_mut().closed(fd);
        self.push(server, fd, Opcode::Text, b"nobody is there");
        self.broadcast(server, b"somebody left", None);
    }

    fn on_disconnect(&mut self, _server: &mut Server, fd: Fd, _reason: &CloseReason) {
        self.note(Entry::Disconnect(fd));
    }

    fn on_handshake(&mut self, server: &mut Server, request: &Request<'_>) -> Handshake {
        let fd = request.fd;
        let answer = move |server: &mut Server| {
            let is_taken = server.answer_handshake(fd, Handshake::accept());
            assert!(!server.answer_handshake(fd, Handshake::accept()), "{fd}: answered twice: {is_taken}");
        };
        match self.controls.borrow_mut().answer_later(server, answer) {
            true => Handshake::later(),
            false => Handshake::accept(),
        }
    }

    fn on_request(&mut self, server: &mut Server, request: &Request<'_>) -> Response {
        let (fd, path) = (request.fd, request.path().to_owned());
        self.note(Entry::Request(fd, path.clone()));
        let page = format!("you asked for {path} {}", "y".repeat(path.len() * 50));
        let response = Response::text(200, page);
        let late = response.clone();
        match self.controls.borrow_mut().answer_later(server, move |server| {
            server.respond(fd, late);
        }) {
            true => Response::later(),
            false => response,
        }
    }

    fn on_buffer_full(&mut self, _server: &mut Server, fd: Fd) {
        self.controls.borrow_mut().filled(fd);
    }

    fn on_buffer_empty(&mut self, _server: &mut Server, fd: Fd) {
        self.controls.borrow_mut().emptied(fd);
    }

    /// The server survives what the handler's own checks say; the simulation must not.
    fn on_error(&mut self, _server: &mut Server, _fd: Option<Fd>, fault: &Fault) {
        if let Fault::Panic { message, .. } = fault
            && message != PLANNED_PANIC
        {
            self.note(Entry::Broken(message.clone()));
        }
    }

    /// Told at the end of a turn, what it publishes leaves in the same.
    fn on_topic(&mut self, server: &mut Server, topic: &str, event: TopicEvent) {
        self.rooms.borrow_mut().topic_changed(topic, event);
        if event == TopicEvent::Occupied {
            let members = self.rooms.borrow().members(topic);
            for fd in members {
                self.push(server, fd, Opcode::Text, b"the first is here");
            }
        }
    }

    fn on_presence(&mut self, _server: &mut Server, topic: &str, uid: &str, presence: Presence) {
        self.rooms.borrow_mut().presence_changed(topic, uid, presence);
    }
}
