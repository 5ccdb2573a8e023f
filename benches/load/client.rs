//! All connections on one thread: one read buffer for all, and what one read brings is answered by one write.

use crate::exchange::{Exchange, KEY};
use crate::options::Plan;
use crate::process::{Server, cpu_time};
use crate::{Outcome, median};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use swio::{Opcode, bench};

const WARM_UP: Duration = Duration::from_millis(400);
/// What has not come by then is lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many idle connections send at a time.
const IDLE_SENDERS: usize = 100;

pub(crate) struct Client {
    poll: Poll,
    events: Events,
    peers: Vec<Peer>,
    buffer: Vec<u8>,
    exchange: Exchange,
    is_closing: bool,
    /// Connections whose closing handshake is not done.
    open: usize,
}

struct Peer {
    stream: TcpStream,
    /// Between reads: the start of a frame that is not here as a whole yet.
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

impl Client {
    /// Opens all connections of the plan, one after the other.
    pub(crate) fn open(plan: &Plan, server: SocketAddr) -> io::Result<Client> {
        let poll = Poll::new()?;
        let open = |number| Peer::open(server, &poll, number);
        Ok(Client {
            peers: (0..plan.connections).map(open).collect::<io::Result<_>>()?,
            poll,
            events: Events::with_capacity(1_024),
            buffer: vec![0; 256 << 10],
            exchange: Exchange::new(plan),
            is_closing: false,
            open: plan.connections,
        })
    }

    /// Messages as fast as they come back. Those of the warm-up and those under way at the end are checked like
    /// the others, but do not count.
    pub(crate) fn exchange(&mut self, plan: &Plan, server: &Server) -> Result<Outcome, String> {
        self.send(0..plan.senders)?;
        self.turn_while(WARM_UP, |_| true)?;
        let before = self.exchange.deliveries;
        self.exchange.latencies.clear();
        let (seconds, server, client) = self.spend(plan, server)?;
        let deliveries = (self.exchange.deliveries - before) as f64;
        let latency = median(std::mem::take(&mut self.exchange.latencies));
        self.drain()?;
        Ok([deliveries / seconds, server * 1e6 / deliveries, latency * 1e6, client * 100.0 / seconds])
    }

    /// Silence, then messages on each connection, as proof that all are alive.
    pub(crate) fn hold(&mut self, plan: &Plan, server: &Server, before: u64) -> Result<Outcome, String> {
        let count = plan.connections;
        let grown = || Ok::<_, String>((server.anonymous_bytes()? as f64 - before as f64) / count as f64);
        self.turn_while(WARM_UP, |_| true)?;
        let fresh = grown()?;
        let (seconds, server, client) = self.spend(plan, server)?;
        for start in (0..count).step_by(IDLE_SENDERS) {
            self.send(start..count.min(start + IDLE_SENDERS))?;
            self.drain()?;
        }
        Ok([fresh, grown()?, server * 1e6 / count as f64 / seconds, client * 100.0 / seconds])
    }

    /// Closing handshakes on all connections. No message may come before the server's close frame.
    pub(crate) fn close(mut self) -> Result<(), String> {
        let code = 1_000_u16.to_be_bytes();
        self.is_closing = true;
        for number in 0..self.peers.len() {
            bench::encode_masked(Opcode::Close, KEY, &code, &mut self.peers[number].unsent);
            self.flush(number)?;
        }
        self.turn_while(PATIENCE, |client| client.open > 0)?;
        if self.open > 0 { Err(format!("{} close frames were not answered", self.open)) } else { Ok(()) }
    }

    /// The measured time: seconds of the clock, and of the server's and the client's CPU time.
    fn spend(&mut self, plan: &Plan, server: &Server) -> Result<(f64, f64, f64), String> {
        let (server, client) = (server.pid, std::process::id());
        let (server_before, client_before) = (cpu_time(server)?, cpu_time(client)?);
        let start = Instant::now();
        self.turn_while(Duration::from_secs(plan.seconds as u64), |_| true)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok((seconds, cpu_time(server)? - server_before, cpu_time(client)? - client_before))
    }

    /// Lets these send, now and whenever their windows have room, until [`drain`](Self::drain).
    fn send(&mut self, senders: std::ops::Range<usize>) -> Result<(), String> {
        self.exchange.is_sending = true;
        self.exchange.ready.extend(senders);
        self.send_ready()
    }

    fn send_ready(&mut self) -> Result<(), String> {
        while let Some(number) = self.exchange.ready.pop() {
            self.exchange.send(number, &mut self.peers[number].unsent);
            self.flush(number)?;
        }
        Ok(())
    }

    /// Sends no more and waits for what is under way.
    fn drain(&mut self) -> Result<(), String> {
        self.exchange.is_sending = false;
        self.turn_while(PATIENCE, |client| client.exchange.under_way > 0)?;
        let lost = self.exchange.under_way;
        if lost > 0 { Err(format!("{lost} messages did not reach all they were for")) } else { Ok(()) }
    }

    fn turn_while(&mut self, time: Duration, is_wanted: impl Fn(&Client) -> bool) -> Result<(), String> {
        let end = Instant::now() + time;
        while Instant::now() < end && is_wanted(self) {
            self.turn(end)?;
        }
        Ok(())
    }

    fn turn(&mut self, until: Instant) -> Result<(), String> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let time = until.saturating_duration_since(Instant::now());
        self.poll.poll(&mut events, Some(time)).map_err(|error| format!("poll: {error}"))?;
        for event in &events {
            let number = event.token().0;
            self.read(number).map_err(|error| format!("connection {number}: {error}"))?;
            self.flush(number)?;
            self.send_ready()?;
        }
        self.events = events;
        Ok(())
    }

    /// A read that does not fill the buffer was the last: what comes later is news again.
    fn read(&mut self, number: usize) -> Result<(), String> {
        loop {
            match self.peers[number].stream.read(&mut self.buffer) {
                Ok(0) => return Err("the server ended it".into()),
                Ok(len) if len == self.buffer.len() => self.take(number, len)?,
                Ok(len) => return self.take(number, len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// The frames that are whole with the bytes read.
    fn take(&mut self, number: usize, len: usize) -> Result<(), String> {
        let Peer { stream, unread, unsent } = &mut self.peers[number];
        unread.extend_from_slice(&self.buffer[..len]);
        let mut done = 0;
        while let Some(frame) = bench::parse_unmasked(&unread[done..])? {
            let rest = &unread[done + frame.header_len..];
            if frame.payload_len > rest.len() as u64 {
                break;
            }
            let payload = &rest[..frame.payload_len as usize];
            match frame.opcode {
                Opcode::Ping => bench::encode_masked(Opcode::Pong, KEY, payload, unsent),
                Opcode::Pong => {}
                Opcode::Close if self.is_closing => {
                    self.open -= 1;
                    return self.poll.registry().deregister(stream).map_err(|error| error.to_string());
                }
                Opcode::Close => return Err(format!("the server closes it: {payload:?}")),
                _ => self.exchange.receive(number, frame, payload)?,
            }
            done += frame.header_len + payload.len();
        }
        unread.drain(..done);
        Ok(())
    }

    /// What the socket does not take now waits for the news that it has room.
    fn flush(&mut self, number: usize) -> Result<(), String> {
        let Peer { stream, unsent, .. } = &mut self.peers[number];
        while !unsent.is_empty() {
            match stream.write(unsent) {
                Ok(len) => drop(unsent.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("connection {number}: {error}")),
            }
        }
        Ok(())
    }
}

impl Peer {
    fn open(server: SocketAddr, poll: &Poll, number: usize) -> io::Result<Peer> {
        let stream = std::net::TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let opened = tungstenite::client(format!("ws://{server}/"), &stream);
        opened.map_err(|error| io::Error::other(error.to_string()))?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Peer { stream, unread: Vec::new(), unsent: Vec::new() })
    }
}
