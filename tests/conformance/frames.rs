//! Rows about frames and messages: RFC 6455 §5, §6, §8.

use super::wire::Step::{Alive, Close, Delivered, End, Gets, Open, Send, Trickle, Vanish};
use super::wire::{
    BINARY, BINARY_BEGUN, CLOSE, LAST, MORE, PING, PONG, TEXT, TEXT_BEGUN, close, frame, frame_with, header,
};
use super::{MESSAGE_BYTES_MAX, Row, echoes, fails, row};

pub(crate) fn framing() -> Vec<Row> {
    let mut rows = Vec::new();
    for (first, kind) in [(TEXT, "text"), (BINARY, "binary"), (PING, "ping"), (CLOSE, "close")] {
        rows.push(fails("5.1", format!("a client's {kind} frame is masked"), vec![first, 2, 3, 232], 1002));
    }
    rows.push(fails("5.1", "also an empty one", vec![TEXT, 0], 1002));
    rows.push(echoes("5.1", "a server's frame is not masked", frame(TEXT, "hi"), TEXT, "hi"));
    for (bit, name) in [(0x40, "RSV1"), (0x20, "RSV2"), (0x10, "RSV3")] {
        rows.push(fails("5.2", format!("{name} is 0"), frame(TEXT | bit, "hi"), 1002));
        rows.push(fails("5.2", format!("{name} of a ping is 0"), frame(PING | bit, "hi"), 1002));
        let later = [frame(TEXT_BEGUN, "a"), frame(LAST | bit, "b")].concat();
        rows.push(fails("5.2", format!("{name} of a continuation is 0"), later, 1002));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        rows.push(fails("5.2", format!("opcode {opcode} is reserved"), frame(0x80 | opcode, ""), 1002));
    }
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, MESSAGE_BYTES_MAX] {
        let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let wire = frame(BINARY, &payload);
        rows.push(echoes("5.2", format!("a payload of {len} bytes"), wire, BINARY, payload));
    }
    for len in [0u16, 125] {
        let wire = header(TEXT, 126, &len.to_be_bytes(), [0; 4]);
        rows.push(fails("5.2", format!("{len} is written in 7 bits"), wire, 1002));
    }
    for len in [0u64, 125, 126, 65_535] {
        let wire = header(TEXT, 127, &len.to_be_bytes(), [0; 4]);
        rows.push(fails("5.2", format!("{len} is not written in 64 bits"), wire, 1002));
    }
    let wire = header(BINARY, 127, &(1u64 << 63).to_be_bytes(), [0; 4]);
    rows.push(fails("5.2", "the top bit of a length is 0", wire, 1002));
    for key in [[0; 4], [0xff; 4], [1, 0, 0, 0], [0, 0, 0, 1], *b"GET "] {
        let wire = frame_with(TEXT, key, "unmasked?");
        rows.push(echoes("5.3", format!("the key {key:x?}"), wire, TEXT, "unmasked?"));
    }
    let keys = [frame_with(TEXT_BEGUN, [1, 2, 3, 4], "hello"), frame_with(LAST, [5, 6, 7, 8], ", you")];
    rows.push(echoes("5.3", "each frame has a key of its own", keys.concat(), TEXT, "hello, you"));
    rows
}

pub(crate) fn fragmentation() -> Vec<Row> {
    let (begun, more, last) = (|p| frame(TEXT_BEGUN, p), |p| frame(MORE, p), |p| frame(LAST, p));
    let echo = |requirement: &str, wire: &[Vec<u8>], payload: &str| {
        echoes("5.4", requirement, wire.concat(), TEXT, payload)
    };
    let fail = |requirement: &str, wire: &[Vec<u8>]| fails("5.4", requirement, wire.concat(), 1002);
    vec![
        echo("a message of two fragments", &[begun("a"), last("b")], "ab"),
        echo("a message of five", &[begun("a"), more("b"), more("c"), more("d"), last("e")], "abcde"),
        echo("fragments may be empty", &[begun(""), more("a"), more(""), last("")], "a"),
        echo("all of them", &[begun(""), more(""), last("")], ""),
        echoes(
            "5.4",
            "fragments are of the first one's kind",
            [frame(BINARY_BEGUN, b"\xff"), last("b")].concat(),
            BINARY,
            b"\xffb",
        ),
        fail("a continuation continues something", &[last("a")]),
        fail("also one that is not the last", &[more("a")]),
        fail("also behind a ping", &[frame(PONG, ""), last("a")]),
        fail("messages are not interleaved", &[begun("a"), frame(TEXT, "b"), last("c")]),
        fail("nor of different kinds", &[begun("a"), frame(BINARY_BEGUN, "b")]),
        fail("control frames are not fragmented: ping", &[frame(PING & 0x7f, "a"), last("b")]),
        fail("control frames are not fragmented: pong", &[frame(PONG & 0x7f, "a"), last("b")]),
        fail("control frames are not fragmented: close", &[frame(CLOSE & 0x7f, ""), last("")]),
        row(
            "5.4",
            "a message's end is its end",
            [
                Open("/"),
                Send([begun("a"), last("b"), last("c")].concat()),
                Gets(TEXT, b"ab".into()),
                Close(Some(1002)),
                End,
                Delivered(1),
            ],
        ),
    ]
}

pub(crate) fn control_frames_between_fragments() -> Vec<Row> {
    let (begun, more, last) = (|p| frame(TEXT_BEGUN, p), |p| frame(MORE, p), |p| frame(LAST, p));
    let ping = || frame(PING, "between");
    let pong = || Gets(PONG, b"between".into());
    vec![
        row(
            "5.4",
            "a ping between fragments is answered at once",
            [
                Open("/"),
                Send([begun("a"), ping()].concat()),
                pong(),
                Send(last("b")),
                Gets(TEXT, b"ab".into()),
            ],
        ),
        row(
            "5.4",
            "also in one piece with them, and in front of the message",
            [
                Open("/"),
                Send([begun("a"), ping(), more("b"), ping(), last("c")].concat()),
                pong(),
                pong(),
                Gets(TEXT, b"abc".into()),
                Alive,
            ],
        ),
        row(
            "5.4",
            "a pong between fragments is nothing",
            [
                Open("/"),
                Send([begun("a"), frame(PONG, "x"), last("b")].concat()),
                Gets(TEXT, b"ab".into()),
                Alive,
            ],
        ),
        row(
            "5.4",
            "a close between fragments ends it all",
            [
                Open("/"),
                Send([begun("a"), close(1001, ""), last("b")].concat()),
                Close(Some(1001)),
                End,
                Delivered(0),
            ],
        ),
    ]
}

pub(crate) fn pings() -> Vec<Row> {
    let answered = |requirement: &str, payload: &[u8]| {
        let steps = [Open("/"), Send(frame(PING, payload)), Gets(PONG, payload.to_vec()), Alive];
        row("5.5.3", requirement, steps)
    };
    vec![
        answered("an empty ping", b""),
        answered("a ping with a text", b"hello"),
        answered("a ping with bytes that are no text", b"\0\xff\x80"),
        answered("a ping of 125 bytes", &[7; 125]),
        row(
            "5.5.3",
            "pings are answered in their order",
            [
                Open("/"),
                Send([frame(PING, "1"), frame(PING, "2"), frame(PING, "3")].concat()),
                Gets(PONG, b"1".into()),
                Gets(PONG, b"2".into()),
                Gets(PONG, b"3".into()),
            ],
        ),
        row(
            "5.5.3",
            "a ping byte by byte",
            [Open("/"), Trickle(frame(PING, "slow")), Gets(PONG, b"slow".into()), Alive],
        ),
        row(
            "5.5.3",
            "a pong that nobody asked for is not answered",
            [Open("/"), Send([frame(PONG, ""), frame(PONG, "unasked")].concat()), Alive],
        ),
        row(
            "5.5.2",
            "the server's ping, and its answer",
            [
                Open("/do"),
                Send(frame(TEXT, "ping there?")),
                Gets(PING, b"there?".into()),
                Send(frame(PONG, "there?")),
                Alive,
            ],
        ),
        fails("5.5", "a ping is of 125 bytes at most", frame(PING, [0; 126]), 1002),
        fails("5.5", "a pong as well", frame(PONG, [0; 126]), 1002),
        fails("5.5", "a close as well", close(1000, [b'a'; 124]), 1002),
    ]
}

pub(crate) fn messages() -> Vec<Row> {
    let messages = |count: usize| (0..count).map(|i| format!("number {i}"));
    let many: Vec<u8> = messages(100).flat_map(|text| frame(TEXT, text)).collect();
    let many_back = messages(100).map(|text| Gets(TEXT, text.into_bytes()));
    vec![
        echoes("5.6", "text stays text", frame(TEXT, "κόσμε"), TEXT, "κόσμε"),
        echoes("5.6", "binary stays binary", frame(BINARY, "κόσμε"), BINARY, "κόσμε"),
        echoes("5.6", "binary may be anything", frame(BINARY, b"\xc3\x28\0"), BINARY, b"\xc3\x28\0"),
        echoes("5.6", "an empty text", frame(TEXT, ""), TEXT, ""),
        echoes("5.6", "an empty binary", frame(BINARY, ""), BINARY, ""),
        row(
            "6.2",
            "messages keep their order",
            [vec![Open("/"), Send(many)], many_back.collect(), vec![Alive, Vanish, Delivered(100)]]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>(),
        ),
        row(
            "6.2",
            "a message byte by byte",
            [
                Open("/"),
                Trickle([frame(TEXT_BEGUN, "κό"), frame(LAST, "σμε")].concat()),
                Gets(TEXT, "κόσμε".into()),
                Alive,
            ],
        ),
    ]
}

pub(crate) fn texts() -> Vec<Row> {
    let mut rows = Vec::new();
    for text in ["\u{0}", "\u{7f}\u{80}\u{7ff}\u{800}", "\u{d7ff}\u{e000}", "\u{fffe}\u{ffff}\u{10ffff}"] {
        rows.push(echoes("8.1", format!("{text:?} is text"), frame(TEXT, text), TEXT, text));
    }
    rows.push(echoes("8.1", "a byte order mark is kept", frame(TEXT, "\u{feff}a"), TEXT, "\u{feff}a"));
    let split = [frame(TEXT_BEGUN, b"\xf0\x9f"), frame(MORE, b"\x8e"), frame(LAST, b"\x89!")].concat();
    rows.push(echoes("8.1", "a character may be cut by fragments", split, TEXT, "🎉!"));
    let bad: [(&[u8], &str); 12] = [
        (b"\x80", "a continuation byte"),
        (b"a\xff", "ff"),
        (b"a\xfe", "fe"),
        (b"\xc0\xaf", "an overlong slash"),
        (b"\xe0\x80\xaf", "a longer one"),
        (b"\xf0\x80\x80\xaf", "the longest"),
        (b"\xed\xa0\x80", "a surrogate"),
        (b"\xed\xa0\x80\xed\xb0\x80", "a pair of them"),
        (b"\xf4\x90\x80\x80", "a number over 10ffff"),
        (b"\xf8\x88\x80\x80\x80", "five bytes"),
        (b"\xe2\x28\xa1", "a character cut by another"),
        (b"\xe2\x82", "a character cut by the end"),
    ];
    for (text, what) in bad {
        rows.push(fails("8.1", format!("{what} is no text"), frame(TEXT, text), 1007));
    }
    let fragments = [frame(TEXT_BEGUN, "good"), frame(LAST, b"bad\xff")].concat();
    rows.push(fails("8.1", "nor in a later fragment", fragments, 1007));
    let cut = [frame(TEXT_BEGUN, b"\xce"), frame(LAST, b"")].concat();
    rows.push(fails("8.1", "a fragmented text may not end in a character", cut, 1007));
    let other = [frame(TEXT_BEGUN, b"\xce"), frame(LAST, "a")].concat();
    rows.push(fails("8.1", "nor go on with another", other, 1007));
    let first = frame(TEXT_BEGUN, b"bad\xff");
    rows.push(fails("8.1", "bad text is not waited for the end of", first, 1007));
    let part = [header(TEXT, 100, &[], [0; 4]), b"bad\xff".into()].concat();
    rows.push(fails("8.1", "not even for the end of its frame", part, 1007));
    rows
}
