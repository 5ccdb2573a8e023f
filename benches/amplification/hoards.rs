//! What one address can have the server hold.

use crate::process::{PATIENCE, Process, frame, get, header, read_until_quiet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What all connections share, and what an address may have of it.
const OUTBOXES: f64 = (1 << 30) as f64;
const INBOUND: f64 = (256 << 20) as f64;
/// Of one address: as many as it may have and may open at once, less some to ask with.
pub(crate) const CONNECTIONS: usize = 990;
const CONNECTIONS_MAX: &str = "`connections_per_address_max`";

/// What the connections of one address make the server hold.
pub(crate) struct Hoard {
    pub(crate) name: &'static str,
    bound: &'static str,
    /// Of what all share: whether of outboxes, rather than of what is incomplete.
    is_outbox: bool,
    /// Adds one connection, or a session of one; false where there can be no more.
    add: fn(&Process, &mut Vec<TcpStream>) -> bool,
}

impl Hoard {
    pub(crate) fn measure(&self, count_max: usize) {
        let process = Process::start();
        let before = process.memory();
        let (mut streams, begun) = (Vec::new(), Instant::now());
        let mut count = 0;
        while count < count_max && begun.elapsed() < PATIENCE && (self.add)(&process, &mut streams) {
            count += 1;
        }
        std::thread::sleep(Duration::from_millis(300));
        let (outboxes, inbound) = process.held();
        let (held, all) = if self.is_outbox { (outboxes, OUTBOXES) } else { (inbound, INBOUND) };
        println!(
            "| {}, {count} times | {:.1} MB | {:.1} % | {:.1} MB | {} |",
            self.name,
            held / 1e6,
            held / all * 100.0,
            (process.memory() - before) / 1e6,
            self.bound
        );
    }
}

/// Sends what can be sent without waiting.
fn send_some(stream: &mut TcpStream, bytes: &[u8]) {
    stream.set_write_timeout(Some(Duration::from_millis(20))).expect("an option");
    stream.write_all(bytes).ok();
}

pub(crate) fn hoards() -> Vec<Hoard> {
    [of_input(), of_output()].into_iter().flatten().collect()
}

fn of_input() -> Vec<Hoard> {
    vec![
        Hoard {
            name: "a connection that says nothing",
            bound: CONNECTIONS_MAX,
            is_outbox: false,
            add: |process, streams| {
                streams.push(process.connect());
                true
            },
        },
        Hoard {
            name: "a WebSocket that says nothing",
            bound: CONNECTIONS_MAX,
            is_outbox: false,
            add: |process, streams| {
                streams.push(process.open("/", ""));
                true
            },
        },
        Hoard {
            name: "8 KB of a head",
            bound: "a quarter of `inbound_bytes_max`",
            is_outbox: false,
            add: |process, streams| {
                let mut stream = process.connect();
                send_some(&mut stream, format!("GET /{}", "x".repeat(8_000)).as_bytes());
                streams.push(stream);
                true
            },
        },
        Hoard {
            name: "2 MiB less one byte of a message",
            bound: "a quarter of `inbound_bytes_max`",
            is_outbox: false,
            add: |process, streams| {
                let mut stream = process.open("/", "");
                send_some(&mut stream, &[header(2, 2 << 20), vec![7; (2 << 20) - 1]].concat());
                streams.push(stream);
                streams.len() < 200
            },
        },
    ]
}

fn of_output() -> Vec<Hoard> {
    vec![
        Hoard {
            name: "echoes that nobody reads",
            bound: "a quarter of `outboxes_bytes_max`",
            is_outbox: true,
            add: |process, streams| {
                let mut stream = process.open("/", "");
                let message = frame(2, &[7; 1 << 20]);
                (0..16).for_each(|_| send_some(&mut stream, &message));
                streams.push(stream);
                streams.len() < 100
            },
        },
        Hoard {
            name: "an answer of 8 MiB that nobody reads",
            bound: "a quarter of `outboxes_bytes_max`",
            is_outbox: true,
            add: |process, streams| {
                let mut stream = process.connect();
                send_some(&mut stream, get("/8m").as_bytes());
                streams.push(stream);
                streams.len() < 100
            },
        },
        Hoard {
            name: "a poll that asks for 1 MB of history",
            bound: "`connections_per_address_max`, 80 KiB for each session",
            is_outbox: true,
            add: |process, streams| {
                if streams.is_empty() {
                    streams.push(process.connect());
                }
                let stream = &mut streams[0];
                stream.write_all(get("/news?swio=poll&last-event-id=a-0+news").as_bytes()).expect("it reads");
                let mut first = [0; 12];
                stream.read_exact(&mut first).expect("an answer");
                stream.set_read_timeout(Some(Duration::from_millis(3))).expect("an option");
                read_until_quiet(stream);
                stream.set_read_timeout(Some(Duration::from_secs(1))).expect("an option");
                first.ends_with(b"200")
            },
        },
    ]
}
