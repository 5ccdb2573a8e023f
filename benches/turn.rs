//! One turn of the reactor on simulated sockets: our own CPU without the kernel's.
//! `cargo bench -p swio-benches --bench turn [-- --quick]`.
//!
//! - `echo`: every connection has one message of 64 bytes to read; each is answered with the same.
//! - `fan-out`: one connection has a message of 64 bytes to read; it goes to all.
//!
//! Throughput counts messages sent: one for each connection. Only the turn is timed, not what fills and
//! empties the wires around it; the lines `sockets alone` do the same reads and writes on simulated sockets
//! without a server, and are to be taken off.

use criterion::{Criterion, Throughput};
use std::time::{Duration, Instant};
use swio::bench::{self, SimServer, SimSockets};
use swio::{Opcode, Server};

const PAYLOAD: [u8; 64] = [b'x'; 64];
const ANSWER_BYTES: usize = 2 + PAYLOAD.len();

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    for connections in [100, 10_000] {
        measure(&mut criterion, "echo", connections, connections);
    }
    for connections in [1_000, 10_000] {
        measure(&mut criterion, "fan-out", connections, 1);
    }
    criterion.final_summary();
}

/// One turn in which the first `senders` of so many connections have sent a message.
fn measure(criterion: &mut Criterion, name: &str, connections: usize, senders: usize) {
    let mut message = Vec::new();
    bench::encode_masked(Opcode::Text, [0x37, 0xfa, 0x21, 0x3d], &PAYLOAD, &mut message);
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(connections as u64));

    let is_echo = senders == connections;
    let builder = Server::builder()
        .configure(|config| {
            // No client sends as fast as a bench.
            config.messages_per_second_max = None;
            config.bytes_per_second_max = None;
        })
        .on_message(move |server, frame| {
            if is_echo {
                server.push(frame.fd, frame.data).expect("the outbox has room");
            } else {
                server.broadcast(frame.data).send();
            }
        });
    let mut server = SimServer::open(builder, connections);
    group.bench_function(format!("{connections} connections"), |b| {
        b.iter_custom(|turns| {
            let mut spent = Duration::ZERO;
            for _ in 0..turns {
                server.send(senders, &message);
                let start = Instant::now();
                server.turn(senders);
                spent += start.elapsed();
                assert_eq!(server.take_written(), connections * ANSWER_BYTES);
            }
            spent
        });
    });
    drop(server);

    let answer = [0; ANSWER_BYTES];
    let mut sockets = SimSockets::open(connections);
    group.bench_function(format!("{connections} sockets alone"), |b| {
        b.iter_custom(|turns| {
            let mut spent = Duration::ZERO;
            for _ in 0..turns {
                sockets.send(senders, &message);
                let start = Instant::now();
                sockets.turn(senders, &answer);
                spent += start.elapsed();
                assert_eq!(sockets.take_written(), connections * ANSWER_BYTES);
            }
            spent
        });
    });
}
