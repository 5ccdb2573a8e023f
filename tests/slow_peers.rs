//! Peers that do not read, do not answer or do not speak: memory stays within its limits, they are given up in time,
//! live peers are not, and all others get everything. What holds for every transport is in `slow_transports`.

mod common;

use common::*;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use swio::{Cause, Fd, PushError, Server, Side, SlowConsumer};

const LIMIT: usize = 256 << 10;

/// 16 KiB that begin with a number.
fn numbered(number: u32) -> Vec<u8> {
    numbered_of(number, 16 << 10)
}

fn numbered_of(number: u32, len: usize) -> Vec<u8> {
    let mut message = vec![0x5a; len];
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
    // What was begun is sent, what was not is dropped.
    let arrived = client.until_close(1013).len();
    assert!((1..accepted as usize).contains(&arrived), "{arrived} of {accepted}");
    drop(client);
    assert_eq!(events.close().1.cause, Cause::SlowConsumer);
    still_serving(&live);
}

#[test]
fn all_outboxes_together_have_a_limit_too() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.outbox_bytes_max = LIMIT;
        config.outboxes_bytes_max = 2 * LIMIT;
        config.slow_consumer = SlowConsumer::DropNewest;
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

/// A full total costs those who fill it, not those for whom nothing has to be held.
#[test]
fn when_all_outboxes_are_full_whoever_reads_still_gets_everything() {
    for policy in [SlowConsumer::DropNewest, SlowConsumer::Close] {
        let (builder, events) = recorded();
        let live = Live::start(builder.configure(move |config| {
            config.outbox_bytes_max = LIMIT;
            config.outboxes_bytes_max = LIMIT + LIMIT / 2;
            config.slow_consumer = policy;
            // Otherwise more than that for one reader in one turn would have to be held.
            config.socket_unsent_bytes_max = None;
            // Closed ones are there until the test is over.
            config.close_timeout = 3 * DEADLINE;
        }));
        let mut readers = [live.open(), live.open(), live.open()];
        let reader_fds = [(); 3].map(|()| events.open());
        let _slow = [(); 2].map(|()| {
            let client = Client::connect_narrow(live.address).handshake();
            let fd = events.open();
            let patience = Patience::new();
            // Up to the last byte.
            for len in [16 << 10, 1 << 10, 16] {
                while live.ask(move |server| server.push(fd, numbered_of(0, len))).is_ok() {
                    patience.check("a full outbox");
                }
            }
            client
        });
        let usage = live.ask(|server| server.usage());
        // Those that are closed give theirs back at once, but for what was begun.
        let expected = match policy {
            SlowConsumer::Close => 1..=64 << 10,
            _ => LIMIT + LIMIT / 2 - (18 << 10) + 1..=2 * LIMIT,
        };
        assert!(expected.contains(&usage.outboxes_bytes), "{policy:?}: {usage:?}");
        // Small and large, each alone and many in one callback.
        for (len, count) in
            [(16, 1), (3 << 10, 1), (16 << 10, 1), (100 << 10, 1), (1 << 10, 100), (16 << 10, 10)]
        {
            let lens = (0..count).map(move |number| numbered_of(number, len));
            let messages = lens.clone();
            let reach = live.ask(move |server| {
                messages.map(|message| server.broadcast(message).send().queued).collect::<Vec<_>>()
            });
            // With the policy to drop, the slow ones are still asked, and may have room for a little one.
            assert!(reach.iter().all(|queued| *queued >= 3), "{policy:?}, {count} of {len} bytes: {reach:?}");
            for message in lens {
                readers.iter_mut().for_each(|reader| reader.expect(BINARY, &message));
            }
        }
        live.ask(move |server| server.push(reader_fds[0], numbered(7))).expect("room");
        readers[0].expect(BINARY, numbered(7));
        assert!(live.ask(move |server| reader_fds.iter().all(|fd| server.is_established(*fd))));
        assert_eq!(events.rest(), [], "{policy:?}");
    }
}

/// How far a callback's output may grow the server before it is written.
const BATCH_BYTES: usize = 2 << 20;

/// What is held beyond what the outboxes of `fds` hold.
fn held_beside(server: &Server, fds: &[Fd]) -> usize {
    let outboxes = fds.iter().filter_map(|fd| server.client_info(*fd)).map(|info| info.queued_bytes);
    server.usage().queued_bytes.saturating_sub(outboxes.sum())
}

#[test]
fn a_callback_that_broadcasts_200_mb_holds_little_of_it_and_loses_nothing() {
    const LEN: usize = 1_000;
    const COUNT: u32 = 50_000;
    /// So far the callback may be ahead of its readers: one step more than they have read.
    const STEP: u32 = 50;
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let (readers, steps): (Vec<_>, Vec<_>) = (0..4)
        .map(|_| {
            let mut client = live.open();
            let (sender, steps) = mpsc::channel();
            let reader = thread::spawn(move || {
                for number in 0..COUNT {
                    client.expect(BINARY, numbered_of(number, LEN));
                    if number % STEP == STEP - 1 {
                        sender.send(()).ok();
                    }
                }
                client
            });
            (reader, steps)
        })
        .unzip();
    let fds = [(); 4].map(|()| events.open());
    let (sender, result) = mpsc::channel();
    let broadcast_all = move |server: &mut Server| {
        let (mut most, mut taken) = (0, 0);
        for number in 0..COUNT {
            taken += server.broadcast(numbered_of(number, LEN)).send().queued;
            most = most.max(server.usage().queued_bytes);
            if number % STEP == STEP - 1 && number > STEP {
                steps.iter().for_each(|step| step.recv_timeout(DEADLINE).expect("they read"));
            }
        }
        tell(&sender, (most, held_beside(server, &fds), taken));
    };
    live.handle.run(broadcast_all).expect("the server takes mail");
    let clients: Vec<_> = readers.into_iter().map(|reader| reader.join().expect("a whole stream")).collect();
    let (most, at_the_end, taken) = result.recv_timeout(DEADLINE).expect("the callback ends well");
    assert_eq!(taken, 4 * COUNT as usize);
    assert!(most <= BATCH_BYTES, "{most} bytes were held at once, {at_the_end} at the end");
    assert_eq!(events.rest(), []);
    live.until("all is written", |server| (server.usage().queued_bytes == 0).then_some(()));
    drop(clients);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), swio::Usage::default());
}

/// For those who do not read it is in their outboxes, and nowhere else beside.
#[test]
fn a_callback_that_broadcasts_to_a_blocked_socket_holds_it_once() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    let before = fill(&live, fd, 0);
    let count = 5_000;
    let (most, taken) = live.ask(move |server| {
        let (mut most, mut taken) = (0, 0);
        for number in 0..count {
            taken += server.broadcast(numbered_of(number, 1_000)).send().queued;
            most = most.max(held_beside(server, &[fd]));
        }
        (most, taken)
    });
    assert_eq!(taken, count as usize);
    assert!(most <= BATCH_BYTES, "{most} bytes");
    (0..before).for_each(|number| client.expect(BINARY, numbered(number)));
    (0..count).for_each(|number| client.expect(BINARY, numbered_of(number, 1_000)));
}

/// Pushes to a client that does not read until more than `bytes` are queued, of which one message is partly
/// with the kernel. Then the client pings, reads a little and pings again until it has read everything; and
/// all of that again.
fn ping_amid_pushes(
    bytes: usize,
    len: fn(u32) -> usize,
    push: fn(&mut Server, Fd, Vec<u8>) -> Result<(), PushError>,
) {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    let (mut pushed, mut read, mut pinged, mut ponged) = (0, 0, 0, 0);
    for _ in 0..5 {
        let patience = Patience::new();
        while queued(&live, fd) <= bytes {
            patience.check("a queue");
            let message = numbered_of(pushed, len(pushed));
            live.ask(move |server| push(server, fd, message)).expect("room in the outbox");
            pushed += 1;
        }
        while read < pushed {
            pinged += 1_u32;
            client.frame(PING, &pinged.to_be_bytes());
            client.text("seen?");
            assert_eq!(events.message(), b"seen?");
            let enough = pushed.min(read + 4);
            while read < enough {
                let frame = client.read_frame();
                if frame.opcode == PONG {
                    let number = u32::from_be_bytes(frame.payload.try_into().expect("what was asked"));
                    assert!(ponged < number && number <= pinged, "{number} after {ponged} of {pinged}");
                    ponged = number;
                    continue;
                }
                assert!(frame.fin && frame.opcode == BINARY, "{} in {read}", frame.opcode);
                assert!(frame.payload == numbered_of(read, len(read)), "{read} of {pushed} is not whole");
                read += 1;
            }
        }
        // The newest is always answered, perhaps behind the last message.
        while ponged < pinged {
            let frame = client.read_frame();
            assert_eq!(frame.opcode, PONG, "{frame:?}");
            ponged = u32::from_be_bytes(frame.payload.try_into().expect("what was asked"));
        }
    }
    client.close(1000, "");
    client.expect_close(1000);
}

#[test]
fn a_pong_does_not_cut_into_a_borrowed_message_that_is_partly_written() {
    for len in [|_| 1 << 20, |_| 100 << 10, |_| 16 << 10] {
        ping_amid_pushes(0, len, |server, fd, message| server.push(fd, &message[..]));
    }
}

#[test]
fn a_pong_does_not_cut_into_an_owned_message_that_is_partly_written() {
    for len in [|_| 1 << 20, |_| 16 << 10] {
        ping_amid_pushes(0, len, |server, fd, message| server.push(fd, message));
        ping_amid_pushes(3 << 20, len, |server, fd, message| server.push(fd, message));
    }
}

/// A large message's header is copied together with the small messages before it: what was written of them
/// says nothing about where the header ends.
#[test]
fn a_pong_does_not_come_between_a_message_and_its_header() {
    let len: fn(u32) -> usize = |number| if number % 4 == 3 { 16 << 10 } else { 10 << 10 };
    ping_amid_pushes(3 << 20, len, |server, fd, message| match message.len() {
        0..0x4000 => server.push(fd, &message[..]),
        _ => server.push(fd, message),
    });
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
    assert_eq!(client.read_frame().opcode, PING);
    assert_eq!(client.expect_close(1001), "no answer to ping");
    drop(client);
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.by, reason.code, reason.cause), (fd, Side::Local, 1001, Cause::Timeout));
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
    assert_eq!((closed, reason.by, reason.code, reason.cause), (fd, Side::Local, 4000, Cause::Requested));
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

/// A client that has not read for longer than a close may take, but not for longer than an answer may, gets
/// the same whether or not the connection is kept.
#[test]
fn an_answer_before_a_close_waits_for_a_client_that_pauses() {
    for line in ["", "Connection: close\r\n"] {
        let live = Live::start(
            Server::builder()
                .configure(|config| {
                    config.close_timeout = Duration::from_millis(1);
                    config.keep_alive_timeout = 3 * DEADLINE;
                })
                .on_request(move |_, _| swio::Response::new(200).body(vec![7; MUCH])),
        );
        let mut client = Client::connect_narrow(live.address);
        client.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{line}\r\n"));
        assert_eq!(client.answer_head().status, 200);
        let mut bytes = Vec::with_capacity(MUCH);
        for _ in 0..4 {
            live.after(Duration::from_millis(300)).recv_timeout(DEADLINE).expect("a timer");
            bytes.extend(client.take(MUCH / 8));
        }
        bytes.extend(client.take(MUCH - bytes.len()));
        assert!(bytes == vec![7; MUCH], "{line:?}");
        if !line.is_empty() {
            client.expect_fin();
        }
    }
}
