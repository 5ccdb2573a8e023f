//! The memory bound that a server logs at start, and what it really takes: a process of its own under thousands of
//! clients that hold what they can. Each test is also that process: it runs itself again as the server. The peaks are
//! the kernel's own figures, so this is for Linux.
#![cfg(target_os = "linux")]

mod common;

use common::transports::*;
use common::*;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use swio::{Config, Response, Server, SlowConsumer};

const CLIENTS: usize = 2_000;
const SERVER: &str = "SWIO_TEST_IS_SERVER";

/// The server's process.
struct Process {
    child: Child,
    address: SocketAddr,
    /// Where it speaks raw TCP.
    tcp: SocketAddr,
    bound: usize,
}

impl Process {
    /// Runs the test `name` again, which finds itself to be the server.
    fn start(name: &str) -> Process {
        raise_file_limit();
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args([name, "--exact", "--nocapture"])
            .env(SERVER, "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut value = |of: &str| loop {
            let line = lines.next().expect("the server says where it is").expect("text");
            if let Some((_, value)) = line.split_once(of) {
                return value.to_owned();
            }
        };
        let bound = value("bound: ").parse().expect("a number");
        let address = value("address: ").parse().expect("an address");
        let tcp = value("raw TCP: ").parse().expect("an address");
        Process { child, address, tcp, bound }
    }

    /// The most memory that it has taken so far, in bytes.
    fn peak(&self) -> usize {
        self.figure("VmHWM:")
    }

    /// The memory of its own that it takes now, in bytes.
    fn anonymous(&self) -> usize {
        self.figure("RssAnon:")
    }

    fn figure(&self, name: &str) -> usize {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a figure");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib << 10
    }

    /// It held `filled` bytes, and yet no more than it said.
    fn check(&self, what: &str, filled: usize) {
        let peak = self.peak();
        println!("{what}: bound {} KiB, peak {} KiB", self.bound >> 10, peak >> 10);
        assert!(peak > filled, "{what}: a peak of {peak} bytes does not fill {filled}");
        assert!(peak <= self.bound, "{what}: a peak of {peak} bytes is over {}", self.bound);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the hard limit");
}

/// Whether this process is to be the server, which it then was.
fn was_server(change: impl FnOnce(&mut Config)) -> bool {
    if std::env::var_os(SERVER).is_none() {
        return false;
    }
    let event_loop = all_transports(Server::builder().listen("127.0.0.1:0"), "127.0.0.1:0")
        .configure(|config| {
            // Polls are a session and a connection each.
            config.connections_max = Some(2 * CLIENTS + 100);
            config.message_bytes_max = 256 << 10;
            config.body_bytes_max = 256 << 10;
            config.outbox_bytes_max = 1 << 20;
            config.mailbox_bytes_max = 1 << 20;
            config.mailbox_items_max = 1_000;
            config.request_timeout = 10 * DEADLINE;
            config.ping_interval = None;
        })
        .configure(change)
        .on_start(|server| println!("bound: {}", server.memory_bound().total()))
        .on_message(|server, frame| {
            server.broadcast(frame.data).except(frame.fd).send();
        })
        .on_request(|_, request| Response::text(200, request.body().len().to_string()))
        .build()
        .expect("a free port");
    println!("address: {}", event_loop.addresses()[0]);
    println!("raw TCP: {}", event_loop.addresses()[1]);
    event_loop.run().expect("it is killed before it ends");
    true
}

const OUTBOXES: usize = 64 << 20;

/// A server whose readers may hold so much; whether this process was it.
fn was_server_to_readers() -> bool {
    was_server(|config| {
        config.outboxes_bytes_max = OUTBOXES;
        config.inbound_bytes_max = 1 << 20;
        config.slow_consumer = SlowConsumer::DropNewest;
    })
}

/// Sends more than there may be memory for to all who are there; these readers get all of it.
fn flood(server: &Process) {
    let mut readers: Vec<Client> = (0..50).map(|_| Client::open(server.address)).collect();
    let mut sender = Client::open(server.address);
    // Small ones are copied for each; large ones would be one for all. Together 1.8 GB, in 64 MiB.
    for number in 0..800_u32 {
        let len = [2_000, 1_000, 100, 1_500][number as usize % 4];
        let message: Vec<u8> = format!("{number:04}").into_bytes().into_iter().cycle().take(len).collect();
        sender.frame(TEXT, &message);
        for reader in &mut readers {
            reader.expect(TEXT, &message);
        }
    }
}

fn never_read(server: &Process, kind: Kind) {
    let deaf: Vec<Reader> =
        (0..CLIENTS).map(|_| Reader::open(kind, server.address, server.tcp, true)).collect();
    flood(server);
    server.check(&format!("2,000 of {kind:?} that never read"), OUTBOXES * 3 / 4);
    drop(deaf);
}

/// Something else is written between two messages to all of them.
#[test]
fn readers_that_are_written_to_in_one_turn_cost_no_memory() {
    if was_server(|_| {}) {
        return;
    }
    let server = Process::start("readers_that_are_written_to_in_one_turn_cost_no_memory");
    let mut readers: Vec<Client> = (0..CLIENTS).map(|_| Client::open(server.address)).collect();
    let mut sender = Client::open(server.address);
    let burst = |sender: &mut Client, readers: &mut [Client], len: usize| {
        let [first, last] = [1, 2].map(|byte| vec![byte; len]);
        let [before, after] = [&first, &last].map(|message| masked(FIN | BINARY, message));
        sender.send([before, masked(FIN | PING, b"between"), after].concat());
        sender.expect(PONG, b"between");
        for reader in readers {
            reader.expect(BINARY, &first);
            reader.expect(BINARY, &last);
        }
    };
    let before = server.anonymous();
    for len in [10, 1_024] {
        burst(&mut sender, &mut readers, len);
        let more = server.anonymous().saturating_sub(before);
        assert!(more < CLIENTS * 100, "{more} bytes more than {before}");
    }
}

#[test]
fn websockets_that_never_read() {
    if !was_server_to_readers() {
        never_read(&Process::start("websockets_that_never_read"), Kind::WebSocket);
    }
}

#[test]
fn event_streams_that_never_read() {
    if !was_server_to_readers() {
        never_read(&Process::start("event_streams_that_never_read"), Kind::EventStream);
    }
}

#[test]
fn raw_tcp_that_never_reads() {
    if !was_server_to_readers() {
        never_read(&Process::start("raw_tcp_that_never_reads"), Kind::Tcp);
    }
}

#[test]
fn sessions_that_poll_once() {
    if !was_server_to_readers() {
        never_read(&Process::start("sessions_that_poll_once"), Kind::LongPolling);
    }
}

/// What they were given counts as waiting until they say that they have it.
#[test]
fn sessions_that_never_acknowledge() {
    if was_server_to_readers() {
        return;
    }
    let server = Process::start("sessions_that_never_acknowledge");
    let open = |_| Reader::open(Kind::LongPolling, server.address, server.tcp, false);
    let mut sessions: Vec<Reader> = (0..CLIENTS).map(open).collect();
    for round in 0..2 {
        flood(&server);
        for session in &mut sessions {
            let given = session.poll_without_acknowledging();
            assert!(!given.is_empty(), "round {round}");
        }
    }
    server.check("2,000 sessions that never acknowledge", OUTBOXES * 3 / 4);
}

/// They are connections: over the limit there are no more of them, and each is bounded as any other.
#[test]
fn sessions_opened_in_a_loop() {
    if was_server_to_readers() {
        return;
    }
    let server = Process::start("sessions_opened_in_a_loop");
    let mut before = Client::open(server.address);
    let mut opener = Client::connect(server.address);
    let mut opened = 0;
    let refusal = loop {
        opener.send("GET /?swio=poll HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = opener.answer();
        if answer.status != 200 {
            break answer.status;
        }
        opened += 1;
        assert!(opened <= 2 * CLIENTS + 100, "more sessions than connections may be");
    };
    assert_eq!((refusal, opened), (503, 2 * CLIENTS + 100 - 2));
    // Who was there is served, and what is sent to all these sessions stays within the bound.
    let mut sent = 0;
    while sent < 2 * OUTBOXES {
        // Small enough to be copied for each.
        let message = format!("{sent:010}").repeat(150);
        before.text(&message);
        before.frame(PING, b"done?");
        before.expect(PONG, b"done?");
        sent += message.len() * opened;
    }
    server.check("4,000 sessions opened in a loop", OUTBOXES * 3 / 4);
}

/// What was begun and is not ended: of all together much more than the budget.
fn unfinished(server: &Process, begin: impl Fn(SocketAddr) -> Client, head: &[u8]) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| begin(server.address)).collect();
    for client in &mut clients {
        client.try_send(head);
        for _ in 0..20 {
            client.try_send([7; 10_000]);
        }
    }
    clients
}

#[test]
fn messages_that_never_end() {
    const INBOUND: usize = 64 << 20;
    if was_server(|config| {
        config.outboxes_bytes_max = 1 << 20;
        config.inbound_bytes_max = INBOUND;
    }) {
        return;
    }
    let server = Process::start("messages_that_never_end");
    let mut other = Client::open(server.address);
    let mut reader = Client::open(server.address);
    let clients = unfinished(&server, Client::open, &masked_header(FIN | BINARY, 256 << 10));
    other.text("not in their way");
    reader.expect_text("not in their way");
    server.check("2,000 messages of 200 KB that never end", INBOUND * 3 / 4);
    drop(clients);
}

#[test]
fn requests_that_never_end() {
    const INBOUND: usize = 64 << 20;
    if was_server(|config| {
        config.outboxes_bytes_max = 1 << 20;
        config.inbound_bytes_max = INBOUND;
    }) {
        return;
    }
    let server = Process::start("requests_that_never_end");
    let mut other = Client::connect(server.address);
    other.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(other.answer().status, 200);
    let head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 262144\r\n\r\n";
    let clients = unfinished(&server, Client::connect, head);
    other.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(other.answer().status, 200);
    server.check("2,000 requests of 200 KB that never end", INBOUND * 3 / 4);
    drop(clients);
}
