//! Peers that do not read, do not answer or do not speak: memory stays within its limits, they are given up
//! in time, live ones are not, and everybody else gets everything.

mod common;

use common::*;
use std::time::Duration;
use swio::{Cause, Fd, PushError, Server, Side, SlowConsumer, Status};

const LIMIT: usize = 256 << 10;

/// 16 KiB that begin with a number.
fn numbered(number: u32) -> Vec<u8> {
    let mut message = vec![0x5a; 16 << 10];
    message[..4].copy_from_slice(&number.to_be_bytes());
    message
}

fn queued(live: &Live, fd: Fd) -> usize {
    live.ask(move |server| server.client_info(fd).map_or(0, |info| info.queued_bytes))
}

/// Pushes numbered messages to a client that does not read until more than `bytes` are queued: how many.
fn fill(live: &Live, fd: Fd, bytes: usize) -> u32 {
    let patience = Patience::new();
    for number in 0.. {
        patience.check("a queue");
        live.ask(move |server| server.push(fd, numbered(number))).expect("room in the outbox");
        if queued(live, fd) > bytes {
            return number + 1;
        }
    }
    unreachable!("the patience ends first");
}

#[test]
fn a_client_that_does_not_read_gets_1013_within_its_limit_and_others_get_everything() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| config.outbox_bytes_max = LIMIT));
    let mut slow = Client::connect_narrow(live.address).handshake();
    let slow_fd = events.open();
    let mut reader = live.open();
    let reader_fd = events.open();
    let patience = Patience::new();
    let mut sent = 0;
    loop {
        patience.check("a refused broadcast");
        let reach = live.ask(move |server| server.broadcast(numbered(sent)).send());
        assert_eq!(reach.queued + reach.refused, 2);
        reader.expect(BINARY, numbered(sent));
        if reach.refused == 1 {
            break;
        }
        sent += 1;
        assert!(queued(&live, slow_fd) <= LIMIT);
        assert!(live.ask(|server| server.usage().queued_bytes) <= LIMIT);
    }
    assert_eq!(live.ask(move |server| server.push(slow_fd, "more")), Err(PushError::Closing));
    assert_eq!(
        live.ask(move |server| server.client_info(slow_fd).map(|info| info.status)),
        Some(Status::Closing)
    );
    assert!(live.ask(move |server| server.is_established(reader_fd)));
    let frames = slow.until_close(1013);
    assert_eq!(frames.len(), sent as usize);
    for (number, frame) in (0..).zip(&frames) {
        assert_eq!(frame.payload, numbered(number));
    }
    drop(slow);
    let (fd, reason) = events.close();
    assert_eq!(
        (fd, reason.by, reason.code, reason.cause),
        (slow_fd, Side::Server, 1013, Cause::SlowConsumer)
    );
    still_serving(&live);
}

#[test]
fn a_push_over_the_limit_is_refused_as_full_and_closes() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| config.outbox_bytes_max = LIMIT));
    let mut client = live.open();
    let fd = events.open();
    // Much for one connection is written early, so only what the kernel does not take counts.
    let (accepted, error) = live.ask(move |server| {
        let mut accepted = 0;
        loop {
            match server.push(fd, numbered(accepted)) {
                Ok(()) => accepted += 1,
                Err(error) => return (accepted, error),
            }
        }
    });
    assert_eq!(error, PushError::Full);
    assert!(accepted >= 15, "the limit alone has room for 15, there were {accepted}");
    assert_eq!(client.until_close(1013).len(), accepted as usize);
    drop(client);
    assert_eq!(events.close().1.cause, Cause::SlowConsumer);
    still_serving(&live);
}

#[test]
fn a_client_that_never_reads_at_all_is_cut_off_and_costs_nothing_more() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.outbox_bytes_max = LIMIT;
        config.close_timeout = Duration::from_millis(100);
    }));
    let client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    let patience = Patience::new();
    while live.ask(move |server| server.push(fd, numbered(0))) != Err(PushError::Full) {
        patience.check("a full outbox");
    }
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.cause), (fd, Cause::SlowConsumer));
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), swio::Usage::default());
    drop(client);
    still_serving(&live);
}

#[test]
fn with_the_refuse_policy_a_slow_client_lives_on() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.outbox_bytes_max = LIMIT;
        config.slow_consumer = SlowConsumer::Refuse;
    }));
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    let patience = Patience::new();
    let mut accepted = 0;
    while live.ask(move |server| server.push(fd, numbered(accepted))) != Err(PushError::Full) {
        patience.check("a full outbox");
        accepted += 1;
        assert!(queued(&live, fd) <= LIMIT);
    }
    assert_eq!(live.ask(move |server| server.broadcast(numbered(0)).send().refused), 1);
    assert!(live.ask(move |server| server.is_established(fd)));
    for number in 0..accepted {
        client.expect(BINARY, numbered(number));
    }
    live.ask(move |server| server.push(fd, "there is room again")).expect("room");
    client.expect_text("there is room again");
    client.close(1000, "");
    client.expect_close(1000);
    drop(client);
    assert_eq!(events.close().1.cause, Cause::Requested);
}

#[test]
fn all_outboxes_together_have_a_limit_too() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.outbox_bytes_max = LIMIT;
        config.outboxes_bytes_max = 2 * LIMIT;
        config.slow_consumer = SlowConsumer::Refuse;
    }));
    let clients = [(); 4].map(|()| Client::connect_narrow(live.address).handshake());
    let fds = [(); 4].map(|()| events.open());
    let patience = Patience::new();
    loop {
        patience.check("full outboxes");
        let refused = live.ask(move |server| fds.map(|fd| server.push(fd, numbered(0)).is_err()));
        let usage = live.ask(|server| server.usage());
        assert!(usage.queued_bytes <= 2 * LIMIT, "{usage:?}");
        if refused == [true; 4] {
            break;
        }
    }
    drop(clients);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), swio::Usage::default());
}

#[test]
fn pings_are_answered_ahead_of_what_waits_and_only_the_newest() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    let pushed = fill(&live, fd, 4 << 20);
    let before = queued(&live, fd);
    for number in 0..1_000_u32 {
        client.frame(PING, &number.to_be_bytes());
    }
    client.text("that was the last ping");
    assert_eq!(events.message(), b"that was the last ping");
    assert!(queued(&live, fd) <= before + 1_000, "pongs pile up");
    let (mut pongs, mut messages) = (Vec::new(), 0);
    while messages < pushed {
        let frame = client.read_frame();
        if frame.opcode == PONG {
            pongs.push((frame.payload, messages));
        } else {
            assert_eq!(frame.payload, numbered(messages));
            messages += 1;
        }
    }
    assert_eq!(pongs.len(), 1, "{pongs:?}");
    let (payload, behind) = &pongs[0];
    assert_eq!(**payload, 999_u32.to_be_bytes());
    assert!(*behind < pushed - 100, "the pong came behind {behind} of {pushed} messages");
}

#[test]
fn a_peer_that_does_not_answer_pings_is_given_up() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.ping_interval = Some(Duration::from_millis(150));
        config.pong_timeout = Duration::from_millis(150);
    }));
    let mut client = live.open();
    let fd = events.open();
    client.expect(PING, b"");
    assert_eq!(client.expect_close(1001), "no answer to ping");
    drop(client);
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.by, reason.code, reason.cause), (fd, Side::Server, 1001, Cause::Timeout));
    live.until_empty();
    assert_eq!(events.check_pairs(), 0);
    still_serving(&live);
}

#[test]
fn a_peer_that_neither_answers_nor_ends_tcp_is_reaped() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.ping_interval = Some(Duration::from_millis(100));
        config.pong_timeout = Duration::from_millis(100);
        config.linger_timeout = Duration::from_millis(100);
    }));
    let _silent = live.open();
    let fd = events.open();
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.cause), (fd, Cause::Timeout));
    live.until_empty();
}

/// The pong alone, and at once, has to keep a connection alive: that is all an idle browser ever sends.
#[test]
fn an_idle_peer_that_answers_its_pings_at_once_lives_on() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.ping_interval = Some(Duration::from_millis(150));
        config.pong_timeout = Duration::from_millis(150);
    }));
    let mut client = live.open();
    let fd = events.open();
    for _ in 0..5 {
        let frame = client.read_frame();
        assert_eq!(frame.opcode, PING, "{frame:?}");
        client.frame(PONG, &frame.payload);
    }
    assert!(live.ask(move |server| server.is_established(fd)));
}

#[test]
fn a_peer_that_speaks_is_not_pinged() {
    let live = Live::start(echo().configure(|config| {
        config.ping_interval = Some(Duration::from_millis(400));
        config.pong_timeout = Duration::from_millis(100);
    }));
    let mut client = live.open();
    for number in 0..20 {
        live.after(Duration::from_millis(40)).recv_timeout(DEADLINE).expect("a timer");
        client.text(&number.to_string());
        client.expect_text(&number.to_string());
    }
}

#[test]
fn without_a_ping_interval_nobody_is_pinged() {
    let live = Live::start(echo().configure(|config| {
        config.ping_interval = None;
        config.pong_timeout = Duration::from_millis(50);
    }));
    let mut client = live.open();
    live.after(Duration::from_millis(400)).recv_timeout(DEADLINE).expect("a timer");
    client.text("hello");
    client.expect_text("hello");
}

#[test]
fn a_close_frame_that_is_not_answered_ends_the_wait_in_time() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| config.close_timeout = Duration::from_millis(100)));
    let mut client = live.open();
    let fd = events.open();
    assert!(live.ask(move |server| server.disconnect(fd, 4000, "bye")));
    assert_eq!(client.expect_close(4000), "bye");
    let (closed, reason) = events.close();
    // The first reason wins.
    assert_eq!((closed, reason.by, reason.code, reason.cause), (fd, Side::Server, 4000, Cause::Requested));
    live.until_empty();
}

/// Reads so many bytes, steadily but not fast: 5 MB in a second.
fn take_slowly(live: &Live, client: &mut Client, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        live.after(Duration::from_millis(25)).recv_timeout(DEADLINE).expect("a timer");
        bytes.extend(client.take((len - bytes.len()).min(128 << 10)));
    }
    bytes
}

/// Longer than the kernel goes on without room for more, at the speed of [`take_slowly`]; much shorter than
/// all of it takes.
const PATIENT: Duration = Duration::from_millis(400);
/// Most of it has to wait in the outbox.
const MUCH: usize = 7 << 20;

/// A close goes behind all that was pushed; a peer that reads on gets all of it, however long that takes.
#[test]
fn a_close_behind_a_long_queue_waits_for_a_peer_that_reads_on() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| config.close_timeout = PATIENT));
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    live.ask(move |server| {
        server.push(fd, vec![7; MUCH]).expect("room");
        assert!(server.disconnect(fd, 1000, "that was all"));
    });
    assert_eq!(client.take(10).len(), 10);
    assert!(take_slowly(&live, &mut client, MUCH) == vec![7; MUCH]);
    assert_eq!(client.answer_close(1000), "that was all");
}

#[test]
fn the_answer_to_a_close_waits_for_a_peer_that_reads_on() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| config.close_timeout = PATIENT));
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    live.ask(move |server| server.push(fd, vec![7; MUCH])).expect("room");
    client.close(1000, "");
    assert_eq!(client.take(10).len(), 10);
    assert!(take_slowly(&live, &mut client, MUCH) == vec![7; MUCH]);
    client.expect_close(1000);
}

/// It can't answer a ping that stands behind what it is still reading.
#[test]
fn a_peer_that_reads_a_long_queue_slowly_is_not_given_up() {
    let len = 16 << 20;
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(move |config| {
        config.outbox_bytes_max = 2 * len;
        config.ping_interval = Some(Duration::from_millis(150));
        // Once everything is with the kernel, the server sees no progress: reading that takes up to 0.8 s.
        config.pong_timeout = Duration::from_millis(1_200);
    }));
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    live.ask(move |server| server.push(fd, vec![7; len])).expect("room");
    assert_eq!(client.take(10).len(), 10);
    assert!(take_slowly(&live, &mut client, len) == vec![7; len]);
    assert_eq!(client.read_frame().opcode, PING);
    client.frame(PONG, b"");
    assert!(live.ask(move |server| server.is_established(fd)));
}

#[test]
fn a_big_page_is_sent_whole_to_a_slow_client_that_reads_on() {
    for line in ["", "Connection: close\r\n"] {
        let live = Live::start(
            Server::builder()
                .configure(|config| {
                    config.close_timeout = PATIENT;
                    config.keep_alive_timeout = PATIENT;
                    config.request_timeout = PATIENT;
                })
                .on_request(move |_, _| swio::Response::new(200).body(vec![7; MUCH])),
        );
        let mut client = Client::connect_narrow(live.address);
        client.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{line}\r\n"));
        assert_eq!(client.answer_head().status, 200);
        assert!(take_slowly(&live, &mut client, MUCH) == vec![7; MUCH], "{line:?}");
        client.expect_fin();
    }
}
