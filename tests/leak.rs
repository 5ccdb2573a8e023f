//! After ten thousand connections that came and ended in every way, the server holds what it held before.

mod common;

use common::*;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use swio::{Handshake, Response, Server, Usage};

const THREADS: usize = 10;
const EACH: usize = 1_000;

/// What the callbacks counted.
#[derive(Clone, Default)]
struct Counts {
    opened: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

fn start(counts: &Counts) -> Live {
    let (opened, closed) = (counts.opened.clone(), counts.closed.clone());
    Live::start(
        Server::builder()
            .configure(|config| {
                config.connections_per_address_max = Some(100_000);
                config.handshakes_per_address_max = None;
                config.trusted_proxies.clear();
                config.request_timeout = Duration::from_millis(300);
                config.keep_alive_timeout = Duration::from_millis(300);
                config.ping_interval = Some(Duration::from_millis(300));
                config.pong_timeout = Duration::from_millis(300);
                config.close_timeout = Duration::from_millis(300);
                config.linger_timeout = Duration::from_millis(300);
                config.message_bytes_max = 100_000;
                config.outbox_bytes_max = 1 << 20;
                config.presence_grace = Duration::from_millis(300);
            })
            .on_handshake(|_, request| match request.path() {
                "/refused" => Response::text(401, "no").into(),
                _ => Handshake::accept(),
            })
            .on_request(|_, _| Response::text(200, "x".repeat(10_000)))
            .on_open(move |server, request| {
                opened.fetch_add(1, Ordering::Relaxed);
                server.push(request.fd, "welcome").ok();
                // Some topics and users are shared, some are nobody else's.
                let number = request.fd.to_u64();
                for topic in [number % 10, number] {
                    server.join(request.fd, &topic.to_string()).expect("there is room");
                }
                server.bind(request.fd, &(number % 1_000).to_string()).expect("there is room");
            })
            .on_message(|server, frame| match &*frame.data {
                b"flood" => while server.push(frame.fd, vec![7; 50_000]).is_ok() {},
                b"close me" => {
                    server.disconnect(frame.fd, 4000, "as you wish");
                }
                _ => {
                    server.push(frame.fd, frame.data).ok();
                }
            })
            .on_close(move |_, _, _| {
                closed.fetch_add(1, Ordering::Relaxed);
            }),
    )
}

/// An open client that has read its welcome.
fn welcomed(address: SocketAddr) -> Client {
    let mut client = Client::open(address);
    client.expect_text("welcome");
    client
}

/// One connection's whole life; `held` keeps those that are to be given up by the server.
fn live_and_end(address: SocketAddr, way: usize, held: &mut Vec<Client>) {
    match way {
        0 => {
            let mut client = welcomed(address);
            client.text("hello");
            client.expect_text("hello");
            client.close(1000, "bye");
            client.expect_close(1000);
        }
        1 => drop(welcomed(address)),
        2 => welcomed(address).reset(),
        3 => {
            let mut client = Client::connect(address);
            client.send(UPGRADE.replacen("/", "/refused", 1));
            assert_eq!(client.answer().status, 401);
            client.expect_fin();
        }
        4 => {
            let mut client = welcomed(address);
            client.send(&masked(BINARY, &[7; 5_000])[..3_000]);
        }
        5 => {
            let mut client = welcomed(address);
            client.send([masked(TEXT, b"some"), masked(CONTINUATION, b"more")].concat());
            client.reset();
        }
        6 => {
            let mut client = welcomed(address);
            client.text("close me");
            assert_eq!(client.answer_close(4000), "as you wish");
        }
        7 => {
            let mut client = Client::connect(address);
            client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3));
            assert_eq!(client.answer().status, 200);
        }
        8 => {
            let mut client = welcomed(address);
            client.send(masked_header(FIN | BINARY, 1 << 30));
            client.expect_close(1009);
        }
        9 => {
            let mut client = Client::connect_narrow(address).handshake();
            client.text("flood");
            client.reset();
        }
        10 => {
            let mut client = Client::connect(address);
            client.send("GET / HTTP/1.1\r\nno header\r\n\r\n");
            assert_eq!(client.answer().status, 400);
        }
        11 => Client::connect(address).reset(),
        12 => drop(Client::connect(address)),
        13 => {
            let mut client = Client::connect(address);
            client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nsome");
            held.push(client);
        }
        14 => held.push(Client::connect(address)),
        15 => held.push(welcomed(address)),
        16 => {
            let mut client = Client::connect_narrow(address).handshake();
            client.text("flood");
            held.push(client);
        }
        17 => {
            let mut client = welcomed(address);
            client.text("close me");
            held.push(client);
        }
        _ => unreachable!("there are so many ways"),
    }
}

/// Of each hundred connections so many are of the slow kinds, which wait for a timeout.
fn way(number: usize) -> usize {
    if number % 100 < 10 { 13 + number % 5 } else { number % 13 }
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    let counts = Counts::default();
    let live = start(&counts);
    let before = live.ask(|server| server.usage());
    assert_eq!(before, Usage::default());
    let address = live.address;
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            thread::spawn(move || {
                let mut held = Vec::new();
                for number in 0..EACH {
                    live_and_end(address, way(number), &mut held);
                }
                held
            })
        })
        .collect();
    let held: Vec<Vec<Client>> =
        threads.into_iter().map(|thread| thread.join().expect("a good thread")).collect();
    assert_eq!(held.iter().map(Vec::len).sum::<usize>(), THREADS * EACH / 10);
    // These have not ended themselves: the server gives each of them up.
    live.until("all are given up", |server| (server.usage().connections == 0).then_some(()));
    drop(held);
    // Accepted behind all that the kernel still held.
    drop(welcomed(address));
    live.until("nothing is held", move |server| (server.usage() == before).then_some(()));
    let (opened, closed) = (counts.opened.load(Ordering::Relaxed), counts.closed.load(Ordering::Relaxed));
    assert_eq!(opened, closed);
    assert!(opened > THREADS * EACH / 2, "{opened}");
    live.stop();
}
