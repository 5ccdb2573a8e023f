//! Slow consumers on every transport in the same scenarios: one that never reads, one that reads very little, one that
//! reads slowly, one that polls and never acknowledges. Each is bounded and told why it ends, and healthy readers of
//! every kind beside it get everything.

mod common;

use common::transports::*;
use common::*;
use std::io::Read as _;
use std::time::Duration;
use swio::{Cause, Fd, PushError, Side, SlowConsumer, Status};

const LIMIT: usize = 256 << 10;
const LEN: usize = 16 << 10;

/// A text that begins with its number.
fn numbered(number: usize) -> String {
    format!("{number:06}{}", "x".repeat(LEN - 6))
}

/// The number of a whole message.
fn number(seen: &Seen) -> usize {
    let Seen::Text(text) = seen else { panic!("{seen:?} instead of a message") };
    let number = text.get(..6).and_then(|digits| digits.parse().ok()).expect("a number");
    assert!(*text == numbered(number), "{number} is not whole");
    number
}

/// Readers of every kind that take each message at once.
struct Healthy(Vec<(Fd, Reader)>);

impl Healthy {
    fn open(world: &World) -> Healthy {
        Healthy(Kind::ALL.map(|kind| world.open(kind, false)).into())
    }

    fn push(&mut self, world: &World, count: usize) {
        let fds: Vec<Fd> = self.0.iter().map(|(fd, _)| *fd).collect();
        world.live.ask(move |server| {
            let text = numbered(count);
            fds.iter().for_each(|fd| server.push(*fd, text.as_str()).expect("it reads"));
        });
        for (_, reader) in &mut self.0 {
            assert_eq!(number(&reader.next()), count, "{:?}", reader.kind);
        }
    }
}

#[test]
fn who_never_reads_is_closed_and_nobody_else_notices() {
    for kind in Kind::ALL {
        let world = World::start(|config| config.outbox_bytes_max = LIMIT);
        let mut healthy = Healthy::open(&world);
        let (fd, mut slow) = world.open(kind, true);
        let patience = Patience::new();
        let mut pushed = 0;
        while world.live.ask(move |server| server.push(fd, numbered(pushed))) != Err(PushError::Full) {
            patience.check("a full outbox");
            assert!(world.queued(fd) <= LIMIT, "{kind:?}");
            healthy.push(&world, pushed);
            pushed += 1;
        }
        assert!(pushed >= LIMIT / LEN - 1, "{kind:?}: {pushed}");
        assert_eq!(
            world.live.ask(move |server| server.push(fd, "late")),
            Err(PushError::Closing),
            "{kind:?}"
        );
        let status = world.live.ask(move |server| server.client_info(fd).map(|info| info.status));
        assert_eq!(status, Some(Status::Closing), "{kind:?}");
        // What was not begun is given back at once.
        assert!(world.queued(fd) <= LIMIT / 2, "{kind:?}: {} bytes wait", world.queued(fd));
        // After what was on its way, whole and in order, it is told why, where its transport has a way to say so.
        let mut count = 0;
        let end = loop {
            match slow.next() {
                end @ Seen::End(_) => break end,
                message => assert_eq!(number(&message), count, "{kind:?}"),
            }
            count += 1;
        };
        assert!(count < pushed, "{kind:?}: {count} of {pushed}");
        let code = (kind != Kind::Tcp).then_some(1013);
        assert_eq!(end, Seen::End(code), "{kind:?}");
        drop(slow);
        let reason = world.closed(fd);
        assert_eq!(
            (reason.by, reason.code, reason.cause),
            (Side::Local, 1013, Cause::SlowConsumer),
            "{kind:?}"
        );
        healthy.push(&world, pushed);
    }
}

#[test]
fn who_never_reads_at_all_is_cut_off_in_time_and_leaves_nothing() {
    for kind in Kind::ALL {
        let world = World::start(|config| {
            config.outbox_bytes_max = LIMIT;
            config.close_timeout = Duration::from_millis(100);
            (config.poll_hold, config.poll_grace) = (Duration::from_secs(1), Duration::from_millis(100));
        });
        let (fd, slow) = world.open(kind, true);
        let patience = Patience::new();
        while world.live.ask(move |server| server.push(fd, numbered(0))) != Err(PushError::Full) {
            patience.check("a full outbox");
        }
        let reason = world.closed(fd);
        assert_eq!((reason.code, reason.cause), (1013, Cause::SlowConsumer), "{kind:?}");
        // That of who polls would be kept alive for its next request.
        if kind == Kind::LongPolling {
            drop(slow);
        }
        world.live.until_empty();
        assert_eq!(world.live.ask(|server| server.usage()), swio::Usage::default(), "{kind:?}");
    }
}

#[test]
fn what_is_dropped_is_counted_and_what_is_kept_is_whole_and_in_order() {
    for (kind, policy) in Kind::ALL
        .iter()
        .flat_map(|kind| [(*kind, SlowConsumer::DropNewest), (*kind, SlowConsumer::DropOldest)])
    {
        let world = World::start(move |config| {
            config.outbox_bytes_max = LIMIT;
            config.slow_consumer = policy;
        });
        let mut healthy = Healthy::open(&world);
        let (fd, mut slow) = world.open(kind, true);
        let lost = move |server: &mut swio::Server| server.client_info(fd).expect("it stays").lost.dropped;
        let patience = Patience::new();
        let mut pushed = 0;
        while world.live.ask(lost) < 20 {
            patience.check("drops");
            world.live.ask(move |server| server.push(fd, numbered(pushed)).ok());
            assert!(world.queued(fd) <= LIMIT, "{kind:?}");
            pushed += 1;
        }
        let dropped = world.live.ask(lost) as usize;
        healthy.push(&world, 0);
        let kept: Vec<usize> = (0..pushed - dropped).map(|_| number(&slow.next())).collect();
        assert!(kept.is_sorted_by(|a, b| a < b), "{kind:?} {policy:?}: {kept:?}");
        assert_eq!(kept.contains(&(pushed - 1)), policy == SlowConsumer::DropOldest, "{kind:?}");
        // There is room again.
        world.live.ask(move |server| server.push(fd, numbered(pushed))).expect("room");
        assert_eq!(number(&slow.next()), pushed, "{kind:?} {policy:?}");
    }
}

/// More than the kernel holds for a socket.
const MUCH: usize = 450;

/// Its window never opens, so that not even the system sees anything of what it reads.
#[test]
fn who_reads_a_byte_now_and_then_is_given_up() {
    for kind in Kind::ALL {
        let world = World::start(|config| {
            config.ping_interval = Some(Duration::from_millis(300));
            config.pong_timeout = Duration::from_millis(300);
            config.close_timeout = Duration::from_millis(100);
            config.tcp_user_timeout = Some(Duration::from_secs(1));
            (config.poll_hold, config.poll_grace) = (Duration::from_secs(1), Duration::from_millis(100));
        });
        let (fd, mut slow) = world.open(kind, true);
        world
            .live
            .ask(move |server| (0..MUCH).for_each(|count| server.push(fd, numbered(count)).expect("room")));
        slow.ask();
        let patience = Patience::new();
        while world.live.ask(move |server| server.is_established(fd)) {
            patience.check("it is given up");
            slow.client.stream.read_exact(&mut [0]).ok();
            world.live.after(Duration::from_millis(30)).recv_timeout(DEADLINE).expect("a timer");
        }
        let reason = world.closed(fd);
        let (by, code) = (Side::Local, if kind == Kind::LongPolling { 1006 } else { 1001 });
        assert_eq!((reason.by, reason.code, reason.cause), (by, code, Cause::Timeout), "{kind:?}");
        still_serving(&world.live);
    }
}

/// Slower than it is sent to, for many heartbeats, but it can be seen to read.
#[test]
fn who_reads_slowly_gets_everything() {
    for kind in Kind::ALL {
        let world = World::start(|config| {
            config.ping_interval = Some(Duration::from_millis(150));
            // What is with the kernel at the end is read in less.
            config.pong_timeout = Duration::from_secs(4);
            config.tcp_user_timeout = Some(Duration::from_secs(2));
        });
        let (fd, mut slow) = world.open(kind, true);
        world
            .live
            .ask(move |server| (0..MUCH).for_each(|count| server.push(fd, numbered(count)).expect("room")));
        for count in 0..MUCH {
            assert_eq!(number(&slow.next()), count, "{kind:?}");
            if count % 8 == 0 {
                world.live.after(Duration::from_millis(20)).recv_timeout(DEADLINE).expect("a timer");
            }
        }
        world.live.ask(move |server| server.push(fd, numbered(MUCH))).expect("it is there");
        assert_eq!(number(&slow.next()), MUCH, "{kind:?}");
    }
}

/// It gets the same again and again; what it has not acknowledged counts as waiting.
#[test]
fn who_polls_and_never_acknowledges_is_bounded_by_the_policy() {
    for policy in [SlowConsumer::Close, SlowConsumer::DropNewest, SlowConsumer::DropOldest] {
        let world = World::start(move |config| {
            config.outbox_bytes_max = LIMIT;
            config.slow_consumer = policy;
        });
        let mut healthy = Healthy::open(&world);
        let (fd, mut slow) = world.open(Kind::LongPolling, false);
        for count in 0..2 * LIMIT / LEN {
            world.live.ask(move |server| server.push(fd, numbered(count)).ok());
            healthy.push(&world, count);
            let answer = slow.poll_without_acknowledging();
            let first = answer.first().unwrap_or_else(|| panic!("{policy:?}: nothing"));
            assert_eq!(number(first), 0, "{policy:?}");
            let held = world.live.ask(|server| server.usage().outboxes_bytes);
            assert!(held <= LIMIT + (64 << 10) + 8 * LEN, "{policy:?}: {held} bytes");
            if answer.iter().any(|seen| matches!(seen, Seen::End(_))) {
                break;
            }
        }
        if policy == SlowConsumer::Close {
            while slow.next() != Seen::End(Some(1013)) {}
            assert_eq!(world.closed(fd).cause, Cause::SlowConsumer);
        } else {
            assert!(world.live.ask(move |server| server.client_info(fd).expect("it stays").lost.dropped) > 0);
        }
    }
}
