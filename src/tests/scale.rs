//! A million connections, and bursts: what was reserved does not move, no fd comes back, deadlines come at
//! their tick, and what a burst took is given back.

use super::Random;
use crate::Server;
use crate::codec::ws::Opcode;
use crate::fd::Fd;
use crate::net::batch::Span;
use crate::net::connection::{Connection, Flags, Life};
use crate::net::rate::Meter;
use crate::net::reactor::{Reactor, Ready};
use crate::net::stream::Stream;
use crate::net::table::Table;
use crate::net::wheel::Wheel;
use crate::net::wire::FilterKey;
use crate::net::{App as _, AppPhase};
use crate::server::dispatch::Dispatch;
use crate::sim::{self, wire};
use mio::Token;
use std::time::{Duration, Instant};

const MILLION: usize = 1_000_000;

fn connection(generation: u32) -> Connection<()> {
    // A wire that is forgotten at once: a million of them would be larger than the table.
    let (stream, _) = sim::socket();
    sim::forget_all();
    Connection {
        generation,
        stream: Stream::Sim(stream),
        outbox: None,
        session: (),
        span: Span::default(),
        accepted: 1,
        heard: 1,
        address: 0,
        meter: Meter::default(),
        filter: FilterKey::NONE,
        slow_consumer: None,
        life: Life::Open,
        flags: Flags::default(),
    }
}

#[test]
fn a_table_of_a_million_does_not_move_and_no_fd_comes_back() {
    let mut table = Table::new(0, MILLION);
    let reserved = table.capacity();
    assert!(reserved >= MILLION);
    let mut all: Vec<Fd> = (0..MILLION).map(|_| table.insert(connection).expect("there is room")).collect();
    let place = |table: &Table<()>| std::ptr::from_ref(table.at(1).expect("the first").1).addr();
    let first = place(&table);
    assert_eq!(table.len(), MILLION);
    assert!(all.iter().zip(1..).all(|(fd, index)| fd.index() == index && fd.generation() == 0));

    let removed: Vec<Fd> = all.iter().copied().skip(1).step_by(3).collect();
    for fd in &removed {
        assert_eq!(table.remove(*fd).map(|connection| connection.generation), Some(fd.generation()));
        assert!(table.remove(*fd).is_none());
    }
    assert_eq!(table.len(), MILLION - removed.len());
    let added: Vec<Fd> = removed.iter().map(|_| table.insert(connection).expect("there is room")).collect();
    assert!(removed.iter().all(|fd| table.get(*fd).is_none() && table.get_mut(*fd).is_none()));
    let is_there =
        |fd: &Fd| table.get(*fd).is_some() && table.at(fd.index()).is_some_and(|(at, _)| at == *fd);
    assert!(added.iter().all(is_there));
    let is_kept = |number: &usize| number % 3 != 1;
    assert!((0..MILLION).filter(is_kept).all(|number| table.get(all[number]).is_some()));
    assert_eq!((table.len(), table.live().iter(1).count()), (MILLION, MILLION));

    all.extend(added);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), MILLION + removed.len(), "an fd was given twice");
    assert_eq!((table.capacity(), place(&table)), (reserved, first), "the table has moved");
    assert!(Table::<()>::new(0, 3 * MILLION).capacity() >= 3 * MILLION);
    // More than fds can name, and more than there is address space for.
    assert!(Table::<[u8; 1 << 20]>::new(0, usize::MAX).capacity() < 1 << 24);
}

#[test]
fn a_slot_whose_generations_are_used_up_is_retired() {
    let mut table = Table::new(0, 0);
    let insert = |table: &mut Table<()>| table.insert(connection).expect("there is room");
    let (neighbour, early) = (insert(&mut table), insert(&mut table));
    table.remove(early);
    table.set_next_generation(early.index(), u32::MAX - 1);
    let mut last = early;
    for generation in [u32::MAX - 1, u32::MAX] {
        last = insert(&mut table);
        assert_eq!((last.index(), last.generation()), (early.index(), generation));
        assert_eq!(table.remove(last).map(|connection| connection.generation), Some(last.generation()));
    }
    assert!(table.get(last).is_none() && table.get_mut(last).is_none() && table.remove(last).is_none());
    assert!(table.at(last.index()).is_none() && table.at_mut(last.index()).is_none());
    assert_eq!(table.len(), 1);
    // Neither now nor when others come and go.
    for _ in 0..100 {
        let fds: Vec<Fd> = (0..3).map(|_| insert(&mut table)).collect();
        assert!(fds.iter().all(|fd| fd.index() != last.index()));
        assert_eq!(table.len(), 4);
        fds.into_iter().for_each(|fd| assert!(table.remove(fd).is_some()));
    }
    assert_eq!((table.len(), table.get(neighbour).is_some()), (1, true));
}

#[test]
fn a_million_deadlines_come_at_their_ticks() {
    /// 25 s.
    const TICKS: u64 = 391;
    let mut random = Random::new(1);
    let mut wheel = Wheel::new(MILLION);
    let reserved = wheel.capacity();
    let mut due = vec![0; MILLION + 1];
    for (index, due) in due.iter_mut().enumerate().skip(1) {
        // Put off twice, as activity does; some are brought forward again, some go.
        for _ in 0..3 {
            *due = (*due).max(2 + random.below(TICKS) as u32);
            wheel.set(index as u32, *due);
        }
        if index % 10 == 0 {
            *due = 2 + random.below(TICKS) as u32;
            wheel.set(index as u32, *due);
        }
        if index % 100 == 1 {
            wheel.clear(index as u32);
            *due = 0;
        }
    }
    let mut left = due.iter().filter(|due| **due > 0).count();
    assert_eq!((wheel.len(), wheel.capacity()), (left, reserved));
    let mut expired = Vec::new();
    for tick in 2..2 + TICKS as u32 {
        wheel.advance(tick, usize::MAX, &mut expired);
        left -= expired.len();
        assert_eq!(wheel.len(), left);
        for index in expired.drain(..) {
            assert_eq!(std::mem::take(&mut due[index as usize]), tick);
        }
    }
    assert_eq!((left, wheel.next_tick(), wheel.capacity()), (0, None, reserved));
}

/// A server with open WebSockets, and their wires.
struct Clients {
    reactor: Reactor<Dispatch>,
    wires: Vec<u32>,
    fds: Vec<Fd>,
}

impl Clients {
    fn open(count: usize) -> Clients {
        sim::forget_all();
        let mut reactor = Server::builder().simulate().expect("a valid configuration");
        let wires = (0..count).map(|_| {
            let (stream, number) = sim::socket();
            wire(number, |wire| {
                wire.room = usize::MAX;
                wire.readable.extend(super::script::HANDSHAKE);
            });
            reactor.admit(Stream::Sim(stream), 0, None);
            number
        });
        let wires: Vec<u32> = wires.collect();
        let fds = wires.iter().map(|number| wire(*number, |wire| wire.fd).expect("admitted")).collect();
        let mut clients = Clients { reactor, wires, fds };
        clients.turn(true);
        assert_eq!(clients.reactor.app.server.usage().websockets, count);
        clients
    }

    fn turn(&mut self, readable: bool) {
        let ready = self.fds.iter().map(|fd| Ready {
            token: Token(fd.to_u64() as usize),
            readable,
            writable: true,
            read_closed: false,
            error: false,
        });
        self.reactor.turn(Instant::now(), ready);
    }

    fn give_room(&mut self, room: usize) {
        for number in &self.wires {
            wire(*number, |wire| (wire.room, wire.written) = (room, Vec::new()));
        }
    }

    fn kept_bytes(&mut self) -> (usize, usize, usize) {
        self.reactor.app.connections().kept_bytes()
    }
}

#[test]
fn a_shutdown_tells_equal_shares_over_its_window() {
    const STEP: Duration = Duration::from_millis(20);
    let mut clients = Clients::open(5_000);
    let reactor = &mut clients.reactor;
    let begun = Instant::now();
    reactor.turn(begun, std::iter::empty());
    let begun = reactor.app.connections().now();
    reactor.app.server.shutdown();
    // A window of a second has 50 steps.
    for step in 0..50 {
        reactor.turn(begun + STEP * step, std::iter::empty());
        assert_eq!(reactor.app.server.connection_count(), 4_900 - 100 * step as usize);
        reactor.turn(begun + STEP * step + STEP / 2, std::iter::empty());
        assert_eq!(reactor.app.server.connection_count(), 4_900 - 100 * step as usize, "before it is due");
        let sleep = reactor.next_wake_up(begun + STEP * step + STEP / 2);
        assert!(sleep.is_some_and(|sleep| sleep <= STEP || step == 49), "{step}: {sleep:?}");
    }
    let is_told = |number: &u32| wire(*number, |wire| wire.written.ends_with(b"\x03\xe9server shutdown"));
    assert!(clients.wires.iter().all(is_told), "somebody was not told");
    // Nobody answers: the second, and the five of the timeout.
    let cut_off = begun + Duration::from_secs(6);
    clients.reactor.turn(cut_off, std::iter::empty());
    assert_eq!(clients.reactor.app.phase(), AppPhase::Ended);
    assert_eq!(clients.reactor.app.server.usage().connections, 0);
}

#[test]
fn memory_is_given_back_after_a_burst() {
    const COUNT: usize = 300;
    let mut clients = Clients::open(COUNT);
    // The sockets take everything: the batch goes out when it is full, before the turn ends.
    let mut most = 0;
    for fd in clients.fds.clone() {
        clients.reactor.app.server.push(fd, &[b'x'; 12_000]).expect("there is room");
        most = most.max(clients.kept_bytes().0);
    }
    assert!((1 << 19..=2 << 20).contains(&most), "of {} bytes: {most}", COUNT * 12_000);
    clients.turn(false);
    let (batch, pool, _) = clients.kept_bytes();
    assert!(batch <= 1 << 20 && pool == 0, "{batch} {pool}");

    // No socket takes anything: it is in outboxes, as copies, shared and owned.
    clients.give_room(0);
    for fd in clients.fds.clone() {
        let server = &mut clients.reactor.app.server;
        (0..200).for_each(|_| server.push(fd, &[b'x'; 1_000]).expect("there is room"));
        server.push(fd, vec![b'x'; 100_000]).expect("there is room");
        server.push_as(fd, Opcode::Binary, &[b'x'; 100_000]).expect("there is room");
    }
    for _ in 0..100 {
        clients.reactor.app.server.broadcast(&[b'x'; 4_000]).send();
    }
    clients.turn(false);
    let holdings = clients.reactor.app.connections().holdings();
    assert!(holdings.outboxes == COUNT && holdings.queued_bytes > COUNT * 800_000, "{holdings:?}");
    clients.give_room(usize::MAX);
    while clients.reactor.app.connections().holdings().queued_bytes > 0 {
        clients.turn(false);
    }
    let holdings = clients.reactor.app.connections().holdings();
    assert_eq!((holdings.outboxes, holdings.pending), (0, 0));
    let (batch, pool, _) = clients.kept_bytes();
    // 64 outboxes, each with a tail of at most 64 KiB and room for its runs.
    let is_little = batch <= (1 << 20) + (16 << 10) && pool <= 64 * (72 << 10);
    assert!(is_little && pool > 0, "{batch} {pool}");
}

#[test]
fn the_list_of_those_to_flush_is_given_back_after_a_broadcast() {
    const COUNT: usize = 10_000;
    let mut clients = Clients::open(COUNT);
    assert_eq!(clients.reactor.app.server.broadcast("to all").send().queued, COUNT);
    let kept = clients.kept_bytes().2;
    assert!(kept >= COUNT * size_of::<Fd>(), "{kept}");
    clients.turn(false);
    clients.turn(false);
    let kept = clients.kept_bytes().2;
    assert!(kept <= 16 << 10, "{kept}");
}
