//! What the simulation's handler does to single connections beside pushing, and what it must be told in pairs: pauses,
//! answers that are given later, full and empty buffers.

use super::Random;
use super::script::HANDSHAKE;
use crate::net::connection::Flags;
use crate::net::limits::BATCH_BYTES_MAX;
use crate::net::reactor::Ready;
use crate::net::stream::Stream;
use crate::sim::{self, wire};
use crate::{Fd, Response, Server};
use mio::Token;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub(super) struct Controls {
    random: Random,
    paused: BTreeSet<Fd>,
    full: BTreeSet<Fd>,
    pauses: u64,
    late_answers: u64,
    /// Deliveries of what went to many, to sockets that are not blocked, and how many of those have outboxes.
    fanned_out: u64,
    needless_outboxes: u64,
}

impl Controls {
    pub(super) fn new(seed: u64) -> Controls {
        let random = Random::new(!seed);
        Controls {
            random,
            paused: BTreeSet::new(),
            full: BTreeSet::new(),
            pauses: 0,
            late_answers: 0,
            fanned_out: 0,
            needless_outboxes: 0,
        }
    }

    /// Pauses, and late answers.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.pauses, self.late_answers)
    }

    pub(super) fn outboxes(&self) -> (u64, u64) {
        (self.fanned_out, self.needless_outboxes)
    }

    /// Something that went to many was queued for a connection.
    pub(super) fn fanned_out(&mut self, server: &Server, fd: Fd) {
        let connections = &server.sessions.connections;
        let Some(connection) = connections.get(fd) else { return };
        // Where there is less room for a turn's output, much of it waits in outboxes.
        let has_room = connections.limits.batch_bytes_max >= BATCH_BYTES_MAX;
        if has_room && !connection.flags.has(Flags::BLOCKED) {
            self.fanned_out += 1;
            self.needless_outboxes += u64::from(connection.outbox.is_some());
        }
    }

    /// Pauses a connection for a while, or for no time at all.
    pub(super) fn pause(controls: &Rc<RefCell<Controls>>, server: &mut Server, fd: Fd) {
        let mut own = controls.borrow_mut();
        if server.pause(fd) {
            own.pauses += 1;
            assert!(own.paused.insert(fd), "{fd}: paused twice");
        }
        let millis = own.random.below(3_000);
        if own.random.chance(30) {
            return own.resume(server, fd);
        }
        drop(own);
        let controls = controls.clone();
        server.after(Duration::from_millis(millis), move |server| controls.borrow_mut().resume(server, fd));
    }

    fn resume(&mut self, server: &mut Server, fd: Fd) {
        // One that is ending resumes by itself.
        if server.resume(fd) {
            assert!(self.paused.remove(&fd), "{fd}: was not paused");
        } else {
            self.paused.remove(&fd);
        }
    }

    /// A message is delivered.
    pub(super) fn check_read(&self, fd: Fd) {
        assert!(!self.paused.contains(&fd), "{fd}: a message in a pause");
    }

    /// Whether this answer is given later: at the end of the turn, in a while, too late, never.
    pub(super) fn answer_later(
        &mut self,
        server: &mut Server,
        answer: impl FnOnce(&mut Server) + 'static,
    ) -> bool {
        match self.random.below(20) {
            0..2 => server.defer(answer),
            2..5 => drop(server.after(Duration::from_millis(self.random.below(2_000)), answer)),
            5 => drop(server.after(Duration::from_secs(15), answer)),
            6 => {}
            _ => return false,
        }
        self.late_answers += 1;
        true
    }

    pub(super) fn is_paused(&self, fd: Fd) -> bool {
        self.paused.contains(&fd)
    }

    pub(super) fn filled(&mut self, fd: Fd) {
        assert!(self.full.insert(fd), "{fd}: full twice");
    }

    pub(super) fn emptied(&mut self, fd: Fd) {
        assert!(self.full.remove(&fd), "{fd}: emptied and was not full");
    }

    pub(super) fn closed(&mut self, fd: Fd) {
        self.paused.remove(&fd);
        self.full.remove(&fd);
    }
}

#[test]
fn a_buffer_that_was_full_of_http_is_full_for_the_websocket_too() {
    let (sender, told) = mpsc::channel();
    let full = sender.clone();
    let builder = Server::builder()
        .configure(|config| {
            config.buffer_high_watermark = Some(1_000);
            // Under the policy to close, the handshake would wait until the page is read.
            config.slow_consumer = crate::SlowConsumer::DropNewest;
        })
        .on_request(|_, _| Response::text(200, "x".repeat(5_000)))
        .on_buffer_full(move |_, _| full.send("full").expect("the test waits"))
        .on_buffer_empty(move |_, _| sender.send("empty").expect("the test waits"));
    let mut reactor = builder.simulate().expect("a valid configuration");
    let (stream, number) = sim::socket();
    reactor.admit(Stream::Sim(stream), 0, None);
    let fd = wire(number, |wire| wire.fd).expect("the table has room");
    let mut turn = |bytes: &[u8], room| {
        wire(number, |wire| {
            wire.readable.extend(bytes);
            wire.room = room;
        });
        let (readable, writable) = (!bytes.is_empty(), room > 0);
        let token = Token(fd.to_u64() as usize);
        let ready = Ready { token, readable, writable, read_closed: false, error: false };
        reactor.turn(Instant::now(), [ready].into_iter());
        reactor.turn(Instant::now(), std::iter::empty());
        told.try_iter().collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(turn(b"GET / HTTP/1.1\r\nHost: sim\r\n\r\n", 0), none);
    assert_eq!(turn(HANDSHAKE, 0), ["full"]);
    assert_eq!(turn(b"", 1 << 20), ["empty"]);
}
