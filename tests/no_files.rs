//! A process that may open no more files: waiting connections are accepted when there is room again. A test binary of
//! its own, because the limit is the whole process's.

#![cfg(target_os = "linux")]

mod common;

use common::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::os::fd::AsRawFd as _;

/// All numbers below are in use.
fn lowest_free_file() -> u64 {
    let file = File::open("/dev/null").expect("a file");
    u64::try_from(file.as_raw_fd()).expect("a number")
}

/// The process may open files with numbers below this.
fn limit(current: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("a lower limit is always allowed");
}

#[test]
fn when_no_files_are_left_those_who_wait_are_accepted_later() {
    let before = getrlimit(Resource::Nofile).current;
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut first = live.open();
    events.open();
    // They are connected, as the kernel sees it, but the server can't accept them.
    let held = live.hold();
    let mut waiting: Vec<Client> = (0..20).map(|_| live.client()).collect();
    limit(Some(lowest_free_file()));
    drop(held);
    for client in &mut waiting {
        client.send(UPGRADE);
    }
    let (fd, text) = events.error();
    assert_eq!(fd, None);
    assert!(text.starts_with("accept failed"), "{text}");
    // Meanwhile the others are served.
    first.frame(PING, b"?");
    first.expect(PONG, b"?");
    // Room for some comes from clients that give up, and for all of them with the limit.
    drop(waiting.drain(..10));
    let first_accepted = live.until("some are accepted", |server| {
        let count = server.usage().connections;
        (count > 1).then_some(count)
    });
    assert!(first_accepted <= 21);
    limit(before);
    for client in &mut waiting {
        client.expect_101();
        client.frame(PING, b"?");
        client.expect(PONG, b"?");
    }
    drop(waiting);
    live.until("they are gone", |server| (server.usage().connections == 1).then_some(()));
    // Not one error for each try of a busy loop.
    let errors = events.rest().into_iter().filter(|event| matches!(event, Event::Error(..))).count();
    assert!(errors < 50, "{errors}");
}
