//! A WebSocket client that handles bytes only: it sends what it is told to, right or wrong, and trusts nothing that it
//! gets. The scripts of the conformance table run on it.

use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::Receiver;
use std::time::Duration;
use swio::Side;

/// Reached only where a row fails.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const TEXT_BEGUN: u8 = 0x01;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const BINARY_BEGUN: u8 = 0x02;
pub(crate) const MORE: u8 = 0x00;
pub(crate) const LAST: u8 = 0x80;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// RFC 6455's own handshake. The server under test is told which row it is for.
pub(crate) const REQUEST: &str = "GET /?row=ROW HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A client's frame: its first byte as given, masked, the length in its shortest form.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame_with(first, KEY, payload)
}

pub(crate) fn frame_with(first: u8, key: [u8; 4], payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut wire = match payload.len() {
        len @ 0..=125 => header(first, len as u8, &[], key),
        len @ 126..=0xffff => header(first, 126, &(len as u16).to_be_bytes(), key),
        len => header(first, 127, &(len as u64).to_be_bytes(), key),
    };
    wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    wire
}

/// A frame's header, with whatever length in whatever form.
pub(crate) fn header(first: u8, short: u8, long: &[u8], key: [u8; 4]) -> Vec<u8> {
    [&[first, 0x80 | short], long, &key].concat()
}

pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
}

/// What the client does, and what must follow. Nothing else may come in between.
pub(crate) enum Step {
    /// Connects and sends this request, and these bytes in one piece with it.
    Request(String, Vec<u8>),
    /// Connects and shakes hands, at this path.
    Open(&'static str),
    Send(Vec<u8>),
    /// Sends each byte in a segment of its own.
    Trickle(Vec<u8>),
    /// Ends the client's side of TCP.
    Fin,
    /// Ends TCP both ways.
    Vanish,

    Status(u16),
    /// The response has this header once, with this value.
    Header(&'static str, &'static str),
    NoHeader(&'static str),
    /// A frame with this first byte and payload.
    Gets(u8, Vec<u8>),
    /// A close frame with this code and any reason; `None`: with neither.
    Close(Option<u16>),
    /// The server ends TCP, in order and before the client does.
    End,
    /// Behind its end the server still takes what was on its way, so nothing resets the connection.
    Lingers,
    /// A ping is answered: the connection lives, and nothing was in front of the pong.
    Alive,
    /// `on_close` is told this code, and that this side began.
    Reported(u16, Side),
    /// `on_message` was called so often.
    Delivered(usize),
}

/// What the server under test says when a connection of a row has ended.
pub(crate) struct Report {
    pub(crate) row: usize,
    pub(crate) code: u16,
    pub(crate) by: Side,
    pub(crate) messages: usize,
}

/// Runs one row's steps.
pub(crate) struct Script<'a> {
    row: usize,
    address: SocketAddr,
    reports: &'a Receiver<Report>,
    peer: Option<Peer>,
    report: Option<Report>,
    response: Response,
}

impl<'a> Script<'a> {
    pub(crate) fn new(row: usize, address: SocketAddr, reports: &'a Receiver<Report>) -> Script<'a> {
        Script { row, address, reports, peer: None, report: None, response: Response::default() }
    }

    /// Takes the step, or says what came instead.
    pub(crate) fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Request(request, behind) => self.request(request, behind),
            Step::Open(path) => self.open(path),
            Step::Send(bytes) => self.peer()?.send(bytes),
            Step::Trickle(bytes) => bytes.chunks(1).try_for_each(|byte| self.peer()?.send(byte)),
            Step::Fin => self.peer()?.stream.shutdown(Shutdown::Write).map_err(|error| error.to_string()),
            Step::Vanish => {
                self.peer = None;
                Ok(())
            }
            Step::Status(status) => {
                self.response = self.peer()?.response()?;
                same(&self.response.status, status)
            }
            Step::Header(name, value) => same(&self.response.values(name), &vec![*value]),
            Step::NoHeader(name) => same(&self.response.values(name), &Vec::new()),
            Step::Gets(first, payload) => {
                let frame = self.peer()?.frame()?;
                same(&frame, &Frame { first: *first, payload: payload.clone() })
            }
            Step::Close(code) => {
                let frame = self.peer()?.frame()?;
                let given = frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                if frame.first != CLOSE || given != *code {
                    return Err(format!("not a close frame with {code:?}: {frame:?}"));
                }
                Ok(())
            }
            Step::End => self.peer()?.end(),
            Step::Lingers => self.peer()?.lingers(),
            Step::Alive => {
                self.peer()?.send(&frame(PING, b"alive?"))?;
                let frame = self.peer()?.frame()?;
                same(&frame, &Frame { first: PONG, payload: b"alive?".to_vec() })
            }
            Step::Reported(code, by) => {
                let report = self.report()?;
                same(&(report.code, report.by), &(*code, *by))
            }
            Step::Delivered(messages) => same(&self.report()?.messages, messages),
        }
    }

    fn peer(&mut self) -> Result<&mut Peer, String> {
        self.peer.as_mut().ok_or_else(|| "the row is not connected".into())
    }

    fn request(&mut self, request: &str, behind: &[u8]) -> Result<(), String> {
        let peer = self.peer.insert(Peer::connect(self.address)?);
        let request = request.replace("ROW", &self.row.to_string());
        peer.send(&[request.as_bytes(), behind].concat())
    }

    fn open(&mut self, path: &str) -> Result<(), String> {
        self.request(&REQUEST.replacen("GET /", &format!("GET {path}"), 1), &[])?;
        self.response = self.peer()?.response()?;
        same(&self.response.status, &101)?;
        same(&self.response.values("sec-websocket-accept"), &vec![ACCEPT])
    }

    /// The row's own report; those of earlier rows, which nobody waited for, are passed over.
    fn report(&mut self) -> Result<&Report, String> {
        self.peer = None;
        while self.report.is_none() {
            let report = self.reports.recv_timeout(DEADLINE).map_err(|error| format!("on_close: {error}"))?;
            self.report = Some(report).filter(|report| report.row == self.row);
        }
        self.report.as_ref().ok_or_else(|| "no report".into())
    }
}

fn same<T: PartialEq + fmt::Debug>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("found {found:?}, expected {expected:?}")) }
}

#[derive(Default)]
struct Response {
    status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Response {
    fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| &**value).collect()
    }
}

#[derive(PartialEq, Eq)]
struct Frame {
    first: u8,
    payload: Vec<u8>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self.payload[..self.payload.len().min(40)];
        write!(f, "{:#04x} with {} bytes \"{}\"", self.first, self.payload.len(), start.escape_ascii())
    }
}

struct Peer {
    stream: TcpStream,
    /// Received and not looked at.
    buffer: Vec<u8>,
    is_closed: bool,
}

impl Peer {
    fn connect(address: SocketAddr) -> Result<Peer, String> {
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(DEADLINE)).map_err(|error| error.to_string())?;
        stream.set_write_timeout(Some(DEADLINE)).map_err(|error| error.to_string())?;
        Ok(Peer { stream, buffer: Vec::new(), is_closed: false })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|error| format!("sending: {error}"))
    }

    /// Receives more; false where the server has ended TCP in order.
    fn receive(&mut self) -> Result<bool, String> {
        let mut bytes = [0; 16 << 10];
        match self.stream.read(&mut bytes) {
            Ok(len) => {
                self.buffer.extend_from_slice(&bytes[..len]);
                Ok(len > 0)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(format!("nothing more came; before it {:?}", self.buffer.escape_ascii().to_string()))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// The next `len` bytes.
    fn bytes(&mut self, len: usize) -> Result<Vec<u8>, String> {
        while self.buffer.len() < len {
            if !self.receive()? {
                return Err(format!("TCP ended; before it {:?}", self.buffer.escape_ascii().to_string()));
            }
        }
        Ok(self.buffer.drain(..len).collect())
    }

    fn end(&mut self) -> Result<(), String> {
        while self.buffer.is_empty() {
            if !self.receive()? {
                return Ok(());
            }
        }
        Err(format!("not the end: {:?}", self.buffer.escape_ascii().to_string()))
    }

    /// A reset is the answer to bytes that nobody takes; the next call finds it.
    fn lingers(&mut self) -> Result<(), String> {
        for _ in 0..10 {
            self.send(b"late")?;
        }
        match self.stream.take_error() {
            Ok(None) => Ok(()),
            other => Err(format!("reset: {other:?}")),
        }
    }

    fn response(&mut self) -> Result<Response, String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.bytes(1)?);
        }
        let head = String::from_utf8(head).map_err(|error| error.to_string())?;
        let (status_line, lines) = head.split_once("\r\n").ok_or("no status line")?;
        let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let mut response = Response { status: status.ok_or(status_line)?, headers: Vec::new() };
        for line in lines.split("\r\n").filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(line)?;
            response.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if response.status != 101 {
            let body = response.values("content-length").first().and_then(|len| len.parse().ok());
            self.bytes(body.ok_or("no length")?)?;
        }
        Ok(response)
    }

    /// The next frame, held to what RFC 6455 asks of every frame of a server.
    fn frame(&mut self) -> Result<Frame, String> {
        let two = self.bytes(2)?;
        let (first, short) = (two[0], two[1]);
        let number = |bytes: Vec<u8>| bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        let (len, least) = match short {
            126 => (number(self.bytes(2)?), 126),
            127 => (number(self.bytes(8)?), 0x1_0000),
            len => (usize::from(len), 0),
        };
        let frame = Frame { first, payload: Vec::new() };
        for (is_wrong, what) in [
            (self.is_closed, "5.5.1: a frame behind the close frame"),
            (short >= 0x80, "5.1: the server's frame is masked"),
            (first & 0x70 != 0, "5.2: the server's frame has reserved bits"),
            (![1, 2, 8, 9, 10].contains(&(first & 0x0f)), "5.2: not an opcode of a whole frame"),
            (len < least, "5.2: the length is not in its shortest form"),
            (first & 0x08 != 0 && (len > 125 || first < 0x80), "5.5: a long or fragmented control frame"),
        ] {
            if is_wrong {
                return Err(format!("{what}: {frame:?}, {len} bytes"));
            }
        }
        self.is_closed = first == CLOSE;
        let payload = self.bytes(len)?;
        if first == TEXT && std::str::from_utf8(&payload).is_err() {
            return Err("8.1: the server's text is not UTF-8".into());
        }
        if let (CLOSE, Some(code)) = (first, payload.first_chunk()) {
            let code = u16::from_be_bytes(*code);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(format!("7.4: the server sent close code {code}"));
            }
        }
        Ok(Frame { first, payload })
    }
}
