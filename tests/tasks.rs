//! Work outside the reactor and its results, and messages from other threads.

mod common;

use common::*;
use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use swio::{Fd, Frame, Handler, PushError, Server, TaskError, TaskId};

/// Work that waits until it is told to end, and says when it has begun.
struct Gate {
    go: mpsc::Sender<()>,
    has_begun: mpsc::Receiver<()>,
}

impl Gate {
    fn new() -> (Gate, impl FnOnce() + Send + 'static) {
        let ((go, goes), (begun, has_begun)) = (mpsc::channel(), mpsc::channel());
        let work = move || {
            tell(&begun, ());
            goes.recv_timeout(DEADLINE).ok();
        };
        (Gate { go, has_begun }, work)
    }

    fn begun(&self) {
        self.has_begun.recv_timeout(DEADLINE).expect("the work begins");
    }
}

#[test]
fn work_is_done_beside_the_server_and_its_result_comes_back() {
    let (events, results) = mpsc::channel();
    let live = Live::start(echo());
    let mut client = live.open();
    let (gate, wait) = Gate::new();
    let reactor = live.ask(|_| thread::current().id());
    let task = live.ask(move |server| {
        // What finishes need not be `Send`.
        let count = Rc::new(Cell::new(41));
        let work = move || {
            wait();
            thread::current().id()
        };
        server.task(work, move |server, worker| {
            count.set(count.get() + 1);
            tell(&events, (worker, thread::current().id(), count.get(), server.usage().tasks));
        })
    });
    assert!(task.is_ok());
    gate.begun();
    assert_eq!(live.ask(|server| server.usage().tasks), 1);
    client.text("meanwhile");
    client.expect_text("meanwhile");
    gate.go.send(()).expect("it waits");
    let (worker, finished_on, count, left) = results.recv_timeout(DEADLINE).expect("a result");
    assert_ne!(worker, Ok(reactor));
    assert_eq!((finished_on, count, left), (reactor, 42, 0));
}

#[test]
fn a_panic_in_work_is_told_and_the_threads_live_on() {
    let (sender, results) = mpsc::channel();
    let live = Live::start(echo().configure(|config| config.task_threads = 1));
    for number in 0..20 {
        let sender = sender.clone();
        let work = move || if number % 2 == 0 { panic!("number {number}") } else { number };
        live.ask(move |server| server.task(work, move |_, result| tell(&sender, result)))
            .expect("it is begun");
    }
    for number in 0..20 {
        let expected =
            if number % 2 == 0 { Err(TaskError::Panicked(format!("number {number}"))) } else { Ok(number) };
        assert_eq!(results.recv_timeout(DEADLINE), Ok(expected), "one thread does them in their order");
    }
    still_serving(&live);
}

#[test]
fn a_panic_in_finish_is_told_to_on_error() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    live.ask(|server| server.task(|| (), |_, _| panic!("in finish"))).expect("it is begun");
    assert_eq!(events.error().1, "a task's finish panicked: in finish");
    still_serving(&live);
    assert_eq!(live.ask(|server| server.usage().tasks), 0);
}

#[test]
fn too_many_tasks_are_busy_and_no_more_threads_than_allowed_work() {
    let live = Live::start(echo().configure(|config| {
        config.task_threads = 2;
        config.tasks_max = 5;
    }));
    let (now, most, finished) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), mpsc::channel());
    let mut gates = Vec::new();
    for number in 0..5 {
        let (gate, wait) = Gate::new();
        let (now, most, finished) = (now.clone(), most.clone(), finished.0.clone());
        let work = move || {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            wait();
            now.fetch_sub(1, Ordering::SeqCst);
            number
        };
        live.ask(move |server| server.task(work, move |_, result| tell(&finished, result)))
            .expect("it is begun");
        gates.push(gate);
    }
    gates[0].begun();
    gates[1].begun();
    let refused =
        live.ask(|server| server.task(|| panic!("not begun"), |_, _: Result<(), _>| panic!("not told")));
    assert_eq!(refused, Err(TaskError::Busy));
    assert_eq!(live.ask(|server| server.stats().tasks), 5, "those that were begun");
    assert_eq!(live.ask(|server| server.usage().tasks), 5);
    for gate in &gates[..2] {
        gate.go.send(()).expect("it waits");
    }
    for gate in &gates[2..] {
        gate.begun();
        gate.go.send(()).expect("it waits");
    }
    let mut results: Vec<_> = (0..5).map(|_| finished.1.recv_timeout(DEADLINE).expect("a result")).collect();
    results.sort_by_key(|result| result.clone().ok());
    assert_eq!(results, (0..5).map(Ok).collect::<Vec<_>>());
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert!(live.ask(|server| server.task(|| (), |_, _| ())).is_ok(), "there is room again");
}

/// Results have room of their own: the mailbox is full, and none is lost.
#[test]
fn a_full_mailbox_loses_no_result() {
    let live = Live::start(echo().configure(|config| config.mailbox_items_max = 1));
    let (sender, results) = mpsc::channel();
    let (is_done, done) = mpsc::channel();
    live.ask(move |server| {
        for number in 0..100 {
            let (sender, is_done) = (sender.clone(), is_done.clone());
            let work = move || {
                tell(&is_done, ());
                number
            };
            server.task(work, move |_, result| tell(&sender, result)).expect("it is begun");
        }
    });
    let held = live.hold();
    assert_eq!(live.handle.run(|_| ()), Ok(()));
    assert_eq!(live.handle.run(|_| ()), Err(PushError::Busy));
    for _ in 0..100 {
        done.recv_timeout(DEADLINE).expect("it is done while the server does not look");
    }
    assert_eq!(live.handle.run(|_| ()), Err(PushError::Busy), "results take no room, and make none");
    drop(held);
    let mut numbers: Vec<_> = (0..100).map(|_| results.recv_timeout(DEADLINE).expect("a result")).collect();
    numbers.sort_by_key(|number| number.clone().ok());
    assert_eq!(numbers, (0..100).map(Ok).collect::<Vec<_>>());
}

#[test]
fn fewer_and_more_threads_by_a_reload() {
    let live = Live::start(echo().configure(|config| config.task_threads = 3));
    let run = |tasks: usize| {
        let gates: Vec<_> = (0..tasks)
            .map(|_| {
                let (gate, wait) = Gate::new();
                live.ask(move |server| server.task(wait, |_, _| ())).expect("it is begun");
                gate
            })
            .collect();
        gates
    };
    for threads in [3, 1, 2, 4] {
        live.ask(move |server| server.reload(|config| config.task_threads = threads)).expect("it can work");
        let gates = run(threads + 1);
        for gate in &gates[..threads] {
            gate.begun();
        }
        assert!(gates[threads].has_begun.try_recv().is_err(), "{threads} threads are busy");
        for gate in &gates {
            gate.go.send(()).expect("it waits");
        }
        gates[threads].begun();
        live.until("all are done", |server| (server.usage().tasks == 0).then_some(()));
    }
}

#[test]
fn a_shutdown_waits_for_tasks() {
    let (sender, results) = mpsc::channel();
    let mut live = Live::start(echo());
    let (gate, wait) = Gate::new();
    let again = sender.clone();
    live.ask(move |server| {
        // What is finished in time may begin more, which is waited for as well.
        server.task(wait, move |server, result| {
            tell(&sender, ("first", result));
            server.task(|| (), move |_, result| tell(&again, ("second", result))).expect("it is begun");
        })
    })
    .expect("it is begun");
    gate.begun();
    live.handle.shutdown().expect("the server takes mail");
    gate.go.send(()).expect("it waits");
    live.join();
    assert_eq!(results.try_iter().collect::<Vec<_>>(), [("first", Ok(())), ("second", Ok(()))]);
}

#[test]
fn a_shutdown_abandons_tasks_that_take_too_long() {
    let (sender, results) = mpsc::channel();
    let mut live = Live::start(echo().configure(|config| {
        config.task_threads = 1;
        config.shutdown_timeout = Duration::from_millis(100);
    }));
    let (gate, wait) = Gate::new();
    live.ask(move |server| {
        let (first, second, third) = (sender.clone(), sender.clone(), sender);
        let finish = move |server: &mut Server, result: Result<(), TaskError>| {
            let refused = server.task(|| (), |_, _| ()).expect_err("the server ends");
            tell(&first, ("running", result.expect_err("it does not end"), Some(refused)));
        };
        server.task(wait, finish).expect("it is begun");
        let finish = move |_: &mut Server, result: Result<(), TaskError>| {
            tell(&second, ("waiting", result.expect_err("it was never begun"), None));
        };
        server.task(|| panic!("it was never to begin"), finish).expect("it is begun");
        drop(third);
    });
    gate.begun();
    let begun = Instant::now();
    live.handle.shutdown().expect("the server takes mail");
    live.join();
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert_eq!(
        results.iter().collect::<Vec<_>>(),
        [
            ("running", TaskError::Abandoned, Some(TaskError::Stopped)),
            ("waiting", TaskError::Abandoned, None)
        ]
    );
}

#[test]
fn tasks_begun_in_the_last_callbacks_are_refused() {
    let (sender, results) = mpsc::channel();
    let mut live = Live::start(Server::builder().on_shutdown(move |server| {
        tell(&sender, server.task(|| (), |_, _| ()).expect_err("nobody would finish it"));
    }));
    live.handle.shutdown().expect("the server takes mail");
    live.join();
    assert_eq!(results.recv_timeout(DEADLINE), Ok(TaskError::Stopped));
}

/// Answers each message by the sum of its bytes, which it lets others work out.
#[derive(Default)]
struct Summer {
    asked_by: HashMap<TaskId, Fd>,
    done: usize,
}

impl Handler for Summer {
    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        let bytes = frame.data.to_vec();
        let task = server.offload(move || {
            assert_ne!(bytes, b"panic", "asked for");
            bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>()
        });
        self.asked_by.insert(task.expect("there is room"), frame.fd);
    }

    fn on_finish(
        &mut self,
        server: &mut Server,
        task: TaskId,
        result: Result<Box<dyn Any + Send>, TaskError>,
    ) {
        let fd = self.asked_by.remove(&task).expect("it was begun here");
        self.done += 1;
        let said = match result {
            Ok(sum) => sum.downcast::<u64>().expect("what the work gave").to_string(),
            Err(error) => error.to_string(),
        };
        server.push(fd, format!("{}: {said}", self.done)).ok();
    }
}

#[test]
fn a_handler_has_its_state_when_a_task_has_finished() {
    let live = Live::start(Server::builder().handler(Summer::default));
    let mut client = live.open();
    client.frame(BINARY, &[255; 10_000]);
    client.expect_text("1: 2550000");
    client.text("panic");
    let told = client.read_frame();
    let told = String::from_utf8(told.payload).expect("a text");
    assert!(told.starts_with("2: the task panicked: ") && told.contains("asked for"), "{told}");
    client.frame(BINARY, &[1, 2, 3]);
    client.expect_text("3: 6");
}

#[test]
fn a_task_of_a_route_finishes_there() {
    let live = Live::start(Server::builder().route("/sum", Summer::default));
    let mut client = live.client();
    client.send(UPGRADE.replace("GET / ", "GET /sum "));
    client.expect_101();
    client.frame(BINARY, &[7, 8]);
    client.expect_text("1: 15");
}

#[test]
fn a_loop_that_is_dropped_leaves_nothing_behind() {
    let mut event_loop = echo().listen("127.0.0.1:0").build().expect("a free port");
    let (gate, wait) = Gate::new();
    let is_dropped = Arc::new(());
    let held = is_dropped.clone();
    event_loop.server().task(wait, move |_, _| drop(held)).expect("it is begun");
    gate.begun();
    drop(event_loop);
    assert_eq!(Arc::strong_count(&is_dropped), 1, "finish is dropped with the loop");
    // The thread ends when its work does: then the other end of its channel is gone.
    gate.go.send(()).expect("it waits");
    while gate.go.send(()).is_ok() {
        thread::yield_now();
    }
}

// ----------------------------------------------------------------------------------- messages from threads

#[test]
fn messages_of_any_type_reach_the_server_in_their_order() {
    let (sender, got) = mpsc::channel();
    let live = Live::start(echo().on_pipe_message(move |_, message| {
        let text = match message.downcast::<&str>() {
            Ok(text) => (*text).to_owned(),
            Err(message) => format!("{:?}", message.downcast::<(u8, Vec<u8>)>().expect("one of the two")),
        };
        tell(&sender, text);
    }));
    for _ in 0..100 {
        assert_eq!(live.handle.send_message("text"), Ok(()));
        assert_eq!(live.handle.send_message((1_u8, vec![2_u8])), Ok(()));
        assert_eq!(got.recv_timeout(DEADLINE), Ok("text".to_owned()));
        assert_eq!(got.recv_timeout(DEADLINE), Ok("(1, [2])".to_owned()));
    }
    let handle = live.handle.clone();
    live.stop();
    assert_eq!(handle.send_message(()), Err(PushError::Stopped));
}

#[test]
fn messages_count_against_the_mailbox_by_their_size() {
    let live = Live::start(echo().configure(|config| config.mailbox_bytes_max = 1_000));
    let held = live.hold();
    assert_eq!(live.handle.send_message([0_u8; 600]), Ok(()));
    assert_eq!(live.handle.send_message([0_u8; 600]), Err(PushError::Busy));
    assert_eq!(live.handle.send_message([0_u8; 400]), Ok(()));
    drop(held);
    still_serving(&live);
}

/// Sends mail when it is dropped.
struct Restless(Arc<Mutex<Vec<Result<(), PushError>>>>, swio::Handle);

impl Drop for Restless {
    fn drop(&mut self) {
        self.0.lock().expect("a good lock").push(self.1.run(|_| ()));
    }
}

/// The mailbox must not be locked while it drops what it refuses.
#[test]
fn what_is_refused_may_send_mail_itself() {
    let live = Live::start(echo().configure(|config| config.mailbox_items_max = 1));
    let answers = Arc::new(Mutex::new(Vec::new()));
    let held = live.hold();
    assert_eq!(live.handle.run(|_| ()), Ok(()));
    assert_eq!(
        live.handle.send_message(Restless(answers.clone(), live.handle.clone())),
        Err(PushError::Busy)
    );
    drop(held);
    let handle = live.handle.clone();
    live.stop();
    assert_eq!(handle.send_message(Restless(answers.clone(), handle.clone())), Err(PushError::Stopped));
    assert_eq!(*answers.lock().expect("a good lock"), [Err(PushError::Busy), Err(PushError::Stopped)]);
}
