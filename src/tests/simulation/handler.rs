//! The simulation's handler: does what messages tell it to, and notes what it saw and did.

use super::*;
use std::borrow::Cow;

pub(super) const PLANNED_PANIC: &str = "a planned panic";

/// What the handler saw and did, in order.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// With the number of the opening.
    Open(Fd, Option<usize>),
    Message(Fd, Opcode, Vec<u8>),
    Push(Fd, Push, Result<(), PushError>),
    /// The server pushed this by itself, in so far as the connection took it.
    Brought(Fd, Vec<(Opcode, Vec<u8>)>),
    /// Of what is pushed to it next only the beginning may have been taken.
    Doubt(Fd),
    /// The server was told to close it.
    Closing(Fd),
    Close(Fd, CloseReason),
    /// It ended before it was opened.
    Disconnect(Fd),
    Request(Fd, String),
    /// It asks to be in a topic.
    Subscribe(Fd, String),
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

/// What sessions have asked to be in, and with which id.
pub(super) type Subscribing = Rc<RefCell<BTreeMap<(Fd, String), Option<String>>>>;

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
    pub(super) annals: Rc<RefCell<Annals>>,
    pub(super) subscribing: Subscribing,
    /// Event streams that have labels.
    pub(super) labelled: BTreeSet<Fd>,
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
        assert!(result.is_err() || server.exists(fd), "{fd}: took a message and is dead");
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
        assert!(result.is_err() || server.exists(fd), "{fd}: took a message and is dead");
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

    fn publish(&self, server: &mut Server, number: u8, opcode: Opcode, data: &[u8], except: Fd) {
        let topic = topic(number);
        let members = self.rooms.borrow().members(&topic);
        let everybody =
            members.into_iter().filter(|fd| *fd != except && server.is_established(*fd)).collect();
        let Some(number) = kept(number) else {
            let send = |server: &mut Server| server.publish(&topic, data).except(except).send();
            return self.fan_out(server, data, everybody, send);
        };
        // Whoever can't take it is to come back for it.
        let policy = SlowConsumer::Close;
        let mut data = data.to_vec();
        self.make_unique(&mut data);
        let opcode = if std::str::from_utf8(&data).is_ok() { opcode } else { Opcode::Binary };
        let message = match opcode {
            Opcode::Text => Message::text(&*data),
            _ => Message::binary(&*data),
        };
        let reach = server.publish(&topic, message.slow_consumer(policy)).except(except).send();
        let push = Push { opcode, data: data.clone(), fate: Fate::Kept, policy };
        self.note_reach(server, &push, everybody, reach);
        let now = server.sessions.connections.now();
        self.annals.borrow_mut().publish(number, now, opcode, data, except);
    }

    /// Somebody is put into a topic, and told where it is where that has a history.
    fn join(&self, server: &mut Server, fd: Fd, number: u8) {
        let is_new = self.rooms.borrow_mut().join(server, fd, &topic(number));
        if is_new && kept(number).is_some() {
            self.note_missed(server, fd, self.position(server, fd, number));
        }
    }

    /// Somebody comes, perhaps back: what it has missed of its topics comes behind the callback.
    fn come_back(&mut self, server: &mut Server, request: &Request<'_>, numbers: &[u8]) {
        let (fd, now) = (request.fd, server.sessions.connections.now());
        self.policies.insert(fd, SlowConsumer::Close);
        server.set_slow_consumer(fd, SlowConsumer::Close);
        let (mut told, mut missed, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for &number in numbers {
            if !self.rooms.borrow_mut().join(server, fd, &topic(number)) {
                continue;
            }
            positions.extend(self.position(server, fd, number));
            if let Some(id) = self.last_id(server, request, number) {
                let (entries, is_complete) = self.annals.borrow().since(number, &id, now);
                missed.extend(entries);
                if !is_complete {
                    told.push((Opcode::Text, notice(&[("gap", &topic(number))])));
                }
            }
        }
        missed.sort_by_key(|(stamp, ..)| *stamp);
        told.extend(missed.into_iter().map(|(_, opcode, data)| (opcode, data)));
        told.extend(positions);
        self.note(Entry::Brought(fd, told));
    }

    fn has_notices(&self, server: &Server, fd: Fd) -> bool {
        let transport = server.client_info(fd).map(|info| info.transport);
        transport == Some(Transport::LongPolling) || self.labelled.contains(&fd)
    }

    /// The id that a client gives of a topic. One that gives others, but none of this, may have been there.
    fn last_id(&self, server: &Server, request: &Request<'_>, number: u8) -> Option<String> {
        if !self.has_notices(server, request.fd) {
            return request.last_event_id().map(Cow::into_owned);
        }
        let mut last_id = None;
        for (_, position) in request.query_pairs().filter(|(name, _)| name == "last-event-id") {
            match position.split_once(' ') {
                Some((id, name)) if *name == *topic(number) => return Some(id.to_owned()),
                _ => last_id = Some("nothing-0".to_owned()),
            }
        }
        last_id
    }

    /// How a connection is told where it is in a topic; event streams without labels are by what is no event.
    fn position(&self, server: &Server, fd: Fd, number: u8) -> Option<(Opcode, Vec<u8>)> {
        let head = self.annals.borrow().head(number).to_string();
        let position = || (Opcode::Text, notice(&[("position", &topic(number)), ("id", &head)]));
        self.has_notices(server, fd).then(position)
    }

    fn recover(&self, server: &mut Server, fd: Fd, number: u8, id: &str) {
        let Some(number) = kept(number) else { return };
        if self.policy(fd) != SlowConsumer::Close || !server.is_established(fd) {
            return;
        }
        let (missed, is_complete) = self.annals.borrow().since(number, id, server.sessions.connections.now());
        if let Ok(recovered) = server.recover(fd, &topic(number), id) {
            let found = (recovered.messages, recovered.is_complete);
            assert_eq!(found, (missed.len(), is_complete), "{fd}: {id}");
        }
        let missed = missed.into_iter().map(|(_, opcode, data)| (opcode, data));
        self.note_missed(server, fd, missed);
    }

    /// The server has pushed by itself what a connection has missed, as far as that could take it.
    fn note_missed(&self, server: &mut Server, fd: Fd, missed: impl IntoIterator<Item = (Opcode, Vec<u8>)>) {
        let is_doubtful = !server.is_established(fd);
        if is_doubtful {
            self.note(Entry::Doubt(fd));
        }
        for (opcode, data) in missed {
            let push = Push { opcode, data, fate: Fate::Kept, policy: SlowConsumer::Close };
            self.note(Entry::Push(fd, push, Ok(())));
        }
        if is_doubtful {
            self.note(Entry::Closing(fd));
        }
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
        let push = self.describe(Opcode::Binary, data, SlowConsumer::Close);
        self.note_reach(server, &push, everybody, reach);
    }

    fn note_reach(&self, server: &mut Server, push: &Push, everybody: Vec<Fd>, reach: Reach) {
        let (mut queued, mut full, mut gone) = (0, 0, 0);
        for fd in everybody {
            let result = match (server.is_established(fd), server.exists(fd)) {
                (true, _) => Ok(()),
                (false, true) => Err(PushError::Full),
                // A write failed that could not wait for the end of the turn.
                (false, false) => Err(PushError::Gone),
            };
            if result.is_ok() {
                self.controls.borrow_mut().fanned_out(server, fd);
            }
            queued += usize::from(result.is_ok());
            full += usize::from(result == Err(PushError::Full));
            gone += usize::from(result == Err(PushError::Gone));
            self.note(Entry::Push(fd, push.clone(), result));
        }
        // Who is gone may have been refused, or taken what a later write failed with, or not even have been asked.
        assert!((queued..=queued + gone).contains(&reach.queued), "{reach:?}");
        assert!((full..=full + gone).contains(&reach.refused), "{reach:?}");
    }

    fn opened(&mut self, server: &mut Server, fd: Fd, opening: Option<usize>) {
        self.note(Entry::Open(fd, opening));
        self.opened.push(fd);
        self.push(server, fd, Opcode::Text, b"welcome");
    }

    /// Does what a message says.
    fn obey(&mut self, server: &mut Server, fd: Fd, opcode: Opcode, data: &[u8]) {
        self.controls.borrow().check_read(fd);
        let other = self.opened[usize::from(data[1]) % self.opened.len()];
        match data[0] {
            b'e' => self.push(server, fd, opcode, data),
            b'b' => self.broadcast(server, data, Some(fd)),
            b'B' => self.broadcast(server, data, None),
            b'p' => self.push(server, other, opcode, data),
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
                let number = data[1];
                server.after(Duration::from_millis(u64::from(number) * 20), move |server| {
                    let policy = SlowConsumer::Close;
                    let result = server.push(fd, Message::from("from a timer").slow_consumer(policy));
                    let push =
                        Push { opcode: Opcode::Text, data: b"from a timer".into(), fate: Fate::Kept, policy };
                    log.borrow_mut().push(Entry::Push(fd, push, result));
                });
            }
            b'L' => self.push(server, fd, Opcode::Binary, &vec![b'L'; 9_000 + 300 * usize::from(data[1])]),
            b'O' => {
                let data = vec![b'O'; 9_000 + 300 * usize::from(data[1])];
                self.push_message(server, fd, &data, self.policy, None);
            }
            b'o' => self.push_message(server, other, data, SlowConsumer::DropOldest, None),
            b'n' => self.push_message(server, other, data, SlowConsumer::DropNewest, None),
            b'K' => {
                let mut data = data.to_vec();
                self.make_unique(&mut data);
                let key = u64::from(data[1]) % 3;
                (0..3).for_each(|_| {
                    self.make_unique(&mut data);
                    self.push_message(server, fd, &data, SlowConsumer::Close, Some(key));
                });
            }
            b'S' => {
                let policies = [SlowConsumer::Close, SlowConsumer::DropNewest, SlowConsumer::DropOldest];
                let policy = policies[usize::from(data[1]) % 3];
                assert!(server.set_slow_consumer(fd, policy));
                self.policies.insert(fd, policy);
            }
            b'j' => self.join(server, fd, data[1] % rooms::JOINED),
            b'J' => self.join(server, other, data[1] % rooms::JOINED),
            b'l' => self.rooms.borrow_mut().leave(server, fd, &topic(data[1] % rooms::JOINED)),
            b'u' => self.rooms.borrow_mut().bind(server, fd, &user(data[1])),
            b'v' => self.rooms.borrow_mut().unbind(server, fd),
            b'P' => self.publish(server, data[1], opcode, data, fd),
            b'R' => {
                let id = self.annals.borrow().any_id(data.len() * 7 + usize::from(data[1]));
                self.recover(server, fd, data[1], &id);
            }
            b'U' => self.push_to_user(server, &user(data[1]), data),
            b'z' => Controls::pause(&self.controls, server, fd),
            b'Z' => Controls::pause(&self.controls, server, other),
            b'q' => drop(server.protect(other, data[1] & 1 == 0)),
            b'r' if server.reset(other) => self.note(Entry::Closing(other)),
            b'f' if is_websocket(server, fd) => self.push_parts(server, fd, opcode, data),
            b'f' => self.push(server, fd, opcode, data),
            b's' => (0..30).for_each(|_| self.push(server, fd, opcode, data)),
            _ => {}
        }
    }
}

impl Handler for Commanded {
    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        let opening = request.query_param("opening").map(|number| number.parse().expect("a number"));
        if request.query_param("protocol").is_some() {
            self.labelled.insert(request.fd);
        }
        self.opened(server, request.fd, opening);
        if let Some(numbers) = request.query_param("join") {
            let numbers: Vec<u8> = numbers.bytes().map(|digit| digit - b'0').collect();
            self.come_back(server, request, &numbers);
        }
    }

    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        self.note(Entry::Message(frame.fd, frame.opcode, frame.data.to_vec()));
        self.obey(server, frame.fd, frame.opcode, &frame.data);
    }

    fn on_subscribe(&mut self, server: &mut Server, request: &SubscribeRequest<'_>) -> Subscription {
        let (fd, name) = (request.fd, request.topic);
        self.note(Entry::Subscribe(fd, name.to_owned()));
        let last_id = self.subscribing.borrow_mut().remove(&(fd, name.to_owned()));
        let last_id = last_id.unwrap_or_else(|| panic!("{fd} did not ask for {name}"));
        let Some(number) = annals::SUBSCRIBED.into_iter().find(|number| topic(*number) == name) else {
            let denied = notice(&[("denied", name), ("reason", "not allowed")]);
            self.note(Entry::Brought(fd, vec![(Opcode::Text, denied)]));
            return Subscription::deny("not allowed");
        };
        // One that lives on without what it missed is told of a gap, which is another test's business.
        self.policies.insert(fd, SlowConsumer::Close);
        server.set_slow_consumer(fd, SlowConsumer::Close);
        let is_new = self.rooms.borrow_mut().join(server, fd, name);
        assert!(is_new, "{fd}: asked for what it is in");
        let annals = self.annals.borrow();
        let now = server.sessions.connections.now();
        let missed = last_id.map(|id| annals.since(number, &id, now));
        let (missed, is_complete) = missed.unwrap_or((Vec::new(), true));
        let gap = (!is_complete).then(|| (Opcode::Text, notice(&[("gap", name)])));
        let missed = missed.into_iter().map(|(_, opcode, data)| (opcode, data));
        let subscribed = notice(&[("subscribed", name), ("id", &annals.head(number).to_string())]);
        let told = gap.into_iter().chain(missed).chain([(Opcode::Text, subscribed)]);
        self.note(Entry::Brought(fd, told.collect()));
        Subscription::allow()
    }

    fn on_connect(&mut self, server: &mut Server, fd: Fd) {
        if server.is_established(fd) {
            self.opened(server, fd, None);
        }
    }

    fn on_receive(&mut self, server: &mut Server, fd: Fd, data: &[u8]) {
        self.note(Entry::Message(fd, Opcode::Binary, data.to_vec()));
        self.obey(server, fd, Opcode::Binary, data);
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

    fn on_request(&mut self, server: &mut Server, request: &Request<'_>) -> Reply {
        let (fd, path) = (request.fd, request.path().to_owned());
        self.note(Entry::Request(fd, path.clone()));
        let page = format!("you asked for {path} {}", "y".repeat(path.len() * 50));
        let response = Response::text(200, page);
        let late = response.clone();
        match self.controls.borrow_mut().answer_later(server, move |server| {
            server.respond(fd, late);
        }) {
            true => Reply::Later,
            false => response.into(),
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

    fn watches(&self) -> Watches {
        Watches::all()
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

    fn on_presence(&mut self, _server: &mut Server, event: PresenceEvent<'_>) {
        self.rooms.borrow_mut().presence_changed(event);
    }
}

fn is_websocket(server: &Server, fd: Fd) -> bool {
    server.client_info(fd).is_some_and(|info| info.transport == Transport::WebSocket)
}

/// The number of a topic, where it has a history.
fn kept(number: u8) -> Option<u8> {
    annals::TOPICS.into_iter().find(|kept| topic(*kept) == topic(number))
}

/// How the model notes what is told beside messages, by labels.
pub(super) fn notice(labels: &[(&str, &str)]) -> Vec<u8> {
    let labels = labels.iter().map(|(name, value)| format!("\0{name}={value}"));
    labels.collect::<String>().into()
}
