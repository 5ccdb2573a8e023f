//! Sessions without a socket, and requests that wait for their output: what goes wrong with them, and what must not.

mod common;

use common::*;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use swio::{Builder, Config, Fd, Handshake, Reply, Response, Server, Side};

const HOUR: Duration = Duration::from_secs(3_600);

/// Each request opens a session, and is told its fd; WebSockets hear back what they say.
fn opening(change: impl FnOnce(&mut Config)) -> Builder {
    Server::builder()
        .configure(change)
        .on_message(|server, frame| {
            server.push(frame.fd, format!("got {}", frame.data.as_str().unwrap_or_default())).ok();
        })
        .on_request(|server, request| match server.open_session(request, HOUR) {
            Some(fd) => Response::text(200, fd.to_string()),
            None => Response::text(503, "full"),
        })
}

fn open_session(live: &Live) -> (Client, Fd) {
    let mut client = live.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let fd = client.answer().text().parse().expect("an fd");
    (client, fd)
}

fn open_websocket(live: &Live) -> (Client, Fd) {
    let before = live.ask(|server| server.connections().collect::<Vec<_>>());
    let client = live.open();
    let fd = live.until("it is open", move |server| server.connections().find(|fd| !before.contains(fd)));
    (client, fd)
}

#[test]
fn a_websocket_that_two_sessions_want_is_read_in_any_case() {
    let live = Live::start(opening(|_| {}));
    let ((_one, first), (_two, second)) = (open_session(&live), open_session(&live));
    let (mut client, websocket) = open_websocket(&live);
    live.ask(move |server| {
        assert!(server.adopt(first, websocket));
        assert!(server.adopt(second, websocket));
        assert!(server.end_session(first, Side::Local, 1000, ""));
    });
    live.until("it is adopted", move |server| (!server.exists(websocket)).then_some(()));
    client.text("hi");
    client.expect_text("got hi");
    assert!(live.ask(move |server| server.is_established(second)));
}

#[test]
fn a_pause_of_either_outlives_an_adoption_and_ends_when_it_is_asked_to() {
    let live = Live::start(opening(|_| {}));
    let (_one, session) = open_session(&live);
    let (mut client, websocket) = open_websocket(&live);
    live.ask(move |server| {
        assert!(server.pause(websocket));
        assert!(server.adopt(session, websocket));
        assert!(server.resume(websocket));
    });
    live.until("it is adopted", move |server| (!server.exists(websocket)).then_some(()));
    client.text("one");
    client.expect_text("got one");
    // And one that is to stay.
    let (_two, session) = open_session(&live);
    let (mut client, websocket) = open_websocket(&live);
    live.ask(move |server| {
        assert!(server.pause(websocket));
        assert!(server.adopt(session, websocket));
    });
    live.until("it is adopted", move |server| (!server.exists(websocket)).then_some(()));
    client.text("two");
    live.ask(move |server| {
        let info = server.client_info(session).expect("it is there");
        assert!(info.is_paused);
        server.push(session, "paused").expect("room");
    });
    client.expect_text("paused");
    assert!(live.ask(move |server| server.resume(session)));
    client.expect_text("got two");
}

#[test]
fn a_full_outbox_is_told_of_to_the_session_that_takes_it_over() {
    let (sender, crossed) = mpsc::channel();
    let also = sender.clone();
    let builder = opening(|_| {})
        .on_buffer_full(move |_, fd| tell(&sender, (true, fd)))
        .on_buffer_empty(move |_, fd| tell(&also, (false, fd)));
    let live = Live::start(builder);
    let (_one, session) = open_session(&live);
    let mut client = Client::connect_narrow(live.address).handshake();
    let websocket = live.until("it is open", move |server| {
        server.connections().find(|fd| *fd != session && server.is_established(*fd))
    });
    live.ask(move |server| {
        while server.client_info(websocket).expect("it is there").queued_bytes < 7 << 20 {
            server.push(websocket, vec![0; 60_000]).expect("room");
        }
    });
    assert_eq!(crossed.recv_timeout(DEADLINE), Ok((true, websocket)));
    assert!(live.ask(move |server| server.adopt(session, websocket)));
    assert_eq!(crossed.recv_timeout(DEADLINE), Ok((true, session)));
    let reader = thread::spawn(move || {
        while client.read_frame().payload.len() == 60_000 {}
        client
    });
    assert_eq!(crossed.recv_timeout(DEADLINE), Ok((false, session)));
    live.ask(move |server| server.push(session, "end")).expect("room");
    reader.join().expect("all was read");
}

#[test]
fn a_client_that_polls_often_may_send_as_much_as_others() {
    let live = Live::start(opening(|config| config.messages_per_second_max = Some(10)));
    let (_one, session) = open_session(&live);
    // A burst of 20, and then 5 in each second, with a poll before each.
    let taken = |count: u32| {
        live.ask(move |server| {
            (0..count)
                .filter(|_| {
                    server.touch_session(session);
                    server.count_message(session)
                })
                .count()
        })
    };
    assert_eq!(taken(20), 20);
    let mut later = 0;
    for _ in 0..8 {
        live.after(Duration::from_millis(200)).recv_timeout(DEADLINE).expect("a timer");
        later += taken(1);
    }
    assert_eq!(later, 8);
    assert!(taken(40) < 40, "the limit holds");
}

/// With `X-Forwarded-For`, all over one connection of a proxy.
fn statuses(client: &mut Client, target: &str, clients: &[&str]) -> Vec<u16> {
    let ask = |address: &&str| {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {address}\r\n\r\n"));
        client.answer().status
    };
    clients.iter().map(ask).collect()
}

#[test]
fn behind_a_proxy_each_session_counts_for_the_client_that_asked() {
    let live = Live::start(opening(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        config.connections_per_address_max = Some(2);
        config.long_polling = true;
    }));
    let different = ["192.0.2.1", "198.51.100.2", "203.0.113.3", "203.0.113.4"];
    assert_eq!(statuses(&mut live.client(), "/?swio=poll", &different), [200; 4]);
    let own = statuses(&mut live.client(), "/", &["192.0.2.9"; 4]);
    assert_eq!(own, [200, 200, 503, 503]);
    // When they go, there is room again, and no address is left behind.
    live.ask(|server| {
        let all: Vec<Fd> = server.connections().collect();
        all.into_iter().for_each(|fd| {
            server.reset(fd);
        });
    });
    live.until_empty();
    assert_eq!(statuses(&mut live.client(), "/", &["192.0.2.9"; 2]), [200, 200]);
}

#[test]
fn an_answer_that_comes_too_late_reaches_no_other_request() {
    let (sender, waiting) = mpsc::channel();
    let builder = Server::builder()
        .configure(|config| config.poll_hold = Duration::from_millis(50))
        .on_request(move |server, request| {
            if request.path() == "/other" {
                return Reply::Later;
            }
            tell(&sender, request.fd);
            Reply::Output(server.open_session(request, HOUR).expect("room"))
        });
    let live = Live::start(builder);
    let mut client = live.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\nGET /other HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("Connection")), (204, Some("close")));
    let fd = waiting.recv_timeout(DEADLINE).expect("it waited");
    assert!(!live.ask(move |server| server.respond(fd, Response::text(200, "of the first"))));
    client.expect_fin();
}

#[test]
fn a_request_that_ends_its_connection_waits_for_nothing() {
    let live = Live::start(Server::builder().on_request(|server, request| {
        let fd = server.open_session(request, HOUR).expect("room");
        assert!(server.disconnect(request.fd, 1000, ""));
        Reply::Output(fd)
    }));
    let mut client = live.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("Connection")), (503, Some("close")));
}

#[test]
#[should_panic(expected = "Date is the server's own")]
fn a_handshake_has_no_date_of_its_own() {
    // The first answer to a poll is a response, which has the server's.
    let _ = Handshake::accept().header("Date", "Thu, 01 Jan 1970 00:00:00 GMT");
}

#[test]
fn what_was_acknowledged_is_counted() {
    let live = Live::start(opening(|_| {}));
    let (_client, fd) = open_session(&live);
    live.ask(move |server| {
        assert_eq!(server.acknowledged_output(fd), Some(0));
        for text in ["one", "two", "three"] {
            server.push(fd, text).expect("it is open");
        }
        assert!(!server.acknowledge_output(fd, 1), "nothing was read");
        assert_eq!(server.read_output(fd, 1).expect("a session").len(), 1);
        assert!(!server.acknowledge_output(fd, 2), "one was read");
        assert!(server.acknowledge_output(fd, 1));
        assert_eq!(server.acknowledged_output(fd), Some(1));
        let output = server.read_output(fd, usize::MAX).expect("a session");
        let texts: Vec<_> = output.iter().map(|(_, bytes)| bytes.to_vec()).collect();
        assert_eq!(texts, [b"two".to_vec(), b"three".to_vec()]);
        assert!(server.acknowledge_output(fd, 2));
        assert_eq!(server.acknowledged_output(fd), Some(3));
        assert!(server.end_session(fd, Side::Local, 1000, ""));
        assert_eq!(server.acknowledged_output(fd), None);
    });
}

#[test]
fn a_session_that_is_ending_lives_on_only_if_its_client_takes_something() {
    const TIMEOUT: Duration = Duration::from_millis(640);
    let builder = Server::builder().on_request(|server, request| {
        Response::text(200, server.open_session(request, TIMEOUT).expect("room").to_string())
    });
    let live = Live::start(builder);
    let (_lazy, lazy) = open_session(&live);
    let (_eager, eager) = open_session(&live);
    live.ask(move |server| {
        for fd in [lazy, eager] {
            (0..40).for_each(|_| server.push(fd, "text").expect("it is open"));
            server.read_output(fd, usize::MAX);
            assert!(server.disconnect(fd, 4000, "enough"));
        }
    });
    // Both give a sign of life all the time, for more than two timeouts; only one acknowledges.
    let alive = |fd| live.ask(move |server| server.touch_session(fd));
    for _ in 0..30 {
        thread::sleep(Duration::from_millis(50));
        alive(lazy);
        assert!(alive(eager), "it takes its messages");
        assert!(live.ask(move |server| server.acknowledge_output(eager, 1)));
    }
    assert!(!alive(lazy), "it only says that it is there");
}

#[test]
fn the_first_reason_counts_however_a_session_ends_then() {
    type End = fn(&Live, Fd);
    let ends: [End; 3] = [
        |live, fd| assert!(live.ask(move |server| server.end_session(fd, Side::Local, 1000, ""))),
        |live, fd| assert!(live.ask(move |server| server.reset(fd))),
        |live, _| live.handle.shutdown().expect("the server takes mail"),
    ];
    for end in ends {
        let (told, ended) = mpsc::channel();
        let builder = opening(|config| config.shutdown_timeout = Duration::from_millis(50));
        let live = Live::start(builder.on_close(move |_, fd, reason| drop(told.send((fd, reason.clone())))));
        let (_client, fd) = open_session(&live);
        assert!(live.ask(move |server| server.disconnect(fd, 4000, "enough")));
        end(&live, fd);
        let (closed, reason) = ended.recv().expect("it ends");
        assert_eq!((closed, reason.code, &*reason.text), (fd, 4000, "enough"), "{reason:?}");
    }
}
