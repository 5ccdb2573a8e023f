//! Commands from another thread: what each does, its outcome, and what happens if the server is busy or ends.

mod common;

use common::{
    BINARY, CONTINUATION, Client, DEADLINE, Live, PING, TEXT, UPGRADE, echo, recorded, still_serving, tell,
};
use std::io::{ErrorKind, Read as _};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use swio::{
    Callbacks, Command, Fd, Handle, Handshake, History, JoinError, Opcode, Outcome, PushError, Reach, Reply,
    Response, ResponseHead, Server, SlowConsumer, Status,
};

fn begin(handle: &Handle, command: Command) -> Receiver<Outcome> {
    let (sender, receiver) = mpsc::channel();
    let told = move |outcome| sender.send(outcome).expect("the test waits");
    handle.ask(command, told).expect("the server takes mail");
    receiver
}

fn ask(live: &Live, command: Command) -> Outcome {
    begin(&live.handle, command).recv_timeout(DEADLINE).expect("the server answers")
}

#[track_caller]
fn expect(live: &Live, command: Command, outcome: Outcome) {
    assert_eq!(format!("{:?}", ask(live, command)), format!("{outcome:?}"));
}

fn reach(queued: usize) -> Outcome {
    Outcome::Reach(Reach { queued, ..Reach::default() })
}

fn gone() -> Fd {
    Fd::from_u64(99).expect("an fd")
}

#[test]
fn what_is_sent_by_command_arrives() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut clients = [live.open(), live.open(), live.open()];
    let fds = [events.open(), events.open(), events.open()];
    for fd in &fds[..2] {
        expect(&live, Command::Join { fd: *fd, topic: "news".into() }, Outcome::Bool(true));
        expect(&live, Command::Bind { fd: *fd, uid: "ada".into() }, Outcome::Bool(true));
    }
    expect(&live, Command::Push { fd: fds[0], message: "push".into() }, Outcome::Done);
    expect(&live, Command::Send { fd: fds[0], bytes: [0x80 | TEXT, 3].into() }, Outcome::Done);
    expect(&live, Command::Send { fd: fds[0], bytes: b"raw".into() }, Outcome::Done);
    let message = || "user".into();
    expect(&live, Command::PushToUser { uid: "ada".into(), message: message(), except: vec![] }, reach(2));
    expect(
        &live,
        Command::PushToUser { uid: "ada".into(), message: message(), except: vec![fds[1]] },
        reach(1),
    );
    let except = vec![fds[0]];
    expect(&live, Command::Publish { topic: "news".into(), message: "topic".into(), except }, reach(1));
    expect(
        &live,
        Command::Publish { topic: "none".into(), message: "topic".into(), except: vec![] },
        reach(0),
    );
    let except = fds[..2].to_vec();
    expect(&live, Command::Broadcast { message: "all".into(), except }, reach(1));
    expect(&live, Command::Broadcast { message: "end".into(), except: vec![] }, reach(3));
    let [one, two, three] = &mut clients;
    for text in ["push", "raw", "user", "user", "end"] {
        one.expect_text(text);
    }
    for text in ["user", "topic", "end"] {
        two.expect_text(text);
    }
    for text in ["all", "end"] {
        three.expect_text(text);
    }
}

#[test]
fn frames_parts_and_pings_are_sent_by_command() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let mut client = live.open();
    let fd = events.open();
    let bytes = || b"\x01\x02".to_vec();
    expect(&live, Command::PushAs { fd, opcode: Opcode::Binary, bytes: bytes() }, Outcome::Done);
    let close = Command::PushAs { fd, opcode: Opcode::Close, bytes: bytes() };
    expect(&live, close, Outcome::PushRefused(PushError::Unsendable));
    expect(&live, Command::Ping { fd, bytes: b"there?".to_vec() }, Outcome::Done);
    let part = |opcode, text: &str, finish| Command::PushPart { fd, opcode, bytes: text.into(), finish };
    expect(&live, part(Opcode::Text, "one ", false), Outcome::Done);
    expect(&live, Command::Push { fd, message: "no".into() }, Outcome::PushRefused(PushError::Unfinished));
    expect(&live, part(Opcode::Continuation, "message", true), Outcome::Done);
    client.expect(BINARY, bytes());
    client.expect(PING, "there?");
    let parts = [client.read_frame(), client.read_frame()];
    assert_eq!(parts.each_ref().map(|part| (part.opcode, part.fin)), [(TEXT, false), (CONTINUATION, true)]);
    assert_eq!([&*parts[0].payload, &parts[1].payload].concat(), b"one message");
}

#[test]
fn a_topic_is_kept_and_recovered_by_command() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| {
        config.topic_bytes_max = 10;
        config.event_streams = true;
    }));
    let topic = || "news".to_owned();
    let keep = |topic: &str| Command::KeepHistory { topic: topic.into(), history: Some(History::default()) };
    expect(&live, keep("a name that is too long"), Outcome::JoinRefused(JoinError::NameLength));
    expect(&live, keep("news"), Outcome::Done);
    // An event stream is told the ids.
    let mut stream = live.client();
    stream.send("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    expect(&live, Command::Join { fd: events.open(), topic: topic() }, Outcome::Bool(true));
    for message in ["one", "two", "three"] {
        expect(&live, Command::Publish { topic: topic(), message: message.into(), except: vec![] }, reach(1));
    }
    let told = stream.take_until(b"data: one\n").expect("an event");
    let (_, id) = told.trim_end().rsplit_once("id: ").expect("the id of the first");
    let mut client = live.open();
    let fd = events.open();
    let recover =
        |last_id: &str| match ask(&live, Command::Recover { fd, topic: topic(), last_id: last_id.into() }) {
            Outcome::Recovered(recovered) => (recovered.messages, recovered.is_complete),
            outcome => panic!("{outcome:?}"),
        };
    assert_eq!(recover("made up"), (0, false));
    assert_eq!(recover(id), (2, true));
    for text in ["two", "three"] {
        client.expect_text(text);
    }
    expect(&live, Command::KeepHistory { topic: topic(), history: None }, Outcome::Done);
    assert_eq!(recover(id), (0, false));
    expect(
        &live,
        Command::Recover { fd: gone(), topic: topic(), last_id: String::new() },
        Outcome::PushRefused(PushError::Gone),
    );
}

#[test]
fn users_have_data_by_command() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| config.user_data_bytes_max = 10));
    let _clients = [live.open(), live.open()];
    let (fd, other) = (events.open(), events.open());
    let uid = || "ada".to_owned();
    let text = |text: &str| Outcome::Text(Some(text.to_owned()));
    let bind = |data: &str| Command::BindWith { fd, uid: uid(), data: data.into() };
    expect(&live, bind("more than ten bytes"), Outcome::JoinRefused(JoinError::DataLength));
    expect(&live, Command::Uid { fd }, Outcome::Text(None));
    expect(&live, bind("{}"), Outcome::Bool(true));
    expect(&live, Command::Uid { fd }, text("ada"));
    expect(&live, Command::UserData { uid: uid() }, text("{}"));
    expect(&live, Command::SetUserData { uid: uid(), data: Some("[]".into()) }, Outcome::Bool(true));
    expect(&live, Command::Bind { fd: other, uid: "bob".into() }, Outcome::Bool(true));
    for fd in [fd, other] {
        expect(&live, Command::Join { fd, topic: "news".into() }, Outcome::Bool(true));
    }
    expect(&live, Command::IsMember { fd, topic: "news".into() }, Outcome::Bool(true));
    expect(&live, Command::IsMember { fd, topic: "none".into() }, Outcome::Bool(false));
    match ask(&live, Command::UsersInWithData { topic: "news".into(), limit: 9 }) {
        Outcome::Users(mut users) => {
            users.sort();
            assert_eq!(users, [("ada".into(), Some("[]".into())), ("bob".into(), None)]);
        }
        outcome => panic!("{outcome:?}"),
    }
    expect(&live, Command::UsersInWithData { topic: "news".into(), limit: 0 }, Outcome::Users(vec![]));
    expect(&live, Command::SetUserData { uid: uid(), data: None }, Outcome::Bool(true));
    expect(&live, Command::UserData { uid: uid() }, Outcome::Text(None));
    expect(&live, Command::SetUserData { uid: "eve".into(), data: None }, Outcome::Bool(false));
}

/// A connection that has not spoken has no handler yet, so its deadline is the root's, whoever was called last.
#[test]
fn a_deadline_set_by_command_is_told_to_the_root() {
    let (sender, told) = mpsc::channel();
    let (of_root, of_route) = (sender.clone(), sender);
    let live = Live::start(Server::builder().on_deadline(move |_, fd| tell(&of_root, ("root", fd))).route(
        "/chat",
        move || {
            let of_route = of_route.clone();
            Callbacks::new().on_deadline(move |_, fd| tell(&of_route, ("route", fd)))
        },
    ));
    let _silent = live.client();
    let fd = live.until("it is accepted", |server| {
        let first = Fd::from_u64(1).expect("an fd");
        server.exists(first).then_some(first)
    });
    let mut client = live.client();
    client.send(UPGRADE.replace("GET / ", "GET /chat "));
    client.expect_101();
    let soon = Some(Duration::from_millis(1));
    // At once: `Live::ask` and its like are closures of the root.
    live.handle.execute(Command::SetDeadline { fd, after: soon }).expect("taken");
    assert_eq!(told.recv_timeout(DEADLINE), Ok(("root", fd)));
    expect(&live, Command::SetDeadline { fd, after: None }, Outcome::Bool(true));
    expect(&live, Command::SetDeadline { fd: gone(), after: soon }, Outcome::Bool(false));
}

#[test]
fn a_policy_is_set_by_command() {
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| config.outbox_bytes_max = 64 << 10));
    let _client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    let policy = Some(SlowConsumer::DropNewest);
    expect(&live, Command::SetSlowConsumer { fd, policy }, Outcome::Bool(true));
    expect(&live, Command::SetSlowConsumer { fd: gone(), policy: None }, Outcome::Bool(false));
    let too_big = || Command::Push { fd, message: vec![0; 100 << 10].into() };
    let full = || Outcome::PushRefused(PushError::Full);
    expect(&live, too_big(), full());
    expect(&live, Command::IsEstablished { fd }, Outcome::Bool(true));
    expect(&live, Command::SetSlowConsumer { fd, policy: None }, Outcome::Bool(true));
    expect(&live, too_big(), full());
    expect(&live, Command::IsEstablished { fd }, Outcome::Bool(false));
}

/// Who is told can write the piece again. If nobody is, there would be a gap.
#[test]
fn a_piece_without_room_ends_its_connection_only_if_nobody_is_told() {
    let (sender, waiting) = mpsc::channel();
    let (builder, events) = recorded();
    let builder = builder.on_request(move |_, request| {
        tell(&sender, request.fd);
        ResponseHead::new(200)
    });
    let live = Live::start(builder.configure(|config| {
        config.outbox_bytes_max = 64 << 10;
        config.slow_consumer = SlowConsumer::DropNewest;
    }));
    let mut page = live.client();
    page.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let page_fd = waiting.recv_timeout(DEADLINE).expect("a request");
    let _socket = live.open();
    let socket_fd = events.open();
    let piece = |len| Command::WriteBody { fd: page_fd, bytes: vec![b'x'; len] };
    let part = |opcode, len| Command::PushPart { fd: socket_fd, opcode, bytes: vec![0; len], finish: false };
    let (big, small) = (100 << 10, 10);
    for command in [piece(big), part(Opcode::Binary, big)] {
        expect(&live, command, Outcome::PushRefused(PushError::Full));
    }
    for command in [piece(small), part(Opcode::Binary, small)] {
        expect(&live, command, Outcome::Done);
    }
    for command in [piece(big), part(Opcode::Continuation, big)] {
        live.handle.execute(command).expect("taken");
    }
    for command in [piece(small), part(Opcode::Continuation, small)] {
        expect(&live, command, Outcome::PushRefused(PushError::Closing));
    }
    assert!(!String::from_utf8(page.take_rest()).expect("text").contains("\r\n0\r\n"), "the body is cut off");
}

#[test]
fn a_server_is_watched_reloaded_and_ended_by_command() {
    let mut live = Live::start(echo());
    let client = live.open();
    match ask(&live, Command::Usage) {
        Outcome::Usage(usage) => assert_eq!((usage.connections, usage.websockets), (1, 1)),
        outcome => panic!("{outcome:?}"),
    }
    match ask(&live, Command::Turns) {
        Outcome::Turns(turns) => assert!(turns.count > 0 && turns.longest >= turns.p50),
        outcome => panic!("{outcome:?}"),
    }
    let bound = live.ask(|server| server.memory_bound());
    expect(&live, Command::MemoryBound, Outcome::MemoryBound(bound));
    let outcome = ask(&live, Command::ReloadSettings);
    assert!(outcome.is_error(), "{outcome:?}");
    assert!(format!("{outcome:?}").contains("no settings file was given"), "{outcome:?}");
    expect(&live, Command::Shutdown, Outcome::Done);
    drop(client);
    live.join();
}

#[test]
fn what_is_asked_by_command_is_answered() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let _clients = [live.open(), live.open()];
    let fds = [events.open(), events.open()];
    let (topic, uid) = (|| "news".to_owned(), || "ada".to_owned());
    for fd in fds {
        expect(&live, Command::Join { fd, topic: topic() }, Outcome::Bool(true));
        expect(&live, Command::Join { fd, topic: topic() }, Outcome::Bool(false));
        expect(&live, Command::Bind { fd, uid: uid() }, Outcome::Bool(true));
    }
    let fd = fds[0];
    expect(&live, Command::Exists { fd }, Outcome::Bool(true));
    expect(&live, Command::IsEstablished { fd: gone() }, Outcome::Bool(false));
    expect(&live, Command::ConnectionCount, Outcome::Count(2));
    expect(&live, Command::Connections { after: None, limit: 1 }, Outcome::Fds(vec![fds[0]]));
    expect(&live, Command::Connections { after: Some(fds[0]), limit: 9 }, Outcome::Fds(vec![fds[1]]));
    expect(&live, Command::MemberCount { topic: topic() }, Outcome::Count(2));
    for (command, limit) in [
        (Command::Members { topic: topic(), limit: 9 }, 2),
        (Command::Members { topic: topic(), limit: 1 }, 1),
        (Command::ConnectionsOf { uid: uid(), limit: 9 }, 2),
        (Command::ConnectionsOf { uid: uid(), limit: 1 }, 1),
    ] {
        match ask(&live, command) {
            Outcome::Fds(found) => assert!(found.len() == limit && found.iter().all(|fd| fds.contains(fd))),
            outcome => panic!("{outcome:?}"),
        }
    }
    expect(&live, Command::UsersIn { topic: topic(), limit: 9 }, Outcome::Names(vec![uid()]));
    expect(&live, Command::UsersIn { topic: topic(), limit: 0 }, Outcome::Names(vec![]));
    expect(&live, Command::TopicsOf { fd }, Outcome::Names(vec![topic()]));
    let page = Outcome::Topics { topics: vec![(topic(), 2)], next: None };
    expect(&live, Command::Topics { cursor: 0, limit: 9 }, page);
    match ask(&live, Command::ClientInfo { fd }) {
        Outcome::ClientInfo(Some(info)) => {
            assert_eq!((info.fd, info.status, info.uid.as_deref()), (fd, Status::Established, Some("ada")));
        }
        outcome => panic!("{outcome:?}"),
    }
    expect(&live, Command::ClientInfo { fd: gone() }, Outcome::ClientInfo(None));
    match ask(&live, Command::Stats) {
        Outcome::Stats(stats) => assert_eq!((stats.websockets, stats.accepted), (2, 2)),
        outcome => panic!("{outcome:?}"),
    }
    expect(&live, Command::Leave { fd, topic: topic() }, Outcome::Bool(true));
    expect(&live, Command::Leave { fd, topic: topic() }, Outcome::Bool(false));
    expect(&live, Command::Unbind { fd }, Outcome::Bool(true));
    expect(&live, Command::Unbind { fd }, Outcome::Bool(false));
}

#[test]
fn a_connection_is_steered_and_ended_by_command() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let (mut one, mut two) = (live.open(), live.open());
    let fds = [events.open(), events.open()];
    let fd = fds[0];
    expect(&live, Command::Pause { fd }, Outcome::Bool(true));
    expect(&live, Command::Pause { fd }, Outcome::Bool(false));
    one.text("while it is paused");
    expect(&live, Command::Confirm { fd }, Outcome::Bool(true));
    assert_eq!(events.message(), b"while it is paused");
    expect(&live, Command::Resume { fd }, Outcome::Bool(false));
    expect(&live, Command::Protect { fd, is_protected: true }, Outcome::Bool(true));
    assert!(live.ask(move |server| server.client_info(fd).is_some_and(|info| info.is_protected)));
    expect(&live, Command::Disconnect { fd, code: 4001, reason: "go".into() }, Outcome::Bool(true));
    expect(&live, Command::Disconnect { fd, code: 4001, reason: "go".into() }, Outcome::Bool(false));
    assert_eq!(one.answer_close(4001), "go");
    expect(&live, Command::Reset { fd: fds[1] }, Outcome::Bool(true));
    let error = two.stream.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    live.until_empty();
    expect(&live, Command::Reset { fd }, Outcome::Bool(false));
    expect(&live, Command::Push { fd, message: "x".into() }, Outcome::PushRefused(PushError::Gone));
    expect(&live, Command::Join { fd, topic: "a".into() }, Outcome::JoinRefused(JoinError::Gone));
    expect(&live, Command::Bind { fd, uid: "a".into() }, Outcome::JoinRefused(JoinError::Gone));
}

#[test]
fn answers_are_given_by_command() {
    let (sender, waiting) = mpsc::channel();
    let asked = sender.clone();
    let live = Live::start(
        Server::builder()
            .on_handshake(move |_, request| {
                sender.send(request.fd).expect("the test waits");
                Handshake::later()
            })
            .on_request(move |_, request| {
                asked.send(request.fd).expect("the test waits");
                Reply::Later
            }),
    );
    let mut client = live.client();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let fd = waiting.recv_timeout(DEADLINE).expect("a request");
    expect(&live, Command::AnswerHandshake { fd, handshake: Handshake::accept() }, Outcome::Bool(false));
    expect(&live, Command::Respond { fd, response: Response::text(200, "late") }, Outcome::Bool(true));
    assert_eq!(client.answer().text(), "late");
    let mut client = live.client();
    client.send(common::UPGRADE);
    let fd = waiting.recv_timeout(DEADLINE).expect("a handshake");
    expect(&live, Command::AnswerHandshake { fd, handshake: Handshake::accept() }, Outcome::Bool(true));
    client.expect_101();
}

/// A command knows the connection that it is for: it says whose reactor has to carry it out.
#[test]
fn a_command_for_one_connection_names_it() {
    let fd = gone();
    assert_eq!(Command::Join { fd, topic: "a".into() }.fd(), Some(fd));
    assert_eq!(Command::Respond { fd, response: Response::new(204) }.fd(), Some(fd));
    assert_eq!(Command::Broadcast { message: "x".into(), except: vec![fd] }.fd(), None);
    assert_eq!(Command::Stats.fd(), None);
}

#[test]
fn a_panic_in_the_closure_that_is_told_harms_nobody() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    live.handle.ask(Command::Stats, |_| panic!("as the test wants")).expect("taken");
    let (fd, fault) = events.error();
    assert_eq!((fd, &*fault), (None, "a closure given to Handle::ask panicked: as the test wants"));
    still_serving(&live);
}

#[test]
fn a_full_mailbox_refuses_a_command_and_does_not_call_its_closure() {
    let live = Live::start(echo().configure(|config| {
        config.mailbox_items_max = 2;
        config.mailbox_bytes_max = 1_000;
    }));
    let held = live.hold();
    let first = begin(&live.handle, Command::ConnectionCount);
    // What a command names and excepts counts as what it says does.
    let (sender, refused) = mpsc::channel();
    for command in [
        Command::Broadcast { message: "x".into(), except: vec![gone(); 200] },
        Command::Members { topic: "x".repeat(1_000), limit: 1 },
        Command::Send { fd: gone(), bytes: vec![0; 1_000] },
        Command::Ping { fd: gone(), bytes: vec![0; 1_000] },
        Command::BindWith { fd: gone(), uid: "x".into(), data: "x".repeat(1_000) },
        Command::SetUserData { uid: "x".into(), data: Some("x".repeat(1_000)) },
        Command::Recover { fd: gone(), topic: "x".into(), last_id: "x".repeat(1_000) },
    ] {
        let sender = sender.clone();
        let told = move |outcome: Outcome| sender.send(outcome).expect("the test waits");
        assert_eq!(live.handle.ask(command, told), Err(PushError::Busy));
    }
    let second = begin(&live.handle, Command::ConnectionCount);
    for command in [Command::Stats, Command::Shutdown] {
        assert_eq!(live.handle.execute(command), Err(PushError::Busy));
    }
    drop((held, sender));
    for receiver in [first, second] {
        assert!(matches!(receiver.recv_timeout(DEADLINE), Ok(Outcome::Count(0))));
    }
    assert!(refused.recv_timeout(DEADLINE).is_err(), "a refused command's closure was called");
}

#[test]
fn a_server_that_ends_tells_those_whose_commands_it_never_saw() {
    let event_loop = echo().listen("127.0.0.1:0").build().expect("a free port");
    let handle = event_loop.handle();
    let first = begin(&handle, Command::Stats);
    handle.ask(Command::Stats, |_| panic!("as the test wants")).expect("taken");
    let last = begin(&handle, Command::Push { fd: gone(), message: "x".into() });
    // It has not turned once.
    drop(event_loop);
    for receiver in [first, last] {
        assert!(matches!(receiver.recv_timeout(DEADLINE), Ok(Outcome::Stopped)));
    }
    let (sender, refused) = mpsc::channel();
    let told = move |outcome: Outcome| sender.send(outcome).expect("the test waits");
    assert_eq!(handle.ask(Command::Stats, told), Err(PushError::Stopped));
    assert!(refused.recv_timeout(DEADLINE).is_err(), "a refused command's closure was called");
}
