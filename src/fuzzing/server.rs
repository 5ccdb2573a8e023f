//! The whole server on simulated sockets: clients of every kind, whose bytes come in any pieces and order.

use super::Input;
use crate::bench;
use crate::codec::ws::Opcode;
use crate::fd::Fd;
use crate::net::App as _;
use crate::net::reactor::Reactor;
use crate::net::stream::Stream;
use crate::server::dispatch::Dispatch;
use crate::server::state::report::Usage;
use crate::sim::{self, SimWire};
use crate::{Builder, Frame, Framing, LengthType, Server};
use std::time::{Duration, Instant};

const CLIENTS_MAX: usize = 6;
const TOPIC: &str = "news";
/// What clients send most, so that an input need not find it.
const OPENINGS: [&[u8]; 6] = [
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
      Sec-WebSocket-Protocol: swio.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    b"GET /?swio=stream&protocol=swio.1 HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n",
    b"GET /?swio=poll HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// Whatever peers send, the server does not panic, and holds nothing once they are gone.
pub fn server(bytes: &[u8]) {
    sim::forget_all();
    let mut input = Input(bytes);
    let mut world = World::new(&mut input);
    while !input.0.is_empty() {
        world.step(&mut input);
    }
    world.wind_up();
}

struct World {
    reactor: Reactor<Dispatch>,
    wires: Vec<u32>,
    now: Instant,
    /// The last session token that was in an answer.
    token: String,
}

impl World {
    fn new(input: &mut Input<'_>) -> World {
        let sizes = usize::from(input.byte());
        let read_buffer_bytes = [4_096, 16, 100][sizes % 3];
        let batch_bytes = [1 << 20, 0, 1, 130, 1_000][sizes / 3 % 5];
        let room = input.one_of(&[1 << 20, 4_096]);
        let in_parts = input.one_of(&[false, true]);
        let builder = behaviour(Server::builder()).configure(|config| {
            config.connections_max = Some(16);
            config.read_buffer_bytes = read_buffer_bytes;
            config.outbox_bytes_max = room;
            config.message_bytes_max = 2_000;
            config.event_streams = true;
            config.long_polling = true;
            config.deliver_fragments = in_parts;
        });
        let framings = [
            Framing::EndMark(b"\n".into()),
            Framing::Length { length_type: LengthType::U16Be, length_offset: 0, body_offset: 2 },
            Framing::None,
        ];
        let mut reactor = builder.simulate_tcp(&framings).expect("a valid configuration");
        reactor.app.connections().limit_batch(batch_bytes);
        reactor.app.server.keep_history(TOPIC, crate::History::default()).expect("there is room");
        World { reactor, wires: Vec::new(), now: Instant::now(), token: String::new() }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let (what, number) = (input.byte(), input.byte());
        if self.wires.is_empty() || what % 16 == 0 && self.wires.len() < CLIENTS_MAX {
            let (stream, wire) = sim::socket();
            self.reactor.admit(Stream::Sim(stream), u16::from(number % 4), None);
            sim::wire(wire, |wire| wire.room = 1 << 16);
            self.wires.push(wire);
            return;
        }
        let wire = self.wires[usize::from(number) % self.wires.len()];
        let len = usize::from(number >> 3);
        match what % 16 {
            0..=2 => put(wire, input.one_of(&OPENINGS)),
            3..=5 => put(wire, input.bytes(len)),
            6 | 7 => {
                let first = input.byte();
                put(wire, &masked(first, input.bytes(len)));
            }
            8 => put(wire, &self.of_session("GET", "swio=poll&cursor=0", b"")),
            9 => put(wire, &self.of_session("POST", "swio=send", input.bytes(len))),
            10 => put(wire, &self.of_session("POST", "swio=subscribe&topic=news", b"")),
            11 => self.now += Duration::from_secs(u64::from(input.byte())),
            12 => sim::wire(wire, |wire| wire.room = usize::from(number)),
            // At once, or in the middle of what the server does then.
            13 if number % 3 == 0 => sim::wire(wire, |wire| wire.resets_in = Some(u32::from(number) / 3 % 8)),
            13 if number % 3 == 1 => sim::wire(wire, |wire| wire.fin = true),
            13 => self.act(input),
            _ => self.turn(),
        }
    }

    fn act(&mut self, input: &mut Input<'_>) {
        let server = &mut self.reactor.app.server;
        let fds: Vec<Fd> = server.connections().collect();
        let what = input.byte();
        if fds.is_empty() {
            return;
        }
        let fd = fds[usize::from(what >> 4) % fds.len()];
        match what % 8 {
            0 => drop(server.publish(TOPIC, "published").send()),
            1 => drop(server.broadcast("to all").except(fd).send()),
            2 => drop(server.disconnect(fd, 4_000, "go")),
            3 => drop(server.pause(fd)),
            4 => drop(server.resume(fd)),
            5 => drop(server.push_part(fd, Opcode::Text, b"part", what > 100)),
            6 => drop(server.leave(fd, TOPIC)),
            _ => drop(server.push(fd, &[b'x'; 3_000])),
        }
    }

    /// A request of the last session.
    fn of_session(&self, method: &str, query: &str, body: &[u8]) -> Vec<u8> {
        let target = format!("/?{query}&session={}", self.token);
        let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    fn turn(&mut self) {
        let open = self.wires.iter().filter(|wire| !sim::wire(**wire, |wire| wire.closed));
        let ready: Vec<_> = open
            .filter_map(|wire| sim::wire(*wire, |wire| Some(bench::ready(wire.fd?, wire.fin || wire.reset))))
            .collect();
        self.reactor.turn(self.now, ready.into_iter());
        for wire in &self.wires {
            if let Some(token) = sim::wire(*wire, token_of) {
                self.token = token;
            }
        }
    }

    /// All clients leave, and the clock runs until nothing waits for it.
    fn wind_up(&mut self) {
        for wire in &self.wires {
            sim::wire(*wire, |wire| wire.reset = true);
        }
        let fds: Vec<Fd> = self.reactor.app.server.connections().collect();
        for fd in fds {
            self.reactor.app.server.resume(fd);
        }
        for _ in 0..40 {
            self.now += Duration::from_secs(10);
            self.turn();
            while self.reactor.app.connections().holdings().pending > 0 {
                self.turn();
            }
        }
        assert!(self.wires.iter().all(|wire| sim::wire(*wire, |wire| wire.closed)), "all are closed");
        assert_eq!(self.reactor.app.server.usage(), Usage::default(), "nothing is left of them");
    }
}

fn behaviour(builder: Builder) -> Builder {
    builder
        .on_open(|server, request| {
            let room = request.query_param("room");
            for topic in room.iter().map(|room| &**room).chain([TOPIC]) {
                server.join(request.fd, topic).ok();
            }
        })
        .on_subscribe(|_, request| request.topic != "secret")
        .on_message(answer)
        .on_receive(|server, fd, package| {
            server.push(fd, package).ok();
        })
}

/// The first byte decides how the server answers a message.
fn answer(server: &mut Server, frame: Frame<'_>) {
    let (fd, data) = (frame.fd, frame.data);
    match data.as_bytes().first().map_or(0, |byte| byte % 6) {
        0 | 1 => drop(server.push(fd, data)),
        2 => drop(server.publish(TOPIC, data).send()),
        3 => drop(server.broadcast(data).except(fd).send()),
        4 => drop(server.leave(fd, TOPIC)),
        _ => drop(server.disconnect(fd, 1_000, "")),
    }
}

/// A client's frame that begins with this byte.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first, 0x80 | payload.len() as u8];
    frame.extend(key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn put(wire: u32, bytes: &[u8]) {
    sim::wire(wire, |wire| wire.readable.extend(bytes));
}

/// What was written is read, and of it a session's token.
fn token_of(wire: &mut SimWire) -> Option<String> {
    const BEFORE: &[u8] = b"\"session\":\"";
    let written = std::mem::take(&mut wire.written);
    let at = memchr::memmem::find(&written, BEFORE)? + BEFORE.len();
    let end = memchr::memchr(b'"', &written[at..])?;
    String::from_utf8(written[at..at + end].to_vec()).ok()
}
