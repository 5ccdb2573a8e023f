//! A raw client over plain sockets, which can send whatever a peer should not, and servers to try it on.
//! Nothing here sleeps: every wait is for an event, with a deadline.

#![allow(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod shaper;
pub(crate) mod transports;

use socket2::SockRef;
use std::fmt::Debug;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};
use swio::{Builder, CloseReason, Fd, Handle, Hosts, Opcode, Running, Server};

/// How long anything may take. Generous, for loaded machines: only a failing test waits for so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
pub(crate) const FIN: u8 = 0x80;

/// A handshake in order: RFC 6455's own key.
pub(crate) const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// What answers [`UPGRADE`]'s key.
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// [`UPGRADE`] with more header lines, each with its line end.
pub(crate) fn upgrade_with(lines: &str) -> String {
    UPGRADE.replace("\r\n\r\n", &format!("\r\n{lines}\r\n"))
}

// ---------------------------------------------------------------------------------------------- servers

/// A server on a thread of its own, shut down when dropped.
pub(crate) struct Live {
    running: Option<Running>,
    pub(crate) address: SocketAddr,
    /// Where raw TCP is spoken, in the order of the calls.
    pub(crate) tcp: Vec<SocketAddr>,
    pub(crate) handle: Handle,
}

impl Live {
    /// Its clients may name any host, unless the test says otherwise.
    pub(crate) fn start(builder: Builder) -> Live {
        let builder = builder.configure(|config| {
            if config.hosts == Hosts::Auto {
                config.hosts = Hosts::Any;
            }
        });
        Live::start_strict(builder)
    }

    /// The same with the hosts that the builder has.
    pub(crate) fn start_strict(builder: Builder) -> Live {
        let running = builder.listen("127.0.0.1:0").start().expect("a free port");
        let (address, handle) = (running.addresses()[0], running.handle());
        let tcp = running.addresses()[1..].to_vec();
        Live { running: Some(running), address, tcp, handle }
    }

    /// A TCP connection that has not spoken.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// An open WebSocket.
    pub(crate) fn open(&self) -> Client {
        Client::open(self.address)
    }

    /// Runs `call` on the server's thread and gives what it gives.
    pub(crate) fn ask<R: Send + 'static>(&self, call: impl FnOnce(&mut Server) -> R + Send + 'static) -> R {
        let (sender, receiver) = mpsc::channel();
        self.handle.run(move |server| tell(&sender, call(server))).expect("the server takes mail");
        receiver.recv_timeout(DEADLINE).expect("the server answers")
    }

    /// Waits until `look` gives something, looking every few milliseconds of the server's own time.
    pub(crate) fn until<R: Send + 'static>(
        &self,
        what: &str,
        look: impl FnMut(&mut Server) -> Option<R> + Send + 'static,
    ) -> R {
        let (sender, receiver) = mpsc::channel();
        self.handle.run(move |server| watch(server, look, sender)).expect("the server takes mail");
        match receiver.recv_timeout(DEADLINE) {
            Ok(found) => found,
            Err(_) => panic!("not in time: {what}; {:?}", self.ask(|server| server.usage())),
        }
    }

    /// Waits until nobody is connected any more.
    pub(crate) fn until_empty(&self) {
        self.until("all connections are gone", |server| (server.usage().connections == 0).then_some(()));
    }

    /// An event `delay` of the server's time from now, to wait for.
    pub(crate) fn after(&self, delay: Duration) -> Receiver<()> {
        let (sender, receiver) = mpsc::channel();
        let set = move |server: &mut Server| {
            server.after(delay, move |_| {
                sender.send(()).ok();
            });
        };
        self.handle.run(set).expect("the server takes mail");
        receiver
    }

    /// Holds the server's thread up until what is given back is dropped or sent to.
    pub(crate) fn hold(&self) -> Sender<()> {
        let (sender, receiver) = mpsc::channel::<()>();
        let (held, is_held) = mpsc::channel();
        self.handle
            .run(move |_| {
                held.send(()).expect("the test waits");
                receiver.recv_timeout(DEADLINE).ok();
            })
            .expect("the server takes mail");
        is_held.recv_timeout(DEADLINE).expect("the server answers");
        sender
    }

    /// Shuts down and waits for the end, which must be a good one.
    pub(crate) fn stop(mut self) {
        self.handle.shutdown().ok();
        self.join();
    }

    /// Waits for the end of a server that is shutting down.
    pub(crate) fn join(&mut self) {
        let running = self.running.take().expect("joined once");
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(running.join()));
        receiver.recv_timeout(DEADLINE).expect("the server ends in time").expect("the server ends well");
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.handle.shutdown().ok();
    }
}

/// Looks now, and where there is nothing to see, again a little later. The timer has run when it looks, so
/// the server's usage does not have it.
fn watch<R: Send + 'static>(
    server: &mut Server,
    mut look: impl FnMut(&mut Server) -> Option<R> + Send + 'static,
    sender: Sender<R>,
) {
    match look(server) {
        Some(found) => tell(&sender, found),
        None => {
            let handle = server.handle();
            server.after(Duration::from_millis(3), move |_| {
                handle.run(move |server| watch(server, look, sender)).ok();
            });
        }
    }
}

/// Sends to a test that may have stopped listening.
pub(crate) fn tell<T>(sender: &Sender<T>, value: T) {
    sender.send(value).ok();
}

/// What a recorded server's callbacks were told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Open(Fd),
    Message(Fd, Opcode, Vec<u8>),
    Close(Fd, CloseReason),
    Error(Option<Fd>, String),
}

/// What happened on a recorded server, in order.
pub(crate) struct Events(pub(crate) Receiver<Event>);

impl Events {
    pub(crate) fn next(&self) -> Event {
        self.next_within(DEADLINE)
    }

    pub(crate) fn next_within(&self, time: Duration) -> Event {
        self.0.recv_timeout(time).expect("an event")
    }

    pub(crate) fn open(&self) -> Fd {
        self.find(|event| if let Event::Open(fd) = event { Some(fd) } else { None })
    }

    pub(crate) fn close(&self) -> (Fd, CloseReason) {
        self.find(|event| if let Event::Close(fd, reason) = event { Some((fd, reason)) } else { None })
    }

    pub(crate) fn message(&self) -> Vec<u8> {
        self.find(|event| if let Event::Message(_, _, data) = event { Some(data) } else { None })
    }

    pub(crate) fn error(&self) -> (Option<Fd>, String) {
        self.find(|event| if let Event::Error(fd, text) = event { Some((fd, text)) } else { None })
    }

    /// The next event that `pick` takes; those before it are dropped.
    fn find<R>(&self, mut pick: impl FnMut(Event) -> Option<R>) -> R {
        loop {
            if let Some(found) = pick(self.next()) {
                return found;
            }
        }
    }

    /// Everything so far that was not taken.
    pub(crate) fn rest(&self) -> Vec<Event> {
        self.0.try_iter().collect()
    }

    /// Of all events so far: every open has its one close and every close its open; how many there were.
    pub(crate) fn check_pairs(&self) -> usize {
        let mut open = Vec::new();
        let mut count = 0;
        for event in self.rest() {
            match event {
                Event::Open(fd) => {
                    assert!(!open.contains(&fd), "{fd} was opened twice");
                    open.push(fd);
                    count += 1;
                }
                Event::Close(fd, _) => {
                    let at = open.iter().position(|other| *other == fd);
                    open.swap_remove(at.unwrap_or_else(|| panic!("{fd} was closed but is not open")));
                }
                Event::Message(fd, ..) => assert!(open.contains(&fd), "a message of {fd}, which is not open"),
                Event::Error(..) => {}
            }
        }
        assert!(open.is_empty(), "never closed: {open:?}");
        count
    }
}

/// A builder whose open, message, close and error callbacks tell what they are told.
pub(crate) fn recorded() -> (Builder, Events) {
    let (sender, receiver) = mpsc::channel();
    let (open, message, close, error) = (sender.clone(), sender.clone(), sender.clone(), sender);
    let builder = Server::builder()
        .on_open(move |_, request| tell(&open, Event::Open(request.fd)))
        .on_message(move |_, frame| {
            tell(&message, Event::Message(frame.fd, frame.opcode, frame.data.to_vec()));
        })
        .on_close(move |_, fd, reason| tell(&close, Event::Close(fd, reason.clone())))
        .on_error(move |_, fd, fault| tell(&error, Event::Error(fd, fault.to_string())));
    (builder, Events(receiver))
}

/// A builder that sends every message back.
pub(crate) fn echo() -> Builder {
    Server::builder().on_message(|server, frame| {
        server.push(frame.fd, frame.data).ok();
    })
}

/// Whether a well-behaved client is served, whatever the callbacks do.
pub(crate) fn still_serving(live: &Live) {
    let mut client = live.open();
    client.frame(PING, b"still there?");
    loop {
        let frame = client.read_frame();
        if frame.opcode == PONG {
            assert_eq!(frame.payload, b"still there?");
            break;
        }
    }
    client.close(1000, "");
    client.until_close(1000);
}

// ---------------------------------------------------------------------------------------------- the client

/// A frame from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code and reason of a close frame.
    pub(crate) fn close(&self) -> (u16, String) {
        assert_eq!(self.opcode, CLOSE, "{self:?}");
        match *self.payload {
            [] => (1005, String::new()),
            [high, low, ref reason @ ..] => {
                let reason = std::str::from_utf8(reason).expect("a close reason is UTF-8");
                (u16::from_be_bytes([high, low]), reason.to_owned())
            }
            [_] => panic!("a close frame of one byte"),
        }
    }
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| &**value);
        assert!(values.next().is_none(), "more than one {name} in {self:?}");
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }
}

/// A client's end of a TCP connection. Reads and writes fail at the deadline.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// Read, but not yet taken.
    buffer: Vec<u8>,
    taken: usize,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect_timeout(&address, DEADLINE).expect("the server accepts"))
    }

    /// With a small receive window, so that the server's writes soon find no room.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        socket.connect_timeout(&address.into(), DEADLINE).expect("the server accepts");
        Client::over(socket.into())
    }

    pub(crate) fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        Client { stream, buffer: Vec::new(), taken: 0 }
    }

    pub(crate) fn open(address: SocketAddr) -> Client {
        Client::connect(address).handshake()
    }

    /// Opens the WebSocket.
    pub(crate) fn handshake(mut self) -> Client {
        self.send(UPGRADE);
        self.expect_101();
        self
    }

    pub(crate) fn expect_101(&mut self) -> Answer {
        let answer = self.answer();
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.header("Sec-WebSocket-Accept"), Some(ACCEPT));
        assert!(answer.header("Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")));
        assert!(answer.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
        answer
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends what can be sent: the server may have ended the connection already.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).ok();
    }

    /// Sends one byte at a time, each in a segment of its own.
    pub(crate) fn send_in_pieces(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref().chunks(1) {
            self.send(byte);
        }
    }

    /// Sends a whole message or control frame.
    pub(crate) fn frame(&mut self, opcode: u8, payload: &[u8]) {
        self.send(masked(FIN | opcode, payload));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.frame(TEXT, text.as_bytes());
    }

    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        self.frame(CLOSE, &close_payload(code, reason));
    }

    /// Ends this side of TCP.
    pub(crate) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("connected");
    }

    /// Ends TCP by a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("an option");
    }

    /// Reads more: false at the server's FIN.
    fn fill(&mut self) -> bool {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let mut chunk = [0; 64 << 10];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(len) => {
                    self.buffer.extend_from_slice(&chunk[..len]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("nothing came in time; so far: {:?}", Excerpt(&self.buffer));
                }
                Err(error) => panic!("{error} instead of a FIN; so far: {:?}", Excerpt(&self.buffer)),
            }
        }
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        while self.buffer.len() - self.taken < len {
            assert!(self.fill(), "FIN in the middle: {:?}", Excerpt(&self.buffer));
        }
        let bytes = self.buffer[self.taken..self.taken + len].to_vec();
        self.taken += len;
        bytes
    }

    /// Everything up to the server's FIN.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// The server has nothing more to say and ends its side, by a FIN and not a reset.
    pub(crate) fn expect_fin(&mut self) {
        let rest = self.take_rest();
        assert!(rest.is_empty(), "unexpected bytes before the FIN: {:?}", Excerpt(&rest));
    }

    pub(crate) fn read_frame(&mut self) -> Frame {
        self.read_frame_of(false)
    }

    /// A frame of a client, where the test is the server.
    pub(crate) fn read_masked_frame(&mut self) -> Frame {
        self.read_frame_of(true)
    }

    fn read_frame_of(&mut self, is_client: bool) -> Frame {
        let head = self.take(2);
        assert_eq!(head[0] & 0x70, 0, "reserved bits");
        assert_eq!(head[1] & 0x80 != 0, is_client, "clients mask, servers don't");
        let len = match head[1] & 0x7f {
            126 => u16::from_be_bytes(self.take(2).try_into().expect("2 bytes")).into(),
            127 => u64::from_be_bytes(self.take(8).try_into().expect("8 bytes")),
            len => u64::from(len),
        };
        let mask = if is_client { self.take(4) } else { vec![0; 4] };
        let mut payload = self.take(usize::try_from(len).expect("a length that can be"));
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        Frame { fin: head[0] & FIN != 0, opcode: head[0] & 0xf, payload }
    }

    /// The next frame is this one, whole.
    pub(crate) fn expect(&mut self, opcode: u8, payload: impl AsRef<[u8]>) {
        let (frame, payload) = (self.read_frame(), payload.as_ref());
        assert!(
            frame.fin && frame.opcode == opcode && frame.payload == payload,
            "opcode {} with {:?} instead of opcode {opcode} with {:?}",
            frame.opcode,
            Excerpt(&frame.payload),
            Excerpt(payload),
        );
    }

    pub(crate) fn expect_text(&mut self, text: &str) {
        self.expect(TEXT, text);
    }

    /// The next frame is a close with this code, and behind it comes FIN: its reason.
    pub(crate) fn expect_close(&mut self, code: u16) -> String {
        let frame = self.read_frame();
        assert_eq!(frame.opcode, CLOSE, "instead of a close: {frame:?}");
        let (got, reason) = frame.close();
        assert_eq!(got, code, "{reason:?}");
        self.expect_fin();
        reason
    }

    /// The next frame is a close with this code, which is answered, and behind it comes FIN: its reason.
    pub(crate) fn answer_close(&mut self, code: u16) -> String {
        let (got, reason) = self.read_frame().close();
        assert_eq!(got, code, "{reason:?}");
        self.close(code, "");
        self.expect_fin();
        reason
    }

    /// Reads frames until a close with this code, and behind it FIN: the frames before it.
    pub(crate) fn until_close(&mut self, code: u16) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.read_frame();
            if frame.opcode == CLOSE {
                assert_eq!(frame.close().0, code, "{:?}", frame.close());
                self.expect_fin();
                return frames;
            }
            frames.push(frame);
        }
    }

    /// A whole HTTP answer to a request that was no `HEAD`.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.answer_head();
        if answer.status >= 200 && !matches!(answer.status, 204 | 304) {
            let len = answer.header("Content-Length").expect("a length").parse().expect("a number");
            answer.body = self.take(len);
        }
        answer
    }

    /// Everything up to `mark`, which is taken too; `None` where FIN comes instead of anything.
    pub(crate) fn take_until(&mut self, mark: &[u8]) -> Option<String> {
        let mut searched = 0;
        let end = loop {
            let unread = &self.buffer[self.taken..];
            if let Some(at) = unread[searched..].windows(mark.len()).position(|bytes| bytes == mark) {
                break searched + at;
            }
            searched = (unread.len() + 1).saturating_sub(mark.len());
            if !self.fill() {
                assert_eq!(self.buffer.len(), self.taken, "FIN before {}", mark.escape_ascii());
                return None;
            }
        };
        let text = String::from_utf8(self.take(end)).expect("a text");
        self.taken += mark.len();
        Some(text)
    }

    /// A head without its empty line.
    pub(crate) fn head(&mut self) -> String {
        self.take_until(b"\r\n\r\n").expect("a head")
    }

    /// An HTTP answer up to its empty line.
    pub(crate) fn answer_head(&mut self) -> Answer {
        let head = self.head();
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().expect("a status line");
        let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next());
        let status = status.and_then(|status| status.parse().ok()).expect("a status");
        let headers = lines
            .map(|line| line.split_once(": ").expect("a header line"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Answer { status, headers, body: Vec::new() }
    }
}

/// Bytes, shortened for messages of failures.
struct Excerpt<'a>(&'a [u8]);

impl Debug for Excerpt<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let len = self.0.len();
        write!(f, "{len} bytes {:?}", String::from_utf8_lossy(&self.0[..len.min(60)]))
    }
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame whose first byte is given whole: FIN, reserved bits and opcode.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = masked_header(first, payload.len() as u64);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The header of a masked frame, its length in the shortest form.
pub(crate) fn masked_header(first: u8, len: u64) -> Vec<u8> {
    let mut header = vec![first];
    match len {
        0..=125 => header.push(0x80 | len as u8),
        126..=0xffff => {
            header.push(0x80 | 126);
            header.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend_from_slice(&len.to_be_bytes());
        }
    }
    header.extend_from_slice(&MASK);
    header
}

pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// The deadline of a loop that has no single event to wait for.
pub(crate) struct Patience(Instant);

impl Patience {
    pub(crate) fn new() -> Patience {
        Patience(Instant::now() + DEADLINE)
    }

    pub(crate) fn check(&self, what: &str) {
        assert!(Instant::now() < self.0, "not in time: {what}");
    }
}
