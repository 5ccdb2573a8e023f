//! Long polling over real sockets: sessions, what reaches them, what is acknowledged, and how they end from either
//! side.

mod common;

use common::*;
use std::sync::OnceLock;
use std::time::Duration;
use swio::{
    Builder, Cause, Config, Fd, Handshake, Message, Opcode, Origins, PushError, Reach, Response, Server,
    Side, SlowConsumer, Status, Transport,
};

const UNKNOWN: &str = r#"{"error":"unknown session"}"#;
const BAD_CURSOR: &str = r#"{"error":"bad cursor"}"#;

fn polls(builder: Builder) -> Live {
    polls_with(builder, |_| {})
}

fn polls_with(builder: Builder, change: impl FnOnce(&mut Config) + Send + 'static) -> Live {
    Live::start(builder.configure(|config| {
        config.long_polling = true;
        change(config);
    }))
}

/// A client's end of a session.
struct Page {
    client: Client,
    token: String,
    cursor: u64,
}

fn get(query: &str) -> String {
    format!("GET /?swio=poll{query} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// What stands between `before` and the next `after`.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap_or_else(|| panic!("no {after} in {text}")).0
}

impl Page {
    /// Begins a session; what its first answer says behind the token.
    fn open(live: &Live) -> (Page, String) {
        Page::open_over(live.client())
    }

    fn open_over(mut client: Client) -> (Page, String) {
        client.send(get(""));
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("application/json")));
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
        let text = answer.text();
        let token = between(text, r#"{"session":""#, "\"").to_owned();
        assert_eq!(token.len(), 22, "{token}");
        let rest = text.split_once("\",").expect("more").1.to_owned();
        let cursor = between(text, "\"cursor\":", ",").parse().expect("a number");
        (Page { client, token, cursor }, rest)
    }

    /// Asks without waiting for the answer.
    fn ask(&mut self) {
        self.ask_from(self.cursor);
    }

    fn ask_from(&mut self, cursor: impl std::fmt::Display) {
        self.client.send(get(&format!("&session={}&cursor={cursor}", self.token)));
    }

    fn answer(&mut self) -> String {
        let answer = self.client.answer();
        assert_eq!((answer.status, answer.header("Cache-Control")), (200, Some("no-store")), "{answer:?}");
        self.cursor = between(answer.text(), "\"cursor\":", ",").parse().expect("a number");
        answer.text().to_owned()
    }

    fn expect_refusal(&mut self, status: u16, text: &str) {
        let answer = self.client.answer();
        assert_eq!((answer.status, answer.text()), (status, text));
    }
}

/// So many requests wait: what is held of each is the same, but for its origin.
fn until_parked(live: &Live, requests: usize) {
    static ONE: OnceLock<usize> = OnceLock::new();
    let one = *ONE.get_or_init(|| {
        let live = polls(Server::builder());
        let (mut page, _) = Page::open(&live);
        page.ask();
        live.until("it waits", |server| Some(server.usage().inbound_bytes).filter(|held| *held > 0))
    });
    live.until("requests wait", move |server| (server.usage().inbound_bytes >= requests * one).then_some(()));
}

#[test]
fn messages_wait_for_a_request_or_a_request_for_them() {
    let (builder, events) = recorded();
    let live = polls(builder);
    let (mut page, first) = Page::open(&live);
    assert_eq!(first, r#""hold":25000,"cursor":0,"messages":[]}"#);
    let fd = events.open();
    live.ask(move |server| {
        server.push(fd, "hello").expect("open");
        server.push(fd, "a\n\"b\"").expect("open");
        server.push(fd, &[0xff, b'\r', b'\n']).expect("open");
        server.push(fd, Message::from("7").event("price").id("9")).expect("open");
        server.push(fd, Message::from("prepared").prepare()).expect("open");
        server.push_as(fd, Opcode::Text, b"").expect("open");
        assert_eq!(server.push_as(fd, Opcode::Ping, b""), Err(PushError::Unsendable));
        assert_eq!(server.push_part(fd, Opcode::Text, b"a", false), Err(PushError::Unsendable));
        assert_eq!(server.send(fd, b"raw"), Err(PushError::Unsendable));
        let info = server.client_info(fd).expect("open");
        assert_eq!((info.transport, info.status), (Transport::LongPolling, Status::Established));
        assert_eq!(info.remote_addr.map(|address| address.ip()), Some([127, 0, 0, 1].into()));
        assert!(info.queued_bytes > 0);
        assert!(server.is_established(fd) && server.connections().eq([fd]));
        let stats = server.stats();
        assert_eq!((stats.long_polls, stats.websockets, stats.opened, stats.messages_sent), (1, 0, 1, 6));
    });
    page.ask();
    let list = r#"[{"text":"hello"},{"text":"a\n\"b\""},{"binary":"/w0K"},{"text":"7","id":"9","event":"price"},{"text":"prepared"},{"text":""}]"#;
    assert_eq!(page.answer(), format!("{{\"cursor\":6,\"messages\":{list}}}"));
    // The same connection, and this time the request is there first. What one turn brings is one answer.
    page.ask();
    until_parked(&live, 1);
    live.ask(move |server| {
        server.push(fd, "1").expect("open");
        server.push(fd, "2").expect("open");
    });
    assert_eq!(page.answer(), r#"{"cursor":8,"messages":[{"text":"1"},{"text":"2"}]}"#);
    let usage = live.ask(|server| server.usage());
    assert_eq!((usage.long_polls, usage.connections), (1, 2));
}

#[test]
fn what_on_open_pushes_is_in_the_first_answer_and_requests_reach_the_handler_by_their_route() {
    let builder = Server::builder().on_open(|server, request| {
        server.join(request.fd, "news").expect("open");
        server.push(request.fd, request.query_param("name").unwrap_or_default().into_owned()).expect("open");
    });
    let live = polls(builder);
    let (mut page, first) = Page::open(&live);
    assert_eq!(first, r#""hold":25000,"cursor":1,"messages":[{"text":""}]}"#);
    let mut socket = live.open();
    assert_eq!(socket.read_frame().opcode, TEXT);
    page.ask();
    until_parked(&live, 1);
    let reach = live.ask(|server| server.publish("news", "for all").send());
    assert_eq!(reach, Reach { queued: 2, ..Reach::default() });
    assert_eq!(page.answer(), r#"{"cursor":2,"messages":[{"text":"for all","topic":"news"}]}"#);
    socket.expect(TEXT, "for all");
    let large = "x".repeat(100_000);
    let sent = large.clone();
    let reach = live.ask(move |server| {
        server.broadcast(Message::from(sent).prepare()).send();
        server.broadcast("small").send()
    });
    assert_eq!(reach.queued, 2);
    // One longer than an answer goes alone.
    page.ask();
    assert_eq!(page.answer(), format!("{{\"cursor\":3,\"messages\":[{{\"text\":\"{large}\"}}]}}"));
    page.ask();
    assert_eq!(page.answer(), r#"{"cursor":4,"messages":[{"text":"small"}]}"#);
}

#[test]
fn what_is_not_acknowledged_is_sent_again_and_cursors_that_cannot_be_are_refused() {
    let (builder, events) = recorded();
    let live = polls(builder);
    let (mut page, _) = Page::open(&live);
    let fd = events.open();
    live.ask(move |server| ["a", "b", "c"].iter().for_each(|text| server.push(fd, *text).expect("open")));
    let all = r#"{"cursor":3,"messages":[{"text":"a"},{"text":"b"},{"text":"c"}]}"#;
    for _ in 0..3 {
        // The answer got lost, with its connection or without.
        page.ask_from(0);
        assert_eq!(page.answer(), all);
        page.client = live.client();
    }
    live.ask(move |server| server.push(fd, "d").expect("open"));
    page.ask_from(2);
    assert_eq!(page.answer(), r#"{"cursor":4,"messages":[{"text":"c"},{"text":"d"}]}"#);
    for wrong in [
        "0",
        "1",
        "5",
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "%2B2",
        "02",
        "",
        "x",
        "3.0",
        "%00",
    ] {
        page.ask_from(wrong);
        page.expect_refusal(400, BAD_CURSOR);
    }
    page.client.send(get(&format!("&session={}", page.token)));
    page.expect_refusal(400, BAD_CURSOR);
    // None of that has harmed the session.
    page.ask_from(3);
    assert_eq!(page.answer(), r#"{"cursor":4,"messages":[{"text":"d"}]}"#);
    page.ask();
    until_parked(&live, 1);
    let usage = live.ask(|server| server.usage());
    assert_eq!((usage.queued_bytes, usage.outboxes_bytes), (0, 0));
    live.ask(move |server| server.push(fd, "e").expect("open"));
    assert_eq!(page.answer(), r#"{"cursor":5,"messages":[{"text":"e"}]}"#);
}

#[test]
fn a_token_is_needed_and_names_one_session_only() {
    let (builder, events) = recorded();
    let live = polls_with(builder, |config| config.event_streams = true);
    let (mut page, _) = Page::open(&live);
    let one = events.open();
    let (mut other, _) = Page::open(&live);
    live.ask(move |server| server.push(one, "for one").expect("open"));
    let right = page.token.clone();
    let mut wrong: Vec<String> = ["", "A", "AAAAAAAAAAAAAAAAAAAAAA", "%ff"].map(str::to_owned).into();
    wrong.extend([format!("{right}A"), right[1..].to_owned(), "x".repeat(3_000)]);
    for token in wrong {
        page.token = token;
        page.ask();
        page.expect_refusal(404, UNKNOWN);
    }
    // That of an event stream.
    let mut stream = live.client();
    stream.send("GET /?swio=stream HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n");
    stream.answer_head();
    let mut text = String::new();
    while !text.ends_with("\"}\n") {
        text.push(char::from(stream.take(1)[0]));
    }
    page.token = between(&text, "{\"session\":\"", "\"").to_owned();
    page.ask();
    page.expect_refusal(404, UNKNOWN);
    // Another's cursor does not fit.
    other.ask_from(1);
    other.expect_refusal(400, BAD_CURSOR);
    page.token = right;
    page.ask();
    assert_eq!(page.answer(), r#"{"cursor":1,"messages":[{"text":"for one"}]}"#);
}

#[test]
fn of_two_requests_the_newer_one_waits_on() {
    let (builder, events) = recorded();
    let live = polls(builder);
    let (mut page, _) = Page::open(&live);
    let fd = events.open();
    page.ask();
    until_parked(&live, 1);
    let mut newer = Page { client: live.client(), token: page.token.clone(), cursor: 0 };
    newer.ask();
    assert_eq!(page.answer(), r#"{"cursor":0,"messages":[]}"#);
    // Whose request waits may go without harm.
    drop(page);
    live.ask(move |server| server.push(fd, "once").expect("open"));
    assert_eq!(newer.answer(), r#"{"cursor":1,"messages":[{"text":"once"}]}"#);
    // Requests behind each other on one connection are answered one after the other.
    newer.client.send([get(&format!("&session={}&cursor=1", newer.token)), get("&session=none")].concat());
    until_parked(&live, 1);
    live.ask(move |server| server.push(fd, "twice").expect("open"));
    assert_eq!(newer.answer(), r#"{"cursor":2,"messages":[{"text":"twice"}]}"#);
    newer.expect_refusal(404, UNKNOWN);
}

#[test]
fn a_request_that_waits_may_vanish_and_the_session_stays() {
    let (builder, events) = recorded();
    let live = polls(builder);
    let (mut page, _) = Page::open(&live);
    let fd = events.open();
    page.ask();
    until_parked(&live, 1);
    let token = page.token.clone();
    page.client.reset();
    live.until("its connection is gone", |server| (server.usage().connections == 1).then_some(()));
    live.ask(move |server| server.push(fd, "kept").expect("open"));
    let mut page = Page { client: live.client(), token, cursor: 0 };
    page.ask();
    assert_eq!(page.answer(), r#"{"cursor":1,"messages":[{"text":"kept"}]}"#);
}

#[test]
fn of_a_request_that_waits_only_what_its_answer_needs_is_kept() {
    let live = polls_with(Server::builder(), |config| config.origins = Origins::Any);
    let (mut page, _) = Page::open(&live);
    let long = format!("Origin: https://a.example\r\nCookie: {}\r\n\r\n", "x".repeat(4_000));
    let ask = |cursor| get(&format!("&session={}&cursor={cursor}", page.token)).replace("\r\n\r\n", "\r\n");
    // The one behind it waits its turn, whole.
    page.client.send(format!("{}{long}{}Connection: close\r\n{long}", ask(0), ask(1)));
    let small = |server: &mut Server| {
        let held = server.usage().inbound_bytes;
        (4_000..5_000).contains(&held).then_some(())
    };
    live.until("the first one is parked", small);
    for cursor in [1, 2] {
        live.ask(|server| server.broadcast("now").send());
        let answer = page.client.answer();
        assert_eq!(answer.text(), format!("{{\"cursor\":{cursor},\"messages\":[{{\"text\":\"now\"}}]}}"));
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("https://a.example"));
        if cursor == 1 {
            live.until("the second one is parked", |server| {
                let held = server.usage().inbound_bytes;
                (1..500).contains(&held).then_some(())
            });
        }
    }
    page.client.expect_fin();
}

#[test]
fn a_request_waits_no_longer_than_it_may() {
    let live = polls_with(Server::builder(), |config| config.poll_hold = Duration::from_millis(50));
    let (mut page, _) = Page::open(&live);
    for _ in 0..3 {
        page.ask();
        assert_eq!(page.answer(), r#"{"cursor":0,"messages":[]}"#);
    }
    // As HTTP/1.0 has it: an answer, and the end.
    let request = get(&format!("&session={}&cursor=0", page.token)).replace("HTTP/1.1", "HTTP/1.0");
    page.client.send(request);
    assert_eq!(page.answer(), r#"{"cursor":0,"messages":[]}"#);
    page.client.expect_fin();
}

#[test]
fn a_session_without_requests_is_over() {
    let (builder, events) = recorded();
    let live = polls_with(builder, |config| {
        (config.poll_hold, config.poll_grace) = (Duration::from_millis(50), Duration::from_millis(50));
    });
    let (mut page, _) = Page::open(&live);
    let fd = events.open();
    live.ask(move |server| server.push(fd, "in vain").expect("open"));
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.by, reason.cause), (fd, Side::Local, Cause::Timeout));
    page.ask();
    page.expect_refusal(404, UNKNOWN);
    // One that nobody may end for its silence lives on.
    let (mut page, _) = Page::open_over(page.client);
    let fd = events.open();
    live.ask(move |server| server.protect(fd, true));
    live.after(Duration::from_millis(400)).recv().expect("a timer");
    page.ask();
    assert_eq!(page.answer(), r#"{"cursor":0,"messages":[]}"#);
}

#[test]
fn the_end_of_a_session_is_in_its_last_answer() {
    let (builder, events) = recorded();
    let live = polls(builder);
    let (mut page, _) = Page::open(&live);
    let fd = events.open();
    page.ask();
    until_parked(&live, 1);
    live.ask(move |server| {
        server.push(fd, "bye").expect("open");
        assert!(server.disconnect(fd, 4000, "enough \"said\""));
        assert!(!server.disconnect(fd, 4001, ""));
        assert_eq!(server.push(fd, "late"), Err(PushError::Closing));
        assert_eq!((server.connection_count(), server.broadcast("late").send()), (0, Reach::default()));
    });
    let end = r#""closed":{"code":4000,"reason":"enough \"said\""}}"#;
    assert_eq!(page.answer(), format!("{{\"cursor\":1,\"messages\":[{{\"text\":\"bye\"}}],{end}"));
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.by, reason.code, reason.cause), (fd, Side::Local, 4000, Cause::Requested));
    page.ask();
    page.expect_refusal(404, UNKNOWN);
    // Where no request waits, the next one is told.
    let (mut page, _) = Page::open_over(page.client);
    let fd = events.open();
    live.ask(move |server| server.disconnect(fd, 4000, "enough \"said\""));
    page.ask();
    assert_eq!(page.answer(), format!("{{\"cursor\":0,\"messages\":[],{end}"));
    events.close();
    drop(page);
    live.until_empty();
    live.ask(|server| assert_eq!((server.usage().long_polls, server.usage().outboxes_bytes), (0, 0)));
}

#[test]
fn the_handler_lets_sessions_in_or_refuses_them_now_or_later() {
    let builder =
        Server::builder().on_handshake(|server, request| match request.query_param("as").as_deref() {
            Some("now") => Handshake::accept().header("Set-Cookie", "a=b"),
            Some("never") => Handshake::refuse(Response::text(403, "no")),
            Some("end") => {
                server.disconnect(request.fd, 1000, "");
                Handshake::accept()
            }
            _ => {
                let (handle, fd) = (server.handle(), request.fd);
                handle
                    .run(move |server| {
                        server.answer_handshake(fd, Handshake::accept());
                    })
                    .expect("room");
                Handshake::later()
            }
        });
    let live = polls_with(builder, |config| config.origins = Origins::List(vec!["https://a.test".into()]));
    let ask = |query: &str, lines: &str| {
        let mut client = live.client();
        client.send(get(query).replace("\r\n\r\n", &format!("\r\n{lines}\r\n")));
        client.answer()
    };
    let answer = ask("&as=now", "Origin: https://a.test\r\n");
    assert_eq!((answer.status, answer.header("Set-Cookie")), (200, Some("a=b")));
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("https://a.test"));
    assert_eq!(ask("&as=now", "Origin: https://b.test\r\n").status, 403);
    assert_eq!((ask("&as=never", "").status, ask("&as=end", "").status), (403, 503));
    let later = ask("&as=later", "");
    assert_eq!(later.status, 200);
    let token = between(later.text(), "{\"session\":\"", "\"").to_owned();
    // Requests of a session are judged by their origin too, and a page may read what it waited for.
    assert_eq!(ask(&format!("&session={token}&cursor=0"), "Origin: https://b.test\r\n").status, 403);
    let mut client = live.client();
    let request = get(&format!("&session={token}&cursor=0"));
    client.send(request.replace("\r\n\r\n", "\r\nOrigin: https://a.test\r\n\r\n"));
    until_parked(&live, 1);
    live.ask(|server| server.broadcast("x").send());
    let answer = client.answer();
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("https://a.test"));
    assert_eq!(answer.text(), r#"{"cursor":1,"messages":[{"text":"x"}]}"#);
}

#[test]
fn messages_come_by_post_and_polls_are_plain_requests_where_they_are_off() {
    let live = polls(echo());
    let (mut page, _) = Page::open(&live);
    let body = "to the server";
    page.client.send(format!(
        "POST /?swio=send&session={} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}",
        page.token,
        body.len()
    ));
    assert_eq!(page.client.answer().status, 204);
    page.ask();
    assert_eq!(page.answer(), r#"{"cursor":1,"messages":[{"text":"to the server"}]}"#);
    let page = || Server::builder().on_request(|_, request| Response::text(200, request.method().to_owned()));
    let off = Live::start(page());
    let on = polls(page());
    for (live, request) in
        [(&off, get("")), (&on, get("").replace("GET", "PUT")), (&on, get("").replace("poll", "pol"))]
    {
        let mut client = live.client();
        client.send(&request);
        let method = request.split(' ').next().expect("a method");
        assert_eq!(client.answer().text(), method);
    }
}

#[test]
fn who_does_not_poll_is_bounded_by_the_policy() {
    for policy in [SlowConsumer::Close, SlowConsumer::DropNewest, SlowConsumer::DropOldest] {
        let (builder, events) = recorded();
        let live = polls_with(builder, move |config| {
            config.outbox_bytes_max = 10_000;
            config.slow_consumer = policy;
        });
        let (mut page, _) = Page::open(&live);
        let fd = events.open();
        let refused = live.ask(move |server| {
            let text = "x".repeat(90);
            let push = |server: &mut Server, number: usize| server.push(fd, format!("{number:03}{text}"));
            let refused = (0..200).filter(|number| push(server, *number).is_err()).count();
            assert!(server.usage().queued_bytes <= 10_200, "{}", server.usage().queued_bytes);
            refused
        });
        page.ask();
        let answer = page.answer();
        let kept = answer.matches("{\"text\":").count();
        // Those that may be dropped count with their places.
        let expected = if policy == SlowConsumer::Close { 0..=0 } else { 25..=100 };
        assert!(expected.contains(&kept), "{policy:?}: {kept}");
        let has = |number: usize| answer.contains(&format!("{{\"text\":\"{number:03}x"));
        match policy {
            SlowConsumer::Close => {
                assert!(answer.ends_with(r#","closed":{"code":1013,"reason":"slow consumer"}}"#), "{answer}");
                assert_eq!(events.close().1.cause, Cause::SlowConsumer);
            }
            SlowConsumer::DropNewest => {
                assert_eq!((refused, has(0), has(199)), (200 - kept, true, false));
            }
            _ => assert_eq!((refused, has(0), has(199)), (0, false, true)),
        }
    }
}

#[test]
fn a_shutdown_answers_what_waits() {
    let (builder, events) = recorded();
    let mut live = polls(builder);
    let mut pages: Vec<Page> = (0..3).map(|_| Page::open(&live).0).collect();
    let fds: Vec<Fd> = pages.iter().map(|_| events.open()).collect();
    pages[..2].iter_mut().for_each(Page::ask);
    until_parked(&live, 2);
    live.ask(Server::shutdown);
    for page in &mut pages[..2] {
        let end = r#""closed":{"code":1001,"reason":"server shutdown"}}"#;
        assert_eq!(page.answer(), format!("{{\"cursor\":0,\"messages\":[],{end}"));
        page.client.expect_fin();
    }
    let mut closed: Vec<Fd> = pages.iter().map(|_| events.close().0).collect();
    closed.sort();
    assert_eq!(closed, fds);
    drop(pages);
    live.join();
}

#[test]
fn a_thousand_requests_wait_at_once_and_one_publish_answers_them() {
    let builder = Server::builder().on_open(|server, request| {
        server.join(request.fd, "all").expect("open");
    });
    let live = polls_with(builder, |config| config.connections_per_address_max = None);
    let mut pages: Vec<Page> = (0..1_000).map(|_| Page::open(&live).0).collect();
    pages.iter_mut().for_each(Page::ask);
    until_parked(&live, 1_000);
    let reach = live.ask(|server| server.publish("all", "now").send());
    assert_eq!(reach.queued, 1_000);
    for page in &mut pages {
        assert_eq!(page.answer(), r#"{"cursor":1,"messages":[{"text":"now","topic":"all"}]}"#);
    }
}

#[test]
fn sessions_count_as_connections() {
    let live = polls_with(Server::builder(), |config| {
        config.connections_per_address_max = Some(3);
        config.trusted_proxies.clear();
    });
    let (page, _) = Page::open(&live);
    // Two of the three are this client's connection and its session.
    let (other, _) = Page::open_over(page.client);
    let mut client = other.client;
    client.send(get(""));
    assert_eq!(client.answer().status, 503);
}

#[test]
fn a_panic_ends_the_session_and_a_budget_holds_for_all_of_them() {
    let builder = Server::builder().on_open(|_, request| {
        assert!(request.query_param("as").is_none(), "as asked");
    });
    let live = polls_with(builder, |config| {
        (config.outbox_bytes_max, config.outboxes_bytes_max) = (100_000, 200_000);
        config.slow_consumer = SlowConsumer::DropNewest;
    });
    let mut client = live.client();
    client.send(get("&as=panic"));
    let answer = client.answer();
    let end = r#""closed":{"code":1011,"reason":"internal error"}}"#;
    assert!(answer.status == 200 && answer.text().ends_with(end), "{answer:?}");
    drop(client);
    let mut pages: Vec<Page> = (0..20).map(|_| Page::open(&live).0).collect();
    let text = "x".repeat(1_000);
    let refused = live.ask(move |server| {
        let refused: usize = (0..20).map(|_| server.broadcast(text.as_str()).send().refused).sum();
        // The last to grow may have a little to spare.
        assert!(server.usage().outboxes_bytes <= 200_000 + (8 << 10), "{}", server.usage().outboxes_bytes);
        refused
    });
    assert!(refused > 100, "{refused}");
    // Whoever reads makes room.
    for page in &mut pages {
        page.ask();
        assert!(page.answer().contains("xxx"));
        page.ask();
    }
    until_parked(&live, 20);
    assert_eq!(live.ask(|server| server.usage().outboxes_bytes), 0);
}

/// One that asks on and on, but never says that it has anything, would be there for as long as it likes.
#[test]
fn a_session_that_is_told_to_go_can_not_stay_by_not_acknowledging() {
    let (builder, events) = recorded();
    let live = polls_with(builder, |config| {
        config.poll_hold = Duration::from_millis(300);
        config.poll_grace = Duration::from_millis(300);
    });
    let mut client = live.client();
    client.send("GET /?swio=poll HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = client.answer();
    let token = answer.text().split('"').nth(3).expect("a token").to_owned();
    let fd = events.open();
    live.ask(move |server| {
        (0..4).for_each(|_| server.push(fd, "x".repeat(40_000)).expect("room"));
        assert!(server.disconnect(fd, 4000, "banned"));
    });
    let patience = Patience::new();
    loop {
        patience.check("it ends");
        client.send(format!("GET /?swio=poll&session={token}&cursor=0 HTTP/1.1\r\nHost: test\r\n\r\n"));
        match client.answer().status {
            200 => std::thread::sleep(Duration::from_millis(20)),
            status => break assert_eq!(status, 404),
        }
    }
    assert_eq!(events.close().1.code, 4000);
}
