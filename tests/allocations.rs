//! What costs no allocation: a message that is received, echoed and sent; a delivery of a broadcast. After the first
//! few messages all the memory that they need is there. On simulated sockets, which allocate nothing once their wires
//! have grown, and over real sockets with both ends on the test's own thread, where allocations are counted.

use allocation_counter::measure;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use swio::bench::{SimServer, encode_masked};
use swio::{Builder, EventLoop, Fd, Opcode, Server};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The last fits one read with its header, by the default `read_buffer_bytes`.
const SIZES: [usize; 4] = [64, 1 << 10, 16 << 10, 64 << 10];
/// Turns until every buffer has the size that it needs.
const WARM_UP: usize = 8;
const ROUNDS: usize = 100;

fn echo() -> Builder {
    Server::builder().on_message(|server, frame| server.push(frame.fd, frame.data).expect("there is room"))
}

/// `count` text messages, each in a frame.
fn messages(len: usize, count: usize) -> Vec<u8> {
    let mut frames = Vec::new();
    for _ in 0..count {
        encode_masked(Opcode::Text, KEY, &vec![b'x'; len], &mut frames);
    }
    frames
}

/// Bytes of an answer: its frame has no mask.
fn answer_bytes(len: usize) -> usize {
    messages(len, 1).len() - KEY.len()
}

/// How many allocations `ROUNDS` turns cost in which each client has sent these pieces, one in each turn.
fn echo_allocations(clients: usize, pieces: &[&[u8]], answered: usize) -> u64 {
    let mut server = SimServer::open(echo(), clients);
    let mut allocations = 0;
    for round in 0..WARM_UP + ROUNDS {
        for piece in pieces {
            server.send(clients, piece);
            let measured = measure(|| server.turn(clients));
            if round >= WARM_UP {
                allocations += measured.count_total;
            }
        }
        assert_eq!(server.take_written(), clients * answered);
    }
    allocations
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![1]))).count_total, 1);
    let mut grown = vec![0; 10];
    assert_eq!(measure(|| grown.resize(std::hint::black_box(1_000), 0)).count_total, 1);
}

#[test]
fn an_echoed_message_costs_no_allocation() {
    for len in SIZES {
        for count in [1, 3] {
            // Several in one read, as long as they fit.
            if count * len <= 64 << 10 {
                let allocations = echo_allocations(50, &[&messages(len, count)], count * answer_bytes(len));
                assert_eq!(allocations, 0, "{count} messages of {len} bytes in one read");
            }
        }
    }
}

#[test]
fn a_message_in_pieces_costs_no_allocation() {
    // As many at once as the server keeps memory for.
    const CLIENTS: usize = 16;
    for len in SIZES {
        let message = messages(len, 1);
        let echoed = |pieces: &[&[u8]]| echo_allocations(CLIENTS, pieces, answer_bytes(len));
        for at in [1, 2, 6] {
            let (first, second) = message.split_at(at);
            assert_eq!(echoed(&[first, second]), 0, "{len} bytes, cut in its header at {at}");
        }
        for pieces in [2, 4, 8] {
            let cut: Vec<&[u8]> = message.chunks(message.len().div_ceil(pieces)).collect();
            assert_eq!(echoed(&cut), 0, "{len} bytes in {pieces} pieces");
        }
    }
}

/// Allocations of one turn in which a message of the first client goes to the others.
fn fan_out_allocations(builder: Builder, receivers: usize, len: usize) -> u64 {
    let mut server = SimServer::open(builder, receivers + 1);
    let message = messages(len, 1);
    let mut counts = Vec::new();
    for _ in 0..WARM_UP + 5 {
        server.send(1, &message);
        counts.push(measure(|| server.turn(1)).count_total);
        assert_eq!(server.take_written(), receivers * answer_bytes(len));
    }
    let steady = &counts[WARM_UP..];
    assert!(steady.iter().all(|count| *count == steady[0]), "{steady:?}");
    steady[0]
}

#[test]
fn a_message_to_many_costs_the_same_allocations_as_one_to_few() {
    let broadcast = || {
        Server::builder().on_message(|server, frame| {
            let reach = server.broadcast(frame.data).except(frame.fd).send();
            assert_eq!(reach.refused, 0);
        })
    };
    let publish = || {
        Server::builder()
            .on_open(|server, request| {
                server.join(request.fd, "everybody").expect("there is room");
            })
            .on_message(|server, frame| {
                let reach = server.publish("everybody", frame.data).except(frame.fd).send();
                assert_eq!(reach.refused, 0);
            })
    };
    let push_to_user = || {
        Server::builder()
            .on_open(|server, request| {
                // The first client, which sends, is nobody.
                if server.connection_count() > 1 {
                    server.bind(request.fd, "everybody").expect("there is room");
                }
            })
            .on_message(|server, frame| assert_eq!(server.push_to_user("everybody", frame.data).refused, 0))
    };
    let kinds: [(&str, &dyn Fn() -> Builder); 3] =
        [("broadcast", &broadcast), ("publish", &publish), ("push_to_user", &push_to_user)];
    for (kind, builder) in kinds {
        for (len, many) in [(64, 10_000), (1 << 10, 1_000), (60 << 10, 200)] {
            let few = fan_out_allocations(builder(), 100, len);
            let many = fan_out_allocations(builder(), many, len);
            assert_eq!(few, many, "{kind} of {len} bytes");
            // The frame, and who is left out.
            assert!(many <= 2, "{kind} of {len} bytes: {many}");
        }
    }
}

#[test]
fn pushes_to_many_cost_no_allocation() {
    for (receivers, len) in [(3_000, 64), (1_500, 1 << 10)] {
        let builder = Server::builder().on_message(move |server, frame| {
            for number in 2..2 + receivers as u64 {
                let fd = Fd::from_u64(number).expect("the first fds are small numbers");
                server.push(fd, frame.data).expect("there is room");
            }
        });
        assert_eq!(fan_out_allocations(builder, receivers, len), 0, "{receivers} pushes of {len} bytes");
    }
}

/// A server and one client of it, with an open WebSocket between them.
struct Pair {
    server: EventLoop,
    client: TcpStream,
    buffer: Vec<u8>,
}

impl Pair {
    fn open(builder: Builder) -> Pair {
        let server = builder.listen("127.0.0.1:0").build().expect("a free port");
        let client = TcpStream::connect(server.addresses()[0]).expect("it listens");
        client.set_nonblocking(true).expect("sockets can");
        client.set_nodelay(true).expect("sockets can");
        let mut pair = Pair { server, client, buffer: vec![0; 256 << 10] };
        const UPGRADE: &[u8] =
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        pair.exchange(UPGRADE, |answer| answer.ends_with(b"\r\n\r\n"));
        pair
    }

    /// Sends a request and turns the server until its answer is whole.
    fn exchange(&mut self, mut request: &[u8], is_whole: impl Fn(&[u8]) -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        let mut read = 0;
        while !is_whole(&self.buffer[..read]) {
            assert!(Instant::now() < end, "no answer");
            if !request.is_empty() {
                match self.client.write(request) {
                    Ok(written) => request = &request[written..],
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            self.server.poll(Some(Duration::from_millis(1))).expect("it turns");
            match self.client.read(&mut self.buffer[read..]) {
                Ok(len) => read += len,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    }
}

#[test]
fn an_echo_over_a_real_socket_costs_no_allocation() {
    for len in SIZES {
        // Elsewhere a loopback may deliver in pieces what was sent in one.
        if len > 16 << 10 && !cfg!(target_os = "linux") {
            continue;
        }
        let (message, answered) = (messages(len, 1), answer_bytes(len));
        let mut pair = Pair::open(echo());
        let mut exchange = |times| {
            (0..times).for_each(|_| pair.exchange(&message, |answer| answer.len() == answered));
        };
        exchange(WARM_UP);
        assert_eq!(measure(|| exchange(ROUNDS)).count_total, 0, "{ROUNDS} messages of {len} bytes");
    }
}
