//! A toy gateway, written on the public API alone, and what its clients see: the primitives are enough for gateways.

mod common;
#[path = "gateway/toy.rs"]
mod toy;

use common::*;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use swio::{Callbacks, Cause, CloseReason, Config, Fd, Handler, Reply, Request, Server, Transport};
use toy::Toy;

/// Tells of each end, and leaves all else to the gateway.
struct Watched(Toy, mpsc::Sender<(Fd, CloseReason)>);

impl Handler for Watched {
    fn on_start(&mut self, server: &mut Server) {
        self.0.on_start(server);
    }
    fn on_handshake(&mut self, server: &mut Server, request: &Request<'_>) -> swio::Handshake {
        self.0.on_handshake(server, request)
    }
    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        self.0.on_open(server, request);
    }
    fn on_message(&mut self, server: &mut Server, frame: swio::Frame<'_>) {
        self.0.on_message(server, frame);
    }
    fn on_request(&mut self, server: &mut Server, request: &Request<'_>) -> Reply {
        self.0.on_request(server, request)
    }
    fn on_output(&mut self, server: &mut Server, fd: Fd) {
        self.0.on_output(server, fd);
    }
    fn on_close(&mut self, server: &mut Server, fd: Fd, reason: &CloseReason) {
        tell(&self.1, (fd, reason.clone()));
        self.0.on_close(server, fd, reason);
    }
}

fn start(change: impl FnOnce(&mut Config)) -> (Live, Receiver<(Fd, CloseReason)>) {
    let (sender, ends) = mpsc::channel();
    let builder = Server::builder().configure(change);
    // Beside it a chat that knows nothing of it.
    let builder = builder.route("/", || {
        Callbacks::new().on_open(|server, request| {
            server.join(request.fd, "news").expect("a topic");
        })
    });
    let live = Live::start(builder.route("/toy", move || Watched(Toy::new(), sender.clone())));
    (live, ends)
}

fn get(client: &mut Client, query: &str) -> Answer {
    ask(client, query);
    client.answer()
}

fn ask(client: &mut Client, query: &str) {
    client.send(format!("GET /toy?{query} HTTP/1.1\r\nHost: test\r\n\r\n"));
}

fn post(client: &mut Client, token: &str, packets: &str) {
    let head = format!(
        "POST /toy?session={token} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        packets.len()
    );
    client.send(head + packets);
    assert_eq!(client.answer().status, 204);
}

fn open_session(live: &Live) -> (Client, String) {
    let mut client = live.client();
    let answer = get(&mut client, "key=open%20sesame");
    assert_eq!(answer.status, 200);
    let token = answer.text().to_owned();
    (client, token)
}

fn websocket(live: &Live, query: &str) -> Client {
    let mut client = live.client();
    client.send(UPGRADE.replace("GET /", &format!("GET /toy?{query}")));
    client.expect_101();
    client
}

fn user(live: &Live) -> Fd {
    live.until("ali is there", |server| server.connections_of("ali").next())
}

#[test]
fn nobody_comes_in_without_a_key() {
    let (live, _ends) = start(|_| {});
    let mut client = live.client();
    assert_eq!(get(&mut client, "").status, 401);
    assert_eq!(get(&mut client, "key=guess").status, 401);
    assert_eq!(get(&mut client, "session=guess").status, 404);
    client.send(UPGRADE.replace("GET /", "GET /toy?session=guess"));
    assert_eq!(client.answer().status, 401);
    assert_eq!(live.ask(|server| server.usage().connections), 1);
}

#[test]
fn each_client_of_a_topic_gets_a_message_in_its_own_form() {
    let (live, ends) = start(|_| {});
    let mut plain = live.open();
    let (mut poller, token) = open_session(&live);
    let fd = user(&live);
    let mut socket = websocket(&live, "key=open%20sesame");
    post(&mut poller, &token, "join news\n");
    socket.text("join news");
    live.until("all are in", |server| (server.member_count("news") == 3).then_some(()));
    // It waits, and gets what comes.
    ask(&mut poller, &format!("session={token}"));
    live.until("it waits", move |server| server.parked_request(fd));
    socket.text("say news it rains");
    assert_eq!(poller.answer().text(), "news: it rains\n");
    socket.expect_text("news: it rains");
    plain.expect_text("it rains");
    // What is not acknowledged is told again, and what is, is not.
    assert_eq!(get(&mut poller, &format!("session={token}&have=0")).text(), "news: it rains\n");
    assert_eq!(get(&mut poller, &format!("session={token}&have=2")).status, 400);
    post(&mut poller, &token, "say news it shines\nwhat\n");
    socket.expect_text("news: it shines");
    plain.expect_text("it shines");
    assert_eq!(get(&mut poller, &format!("session={token}&have=1")).text(), "news: it shines\n-: what?\n");
    // Its end is told behind all that it had.
    live.ask(move |server| {
        server.push(fd, "last").expect("room");
        assert!(server.disconnect(fd, 4001, "enough"));
    });
    let answer = get(&mut poller, &format!("session={token}&have=2"));
    assert_eq!((answer.text(), answer.header("X-Over")), ("-: last\n", Some("yes")));
    let (ended, reason) = ends.recv_timeout(DEADLINE).expect("an end");
    assert_eq!((ended, reason.code, &*reason.text, reason.cause), (fd, 4001, "enough", Cause::Requested));
    assert_eq!(get(&mut poller, &format!("session={token}")).status, 404);
}

#[test]
fn a_poll_becomes_a_websocket_and_nothing_is_lost_or_out_of_order() {
    let (live, ends) = start(|_| {});
    let (mut poller, token) = open_session(&live);
    let fd = user(&live);
    post(&mut poller, &token, "join news\nsay news one\n");
    assert_eq!(get(&mut poller, &format!("session={token}")).text(), "news: one\n");
    let opened = live.ask(move |server| server.client_info(fd)).expect("it is there");
    assert_eq!(opened.transport, Transport::Session);
    assert_eq!(live.ask(|server| (server.usage().sessions, server.stats().sessions)), (1, 1));
    // A poll waits, and the client goes on to speak in the middle of a message.
    let mut socket = websocket(&live, &format!("session={token}"));
    ask(&mut poller, &format!("session={token}&have=1"));
    live.until("it waits", move |server| server.parked_request(fd));
    let batch = [masked(FIN | TEXT, b"move"), masked(FIN | TEXT, b"say news two"), masked(FIN | PING, b"!")];
    let last = masked(FIN | TEXT, b"say news four");
    let (start, rest) = last.split_at(9);
    socket.send([batch.concat(), start.to_vec()].concat());
    let (ended, reason) = ends.recv_timeout(DEADLINE).expect("the WebSocket's own fd ends");
    assert_eq!((ended != fd, reason.cause), (true, Cause::Adopted));
    let answer = poller.answer();
    assert_eq!((answer.status, answer.header("Connection")), (204, Some("close")));
    let mut poller = live.client();
    socket.expect_text("news: two");
    socket.expect(PONG, "!");
    live.ask(|server| server.publish("news", "three").send());
    socket.expect_text("news: three");
    socket.send(rest);
    socket.expect_text("news: four");
    let info = live.ask(move |server| server.client_info(fd)).expect("it is the same");
    assert_eq!((info.transport, info.connected_at), (Transport::WebSocket, opened.connected_at));
    assert_eq!(info.uid.as_deref(), Some("ali"));
    assert_eq!(live.ask(move |server| server.topics_of(fd).map(str::to_owned).collect::<Vec<_>>()), ["news"]);
    let usage = live.ask(|server| server.usage());
    assert_eq!((usage.sessions, usage.websockets), (0, 1));
    assert_eq!(get(&mut poller, &format!("session={token}")).status, 404, "it is polled no more");
    // It is a WebSocket like any other.
    socket.close(1000, "done");
    socket.expect_close(1000);
    let (ended, reason) = ends.recv_timeout(DEADLINE).expect("an end");
    assert_eq!((ended, reason.code, &*reason.text), (fd, 1000, "done"));
}

#[test]
fn what_was_read_and_not_acknowledged_goes_over_the_websocket_first() {
    let (live, _ends) = start(|_| {});
    let (mut poller, token) = open_session(&live);
    let fd = user(&live);
    let large = "x".repeat(3 << 20);
    live.ask({
        let large = large.clone();
        move |server| {
            server.push(fd, "one").expect("room");
            server.push(fd, large).expect("room");
            server.push(fd, "three").expect("room");
        }
    });
    assert_eq!(get(&mut poller, &format!("session={token}")).text(), "-: one\n");
    let mut socket = websocket(&live, &format!("session={token}"));
    socket.text("move");
    for text in ["one", &large, "three"] {
        socket.expect_text(&format!("-: {text}"));
    }
    live.until("all is sent", move |server| (server.usage().queued_bytes == 0).then_some(()));
    live.ask(move |server| server.push(fd, "four")).expect("room");
    socket.expect_text("-: four");
}

#[test]
fn what_can_not_be_adopted_stays_what_it_is() {
    let (live, _ends) = start(|_| {});
    let mut plain = live.open();
    let (_poller, _token) = open_session(&live);
    let session = user(&live);
    let other = live.until("it is open", |server| server.members("news").next());
    live.ask(move |server| {
        assert!(
            !server.adopt(other, other) && !server.adopt(other, session) && !server.adopt(session, session)
        );
        assert!(server.disconnect(other, 1000, ""));
        assert!(!server.adopt(session, other), "it is closing");
    });
    plain.answer_close(1000);
    // One of them goes before the end of the turn: the other goes on as it was.
    let mut plain = live.open();
    let other = live.until("it is open", |server| server.members("news").next());
    live.ask(move |server| {
        assert!(server.adopt(session, other));
        assert!(server.reset(session));
    });
    plain.text("still read");
    plain.frame(PING, b"x");
    plain.expect(PONG, "x");
}

#[test]
fn one_request_waits_for_a_session_and_not_for_ever() {
    let (live, ends) = start(|config| config.poll_hold = Duration::from_millis(100));
    let (mut first, token) = open_session(&live);
    let fd = user(&live);
    // It is held for so long, and then told that there is nothing.
    let answer = get(&mut first, &format!("session={token}"));
    assert_eq!((answer.status, answer.text()), (200, ""));
    live.ask(|server| server.reload(|config| config.poll_hold = DEADLINE)).expect("valid");
    ask(&mut first, &format!("session={token}"));
    live.until("it waits", move |server| server.parked_request(fd));
    let mut second = live.client();
    ask(&mut second, &format!("session={token}"));
    assert_eq!(first.answer().status, 409);
    // The session ends while a request waits for it.
    live.until("the other waits", move |server| server.parked_request(fd));
    assert!(live.ask(move |server| server.end_session(fd, swio::Side::Local, 1000, "")));
    assert_eq!(second.answer().status, 404);
    assert_eq!(ends.recv_timeout(DEADLINE).expect("an end").0, fd);
}
