//! Messages pushed in parts, prepared messages, and raw bytes.

mod common;

use common::{
    BINARY, CLOSE, CONTINUATION, Client, DEADLINE, Frame, Live, PING, PONG, TEXT, recorded, still_serving,
    tell,
};
use std::sync::mpsc;
use swio::{Fd, Message, Opcode, Prepared, PushError, Reach, Response, Server};

/// A server with one client, and that client's fd.
fn one_client() -> (Live, Client, Fd) {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let client = live.open();
    (live, client, events.open())
}

fn part(fin: bool, opcode: u8, payload: &[u8]) -> Frame {
    Frame { fin, opcode, payload: payload.to_vec() }
}

#[test]
fn a_message_in_parts_arrives_as_frames_of_one_message() {
    let (live, mut client, fd) = one_client();
    live.ask(move |server| {
        server.push_part(fd, Opcode::Text, "caf\u{e9}".as_bytes().split_at(4).0, false).expect("begun");
        server.push_part(fd, Opcode::Continuation, b"", false).expect("goes on");
        server.push_part(fd, Opcode::Continuation, b"\xa9 ", false).expect("goes on");
        server.push_part(fd, Opcode::Continuation, &[b'x'; 70_000], true).expect("ends");
        server.push(fd, "next").expect("the message is over");
        server.push_part(fd, Opcode::Binary, b"\xff", true).expect("whole in one part");
    });
    assert_eq!(client.read_frame(), part(false, TEXT, b"caf\xc3"));
    assert_eq!(client.read_frame(), part(false, CONTINUATION, b""));
    assert_eq!(client.read_frame(), part(false, CONTINUATION, b"\xa9 "));
    assert_eq!(client.read_frame(), part(true, CONTINUATION, &[b'x'; 70_000]));
    client.expect_text("next");
    client.expect(BINARY, b"\xff");
}

#[test]
fn nothing_but_control_frames_comes_between_the_parts() {
    let (live, mut client, fd) = one_client();
    let mut other = live.open();
    let reach = live.ask(move |server| {
        let unfinished = Err(PushError::Unfinished);
        let prepared = Message::from("prepared").prepare();
        server.push_part(fd, Opcode::Binary, b"begun", false).expect("begun");
        assert_eq!(server.push(fd, "no"), unfinished);
        assert_eq!(server.push(fd, &prepared), unfinished);
        assert_eq!(server.push_as(fd, Opcode::Text, b"no"), unfinished);
        assert_eq!(server.push_part(fd, Opcode::Text, b"no", true), unfinished);
        server.push_as(fd, Opcode::Ping, b"yes").expect("control frames may");
        let reach = server.broadcast("to the others").send();
        server.push_part(fd, Opcode::Continuation, b"over", true).expect("ends");
        (reach, server.broadcast("to all").send())
    });
    assert_eq!(reach.0, Reach { queued: 1, unfinished: 1, ..Reach::default() });
    assert_eq!(reach.1, Reach { queued: 2, ..Reach::default() });
    assert_eq!(client.read_frame(), part(false, BINARY, b"begun"));
    client.expect(PING, "yes");
    assert_eq!(client.read_frame(), part(true, CONTINUATION, b"over"));
    client.expect_text("to all");
    other.expect_text("to the others");
    other.expect_text("to all");
}

#[test]
fn a_ping_is_answered_and_a_disconnect_works_in_the_middle_of_a_message() {
    let (live, mut client, fd) = one_client();
    live.ask(move |server| server.push_part(fd, Opcode::Text, b"half \xe2\x82", false)).expect("begun");
    client.frame(PING, b"?");
    assert_eq!(client.read_frame(), part(false, TEXT, b"half \xe2\x82"));
    client.expect(PONG, b"?");
    assert!(live.ask(move |server| server.disconnect(fd, 4000, "never mind")));
    let frame = client.read_frame();
    assert_eq!((frame.opcode, frame.close()), (CLOSE, (4000, "never mind".to_owned())));
    let pushed = live.ask(move |server| server.push_part(fd, Opcode::Continuation, b"\xac", true));
    assert_eq!(pushed, Err(PushError::Closing));
    drop(client);
    live.until_empty();
    let pushed = live.ask(move |server| server.push_part(fd, Opcode::Continuation, b"\xac", true));
    assert_eq!(pushed, Err(PushError::Gone));
    still_serving(&live);
}

#[test]
fn parts_that_make_no_message_are_refused_and_nothing_of_them_is_sent() {
    let (live, mut client, fd) = one_client();
    live.ask(move |server| {
        let unsendable = Err(PushError::Unsendable);
        let mut push = |opcode, bytes: &[u8], finish| server.push_part(fd, opcode, bytes, finish);
        assert_eq!(push(Opcode::Continuation, b"of nothing", true), unsendable);
        assert_eq!(push(Opcode::Ping, b"", true), unsendable);
        assert_eq!(push(Opcode::Close, b"", false), unsendable);
        assert_eq!(push(Opcode::Text, b"\xff", false), unsendable);
        assert_eq!(push(Opcode::Text, b"\xe2\x82", true), unsendable);
        push(Opcode::Text, b"\xe2\x82", false).expect("cut within a character");
        assert_eq!(push(Opcode::Continuation, b"\xff", false), unsendable);
        assert_eq!(push(Opcode::Continuation, b"", true), unsendable);
        push(Opcode::Continuation, b"\xac", true).expect("the character's end");
        server.push(fd, "behind").expect("taken");
    });
    assert_eq!(client.read_frame(), part(false, TEXT, b"\xe2\x82"));
    assert_eq!(client.read_frame(), part(true, CONTINUATION, b"\xac"));
    client.expect_text("behind");
}

#[test]
fn a_received_message_goes_back_in_parts_of_the_kind_it_came_as() {
    let live = Live::start(Server::builder().on_message(|server, frame| {
        let (head, tail) = frame.data.split_at(frame.data.len() / 2);
        server.push_part(frame.fd, frame.opcode, head, false).expect("begun");
        server.push_part(frame.fd, Opcode::Continuation, tail, true).expect("ends");
    }));
    let mut client = live.open();
    client.text("h\u{e9}llo!");
    assert_eq!(client.read_frame(), part(false, TEXT, b"h\xc3\xa9"));
    assert_eq!(client.read_frame(), part(true, CONTINUATION, b"llo!"));
    client.frame(BINARY, b"\xff\xfe");
    assert_eq!(client.read_frame(), part(false, BINARY, b"\xff"));
    assert_eq!(client.read_frame(), part(true, CONTINUATION, b"\xfe"));
}

/// From small ones, which are copied together, to one that is shared with whoever can't take it at once.
#[test]
fn a_prepared_message_goes_wherever_a_message_goes() {
    for len in [0, 5, 125, 126, 3_000, 20_000, 200_000] {
        let (live, mut client, fd) = one_client();
        let mut other = live.open();
        let text = "x".repeat(len);
        let prepared: Prepared = Message::from(&text).prepare();
        let (shared, handle) = (prepared.clone(), live.handle.clone());
        live.ask(move |server| {
            server.push(fd, "first").expect("pushed");
            server.push(fd, &shared).expect("pushed");
            server.push(fd, &shared).expect("pushed");
            server.push(fd, "between").expect("pushed");
            assert_eq!(server.broadcast(&shared).send().queued, 2);
        });
        handle.push(fd, &prepared).expect("taken");
        handle.broadcast(prepared).expect("taken");
        client.expect_text("first");
        client.expect_text(&text);
        client.expect_text(&text);
        client.expect_text("between");
        for _ in 0..3 {
            client.expect_text(&text);
        }
        other.expect_text(&text);
        other.expect_text(&text);
    }
}

#[test]
fn a_prepared_message_to_nobody_is_an_answer() {
    let (live, client, fd) = one_client();
    drop(client);
    live.until_empty();
    let prepared = Message::from(b"x").prepare();
    assert_eq!(live.ask(move |server| server.push(fd, &prepared)), Err(PushError::Gone));
}

#[test]
fn bytes_are_sent_as_they_are_to_a_websocket_and_ahead_of_an_answer() {
    let (sender, fds) = mpsc::channel();
    let live = Live::start(
        Server::builder()
            .on_connect(move |_, fd| tell(&sender, fd))
            .on_request(|server, request| {
                server.send(request.fd, b"HTTP/1.1 103 Early Hints\r\n\r\n").expect("sent");
                Response::text(200, "page")
            })
            .on_message(|server, frame| {
                // A whole frame of the application's own making: a text of one letter.
                server.send(frame.fd, b"\x81\x01!").expect("sent");
                server.push(frame.fd, "behind").expect("pushed");
            }),
    );
    let mut client = live.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.answer_head().status, 103);
    assert_eq!(client.answer().text(), "page");
    fds.recv_timeout(DEADLINE).expect("accepted");
    drop(client);

    let mut client = live.open();
    client.text("go");
    client.expect_text("!");
    client.expect_text("behind");
    let fd = fds.recv_timeout(DEADLINE).expect("accepted");
    live.ask(move |server| {
        assert!(server.disconnect(fd, 1000, ""));
        assert_eq!(server.send(fd, b"too late"), Err(PushError::Closing));
    });
    client.answer_close(1000);
    live.until_empty();
    assert_eq!(live.ask(move |server| server.send(fd, b"gone")), Err(PushError::Gone));
}

/// Something huge goes out in parts as there is room for them, to a client that reads as it likes.
#[test]
fn what_is_too_large_to_have_is_pushed_as_the_client_reads() {
    const PARTS: usize = 256;
    const PART: usize = 64 << 10;
    fn push_some(server: &mut Server, fd: Fd, pushed: &mut usize) {
        // Until `on_buffer_full` would be told: 80 % of 1 MiB.
        while *pushed < PARTS && server.client_info(fd).is_some_and(|info| info.queued_bytes < 700 << 10) {
            let opcode = if *pushed == 0 { Opcode::Binary } else { Opcode::Continuation };
            *pushed += 1;
            server.push_part(fd, opcode, &[*pushed as u8; PART], *pushed == PARTS).expect("there is room");
        }
    }
    #[derive(Default)]
    struct Sender {
        pushed: usize,
    }
    impl swio::Handler for Sender {
        fn on_open(&mut self, server: &mut Server, request: &swio::Request<'_>) {
            push_some(server, request.fd, &mut self.pushed);
        }

        fn on_buffer_empty(&mut self, server: &mut Server, fd: Fd) {
            push_some(server, fd, &mut self.pushed);
        }
    }
    let live = Live::start(Server::builder().handler(Sender::default).configure(|config| {
        config.outbox_bytes_max = 1 << 20;
        config.buffer_high_watermark = Some(512 << 10);
        config.buffer_low_watermark = 64 << 10;
    }));
    let mut client = Client::connect_narrow(live.address).handshake();
    for number in 1..=PARTS {
        let frame = client.read_frame();
        let opcode = if number == 1 { BINARY } else { CONTINUATION };
        assert_eq!((frame.fin, frame.opcode, frame.payload.len()), (number == PARTS, opcode, PART));
        assert!(frame.payload.iter().all(|byte| *byte == number as u8));
    }
}
