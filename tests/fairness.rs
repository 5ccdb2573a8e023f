//! One loop serves all: busy connections leave the others their turn, and when nothing is to be done, the loop sleeps.

mod common;

use common::*;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use swio::{Response, Server};

/// Does `work` again and again on a thread of its own until this is dropped.
struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    fn with(mut work: impl FnMut() + Send + 'static) -> Busy {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                work();
            }
        });
        Busy { stop, thread: Some(thread) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the busy one failed");
    }
}

fn served_well(live: &Live) {
    let mut client = live.open();
    for number in 0..20 {
        client.text(&number.to_string());
        client.expect_text(&number.to_string());
    }
}

#[test]
fn clients_that_flood_leave_the_others_their_turn() {
    let live = Live::start(Server::builder().on_message(|server, frame| {
        if frame.data.len() < 100 {
            server.push(frame.fd, frame.data).ok();
        }
    }));
    let small: Vec<u8> = masked(FIN | BINARY, &[7; 100]).repeat(1_000);
    let _busy =
        [masked(FIN | BINARY, &[7; 1 << 20]), small, masked(FIN | PONG, b"").repeat(2_000)].map(|bytes| {
            let mut client = live.open();
            Busy::with(move || client.stream.write_all(&bytes).expect("the server reads"))
        });
    served_well(&live);
}

#[test]
fn clients_that_read_as_fast_as_they_can_leave_the_others_their_turn() {
    let page = vec![b'x'; 4 << 20];
    let live = Live::start(echo().on_request(move |_, _| Response::new(200).body(page.clone())));
    let _busy = [(); 2].map(|()| {
        let mut client = live.client();
        Busy::with(move || {
            client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3));
            for _ in 0..3 {
                assert_eq!(client.answer().body.len(), 4 << 20);
            }
        })
    });
    served_well(&live);
}

#[test]
fn clients_that_come_and_go_leave_the_others_their_turn() {
    let live = Live::start(echo());
    let address = live.address;
    let _busy = [(); 2].map(|()| Busy::with(move || Client::open(address).reset()));
    served_well(&live);
}

#[test]
fn a_thread_that_pushes_all_the_time_leaves_the_clients_their_turn() {
    let live = Live::start(echo());
    let handle = live.handle.clone();
    let _busy = Busy::with(move || {
        // Busy is an answer as well.
        handle.run(|_| ()).ok();
    });
    served_well(&live);
}

/// Each kind of connection at rest: none of them may keep the loop awake.
#[test]
fn a_loop_with_nothing_to_do_sleeps() {
    let page = vec![b'x'; 4 << 20];
    let builder = Server::builder()
        .configure(|config| config.linger_timeout = DEADLINE)
        .on_request(move |_, _| Response::new(200).body(page.clone()))
        .on_message(|server, frame| {
            server.push(frame.fd, vec![7; 7 << 20]).ok();
        });
    let mut event_loop = builder.listen("127.0.0.1:0").build().expect("a free port");
    let address = event_loop.addresses()[0];
    let (sender, ready) = mpsc::channel();
    let clients = thread::spawn(move || {
        let silent = Client::connect(address);
        let mut begun = Client::connect(address);
        begun.send("GET / HT");
        let open = Client::open(address);
        let mut partial = Client::open(address);
        partial.send(&masked(TEXT, &[b'x'; 500])[..300]);
        let mut blocked = Client::connect_narrow(address).handshake();
        blocked.text("much, please");
        let mut paused = Client::connect_narrow(address);
        paused.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3));
        let mut half_closed = Client::connect_narrow(address);
        half_closed.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3));
        half_closed.finish();
        let mut lingering = Client::open(address);
        lingering.send([0xff]);
        lingering.expect_close(1002);
        tell(&sender, [silent, begun, open, partial, blocked, paused, half_closed, lingering]);
    });
    let patience = Patience::new();
    let clients_at_rest = loop {
        patience.check("the clients");
        event_loop.poll(Some(Duration::from_millis(5))).expect("a working poller");
        if let Ok(clients) = ready.try_recv() {
            break clients;
        }
    };
    clients.join().expect("a good thread");
    // Let what is on its way arrive.
    let turns_within = |event_loop: &mut swio::EventLoop, millis| {
        let (sender, over) = mpsc::channel();
        event_loop.server().after(Duration::from_millis(millis), move |_| tell(&sender, ()));
        let mut turns = 0;
        while over.try_recv().is_err() {
            event_loop.poll(None).expect("a working poller");
            turns += 1;
        }
        turns
    };
    turns_within(&mut event_loop, 200);
    assert_eq!(event_loop.server().usage().connections, clients_at_rest.len());
    let turns = turns_within(&mut event_loop, 500);
    // The wheel of deadlines turns every 64 ms at most.
    assert!(turns <= 20, "{turns} turns in half a second");
}

#[test]
fn an_empty_loop_sleeps() {
    let mut event_loop = echo().listen("127.0.0.1:0").build().expect("a free port");
    let (sender, over) = mpsc::channel();
    event_loop.server().after(Duration::from_millis(300), move |_| tell(&sender, ()));
    let mut turns = 0;
    while over.try_recv().is_err() {
        event_loop.poll(None).expect("a working poller");
        turns += 1;
    }
    assert!(turns <= 3, "{turns} turns");
}
