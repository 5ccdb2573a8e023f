//! One message to many: in several forms at once, by way of a batch that is too small for them, and not to those who
//! are left out.

use super::Random;
use super::script::HANDSHAKE;
use crate::codec::ws::{Opcode, header};
use crate::net::App as _;
use crate::net::reactor::{Reactor, Ready};
use crate::net::stream::Stream;
use crate::server::dispatch::Dispatch;
use crate::sim::{self, wire};
use crate::{Envelope, Fd, Handshake, Message, Packets, Reach, Server};
use mio::Token;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A client that takes whatever it is sent.
struct Member {
    fd: Fd,
    wire: u32,
    form: usize,
    expected: Vec<u8>,
}

/// Puts the payload in brackets, and counts how often it is asked.
struct Brackets(Rc<Cell<usize>>);

impl Envelope for Brackets {
    fn encode(&self, message: &Message<'_>, out: &mut Packets<'_>) {
        self.0.set(self.0.get() + 1);
        out.text("[");
        out.payload(message);
        out.text("]");
    }
}

/// What a member of each form gets: plain, of `swio.1`, in brackets.
fn form(form: usize, payload: &[u8], out: &mut Vec<u8>) {
    match form {
        0 => header::append_frame(out, Opcode::Binary, payload),
        1 => header::append_frame(out, Opcode::Binary, &[b"topic=t\n", payload].concat()),
        _ => {
            header::append_frame(out, Opcode::Text, b"[");
            header::append_frame(out, Opcode::Binary, payload);
            header::append_frame(out, Opcode::Text, b"]");
        }
    }
}

/// So many members of a topic `t`, of all forms in turn; how often the envelope was asked.
fn open(count: usize, forms: usize) -> (Reactor<Dispatch>, Vec<Member>, Rc<Cell<usize>>) {
    sim::forget_all();
    let id = Arc::new(OnceLock::new());
    let chosen = id.clone();
    let builder = Server::builder().configure(|config| config.connections_max = Some(count));
    let builder = builder.on_open(|server, request| {
        server.join(request.fd, "t").expect("there is room");
    });
    let mut reactor = builder
        .on_handshake(move |_, request| match request.header("X-Envelope") {
            Some(_) => Handshake::accept().envelope(*chosen.get().expect("added before")),
            None => Handshake::accept(),
        })
        .simulate()
        .expect("a valid configuration");
    let asked = Rc::new(Cell::new(0));
    id.set(reactor.app.server.add_envelope(Brackets(asked.clone()))).expect("added once");
    let mut members = Vec::new();
    for number in 0..count {
        let (stream, number_of_wire) = sim::socket();
        reactor.admit(Stream::Sim(stream), 0, None);
        let form = number % forms;
        let line: &[u8] = [&b""[..], b"Sec-WebSocket-Protocol: swio.1\r\n", b"X-Envelope: 1\r\n"][form];
        let (head, end) = HANDSHAKE.split_at(HANDSHAKE.len() - 2);
        let fd = wire(number_of_wire, |wire| {
            wire.readable.extend([head, line, end].concat());
            wire.room = usize::MAX;
            wire.fd.expect("the table has room")
        });
        members.push(Member { fd, wire: number_of_wire, form, expected: Vec::new() });
    }
    let ready = members.iter().map(|member| Ready {
        token: Token(member.fd.to_u64() as usize),
        readable: true,
        writable: false,
        read_closed: false,
        error: false,
    });
    reactor.turn(Instant::now(), ready.collect::<Vec<_>>().into_iter());
    assert_eq!(reactor.app.server.member_count("t"), count);
    take_written(&members);
    (reactor, members, asked)
}

fn take_written(members: &[Member]) -> Vec<Vec<u8>> {
    members.iter().map(|member| wire(member.wire, |wire| std::mem::take(&mut wire.written))).collect()
}

#[test]
fn all_forms_arrive_whole_and_in_order_however_small_the_batch_is() {
    for (seed, batch_bytes) in [40, 100, 300, 5_000, 1 << 20].into_iter().enumerate() {
        let (mut reactor, mut members, asked) = open(30, 3);
        reactor.app.connections().limit_batch(batch_bytes);
        let mut random = Random::new(seed as u64);
        for _ in 0..30 {
            let server = &mut reactor.app.server;
            for _ in 0..random.below(6) {
                // Little, more than is copied, more than waits for the end of the turn.
                let len = [0, 30, 30, 30, 200, 4_000, 20_000][random.below(7) as usize];
                let payload = vec![random.below(256) as u8; len];
                asked.set(0);
                let reach = server.publish("t", &payload).send();
                assert_eq!(reach, Reach { queued: 30, ..Reach::default() });
                assert_eq!(asked.get(), 1, "asked for each publish");
                members.iter_mut().for_each(|member| form(member.form, &payload, &mut member.expected));
                if random.chance(30) {
                    // Between them something for one alone.
                    let member = &mut members[random.below(10) as usize * 3];
                    server.push(member.fd, b"alone").expect("it is open");
                    form(0, b"alone", &mut member.expected);
                }
            }
            reactor.turn(Instant::now(), [].into_iter());
            let all_written = take_written(&members);
            for (member, written) in members.iter_mut().zip(all_written) {
                assert!(written == member.expected, "{batch_bytes}: form {}", member.form);
                member.expected.clear();
            }
        }
    }
}

/// A stranger who wants another form costs one encoding more, whatever number of others there is.
#[test]
fn each_form_is_encoded_once_for_all_who_want_it() {
    const PAYLOAD: &[u8] = &[b'x'; 64];
    let queued = |count: usize, forms: usize| {
        let (mut reactor, members, _) = open(count, forms);
        let before = reactor.app.connections().holdings().queued_bytes;
        reactor.app.server.publish("t", PAYLOAD).send();
        let bytes = reactor.app.connections().holdings().queued_bytes - before;
        let expected: usize = (0..forms)
            .map(|number| {
                let mut out = Vec::new();
                form(number, PAYLOAD, &mut out);
                out.len()
            })
            .sum();
        assert_eq!(bytes, expected, "{count} members, {forms} forms");
        drop(members);
    };
    for count in [3, 30, 300] {
        (1..=3).for_each(|forms| queued(count, forms));
    }
}

#[test]
fn who_is_left_out_gets_nothing_however_many_they_are_and_however_often_they_are_named() {
    let (mut reactor, members, _) = open(3_000, 3);
    let mut random = Random::new(7);
    let mut left_out = BTreeSet::new();
    let mut named = Vec::new();
    while left_out.len() < 2_000 {
        let fd = members[random.below(3_000) as usize].fd;
        left_out.insert(fd);
        named.extend(std::iter::repeat_n(fd, 1 + random.below(3) as usize));
    }
    // One that has long gone.
    named.push(Fd::from_u64(0x7777_0000_0001).expect("an fd"));
    let server = &mut reactor.app.server;
    let (some, rest) = named.split_at(1_000);
    let all = some.iter().fold(server.publish("t", b"x"), |all, fd| all.except(*fd));
    assert_eq!(all.except_all(rest.iter().copied()).send().queued, 1_000);
    assert_eq!(server.broadcast(b"x").except_all(named).send().queued, 1_000);
    reactor.turn(Instant::now(), [].into_iter());
    for (member, written) in members.iter().zip(take_written(&members)) {
        assert_eq!(written.is_empty(), left_out.contains(&member.fd), "{}", member.fd);
    }
}

/// The shortest of some runs: what else the machine does only makes it longer.
fn fastest(mut run: impl FnMut()) -> Duration {
    let runs = (0..3).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    runs.min().expect("there were some")
}

#[test]
fn those_who_are_left_out_are_not_looked_through_for_each_receiver() {
    let (mut reactor, members, _) = open(10_000, 1);
    let excepted: Vec<Fd> = members.iter().rev().step_by(2).map(|member| member.fd).collect();
    let all = fastest(|| {
        let reach = reactor.app.server.broadcast(b"x").except_all(excepted.iter().copied()).send();
        assert_eq!(reach.queued, 5_000);
    });
    let looked_through = fastest(|| {
        assert_eq!(members.iter().filter(|member| !excepted.contains(&member.fd)).count(), 5_000);
    });
    assert!(all < looked_through / 3, "{all:?} and {looked_through:?}");
}

/// Whatever order the messages of a turn come in, who reads them needs no memory of its own.
#[test]
fn sockets_that_take_what_they_are_sent_have_no_outboxes() {
    const COUNT: usize = 2_000;
    let (mut reactor, mut members, _) = open(COUNT, 1);
    let kinds: [&[&str]; 6] = [
        &["all", "one", "all"],
        &["all", "each"],
        &["each", "all", "ping"],
        &["all", "one", "all", "one"],
        &["large", "all", "each"],
        // Together more than waits for the end of the turn.
        &["huge", "all", "huge", "each"],
    ];
    for kinds in kinds {
        let server = &mut reactor.app.server;
        for kind in kinds {
            let payload = match *kind {
                "huge" => vec![7; 16_300],
                "large" => vec![7; 1_024],
                kind => kind.as_bytes().to_vec(),
            };
            match *kind {
                "all" | "large" | "huge" => {
                    assert_eq!(server.publish("t", &payload).send().queued, COUNT);
                    members.iter_mut().for_each(|member| form(member.form, &payload, &mut member.expected));
                }
                _ => {
                    let some = if *kind == "one" { 1 } else { COUNT };
                    for member in &mut members[..some] {
                        let opcode = if *kind == "ping" { Opcode::Ping } else { Opcode::Binary };
                        server.push_as(member.fd, opcode, &payload).expect("it is open");
                        match opcode {
                            Opcode::Ping => header::append_frame(&mut member.expected, opcode, &payload),
                            _ => form(member.form, &payload, &mut member.expected),
                        }
                    }
                }
            }
            assert_eq!(server.usage().outboxes, 0, "{kinds:?}: {kind}");
        }
        reactor.turn(Instant::now(), [].into_iter());
        let all_written = take_written(&members);
        for (member, written) in members.iter_mut().zip(all_written) {
            assert!(written == member.expected, "{kinds:?}");
            member.expected.clear();
        }
    }
}
