//! Envelopes over real sockets: which form of a message each client gets, and how often the message is encoded for
//! that.

mod common;

use common::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use swio::{
    Builder, Envelope, EnvelopeId, Fd, Framing, Handshake, History, Message, Opcode, Packets, PushError,
    Reach, Server, Transport,
};

/// Counts how often it is asked.
#[derive(Clone, Default)]
struct Json {
    asked: Arc<AtomicUsize>,
}

impl Json {
    /// How often it was asked since this was last called.
    fn take(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

impl Envelope for Json {
    fn encode(&self, message: &Message<'_>, out: &mut Packets<'_>) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match message.as_str() {
            // No form.
            None => {}
            Some("panic") => {
                out.text("not sent");
                panic!("on purpose");
            }
            Some("attached") => {
                out.text("an attachment follows");
                out.binary(b"\xff\x00");
            }
            Some("same") => out.payload(message),
            Some(text) => {
                let mut object = serde_json::json!({ "channel": message.topic(), "data": text });
                for (name, value) in [("id", message.event_id()), ("event", message.event_name())] {
                    if let Some(value) = value {
                        object[name] = value.into();
                    }
                }
                out.text(&object.to_string());
            }
        }
    }
}

/// Where all are in the topic `news`, and those on `/json` have the envelope.
fn builder(json: &Json) -> (Builder, Arc<OnceLock<EnvelopeId>>) {
    let id = Arc::new(OnceLock::new());
    let (set, chosen, at_connect) = (id.clone(), id.clone(), id.clone());
    let json = json.clone();
    let builder = Server::builder()
        .configure(|config| (config.event_streams, config.long_polling) = (true, true))
        .listen_tcp("127.0.0.1:0", Framing::EndMark(b"\n".into()))
        .listen_tcp("127.0.0.1:0", Framing::EndMark(b"\n".into()))
        .on_start(move |server| {
            set.set(server.add_envelope(json.clone())).expect("on_start is called once");
        })
        .on_handshake(move |_, request| match request.path() {
            "/json" => Handshake::accept().envelope(*chosen.get().expect("on_start was before")),
            _ => Handshake::accept(),
        })
        .on_open(|server, request| {
            server.join(request.fd, "news").expect("there is room");
            server.bind(request.fd, "ada").expect("a short name");
        })
        .on_connect(move |server, fd| {
            if transport(server, fd) != Transport::Tcp {
                return;
            }
            // Of the two listeners the second is for the envelope.
            let is_json =
                server.connections().filter(|fd| transport(server, *fd) == Transport::Tcp).count() == 2;
            if is_json {
                server.set_envelope(fd, *at_connect.get().expect("on_start was before")).expect("it is open");
            }
            server.join(fd, "news").expect("there is room");
        });
    (builder, id)
}

fn transport(server: &Server, fd: Fd) -> Transport {
    server.client_info(fd).expect("it is there").transport
}

fn start() -> (Live, Json) {
    let json = Json::default();
    (Live::start(builder(&json).0), json)
}

fn socket(live: &Live, path: &str) -> Client {
    let mut client = live.client();
    client.send(upgrade_with("").replace("GET / ", &format!("GET {path} ")));
    assert_eq!(client.expect_101().header("Sec-WebSocket-Protocol"), None);
    client
}

fn stream(live: &Live, path: &str, lines: &str) -> Client {
    let mut client = live.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n{lines}\r\n"));
    assert_eq!(client.answer_head().status, 200);
    assert_eq!(event(&mut client), "retry: 3000");
    client
}

fn event(client: &mut Client) -> String {
    client.take_until(b"\n\n").expect("the stream goes on")
}

/// A session of long polling: the client and how it asks.
fn poll(live: &Live, path: &str) -> (Client, String) {
    let mut client = live.client();
    client.send(format!("GET {path}?swio=poll HTTP/1.1\r\nHost: test\r\n\r\n"));
    let answer: serde_json::Value = serde_json::from_slice(&client.answer().body).expect("JSON");
    let token = answer["session"].as_str().expect("a token");
    (client, format!("GET {path}?swio=poll&session={token}&cursor=0 HTTP/1.1\r\nHost: test\r\n\r\n"))
}

fn polled((client, ask): &mut (Client, String)) -> serde_json::Value {
    client.send(&ask);
    let answer: serde_json::Value = serde_json::from_slice(&client.answer().body).expect("JSON");
    answer["messages"].clone()
}

fn publish(live: &Live, message: impl Into<Message<'static>> + Send + 'static) -> Reach {
    live.ask(move |server| server.publish("news", message).send())
}

fn queued(queued: usize) -> Reach {
    Reach { queued, ..Reach::default() }
}

/// The newest connection.
fn newest(live: &Live) -> Fd {
    live.ask(|server| server.connections().max_by_key(|fd| fd.to_u64()).expect("somebody"))
}

const HELLO: &str = r#"{"channel":"news","data":"hello"}"#;

#[test]
fn each_gets_its_own_form_from_one_publish() {
    let (live, json) = start();
    let mut plain = [live.open(), live.open()];
    let mut labelled = live.client();
    labelled.send(upgrade_with("Sec-WebSocket-Protocol: swio.1\r\n"));
    labelled.expect_101();
    let mut events = stream(&live, "/", "");
    let mut polls = poll(&live, "/");
    // Nobody has the envelope yet.
    assert_eq!(publish(&live, "nobody asks"), queued(5));
    assert_eq!(json.take(), 0);
    let mut with = [socket(&live, "/json"), socket(&live, "/json"), socket(&live, "/json")];
    assert_eq!(publish(&live, "hello"), queued(8));
    assert_eq!(json.take(), 1);
    for client in &mut plain {
        client.expect_text("nobody asks");
        client.expect_text("hello");
    }
    labelled.expect_text("topic=news\nnobody asks");
    labelled.expect_text("topic=news\nhello");
    assert_eq!(event(&mut events), "data: nobody asks");
    assert_eq!(event(&mut events), "data: hello");
    let both =
        serde_json::json!([{"text": "nobody asks", "topic": "news"}, {"text": "hello", "topic": "news"}]);
    assert_eq!(polled(&mut polls), both);
    with.iter_mut().for_each(|client| client.expect_text(HELLO));
    // To one that has gone nothing is encoded.
    for client in &mut with {
        client.close(1000, "");
        client.expect_close(1000);
    }
    live.until("they are gone", |server| (server.connection_count() == 5).then_some(()));
    assert_eq!((publish(&live, "again"), json.take()), (queued(5), 0));
}

#[test]
fn an_envelope_is_framed_for_every_transport() {
    let (live, json) = start();
    let mut sockets = [socket(&live, "/json"), socket(&live, "/json")];
    let mut streams = [stream(&live, "/json", ""), stream(&live, "/json", "")];
    let mut polls = poll(&live, "/json");
    let mut plain = Client::connect(live.tcp[0]);
    live.until("it is in the topic", |server| (server.member_count("news") == 6).then_some(()));
    let mut package = Client::connect(live.tcp[1]);
    live.until("it is in the topic", |server| (server.member_count("news") == 7).then_some(()));
    assert_eq!(publish(&live, "hello"), queued(7));
    // Once for each transport.
    assert_eq!(json.take(), 4);
    assert_eq!(publish(&live, "attached"), queued(7));
    assert_eq!(publish(&live, "same"), queued(7));
    for client in &mut sockets {
        client.expect_text(HELLO);
        client.expect_text("an attachment follows");
        client.expect(BINARY, b"\xff\x00");
        client.expect_text("same");
    }
    for client in &mut streams {
        assert_eq!(event(client), format!("data: {HELLO}"));
        assert_eq!(event(client), "data: an attachment follows");
        assert_eq!(event(client), "event: binary\ndata: /wA=");
        assert_eq!(event(client), "data: same");
    }
    let expected = serde_json::json!([
        {"text": HELLO}, {"text": "an attachment follows"}, {"binary": "/wA="}, {"text": "same"}
    ]);
    assert_eq!(polled(&mut polls), expected);
    assert_eq!(plain.take(b"hello\nattached\nsame\n".len()), b"hello\nattached\nsame\n");
    let packages = [HELLO.as_bytes(), b"\nan attachment follows\n\xff\x00\nsame\n"].concat();
    assert_eq!(package.take(packages.len()), packages);
}

#[test]
fn every_message_goes_in_the_envelope_and_nothing_else_does() {
    let (live, json) = start();
    let mut client = socket(&live, "/json");
    let fd = newest(&live);
    let results = live.ask(move |server| {
        server.push(fd, Message::from("one").event("price").id("7")).expect("it is open");
        assert_eq!(server.broadcast("two").send(), queued(1));
        assert_eq!(server.push_to_user("ada", "three").queued, 1);
        assert_eq!(server.push(fd, &[1, 2]), Err(PushError::Unsendable));
        server.push_as(fd, Opcode::Text, b"as it is").expect("it is open");
        server.push_as(fd, Opcode::Binary, b"\xff").expect("it is open");
        server.push_as(fd, Opcode::Ping, b"ping").expect("it is open");
        server.push_part(fd, Opcode::Text, b"in ", false).expect("it is open");
        let during = server.publish("news", "not now").send();
        assert_eq!(server.push(fd, "nor now"), Err(PushError::Unfinished));
        server.push_part(fd, Opcode::Continuation, b"parts", true).expect("it is open");
        server.send(fd, b"\x81\x03raw").expect("it is open");
        during
    });
    assert_eq!(results, Reach { unfinished: 1, ..Reach::default() });
    assert_eq!(json.take(), 4);
    client.expect_text(r#"{"channel":null,"data":"one","event":"price","id":"7"}"#);
    client.expect_text(r#"{"channel":null,"data":"two"}"#);
    client.expect_text(r#"{"channel":null,"data":"three"}"#);
    client.expect_text("as it is");
    client.expect(BINARY, b"\xff");
    client.expect(PING, "ping");
    assert_eq!(client.read_frame().payload, b"in ");
    assert_eq!(client.read_frame().payload, b"parts");
    client.expect_text("raw");
    // From another thread too.
    live.handle.publish("news", "four").expect("the server takes mail");
    client.expect_text(r#"{"channel":"news","data":"four"}"#);
}

#[test]
fn what_has_no_form_is_not_sent_and_is_counted() {
    let (live, json) = start();
    let (mut plain, mut with) = (live.open(), socket(&live, "/json"));
    let fd = newest(&live);
    let nothing = Reach { queued: 1, unsendable: 1, ..Reach::default() };
    assert_eq!(publish(&live, &[7]), nothing);
    // A panic costs the message, wherever it comes from.
    assert_eq!(publish(&live, "panic"), nothing);
    live.handle.publish("news", "panic").expect("the server takes mail");
    assert_eq!(live.ask(move |server| server.push(fd, "panic")), Err(PushError::Unsendable));
    assert_eq!((publish(&live, "hello"), json.take()), (queued(2), 5));
    plain.expect(BINARY, [7]);
    plain.expect_text("panic");
    plain.expect_text("panic");
    plain.expect_text("hello");
    with.expect_text(HELLO);
    // All or nothing, where a transport can't send all that a message becomes.
    let mut package = Client::connect(live.tcp[0]);
    let fd = live.until("it is here", |server| {
        server.connections().find(|fd| transport(server, *fd) == Transport::Tcp)
    });
    let broken = live.ask(move |server| {
        struct Broken;
        impl Envelope for Broken {
            fn encode(&self, message: &Message<'_>, out: &mut Packets<'_>) {
                assert_eq!(out.transport(), Transport::Tcp);
                out.text("begins well");
                out.payload(message);
            }
        }
        let broken = server.add_envelope(Broken);
        server.set_envelope(fd, broken).expect("it is open");
        (server.push(fd, "has the\nmark"), server.push(fd, "has none"))
    });
    assert_eq!(broken, (Err(PushError::Unsendable), Ok(())));
    assert_eq!(package.take(21), b"begins well\nhas none\n");
}

#[test]
fn a_prepared_message_is_put_into_an_envelope_once() {
    let (live, json) = start();
    let mut clients: Vec<Client> = (0..20).map(|_| socket(&live, "/json")).collect();
    let mut labelled = live.client();
    labelled.send(upgrade_with("Sec-WebSocket-Protocol: swio.1\r\n"));
    labelled.expect_101();
    live.until("all are here", |server| (server.connection_count() == 21).then_some(()));
    let prepared = Message::from("hello").prepare();
    let again = prepared.clone();
    live.ask(move |server| {
        let fds: Vec<Fd> = server.connections().collect();
        for _ in 0..50 {
            fds.iter().for_each(|fd| server.push(*fd, &again).expect("it is open"));
        }
    });
    assert_eq!(json.take(), 1);
    // In the topic it is another one, and then that is kept.
    for _ in 0..3 {
        assert_eq!(publish(&live, prepared.clone()), queued(21));
    }
    assert_eq!(json.take(), 1);
    for client in &mut clients {
        (0..50).for_each(|_| client.expect_text(r#"{"channel":null,"data":"hello"}"#));
        (0..3).for_each(|_| client.expect_text(HELLO));
    }
    (0..50).for_each(|_| labelled.expect_text("\nhello"));
    (0..3).for_each(|_| labelled.expect_text("topic=news\nhello"));
}

#[test]
fn an_envelope_goes_before_swio_1_and_must_be_the_servers_own() {
    let json = Json::default();
    let (one, _) = builder(&json);
    let one = Live::start(one.configure(|config| config.subprotocols = vec!["other".into()]));
    let mut client = one.client();
    let offer = upgrade_with("Sec-WebSocket-Protocol: swio.1, other\r\n").replace("GET / ", "GET /json ");
    client.send(offer);
    assert_eq!(client.expect_101().header("Sec-WebSocket-Protocol"), Some("other"));
    let mut events = stream(&one, "/json?swio=stream&protocol=swio.1", "");
    assert!(event(&mut events).starts_with("event: swio\ndata: {\"session\":"));
    assert_eq!(publish(&one, "hello"), queued(2));
    client.expect_text(HELLO);
    assert_eq!(event(&mut events), format!("data: {HELLO}"));
    // Another server's.
    let foreign = one.ask(|server| server.add_envelope(Json::default()));
    let two = Server::builder().on_handshake(move |_, _| Handshake::accept().envelope(foreign));
    let two = Live::start(two);
    let mut client = two.client();
    client.send(upgrade_with(""));
    assert_eq!(client.answer().status, 500);
    // One that speaks swio.1 keeps to it.
    let mut labelled = one.client();
    labelled.send(upgrade_with("Sec-WebSocket-Protocol: swio.1\r\n"));
    labelled.expect_101();
    let fd = newest(&one);
    assert_eq!(one.ask(move |server| server.set_envelope(fd, foreign)), Err(PushError::Unsendable));
}

#[test]
fn a_stream_with_an_envelope_comes_back_to_where_it_was() {
    let json = Json::default();
    let (builder, _) = builder(&json);
    let set = Arc::new(OnceLock::new());
    let (set_id, id) = (set.clone(), set);
    let json_envelope = json.clone();
    let live = Live::start(
        builder
            .on_start(move |server| {
                set_id.set(server.add_envelope(json_envelope.clone())).expect("once");
                server.keep_history("news", History::default()).expect("a short name");
            })
            .on_handshake(move |_, _| Handshake::accept().envelope(*id.get().expect("on_start was before"))),
    );
    let mut reader = stream(&live, "/", "");
    let position = event(&mut reader);
    assert!(position.starts_with("id: "), "{position:?}");
    publish(&live, "one");
    let data = event(&mut reader);
    assert!(data.starts_with(r#"data: {"channel":"news","data":"one","id":""#), "{data:?}");
    // The id comes after the event, so that it was seen when it counts.
    let id = event(&mut reader);
    let id = id.strip_prefix("id: ").expect("an id").trim_end().to_owned();
    let own = id.split('@').next().expect("one at least");
    assert!(data.contains(own), "{data:?} {id:?}");
    drop(reader);
    publish(&live, "two");
    let mut reader = stream(&live, "/", &format!("Last-Event-ID: {id}\r\n"));
    let data = event(&mut reader);
    assert!(data.starts_with(r#"data: {"channel":"news","data":"two","id":""#), "{data:?}");
}

#[test]
fn envelopes_are_not_for_single_connections() {
    let (builder, events) = recorded();
    let _live = Live::start(builder.on_start(|server| {
        for _ in 0..33 {
            server.add_envelope(Json::default());
        }
    }));
    assert_eq!(events.error(), (None, "on_start panicked: a server has at most 32 envelopes".to_owned()));
}
