//! What one client may do, and what the server counts of clients that do more.

mod common;

use common::*;
use std::time::Duration;
use swio::{Builder, Cause, Config, Refusals, Response, Server, Side, Stats};

fn recorded_with(change: impl FnOnce(&mut Config)) -> (Live, Events) {
    let (builder, events) = recorded();
    (Live::start(builder.configure(change)), events)
}

fn stats(live: &Live) -> Stats {
    live.ask(|server| server.stats())
}

fn refusals(live: &Live) -> Refusals {
    stats(live).refusals
}

/// With only this counted.
fn only(count: impl FnOnce(&mut Refusals)) -> Refusals {
    let mut refusals = Refusals::default();
    count(&mut refusals);
    refusals
}

fn slow(config: &mut Config) {
    config.messages_per_second_max = Some(50);
}

#[test]
fn more_messages_than_allowed_end_the_connection_with_1008() {
    let (live, events) = recorded_with(slow);
    let mut client = live.open();
    let mut other = live.open();
    client.send(masked(FIN | TEXT, b"x").repeat(300));
    assert_eq!(client.expect_close(1008), "too many messages a second");
    live.until("it is gone", |server| (server.usage().connections == 1).then_some(()));
    let events = events.rest();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Message(..))).count(), 100);
    let Some(Event::Close(_, reason)) = events.last() else { panic!("no close: {events:?}") };
    assert_eq!((reason.by, reason.code), (Side::Local, 1008));
    assert_eq!(reason.cause, Cause::RateLimited("too many messages a second"));
    assert_eq!(refusals(&live), only(|refusals| refusals.message_rate = 1));
    other.frame(PING, b"you too?");
    other.expect(PONG, b"you too?");
}

#[test]
fn each_kind_of_frame_counts_as_a_message() {
    let kinds: [(&str, Vec<u8>); 5] = [
        ("binary", masked(FIN | BINARY, b"")),
        ("a ping", masked(FIN | PING, b"")),
        ("a pong nobody asked for", masked(FIN | PONG, b"")),
        ("two fragments", [masked(TEXT, b"a"), masked(FIN | CONTINUATION, b"b")].concat()),
        ("a ping in a message", [masked(TEXT, b""), masked(FIN | PING, b"")].concat()),
    ];
    for (what, bytes) in kinds {
        let (live, _events) = recorded_with(slow);
        let mut client = live.open();
        // The last kind begins one message and stays in it.
        let bytes = match what {
            "a ping in a message" => [&masked(TEXT, b"")[..], &masked(FIN | PING, b"").repeat(300)].concat(),
            _ => bytes.repeat(300),
        };
        client.send(bytes);
        client.until_close(1008);
        assert_eq!(refusals(&live), only(|refusals| refusals.message_rate = 1), "{what}");
    }
}

#[test]
fn a_message_in_endless_fragments_is_stopped_byte_by_byte_too() {
    let (live, _events) = recorded_with(slow);
    let mut client = live.open();
    client.send(masked(TEXT, b""));
    for _ in 0..100 {
        for byte in masked(CONTINUATION, b"") {
            client.try_send([byte]);
        }
    }
    client.until_close(1008);
}

#[test]
fn who_waits_may_go_on() {
    let (live, events) = recorded_with(slow);
    let mut client = live.open();
    for _ in 0..2 {
        client.send(masked(FIN | TEXT, b"x").repeat(90));
        for _ in 0..90 {
            events.message();
        }
        live.after(Duration::from_millis(2_100)).recv_timeout(DEADLINE).expect("a timer");
    }
    client.frame(PING, b"");
    client.expect(PONG, b"");
    assert_eq!(refusals(&live), Refusals::default());
}

#[test]
fn more_bytes_than_allowed_end_the_connection() {
    let few = |config: &mut Config| config.bytes_per_second_max = Some(100_000);
    let (live, events) = recorded_with(few);
    let mut client = live.open();
    client.frame(BINARY, &[0; 150_000]);
    assert_eq!(events.message().len(), 150_000);
    client.try_send(masked(FIN | BINARY, &[0; 150_000]));
    assert_eq!(client.expect_close(1008), "too many bytes a second");
    let (_, reason) = events.close();
    assert_eq!(reason.cause, Cause::RateLimited("too many bytes a second"));
    // The same for a request, which is told by its status.
    let mut client = live.client();
    client.try_send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n");
    client.try_send(vec![b'x'; 300_000]);
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("Connection")), (429, Some("close")));
    assert_eq!(refusals(&live), only(|refusals| refusals.byte_rate = 2));
    still_serving(&live);
}

/// What still comes is read so that the last bytes reach the client, but no faster than anything else.
#[test]
fn a_connection_that_is_ending_is_not_read_beyond_its_rate() {
    use std::io::Write as _;
    let (live, _events) = recorded_with(|config| {
        config.bytes_per_second_max = Some(100_000);
        config.linger_timeout = Duration::from_secs(1);
    });
    let mut client = live.client();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n");
    assert_eq!(client.answer().status, 413);
    client.stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a socket");
    let sent = (0..1_000).take_while(|_| client.stream.write_all(&[b'x'; 64 << 10]).is_ok()).count();
    assert!(sent < 1_000, "all of it was taken");
    let received = live.ask(|server| server.stats().bytes_received);
    assert!((100_000..400_000).contains(&received), "{received}");
    live.until_empty();
}

#[test]
fn limits_of_speed_can_be_switched_off_and_on() {
    let (live, events) = recorded_with(|config| {
        config.messages_per_second_max = None;
        config.bytes_per_second_max = None;
    });
    let mut client = live.open();
    client.send(masked(FIN | TEXT, b"x").repeat(20_000));
    for _ in 0..20_000 {
        events.message();
    }
    live.ask(|server| server.reload(slow)).expect("a good configuration");
    client.send(masked(FIN | TEXT, b"x").repeat(300));
    client.until_close(1008);
}

#[test]
fn the_defaults_let_a_client_catch_up_with_five_thousand_messages() {
    let (live, events) = recorded_with(|_| {});
    let mut client = live.open();
    client.send(masked(FIN | TEXT, b"kept while offline").repeat(4_990));
    for _ in 0..4_990 {
        events.message();
    }
    client.send(masked(FIN | TEXT, b"x").repeat(40_000));
    client.until_close(1008);
}

/// Does something that is refused, as one client.
type Offence = fn(&Live);
/// Where it is counted.
type Counter = fn(&mut Refusals) -> &mut u64;

fn offend(live: &Live, request: &str, status: u16) {
    let mut client = live.client();
    client.send(request);
    assert_eq!(client.answer().status, status, "{request:?}");
}

fn offend_open(live: &Live, bytes: impl AsRef<[u8]>, code: u16) {
    let mut client = live.open();
    client.try_send(bytes);
    client.expect_close(code);
}

#[test]
fn everything_that_is_refused_is_counted_once_under_its_cause() {
    let offences: [(Offence, Counter); 14] = [
        (|live| offend(live, &upgrade_with("Origin: http://evil\r\n"), 403), |r| &mut r.origin),
        (|live| offend(live, "nonsense\r\n\r\n", 400), |r| &mut r.bad_request),
        (|live| offend(live, &UPGRADE.replace("13\r\n", "12\r\n"), 426), |r| &mut r.bad_request),
        (
            |live| offend(live, &upgrade_with(&format!("X: {}\r\n", "x".repeat(2_000))), 431),
            |r| &mut r.head_too_big,
        ),
        (
            |live| offend(live, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n", 413),
            |r| &mut r.body_too_big,
        ),
        (|live| offend(live, "GET / HT", 408), |r| &mut r.request_timeout),
        (|live| offend(live, &UPGRADE.replace(" / ", " /refused "), 401), |r| &mut r.handshake),
        (|live| offend(live, "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n", 500), |r| &mut r.panics),
        (|live| offend_open(live, masked(FIN | TEXT, b"\xff"), 1007), |r| &mut r.invalid_utf8),
        (|live| offend_open(live, [0xff], 1002), |r| &mut r.protocol),
        (|live| offend_open(live, masked_header(FIN | TEXT, 1_001), 1009), |r| &mut r.message_too_big),
        (
            |live| offend_open(live, [masked(TEXT, b""), masked(CONTINUATION, b"").repeat(9)].concat(), 1009),
            |r| &mut r.message_too_big,
        ),
        (|live| offend_open(live, masked(FIN | TEXT, b"panic"), 1011), |r| &mut r.panics),
        (|live| live.client().expect_fin(), |r| &mut r.timeout),
    ];
    for (number, (offence, counter)) in offences.into_iter().enumerate() {
        let live = Live::start(offended());
        offence(&live);
        live.until_empty();
        let mut expected = Refusals::default();
        *counter(&mut expected) = 1;
        assert_eq!(refusals(&live), expected, "offence {number}");
    }
}

/// A server that is easily offended.
fn offended() -> Builder {
    Server::builder()
        .configure(|config| {
            config.head_bytes_max = 1_000;
            config.body_bytes_max = 1_000;
            config.message_bytes_max = 1_000;
            config.fragments_max = 8;
            config.request_timeout = Duration::from_millis(150);
        })
        .on_handshake(|_, request| match request.path() {
            "/refused" => Response::text(401, "who are you?\n").into(),
            _ => swio::Handshake::accept(),
        })
        .on_request(|_, _| -> Response { panic!("as it should") })
        .on_message(|_, frame| assert_ne!(frame.data.as_str(), Some("panic")))
}

#[test]
fn what_is_done_is_counted() {
    let live = Live::start(echo().on_request(|_, _| Response::text(200, "hello")));
    let before = stats(&live);
    assert_eq!((before.accepted, before.bytes_received, before.bytes_sent), (0, 0, 0));
    assert!(before.started_at.elapsed().expect("in the past") < DEADLINE);
    let mut page = live.client();
    page.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(page.answer().text(), "hello");
    drop(page);
    let mut client = live.open();
    let mut sent = 0;
    for frame in [masked(FIN | TEXT, b"one"), masked(FIN | PING, b""), masked(FIN | PONG, b"")] {
        sent += frame.len();
        client.send(frame);
    }
    client.expect_text("one");
    client.expect(PONG, "");
    live.ask(|server| {
        server.broadcast("to all").send();
        let fd = server.connections().next().expect("the client");
        server.push_as(fd, swio::Opcode::Ping, b"")
    })
    .expect("an open connection");
    client.expect_text("to all");
    client.expect(PING, "");
    let now = live.until("the page is gone", |server| {
        let stats = server.stats();
        (stats.closed == 1).then_some(stats)
    });
    assert_eq!((now.connections, now.websockets, now.accepted, now.opened), (1, 1, 2, 1));
    assert_eq!((now.requests, now.responses), (1, 1));
    assert_eq!((now.messages_received, now.messages_sent), (1, 2));
    assert_eq!((now.pings_sent, now.pings_received, now.pongs_received), (1, 1, 1));
    let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".len() + UPGRADE.len();
    assert_eq!(now.bytes_received, (requests + sent) as u64);
    assert_eq!(now.refusals, Refusals::default());
    client.close(1000, "");
    client.expect_close(1000);
    live.until_empty();
    let end = stats(&live);
    assert_eq!((end.connections, end.websockets, end.closed), (0, 0, 2));
    // A close frame of two bytes.
    assert_eq!(end.bytes_sent, now.bytes_sent + 4);
}

#[test]
fn those_that_the_server_has_no_room_for_are_counted_too() {
    let (live, _events) = recorded_with(|config| config.connections_max = Some(1));
    let _client = live.open();
    for _ in 0..3 {
        assert_eq!(live.client().answer().status, 503);
    }
    assert_eq!(refusals(&live), only(|refusals| refusals.server_full = 3));
}

/// Answers with the path, and lets pages poll.
fn asked_too_often(change: impl FnOnce(&mut Config) + Send + 'static) -> Live {
    Live::start(
        Server::builder()
            .configure(|config| {
                config.messages_per_second_max = Some(10);
                config.long_polling = true;
                config.trusted_proxies.clear();
                change(config);
            })
            .on_request(|_, request| Response::text(200, request.path().to_owned()))
            .script("/swio.js"),
    )
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

#[test]
fn requests_count_as_messages_whatever_they_ask_for() {
    let live = asked_too_often(|_| {});
    for target in ["/", "/swio.js", "/?swio=poll&session=x&cursor=0", "/?swio=nothing"] {
        let mut client = live.client();
        client.send(request(target).repeat(40));
        let served = (0..40).take_while(|_| client.answer().status != 429).count();
        assert!((20..25).contains(&served), "{target}: {served}");
        client.expect_fin();
        // Who keeps to the rate, and who comes again, is served.
        let mut client = live.client();
        client.send(request(target));
        assert_ne!(client.answer().status, 429, "{target}");
    }
    assert_eq!(live.ask(|server| server.stats().refusals.message_rate), 4);
    // What came before a WebSocket takes nothing from it.
    let mut client = live.client();
    client.send([request("/").repeat(15), UPGRADE.to_owned()].concat());
    (0..15).for_each(|_| assert_eq!(client.answer().status, 200));
    client.expect_101();
    client.send(masked(FIN | TEXT, b"x").repeat(18));
    client.frame(PING, b"still there?");
    assert_eq!(client.read_frame().opcode, PONG);
}

#[test]
fn a_session_is_polled_as_often_as_it_may_send_and_the_others_of_its_proxy_as_well() {
    let live = asked_too_often(|config| config.trusted_proxies = vec!["127.0.0.1".parse().expect("one")]);
    let mut proxy = live.client();
    // A proxy sends the requests of many.
    proxy.send(request("/").repeat(100));
    (0..100).for_each(|_| assert_eq!(proxy.answer().status, 200));
    let mut open = || {
        proxy.send(request("/?swio=poll"));
        proxy.answer().text().split('"').nth(3).expect("a token").to_owned()
    };
    let (often, seldom) = (open(), open());
    // A wrong cursor is answered at once.
    proxy.send(request(&format!("/?swio=poll&session={often}&cursor=9")).repeat(40));
    let answers: Vec<Answer> = (0..40).map(|_| proxy.answer()).collect();
    let served = answers.iter().filter(|answer| answer.status == 400).count();
    assert!((20..25).contains(&served), "{served}");
    let last = answers.last().expect("some");
    assert_eq!((last.status, last.header("Retry-After")), (429, Some("1")));
    assert_eq!(last.text(), r#"{"error":"too many messages a second"}"#);
    proxy.send(request(&format!("/?swio=poll&session={seldom}&cursor=9")));
    assert_eq!(proxy.answer().status, 400);
}

#[test]
fn a_query_of_any_number_of_parameters_is_searched_for_the_servers_own() {
    let live = asked_too_often(|_| {});
    let mut client = live.client();
    for (query, is_poll) in [
        ("+=+&".repeat(1_900), false),
        (format!("{}swio=poll", "+=+&".repeat(1_900)), true),
        ("swio=polls&x=swio=poll&%73wio=poll&yswio=poll".to_owned(), false),
    ] {
        client.send(request(&format!("/?{query}")));
        let answer = client.answer();
        let kind = if is_poll { "application/json" } else { "text/plain; charset=utf-8" };
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some(kind)), "{query:.50}");
    }
}
