//! Control over one connection: paused, confirmed, protected, pinged, closed, reset, and ended when its client is
//! silent for too long.

mod common;

use common::*;
use std::io::{ErrorKind, Read as _};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use swio::{Builder, Cause, Fd, Response, Server, Side, Usage};

/// Lets so much of the server's own time go by.
fn pass(live: &Live, millis: u64) {
    live.after(Duration::from_millis(millis)).recv_timeout(DEADLINE).expect("a timer");
}

fn only(live: &Live) -> Fd {
    live.until("somebody is open", |server| server.connections().next())
}

fn recorded_live() -> (Live, Events) {
    let (builder, events) = recorded();
    (Live::start(builder), events)
}

/// Pauses at each message "pause".
fn pausing() -> (Live, Receiver<String>) {
    let (sender, receiver) = mpsc::channel();
    let builder = Server::builder().on_message(move |server, frame| {
        let text = frame.data.as_str().expect("a text").to_owned();
        if text == "pause" {
            assert!(server.pause(frame.fd));
            assert!(!server.pause(frame.fd), "paused already");
        }
        tell(&sender, text);
    });
    (Live::start(builder), receiver)
}

fn next(told: &Receiver<String>) -> String {
    told.recv_timeout(DEADLINE).expect("a message")
}

#[test]
fn a_paused_connection_delivers_nothing_until_it_is_resumed_and_then_everything_in_order() {
    let (live, told) = pausing();
    let mut client = live.open();
    let fd = only(&live);
    for round in 0..3 {
        // In one read with what is behind it, whole and in parts.
        let (first, second) = (format!("first {round}"), format!("second {round}"));
        let whole = masked(FIN | TEXT, first.as_bytes());
        let parts = masked(TEXT, b"second ");
        client.send([&masked(FIN | TEXT, b"pause")[..], &whole, &parts].concat());
        client.send(masked(FIN | CONTINUATION, round.to_string().as_bytes()));
        assert_eq!(next(&told), "pause");
        pass(&live, 50);
        assert!(told.try_recv().is_err());
        let info = live.ask(move |server| server.client_info(fd)).expect("it is there");
        assert!(info.is_paused);
        assert!(live.ask(move |server| server.push(fd, "pushes go on")).is_ok());
        client.expect_text("pushes go on");
        assert!(live.ask(move |server| server.resume(fd) && !server.resume(fd)));
        assert_eq!((next(&told), next(&told)), (first, second));
        let info = live.ask(move |server| server.client_info(fd)).expect("it is there");
        assert!(!info.is_paused && info.held_bytes == 0, "{info:?}");
    }
    drop(client);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), Usage::default());
}

#[test]
fn a_pause_may_begin_and_end_many_times_in_one_read() {
    let (live, told) = pausing();
    let mut client = live.open();
    let fd = only(&live);
    let frames = ["a", "pause", "b", "pause", "pause", "c"].map(|text| masked(FIN | TEXT, text.as_bytes()));
    client.send(frames.concat());
    assert_eq!((next(&told), next(&told)), ("a".into(), "pause".into()));
    for expected in [&["b", "pause"][..], &["pause"], &["c"]] {
        assert!(live.ask(move |server| server.resume(fd)));
        assert_eq!(expected.iter().map(|_| next(&told)).collect::<Vec<_>>(), expected);
    }
    // Taken back in the same callback: paused all the same.
    live.ask(move |server| assert!(server.pause(fd) && server.resume(fd) && server.pause(fd)));
    client.text("d");
    pass(&live, 50);
    assert!(told.try_recv().is_err());
    assert!(live.ask(move |server| server.resume(fd)));
    assert_eq!(next(&told), "d");
}

#[test]
fn neither_silence_nor_idleness_ends_a_paused_connection() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.ping_interval = Some(Duration::from_millis(100));
        config.pong_timeout = Duration::from_millis(100);
        config.idle_timeout = Some(Duration::from_millis(300));
    }));
    let mut client = live.open();
    let fd = events.open();
    assert!(live.ask(move |server| server.pause(fd)));
    client.text("sent in the pause");
    pass(&live, 1_000);
    assert!(live.ask(move |server| server.is_established(fd)));
    assert_eq!(events.rest(), []);
    assert!(live.ask(move |server| server.resume(fd)));
    assert_eq!(events.message(), b"sent in the pause");
    // And from then on as before: it has not answered a single ping.
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.cause), (fd, Cause::Timeout));
}

#[test]
fn a_paused_connection_is_closed_and_shut_down_like_any_other() {
    let (live, events) = recorded_live();
    let mut client = live.open();
    let fd = events.open();
    assert!(live.ask(move |server| server.pause(fd) && server.disconnect(fd, 4000, "enough")));
    // Not delivered, but the close frame behind it is seen.
    client.text("too late");
    assert_eq!(client.answer_close(4000), "enough");
    assert_eq!(events.close().1.code, 4000);
    let mut client = live.open();
    let fd = events.open();
    assert!(live.ask(move |server| server.pause(fd)));
    live.handle.shutdown().expect("it runs");
    client.answer_close(1001);
    assert_eq!(events.close().0, fd);
}

#[test]
fn a_reset_in_a_pause_is_seen_and_an_end_behind_it() {
    let (live, events) = recorded_live();
    let client = live.open();
    let fd = events.open();
    assert!(live.ask(move |server| server.pause(fd)));
    client.reset();
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.cause), (fd, Cause::Io(ErrorKind::ConnectionReset)));
    let mut client = live.open();
    let fd = events.open();
    assert!(live.ask(move |server| server.pause(fd)));
    client.text("last words");
    client.finish();
    pass(&live, 50);
    assert_eq!(events.rest(), []);
    assert!(live.ask(move |server| server.resume(fd)));
    assert_eq!(events.message(), b"last words");
    assert_eq!(events.close().1.cause, Cause::Lost);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), Usage::default());
}

#[test]
fn http_can_be_paused_between_requests() {
    let live = Live::start(Server::builder().on_request(|server, request| {
        server.pause(request.fd);
        let fd = request.fd;
        server.after(Duration::from_millis(30), move |server| assert!(server.resume(fd)));
        Response::text(200, request.path().to_owned())
    }));
    let mut client = live.client();
    let begun = Instant::now();
    client.send(["/a", "/b", "/c"].map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).concat());
    for path in ["/a", "/b", "/c"] {
        assert_eq!(client.answer().text(), path);
    }
    assert!(begun.elapsed() >= Duration::from_millis(60));
}

#[test]
fn verbs_on_a_connection_that_is_gone_do_nothing() {
    let (live, events) = recorded_live();
    let client = live.open();
    let fd = events.open();
    drop(client);
    live.until_empty();
    live.ask(move |server| {
        assert!(!server.pause(fd) && !server.resume(fd) && !server.confirm(fd) && !server.protect(fd, true));
        assert!(!server.close(fd) && !server.reset(fd) && server.ping(fd, b"").is_err());
        assert!(server.client_info(fd).is_none());
    });
    assert_eq!(live.ask(|server| server.usage()), Usage::default());
}

#[test]
fn with_delay_receive_nothing_is_read_until_the_connection_is_confirmed() {
    let (sender, connected) = mpsc::channel();
    let (builder, events) = recorded();
    let live = Live::start(
        builder.configure(|config| config.delay_receive = true).on_connect(move |_, fd| tell(&sender, fd)),
    );
    let mut client = live.client();
    client.send([UPGRADE.as_bytes(), &masked(FIN | TEXT, b"early")].concat());
    let fd = connected.recv_timeout(DEADLINE).expect("connected");
    pass(&live, 50);
    assert_eq!((events.rest(), live.ask(|server| server.stats().bytes_received)), (Vec::new(), 0));
    assert!(live.ask(move |server| server.confirm(fd)));
    client.expect_101();
    assert_eq!(events.message(), b"early");
    assert!(!live.ask(move |server| server.confirm(fd)));
}

#[test]
fn a_connection_may_be_confirmed_at_once_and_one_that_never_is_times_out() {
    let quick = |builder: Builder| {
        Live::start(builder.configure(|config| {
            config.delay_receive = true;
            config.request_timeout = Duration::from_millis(200);
        }))
    };
    let live = quick(echo().on_connect(|server, fd| assert!(server.confirm(fd))));
    still_serving(&live);
    let live = quick(echo());
    let mut client = live.client();
    client.send(UPGRADE);
    client.expect_fin();
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), Usage::default());
}

#[test]
fn who_says_nothing_for_too_long_is_closed_whatever_pongs_it_sends() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.ping_interval = Some(Duration::from_millis(100));
        config.pong_timeout = Duration::from_millis(100);
        config.idle_timeout = Some(Duration::from_millis(500));
    }));
    let mut client = live.open();
    let fd = events.open();
    let begun = Instant::now();
    let mut pings = 0;
    let close = loop {
        let frame = client.read_frame();
        match frame.opcode {
            PING => client.frame(PONG, &frame.payload),
            _ => break frame.close(),
        }
        pings += 1;
    };
    assert_eq!(close, (1001, "idle for too long".into()));
    assert!(begun.elapsed() >= Duration::from_millis(500) && pings >= 2, "{pings} in {:?}", begun.elapsed());
    client.close(1001, "");
    client.expect_fin();
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.by, reason.cause), (fd, Side::Local, Cause::Idle));
    assert_eq!(live.ask(|server| server.stats().refusals.idle), 1);
}

#[test]
fn who_says_something_now_and_then_is_not_idle() {
    for ping in [None, Some(Duration::from_millis(200))] {
        let (builder, events) = recorded();
        let live = Live::start(builder.configure(move |config| {
            config.ping_interval = ping;
            config.idle_timeout = Some(Duration::from_millis(600));
        }));
        let mut client = live.open();
        for _ in 0..6 {
            pass(&live, 250);
            client.text("still here");
            events.message();
        }
        // Also by an upload that takes its time.
        client.send(&masked(FIN | BINARY, &[0; 10])[..4]);
        for byte in 4..9 {
            pass(&live, 250);
            client.send(&masked(FIN | BINARY, &[0; 10])[byte..=byte]);
        }
        client.send(&masked(FIN | BINARY, &[0; 10])[9..]);
        assert_eq!(events.message(), [0; 10]);
        assert_eq!(live.ask(|server| server.stats().refusals.idle), 0);
    }
}

#[test]
fn a_new_idle_timeout_is_for_those_who_are_there_too() {
    let (live, events) = recorded_live();
    let mut client = live.open();
    let fd = events.open();
    live.ask(|server| server.reload(|config| config.idle_timeout = Some(Duration::from_millis(200))))
        .expect("a good configuration");
    assert_eq!(client.read_frame().close().0, 1001);
    client.close(1001, "");
    assert_eq!((events.close().0, live.ask(|server| server.usage().websockets)), (fd, 0));
}

#[test]
fn a_protected_connection_is_pinged_and_yet_not_given_up() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.ping_interval = Some(Duration::from_millis(100));
        config.pong_timeout = Duration::from_millis(100);
        config.idle_timeout = Some(Duration::from_millis(300));
    }));
    let mut client = live.open();
    let fd = events.open();
    assert!(live.ask(move |server| server.protect(fd, true)));
    for _ in 0..6 {
        assert_eq!(client.read_frame().opcode, PING);
    }
    assert!(live.ask(move |server| server.client_info(fd)).expect("it is there").is_protected);
    assert!(live.ask(move |server| server.protect(fd, false)));
    assert_eq!(events.close().1.cause, Cause::Timeout);
}

fn round_trip(live: &Live, fd: Fd) -> Option<Duration> {
    live.ask(move |server| server.client_info(fd)).expect("it is there").round_trip
}

#[test]
fn an_answered_ping_tells_the_round_trip_and_a_lie_does_not() {
    let (sender, pongs) = mpsc::channel();
    let (builder, events) = recorded();
    let live = Live::start(builder.on_pong(move |_, _, data| tell(&sender, data.to_vec())));
    let mut client = live.open();
    let fd = events.open();
    let mut other = live.open();
    assert_eq!(round_trip(&live, fd), None);
    live.ask(move |server| server.ping(fd, b"")).expect("open");
    let ping = client.read_frame();
    assert_eq!((ping.opcode, ping.payload.len()), (PING, 8));
    let mut forged = ping.payload.clone();
    forged[7] ^= 1;
    for lie in [&b""[..], b"12345678", &[0; 8], &[0xff; 125], &ping.payload[..7], &forged] {
        client.frame(PONG, lie);
        assert_eq!(pongs.recv_timeout(DEADLINE).expect("a pong"), lie);
        assert_eq!(round_trip(&live, fd), None);
    }
    // Somebody else's ping.
    other.frame(PONG, &ping.payload);
    pongs.recv_timeout(DEADLINE).expect("a pong");
    let others = events.open();
    assert_eq!(round_trip(&live, others), None);
    pass(&live, 100);
    client.frame(PONG, &ping.payload);
    pongs.recv_timeout(DEADLINE).expect("a pong");
    let trip = round_trip(&live, fd).expect("measured");
    assert!(trip >= Duration::from_millis(100) && trip < DEADLINE, "{trip:?}");
    // The same from a ping of one's own, which has no time in it.
    live.ask(move |server| server.ping(fd, b"mine")).expect("open");
    client.expect(PING, "mine");
    client.frame(PONG, b"mine");
    pongs.recv_timeout(DEADLINE).expect("a pong");
    assert_eq!(round_trip(&live, fd), Some(trip));
    assert!(live.ask(move |server| server.ping(fd, &[0; 126])).is_err());
}

#[test]
fn heartbeats_measure_the_round_trip_by_themselves() {
    let (builder, events) = recorded();
    let live =
        Live::start(builder.configure(|config| config.ping_interval = Some(Duration::from_millis(100))));
    let mut client = live.open();
    let fd = events.open();
    let ping = client.read_frame();
    client.frame(PONG, &ping.payload);
    live.until("it is measured", move |server| server.client_info(fd)?.round_trip);
}

#[test]
fn close_is_a_normal_end_and_reset_is_an_abrupt_one() {
    let (live, events) = recorded_live();
    let mut client = live.open();
    let fd = events.open();
    assert!(live.ask(move |server| server.close(fd)));
    assert_eq!(client.answer_close(1000), "");
    assert_eq!((events.close().1.code, live.ask(move |server| server.close(fd))), (1000, false));
    let mut client = live.open();
    let fd = events.open();
    live.ask(move |server| {
        server.push(fd, "never arrives").expect("open");
        assert!(server.reset(fd) && !server.reset(fd) && server.push(fd, "gone").is_err());
    });
    let mut rest = Vec::new();
    let error = client.stream.read_to_end(&mut rest).expect_err("a reset");
    assert_eq!((error.kind(), rest.len()), (ErrorKind::ConnectionReset, 0));
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.by, reason.code, reason.cause), (fd, Side::Local, 1006, Cause::Requested));
    // One that only speaks HTTP, in the middle of its request.
    let mut client = live.client();
    client.send("GET / HT");
    live.until("its request has begun", |server| (server.usage().connections == 1).then_some(()));
    live.ask(|server| assert_eq!(server.usage().websockets, 0));
}

#[test]
fn client_info_tells_both_addresses() {
    let (live, events) = recorded_live();
    let client = live.open();
    let fd = events.open();
    let info = live.ask(move |server| server.client_info(fd)).expect("it is there");
    assert_eq!(info.local_addr, Some(live.address));
    assert_eq!(info.remote_addr, Some(client.stream.local_addr().expect("connected")));
    assert!(!info.is_paused && !info.is_protected && info.round_trip.is_none());
}

#[test]
fn a_connection_that_is_ending_can_t_be_paused() {
    let (sender, told) = mpsc::channel();
    let live = Live::start(Server::builder().on_message(move |server, frame| {
        let fd = frame.fd;
        assert!(server.pause(fd));
        assert!(server.disconnect(fd, 4000, "enough"));
        // Its pause is over with that, so that the client's answer is seen.
        tell(&sender, server.pause(fd));
    }));
    let mut client = live.open();
    client.send(masked(FIN | TEXT, b"x"));
    assert!(!told.recv_timeout(DEADLINE).expect("a message"));
    client.answer_close(4000);
    live.until_empty();
}
