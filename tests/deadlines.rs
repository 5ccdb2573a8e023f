//! A deadline of the application's own, for connections of every kind.

mod common;

use common::transports::{Kind, Reader, all_transports};
use common::*;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use swio::{Builder, Callbacks, Fd, Reply, Response, Server};

const SOON: Duration = Duration::from_millis(40);
const NEVER: Duration = Duration::from_secs(3_600);

/// Tells of each deadline that passes.
fn watched(builder: Builder) -> (Builder, Receiver<Fd>) {
    let (sender, due) = mpsc::channel();
    (builder.on_deadline(move |_, fd| tell(&sender, fd)), due)
}

fn pass(live: &Live, delay: Duration) {
    live.after(delay).recv_timeout(DEADLINE).expect("a timer");
}

#[test]
fn each_kind_of_connection_has_one_and_it_goes_with_the_connection() {
    let (builder, due) = watched(all_transports(Server::builder(), "127.0.0.1:0"));
    let live = Live::start(builder);
    for kind in [Kind::WebSocket, Kind::EventStream, Kind::LongPolling, Kind::Tcp] {
        let reader = Reader::open(kind, live.address, live.tcp[0], false);
        let fd =
            live.until("it is open", |server| server.connections().find(|fd| server.is_established(*fd)));
        let begun = Instant::now();
        live.ask(move |server| {
            assert!(server.set_deadline(fd, NEVER));
            assert!(server.set_deadline(fd, SOON), "in place of the other");
            assert_eq!(server.usage().timers, 1);
        });
        assert_eq!(due.recv_timeout(DEADLINE), Ok(fd), "{kind:?}");
        assert!(begun.elapsed() >= SOON);
        live.ask(move |server| {
            assert_eq!(server.usage().timers, 0, "it was due once");
            assert!(server.set_deadline(fd, SOON) && server.set_deadline(fd, None));
            assert_eq!(server.usage().timers, 0);
        });
        pass(&live, 2 * SOON);
        assert!(due.try_recv().is_err(), "{kind:?}: it was taken away");
        live.ask(move |server| {
            assert!(server.set_deadline(fd, SOON));
            assert!(server.reset(fd));
            assert!(!server.set_deadline(fd, SOON), "it is gone");
            assert_eq!(server.usage().timers, 0);
            assert!(!server.set_deadline(fd, None));
        });
        pass(&live, 2 * SOON);
        assert!(due.try_recv().is_err(), "{kind:?}: it is gone");
        drop(reader);
        live.until_empty();
    }
}

#[test]
fn a_client_that_goes_takes_its_deadline_along() {
    let (builder, due) = watched(Server::builder());
    let live = Live::start(builder.on_open(|server, request| {
        assert!(server.set_deadline(request.fd, 4 * SOON));
    }));
    for _ in 0..200 {
        let mut client = live.open();
        client.close(1000, "");
        client.expect_close(1000);
    }
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage().timers), 0);
    pass(&live, 5 * SOON);
    assert!(due.try_recv().is_err());
}

/// It has nothing to do with the server's own: neither is put off by it nor ends the connection.
#[test]
fn the_servers_own_timeouts_go_on() {
    let (builder, due) = watched(Server::builder());
    let live = Live::start(builder.on_close(|_, _, _| {}).configure(|config| {
        config.ping_interval = Some(Duration::from_millis(300));
        config.pong_timeout = Duration::from_millis(300);
    }));
    let mut client = live.open();
    let fd = live.until("it is open", |server| server.connections().next());
    for _ in 0..3 {
        assert!(live.ask(move |server| server.set_deadline(fd, SOON)));
        assert_eq!(due.recv_timeout(DEADLINE), Ok(fd));
    }
    let ping = client.read_frame();
    assert_eq!(ping.opcode, PING);
    client.frame(PONG, &ping.payload);
    assert_eq!(client.read_frame().opcode, PING);
    // That one is not answered.
    live.ask(move |server| server.set_deadline(fd, NEVER));
    assert_eq!(client.expect_close(1001), "no answer to ping");
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage().timers), 0);
}

/// A connection that speaks HTTP is its route's while a request waits on it; otherwise that of who set the deadline.
#[test]
fn the_handler_of_the_connection_is_told() {
    let (root_sender, root) = mpsc::channel();
    let (sender, routed) = mpsc::channel();
    let live = Live::start(Server::builder().on_deadline(move |_, fd| tell(&root_sender, fd)).route(
        "/late",
        move || {
            let sender = sender.clone();
            Callbacks::new()
                .on_request(|server, request| {
                    server.set_deadline(request.fd, SOON);
                    Reply::Later
                })
                .on_deadline(move |server, fd| {
                    tell(&sender, fd);
                    server.respond(fd, Response::text(200, "now"));
                })
        },
    ));
    let mut client = live.client();
    client.send("GET /late HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.answer().text(), "now");
    let fd = routed.recv_timeout(DEADLINE).expect("told");
    assert!(root.try_recv().is_err());
    assert!(live.ask(move |server| server.set_deadline(fd, SOON)));
    assert_eq!(root.recv_timeout(DEADLINE), Ok(fd));
    assert!(routed.try_recv().is_err());
}

#[test]
fn a_panic_in_on_deadline_ends_the_connection_that_it_was_for() {
    let (builder, events) = recorded();
    let live = Live::start(builder.on_deadline(|_, _| panic!("on purpose")));
    let mut client = live.open();
    let fd = events.open();
    live.ask(move |server| server.set_deadline(fd, SOON));
    client.expect_close(1011);
    assert_eq!(events.error(), (Some(fd), "on_deadline panicked: on purpose".to_owned()));
    still_serving(&live);
}
