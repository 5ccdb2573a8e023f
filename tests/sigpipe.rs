//! A program that embeds a server may leave SIGPIPE at its default, which ends the program: writing to a client that is
//! gone must not raise it. A process of its own, because what a signal does is set for all of it.

mod common;

use common::*;
use signal_hook::consts::SIGPIPE;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use swio::Server;

#[test]
fn writing_to_a_client_that_is_gone_raises_no_signal() {
    let raised = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGPIPE, raised.clone()).expect("a signal that can be caught");
    // Small ones leave together at the end of the turn, large ones at once, and those behind a full socket later.
    for len in [10, 1_000, 200_000] {
        let (builder, events) = recorded();
        let live = Live::start(builder);
        let client = live.open();
        let fd = events.open();
        live.ask(move |server: &mut Server| {
            drop(client);
            for _ in 0..50 {
                server.push(fd, vec![b'x'; len].as_slice()).ok();
                server.push(fd, vec![b'x'; len]).ok();
            }
        });
        assert_eq!(events.close().0, fd);
    }
    assert!(!raised.load(Ordering::Relaxed), "SIGPIPE");
}
