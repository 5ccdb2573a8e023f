//! Commands and messages by `POST`: numbers, tokens, origins.

use super::*;

#[test]
fn numbered_messages_are_taken_once_and_in_order() {
    for kind in [Kind::Stream, Kind::Poll] {
        let (builder, events) = histories(10);
        let live = pages_with(builder, |config| config.message_bytes_max = 1_000);
        let mut page = Page::open(&live, kind);
        let taken = (204, String::new());
        let missing = (409, "a message before it is missing".to_owned());
        assert_eq!(page.post("swio=send&number=2", "two"), missing);
        assert_eq!(page.post("swio=send&number=1", "one"), taken);
        assert_eq!(page.post("swio=send&number=1", "one again"), taken);
        assert_eq!(page.post("swio=send&number=3", "three"), missing);
        // Commands are counted with messages; what has no number is not.
        assert_eq!(page.post("swio=subscribe&topic=a&number=2", ""), taken);
        assert_eq!(page.post("swio=send", "between"), taken);
        assert_eq!(page.post("swio=subscribe&topic=b&number=2", ""), taken);
        assert_eq!(page.post("swio=send&number=4294967295", "far"), missing);
        for number in ["0", "-1", "%2B1", "01", "4294967296", "x", ""] {
            let bad = (400, "bad number".to_owned());
            assert_eq!(page.post(&format!("swio=send&number={number}"), ""), bad, "{number}");
        }
        // What is refused is not taken, and may be sent again.
        let too_big = "x".repeat(1_001);
        assert_eq!(page.post("swio=send&number=3", &too_big), (413, "message too big".to_owned()));
        assert_eq!(page.post("swio=nonsense&swio=send&number=3", "").0, 400);
        let fd = events.open();
        assert!(live.ask(move |server| server.pause(fd)));
        assert_eq!(page.post("swio=send&number=3", "paused"), (503, "paused".to_owned()));
        // Known without asking anybody.
        assert_eq!(page.post("swio=send&number=2", "paused"), taken);
        assert!(live.ask(move |server| server.resume(fd)));
        live.until("it is read again", move |server| {
            (!server.client_info(fd).expect("open").is_paused).then_some(())
        });
        assert_eq!(page.post("swio=send&number=3", "three"), taken);
        let all: Vec<Vec<u8>> = (0..3).map(|_| events.message()).collect();
        assert_eq!(all, [b"one".to_vec(), b"between".to_vec(), b"three".to_vec()]);
        assert_eq!(page.next().labels["subscribed"], "a");
        page.expect_nothing();
        assert_eq!(events.rest(), []);
    }
}

#[test]
fn a_page_says_by_post_that_it_goes() {
    for kind in [Kind::Stream, Kind::Poll] {
        for is_parked in [false, true] {
            for (query, code, reason) in [("", 1005, ""), ("&code=4001&reason=bye+bye", 4001, "bye bye")] {
                let (builder, events) = recorded();
                let live = pages(builder);
                let mut page = Page::open(&live, kind);
                let fd = events.open();
                if is_parked && kind == Kind::Poll {
                    page.park();
                    until_parked(&live);
                }
                // Nothing is in the way of that, not even a pause.
                assert!(live.ask(move |server| server.pause(fd)));
                assert_eq!(page.post(&format!("swio=close{query}"), ""), (204, String::new()));
                assert_eq!(page.post("swio=close", ""), (404, "unknown session".to_owned()));
                if kind == Kind::Stream {
                    let data = format!(r#"{{"code":{code},"reason":"{reason}"}}"#);
                    let event = String::from_utf8(page.client.take_rest()).expect("text");
                    assert_eq!(event, format!("event: close\ndata: {data}\n\n"));
                } else if is_parked {
                    let closed = page.answer()["closed"].clone();
                    assert_eq!(
                        (closed["code"].clone(), closed["reason"].as_str()),
                        (code.into(), Some(reason))
                    );
                }
                drop(page);
                let (closed, told) = events.close();
                assert_eq!((closed, told.by, told.code, &*told.text), (fd, Side::Peer, code, reason));
                assert_eq!(told.cause, Cause::Requested);
                live.until_empty();
            }
        }
    }
}

fn until_parked(live: &Live) {
    // A request that waits is held by its connection.
    live.until("a request waits", |server| (server.usage().inbound_bytes > 0).then_some(()));
}

#[test]
fn plain_streams_have_no_topics_to_ask_for() {
    let (builder, events) = histories(10);
    let live = pages(builder);
    let mut stream = live.client();
    stream.send("GET /?swio=stream HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n");
    assert_eq!(stream.answer_head().status, 200);
    let start = String::from_utf8(stream.take("retry: 3000\n\nevent: swio\ndata: {\"session\":\"".len()));
    assert!(start.expect("text").ends_with("{\"session\":\""));
    let mut page = Page::open(&live, Kind::Stream);
    page.token = String::from_utf8(stream.take(22)).expect("text");
    let refused = (409, "not on a stream without labels".to_owned());
    for query in ["swio=subscribe&topic=a", "swio=unsubscribe&topic=a", "swio=ping"] {
        assert_eq!(page.post(query, ""), refused, "{query}");
    }
    assert_eq!(page.post("swio=send&number=1", "one").0, 204);
    assert_eq!(page.post("swio=close&code=3000", "").0, 204);
    drop(stream);
    assert_eq!((events.message(), events.close().1.code), (b"one".to_vec(), 3000));
}

#[test]
fn a_post_needs_its_own_sessions_token() {
    let (builder, events) = histories(10);
    let live = pages(builder);
    let (mut stream, mut poll) = (Page::open(&live, Kind::Stream), Page::open(&live, Kind::Poll));
    std::mem::swap(&mut stream.token, &mut poll.token);
    // Whose token it is hears the answer.
    assert_eq!(stream.post("swio=subscribe&topic=a", ""), (204, String::new()));
    std::mem::swap(&mut stream.token, &mut poll.token);
    assert_eq!(poll.next().labels["subscribed"], "a");
    stream.expect_nothing();
    for token in ["", "x", &"A".repeat(22), &"A".repeat(5_000)] {
        stream.token = token.to_owned();
        for query in ["swio=subscribe&topic=a", "swio=send&number=1", "swio=close", "swio=ping", "swio=send"]
        {
            assert_eq!(stream.post(query, ""), (404, "unknown session".to_owned()), "{query}");
        }
    }
    assert!(events.rest().iter().all(|event| matches!(event, Event::Open(_))));
}

#[test]
fn pages_of_other_origins_are_asked_for_as_for_messages() {
    let live = pages_with(histories(1).0, |config| {
        config.origins = Origins::List(vec!["https://a.test".into()]);
    });
    let mut page = Page::open(&live, Kind::Poll);
    for name in ["send", "subscribe", "unsubscribe", "ping", "close"] {
        let mut ask = |method: &str, origin: &str| {
            let query = format!("swio={name}&topic=a&session={}", page.token);
            page.poster.send(format!(
                "{method} /?{query} HTTP/1.1\r\nHost: test\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\r\n"
            ));
            page.poster.answer()
        };
        for method in ["OPTIONS", "POST"] {
            let answer = ask(method, "https://a.test");
            assert_eq!(answer.status, 204, "{name}");
            assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("https://a.test"));
            assert_eq!(answer.header("Access-Control-Allow-Methods").is_some(), method == "OPTIONS");
        }
        assert_eq!(ask("OPTIONS", "https://b.test").status, 403, "{name}");
        page.poster = live.client();
    }
}

#[test]
fn pages_of_other_origins_may_ask_before_they_open_or_poll() {
    let asked = |config: fn(&mut Config), query: &str, origin: &str| {
        let live =
            pages_with(histories(1).0.on_request(|_, _| Response::text(299, "a request")), move |all| {
                all.origins = Origins::List(vec!["https://*.test".into()]);
                config(all);
            });
        let mut client = live.client();
        client.send(format!(
            "OPTIONS /?{query} HTTP/1.1\r\nHost: test\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: GET\r\n\
             Access-Control-Request-Headers: cache-control,last-event-id\r\n\r\n"
        ));
        client.answer()
    };
    for query in ["swio=stream", "swio=stream&protocol=swio.1", "swio=poll", "swio=poll&session=x&cursor=0"] {
        let answer = asked(|_| {}, query, "https://a.test");
        assert_eq!(
            (answer.status, answer.header("Access-Control-Allow-Methods")),
            (204, Some("GET")),
            "{query}"
        );
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("https://a.test"), "{query}");
        assert_eq!(answer.header("Access-Control-Allow-Credentials"), Some("true"), "{query}");
        let allowed = answer.header("Access-Control-Allow-Headers").expect("some");
        assert!(allowed.contains("Cache-Control") && allowed.contains("Last-Event-ID"), "{query}");
        let answer = asked(|_| {}, query, "https://b.example");
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (403, None), "{query}");
    }
    // What is not served is the application's.
    assert_eq!(asked(|config| config.event_streams = false, "swio=stream", "https://a.test").status, 299);
    assert_eq!(asked(|config| config.long_polling = false, "swio=poll", "https://a.test").status, 299);
    assert_eq!(asked(|_| {}, "stream=1", "https://a.test").status, 299);
}

/// What a page can't read it takes for the network's fault, and sends the same again.
#[test]
fn pages_of_other_origins_are_told_why_they_are_refused() {
    let live = pages_with(histories(1).0, |config| {
        config.origins = Origins::List(vec!["https://a.test".into()]);
        config.body_bytes_max = 10;
        config.connections_max = Some(1);
        config.request_timeout = Duration::from_secs(1);
    });
    for (origin, is_told) in [("https://a.test", true), ("https://b.test", false)] {
        for (request, lines, status) in [
            ("POST /?swio=send&session=x", "Content-Length: 11\r\n", 413),
            ("POST /?swio=send&session=x", "Transfer-Encoding: chunked\r\n\r\nb\r\n12345678901", 413),
            ("POST /?swio=send&session=x", "Content-Length: 10\r\n\r\nslow", 408),
            ("GET /?swio=poll", "", 503),
            // Those are the handler's.
            ("POST /", "Content-Length: 11\r\n", 413),
        ] {
            let mut client = live.client();
            client.send(format!("{request} HTTP/1.1\r\nHost: test\r\nOrigin: {origin}\r\n{lines}\r\n"));
            let answer = client.answer();
            let expected = if request.starts_with("GET") && !is_told { 403 } else { status };
            assert_eq!(answer.status, expected, "{request}");
            let allowed = answer.header("Access-Control-Allow-Origin");
            let is_readable = is_told && request.contains("swio");
            assert_eq!(allowed, is_readable.then_some(origin), "{request}");
            drop(client);
            live.until_empty();
        }
    }
}

/// As an image, a script, or by a `fetch` whose answer it can't read: Chromium sends cookies along, and no `Origin`.
#[test]
fn a_page_of_another_origin_opens_no_session_blindly() {
    let (builder, events) = recorded();
    let live = pages(builder);
    for (target, accept) in [
        ("/?swio=poll", "image/avif,*/*;q=0.8"),
        ("/", "text/event-stream"),
        ("/?swio=stream&protocol=swio.1", "text/event-stream"),
    ] {
        for site in ["same-site", "cross-site"] {
            let mut client = live.client();
            client.send(format!(
                "GET {target} HTTP/1.1\r\nHost: test\r\nCookie: user=1\r\nSec-Fetch-Mode: no-cors\r\n\
                 Sec-Fetch-Site: {site}\r\nAccept: {accept}\r\n\r\n"
            ));
            assert_eq!(client.answer().status, 403, "{target}");
        }
    }
    live.until_empty();
    assert!(events.rest().is_empty());
}
