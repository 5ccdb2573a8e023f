//! What a simulated client will send, and what a naive reading of it says must come of it.

use super::Random;
use crate::codec::ws::Opcode;
use crate::codec::ws::header::encode_masked;
use crate::{Framing, LengthType};

/// What one client sends, byte for byte, and what the bytes mean.
pub(super) struct Script {
    pub(super) bytes: Vec<u8>,
    pub(super) items: Vec<Item>,
    pub(super) kind: Kind,
}

/// Something in the script that has an effect once all its bytes are read.
pub(super) struct Item {
    /// Where its last byte is, plus one.
    pub(super) end: usize,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The handshake is whole.
    Open,
    Message(Opcode, Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(u16),
    /// The server must fail the connection with this code.
    Error(u16),
    /// A page is asked for; the last one with "Connection: close".
    Request(String),
    /// The server must refuse with this status.
    Refused(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    WebSocket,
    Http,
    /// Raw TCP of the framing with this number.
    Tcp(u8),
    /// An event stream: a request, and nothing more.
    EventStream,
    /// Requests of a session of its visitor: polls, and messages by POST.
    Carrier,
}

pub(crate) const HANDSHAKE: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// How many kinds of packages there are.
pub(super) const FRAMINGS: u64 = 3;

/// The framings of the raw TCP listeners.
pub(super) fn framings() -> [Framing; FRAMINGS as usize] {
    [
        Framing::EndMark(b"\r\n".into()),
        Framing::Length { length_type: LengthType::U32Be, length_offset: 0, body_offset: 4 },
        Framing::Length { length_type: LengthType::U16Le, length_offset: 0, body_offset: 0 },
    ]
}

fn package(framing: u8, data: &[u8]) -> Vec<u8> {
    match framing {
        0 => [data, b"\r\n"].concat(),
        1 => [&(data.len() as u32).to_be_bytes(), data].concat(),
        _ => [&(data.len() as u16 + 2).to_le_bytes(), data].concat(),
    }
}

/// The first package of `bytes` if it is whole, and what follows.
pub(super) fn unpack(framing: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, body) = match framing {
        0 => {
            let len = bytes.windows(2).position(|two| two == b"\r\n")?;
            return Some((&bytes[..len], &bytes[len + 2..]));
        }
        1 => (u32::from_be_bytes(*bytes.first_chunk()?) as usize, bytes.get(4..)?),
        _ => (usize::from(u16::from_le_bytes(*bytes.first_chunk()?)) - 2, bytes.get(2..)?),
    };
    body.split_at_checked(len)
}

impl Script {
    pub(super) fn new(random: &mut Random) -> Script {
        let kind = match random.below(100) {
            0..15 => Kind::Http,
            15..30 => Kind::Tcp(random.below(FRAMINGS) as u8),
            _ => Kind::WebSocket,
        };
        let mut script = Script::empty(kind);
        match kind {
            Kind::WebSocket => script.websocket(random),
            Kind::Tcp(framing) => script.tcp(random, framing),
            _ => script.http(random),
        }
        script
    }

    /// Of somebody who decides what to send by what comes.
    pub(super) fn empty(kind: Kind) -> Script {
        Script { bytes: Vec::new(), items: Vec::new(), kind }
    }

    fn tcp(&mut self, random: &mut Random, framing: u8) {
        for _ in 0..random.below(40) {
            let (_, data) = message(random);
            self.bytes.extend(package(framing, &data));
            self.item(What::Message(Opcode::Binary, data));
        }
        if random.chance(20) {
            let code = match random.chance(50) {
                true if framing == 2 => {
                    self.bytes.extend([1, 0]);
                    1002
                }
                _ => {
                    self.bytes.extend(package(framing, &[b'e'; 20_001]));
                    1009
                }
            };
            self.item(What::Error(code));
        } else if random.chance(30) {
            self.bytes.extend(b"\x09\0");
        }
    }

    fn item(&mut self, what: What) {
        self.items.push(Item { end: self.bytes.len(), what });
    }

    fn http(&mut self, random: &mut Random) {
        let count = 1 + random.below(30);
        for number in 0..count {
            let path = format!("/{number}/{}", "x".repeat(random.below(40) as usize));
            let is_last = number + 1 == count && random.chance(50);
            let connection = if is_last { "close" } else { "keep-alive" };
            let head = format!("GET {path} HTTP/1.1\r\nHost: sim\r\nConnection: {connection}\r\n\r\n");
            self.bytes.extend_from_slice(head.as_bytes());
            self.item(What::Request(path));
            if is_last {
                return;
            }
        }
        if random.chance(30) {
            self.bytes.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
            self.item(What::Refused(400));
        }
    }

    fn websocket(&mut self, random: &mut Random) {
        if random.chance(20) {
            let path = format!("/{}", "x".repeat(random.below(150) as usize));
            self.bytes.extend_from_slice(format!("GET {path} HTTP/1.1\r\nHost: sim\r\n\r\n").as_bytes());
            self.item(What::Request(path));
        }
        self.bytes.extend_from_slice(HANDSHAKE);
        self.item(What::Open);
        for _ in 0..random.below(40) {
            match random.below(12) {
                0 => self.ping(random),
                1 => {
                    self.frame(random, true, Opcode::Pong, b"unasked");
                    self.item(What::Pong);
                }
                2..=4 => self.fragmented(random),
                _ => {
                    let (opcode, data) = message(random);
                    self.frame(random, true, opcode, &data);
                    self.item(What::Message(opcode, data));
                }
            }
        }
        match random.below(4) {
            0 => self.close(random),
            1 => self.error(random),
            _ => {}
        }
    }

    /// A message with labels in front, and what a handler sees of it.
    pub(super) fn labelled(&mut self, random: &mut Random, query: &str, message: Option<(Opcode, Vec<u8>)>) {
        let (opcode, data) = message.clone().unwrap_or((Opcode::Text, Vec::new()));
        self.frame(random, true, opcode, &[query.as_bytes(), b"\n", &data].concat());
        self.items.extend(
            message.map(|(opcode, data)| Item { end: self.bytes.len(), what: What::Message(opcode, data) }),
        );
    }

    fn frame(&mut self, random: &mut Random, fin: bool, opcode: Opcode, payload: &[u8]) {
        let mask = (random.next() as u32).to_ne_bytes();
        encode_masked(fin, opcode, mask, payload, &mut self.bytes);
    }

    fn ping(&mut self, random: &mut Random) {
        let payload: Vec<u8> = (0..random.below(126)).map(|_| random.next() as u8).collect();
        self.frame(random, true, Opcode::Ping, &payload);
        self.item(What::Ping(payload));
    }

    /// A message in fragments, empty ones and control frames between them included.
    fn fragmented(&mut self, random: &mut Random) {
        let (opcode, data) = message(random);
        let mut from = 0;
        let mut kind = opcode;
        loop {
            let to = (from + random.below(40) as usize).min(data.len());
            let fin = to == data.len() && random.chance(50);
            self.frame(random, fin, kind, &data[from..to]);
            if fin {
                break;
            }
            if random.chance(20) {
                self.ping(random);
            }
            (from, kind) = (to, Opcode::Continuation);
        }
        self.item(What::Message(opcode, data));
    }

    fn close(&mut self, random: &mut Random) {
        if random.chance(30) {
            self.frame(random, true, Opcode::Close, b"");
            self.item(What::Close(1005));
        } else {
            let code = [1000, 1001, 3000, 4999][random.below(4) as usize];
            let payload = crate::codec::ws::close::payload(code, "bye");
            self.frame(random, true, Opcode::Close, &payload);
            self.item(What::Close(code));
        }
        // To be discarded.
        self.frame(random, true, Opcode::Text, b"e after the close frame");
    }

    fn error(&mut self, random: &mut Random) {
        let code = match random.below(6) {
            0 => {
                self.bytes.extend_from_slice(&[0x81, 0x01, b'x']);
                1002
            }
            1 => {
                self.frame(random, true, Opcode::Text, b"e\xff\xff");
                1007
            }
            2 => {
                self.frame(random, true, Opcode::Continuation, b"");
                1002
            }
            3 => {
                self.frame(random, true, Opcode::Close, b"\x03");
                1002
            }
            4 => {
                self.frame(random, true, Opcode::Binary, &[0; 20_001]);
                1009
            }
            _ => {
                self.frame(random, false, Opcode::Ping, b"");
                1002
            }
        };
        self.item(What::Error(code));
        if random.chance(50) {
            self.frame(random, true, Opcode::Text, b"e after the error");
        }
    }
}

/// A message that tells the handler what to do: its first byte is the command, see the handler.
pub(super) fn message(random: &mut Random) -> (Opcode, Vec<u8>) {
    let command = b"eeeeeebbBppdkxtLOs..jjjJlluuvPPPPPPUoonnKKKSzzzZqrffRR"[random.below(54) as usize];
    let len = match random.below(10) {
        0 => random.below(6_000),
        1..=3 => random.below(300),
        _ => random.below(20),
    };
    let mut data = vec![command, b'0' + random.below(40) as u8];
    data.extend((0..len).map(|_| b'a' + random.below(26) as u8));
    if random.chance(20) {
        data.extend_from_slice("κόσμε 🎉".as_bytes());
    }
    let opcode = if random.chance(70) { Opcode::Text } else { Opcode::Binary };
    (opcode, data)
}
