//! What a turn does and what it leaves for the next: with simulated sockets and a clock that goes on when a test says
//! so.

use super::script::HANDSHAKE;
use crate::codec::ws::header::encode_masked;
use crate::codec::ws::{Opcode, header};
use crate::net::App as _;
use crate::net::expiry::EXPIRIES_MAX;
use crate::net::reactor::{EVENTS, Reactor, Ready};
use crate::net::stream::Stream;
use crate::net::turn_clock::{SHARE, TURN};
use crate::server::dispatch::Dispatch;
use crate::sim::{self, wire};
use crate::{Config, Fd, Response, Server};
use mio::Token;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What messages were heard, each as the place of its sender and its text.
type Heard = Arc<Mutex<Vec<(usize, String)>>>;

struct World {
    reactor: Reactor<Dispatch>,
    clients: Vec<(Fd, u32)>,
    heard: Heard,
    now: Instant,
}

/// A message takes as many µs as its first word says.
fn open(count: usize, configure: impl FnOnce(&mut Config)) -> World {
    sim::forget_all();
    let heard = Heard::default();
    let told = heard.clone();
    let builder = Server::builder().configure(configure).on_open(|server, request| {
        server.join(request.fd, "all").expect("room");
    });
    let builder = builder.on_message(move |server, frame| {
        let text = frame.data.to_string();
        let micros = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
        sim::pass(Duration::from_micros(micros));
        let place = frame.fd.index() as usize - 1;
        told.lock().expect("no test panicked").push((place, text));
        server.push(frame.fd, frame.data).ok();
    });
    let builder = builder.on_request(|_, request| {
        sim::pass(SHARE);
        Response::text(200, request.path().to_owned())
    });
    let mut reactor = builder.on_subscribe(|_, _| true).simulate().expect("a valid configuration");
    reactor.app.connections().look_after_each_message();
    let mut world = World { reactor, clients: Vec::new(), heard, now: Instant::now() };
    for _ in 0..count {
        world.connect();
    }
    for client in 0..count {
        world.send(client, HANDSHAKE);
    }
    world.turn_with(&(0..count).collect::<Vec<_>>());
    world.settle();
    assert_eq!(world.reactor.app.server.usage().websockets, count);
    (0..count).for_each(|client| drop(world.take_written(client)));
    world.settle();
    world
}

impl World {
    fn connect(&mut self) -> usize {
        let (stream, number) = sim::socket();
        self.reactor.admit(Stream::Sim(stream), 0, None);
        let fd = wire(number, |wire| {
            wire.room = usize::MAX;
            wire.fd.expect("the table has room")
        });
        self.clients.push((fd, number));
        self.clients.len() - 1
    }

    fn send(&self, client: usize, bytes: &[u8]) {
        wire(self.clients[client].1, |wire| wire.readable.extend(bytes));
    }

    /// Sends these messages at once.
    fn say(&self, client: usize, texts: &[&str]) {
        let mut bytes = Vec::new();
        texts.iter().for_each(|text| encode_masked(true, Opcode::Text, [1; 4], text.as_bytes(), &mut bytes));
        self.send(client, &bytes);
    }

    fn ready(&self, client: usize) -> Ready {
        let token = Token(self.clients[client].0.to_u64() as usize);
        Ready { token, readable: true, writable: false, read_closed: false, error: false }
    }

    /// A turn in which these are said to be readable, in this order. Returns what was heard in it.
    fn turn_with(&mut self, clients: &[usize]) -> Vec<(usize, String)> {
        let ready: Vec<Ready> = clients.iter().map(|client| self.ready(*client)).collect();
        sim::set_clock(self.now, Duration::ZERO);
        self.reactor.turn(self.now, ready.into_iter());
        self.now = sim::clock_shows();
        std::mem::take(&mut *self.heard.lock().expect("no test panicked"))
    }

    fn pending(&mut self) -> usize {
        self.reactor.app.connections().holdings().pending
    }

    fn settle(&mut self) {
        while self.pending() > 0 {
            self.turn_with(&[]);
        }
    }

    fn take_written(&self, client: usize) -> Vec<u8> {
        wire(self.clients[client].1, |wire| std::mem::take(&mut wire.written))
    }

    fn server(&mut self) -> &mut Server {
        &mut self.reactor.app.server
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    header::append_frame(&mut frame, Opcode::Text, text.as_bytes());
    frame
}

fn heard(expected: &[(usize, &str)]) -> Vec<(usize, String)> {
    expected.iter().map(|(client, text)| (*client, (*text).to_owned())).collect()
}

#[test]
fn one_whose_messages_take_long_waits_while_others_are_heard() {
    let mut world = open(3, |_| {});
    world.say(0, &["300 a", "300 b", "300 c"]);
    world.say(1, &["0 d", "0 e"]);
    assert_eq!(world.turn_with(&[0, 1]), heard(&[(0, "300 a"), (1, "0 d"), (1, "0 e")]));
    let fd = world.clients[0].0;
    let held = world.server().client_info(fd).expect("it is there").held_bytes;
    assert_eq!((held, world.server().usage().inbound_bytes), (2 * (6 + 5), 2 * (6 + 5)));
    // What comes now is heard first, and what came behind the rest is read after it.
    world.say(2, &["0 f"]);
    world.say(0, &["0 g"]);
    assert_eq!(world.turn_with(&[0, 2]), heard(&[(2, "0 f"), (0, "300 b")]));
    assert_eq!(world.turn_with(&[]), heard(&[(0, "300 c"), (0, "0 g")]));
    assert_eq!((world.pending(), world.server().usage().inbound_bytes), (0, 0));
    let answers = ["300 a", "300 b", "300 c", "0 g"].map(text).concat();
    assert_eq!(world.take_written(0), answers);
}

#[test]
fn when_the_time_of_a_turn_is_over_the_others_are_first_in_the_next() {
    let mut world = open(6, |_| {});
    let long = TURN.as_micros().to_string();
    for client in 0..6 {
        world.say(client, &[&long, "0 more"]);
    }
    // One at least in each turn, then those that were not read, then those that had their share.
    assert_eq!(world.turn_with(&[0, 1, 2, 3, 4]), heard(&[(0, &long)]));
    for client in 1..5 {
        let expected = heard(&[(client, &long), (client - 1, "0 more")]);
        assert_eq!(world.turn_with(if client == 1 { &[5] } else { &[] }), expected, "{client}");
    }
    assert_eq!(world.turn_with(&[]), heard(&[(5, &long), (4, "0 more")]));
    assert_eq!(world.turn_with(&[]), heard(&[(5, "0 more")]));
    assert_eq!(world.pending(), 0);
}

#[test]
fn requests_in_a_pipeline_have_a_share_too_and_so_has_the_websocket_behind_them() {
    let mut world = open(1, |_| {});
    let client = world.connect();
    world.send(client, &b"GET /x HTTP/1.1\r\nHost: sim\r\n\r\n".repeat(3));
    world.send(client, HANDSHAKE);
    world.say(client, &["0 a"]);
    world.say(0, &["0 b"]);
    let served = |world: &World| {
        let written = world.take_written(client);
        String::from_utf8_lossy(&written).matches("HTTP/1.1 ").count()
    };
    assert_eq!(world.turn_with(&[client, 0]), heard(&[(0, "0 b")]));
    assert_eq!(served(&world), 1);
    world.turn_with(&[client]);
    assert_eq!(served(&world), 1);
    world.turn_with(&[]);
    assert_eq!(served(&world), 1);
    assert_eq!(world.turn_with(&[]), heard(&[(1, "0 a")]));
    assert_eq!((served(&world), world.pending(), world.server().usage().websockets), (1, 0, 2));
}

#[test]
fn who_pauses_or_ends_a_connection_stops_its_rest_too() {
    let mut world = open(2, |_| {});
    for client in 0..2 {
        world.say(client, &["300 a", "0 b"]);
    }
    world.turn_with(&[0, 1]);
    let (paused, ended) = (world.clients[0].0, world.clients[1].0);
    assert!(world.server().pause(paused) && world.server().disconnect(ended, 1000, ""));
    assert_eq!(world.turn_with(&[]), []);
    assert_eq!(world.turn_with(&[]), []);
    assert!(world.server().resume(paused));
    assert_eq!(world.turn_with(&[]), heard(&[(0, "0 b")]));
    assert!(world.server().reset(ended));
    world.settle();
    assert_eq!(world.server().usage().inbound_bytes, 0);
}

/// Pings after 30 s, and an answer within 15 s.
fn configure(config: &mut Config) {
    config.ping_interval = Some(Duration::from_secs(30));
    config.pong_timeout = Duration::from_secs(15);
}

/// Goes on until all have a ping to answer, and none has answered it.
fn until_pinged(world: &mut World) {
    for _ in 0..31 {
        world.now += Duration::from_secs(1);
        world.turn_with(&[]);
        world.settle();
    }
    for client in 0..world.clients.len() {
        let written = world.take_written(client);
        assert_eq!((written.len(), written[0]), (10, 0x89), "{client} was pinged");
        world.send(client, &[0x8a, 0x80, 0, 0, 0, 0]);
    }
}

#[test]
fn nobody_is_given_up_before_all_that_was_reported_late_is_read() {
    let count = 2 * EVENTS + 500;
    let mut world = open(count, configure);
    until_pinged(&mut world);
    // All have answered while the loop did something else.
    world.now += Duration::from_secs(100);
    let clients: Vec<usize> = (0..count).collect();
    for ready in clients.chunks(EVENTS) {
        world.turn_with(ready);
        assert_eq!(world.server().usage().websockets, count);
    }
    world.settle();
    for _ in 0..5 {
        world.now += Duration::from_secs(1);
        world.turn_with(&[]);
    }
    assert_eq!(world.server().usage().websockets, count, "none is lost");
}

#[test]
fn who_is_silent_is_given_up_though_every_poll_is_full() {
    let count = EVENTS + 10;
    let mut world = open(count, configure);
    until_pinged(&mut world);
    let busy: Vec<usize> = (10..count).collect();
    let mut turns = 0;
    world.now += Duration::from_secs(16);
    while world.server().usage().websockets == count {
        world.now += Duration::from_millis(100);
        busy.iter().for_each(|client| world.say(*client, &["0"]));
        world.turn_with(&busy);
        turns += 1;
    }
    assert_eq!(
        (turns, world.server().usage().websockets),
        (2, EVENTS),
        "two polls report more than there are"
    );
}

#[test]
fn only_so_many_deadlines_pass_in_a_turn() {
    let count = 2 * EXPIRIES_MAX + 5;
    let mut world = open(count, configure);
    world.now += Duration::from_secs(40);
    for (turn, pinged) in [EXPIRIES_MAX, 2 * EXPIRIES_MAX, count].into_iter().enumerate() {
        assert_eq!(world.reactor.next_wake_up(world.now), Some(Duration::ZERO), "{turn}");
        world.turn_with(&[]);
        assert_eq!(world.server().stats().pings_sent, pinged as u64);
    }
    assert!(world.reactor.next_wake_up(world.now) > Some(Duration::ZERO));
}

#[test]
fn a_deadline_waits_while_input_is_left_for_the_next_turn_but_not_for_ever() {
    let mut world = open(3, configure);
    until_pinged(&mut world);
    wire(world.clients[2].1, |wire| wire.readable.clear());
    world.now += Duration::from_secs(16);
    // The first one has the time of the turn, so that the second is not read in it.
    world.say(0, &["2000"]);
    world.turn_with(&[0, 1]);
    assert_eq!(world.server().usage().websockets, 2, "the third had nothing to be read");
    world.settle();
    world.now += Duration::from_secs(10);
    world.turn_with(&[]);
    assert_eq!(world.server().usage().websockets, 2, "the second was heard in time");
}

#[test]
fn one_that_is_never_read_to_its_end_has_its_time_too() {
    let mut world = open(1, |config| {
        config.reads_per_turn_max = 1;
        config.linger_timeout = Duration::from_secs(1);
    });
    let client = world.connect();
    let fd = world.clients[client].0;
    // The server ends its side, and waits for the client's end.
    world.send(client, b"GET /x HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n");
    world.turn_with(&[client]);
    let mut turns = 0;
    while world.server().exists(fd) {
        world.send(client, &[0; 200_000]);
        world.now += Duration::from_millis(100);
        world.turn_with(&[client]);
        turns += 1;
    }
    assert!((100..120).contains(&turns), "{turns}");
}

#[test]
fn a_fan_out_goes_on_in_the_next_turns_while_others_are_served() {
    let count = 400;
    let mut world = open(count, |_| {});
    let all: Vec<usize> = (0..count).collect();
    // Eight writes take a seventh of the time of a turn.
    let turn = |world: &mut World, ready: &[usize]| {
        let ready: Vec<Ready> = ready.iter().map(|client| world.ready(*client)).collect();
        sim::set_clock(world.now, TURN / 7);
        world.reactor.turn(world.now, ready.into_iter());
        world.now = sim::clock_shows();
        std::mem::take(&mut *world.heard.lock().expect("no test panicked"))
    };
    assert_eq!(world.server().publish("all", "one").send().queued, count);
    turn(&mut world, &[]);
    let written = |world: &World| {
        all.iter().filter(|client| wire(world.clients[**client].1, |wire| !wire.written.is_empty())).count()
    };
    let first = written(&world);
    assert!((20..80).contains(&first), "{first} were written to");
    // In order: who was first in the topic is written to first.
    let (done, left) = world.clients.split_at(first);
    assert!(done.iter().all(|(_, number)| wire(*number, |wire| wire.written == text("one"))));
    assert!(left.iter().all(|(_, number)| wire(*number, |wire| wire.written.is_empty())));
    // What is said meanwhile, and what else is sent to all, follows on that.
    world.say(count - 1, &["0 hello"]);
    assert_eq!(turn(&mut world, &[count - 1]), heard(&[(count - 1, "0 hello")]));
    let answer = [text("one"), text("0 hello")].concat();
    assert_eq!(wire(world.clients[count - 1].1, |wire| wire.written.clone()), answer);
    let newcomer = world.connect();
    world.send(newcomer, HANDSHAKE);
    turn(&mut world, &[newcomer]);
    assert!(world.take_written(newcomer).starts_with(b"HTTP/1.1 101 "));
    assert!(written(&world) < count);
    assert_eq!(world.server().publish("all", "two").send().queued, count + 1);
    let fd = world.clients[count - 2].0;
    world.server().push(fd, "for one").expect("room");
    let mut turns = 0;
    while world.pending() > 0 {
        turn(&mut world, &[]);
        turns += 1;
    }
    assert!(turns > 3, "{turns}");
    let both = [text("one"), text("two")].concat();
    for client in 0..count - 2 {
        assert_eq!(world.take_written(client), both, "{client}");
    }
    assert_eq!(world.take_written(count - 2), [both, text("for one")].concat());
    assert_eq!(world.take_written(newcomer), text("two"));
    let usage = world.server().usage();
    assert_eq!((usage.queued_bytes, usage.outboxes), (0, 0));
}

#[test]
fn time_in_which_the_loop_attended_to_nobody_counts_for_no_deadline() {
    let mut world = open(3, configure);
    until_pinged(&mut world);
    let pong = wire(world.clients[1].1, |wire| std::mem::take(&mut wire.readable));
    wire(world.clients[2].1, |wire| wire.readable.clear());
    // A callback takes a minute, and the pong comes after that.
    world.say(0, &["60000000", "0"]);
    world.turn_with(&[0]);
    for _ in 0..5 {
        world.now += Duration::from_secs(1);
        world.turn_with(&[]);
    }
    assert_eq!(world.server().usage().websockets, 3);
    world.send(1, &Vec::from(pong));
    world.turn_with(&[1]);
    world.now += Duration::from_secs(11);
    world.turn_with(&[]);
    world.settle();
    assert_eq!(world.server().usage().websockets, 2, "the third had its 15 s");
}

/// Somebody asks to be in a topic again and again, each time for all that its history has, and reads nothing.
#[test]
fn what_was_missed_is_read_before_the_next_command_is_taken() {
    let mut world = open(1, |_| {});
    world.server().keep_history("news", crate::History::default()).expect("room");
    for _ in 0..100 {
        world.server().publish("news", vec![7; 1_000].as_slice()).send();
    }
    let client = world.connect();
    let head = String::from_utf8_lossy(HANDSHAKE);
    world.send(client, head.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: swio.1\r\n\r\n").as_bytes());
    world.turn_with(&[client]);
    world.settle();
    wire(world.clients[client].1, |wire| wire.room = 0);
    let commands = ["swio=subscribe&topic=news&last-event-id=a-0", "swio=unsubscribe&topic=news"].repeat(3);
    world.say(client, &commands);
    world.turn_with(&[client]);
    world.settle();
    let queued = world.server().usage().queued_bytes;
    assert!((100_000..150_000).contains(&queued), "{queued}");
    assert_eq!(world.server().member_count("news"), 1, "it is in, and was not taken out yet");
    for count in 1..=3 {
        world.take_written(client);
        wire(world.clients[client].1, |wire| wire.room = queued);
        let writable = Ready { writable: true, ..world.ready(client) };
        world.reactor.turn(world.now, [writable].into_iter());
        world.settle();
        assert_eq!(world.server().member_count("news"), usize::from(count < 3), "{count}");
    }
    assert_eq!(world.server().usage().inbound_bytes, 0);
}
