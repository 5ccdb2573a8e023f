//! Callbacks that panic: the connection that was served gets 1011 or 500, on_error gets the name of the callback, and
//! no other connection is affected.

mod common;

use common::*;
use std::time::Duration;
use swio::{Builder, Cause, Fault, Fd, Handler, Handshake, Request, Response, Server, Side, TimerId};

/// A recorded server with a bystander, who must not notice anything.
struct Scene {
    live: Live,
    events: Events,
    bystander: Client,
    bystander_fd: Fd,
}

impl Scene {
    fn start(change: impl FnOnce(Builder) -> Builder) -> Scene {
        let (builder, events) = recorded();
        let live = Live::start(change(builder));
        let bystander = live.open();
        let bystander_fd = live.ask(|server| server.connections().next()).expect("an open WebSocket");
        events.rest();
        Scene { live, events, bystander, bystander_fd }
    }

    /// What on_error was told last.
    fn expect_error(&self, fd: Option<Fd>, text: &str) {
        assert_eq!(self.events.error(), (fd, text.to_owned()));
    }

    fn end(mut self) {
        self.bystander.frame(PING, b"?");
        self.bystander.expect(PONG, b"?");
        let fd = self.bystander_fd;
        assert!(self.live.ask(move |server| server.is_established(fd)));
        still_serving(&self.live);
        drop(self.bystander);
        self.live.until_empty();
        assert_eq!(self.live.ask(|server| server.usage()), swio::Usage::default());
        self.live.stop();
    }
}

#[test]
fn a_panic_in_on_open_closes_with_1011_and_on_close_runs() {
    let scene = Scene::start(|builder| {
        builder.on_open(|server, request| {
            if request.path() == "/bad" {
                server.push(request.fd, "so far so good").ok();
                panic!("no {}", "way");
            }
        })
    });
    let mut client = scene.live.client();
    client.send(UPGRADE.replacen("/", "/bad", 1));
    client.expect_101();
    client.expect_text("so far so good");
    assert_eq!(client.expect_close(1011), "internal error");
    drop(client);
    let fd = match scene.events.error() {
        (Some(fd), text) => {
            assert_eq!(text, "on_open panicked: no way");
            fd
        }
        other => panic!("{other:?}"),
    };
    let (closed, reason) = scene.events.close();
    assert_eq!((closed, reason.by, reason.code, reason.cause), (fd, Side::Local, 1011, Cause::Panic));
    scene.end();
}

#[test]
fn a_panic_in_on_message_closes_with_1011_and_nothing_more_is_delivered() {
    let scene = Scene::start(|builder| {
        builder.on_message(|server, frame| {
            assert!(frame.data.as_str() != Some("bad"), "boom");
            server.push(frame.fd, frame.data).ok();
        })
    });
    let mut client = scene.live.open();
    let fd = scene.events.open();
    let messages = ["good", "bad", "never seen"].map(|text| masked(FIN | TEXT, text.as_bytes()));
    client.send(messages.concat());
    client.expect_text("good");
    assert_eq!(client.expect_close(1011), "internal error");
    drop(client);
    scene.expect_error(Some(fd), "on_message panicked: boom");
    let (closed, reason) = scene.events.close();
    assert_eq!((closed, reason.by, reason.code, reason.cause), (fd, Side::Local, 1011, Cause::Panic));
    scene.end();
}

#[test]
fn a_panic_in_on_close_is_told_and_the_connection_is_gone() {
    let scene = Scene::start(|builder| builder.on_close(|_, _, reason| assert!(reason.code != 4000, "boom")));
    let mut client = scene.live.open();
    client.close(4000, "");
    client.expect_close(4000);
    drop(client);
    scene.expect_error(None, "on_close panicked: boom");
    scene.live.until("it is gone", |server| (server.usage().connections == 1).then_some(()));
    scene.end();
}

#[test]
fn a_panic_in_on_request_is_answered_with_500() {
    let scene = Scene::start(|builder| {
        builder.on_request(|_, request| match request.path() {
            "/bad" => panic!("boom"),
            // What the server itself refuses to put on the wire.
            "/forged" => Response::new(200).header("X", "a\r\nSet-Cookie: b"),
            _ => Response::html("fine"),
        })
    });
    let mut client = scene.live.client();
    client.send("GET /bad HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.answer().status, 500);
    client.expect_fin();
    scene.expect_error(Fd::from_u64(2), "on_request panicked: boom");
    let mut client = scene.live.client();
    client.send("GET /forged HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("Set-Cookie")), (500, None));
    drop(client);
    scene.end();
}

#[test]
fn a_panic_in_on_handshake_is_answered_with_500_and_opens_nothing() {
    let scene = Scene::start(|builder| {
        builder.on_handshake(|_, request| {
            assert!(request.path() != "/bad", "boom");
            Handshake::accept()
        })
    });
    let mut client = scene.live.client();
    client.send(UPGRADE.replacen("/", "/bad", 1));
    assert_eq!(client.answer().status, 500);
    client.expect_fin();
    drop(client);
    scene.expect_error(Fd::from_u64(2), "on_handshake panicked: boom");
    scene.live.until("it is gone", |server| (server.usage().connections == 1).then_some(()));
    assert_eq!(scene.events.rest(), []);
    scene.end();
}

#[test]
fn a_panic_in_on_error_itself_is_survived() {
    let scene = Scene::start(|builder| {
        builder.on_message(|_, _| panic!("first")).on_error(|_, _, fault| panic!("second, about {fault}"))
    });
    let mut client = scene.live.open();
    client.text("hello");
    client.expect_close(1011);
    drop(client);
    let mut client = scene.live.open();
    client.send([0xff]);
    client.expect_close(1002);
    drop(client);
    scene.end();
}

#[test]
fn a_panic_in_a_timer_ends_that_timer_only() {
    let scene = Scene::start(|builder| builder);
    let (sender, ticks) = std::sync::mpsc::channel();
    scene.live.ask(move |server| {
        server.after(Duration::from_millis(1), |_| panic!("once"));
        server.every(Duration::from_millis(1), |_, _| panic!("every"));
        let mut count = 0;
        server.every(Duration::from_millis(2), move |_, _| {
            count += 1;
            sender.send(count).ok();
        })
    });
    let mut texts = [scene.events.error().1, scene.events.error().1];
    texts.sort();
    assert_eq!(texts, ["a timer panicked: every", "a timer panicked: once"]);
    for count in 1..=5 {
        assert_eq!(ticks.recv_timeout(DEADLINE), Ok(count));
    }
    assert_eq!(scene.live.ask(|server| server.usage().timers), 1);
    assert_eq!(scene.events.rest(), []);
    // One timer runs on, so the usual end does not fit.
    still_serving(&scene.live);
    drop(scene.bystander);
    scene.live.stop();
}

#[test]
fn a_panic_in_a_closure_of_handle_run_is_told() {
    let scene = Scene::start(|builder| builder);
    scene.live.handle.run(|_| panic!("boom")).expect("the server takes mail");
    scene.expect_error(None, "a closure given to Handle::run panicked: boom");
    scene.end();
}

#[test]
fn a_panic_whose_payload_is_no_text_is_survived() {
    let scene = Scene::start(|builder| builder.on_message(|_, _| std::panic::panic_any(7)));
    let mut client = scene.live.open();
    let fd = scene.events.open();
    client.text("hello");
    client.expect_close(1011);
    scene.expect_error(Some(fd), "on_message panicked: (no text)");
    drop(client);
    scene.end();
}

/// Panics when it is dropped, and what it panics with does so again.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::panic_any(Bomb);
    }
}

#[test]
fn a_panic_whose_payload_panics_when_dropped_costs_nobody_else_anything() {
    let scene = Scene::start(|builder| builder.on_message(|_, _| std::panic::panic_any(Bomb)));
    for _ in 0..3 {
        let mut client = scene.live.open();
        let fd = scene.events.open();
        client.text("hello");
        assert_eq!(client.expect_close(1011), "internal error");
        scene.expect_error(Some(fd), "on_message panicked: (no text)");
    }
    scene.live.handle.run(|_| std::panic::panic_any(Bomb)).expect("the server takes mail");
    scene.expect_error(None, "a closure given to Handle::run panicked: (no text)");
    scene.end();
}

#[test]
fn a_panic_of_on_error_whose_payload_panics_when_dropped_is_survived() {
    let scene = Scene::start(|builder| {
        builder.on_message(|_, _| panic!("first")).on_error(|_, _, _| std::panic::panic_any(Bomb))
    });
    let mut client = scene.live.open();
    client.text("hello");
    client.expect_close(1011);
    drop(client);
    scene.end();
}

/// Panics, with a text, when it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("the pin is out");
    }
}

impl Grenade {
    fn hold(&self) {}
}

#[test]
fn a_timer_that_panics_when_its_closure_is_dropped_costs_nobody_else_anything() {
    let scene = Scene::start(|builder| builder);
    let tick = Duration::from_millis(1);
    // Cancelled from within.
    let grenade = Grenade;
    scene.live.ask(move |server| {
        server.every(tick, move |server, own| {
            grenade.hold();
            assert!(server.cancel(own));
        })
    });
    scene.expect_error(None, "a timer's end panicked: the pin is out");
    // Ended by its own panic.
    let grenade = Grenade;
    scene.live.ask(move |server| {
        server.every(tick, move |_, _| {
            grenade.hold();
            panic!("boom");
        })
    });
    scene.expect_error(None, "a timer panicked: boom");
    scene.expect_error(None, "a timer's end panicked: the pin is out");
    // Cancelled by somebody else, before it ever ran.
    let grenade = Grenade;
    let timer = scene.live.ask(move |server| server.every(DEADLINE, move |_, _| grenade.hold()));
    let cancel = move |server: &mut Server| {
        server.cancel(timer);
    };
    scene.live.handle.run(cancel).expect("the server takes mail");
    scene.expect_error(None, "a closure given to Handle::run panicked: the pin is out");
    // Those that come once are dropped by their call.
    let grenade = Grenade;
    scene.live.ask(move |server| server.after(tick, move |_| grenade.hold()));
    scene.expect_error(None, "a timer panicked: the pin is out");
    assert_eq!(scene.events.rest(), []);
    // Timers go on as before.
    scene.live.after(tick).recv_timeout(DEADLINE).expect("a timer");
    scene.live.until("all timers are gone", |server| (server.usage().timers == 0).then_some(()));
    scene.end();
}

/// A handler that panics wherever it is told to.
struct Fragile(std::sync::mpsc::Sender<String>);

impl Handler for Fragile {
    fn on_open(&mut self, server: &mut Server, _request: &Request<'_>) {
        server.timer(Duration::from_millis(1));
    }

    fn on_timer(&mut self, _server: &mut Server, _timer: TimerId) {
        panic!("boom");
    }

    fn on_error(&mut self, _server: &mut Server, fd: Option<Fd>, fault: &Fault) {
        assert_eq!(fd, None);
        self.0.send(fault.to_string()).ok();
    }
}

#[test]
fn a_panic_in_on_timer_is_told_to_the_handler() {
    let (sender, errors) = std::sync::mpsc::channel();
    let live = Live::start(Server::builder().handler(move || Fragile(sender.clone())));
    let mut client = live.open();
    assert_eq!(errors.recv_timeout(DEADLINE).as_deref(), Ok("on_timer panicked: boom"));
    client.frame(PING, b"?");
    client.expect(PONG, b"?");
    assert_eq!(live.ask(|server| server.usage().timers), 0);
}

#[test]
fn many_panics_in_a_row_cost_only_those_who_asked_for_them() {
    let scene = Scene::start(|builder| builder.on_message(|_, _| panic!("boom")));
    for _ in 0..100 {
        let mut client = scene.live.open();
        client.text("hello");
        client.expect_close(1011);
    }
    scene.live.until("they are gone", |server| (server.usage().connections == 1).then_some(()));
    assert_eq!(scene.events.check_pairs(), 100);
    scene.end();
}
