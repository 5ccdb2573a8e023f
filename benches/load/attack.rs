//! Clients that make the server work as hard as they can, beside one that sends a message now and then and measures how
//! long the echo takes. Half of what attacks asks for the same history again and again, the rest is requests in
//! pipelines; a connection that is closed for it is replaced.

use crate::Outcome;
use crate::churn::{ask, open};
use crate::options::Plan;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use swio::{Opcode, bench};
use tungstenite::Message;

/// Of eleven that attack.
const SUBSCRIBERS: usize = 1;
const ALL: usize = 11;
const PAUSE: Duration = Duration::from_millis(1);
const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: swio.1\r\n\r\n";

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Attack {
    server: SocketAddr,
    is_over: AtomicBool,
    /// Bytes that came back.
    answered: AtomicU64,
}

pub(crate) fn run(plan: &Plan, server: SocketAddr) -> Result<Outcome, String> {
    let (is_over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let attack = Arc::new(Attack { server, is_over, answered });
    let threads: Vec<_> = (0..plan.connections)
        .map(|number| {
            let attack = attack.clone();
            let bytes = if number % ALL < SUBSCRIBERS { subscriptions() } else { requests() };
            thread::spawn(move || attack.go_on(&bytes))
        })
        .collect();
    let probed = probe(plan, server);
    attack.is_over.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    let times = probed.map_err(|error| format!("the one that is no attacker: {error}"))?;
    let turns = ask(server).map_err(|error| format!("asking for the turns: {error}"))?;
    if attack.answered.load(Ordering::Relaxed) < 1 << 20 {
        return Err("the attackers got next to nothing".into());
    }
    let micros = |index: usize| times[index].as_secs_f64() * 1e6;
    let last = times.len() - 1;
    Ok([micros(last / 2), micros(last - last / 1_000), micros(last), turns[1]])
}

/// How long each echo takes, in order of length.
fn probe(plan: &Plan, server: SocketAddr) -> Result<Vec<Duration>, Failure> {
    thread::sleep(Duration::from_millis(500));
    let mut socket = open(server)?;
    let end = Instant::now() + Duration::from_secs(plan.seconds as u64);
    let mut times = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        socket.send(Message::text("hello"))?;
        let answer = socket.read()?;
        times.push(begun.elapsed());
        if answer != Message::text("hello") {
            return Err(format!("got {answer:?}").into());
        }
        thread::sleep(PAUSE);
    }
    times.sort_unstable();
    Ok(times)
}

fn subscriptions() -> Vec<u8> {
    let mut bytes = HANDSHAKE.as_bytes().to_vec();
    for _ in 0..2_000 {
        for command in ["swio=subscribe&topic=news&last-event-id=a-0\n", "swio=unsubscribe&topic=news\n"] {
            bench::encode_masked(Opcode::Text, [7; 4], command.as_bytes(), &mut bytes);
        }
    }
    bytes
}

fn requests() -> Vec<u8> {
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10_000)
}

impl Attack {
    /// Sends these bytes and reads what comes, on one connection after the other.
    fn go_on(&self, bytes: &[u8]) {
        // They share a core with the one that measures. On Linux this is said of a thread, and of those that it starts.
        rustix::process::nice(19).ok();
        while !self.is_over.load(Ordering::Relaxed) {
            // It may be refused, or closed at any moment.
            self.try_once(bytes).ok();
        }
    }

    fn try_once(&self, bytes: &[u8]) -> Result<(), Failure> {
        let stream = TcpStream::connect_timeout(&self.server, Duration::from_secs(10))?;
        stream.set_read_timeout(Some(Duration::from_millis(50)))?;
        stream.set_write_timeout(Some(Duration::from_millis(200)))?;
        let mut reading = stream.try_clone()?;
        thread::scope(|scope| {
            scope.spawn(move || (&stream).write_all(bytes).ok());
            let mut buffer = vec![0; 64 << 10];
            while !self.is_over.load(Ordering::Relaxed) {
                match reading.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(len) => self.answered.fetch_add(len as u64, Ordering::Relaxed),
                };
            }
        });
        Ok(())
    }
}
