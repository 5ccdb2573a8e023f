//! Clients that hold as much memory as they can: messages and requests without an end, queues that nobody reads. Each
//! is told to come back later, and no other client is harmed.

mod common;

use common::*;
use std::time::Duration;
use swio::{Cause, Response};

/// What all clients together may hold of what is only partly here.
const INBOUND: usize = 1 << 20;

fn narrow() -> (swio::Builder, Events) {
    let (builder, events) = recorded();
    let builder = builder.configure(|config| {
        config.message_bytes_max = 256 << 10;
        config.body_bytes_max = 256 << 10;
        config.inbound_bytes_max = INBOUND;
        config.request_timeout = 3 * DEADLINE;
        // Who is refused is seen to be.
        config.linger_timeout = 3 * DEADLINE;
    });
    (builder, events)
}

fn inbound(live: &Live) -> usize {
    live.ask(|server| server.usage().inbound_bytes)
}

#[test]
fn unfinished_messages_are_held_within_one_budget() {
    let (builder, events) = narrow();
    let live = Live::start(builder);
    let mut clients = Vec::new();
    let refused = loop {
        let mut client = live.open();
        let fd = events.open();
        // All but the last byte, in pieces, as a slow line has it.
        client.send(masked_header(FIN | BINARY, 200_000));
        for piece in [[7; 1_000].as_slice(), &[7; 60_000], &[7; 100_000], &[7; 38_999]] {
            client.try_send(piece);
        }
        let sent = live.until("it is held, or refused", move |server| {
            let is_refused = !server.is_established(fd);
            let held = server.usage().inbound_bytes;
            let is_held = server.client_info(fd).is_some_and(|info| info.held_bytes >= 199_999);
            assert!(held <= INBOUND, "{held}");
            (is_refused || is_held).then_some(is_held)
        });
        if !sent {
            break client;
        }
        clients.push(client);
    };
    assert!(clients.len() >= 4, "{} clients of 200 KB in 1 MiB", clients.len());
    drop(refused);
    let (_, reason) = events.close();
    assert_eq!((reason.code, reason.cause), (1013, Cause::Overload("no memory for partial messages")));
    // Whole messages need none of it, and who is within it may end what was begun.
    for mut client in clients {
        client.send([7]);
        assert_eq!(events.message().len(), 200_000);
        client.text("and more");
        assert_eq!(events.message(), b"and more");
    }
    live.until("nothing is held", |server| (server.usage().inbound_bytes == 0).then_some(()));
    still_serving(&live);
}

#[test]
fn a_client_that_is_refused_for_want_of_room_reads_1013() {
    let (builder, events) = narrow();
    let live = Live::start(builder);
    let mut hogs: Vec<Client> = (0..4).map(|_| live.open()).collect();
    let mut late = live.open();
    let fds = [(); 5].map(|()| events.open());
    for (hog, fd) in hogs.iter_mut().zip(fds) {
        hog.send(masked_header(FIN | BINARY, 256 << 10));
        hog.send([7; 250 << 10]);
        live.until("it is held", move |server| {
            server.client_info(fd).filter(|info| info.held_bytes >= 250 << 10).map(|_| ())
        });
    }
    late.send(masked_header(FIN | BINARY, 200 << 10));
    late.try_send([7; 100 << 10]);
    assert_eq!(late.until_close(1013), []);
    late.finish();
    let reason = events.close().1;
    assert_eq!(reason.cause, Cause::Overload("no memory for partial messages"));
    // New ones are not even let in while hardly anything is left.
    let mut new = live.client();
    new.send(UPGRADE);
    let answer = new.answer();
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
    assert_eq!(answer.text(), "the server's memory is full\n");
    drop(new);
    for hog in hogs {
        hog.reset();
    }
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), swio::Usage::default());
}

#[test]
fn unfinished_requests_are_held_within_one_budget() {
    let (builder, _events) = narrow();
    let live =
        Live::start(builder.on_request(|_, request| Response::text(200, request.body().len().to_string())));
    let mut clients = Vec::new();
    let mut refused = loop {
        let mut client = live.client();
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\n\r\n");
        client.try_send([7; 199_999]);
        let before = clients.len();
        let total = live.until("it is held, or refused", move |server| {
            let held = server.usage().inbound_bytes;
            assert!(held <= INBOUND, "{held}");
            let is_refused = server.usage().ending > 0;
            (is_refused || held >= (before + 1) * 199_999).then_some((held, is_refused))
        });
        if total.1 {
            break client;
        }
        clients.push(client);
    };
    assert!(clients.len() >= 4, "{} clients of 200 KB in 1 MiB", clients.len());
    let answer = refused.answer();
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
    for mut client in clients {
        client.send([7]);
        assert_eq!(client.answer().text(), "200000");
        // The memory of one request is not kept for the next.
        client.send("GET / HTTP/1.1\r\n");
        client.send("Host: test\r\n\r\n");
        assert_eq!(client.answer().text(), "0");
    }
    live.until("nothing is held", |server| (server.usage().inbound_bytes == 0).then_some(()));
}

#[test]
fn who_goes_in_the_middle_gives_back_what_was_held() {
    let (builder, events) = narrow();
    let live = Live::start(builder.configure(|config| config.close_timeout = Duration::from_millis(100)));
    for round in 0..3 {
        let mut message = live.open();
        let fd = events.open();
        message.send(masked_header(BINARY, 100_000));
        message.send([7; 50_000]);
        let mut request = live.client();
        request.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\n\r\n");
        request.send([7; 50_000]);
        live.until("both are held", |server| (server.usage().inbound_bytes > 100_000).then_some(()));
        match round {
            0 => (message.reset(), request.reset()),
            1 => (message.finish(), request.finish()),
            // The server ends it, and the memory does not wait for the peer.
            _ => {
                live.ask(move |server| server.disconnect(fd, 1000, ""));
                message.close(1000, "");
                request.finish();
                ((), ())
            }
        };
        live.until("nothing is held", |server| (server.usage().inbound_bytes == 0).then_some(()));
    }
    assert_eq!(inbound(&live), 0);
}
