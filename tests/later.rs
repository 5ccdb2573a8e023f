//! Handshakes and requests that are answered after their callback, from the same thread or another.

mod common;

use common::{Client, DEADLINE, Live, PING, TEXT, UPGRADE, masked, recorded, tell, upgrade_with};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;
use swio::{Builder, Callbacks, Cause, Fd, Handshake, JoinError, Reply, Response, Server};

/// Tells of each request, and lets it wait.
fn waiting() -> (Builder, Receiver<Fd>) {
    let (sender, fds) = mpsc::channel();
    let handshakes = sender.clone();
    let builder = Server::builder()
        .on_handshake(move |_, request| {
            tell(&handshakes, request.fd);
            Handshake::later()
        })
        .on_request(move |_, request| {
            tell(&sender, request.fd);
            Reply::Later
        })
        .on_message(|server, frame| {
            server.push(frame.fd, frame.data).ok();
        });
    (builder, fds)
}

fn next(fds: &Receiver<Fd>) -> Fd {
    fds.recv_timeout(DEADLINE).expect("a request")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

#[test]
fn a_handshake_answered_by_another_thread_opens_with_the_whole_request() {
    let (sender, opened) = mpsc::channel();
    let live = Live::start(Server::builder().route("/rooms/{room}", move || {
        let sender = sender.clone();
        Callbacks::new()
            .on_handshake(|server, request| {
                let (handle, fd) = (server.handle(), request.fd);
                let token = request.query_param("token").unwrap_or_default().into_owned();
                thread::spawn(move || {
                    let answer = Handshake::accept().subprotocol("chat").header("X-Token", token);
                    handle.answer_handshake(fd, answer).expect("taken");
                });
                Handshake::later()
            })
            .on_open(move |server, request| {
                let told = [
                    request.method().to_owned(),
                    request.path().to_owned(),
                    request.query().unwrap_or_default().to_owned(),
                    request.param("room").unwrap_or_default().into_owned(),
                    request.header("x-more").unwrap_or_default().to_owned(),
                    request.cookie("session").unwrap_or_default().to_owned(),
                    request.subprotocols().collect::<Vec<_>>().join("+"),
                    String::from_utf8_lossy(request.body()).into_owned(),
                ];
                tell(&sender, (told, server.remote_addr(request.fd)));
                server.push(request.fd, "welcome").expect("open");
            })
            .on_message(|server, frame| {
                server.push(frame.fd, frame.data).ok();
            })
    }));
    let mut client = live.client();
    let request = upgrade_with(
        "X-More: a header\r\nCookie: a=b; session=s3cret\r\nSec-WebSocket-Protocol: talk, chat\r\n",
    );
    let request = request.replace("GET / ", "GET /rooms/caf%C3%A9?token=a%2Bb+c ");
    // A client that does not wait for the answer: what it sends behind is delivered behind `on_open`.
    client.send([request.as_bytes(), &masked(0x80 | TEXT, b"early")].concat());
    let answer = client.expect_101();
    assert_eq!(answer.header("Sec-WebSocket-Protocol"), Some("chat"));
    assert_eq!(answer.header("X-Token"), Some("a+b c"));
    client.expect_text("welcome");
    client.expect_text("early");
    let (told, address) = opened.recv_timeout(DEADLINE).expect("opened");
    let expected =
        ["GET", "/rooms/caf%C3%A9", "token=a%2Bb+c", "caf\u{e9}", "a header", "s3cret", "talk+chat", ""];
    assert_eq!(told, expected);
    assert_eq!(address, Some(client.stream.local_addr().expect("connected")));
}

#[test]
fn nobody_else_waits_and_each_is_answered_once() {
    let (builder, fds) = waiting();
    let live = Live::start(builder);
    let (mut first, mut second) = (live.client(), live.client());
    first.send(UPGRADE);
    let first_fd = next(&fds);
    second.send(UPGRADE);
    let second_fd = next(&fds);
    live.ask(move |server| {
        assert!(!server.answer_handshake(second_fd, Handshake::later()), "no answer");
        assert!(!server.respond(second_fd, Response::new(200)), "it is no request of that kind");
        assert!(server.answer_handshake(second_fd, Handshake::accept()));
        assert!(!server.answer_handshake(second_fd, Handshake::accept()), "a second time");
        assert!(!server.is_established(second_fd), "not before the callback is over");
    });
    second.expect_101();
    second.text("hello");
    second.expect_text("hello");
    let refusal = Handshake::refuse(Response::text(401, "who are you?"));
    assert!(live.ask(move |server| server.answer_handshake(first_fd, refusal)));
    let answer = first.answer();
    assert_eq!((answer.status, answer.text()), (401, "who are you?"));
    first.expect_fin();
    live.ask(move |server| {
        assert!(!server.answer_handshake(first_fd, Handshake::accept()), "it is gone, or going");
        assert!(!server.answer_handshake(second_fd, Handshake::accept()), "it is a WebSocket");
    });
}

#[test]
fn who_waits_too_long_gets_503() {
    let (builder, fds) = waiting();
    let live = Live::start(builder.configure(|config| config.request_timeout = Duration::from_millis(100)));
    for request in [UPGRADE, &get("/")] {
        let mut client = live.client();
        client.send(request);
        let fd = next(&fds);
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
        client.expect_fin();
        live.ask(move |server| {
            assert!(!server.answer_handshake(fd, Handshake::accept()));
            assert!(!server.respond(fd, Response::new(200)));
        });
    }
}

#[test]
fn a_client_that_gives_up_is_seen_while_it_waits() {
    let (builder, fds) = waiting();
    let (sender, ends) = mpsc::channel();
    let live = Live::start(
        builder
            .on_disconnect(move |_, fd, reason| tell(&sender, (fd, reason.cause)))
            .on_open(|_, _| panic!("it was never let in")),
    );
    for request in [UPGRADE, &get("/")] {
        let mut client = live.client();
        client.send(request);
        let fd = next(&fds);
        live.ask(move |server| {
            // What is kept by fd begins with the session; its deadline goes with the connection.
            assert_eq!(server.join(fd, "news"), Err(JoinError::NotOpen));
            assert_eq!(server.bind(fd, "somebody"), Err(JoinError::NotOpen));
            assert!(server.set_deadline(fd, Duration::from_secs(3_600)));
        });
        drop(client);
        if request != UPGRADE {
            // It may only have ended its side: that it is gone shows when it is answered.
            assert!(live.ask(move |server| server.respond(fd, Response::new(200))));
        }
        assert_eq!(ends.recv_timeout(DEADLINE), Ok((fd, Cause::Lost)));
        live.until_empty();
        assert!(!live.ask(move |server| server.answer_handshake(fd, Handshake::accept())));

        let mut client = live.client();
        client.send(request);
        let fd = next(&fds);
        client.reset();
        let (ended, cause) = ends.recv_timeout(DEADLINE).expect("the end");
        assert!(ended == fd && matches!(cause, Cause::Io(_)), "{cause:?}");
        live.handle.answer_handshake(fd, Handshake::accept()).expect("taken");
        live.handle.respond(fd, Response::new(200)).expect("taken");
    }
    live.until_empty();
    let usage = live.ask(|server| server.usage());
    assert_eq!((usage.websockets, usage.timers, usage.inbound_bytes), (0, 0, 0));
    assert_eq!((usage.memberships, usage.users), (0, 0));
}

#[test]
fn who_only_ends_its_side_gets_its_answers_however_late() {
    let (builder, fds) = waiting();
    let live = Live::start(builder);
    let mut client = live.client();
    client.send(get("/1") + &get("/2") + "GET /3 HT");
    client.finish();
    let fd = next(&fds);
    for number in ["1", "2"] {
        // Nothing more comes of it, and it is not taken for gone.
        live.after(Duration::from_millis(50)).recv_timeout(DEADLINE).expect("a timer");
        assert!(live.ask(move |server| server.exists(fd)));
        assert!(live.ask(move |server| server.respond(fd, Response::text(200, number))));
        assert_eq!(client.answer().text(), number);
        if number == "1" {
            assert_eq!(next(&fds), fd);
        }
    }
    client.expect_fin();
    live.until_empty();
    // One that is gone altogether says so where there is no answer yet.
    let mut client = live.client();
    client.send(get("/"));
    client.finish();
    next(&fds);
    client.reset();
    live.until_empty();
    // And nobody is waited for without end.
    let (builder, fds) = waiting();
    let live = Live::start(builder.configure(|config| config.request_timeout = Duration::from_millis(100)));
    let mut client = live.client();
    client.send(get("/"));
    client.finish();
    next(&fds);
    assert_eq!(client.answer().status, 503);
    client.expect_fin();
    live.until_empty();
}

/// What follows a waiting request is held within a limit, then left with the system, and all of it is served.
#[test]
fn a_flood_behind_a_waiting_handshake_waits_with_the_client() {
    let (builder, fds) = waiting();
    let live = Live::start(builder);
    let mut client = live.client();
    client.send(UPGRADE);
    let fd = next(&fds);
    let message = vec![b'x'; 1000];
    let mut sender = client.stream.try_clone().expect("a second handle");
    let frames = masked(0x80 | TEXT, &message).repeat(4_000);
    let flood = thread::spawn(move || std::io::Write::write_all(&mut sender, &frames));
    // It is read on at first; it has stopped when the server is quiet again, far from all of the flood.
    live.until("some of it is held", |server| (server.usage().inbound_bytes > 8 << 10).then_some(()));
    let held = live.ask(|server| server.usage().inbound_bytes);
    assert!(held <= 256 << 10, "{held} bytes are held");
    still_refusing_nobody(&live, &fds);
    assert!(live.ask(move |server| server.answer_handshake(fd, Handshake::accept())));
    client.expect_101();
    for _ in 0..4_000 {
        client.expect(TEXT, &message);
    }
    flood.join().expect("it sends").expect("all is read");
    drop(client);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage().inbound_bytes), 0);
}

fn still_refusing_nobody(live: &Live, fds: &Receiver<Fd>) {
    let mut other = live.client();
    other.send(get("/"));
    let fd = next(fds);
    assert!(live.ask(move |server| server.respond(fd, Response::text(200, "at once"))));
    assert_eq!(other.answer().text(), "at once");
}

#[test]
fn pipelined_requests_wait_behind_the_one_that_waits() {
    let (sender, seen) = mpsc::channel();
    let live = Live::start(Server::builder().on_request(move |_, request| {
        let body = String::from_utf8_lossy(request.body()).into_owned();
        tell(&sender, (request.fd, request.path().to_owned(), body));
        match request.path() {
            "/later" => Reply::Later,
            path => Response::text(200, path.to_owned()).into(),
        }
    }));
    let mut client = live.client();
    let chunked = "POST /later HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
        3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let head = get("/later").replace("GET", "HEAD");
    client.send([&get("/first"), chunked, "\r\n", &get("/second"), &head, &get("/third")].concat());
    let seen = || seen.recv_timeout(DEADLINE).expect("a request");
    let fd = seen().0;
    assert_eq!(seen(), (fd, "/later".into(), "abcde".into()));
    assert_eq!(client.answer().text(), "/first");
    live.ask(move |server| {
        assert!(!server.answer_handshake(fd, Handshake::accept()), "it is no handshake");
        assert!(server.respond(fd, Response::text(200, "the body was abcde")));
        assert!(!server.respond(fd, Response::text(200, "a second time")));
    });
    let answer = client.answer();
    assert_eq!((answer.text(), answer.header("Connection")), ("the body was abcde", Some("keep-alive")));
    assert_eq!(seen().1, "/second");
    assert_eq!(client.answer().text(), "/second");
    assert_eq!(seen().1, "/later");
    live.handle.respond(fd, Response::text(200, "a body that HEAD does not get")).expect("taken");
    assert_eq!(client.answer_head().header("Content-Length"), Some("29"));
    assert_eq!(seen().1, "/third");
    assert_eq!(client.answer().text(), "/third");
}

#[test]
fn a_connection_ends_behind_the_answer_that_is_on_its_way() {
    let (builder, fds) = waiting();
    let live = Live::start(builder);
    let mut client = live.client();
    client.send(get("/").repeat(2));
    let fd = next(&fds);
    live.ask(move |server| {
        assert!(server.respond(fd, Response::text(200, "the last")));
        assert!(server.disconnect(fd, 1000, ""));
        assert!(!server.disconnect(fd, 1000, ""), "it is ending already");
    });
    let answer = client.answer();
    assert_eq!((answer.text(), answer.header("Connection")), ("the last", Some("close")));
    client.expect_fin();

    let mut client = live.client();
    client.send(UPGRADE);
    let fd = next(&fds);
    assert!(live.ask(move |server| server.disconnect(fd, 1000, "")));
    client.expect_fin();
}

#[test]
fn a_callback_that_ends_the_connection_is_not_waited_for() {
    let live = Live::start(
        Server::builder()
            .on_handshake(|server, request| {
                assert!(!server.answer_handshake(request.fd, Handshake::accept()), "it does not wait yet");
                server.disconnect(request.fd, 1000, "");
                Handshake::later()
            })
            .on_request(|server, request| {
                server.disconnect(request.fd, 1000, "");
                Reply::Later
            }),
    );
    for request in [UPGRADE, &get("/")] {
        let mut client = live.client();
        client.send(request);
        assert_eq!(client.answer().status, 503);
        client.expect_fin();
    }
}

#[test]
fn a_wrong_answer_that_comes_late_costs_this_client_only() {
    let (builder, fds) = waiting();
    let live = Live::start(builder.on_open(|server, request| {
        if request.path() == "/panic" {
            panic!("as the test wants");
        }
        server.push(request.fd, "open").expect("open");
    }));
    let mut client = live.client();
    client.send(UPGRADE);
    live.handle.answer_handshake(next(&fds), Handshake::accept().subprotocol("not offered")).expect("taken");
    assert_eq!(client.answer().status, 500);
    client.expect_fin();

    let mut client = live.client();
    client.send(UPGRADE.replace("GET / ", "GET /panic "));
    live.handle.answer_handshake(next(&fds), Handshake::accept()).expect("taken");
    client.expect_101();
    client.expect_close(1011);

    let mut client = live.client();
    client.send(UPGRADE);
    live.handle.answer_handshake(next(&fds), Handshake::accept()).expect("taken");
    client.expect_101();
    client.expect_text("open");
    client.frame(PING, b"?");
    client.expect(common::PONG, "?");
}

#[test]
fn a_shutdown_does_not_wait_for_answers() {
    let (builder, fds) = waiting();
    let live = Live::start(builder);
    let (mut handshake, mut request): (Client, Client) = (live.client(), live.client());
    handshake.send(UPGRADE);
    next(&fds);
    request.send(get("/"));
    let fd = next(&fds);
    live.ask(move |server| {
        assert!(server.respond(fd, Response::text(200, "just in time")));
        server.shutdown();
    });
    handshake.expect_fin();
    assert_eq!(request.answer().text(), "just in time");
    request.expect_fin();
    live.stop();
}

#[test]
fn open_and_close_pair_up_whenever_the_answer_comes() {
    let (builder, events) = recorded();
    let (sender, fds) = mpsc::channel();
    let live = Live::start(builder.on_handshake(move |_, request| {
        tell(&sender, request.fd);
        Handshake::later()
    }));
    for round in 0..20 {
        let mut client = live.client();
        client.send(UPGRADE);
        let fd = next(&fds);
        match round % 4 {
            // Gone before the answer, or at about the same time.
            0 => {
                drop(client);
                live.handle.answer_handshake(fd, Handshake::accept()).expect("taken");
            }
            1 => {
                live.handle.answer_handshake(fd, Handshake::accept()).expect("taken");
                client.reset();
            }
            // Answered and ended in one call.
            2 => live.ask(move |server| {
                server.answer_handshake(fd, Handshake::accept());
                server.disconnect(fd, 4000, "");
            }),
            _ => {
                live.handle.answer_handshake(fd, Handshake::accept()).expect("taken");
                client.expect_101();
                client.close(1000, "");
                client.expect_close(1000);
            }
        }
    }
    live.until_empty();
    let opened = events.check_pairs();
    assert!((5..=15).contains(&opened), "{opened} opened of which 5 must, and 10 may have");
}

/// A pause of the user's own changes nothing of the waiting, and what came meanwhile is served when both are over.
#[test]
fn a_waiting_connection_may_be_paused() {
    let (builder, fds) = waiting();
    let live = Live::start(builder);
    let mut client = live.client();
    client.send([UPGRADE.as_bytes(), &masked(0x80 | TEXT, b"early")].concat());
    let fd = next(&fds);
    assert!(live.ask(move |server| server.pause(fd)));
    client.text("later");
    assert!(live.ask(move |server| server.answer_handshake(fd, Handshake::accept())));
    client.expect_101();
    live.ask(move |server| {
        server.push(fd, "pushed").expect("open");
        assert!(server.resume(fd));
    });
    client.expect_text("pushed");
    client.expect_text("early");
    client.expect_text("later");

    let mut client = live.client();
    client.send(get("/").repeat(2));
    let fd = next(&fds);
    live.ask(move |server| {
        assert!(server.pause(fd));
        assert!(server.resume(fd));
    });
    assert!(fds.try_recv().is_err(), "the request that waits is not asked about again");
    for number in ["one", "two"] {
        assert!(live.ask(move |server| server.respond(fd, Response::text(200, number))));
        assert_eq!(client.answer().text(), number);
        if number == "one" {
            assert_eq!(next(&fds), fd);
        }
    }
}
