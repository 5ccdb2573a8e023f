//! Clients on slow lines, on every transport and both ways: who is slow is served to the end, who drips is given up in
//! time. All timeouts are far shorter than what is sent takes.

mod common;

use common::shaper::{Rates, line};
use common::transports::*;
use common::*;
use std::thread;
use std::time::{Duration, Instant};
use swio::{Cause, Config, Fd, Response, Server};

/// What takes several times as long as any timeout.
const MUCH: usize = 400_000;
const SLOW: Rates = Rates { to_client: 80_000, to_server: 80_000 };
const DRIPPING: Rates = Rates { to_client: 600, to_server: 600 };
/// The least rate is between the two.
const RATE_MIN: u32 = 4_000;
/// A busy machine may stand still for a while.
const WINDOW: Duration = Duration::from_millis(1_500);

fn hasty(config: &mut Config) {
    config.bytes_per_second_min = RATE_MIN;
    config.ping_interval = Some(Duration::from_millis(300));
    config.pong_timeout = WINDOW;
    config.request_timeout = WINDOW;
    config.keep_alive_timeout = WINDOW;
    config.close_timeout = WINDOW / 2;
    config.linger_timeout = WINDOW / 2;
    (config.poll_hold, config.poll_grace) = (WINDOW / 2, WINDOW / 2);
}

/// Cases at the same time: most of it is waiting.
fn at_once<C: Send>(cases: impl IntoIterator<Item = C>, run: impl Fn(C) + Sync) {
    let run = &run;
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || run(case));
        }
    });
}

/// A client of this kind at the far end of a line.
fn open(world: &World, kind: Kind, rates: Rates) -> (Fd, Reader) {
    let before: Vec<Fd> = world.live.ask(|server| server.connections().collect());
    let [http, tcp] = [world.live.address, world.live.tcp[0]].map(|address| line(address, rates));
    let reader = Reader::open(kind, http, tcp, true);
    let fd = world.live.until("it is there", move |server| {
        server.connections().find(|fd| !before.contains(fd) && server.is_established(*fd))
    });
    (fd, reader)
}

const KINDS: [Kind; 4] = [Kind::WebSocket, Kind::EventStream, Kind::LongPolling, Kind::Tcp];

#[test]
fn who_reads_slowly_is_alive_and_gets_what_comes_behind_it() {
    at_once(KINDS, |kind| {
        let world = World::start(hasty);
        let (fd, mut reader) = open(&world, kind, SLOW);
        let text = "x".repeat(MUCH);
        let begun = Instant::now();
        let pushed = text.clone();
        world.live.ask(move |server| server.push(fd, pushed)).expect("room");
        assert!(reader.next() == Seen::Text(text), "{kind:?}");
        assert!(begun.elapsed() > 2 * WINDOW, "{kind:?}: {:?} is not slow", begun.elapsed());
        world.live.ask(move |server| server.push(fd, "behind it")).expect("it is there");
        assert_eq!(reader.next(), Seen::Text("behind it".into()), "{kind:?}");
    });
}

#[test]
fn a_close_comes_behind_all_that_is_read_slowly() {
    at_once(KINDS, |kind| {
        let world = World::start(hasty);
        let (fd, mut reader) = open(&world, kind, SLOW);
        let text = "x".repeat(MUCH);
        let pushed = text.clone();
        world.live.ask(move |server| {
            server.push(fd, pushed).expect("room");
            assert!(server.disconnect(fd, 4000, "enough"));
        });
        assert!(reader.next() == Seen::Text(text), "{kind:?}");
        let code = (kind != Kind::Tcp).then_some(4000);
        assert_eq!(reader.next(), Seen::End(code), "{kind:?}");
    });
}

#[test]
fn answers_and_uploads_take_the_time_that_they_need() {
    let connections = ["", "Connection: close\r\n"];
    at_once([true, false].into_iter().flat_map(|up| connections.map(|line| (up, line))), |(up, of)| {
        let live = Live::start(
            Server::builder()
                .configure(hasty)
                .on_request(|_, request| Response::new(200).body(vec![7; MUCH - request.body().len()])),
        );
        let mut client = Client::connect_narrow(line(live.address, SLOW));
        let sent = if up { vec![7; MUCH] } else { Vec::new() };
        let begun = Instant::now();
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\n{of}Content-Length: {}\r\n\r\n", sent.len()));
        client.send(&sent);
        let answer = client.answer_head();
        assert_eq!(answer.status, 200, "{up} {of:?}");
        assert!(client.take(MUCH - sent.len()) == vec![7; MUCH - sent.len()], "{up} {of:?}");
        assert!(begun.elapsed() > 2 * WINDOW, "{:?} is not slow", begun.elapsed());
    });
}

#[test]
fn messages_and_packages_may_come_slowly() {
    at_once([Kind::WebSocket, Kind::Tcp], |kind| {
        let (builder, events) = recorded();
        let (tell, received) = std::sync::mpsc::channel();
        let builder = all_transports(builder, "127.0.0.1:0").configure(hasty);
        let builder = builder.on_receive(move |_, _, data| common::tell(&tell, data.to_vec()));
        let live = Live::start(builder);
        let len = match kind {
            Kind::Tcp => {
                let mut client = Client::connect(line(live.tcp[0], SLOW));
                client.send([vec![b'x'; MUCH], b"\n".to_vec()].concat());
                received.recv_timeout(DEADLINE).expect("a package").len()
            }
            _ => {
                let mut client = Client::open(line(live.address, SLOW));
                client.frame(BINARY, &vec![b'x'; MUCH]);
                events.message().len()
            }
        };
        assert_eq!(len, MUCH, "{kind:?}");
    });
}

#[test]
fn who_drips_what_it_has_begun_is_given_up() {
    at_once([Kind::WebSocket, Kind::Tcp, Kind::LongPolling], |kind| {
        let world = World::start(hasty);
        let begun = Instant::now();
        if kind == Kind::LongPolling {
            let mut client = Client::connect(line(world.live.address, DRIPPING));
            client.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {MUCH}\r\n\r\n"));
            client.try_send(vec![7; 2_000]);
            assert_eq!(client.answer().status, 408);
        } else {
            let (fd, mut reader) = open(&world, kind, DRIPPING);
            let mut beginning = vec![b'x'; 3_000];
            if kind == Kind::WebSocket {
                beginning.splice(..0, masked_header(FIN | BINARY, MUCH as u64));
            }
            reader.client.send(beginning);
            let reason = world.closed(fd);
            assert_eq!((reason.code, reason.cause), (1001, Cause::Timeout), "{kind:?}");
        }
        assert!(begun.elapsed() < 5 * WINDOW, "{kind:?}: {:?}", begun.elapsed());
        world.live.until("nothing is held", |server| (server.usage().inbound_bytes == 0).then_some(()));
    });
}

/// It looks alive: it sends something all the time.
#[test]
fn who_drips_what_it_reads_is_given_up() {
    at_once([Kind::WebSocket, Kind::EventStream, Kind::Tcp], |kind| {
        let world = World::start(hasty);
        let (fd, mut reader) = open(&world, kind, Rates { to_server: SLOW.to_server, ..DRIPPING });
        let begun = Instant::now();
        world.live.ask(move |server| server.push(fd, "x".repeat(MUCH))).expect("room");
        while world.live.ask(move |server| server.is_established(fd)) {
            if kind == Kind::WebSocket {
                reader.client.try_send(masked(FIN | PING, b"here"));
            }
            world.live.after(Duration::from_millis(100)).recv_timeout(DEADLINE).expect("a timer");
            assert!(begun.elapsed() < 4 * WINDOW, "{kind:?}: {:?}", begun.elapsed());
        }
        let reason = world.closed(fd);
        assert_eq!((reason.code, reason.cause), (1001, Cause::Timeout), "{kind:?}");
        world.live.until("nothing is held", |server| (server.usage().outboxes_bytes == 0).then_some(()));
    });
}

#[test]
fn who_drips_behind_a_close_or_an_answer_is_cut_off() {
    at_once([Some(Kind::WebSocket), Some(Kind::EventStream), Some(Kind::Tcp), None], |kind| {
        let builder = all_transports(Server::builder(), "127.0.0.1:0").configure(hasty);
        let builder = builder.on_request(|_, _| Response::new(200).body(vec![7; MUCH]));
        let live = Live::start(builder);
        let [http, tcp] = [live.address, live.tcp[0]].map(|address| line(address, DRIPPING));
        let begun = Instant::now();
        let _client = match kind {
            Some(kind) => {
                let reader = Reader::open(kind, http, tcp, true).client;
                let fd = live.until("it is there", |server| {
                    server.connections().find(|fd| server.is_established(*fd))
                });
                live.ask(move |server| {
                    server.push(fd, "x".repeat(MUCH)).expect("room");
                    assert!(server.disconnect(fd, 4000, ""));
                });
                reader
            }
            None => {
                let mut client = Client::connect_narrow(http);
                client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
                client
            }
        };
        live.until("its end has begun", |server| (server.usage().ending == 1).then_some(()));
        live.until_empty();
        // Four times the timeout of a close, and the time to connect.
        assert!(begun.elapsed() < 5 * WINDOW, "{kind:?}: {:?}", begun.elapsed());
    });
}
