//! The protocol of pages, `swio.1`, over real sockets: labels, subscriptions, reconnecting and numbered messages, on
//! WebSockets, event streams and long polling alike.

#[path = "page_protocol/answers.rs"]
mod answers;
#[path = "page_protocol/chance.rs"]
mod chance;
#[path = "page_protocol/coming_back.rs"]
mod coming_back;
mod common;
#[path = "page_protocol/frames.rs"]
mod frames;
#[path = "page_protocol/labels.rs"]
mod labels;
#[path = "page_protocol/limits.rs"]
mod limits;
#[path = "page_protocol/posting.rs"]
mod posting;
#[path = "page_protocol/subscribing.rs"]
mod subscribing;

use common::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use swio::{
    Builder, Cause, Config, Fd, Handshake, History, Message, Opcode, Origins, PushError, Reach, Response,
    Server, Side, SlowConsumer,
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
        Page::ask(live, kind, "")
    }

    fn come_back(live: &Live, kind: Kind, positions: &Positions) -> Page {
        let mut query = form_urlencoded::Serializer::new(String::from("&"));
        for (topic, id) in positions {
            query.append_pair("last-event-id", &format!("{id} {topic}"));
        }
        Page::ask(live, kind, &query.finish())
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

    /// An answer to a poll. One that is over the rate is asked again, as the script for pages does.
    fn answer(&mut self) -> serde_json::Value {
        let mut answer = self.client.answer();
        while answer.status == 429 && !self.token.is_empty() {
            std::thread::sleep(Duration::from_millis(50));
            self.park();
            answer = self.client.answer();
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        self.cursor = answer["cursor"].as_u64().expect("a number");
        let messages = answer["messages"].as_array().expect("a list");
        self.waiting.extend(messages.iter().map(from_object));
        answer
    }

    /// What comes next. Long messages are announced, all others are not.
    fn next(&mut self) -> Told {
        let first = self.next_of_all();
        let announced = first.labels.get("coming").map(|len| len.parse::<usize>().expect("a number"));
        let next = if announced.is_some() { self.next_of_all() } else { first };
        let len = next.text.as_ref().map_or(0, String::len);
        let is_long = len > 64 << 10 && self.kind != Kind::Poll;
        assert!(announced == is_long.then_some(len) || next.text.is_none(), "{announced:?}, {len}");
        next
    }

    fn next_of_all(&mut self) -> Told {
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

    /// It is told where it is in these topics.
    fn positions(&mut self, topics: &[&str]) -> Positions {
        let position = |topic: &&str| {
            let mut next = self.next();
            let id = next.labels.remove("id").expect("an id");
            assert_eq!(next, told(&[("position", topic)]), "{:?}", self.kind);
            (topic.to_string(), id)
        };
        topics.iter().map(position).collect()
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

/// By topic, the id up to which a page has seen all.
type Positions = BTreeMap<String, String>;

/// The id of the message with another number of the same topic.
fn id_of(id: &str, number: u64) -> String {
    format!("{}-{number}", id.rsplit_once('-').expect("an id of the server's").0)
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

const NOTICES: [&str; 7] = ["subscribed", "unsubscribed", "denied", "gap", "position", "coming", "pong"];

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
        .on_subscribe(|_, request| request.topic != "secret");
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
