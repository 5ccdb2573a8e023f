//! Frames of `swio.1`: what is a command, messages in fragments and in parts.

use super::*;

#[test]
fn what_is_no_command_ends_a_websocket_and_is_refused_by_post() {
    let (builder, events) = histories(10);
    let live = pages_with(builder, |config| config.messages_per_second_max = None);
    let long = format!("swio=subscribe&topic={}", "%00".repeat(1_025));
    let none = "no command: a message begins with a line feed";
    let (unknown, no_topic) = ("an unknown command", "a command without a topic");
    let much_too_long = "the name of a topic that is much too long";
    for (query, what) in [
        ("hello", none),
        ("topic=a\nhello", none),
        ("swio=publish&topic=news", unknown),
        ("swio=stream\n", unknown),
        ("swio=subscribe", no_topic),
        ("swio=unsubscribe&topic=\n", no_topic),
        ("swio=close&code=1005", "a bad close code"),
        ("swio=close", "a close command on a WebSocket"),
        (&long, much_too_long),
        (&long.replace("sub", "unsub"), much_too_long),
    ] {
        let mut page = Page::open(&live, Kind::Socket);
        page.client.text(query);
        assert_eq!(page.client.expect_close(1002), what, "{query}");
        drop(page);
        // Those who posted have gone meanwhile.
        let reasons = std::iter::repeat_with(|| events.close().1);
        let reason = reasons.into_iter().find(|reason| reason.by == Side::Local).expect("one of them");
        assert_eq!((reason.code, reason.cause), (1002, Cause::Protocol(what)));
        let is_for_post = query.starts_with("swio") && !query.contains('\n') && query != "swio=close";
        for kind in [Kind::Stream, Kind::Poll].into_iter().filter(|_| is_for_post) {
            let mut page = Page::open(&live, kind);
            assert_eq!(page.post(query, ""), (400, what.to_owned()), "{query}");
            page.expect_nothing();
        }
    }
    // Whatever bytes stand there, in however many pieces.
    let mut page = Page::open(&live, Kind::Socket);
    page.client.frame(BINARY, b"\n\xff\n");
    assert_eq!(events.message(), b"\xff\n");
    page.client.send_in_pieces(masked(FIN | TEXT, b"swio=send&more=1\n\n"));
    assert_eq!(events.message(), b"\n");
    page.client.frame(BINARY, b"swio=subscribe&topic=%FF");
    page.expect(&told(&[("subscribed", "\u{fffd}")]));
    page.client.frame(BINARY, b"\xff\xfe\n");
    assert_eq!(page.client.expect_close(1002), none);
}

#[test]
fn messages_in_fragments_come_whole() {
    let (builder, events) = recorded();
    let live = pages_with(builder, |config| config.deliver_fragments = true);
    let mut page = Page::open(&live, Kind::Socket);
    page.client.send(masked(TEXT, b"swio=se"));
    page.client.frame(PING, b"between");
    page.client.expect(PONG, "between");
    page.client.send(masked(CONTINUATION, b"nd\nhel"));
    page.client.send(masked(FIN | CONTINUATION, b"lo"));
    assert_eq!(events.message(), b"hello");
    // Others beside it get them as they come.
    let mut plain = live.open();
    plain.send(masked(TEXT, b"\nhel"));
    assert_eq!(events.message(), b"\nhel");
}

#[test]
fn messages_in_parts_have_their_labels_in_front_and_what_comes_meanwhile_behind() {
    let (builder, events) = histories(10);
    let live = pages(builder);
    let mut page = Page::open(&live, Kind::Socket);
    let fd = events.open();
    page.subscribe("a");
    publish(&live, &[("b", "1")]);
    let reach = live.ask(move |server| {
        server.push_part(fd, Opcode::Text, "h\u{e9}".as_bytes()[..2].as_ref(), false).expect("open");
        assert_eq!(server.push(fd, "not now"), Err(PushError::Unfinished));
        assert_eq!(server.push(fd, Message::from("nor this").prepare()), Err(PushError::Unfinished));
        let unfinished = Reach { unfinished: 1, ..Reach::default() };
        assert_eq!(server.broadcast("nor this").send(), unfinished);
        // What has a history may not be missed without a word.
        server.publish("a", "kept").send()
    });
    assert_eq!(reach, Reach { queued: 1, ..Reach::default() });
    page.command("swio=ping", "");
    page.command("swio=subscribe&topic=b&last-event-id=other-1", "");
    page.command("swio=subscribe&topic=secret", "");
    page.send("go on");
    assert_eq!(events.message(), b"go on");
    live.ask(move |server| {
        assert!(server.usage().inbound_bytes > 0);
        server.push_part(fd, Opcode::Continuation, &"\u{e9}".as_bytes()[1..], false).expect("open");
        server.push_part(fd, Opcode::Continuation, b"", true).expect("open");
        server.push(fd, "after").expect("open");
        assert_eq!(server.usage().inbound_bytes, 0);
    });
    let parts: Vec<Frame> = (0..3).map(|_| page.client.read_frame()).collect();
    assert_eq!(parts.iter().map(|part| part.opcode).collect::<Vec<_>>(), [TEXT, CONTINUATION, CONTINUATION]);
    let payload: Vec<u8> = parts.into_iter().flat_map(|part| part.payload).collect();
    assert_eq!(payload, "\nh\u{e9}".as_bytes());
    page.texts(&["kept"]);
    page.expect(&told(&[("pong", "1")]));
    page.expect(&told(&[("gap", "b")]));
    page.texts(&["1"]);
    assert_eq!(page.next().labels["subscribed"], "b");
    assert_eq!(page.next().labels["denied"], "secret");
    page.texts(&["after"]);
    page.expect_nothing();
    // What is held back for one that goes is given back.
    live.ask(move |server| {
        server.push_part(fd, Opcode::Binary, b"", false).expect("open");
        server.publish("a", "kept").send();
        assert!(server.usage().inbound_bytes > 0);
    });
    drop(page);
    live.until_empty();
    live.ask(|server| assert_eq!(server.usage().inbound_bytes, 0));
}

#[test]
fn what_waits_behind_a_message_in_parts_stays_within_the_memory_for_it() {
    let (builder, events) = histories(10);
    let live = pages_with(builder, |config| {
        (config.outbox_bytes_max, config.message_bytes_max) = (1 << 20, 8_000);
        (config.body_bytes_max, config.inbound_bytes_max) = (8_000, 40_000);
    });
    let mut page = Page::open(&live, Kind::Socket);
    let fd = events.open();
    page.subscribe("a");
    live.ask(move |server| {
        server.push_part(fd, Opcode::Binary, b"", false).expect("open");
        while server.publish("a", vec![0; 500]).send().queued == 1 {
            let held = server.usage().inbound_bytes;
            assert!(held <= 40_000, "{held}");
        }
    });
}

#[test]
fn too_much_behind_a_message_in_parts_ends_its_connection() {
    let (builder, events) = histories(10);
    let live = pages_with(builder, |config| {
        (config.outbox_bytes_max, config.message_bytes_max) = (4_000, 2_000);
        config.body_bytes_max = 2_000;
    });
    let mut page = Page::open(&live, Kind::Socket);
    let fd = events.open();
    page.subscribe("a");
    live.ask(move |server| {
        server.push_part(fd, Opcode::Binary, b"", false).expect("open");
        let reach = |queued, refused| Reach { queued, refused, ..Reach::default() };
        for expected in [reach(1, 0), reach(1, 0), reach(0, 1)] {
            assert_eq!(server.publish("a", vec![0; 1_500]).send(), expected);
        }
    });
    assert_eq!(page.client.read_frame().payload, b"\n");
    page.client.expect_close(1013);
    drop(page);
    assert_eq!(events.close().1.cause, Cause::SlowConsumer);
    live.until_empty();
    live.ask(|server| assert_eq!(server.usage().inbound_bytes, 0));
}

#[test]
fn swio_is_chosen_where_it_is_offered_and_the_handler_does_not_choose_otherwise() {
    let builder = Server::builder()
        .on_handshake(|_, request| match request.query_param("choose") {
            Some(name) => Handshake::accept().subprotocol(name.into_owned()),
            None => Handshake::accept(),
        })
        .on_open(|server, request| server.push(request.fd, "hello").expect("open"));
    let live = pages_with(builder, |config| config.subprotocols = vec!["other".into(), "swio.1".into()]);
    for (choice, offered, expected) in [
        ("", "swio.1", Some("swio.1")),
        ("", "other, swio.1", Some("swio.1")),
        ("?choose=other", "swio.1, other", Some("other")),
        ("?choose=swio.1", "other, swio.1", Some("swio.1")),
        ("", "other", Some("other")),
        ("", "SWIO.1, other", Some("other")),
    ] {
        let mut client = live.client();
        let upgrade = upgrade_with(&format!("Sec-WebSocket-Protocol: {offered}\r\n"));
        client.send(upgrade.replace("GET /", &format!("GET /{choice}")));
        assert_eq!(client.expect_101().header("Sec-WebSocket-Protocol"), expected, "{choice} {offered}");
        client.expect_text(if expected == Some("swio.1") { "\nhello" } else { "hello" });
    }
}
