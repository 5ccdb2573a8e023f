//! Responses with a body that is written piece by piece.

mod common;

use common::*;
use std::io::{ErrorKind, Read as _};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};
use swio::{
    Builder, Callbacks, Cause, Config, Fd, Handshake, PushError, Reply, Response, ResponseHead, Server,
};

/// Answers `/whole` at once and `/late` later; any other path by a body, of which it tells.
fn streaming() -> (Builder, Receiver<Fd>) {
    let (sender, fds) = mpsc::channel();
    let builder = Server::builder().on_request(move |_, request| {
        if request.path() == "/whole" {
            return Reply::Now(Response::text(200, "whole"));
        }
        tell(&sender, request.fd);
        match request.path() {
            "/late" => Reply::Later,
            "/seven" => ResponseHead::new(200).content_length(7).into(),
            "/nothing" => ResponseHead::new(204).into(),
            _ => ResponseHead::new(200).header("X-Kind", "stream").into(),
        }
    });
    (builder, fds)
}

fn next(fds: &Receiver<Fd>) -> Fd {
    fds.recv_timeout(DEADLINE).expect("a request")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

fn write(live: &Live, fd: Fd, piece: &'static str) {
    live.ask(move |server| server.write_body(fd, piece)).expect("taken");
}

fn chunk(client: &mut Client) -> Vec<u8> {
    let size = client.take_until(b"\r\n").expect("a chunk's size");
    let piece = client.take(usize::from_str_radix(&size, 16).expect("a size"));
    assert_eq!(client.take(2), b"\r\n");
    piece
}

/// Everything up to a reset.
fn until_reset(client: &mut Client) {
    let mut chunk = [0; 4096];
    loop {
        match client.stream.read(&mut chunk) {
            Ok(0) => panic!("a FIN says that all is well"),
            Ok(_) => {}
            Err(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn each_piece_is_a_chunk_that_comes_when_it_is_written() {
    let (builder, fds) = streaming();
    let live = Live::start(builder);
    let mut client = live.client();
    client.send([get("/"), get("/whole"), get("/second")].concat());
    let fd = next(&fds);
    let head = client.answer_head();
    assert_eq!((head.status, head.header("X-Kind")), (200, Some("stream")));
    assert_eq!((head.header("Transfer-Encoding"), head.header("Content-Length")), (Some("chunked"), None));
    assert_eq!(head.header("Connection"), Some("keep-alive"));
    for piece in ["one", "\r\n", "a longer third piece"] {
        write(&live, fd, piece);
        assert_eq!(chunk(&mut client), piece.as_bytes());
    }
    // An empty one is no piece: as a chunk it would be the last.
    write(&live, fd, "");
    let big = vec![b'x'; 300_000];
    let copy = big.clone();
    live.ask(move |server| server.write_body(fd, copy)).expect("taken");
    assert_eq!(chunk(&mut client), big);
    // What comes after it has waited.
    live.ask(move |server| {
        assert_eq!(server.stats().requests, 1);
        assert!(server.end_body(fd));
        assert!(!server.end_body(fd), "a second time");
        assert_eq!(server.write_body(fd, "more"), Err(PushError::NoBody));
    });
    assert!(chunk(&mut client).is_empty());
    assert_eq!(client.answer().text(), "whole");
    assert_eq!(next(&fds), fd);
    client.answer_head();
    live.ask(move |server| server.write_body(fd, "of the second").and_then(|()| server.write_body(fd, "!")))
        .expect("taken");
    assert!(live.ask(move |server| server.end_body(fd)));
    assert_eq!([chunk(&mut client), chunk(&mut client)].concat(), b"of the second!");
    assert!(chunk(&mut client).is_empty());
    client.send(get("/whole"));
    assert_eq!(client.answer().text(), "whole");
    drop(client);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage().inbound_bytes), 0);
}

#[test]
fn what_has_no_body_gets_none() {
    let (builder, fds) = streaming();
    let live = Live::start(builder);
    let mut client = live.client();
    for (request, line) in [
        (get("/").replace("GET", "HEAD"), Some("chunked")),
        (get("/seven").replace("GET", "HEAD"), None),
        (get("/nothing"), None),
    ] {
        client.send([request, get("/whole")].concat());
        let fd = next(&fds);
        let head = client.answer_head();
        assert_eq!(head.header("Transfer-Encoding"), line);
        write(&live, fd, "seen by nobody, whatever its length");
        assert!(live.ask(move |server| server.end_body(fd)));
        assert_eq!(client.answer().text(), "whole");
    }
}

#[test]
fn http_1_0_has_no_chunks() {
    let (builder, fds) = streaming();
    let live = Live::start(builder);
    for connection in ["close", "keep-alive"] {
        let mut client = live.client();
        client.send(format!("GET / HTTP/1.0\r\nConnection: {connection}\r\n\r\n"));
        let fd = next(&fds);
        let head = client.answer_head();
        assert_eq!((head.header("Transfer-Encoding"), head.header("Connection")), (None, Some("close")));
        write(&live, fd, "one");
        assert_eq!(client.take(3), b"one");
        write(&live, fd, "two");
        assert!(live.ask(move |server| server.end_body(fd)));
        assert_eq!(client.take_rest(), b"two");
    }
    // With a length the connection can be kept.
    let mut client = live.client();
    client.send("GET /seven HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let fd = next(&fds);
    assert_eq!(client.answer_head().header("Connection"), Some("keep-alive"));
    write(&live, fd, "1234567");
    assert!(live.ask(move |server| server.end_body(fd)));
    assert_eq!(client.take(7), b"1234567");
    client.send(get("/whole"));
    assert_eq!(client.answer().text(), "whole");
}

#[test]
fn a_known_length_is_kept_to() {
    let (builder, fds) = streaming();
    let live = Live::start(builder);
    let mut client = live.client();
    client.send(get("/seven"));
    let fd = next(&fds);
    let head = client.answer_head();
    assert_eq!((head.header("Content-Length"), head.header("Transfer-Encoding")), (Some("7"), None));
    live.ask(move |server| {
        assert_eq!(server.write_body(fd, "12345678"), Err(PushError::Unsendable));
        assert_eq!(server.write_body(fd, "1234"), Ok(()));
        assert_eq!(server.write_body(fd, "5678"), Err(PushError::Unsendable));
        assert_eq!(server.write_body(fd, "567"), Ok(()));
        assert!(server.end_body(fd));
    });
    assert_eq!(client.take(7), b"1234567");
    client.send(get("/seven"));
    next(&fds);
    client.answer_head();
    live.ask(move |server| {
        server.write_body(fd, "123").expect("taken");
        assert!(!server.end_body(fd), "it is not whole");
        assert_eq!(server.write_body(fd, "4567"), Err(PushError::Closing));
    });
    assert_eq!(client.take_rest(), b"123");
    live.until_empty();
}

#[test]
fn a_request_that_waited_is_answered_by_another_thread() {
    let (builder, fds) = streaming();
    let live = Live::start(builder);
    let mut client = live.client();
    client.send([get("/late"), get("/whole")].concat());
    let fd = next(&fds);
    live.ask(move |server| assert_eq!(server.write_body(fd, "early"), Err(PushError::NoBody)));
    let handle = live.handle.clone();
    thread::spawn(move || {
        handle.start_body(fd, ResponseHead::new(201)).expect("taken");
        handle.write_body(fd, "from ").expect("taken");
        handle.write_body(fd, "a thread").expect("taken");
        handle.end_body(fd).expect("taken");
    })
    .join()
    .expect("it ends");
    assert_eq!(client.answer_head().status, 201);
    assert_eq!([chunk(&mut client), chunk(&mut client)].concat(), b"from a thread");
    assert!(chunk(&mut client).is_empty());
    assert_eq!(client.answer().text(), "whole");
    live.ask(move |server| {
        assert!(!server.start_body(fd, ResponseHead::new(200)), "nothing waits");
        assert!(!server.respond(fd, Response::new(200)));
    });
}

/// In one callback, for a request that waited: the head, and pieces after it.
#[test]
fn head_and_pieces_may_come_from_one_callback() {
    let (builder, fds) = streaming();
    let live = Live::start(builder);
    let mut client = live.client();
    client.send(get("/late"));
    let fd = next(&fds);
    live.ask(move |server| {
        assert!(server.start_body(fd, ResponseHead::new(200)));
        assert!(!server.start_body(fd, ResponseHead::new(200)), "a second time");
        assert!(!server.respond(fd, Response::new(200)), "it is being answered");
        server.write_body(fd, "all of it").expect("taken");
        assert!(server.end_body(fd));
        // After its answer.
        assert!(server.disconnect(fd, 1000, ""));
    });
    client.answer_head();
    assert_eq!(chunk(&mut client), b"all of it");
    assert!(chunk(&mut client).is_empty());
    client.expect_fin();
}

#[test]
fn other_connections_have_no_body() {
    let live = Live::start(echo());
    let _client = live.open();
    let fd = live.until("it is open", |server| server.connections().next());
    live.ask(move |server| {
        assert_eq!(server.write_body(fd, "x"), Err(PushError::NoBody));
        assert!(!server.end_body(fd) && !server.start_body(fd, ResponseHead::new(200)));
        server.reset(fd);
        assert_eq!(server.write_body(fd, "x"), Err(PushError::Gone));
    });
}

/// What a route's handler is told of a body that it writes.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Full,
    Empty,
    Gone(Cause),
}

fn routed(change: impl FnOnce(&mut Config)) -> (Live, Receiver<Fd>, Receiver<Told>, Receiver<Fd>) {
    let (sender, fds) = mpsc::channel();
    let (tell_root, root) = mpsc::channel();
    let (teller, all_told) = mpsc::channel();
    let builder = Server::builder()
        .configure(change)
        .on_disconnect(move |_, fd, _| tell(&tell_root, fd))
        .route("/stream", move || {
            let (sender, full, empty, gone) =
                (sender.clone(), teller.clone(), teller.clone(), teller.clone());
            Callbacks::new()
                .on_request(move |_, request| {
                    tell(&sender, request.fd);
                    ResponseHead::new(200)
                })
                .on_buffer_full(move |_, _| tell(&full, Told::Full))
                .on_buffer_empty(move |_, _| tell(&empty, Told::Empty))
                .on_disconnect(move |_, _, reason| tell(&gone, Told::Gone(reason.cause)))
        });
    (Live::start(builder), fds, all_told, root)
}

#[test]
fn a_slow_reader_is_waited_for_and_gets_all() {
    let (live, fds, told, _root) = routed(|config| config.outbox_bytes_max = 1 << 20);
    let mut client = Client::connect_narrow(live.address);
    client.send(get("/stream"));
    let fd = next(&fds);
    client.answer_head();
    let mut written = 0;
    for _ in 0..2 {
        // As long as it takes some, then not a byte more.
        let more = live.ask(move |server| {
            let mut count = 0;
            while server.write_body(fd, [b'x'; 10_000]) == Ok(()) {
                count += 1;
            }
            assert_eq!(server.write_body(fd, [b'x'; 10_000]), Err(PushError::Full));
            let queued = server.client_info(fd).expect("it is there").queued_bytes;
            assert!(queued <= 1 << 20, "{queued}");
            count
        });
        assert!(more > 50, "{more}");
        written += more;
        assert_eq!(told.recv_timeout(DEADLINE), Ok(Told::Full));
        while written > 0 {
            assert_eq!(chunk(&mut client), [b'x'; 10_000]);
            written -= 1;
        }
        assert_eq!(told.recv_timeout(DEADLINE), Ok(Told::Empty));
    }
    assert!(live.ask(move |server| server.end_body(fd)));
    assert!(chunk(&mut client).is_empty());
    assert!(told.try_recv().is_err());
    // From another thread nobody learns that there was no room: better no body than one with a hole.
    client.send(get("/stream"));
    next(&fds);
    client.answer_head();
    for _ in 0..100 {
        live.handle.write_body(fd, vec![b'y'; 100_000]).expect("taken");
    }
    live.ask(move |server| assert_eq!(server.write_body(fd, "x"), Err(PushError::Closing)));
    let rest = client.take_rest();
    assert!(
        rest.ends_with(b"yy\r\n") && rest.len() < 100 * 100_000,
        "{} bytes, and no last chunk",
        rest.len()
    );
    live.until_empty();
}

#[test]
fn who_only_ends_its_side_gets_the_whole_body() {
    let (builder, fds) = streaming();
    let live = Live::start(builder);
    let mut client = live.client();
    client.send(get("/"));
    client.finish();
    let fd = next(&fds);
    client.answer_head();
    for piece in ["one", "two"] {
        live.after(Duration::from_millis(50)).recv_timeout(DEADLINE).expect("a timer");
        write(&live, fd, piece);
        assert_eq!(chunk(&mut client), piece.as_bytes());
    }
    assert!(live.ask(move |server| server.end_body(fd)));
    assert!(chunk(&mut client).is_empty());
    client.expect_fin();
    live.until_empty();
}

#[test]
fn a_client_that_goes_away_is_seen_and_told() {
    let (live, fds, told, root) = routed(|_| {});
    for is_reset in [false, true] {
        let mut client = live.client();
        client.send(get("/stream"));
        let fd = next(&fds);
        client.answer_head();
        write(&live, fd, "seen");
        assert_eq!(chunk(&mut client), b"seen");
        match is_reset {
            true => client.reset(),
            // It may only have ended its side: that it is gone shows when more is written.
            false => {
                drop(client);
                write(&live, fd, "unseen");
            }
        }
        assert_eq!(root.recv_timeout(DEADLINE), Ok(fd), "the server's handler is told too");
        match told.recv_timeout(DEADLINE).expect("told") {
            Told::Gone(Cause::Io(_)) => {}
            gone => panic!("{gone:?}"),
        }
        live.ask(move |server| assert_eq!(server.write_body(fd, "x"), Err(PushError::Gone)));
    }
    // After the body, and for whole answers, it is no business of the route's.
    let mut client = live.client();
    client.send(get("/stream"));
    let fd = next(&fds);
    assert!(live.ask(move |server| server.end_body(fd)));
    client.answer_head();
    assert!(chunk(&mut client).is_empty());
    drop(client);
    assert_eq!(root.recv_timeout(DEADLINE), Ok(fd));
    live.until_empty();
    assert!(told.try_recv().is_err());
}

#[test]
fn at_a_shutdown_a_body_is_cut_off_and_the_client_can_tell() {
    for version in ["1.0", "1.1"] {
        let (builder, fds) = streaming();
        let live = Live::start(builder);
        let mut client = live.client();
        client.send(format!("GET / HTTP/{version}\r\nHost: test\r\n\r\n"));
        let fd = next(&fds);
        client.answer_head();
        write(&live, fd, "one");
        match version {
            "1.0" => {
                assert_eq!(client.take(3), b"one");
                live.handle.shutdown().expect("it runs");
                until_reset(&mut client);
            }
            _ => {
                live.handle.shutdown().expect("it runs");
                assert_eq!(client.take_rest(), b"3\r\none\r\n", "and no last chunk");
            }
        }
        drop(client);
        live.stop();
    }
}

#[test]
fn a_body_is_cut_off_where_nothing_is_written_for_too_long() {
    let timeout = Duration::from_millis(300);
    let (live, fds, told, _root) = routed(move |config| config.keep_alive_timeout = timeout);
    let mut client = live.client();
    client.send(get("/stream"));
    let fd = next(&fds);
    client.answer_head();
    let begun = Instant::now();
    // Written to now and then it lives on.
    while begun.elapsed() < 3 * timeout {
        write(&live, fd, "x");
        assert_eq!(chunk(&mut client), b"x");
        live.after(Duration::from_millis(50)).recv_timeout(DEADLINE).expect("a timer");
    }
    assert!(client.take_rest().is_empty(), "no last chunk");
    assert_eq!(told.recv_timeout(DEADLINE), Ok(Told::Gone(Cause::Timeout)));
    // One that is protected lives on without.
    let mut client = live.client();
    client.send(get("/stream"));
    let fd = next(&fds);
    client.answer_head();
    assert!(live.ask(move |server| server.protect(fd, true)));
    live.after(3 * timeout).recv_timeout(DEADLINE).expect("a timer");
    write(&live, fd, "still here");
    assert_eq!(chunk(&mut client), b"still here");
}

#[test]
fn a_client_that_reads_nothing_is_given_up_although_more_is_written() {
    let (live, fds, told, _root) = routed(|config| {
        config.keep_alive_timeout = Duration::from_millis(300);
        config.outbox_bytes_max = 64 << 20;
        config.buffer_high_watermark = Some(1 << 20);
    });
    let mut client = Client::connect_narrow(live.address);
    client.send(get("/stream"));
    let fd = next(&fds);
    live.ask(move |server| {
        for _ in 0..16 {
            server.write_body(fd, vec![b'x'; 1 << 20]).expect("taken");
        }
        server.every(Duration::from_millis(50), move |server, timer| {
            if server.write_body(fd, "more").is_err() {
                server.cancel(timer);
            }
        });
    });
    assert_eq!(told.recv_timeout(DEADLINE), Ok(Told::Full));
    assert_eq!(told.recv_timeout(DEADLINE), Ok(Told::Gone(Cause::Timeout)));
    live.until_empty();
}

/// A refusal can't stand in the middle of a body.
#[test]
fn a_flood_behind_a_body_cuts_it_off() {
    let (live, fds, _told, _root) = routed(|config| config.bytes_per_second_max = Some(10_000));
    let mut client = live.client();
    client.send(get("/stream"));
    let fd = next(&fds);
    client.answer_head();
    write(&live, fd, "one");
    client.try_send(vec![b'x'; 200_000]);
    let mut rest = Vec::new();
    client.stream.read_to_end(&mut rest).ok();
    assert!(b"3\r\none\r\n".starts_with(&rest), "{}", rest.escape_ascii());
    live.until_empty();
    assert_eq!(live.ask(|server| server.stats().refusals.byte_rate), 1);
}

#[test]
fn a_handshake_is_not_answered_by_a_body() {
    let (sender, fds) = mpsc::channel();
    let live = Live::start(Server::builder().on_handshake(move |_, request| {
        tell(&sender, request.fd);
        Handshake::later()
    }));
    let mut client = live.client();
    client.send(UPGRADE);
    let fd = next(&fds);
    live.ask(move |server| {
        assert!(!server.start_body(fd, ResponseHead::new(200)));
        assert_eq!(server.write_body(fd, "x"), Err(PushError::NoBody));
        assert!(server.answer_handshake(fd, Handshake::accept()));
    });
    client.expect_101();
}

#[test]
fn a_body_that_only_its_connection_ends_is_reset_where_some_of_it_is_lost() {
    for is_ended in [false, true] {
        let (builder, fds) = streaming();
        let live = Live::start(builder.configure(|config| {
            config.keep_alive_timeout = Duration::from_millis(300);
            config.close_timeout = Duration::from_millis(100);
        }));
        let mut client = Client::connect_narrow(live.address);
        client.send("GET /stream HTTP/1.0\r\n\r\n");
        let fd = next(&fds);
        live.ask(move |server| {
            while server.write_body(fd, vec![b'x'; 64 << 10]).is_ok() {}
            if is_ended {
                assert!(server.end_body(fd));
            }
        });
        // It reads nothing until it is given up.
        live.until_empty();
        until_reset(&mut client);
    }
}

#[test]
fn no_refusal_stands_in_a_body() {
    let (builder, fds) = streaming();
    let live = Live::start(builder.configure(|config| {
        (config.message_bytes_max, config.body_bytes_max) = (8 << 10, 64 << 10);
        (config.head_bytes_max, config.inbound_bytes_max) = (8 << 10, 66 << 10);
    }));
    // Nearly all the memory is another's, whose request is not whole.
    let mut other = live.client();
    other.send(format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 62000\r\n\r\n{}",
        "x".repeat(61_000)
    ));
    live.until("it is held", |server| (server.usage().inbound_bytes > 61_000).then_some(()));
    let mut client = live.client();
    client.send(get("/seven") + "GET /next HTTP/1.1\r\nX: " + &"y".repeat(6_500));
    next(&fds);
    let mut answer = Vec::new();
    client.stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8(answer).expect("a text");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer:?}");
    assert!(!answer.contains("503"), "{answer:?}");
}
