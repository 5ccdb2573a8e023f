//! Opening WebSockets: heads in pieces and with frames after them, what on_handshake may decide, subprotocols, and
//! clients that are refused for lack of room.

mod common;

use common::*;
use std::sync::mpsc;
use std::thread;
use swio::{Builder, Handshake, Response, Server, Usage};

#[test]
fn a_handshake_in_one_byte_pieces_opens() {
    let live = Live::start(echo());
    let mut client = live.client();
    client.send_in_pieces(UPGRADE);
    client.expect_101();
    client.send_in_pieces(masked(FIN | TEXT, b"hello"));
    client.expect_text("hello");
}

/// What Java's own client and small devices send.
#[test]
fn a_length_of_zero_and_a_key_with_pad_bits_open() {
    let live = Live::start(echo());
    let own = "dGhlIHNhbXBsZSBub25jZQ==";
    for (from, to, accept) in [
        ("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n", ACCEPT),
        // RFC 6455 §4.1 has it as an example. The answer is to the key as it was sent.
        (own, "AQIDBAUGBwgJCgsMDQ4PEC==", "OfS0wDaT5NoxF2gqm7Zj2YtetzM="),
    ] {
        let mut client = live.client();
        client.send([UPGRADE.replacen(from, to, 1).as_bytes(), &masked(FIN | TEXT, b"hello")].concat());
        let answer = client.answer_head();
        assert_eq!((answer.status, answer.header("Sec-WebSocket-Accept")), (101, Some(accept)), "{to}");
        client.expect_text("hello");
    }
}

#[test]
fn a_handshake_cut_at_every_place_opens() {
    let live = Live::start(echo());
    let bytes = [UPGRADE.as_bytes(), &masked(FIN | TEXT, b"hello")].concat();
    for at in 1..bytes.len() {
        let mut client = live.client();
        client.send(&bytes[..at]);
        // Let the server see the first piece alone.
        live.ask(|_| ());
        client.send(&bytes[at..]);
        client.expect_101();
        client.expect_text("hello");
    }
}

#[test]
fn frames_right_behind_the_head_are_delivered() {
    let live = Live::start(echo());
    let mut client = live.client();
    let frames: Vec<u8> = (0..100_u8).flat_map(|number| masked(FIN | BINARY, &[number; 200])).collect();
    client.send([UPGRADE.as_bytes(), &frames].concat());
    client.expect_101();
    for number in 0..100 {
        client.expect(BINARY, [number; 200]);
    }
}

#[test]
fn a_close_frame_right_behind_the_head_opens_and_closes() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut client = live.client();
    client.send([UPGRADE.as_bytes(), &masked(FIN | CLOSE, &close_payload(4000, "only looking"))].concat());
    client.expect_101();
    client.expect_close(4000);
    drop(client);
    live.until_empty();
    assert_eq!(events.check_pairs(), 1);
}

#[test]
fn garbage_right_behind_the_head_opens_and_fails() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut client = live.client();
    client.send(UPGRADE.repeat(2));
    client.expect_101();
    client.expect_close(1002);
    drop(client);
    live.until_empty();
    assert_eq!(events.check_pairs(), 1);
}

#[test]
fn on_handshake_may_refuse_with_any_answer() {
    let live = Live::start(Server::builder().on_handshake(|_, request| match request.path() {
        "/401" => Handshake::refuse(
            Response::text(401, "who are you?\n").header("WWW-Authenticate", "Bearer realm=\"chat\""),
        ),
        "/403" => Response::text(403, "not you\n").into(),
        "/404" => Response::not_found().into(),
        "/302" => Response::new(302).header("Location", "/elsewhere").into(),
        "/503" => Response::new(503).header("Retry-After", "60").into(),
        _ => Handshake::accept(),
    }));
    for (path, status, header) in [
        ("/401", 401, Some(("WWW-Authenticate", "Bearer realm=\"chat\""))),
        ("/403", 403, None),
        ("/404", 404, None),
        ("/302", 302, Some(("Location", "/elsewhere"))),
        ("/503", 503, Some(("Retry-After", "60"))),
    ] {
        let mut client = live.client();
        // What follows a refused handshake is not taken for a request or a frame.
        client.send(UPGRADE.replacen("/", path, 1) + "GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("Connection")), (status, Some("close")), "{path}");
        if let Some((name, value)) = header {
            assert_eq!(answer.header(name), Some(value));
        }
        client.expect_fin();
    }
    still_serving(&live);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), Usage::default());
}

#[test]
fn a_refused_handshake_calls_neither_on_open_nor_on_close() {
    let (builder, events) = recorded();
    let live = Live::start(builder.on_handshake(|_, _| Response::new(401).into()));
    for _ in 0..10 {
        let mut client = live.client();
        client.send([UPGRADE.as_bytes(), &masked(FIN | TEXT, b"hello")].concat());
        assert_eq!(client.answer().status, 401);
        client.expect_fin();
    }
    live.until_empty();
    assert_eq!(events.rest(), []);
}

#[test]
fn on_handshake_and_on_open_see_the_request() {
    let (sender, seen) = mpsc::channel();
    let from_open = sender.clone();
    let describe = |request: &swio::Request<'_>| {
        format!(
            "{} {} {:?} {:?} {:?}",
            request.fd,
            request.path(),
            request.query(),
            request.header("Cookie"),
            request.subprotocols().collect::<Vec<_>>(),
        )
    };
    let live = Live::start(
        Server::builder()
            .on_handshake(move |_, request| {
                sender.send(describe(request)).ok();
                Handshake::accept()
            })
            .on_open(move |_, request| tell(&from_open, describe(request))),
    );
    let mut client = live.client();
    let request =
        upgrade_with("Cookie: id=7\r\nSec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n");
    client.send(request.replacen("/", "/room/1?token=x", 1));
    assert_eq!(client.expect_101().header("Sec-WebSocket-Protocol"), None);
    for _ in 0..2 {
        let request = seen.recv_timeout(DEADLINE).expect("a call");
        assert_eq!(request, r#"1 /room/1 Some("token=x") Some("id=7") ["a", "b", "c"]"#);
    }
}

#[test]
fn the_first_configured_subprotocol_that_is_offered_is_chosen() {
    let spoken = ["chat.v2".to_owned(), "chat.v1".to_owned()];
    let live = Live::start(Server::builder().configure(|config| config.subprotocols = spoken.into()));
    for (offered, chosen) in [
        ("Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n", Some("chat.v2")),
        ("Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Protocol: chat.v2\r\n", Some("chat.v2")),
        ("Sec-WebSocket-Protocol: other,chat.v1\r\n", Some("chat.v1")),
        ("", None),
    ] {
        let mut client = live.client();
        client.send(upgrade_with(offered));
        assert_eq!(client.expect_101().header("Sec-WebSocket-Protocol"), chosen, "{offered:?}");
    }
    let mut client = live.client();
    client.send(upgrade_with("Sec-WebSocket-Protocol: other\r\n"));
    assert_eq!(client.answer().status, 400);
    client.expect_fin();
}

#[test]
fn on_handshake_may_choose_an_offered_subprotocol_and_no_other() {
    let live = Live::start(
        Server::builder().on_handshake(|_, _| Handshake::accept().subprotocol("chat").header("X-Node", "7")),
    );
    let mut client = live.client();
    client.send(upgrade_with("Sec-WebSocket-Protocol: other, chat\r\n"));
    let answer = client.expect_101();
    assert_eq!((answer.header("Sec-WebSocket-Protocol"), answer.header("X-Node")), (Some("chat"), Some("7")));
    for lines in ["", "Sec-WebSocket-Protocol: other\r\n", "Sec-WebSocket-Protocol: Chat\r\n"] {
        let mut client = live.client();
        client.send(upgrade_with(lines));
        assert_eq!(client.answer().status, 500, "{lines:?}");
        client.expect_fin();
    }
}

#[test]
fn on_handshake_can_not_forge_headers_of_the_101() {
    for (name, value) in [
        ("X", "a\r\nSet-Cookie: b=c"),
        ("X\r\nSet-Cookie", "b=c"),
        ("Upgrade", "h2c"),
        ("connection", "close"),
        ("Sec-WebSocket-Accept", "x"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Content-Length", "5"),
    ] {
        let live =
            Live::start(Server::builder().on_handshake(move |_, _| Handshake::accept().header(name, value)));
        let mut client = live.client();
        client.send(UPGRADE);
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("Set-Cookie")), (500, None), "{name:?}");
        client.expect_fin();
    }
}

#[test]
fn extensions_that_are_offered_are_not_accepted() {
    let live = Live::start(echo());
    let mut client = live.client();
    client.send(upgrade_with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"));
    assert_eq!(client.expect_101().header("Sec-WebSocket-Extensions"), None);
    client.text("hello");
    client.expect_text("hello");
}

#[test]
fn what_on_open_pushes_comes_behind_the_101() {
    let live = Live::start(Server::builder().on_open(|server, request| {
        server.push(request.fd, "welcome").expect("it is open");
        server.broadcast(format!("{} is here", request.fd)).send();
    }));
    // Kept open, so that each fd is new.
    let mut clients = Vec::new();
    for number in 1..=20 {
        let mut client = live.client();
        client.send(UPGRADE);
        client.expect_101();
        client.expect_text("welcome");
        client.expect_text(&format!("{number} is here"));
        clients.push(client);
    }
}

#[test]
fn before_on_open_nothing_can_be_pushed() {
    let (sender, results) = mpsc::channel();
    let live = Live::start(Server::builder().on_handshake(move |server, request| {
        let push = server.push(request.fd, "too early");
        sender.send((push, server.is_established(request.fd), server.exists(request.fd))).ok();
        server.broadcast("too early").send();
        Handshake::accept()
    }));
    let mut client = live.open();
    assert_eq!(results.recv_timeout(DEADLINE), Ok((Err(swio::PushError::NotOpen), false, true)));
    client.frame(PING, b"?");
    client.expect(PONG, b"?");
}

/// While answers of earlier requests wait, a pong may overtake messages but never the answers and the 101.
#[test]
fn a_pong_never_overtakes_the_101() {
    let page = "x".repeat(8_000);
    let answer = page.clone();
    let live = Live::start(echo().on_request(move |_, _| Response::text(200, answer.clone())));
    let mut client = Client::connect_narrow(live.address);
    let patience = Patience::new();
    let mut requests = 0;
    while live.ask(|server| server.usage().queued_bytes) == 0 {
        patience.check("a blocked answer");
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        requests += 1;
    }
    let frames = [masked(FIN | TEXT, b"hello"), masked(FIN | PING, b"1"), masked(FIN | PING, b"2")];
    client.send([UPGRADE.as_bytes(), &frames.concat()].concat());
    live.until("it is open", |server| (server.connection_count() == 1).then_some(()));
    for _ in 0..requests {
        assert!(client.answer().text() == page);
    }
    client.expect_101();
    let mut frames = [client.read_frame(), client.read_frame()];
    if frames[1].opcode == PONG && frames[1].payload == b"1" {
        // Not blocked after all: both are answered in order.
        frames[1] = client.read_frame();
    }
    frames.sort_by_key(|frame| frame.opcode);
    assert_eq!((&*frames[0].payload, &*frames[1].payload), (&b"hello"[..], &b"2"[..]));
}

#[test]
fn over_connections_max_a_client_gets_503_until_one_leaves() {
    let live = Live::start(echo().configure(|config| config.connections_max = Some(3)));
    let mut clients = [live.open(), live.open(), live.open()].map(Some);
    for _ in 0..5 {
        let mut refused = live.client();
        let answer = refused.answer();
        assert_eq!((answer.status, answer.header("Connection")), (503, Some("close")));
        assert!(answer.header("Retry-After").is_some());
        refused.expect_fin();
        // Also where the request was already on its way.
        let mut refused = live.client();
        refused.try_send(UPGRADE);
        assert_eq!(refused.answer().status, 503);
        refused.expect_fin();
    }
    live.until("the refused are gone", |server| (server.usage().connections == 3).then_some(()));
    clients[1] = None;
    live.until("one left", |server| (server.usage().connections == 2).then_some(()));
    let mut next = live.open();
    next.text("hello");
    next.expect_text("hello");
    for client in clients.iter_mut().flatten() {
        client.text("still here");
        client.expect_text("still here");
    }
}

/// Or clients that try again and again would keep a server empty that has room.
#[test]
fn the_refused_take_no_slots_while_they_linger() {
    let live = Live::start(echo().configure(|config| {
        config.connections_max = Some(2);
        config.connections_per_address_max = Some(2);
        config.trusted_proxies.clear();
        config.linger_timeout = DEADLINE;
    }));
    let mut clients = [live.open(), live.open()].map(Some);
    let mut refused = Vec::new();
    for _ in 0..4 {
        let mut client = live.client();
        assert!(matches!(client.answer().status, 429 | 503));
        // It does not end its side.
        client.expect_fin();
        refused.push(client);
    }
    clients[0] = None;
    live.until("it is gone", |server| (server.connection_count() == 1).then_some(()));
    let mut next = live.open();
    next.text("hello");
    next.expect_text("hello");
}

#[test]
fn a_rush_far_over_connections_max_leaves_nothing_behind() {
    let live = Live::start(echo().configure(|config| config.connections_max = Some(10)));
    let held = live.hold();
    let clients: Vec<Client> = (0..300).map(|_| live.client()).collect();
    drop(held);
    live.until("the table is full", |server| (server.usage().connections >= 10).then_some(()));
    let most = live.ask(|server| server.usage().connections);
    assert!(most <= 10 + 64, "{most}");
    drop(clients);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), Usage::default());
    still_serving(&live);
}

/// Allows so many connections from an address, and trusts none to be a proxy.
fn from_one_address(max: u32) -> Builder {
    echo().configure(move |config| {
        config.connections_per_address_max = Some(max);
        config.handshakes_per_address_max = None;
        config.trusted_proxies.clear();
    })
}

#[test]
fn over_connections_per_address_max_a_client_gets_429_until_one_leaves() {
    let live = Live::start(from_one_address(4));
    for _ in 0..3 {
        let clients = [(); 4].map(|()| live.open());
        for _ in 0..3 {
            let mut refused = live.client();
            let answer = refused.answer();
            assert_eq!((answer.status, answer.header("Connection")), (429, Some("close")));
            assert!(answer.header("Retry-After").is_some());
            refused.expect_fin();
        }
        assert_eq!(live.ask(|server| server.usage().addresses), 1);
        drop(clients);
        live.until_empty();
        assert_eq!(live.ask(|server| server.usage()), Usage::default());
    }
}

#[test]
fn a_slot_of_an_address_is_free_again_after_each_way_to_end() {
    let live = Live::start(from_one_address(1));
    let ends: [fn(Client); 5] = [
        drop,
        Client::reset,
        |mut client| {
            client.close(1000, "");
            client.expect_close(1000);
        },
        |mut client| {
            client.send([0xff]);
            client.expect_close(1002);
        },
        |mut client| {
            client.finish();
            client.expect_fin();
        },
    ];
    for end in ends {
        end(live.open());
        live.until_empty();
    }
    still_serving(&live);
}

#[test]
fn several_handshakes_at_once_all_open() {
    let live = Live::start(echo());
    let address = live.address;
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            thread::spawn(move || {
                let clients: Vec<_> = (0..50).map(|_| Client::open(address)).collect();
                for (number, mut client) in clients.into_iter().enumerate() {
                    let text = format!("{thread} {number}");
                    client.text(&text);
                    client.expect_text(&text);
                    client.close(1000, "");
                    client.expect_close(1000);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a good thread");
    }
    live.until_empty();
}
