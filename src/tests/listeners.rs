//! What is kept of the listener that a connection came in by, and for how long.

use super::script::HANDSHAKE;
use crate::net::App as _;
use crate::net::reactor::Ready;
use crate::net::stream::Stream;
use crate::session::Sessions;
use crate::sim::{self, wire};
use crate::{ListenOptions, Server};
use mio::Token;
use std::time::Instant;

#[test]
fn a_listener_is_noted_while_its_connections_speak_http_and_only_where_it_has_options() {
    let limited = ListenOptions::new("nowhere").message_bytes_max(10);
    let mut reactor = Server::builder().listen("nowhere").listen(limited).simulate().expect("valid");
    let listener = reactor.app.server.sessions.paths.listener(0).number() as u16;
    let mut connect = |listener: u16, bytes: &[u8]| {
        let (stream, number) = sim::socket();
        reactor.admit(Stream::Sim(stream), listener, None);
        let fd = wire(number, |wire| wire.fd).expect("the table has room");
        let is_noted =
            |sessions: &Sessions| sessions.connections.note(fd).is_some_and(|note| note.listener.is_some());
        let noted = is_noted(&reactor.app.server.sessions);
        wire(number, |wire| {
            wire.room = 1 << 20;
            wire.readable.extend(bytes);
            wire.fin = bytes.is_empty();
        });
        let token = Token(fd.to_u64() as usize);
        let ready = Ready { token, readable: true, writable: true, read_closed: false, error: false };
        reactor.turn(Instant::now(), [ready].into_iter());
        reactor.turn(Instant::now(), std::iter::empty());
        let sessions = &reactor.app.server.sessions;
        (noted, is_noted(sessions), sessions.policy(sessions.limits_route(fd)).message_bytes_max)
    };
    let all = crate::Config::default().message_bytes_max;
    assert_eq!(connect(0, b"GET "), (false, false, all));
    assert_eq!(connect(listener, HANDSHAKE), (true, false, 10));
    // One that ends, and one that goes on.
    assert_eq!(connect(listener, b""), (true, false, all));
    assert_eq!(connect(listener, b"GET "), (true, true, 10));
    assert_eq!(reactor.app.connections().len(), 3);
}
