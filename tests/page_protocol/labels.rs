//! The labels of each message, on each transport.

use super::*;

#[test]
fn messages_have_their_labels_on_each_transport() {
    for kind in KINDS {
        let (builder, events) = recorded();
        let live = pages(builder);
        let mut page = Page::open(&live, kind);
        let fd = events.open();
        live.ask(move |server| {
            server.push(fd, "hello").expect("open");
            server.push(fd, "").expect("open");
            server.push(fd, "a\nb\r\n\"&=%").expect("open");
            server.push(fd, &[0xff, b'\n', 0]).expect("open");
            server.push(fd, Message::from("7").event("price & more\n").id("k=1\n")).expect("open");
            server.push(fd, Message::from("prepared").prepare()).expect("open");
            server.push_as(fd, Opcode::Binary, b"as").expect("open");
            server.push(fd, Message::from("latest").latest(1)).expect("open");
            server.join(fd, "a b&ü").expect("open");
            server.bind(fd, "ada").expect("open");
            let one = Reach { queued: 1, ..Reach::default() };
            assert_eq!(server.publish("a b&ü", Message::from("x").event("e")).send(), one);
            assert_eq!(server.broadcast(&[1u8, 2]).send(), one);
            assert_eq!(server.push_to_user("ada", Message::from("yours").prepare()), one);
            assert_eq!(server.push_as(fd, Opcode::Continuation, b""), Err(PushError::Unsendable));
        });
        page.expect(&message("hello", &[]));
        page.expect(&message("", &[]));
        page.expect(&message("a\nb\r\n\"&=%", &[]));
        page.expect(&binary(&[0xff, b'\n', 0], &[]));
        page.expect(&message("7", &[("event", "price & more\n"), ("id", "k=1\n")]));
        page.expect(&message("prepared", &[]));
        page.expect(&binary(b"as", &[]));
        page.expect(&message("latest", &[]));
        page.expect(&message("x", &[("topic", "a b&ü"), ("event", "e")]));
        page.expect(&binary(&[1, 2], &[]));
        page.expect(&message("yours", &[]));
        page.send("one\ntwo");
        assert_eq!(events.message(), b"one\ntwo");
        page.send("");
        assert_eq!(events.message(), b"");
        page.expect_nothing();
        let large = "x".repeat(100_000);
        let sent = large.clone();
        live.ask(move |server| server.publish("a b&ü", sent).send());
        page.expect(&message(&large, &[("topic", "a b&ü")]));
    }
}

#[test]
fn plain_clients_beside_them_are_told_payloads_alone() {
    let (builder, events) = histories(10);
    let live = pages(builder);
    let mut all: Vec<Page> = KINDS.map(|kind| Page::open(&live, kind)).into();
    let mut socket = live.open();
    let mut stream = live.client();
    stream.send("GET / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n");
    assert_eq!(stream.answer_head().status, 200);
    let fds: Vec<Fd> = (0..5).map(|_| events.open()).collect();
    let reach = live.ask(move |server| {
        fds.iter().for_each(|fd| assert!(server.join(*fd, "a").expect("open")));
        server.publish("a", Message::from("to all").event("e")).send()
    });
    assert_eq!(reach, Reach { queued: 5, ..Reach::default() });
    for page in &mut all {
        assert_eq!(page.next().labels.keys().collect::<Vec<_>>(), ["id", "position"]);
        let next = page.next();
        let id = &next.labels["id"];
        assert_eq!(next, message("to all", &[("topic", "a"), ("id", id), ("event", "e")]));
    }
    socket.expect_text("to all");
    let stream = String::from_utf8(stream.take(60)).expect("text");
    assert!(stream.starts_with("retry: 3000\n\nid: "), "{stream:?}");
    // What stands in a frame of a plain WebSocket is its message.
    socket.text("swio=ping\n");
    assert_eq!(events.message(), b"swio=ping\n");
}
