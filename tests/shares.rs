//! One address among others: it may have a quarter of what all share, however many connections it has, and who comes
//! from another finds room.
#![cfg(target_os = "linux")]

mod common;

use common::*;
use std::net::Ipv4Addr;
use swio::{Builder, Config, History, Server, Usage};

/// What all connections together may hold in each way.
const ALL: usize = 8 << 20;
const SHARE: usize = ALL / 4;

fn with(builder: Builder, change: impl FnOnce(&mut Config) + Send + 'static) -> Live {
    Live::start(builder.configure(|config| {
        config.trusted_proxies.clear();
        (config.outbox_bytes_max, config.outboxes_bytes_max) = (1 << 20, ALL);
        config.message_bytes_max = 256 << 10;
        config.body_bytes_max = 256 << 10;
        config.inbound_bytes_max = ALL;
        config.request_timeout = 3 * DEADLINE;
        config.linger_timeout = 3 * DEADLINE;
        change(config);
    }))
}

/// A client that comes from this loopback address, with a small receive window.
fn from(live: &Live, address: [u8; 4]) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket
        .bind(&std::net::SocketAddr::from((Ipv4Addr::from(address), 0)).into())
        .expect("a loopback address");
    socket.connect_timeout(&live.address.into(), DEADLINE).expect("the server accepts");
    Client::over(socket.into())
}

const HOG: [u8; 4] = [127, 0, 0, 2];
const OTHER: [u8; 4] = [127, 0, 0, 3];

fn nothing_is_left(live: &Live) {
    live.until("nothing is left", |server| (server.usage() == Usage::default()).then_some(()));
}

#[test]
fn incomplete_messages_of_one_address_leave_room_for_those_of_others() {
    let live = with(echo(), |_| {});
    let mut hogs = Vec::new();
    loop {
        let mut hog = from(&live, HOG).handshake();
        let before = live.ask(|server| server.stats().refusals.inbound_full);
        hog.send(masked_header(FIN | BINARY, 200_000));
        hog.try_send([7; 199_999]);
        hogs.push(hog);
        let is_refused = live.until("it is held, or refused", {
            let held = hogs.len() * 199_999;
            move |server| {
                let is_refused = server.stats().refusals.inbound_full > before;
                (is_refused || server.usage().inbound_bytes >= held).then_some(is_refused)
            }
        });
        if is_refused {
            break;
        }
    }
    assert!((7..=11).contains(&hogs.len()), "{} of 200 kB in 2 MiB", hogs.len());
    assert!(live.ask(|server| server.usage().inbound_bytes) <= SHARE);
    // So does a request from there.
    let mut late = from(&live, HOG);
    late.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 250000\r\n\r\n");
    late.try_send([7; 240_000]);
    assert_eq!(late.answer().status, 503);
    for _ in 0..8 {
        let mut other = from(&live, OTHER).handshake();
        other.send(masked_header(FIN | BINARY, 200_000));
        other.send([7; 199_999]);
        other.send([7]);
        while other.read_frame().payload.len() != 200_000 {}
    }
    drop((hogs, late));
    nothing_is_left(&live);
}

#[test]
fn outboxes_of_one_address_leave_room_for_those_of_others() {
    let live = with(Server::builder(), |config| config.socket_send_buffer_bytes = Some(4096));
    let hogs: Vec<Client> = (0..30).map(|_| from(&live, HOG).handshake()).collect();
    let mut others: Vec<Client> = (0..2).map(|_| from(&live, OTHER).handshake()).collect();
    // None of them reads.
    for _ in 0..20 {
        live.ask(|server| server.broadcast(vec![b'x'; 100_000]).send());
    }
    let (held, refused) =
        live.ask(|server| (server.usage().outboxes_bytes, server.stats().refusals.slow_consumer));
    assert!((SHARE / 2..=2 * SHARE + (1 << 20)).contains(&held), "{held}");
    assert!(refused <= hogs.len() as u64);
    // Those that were closed had their chance; who is from elsewhere is let in, and gets what is pushed to it.
    let mut new = from(&live, OTHER).handshake();
    live.ask(|server| server.broadcast(vec![b'y'; 100_000]).send());
    assert_eq!(new.read_frame().payload, vec![b'y'; 100_000]);
    drop((hogs, new));
    for other in &mut others {
        other.frame(CLOSE, &[]);
    }
    drop(others);
    nothing_is_left(&live);
}

#[test]
fn one_address_has_a_quarter_of_the_connections() {
    let live = with(echo(), |config| config.connections_max = Some(80));
    let hogs: Vec<Client> = (0..20).map(|_| from(&live, HOG).handshake()).collect();
    assert_eq!(from(&live, HOG).answer().status, 429);
    let others: Vec<Client> = (0..20).map(|_| from(&live, OTHER).handshake()).collect();
    // Sessions of long polling count too, and few are let in in any case.
    drop((hogs, others));
    live.until_empty();
    let live = with(echo(), |config| (config.connections_max, config.long_polling) = (Some(20), true));
    let mut hog = from(&live, HOG);
    for _ in 0..15 {
        hog.send("GET /?swio=poll HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(hog.answer().status, 200);
    }
    hog.send("GET /?swio=poll HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(hog.answer().status, 503);
    from(&live, OTHER).handshake();
}

/// What a proxy tells is whose share it is.
#[test]
fn behind_a_proxy_each_client_has_its_own_share() {
    let live = with(echo(), |config| config.trusted_proxies = vec!["127.0.0.1".parse().expect("a network")]);
    let open = |client: &str| {
        let mut proxied = live.client();
        proxied.send(upgrade_with(&format!("X-Forwarded-For: {client}\r\n")));
        proxied.expect_101();
        proxied.send(masked_header(FIN | BINARY, 200_000));
        proxied.try_send([7; 199_999]);
        proxied
    };
    let hogs: Vec<Client> = (0..20).map(|_| open("192.0.2.1")).collect();
    live.until("some are refused", |server| (server.stats().refusals.inbound_full > 8).then_some(()));
    assert!(live.ask(|server| server.usage().inbound_bytes) <= SHARE);
    let mut other = open("192.0.2.2");
    other.send([7]);
    assert_eq!(other.read_frame().payload.len(), 200_000);
    drop((hogs, other));
    nothing_is_left(&live);
}

/// A history of 2 MB, and sessions that ask for all of it and never poll.
#[test]
fn sessions_that_come_back_and_do_not_poll_take_next_to_nothing() {
    let builder = Server::builder()
        .on_start(|server| {
            let history = History { messages: 200, bytes: 4 << 20, ..History::default() };
            server.keep_history("news", history).expect("a short name");
            for number in 0..200 {
                server.publish("news", format!("{number} {}", "x".repeat(10_000))).send();
            }
        })
        .on_open(|server, request| {
            server.join(request.fd, "news").expect("open");
        });
    let live = with(builder, |config| {
        config.long_polling = true;
        config.outbox_bytes_max = 4 << 20;
        config.outboxes_bytes_max = 64 << 20;
    });
    let mut client = from(&live, HOG);
    let mut tokens = Vec::new();
    for _ in 0..100 {
        client.send("GET /?swio=poll&last-event-id=a-0+news HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = client.answer();
        assert_eq!(answer.status, 200);
        tokens.push(answer.text().split('"').nth(3).expect("a token").to_owned());
    }
    // Each has an answer's worth that was sent and may have to be sent again, of the two million.
    let held = live.ask(|server| server.usage().outboxes_bytes);
    assert!(held < (100 * (64 + 32)) << 10, "{held}");
    // One that does poll gets everything once and in order, with what is published meanwhile.
    let mut numbers = Vec::new();
    let (mut cursor, mut is_published) = (0, false);
    while numbers.last() != Some(&200) {
        let asked = format!(
            "GET /?swio=poll&session={}&cursor={cursor} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            tokens[0]
        );
        client.send(asked);
        let answer = client.answer();
        assert_eq!(answer.status, 200);
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let messages = answer["messages"].as_array().expect("a list");
        for text in messages.iter().filter_map(|message| message["text"].as_str()) {
            numbers.push(text.split(' ').next().expect("a number").parse::<u32>().expect("a number"));
        }
        cursor = answer["cursor"].as_u64().expect("a number");
        if !is_published && numbers.len() > 100 {
            is_published = true;
            let reach = live.ask(|server| server.publish("news", "200").send());
            assert_eq!(reach.queued, 100);
        }
    }
    assert_eq!(numbers, (0..=200).collect::<Vec<_>>());
}
