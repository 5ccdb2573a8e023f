//! What surrounds the callbacks: building and starting, a host program's own loop, other threads, timers, and handlers
//! with state.

mod common;

use common::*;
use std::cell::RefCell;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use swio::{CloseReason, Fd, Frame, Handler, PushError, Request, Server, TimerId};

// ------------------------------------------------------------------------------------------------ building

#[test]
fn a_server_without_an_address_does_not_start() {
    let error = Server::builder().start().expect_err("no address");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("listen"), "{error}");
}

#[test]
fn an_address_is_no_url() {
    for listen in ["ws://127.0.0.1:9501", "http://127.0.0.1:9501"] {
        let error = Server::builder().listen(listen).start().expect_err(listen).to_string();
        assert!(
            error.starts_with(&format!("can't listen on {listen:?}: write the address without ")),
            "{error}"
        );
        assert!(error.ends_with("://, such as \"127.0.0.1:9501\""), "{error}");
    }
}

#[derive(Default)]
struct Nothing;

impl Handler for Nothing {}

#[test]
fn a_server_with_handler_and_closures_does_not_start() {
    let builder = Server::builder().listen("127.0.0.1:0").handler(Nothing::default).on_message(|_, _| ());
    let error = builder.start().expect_err("both");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("handler"), "{error}");
}

#[test]
fn a_setting_that_can_not_work_is_named() {
    let builder = Server::builder().listen("127.0.0.1:0").configure(|config| config.head_bytes_max = 1);
    let error = builder.start().expect_err("a setting that can't work");
    assert!(error.to_string().contains("head_bytes_max"), "{error}");
}

#[test]
fn an_address_that_can_not_be_bound_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let error = Server::builder().listen(&address).start().expect_err("an address in use");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address), "{error}");
    // An address of nobody's (RFC 5737), and texts that are none.
    for address in ["192.0.2.1:0", "127.0.0.1", "127.0.0.1:notaport", ""] {
        let error = Server::builder().listen(address).start().expect_err("no address of ours");
        assert!(error.to_string().contains(&format!("{address:?}")), "{error}");
    }
}

#[test]
fn an_address_can_be_used_again_right_after_a_server_on_it_ended() {
    let live = Live::start(echo());
    let address = live.address;
    let mut client = live.open();
    client.close(1000, "");
    client.expect_close(1000);
    drop(client);
    live.stop();
    let again = echo().listen(address).start().expect("the address is free again");
    let mut client = Client::open(address);
    client.text("hello");
    client.expect_text("hello");
    drop(client);
    again.handle().shutdown().expect("the server takes mail");
    again.join().expect("a good end");
}

#[test]
fn a_server_listens_on_several_addresses() {
    let running = echo().listen("127.0.0.1:0").listen("127.0.0.2:0").start().expect("free ports");
    let addresses = running.addresses().to_vec();
    assert_eq!(addresses.len(), 2);
    for address in addresses {
        assert_ne!(address.port(), 0);
        let mut client = Client::open(address);
        client.text("hello");
        client.expect_text("hello");
    }
    running.handle().shutdown().expect("the server takes mail");
    running.join().expect("a good end");
}

#[test]
fn what_starts_can_be_printed() {
    let builder = echo().listen("127.0.0.1:0");
    assert!(format!("{builder:?}").contains("127.0.0.1:0"));
    let mut event_loop = builder.build().expect("a free port");
    assert!(format!("{event_loop:?}").contains("127.0.0.1"));
    assert!(!format!("{:?}", event_loop.handle()).is_empty());
    assert!(format!("{:?}", event_loop.server()).contains("websockets: 0"));
}

// ----------------------------------------------------------------------------------------- a host's own loop

#[test]
fn a_host_can_turn_the_loop_itself() {
    let (sender, heard) = mpsc::channel();
    let echo = Server::builder().on_message(move |server, frame| {
        server.push(frame.fd, frame.data).ok();
        sender.send(frame.data.to_string()).ok();
    });
    let mut event_loop = echo.listen("127.0.0.1:0").build().expect("a free port");
    let address = event_loop.addresses()[0];
    let client = thread::spawn(move || {
        let mut client = Client::open(address);
        client.text("hello");
        client.expect_text("hello");
        client.expect_text("from the host");
        client.text("bye");
        client.expect_text("bye");
        client.answer_close(1001);
    });
    let patience = Patience::new();
    let until_heard = |event_loop: &mut swio::EventLoop, text: &str| {
        while heard.try_recv().as_deref() != Ok(text) {
            patience.check(text);
            assert!(event_loop.poll(Some(Duration::from_millis(5))).expect("a working poller"));
        }
    };
    until_heard(&mut event_loop, "hello");
    assert_eq!(event_loop.server().broadcast("from the host").send().queued, 1);
    until_heard(&mut event_loop, "bye");
    event_loop.server().shutdown();
    while event_loop.poll(None).expect("a working poller") {
        patience.check("the end");
    }
    assert!(!event_loop.poll(None).expect("a working poller"), "an ended loop returns at once");
    client.join().expect("a good client");
}

struct Ticked(&'static str, mpsc::Sender<&'static str>);

impl Handler for Ticked {
    fn on_timer(&mut self, _: &mut Server, _: TimerId) {
        self.1.send(self.0).expect("the test waits");
    }
}

#[test]
fn what_a_host_begins_between_two_polls_belongs_to_the_servers_own_handler() {
    let (told, ticks) = mpsc::channel();
    let other = told.clone();
    let mut event_loop = Server::builder()
        .listen("127.0.0.1:0")
        .handler(move || Ticked("own", told.clone()))
        .route("/other", move || Ticked("other", other.clone()))
        .build()
        .expect("a free port");
    event_loop.server().timer(Duration::ZERO);
    let patience = Patience::new();
    let ticked = loop {
        patience.check("the timer");
        event_loop.poll(Some(Duration::from_millis(10))).expect("the poller works");
        if let Ok(ticked) = ticks.try_recv() {
            break ticked;
        }
    };
    assert_eq!(ticked, "own");
}

#[test]
fn poll_returns_after_its_timeout_at_the_latest() {
    let mut event_loop = echo().listen("127.0.0.1:0").build().expect("a free port");
    let begun = Instant::now();
    assert!(event_loop.poll(Some(Duration::from_millis(30))).expect("a working poller"));
    assert!(begun.elapsed() >= Duration::from_millis(29));
    assert!(event_loop.poll(Some(Duration::ZERO)).expect("a working poller"));
}

#[test]
fn mail_wakes_a_host_that_polls_without_a_timeout() {
    let mut event_loop = echo().listen("127.0.0.1:0").build().expect("a free port");
    let handle = event_loop.handle();
    let sender = thread::spawn(move || handle.shutdown());
    let patience = Patience::new();
    while event_loop.poll(None).expect("a working poller") {
        patience.check("the end");
    }
    sender.join().expect("a good thread").expect("the server takes mail");
}

/// What a turn may read is so little that even a handshake takes several of them.
fn short_of_breath(config: &mut swio::Config) {
    config.reads_per_turn_max = 1;
    config.read_buffer_bytes = 64;
}

#[test]
fn a_host_is_told_how_long_it_may_wait() {
    let mut event_loop =
        echo().configure(short_of_breath).listen("127.0.0.1:0").build().expect("a free port");
    let address = event_loop.addresses()[0];
    let turn = |event_loop: &mut swio::EventLoop| {
        assert!(event_loop.poll(Some(Duration::ZERO)).expect("a working poller"));
    };
    turn(&mut event_loop);
    assert_eq!(event_loop.timeout(), None, "nobody is there");
    // Connections have deadlines: the first for their request.
    let patience = Patience::new();
    let mut client = Client::connect(address);
    while event_loop.server().usage().connections == 0 {
        patience.check("the client is accepted");
        turn(&mut event_loop);
    }
    let timeout = event_loop.timeout().expect("a deadline");
    let deadline = event_loop.server().config().request_timeout + Duration::from_millis(200);
    assert!(!timeout.is_zero() && timeout <= deadline, "{timeout:?}");
    // One turn does not read it all, and nothing but the next one will tell.
    client.send(UPGRADE);
    while event_loop.timeout() != Some(Duration::ZERO) {
        patience.check("the first bytes are read");
        turn(&mut event_loop);
    }
    assert_eq!(event_loop.server().usage().websockets, 0);
    while event_loop.timeout() == Some(Duration::ZERO) {
        patience.check("the handshake is read");
        turn(&mut event_loop);
    }
    assert_eq!(event_loop.server().usage().websockets, 1);
    client.expect_101();
    // What the host pushes is work, too.
    event_loop.server().broadcast("from the host").send();
    assert_eq!(event_loop.timeout(), Some(Duration::ZERO));
    turn(&mut event_loop);
    client.expect_text("from the host");
    // Timers.
    let delay = Duration::from_secs(1);
    event_loop.server().after(delay, |_| ());
    let timeout = event_loop.timeout().expect("a timer");
    assert!(timeout <= delay, "{timeout:?}");
    event_loop.server().after(Duration::ZERO, |server| {
        server.broadcast("tick").send();
    });
    assert_eq!(event_loop.timeout(), Some(Duration::ZERO));
    turn(&mut event_loop);
    client.expect_text("tick");
    assert_ne!(event_loop.timeout(), Some(Duration::ZERO));
}

#[test]
fn a_host_that_waits_on_the_file_descriptor_never_stalls() {
    use std::os::fd::AsRawFd as _;
    let mut event_loop =
        echo().configure(short_of_breath).listen("127.0.0.1:0").build().expect("a free port");
    let (address, handle) = (event_loop.addresses()[0], event_loop.handle());
    let client = thread::spawn(move || {
        let mut client = Client::open(address);
        let long = "x".repeat(10_000);
        for _ in 0..5 {
            client.text(&long);
            client.expect_text(&long);
        }
        handle.broadcast("mail").expect("the server takes mail");
        client.expect_text("mail");
        let set_timer = |server: &mut Server| {
            server.after(Duration::from_millis(20), |server| {
                server.broadcast("tick").send();
            });
        };
        handle.run(set_timer).expect("the server takes mail");
        client.expect_text("tick");
        handle.shutdown().expect("the server takes mail");
        client.answer_close(1001);
    });
    let mut host = mio::Poll::new().expect("a poller");
    let fd = event_loop.as_raw_fd();
    host.registry()
        .register(&mut mio::unix::SourceFd(&fd), mio::Token(0), mio::Interest::READABLE)
        .expect("a file descriptor that can be waited for");
    let mut events = mio::Events::with_capacity(1);
    while event_loop.poll(Some(Duration::ZERO)).expect("a working poller") {
        let timeout = event_loop.timeout();
        let begun = Instant::now();
        host.poll(&mut events, Some(timeout.unwrap_or(DEADLINE))).expect("a working poller");
        assert!(begun.elapsed() < DEADLINE / 2, "the host was told to wait for {timeout:?}");
    }
    client.join().expect("a good client");
}

#[cfg(target_os = "linux")]
#[test]
fn the_loops_file_descriptor_is_its_pollers() {
    use std::os::fd::AsRawFd as _;
    let event_loop = echo().listen("127.0.0.1:0").build().expect("a free port");
    let fd = event_loop.as_raw_fd();
    let target = std::fs::read_link(format!("/proc/self/fd/{fd}")).expect("an open file");
    assert!(target.to_string_lossy().contains("eventpoll"), "{}", target.display());
    // It watches the waker and the listener.
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).expect("an open file");
    assert_eq!(info.lines().filter(|line| line.starts_with("tfd:")).count(), 2, "{info}");
}

#[test]
fn the_handler_is_made_on_the_threads_own_loop_and_need_not_be_send() {
    struct Local(Rc<RefCell<Vec<String>>>);
    impl Handler for Local {
        fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
            self.0.borrow_mut().push(frame.data.to_string());
            server.push(frame.fd, self.0.borrow().join(" ")).ok();
        }
    }
    let live = Live::start(Server::builder().handler(|| Local(Rc::default())));
    let (mut one, mut two) = (live.open(), live.open());
    one.text("a");
    one.expect_text("a");
    two.text("b");
    two.expect_text("a b");
    one.text("c");
    one.expect_text("a b c");
}

// ------------------------------------------------------------------------------------------- other threads

#[test]
fn commands_of_one_thread_are_carried_out_in_their_order() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut clients = [live.open(), live.open()];
    let fds = [events.open(), events.open()];
    let handle = live.handle.clone();
    let sender = thread::spawn(move || -> Result<(), PushError> {
        for number in 0..500 {
            handle.push(fds[0], format!("push {number}"))?;
            handle.broadcast(format!("broadcast {number}"))?;
            handle.broadcast_except(vec![7; number], fds[1])?;
            handle.run(move |server| {
                server.push(fds[0], format!("run {number}")).expect("open");
            })?;
        }
        handle.disconnect(fds[0], 4000, "that was all")
    });
    let [first, second] = &mut clients;
    for number in 0..500 {
        first.expect_text(&format!("push {number}"));
        first.expect_text(&format!("broadcast {number}"));
        first.expect(BINARY, vec![7; number]);
        first.expect_text(&format!("run {number}"));
        second.expect_text(&format!("broadcast {number}"));
    }
    assert_eq!(first.answer_close(4000), "that was all");
    sender.join().expect("a good thread").expect("taken as mail");
}

#[test]
fn many_threads_can_push_at_once_and_each_keeps_its_order() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut client = live.open();
    let fd = events.open();
    let threads: Vec<_> = (0..8_u8)
        .map(|thread| {
            let handle = live.handle.clone();
            thread::spawn(move || {
                for number in 0..500_u32 {
                    let message = [&[thread][..], &number.to_be_bytes()].concat();
                    handle.push(fd, message).expect("taken as mail");
                }
            })
        })
        .collect();
    let mut next = [0_u32; 8];
    for _ in 0..8 * 500 {
        let message = client.read_frame().payload;
        let expected = &mut next[usize::from(message[0])];
        assert_eq!(message[1..], expected.to_be_bytes());
        *expected += 1;
    }
    for thread in threads {
        thread.join().expect("a good thread");
    }
}

#[test]
fn a_full_mailbox_is_busy_and_what_it_took_is_delivered() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.mailbox_items_max = 4;
        config.mailbox_bytes_max = 1_000;
    }));
    let mut client = live.open();
    let fd = events.open();
    let held = live.hold();
    for number in 0..4 {
        assert_eq!(live.handle.push(fd, number.to_string()), Ok(()));
    }
    assert_eq!(live.handle.push(fd, "one too many"), Err(PushError::Busy));
    assert_eq!(live.handle.broadcast("one too many"), Err(PushError::Busy));
    assert_eq!(live.handle.run(|_| panic!("one too many")), Err(PushError::Busy));
    drop(held);
    for number in 0..4 {
        client.expect_text(&number.to_string());
    }
    // The limit of bytes; what alone is bigger than it is taken when nothing else waits.
    let held = live.hold();
    assert_eq!(live.handle.push(fd, vec![1; 600]), Ok(()));
    assert_eq!(live.handle.push(fd, vec![2; 600]), Err(PushError::Busy));
    assert_eq!(live.handle.push(fd, vec![3; 400]), Ok(()));
    drop(held);
    client.expect(BINARY, [1; 600]);
    client.expect(BINARY, [3; 400]);
    let held = live.hold();
    assert_eq!(live.handle.push(fd, vec![4; 5_000]), Ok(()));
    assert_eq!(live.handle.push(fd, "x"), Err(PushError::Busy));
    drop(held);
    client.expect(BINARY, [4; 5_000]);
}

#[test]
fn after_the_end_every_command_is_stopped() {
    let live = Live::start(echo());
    let handle = live.handle.clone();
    let fd = Fd::from_u64(1).expect("an fd");
    live.stop();
    assert_eq!(handle.push(fd, "x"), Err(PushError::Stopped));
    assert_eq!(handle.broadcast("x"), Err(PushError::Stopped));
    assert_eq!(handle.broadcast_except("x", fd), Err(PushError::Stopped));
    assert_eq!(handle.disconnect(fd, 1000, ""), Err(PushError::Stopped));
    assert_eq!(handle.run(|_| ()), Err(PushError::Stopped));
    assert_eq!(handle.shutdown(), Err(PushError::Stopped));
}

#[test]
fn a_full_mailbox_does_not_refuse_the_shutdown() {
    let (builder, events) = recorded();
    let mut live = Live::start(builder.configure(|config| config.mailbox_items_max = 1));
    let mut client = live.open();
    let fd = events.open();
    let held = live.hold();
    assert_eq!(live.handle.push(fd, "before"), Ok(()));
    assert_eq!(live.handle.push(fd, "one too many"), Err(PushError::Busy));
    for _ in 0..1_000 {
        assert_eq!(live.handle.shutdown(), Ok(()));
    }
    drop(held);
    client.expect_text("before");
    client.answer_close(1001);
    drop(client);
    live.join();
}

/// The host may keep the loop, and with it all that is in it, for as long as it likes.
#[test]
fn an_event_loop_that_has_ended_takes_no_more_mail() {
    let mut event_loop = echo().listen("127.0.0.1:0").build().expect("a free port");
    event_loop.server().after(Duration::ZERO, Server::shutdown);
    let handle = event_loop.handle();
    assert_eq!(handle.run(|_| ()), Ok(()));
    while event_loop.poll(Some(DEADLINE)).expect("a good poll") {}
    assert_eq!(handle.run(|_| ()), Err(PushError::Stopped));
    assert_eq!(handle.shutdown(), Err(PushError::Stopped));
    assert!(!event_loop.poll(None).expect("a good poll"));
}

/// Whoever waits for an answer from a closure must not wait for ever.
#[test]
fn closures_that_are_never_run_are_dropped_with_the_server() {
    let event_loop = echo().listen("127.0.0.1:0").build().expect("a free port");
    let handle = event_loop.handle();
    let (sender, receiver) = mpsc::channel::<()>();
    handle.run(move |_| tell(&sender, ())).expect("the server takes mail");
    drop(event_loop);
    assert_eq!(receiver.recv_timeout(DEADLINE), Err(mpsc::RecvTimeoutError::Disconnected));
    assert_eq!(handle.run(|_| ()), Err(PushError::Stopped));
}

#[test]
fn a_handle_from_within_a_callback_reaches_the_same_server() {
    let live = Live::start(Server::builder().on_message(|server, frame| {
        let (handle, fd, text) = (server.handle(), frame.fd, frame.data.to_string());
        thread::spawn(move || handle.push(fd, format!("{text} from a thread")));
    }));
    let mut client = live.open();
    client.text("hello");
    client.expect_text("hello from a thread");
}

/// Mail that sends mail has its turn with the others': the loop must not be held by it.
#[test]
fn mail_that_sends_mail_does_not_hold_the_loop() {
    fn again(server: &mut Server) {
        server.handle().run(again).ok();
    }
    let live = Live::start(echo());
    live.handle.run(again).expect("the server takes mail");
    let mut client = live.open();
    for _ in 0..10 {
        client.text("hello");
        client.expect_text("hello");
    }
    client.close(1000, "");
    client.expect_close(1000);
    drop(client);
    live.stop();
}

// -------------------------------------------------------------------------------------------------- timers

#[test]
fn after_comes_once_and_not_before_its_time() {
    let live = Live::start(echo());
    let (sender, ticks) = mpsc::channel();
    let delays = [80, 20, 50, 0].map(Duration::from_millis);
    let begun = Instant::now();
    live.ask(move |server| {
        for delay in delays {
            let sender = sender.clone();
            server.after(delay, move |_| tell(&sender, (delay, Instant::now())));
        }
    });
    for expected in [0, 20, 50, 80] {
        let (delay, at) = ticks.recv_timeout(DEADLINE).expect("a tick");
        assert_eq!(delay, Duration::from_millis(expected));
        assert!(at - begun >= delay);
    }
    assert_eq!(live.ask(|server| server.usage().timers), 0);
    assert_eq!(ticks.recv_timeout(DEADLINE), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn every_comes_again_until_it_is_cancelled() {
    let live = Live::start(echo());
    let (sender, ticks) = mpsc::channel();
    let period = Duration::from_millis(10);
    let begun = Instant::now();
    let timer = live.ask(move |server| server.every(period, move |_, _| tell(&sender, Instant::now())));
    for number in 1..=10 {
        let at = ticks.recv_timeout(DEADLINE).expect("a tick");
        assert!(at - begun >= period * number);
    }
    assert!(live.ask(move |server| server.cancel(timer)));
    assert!(!live.ask(move |server| server.cancel(timer)));
    while ticks.recv_timeout(DEADLINE).is_ok() {}
    assert_eq!(live.ask(|server| server.usage().timers), 0);
}

#[test]
fn a_timer_can_cancel_itself_and_others_and_set_new_ones() {
    let live = Live::start(echo());
    let (sender, ticks) = mpsc::channel();
    live.ask(move |server| {
        let never = server.after(Duration::from_millis(50), |_| panic!("it was cancelled"));
        let mut count = 0;
        server.every(Duration::from_millis(2), move |server, own| {
            count += 1;
            tell(&sender, count);
            if count == 3 {
                assert!(server.cancel(never));
                assert!(server.cancel(own));
                let sender = sender.clone();
                server.after(Duration::from_millis(2), move |_| tell(&sender, 100));
            }
        });
    });
    for count in [1, 2, 3, 100] {
        assert_eq!(ticks.recv_timeout(DEADLINE), Ok(count));
    }
    assert_eq!(ticks.recv_timeout(DEADLINE), Err(mpsc::RecvTimeoutError::Disconnected));
    assert_eq!(live.ask(|server| server.usage().timers), 0);
}

#[test]
fn a_cancelled_timer_never_comes() {
    let live = Live::start(echo());
    let (sender, ticks) = mpsc::channel();
    let timer = live.ask(move |server| server.after(Duration::from_millis(30), move |_| tell(&sender, ())));
    assert!(live.ask(move |server| server.cancel(timer)));
    // Its closure is dropped at once, not when it would have been due.
    assert_eq!(ticks.recv_timeout(DEADLINE), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn a_timer_with_no_delay_does_not_hold_the_loop() {
    fn again(server: &mut Server) {
        server.after(Duration::ZERO, again);
    }
    let live = Live::start(echo());
    live.ask(again);
    let mut client = live.open();
    for _ in 0..10 {
        client.text("hello");
        client.expect_text("hello");
    }
}

#[test]
fn timers_can_push_and_close() {
    let live = Live::start(Server::builder().on_open(|server, request| {
        let fd = request.fd;
        server.after(Duration::from_millis(5), move |server| {
            server.push(fd, "tick").ok();
            server.disconnect(fd, 4000, "tock");
        });
    }));
    let mut client = live.open();
    client.expect_text("tick");
    assert_eq!(client.answer_close(4000), "tock");
}

/// Counts, by timers of its own.
#[derive(Default)]
struct Clock {
    timers: Vec<(TimerId, Fd)>,
    ticks: usize,
}

impl Handler for Clock {
    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        self.timers.push((server.timer(Duration::from_millis(5)), request.fd));
    }

    fn on_timer(&mut self, server: &mut Server, timer: TimerId) {
        let at = self.timers.iter().position(|(id, _)| *id == timer).expect("a timer of ours");
        let (_, fd) = self.timers.swap_remove(at);
        self.ticks += 1;
        if server.push(fd, format!("tick {}", self.ticks)).is_ok() {
            self.timers.push((server.timer(Duration::from_millis(5)), fd));
        }
    }

    fn on_close(&mut self, _server: &mut Server, fd: Fd, _reason: &CloseReason) {
        assert!(self.timers.iter().any(|(_, other)| *other == fd));
    }
}

#[test]
fn a_handlers_timers_come_to_its_on_timer_with_its_state() {
    let live = Live::start(Server::builder().handler(Clock::default));
    let mut client = live.open();
    for number in 1..=5 {
        client.expect_text(&format!("tick {number}"));
    }
    drop(client);
    live.until_empty();
    live.until("its timer has come", |server| (server.usage().timers == 0).then_some(()));
}

#[test]
fn a_handler_without_methods_serves() {
    let live = Live::start(Server::builder().handler(Nothing::default));
    let mut client = live.open();
    client.text("hello");
    client.frame(PING, b"?");
    client.expect(PONG, b"?");
    drop(client);
    let mut client = live.client();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.answer().status, 426);
}
