//! Deterministic simulation: the real reactor, dispatch and sessions on simulated sockets and a steered clock. A seed
//! draws clients of every kind, what they send and how it is cut, what they read, FINs, resets between turns and within
//! any read or write, stale and spurious readiness, its order and delay, clock jumps, budgets and limits. After every
//! turn everything is compared with a naive model. `SWIO_SEED=n` runs one seed, `SWIO_SEEDS=n` as many as you like;
//! `SWIO_FIRST_SEED=n` begins there, and runs on behind a seed that fails.

use super::Random;
use super::controls::Controls;
use super::pushes::{Fate, Pushes};
use super::rooms::{self, Rooms, topic, user};
use super::script::{self, Kind, Script, What};
use crate::codec::ws::Opcode;
use crate::net::App as _;
use crate::net::connection::{Flags, Life};
use crate::net::reactor::{Reactor, Ready};
use crate::net::stream::Stream;
use crate::net::wheel::TICK;
use crate::server::dispatch::Dispatch;
use crate::session::route::Route;
use crate::session::state::{Awaited, Session};
use crate::sim::{self, wire};
use crate::{
    Cause, CloseReason, Config, Fault, Fd, FdMap, Frame, Handler, Handshake, History, Message, PresenceEvent,
    PushError, Reach, Reply, Request, Response, Server, SlowConsumer, SubscribeRequest, Subscription,
    TopicEvent, Transport, Watches,
};
use mio::Token;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

mod annals;
mod client;
mod handler;
mod json;
mod replay;
mod totals;
mod transfers;
mod visitors;
mod written;

use annals::Annals;
use client::{Client, Model};
use handler::{Commanded, Entry, Log, PLANNED_PANIC, Push, Subscribing};
use totals::Totals;
use transfers::{Seen, Transfers};
use visitors::{Opening, Post, Sitting, Visitor};

const SEEDS: u64 = 1_000;
/// Those that run on behind one that fails end here.
const FAILED_MAX: usize = 20;

#[test]
fn every_seed_agrees_with_the_naive_model() {
    let from = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match from("SWIO_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = from("SWIO_FIRST_SEED").unwrap_or(0);
            first..first + from("SWIO_SEEDS").unwrap_or(SEEDS)
        }
    };
    let mut failed = Vec::new();
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
            Err(_) => {
                eprintln!("seed {seed} failed: SWIO_SEED={seed} runs it alone");
                failed.push(seed);
            }
        }
        assert!(failed.is_empty() || from("SWIO_FIRST_SEED").is_some() && failed.len() < FAILED_MAX);
    }
    println!("{count} seeds in {:?}: {totals:?}", started.elapsed());
    assert!(failed.is_empty(), "these failed: {failed:?}");
    if count >= SEEDS {
        totals.check_that_everything_happened();
    }
}

struct Simulation {
    random: Random,
    reactor: Reactor<Dispatch>,
    log: Log,
    clients: Vec<Client>,
    by_fd: BTreeMap<Fd, usize>,
    past: BTreeSet<Fd>,
    now: Instant,
    /// How many sockets a poll reports, in the order in which they became ready; 0: any of them, in any order.
    events_max: usize,
    /// How many sockets became ready so far.
    pended: u64,
    /// What a turn does between two looks at the clock takes so long.
    look_takes: Duration,
    rooms: Rc<RefCell<Rooms>>,
    controls: Rc<RefCell<Controls>>,
    connections_max: usize,
    /// Those who come by event streams and polls, in the order in which they came first.
    visitors: Vec<Visitor>,
    openings: Vec<Opening>,
    /// Of long polling.
    sessions: BTreeMap<Fd, Sitting>,
    posts: Vec<Post>,
    visitors_max: usize,
    annals: Rc<RefCell<Annals>>,
    subscribing: Subscribing,
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
            config.event_streams = true;
            config.long_polling = true;
            config.poll_hold = Duration::from_millis([25_000, 3_000, 500][random.below(3) as usize]);
            config.poll_grace = Duration::from_millis([15_000, 1_000][random.below(2) as usize]);
            config.outbox_bytes_max = [10_000, 30_000, 1 << 20][random.below(3) as usize];
            config.outboxes_bytes_max = config.outbox_bytes_max * (1 + random.below(20) as usize);
            config.buffer_high_watermark = Some([2_000, 10_000][random.below(2) as usize]);
            config.buffer_low_watermark = [0, 1_500][random.below(2) as usize];
        });
        // Closures given to a builder must be `Send`; the simulation stays on its thread.
        let mut reactor = builder.simulate_tcp(&script::framings()).expect("a valid configuration");
        let history = History {
            messages: [2, 10, 1_000][random.below(3) as usize],
            age: Duration::from_secs([10, 300][random.below(2) as usize]),
            ..History::default()
        };
        reactor.app.server.set_epoch(annals::EPOCH);
        for number in annals::TOPICS {
            reactor.app.server.keep_history(&topic(number), history).expect("room");
        }
        let annals = Rc::new(RefCell::new(Annals::new(history)));
        let subscribing = Subscribing::default();
        let rooms = Rc::<RefCell<Rooms>>::default();
        let controls = Rc::new(RefCell::new(Controls::new(seed)));
        let handler = Commanded {
            controls: controls.clone(),
            annals: annals.clone(),
            subscribing: subscribing.clone(),
            labelled: BTreeSet::new(),
            log: log.clone(),
            opened: Vec::new(),
            policy,
            policies: FdMap::new(),
            count: Cell::new(0),
            rooms: rooms.clone(),
        };
        reactor.app.handlers.replace_root(Box::new(handler));
        reactor.app.ask_for_watches(Route::ROOT);
        reactor
            .app
            .connections()
            .limit_batch([0, 1, 130, 300, 5_000, 1 << 20, 1 << 20][random.below(7) as usize]);
        let look_takes = Duration::from_micros([0, 0, 20, 300, 3_000][random.below(5) as usize]);
        let events_max = [0, 0, 0, 0, 0, 1, 3][random.below(7) as usize];
        if events_max > 0 {
            reactor.events_max = events_max;
        }
        // Ahead of the real clock, so that only the steered one counts.
        let now = Instant::now() + Duration::from_secs(3_600);
        Simulation {
            connections_max: 3 + random.below(20) as usize,
            shut_at: if random.chance(10) { random.below(150) } else { u64::MAX },
            is_shut: false,
            visitors: Vec::new(),
            openings: Vec::new(),
            sessions: BTreeMap::new(),
            posts: Vec::new(),
            visitors_max: random.below(7) as usize,
            annals,
            subscribing,
            controls,
            random,
            reactor,
            log,
            clients: Vec::new(),
            by_fd: BTreeMap::new(),
            past: BTreeSet::new(),
            now,
            look_takes,
            events_max,
            pended: 0,
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
        (self.totals.fanned_out, self.totals.needless_outboxes) = self.controls.borrow().outboxes();
        self.totals.room_events = self.rooms.borrow().events;
        self.totals
    }

    /// Something happens in the world outside.
    fn live(&mut self) {
        if self.is_welcoming() && self.clients.len() < self.connections_max && self.random.chance(30) {
            self.connect();
        }
        self.live_visitors();
        for index in 0..self.clients.len() {
            if self.clients[index].is_silent || self.random.chance(40) {
                continue;
            }
            match self.random.below(100) {
                0 => self.reset(index),
                1 => self.finish(index),
                // It is reset in the middle of what the server does then.
                2 => {
                    let calls = self.random.below(6) as u32;
                    wire(self.clients[index].wire, |wire| wire.resets_in = Some(calls));
                }
                3 if self.random.chance(50) => self.clients[index].is_silent = true,
                3 => self.clients[index].is_slow ^= true,
                4..=70 => self.send(index),
                _ => self.give_room(index),
            }
        }
        // A process that is stopped, again and again.
        let stops = if self.events_max > 0 { 8 } else { 0 };
        self.now += match self.random.below(200).saturating_sub(stops) {
            0 => Duration::from_secs(1 + self.random.below(120)),
            1 if self.random.chance(5) => Duration::from_secs(100_000),
            2..=10 => Duration::from_millis(self.random.below(5_000)),
            _ => Duration::from_millis(self.random.below(30)),
        };
    }

    /// Whoever comes while memory is short is sent away, which is another test's business.
    fn is_welcoming(&self) -> bool {
        !self.is_shut && !self.reactor.app.server.sessions.connections.is_nearly_full()
    }

    fn shut_down(&mut self) {
        self.is_shut = true;
        self.totals.shutdowns += 1;
        self.clients.iter_mut().for_each(|client| client.model.is_shut = true);
        self.sessions.values_mut().for_each(|sitting| sitting.model.is_shut = true);
        self.reactor.app.server.shutdown();
    }

    fn connect(&mut self) {
        let script = Script::new(&mut self.random);
        self.admit(script, None);
    }

    /// Somebody connects; gives its place.
    fn admit(&mut self, script: Script, visitor: Option<usize>) -> usize {
        let (stream, number) = sim::socket();
        self.reactor.app.connections().set_now(self.now);
        let listener = if let Kind::Tcp(framing) = script.kind { u16::from(framing) + 1 } else { 0 };
        // A few addresses, whose shares are checked.
        let address = std::net::Ipv4Addr::new(10, 0, 0, (self.clients.len() % 5) as u8);
        self.reactor.admit(Stream::Sim(stream), listener, Some(address.into()));
        let fd = wire(number, |wire| wire.fd).expect("the table has room");
        assert!(!self.past.contains(&fd) && !self.by_fd.contains_key(&fd), "{fd} names two connections");
        self.by_fd.insert(fd, self.clients.len());
        self.totals.connections += 1;
        self.clients.push(Client {
            wire: number,
            fd,
            script,
            visitor,
            sent: 0,
            pending: None,
            pended: 0,
            is_slow: self.random.chance(15),
            is_silent: false,
            heard: self.now,
            spoke: self.now,
            transfers: Transfers::default(),
            was_open: true,
            was_unread: false,
            was_held: false,
            consumed: 0,
            model: Model::default(),
            written_checked: 0,
            written: 0,
            arrived: 0,
            asked: VecDeque::new(),
            answers: VecDeque::new(),
            seen: Vec::new(),
            judged: 0,
            is_last: false,
            is_deaf: false,
        });
        let index = self.clients.len() - 1;
        self.give_room(index);
        self.send(index);
        index
    }

    fn pend(&mut self, index: usize, add: impl FnOnce(&mut Ready)) {
        let client = &mut self.clients[index];
        let token = Token(client.fd.to_u64() as usize);
        if client.pending.is_none() {
            self.pended += 1;
            client.pended = self.pended;
        }
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
        if wire(client.wire, |wire| wire.readable.is_empty()) {
            client.spoke = self.now;
        }
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
        if self.events_max > 0 {
            let mut pending: Vec<_> =
                self.clients.iter_mut().filter(|client| client.pending.is_some()).collect();
            pending.sort_by_key(|client| client.pended);
            ready
                .extend(pending.into_iter().take(self.events_max).filter_map(|client| client.pending.take()));
            return ready;
        }
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
        sim::set_clock(self.now, self.look_takes);
        self.reactor.turn(self.now, ready.into_iter());
        self.now = sim::clock_shows();
        for index in 0..self.clients.len() {
            let (is_reset, is_timed) =
                wire(self.clients[index].wire, |wire| (wire.reset, wire.resets_in == Some(0)));
            if is_reset && is_timed {
                wire(self.clients[index].wire, |wire| wire.resets_in = None);
                self.totals.resets_within += 1;
                self.reset(index);
            }
        }
        for client in &mut self.clients {
            let consumed = client.sent - wire(client.wire, |wire| wire.readable.len());
            // What is discarded behind the end is no sign of life.
            if consumed > client.consumed && client.was_open {
                client.heard = self.now;
            }
            let connection = self.reactor.app.server.sessions.connections.get(client.fd);
            if client.was_open {
                client.was_unread = wire(client.wire, |wire| !wire.readable.is_empty());
            }
            let is_queued = connection.is_some_and(|connection| connection.queued_bytes() > 0);
            let written = wire(client.wire, |wire| wire.written.len());
            let seen = Seen { at: self.now, consumed, written, is_queued };
            client.transfers.note(seen, &client.script, &self.reactor.app.server.sessions.config);
            client.was_open = connection.is_some_and(|connection| connection.life == Life::Open);
            if client.was_open {
                client.was_held = connection.is_some_and(|connection| connection.flags.has(Flags::PAUSED));
            }
            client.consumed = consumed;
            let rest = self.reactor.app.server.sessions.connections.rest_bytes(client.fd).1;
            client.asked.iter_mut().for_each(|ask| ask.note_read(consumed - rest, self.now));
        }
        self.replay();
    }

    /// After every turn: what each client got, what is held, and what is left to do.
    fn check(&mut self) {
        self.reactor.app.server.sessions.check_census();
        let (mut websockets, mut tcp, mut event_streams) = (0, 0, 0);
        let mut outboxes = 0;
        let mut queued = 0;
        let mut are_some_unflushed = false;
        let mut inbound = 0;
        let limit = self.reactor.app.server.config().outbox_bytes_max;
        for client in &mut self.clients {
            client.check_written();
            let connection = self.reactor.app.server.sessions.connections.get(client.fd);
            assert_eq!(connection.is_none(), wire(client.wire, |wire| wire.closed), "{}", client.fd);
            let Some(connection) = connection else { continue };
            if connection.queued_bytes() == 0 && self.reactor.app.server.is_established(client.fd) {
                // What was pushed has been written, or was given up and counted.
                let lost = self.reactor.app.server.client_info(client.fd).expect("it is there").lost;
                let accounted = client.arrived + lost.dropped + lost.replaced;
                assert_eq!(client.model.pushed.count(), accounted, "{}: {lost:?}", client.fd);
            }
            let is_established = self.reactor.app.server.is_established(client.fd);
            websockets += usize::from(is_established && client.script.kind == Kind::WebSocket);
            tcp += usize::from(is_established && matches!(client.script.kind, Kind::Tcp(_)));
            event_streams += usize::from(is_established && client.script.kind == Kind::EventStream);
            inbound += self.reactor.app.server.client_info(client.fd).expect("it is there").held_bytes;
            outboxes += usize::from(connection.outbox.is_some());
            queued += connection.queued_bytes() - connection.span.len();
            are_some_unflushed |= !connection.span.is_empty();
            // Exempt from the limit: the 101, a close frame, and the pongs for one read; nearly: an answer.
            let most = limit + 5_120 + self.reactor.app.server.config().read_buffer_bytes;
            assert!(connection.queued_bytes() <= most, "{}: over its limit", client.fd);
            if connection.outbox.is_some() {
                let room = wire(client.wire, |wire| wire.room);
                let may_write = room > 0 && client.pending.is_none();
                let yields = self.reactor.app.server.sessions.connections.holdings().pending > 0;
                assert!(!may_write || yields, "{}: {room} bytes could be written", client.fd);
            }
            client.check_read(&self.reactor.app.server);
            let is_told = client.pending.is_none() && self.reactor.app.server.usage().pending == 0;
            let is_paused = connection.flags.has(Flags::PAUSED);
            if is_told && !is_paused && wire(client.wire, |wire| wire.fin && wire.readable.is_empty()) {
                assert!(
                    connection.flags.has(Flags::PEER_ENDED),
                    "{}: the peer's end was not seen",
                    client.fd
                );
            }
        }
        let usage = self.reactor.app.server.usage();
        let (long_polls, laden, waiting) = self.check_sessions();
        (outboxes, queued) = (outboxes + laden, queued + waiting);
        // What the batch has stays in it until all of it is written.
        let batched = self.reactor.app.server.sessions.connections.batch_bytes();
        assert!(batched == 0 || usage.pending > 0, "the batch was not emptied");
        assert!(batched > 0 || !are_some_unflushed, "a span of an empty batch");
        queued += batched;
        let of_kinds = (usage.websockets, usage.tcp, usage.event_streams, usage.long_polls);
        assert_eq!(of_kinds, (websockets, tcp, event_streams, long_polls));
        assert_eq!((usage.outboxes, usage.queued_bytes), (outboxes, queued));
        assert_eq!(usage.inbound_bytes, inbound);
        self.reactor.app.server.sessions.check_shares();
        assert_eq!(usage.connections, self.reactor.app.server.sessions.connections.len());
        self.read_visitors();
        if !self.reactor.app.has_deferred() {
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
        let closed = self.sessions.iter().filter(|(_, sitting)| sitting.model.closed.is_some());
        past.extend(closed.map(|(fd, _)| *fd));
    }

    /// Everybody leaves in one way or another; then nothing may be left.
    fn wind_up(&mut self) {
        for index in 0..self.clients.len() {
            let is_patient = matches!(self.clients[index].script.kind, Kind::Tcp(_) | Kind::EventStream);
            match self.random.below(if is_patient { 2 } else { 3 }) {
                0 => self.reset(index),
                1 => self.finish(index),
                _ => {}
            }
        }
        for _ in 0..40 {
            self.now += Duration::from_secs(10);
            for fd in self.clients.iter().map(|client| &client.fd).chain(self.sessions.keys()) {
                self.reactor.app.server.protect(*fd, false);
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
        let unended = self.sessions.iter().find(|(_, sitting)| sitting.model.closed.is_none());
        assert_eq!(unended.map(|(fd, _)| fd), None, "a session never ends");
        if let Some(client) = self.clients.first() {
            let connection =
                self.reactor.app.server.sessions.connections.get(client.fd).expect("it is in the table");
            let life = (connection.life, connection.flags, connection.queued_bytes());
            panic!("{} never ends: {life:?}", client.fd);
        }
        assert_eq!(self.reactor.app.server.usage(), crate::Usage::default());
        assert_eq!(self.reactor.app.server.sessions.token_count(), 0);
    }
}
