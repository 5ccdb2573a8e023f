//! What was pushed to one simulated client, and what of it a client may get: everything in order, but for what may be
//! dropped or replaced by something newer.

use super::script::HANDSHAKE;
use crate::codec::ws::Opcode;
use crate::net::reactor::Ready;
use crate::net::stream::Stream;
use crate::sim::{self, wire};
use crate::{Fd, PushError, Server, SlowConsumer};
use mio::Token;
use std::collections::HashMap;
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    /// Under `SlowConsumer::DropOldest`.
    MayBeDropped,
    /// Only the latest of its key has to arrive; it may be where an earlier one was.
    Latest(u64),
}

/// Accepted pushes, in order. Those that are not kept at any price have contents that no other has.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    accepted: Vec<(Opcode, Vec<u8>, Fate)>,
    /// Those from here on may have been too many: then the connection ends.
    doubtful: Option<usize>,
    /// By a policy that lets the connection live.
    pub(super) refused: u64,
}

impl Pushes {
    pub(super) fn accept(&mut self, opcode: Opcode, data: Vec<u8>, fate: Fate) {
        self.accepted.push((opcode, data, fate));
    }

    /// Of what is accepted from now on only the beginning may arrive.
    pub(super) fn doubt(&mut self) {
        self.doubtful = Some(self.accepted.len());
    }

    /// Accepted and refused ones.
    pub(super) fn count(&self) -> u64 {
        self.accepted.len() as u64 + self.refused
    }

    pub(super) fn arrivals(&self) -> Arrivals<'_> {
        let unique = self.accepted.iter().enumerate().filter(|(_, (.., fate))| *fate != Fate::Kept);
        Arrivals {
            pushes: self,
            unique: unique.map(|(number, (_, data, _))| (&**data, number)).collect(),
            next: 0,
            latest: HashMap::new(),
            count: 0,
        }
    }

    fn fate(&self, number: usize) -> Fate {
        self.accepted[number].2
    }

    /// Whether one that must arrive is among these.
    fn keeps(&self, numbers: std::ops::Range<usize>) -> bool {
        let certain = numbers.start..numbers.end.min(self.doubtful.unwrap_or(usize::MAX));
        certain.into_iter().any(|number| self.fate(number) == Fate::Kept)
    }
}

/// What a client got so far.
pub(super) struct Arrivals<'a> {
    pushes: &'a Pushes,
    unique: HashMap<&'a [u8], usize>,
    /// What was pushed before this and may not be replaced has arrived or never will.
    next: usize,
    /// Of each key.
    latest: HashMap<u64, usize>,
    pub(super) count: u64,
}

impl Arrivals<'_> {
    /// One came, as what is not known where the way does not tell.
    pub(super) fn take(&mut self, opcode: impl Into<Option<Opcode>>, data: &[u8]) {
        let opcode = opcode.into();
        self.count += 1;
        let pushes = self.pushes;
        let Some(&number) = self.unique.get(data) else {
            let kept = (self.next..pushes.accepted.len()).find(|number| pushes.fate(*number) == Fate::Kept);
            let number = kept.expect("no more was pushed");
            let (expected, bytes, _) = &pushes.accepted[number];
            assert_eq!(data, &**bytes, "push {number}");
            assert!(opcode.is_none_or(|opcode| opcode == *expected), "push {number}");
            self.next = number + 1;
            return;
        };
        assert!(opcode.is_none_or(|opcode| opcode == pushes.accepted[number].0), "push {number}");
        assert!(number >= self.next, "push {number} came after a later one");
        if let Fate::Latest(key) = pushes.fate(number) {
            // Where the first of its key was that had not arrived, at the earliest.
            let after = self.latest.insert(key, number).map_or(0, |earlier| earlier + 1);
            assert!(number >= after, "push {number} came after a later one of its key");
            let first = (after..=number).find(|other| pushes.fate(*other) == Fate::Latest(key));
            assert!(
                !pushes.keeps(self.next..first.expect("itself").max(self.next)),
                "push {number} overtook"
            );
        } else {
            assert!(!pushes.keeps(self.next..number), "push {number} overtook");
            self.next = number + 1;
        }
    }

    /// After a clean end nothing is missing that had to arrive.
    pub(super) fn check_complete(&self) {
        let pushes = self.pushes;
        assert!(!pushes.keeps(self.next..pushes.accepted.len()), "lost at a clean close");
        let last = |(number, (.., fate)): (usize, &(Opcode, Vec<u8>, Fate))| match fate {
            Fate::Latest(key) => Some((*key, number)),
            _ => None,
        };
        let latest: HashMap<u64, usize> = pushes.accepted.iter().enumerate().filter_map(last).collect();
        assert_eq!(self.latest, latest, "the latest of a key was lost at a clean close");
    }
}

#[test]
fn what_finds_the_memory_of_all_outboxes_full_is_counted_as_dropped() {
    let builder = Server::builder().configure(|config| {
        config.outbox_bytes_max = 30_000;
        config.outboxes_bytes_max = 60_000;
        config.slow_consumer = SlowConsumer::DropNewest;
    });
    let mut reactor = builder.simulate().expect("a valid configuration");
    let mut open = || -> Fd {
        let (stream, number) = sim::socket();
        reactor.admit(Stream::Sim(stream), 0, None);
        let fd = wire(number, |wire| {
            wire.readable.extend(HANDSHAKE);
            wire.room = 1 << 20;
            wire.fd.expect("the table has room")
        });
        let token = Token(fd.to_u64() as usize);
        let ready = Ready { token, readable: true, writable: false, read_closed: false, error: false };
        reactor.turn(Instant::now(), [ready].into_iter());
        // From now on it takes nothing, which nobody knows yet.
        wire(number, |wire| wire.room = 0);
        fd
    };
    let fds = [open(), open(), open()];
    let server = &mut reactor.app.server;
    let results = fds.map(|fd| server.push(fd, vec![0; 25_000]));
    assert_eq!(results, [Ok(()), Ok(()), Err(PushError::Full)]);
    let dropped = fds.map(|fd| server.client_info(fd).expect("it lives on").lost.dropped);
    assert_eq!(dropped, [0, 0, 1]);
}
