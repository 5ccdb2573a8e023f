//! Input that no client should send: each is answered with its status or close code, then with a FIN that destroys
//! nothing, and the server goes on serving all other clients.

mod common;

use common::*;
use std::time::{Duration, Instant};
use swio::{Cause, Origins, Server, Side};

// ------------------------------------------------------------------------------------------------ requests

/// Sends a request that must be refused: the answer, behind which comes FIN.
fn refused(live: &Live, bytes: impl AsRef<[u8]>) -> Answer {
    let mut client = live.client();
    client.send(bytes);
    let answer = client.answer();
    assert!(answer.header("Connection").is_some_and(|value| value.contains("close")), "{answer:?}");
    client.expect_fin();
    drop(client);
    still_serving(live);
    answer
}

fn silent() -> Live {
    Live::start(Server::builder())
}

#[test]
fn a_handshake_that_breaks_a_rule_gets_its_status() {
    let live = silent();
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    for (from, to, status) in [
        ("Upgrade: websocket\r\n", "", 400),
        ("Upgrade: websocket", "Upgrade: ", 400),
        ("Upgrade: websocket", "Upgrade: websockets", 400),
        ("Upgrade: websocket", "Upgrade: h2c", 400),
        ("Connection: Upgrade\r\n", "", 400),
        ("Connection: Upgrade", "Connection: close", 400),
        ("Connection: Upgrade", "Connection: Upgraded", 400),
        (key, "", 400),
        (key, "Sec-WebSocket-Key:\r\n", 400),
        (key, "Sec-WebSocket-Key: short\r\n", 400),
        (key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n", 400),
        (key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=\r\n", 400),
        (key, "Sec-WebSocket-Key: ########################\r\n", 400),
        (
            key,
            "Sec-WebSocket-Key: \u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\r\n",
            400,
        ),
        (key, &key.repeat(2), 400),
        (version, "", 400),
        (version, &version.repeat(2), 400),
        (version, "Sec-WebSocket-Version: 12\r\n", 426),
        (version, "Sec-WebSocket-Version: 14\r\n", 426),
        (version, "Sec-WebSocket-Version: 130\r\n", 426),
        (version, "Sec-WebSocket-Version: thirteen\r\n", 426),
        ("GET", "POST", 405),
        ("GET", "HEAD", 405),
        ("GET", "get", 405),
        ("HTTP/1.1", "HTTP/1.0", 505),
        ("HTTP/1.1", "HTTP/1.2", 505),
        ("HTTP/1.1", "HTTP/2.0", 505),
        ("Host: localhost\r\n", "", 400),
        ("Host: localhost\r\n", "Host: localhost\r\nHost: localhost\r\n", 400),
        ("Host: localhost\r\n", "Host: localhost\r\nHost: other\r\n", 400),
        ("GET / ", "GET chat ", 400),
        ("GET / ", "GET  / ", 400),
    ] {
        assert!(UPGRADE.contains(from));
        let answer = refused(&live, UPGRADE.replacen(from, to, 1));
        assert_eq!(answer.status, status, "{from:?} -> {to:?}");
        match status {
            405 => assert_eq!(answer.header("Allow"), Some("GET")),
            426 => {
                assert_eq!(answer.header("Sec-WebSocket-Version"), Some("13"));
                assert!(answer.header("Upgrade").is_some_and(|value| value == "websocket"));
            }
            _ => {}
        }
    }
}

#[test]
fn list_headers_of_a_handshake_may_be_repeated_and_in_any_case() {
    let live = silent();
    for (from, to) in [
        ("Upgrade: websocket\r\n", "Upgrade: websocket\r\nUpgrade: websocket\r\n"),
        ("Upgrade: websocket\r\n", "uPGRADE: h2c ,WebSocket\r\n"),
        ("Connection: Upgrade\r\n", "Connection: keep-alive\r\nConnection: upgrade\r\n"),
        ("Connection: Upgrade\r\n", "Connection: keep-alive, UPGRADE\r\n"),
    ] {
        let mut client = live.client();
        client.send(UPGRADE.replacen(from, to, 1));
        client.expect_101();
    }
}

#[test]
fn a_body_on_a_handshake_is_refused() {
    let live = silent();
    for lines in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        for body in ["", "hello", "5\r\nhello\r\n0\r\n\r\n"] {
            let answer = refused(&live, upgrade_with(lines) + body);
            assert_eq!(answer.status, 400, "{lines:?} {body:?}");
        }
    }
}

#[test]
fn ambiguous_framing_is_refused() {
    let live = silent();
    for (lines, status) in [
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5, 5\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Content-Length: 0x5\r\n", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: 99999999999999999999999\r\n", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Transfer-Encoding: xchunked\r\n", 501),
        ("Transfer-Encoding : chunked\r\n", 400),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        assert_eq!(refused(&live, head).status, status, "{lines:?}");
    }
}

#[test]
fn a_foreign_page_is_refused_by_its_origin() {
    let same = silent();
    for (lines, status) in [
        ("Origin: http://localhost\r\n", 101),
        ("Origin: https://localhost:443\r\n", 101),
        ("Origin: http://LOCALHOST\r\n", 101),
        ("Origin: http://evil.example\r\n", 403),
        ("Origin: http://localhost.evil.example\r\n", 403),
        ("Origin: http://localhost:8080\r\n", 403),
        ("Origin: file://localhost\r\n", 403),
        ("Origin: test\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin:\r\n", 403),
        ("Origin: http://localhost\r\nOrigin: http://localhost\r\n", 403),
    ] {
        if status == 101 {
            let mut client = same.client();
            client.send(upgrade_with(lines));
            client.expect_101();
        } else {
            assert_eq!(refused(&same, upgrade_with(lines)).status, status, "{lines:?}");
        }
    }
}

#[test]
fn a_list_of_origins_lets_in_these_and_no_others() {
    let allowed = ["https://one.example", "http://localhost:8080"].map(str::to_owned).into();
    let live = Live::start(Server::builder().configure(|config| config.origins = Origins::List(allowed)));
    // The server's own are let in with any list.
    for origin in ["https://one.example", "http://localhost:8080", "http://localhost"] {
        let mut client = live.client();
        client.send(upgrade_with(&format!("Origin: {origin}\r\n")));
        client.expect_101();
    }
    for origin in
        ["http://one.example", "https://one.example.evil", "http://other", "http://localhost:81", "null"]
    {
        let answer = refused(&live, upgrade_with(&format!("Origin: {origin}\r\n")));
        assert_eq!(answer.status, 403, "{origin}");
        let told = format!("origin \"{origin}\" is not allowed (Config::origins)\n");
        assert_eq!(answer.text(), told);
    }
    // Whatever it is, what is told of it is short and printable.
    let answer = refused(&live, upgrade_with(&format!("Origin: \"\t\u{e9}{}\r\n", "x".repeat(200))));
    let told = format!("origin \"\\\"\\t\\xc3\\xa9{}\" is not allowed (Config::origins)\n", "x".repeat(88));
    assert_eq!((answer.status, answer.text()), (403, &*told));
    let answer = refused(&live, upgrade_with("Sec-Fetch-Site: cross-site\r\n"));
    assert_eq!(answer.text(), "pages of other sites are not allowed (Config::origins)\n");
    let list = Origins::List(vec!["null".into()]);
    let of_files = Live::start(Server::builder().configure(|config| config.origins = list));
    let mut client = of_files.client();
    client.send(upgrade_with("Origin: null\r\n"));
    client.expect_101();
    let any = Live::start(Server::builder().configure(|config| config.origins = Origins::Any));
    let mut client = any.client();
    client.send(upgrade_with("Origin: null\r\n"));
    client.expect_101();
}

#[test]
fn a_head_that_is_too_big_gets_431_whether_it_ends_or_not() {
    let live = silent();
    let line = |len| format!("X-Long: {}\r\n", "x".repeat(len));
    assert_eq!(refused(&live, upgrade_with(&line(100 << 10))).status, 431);
    assert_eq!(refused(&live, upgrade_with(&line(1 << 10).repeat(100))).status, 431);
    assert_eq!(refused(&live, format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(100 << 10))).status, 431);
    assert_eq!(refused(&live, format!("GET /{}", "x".repeat(100 << 10))).status, 431);
    assert_eq!(refused(&live, upgrade_with(&"A: b\r\n".repeat(100))).status, 431);
    let mut client = live.client();
    client.send(upgrade_with(&line(7 << 10)));
    client.expect_101();
}

#[test]
fn a_big_head_in_small_pieces_gets_431_at_the_limit() {
    let live = silent();
    let mut client = live.client();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    for _ in 0..20 {
        client.try_send([b'x'; 500]);
    }
    assert_eq!(client.answer().status, 431);
    client.expect_fin();
    still_serving(&live);
}

#[test]
fn what_is_no_http_gets_400() {
    let live = silent();
    let head = |line: &str| format!("GET / HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n").into_bytes();
    let mut cases = vec![
        // A TLS client.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        // Folded lines (RFC 9112 §5.2), control characters, space before the colon.
        head("X: a\r\n b"),
        head("X: a\r\n\tb"),
        head(" X: a"),
        head("X : a"),
        head("X"),
        head(": a"),
        head("X: a\rb"),
        head("X: a\r"),
        head("X: a\0b"),
        head("X\0: a"),
        head("X\u{e9}: a"),
        head("X: a\u{1}b"),
        head("X: a\u{7f}b"),
        b"GET / HTTP/1.1\r\nHost: test\r\rX: a\r\n\r\n".to_vec(),
        b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        b"GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        b"<policy-file-request/>\0".to_vec(),
        // A WebSocket frame before any handshake.
        masked(FIN | TEXT, b"hello"),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20 {
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        cases.push(noise.take(4_000).collect());
    }
    for bytes in cases {
        let answer = refused(&live, &bytes);
        assert_eq!(answer.status, 400, "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(100)]));
    }
}

#[test]
fn a_request_line_without_a_version_of_ours_gets_505_or_400() {
    let live = silent();
    for line in [
        "GET / HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET /",
        "GET / HTTP",
        "GET / HTTP/",
        "GET / HTTP/1",
        "GET / HTTP/1.1.1",
        "GET / http/1.1",
        "PRI * HTTP/2.0",
        "hello, is anybody there?",
    ] {
        let answer = refused(&live, format!("{line}\r\nHost: localhost\r\n\r\n"));
        assert!(matches!(answer.status, 400 | 505), "{line:?}: {}", answer.status);
    }
}

#[test]
fn a_request_that_comes_too_slowly_gets_408() {
    let timeout = Duration::from_millis(150);
    let live = Live::start(Server::builder().configure(|config| config.request_timeout = timeout));
    for start in [
        "G",
        "GET / HTTP/1.1\r\nHost: localhost\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n",
    ] {
        let mut client = live.client();
        let begun = Instant::now();
        client.send(start);
        for _ in 0..15 {
            live.after(Duration::from_millis(25)).recv_timeout(DEADLINE).expect("a timer");
            client.try_send("x");
        }
        assert_eq!(client.answer().status, 408, "{start:?}");
        client.expect_fin();
        assert!(begun.elapsed() >= timeout);
    }
    still_serving(&live);
}

#[test]
fn who_says_nothing_is_sent_away_silently() {
    let timeout = Duration::from_millis(150);
    let live = Live::start(Server::builder().configure(|config| config.request_timeout = timeout));
    let begun = Instant::now();
    let mut silent = live.client();
    let mut newlines = live.client();
    newlines.send("\r\n\r\n");
    silent.expect_fin();
    newlines.expect_fin();
    assert!(begun.elapsed() >= timeout);
    still_serving(&live);
}

// ------------------------------------------------------------------------------------------------- frames

/// Sends bytes that break the WebSocket protocol: the server closes with `code`, tells on_error and on_close
/// so, each once, and delivers nothing. Gives the reason of the close frame.
fn violates(live: &Live, events: &Events, bytes: impl AsRef<[u8]>, code: u16) -> String {
    let mut client = live.open();
    let fd = events.open();
    client.send(bytes);
    let reason = client.expect_close(code);
    drop(client);
    let Event::Error(about, _) = events.next() else { panic!("something else before on_error") };
    assert_eq!(about, Some(fd));
    let Event::Close(closed, why) = events.next() else { panic!("something else before on_close") };
    assert_eq!((closed, why.by, why.code), (fd, Side::Local, code));
    match code {
        1009 => assert!(matches!(why.cause, Cause::TooBig(_)), "{why}"),
        _ => assert!(matches!(why.cause, Cause::Protocol(_)), "{why}"),
    }
    still_serving(live);
    live.until_empty();
    assert_eq!(events.check_pairs(), 1);
    reason
}

fn strict() -> (Live, Events) {
    let (builder, events) = recorded();
    (Live::start(builder.configure(|config| config.message_bytes_max = 1_000)), events)
}

#[test]
fn an_unmasked_frame_fails_with_1002() {
    let (live, events) = strict();
    for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
        violates(&live, &events, [FIN | opcode, 2, 3, 0xe8], 1002);
        violates(&live, &events, [FIN | opcode, 0], 1002);
    }
}

#[test]
fn each_reserved_bit_fails_with_1002() {
    let (live, events) = strict();
    for bits in [0x40, 0x20, 0x10, 0x70] {
        for opcode in [TEXT, BINARY, CONTINUATION, PING, CLOSE] {
            violates(&live, &events, masked(FIN | bits | opcode, b""), 1002);
        }
    }
}

#[test]
fn each_reserved_opcode_fails_with_1002() {
    let (live, events) = strict();
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        violates(&live, &events, masked(FIN | opcode, b"hello"), 1002);
    }
}

#[test]
fn a_length_not_in_its_shortest_form_or_over_63_bits_fails_with_1002() {
    let (live, events) = strict();
    let header = |short: u8, long: &[u8]| [&[FIN | BINARY, 0x80 | short], long, &[1, 2, 3, 4]].concat();
    violates(&live, &events, header(126, &0u16.to_be_bytes()), 1002);
    violates(&live, &events, header(126, &125u16.to_be_bytes()), 1002);
    violates(&live, &events, header(127, &125u64.to_be_bytes()), 1002);
    violates(&live, &events, header(127, &0xffffu64.to_be_bytes()), 1002);
    violates(&live, &events, header(127, &(1u64 << 63).to_be_bytes()), 1002);
    violates(&live, &events, header(127, &u64::MAX.to_be_bytes()), 1002);
}

#[test]
fn a_length_over_the_limit_fails_with_1009_before_a_byte_of_it_comes() {
    let (live, events) = strict();
    for len in [1_001, 0xffff, 0x1_0000, 1 << 40, u64::MAX >> 1] {
        violates(&live, &events, masked_header(FIN | BINARY, len), 1009);
        violates(&live, &events, masked_header(FIN | TEXT, len), 1009);
        violates(&live, &events, masked_header(BINARY, len), 1009);
    }
    let mut client = live.open();
    client.frame(BINARY, &[7; 1_000]);
    assert_eq!(events.message(), [7; 1_000]);
}

#[test]
fn fragments_whose_sum_is_over_the_limit_fail_with_1009_before_the_excess_comes() {
    let (live, events) = strict();
    let begun = [masked(BINARY, &[7; 600]), masked(CONTINUATION, &[7; 400])].concat();
    violates(&live, &events, [begun.clone(), masked_header(CONTINUATION, 1)].concat(), 1009);
    violates(&live, &events, [begun.clone(), masked_header(FIN | CONTINUATION, 1 << 50)].concat(), 1009);
    let mut client = live.open();
    client.send([begun, masked(FIN | CONTINUATION, b"")].concat());
    assert_eq!(events.message(), [7; 1_000]);
}

#[test]
fn too_many_fragments_fail_with_1009() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let flood = [masked(TEXT, b"x"), masked(CONTINUATION, b"x").repeat(65_535)].concat();
    violates(&live, &events, flood, 1009);
    let empty = [masked(TEXT, b""), masked(CONTINUATION, b"").repeat(65_535)].concat();
    violates(&live, &events, empty, 1009);
    let mut client = live.open();
    client.send([masked(TEXT, b"x"), masked(CONTINUATION, b"x").repeat(4_094)].concat());
    client.send(masked(FIN | CONTINUATION, b"x"));
    assert_eq!(events.message(), [b'x'; 4_096]);
}

#[test]
fn control_frames_that_are_long_or_fragmented_fail_with_1002() {
    let (live, events) = strict();
    for opcode in [CLOSE, PING, PONG] {
        violates(&live, &events, masked(FIN | opcode, &[b'x'; 126]), 1002);
        violates(&live, &events, masked_header(FIN | opcode, 0x1_0000), 1002);
        violates(&live, &events, masked(opcode, b"x"), 1002);
        violates(&live, &events, [masked(TEXT, b"x"), masked(opcode, b"")].concat(), 1002);
    }
    let mut client = live.open();
    client.frame(PING, &[b'x'; 125]);
    client.expect(PONG, [b'x'; 125]);
}

#[test]
fn fragments_out_of_order_fail_with_1002() {
    let (live, events) = strict();
    violates(&live, &events, masked(CONTINUATION, b"x"), 1002);
    violates(&live, &events, masked(FIN | CONTINUATION, b""), 1002);
    for first in [TEXT, BINARY] {
        for second in [TEXT, BINARY, FIN | TEXT, FIN | BINARY] {
            violates(&live, &events, [masked(first, b"x"), masked(second, b"x")].concat(), 1002);
        }
    }
    let mut client = live.open();
    client.send([masked(TEXT, b"a"), masked(FIN | CONTINUATION, b"b")].concat());
    assert_eq!(events.message(), b"ab");
    client.send(masked(FIN | CONTINUATION, b"c"));
    client.expect_close(1002);
}

#[test]
fn text_that_is_not_utf8_fails_with_1007() {
    let (live, events) = strict();
    let bad: [&[u8]; 9] = [
        b"\xff",
        b"\x80",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"hello \xe2\x28\xa1",
        // Ends within a character.
        b"\xce\xba\xe2\x82",
        b"\xf0\x9f\x98",
    ];
    for text in bad {
        violates(&live, &events, masked(FIN | TEXT, text), 1007);
        for at in 0..text.len() {
            let (start, end) = text.split_at(at);
            violates(&live, &events, [masked(TEXT, start), masked(FIN | CONTINUATION, end)].concat(), 1007);
        }
    }
}

#[test]
fn text_fails_at_its_first_bad_byte_though_the_frame_is_not_whole() {
    let (live, events) = strict();
    for start in [&b"ok \xff"[..], b"\xc1", b"\xed\xa0", b"\xe0\x80", b"\xf4\x90", b"\xf8"] {
        let whole = masked(FIN | TEXT, &[start, &[b'x'; 900]].concat());
        let header = whole.len() - start.len() - 900;
        violates(&live, &events, &whole[..header + start.len()], 1007);
        let fragment = [masked(TEXT, "κό".as_bytes()), masked(CONTINUATION, start)].concat();
        violates(&live, &events, fragment, 1007);
    }
}

#[test]
fn characters_split_over_fragments_and_binary_noise_are_delivered() {
    let (live, events) = strict();
    let mut client = live.open();
    let text = "κόσμε 😀".as_bytes();
    for at in 0..=text.len() {
        client.send([masked(TEXT, &text[..at]), masked(FIN | CONTINUATION, &text[at..])].concat());
        assert_eq!(events.message(), text);
    }
    client.frame(BINARY, b"\xff\xfe\x80");
    assert_eq!(events.message(), b"\xff\xfe\x80");
}

#[test]
fn a_malformed_close_frame_fails_with_its_code() {
    let (live, events) = strict();
    violates(&live, &events, masked(FIN | CLOSE, b"\x03"), 1002);
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        violates(&live, &events, masked(FIN | CLOSE, &close_payload(code, "")), 1002);
    }
    violates(&live, &events, masked(FIN | CLOSE, b"\x03\xe8\xff"), 1007);
    violates(&live, &events, masked(FIN | CLOSE, b"\x03\xe8\xce"), 1007);
}

#[test]
fn what_follows_a_close_frame_is_not_delivered() {
    let (live, events) = strict();
    let mut client = live.open();
    let fd = events.open();
    client.send(
        [masked(FIN | TEXT, b"before"), masked(FIN | CLOSE, b""), masked(FIN | TEXT, b"after")].concat(),
    );
    client.expect_close(1005);
    client.try_send(masked(FIN | TEXT, b"much later"));
    drop(client);
    assert_eq!(events.message(), b"before");
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.by, reason.code, reason.cause), (fd, Side::Peer, 1005, Cause::Requested));
    live.until_empty();
    assert_eq!(events.rest(), []);
}

#[test]
fn messages_before_a_violation_are_delivered_and_those_behind_it_not() {
    let (live, events) = strict();
    let mut client = live.open();
    client.send([masked(FIN | TEXT, b"before"), vec![0xf1, 0x80], masked(FIN | TEXT, b"after")].concat());
    client.expect_close(1002);
    drop(client);
    live.until_empty();
    let messages = events.rest().into_iter().filter(|event| matches!(event, Event::Message(..)));
    assert_eq!(messages.count(), 1);
}

#[test]
fn a_client_that_goes_on_sending_after_its_violation_still_reads_the_close_frame() {
    let (live, _events) = strict();
    let mut client = live.open();
    client.send(masked_header(FIN | BINARY, 1 << 20));
    for _ in 0..64 {
        client.send(vec![7; 16 << 10]);
    }
    client.expect_close(1009);
    still_serving(&live);
}
