//! Rows about the opening handshake: RFC 6455 §4, and what §9 and §11 say of its headers.

use super::wire::Step::{Alive, Close, End, Gets, Header, NoHeader, Open, Send, Status, Trickle};
use super::wire::{ACCEPT, REQUEST, Step, TEXT, frame};
use super::{Row, row};

const KEY_LINE: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION_LINE: &str = "Sec-WebSocket-Version: 13\r\n";

pub(crate) fn requests_refused() -> Vec<Row> {
    let key = |value: &str| changed(KEY_LINE, &format!("Sec-WebSocket-Key: {value}\r\n"));
    let version = |value: &str| changed("Version: 13", &format!("Version: {value}"));
    vec![
        refuses("4.2.1 (1)", "the method is GET", changed("GET", "POST"), 405),
        refuses("4.2.1 (1)", "methods are case-sensitive", changed("GET", "get"), 405),
        refuses("4.2.1 (1)", "the version is at least 1.1", changed("HTTP/1.1", "HTTP/1.0"), 505),
        refuses("4.2.1 (1)", "there is a Request-URI", changed("GET /?row=ROW ", "GET "), 400),
        refuses("4.2.1 (2)", "there is a Host", changed("Host: localhost\r\n", ""), 400),
        refuses("4.2.1 (3)", "there is an Upgrade", changed("Upgrade: websocket\r\n", ""), 400),
        refuses("4.2.1 (3)", "Upgrade has websocket", changed("Upgrade: websocket", "Upgrade: h2c"), 400),
        refuses("4.2.1 (3)", "websocket is a whole word", changed("Upgrade: w", "Upgrade: xw"), 400),
        refuses("4.2.1 (4)", "there is a Connection", changed("Connection: Upgrade\r\n", ""), 400),
        refuses("4.2.1 (4)", "Connection has Upgrade", changed(": Upgrade", ": keep-alive"), 400),
        refuses("4.2.1 (4)", "Upgrade is a whole word", changed(": Upgrade", ": Upgrades"), 400),
        refuses("4.2.1 (5)", "there is a key", changed(KEY_LINE, ""), 400),
        refuses("4.2.1 (5)", "the key is not empty", key(""), 400),
        refuses("4.2.1 (5)", "the key is not of 15 bytes", key("AQIDBAUGBwgJCgsMDQ4P"), 400),
        refuses("4.2.1 (5)", "the key is not of 17 bytes", key("AQIDBAUGBwgJCgsMDQ4PEBE="), 400),
        refuses("4.2.1 (5)", "the key is in base64", key("dGhlIHNhbXBs!SBub25jZQ=="), 400),
        refuses("4.2.1 (5)", "the key has its padding", key("dGhlIHNhbXBsZSBub25jZQ"), 400),
        refuses("11.3.1", "the key comes once", changed(KEY_LINE, &KEY_LINE.repeat(2)), 400),
        refuses("4.2.1 (6)", "there is a version", changed(VERSION_LINE, ""), 400),
        refuses("11.3.5", "the version comes once", changed(VERSION_LINE, &VERSION_LINE.repeat(2)), 400),
        row(
            "4.4",
            "another version is told the right one",
            [version("8"), Status(426), Header("sec-websocket-version", "13"), End],
        ),
        row("4.4", "also a later one", [version("14"), Status(426), Header("sec-websocket-version", "13")]),
        row("4.4", "also one that is no number", [version("x"), Status(426)]),
        refuses("4.2.2 (4)", "a foreign origin", with_lines("Origin: http://evil.example\r\n"), 403),
        refuses("10.2", "the origin `null`", with_lines("Origin: null\r\n"), 403),
        refuses("4.2.2 (4)", "a resource that is not there", changed("GET /", "GET /nowhere"), 404),
        refuses("4.2.1", "a request that is no HTTP", request("\x16\x03\x01\x02\r\n\r\n"), 400),
        refuses("4.2.1", "a header without a colon", with_lines("Nonsense\r\n"), 400),
        refuses("4.2.1", "a handshake has no body", with_lines("Content-Length: 5\r\n"), 400),
        refuses("10.4", "an endless head", with_lines(&format!("X: {}\r\n", "x".repeat(9_000))), 431),
    ]
}

pub(crate) fn requests_accepted() -> Vec<Row> {
    let upgrade = |value: &str| changed("Upgrade: websocket", &format!("Upgrade: {value}"));
    let connection = |value: &str| changed("Connection: Upgrade", &format!("Connection: {value}"));
    let lower = REQUEST.replace("Sec-WebSocket-", "sec-websocket-").replace("Upgrade: ", "upgrade: ");
    vec![
        accepts("4.2.1", "a good request", request(REQUEST)),
        accepts("4.2.1", "names of headers in any case", request(&lower)),
        accepts("4.2.1 (1)", "an absolute Request-URI", changed("GET /", "GET http://localhost/")),
        accepts("4.2.1 (3)", "websocket in any case", upgrade("WebSOCKET")),
        accepts("4.2.1 (3)", "websocket among others", upgrade("h2c, websocket")),
        accepts("4.2.1 (4)", "Upgrade in any case", connection("uPGRADE")),
        accepts("4.2.1 (4)", "Upgrade among others", connection("keep-alive, Upgrade")),
        accepts("4.2.1 (4)", "Upgrade on a second line", connection("keep-alive\r\nConnection: Upgrade")),
        row(
            "4.1 (7)",
            "the key of the RFC's example, whose pad bits are not zero",
            [
                changed(KEY_LINE, "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==\r\n"),
                Status(101),
                Header("sec-websocket-accept", "OfS0wDaT5NoxF2gqm7Zj2YtetzM="),
                Alive,
            ],
        ),
        accepts("4.2.1", "a length of 0, which is no body", with_lines("Content-Length: 0\r\n")),
        accepts("4.2.1 (5)", "blanks around the key", changed("Key: d", "Key: \t d")),
        accepts("4.2.1 (7)", "an origin that is allowed", with_lines("Origin: http://good.example\r\n")),
        accepts("4.2.1 (7)", "clients without an origin are no browsers", with_lines("")),
        accepts("4.2.1 (10)", "unknown headers", with_lines("X-Unknown: 1\r\nCookie: a=b\r\n")),
        row(
            "4.2.1",
            "the request comes byte by byte",
            [request(""), Trickle(REQUEST.into()), Status(101), Alive],
        ),
    ]
}

pub(crate) fn responses() -> Vec<Row> {
    let other_key = changed(KEY_LINE, "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n");
    let wire = frame(TEXT, "early");
    let (early, later) = wire.split_at(3);
    vec![
        row(
            "4.2.2 (5)",
            "the response switches protocols",
            [
                request(REQUEST),
                Status(101),
                Header("upgrade", "websocket"),
                Header("connection", "Upgrade"),
                Header("sec-websocket-accept", ACCEPT),
                NoHeader("content-length"),
                NoHeader("transfer-encoding"),
            ],
        ),
        row(
            "4.2.2 (5)",
            "the accept value is the key's",
            [other_key, Status(101), Header("sec-websocket-accept", "C/0nmHhBztSRGR1CwL6Tf4ZjwpY=")],
        ),
        row(
            "4.2.2",
            "frames may follow the 101 at once",
            [Open("/greet"), Gets(TEXT, b"hello".into()), Alive],
        ),
        row(
            "4.2.2",
            "bytes behind the request are frames already",
            [
                Step::Request(REQUEST.into(), frame(TEXT, "early")),
                Status(101),
                Gets(TEXT, b"early".into()),
                Alive,
            ],
        ),
        row(
            "4.2.2",
            "also a part of one",
            [
                Step::Request(REQUEST.into(), early.into()),
                Status(101),
                Send(later.into()),
                Gets(TEXT, b"early".into()),
                Alive,
            ],
        ),
    ]
}

pub(crate) fn negotiation() -> Vec<Row> {
    let offers = |lines: &str| {
        let lines = lines.replace("P: ", "Sec-WebSocket-Protocol: ");
        with_lines(&lines.replace("E: ", "Sec-WebSocket-Extensions: "))
    };
    let chosen = |value| Header("sec-websocket-protocol", value);
    let no_extension = || NoHeader("sec-websocket-extensions");
    vec![
        row(
            "4.2.2 (5)",
            "no subprotocol where none is offered",
            [with_lines(""), Status(101), NoHeader("sec-websocket-protocol")],
        ),
        row("4.2.2 (5)", "one of those offered", [offers("P: x, chat\r\n"), Status(101), chosen("chat")]),
        row(
            "4.2.2 (5)",
            "the server's first choice, and only one",
            [offers("P: chat, superchat\r\n"), Status(101), chosen("superchat")],
        ),
        row(
            "11.3.4",
            "offers on several lines are one list",
            [offers("P: x\r\nP: chat\r\n"), Status(101), chosen("chat")],
        ),
        refuses("4.2.2 (5)", "none that was not offered", offers("P: x\r\n"), 400),
        refuses("4.2.2 (5)", "names of subprotocols are case-sensitive", offers("P: CHAT\r\n"), 400),
        row(
            "9.1",
            "no extension that is not spoken",
            [offers("E: permessage-deflate; client_max_window_bits\r\n"), Status(101), no_extension(), Alive],
        ),
        row("9.1", "nor one that nobody knows", [offers("E: x-unknown\r\n"), Status(101), no_extension()]),
        row(
            "9.1",
            "what was offered and not accepted may not be used",
            [
                offers("E: permessage-deflate\r\n"),
                Status(101),
                Send(frame(0xc1, "\x03\0")),
                Close(Some(1002)),
                End,
            ],
        ),
    ]
}

fn refuses(section: &'static str, requirement: &str, request: Step, status: u16) -> Row {
    row(section, requirement, [request, Status(status), NoHeader("sec-websocket-accept"), End])
}

fn accepts(section: &'static str, requirement: &str, request: Step) -> Row {
    row(section, requirement, [request, Status(101), Header("sec-websocket-accept", ACCEPT), Alive])
}

fn request(head: &str) -> Step {
    Step::Request(head.to_owned(), Vec::new())
}

fn changed(from: &str, to: &str) -> Step {
    assert!(REQUEST.contains(from), "{from:?}");
    request(&REQUEST.replacen(from, to, 1))
}

fn with_lines(lines: &str) -> Step {
    changed("\r\n\r\n", &format!("\r\n{lines}\r\n"))
}
