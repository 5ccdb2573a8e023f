//! What happens to messages for a client that does not read, by policy: of the server, of a connection, of a message.
//! What is dropped is dropped as a whole, and reported.

mod common;

use common::*;
use std::sync::mpsc;
use std::time::Duration;
use swio::{Builder, Fd, Lost, Message, Opcode, PushError, Server, SlowConsumer};

const LIMIT: usize = 256 << 10;
const LEN: usize = 4 << 10;

fn with_policy(policy: SlowConsumer) -> (Builder, Events) {
    let (builder, events) = recorded();
    let builder = builder.configure(move |config| {
        config.outbox_bytes_max = LIMIT;
        config.slow_consumer = policy;
    });
    (builder, events)
}

/// 4 KiB that begin with a number.
fn numbered(number: u32) -> Vec<u8> {
    let mut message = vec![0x5a; LEN];
    message[..4].copy_from_slice(&number.to_be_bytes());
    message
}

/// The number of a whole message.
fn number(message: &[u8]) -> u32 {
    let number = u32::from_be_bytes(message[..4].try_into().expect("4 bytes"));
    assert!(message == numbered(number), "{number} is not whole");
    number
}

fn lost(live: &Live, fd: Fd) -> Lost {
    live.ask(move |server| server.client_info(fd).expect("it is there").lost)
}

fn queued(live: &Live, fd: Fd) -> usize {
    live.ask(move |server| server.client_info(fd).expect("it is there").queued_bytes)
}

/// Pushes numbered messages, one in a turn, until the outbox has no room for one more: how many.
fn fill(live: &Live, fd: Fd) -> u32 {
    let patience = Patience::new();
    let mut count = 0;
    while live.ask(move |server| {
        let message = Message::from(numbered(count)).slow_consumer(SlowConsumer::DropNewest);
        server.push(fd, message)
    }) != Err(PushError::Full)
    {
        patience.check("a full outbox");
        count += 1;
    }
    count
}

#[test]
fn the_oldest_are_dropped_whole_and_the_newest_arrive() {
    let (builder, events) = with_policy(SlowConsumer::DropOldest);
    let live = Live::start(builder);
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    let patience = Patience::new();
    let mut pushed = 0;
    while pushed < 400 || lost(&live, fd).dropped < 100 {
        patience.check("drops");
        live.ask(move |server| server.push(fd, numbered(pushed))).expect("it is queued, whatever is dropped");
        pushed += 1;
        assert!(queued(&live, fd) <= LIMIT);
    }
    let dropped = lost(&live, fd).dropped;
    assert_eq!(live.ask(|server| server.stats().lost).dropped, dropped);
    let mut seen = Vec::new();
    while seen.last() != Some(&(pushed - 1)) {
        seen.push(number(&client.read_frame().payload));
    }
    assert!(seen.is_sorted() && seen[0] == 0, "{seen:?}");
    assert_eq!(seen.len() as u64 + dropped, u64::from(pushed));
    // One hole: those in front of it were with the kernel already.
    let holes = seen.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert_eq!(holes, 1, "{seen:?}");
    client.close(1000, "");
    client.expect_close(1000);
}

#[test]
fn a_message_that_no_dropping_makes_room_for_is_refused_and_nothing_is_dropped() {
    let (builder, events) = with_policy(SlowConsumer::DropOldest);
    let live = Live::start(builder);
    let _client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    let pushed = fill(&live, fd);
    let before = lost(&live, fd);
    assert!(pushed > 0 && before.dropped == 1);
    // Those were pushed under another policy: they may not be dropped.
    assert_eq!(live.ask(move |server| server.push(fd, numbered(0))), Err(PushError::Full));
    assert_eq!(live.ask(move |server| server.push(fd, vec![0; LIMIT + 1])), Err(PushError::Full));
    assert_eq!(lost(&live, fd).dropped, before.dropped + 2);
    assert!(live.ask(move |server| server.is_established(fd)));
    still_serving(&live);
}

#[test]
fn a_connection_and_a_message_have_policies_of_their_own() {
    let (builder, events) = with_policy(SlowConsumer::Close);
    let live = Live::start(builder);
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    // The message's own, on a connection that is closed otherwise.
    let pushed = fill(&live, fd);
    // The connection's own.
    assert!(live.ask(move |server| server.set_slow_consumer(fd, SlowConsumer::DropNewest)));
    assert_eq!(live.ask(move |server| server.push(fd, numbered(0))), Err(PushError::Full));
    assert!(live.ask(move |server| server.is_established(fd)));
    assert_eq!(lost(&live, fd).dropped, 2);
    // The server's again.
    assert!(live.ask(move |server| server.set_slow_consumer(fd, None)));
    assert_eq!(live.ask(move |server| server.push(fd, numbered(0))), Err(PushError::Full));
    assert_eq!(live.ask(move |server| server.push(fd, numbered(0))), Err(PushError::Closing));
    let frames = client.until_close(1013);
    // What was on its way, in order and whole; the rest was dropped.
    let numbers = frames.iter().map(|frame| number(&frame.payload)).collect::<Vec<_>>();
    assert_eq!(numbers, Vec::from_iter(0..numbers.len() as u32));
    assert!((1..pushed as usize).contains(&numbers.len()), "{} of {pushed}", numbers.len());
    drop(client);
    assert_eq!(events.close().1.code, 1013);
    assert!(!live.ask(move |server| server.set_slow_consumer(fd, SlowConsumer::DropNewest)));
}

/// What may be dropped makes room for what may not, before anything worse happens.
#[test]
fn what_may_be_dropped_makes_room_for_all_others() {
    let (builder, events) = with_policy(SlowConsumer::Close);
    let live = Live::start(builder);
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    let patience = Patience::new();
    while lost(&live, fd).dropped == 0 {
        patience.check("a full outbox");
        let message = Message::from("volatile".repeat(1_000)).slow_consumer(SlowConsumer::DropOldest);
        live.ask(move |server| server.push(fd, message)).expect("room");
    }
    for count in 0..10 {
        live.ask(move |server| server.push(fd, numbered(count))).expect("room is made");
    }
    let mut seen = Vec::new();
    while seen.len() < 10 {
        let frame = client.read_frame();
        match frame.opcode {
            BINARY => seen.push(number(&frame.payload)),
            _ => assert!(frame.payload == "volatile".repeat(1_000).as_bytes()),
        }
    }
    assert_eq!(seen, Vec::from_iter(0..10));
    client.close(1000, "");
    client.expect_close(1000);
}

#[test]
fn of_each_key_only_the_latest_waits() {
    let (builder, events) = with_policy(SlowConsumer::Close);
    let live = Live::start(builder);
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    let patience = Patience::new();
    let mut pushed = 0;
    while queued(&live, fd) < LIMIT / 2 {
        patience.check("a queue");
        live.ask(move |server| server.push(fd, numbered(pushed))).expect("room");
        pushed += 1;
    }
    for round in 0..1_000 {
        for key in 0..5 {
            let state = format!("key {key} round {round}");
            live.ask(move |server| server.push(fd, Message::from(state).latest(key))).expect("room");
        }
        if round == 0 {
            live.ask(move |server| server.push(fd, "behind the states")).expect("room");
        }
    }
    assert_eq!(lost(&live, fd).replaced, 5 * 999);
    for count in 0..pushed {
        client.expect(BINARY, numbered(count));
    }
    for key in 0..5 {
        client.expect_text(&format!("key {key} round 999"));
    }
    client.expect_text("behind the states");
    client.close(1000, "");
    client.expect_close(1000);
}

#[test]
fn of_one_turn_only_the_latest_state_is_sent_to_those_who_read_too() {
    let (builder, events) = with_policy(SlowConsumer::Close);
    let live = Live::start(builder);
    let mut client = live.open();
    let fd = events.open();
    live.ask(move |server| {
        server.push(fd, "first").expect("room");
        for round in 0..10 {
            server.push(fd, Message::from(format!("a {round}")).latest(1)).expect("room");
            server.broadcast(Message::from(format!("b {round}")).latest(2)).send();
        }
        server.push(fd, "last").expect("room");
    });
    for text in ["first", "a 9", "b 9", "last"] {
        client.expect_text(text);
    }
    assert_eq!(lost(&live, fd).replaced, 18);
}

#[test]
fn broadcasts_obey_each_connections_policy() {
    let (builder, events) = with_policy(SlowConsumer::DropNewest);
    let live = Live::start(builder);
    let mut slow = [(); 3].map(|()| Client::connect_narrow(live.address).handshake());
    let fds = [(); 3].map(|()| events.open());
    let [newest, oldest, close] = fds;
    live.ask(move |server| {
        server.set_slow_consumer(oldest, SlowConsumer::DropOldest);
        server.set_slow_consumer(close, SlowConsumer::Close);
    });
    let patience = Patience::new();
    let mut sent = 0;
    while lost(&live, newest).dropped < 20 || lost(&live, oldest).dropped < 20 {
        patience.check("drops");
        let reach = live.ask(move |server| server.broadcast(numbered(sent)).send());
        assert!(reach.queued + reach.refused >= 2 && reach.refused <= 2, "{reach:?}");
        sent += 1;
    }
    let numbers = |client: &mut Client, count: u64| -> Vec<u32> {
        (0..count).map(|_| number(&client.read_frame().payload)).collect()
    };
    let counts = [newest, oldest].map(|fd| u64::from(sent) - lost(&live, fd).dropped);
    let first = numbers(&mut slow[0], counts[0]);
    assert_eq!(first, Vec::from_iter(0..counts[0] as u32));
    let last = numbers(&mut slow[1], counts[1]);
    assert!(last.is_sorted() && last.last() == Some(&(sent - 1)), "{last:?}");
    let closed = slow[2].until_close(1013);
    assert!(closed.len() < sent as usize);
}

#[test]
fn control_frames_are_never_dropped_and_not_without_end() {
    let (builder, events) = with_policy(SlowConsumer::DropOldest);
    let live = Live::start(builder);
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    let pushed = fill(&live, fd);
    live.ask(move |server| server.push_as(fd, Opcode::Ping, b"there?")).expect("beyond the limit");
    let mut pings = 1;
    while live.ask(move |server| server.push_as(fd, Opcode::Ping, &[7; 125])) == Ok(()) {
        pings += 1;
        assert!(pings < 100, "{pings} pings wait");
    }
    for _ in 0..50 {
        live.ask(move |server| server.push(fd, numbered(0))).ok();
    }
    live.ask(move |server| server.disconnect(fd, 4000, "enough"));
    let frames = client.until_close(4000);
    assert_eq!(frames.iter().filter(|frame| frame.opcode == PING).count(), pings);
    assert_eq!(frames.iter().filter(|frame| frame.opcode == BINARY).count(), pushed as usize);
}

#[test]
fn full_and_empty_are_told_once_for_each_crossing() {
    let (builder, events) = with_policy(SlowConsumer::DropOldest);
    let (sender, crossings) = mpsc::channel();
    let full = sender.clone();
    let queued_now = |server: &Server, fd| server.client_info(fd).map(|info| info.queued_bytes);
    let builder = builder
        .configure(|config| config.buffer_low_watermark = 32 << 10)
        .on_buffer_full(move |server, fd| tell(&full, ("full", fd, queued_now(server, fd))))
        .on_buffer_empty(move |server, fd| tell(&sender, ("empty", fd, queued_now(server, fd))));
    let live = Live::start(builder);
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    let mut read = 0;
    for _ in 0..3 {
        let patience = Patience::new();
        let goal = lost(&live, fd).dropped + 20;
        let mut pushed = 0;
        while lost(&live, fd).dropped < goal {
            patience.check("drops");
            live.ask(move |server| server.push(fd, numbered(pushed))).expect("room");
            pushed += 1;
        }
        let (what, whose, queued) = crossings.recv_timeout(DEADLINE).expect("it is full");
        assert_eq!((what, whose), ("full", fd));
        assert!(queued.is_some_and(|bytes| bytes >= LIMIT / 5 * 4), "{queued:?}");
        assert_eq!(crossings.try_iter().count(), 0, "told once");
        let last = pushed - 1;
        while number(&client.read_frame().payload) != last {
            read += 1;
        }
        let (what, whose, queued) = crossings.recv_timeout(DEADLINE).expect("it is empty");
        assert_eq!((what, whose), ("empty", fd));
        assert!(queued.is_some_and(|bytes| bytes <= 32 << 10), "{queued:?}");
    }
    assert!(read > 0 && crossings.try_iter().count() == 0);
}

/// An echo costs the server what the client does not read of it: so the client is not read either, and what it sends
/// waits at its own end.
#[test]
fn a_client_that_reads_nothing_of_its_echoes_is_not_read_on_and_goes_on_when_it_reads() {
    for policy in [SlowConsumer::Close, SlowConsumer::DropNewest] {
        let live = Live::start(echo().configure(move |config| {
            config.slow_consumer = policy;
            (config.outbox_bytes_max, config.message_bytes_max) = (4 << 20, 256 << 10);
            config.socket_send_buffer_bytes = Some(64 << 10);
            config.ping_interval = Some(Duration::from_millis(50));
            config.pong_timeout = DEADLINE;
        }));
        let client = Client::connect_narrow(live.address).handshake();
        let mut sending = Client::over(client.stream.try_clone().expect("a socket"));
        const COUNT: usize = 1_000;
        let sender = std::thread::spawn(move || {
            for number in 0..COUNT {
                let mut message = vec![0; 64 << 10];
                message[..8].copy_from_slice(&number.to_be_bytes());
                sending.stream.set_write_timeout(None).expect("an option");
                sending.try_send(masked(FIN | BINARY, &message));
            }
        });
        if policy == SlowConsumer::DropNewest {
            // Where what does not fit is dropped, all is read.
            live.until("all is read", |server| {
                (server.stats().messages_received == COUNT as u64).then_some(())
            });
            drop(client);
            sender.join().expect("no panic");
            continue;
        }
        let patience = live.after(Duration::from_millis(500));
        patience.recv().expect("the server goes on");
        let (queued, received) =
            live.ask(|server| (server.usage().queued_bytes, server.stats().messages_received));
        assert!((2 << 20..4 << 20).contains(&queued), "{queued}");
        assert!(received < 200, "{received} of {COUNT} were read");
        // Others are served, and it gets every echo once it reads.
        still_serving(&live);
        let mut client = client;
        for number in 0..COUNT {
            let echo = loop {
                let frame = client.read_frame();
                if frame.opcode == BINARY {
                    break frame;
                }
            };
            assert_eq!((echo.payload.len(), &echo.payload[..8]), (64 << 10, &number.to_be_bytes()[..]));
        }
        sender.join().expect("no panic");
        assert_eq!(live.ask(|server| server.stats().refusals.slow_consumer), 0);
    }
}
