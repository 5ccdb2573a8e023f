//! Connections that break off at every point, by a reset or a bare FIN: on_close is called exactly once for each
//! on_open, nothing is left over, and the server goes on.

mod common;

use common::*;
use std::sync::Mutex;
use std::time::Duration;
use swio::{Cause, Response, Server, Side, Usage};

/// How far a client goes before it breaks off, and how many opens the server must have seen of it; `None`
/// where that is a race.
type Point = (&'static str, fn(&Live) -> Client, Option<usize>);

const POINTS: [Point; 14] = [
    ("after connect", |live| live.client(), Some(0)),
    ("in the head", |live| sending(live.client(), "GET / HTTP/1.1\r\nHos"), Some(0)),
    (
        "in a body",
        |live| sending(live.client(), "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nab"),
        Some(0),
    ),
    ("behind a request", |live| sending(live.client(), "GET / HTTP/1.1\r\nHost: test\r\n\r\n"), Some(0)),
    ("behind the head", |live| sending(live.client(), UPGRADE), None),
    (
        "behind a refused head",
        |live| sending(live.client(), upgrade_with("Origin: http://evil\r\n")),
        Some(0),
    ),
    ("behind the 101", |live| live.open(), Some(1)),
    ("in a frame's header", |live| sending(live.open(), [FIN | BINARY]), Some(1)),
    (
        "in a frame's long header",
        |live| sending(live.open(), &masked_header(FIN | BINARY, 70_000)[..7]),
        Some(1),
    ),
    ("in a payload", |live| sending(live.open(), &masked(FIN | BINARY, &[7; 5_000])[..2_000]), Some(1)),
    ("between fragments", |live| sending(live.open(), masked(TEXT, b"hello")), Some(1)),
    (
        "in a ping between fragments",
        |live| {
            sending(live.open(), [&masked(TEXT, b"hello")[..], &masked(FIN | PING, b"ping")[..8]].concat())
        },
        Some(1),
    ),
    ("behind a close frame", |live| sending(live.open(), masked(FIN | CLOSE, b"")), Some(1)),
    ("behind a violation", |live| sending(live.open(), masked(FIN | 0x40 | TEXT, b"")), Some(1)),
];

fn sending(mut client: Client, bytes: impl AsRef<[u8]>) -> Client {
    client.send(bytes);
    client
}

/// Breaks off at each point, several times over, and checks what is left.
fn break_off(how: impl Fn(Client)) {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    for (what, advance, opens) in POINTS {
        const TIMES: usize = 10;
        for _ in 0..TIMES {
            how(advance(&live));
        }
        // Accepted behind all of them.
        still_serving(&live);
        live.until_empty();
        let opened = events.check_pairs() - 1;
        assert_eq!(opened, opens.map_or(opened, |opens| TIMES * opens), "{what}");
        assert_eq!(live.ask(|server| server.usage()), Usage::default(), "{what}");
    }
    live.stop();
}

#[test]
fn a_reset_at_any_point_leaves_nothing_behind() {
    break_off(Client::reset);
}

#[test]
fn a_fin_at_any_point_leaves_nothing_behind() {
    break_off(|mut client| {
        client.finish();
        client.take_rest();
    });
}

#[test]
fn a_close_of_the_socket_at_any_point_leaves_nothing_behind() {
    break_off(drop);
}

#[test]
fn a_fin_without_a_close_frame_is_a_lost_connection() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut client = live.open();
    let fd = events.open();
    client.finish();
    client.expect_fin();
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.by, reason.code, reason.cause), (fd, Side::Peer, 1006, Cause::Lost));
}

#[test]
fn a_reset_is_an_io_error() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let client = live.open();
    let fd = events.open();
    client.reset();
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.by, reason.code), (fd, Side::Peer, 1006));
    assert!(matches!(reason.cause, Cause::Io(std::io::ErrorKind::ConnectionReset)), "{reason}");
}

#[test]
fn a_reset_while_much_is_queued_frees_it() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    for _ in 0..5 {
        let client = Client::connect_narrow(live.address).handshake();
        let fd = events.open();
        let patience = Patience::new();
        while live.ask(move |server| server.client_info(fd).map_or(0, |info| info.queued_bytes)) < 1 << 20 {
            patience.check("a queue");
            live.ask(move |server| server.push(fd, vec![7; 100_000])).expect("room");
        }
        client.reset();
        assert_eq!(events.close().0, fd);
        assert_eq!(live.ask(|server| server.usage()), Usage::default());
    }
    still_serving(&live);
}

#[test]
fn a_reset_during_the_close_handshake_keeps_the_first_reason() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut client = live.open();
    let fd = events.open();
    live.ask(move |server| server.disconnect(fd, 4321, "go"));
    assert_eq!(client.read_frame().close(), (4321, "go".to_owned()));
    client.reset();
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.by, reason.code, &*reason.text), (fd, Side::Local, 4321, "go"));
    live.until_empty();
    assert_eq!(events.check_pairs(), 0);
}

#[test]
fn a_thousand_connections_opened_and_reset_in_a_loop_leave_nothing_behind() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut bystander = live.open();
    let fd = events.open();
    for number in 0..1_000 {
        let (_, advance, _) = POINTS[number % POINTS.len()];
        advance(&live).reset();
    }
    still_serving(&live);
    live.until("only the bystander is left", |server| (server.usage().connections == 1).then_some(()));
    bystander.frame(PING, b"?");
    bystander.expect(PONG, b"?");
    assert_eq!(live.ask(|server| server.connections().collect::<Vec<_>>()), [fd]);
    bystander.close(1000, "");
    bystander.expect_close(1000);
    drop(bystander);
    live.until_empty();
    let closes =
        events.rest().into_iter().filter(|event| matches!(event, Event::Close(closed, _) if *closed == fd));
    assert_eq!(closes.count(), 1);
}

/// A handshake whose answer finds the output of its turn full: what was answered before is written to make room, which
/// tells of the reset.
#[test]
fn a_reset_that_is_noticed_while_the_handshake_is_answered_is_no_open_connection() {
    // The longest that wait for the end of the turn: 64 of these are nearly all that one turn keeps together.
    const LEN: usize = 16_379;
    for spare in (0..400).step_by(20) {
        let (builder, events) = recorded();
        let live = Live::start(builder.on_request(|_, _| Response::text(200, "a page")));
        let mut reader = live.open();
        events.open();
        let mut client = live.client();
        live.until("both are there", |server| (server.usage().connections == 2).then_some(()));
        let held = live.hold();
        let fill = move |server: &mut Server| {
            for _ in 0..63 {
                server.broadcast(&[7; LEN]).send();
            }
            server.broadcast(vec![7; LEN - spare]).send();
        };
        live.handle.run(fill).expect("the server takes mail");
        client.send([b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", UPGRADE.as_bytes()].concat());
        client.reset();
        drop(held);
        for _ in 0..64 {
            reader.read_frame();
        }
        live.until("it is gone", |server| (server.usage().connections == 1).then_some(()));
        drop(reader);
        live.until_empty();
        let all = events.rest();
        let closes = all.iter().filter(|event| matches!(event, Event::Close(..))).count();
        let opens = all.iter().filter(|event| matches!(event, Event::Open(..))).count();
        assert_eq!(closes, opens + 1, "{spare}: {all:?}");
    }
}

/// The FIN is told of together with the first bytes; when these take more than one turn to read, it must not
/// be forgotten, for no edge tells of it again.
#[test]
fn a_fin_behind_more_than_one_turns_reading_is_noticed() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.read_buffer_bytes = 1_000;
        config.reads_per_turn_max = 2;
        config.ping_interval = None;
    }));
    for len in [900, 2_500, 5_000, 9_500] {
        let mut client = live.open();
        let fd = events.open();
        let held = live.hold();
        client.frame(BINARY, &vec![7; len]);
        client.finish();
        drop(held);
        assert_eq!(events.message().len(), len);
        let (closed, reason) = events.close();
        assert_eq!((closed, reason.cause), (fd, Cause::Lost));
    }
}

/// The same with the limits as they are by default.
#[test]
fn a_fin_behind_several_big_messages_is_noticed() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| config.ping_interval = None));
    let mut client = live.open();
    let fd = events.open();
    let held = live.hold();
    client.stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    // As much as the kernel takes: more than one turn reads, where its buffers are of a usual size.
    for _ in 0..24 {
        if std::io::Write::write_all(&mut client.stream, &masked(FIN | BINARY, &[7; 100_000])).is_err() {
            break;
        }
    }
    client.stream.shutdown(std::net::Shutdown::Write).expect("connected");
    drop(held);
    assert_eq!(events.close().0, fd);
}

#[test]
fn a_half_closed_client_is_sent_what_was_pushed_to_it() {
    let live = Live::start(Server::builder().on_message(|server, frame| {
        for _ in 0..50 {
            server.push(frame.fd, vec![7; 100_000]).ok();
        }
    }));
    let mut client = live.open();
    client.text("much");
    client.finish();
    for _ in 0..50 {
        client.expect(BINARY, vec![7; 100_000]);
    }
    client.expect_fin();
}

#[test]
fn a_reset_with_answers_queued_frees_them() {
    let page = vec![b'x'; 1 << 20];
    let live = Live::start(Server::builder().on_request(move |_, _| Response::new(200).body(page.clone())));
    for _ in 0..5 {
        let mut client = Client::connect_narrow(live.address);
        for _ in 0..100 {
            client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        }
        live.until("answers wait", |server| (server.usage().queued_bytes > 0).then_some(()));
        client.reset();
        live.until_empty();
        assert_eq!(live.ask(|server| server.usage()), Usage::default());
    }
    still_serving(&live);
}

/// What was logged for operators.
struct Warned(Mutex<Vec<String>>);

static WARNED: Warned = Warned(Mutex::new(Vec::new()));

impl log::Log for Warned {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().expect("nobody panics with it").push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_client_that_is_gone_before_its_answer_is_no_news() {
    log::set_logger(&WARNED).expect("the only one");
    log::set_max_level(log::LevelFilter::Warn);
    // So large that it is written at once, and the socket says that nobody is there.
    let live = Live::start(Server::builder().on_request(|_, _| Response::text(200, "x".repeat(4 << 20))));
    let held = live.hold();
    for _ in 0..20 {
        let mut client = live.client();
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2));
        client.reset();
    }
    drop(held);
    live.until("all came and went", |server| {
        let stats = server.stats();
        (stats.accepted == 20 && stats.connections == 0).then_some(())
    });
    assert!(live.ask(|server| server.stats().requests) >= 1, "hardly a test");
    let warned = WARNED.0.lock().expect("nobody panics with it");
    assert!(!warned.iter().any(|line| line.contains("was not sent")), "{warned:?}");
}
