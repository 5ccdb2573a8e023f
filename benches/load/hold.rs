//! Event streams and parked long polls that are held, on one thread: what each costs the server, and a broadcast that
//! has to reach all of them, word for word.

use crate::Outcome;
use crate::options::{Kind, Plan};
use crate::process::{Server, cpu_time};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

const PATIENCE: Duration = Duration::from_secs(20);
/// More is measured than what a first message leaves behind.
const BROADCASTS: usize = 3;
/// Opened before the first of them is waited for, as fewer than a listener's backlog.
const AT_ONCE: usize = 100;
const STREAM: &str = "/";
const POLL: &str = "/?swio=poll";
/// What a browser sends beside what is needed.
const HEADERS: &str = "Host: localhost\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0\r\n\
    Accept-Language: en-GB,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nCache-Control: no-cache\r\n\
    Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nPriority: u=1, i\r\n\
    Referer: http://bench.example/\r\nConnection: keep-alive\r\n";

struct Holder {
    poll: Poll,
    events: Events,
    peers: Vec<Peer>,
    buffer: Vec<u8>,
}

struct Peer {
    stream: TcpStream,
    kind: Kind,
    /// Received and not looked at.
    unread: Vec<u8>,
    /// Of a poll.
    token: String,
    /// Whether its stream has begun, or its session.
    is_open: bool,
    /// Messages that it has got.
    received: usize,
}

pub(crate) fn run(plan: &Plan, server: &Server, before: u64, kinds: &[Kind]) -> Result<Outcome, String> {
    measure(plan, server, before, kinds).map_err(|error| error.to_string())
}

fn measure(plan: &Plan, server: &Server, before: u64, kinds: &[Kind]) -> Result<Outcome, Failure> {
    let count = plan.connections;
    let grown = || Ok::<_, String>((server.anonymous_bytes()? as f64 - before as f64) / count as f64);
    let mut holder = Holder::open(plan, server.address, kinds)?;
    server.check_holds(count)?;
    // The last of them are parked now: an answer to who comes later says so.
    ask(server.address, "")?;
    let fresh = grown()?;
    let start = (Instant::now(), cpu_time(server.pid)?);
    thread::sleep(Duration::from_secs(plan.seconds as u64));
    let idle = (cpu_time(server.pid)? - start.1) / start.0.elapsed().as_secs_f64();
    let before = cpu_time(server.pid)?;
    for number in 0..BROADCASTS {
        let text = format!("{number:0>size$}", size = plan.size);
        let reached = ask(server.address, &format!("?broadcast={text}"))?;
        if reached != count.to_string() {
            return Err(format!("a broadcast was queued for {reached} of {count}").into());
        }
        holder.receive(number + 1, &text)?;
        ask(server.address, "")?;
    }
    let delivery = (cpu_time(server.pid)? - before) / (BROADCASTS * count) as f64;
    Ok([fresh, grown()?, idle * 1e6 / count as f64, delivery * 1e6])
}

/// What the server answers to a request of its own connection.
fn ask(server: SocketAddr, query: &str) -> Result<String, Failure> {
    let mut stream = std::net::TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /{query} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.rsplit("\r\n").next().unwrap_or_default().to_owned())
}

impl Holder {
    /// All streams begun, and of all sessions a request parked.
    fn open(plan: &Plan, server: SocketAddr, kinds: &[Kind]) -> Result<Holder, Failure> {
        let mut holder = Holder {
            poll: Poll::new()?,
            events: Events::with_capacity(1_024),
            peers: Vec::with_capacity(plan.connections),
            buffer: vec![0; 64 << 10],
        };
        let mut kinds = kinds.iter().cycle();
        while holder.peers.len() < plan.connections {
            let start = holder.peers.len();
            for number in start..plan.connections.min(start + AT_ONCE) {
                holder.connect(server, number, *kinds.next().expect("they go round"))?;
            }
            let mut closed = holder.peers[start..].iter().filter(|peer| !peer.is_open).count();
            holder.turn_until("an opening", |peer| {
                let opened = peer.begin()?;
                closed -= usize::from(opened);
                Ok(closed == 0)
            })?;
        }
        Ok(holder)
    }

    fn connect(&mut self, server: SocketAddr, number: usize, kind: Kind) -> Result<(), Failure> {
        let stream = std::net::TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
        let (unread, token) = (Vec::new(), String::new());
        let mut peer = Peer { stream, kind, unread, token, is_open: false, received: 0 };
        peer.ask(if kind == Kind::Stream { STREAM } else { POLL })?;
        self.peers.push(peer);
        Ok(())
    }

    /// The broadcast with this number, from 1, on all of them; polls ask on.
    fn receive(&mut self, number: usize, text: &str) -> Result<(), Failure> {
        let mut left = self.peers.len();
        self.turn_until("a broadcast", |peer| {
            left -= usize::from(peer.receive(number, text)?);
            Ok(left == 0)
        })?;
        match self.peers.iter().find(|peer| peer.received != number || !peer.unread.is_empty()) {
            None => Ok(()),
            Some(peer) => {
                Err(format!("after {number} broadcasts {:?} got {}", peer.kind, peer.received).into())
            }
        }
    }

    /// Shows each connection on which something came, until `is_done` says so.
    fn turn_until(
        &mut self,
        what: &str,
        mut is_done: impl FnMut(&mut Peer) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        let mut ready = VecDeque::new();
        loop {
            let time = end.saturating_duration_since(Instant::now());
            if time.is_zero() {
                return Err(format!("{what} did not come in time").into());
            }
            self.poll.poll(&mut self.events, Some(time))?;
            ready.extend(self.events.iter().map(|event| event.token().0));
            let mut done = false;
            for number in ready.drain(..) {
                let peer = &mut self.peers[number];
                peer.read(&mut self.buffer).map_err(|error| format!("connection {number}: {error}"))?;
                done |= is_done(peer).map_err(|error| format!("connection {number}: {error}"))?;
            }
            if done {
                return Ok(());
            }
        }
    }
}

impl Peer {
    fn read(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err("the server ended it".into()),
                Ok(len) => self.unread.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether it has begun just now. A session's first request for messages goes out at once.
    fn begin(&mut self) -> Result<bool, Failure> {
        if self.is_open {
            return Err("more came than was asked for".into());
        }
        match self.kind {
            // The head, and the first lines of the body with their own empty line.
            Kind::Stream => {
                let text = str::from_utf8(&self.unread)?;
                if text.matches("\r\n\r\n").count() < 1 || !text.ends_with("\n\n") {
                    return Ok(false);
                }
                if !text.starts_with("HTTP/1.1 200 OK\r\n") {
                    return Err(format!("no stream: {text}").into());
                }
                self.unread = Vec::new();
            }
            Kind::Poll => {
                let Some(body) = self.answer()? else { return Ok(false) };
                let token = body.strip_prefix("{\"session\":\"").and_then(|rest| rest.split('"').next());
                self.token = token.ok_or_else(|| format!("no session: {body}"))?.to_owned();
                self.park()?;
            }
        }
        self.is_open = true;
        Ok(true)
    }

    fn park(&mut self) -> Result<(), Failure> {
        let Peer { token, received, .. } = self;
        let target = format!("{POLL}&session={token}&cursor={received}");
        self.ask(&target)
    }

    fn ask(&mut self, target: &str) -> Result<(), Failure> {
        let accept = if self.kind == Kind::Stream { "text/event-stream" } else { "*/*" };
        let request = format!("GET {target} HTTP/1.1\r\nAccept: {accept}\r\n{HEADERS}\r\n");
        Ok(self.stream.write_all(request.as_bytes())?)
    }

    /// Whether the message with this number has come just now.
    fn receive(&mut self, number: usize, text: &str) -> Result<bool, Failure> {
        let (whole, expected) = match self.kind {
            Kind::Stream if !self.unread.ends_with(b"\n\n") => return Ok(false),
            Kind::Stream => {
                // Heartbeats may come in between.
                let events = String::from_utf8(std::mem::take(&mut self.unread))?.replace(":\n\n", "");
                (events, format!("data: {text}\n\n"))
            }
            Kind::Poll => {
                let Some(body) = self.answer()? else { return Ok(false) };
                (body, format!("{{\"cursor\":{number},\"messages\":[{{\"text\":\"{text}\"}}]}}"))
            }
        };
        if self.kind == Kind::Stream && whole.is_empty() {
            return Ok(false);
        }
        if whole != expected || self.received + 1 != number {
            return Err(format!("got {whole:?} for {expected:?}").into());
        }
        self.received = number;
        if self.kind == Kind::Poll {
            self.park()?;
        }
        Ok(true)
    }

    /// The body of a whole answer.
    fn answer(&mut self) -> Result<Option<String>, Failure> {
        let Some((head, body)) = str::from_utf8(&self.unread)?.split_once("\r\n\r\n") else {
            return Ok(None);
        };
        let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let len: usize = len.ok_or("no length")?.parse()?;
        if body.len() < len {
            return Ok(None);
        }
        if !head.starts_with("HTTP/1.1 200 ") || body.len() > len {
            return Err(format!("no answer: {head}\n{body}").into());
        }
        let body = body.to_owned();
        // Ten thousand would keep what they need for a moment.
        self.unread = Vec::new();
        Ok(Some(body))
    }
}
