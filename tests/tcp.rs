//! Raw TCP beside WebSockets: each framing over real sockets, in pieces and all at once; what peers do wrong; how
//! connections end from either side; both kinds in one room.

mod common;

use common::*;
use std::io::ErrorKind;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;
use swio::{
    Builder, Cause, CloseReason, Fd, Framing, LengthType, Message, Opcode, PushError, Reach, Server, Side,
    SlowConsumer, Status,
};

const LINES: fn() -> Framing = || Framing::EndMark(b"\n".into());
const LENGTH: Framing = Framing::Length { length_type: LengthType::U32Be, length_offset: 0, body_offset: 4 };

/// What raw TCP brought, in order.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Connect(Fd),
    Receive(Fd, Vec<u8>),
    Close(Fd, CloseReason),
    Error(Option<Fd>, String),
}

struct Log(Receiver<Told>);

impl Log {
    fn next(&self) -> Told {
        self.0.recv_timeout(DEADLINE).expect("an event")
    }

    fn connect(&self) -> Fd {
        match self.next() {
            Told::Connect(fd) => fd,
            other => panic!("{other:?} instead of a connection"),
        }
    }

    fn receive(&self) -> Vec<u8> {
        match self.next() {
            Told::Receive(_, data) => data,
            other => panic!("{other:?} instead of a package"),
        }
    }

    fn close(&self) -> (Fd, CloseReason) {
        match self.next() {
            Told::Close(fd, reason) => (fd, reason),
            other => panic!("{other:?} instead of an end"),
        }
    }
}

fn logged(framing: Framing) -> (Builder, Log) {
    let (sender, receiver) = mpsc::channel();
    let (connect, receive, close, error) = (sender.clone(), sender.clone(), sender.clone(), sender);
    let builder = Server::builder()
        .listen_tcp("127.0.0.1:0", framing)
        .on_connect(move |_, fd| tell(&connect, Told::Connect(fd)))
        .on_receive(move |_, fd, data| tell(&receive, Told::Receive(fd, data.to_vec())))
        .on_close(move |_, fd, reason| tell(&close, Told::Close(fd, reason.clone())))
        .on_error(move |_, fd, fault| tell(&error, Told::Error(fd, fault.to_string())));
    (builder, Log(receiver))
}

/// Sends each package back to where it came from.
fn echo_tcp(framing: Framing) -> Live {
    Live::start(Server::builder().listen_tcp("127.0.0.1:0", framing).on_receive(|server, fd, data| {
        server.push(fd, data).expect("the peer reads");
    }))
}

#[test]
fn each_framing_brings_whole_packages_and_frames_the_answers_alike() {
    let length =
        |length_type, length_offset, body_offset| Framing::Length { length_type, length_offset, body_offset };
    let cases: [(Framing, &[u8]); 8] = [
        (LINES(), b"one\n\ntwo words\nx\n"),
        (Framing::EndMark(b"\r\n\r\n".into()), b"one\r\n\r\n\r\r\n\r\n\n\r\n\r\n\r\n\r\n"),
        (length(LengthType::U8, 0, 1), b"\x03one\x00\x01x"),
        (length(LengthType::U16Be, 0, 2), b"\x00\x03one\x00\x00"),
        (length(LengthType::U16Le, 0, 0), b"\x05\x00one\x02\x00"),
        (LENGTH, b"\x00\x00\x00\x03one\x00\x00\x00\x00"),
        (length(LengthType::U32Le, 0, 4), b"\x03\x00\x00\x00one\x00\x00\x00\x00"),
        // Heads with more in them go through as they are.
        (length(LengthType::U16Be, 1, 4), b"T\x00\x03ioneT\x00\x00j"),
    ];
    for (framing, stream) in cases {
        let live = echo_tcp(framing.clone());
        let mut client = Client::connect(live.tcp[0]);
        client.send(stream);
        assert_eq!(client.take(stream.len()), stream, "{framing:?}: pipelined");
        client.send_in_pieces(stream);
        assert_eq!(client.take(stream.len()), stream, "{framing:?}: byte by byte");
        client.finish();
        client.expect_fin();
        live.until_empty();
        assert_eq!(live.ask(|server| server.usage()), swio::Usage::default());
    }
}

#[test]
fn bytes_without_framing_go_through_as_they_come() {
    let live = echo_tcp(Framing::None);
    let mut client = Client::connect(live.tcp[0]);
    let stream: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let mut writer = client.stream.try_clone().expect("a second handle");
    let sent = stream.clone();
    let writing = thread::spawn(move || std::io::Write::write_all(&mut writer, &sent));
    assert!(client.take(stream.len()) == stream);
    writing.join().expect("no panic").expect("the server reads");
    let fd = live.ask(|server| server.connections().next()).expect("it is connected");
    assert_eq!(live.ask(move |server| server.push(fd, "")), Ok(()), "nothing is something that can be sent");
    assert_eq!(live.ask(move |server| server.broadcast("").send().queued), 1);
    client.send("still there");
    assert_eq!(client.take(11), b"still there");
}

#[test]
fn huge_packages_arrive_whole_up_to_the_limit() {
    for framing in [LINES(), LENGTH] {
        let (builder, log) = logged(framing.clone());
        let live = Live::start(builder);
        let max = live.ask(|server| server.config().message_bytes_max);
        let mut client = Client::connect(live.tcp[0]);
        let fd = log.connect();
        let package = vec![b'x'; max];
        if framing == LENGTH {
            client.send((max as u32).to_be_bytes());
            client.send(&package);
        } else {
            client.send(&package);
            client.send("\n");
        }
        assert!(log.receive() == package);
        assert_eq!(live.ask(|server| server.usage().inbound_bytes), 0);
        // One more is too much.
        client.try_send(if framing == LENGTH {
            (max as u32 + 1).to_be_bytes().to_vec()
        } else {
            vec![b'x'; max + 2]
        });
        assert_eq!(
            log.next(),
            Told::Error(Some(fd), "the peer exceeded a limit (1009): package over message_bytes_max".into())
        );
        drop(client);
        let (_, reason) = log.close();
        assert_eq!(
            (reason.by, reason.code, reason.cause),
            (Side::Local, 1009, Cause::TooBig("package over message_bytes_max"))
        );
        still_serving(&live);
    }
}

#[test]
fn a_declared_length_takes_no_memory() {
    let (builder, log) = logged(LENGTH);
    let live = Live::start(builder.configure(|config| config.message_bytes_max = 64 << 20));
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(live.tcp[0])).collect();
    for client in &mut clients {
        client.send((64_u32 << 20).to_be_bytes());
        client.send(b"x");
        log.connect();
    }
    let inbound = live.until("all have begun", |server| {
        let held: Vec<usize> = server
            .connections()
            .filter_map(|fd| server.client_info(fd))
            .map(|info| info.held_bytes)
            .collect();
        (held.len() == 20 && held.iter().all(|bytes| *bytes > 0)).then(|| server.usage().inbound_bytes)
    });
    assert!(inbound < 20 * 1_000, "{inbound} bytes for 20 packages of which 5 bytes are here");
    drop(clients);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage().inbound_bytes), 0);
}

#[test]
fn a_length_that_does_not_count_its_own_head_ends_the_connection() {
    let framing = Framing::Length { length_type: LengthType::U32Be, length_offset: 0, body_offset: 0 };
    let (builder, log) = logged(framing);
    let live = Live::start(builder);
    let mut client = Client::connect(live.tcp[0]);
    let fd = log.connect();
    client.send(b"\x00\x00\x00\x05x\x00\x00\x00\x03");
    assert_eq!(log.receive(), b"x");
    let what = "length shorter than its own head";
    assert_eq!(log.next(), Told::Error(Some(fd), format!("the peer broke the protocol (1002): {what}")));
    client.expect_fin();
    drop(client);
    let (closed, reason) = log.close();
    assert_eq!(
        (closed, reason.by, reason.code, reason.cause),
        (fd, Side::Local, 1002, Cause::Protocol(what))
    );
    still_serving(&live);
}

#[test]
fn a_client_that_ends_its_side_gets_what_was_pushed_and_is_closed_once() {
    let (builder, log) = logged(LINES());
    let live = Live::start(builder.on_receive(|server, fd, data| {
        server.push(fd, data).expect("room");
    }));
    let mut client = Client::connect(live.tcp[0]);
    let fd = log.connect();
    client.send("a\nb\n");
    client.finish();
    assert_eq!(client.take_rest(), b"a\nb\n");
    let goodbye = CloseReason::new(Side::Peer, 1005, "", Cause::Requested);
    assert_eq!(log.close(), (fd, goodbye));
    // In the middle of a package something is lost.
    let mut client = Client::connect(live.tcp[0]);
    let fd = log.connect();
    client.send("a\nb");
    client.finish();
    assert_eq!(client.take_rest(), b"a\n");
    assert_eq!(log.close(), (fd, CloseReason::new(Side::Peer, 1006, "", Cause::Lost)));
    // One that never says anything.
    let client = Client::connect(live.tcp[0]);
    let fd = log.connect();
    client.reset();
    let (closed, reason) = log.close();
    assert_eq!((closed, reason.by), (fd, Side::Peer));
    assert!(matches!(reason.cause, Cause::Io(ErrorKind::ConnectionReset) | Cause::Requested), "{reason:?}");
    live.until_empty();
    assert!(log.0.try_recv().is_err(), "each end is told once");
}

#[test]
fn the_server_ends_a_connection_behind_what_it_pushed_and_hears_no_more_of_it() {
    let (builder, log) = logged(LINES());
    let live = Live::start(builder);
    let mut client = Client::connect(live.tcp[0]);
    let fd = log.connect();
    let held = live.hold();
    client.send("first\nsecond\n");
    let (sender, ended) = mpsc::channel();
    live.handle
        .run(move |server| {
            server.push(fd, "goodbye").expect("room");
            let answers = (server.disconnect(fd, 4000, "enough"), server.disconnect(fd, 1000, ""));
            tell(&sender, (answers, server.push(fd, "more"), server.client_info(fd).map(|info| info.status)));
        })
        .expect("the server takes mail");
    drop(held);
    let ended = ended.recv_timeout(DEADLINE).expect("it ran");
    assert_eq!(ended, ((true, false), Err(PushError::Closing), Some(Status::Closing)));
    assert_eq!(client.take_rest(), b"goodbye\n");
    drop(client);
    assert_eq!(log.close(), (fd, CloseReason::new(Side::Local, 4000, "enough", Cause::Requested)));
    assert_eq!(live.ask(move |server| server.push(fd, "more")), Err(PushError::Gone));
    assert_eq!(live.ask(|server| server.usage()), swio::Usage::default());
}

#[test]
fn one_room_for_both_kinds() {
    let (opened, fds) = mpsc::channel();
    let connected = opened.clone();
    let live = Live::start(
        Server::builder()
            .listen_tcp("127.0.0.1:0", LINES())
            .listen_tcp("127.0.0.1:0", LENGTH)
            .on_open(move |_, request| tell(&opened, request.fd))
            .on_connect(move |server, fd| {
                if server.is_established(fd) {
                    tell(&connected, fd);
                }
            })
            .on_message(|server, frame| {
                server.publish("room", frame.data).except(frame.fd).send();
            })
            .on_receive(|server, fd, data| {
                let text = String::from_utf8_lossy(data).into_owned();
                server.publish("room", text).except(fd).send();
            }),
    );
    let next = || fds.recv_timeout(DEADLINE).expect("a connection");
    let (mut web, web_fd) = (live.open(), next());
    let (mut line, line_fd) = (Client::connect(live.tcp[0]), next());
    let (mut long, long_fd) = (Client::connect(live.tcp[1]), next());
    for fd in [web_fd, line_fd, long_fd] {
        assert_eq!(live.ask(move |server| server.join(fd, "room")), Ok(true));
        assert_eq!(live.ask(move |server| server.bind(fd, "ada")), Ok(true));
    }
    web.text("from the web");
    assert_eq!(line.take(13), b"from the web\n");
    assert_eq!(long.take(16), b"\x00\x00\x00\x0cfrom the web");
    line.send("a line\n");
    web.expect_text("a line");
    assert_eq!(long.take(10), b"\x00\x00\x00\x06a line");
    // A mark in it would be two lines.
    let reach = Reach { queued: 2, unsendable: 1, ..Reach::default() };
    assert_eq!(live.ask(|server| server.broadcast("two\nlines").send()), reach);
    web.expect_text("two\nlines");
    assert_eq!(long.take(13), b"\x00\x00\x00\x09two\nlines");
    let reach = Reach { queued: 3, ..Reach::default() };
    assert_eq!(live.ask(|server| server.push_to_user("ada", Message::from("one").prepare()).queued), 3);
    assert_eq!(live.ask(|server| server.broadcast(vec![b'y'; 100_000]).send()), reach);
    web.expect_text("one");
    web.expect(BINARY, vec![b'y'; 100_000]);
    assert_eq!(line.take(4), b"one\n");
    assert!(line.take(100_001).starts_with(b"yyy"));
    assert_eq!(long.take(7), b"\x00\x00\x00\x03one");
    assert!(long.take(100_004).ends_with(b"yyy"));
    let counts = live.ask(|server| (server.connection_count(), server.connections().count(), server.usage()));
    assert_eq!((counts.0, counts.1, counts.2.websockets, counts.2.tcp), (3, 3, 1, 2));
    drop((line, long));
    live.until("two have left", |server| (server.member_count("room") == 1).then_some(()));
    assert_eq!(live.ask(|server| (server.connection_count(), server.usage().tcp)), (1, 0));
    web.close(1000, "");
    web.expect_close(1000);
    still_serving(&live);
}

#[test]
fn what_raw_tcp_can_not_be_sent_is_refused_and_all_else_arrives_in_order() {
    let (builder, log) = logged(LINES());
    let live = Live::start(builder);
    let mut client = Client::connect(live.tcp[0]);
    let fd = log.connect();
    let refused = live.ask(move |server| {
        [
            server.push(fd, "two\nlines"),
            server.push_as(fd, Opcode::Ping, b""),
            server.push_part(fd, Opcode::Text, b"part", false),
        ]
    });
    assert_eq!(refused, [Err(PushError::Unsendable); 3]);
    live.ask(move |server| {
        server.push(fd, "text")?;
        server.push_as(fd, Opcode::Binary, b"borrowed")?;
        server.push(fd, vec![b'o'; 50_000])?;
        server.push(fd, Message::from("prepared").prepare())?;
        server.send(fd, b"raw, ")
    })
    .expect("room");
    live.handle.push(fd, "by mail").expect("the server takes mail");
    live.ask(move |server| server.disconnect(fd, 1000, ""));
    let expected = format!("text\nborrowed\n{}\nprepared\nraw, by mail\n", "o".repeat(50_000));
    assert!(client.take_rest() == expected.into_bytes());
}

#[test]
fn a_reader_that_is_too_slow_is_ended_and_others_are_not() {
    let (builder, log) = logged(LENGTH);
    let live = Live::start(builder.configure(|config| config.outbox_bytes_max = 256 << 10));
    let mut slow = Client::connect_narrow(live.tcp[0]);
    let slow_fd = log.connect();
    let mut reader = Client::connect(live.tcp[0]);
    log.connect();
    let patience = Patience::new();
    let mut packages = 0;
    loop {
        patience.check("a refused broadcast");
        let reach = live.ask(|server| server.broadcast(vec![b'z'; 16 << 10]).send());
        assert_eq!(reader.take(4 + (16 << 10))[..4], (16_u32 << 10).to_be_bytes());
        if reach.refused == 1 {
            break;
        }
        packages += 1;
        let queued = live.ask(move |server| server.client_info(slow_fd).map(|info| info.queued_bytes));
        assert!(queued.is_some_and(|bytes| bytes <= 256 << 10));
    }
    let (rest, package) = (slow.take_rest().len(), 4 + (16 << 10));
    assert_eq!(rest % package, 0, "whole packages, and no close frame");
    assert!((1..packages).contains(&(rest / package)), "what was not begun is dropped");
    drop(slow);
    let (fd, reason) = log.close();
    assert_eq!((fd, reason.code, reason.cause), (slow_fd, 1013, Cause::SlowConsumer));
    reader.send(b"\x00\x00\x00\x01x");
    assert_eq!(log.receive(), b"x");
}

#[test]
fn with_the_refuse_policy_it_lives_on() {
    let (builder, log) = logged(LINES());
    let live = Live::start(builder.configure(|config| {
        config.outbox_bytes_max = 64 << 10;
        config.slow_consumer = SlowConsumer::DropNewest;
    }));
    let mut client = Client::connect_narrow(live.tcp[0]);
    let fd = log.connect();
    let patience = Patience::new();
    let mut sent = 0;
    while live.ask(move |server| server.push(fd, vec![b'z'; 1_000])) != Err(PushError::Full) {
        patience.check("a full outbox");
        sent += 1_001;
    }
    assert!(client.take(sent).ends_with(b"z\n"));
    live.ask(move |server| server.push(fd, "room again")).expect("room");
    assert_eq!(client.take(11), b"room again\n");
}

#[test]
fn who_does_not_fit_is_turned_away_without_a_word() {
    let (builder, log) = logged(LINES());
    let live = Live::start(builder.configure(|config| config.connections_max = Some(1)));
    let mut first = Client::connect(live.tcp[0]);
    let fd = log.connect();
    let mut second = Client::connect(live.tcp[0]);
    second.expect_fin();
    drop(second);
    first.send("x\n");
    assert_eq!(log.receive(), b"x", "nothing was told of the second");
    first.finish();
    assert_eq!(log.close().0, fd);
    live.until_empty();
}

#[test]
fn memory_for_what_is_only_partly_here_is_one_for_all() {
    let (builder, log) = logged(LINES());
    let live = Live::start(builder.configure(|config| {
        config.message_bytes_max = 40_000;
        config.head_bytes_max = 1_000;
        config.body_bytes_max = 1_000;
        config.inbound_bytes_max = 50_000;
    }));
    let mut first = Client::connect(live.tcp[0]);
    let first_fd = log.connect();
    first.send(vec![b'x'; 30_000]);
    live.until("it is held", move |server| (server.client_info(first_fd)?.held_bytes > 30_000).then_some(()));
    let mut second = Client::connect(live.tcp[0]);
    let second_fd = log.connect();
    second.try_send(vec![b'x'; 30_000]);
    let (fd, reason) = log.close();
    let overload = Cause::Overload("no memory for partial packages");
    assert_eq!((fd, reason.code, reason.cause), (second_fd, 1013, overload));
    first.send("\n");
    assert_eq!(log.receive().len(), 30_000);
    assert_eq!(live.ask(|server| server.usage().inbound_bytes), 0);
}

#[test]
fn silence_is_no_fault_of_raw_tcp() {
    let (builder, log) = logged(LINES());
    let live = Live::start(builder.configure(|config| {
        config.request_timeout = Duration::from_millis(20);
        config.ping_interval = Some(Duration::from_millis(20));
        config.pong_timeout = Duration::from_millis(20);
    }));
    let mut client = Client::connect(live.tcp[0]);
    let fd = log.connect();
    live.after(Duration::from_millis(400)).recv_timeout(DEADLINE).expect("time passes");
    live.ask(move |server| server.push(fd, "are you there?")).expect("it is");
    assert_eq!(client.take(15), b"are you there?\n");
}

#[test]
fn a_panic_costs_the_connection_it_served() {
    let (builder, log) = logged(LINES());
    let live = Live::start(builder.on_receive(|server, fd, data| {
        assert!(data != b"panic", "as asked");
        server.push(fd, data).expect("room");
    }));
    let (mut one, one_fd) = (Client::connect(live.tcp[0]), log.connect());
    let (mut two, _) = (Client::connect(live.tcp[0]), log.connect());
    one.send("fine\npanic\nfine\n");
    assert_eq!(one.take_rest(), b"fine\n");
    assert_eq!(log.next(), Told::Error(Some(one_fd), "on_receive panicked: as asked".into()));
    drop(one);
    let (fd, reason) = log.close();
    assert_eq!((fd, reason.code, reason.cause), (one_fd, 1011, Cause::Panic));
    two.send("fine\n");
    assert_eq!(two.take(5), b"fine\n");
    still_serving(&live);
}

#[test]
fn a_shutdown_sends_what_was_pushed() {
    let (builder, log) = logged(LINES());
    let live = Live::start(builder.on_before_shutdown(|server| {
        server.broadcast("the server goes").send();
    }));
    let mut client = Client::connect(live.tcp[0]);
    let fd = log.connect();
    live.handle.shutdown().expect("it runs");
    assert_eq!(client.take_rest(), b"the server goes\n");
    drop(client);
    let (closed, reason) = log.close();
    assert_eq!((closed, reason.cause), (fd, Cause::Shutdown));
    live.stop();
}

#[test]
fn http_on_raw_tcp_is_only_bytes_and_raw_bytes_on_http_are_refused() {
    let (builder, log) = logged(LINES());
    let live = Live::start(builder);
    let mut client = Client::connect(live.tcp[0]);
    log.connect();
    client.send(UPGRADE);
    assert_eq!(log.receive(), b"GET / HTTP/1.1\r");
    let mut other = live.client();
    other.send("hello\n\n");
    assert_eq!(other.answer().status, 400);
}

#[test]
fn a_framing_that_can_not_work_is_an_error_at_start() {
    for mark in [&b""[..], b"123456789"] {
        let framing = Framing::EndMark(mark.to_vec().into());
        let error = Server::builder().listen_tcp("127.0.0.1:0", framing).build().expect_err("no such mark");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), r#"can't listen on "127.0.0.1:0": an end mark has 1 to 8 bytes"#);
    }
    let error = Server::builder().listen_tcp("nonsense", LINES()).build().expect_err("no address");
    assert!(error.to_string().starts_with(r#"can't listen on "nonsense": "#), "{error}");
    let many = (0..256).fold(Server::builder(), |builder, _| builder.listen_tcp("127.0.0.1:0", LINES()));
    let error = many.build().expect_err("too many");
    assert_eq!(error.to_string(), "at most 120 listeners for raw TCP");
    // Raw TCP alone is a server too.
    let running = Server::builder().listen_tcp("127.0.0.1:0", LINES()).start().expect("a free port");
    let handle = running.handle();
    drop(Client::connect(running.addresses()[0]));
    handle.shutdown().expect("it runs");
    running.join().expect("a good end");
}

#[test]
fn rates_count_packages_and_bytes() {
    let flooded = |framing: Framing, bytes: &[u8]| {
        let (builder, log) = logged(framing);
        let live = Live::start(builder.configure(|config| {
            config.messages_per_second_max = Some(10);
            config.bytes_per_second_max = Some(1 << 20);
        }));
        let mut client = Client::connect(live.tcp[0]);
        log.connect();
        client.try_send(bytes);
        let mut packages = 0;
        let cause = loop {
            match log.next() {
                Told::Receive(..) => packages += 1,
                Told::Error(_, text) => {
                    assert!(text.starts_with("the peer exceeded a limit (1008)"), "{text}")
                }
                Told::Close(_, reason) => break reason.cause,
                Told::Connect(_) => unreachable!("only one connects"),
            }
        };
        let stats = live.ask(|server| server.stats());
        assert_eq!(stats.messages_received, packages);
        assert_eq!(stats.tcp, 0);
        (packages, cause, stats.refusals.message_rate, stats.refusals.byte_rate)
    };
    let messages = Cause::RateLimited("too many messages a second");
    assert_eq!(flooded(LINES(), &[b'\n'; 1_000]), (20, messages, 1, 0));
    let (_, cause, by_messages, by_bytes) = flooded(Framing::None, &[0; 8 << 20]);
    assert_eq!((cause, by_messages, by_bytes), (Cause::RateLimited("too many bytes a second"), 0, 1));
}

#[test]
fn who_says_nothing_for_too_long_is_ended_unless_protected() {
    let (builder, log) = logged(LINES());
    let live =
        Live::start(builder.configure(|config| config.idle_timeout = Some(Duration::from_millis(200))));
    let mut exempt = Client::connect(live.tcp[0]);
    let exempt_fd = log.connect();
    assert!(live.ask(move |server| server.protect(exempt_fd, true)));
    let mut idle = Client::connect(live.tcp[0]);
    let idle_fd = log.connect();
    // Not even the start of a package is silence.
    idle.send("x");
    idle.expect_fin();
    drop(idle);
    let (fd, reason) = log.close();
    assert_eq!((fd, reason.code, reason.cause), (idle_fd, 1001, Cause::Idle));
    live.ask(move |server| server.push(exempt_fd, "still here")).expect("it is exempt");
    assert_eq!(exempt.take(11), b"still here\n");
    assert!(live.ask(move |server| server.protect(exempt_fd, false)));
    exempt.expect_fin();
    drop(exempt);
    assert_eq!(log.close().1.cause, Cause::Idle);
    assert_eq!(live.ask(|server| server.stats().refusals.idle), 2);
}

#[test]
fn a_pause_holds_back_packages_that_were_read_already() {
    let (builder, log) = logged(LINES());
    let (sender, received) = mpsc::channel();
    let live = Live::start(builder.configure(|config| config.delay_receive = true).on_receive(
        move |server, fd, data| {
            server.pause(fd);
            tell(&sender, data.to_vec());
        },
    ));
    let mut client = Client::connect(live.tcp[0]);
    let fd = log.connect();
    client.send("one\ntwo\nthree\nfo");
    let next = || String::from_utf8(received.recv_timeout(DEADLINE).expect("a package")).expect("a text");
    assert!(live.ask(move |server| server.client_info(fd).is_some_and(|info| info.is_paused)));
    assert!(received.try_recv().is_err(), "nothing is read before it is confirmed");
    assert!(live.ask(move |server| server.confirm(fd)));
    for text in ["one", "two", "three"] {
        assert_eq!(next(), text);
        assert!(live.ask(move |server| server.client_info(fd).is_some_and(|info| info.is_paused)));
        assert!(received.try_recv().is_err(), "it is paused");
        assert!(live.ask(move |server| server.resume(fd)));
    }
    client.send("ur\n");
    assert_eq!(next(), "four");
    client.finish();
    live.ask(move |server| server.resume(fd));
    assert_eq!(log.close().1.cause, Cause::Requested);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage().inbound_bytes), 0);
}

#[test]
fn full_and_empty_buffers_are_told() {
    let (builder, log) = logged(LENGTH);
    let (full, marks) = mpsc::channel();
    let empty = full.clone();
    let live = Live::start(
        builder
            .configure(|config| config.buffer_high_watermark = Some(100_000))
            .on_buffer_full(move |_, fd| tell(&full, (fd, "full")))
            .on_buffer_empty(move |_, fd| tell(&empty, (fd, "empty"))),
    );
    let mut client = Client::connect_narrow(live.tcp[0]);
    let fd = log.connect();
    let patience = Patience::new();
    let mut sent = 0;
    while live.ask(move |server| server.client_info(fd).expect("connected").queued_bytes) < 100_000 {
        patience.check("a full buffer");
        live.ask(move |server| server.push(fd, vec![b'x'; 10_000])).expect("room");
        sent += 10_004;
    }
    assert_eq!(marks.recv_timeout(DEADLINE), Ok((fd, "full")));
    client.take(sent);
    assert_eq!(marks.recv_timeout(DEADLINE), Ok((fd, "empty")));
}

#[test]
fn an_address_connects_no_faster_than_it_may_open_websockets() {
    let live = Live::start(Server::builder().listen_tcp("127.0.0.1:0", LINES()).configure(|config| {
        config.handshakes_per_address_max = Some(2);
        config.trusted_proxies.clear();
    }));
    let mut clients: Vec<Client> = (0..30).map(|_| Client::connect(live.tcp[0])).collect();
    live.until("all were accepted", |server| (server.stats().accepted == 30).then_some(()));
    // Ten seconds' worth, and what the time that they took is worth.
    let refused = live.ask(|server| server.stats().refusals.handshake_rate);
    assert!((5..=10).contains(&refused), "{refused}");
    clients.pop().expect("30").expect_fin();
    clients.truncate(20);
    live.until("the others stay", |server| (server.usage().tcp == 20).then_some(()));
}
