//! The protocol of pages, `swio.1`, over real sockets: labels, subscriptions, coming back and numbered messages, on
//! WebSockets, event streams and long polling alike.

mod common;

use common::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use swio::{
    Builder, Cause, Config, Fd, Handshake, History, Message, Opcode, Origins, PushError, Reach, Server, Side,
    SlowConsumer,
};

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

const NOTICES: [&str; 6] = ["subscribed", "unsubscribed", "denied", "gap", "position", "pong"];

fn from_frame(frame: &Frame) -> Told {
    assert!(frame.fin && [TEXT, BINARY].contains(&frame.opcode), "{frame:?}");
    let at = frame.payload.iter().position(|byte| *byte == b'\n').expect("a line feed");
    let (query, payload) = (&frame.payload[..at], &frame.payload[at + 1..]);
    let labels: BTreeMap<_, _> = form_urlencoded::parse(query).into_owned().collect();
    if labels.keys().any(|name| NOTICES.contains(&&**name)) {
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
        assert_eq!(page.next().labels.keys().collect::<Vec<_>>(), ["position"]);
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

#[test]
fn a_subscription_begins_where_the_handler_ends() {
    for kind in KINDS {
        let (builder, events) = histories(10);
        let live = pages(builder.on_subscribe(|server, fd, topic| {
            // Before it is in, and so not for who begins here; then the app puts it into another topic too.
            server.publish(topic, "before").send();
            if topic == "a" {
                server.join(fd, "b").expect("open");
                let one = Reach { queued: 1, ..Reach::default() };
                assert_eq!(server.publish("b", "beside").send(), one);
                assert_eq!(server.publish("b", "not for it").except(fd).send(), Reach::default());
            }
            topic != "secret"
        }));
        let mut page = Page::open(&live, kind);
        page.command("swio=subscribe&topic=a", "");
        let beside = page.next();
        assert_eq!(beside, message("beside", &[("topic", "b"), ("id", &beside.labels["id"])]));
        let head = beside.labels["id"].replace("-2", "-3");
        page.expect(&told(&[("position", &head)]));
        page.expect(&told(&[("subscribed", "a"), ("id", &head)]));
        // Who comes back gets what was published before it was in again.
        let fd = events.open();
        live.ask(move |server| server.leave(fd, "a"));
        page.command(&format!("swio=subscribe&topic=a&last-event-id={head}"), "");
        // It is in `b`, where nothing waits.
        let all = page.texts(&["beside", "before"]);
        let topics: Vec<&str> = all.iter().map(|told| &*told.labels["topic"]).collect();
        assert_eq!(topics, ["b", "a"]);
        assert_eq!(page.next().labels["subscribed"], "a");
        page.expect_nothing();
    }
}

#[test]
fn a_panic_in_on_subscribe_ends_the_session_that_asked() {
    for kind in KINDS {
        let (builder, events) = recorded();
        let live = pages(builder.on_subscribe(|_, _, _| panic!("on purpose")));
        let mut page = Page::open(&live, kind);
        page.command("swio=subscribe&topic=news", "");
        let (fd, text) = events.error();
        assert_eq!(text, "on_subscribe panicked: on purpose");
        if kind == Kind::Poll {
            page.park();
            assert_eq!(page.answer()["closed"]["code"], 1011);
        }
        drop(page);
        let (closed, reason) = events.close();
        assert_eq!((Some(closed), reason.code, reason.cause), (fd, 1011, Cause::Panic));
        assert_eq!(live.ask(|server| server.usage().topics), 0);
    }
}

// ---------------------------------------------------------------------------------------------- coming back

/// A server that puts all pages into the topics `a` and `b` itself.
fn both(messages: usize) -> (Live, Events) {
    let (builder, events) = histories(messages);
    let live = pages(builder.on_open(|server, request| {
        server.join(request.fd, "a").expect("open");
        server.join(request.fd, "b").expect("open");
    }));
    (live, events)
}

#[test]
fn a_cut_anywhere_in_what_was_missed_of_two_topics_loses_nothing_and_doubles_nothing() {
    for kind in KINDS {
        let (live, _events) = both(10);
        let mut page = Page::open(&live, kind);
        let mut last_id = page.next().labels["position"].clone();
        drop(page);
        publish(&live, &[("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"), ("b", "5"), ("b", "6")]);
        let mut seen = Vec::new();
        // Each time it is cut after one message more, or where nothing was missed.
        for number in 0..4 {
            let mut page = Page::come_back(&live, kind, &last_id);
            for _ in 0..number {
                let told = page.next();
                last_id.clone_from(&told.labels["id"]);
                seen.extend(told.text);
            }
        }
        assert_eq!(seen, ["1", "2", "3", "4", "5", "6"]);
        let mut page = Page::come_back(&live, kind, &last_id);
        page.expect(&told(&[("position", &last_id)]));
        page.expect_nothing();
    }
}

#[test]
fn a_gap_is_told_of_each_topic_and_before_what_is_left() {
    for kind in KINDS {
        let (live, _events) = both(2);
        let mut page = Page::open(&live, kind);
        let first_id = page.next().labels["position"].clone();
        publish(&live, &[("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")]);
        let last = page.texts(&["1", "2", "3", "4"]).pop().expect("four").labels["id"].clone();
        let both = vec![told(&[("gap", "a")]), told(&[("gap", "b")])];
        for (last_id, gaps, left) in [
            (&*first_id, both[..1].to_vec(), vec!["2", "3", "4"]),
            ("another-9", both.clone(), vec!["2", "3", "4"]),
            ("nonsense", both.clone(), vec![]),
            (&*last, vec![], vec![]),
        ] {
            let mut page = Page::come_back(&live, kind, last_id);
            gaps.iter().for_each(|gap| page.expect(gap));
            page.texts(&left);
            page.expect(&told(&[("position", &last)]));
            page.expect_nothing();
        }
    }
}

#[test]
fn what_is_published_while_on_open_runs_arrives_once_and_in_order() {
    for kind in KINDS {
        let (builder, _events) = histories(10);
        let live = pages(builder.on_open(|server, request| {
            let fd = request.fd;
            server.publish("a", "before").send();
            server.join(fd, "b").expect("open");
            let one = Reach { queued: 1, ..Reach::default() };
            assert_eq!(server.publish("b", "one has come").send(), one);
            server.join(fd, "a").expect("open");
            assert_eq!(server.publish("a", "to others").except(fd).send(), Reach::default());
            assert_eq!(server.publish("a", "to all").send(), one);
            server.publish("plain", "to nobody").send();
            server.push(fd, "welcome").expect("open");
            server.join(fd, "left").expect("open");
            server.leave(fd, "left");
            server.leave(fd, "b");
            server.join(fd, "b").expect("open");
        }));
        let mut page = Page::open(&live, kind);
        // What was published to `b` before it left that again is not its any more.
        page.texts(&["welcome", "to all"]);
        let head = page.next().labels["position"].clone();
        assert!(head.ends_with("-4"), "{head}");
        page.expect_nothing();
        live.ask(|server| server.connections().for_each(|fd| assert!(server.is_member(fd, "b"))));
        live.ask(|server| {
            let all: Vec<Fd> = server.connections().collect();
            all.into_iter().for_each(|fd| assert!(server.reset(fd)));
        });
        let mut page = Page::come_back(&live, kind, &head);
        page.texts(&["welcome", "before", "one has come", "to all"]);
    }
}

#[test]
fn one_that_does_not_fit_is_a_gap_where_the_session_lives_on() {
    for kind in KINDS {
        let (builder, events) = histories(10);
        let live = pages_with(builder, |config| {
            config.slow_consumer = SlowConsumer::DropNewest;
            config.outbox_bytes_max = 64 << 10;
            config.message_bytes_max = 32 << 10;
            config.body_bytes_max = 32 << 10;
        });
        let mut page = Page::open(&live, kind);
        let start = page.subscribe("a");
        drop(page);
        live.ask(|server| {
            server.publish("a", "1").send();
            server.publish("a", "x".repeat(100_000)).send();
            server.publish("a", "3").send();
        });
        let mut page = Page::open(&live, kind);
        page.command(&format!("swio=subscribe&topic=a&last-event-id={start}"), "");
        page.texts(&["1"]);
        page.expect(&told(&[("gap", "a")]));
        assert_eq!(page.next().labels["subscribed"], "a");
        page.expect_nothing();
        drop(events);
    }
}

/// Under either policy, and however little fits: plain event streams too, whose gap is an event like any other.
#[test]
fn nothing_of_what_was_missed_makes_room_for_the_rest_without_a_gap() {
    for policy in [SlowConsumer::DropNewest, SlowConsumer::DropOldest] {
        let (builder, events) = histories(1_000);
        let builder = builder.on_open(|server, request| {
            server.join(request.fd, "a").expect("open");
        });
        let live = pages_with(builder, move |config| {
            config.slow_consumer = policy;
            config.outbox_bytes_max = 64 << 10;
            config.message_bytes_max = 32 << 10;
            config.body_bytes_max = 32 << 10;
            config.socket_send_buffer_bytes = Some(4_096);
        });
        let mut page = Page::open(&live, Kind::Poll);
        let start = page.next().labels["position"].clone();
        drop(page);
        live.ask(|server| {
            (0..600).for_each(|_| {
                server.publish("a", "x".repeat(1_000)).send();
            });
        });
        let mut client = Client::connect_narrow(live.address);
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nLast-Event-ID: {start}\r\n\r\n"
        ));
        live.until("the stream is there", |server| (server.stats().event_streams == 1).then_some(()));
        client.answer_head();
        let mut seen = Vec::new();
        while seen.last().is_none_or(|(_, data): &(u64, String)| data != "position") {
            let event = client.take_until(b"\n\n").expect("an event");
            seen.extend(match event.split_once('\n') {
                Some(("event: gap", data)) => Some((0, data.to_owned())),
                Some((id, _)) => Some((number(id), "message".to_owned())),
                None => event.strip_prefix("id: ").map(|id| (number(id), "position".to_owned())),
            });
        }
        let count = seen.len() as u64 - 2;
        let expected = (1..=count).map(|seq| (seq, "message".to_owned()));
        let expected = expected.chain([(0, "data: a".to_owned()), (600, "position".to_owned())]);
        assert_eq!(seen, expected.collect::<Vec<_>>(), "{policy:?}");
        assert!((1..600).contains(&count), "{count}");
        for kind in KINDS {
            let mut page = Page::come_back(&live, kind, &start);
            let told = std::iter::from_fn(|| Some(page.next()))
                .take_while(|told| !told.labels.contains_key("position"));
            let told: Vec<Told> = told.collect();
            let ids = told.iter().filter_map(|told| told.labels.get("id")).map(|id| number(id));
            let ids: Vec<u64> = ids.collect();
            assert!(ids.iter().copied().eq(1..=ids.len() as u64), "{kind:?}, {policy:?}: {ids:?}");
            let is_told = told.last().is_some_and(|told| told.labels.contains_key("gap"));
            assert!(is_told || ids.len() == 600, "{kind:?}, {policy:?}: {}", ids.len());
        }
        drop(events);
    }
}

fn number(id: &str) -> u64 {
    id.rsplit_once('-').expect("an id of the server's").1.parse().expect("a number")
}

/// A client's position is the id of the last message that it saw: one that overtook another would make it skip that.
#[test]
fn the_latest_of_a_key_does_not_overtake_what_is_kept() {
    let (builder, events) = histories(10);
    let live = pages(builder);
    let mut page = Page::open(&live, Kind::Poll);
    page.subscribe("a");
    live.ask(|server| {
        for (text, key) in [("1", 7), ("2", 8), ("3", 7)] {
            assert_eq!(server.publish("a", Message::from(text).latest(key)).send().queued, 1);
        }
    });
    page.texts(&["1", "2", "3"]);
    drop(events);
}

// ---------------------------------------------------------------------------------------------- posting

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
        for number in ["0", "-1", "4294967296", "x", ""] {
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

// ---------------------------------------------------------------------------------------------- frames

#[test]
fn what_is_no_command_ends_a_websocket_and_is_refused_by_post() {
    let (builder, events) = histories(10);
    let live = pages_with(builder, |config| config.messages_per_second_max = None);
    let long = format!("swio=subscribe&topic={}", "%00".repeat(1_025));
    let none = "no command: a message begins with a line feed";
    let (unknown, no_topic) = ("an unknown command", "a command without a topic");
    let much_too_long = "the name of a topic that is much too long";
    for (query, what) in [
        ("hello", none),
        ("topic=a\nhello", none),
        ("swio=publish&topic=news", unknown),
        ("swio=stream\n", unknown),
        ("swio=subscribe", no_topic),
        ("swio=unsubscribe&topic=\n", no_topic),
        ("swio=close&code=1005", "a bad close code"),
        ("swio=close", "a close command on a WebSocket"),
        (&long, much_too_long),
        (&long.replace("sub", "unsub"), much_too_long),
    ] {
        let mut page = Page::open(&live, Kind::Socket);
        page.client.text(query);
        assert_eq!(page.client.expect_close(1002), what, "{query}");
        drop(page);
        // Those who posted have gone meanwhile.
        let reasons = std::iter::repeat_with(|| events.close().1);
        let reason = reasons.into_iter().find(|reason| reason.by == Side::Local).expect("one of them");
        assert_eq!((reason.code, reason.cause), (1002, Cause::Protocol(what)));
        let is_for_post = query.starts_with("swio") && !query.contains('\n') && query != "swio=close";
        for kind in [Kind::Stream, Kind::Poll].into_iter().filter(|_| is_for_post) {
            let mut page = Page::open(&live, kind);
            assert_eq!(page.post(query, ""), (400, what.to_owned()), "{query}");
            page.expect_nothing();
        }
    }
    // Whatever bytes stand there, in however many pieces.
    let mut page = Page::open(&live, Kind::Socket);
    page.client.frame(BINARY, b"\n\xff\n");
    assert_eq!(events.message(), b"\xff\n");
    page.client.send_in_pieces(masked(FIN | TEXT, b"swio=send&more=1\n\n"));
    assert_eq!(events.message(), b"\n");
    page.client.frame(BINARY, b"swio=subscribe&topic=%FF");
    page.expect(&told(&[("subscribed", "\u{fffd}")]));
    page.client.frame(BINARY, b"\xff\xfe\n");
    assert_eq!(page.client.expect_close(1002), none);
}

#[test]
fn messages_in_fragments_come_whole() {
    let (builder, events) = recorded();
    let live = pages_with(builder, |config| config.deliver_fragments = true);
    let mut page = Page::open(&live, Kind::Socket);
    page.client.send(masked(TEXT, b"swio=se"));
    page.client.frame(PING, b"between");
    page.client.expect(PONG, "between");
    page.client.send(masked(CONTINUATION, b"nd\nhel"));
    page.client.send(masked(FIN | CONTINUATION, b"lo"));
    assert_eq!(events.message(), b"hello");
    // Others beside it get them as they come.
    let mut plain = live.open();
    plain.send(masked(TEXT, b"\nhel"));
    assert_eq!(events.message(), b"\nhel");
}

#[test]
fn messages_in_parts_have_their_labels_in_front_and_what_comes_meanwhile_behind() {
    let (builder, events) = histories(10);
    let live = pages(builder);
    let mut page = Page::open(&live, Kind::Socket);
    let fd = events.open();
    page.subscribe("a");
    publish(&live, &[("b", "1")]);
    let reach = live.ask(move |server| {
        server.push_part(fd, Opcode::Text, "h\u{e9}".as_bytes()[..2].as_ref(), false).expect("open");
        assert_eq!(server.push(fd, "not now"), Err(PushError::Unfinished));
        assert_eq!(server.push(fd, Message::from("nor this").prepare()), Err(PushError::Unfinished));
        let unfinished = Reach { unfinished: 1, ..Reach::default() };
        assert_eq!(server.broadcast("nor this").send(), unfinished);
        // What has a history may not be missed without a word.
        server.publish("a", "kept").send()
    });
    assert_eq!(reach, Reach { queued: 1, ..Reach::default() });
    page.command("swio=ping", "");
    page.command("swio=subscribe&topic=b&last-event-id=other-1", "");
    page.command("swio=subscribe&topic=secret", "");
    page.send("go on");
    assert_eq!(events.message(), b"go on");
    live.ask(move |server| {
        assert!(server.usage().inbound_bytes > 0);
        server.push_part(fd, Opcode::Continuation, &"\u{e9}".as_bytes()[1..], false).expect("open");
        server.push_part(fd, Opcode::Continuation, b"", true).expect("open");
        server.push(fd, "after").expect("open");
        assert_eq!(server.usage().inbound_bytes, 0);
    });
    let parts: Vec<Frame> = (0..3).map(|_| page.client.read_frame()).collect();
    assert_eq!(parts.iter().map(|part| part.opcode).collect::<Vec<_>>(), [TEXT, CONTINUATION, CONTINUATION]);
    let payload: Vec<u8> = parts.into_iter().flat_map(|part| part.payload).collect();
    assert_eq!(payload, "\nh\u{e9}".as_bytes());
    page.texts(&["kept"]);
    page.expect(&told(&[("pong", "1")]));
    page.expect(&told(&[("gap", "b")]));
    page.texts(&["1"]);
    assert_eq!(page.next().labels["subscribed"], "b");
    assert_eq!(page.next().labels["denied"], "secret");
    page.texts(&["after"]);
    page.expect_nothing();
    // What is held back for one that goes is given back.
    live.ask(move |server| {
        server.push_part(fd, Opcode::Binary, b"", false).expect("open");
        server.publish("a", "kept").send();
        assert!(server.usage().inbound_bytes > 0);
    });
    drop(page);
    live.until_empty();
    live.ask(|server| assert_eq!(server.usage().inbound_bytes, 0));
}

#[test]
fn what_waits_behind_a_message_in_parts_stays_within_the_memory_for_it() {
    let (builder, events) = histories(10);
    let live = pages_with(builder, |config| {
        (config.outbox_bytes_max, config.message_bytes_max) = (1 << 20, 8_000);
        (config.body_bytes_max, config.inbound_bytes_max) = (8_000, 40_000);
    });
    let mut page = Page::open(&live, Kind::Socket);
    let fd = events.open();
    page.subscribe("a");
    live.ask(move |server| {
        server.push_part(fd, Opcode::Binary, b"", false).expect("open");
        while server.publish("a", vec![0; 500]).send().queued == 1 {
            let held = server.usage().inbound_bytes;
            assert!(held <= 40_000, "{held}");
        }
    });
}

#[test]
fn too_much_behind_a_message_in_parts_ends_its_connection() {
    let (builder, events) = histories(10);
    let live = pages_with(builder, |config| {
        (config.outbox_bytes_max, config.message_bytes_max) = (4_000, 2_000);
        config.body_bytes_max = 2_000;
    });
    let mut page = Page::open(&live, Kind::Socket);
    let fd = events.open();
    page.subscribe("a");
    live.ask(move |server| {
        server.push_part(fd, Opcode::Binary, b"", false).expect("open");
        let reach = |queued, refused| Reach { queued, refused, ..Reach::default() };
        for expected in [reach(1, 0), reach(1, 0), reach(0, 1)] {
            assert_eq!(server.publish("a", vec![0; 1_500]).send(), expected);
        }
    });
    assert_eq!(page.client.read_frame().payload, b"\n");
    page.client.expect_close(1013);
    drop(page);
    assert_eq!(events.close().1.cause, Cause::SlowConsumer);
    live.until_empty();
    live.ask(|server| assert_eq!(server.usage().inbound_bytes, 0));
}

#[test]
fn swio_is_chosen_where_it_is_offered_and_the_handler_does_not_choose_otherwise() {
    let builder = Server::builder()
        .on_handshake(|_, request| match request.query_param("choose") {
            Some(name) => Handshake::accept().subprotocol(name.into_owned()),
            None => Handshake::accept(),
        })
        .on_open(|server, request| server.push(request.fd, "hello").expect("open"));
    let live = pages_with(builder, |config| config.subprotocols = vec!["other".into(), "swio.1".into()]);
    for (choice, offered, expected) in [
        ("", "swio.1", Some("swio.1")),
        ("", "other, swio.1", Some("swio.1")),
        ("?choose=other", "swio.1, other", Some("other")),
        ("?choose=swio.1", "other, swio.1", Some("swio.1")),
        ("", "other", Some("other")),
        ("", "SWIO.1, other", Some("other")),
    ] {
        let mut client = live.client();
        let upgrade = upgrade_with(&format!("Sec-WebSocket-Protocol: {offered}\r\n"));
        client.send(upgrade.replace("GET /", &format!("GET /{choice}")));
        assert_eq!(client.expect_101().header("Sec-WebSocket-Protocol"), expected, "{choice} {offered}");
        client.expect_text(if expected == Some("swio.1") { "\nhello" } else { "hello" });
    }
}

// ---------------------------------------------------------------------------------------------- limits

#[test]
fn a_flood_of_commands_is_over_the_rate_as_messages_are() {
    for kind in KINDS {
        let (builder, events) = histories(10);
        let live = pages_with(builder, |config| config.messages_per_second_max = Some(5));
        let mut page = Page::open(&live, kind);
        for number in 0..10 {
            page.command(&format!("swio=subscribe&topic={number}"), "");
        }
        let flood = (0..200).find(|_| match kind {
            Kind::Socket => {
                page.client.try_send(masked(FIN | TEXT, b"swio=subscribe&topic=more"));
                false
            }
            _ => page.post("swio=subscribe&topic=more&number=1", "").0 == 429,
        });
        for number in 0..10 {
            page.expect(&told(&[("subscribed", &number.to_string())]));
        }
        if kind == Kind::Socket {
            assert!(matches!(events.close().1.cause, Cause::RateLimited(_)));
            continue;
        }
        assert!(flood.is_some(), "{kind:?}");
        // The session lives, and what was refused is not taken: neither it nor its number.
        let patience = Patience::new();
        while page.post("swio=unsubscribe&topic=1&number=1", "").0 != 204 {
            patience.check("the rate is kept to again");
        }
        let mut next = page.next();
        while next == told(&[("subscribed", "more")]) {
            next = page.next();
        }
        next.labels.remove("id");
        // A number that was taken by the flood is not taken again.
        let is_new = next == told(&[("unsubscribed", "1")]);
        assert!(is_new || next == told(&[("pong", "1")]), "{next:?}");
    }
}

#[test]
fn signs_of_life_do_not_keep_from_the_idle_timeout() {
    let (builder, events) = recorded();
    let live = pages_with(builder, |config| {
        config.idle_timeout = Some(Duration::from_millis(1_500));
        config.ping_interval = None;
    });
    let mut idle = Page::open(&live, Kind::Socket);
    let idle_fd = events.open();
    let mut busy = Page::open(&live, Kind::Socket);
    let patience = Patience::new();
    let closed = loop {
        patience.check("the idle one is closed");
        idle.client.try_send(masked(FIN | TEXT, b"swio=ping"));
        busy.send("message");
        live.after(Duration::from_millis(100)).recv().expect("the server's time goes on");
        let close = events.rest().into_iter().find_map(|event| match event {
            Event::Close(fd, reason) => Some((fd, reason.cause)),
            _ => None,
        });
        if let Some(close) = close {
            break close;
        }
    };
    assert_eq!(closed, (idle_fd, Cause::Idle));
}

#[test]
fn an_event_stream_has_heartbeats_that_a_page_sees() {
    let live = pages_with(Server::builder(), |config| {
        config.ping_interval = Some(Duration::from_millis(100));
        config.pong_timeout = Duration::from_millis(100);
    });
    let mut client = live.client();
    client.send(
        "GET /?swio=stream&protocol=swio.1 HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n",
    );
    assert_eq!(client.answer_head().status, 200);
    let start = client.take("retry: 3000\n\ndata: {\"session\":\"\",\"heartbeat\":\"100\"}\n\n".len() + 22);
    let start = String::from_utf8(start).expect("text");
    assert!(start.ends_with("\",\"heartbeat\":\"100\"}\n\n"), "{start}");
    for _ in 0..3 {
        assert_eq!(client.take(10), b"data: {}\n\n");
    }
}

#[test]
fn one_that_reads_nothing_is_ended_and_not_left_without_its_answers() {
    let (builder, events) = histories(10);
    let live = pages_with(builder, |config| {
        (config.outbox_bytes_max, config.message_bytes_max) = (4_000, 2_000);
        config.body_bytes_max = 2_000;
        config.slow_consumer = SlowConsumer::DropNewest;
        config.messages_per_second_max = None;
    });
    let mut page = Page::open(&live, Kind::Poll);
    // Nobody asks for the answers.
    let patience = Patience::new();
    while page.post("swio=subscribe&topic=a", "").0 == 204 {
        patience.check("the session is ended");
    }
    let closed = loop {
        page.park();
        let answer = page.answer();
        if let Some(closed) = answer.get("closed") {
            break closed["code"].clone();
        }
    };
    assert_eq!(closed, 1013);
    assert!(page.waiting.len() > 50 && page.waiting.iter().all(|told| told.labels["subscribed"] == "a"));
    assert_eq!(events.close().1.cause, Cause::SlowConsumer);
}

// ---------------------------------------------------------------------------------------------- by chance

/// Every topic here has a history, so a message's number is its place in this.
type Log = Arc<Mutex<Vec<&'static str>>>;

/// Publishes to a topic what its next message is: which of the topic it is.
fn publish_next(server: &mut Server, log: &Log, topic: &'static str) {
    let number = {
        let mut log = log.lock().expect("no panic before");
        log.push(topic);
        log.iter().filter(|other| **other == topic).count()
    };
    server.publish(topic, number.to_string()).send();
}

/// A client by the book (docs/PROTOCOL.md), which checks that it misses nothing without a word and sees nothing twice.
struct Reader {
    log: Log,
    page: Page,
    /// Where it is in all that it did not subscribe to.
    overall: String,
    /// Where it is in what it subscribed to.
    positions: BTreeMap<&'static str, String>,
    /// Of each topic, which message it saw last.
    seen: BTreeMap<&'static str, usize>,
    gaps: BTreeSet<&'static str>,
    /// Subscriptions that are not answered.
    asked: usize,
}

impl Reader {
    fn come_back(&mut self, live: &Live) {
        self.page = Page::come_back(live, self.page.kind, &self.overall);
        self.asked = self.positions.len();
        for (topic, position) in self.positions.clone() {
            self.page.command(&format!("swio=subscribe&topic={topic}&last-event-id={position}"), "");
        }
    }

    fn take(&mut self) -> Told {
        let told = self.page.next();
        let label = |name: &str| told.labels.get(name).map(String::as_str);
        let id = label("id").unwrap_or_default().to_owned();
        if let Some(text) = &told.text {
            let topic = known(label("topic").expect("published"));
            let (number, last) = (text.parse().expect("a number"), self.seen.get(topic).copied());
            let is_next = last.is_none_or(|last| number == last + 1);
            let is_behind_gap = self.gaps.remove(topic) && last.is_none_or(|last| number > last);
            assert!(is_next || is_behind_gap, "{topic}: {number} behind {last:?}");
            self.seen.insert(topic, number);
            *self.positions.get_mut(topic).unwrap_or(&mut self.overall) = id;
        } else if let Some(topic) = label("gap") {
            self.gaps.insert(known(topic));
        } else if let Some(topic) = label("subscribed") {
            self.is_up_to_date(&[known(topic)], &id);
            self.positions.insert(known(topic), id);
            self.asked -= 1;
        } else if let Some(position) = label("position") {
            self.is_up_to_date(&["x", "y"], position);
            self.overall = position.to_owned();
        }
        told
    }

    /// The server says that it has seen all up to this.
    fn is_up_to_date(&mut self, topics: &[&'static str], id: &str) {
        let place = id.rsplit('-').next().and_then(|place| place.parse().ok()).expect("an id");
        for topic in topics {
            let count = self.log.lock().expect("no panic before")[..place]
                .iter()
                .filter(|other| *other == topic)
                .count();
            let has_gap = self.gaps.remove(topic);
            let last = self.seen.insert(topic, count).unwrap_or(count);
            assert!(last == count || has_gap, "{topic}: {last} of {count} at {id}");
        }
    }

    fn subscribe(&mut self, topic: &'static str) {
        self.page.command(&format!("swio=subscribe&topic={topic}"), "");
        self.asked += 1;
        while self.asked > 0 {
            self.take();
        }
    }

    /// Reads all that there is.
    fn catch_up(&mut self) {
        self.page.command("swio=ping", "");
        while self.take() != told(&[("pong", "1")]) {}
    }
}

fn known(topic: &str) -> &'static str {
    ["a", "b", "x", "y"].into_iter().find(|known| *known == topic).expect("one of those")
}

/// Pages subscribe to `a` and `b` and are put into `x` and `y`; rings are of any length, connections are cut anywhere.
fn resume_by_chance(kind: Kind, seed: u64) {
    let mut random = Random(seed);
    let log = Log::default();
    let [messages, publishing] = [[0, 1, 3, 20], [0, 30, 60, 100]].map(|of| of[random.below(4)]);
    let (on_open, on_subscribe) = (log.clone(), log.clone());
    let mut chance = Random(seed + 1);
    let mut another = Random(seed + 2);
    let builder = Server::builder()
        .on_start(move |server| {
            for topic in ["a", "b", "x", "y"] {
                let history = History { messages, ..History::default() };
                server.keep_history(topic, history).expect("a short name");
            }
        })
        .on_open(move |server, request| {
            for topic in ["x", "y"] {
                server.join(request.fd, topic).expect("open");
                if chance.below(100) < publishing {
                    publish_next(server, &on_open, ["a", "x", "y"][chance.below(3)]);
                }
            }
        })
        .on_subscribe(move |server, _, topic| {
            if another.below(100) < publishing {
                publish_next(server, &on_subscribe, known(topic));
            }
            true
        });
    let live = pages(builder);
    let mut reader = Reader {
        log: log.clone(),
        page: Page::open(&live, kind),
        overall: String::new(),
        positions: BTreeMap::new(),
        seen: BTreeMap::new(),
        gaps: BTreeSet::new(),
        asked: 0,
    };
    while reader.overall.is_empty() {
        reader.take();
    }
    reader.subscribe("a");
    reader.subscribe("b");
    for _ in 0..40 {
        let topics: Vec<_> = (0..random.below(6)).map(|_| ["a", "b", "x", "y"][random.below(4)]).collect();
        let (count, log) = (topics.len(), log.clone());
        live.ask(move |server| topics.into_iter().for_each(|topic| publish_next(server, &log, topic)));
        match random.below(3) {
            // What was published came for certain.
            0 => (0..random.below(count + 1)).for_each(|_| {
                reader.take();
            }),
            1 => reader.catch_up(),
            _ => reader.come_back(&live),
        }
    }
    reader.catch_up();
    let log = log.lock().expect("no panic before");
    for (topic, seen) in &reader.seen {
        let count = log.iter().filter(|other| *other == topic).count();
        assert!(*seen == count || reader.gaps.contains(topic), "{topic}: {seen} of {count}");
    }
    assert_eq!(reader.asked, 0);
}

/// splitmix64.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

#[test]
fn wherever_a_connection_is_cut_nothing_is_lost_without_a_word_and_nothing_comes_twice() {
    for seed in 0..20 {
        for kind in KINDS {
            let result = std::panic::catch_unwind(|| resume_by_chance(kind, seed));
            assert!(result.is_ok(), "{kind:?} with seed {seed}");
        }
    }
}
