//! The protocol of pages, `swio.1`, over real sockets: labels, subscriptions, coming back and numbered messages, on
//! WebSockets, event streams and long polling alike.

mod common;

use common::*;
use std::collections::{BTreeMap, VecDeque};
use swio::{Builder, Config, Fd, History, Message, Opcode, PushError, Reach, Server};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Socket,
    Stream,
    Poll,
}

const KINDS: [Kind; 3] = [Kind::Socket, Kind::Stream, Kind::Poll];

/// What a page is told: labels, and with a message its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    labels: BTreeMap<String, String>,
    text: Option<String>,
    binary: Option<Vec<u8>>,
}

/// A page's end of a session, on any transport.
struct Page {
    kind: Kind,
    client: Client,
    poster: Client,
    token: String,
    cursor: u64,
    waiting: VecDeque<Told>,
}

impl Page {
    fn open(live: &Live, kind: Kind) -> Page {
        Page::come_back(live, kind, "")
    }

    fn come_back(live: &Live, kind: Kind, last_id: &str) -> Page {
        let query = match last_id {
            "" => String::new(),
            last_id => format!("&last-event-id={last_id}"),
        };
        Page::ask(live, kind, &query)
    }

    /// Opens a session by a request with more in its query.
    fn ask(live: &Live, kind: Kind, query: &str) -> Page {
        let (client, poster) = (live.client(), live.client());
        let mut page =
            Page { kind, client, poster, token: String::new(), cursor: 0, waiting: VecDeque::new() };
        match kind {
            Kind::Socket => {
                let upgrade = upgrade_with("Sec-WebSocket-Protocol: other, swio.1\r\n");
                page.client.send(upgrade.replace("GET /", &format!("GET /?{query}")));
                assert_eq!(page.client.expect_101().header("Sec-WebSocket-Protocol"), Some("swio.1"));
            }
            Kind::Stream => {
                page.client.send(format!(
                    "GET /?swio=stream&protocol=swio.1{query} HTTP/1.1\r\nHost: test\r\n\
                     Accept: text/event-stream\r\n\r\n"
                ));
                assert_eq!(page.client.answer_head().status, 200);
                page.client.take("retry: 3000\n\n".len());
                let mut first = page.next();
                page.token = first.labels.remove("session").expect("a token");
                assert_eq!(first, told(&[("heartbeat", "25000")]));
            }
            Kind::Poll => {
                page.client.send(format!("GET /?swio=poll{query} HTTP/1.1\r\nHost: test\r\n\r\n"));
                let answer = page.answer();
                page.token = answer["session"].as_str().expect("a token").to_owned();
                assert_eq!(answer["hold"], 25_000);
            }
        }
        page
    }

    /// An answer to a poll.
    fn answer(&mut self) -> serde_json::Value {
        let answer = self.client.answer();
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        self.cursor = answer["cursor"].as_u64().expect("a number");
        let messages = answer["messages"].as_array().expect("a list");
        self.waiting.extend(messages.iter().map(from_object));
        answer
    }

    fn next(&mut self) -> Told {
        match self.kind {
            Kind::Socket => from_frame(&self.client.read_frame()),
            Kind::Stream => {
                let mut line = Vec::new();
                while !line.ends_with(b"\n\n") {
                    line.extend(self.client.take(1));
                }
                let line = String::from_utf8(line).expect("a stream is UTF-8");
                let object = line.strip_prefix("data: ").unwrap_or_else(|| panic!("{line:?}"));
                from_object(&serde_json::from_str(object).expect("JSON"))
            }
            Kind::Poll => {
                while self.waiting.is_empty() {
                    self.park();
                    self.answer();
                }
                self.waiting.pop_front().expect("some wait")
            }
        }
    }

    fn expect(&mut self, expected: &Told) {
        let next = self.next();
        assert_eq!(next, *expected, "{:?}", self.kind);
    }

    /// The next messages have these texts, and what was told with them.
    fn texts(&mut self, expected: &[&str]) -> Vec<Told> {
        let all: Vec<Told> = expected.iter().map(|_| self.next()).collect();
        let texts: Vec<&str> = all.iter().map(|told| told.text.as_deref().unwrap_or("-")).collect();
        assert_eq!(texts, expected, "{:?}: {all:?}", self.kind);
        all
    }

    /// Asks by long polling, without waiting for the answer.
    fn park(&mut self) {
        let (token, cursor) = (&self.token, self.cursor);
        self.client
            .send(format!("GET /?swio=poll&session={token}&cursor={cursor} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }

    /// Sends a command or message, which must be taken.
    fn command(&mut self, query: &str, payload: &str) {
        match self.kind {
            Kind::Socket => self.client.text(&format!("{query}\n{payload}")),
            _ => assert_eq!(self.post(query, payload), (204, String::new()), "{query}"),
        }
    }

    fn send(&mut self, text: &str) {
        let query = if self.kind == Kind::Socket { "" } else { "swio=send" };
        self.command(query, text);
    }

    /// Status and error of a POST.
    fn post(&mut self, query: &str, payload: &str) -> (u16, String) {
        let (len, token) = (payload.len(), &self.token);
        self.poster.send(format!(
            "POST /?{query}&session={token} HTTP/1.1\r\nHost: test\r\nContent-Length: {len}\r\n\r\n{payload}"
        ));
        let answer = self.poster.answer();
        let text = answer.text().strip_prefix("{\"error\":\"").and_then(|text| text.strip_suffix("\"}"));
        (answer.status, text.unwrap_or(answer.text()).to_owned())
    }

    /// Is subscribed: the id that it is told.
    fn subscribe(&mut self, topic: &str) -> String {
        self.command(&format!("swio=subscribe&topic={topic}"), "");
        let mut answer = self.next();
        let id = answer.labels.remove("id").unwrap_or_default();
        assert_eq!(answer, told(&[("subscribed", topic)]), "{:?}", self.kind);
        id
    }

    /// Nothing was told meanwhile that was not taken.
    fn expect_nothing(&mut self) {
        self.command("swio=ping", "");
        self.expect(&told(&[("pong", "1")]));
    }
}

fn told(labels: &[(&str, &str)]) -> Told {
    let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Told { labels, ..Told::default() }
}

fn message(text: &str, labels: &[(&str, &str)]) -> Told {
    Told { text: Some(text.to_owned()), ..told(labels) }
}

fn binary(bytes: &[u8], labels: &[(&str, &str)]) -> Told {
    Told { binary: Some(bytes.to_vec()), ..told(labels) }
}

const NOTICES: [&str; 6] = ["subscribed", "unsubscribed", "denied", "gap", "pong", "reason"];

fn from_frame(frame: &Frame) -> Told {
    assert!(frame.fin && [TEXT, BINARY].contains(&frame.opcode), "{frame:?}");
    let at = frame.payload.iter().position(|byte| *byte == b'\n').expect("a line feed");
    let (query, payload) = (&frame.payload[..at], &frame.payload[at + 1..]);
    let labels: BTreeMap<_, _> = form_urlencoded::parse(query).into_owned().collect();
    let is_position = labels.len() == 1 && labels.contains_key("id") && payload.is_empty();
    if is_position || labels.keys().any(|name| NOTICES.contains(&&**name)) {
        assert!(payload.is_empty() && frame.opcode == TEXT, "{frame:?}");
        return Told { labels, ..Told::default() };
    }
    match frame.opcode {
        TEXT => Told { labels, text: Some(String::from_utf8(payload.to_vec()).expect("text")), binary: None },
        _ => Told { labels, text: None, binary: Some(payload.to_vec()) },
    }
}

fn from_object(object: &serde_json::Value) -> Told {
    let mut labels: BTreeMap<String, String> = object
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().expect("a string").to_owned()))
        .collect();
    let (text, binary) = (labels.remove("text"), labels.remove("binary"));
    Told { labels, text, binary: binary.map(|text| unbase64(&text)) }
}

fn unbase64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

fn pages(builder: Builder) -> Live {
    pages_with(builder, |_| {})
}

fn pages_with(builder: Builder, change: impl FnOnce(&mut Config) + Send + 'static) -> Live {
    Live::start(builder.configure(|config| {
        (config.event_streams, config.long_polling) = (true, true);
        change(config);
    }))
}

/// A builder with histories for the topics `a` and `b`, each of so many messages, which every page may be in.
fn histories(messages: usize) -> (Builder, Events) {
    let (builder, events) = recorded();
    let builder = builder
        .on_start(move |server| {
            for topic in ["a", "b"] {
                let history = History { messages, ..History::default() };
                server.keep_history(topic, history).expect("a short name");
            }
        })
        .on_subscribe(|_, _, topic| topic != "secret");
    (builder, events)
}

/// Publishes texts to topics and gives their ids, by what a page was told that is in both.
fn publish(live: &Live, all: &[(&'static str, &'static str)]) {
    let all = all.to_vec();
    live.ask(move |server| {
        for (topic, text) in all {
            server.publish(topic, text).send();
        }
    });
}

// ---------------------------------------------------------------------------------------------- labels

#[test]
fn messages_have_their_labels_on_each_transport() {
    for kind in KINDS {
        let (builder, events) = recorded();
        let live = pages(builder);
        let mut page = Page::open(&live, kind);
        let fd = events.open();
        live.ask(move |server| {
            server.push(fd, "hello").expect("open");
            server.push(fd, "").expect("open");
            server.push(fd, "a\nb\r\n\"&=%").expect("open");
            server.push(fd, &[0xff, b'\n', 0]).expect("open");
            server.push(fd, Message::from("7").event("price & more\n").id("k=1\n")).expect("open");
            server.push(fd, Message::from("prepared").prepare()).expect("open");
            server.push_as(fd, Opcode::Binary, b"as").expect("open");
            server.push(fd, Message::from("latest").latest(1)).expect("open");
            server.join(fd, "a b&ü").expect("open");
            server.bind(fd, "ada").expect("open");
            let one = Reach { queued: 1, ..Reach::default() };
            assert_eq!(server.publish("a b&ü", Message::from("x").event("e")).send(), one);
            assert_eq!(server.broadcast(&[1u8, 2]).send(), one);
            assert_eq!(server.push_to_user("ada", Message::from("yours").prepare()), one);
            assert_eq!(server.push_as(fd, Opcode::Continuation, b""), Err(PushError::Unsendable));
        });
        page.expect(&message("hello", &[]));
        page.expect(&message("", &[]));
        page.expect(&message("a\nb\r\n\"&=%", &[]));
        page.expect(&binary(&[0xff, b'\n', 0], &[]));
        page.expect(&message("7", &[("event", "price & more\n"), ("id", "k=1\n")]));
        page.expect(&message("prepared", &[]));
        page.expect(&binary(b"as", &[]));
        page.expect(&message("latest", &[]));
        page.expect(&message("x", &[("topic", "a b&ü"), ("event", "e")]));
        page.expect(&binary(&[1, 2], &[]));
        page.expect(&message("yours", &[]));
        page.send("one\ntwo");
        assert_eq!(events.message(), b"one\ntwo");
        page.send("");
        assert_eq!(events.message(), b"");
        page.expect_nothing();
        let large = "x".repeat(100_000);
        let sent = large.clone();
        live.ask(move |server| server.publish("a b&ü", sent).send());
        page.expect(&message(&large, &[("topic", "a b&ü")]));
    }
}

#[test]
fn plain_clients_beside_them_are_told_payloads_alone() {
    let (builder, events) = histories(10);
    let live = pages(builder);
    let mut all: Vec<Page> = KINDS.map(|kind| Page::open(&live, kind)).into();
    let mut socket = live.open();
    let mut stream = live.client();
    stream.send("GET / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n");
    assert_eq!(stream.answer_head().status, 200);
    let fds: Vec<Fd> = (0..5).map(|_| events.open()).collect();
    let reach = live.ask(move |server| {
        fds.iter().for_each(|fd| assert!(server.join(*fd, "a").expect("open")));
        server.publish("a", Message::from("to all").event("e")).send()
    });
    assert_eq!(reach, Reach { queued: 5, ..Reach::default() });
    for page in &mut all {
        let position = page.next();
        assert_eq!(position.labels.keys().collect::<Vec<_>>(), ["id"]);
        let next = page.next();
        let id = &next.labels["id"];
        assert_eq!(next, message("to all", &[("topic", "a"), ("id", id), ("event", "e")]));
    }
    socket.expect_text("to all");
    let stream = String::from_utf8(stream.take(60)).expect("text");
    assert!(stream.starts_with("retry: 3000\n\nid: "), "{stream:?}");
    // What stands in a frame of a plain WebSocket is its message.
    socket.text("swio=ping\n");
    assert_eq!(events.message(), b"swio=ping\n");
}

// ---------------------------------------------------------------------------------------------- subscriptions

#[test]
fn pages_subscribe_to_what_the_handler_lets_them() {
    for kind in KINDS {
        let (builder, _events) = histories(10);
        let live = pages_with(builder, |config| config.topics_per_connection_max = 3);
        let mut page = Page::open(&live, kind);
        assert_eq!(page.subscribe("plain"), "");
        let id = page.subscribe("a");
        assert!(id.ends_with("-0"), "{id}");
        publish(&live, &[("plain", "1"), ("a", "2"), ("b", "3")]);
        page.expect(&message("1", &[("topic", "plain")]));
        let second = page.next();
        assert_eq!(second, message("2", &[("topic", "a"), ("id", &second.labels["id"])]));
        // Once more is no harm, and tells how far it is.
        let again = page.subscribe("a");
        assert!(again.ends_with("-2"), "{again}");
        for (topic, reason) in [
            ("secret", "not allowed"),
            (&*"x".repeat(300), "the name is empty or too long"),
            (&*"x".repeat(1024), "the name is empty or too long"),
        ] {
            page.command(&format!("swio=subscribe&topic={topic}"), "");
            page.expect(&told(&[("denied", topic), ("reason", reason)]));
        }
        page.subscribe("third");
        page.command("swio=subscribe&topic=fourth", "");
        page.expect(&told(&[("denied", "fourth"), ("reason", "the connection is in too many topics")]));
        // Left, whether it was in it or not.
        for topic in ["a", "a", "never"] {
            page.command(&format!("swio=unsubscribe&topic={topic}"), "");
            page.expect(&told(&[("unsubscribed", topic)]));
        }
        publish(&live, &[("a", "4"), ("plain", "5")]);
        page.expect(&message("5", &[("topic", "plain")]));
        page.expect_nothing();
    }
}

#[test]
fn nobody_subscribes_where_the_handler_does_not_say_so() {
    for kind in KINDS {
        let live = pages(Server::builder());
        let mut page = Page::open(&live, kind);
        page.command("swio=subscribe&topic=news", "");
        page.expect(&told(&[("denied", "news"), ("reason", "not allowed")]));
        assert_eq!(live.ask(|server| server.usage().topics), 0);
    }
}

#[test]
fn a_subscription_goes_on_where_it_was() {
    for kind in KINDS {
        let (builder, _events) = histories(3);
        let live = pages(builder);
        let mut page = Page::open(&live, kind);
        let start = page.subscribe("a");
        publish(&live, &[("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")]);
        let seen: Vec<String> =
            page.texts(&["1", "3", "4"]).into_iter().map(|told| told.labels["id"].clone()).collect();
        drop(page);
        let back = |last_id: &str| {
            let mut page = Page::open(&live, kind);
            page.command(&format!("swio=subscribe&topic=a&last-event-id={last_id}"), "");
            page
        };
        for (missed, last_id) in [&start, &seen[0], &seen[1], &seen[2]].into_iter().enumerate() {
            let mut page = back(last_id);
            page.texts(&["1", "3", "4"][missed..]);
            page.expect(&told(&[("subscribed", "a"), ("id", &seen[2])]));
            page.expect_nothing();
        }
        publish(&live, &[("a", "5"), ("a", "6")]);
        let last = seen[2].replace("-4", "-6");
        for (last_id, left) in [
            (&*seen[0], vec!["4", "5", "6"]),
            ("another-3", vec!["4", "5", "6"]),
            ("nonsense", vec![]),
            (&format!("{last}9"), vec![]),
        ] {
            let mut page = back(last_id);
            page.expect(&told(&[("gap", "a")]));
            page.texts(&left);
            page.expect(&told(&[("subscribed", "a"), ("id", &last)]));
            page.expect_nothing();
        }
        // An id for what has no history (any more).
        let mut page = Page::open(&live, kind);
        page.command(&format!("swio=subscribe&topic=plain&last-event-id={last}"), "");
        page.expect(&told(&[("gap", "plain")]));
        page.expect(&told(&[("subscribed", "plain")]));
    }
}
