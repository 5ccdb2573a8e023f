//! Peers that read little, and connections that were many: what they cost the others. With simulated sockets and a
//! steered clock.

use crate::codec::ws::Opcode;
use crate::fd::Fd;
use crate::net::outbox::{BYTES_PER_FLUSH, WRITES_PER_FLUSH};
use crate::net::reactor::{Reactor, Ready};
use crate::net::stream::Stream;
use crate::net::{App as _, connection::Flags};
use crate::server::dispatch::Dispatch;
use crate::sim::{self, wire};
use crate::{Config, PushError, Server};
use mio::Token;
use std::time::{Duration, Instant};

/// A server with one open WebSocket, and the time.
struct World {
    reactor: Reactor<Dispatch>,
    number: u32,
    fd: Fd,
    now: Instant,
}

impl World {
    fn open(configure: impl FnOnce(&mut Config)) -> World {
        sim::forget_all();
        let mut reactor = Server::builder().configure(configure).simulate().expect("a valid configuration");
        let (stream, number) = sim::socket();
        wire(number, |wire| {
            wire.room = usize::MAX;
            wire.readable.extend(super::script::HANDSHAKE);
        });
        reactor.admit(Stream::Sim(stream), 0, None);
        let fd = wire(number, |wire| wire.fd).expect("admitted");
        let mut world = World { reactor, number, fd, now: Instant::now() };
        world.turn(true);
        assert_eq!(world.reactor.app.server.usage().websockets, 1);
        world.give_room(0);
        world
    }

    /// A turn at the time that it is; `is_ready`: the socket can be read and written.
    fn turn(&mut self, is_ready: bool) {
        let token = Token(self.fd.to_u64() as usize);
        let ready = Ready { token, readable: true, writable: true, read_closed: false, error: false };
        self.reactor.turn(self.now, is_ready.then_some(ready).into_iter());
    }

    fn give_room(&mut self, room: usize) {
        wire(self.number, |wire| (wire.room, wire.written) = (room, Vec::new()));
    }

    fn server(&mut self) -> &mut Server {
        &mut self.reactor.app.server
    }

    /// Pushes until the outbox is full.
    fn fill(&mut self, len: usize) {
        let fd = self.fd;
        while self.server().push_as(fd, Opcode::Binary, &vec![7; len]) != Err(PushError::Full) {}
    }

    /// How long it is there while its peer takes 100 bytes every 50 s, at most a day.
    fn time_to_end(&mut self) -> Duration {
        let (begun, fd) = (self.now, self.fd);
        while self.server().exists(fd) && self.now - begun < Duration::from_secs(86_400) {
            self.give_room(100);
            self.turn(true);
            for _ in 0..50 {
                self.now += Duration::from_secs(1);
                self.turn(false);
            }
        }
        self.now - begun
    }
}

#[test]
fn who_is_closed_as_a_slow_consumer_holds_next_to_nothing_and_is_gone_in_time() {
    for len in [100, 1_000, 5_000, 100_000] {
        let mut world = World::open(|config| config.close_timeout = Duration::from_secs(100));
        let limit = world.server().config().outbox_bytes_max;
        // The first is begun.
        world.give_room(10);
        world.fill(len);
        let (queued, held) = (world.server().usage().queued_bytes, world.server().usage().outboxes_bytes);
        assert!(queued <= 100 << 10 && held <= 200 << 10, "{len} of {limit}: {queued} {held}");
        assert_eq!(world.server().usage().ending, 1);
        // The four times of its timeout, and the last 50 s.
        let time = world.time_to_end();
        assert!((400..=455).contains(&time.as_secs()), "{len}: {time:?}");
        assert_eq!(world.server().usage().outboxes_bytes, 0);
    }
}

#[test]
fn who_reads_the_close_frame_of_a_slow_consumer_reads_whole_frames_before_it() {
    let mut world = World::open(|_| {});
    world.give_room(3);
    world.fill(5_000);
    wire(world.number, |wire| wire.room = usize::MAX);
    world.turn(true);
    let written = wire(world.number, |wire| std::mem::take(&mut wire.written));
    let frame = [&[0x82, 126, (5_000_u16 >> 8) as u8, 5_000_u16 as u8][..], &[7; 5_000]].concat();
    let mut rest = &written[..];
    while let Some(after) = rest.strip_prefix(&frame[..]) {
        rest = after;
    }
    assert!(written.len() >= frame.len(), "one was begun");
    assert_eq!(rest, b"\x88\x0f\x03\xf5slow consumer");
    assert!(wire(world.number, |wire| wire.server_fin));
}

#[test]
fn a_disconnect_sends_all_that_was_pushed_but_not_at_any_pace() {
    let pushed = |world: &mut World| {
        let fd = world.fd;
        for _ in 0..100 {
            world.server().push_as(fd, Opcode::Binary, &[7; 10_000]).expect("there is room");
        }
        assert!(world.server().disconnect(fd, 1000, ""));
        assert!(world.server().usage().queued_bytes > 1_000_000);
    };
    // At 5,000 bytes a second.
    let mut world = World::open(|_| {});
    pushed(&mut world);
    let mut taken = 0;
    for _ in 0..250 {
        world.now += Duration::from_secs(1);
        world.give_room(5_000);
        world.turn(true);
        taken += wire(world.number, |wire| wire.written.len());
    }
    assert_eq!(taken, 100 * 10_004 + 4);
    // At 2 bytes a second it is over when 4 KiB a second would have been enough.
    let mut world = World::open(|_| {});
    pushed(&mut world);
    let time = world.time_to_end();
    assert!((12..=1_000_408 / 4_096 + 12 + 51).contains(&time.as_secs()), "{time:?}");
}

/// A peer that takes whatever it is given: it could be written to without an end.
#[test]
fn a_connection_that_yields_has_one_share_of_each_turn() {
    // One write takes 64 runs at most.
    const SHARE: usize = WRITES_PER_FLUSH * 64;
    const LEN: usize = 3_000;
    let mut world = World::open(|_| {});
    let fd = world.fd;
    world.give_room(0);
    for _ in 0..2 * SHARE + 100 {
        world.server().push_as(fd, Opcode::Binary, &[7; 8]).expect("there is room");
        let shared = crate::Message::from(vec![7; LEN]).prepare();
        world.server().push(fd, &shared).expect("there is room");
    }
    let queued = world.server().usage().queued_bytes;
    wire(world.number, |wire| wire.room = usize::MAX);
    let mut shares = Vec::new();
    let mut left = queued;
    while left > 0 {
        // It sends too: each read is followed by a flush.
        wire(world.number, |wire| wire.readable.extend([0x8a, 0x80, 0, 0, 0, 0]));
        world.turn(true);
        let connections = world.reactor.app.connections();
        let holdings = connections.holdings();
        let is_yielded = connections.get(fd).is_some_and(|connection| connection.flags.has(Flags::YIELDED));
        assert_eq!(holdings.pending, usize::from(is_yielded), "once in the list");
        shares.push(left - holdings.queued_bytes);
        left = holdings.queued_bytes;
        assert_eq!(is_yielded, left > 0);
    }
    assert!(shares.len() >= 4, "{shares:?}");
    let most = SHARE * (LEN + 4 + 10);
    assert!(shares.iter().all(|share| (1..=most).contains(share)), "{shares:?}");
    assert_eq!(shares[1], shares[2], "{shares:?}");
}

/// Between two frames, so that nothing is left that has to be sent before the close frame.
#[test]
fn one_that_yields_and_is_closed_for_too_much_gets_its_close_frame() {
    let mut world = World::open(|config| config.outbox_bytes_max = 8 << 20);
    let fd = world.fd;
    let frame = BYTES_PER_FLUSH - 10;
    for _ in 0..5 {
        world.server().push_as(fd, Opcode::Binary, &vec![7; frame]).expect("there is room");
    }
    wire(world.number, |wire| wire.room = usize::MAX);
    world.turn(true);
    let connection = world.server().sessions.connections.get(fd).expect("it is there");
    assert!(connection.flags.has(Flags::YIELDED) && connection.queued_bytes() > 2 * BYTES_PER_FLUSH);
    assert_eq!(world.server().push_as(fd, Opcode::Binary, &vec![7; 9 << 20]), Err(PushError::Full));
    world.turn(false);
    world.turn(false);
    let written = wire(world.number, |wire| std::mem::take(&mut wire.written));
    assert_eq!(written.len() % BYTES_PER_FLUSH, 17);
    assert!(written.ends_with(b"\x88\x0f\x03\xf5slow consumer"));
}

/// The table has been large once.
#[test]
fn a_broadcast_to_few_costs_as_much_after_a_peak_as_before() {
    const PEAK: usize = 300_000;
    let mut world = World::open(|_| {});
    world.give_room(usize::MAX);
    let cost = |world: &mut World| {
        let costs = (0..50).map(|_| {
            let begun = Instant::now();
            assert_eq!(world.server().broadcast("hello").send().queued, 1);
            let cost = begun.elapsed();
            world.turn(false);
            cost
        });
        costs.min().expect("there were some")
    };
    let before = cost(&mut world);
    let others: Vec<Fd> = (0..PEAK)
        .map(|_| world.server().sessions.connections.insert(Stream::Socketless).expect("the table grows"))
        .collect();
    let live = world.server().sessions.connections.live();
    assert_eq!(live.iter(1).count(), 1 + PEAK);
    drop(live);
    for fd in others {
        assert!(world.server().reset(fd));
    }
    world.turn(false);
    let connections = &world.server().sessions.connections;
    assert!(connections.live().iter(1).eq([1]) && connections.iter_from(1).count() == 1);
    assert_eq!((connections.next_live(1), connections.next_live(2)), (Some(1), None));
    let after = cost(&mut world);
    // Some 300 words of the map, where it would be 300,000 places.
    assert!(after < 10 * before + Duration::from_micros(50), "{before:?}, then {after:?}");
}
