//! Rows about closing: RFC 6455 §5.5.1, §7, and the limits of §10.

use super::wire::Step::{Alive, Close, Delivered, End, Fin, Gets, Lingers, Open, Reported, Send, Vanish};
use super::wire::{
    BINARY, BINARY_BEGUN, CLOSE, LAST, MORE, PING, PONG, Step, TEXT, TEXT_BEGUN, close, frame, header,
};
use super::{FRAGMENTS_MAX, MESSAGE_BYTES_MAX, Row, echoes, fails, row};
use swio::Side;

pub(crate) fn close_frames() -> Vec<Row> {
    let echo = |requirement: &str, wire: Vec<u8>, code: u16| {
        row(
            "5.5.1",
            requirement,
            [Open("/"), Send(wire), Close(Some(code)), End, Reported(code, Side::Peer), Delivered(0)],
        )
    };
    vec![
        echo("a close is answered with its code", close(1000, ""), 1000),
        echo("also with a reason", close(4321, "κόσμε"), 4321),
        echo("also with the longest", close(1001, [b'a'; 123]), 1001),
        row(
            "5.5.1",
            "a close without a code is answered without one",
            [Open("/"), Send(frame(CLOSE, "")), Gets(CLOSE, Vec::new()), End],
        ),
        fails("5.5.1", "a code has two bytes", frame(CLOSE, [3]), 1002),
        fails("5.5.1", "a reason is UTF-8", close(1000, b"bad \xff"), 1007),
        fails("5.5.1", "to its end", close(1000, b"cut \xce"), 1007),
    ]
}

pub(crate) fn order_around_a_close() -> Vec<Row> {
    let big = vec![b'x'; 60_000];
    vec![
        row(
            "5.5.1",
            "what follows a close is not delivered, nor a second close answered",
            [
                Open("/"),
                Send([close(1000, ""), frame(TEXT, "late"), frame(PING, "late"), close(1001, "")].concat()),
                Close(Some(1000)),
                End,
                Reported(1000, Side::Peer),
                Delivered(0),
            ],
        ),
        row(
            "5.5.1",
            "what came before a close is answered before it",
            [
                Open("/"),
                Send([frame(TEXT, "last"), close(1000, "")].concat()),
                Gets(TEXT, b"last".into()),
                Close(Some(1000)),
                End,
            ],
        ),
        row(
            "5.5.1",
            "also where much is on its way",
            [
                Open("/"),
                Send([frame(TEXT, &big), frame(TEXT, &big), close(1000, "")].concat()),
                Gets(TEXT, big.clone()),
                Gets(TEXT, big.clone()),
                Close(Some(1000)),
                End,
            ],
        ),
        row(
            "5.5.1",
            "the server sends nothing behind its close",
            [
                Open("/do"),
                asked("disconnect 4000 bye"),
                Gets(TEXT, b"before".into()),
                Gets(CLOSE, b"\x0f\xa0bye".into()),
                Send(close(4000, "")),
                End,
                Reported(4000, Side::Local),
            ],
        ),
        row(
            "1.4",
            "what follows the server's close is not delivered",
            [
                Open("/do"),
                asked("disconnect 1000"),
                Gets(TEXT, b"before".into()),
                Close(Some(1000)),
                Send([frame(TEXT, "late"), frame(BINARY_BEGUN, "late"), close(1000, "")].concat()),
                End,
                Delivered(1),
            ],
        ),
    ]
}

pub(crate) fn ends_of_tcp() -> Vec<Row> {
    let junk = [close(1000, ""), vec![0xa5; 3 << 20]].concat();
    vec![
        row("7.1.1", "the server ends TCP first", [Open("/"), Send(close(1000, "")), Close(Some(1000)), End]),
        row(
            "7.1.1",
            "also where it began to close",
            [
                Open("/do"),
                asked("disconnect 1000"),
                Gets(TEXT, b"before".into()),
                Close(Some(1000)),
                Send(close(1000, "")),
                End,
            ],
        ),
        row(
            "7.1.1",
            "in order: unread input does not reset it",
            [Open("/"), Send(junk), Close(Some(1000)), End, Lingers],
        ),
        row(
            "7.1.2",
            "a client that never answers the close",
            [
                Open("/do"),
                asked("disconnect 1001"),
                Gets(TEXT, b"before".into()),
                Close(Some(1001)),
                End,
                Reported(1001, Side::Local),
            ],
        ),
    ]
}

pub(crate) fn codes_reported() -> Vec<Row> {
    let unfinished = frame(BINARY, [0; 100])[..50].to_vec();
    vec![
        row(
            "7.1.5",
            "a close without a code is 1005",
            [Open("/"), Send(frame(CLOSE, "")), Reported(1005, Side::Peer)],
        ),
        row("7.1.5", "no close at all is 1006", [Open("/"), Alive, Vanish, Reported(1006, Side::Peer)]),
        row(
            "7.1.5",
            "nor in the middle of a frame",
            [Open("/"), Send(unfinished), Vanish, Reported(1006, Side::Peer), Delivered(0)],
        ),
        row(
            "7.1.5",
            "nor in the middle of a message",
            [Open("/"), Send(frame(TEXT_BEGUN, "a")), Vanish, Reported(1006, Side::Peer), Delivered(0)],
        ),
        row(
            "7.1.5",
            "the first close is the one that counts",
            [
                Open("/"),
                Send([close(4001, ""), close(4002, "")].concat()),
                Close(Some(4001)),
                End,
                Reported(4001, Side::Peer),
            ],
        ),
        row(
            "7.1.5",
            "a close that was begun here keeps its own reason, whatever code the client answers with",
            [
                Open("/do"),
                asked("disconnect 4000 bye"),
                Gets(TEXT, b"before".into()),
                Close(Some(4000)),
                Send(close(4001, "")),
                End,
                Reported(4000, Side::Local),
            ],
        ),
    ]
}

pub(crate) fn failures() -> Vec<Row> {
    vec![
        row(
            "7.1.6",
            "a client that ends TCP is answered what it asked before",
            [
                Open("/"),
                Send(frame(TEXT, "last")),
                Fin,
                Gets(TEXT, b"last".into()),
                End,
                Reported(1006, Side::Peer),
            ],
        ),
        row(
            "7.1.7",
            "behind an error nothing more is looked at",
            [
                Open("/"),
                Send([frame(TEXT, "good"), frame(0x83, ""), frame(TEXT, "late"), frame(PING, "")].concat()),
                Gets(TEXT, b"good".into()),
                Close(Some(1002)),
                End,
                Delivered(1),
            ],
        ),
        row(
            "7.1.7",
            "an error after the server's close",
            [
                Open("/do"),
                asked("disconnect 1000"),
                Gets(TEXT, b"before".into()),
                Close(Some(1000)),
                Send(frame(0x83, "")),
                End,
            ],
        ),
    ]
}

pub(crate) fn codes() -> Vec<Row> {
    let mut rows = Vec::new();
    let legal = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    for code in legal.into_iter().chain([3000, 3999, 4000, 4999]) {
        let steps = [Open("/"), Send(close(code, "why")), Close(Some(code)), End, Reported(code, Side::Peer)];
        rows.push(row("7.4", format!("{code} is a code"), steps));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        rows.push(fails("7.4", format!("{code} is none"), close(code, ""), 1002));
    }
    for code in [1005, 1006, 1015, 0, 999, 2000, 5000] {
        rows.push(row(
            "7.4.1",
            format!("an application can't send {code}"),
            [
                Open("/do"),
                asked(&format!("disconnect {code}")),
                Gets(TEXT, b"before".into()),
                Close(Some(1000)),
            ],
        ));
    }
    rows.push(row(
        "7.4.1",
        "1011 where the server fails",
        [Open("/do"), asked("panic"), Close(Some(1011)), End, Reported(1011, Side::Local)],
    ));
    rows
}

pub(crate) fn limits() -> Vec<Row> {
    let most = vec![b'm'; MESSAGE_BYTES_MAX];
    let (half, more_than_half) = most.split_at(MESSAGE_BYTES_MAX / 2);
    let begun = || frame(TEXT_BEGUN, "");
    let declared = |len: usize| header(BINARY, 127, &(len as u64).to_be_bytes(), [0; 4]);
    let halves = |rest: &[u8]| [frame(TEXT_BEGUN, half), frame(LAST, rest)].concat();
    let pieces = |count: u32| [begun(), frame(MORE, "").repeat(count as usize - 2), frame(LAST, "")].concat();
    let mut between = pieces(FRAGMENTS_MAX);
    between.splice(6..6, frame(PONG, "").repeat(50));
    vec![
        echoes("10.4", "a message at the limit", frame(TEXT, &most), TEXT, &most),
        echoes("10.4", "also in fragments", halves(more_than_half), TEXT, &most),
        fails("10.4", "over it, by its header alone", declared(MESSAGE_BYTES_MAX + 1), 1009),
        fails("10.4", "as far over it as can be", declared(i64::MAX as usize), 1009),
        fails("10.4", "over it by the sum of its fragments", halves(&[more_than_half, b"x"].concat()), 1009),
        echoes("10.4", "as many fragments as may be", pieces(FRAGMENTS_MAX), TEXT, ""),
        fails("10.4", "one fragment more", pieces(FRAGMENTS_MAX + 1), 1009),
        echoes("10.4", "control frames are no fragments", between, TEXT, ""),
        fails("10.7", "what is no WebSocket at all", b"GET / HTTP/1.1\r\n\r\n".into(), 1002),
        fails("10.7", "nothing but zeros", vec![0; 32], 1002),
    ]
}

/// Asks the server under test to do something.
fn asked(command: &str) -> Step {
    Send(frame(TEXT, command))
}
