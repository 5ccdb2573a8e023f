//! Every callback, in the order of a server's and a connection's life, and which handler it is called on.

mod common;

use common::{Client, DEADLINE, FIN, Live, PING, PONG, TEXT, UPGRADE, masked, tell};
use std::any::Any;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;
use swio::{
    CloseReason, Fault, Fd, Frame, Handler, Handshake, PresenceEvent, Reply, Request, Response, Server,
    TaskError, TaskId, TimerId, TopicEvent, Watches,
};

/// Tells of each callback: whose it is, its name, and what it was told.
struct Log {
    name: &'static str,
    sender: Sender<String>,
}

impl Log {
    fn tell(&self, what: impl std::fmt::Display) {
        tell(&self.sender, format!("{}: {what}", self.name));
    }
}

impl Handler for Log {
    fn on_start(&mut self, _server: &mut Server) {
        self.tell("start");
    }

    fn on_worker_start(&mut self, _server: &mut Server) {
        self.tell("worker start");
    }

    fn on_connect(&mut self, server: &mut Server, fd: Fd) {
        assert!(server.exists(fd) && !server.is_established(fd));
        self.tell("connect");
    }

    fn on_handshake(&mut self, server: &mut Server, request: &Request<'_>) -> Handshake {
        assert!(!server.is_established(request.fd));
        self.tell(format_args!("handshake {}", request.path()));
        Handshake::accept()
    }

    fn on_request(&mut self, _server: &mut Server, request: &Request<'_>) -> Reply {
        self.tell(format_args!("request {}", request.path()));
        Response::text(200, self.name).into()
    }

    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        assert!(server.is_established(request.fd));
        self.tell(format_args!("open {}", request.path()));
    }

    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        self.tell(format_args!("message {}", frame.data));
        match &*frame.data {
            b"timer" => {
                server.timer(Duration::ZERO);
            }
            b"task" => {
                server.offload(|| 42).expect("a thread");
            }
            b"join" => {
                server.bind(frame.fd, "alice").expect("a name");
                server.join(frame.fd, "lobby").expect("a topic");
            }
            b"reload" => server.reload(|_| {}).expect("it works as it is"),
            b"panic" => panic!("as the test wants"),
            _ => server.push(frame.fd, frame.data).expect("open"),
        }
    }

    fn on_ping(&mut self, _server: &mut Server, _fd: Fd, data: &[u8]) {
        self.tell(format_args!("ping {}", String::from_utf8_lossy(data)));
    }

    fn on_pong(&mut self, _server: &mut Server, _fd: Fd, data: &[u8]) {
        self.tell(format_args!("pong {}", String::from_utf8_lossy(data)));
    }

    fn on_close(&mut self, server: &mut Server, fd: Fd, reason: &CloseReason) {
        assert!(!server.exists(fd));
        self.tell(format_args!("close {}", reason.code));
    }

    fn on_disconnect(&mut self, server: &mut Server, fd: Fd, _reason: &CloseReason) {
        assert!(!server.exists(fd));
        self.tell("disconnect");
    }

    fn on_error(&mut self, _server: &mut Server, _fd: Option<Fd>, fault: &Fault) {
        self.tell(format_args!("error {fault}"));
    }

    fn on_timer(&mut self, _server: &mut Server, _timer: TimerId) {
        self.tell("timer");
    }

    fn on_pipe_message(&mut self, _server: &mut Server, message: Box<dyn Any + Send>) {
        self.tell(format_args!("pipe message {}", message.downcast_ref::<&str>().expect("a text")));
    }

    fn on_finish(
        &mut self,
        _server: &mut Server,
        _task: TaskId,
        result: Result<Box<dyn Any + Send>, TaskError>,
    ) {
        let result = result.ok().and_then(|result| result.downcast_ref::<i32>().copied());
        self.tell(format_args!("finish {result:?}"));
    }

    fn on_reload(&mut self, _server: &mut Server) {
        self.tell("reload");
    }

    fn watches(&self) -> Watches {
        Watches::all()
    }

    fn on_topic(&mut self, _server: &mut Server, topic: &str, event: TopicEvent) {
        self.tell(format_args!("topic {topic} {event:?}"));
    }

    fn on_presence(&mut self, _server: &mut Server, event: PresenceEvent<'_>) {
        let PresenceEvent { topic, uid, kind, .. } = event;
        self.tell(format_args!("presence {topic} {uid} {kind:?}"));
    }

    fn on_before_shutdown(&mut self, _server: &mut Server) {
        self.tell("before shutdown");
    }

    fn on_worker_stop(&mut self, server: &mut Server) {
        assert_eq!(server.usage().connections, 0);
        self.tell("worker stop");
    }

    fn on_shutdown(&mut self, _server: &mut Server) {
        self.tell("shutdown");
    }
}

/// What was told, in order.
struct Told(Receiver<String>);

impl Told {
    fn expect(&self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.0.recv_timeout(DEADLINE).as_deref(), Ok(*expected));
        }
    }

    /// Nothing is left.
    fn end(self) {
        assert_eq!(self.0.try_iter().collect::<Vec<_>>(), [""; 0]);
    }
}

fn log() -> (Sender<String>, Told) {
    let (sender, receiver) = mpsc::channel();
    (sender, Told(receiver))
}

#[test]
fn the_whole_life_of_a_server_with_one_handler() {
    let (sender, told) = log();
    let builder = Server::builder().configure(|config| config.presence_grace = Duration::ZERO);
    let live = Live::start(builder.handler(move || Log { name: "app", sender: sender.clone() }));
    told.expect(&["app: start", "app: worker start"]);

    let mut client = live.client();
    told.expect(&["app: connect"]);
    client.send("GET /page HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.answer().text(), "app");
    told.expect(&["app: request /page"]);
    // The same connection may ask for more, and become a WebSocket.
    client.send(UPGRADE);
    client.expect_101();
    told.expect(&["app: handshake /", "app: open /"]);
    client.send([masked(TEXT, b"hel"), masked(FIN, b"lo")].concat());
    client.expect_text("hello");
    told.expect(&["app: message hello"]);
    client.frame(PING, b"1");
    client.expect(PONG, "1");
    client.frame(PONG, b"2");
    told.expect(&["app: ping 1", "app: pong 2"]);
    client.text("timer");
    told.expect(&["app: message timer", "app: timer"]);
    client.text("task");
    told.expect(&["app: message task", "app: finish Some(42)"]);
    client.text("join");
    told.expect(&["app: message join", "app: topic lobby Occupied", "app: presence lobby alice Joined"]);
    client.text("reload");
    told.expect(&["app: message reload", "app: reload"]);
    live.handle.send_message("from a thread").expect("taken");
    told.expect(&["app: pipe message from a thread"]);
    client.text("panic");
    told.expect(&["app: message panic", "app: error on_message panicked: as the test wants"]);
    client.until_close(1011);
    drop(client);
    told.expect(&["app: close 1011", "app: presence lobby alice Left", "app: topic lobby Vacated"]);

    // One that never becomes a WebSocket.
    let client = live.client();
    told.expect(&["app: connect"]);
    drop(client);
    told.expect(&["app: disconnect"]);
    still_open_at_the_end(live, &told);
    told.end();
}

fn still_open_at_the_end(live: Live, told: &Told) {
    let mut client = live.open();
    told.expect(&["app: connect", "app: handshake /", "app: open /"]);
    live.handle.shutdown().expect("taken");
    told.expect(&["app: before shutdown"]);
    client.answer_close(1001);
    told.expect(&["app: close 1001", "app: worker stop", "app: shutdown"]);
    live.stop();
}

/// The handler of the server as a whole hears of accepted connections and of those that never got anywhere; start
/// and stop are told to all, in the order in which they were given.
#[test]
fn each_route_hears_of_its_own_connections() {
    let (sender, told) = log();
    let (chat, feed) = (sender.clone(), sender.clone());
    let live = Live::start(
        Server::builder()
            .handler(move || Log { name: "server", sender: sender.clone() })
            .route("/chat/{room}", move || Log { name: "chat", sender: chat.clone() })
            .route("/feed", move || Log { name: "feed", sender: feed.clone() }),
    );
    told.expect(&["server: start", "chat: start", "feed: start"]);
    told.expect(&["server: worker start", "chat: worker start", "feed: worker start"]);

    let open = |path: &str| -> Client {
        let mut client = live.client();
        client.send(UPGRADE.replace("GET / ", &format!("GET {path} ")));
        client.expect_101();
        client
    };
    let mut chat = open("/chat/7");
    told.expect(&["server: connect", "chat: handshake /chat/7", "chat: open /chat/7"]);
    let mut feed = open("/feed");
    told.expect(&["server: connect", "feed: handshake /feed", "feed: open /feed"]);
    chat.text("hi");
    told.expect(&["chat: message hi"]);
    feed.frame(PING, b"");
    told.expect(&["feed: ping "]);
    // A timer, and a fault, are those of the route whose callback they come of.
    feed.text("timer");
    told.expect(&["feed: message timer", "feed: timer"]);
    chat.text("panic");
    told.expect(&["chat: message panic", "chat: error on_message panicked: as the test wants"]);
    chat.until_close(1011);
    drop(chat);
    told.expect(&["chat: close 1011"]);

    let mut nowhere = live.client();
    nowhere.send("GET /nowhere HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    assert_eq!(nowhere.answer().status, 404);
    nowhere.expect_fin();
    drop(nowhere);
    told.expect(&["server: connect", "server: disconnect"]);

    live.handle.shutdown().expect("taken");
    told.expect(&["server: before shutdown", "chat: before shutdown", "feed: before shutdown"]);
    assert_eq!(feed.read_frame().payload, b"", "the pong");
    feed.answer_close(1001);
    told.expect(&["feed: close 1001"]);
    told.expect(&["server: worker stop", "chat: worker stop", "feed: worker stop"]);
    told.expect(&["server: shutdown", "chat: shutdown", "feed: shutdown"]);
    live.stop();
    told.end();
}

/// A host that turns the loop itself meets the same order.
#[test]
fn closures_are_told_in_the_same_order() {
    let (sender, told) = log();
    let log = |what: &'static str| {
        let sender = sender.clone();
        move || tell(&sender, what.to_owned())
    };
    let (start, worker_start, connect, open) =
        (log("start"), log("worker start"), log("connect"), log("open"));
    let (ping, pong, close, disconnect) = (log("ping"), log("pong"), log("close"), log("disconnect"));
    let (before, worker_stop, shutdown) = (log("before shutdown"), log("worker stop"), log("shutdown"));
    let live = Live::start(
        Server::builder()
            .on_start(move |_| start())
            .on_worker_start(move |_| worker_start())
            .on_connect(move |_, _| connect())
            .on_open(move |_, _| open())
            .on_ping(move |_, _, _| ping())
            .on_pong(move |_, _, _| pong())
            .on_close(move |_, _, _| close())
            .on_disconnect(move |_, _, _| disconnect())
            .on_before_shutdown(move |_| before())
            .on_worker_stop(move |_| worker_stop())
            .on_shutdown(move |_| shutdown()),
    );
    let mut client = live.open();
    client.frame(PING, b"");
    client.frame(PONG, b"");
    told.expect(&["start", "worker start", "connect", "open", "ping", "pong"]);
    drop(client);
    told.expect(&["close"]);
    drop(live.client());
    told.expect(&["connect", "disconnect"]);
    live.stop();
    told.expect(&["before shutdown", "worker stop", "shutdown"]);
}

/// A panic in any of them costs no more than the connection that was served.
#[test]
fn callbacks_of_the_servers_life_may_panic() {
    let (sender, told) = log();
    let live = Live::start(
        Server::builder()
            .on_start(|_| panic!("start"))
            .on_worker_start(|_| panic!("worker start"))
            .on_connect(|_, _| panic!("connect"))
            .on_ping(|_, _, _| panic!("ping"))
            .on_disconnect(|_, _, _| panic!("disconnect"))
            .on_before_shutdown(|_| panic!("before shutdown"))
            .on_worker_stop(|_| panic!("worker stop"))
            .on_shutdown(|_| panic!("shutdown"))
            .on_error(move |_, fd, fault| tell(&sender, format!("{fault}, {}", fd.is_some()))),
    );
    told.expect(&["on_start panicked: start, false", "on_worker_start panicked: worker start, false"]);
    drop(live.client());
    told.expect(&["on_connect panicked: connect, true", "on_disconnect panicked: disconnect, false"]);
    let mut client = live.open();
    told.expect(&["on_connect panicked: connect, true"]);
    client.frame(PING, b"?");
    told.expect(&["on_ping panicked: ping, true"]);
    client.expect(PONG, "?");
    client.expect_close(1011);
    drop(client);
    live.stop();
    told.expect(&[
        "on_before_shutdown panicked: before shutdown, false",
        "on_worker_stop panicked: worker stop, false",
        "on_shutdown panicked: shutdown, false",
    ]);
}
