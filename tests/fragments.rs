//! Messages delivered in parts as they arrive: `Config::deliver_fragments`.

mod common;

use common::{
    BINARY, CONTINUATION, Client, DEADLINE, FIN, Live, PING, PONG, TEXT, masked, masked_header, tell,
};
use std::sync::mpsc::{self, Receiver};
use swio::{Builder, Cause, Fd, Frame, Opcode, Server};

/// What `on_message` was given: opcode, data, whether it is text for itself, whether it is the end.
type Part = (Opcode, Vec<u8>, bool, bool);

fn part(frame: &Frame<'_>) -> Part {
    (frame.opcode, frame.data.to_vec(), frame.data.as_str().is_some(), frame.finish)
}

fn in_parts() -> Builder {
    Server::builder().configure(|config| config.deliver_fragments = true)
}

/// Tells of each part and each end.
fn told() -> (Builder, Receiver<Part>, Receiver<(Fd, u16, Cause)>) {
    let (sender, parts) = mpsc::channel();
    let (closes, ends) = mpsc::channel();
    let builder = in_parts()
        .on_message(move |_, frame| tell(&sender, part(&frame)))
        .on_close(move |_, fd, reason| tell(&closes, (fd, reason.code, reason.cause)));
    (builder, parts, ends)
}

fn next<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(DEADLINE).expect("told in time")
}

#[test]
fn each_part_is_there_before_the_next_is_sent() {
    let (builder, parts, _ends) = told();
    let live = Live::start(builder);
    let mut client = live.open();
    client.send(masked(TEXT, b"caf\xc3"));
    assert_eq!(next(&parts), (Opcode::Text, b"caf\xc3".to_vec(), false, false));
    // A control frame may come between, also within.
    client.frame(PING, b"?");
    client.expect(PONG, "?");
    client.send(masked(CONTINUATION, b"\xa9 cr"));
    assert_eq!(next(&parts), (Opcode::Continuation, b"\xa9 cr".to_vec(), false, false));
    // Part of a frame is a part as well.
    let last = masked(FIN | CONTINUATION, "\u{e8}me".as_bytes());
    let (head, tail) = last.split_at(last.len() - 2);
    client.send(head);
    assert_eq!(next(&parts), (Opcode::Continuation, "\u{e8}".into(), true, false));
    client.send(tail);
    assert_eq!(next(&parts), (Opcode::Continuation, b"me".to_vec(), true, true));
    // The next message begins anew, and what is here at once comes whole.
    client.text("whole");
    assert_eq!(next(&parts), (Opcode::Text, b"whole".to_vec(), true, true));
    client.frame(BINARY, b"\xff");
    assert_eq!(next(&parts), (Opcode::Binary, b"\xff".to_vec(), false, true));
}

#[test]
fn an_empty_end_is_told_and_other_empty_fragments_are_not() {
    let (builder, parts, _ends) = told();
    let live = Live::start(builder);
    let mut client = live.open();
    for fragment in [masked(BINARY, b""), masked(CONTINUATION, b"x"), masked(CONTINUATION, b"")] {
        client.send(fragment);
    }
    client.send(masked(FIN | CONTINUATION, b""));
    assert_eq!(next(&parts), (Opcode::Binary, b"x".to_vec(), false, false));
    assert_eq!(next(&parts), (Opcode::Continuation, vec![], false, true));
    client.send([masked(TEXT, b""), masked(FIN | CONTINUATION, b"")].concat());
    assert_eq!(next(&parts), (Opcode::Text, vec![], true, true));
}

/// One frame of 32 MiB, and the server never holds more of it than its read buffer.
#[test]
fn a_huge_frame_takes_no_memory() {
    const LEN: usize = 32 << 20;
    let (sender, sums) = mpsc::channel();
    let (mut sum, mut held_max, mut count) = (0, 0, 0);
    let live = Live::start(in_parts().configure(|config| config.message_bytes_max = LEN).on_message(
        move |server, frame| {
            sum += frame.data.len();
            count += 1;
            held_max = held_max.max(server.usage().inbound_bytes);
            if frame.finish {
                tell(&sender, (sum, held_max, count));
            }
        },
    ));
    let mut client = live.open();
    client.send(masked_header(FIN | BINARY, LEN as u64));
    let chunk = vec![0; 1 << 20];
    for _ in 0..LEN / chunk.len() {
        client.send(&chunk);
    }
    let (sum, held_max, count) = next(&sums);
    assert_eq!(sum, LEN);
    assert!(count >= LEN / (64 << 10), "{count} parts are larger than the read buffer");
    assert!(held_max < 4 << 10, "{held_max} bytes were held");
}

#[test]
fn what_comes_in_parts_goes_back_in_parts() {
    let live = Live::start(in_parts().on_message(|server, frame| {
        server.push_part(frame.fd, frame.opcode, &frame.data, frame.finish).expect("it goes on");
    }));
    let mut client = live.open();
    let text = "\u{e9}\u{20ac}\u{1f389}".repeat(20_000);
    for _ in 0..3 {
        // Cut within characters.
        let cuts = text.as_bytes().chunks(25_001).collect::<Vec<_>>();
        for (number, piece) in cuts.iter().enumerate() {
            let opcode = if number == 0 { TEXT } else { CONTINUATION };
            let fin = if number + 1 == cuts.len() { FIN } else { 0 };
            client.send(masked(fin | opcode, piece));
        }
        assert_eq!(joined(&mut client), (TEXT, text.clone().into_bytes()));
    }
}

/// The kind and bytes of a message in however many frames.
fn joined(client: &mut Client) -> (u8, Vec<u8>) {
    let mut frame = client.read_frame();
    let (kind, mut bytes) = (frame.opcode, frame.payload);
    while !frame.fin {
        frame = client.read_frame();
        assert_eq!(frame.opcode, CONTINUATION);
        bytes.append(&mut frame.payload);
    }
    (kind, bytes)
}

#[test]
fn bad_text_fails_in_the_part_that_has_it() {
    let (builder, parts, ends) = told();
    let live = Live::start(builder);
    let mut client = live.open();
    client.send(masked(TEXT, b"good \xe2\x82"));
    assert_eq!(next(&parts).1, b"good \xe2\x82");
    client.send(masked(CONTINUATION, b"bad"));
    client.expect_close(1007);
    drop(client);
    assert!(matches!(next(&ends), (_, 1007, Cause::Protocol(_))));
    assert_eq!(parts.try_iter().count(), 0, "nothing of the bad part is delivered");

    let mut client = live.open();
    client.send([masked(TEXT, b"\xe2\x82"), masked(FIN | CONTINUATION, b"")].concat());
    assert_eq!(next(&parts), (Opcode::Text, b"\xe2\x82".to_vec(), false, false));
    client.expect_close(1007);
    drop(client);
    next(&ends);
    assert_eq!(parts.try_iter().count(), 0, "it has no end");
}

#[test]
fn the_limit_is_of_the_whole_message() {
    let (builder, parts, ends) = told();
    let live = Live::start(builder.configure(|config| config.message_bytes_max = 10));
    let mut client = live.open();
    client.send([masked(BINARY, b"12345"), masked(CONTINUATION, b"67890")].concat());
    let so_far: usize = next(&parts).1.len() + next(&parts).1.len();
    assert_eq!(so_far, 10);
    client.send(masked_header(CONTINUATION, 1));
    client.expect_close(1009);
    drop(client);
    assert!(matches!(next(&ends), (_, 1009, Cause::TooBig(_))));
    // Of each message anew.
    let mut client = live.open();
    for _ in 0..3 {
        client.send([masked(BINARY, b"12345"), masked(FIN | CONTINUATION, b"67890")].concat());
        assert_eq!((next(&parts).3, next(&parts).3), (false, true));
    }
    client.send(masked(CONTINUATION, b""));
    client.expect_close(1002);
}

#[test]
fn a_client_that_goes_in_the_middle_leaves_nothing() {
    let (builder, parts, ends) = told();
    let live = Live::start(builder);
    for is_reset in [false, true] {
        let mut client = live.open();
        client.send(masked(TEXT, b"begun"));
        assert!(!next(&parts).3);
        if is_reset {
            client.reset();
        } else {
            drop(client);
        }
        assert_eq!(next(&ends).1, 1006);
        live.until_empty();
        assert_eq!(live.ask(|server| server.usage().inbound_bytes), 0);
    }
    assert_eq!(parts.try_iter().count(), 0, "a message that did not end has no end");
}

#[test]
fn a_callback_may_end_the_connection_in_the_middle() {
    let (sender, calls) = mpsc::channel();
    let live = Live::start(in_parts().on_message(move |server, frame| {
        tell(&sender, frame.data.to_vec());
        match &*frame.data {
            b"panic" => panic!("as the test wants"),
            _ => assert!(server.disconnect(frame.fd, 4001, "enough")),
        }
    }));
    for (begun, code) in [(b"panic", 1011), (b"other", 4001)] {
        let mut client = live.open();
        client.send([masked(TEXT, begun), masked(FIN | CONTINUATION, b"more")].concat());
        assert_eq!(client.read_frame().close().0, code);
        assert_eq!(next(&calls), begun);
        drop(client);
        live.until_empty();
        assert_eq!(calls.try_iter().count(), 0, "nothing more is delivered");
    }
}

/// An upload goes on only as its receiver wants it to.
#[test]
fn a_pause_holds_the_parts_back() {
    const LEN: usize = 4 << 20;
    let (sender, sums) = mpsc::channel();
    let mut sum = 0;
    let live = Live::start(in_parts().configure(|config| config.message_bytes_max = LEN).on_message(
        move |server, frame| {
            sum += frame.data.len();
            let fd = frame.fd;
            assert!(server.pause(fd));
            server.defer(move |server| assert!(server.resume(fd)));
            if frame.finish {
                tell(&sender, sum);
            }
        },
    ));
    let mut client = live.open();
    client.send(masked_header(FIN | BINARY, LEN as u64));
    client.send(vec![0; LEN]);
    assert_eq!(next(&sums), LEN);
    drop(client);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage().inbound_bytes), 0);
}
