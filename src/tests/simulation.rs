//! Deterministic simulation: the real reactor, dispatch and sessions on simulated sockets and a steered
//! clock. A seed draws clients, what they send and how it is cut, what they read, resets, FINs, stale and
//! spurious readiness, its order and delay, clock jumps, budgets and limits. After every turn everything is
//! compared with a naive model. `SWIO_SEED=n` runs one seed, `SWIO_SEEDS=n` as many as you like.

use super::Random;
use super::controls::Controls;
use super::pushes::{Fate, Pushes};
use super::rooms::{Rooms, topic, user};
use super::script::{Kind, Script, What};
use crate::codec::ws::Opcode;
use crate::net::App as _;
use crate::net::connection::{Flags, Life};
use crate::net::reactor::{Reactor, Ready};
use crate::net::stream::Stream;
use crate::server::dispatch::Dispatch;
use crate::sim::{self, wire};
use crate::{
    Cause, CloseReason, Fault, Fd, FdMap, Frame, Handler, Handshake, Message, Presence, PushError, Reach,
    Request, Response, Server, SlowConsumer, TopicEvent,
};
use mio::Token;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

const SEEDS: u64 = 1_000;

#[test]
fn every_seed_agrees_with_the_naive_model() {
    let from = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match from("SWIO_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from("SWIO_SEEDS").unwrap_or(SEEDS),
    };
    let (count, started) = (seeds.end - seeds.start, Instant::now());
    let mut totals = Totals::default();
    std::panic::set_hook(Box::new(|info| {
        if info.payload_as_str() != Some(PLANNED_PANIC) {
            eprintln!("{info}");
        }
    }));
    for seed in seeds {
        let run = std::panic::catch_unwind(|| Simulation::new(seed).run());
        match run {
            Ok(one) => totals.add(&one),
            Err(_) => panic!("seed {seed} failed: SWIO_SEED={seed} runs it alone"),
        }
    }
    println!("{count} seeds in {:?}: {totals:?}", started.elapsed());
    if count >= SEEDS {
        totals.check_that_everything_happened();
    }
}

const PLANNED_PANIC: &str = "a planned panic";

/// What the handler saw and did, in order.
#[derive(Clone, Debug)]
enum Entry {
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
struct Push {
    opcode: Opcode,
    data: Vec<u8>,
    fate: Fate,
    policy: SlowConsumer,
}

type Log = Rc<RefCell<Vec<Entry>>>;

struct Commanded {
    log: Log,
    opened: Vec<Fd>,
    policy: SlowConsumer,
    /// Of connections that have one of their own.
    policies: FdMap<SlowConsumer>,
    /// Makes contents unique.
    count: Cell<u64>,
    rooms: Rc<RefCell<Rooms>>,
    controls: Rc<RefCell<Controls>>,
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

/// How often what the simulation is for took place.
#[derive(Debug, Default)]
struct Totals {
    turns: u64,
    connections: u64,
    messages: u64,
    pushes: u64,
    refused_full: u64,
    resets: u64,
    timeouts: u64,
    panics: u64,
    protocol_errors: u64,
    clean_closes: u64,
    requests: u64,
    room_events: u64,
    dropped: u64,
    replaced: u64,
    pauses: u64,
    late_answers: u64,
    shutdowns: u64,
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        self.turns += other.turns;
        self.connections += other.connections;
        self.messages += other.messages;
        self.pushes += other.pushes;
        self.refused_full += other.refused_full;
        self.resets += other.resets;
        self.timeouts += other.timeouts;
        self.panics += other.panics;
        self.protocol_errors += other.protocol_errors;
        self.clean_closes += other.clean_closes;
        self.requests += other.requests;
        self.room_events += other.room_events;
        self.dropped += other.dropped;
        self.replaced += other.replaced;
        self.pauses += other.pauses;
        self.late_answers += other.late_answers;
        self.shutdowns += other.shutdowns;
    }

    /// A simulation in which nothing goes wrong proves nothing.
    fn check_that_everything_happened(&self) {
        let Totals { turns, connections, messages, pushes, refused_full, .. } = *self;
        assert!(turns > 50_000 && connections > 5_000 && messages > 10_000 && pushes > 20_000, "{self:?}");
        assert!(refused_full > 100 && self.resets > 100 && self.timeouts > 100, "{self:?}");
        assert!(self.panics > 100 && self.protocol_errors > 100 && self.clean_closes > 100, "{self:?}");
        assert!(self.requests > 1_000 && self.room_events > 1_000, "{self:?}");
        assert!(self.pauses > 1_000 && self.late_answers > 1_000 && self.shutdowns > 10, "{self:?}");
        assert!(self.dropped > 500 && self.replaced > 500, "{self:?}");
    }
}

/// What the naive model knows of a connection that was opened.
#[derive(Default)]
struct Model {
    is_opened: bool,
    /// Messages that the handler was given.
    messages: usize,
    /// What was pushed and accepted, in order.
    pushed: Pushes,
    is_closing: bool,
    closed: Option<CloseReason>,
    is_disconnected: bool,
    /// The server has begun to shut down.
    is_shut: bool,
    requests: usize,
}

struct Client {
    wire: u32,
    fd: Fd,
    script: Script,
    /// How much of the script is on its way or has arrived.
    sent: usize,
    /// What the kernel has to tell and did not yet.
    pending: Option<Ready>,
    /// Takes bytes seldom or never.
    is_slow: bool,
    /// Nothing more happens from its side.
    is_silent: bool,
    /// When the server last took bytes.
    heard: Instant,
    /// After the last turn.
    was_open: bool,
    consumed: usize,
    model: Model,
    /// How many items of the log were checked against what was written.
    written_checked: usize,
    /// How many bytes were written, and how many messages in them.
    written: usize,
    arrived: u64,
}

struct Simulation {
    random: Random,
    reactor: Reactor<Dispatch>,
    log: Log,
    clients: Vec<Client>,
    by_fd: BTreeMap<Fd, usize>,
    past: BTreeSet<Fd>,
    now: Instant,
    rooms: Rc<RefCell<Rooms>>,
    controls: Rc<RefCell<Controls>>,
    connections_max: usize,
    /// The server is shut down in this turn.
    shut_at: u64,
    is_shut: bool,
    totals: Totals,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        sim::forget_all();
        let mut random = Random::new(seed);
        let log = Log::default();
        let policy = match random.below(10) {
            0..6 => SlowConsumer::Close,
            6..8 => SlowConsumer::DropNewest,
            _ => SlowConsumer::DropOldest,
        };
        let builder = Server::builder().configure(|config| {
            config.connections_max = Some(1_000);
            config.slow_consumer = policy;
            config.message_bytes_max = 20_000;
            config.read_buffer_bytes = [16, 50, 300, 4_096, 65_536][random.below(5) as usize];
            config.reads_per_turn_max = 1 + random.below(4) as u32;
            config.outbox_bytes_max = [10_000, 30_000, 1 << 20][random.below(3) as usize];
            config.outboxes_bytes_max = config.outbox_bytes_max * (1 + random.below(20) as usize);
            config.buffer_high_watermark = Some([2_000, 10_000][random.below(2) as usize]);
            config.buffer_low_watermark = [0, 1_500][random.below(2) as usize];
        });
        // Closures given to a builder must be `Send`; the simulation stays on its thread.
        let mut reactor = builder.simulate().expect("a valid configuration");
        let rooms = Rc::<RefCell<Rooms>>::default();
        let controls = Rc::new(RefCell::new(Controls::new(seed)));
        let handler = Commanded {
            controls: controls.clone(),
            log: log.clone(),
            opened: Vec::new(),
            policy,
            policies: FdMap::new(),
            count: Cell::new(0),
            rooms: rooms.clone(),
        };
        reactor.app.routes.replace_root(Box::new(handler));
        reactor.app.connections().limit_batch([300, 5_000, 1 << 20][random.below(3) as usize]);
        // Ahead of the real clock, so that only the steered one counts.
        let now = Instant::now() + Duration::from_secs(3_600);
        Simulation {
            connections_max: 3 + random.below(20) as usize,
            shut_at: if random.chance(10) { random.below(150) } else { u64::MAX },
            is_shut: false,
            controls,
            random,
            reactor,
            log,
            clients: Vec::new(),
            by_fd: BTreeMap::new(),
            past: BTreeSet::new(),
            now,
            rooms,
            totals: Totals::default(),
        }
    }

    fn run(mut self) -> Totals {
        self.turn(Vec::new());
        for _ in 0..60 + self.random.below(120) {
            self.live();
            if self.totals.turns == self.shut_at {
                self.shut_down();
            }
            let ready = self.readiness();
            self.turn(ready);
            self.check();
        }
        self.wind_up();
        let lost = self.reactor.app.server.stats().lost;
        (self.totals.dropped, self.totals.replaced) = (lost.dropped, lost.replaced);
        (self.totals.pauses, self.totals.late_answers) = self.controls.borrow().counts();
        self.totals.room_events = self.rooms.borrow().events;
        self.totals
    }

    /// Something happens in the world outside.
    fn live(&mut self) {
        // Whoever comes while memory is short is sent away, which is another test's business.
        let is_welcome = !self.reactor.app.server.connections.is_nearly_full();
        if is_welcome && !self.is_shut && self.clients.len() < self.connections_max && self.random.chance(30)
        {
            self.connect();
        }
        for index in 0..self.clients.len() {
            if self.clients[index].is_silent || self.random.chance(40) {
                continue;
            }
            match self.random.below(100) {
                0 => self.reset(index),
                1 => self.finish(index),
                2 => self.clients[index].is_silent = true,
                3 => self.clients[index].is_slow ^= true,
                4..=70 => self.send(index),
                _ => self.give_room(index),
            }
        }
        self.now += match self.random.below(200) {
            0 => Duration::from_secs(1 + self.random.below(120)),
            1 if self.random.chance(5) => Duration::from_secs(100_000),
            2..=10 => Duration::from_millis(self.random.below(5_000)),
            _ => Duration::from_millis(self.random.below(30)),
        };
    }

    fn shut_down(&mut self) {
        self.is_shut = true;
        self.totals.shutdowns += 1;
        self.clients.iter_mut().for_each(|client| client.model.is_shut = true);
        self.reactor.app.server.shutdown();
    }

    fn connect(&mut self) {
        let (stream, number) = sim::socket();
        let script = Script::new(&mut self.random);
        self.reactor.app.connections().set_now(self.now);
        self.reactor.admit(Stream::Sim(stream), 0, None);
        let fd = wire(number, |wire| wire.fd).expect("the table has room");
        assert!(!self.past.contains(&fd) && !self.by_fd.contains_key(&fd), "{fd} names two connections");
        self.by_fd.insert(fd, self.clients.len());
        self.totals.connections += 1;
        self.clients.push(Client {
            wire: number,
            fd,
            script,
            sent: 0,
            pending: None,
            is_slow: self.random.chance(15),
            is_silent: false,
            heard: self.now,
            was_open: true,
            consumed: 0,
            model: Model::default(),
            written_checked: 0,
            written: 0,
            arrived: 0,
        });
        let index = self.clients.len() - 1;
        self.give_room(index);
        self.send(index);
    }

    fn pend(&mut self, index: usize, add: impl FnOnce(&mut Ready)) {
        let client = &mut self.clients[index];
        let token = Token(client.fd.to_u64() as usize);
        add(client.pending.get_or_insert(Ready {
            token,
            readable: false,
            writable: false,
            read_closed: false,
            error: false,
        }));
    }

    fn send(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let left = client.script.bytes.len() - client.sent;
        if left == 0 || wire(client.wire, |wire| wire.fin || wire.reset) {
            return;
        }
        let len = match self.random.below(6) {
            0 => 1,
            1 => left,
            2 => self.random.below(2_000) as usize + 1,
            _ => self.random.below(60) as usize + 1,
        };
        let bytes = &client.script.bytes[client.sent..client.sent + len.min(left)];
        wire(client.wire, |wire| wire.readable.extend(bytes));
        client.sent += len.min(left);
        self.pend(index, |ready| ready.readable = true);
    }

    fn finish(&mut self, index: usize) {
        wire(self.clients[index].wire, |wire| wire.fin = true);
        self.pend(index, |ready| (ready.readable, ready.read_closed) = (true, true));
    }

    fn reset(&mut self, index: usize) {
        self.totals.resets += 1;
        self.clients[index].is_silent = true;
        wire(self.clients[index].wire, |wire| wire.reset = true);
        self.pend(index, |ready| {
            (ready.readable, ready.writable, ready.read_closed, ready.error) = (true, true, true, true);
        });
    }

    fn give_room(&mut self, index: usize) {
        let room = match (self.clients[index].is_slow, self.random.below(10)) {
            (true, 0..8) => return,
            (true, _) => self.random.below(50) as usize,
            (false, 0..5) => self.random.below(3_000) as usize,
            (false, _) => 1 << 20,
        };
        wire(self.clients[index].wire, |wire| wire.room = wire.room.saturating_add(room).min(1 << 20));
        self.pend(index, |ready| ready.writable = true);
    }

    /// What the kernel tells this time: some of what it has to, in any order, and some nonsense.
    fn readiness(&mut self) -> Vec<Ready> {
        let mut ready = Vec::new();
        for client in &mut self.clients {
            if !self.random.chance(25) {
                ready.extend(client.pending.take());
            }
        }
        if self.random.chance(30) {
            let any =
                self.past.iter().nth(self.random.below(self.past.len().max(1) as u64) as usize).copied();
            let live =
                self.by_fd.keys().nth(self.random.below(self.by_fd.len().max(1) as u64) as usize).copied();
            for fd in any.into_iter().chain(live) {
                let flags = self.random.next();
                ready.push(Ready {
                    token: Token(fd.to_u64() as usize),
                    readable: flags & 1 != 0,
                    writable: flags & 2 != 0,
                    read_closed: flags & 4 != 0,
                    error: flags & 8 != 0,
                });
            }
        }
        for index in (1..ready.len()).rev() {
            ready.swap(index, self.random.below(index as u64 + 1) as usize);
        }
        ready
    }

    fn turn(&mut self, ready: Vec<Ready>) {
        self.totals.turns += 1;
        self.reactor.turn(self.now, ready.into_iter());
        for client in &mut self.clients {
            let consumed = client.sent - wire(client.wire, |wire| wire.readable.len());
            // What is discarded behind the end is no sign of life.
            if consumed > client.consumed && client.was_open {
                client.heard = self.now;
            }
            let connection = self.reactor.app.server.connections.get(client.fd);
            client.was_open = connection.is_some_and(|connection| connection.life == Life::Open);
            client.consumed = consumed;
        }
        self.replay();
    }

    /// Tells the model what the handler saw and did, judging each entry by what came before it.
    fn replay(&mut self) {
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

    fn client(&mut self, fd: Fd) -> &mut Client {
        let index = *self.by_fd.get(&fd).expect("an fd that was given out");
        &mut self.clients[index]
    }

    fn replay_push(&mut self, fd: Fd, push: Push, result: Result<(), PushError>) {
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
    fn judge_close(&mut self, fd: Fd, reason: &CloseReason) {
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

    /// After every turn: what each client got, what is held, and what is left to do.
    fn check(&mut self) {
        let mut established = 0;
        let mut outboxes = 0;
        let mut queued = 0;
        let mut inbound = 0;
        let limit = self.reactor.app.server.config().outbox_bytes_max;
        for client in &mut self.clients {
            client.check_written();
            let connection = self.reactor.app.server.connections.get(client.fd);
            assert_eq!(connection.is_none(), wire(client.wire, |wire| wire.closed), "{}", client.fd);
            let Some(connection) = connection else { continue };
            if connection.queued_bytes() == 0 && self.reactor.app.server.is_established(client.fd) {
                // What was pushed has been written, or was given up and counted.
                let lost = self.reactor.app.server.client_info(client.fd).expect("it is there").lost;
                let accounted = client.arrived + lost.dropped + lost.replaced;
                assert_eq!(client.model.pushed.count(), accounted, "{}: {lost:?}", client.fd);
            }
            established += usize::from(self.reactor.app.server.is_established(client.fd));
            inbound += self.reactor.app.server.client_info(client.fd).expect("it is there").held_bytes;
            outboxes += usize::from(connection.outbox.is_some());
            queued += connection.queued_bytes();
            // Exempt from the limit: the 101, a close frame, and the pongs for one read.
            let most = limit + 1_024 + self.reactor.app.server.config().read_buffer_bytes;
            assert!(connection.queued_bytes() <= most, "{}: over its limit", client.fd);
            if connection.outbox.is_some() {
                let room = wire(client.wire, |wire| wire.room);
                let may_write = room > 0 && client.pending.is_none();
                let yields = self.reactor.app.server.connections.holdings().pending > 0;
                assert!(!may_write || yields, "{}: {room} bytes could be written", client.fd);
            }
            client.check_read(&self.reactor.app.server);
            let is_told = client.pending.is_none() && self.reactor.app.server.usage().pending == 0;
            let is_paused = connection.flags.has(Flags::PAUSED | Flags::SUSPENDED);
            if is_told && !is_paused && wire(client.wire, |wire| wire.fin && wire.readable.is_empty()) {
                assert!(connection.flags.has(Flags::ENDED), "{}: the peer's end was not seen", client.fd);
            }
        }
        let usage = self.reactor.app.server.usage();
        assert_eq!((usage.websockets, usage.outboxes, usage.queued_bytes), (established, outboxes, queued));
        assert_eq!(usage.inbound_bytes, inbound);
        assert_eq!(usage.connections, self.reactor.app.server.connections.len());
        if !self.reactor.app.has_notices() {
            self.rooms.borrow().check(&self.reactor.app.server);
        }
        self.forget_closed();
    }

    fn forget_closed(&mut self) {
        let (past, by_fd) = (&mut self.past, &mut self.by_fd);
        self.clients.retain(|client| {
            let is_closed = wire(client.wire, |wire| wire.closed);
            if is_closed {
                client.check_end();
                past.insert(client.fd);
                by_fd.remove(&client.fd);
            }
            !is_closed
        });
        for (index, client) in self.clients.iter().enumerate() {
            self.by_fd.insert(client.fd, index);
        }
    }

    /// Everybody leaves in one way or another; then nothing may be left.
    fn wind_up(&mut self) {
        for index in 0..self.clients.len() {
            match self.random.below(3) {
                0 => self.reset(index),
                1 => self.finish(index),
                _ => {}
            }
        }
        for _ in 0..40 {
            self.now += Duration::from_secs(10);
            for client in &self.clients {
                self.reactor.app.server.protect(client.fd, false);
            }
            let ready: Vec<Ready> =
                self.clients.iter_mut().filter_map(|client| client.pending.take()).collect();
            self.turn(ready);
            // Small buffers and budgets take many turns for what is there.
            while self.reactor.app.connections().holdings().pending > 0 {
                self.turn(Vec::new());
            }
            self.check();
        }
        if let Some(client) = self.clients.first() {
            let connection = self.reactor.app.server.connections.get(client.fd).expect("it is in the table");
            let life = (connection.life, connection.flags, connection.queued_bytes());
            panic!("{} never ends: {life:?}", client.fd);
        }
        assert_eq!(self.reactor.app.server.usage(), crate::Usage::default());
    }
}

impl Client {
    /// The n-th message of the script, counted from 1, if it has arrived.
    fn message(&self, nth: usize) -> Option<(Opcode, &[u8])> {
        let mut messages = self.script.items.iter().filter_map(|item| match &item.what {
            What::Message(opcode, data) => Some((item.end, *opcode, &data[..])),
            _ => None,
        });
        let (end, opcode, data) = messages.nth(nth - 1)?;
        (end <= self.consumed_now()).then_some((opcode, data))
    }

    fn consumed_now(&self) -> usize {
        self.sent - wire(self.wire, |wire| wire.readable.len())
    }

    /// Whether nothing has happened that could end the connection.
    fn is_healthy(&self) -> bool {
        let ends = |what: &What| matches!(what, What::Close(_) | What::Error(_) | What::Refused(_));
        let ended = self.script.items.iter().any(|item| ends(&item.what) && item.end <= self.sent + 20_001);
        !ended
            && !self.model.is_closing
            && !self.model.is_shut
            && self.model.closed.is_none()
            && !wire(self.wire, |wire| wire.fin || wire.reset)
    }

    /// Everything that the server took out of the socket has had its effect.
    fn check_read(&self, server: &Server) {
        if self.script.kind != Kind::WebSocket || !self.is_healthy() || !server.is_established(self.fd) {
            return;
        }
        if server.client_info(self.fd).is_some_and(|info| info.is_paused) {
            return;
        }
        let consumed = self.consumed_now();
        let is_message = |what: &What| matches!(what, What::Message(..));
        let arrived = self.script.items.iter().filter(|item| item.end <= consumed && is_message(&item.what));
        assert_eq!(arrived.count(), self.model.messages, "{}: messages got lost", self.fd);
        let is_waiting = wire(self.wire, |wire| !wire.readable.is_empty());
        let is_known = self.pending.is_some() || server.usage().pending > 0;
        assert!(!is_waiting || is_known, "{}: bytes wait and nobody knows", self.fd);
    }

    fn check_written(&mut self) {
        let (written, is_closed) = wire(self.wire, |wire| (std::mem::take(&mut wire.written), wire.closed));
        if written.len() == self.written && !is_closed {
            return wire(self.wire, |wire| wire.written = written);
        }
        self.written = written.len();
        match self.script.kind {
            Kind::WebSocket => self.check_frames(&written),
            Kind::Http => self.check_responses(&written),
        }
        // What was not judged yet comes first the next time.
        wire(self.wire, |wire| wire.written = written);
    }

    /// The peer closed, and everything went out before the socket was closed.
    fn has_ended_well(&self) -> bool {
        let is_clean =
            |reason: &CloseReason| reason.by == crate::Side::Peer && reason.cause == Cause::Requested;
        self.model.closed.as_ref().is_some_and(is_clean)
            && wire(self.wire, |wire| wire.server_fin && !wire.reset)
    }

    /// The 101, then frames: the accepted pushes in their order, pongs for pings, at most one close, the
    /// last.
    fn check_frames(&mut self, written: &[u8]) {
        let Some(written) = behind_pages(written) else { return };
        let Some(head) = written.windows(4).position(|four| four == b"\r\n\r\n") else { return };
        // The request or its answer took too long.
        if written.starts_with(b"HTTP/1.1 408 ") || written.starts_with(b"HTTP/1.1 503 ") {
            return;
        }
        assert!(written.starts_with(b"HTTP/1.1 101 "), "{}: {}", self.fd, String::from_utf8_lossy(written));
        let pings = self.script.items.iter().filter_map(|item| match &item.what {
            What::Ping(payload) => Some(payload),
            _ => None,
        });
        let mut pings: Vec<&Vec<u8>> = pings.collect();
        let mut rest = &written[head + 4..];
        let mut arrivals = self.model.pushed.arrivals();
        let mut is_closed = false;
        let mut begun: Option<(Opcode, Vec<u8>)> = None;
        while let Some((first, payload, after)) = frame(rest) {
            assert!(!is_closed, "{}: a frame after the close frame", self.fd);
            match first {
                0x01 | 0x02 => {
                    assert!(begun.is_none(), "{}: a message within another", self.fd);
                    let opcode = if first == 0x01 { Opcode::Text } else { Opcode::Binary };
                    begun = Some((opcode, payload.to_vec()));
                }
                0x80 => {
                    let (opcode, mut data) = begun.take().expect("a message that is continued");
                    data.extend_from_slice(payload);
                    arrivals.take(opcode, &data);
                }
                0x81 | 0x82 => {
                    assert!(begun.is_none(), "{}: a message within another", self.fd);
                    let opcode = if first == 0x81 { Opcode::Text } else { Opcode::Binary };
                    arrivals.take(opcode, payload);
                }
                0x88 => is_closed = true,
                0x89 => assert!(payload.len() == 8, "{}: a ping of the server's own", self.fd),
                // An urgent pong may overtake those of earlier pings, but each ping has one at most.
                0x8a => {
                    let ping = pings.iter().position(|ping| *ping == payload);
                    pings.swap_remove(ping.unwrap_or_else(|| panic!("{}: a pong for no ping", self.fd)));
                }
                _ => panic!("{}: first byte {first:#x}", self.fd),
            }
            rest = after;
        }
        if self.has_ended_well() {
            arrivals.check_complete();
        }
        self.arrived = arrivals.count;
    }

    fn check_responses(&mut self, written: &[u8]) {
        let text = String::from_utf8_lossy(written);
        let mut rest = &text[..];
        let mut count = 0;
        while let Some((head, after)) = rest.split_once("\r\n\r\n") {
            let len = head.split("Content-Length: ").nth(1).and_then(|line| line.split("\r\n").next());
            let len: usize = len.and_then(|len| len.parse().ok()).expect("a length");
            if after.len() < len {
                break;
            }
            if head.starts_with("HTTP/1.1 200 ") {
                let What::Request(path) = &self.script.items[count].what else { panic!("no request") };
                assert!(
                    after[..len].starts_with(&format!("you asked for {path} y")),
                    "{}: {}",
                    self.fd,
                    &after[..len]
                );
                count += 1;
            }
            rest = &after[len..];
        }
        assert!(count <= self.model.requests, "{}: an answer without a question", self.fd);
        self.written_checked = count;
    }

    /// Once the socket is closed: opened and closed in pairs, and a clean end has lost nothing.
    fn check_end(&self) {
        let Model { is_opened, is_disconnected, .. } = self.model;
        let is_closed = self.model.closed.is_some();
        assert_eq!((is_opened, !is_opened), (is_closed, is_disconnected), "{}: no pair", self.fd);
    }
}

/// What follows the pages that a client asked for before its handshake, once they are whole.
fn behind_pages(mut bytes: &[u8]) -> Option<&[u8]> {
    while bytes.starts_with(b"HTTP/1.1 200 ") {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&bytes[..head]).expect("a head is text");
        let len = text.split("Content-Length: ").nth(1).and_then(|line| line.split("\r\n").next());
        let len: usize = len.and_then(|len| len.parse().ok()).expect("a length");
        bytes = bytes.get(head + 4 + len..)?;
    }
    Some(bytes)
}

/// The first frame of `bytes` if it is whole: first byte, payload, what follows. Strict about what servers
/// send.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&short, rest) = rest.split_first()?;
    assert!(short & 0x80 == 0, "a server's frame is not masked");
    let (len, rest) = match short {
        126 => {
            let (len, rest) = rest.split_at_checked(2)?;
            let len = usize::from(u16::from_be_bytes([len[0], len[1]]));
            assert!(len >= 126);
            (len, rest)
        }
        127 => panic!("no frame here is so long"),
        len => (usize::from(len), rest),
    };
    let (payload, rest) = rest.split_at_checked(len)?;
    Some((first, payload, rest))
}
