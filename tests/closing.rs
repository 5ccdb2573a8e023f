//! Endings: who closes with which code, what the peer and on_close get to know, and the end of the server itself.

mod common;

use common::*;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use swio::{Cause, CloseReason, Fd, PushError, Server, Side};

fn one() -> (Live, Events, Client, Fd) {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let client = live.open();
    let fd = events.open();
    (live, events, client, fd)
}

/// The one close of this fd, and nothing behind it.
fn expect_closed(live: &Live, events: &Events, fd: Fd, reason: &CloseReason) {
    assert_eq!(events.close(), (fd, reason.clone()));
    live.until_empty();
    assert_eq!(events.rest(), []);
}

#[test]
fn the_peers_code_and_reason_are_told_and_its_code_is_echoed() {
    for (code, text) in [
        (1000, ""),
        (1000, "bye"),
        (1001, "going away"),
        (1002, ""),
        (1003, ""),
        (1007, ""),
        (1008, ""),
        (1009, ""),
        (1010, ""),
        (1011, ""),
        (1012, ""),
        (1013, ""),
        (1014, ""),
        (3000, "κόσμε"),
        (4999, "x".repeat(123).leak()),
    ] {
        let (live, events, mut client, fd) = one();
        client.close(code, text);
        assert_eq!(client.expect_close(code), "");
        drop(client);
        expect_closed(&live, &events, fd, &CloseReason::new(Side::Peer, code, text, Cause::Requested));
    }
}

#[test]
fn a_close_without_a_code_is_1005_and_answered_without_one() {
    let (live, events, mut client, fd) = one();
    client.frame(CLOSE, b"");
    let frame = client.read_frame();
    assert_eq!((frame.opcode, frame.payload.len()), (CLOSE, 0));
    client.expect_fin();
    drop(client);
    expect_closed(&live, &events, fd, &CloseReason::new(Side::Peer, 1005, "", Cause::Requested));
}

#[test]
fn a_close_frame_in_pieces_or_between_fragments_closes() {
    let (live, events, mut client, fd) = one();
    client.send(masked(TEXT, b"never finished"));
    client.send_in_pieces(masked(FIN | CLOSE, &close_payload(4000, "bye")));
    client.expect_close(4000);
    drop(client);
    expect_closed(&live, &events, fd, &CloseReason::new(Side::Peer, 4000, "bye", Cause::Requested));
}

#[test]
fn disconnect_sends_code_and_reason_behind_what_was_pushed() {
    let (live, events, mut client, fd) = one();
    let results = live.ask(move |server| {
        server.push(fd, "one").expect("open");
        server.push(fd, vec![2; 100_000]).expect("open");
        (
            server.disconnect(fd, 4000, "enough"),
            server.disconnect(fd, 4001, "twice"),
            server.is_established(fd),
        )
    });
    assert_eq!(results, (true, false, false));
    client.expect_text("one");
    client.expect(BINARY, vec![2; 100_000]);
    assert_eq!(client.answer_close(4000), "enough");
    drop(client);
    expect_closed(&live, &events, fd, &CloseReason::new(Side::Local, 4000, "enough", Cause::Requested));
}

#[test]
fn disconnect_with_a_code_that_may_not_be_sent_sends_1000() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        let (live, events, mut client, fd) = one();
        assert!(live.ask(move |server| server.disconnect(fd, code, "bye")));
        assert_eq!(client.answer_close(1000), "bye");
        drop(client);
        expect_closed(&live, &events, fd, &CloseReason::new(Side::Local, 1000, "bye", Cause::Requested));
    }
}

#[test]
fn a_reason_over_123_bytes_is_cut_at_a_characters_end() {
    let long = "κ".repeat(100);
    let (live, events, mut client, fd) = one();
    let reason = long.clone();
    assert!(live.ask(move |server| server.disconnect(fd, 3000, &reason)));
    assert_eq!(client.answer_close(3000), long[..122]);
    drop(client);
    expect_closed(&live, &events, fd, &CloseReason::new(Side::Local, 3000, &long[..122], Cause::Requested));
}

#[test]
fn after_disconnect_nothing_more_is_delivered() {
    let (sender, seen) = mpsc::channel();
    let live = Live::start(Server::builder().on_message(move |server, frame| {
        sender.send(frame.data.to_vec()).ok();
        if &*frame.data == b"bye" {
            server.disconnect(frame.fd, 1000, "");
        }
    }));
    let mut client = live.open();
    let messages = ["hello", "bye", "too late"].map(|text| masked(FIN | TEXT, text.as_bytes()));
    client.send(messages.concat());
    client.send([masked(FIN | TEXT, b"also too late"), masked(FIN | PING, b"?")].concat());
    client.answer_close(1000);
    drop(client);
    live.until_empty();
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [b"hello".to_vec(), b"bye".to_vec()]);
}

#[test]
fn disconnect_in_on_open_closes_behind_the_welcome_and_on_close_runs_once() {
    let (sender, closed) = mpsc::channel();
    let live = Live::start(
        Server::builder()
            .on_open(|server, request| {
                server.push(request.fd, "welcome, and").ok();
                assert!(server.disconnect(request.fd, 4003, "goodbye"));
            })
            .on_message(|_, frame| panic!("{:?} was delivered", frame.data))
            .on_close(move |_, fd, reason| tell(&sender, (fd.to_u64(), reason.to_string()))),
    );
    let mut client = live.client();
    client.send([UPGRADE.as_bytes(), &masked(FIN | TEXT, b"hello")].concat());
    client.expect_101();
    client.expect_text("welcome, and");
    assert_eq!(client.answer_close(4003), "goodbye");
    drop(client);
    assert_eq!(closed.recv_timeout(DEADLINE), Ok((1, "closed by this side, 4003 \"goodbye\"".to_owned())));
    live.until_empty();
    assert!(closed.try_recv().is_err());
}

#[test]
fn closes_that_cross_end_with_the_first_reason() {
    let (live, events, mut client, fd) = one();
    let held = live.hold();
    live.handle.disconnect(fd, 4001, "from the server").expect("the server takes mail");
    client.close(4002, "from the client");
    drop(held);
    let (code, reason) = client.read_frame().close();
    client.expect_fin();
    drop(client);
    // Mail comes before reading, so the server's is the first.
    assert_eq!((code, &*reason), (4001, "from the server"));
    expect_closed(
        &live,
        &events,
        fd,
        &CloseReason::new(Side::Local, 4001, "from the server", Cause::Requested),
    );
}

#[test]
fn a_peer_that_ends_tcp_instead_of_answering_the_close_keeps_the_first_reason() {
    let (live, events, mut client, fd) = one();
    live.ask(move |server| server.disconnect(fd, 4001, "bye"));
    assert_eq!(client.read_frame().close(), (4001, "bye".to_owned()));
    client.finish();
    client.expect_fin();
    drop(client);
    expect_closed(&live, &events, fd, &CloseReason::new(Side::Local, 4001, "bye", Cause::Requested));
}

#[test]
fn a_violation_while_closing_keeps_the_first_reason() {
    let (live, events, mut client, fd) = one();
    live.ask(move |server| server.disconnect(fd, 4001, "bye"));
    assert_eq!(client.read_frame().close(), (4001, "bye".to_owned()));
    client.send([0xff; 20]);
    client.expect_fin();
    drop(client);
    expect_closed(&live, &events, fd, &CloseReason::new(Side::Local, 4001, "bye", Cause::Requested));
}

#[test]
fn an_idle_http_connection_can_be_disconnected_too() {
    let live = Live::start(Server::builder());
    let mut client = live.client();
    let fd = Fd::from_u64(1).expect("an fd");
    live.until("it is accepted", move |server| server.exists(fd).then_some(()));
    assert!(live.ask(move |server| server.disconnect(fd, 1000, "")));
    client.expect_fin();
    assert!(!live.ask(move |server| server.disconnect(fd, 1000, "")));
}

#[test]
fn shutdown_sends_1001_behind_what_was_pushed_and_run_returns() {
    let (builder, events) = recorded();
    let mut live = Live::start(builder);
    let mut clients = [(); 5].map(|()| live.open());
    let fds = [(); 5].map(|()| events.open());
    let mut idle = live.client();
    let mut half = live.client();
    half.send("GET / HTTP/1.1\r\n");
    live.until("they are accepted", |server| (server.usage().connections == 7).then_some(()));
    live.ask(|server| {
        server.broadcast("the last message").send();
        server.shutdown();
        server.shutdown();
    });
    for client in &mut clients {
        client.expect_text("the last message");
        assert_eq!(client.answer_close(1001), "server shutdown");
    }
    idle.expect_fin();
    half.expect_fin();
    drop((clients, idle, half));
    live.join();
    for fd in fds {
        let (closed, reason) = events.close();
        assert!(fds.contains(&closed), "{fd}");
        assert_eq!((reason.by, reason.code, reason.cause), (Side::Local, 1001, Cause::Shutdown));
    }
    assert_eq!(live.handle.push(fds[0], "x"), Err(PushError::Stopped));
    assert!(std::net::TcpStream::connect(live.address).is_err(), "it still listens");
}

#[test]
fn shutdown_cuts_off_who_does_not_answer_after_its_timeout() {
    let (builder, events) = recorded();
    let mut live = Live::start(builder.configure(|config| {
        config.shutdown_timeout = Duration::from_millis(100);
        config.close_timeout = Duration::from_secs(1_000);
    }));
    let _silent = live.open();
    let fd = events.open();
    let begun = Instant::now();
    live.handle.shutdown().expect("the server takes mail");
    live.join();
    assert!(begun.elapsed() >= Duration::from_millis(100));
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.cause), (fd, Cause::Shutdown));
}

/// Told all at once, all would come back at once.
#[test]
fn shutdown_tells_many_one_after_the_other_and_serves_the_rest_meanwhile() {
    let mut live = Live::start(echo().configure(|config| {
        config.shutdown_code = 4_001;
        config.drain_window = Duration::from_secs(60);
        config.shutdown_timeout = Duration::ZERO;
    }));
    let mut clients: Vec<_> = (0..48).map(|_| live.open()).collect();
    let begun = Instant::now();
    let (counts, all_counts) = mpsc::channel();
    live.ask(move |server| {
        server.every(Duration::from_millis(1), move |server, _| {
            counts.send(server.connection_count()).ok();
            // Nothing but this tells one that is served from one that was told.
            server.broadcast(server.connection_count().to_string()).send();
        });
        server.shutdown();
    });
    for (number, client) in clients.iter_mut().enumerate() {
        // 16 are the least that are told in one step.
        let heard = number >= 16;
        let mut frame = client.read_frame();
        assert_eq!(frame.opcode == TEXT, heard, "client {number}: {frame:?}");
        while frame.opcode == TEXT {
            frame = client.read_frame();
        }
        assert_eq!(frame.close(), (4_001, "server shutdown".into()));
        client.close(4_001, "");
        client.expect_fin();
    }
    drop(clients);
    live.join();
    let mut counts: Vec<_> = all_counts.iter().collect();
    counts.dedup();
    assert_eq!(counts[..2], [32, 16]);
    // The window is not waited for once all are gone.
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn shutdown_without_a_window_tells_all_at_once() {
    let mut live = Live::start(echo().configure(|config| {
        config.drain_window = Duration::ZERO;
    }));
    let mut clients: Vec<_> = (0..100).map(|_| live.open()).collect();
    live.ask(Server::shutdown);
    assert_eq!(live.ask(|server| server.connection_count()), 0, "one was not told in the first turn");
    for client in &mut clients {
        client.answer_close(1001);
    }
    drop(clients);
    live.join();
}

#[test]
fn shutdown_in_any_callback_ends_the_server() {
    let by_message = Server::builder().on_message(|server, _| server.shutdown());
    let by_open = Server::builder().on_open(|server, _| server.shutdown());
    let by_close = Server::builder().on_close(|server, _, _| server.shutdown());
    for builder in [by_message, by_open, by_close] {
        let mut live = Live::start(builder);
        let mut client = live.client();
        client.send([UPGRADE.as_bytes(), &masked(FIN | TEXT, b"hello"), &masked(FIN | CLOSE, b"")].concat());
        client.expect_101();
        assert_eq!(client.read_frame().opcode, CLOSE);
        client.expect_fin();
        drop(client);
        live.join();
    }
}

#[test]
fn shutdown_of_an_idle_server_ends_at_once() {
    let mut live = Live::start(Server::builder());
    live.ask(|server| {
        server.every(Duration::from_secs(1_000), |_, _| ());
    });
    live.handle.shutdown().expect("the server takes mail");
    live.join();
}

/// "Wait for ever" must neither panic nor be cut to nothing.
#[test]
fn the_longest_timeouts_work() {
    let (builder, _events) = recorded();
    let mut live = Live::start(builder.configure(|config| {
        config.shutdown_timeout = Duration::MAX;
        config.close_timeout = Duration::MAX;
        config.request_timeout = Duration::MAX;
        config.keep_alive_timeout = Duration::MAX;
        config.ping_interval = Some(Duration::MAX);
        config.pong_timeout = Duration::MAX;
        config.linger_timeout = Duration::MAX;
    }));
    let mut client = live.open();
    client.frame(PING, b"?");
    client.expect(PONG, b"?");
    live.ask(|server| {
        server.after(Duration::MAX, |_| ());
        server.every(Duration::MAX, |_, _| ());
    });
    live.handle.shutdown().expect("the server takes mail");
    client.answer_close(1001);
    drop(client);
    live.join();
}
