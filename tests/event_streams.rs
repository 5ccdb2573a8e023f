//! Event streams over real sockets: who gets one, what is sent on it, and how it ends from either side.

mod common;

use common::*;
use std::time::Duration;
use swio::{
    Builder, Cause, Config, Handshake, History, JoinError, Message, Opcode, Origins, PushError, Reach,
    Response, Server, Side, Status, Transport,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n";

/// [`GET`] with more header lines, each with its line end.
fn get_with(lines: &str) -> String {
    GET.replace("\r\n\r\n", &format!("\r\n{lines}\r\n"))
}

/// An event as a page sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    event: String,
    id: String,
    data: String,
}

fn seen(event: &str, id: &str, data: &str) -> Seen {
    Seen { event: event.into(), id: id.into(), data: data.into() }
}

/// A client's end of an event stream, which reads as the standard says (WHATWG HTML §9.2.6), a byte at a time.
struct Reader {
    client: Client,
    last_id: String,
}

impl Reader {
    fn open(live: &Live) -> Reader {
        Reader::ask(live, GET)
    }

    fn ask(live: &Live, request: impl AsRef<[u8]>) -> Reader {
        let mut client = live.client();
        client.send(request);
        Reader::over(client)
    }

    fn over(mut client: Client) -> Reader {
        let answer = client.answer_head();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("Content-Type"), Some("text/event-stream"));
        assert_eq!(answer.header("Cache-Control"), Some("no-store, no-transform"));
        assert_eq!(answer.header("X-Accel-Buffering"), Some("no"));
        assert_eq!(answer.header("Connection"), Some("close"));
        assert_eq!(answer.header("Content-Length"), None);
        assert_eq!(answer.header("Transfer-Encoding"), None);
        let mut reader = Reader { client, last_id: String::new() };
        assert_eq!(reader.line(), "retry: 3000");
        assert_eq!(reader.line(), "");
        reader
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        loop {
            match self.client.take(1)[0] {
                b'\n' => return String::from_utf8(line).expect("a stream is UTF-8"),
                b'\r' => panic!("a CR from this server"),
                byte => line.push(byte),
            }
        }
    }

    fn next(&mut self) -> Seen {
        let mut event = Seen::default();
        let mut data: Option<String> = None;
        loop {
            let line = self.line();
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "" if !line.is_empty() => {}
                "" => {
                    if let Some(data) = data.take() {
                        event.data = data.strip_suffix('\n').expect("a line").to_owned();
                        event.id = self.last_id.clone();
                        return event;
                    }
                }
                "data" => data.get_or_insert_default().extend([value, "\n"]),
                "event" => event.event = value.to_owned(),
                "id" => self.last_id = value.to_owned(),
                other => panic!("a field {other:?}"),
            }
        }
    }

    /// The next line of the stream is a comment.
    fn expect_comment(&mut self) {
        assert_eq!((self.line(), self.line()), (":".to_owned(), String::new()));
    }

    fn expect_close(&mut self, code: u16, reason: &str) {
        assert_eq!(
            self.next(),
            seen("close", &self.last_id.clone(), &format!("{{\"code\":{code},\"reason\":\"{reason}\"}}"))
        );
        self.client.expect_fin();
    }
}

fn streams(builder: Builder) -> Live {
    streams_with(builder, |_| {})
}

fn streams_with(builder: Builder, change: impl FnOnce(&mut Config) + Send + 'static) -> Live {
    Live::start(builder.configure(|config| {
        config.event_streams = true;
        change(config);
    }))
}

#[test]
fn messages_arrive_as_events_in_their_order() {
    let (builder, events) = recorded();
    let live = streams(builder);
    let mut reader = Reader::open(&live);
    let fd = events.open();
    live.ask(move |server| {
        server.push(fd, "hello").expect("open");
        server.push(fd, "a\nb\r\nc\rd\n").expect("open");
        server.push(fd, "").expect("open");
        server.push(fd, &[0xff, b'\r', b'\n']).expect("open");
        server.push(fd, Message::from("7").event("price\nid: evil").id("1-\u{0}2\r\n")).expect("open");
        server.push(fd, Message::from("prepared").prepare()).expect("open");
        server.push_as(fd, Opcode::Text, b" as text").expect("open");
        assert_eq!(server.push_as(fd, Opcode::Ping, b""), Err(PushError::Unsendable));
        assert_eq!(server.ping(fd, b""), Err(PushError::Unsendable));
        assert_eq!(server.push_part(fd, Opcode::Text, b"a", false), Err(PushError::Unsendable));
        let info = server.client_info(fd).expect("open");
        assert_eq!((info.transport, info.status), (Transport::EventStream, Status::Established));
        assert!(server.is_established(fd) && server.connections().eq([fd]));
        let stats = server.stats();
        assert_eq!((stats.event_streams, stats.websockets, stats.opened, stats.messages_sent), (1, 0, 1, 7));
    });
    assert_eq!(reader.next(), seen("", "", "hello"));
    assert_eq!(reader.next(), seen("", "", "a\nb\nc\nd\n"));
    assert_eq!(reader.next(), seen("", "", ""));
    assert_eq!(reader.next(), seen("binary", "", "/w0K"));
    assert_eq!(reader.next(), seen("priceid: evil", "1-2", "7"));
    assert_eq!(reader.next(), seen("", "1-2", "prepared"));
    assert_eq!(reader.next(), seen("", "1-2", " as text"));
    live.ask(move |server| assert!(server.disconnect(fd, 4000, "enough \"said\"")));
    assert_eq!(reader.next(), seen("close", "1-2", r#"{"code":4000,"reason":"enough \"said\""}"#));
    reader.client.expect_fin();
    drop(reader);
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.by, reason.code, reason.cause), (fd, Side::Local, 4000, Cause::Requested));
    live.until_empty();
    live.ask(|server| assert_eq!(server.usage().event_streams, 0));
}

#[test]
fn one_publish_reaches_every_kind_of_connection() {
    let builder = Server::builder().on_open(|server, request| {
        server.join(request.fd, "news").expect("open");
        server.push(request.fd, request.fd.to_string()).expect("open");
    });
    let live = streams(builder);
    let mut readers: Vec<Reader> = (0..3).map(|_| Reader::open(&live)).collect();
    let mut socket = live.open();
    let fds: Vec<String> = readers.iter_mut().map(|reader| reader.next().data).collect();
    assert_eq!(socket.read_frame().opcode, TEXT);
    let out = fds[0].parse().expect("an fd");
    let reach = live.ask(move |server| server.publish("news", "to all but one").except(out).send());
    assert_eq!(reach, Reach { queued: 3, ..Reach::default() });
    let large = "x".repeat(100_000);
    let sent = large.clone();
    let reach = live.ask(move |server| {
        server.broadcast(Message::from(sent).event("large").id("9").prepare()).send();
        server.broadcast(Message::from("small").event("named").id("9")).send()
    });
    assert_eq!(reach.queued, 4);
    for reader in &mut readers[1..] {
        assert_eq!(reader.next().data, "to all but one");
    }
    for reader in &mut readers {
        // What is prepared is the payload alone.
        assert_eq!(reader.next(), seen("", "", &large));
        assert_eq!(reader.next(), seen("named", "9", "small"));
    }
    socket.expect(TEXT, "to all but one");
    socket.expect(TEXT, &large);
    socket.expect(TEXT, "small");
}

#[test]
fn only_a_get_that_accepts_one_gets_a_stream_and_only_where_they_are_switched_on() {
    let page = || Server::builder().on_request(|_, request| Response::text(200, request.method().to_owned()));
    let live = streams(page());
    for request in [
        GET.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"),
        GET.replace("text/event-stream", "*/*"),
    ] {
        let mut client = live.client();
        client.send(&request);
        assert_eq!(client.answer().status, 200, "{request}");
        // The same connection may still become one.
        client.send(GET);
        Reader::over(client);
    }
    let mut client = live.client();
    client.send(GET.replace("GET", "HEAD"));
    assert_eq!(client.answer_head().header("Content-Length"), Some("4"));
    for request in
        [GET.replace("HTTP/1.1", "HTTP/1.0"), get_with("Accept: text/html, text/event-stream;q=0.5\r\n")]
    {
        Reader::ask(&live, request);
    }
    let mut client = live.client();
    client.send_in_pieces(GET);
    Reader::over(client);
    let off = Live::start(page());
    let mut client = off.client();
    client.send(GET);
    assert_eq!(client.answer().text(), "GET");
}

#[test]
fn the_handler_lets_streams_in_or_refuses_them_now_or_later() {
    let builder = Server::builder().on_handshake(|server, request| match request.query() {
        Some("now") => Handshake::accept().header("Set-Cookie", "a=b"),
        Some("never") => Handshake::refuse(Response::new(204)),
        Some("panic") => panic!("as asked"),
        Some("end") => {
            server.disconnect(request.fd, 1000, "");
            Handshake::accept()
        }
        _ => {
            let (handle, fd) = (server.handle(), request.fd);
            handle.answer_handshake(fd, Handshake::accept()).expect("the server runs");
            Handshake::later()
        }
    });
    let (tell_open, opened) = std::sync::mpsc::channel();
    let builder = builder.on_open(move |server, request| {
        server.push(request.fd, "welcome").expect("open");
        tell(&tell_open, request.last_event_id().map(|id| id.into_owned()));
    });
    let live = streams(builder);
    let path = |query: &str| GET.replace("GET /", &format!("GET /?{query}"));
    let mut client = live.client();
    client.send(path("now"));
    assert_eq!(client.answer_head().header("Set-Cookie"), Some("a=b"));
    assert_eq!(opened.recv_timeout(DEADLINE), Ok(None));
    let later = path("later&last-event-id=q%207").replace("\r\n\r\n", "\r\nLast-Event-ID: h 7\r\n\r\n");
    assert_eq!(Reader::ask(&live, later).next().data, "welcome");
    assert_eq!(opened.recv_timeout(DEADLINE), Ok(Some("h 7".into())));
    assert_eq!(Reader::ask(&live, path("later&last-event-id=q%207")).next().data, "welcome");
    assert_eq!(opened.recv_timeout(DEADLINE), Ok(Some("q 7".into())));
    for (query, status) in [("never", 204), ("panic", 500), ("end", 503)] {
        let mut client = live.client();
        client.send(path(query));
        assert_eq!(client.answer().status, status, "{query}");
        client.expect_fin();
    }
}

#[test]
fn pages_of_other_origins_are_told_whether_they_may() {
    let origin = "https://a.example";
    let live = streams_with(recorded().0, move |config| config.origins = Origins::List(vec![origin.into()]));
    let mut client = live.client();
    client.send(get_with("Origin: https://a.example\r\n"));
    let answer = client.answer_head();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some(origin));
    assert_eq!(answer.header("Access-Control-Allow-Credentials"), Some("true"));
    assert_eq!(answer.header("Vary"), Some("Origin"));
    let mut client = live.client();
    client.send(get_with("Origin: https://b.example\r\n"));
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (403, None));
    client.expect_fin();
    live.ask(|server| assert_eq!(server.stats().refusals.origin, 1));
}

#[test]
fn a_client_that_goes_is_seen_to_go() {
    let (builder, events) = recorded();
    let live = streams(builder);
    let mut reader = Reader::open(&live);
    let fd = events.open();
    reader.client.finish();
    let (closed, reason) = events.close();
    assert_eq!((closed, reason.by, reason.code, reason.cause), (fd, Side::Peer, 1005, Cause::Requested));
    reader.client.expect_fin();
    let reader = Reader::open(&live);
    events.open();
    reader.client.reset();
    assert!(matches!(events.close().1.cause, Cause::Io(_)));
    live.until_empty();
    assert_eq!(live.ask(move |server| server.push(fd, "late")), Err(PushError::Gone));
}

#[test]
fn what_a_client_sends_on_a_stream_is_passed_over() {
    let (builder, events) = recorded();
    let live = streams(builder);
    let mut reader = Reader::ask(&live, [GET, GET, "nonsense\r\n\r\n"].concat());
    let fd = events.open();
    reader.client.send(vec![0; 100_000]);
    live.ask(move |server| server.push(fd, "still here")).expect("open");
    assert_eq!(reader.next().data, "still here");
    assert!(events.rest().is_empty());
    live.ask(|server| {
        assert_eq!((server.usage().event_streams, server.usage().inbound_bytes), (1, 0));
    });
    let flooded = streams_with(recorded().0, |config| config.bytes_per_second_max = Some(100_000));
    let mut reader = Reader::open(&flooded);
    reader.client.try_send(vec![0; 2_000_000]);
    flooded.until_empty();
    flooded.ask(|server| assert_eq!(server.stats().refusals.byte_rate, 1));
}

#[test]
fn heartbeats_are_comments_and_a_reader_that_takes_nothing_is_given_up() {
    let (builder, events) = recorded();
    let live = streams_with(builder, |config| {
        config.ping_interval = Some(Duration::from_millis(100));
        config.pong_timeout = Duration::from_millis(100);
        config.idle_timeout = Some(Duration::from_millis(100));
        config.close_timeout = Duration::from_millis(100);
    });
    let mut reader = Reader::open(&live);
    let fd = events.open();
    for _ in 0..3 {
        reader.expect_comment();
    }
    live.ask(move |server| server.push(fd, "between")).expect("open");
    assert_eq!(reader.next().data, "between");
    drop(reader);
    events.close();
    let mut narrow = [(); 2].map(|()| Client::connect_narrow(live.address));
    let [protected, fd] = narrow.each_mut().map(|client| {
        client.send(GET);
        events.open()
    });
    live.ask(move |server| {
        assert!(server.protect(protected, true));
        for fd in [protected, fd] {
            server.push(fd, "x".repeat(7 << 20)).expect("room");
        }
    });
    for closing in [fd, protected] {
        let (closed, reason) = events.close();
        assert_eq!((closed, reason.code, reason.cause), (closing, 1001, Cause::Timeout));
        live.after(Duration::from_millis(500)).recv_timeout(DEADLINE).expect("a timer");
        let was_there =
            live.ask(move |server| server.is_established(protected) && server.protect(protected, false));
        assert_eq!(was_there, closing == fd);
    }
}

#[test]
fn a_panic_and_a_shutdown_are_told_as_a_close() {
    let (tell_close, closed) = std::sync::mpsc::channel();
    let builder = Server::builder()
        .on_open(|_, request| assert!(request.query().is_none(), "as asked"))
        .on_close(move |_, _, reason| tell(&tell_close, reason.clone()));
    let live = streams(builder);
    Reader::ask(&live, GET.replace("GET /", "GET /?panic")).expect_close(1011, "internal error");
    assert_eq!(closed.recv_timeout(DEADLINE).expect("a close").cause, Cause::Panic);
    let mut reader = Reader::open(&live);
    live.handle.shutdown().expect("it runs");
    reader.expect_close(1001, "server shutdown");
    live.stop();
    assert_eq!(closed.recv_timeout(DEADLINE).expect("a close").cause, Cause::Shutdown);
}

/// A stream that asks for its token, and the token.
fn with_token(live: &Live) -> (Reader, String) {
    let mut reader = Reader::ask(live, GET.replace("GET /", "GET /?swio=stream"));
    let first = reader.next();
    assert_eq!(first.event, "swio");
    let token = first.data.strip_prefix("{\"session\":\"").and_then(|rest| rest.strip_suffix("\"}"));
    let token = token.expect("a token").to_owned();
    assert_eq!(token.len(), 22);
    (reader, token)
}

fn post(token: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let head = format!(
        "POST /?swio=send&session={token} HTTP/1.1\r\nHost: test\r\nContent-Length: {len}\r\n{lines}\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn messages_come_by_post_in_the_name_of_the_stream() {
    let builder = Server::builder().on_message(|server, frame| {
        assert_ne!(&*frame.data, b"panic", "as asked");
        assert!(frame.finish);
        server.push(frame.fd, frame.data).expect("open");
    });
    let live = streams_with(builder, |config| config.deliver_fragments = true);
    let (mut reader, token) = with_token(&live);
    let mut poster = live.client();
    // Pipelined, in chunks, and in pieces.
    poster.send(
        [post(&token, "", b"one"), post(&token, "Content-Type: text/plain;charset=UTF-8\r\n", b"")].concat(),
    );
    assert_eq!((poster.answer().status, poster.answer().status), (204, 204));
    poster.send_in_pieces(post(&token, "Content-Type: application/octet-stream\r\n", b"\xff\r\n"));
    assert_eq!(poster.answer().status, 204);
    let head = format!(
        "POST /?session={token}&swio=send HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    poster.send([head.as_str(), "3\r\ntwo\r\n1\r\n!\r\n0\r\n\r\n"].concat());
    let answer = poster.answer();
    assert_eq!((answer.status, answer.header("Cache-Control")), (204, Some("no-store")));
    for expected in [seen("", "", "one"), seen("", "", ""), seen("binary", "", "/w0K"), seen("", "", "two!")]
    {
        assert_eq!(reader.next(), expected);
    }
    live.ask(|server| assert_eq!((server.stats().messages_received, server.stats().requests), (4, 0)));
    poster.send(post(&token, "", b"panic"));
    assert_eq!(poster.answer().status, 500);
    reader.expect_close(1011, "internal error");
    poster.send(post(&token, "", b"late"));
    let answer = poster.answer();
    assert_eq!((answer.status, answer.text()), (404, r#"{"error":"unknown session"}"#));
    still_serving(&live);
}

#[test]
fn what_is_wrong_with_a_posted_message_is_answered_and_harms_nobody() {
    let (builder, events) = recorded();
    let live = streams_with(builder, |config| {
        config.message_bytes_max = 1_000;
        config.messages_per_second_max = Some(2);
    });
    let (mut reader, token) = with_token(&live);
    let fd = events.open();
    let (_other, another) = with_token(&live);
    assert_ne!(token, another);
    let mut poster = live.client();
    for (request, status) in [
        (post(&token, "", b"\xff"), 400),
        (post(&token, "Content-Type: application/json\r\n", b"{}"), 415),
        (post(&token, "", &[b'x'; 1_001]), 413),
        (post("", "", b"x"), 404),
        (post(&token[1..], "", b"x"), 404),
        (post(&token.to_lowercase().to_uppercase(), "", b"x"), 404),
        (post(&fd.to_string(), "", b"x"), 404),
        (post("%ff", "", b"x"), 404),
        (post(&token, "", &[b'x'; 1_000]), 204),
    ] {
        poster.send(&request);
        assert_eq!(poster.answer().status, status, "{:?}", String::from_utf8_lossy(&request[..80]));
    }
    assert_eq!(events.message().len(), 1_000);
    let mut statuses = Vec::new();
    for _ in 0..20 {
        poster.send(post(&token, "", b"x"));
        statuses.push(poster.answer().status);
    }
    assert!(statuses.contains(&204) && statuses.contains(&429), "{statuses:?}");
    live.ask(move |server| assert!(server.pause(fd)));
    poster.send(post(&token, "", b"x"));
    let answer = poster.answer();
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("1")));
    live.ask(move |server| assert!(server.resume(fd) && server.push(fd, "unharmed").is_ok()));
    assert_eq!(reader.next().data, "unharmed");
    drop(reader);
    events.close();
    poster.send(post(&token, "", b"x"));
    assert_eq!(poster.answer().status, 404);
}

#[test]
fn who_posted_too_much_may_post_again_a_moment_later() {
    let live = streams_with(Server::builder(), |config| config.messages_per_second_max = Some(2));
    let (_reader, token) = with_token(&live);
    let mut poster = live.client();
    let mut status = || {
        poster.send(post(&token, "", b"x"));
        poster.answer().status
    };
    while status() != 429 {}
    live.after(Duration::from_millis(2_100)).recv_timeout(DEADLINE).expect("a timer");
    assert_eq!((status(), status()), (204, 204));
}

#[test]
fn a_page_elsewhere_may_post_where_its_origin_is_let_in() {
    let origin = "https://a.example";
    let live = streams_with(recorded().0, move |config| config.origins = Origins::List(vec![origin.into()]));
    let (_reader, token) = with_token(&live);
    let mut poster = live.client();
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /?swio=send&session={token} HTTP/1.1\r\nHost: test\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n"
        )
    };
    poster.send(preflight(origin));
    let answer = poster.answer();
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some(origin));
    assert_eq!(answer.header("Access-Control-Allow-Credentials"), Some("true"));
    assert_eq!(answer.header("Access-Control-Allow-Methods"), Some("POST"));
    let allowed = answer.header("Access-Control-Allow-Headers").expect("some");
    for name in ["Content-Type", "Cache-Control", "Last-Event-ID", "X-Requested-With", "Authorization"] {
        assert!(allowed.split(", ").any(|allowed| allowed == name), "{name}");
    }
    // Or a page could say that a proxy was asked for its own host.
    assert!(!allowed.contains("Forwarded") && !allowed.contains('*'));
    assert_eq!(answer.header("Access-Control-Max-Age"), Some("7200"));
    poster.send(post(&token, "Origin: https://a.example\r\n", b"x"));
    let answer = poster.answer();
    assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (204, Some(origin)));
    for request in
        [preflight("https://b.example").into_bytes(), post(&token, "Origin: https://b.example\r\n", b"x")]
    {
        let mut client = live.client();
        client.send(request);
        assert_eq!(client.answer().status, 403);
    }
    // Where there are no streams, it is a request as any other.
    let off = Live::start(
        Server::builder().on_request(|_, request| Response::text(200, request.method().to_owned())),
    );
    let mut client = off.client();
    client.send(post(&token, "", b"x"));
    assert_eq!(client.answer().text(), "POST");
}

/// A server whose every stream joins `news`, which keeps three messages, and `other`, which keeps none.
fn with_history() -> (Live, Events) {
    let (builder, events) = recorded();
    let builder = builder
        .on_start(|server| {
            let history = History { messages: 3, ..History::default() };
            server.keep_history("news", history).expect("a short name");
        })
        .on_open(|server, request| {
            server.join(request.fd, "other").expect("open");
            server.join(request.fd, "news").expect("open");
            server.push(request.fd, "welcome").expect("open");
        });
    (streams(builder), events)
}

fn publish(live: &Live, text: &str) {
    let text = text.to_owned();
    live.ask(move |server| server.publish("news", Message::from(text).event("n")).send());
}

fn publish_all(live: &Live, texts: &[&str]) {
    texts.iter().for_each(|text| publish(live, text));
}

fn back(live: &Live, last_id: &str) -> Reader {
    Reader::ask(live, get_with(&format!("Last-Event-ID: {last_id}\r\n")))
}

#[test]
fn a_stream_that_comes_back_gets_what_it_missed_and_nothing_twice() {
    let (live, events) = with_history();
    let mut reader = Reader::open(&live);
    assert_eq!(reader.next().data, "welcome");
    publish(&live, "1");
    live.ask(|server| server.publish("other", "without a history").send());
    publish(&live, "2");
    let first = reader.next();
    assert_eq!((&*first.event, &*first.data), ("n", "1"));
    assert_eq!(reader.next().data, "without a history");
    let second = reader.next();
    assert_ne!(first.id, second.id);
    drop(reader);
    events.close();
    publish(&live, "3");
    live.ask(|server| server.publish("news", b"\x00".as_slice()).send());
    let mut reader = back(&live, &second.id);
    publish(&live, "5");
    let missed: Vec<Seen> = (0..4).map(|_| reader.next()).collect();
    let texts: Vec<(&str, &str)> = missed.iter().map(|seen| (&*seen.event, &*seen.data)).collect();
    // What `on_open` pushes itself is first, whatever it has joined before that.
    assert_eq!(texts, [("", "welcome"), ("n", "3"), ("binary", "AA=="), ("n", "5")]);
    assert!(missed[3].id != missed[2].id && missed[0].id.is_empty());
    // Up to date: nothing but what comes from now on.
    let mut reader = back(&live, &missed[3].id);
    assert_eq!(reader.next().data, "welcome");
    publish(&live, "6");
    assert_eq!(reader.next().data, "6");
    // The query does for clients that can't set headers.
    let query = format!("GET /?last-event-id={}", missed[3].id);
    let mut reader = Reader::ask(&live, GET.replace("GET /", &query));
    assert_eq!((reader.next().data, reader.next().data), ("welcome".into(), "6".into()));
}

#[test]
fn who_has_seen_no_event_yet_knows_where_it_is() {
    let (live, _events) = with_history();
    publish(&live, "1");
    let mut reader = Reader::open(&live);
    assert_eq!(reader.next().data, "welcome");
    // An id alone is no event.
    let position = reader.line();
    let id = position.strip_prefix("id: ").expect("an id");
    assert_eq!(reader.line(), "");
    publish(&live, "2");
    let mut reader = back(&live, id);
    assert_eq!((reader.next().data, reader.next().data), ("welcome".into(), "2".into()));
    // So too where it is put into a topic later.
    let fd = live.ask(|server| server.connections().last().expect("two are open"));
    // Once it has all, this is its place in every topic, and no more of the last message's topic than of others.
    let (_, stamp) = reader.last_id.split_once('@').expect("an id of two parts");
    let position = format!("id: @{stamp}");
    assert_eq!(reader.line(), position);
    live.ask(move |server| {
        server.keep_history("more", History::default()).expect("a short name");
        server.publish("more", "3").send();
        server.join(fd, "more").expect("open");
    });
    assert_eq!(reader.line(), "");
    let later = reader.line();
    assert!(later.starts_with("id: @") && later != position, "{later}");
}

/// Browsers give one id, that of the last event: it tells where the stream was in each of its topics.
#[test]
fn one_id_is_enough_for_several_topics() {
    let (builder, _events) = recorded();
    let live = streams(
        builder
            .on_start(|server| {
                for topic in ["a", "b"] {
                    server.keep_history(topic, History::default()).expect("a short name");
                }
            })
            .on_open(|server, request| {
                server.join(request.fd, "a").expect("open");
                server.join(request.fd, "b").expect("open");
            }),
    );
    let mut reader = Reader::open(&live);
    let position = reader.line();
    let mut last_id = position.strip_prefix("id: ").expect("an id").to_owned();
    assert_eq!(reader.line(), "");
    live.ask(|server| {
        for (topic, text) in [("a", "1"), ("b", "2"), ("b", "3"), ("a", "4"), ("b", "5"), ("a", "6")] {
            server.publish(topic, text).send();
        }
    });
    let mut seen = Vec::new();
    // Each time it is cut after one more; the events are in the order in which they were published.
    for number in 0..4 {
        let mut reader = back(&live, &last_id);
        for _ in 0..number {
            let event = reader.next();
            (last_id, seen) = (event.id, [seen, vec![event.data]].concat());
        }
    }
    assert_eq!(seen, ["1", "2", "3", "4", "5", "6"]);
    let mut reader = back(&live, &last_id);
    live.ask(|server| server.publish("b", "7").send());
    assert_eq!(reader.next().data, "7");
}

#[test]
fn a_gap_is_told_before_what_is_left() {
    let (live, _events) = with_history();
    let mut reader = Reader::open(&live);
    assert_eq!(reader.next().data, "welcome");
    publish_all(&live, &["1", "2", "3", "4", "5"]);
    let first = reader.next();
    let gap = seen("gap", "", "news");
    for (last_id, expected) in [
        (&*first.id, vec!["3", "4", "5"]),
        ("another-1", vec!["3", "4", "5"]),
        ("nonsense", vec![]),
        (&format!("{}9", first.id), vec![]),
        (&"-".repeat(5_000), vec![]),
    ] {
        let mut reader = back(&live, last_id);
        assert_eq!(reader.next().data, "welcome", "{last_id}");
        assert_eq!(reader.next(), gap, "{last_id}");
        for text in expected {
            assert_eq!(reader.next().data, text, "{last_id}");
        }
    }
}

#[test]
fn a_websocket_recovers_by_an_id_that_it_was_told() {
    let (live, _events) = with_history();
    let mut reader = Reader::open(&live);
    reader.next();
    publish_all(&live, &["1", "2", "3"]);
    let first = reader.next().id;
    let mut socket = live.open();
    socket.expect(TEXT, "welcome");
    let fd = live.ask(|server| server.connections().last().expect("two are open"));
    let recovered = live.ask(move |server| {
        let recovered = server.recover(fd, "news", &first).expect("open");
        assert!(!server.recover(fd, "other", &first).expect("open").is_complete);
        assert_eq!(server.keep_history("", History::default()), Err(JoinError::NameLength));
        assert_eq!(server.keep_history(&"x".repeat(257), History::default()), Err(JoinError::NameLength));
        recovered
    });
    assert_eq!((recovered.messages, recovered.is_complete), (2, true));
    socket.expect(TEXT, "2");
    socket.expect(TEXT, "3");
    let first = reader.next().id;
    let forgotten = live.ask(move |server| {
        server.keep_history("news", None).expect("a short name");
        server.recover(fd, "news", &first).expect("open")
    });
    assert_eq!((forgotten.messages, forgotten.is_complete), (0, false));
    drop(socket);
    live.until("it is gone", move |server| (!server.exists(fd)).then_some(()));
    assert_eq!(live.ask(move |server| server.recover(fd, "news", "x")), Err(PushError::Gone));
}
