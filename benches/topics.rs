//! What topics cost, and that it does not grow with their number:
//! `cargo bench -p swio-benches --bench topics [-- --quick]`.
//!
//! Each connection is in 10 topics, each topic has 100 members, spread over all connections. Operations are on
//! connections and topics in no order: of all, or of few, the same however many there are beside them. What the first
//! take longer than the second is memory that does not fit the caches; the steps are the same.
//!
//! - `join`, `leave`: an eleventh topic of a connection, a thousand joins and then their leaves. Throughput counts
//!   joins or leaves.
//! - `publish`: 64 bytes to a topic, and the turn that writes them to simulated sockets. Throughput counts deliveries.
//! - `broadcast`: the same to a server with just as many connections as the topic has members.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::time::{Duration, Instant};
use swio::bench::SimServer;
use swio::{Builder, Fd, Server};

const TOPICS_OF_EACH: usize = 10;
const MEMBERS_OF_EACH: usize = 100;
const PAYLOAD: [u8; 64] = [b'x'; 64];
/// So many joins or publishes between two looks at the clock, or at what was written.
const ROUND: u64 = 1_000;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    // `cargo test --benches` does not say it, and wants to know soon whether it works.
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let sizes = [("10,000", 1_000), ("100,000", 10_000), ("1,000,000", 100_000)];
    for (name, connections) in sizes.into_iter().take(if is_measured { 3 } else { 1 }) {
        let mut group = criterion.benchmark_group(format!("topics with {name} memberships"));
        let mut rooms = Rooms::open(connections);
        for among in [Among::Few, Among::All] {
            rooms.join_and_leave(&mut group, among);
            rooms.publish(&mut group, among);
        }
    }
    let mut group = criterion.benchmark_group("a server without topics");
    broadcast(&mut group);
    group.finish();
    criterion.final_summary();
}

#[derive(Clone, Copy, Debug)]
enum Among {
    All,
    /// The first 1,000 connections, the first 10 topics.
    Few,
}

struct Rooms {
    server: SimServer,
    fds: Vec<Fd>,
    topics: Vec<String>,
    /// Counts operations: they take one connection or topic after the other, in no order.
    number: usize,
}

impl Rooms {
    fn open(connections: usize) -> Rooms {
        let mut server = SimServer::open(builder(), connections);
        let fds: Vec<Fd> = server.server().connections().collect();
        let topics: Vec<String> =
            (0..connections * TOPICS_OF_EACH / MEMBERS_OF_EACH).map(|n| format!("topic {n}")).collect();
        for number in 0..connections * TOPICS_OF_EACH {
            // Those of one topic are far from each other in the table, as those of a chat are. The step has no divisor
            // in common with the number of connections, so each has its turn once in each round.
            let fd = fds[number * 7_919 % connections];
            assert_eq!(server.server().join(fd, &topics[number / MEMBERS_OF_EACH]), Ok(true));
        }
        // What there is to tell of new topics is told.
        server.send(0, b"");
        server.turn(0);
        let usage = server.server().usage();
        assert_eq!((usage.memberships, usage.topics), (connections * TOPICS_OF_EACH, topics.len()));
        Rooms { server, fds, topics, number: 0 }
    }

    fn next(&mut self, among: Among) -> (Fd, usize) {
        self.number += 1;
        let scattered = scattered(self.number);
        let (fds, topics) = match among {
            Among::All => (self.fds.len(), self.topics.len()),
            Among::Few => (1_000, 10),
        };
        (self.fds[scattered % fds], (scattered >> 20) % topics)
    }

    fn join_and_leave(&mut self, group: &mut BenchmarkGroup<'_, WallTime>, among: Among) {
        group.throughput(Throughput::Elements(1));
        for is_join in [true, false] {
            let name = if is_join { "join" } else { "leave" };
            group.bench_function(format!("{name}, {among:?}"), |b| {
                b.iter_custom(|joins| {
                    let mut spent = Duration::ZERO;
                    let mut left = joins;
                    while left > 0 {
                        let round = left.min(ROUND);
                        left -= round;
                        let (joining, leaving) = self.round(round, among);
                        spent += if is_join { joining } else { leaving };
                    }
                    spent
                });
            });
        }
    }

    /// So many joins, and then the leaves that undo them: how long each took.
    fn round(&mut self, count: u64, among: Among) -> (Duration, Duration) {
        let mut pairs: Vec<(Fd, usize)> = Vec::new();
        while pairs.len() < count as usize {
            let (fd, topic) = self.next(among);
            if !self.server.server().is_member(fd, &self.topics[topic]) && !pairs.contains(&(fd, topic)) {
                pairs.push((fd, topic));
            }
        }
        let server = self.server.server();
        let before = server.usage().memberships;
        let start = Instant::now();
        for (fd, topic) in &pairs {
            server.join(*fd, &self.topics[*topic]).expect("there is room");
        }
        let joining = start.elapsed();
        assert_eq!(server.usage().memberships, before + pairs.len());
        let start = Instant::now();
        for (fd, topic) in &pairs {
            server.leave(*fd, &self.topics[*topic]);
        }
        let leaving = start.elapsed();
        assert_eq!(server.usage().memberships, before);
        (joining, leaving)
    }

    fn publish(&mut self, group: &mut BenchmarkGroup<'_, WallTime>, among: Among) {
        group.throughput(Throughput::Elements(MEMBERS_OF_EACH as u64));
        group.bench_function(format!("publish, {among:?}"), |b| {
            b.iter_custom(|publishes| {
                let mut spent = Duration::ZERO;
                for number in 1..=publishes {
                    let (_, topic) = self.next(among);
                    let start = Instant::now();
                    let reach = self.server.server().publish(&self.topics[topic], &PAYLOAD).send();
                    self.server.turn(0);
                    spent += start.elapsed();
                    assert_eq!(reach.queued, MEMBERS_OF_EACH);
                    if number % ROUND == 0 || number == publishes {
                        let count = if number % ROUND == 0 { ROUND } else { number % ROUND };
                        check_written(&mut self.server, count);
                    }
                }
                spent
            });
        });
    }
}

fn broadcast(group: &mut BenchmarkGroup<'_, WallTime>) {
    let mut server = SimServer::open(builder(), MEMBERS_OF_EACH);
    server.send(0, b"");
    group.throughput(Throughput::Elements(MEMBERS_OF_EACH as u64));
    group.bench_function("broadcast", |b| {
        b.iter_custom(|broadcasts| {
            let mut spent = Duration::ZERO;
            for number in 1..=broadcasts {
                let start = Instant::now();
                let reach = server.server().broadcast(&PAYLOAD).send();
                server.turn(0);
                spent += start.elapsed();
                assert_eq!(reach.queued, MEMBERS_OF_EACH);
                if number % ROUND == 0 || number == broadcasts {
                    let count = if number % ROUND == 0 { ROUND } else { number % ROUND };
                    check_written(&mut server, count);
                }
            }
            spent
        });
    });
}

/// No pings between the messages, however long it takes.
fn builder() -> Builder {
    Server::builder().configure(|config| config.ping_interval = None)
}

/// Everything that was sent since this was last looked at came to its members.
fn check_written(server: &mut SimServer, messages: u64) {
    assert_eq!(server.take_written(), messages as usize * MEMBERS_OF_EACH * (2 + PAYLOAD.len()));
}

/// Another number for each number, far from its neighbours'.
fn scattered(number: usize) -> usize {
    ((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) as usize
}
