//! Rates, idleness, heartbeats, and clients that read nothing.

use super::*;

#[test]
fn a_flood_of_commands_is_over_the_rate_as_messages_are() {
    for kind in KINDS {
        let (builder, events) = histories(10);
        let live = pages_with(builder, |config| config.messages_per_second_max = Some(5));
        let mut page = Page::open(&live, kind);
        for number in 0..10 {
            page.command(&format!("swio=subscribe&topic={number}"), "");
        }
        let flood = (0..200).find(|_| match kind {
            Kind::Socket => {
                page.client.try_send(masked(FIN | TEXT, b"swio=subscribe&topic=more"));
                false
            }
            _ => page.post("swio=subscribe&topic=more&number=1", "").0 == 429,
        });
        for number in 0..10 {
            page.expect(&told(&[("subscribed", &number.to_string())]));
        }
        if kind == Kind::Socket {
            assert!(matches!(events.close().1.cause, Cause::RateLimited(_)));
            continue;
        }
        assert!(flood.is_some(), "{kind:?}");
        // The session lives, and what was refused is not taken: neither it nor its number.
        let patience = Patience::new();
        while page.post("swio=unsubscribe&topic=1&number=1", "").0 != 204 {
            patience.check("the rate is kept to again");
        }
        let mut next = page.next();
        while next == told(&[("subscribed", "more")]) {
            next = page.next();
        }
        next.labels.remove("id");
        // A number that was taken by the flood is not taken again.
        let is_new = next == told(&[("unsubscribed", "1")]);
        assert!(is_new || next == told(&[("pong", "1")]), "{next:?}");
    }
}

#[test]
fn signs_of_life_do_not_keep_from_the_idle_timeout() {
    let (builder, events) = recorded();
    let live = pages_with(builder, |config| {
        config.idle_timeout = Some(Duration::from_millis(1_500));
        config.ping_interval = None;
    });
    let mut idle = Page::open(&live, Kind::Socket);
    let idle_fd = events.open();
    let mut busy = Page::open(&live, Kind::Socket);
    let patience = Patience::new();
    let closed = loop {
        patience.check("the idle one is closed");
        idle.client.try_send(masked(FIN | TEXT, b"swio=ping"));
        // The sign of life that comes with a message does not take it back.
        busy.client.try_send([masked(FIN | TEXT, b"\nmessage"), masked(FIN | TEXT, b"swio=ping")].concat());
        live.after(Duration::from_millis(100)).recv().expect("the server's time goes on");
        let close = events.rest().into_iter().find_map(|event| match event {
            Event::Close(fd, reason) => Some((fd, reason.cause)),
            _ => None,
        });
        if let Some(close) = close {
            break close;
        }
    };
    assert_eq!(closed, (idle_fd, Cause::Idle));
}

#[test]
fn an_event_stream_has_heartbeats_that_a_page_sees() {
    let live = pages_with(Server::builder(), |config| {
        config.ping_interval = Some(Duration::from_millis(100));
        config.pong_timeout = Duration::from_millis(100);
    });
    let mut client = live.client();
    client.send(
        "GET /?swio=stream&protocol=swio.1 HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n",
    );
    assert_eq!(client.answer_head().status, 200);
    let start = client.take("retry: 3000\n\ndata: {\"session\":\"\",\"heartbeat\":\"100\"}\n\n".len() + 22);
    let start = String::from_utf8(start).expect("text");
    assert!(start.ends_with("\",\"heartbeat\":\"100\"}\n\n"), "{start}");
    for _ in 0..3 {
        assert_eq!(client.take(10), b"data: {}\n\n");
    }
}

#[test]
fn one_that_never_asks_for_its_answers_is_ended_and_told_why() {
    let (builder, events) = histories(10);
    let live = pages_with(builder, |config| {
        (config.outbox_bytes_max, config.message_bytes_max) = (4_000, 2_000);
        config.body_bytes_max = 2_000;
        config.slow_consumer = SlowConsumer::DropNewest;
        config.messages_per_second_max = None;
    });
    let mut page = Page::open(&live, Kind::Poll);
    // Nobody asks for the answers.
    let patience = Patience::new();
    while page.post("swio=subscribe&topic=a", "").0 == 204 {
        patience.check("the session is ended");
    }
    let closed = loop {
        page.park();
        let answer = page.answer();
        if let Some(closed) = answer.get("closed") {
            break closed["code"].clone();
        }
    };
    assert_eq!(closed, 1013);
    // The answers, which it never asked for, are dropped with its subscriptions.
    assert!(page.waiting.is_empty(), "{} answers", page.waiting.len());
    assert_eq!(events.close().1.cause, Cause::SlowConsumer);
}

#[test]
fn where_it_is_forbidden_who_asks_for_it_is_a_plain_client() {
    let (builder, events) = recorded();
    let live = pages_with(builder, |config| config.page_protocol = false);
    let mut socket = live.client();
    socket.send(upgrade_with("Sec-WebSocket-Protocol: swio.1\r\n"));
    assert_eq!(socket.expect_101().header("Sec-WebSocket-Protocol"), None);
    let mut stream = live.client();
    stream.send(
        "GET /?swio=stream&protocol=swio.1 HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n",
    );
    assert_eq!(stream.answer_head().status, 200);
    stream.take("retry: 3000\n\n".len());
    let token = stream.take_until(b"\n\n").expect("an event");
    assert!(token.starts_with("event: swio\ndata: {\"session\":"), "{token}");
    // Polls have labels in any case.
    let mut poll = Page::open(&live, Kind::Poll);
    live.ask(|server| {
        for fd in server.connections().collect::<Vec<_>>() {
            server.join(fd, "a").expect("there is room");
        }
        let reach = server.publish("a", Message::from("hello").event("e")).send();
        assert_eq!(reach, Reach { queued: 3, ..Reach::default() });
    });
    socket.expect_text("hello");
    assert_eq!(stream.take_until(b"\n\n").as_deref(), Some("event: e\ndata: hello"));
    poll.expect(&message("hello", &[("event", "e"), ("topic", "a")]));
    // Nor is what it sends a command.
    socket.text("swio=ping\n");
    assert_eq!(events.message(), b"swio=ping\n");
    // A subprotocol of this name may be the application's own.
    let live = pages_with(Server::builder(), |config| {
        (config.page_protocol, config.subprotocols) = (false, vec!["swio.1".into()]);
    });
    let mut socket = live.client();
    socket.send(upgrade_with("Sec-WebSocket-Protocol: swio.1\r\n"));
    assert_eq!(socket.expect_101().header("Sec-WebSocket-Protocol"), Some("swio.1"));
    live.ask(|server| assert_eq!(server.broadcast("plain").send().queued, 1));
    socket.expect_text("plain");
}
