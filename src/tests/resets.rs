//! A connection that is reset at every read and write of its opening: whoever was told that it is open is told that it
//! has closed. With simulated sockets, and a batch that is written out early.

use super::script::HANDSHAKE;
use crate::net::App as _;
use crate::net::reactor::Ready;
use crate::net::stream::Stream;
use crate::sim::{self, wire};
use crate::{Response, Server};
use mio::Token;
use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Instant;

const PAGE: &[u8] = b"GET /page HTTP/1.1\r\nHost: sim\r\n\r\n";
const STREAM: &[u8] = b"GET /?swio=stream HTTP/1.1\r\nHost: sim\r\nAccept: text/event-stream\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Opened,
    Closed,
    /// It was never open.
    Disconnected,
}

/// What is told of a connection that asks for a page and then to be opened, and is reset by the `calls`-th read or
/// write; the batch has so much room.
fn told(calls: u32, opening: &[u8], batch: usize) -> Vec<Told> {
    sim::forget_all();
    let (sender, told) = mpsc::channel();
    let [open, close, disconnect] = [sender.clone(), sender.clone(), sender];
    let builder = Server::builder()
        .configure(|config| config.event_streams = true)
        .on_request(|_, _| Response::text(200, "a page"))
        .on_open(move |server, request| {
            open.send(Told::Opened).expect("the test waits");
            server.push(request.fd, "x".repeat(200)).ok();
            let written = server.push(request.fd, "x".repeat(200));
            assert!(written.is_err() || server.exists(request.fd), "written to what is dead");
        })
        .on_close(move |_, _, _| close.send(Told::Closed).expect("the test waits"))
        .on_disconnect(move |_, _, _| disconnect.send(Told::Disconnected).expect("the test waits"));
    let mut reactor = builder.simulate().expect("a valid configuration");
    reactor.app.connections().limit_batch(batch);
    let (stream, number) = sim::socket();
    reactor.admit(Stream::Sim(stream), 0, None);
    let fd = wire(number, |wire| {
        wire.readable.extend([PAGE, opening].concat());
        (wire.room, wire.resets_in) = (1 << 20, Some(calls));
        wire.fd.expect("admitted")
    });
    let token = Token(fd.to_u64() as usize);
    let ready = Ready { token, readable: true, writable: true, read_closed: false, error: false };
    for _ in 0..2 {
        reactor.turn(Instant::now(), [ready].into_iter());
    }
    wire(number, |wire| wire.reset = true);
    reactor.turn(Instant::now(), [ready].into_iter());
    assert!(wire(number, |wire| wire.closed), "it is closed");
    told.try_iter().collect()
}

#[test]
fn a_connection_that_is_reset_while_it_opens_was_open_or_was_not() {
    for opening in [HANDSHAKE, STREAM] {
        let mut missed = BTreeSet::new();
        for (calls, batch) in (0..8).flat_map(|calls| (0..600).step_by(50).map(move |batch| (calls, batch))) {
            let told = told(calls, opening, batch);
            let is_pair = matches!(told[..], [Told::Opened, Told::Closed] | [Told::Disconnected]);
            assert!(is_pair, "call {calls}, batch of {batch}: {told:?}");
            if told == [Told::Disconnected] {
                missed.insert(calls);
            }
        }
        // The read, and what is written to make room for the answer that opens it.
        assert!(missed.is_superset(&BTreeSet::from([0, 1])) && !missed.contains(&7), "{missed:?}");
    }
}

/// What was queued for a connection goes with it, though others of its turn are still written.
#[test]
fn nothing_is_written_to_a_connection_that_was_reset() {
    sim::forget_all();
    let mut reactor = Server::builder().simulate().expect("a valid configuration");
    let (stream, number) = sim::socket();
    reactor.admit(Stream::Sim(stream), 0, None);
    let fd = wire(number, |wire| {
        wire.readable.extend(HANDSHAKE);
        wire.room = 1 << 20;
        wire.fd.expect("admitted")
    });
    let token = Token(fd.to_u64() as usize);
    let ready = Ready { token, readable: true, writable: true, read_closed: false, error: false };
    reactor.turn(Instant::now(), [ready].into_iter());
    let written = wire(number, |wire| wire.written.len());
    let server = &mut reactor.app.server;
    server.push(fd, "never sent").expect("there is room");
    assert!(server.reset(fd));
    reactor.app.connections().limit_batch(0);
    reactor.app.server.broadcast("for those who are here").send();
    reactor.turn(Instant::now(), std::iter::empty());
    assert_eq!(wire(number, |wire| (wire.written.len(), wire.closed)), (written, true));
}
