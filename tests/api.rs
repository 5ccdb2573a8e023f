//! Pushing and asking: the order and kind of what is sent, what is refused and why, and what a server reports of its
//! connections while they come and go.

mod common;

use common::*;
use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use swio::{Builder, Fd, FdMap, Opcode, PushError, Reach, Server, Status, Usage};

/// A recorded server with its first client.
fn one() -> (Live, Events, Client, Fd) {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let client = live.open();
    let fd = events.open();
    (live, events, client, fd)
}

/// A server on which `on_message` does this.
fn on_message(call: fn(&mut Server, swio::Frame<'_>)) -> Live {
    Live::start(Server::builder().on_message(call))
}

#[test]
fn text_goes_as_text_bytes_as_binary_and_what_was_received_as_it_came() {
    let live = on_message(|server, frame| {
        let text = String::from("a String");
        server.push(frame.fd, "a str").expect("open");
        server.push(frame.fd, &text).expect("open");
        server.push(frame.fd, text).expect("open");
        server.push(frame.fd, [1, 2, 3].as_slice()).expect("open");
        server.push(frame.fd, vec![4, 5]).expect("open");
        server.push(frame.fd, &[6]).expect("open");
        server.push(frame.fd, frame.data).expect("open");
    });
    let mut client = live.open();
    for (opcode, data) in [(TEXT, b"hello"), (BINARY, b"world")] {
        client.frame(opcode, data);
        client.expect_text("a str");
        client.expect_text("a String");
        client.expect_text("a String");
        client.expect(BINARY, [1, 2, 3]);
        client.expect(BINARY, [4, 5]);
        client.expect(BINARY, [6]);
        client.expect(opcode, data);
    }
}

#[test]
fn a_frame_knows_its_opcode_data_and_finish() {
    let (sender, seen) = mpsc::channel();
    let live = Live::start(Server::builder().on_message(move |_, frame| {
        let text = frame.data.as_str().map(str::to_owned);
        sender
            .send((frame.opcode, text, frame.data.as_bytes().to_vec(), frame.finish, frame.data.to_string()))
            .ok();
    }));
    let mut client = live.open();
    client.text("κόσμε");
    client.send([masked(BINARY, b"ab"), masked(FIN | CONTINUATION, b"c")].concat());
    client.text("");
    let text = "κόσμε".to_owned();
    let expected = [
        (Opcode::Text, Some(text.clone()), text.clone().into_bytes(), true, text),
        (Opcode::Binary, None, b"abc".to_vec(), true, "abc".to_owned()),
        (Opcode::Text, Some(String::new()), Vec::new(), true, String::new()),
    ];
    for expected in expected {
        assert_eq!(seen.recv_timeout(DEADLINE), Ok(expected));
    }
}

#[test]
fn pushes_arrive_in_the_order_of_the_calls_whatever_their_size_and_way() {
    let live = on_message(|server, frame| {
        let number = |number: u32, len: usize| {
            let mut bytes = vec![number as u8; len.max(4)];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            bytes
        };
        for round in 0..50_u32 {
            let first = round * 6;
            server.push(frame.fd, number(first, 10)).expect("open");
            server.push(frame.fd, number(first + 1, 5_000)).expect("open");
            server.broadcast(number(first + 2, 20)).send();
            server.broadcast(number(first + 3, 70_000)).send();
            server.push(frame.fd, number(first + 4, 3_000)).expect("open");
            server.push_as(frame.fd, Opcode::Binary, &number(first + 5, 2_049)).expect("open");
        }
    });
    let mut client = live.open();
    client.text("go");
    for number in 0..300_u32 {
        let frame = client.read_frame();
        assert_eq!(frame.payload[..4], number.to_be_bytes());
        let len = [10, 5_000, 20, 70_000, 3_000, 2_049][number as usize % 6];
        assert_eq!(frame.payload.len(), len);
        assert!(frame.payload[4..].iter().all(|byte| *byte == number as u8));
    }
}

#[test]
fn push_as_sends_what_goes_together_and_refuses_what_does_not() {
    let (live, _events, mut client, fd) = one();
    let push_as = |opcode, bytes: &[u8]| {
        let bytes = bytes.to_vec();
        live.ask(move |server| server.push_as(fd, opcode, &bytes))
    };
    assert_eq!(push_as(Opcode::Text, b"text"), Ok(()));
    assert_eq!(push_as(Opcode::Binary, b"\xff"), Ok(()));
    assert_eq!(push_as(Opcode::Ping, b"are you there?"), Ok(()));
    assert_eq!(push_as(Opcode::Pong, &[7; 125]), Ok(()));
    for (opcode, bytes) in [
        (Opcode::Text, &b"\xff"[..]),
        (Opcode::Text, b"\xce"),
        (Opcode::Ping, &[7; 126]),
        (Opcode::Pong, &[7; 126]),
        (Opcode::Close, b""),
        (Opcode::Close, &[3, 232]),
        (Opcode::Continuation, b"x"),
    ] {
        assert_eq!(push_as(opcode, bytes), Err(PushError::Unsendable), "{opcode:?} {bytes:?}");
    }
    assert_eq!(push_as(Opcode::Text, b"the end"), Ok(()));
    client.expect_text("text");
    client.expect(BINARY, b"\xff");
    client.expect(PING, b"are you there?");
    client.expect(PONG, [7; 125]);
    client.expect_text("the end");
}

#[test]
fn messages_of_every_size_are_echoed_intact() {
    let live = Live::start(echo());
    let mut client = live.open();
    let borders = [
        0,
        1,
        125,
        126,
        127,
        2_047,
        2_048,
        2_049,
        65_535,
        65_536,
        65_537,
        262_144,
        1 << 20,
        (1 << 20) + 17,
        2 << 20,
    ];
    for len in borders {
        let data: Vec<u8> = (0..len).map(|at| (at * 31 % 251) as u8).collect();
        client.frame(BINARY, &data);
        client.expect(BINARY, &data);
        let fragments: Vec<&[u8]> = data.chunks(len / 7 + 1).collect();
        client.send(masked(BINARY, b""));
        for fragment in fragments {
            client.send(masked(CONTINUATION, fragment));
            client.frame(PING, b"between");
            client.expect(PONG, b"between");
        }
        client.send(masked(FIN | CONTINUATION, b""));
        client.expect(BINARY, &data);
    }
    let mut client = live.open();
    client.frame(BINARY, &vec![0; (2 << 20) + 1]);
    client.expect_close(1009);
}

#[test]
fn a_message_in_one_byte_pieces_is_echoed_intact() {
    let live = Live::start(echo());
    let mut client = live.open();
    let text = "κόσμε 😀 ".repeat(20);
    client.send_in_pieces(masked(FIN | TEXT, text.as_bytes()));
    client.expect_text(&text);
}

#[test]
fn a_broadcast_reaches_everybody_but_those_left_out() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut clients = [live.open(), live.open(), live.open(), live.open()];
    let fds = [events.open(), events.open(), events.open(), events.open()];
    // Who only speaks HTTP, or nothing yet, is not reached.
    let _silent = live.client();
    let reach = live.ask(move |server| {
        [
            server.broadcast("all").send(),
            server.broadcast("but 0").except(fds[0]).send(),
            server.broadcast("but 1 and 2").except(fds[1]).except(fds[2]).except(fds[2]).send(),
            server.broadcast(b"all").send(),
        ]
    });
    assert_eq!(reach.map(|reach| reach.queued), [4, 3, 2, 4]);
    assert_eq!(reach[0], Reach { queued: 4, ..Reach::default() });
    for (number, client) in clients.iter_mut().enumerate() {
        client.expect_text("all");
        if number != 0 {
            client.expect_text("but 0");
        }
        if number == 0 || number == 3 {
            client.expect_text("but 1 and 2");
        }
        client.expect(BINARY, b"all");
    }
}

#[test]
fn a_broadcast_by_each_client_arrives_at_each_in_one_order() {
    let live = on_message(|server, frame| {
        server.broadcast(frame.data).send();
    });
    let mut clients: Vec<Client> = (0..10).map(|_| live.open()).collect();
    for round in 0..20 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.text(&format!("{round} {number}"));
        }
    }
    let seen: Vec<Vec<Vec<u8>>> =
        clients.iter_mut().map(|client| (0..200).map(|_| client.read_frame().payload).collect()).collect();
    assert!(seen.iter().all(|other| *other == seen[0]));
    let distinct: BTreeSet<_> = seen[0].iter().collect();
    assert_eq!(distinct.len(), 200);
}

#[test]
fn errors_say_why_a_push_was_not_taken() {
    let (live, events, mut client, fd) = one();
    let never = Fd::from_u64(0x77_0000_0077).expect("an fd");
    assert_eq!(live.ask(move |server| server.push(never, "x")), Err(PushError::Gone));
    let mut http = live.client();
    http.send("GET / HTTP/1.1\r\nHo");
    let http_fd = Fd::from_u64(2).expect("an fd");
    live.until("it is accepted", move |server| server.exists(http_fd).then_some(()));
    assert_eq!(live.ask(move |server| server.push(http_fd, "x")), Err(PushError::NotOpen));
    let results = live.ask(move |server| {
        let before = server.push(fd, "before");
        let closed = server.disconnect(fd, 1000, "");
        (before, closed, server.push(fd, "after"), server.broadcast("after").send().queued)
    });
    assert_eq!(results, (Ok(()), true, Err(PushError::Closing), 0));
    client.expect_text("before");
    client.answer_close(1000);
    drop(client);
    events.close();
    assert_eq!(live.ask(move |server| server.push(fd, "x")), Err(PushError::Gone));
    assert_eq!(live.ask(move |server| server.push_as(fd, Opcode::Ping, b"")), Err(PushError::Gone));
}

#[test]
fn an_old_fd_never_reaches_the_next_client_in_its_slot() {
    let (live, events, client, old) = one();
    drop(client);
    events.close();
    let mut client = live.open();
    let new = events.open();
    assert_ne!(old, new);
    assert_eq!(old.to_u64() & 0xff_ffff, new.to_u64() & 0xff_ffff, "the slot is used again");
    let results = live.ask(move |server| {
        (
            server.push(old, "for the old one"),
            server.disconnect(old, 4000, ""),
            server.exists(old),
            server.is_established(old),
            server.client_info(old).is_none(),
            server.broadcast("for all but the old one").except(old).send().queued,
        )
    });
    assert_eq!(results, (Err(PushError::Gone), false, false, false, true, 1));
    live.handle.push(old, "for the old one").expect("taken as mail");
    live.handle.disconnect(old, 4000, "").expect("taken as mail");
    live.handle.push(new, "for the new one").expect("taken as mail");
    client.expect_text("for all but the old one");
    client.expect_text("for the new one");
}

#[test]
fn fds_begin_with_1_and_survive_text() {
    let live = Live::start(Server::builder().on_open(|server, request| {
        server.push(request.fd, request.fd.to_string()).ok();
    }));
    let mut clients = Vec::new();
    for number in 1..=5_u64 {
        let mut client = live.open();
        client.expect_text(&number.to_string());
        clients.push(client);
        let fd: Fd = number.to_string().parse().expect("an fd");
        assert_eq!(fd.to_u64(), number);
        assert!(live.ask(move |server| server.is_established(fd)));
    }
}

#[test]
fn what_the_server_tells_of_its_connections_is_right_while_they_come_and_go() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut open: Vec<(Fd, Client)> = Vec::new();
    for step in 0..200_usize {
        if step % 3 == 2 {
            let (fd, client) = open.remove(step * 7 % open.len());
            drop(client);
            assert_eq!(events.close().0, fd);
            assert!(!live.ask(move |server| server.exists(fd) || server.is_established(fd)));
        } else {
            let client = live.open();
            open.push((events.open(), client));
        }
        let expected: BTreeSet<Fd> = open.iter().map(|(fd, _)| *fd).collect();
        let (listed, count, usage, paged) = live.ask(|server| {
            let (mut paged, mut after) = (Vec::new(), None);
            loop {
                let page = server.connections_page(after, 7);
                assert!(page.len() <= 7);
                let Some(last) = page.last() else { break };
                after = Some(*last);
                paged.extend(page);
            }
            (server.connections().collect::<Vec<_>>(), server.connection_count(), server.usage(), paged)
        });
        assert_eq!(listed, paged);
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), expected);
        assert_eq!((listed.len(), count), (open.len(), open.len()));
        assert_eq!((usage.connections, usage.websockets), (open.len(), open.len()));
    }
}

#[test]
fn a_page_of_connections_goes_on_behind_one_that_is_gone() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut clients: Vec<Option<Client>> = (0..10).map(|_| Some(live.open())).collect();
    let fds: Vec<Fd> = (0..10).map(|_| events.open()).collect();
    let first = live.ask(|server| server.connections_page(None, 4));
    assert_eq!(first, fds[..4]);
    for gone in [2, 3, 4] {
        clients[gone] = None;
        events.close();
    }
    let last = fds[3];
    assert_eq!(live.ask(move |server| server.connections_page(Some(last), 100)), fds[5..]);
    let end = fds[9];
    assert_eq!(live.ask(move |server| server.connections_page(Some(end), 100)), []);
    assert_eq!(live.ask(|server| server.connections_page(None, 0)), []);
}

#[test]
fn client_info_tells_address_times_status_and_queue() {
    let begun = Instant::now();
    let (live, events, mut client, fd) = one();
    let info = move |live: &Live| live.ask(move |server| server.client_info(fd)).expect("it is there");
    let first = info(&live);
    assert_eq!((first.fd, first.status, first.queued_bytes), (fd, Status::Established, 0));
    assert_eq!(first.remote_addr, client.stream.local_addr().ok());
    let coarse = Duration::from_millis(65);
    assert!(first.connected_at + coarse >= begun && first.connected_at <= Instant::now());
    live.after(Duration::from_millis(200)).recv_timeout(DEADLINE).expect("a timer");
    client.text("hello");
    events.message();
    let second = info(&live);
    assert_eq!(second.connected_at, first.connected_at);
    assert!(second.last_received_at >= first.last_received_at + coarse);
    let queued = live.ask(move |server| {
        server.push(fd, vec![0; 5_000]).expect("open");
        server.client_info(fd).map(|info| info.queued_bytes)
    });
    assert_eq!(queued, Some(5_004));
    live.ask(move |server| server.disconnect(fd, 1000, ""));
    assert_eq!(info(&live).status, Status::Closing);
    let mut http = live.client();
    http.send("GET");
    let status = live.until("it is accepted", |server| {
        server.client_info(Fd::from_u64(2).expect("an fd")).map(|info| info.status)
    });
    assert_eq!(status, Status::Http);
}

#[test]
fn usage_counts_what_is_held() {
    let (live, _events, client, fd) = one();
    let usage = live.ask(move |server| {
        server.after(Duration::from_secs(1_000), |_| ());
        let timer = server.every(Duration::from_secs(1_000), |_, _| ());
        server.push(fd, vec![0; 5_000]).expect("open");
        let usage = server.usage();
        assert!(server.cancel(timer));
        usage
    });
    assert_eq!((usage.connections, usage.websockets, usage.deadlines), (1, 1, 1));
    assert_eq!((usage.timers, usage.outboxes, usage.queued_bytes, usage.pending), (2, 0, 5_004, 1));
    drop(client);
    live.until_empty();
    let mut left = live.ask(|server| server.usage());
    assert_eq!(left.timers, 1);
    left.timers = 0;
    assert_eq!(left, Usage::default());
}

#[test]
fn on_close_and_on_message_can_push_to_others() {
    fn tell<T: Into<String>>(server: &mut Server, text: T) {
        let text = text.into();
        for fd in server.connections().collect::<Vec<_>>() {
            server.push(fd, &text).expect("it is open");
        }
    }
    let live = Live::start(
        Server::builder()
            .on_message(|server, frame| tell(server, format!("{} says {}", frame.fd, frame.data)))
            .on_close(|server, fd, reason| {
                assert_eq!(server.push(fd, "too late"), Err(PushError::Gone));
                tell(server, format!("{fd} left, {}", reason.code));
                server.broadcast("so it goes").except(fd).send();
            }),
    );
    let mut clients = [live.open(), live.open(), live.open()];
    clients[1].text("hello");
    for client in &mut clients {
        client.expect_text("2 says hello");
    }
    let [mut first, mut second, third] = clients;
    second.close(4001, "");
    second.expect_close(4001);
    drop(second);
    first.expect_text("2 left, 4001");
    first.expect_text("so it goes");
    third.reset();
    first.expect_text("3 left, 1006");
    first.expect_text("so it goes");
}

/// What on_close sends must leave in the same turn, also where it closes others in a chain.
#[test]
fn a_chain_of_closes_ends_in_one_go() {
    let (sender, closed) = mpsc::channel();
    let chain = move |server: &mut Server, fd: Fd, _: &swio::CloseReason| {
        sender.send(fd).ok();
        let next = server.connections().next();
        if let Some(next) = next {
            server.push(next, "your turn").ok();
            server.disconnect(next, 4000, "next");
        }
    };
    let live = Live::start(Server::builder().on_close(chain));
    let mut clients: Vec<Client> = (0..20).map(|_| live.open()).collect();
    drop(clients.remove(0));
    assert_eq!(closed.recv_timeout(DEADLINE).map(Fd::to_u64), Ok(1));
    for (number, mut client) in (2..).zip(clients) {
        client.expect_text("your turn");
        assert_eq!(client.answer_close(4000), "next");
        drop(client);
        assert_eq!(closed.recv_timeout(DEADLINE).map(Fd::to_u64), Ok(number));
    }
}

#[test]
fn data_of_each_connection_is_kept_in_an_fd_map() {
    fn counting() -> Builder {
        let mut counts = FdMap::new();
        Server::builder().on_message(move |server, frame| {
            let count = counts.get(frame.fd).map_or(1, |count| count + 1);
            counts.insert(frame.fd, count);
            server.push(frame.fd, format!("{count}")).ok();
        })
    }
    let live = Live::start(counting());
    for _ in 0..3 {
        let (mut one, mut two) = (live.open(), live.open());
        for number in 1..5 {
            one.text("");
            one.expect_text(&number.to_string());
            two.text("");
            two.expect_text(&number.to_string());
        }
        drop((one, two));
        live.until_empty();
    }
}
