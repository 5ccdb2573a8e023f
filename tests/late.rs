//! A loop that was busy for longer than a timeout: whoever answered meanwhile has answered in time, and while many are
//! written to, the others are served.

mod common;

use common::*;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use swio::Server;

/// Far more than the kernel reports at a time.
const MANY: usize = 3_000;
const TIMEOUT: Duration = Duration::from_secs(3);

/// Keeps the loop busy for longer than the timeout, and does `meanwhile` in that time.
fn keep_busy(live: &Live, meanwhile: impl FnOnce()) {
    let held = live.hold();
    live.handle.run(|_| thread::sleep(TIMEOUT + TIMEOUT / 4)).expect("the server takes mail");
    meanwhile();
    drop(held);
    // Two turns later everything that was due has been judged.
    live.until("it goes on", |server| (server.turns().longest > TIMEOUT).then_some(()));
}

#[test]
fn who_answered_a_ping_while_the_loop_was_busy_is_there() {
    let live = Live::start(echo().configure(|config| {
        (config.ping_interval, config.pong_timeout) = (Some(TIMEOUT), TIMEOUT);
    }));
    let mut clients: Vec<(TcpStream, bool)> = Vec::new();
    let pong = masked(FIN | PONG, b"");
    let mut buffer = [0; 256];
    // Those that are pinged while others are still opened answer. Then each is pinged once more.
    let mut look = |clients: &mut Vec<(TcpStream, bool)>, answers: bool| {
        for (stream, is_pinged) in clients {
            match stream.read(&mut buffer) {
                Ok(len) => {
                    assert_eq!((len % 10, buffer[0]), (0, FIN | PING), "nothing but pings comes");
                    *is_pinged = !answers;
                    if answers {
                        stream.write_all(&pong).expect("room");
                    }
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    };
    while clients.len() < MANY {
        let stream = live.open().stream;
        stream.set_nonblocking(true).expect("an option");
        clients.push((stream, false));
        if clients.len().is_multiple_of(300) {
            look(&mut clients, true);
        }
    }
    let patience = Patience::new();
    while clients.iter().any(|(_, is_pinged)| !is_pinged) {
        patience.check("all are pinged");
        look(&mut clients, false);
    }
    keep_busy(&live, || {
        clients.iter_mut().for_each(|(stream, _)| stream.write_all(&pong).expect("room"));
    });
    let gone = clients.iter().filter(|(stream, _)| {
        let mut client = Client::over(stream.try_clone().expect("a socket"));
        client.stream.set_nonblocking(false).expect("an option");
        client.frame(PING, b"?");
        // There may be a ping of the server's own before it.
        loop {
            match client.read_frame().opcode {
                PING => {}
                opcode => break opcode != PONG,
            }
        }
    });
    assert_eq!(gone.count(), 0);
    assert_eq!(live.ask(|server| server.usage().websockets), MANY);
}

#[test]
fn whose_request_came_while_the_loop_was_busy_gets_its_answer() {
    let live = Live::start(
        Server::builder()
            .configure(|config| config.request_timeout = TIMEOUT)
            .on_request(|_, request| swio::Response::text(200, request.path().to_owned())),
    );
    let mut clients: Vec<Client> = (0..MANY).map(|_| live.client()).collect();
    clients.iter_mut().for_each(|client| client.send("GET /late HTTP/1.1\r\nHost: test\r\n"));
    live.until("all are accepted", |server| (server.usage().connections == MANY).then_some(()));
    keep_busy(&live, || clients.iter_mut().for_each(|client| client.send("\r\n")));
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (200, "/late"));
    }
}

#[test]
fn while_many_are_written_to_others_are_served() {
    let live = Live::start(Server::builder().on_message(|server, frame| {
        if frame.data.as_str() == Some("tell all") {
            server.broadcast("told").except(frame.fd).send();
        }
        // How many are still to be written to.
        server.push(frame.fd, server.usage().pending.to_string()).ok();
    }));
    let mut members: Vec<Client> = (0..5_000).map(|_| live.open()).collect();
    let mut teller = live.open();
    teller.text("tell all");
    let (mut answers, mut newcomers) = (Vec::<usize>::new(), Vec::new());
    teller.read_frame();
    while answers.last() != Some(&0) {
        let mut newcomer = live.open();
        newcomer.text("how many?");
        answers.push(
            String::from_utf8(newcomer.read_frame().payload)
                .ok()
                .and_then(|text| text.parse().ok())
                .expect("a number"),
        );
        newcomers.push(newcomer);
    }
    assert!(answers[0] > 1_000, "who came then was served while they were written to: {answers:?}");
    members.iter_mut().for_each(|member| member.expect_text("told"));
}
