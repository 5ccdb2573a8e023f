//! What the crate's own benches need of its internals, as thin as possible. Hidden, only with the feature `sim`, and
//! no stable API: do not use it elsewhere.

use crate::codec::ws::{self, Opcode, header, utf8};
use crate::config::Config;
use crate::fd::Fd;
use crate::net::reactor::{Reactor, Ready};
use crate::net::stream::Stream;
use crate::net::wheel::Wheel;
use crate::server::Server;
use crate::server::dispatch::Dispatch;
use crate::server::start::builder::Builder;
use crate::sim::{self, SimStream};
use mio::Token;
use std::fmt;
use std::time::Instant;

/// Masks or unmasks in place.
pub fn mask(data: &mut [u8], key: [u8; 4]) {
    ws::mask::apply(data, key);
}

/// The check that a text in one piece gets.
pub fn is_utf8(text: &[u8]) -> bool {
    utf8::check(text).is_ok()
}

/// Appends a frame as a server sends it: header and a copy of the payload.
pub fn encode(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(header::encode(true, opcode, payload.len()).as_slice());
    out.extend_from_slice(payload);
}

/// Appends a frame as a client sends it.
pub fn encode_masked(opcode: Opcode, mask: [u8; 4], payload: &[u8], out: &mut Vec<u8>) {
    header::encode_masked(true, opcode, mask, payload, out);
}

/// The header of a server's frame, as a client reads it.
#[derive(Clone, Copy, Debug)]
pub struct ServerHeader {
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// What kind of frame it is.
    pub opcode: Opcode,
    /// Bytes of the header itself.
    pub header_len: usize,
    /// Bytes of the payload after it.
    pub payload_len: u64,
}

/// Reads the header of a server's frame from the start of `bytes`, as strictly as a client's is read; `None` if more
/// bytes are needed.
pub fn parse_unmasked(bytes: &[u8]) -> Result<Option<ServerHeader>, String> {
    let parsed = header::parse(bytes, ws::Role::Client).map_err(|error| error.to_string())?;
    Ok(parsed.map(|(header, len)| ServerHeader {
        fin: header.fin,
        opcode: header.opcode,
        header_len: len,
        payload_len: header.len,
    }))
}

/// The decoder of one connection, with a server's default limits.
#[derive(Debug)]
pub struct Decoder {
    decoder: ws::Decoder,
    limits: ws::MessageLimits,
    spare: ws::Spare,
}

impl Default for Decoder {
    fn default() -> Decoder {
        let config = Config::default();
        let limits = ws::MessageLimits {
            role: ws::Role::Server,
            message_bytes_max: config.message_bytes_max,
            fragments_max: config.fragments_max,
            room: usize::MAX,
            in_parts: false,
        };
        Decoder { decoder: ws::Decoder::default(), limits, spare: ws::Spare::default() }
    }
}

impl Decoder {
    /// Takes all of `input`, which must be well-formed, and shows each message that it completes.
    pub fn feed(&mut self, mut input: &mut [u8], mut on_message: impl FnMut(&[u8])) {
        while !input.is_empty() {
            // As the server does it.
            let whole = self.decoder.whole(input, &self.limits).expect("well-formed frames");
            let (used, event) = match whole {
                Some((used, event)) => (used, Some(event)),
                None => self.decoder.piece(input, &self.limits, &mut self.spare).expect("well-formed frames"),
            };
            let (done, rest) = input.split_at_mut(used);
            if let Some(ws::Event::Message(_, payload)) = event {
                on_message(payload.bytes(done));
                if let ws::decoder::Payload::Owned(bytes) = payload {
                    self.spare.put(bytes);
                }
            }
            input = rest;
        }
    }
}

/// A server on simulated sockets, with open WebSockets. Only one at a time on a thread.
pub struct SimServer {
    reactor: Reactor<Dispatch>,
    /// In the order in which they were opened.
    wires: Vec<u32>,
    /// For each wire: the event that it can be read.
    ready: Vec<Ready>,
}

impl SimServer {
    /// Opens a server with this behaviour, and takes `count` clients through their handshakes.
    pub fn open(builder: Builder, count: usize) -> SimServer {
        let mut server = SimServer::open_by(builder, count, &vec![HANDSHAKE; count]);
        for wire in &server.wires {
            let is_open = sim::wire(*wire, |wire| wire.written.starts_with(b"HTTP/1.1 101 "));
            assert!(is_open, "a handshake was refused");
        }
        server.take_written();
        server
    }

    /// Opens a server with this behaviour, and a client for each request. The request is sent and answered, but its
    /// answer is left on the wire.
    pub fn open_by(builder: Builder, connections_max: usize, requests: &[&[u8]]) -> SimServer {
        sim::forget_all();
        let builder = builder.configure(|config| config.connections_max = Some(connections_max));
        let mut reactor = builder.simulate().expect("a valid configuration");
        let wires: Vec<u32> = requests
            .iter()
            .map(|_| {
                let (stream, wire) = sim::socket();
                reactor.admit(Stream::Sim(stream), 0, None);
                wire
            })
            .collect();
        let ready = wires.iter().map(|wire| readable(sim::wire(*wire, |wire| wire.fd))).collect();
        let mut server = SimServer { reactor, wires, ready };
        server.send(0, b"");
        for (wire, request) in server.wires.iter().zip(requests) {
            sim::wire(*wire, |wire| wire.readable.extend(*request));
        }
        server.turn(requests.len());
        server
    }

    /// Sends `bytes` from one client alone, and runs one turn for it.
    pub fn send_alone(&mut self, client: usize, bytes: &[u8]) {
        sim::wire(self.wires[client], |wire| wire.readable.extend(bytes));
        self.reactor.turn(Instant::now(), [self.ready[client]].into_iter());
    }

    /// What the server has written to this client since the last call.
    pub fn take_written_to(&mut self, client: usize) -> Vec<u8> {
        sim::wire(self.wires[client], |wire| std::mem::take(&mut wire.written))
    }

    /// Puts `bytes` on the wires of the first `clients`, and gives all wires room for what the server writes.
    pub fn send(&mut self, clients: usize, bytes: &[u8]) {
        for (number, wire) in self.wires.iter().enumerate() {
            sim::wire(*wire, |wire| {
                wire.room = usize::MAX;
                if number < clients {
                    wire.readable.extend(bytes);
                }
            });
        }
    }

    /// One turn of the reactor in which the first `clients` can be read: what a bench measures.
    pub fn turn(&mut self, clients: usize) {
        self.reactor.turn(Instant::now(), self.ready[..clients].iter().copied());
    }

    /// The server between two turns.
    pub fn server(&mut self) -> &mut Server {
        &mut self.reactor.app.server
    }

    /// How many bytes the server has written to all clients since the last call.
    pub fn take_written(&mut self) -> usize {
        self.wires.iter().map(|wire| sim::wire(*wire, take_written)).sum()
    }
}

impl fmt::Debug for SimServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimServer").field("clients", &self.wires.len()).finish_non_exhaustive()
    }
}

/// Simulated sockets without a server: the share of a turn's time that is the simulation's own. Only one at a time on
/// a thread, and not together with a [`SimServer`].
#[derive(Debug)]
pub struct SimSockets {
    sockets: Vec<(SimStream, u32)>,
    /// As large as a server's.
    buffer: Vec<u8>,
}

impl SimSockets {
    /// Opens this many sockets.
    pub fn open(count: usize) -> SimSockets {
        sim::forget_all();
        let buffer = vec![0; Config::default().read_buffer_bytes];
        SimSockets { sockets: (0..count).map(|_| sim::socket()).collect(), buffer }
    }

    /// Puts `bytes` on the wires of the first `clients`.
    pub fn send(&mut self, clients: usize, bytes: &[u8]) {
        for (number, (_, wire)) in self.sockets.iter().enumerate() {
            sim::wire(*wire, |wire| {
                wire.room = usize::MAX;
                if number < clients {
                    wire.readable.extend(bytes);
                }
            });
        }
    }

    /// One read from each of the first `clients`, and `answer` written to every socket.
    pub fn turn(&mut self, clients: usize, answer: &[u8]) {
        for (stream, _) in &mut self.sockets[..clients] {
            stream.read(&mut self.buffer).expect("something was sent");
        }
        for (stream, _) in &mut self.sockets {
            stream.write(answer).expect("there is room");
        }
    }

    /// How many bytes were written since the last call.
    pub fn take_written(&mut self) -> usize {
        self.sockets.iter().map(|(_, wire)| sim::wire(*wire, take_written)).sum()
    }
}

/// The deadlines of all connections, by index from 1, in ticks.
pub struct Deadlines(Wheel);

impl Deadlines {
    /// Makes room for this many.
    pub fn new(expected: usize) -> Deadlines {
        Deadlines(Wheel::new(expected))
    }

    /// Sets or moves a deadline.
    pub fn set(&mut self, index: u32, deadline: u32) {
        self.0.set(index, deadline);
    }

    /// Removes a deadline.
    pub fn clear(&mut self, index: u32) {
        self.0.clear(index);
    }

    /// Moves on to this tick and adds those whose deadline has come.
    pub fn advance(&mut self, now: u32, expired: &mut Vec<u32>) {
        self.0.advance(now, usize::MAX, expired);
    }
}

impl fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deadlines").field(&self.0.len()).finish_non_exhaustive()
    }
}

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn readable(fd: Option<Fd>) -> Ready {
    let token = Token(fd.expect("it was admitted").to_u64() as usize);
    Ready { token, readable: true, writable: false, read_closed: false, error: false }
}

/// The event that a socket can be read and written, and perhaps that its peer has ended its side.
pub(crate) fn ready(fd: Fd, read_closed: bool) -> Ready {
    Ready { writable: true, read_closed, ..readable(Some(fd)) }
}

fn take_written(wire: &mut sim::SimWire) -> usize {
    let len = wire.written.len();
    wire.written.clear();
    len
}
