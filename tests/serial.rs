//! Commands and outcomes as JSON and in a binary format: what is written can be read again, and what can't be written
//! is an error.

mod common;

use common::{DEADLINE, Live, recorded};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use swio::{
    Command, Fd, Handshake, History, JoinError, Message, Opcode, Outcome, PushError, Reach, Response,
    ResponseHead, SlowConsumer, Subscription,
};

fn json<T: DeserializeOwned + Serialize>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("it can be written");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn binary<T: DeserializeOwned + Serialize>(value: &T) -> T {
    let bytes = postcard::to_stdvec(value).expect("it can be written");
    postcard::from_bytes(&bytes).expect("what was written is read")
}

fn fd(value: u64) -> Fd {
    Fd::from_u64(value).expect("an index")
}

fn commands() -> Vec<Command> {
    let fd = fd(u64::MAX);
    let (topic, uid) = (|| "chäts/\"1\"".to_owned(), || "ada".to_owned());
    let handshake = Handshake::accept().subprotocol("chat").header("X-Server", "one");
    vec![
        Command::Push { fd, message: "häi".into() },
        Command::PushAs { fd, opcode: Opcode::Pong, bytes: b"\x00raw\xff".to_vec() },
        Command::PushPart { fd, opcode: Opcode::Continuation, bytes: b"\xff".to_vec(), finish: true },
        Command::PushToUser { uid: uid(), message: vec![0, 255, 10].into(), except: vec![fd] },
        Command::Publish { topic: topic(), message: Message::from("{}").prepare().into(), except: vec![] },
        Command::Broadcast { message: "".into(), except: vec![fd, crate::fd(1)] },
        Command::Send { fd, bytes: b"\x00raw\xff".to_vec() },
        Command::Ping { fd, bytes: b"\xff".to_vec() },
        Command::Disconnect { fd, code: 4001, reason: "another login".into() },
        Command::Reset { fd },
        Command::Join { fd, topic: topic() },
        Command::Leave { fd, topic: topic() },
        Command::KeepHistory { topic: topic(), history: Some(History::default()) },
        Command::Recover { fd, topic: topic(), last_id: "7".into() },
        Command::Bind { fd, uid: uid() },
        Command::BindWith { fd, uid: uid(), data: "{}".into() },
        Command::Unbind { fd },
        Command::SetUserData { uid: uid(), data: Some("{}".into()) },
        Command::Pause { fd },
        Command::Resume { fd },
        Command::Confirm { fd },
        Command::Protect { fd, is_protected: true },
        Command::SetDeadline { fd, after: Some(Duration::from_millis(1_500)) },
        Command::SetSlowConsumer { fd, policy: Some(SlowConsumer::DropOldest) },
        Command::AnswerHandshake { fd, handshake },
        Command::Respond { fd, response: Response::text(200, "hi\n").header("X-A", "b") },
        Command::AnswerSubscribe { fd, topic: topic(), answer: Subscription::allow().data("{}") },
        Command::StartBody { fd, head: ResponseHead::new(200).header("X-A", "b").content_length(7) },
        Command::WriteBody { fd, bytes: b"\x00raw\xff".to_vec() },
        Command::EndBody { fd },
        Command::Exists { fd },
        Command::IsEstablished { fd },
        Command::ClientInfo { fd },
        Command::ConnectionCount,
        Command::Connections { after: Some(fd), limit: 100 },
        Command::ConnectionsOf { uid: uid(), limit: 100 },
        Command::Members { topic: topic(), limit: 100 },
        Command::MemberCount { topic: topic() },
        Command::IsMember { fd, topic: topic() },
        Command::UsersIn { topic: topic(), limit: 100 },
        Command::UsersInWithData { topic: topic(), limit: 100 },
        Command::Uid { fd },
        Command::UserData { uid: uid() },
        Command::TopicsOf { fd },
        Command::Topics { cursor: 7, limit: 100 },
        Command::Stats,
        Command::Usage,
        Command::Turns,
        Command::MemoryBound,
        Command::ReloadSettings,
        Command::Shutdown,
    ]
}

#[test]
fn every_command_comes_back_as_it_was() {
    let mut names = Vec::new();
    for command in commands() {
        assert_eq!(json(&command), command);
        assert_eq!(binary(&command), command);
        names.push(match serde_json::to_value(&command).expect("it can be written") {
            Value::String(name) => name,
            value => value.as_object().and_then(|object| object.keys().next()).expect("a variant").clone(),
        });
    }
    // The error lists all that there are: none is left out here.
    let error = serde_json::from_str::<Command>(r#""?""#).expect_err("no variant").to_string();
    let known: Vec<_> = error.split('`').skip(1).step_by(2).skip(1).collect();
    assert_eq!(names, known, "{error}");
    for response in [Response::new(204), Response::new(200).body(vec![0xff, 0])] {
        let refusal = Handshake::refuse(response.clone());
        assert_eq!((json(&refusal), binary(&refusal)), (refusal.clone(), refusal));
        assert_eq!((json(&response), binary(&response)), (response.clone(), response));
    }
}

#[test]
fn what_a_command_removes_comes_back_as_nothing() {
    let commands = [
        Command::SetDeadline { fd: fd(7), after: None },
        Command::SetSlowConsumer { fd: fd(7), policy: None },
        Command::SetUserData { uid: "ada".into(), data: None },
        Command::KeepHistory { topic: "news".into(), history: None },
    ];
    for command in commands {
        assert_eq!((json(&command), binary(&command)), (command.clone(), command));
    }
    // No format has a number for the longest time.
    let forever = |age| Command::KeepHistory {
        topic: "news".into(),
        history: Some(History { age, ..History::default() }),
    };
    let longest = forever(Duration::from_millis(u64::MAX));
    let longer = forever(Duration::MAX);
    assert_eq!((json(&longer), binary(&longer)), (longest.clone(), longest));
}

/// Messages are equal by their payload alone, so what is written is compared.
#[test]
fn a_message_keeps_how_it_is_delivered() {
    let message = Message::from("9").event("price").id("7").latest(3).slow_consumer(SlowConsumer::DropOldest);
    let bytes = |message: &Message<'_>| postcard::to_stdvec(message).expect("it can be written");
    for again in [json(&message), binary(&message)] {
        assert_eq!(again, message);
        assert_eq!(bytes(&again), bytes(&message));
    }
    let text = r#"{"text":"9","event":"price","id":"7","latest":3,"slow_consumer":"drop_oldest"}"#;
    assert_eq!(serde_json::to_string(&message).expect("it can be written"), text);
    assert_eq!(serde_json::to_string(&Message::from(b"\xff")).expect("bytes"), r#"{"binary":"/w=="}"#);
}

#[test]
fn every_outcome_comes_back_as_it_was() {
    let reach = Reach { queued: 1, refused: 2, unfinished: 3, unsendable: 4 };
    let outcomes = [
        Outcome::Done,
        Outcome::Reach(reach),
        Outcome::Bool(true),
        Outcome::Count(7),
        Outcome::Fds(vec![fd(1), fd(u64::MAX)]),
        Outcome::Names(vec!["a".into()]),
        Outcome::Topics { topics: vec![("a".into(), 2)], next: Some(3) },
        Outcome::Text(None),
        Outcome::Text(Some("ada".into())),
        Outcome::Users(vec![("ada".into(), Some("{}".into())), ("bob".into(), None)]),
        Outcome::ClientInfo(None),
        Outcome::PushRefused(PushError::NotOpen),
        Outcome::JoinRefused(JoinError::NameLength),
        Outcome::Stopped,
    ];
    for outcome in outcomes {
        for again in [json(&outcome), binary(&outcome)] {
            assert_eq!(format!("{again:?}"), format!("{outcome:?}"));
        }
    }
}

#[test]
fn what_is_known_of_a_connection_and_of_the_server_comes_back() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let _client = live.open();
    let fd = events.open();
    assert_eq!(live.ask(move |server| server.bind(fd, "ada")), Ok(true));
    let info = live.ask(move |server| server.client_info(fd)).expect("it is open");
    for again in [json(&info), binary(&info)] {
        let since = again.connected_at.max(info.connected_at) - again.connected_at.min(info.connected_at);
        assert!(since < DEADLINE, "{since:?}");
        let mut again = again;
        (again.connected_at, again.last_received_at) = (info.connected_at, info.last_received_at);
        assert_eq!(format!("{again:?}"), format!("{info:?}"));
    }
    let written = serde_json::to_value(&info).expect("it can be written");
    assert_eq!(written["fd"], fd.to_string());
    assert_eq!((&written["status"], &written["transport"]), (&"established".into(), &"web_socket".into()));
    assert_eq!(written["uid"], "ada");

    let stats = live.ask(|server| server.stats());
    for mut again in [json(&stats), binary(&stats)] {
        let late = stats.started_at.duration_since(again.started_at).expect("cut to milliseconds");
        assert!(late < Duration::from_millis(1), "{late:?}");
        again.started_at = stats.started_at;
        assert_eq!(format!("{again:?}"), format!("{stats:?}"));
    }
    let (usage, turns, bound) = live.ask(|server| (server.usage(), server.turns(), server.memory_bound()));
    assert_eq!((json(&usage), binary(&usage)), (usage, usage));
    assert_eq!((json(&turns), binary(&turns)), (turns, turns));
    assert_eq!((json(&bound), binary(&bound)), (bound, bound));
    let written = serde_json::to_value(turns).expect("it can be written");
    assert_eq!(written["longest_nanos"], turns.longest.as_nanos() as u64);
}

#[test]
fn what_is_told_of_a_return_and_of_a_reload_comes_back() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let _client = live.open();
    let fd = events.open();
    for command in
        [Command::Recover { fd, topic: "news".into(), last_id: "7".into() }, Command::ReloadSettings]
    {
        let outcome = live.ask(move |server| server.execute(command));
        for again in [json(&outcome), binary(&outcome)] {
            assert_eq!(format!("{again:?}"), format!("{outcome:?}"));
        }
    }
}

#[test]
fn json_is_as_the_page_says() {
    let read = |text: &str| serde_json::from_str::<Command>(text).expect(text);
    assert_eq!(
        read(r#"{"publish":{"topic":"news","message":{"text":"it rains"},"except":["7"]}}"#),
        Command::Publish { topic: "news".into(), message: "it rains".into(), except: vec![fd(7)] }
    );
    assert_eq!(
        read(r#"{"broadcast":{"message":{"binary":"AP8="}}}"#),
        Command::Broadcast { message: (&[0, 255]).into(), except: vec![] }
    );
    assert_eq!(
        read(r#"{"disconnect":{"fd":"4294967297","code":1000}}"#),
        Command::Disconnect { fd: fd((1 << 32) + 1), code: 1000, reason: String::new() }
    );
    assert_eq!(
        read(r#"{"respond":{"fd":"9","response":{"status":404}}}"#),
        Command::Respond { fd: fd(9), response: Response::new(404) }
    );
    assert_eq!(read(r#"{"connections":{"limit":9}}"#), Command::Connections { after: None, limit: 9 });
    assert_eq!(read(r#""stats""#), Command::Stats);
    assert_eq!(
        read(r#"{"set_deadline":{"fd":"7","after_millis":1500}}"#),
        Command::SetDeadline { fd: fd(7), after: Some(Duration::from_millis(1_500)) }
    );
    assert_eq!(
        read(r#"{"set_slow_consumer":{"fd":"7","policy":"drop_newest"}}"#),
        Command::SetSlowConsumer { fd: fd(7), policy: Some(SlowConsumer::DropNewest) }
    );
    let history = History { messages: 9, age: Duration::from_secs(60), ..History::default() };
    assert_eq!(
        read(r#"{"keep_history":{"topic":"news","history":{"messages":9,"age_millis":60000}}}"#),
        Command::KeepHistory { topic: "news".into(), history: Some(history) }
    );
    assert_eq!(
        read(r#"{"push_part":{"fd":"7","opcode":"text","bytes":"aGk=","finish":false}}"#),
        Command::PushPart { fd: fd(7), opcode: Opcode::Text, bytes: b"hi".to_vec(), finish: false }
    );
    assert_eq!(read(r#"{"ping":{"fd":"7"}}"#), Command::Ping { fd: fd(7), bytes: vec![] });
    let write = |outcome: &Outcome| serde_json::to_string(outcome).expect("it can be written");
    assert_eq!(write(&Outcome::Done), r#""done""#);
    assert_eq!(write(&Outcome::Fds(vec![fd(7)])), r#"{"fds":["7"]}"#);
    assert_eq!(write(&Outcome::PushRefused(PushError::NotOpen)), r#"{"push_refused":"not_open"}"#);
}

#[test]
fn what_can_not_be_is_an_error_that_says_why() {
    let wrong = |text: &str| serde_json::from_str::<Command>(text).expect_err(text).to_string();
    let cases = [
        (r#"{"pusch":{"fd":"7"}}"#, "unknown variant `pusch`, expected one of `push`"),
        (r#"{"reset":{"fd":"7","soon":true}}"#, "unknown field `soon`, expected `fd`"),
        (r#"{"reset":{}}"#, "missing field `fd`"),
        (r#"{"reset":{"fd":7}}"#, "invalid type: integer `7`, expected a string"),
        (r#"{"reset":{"fd":"0"}}"#, "not an fd"),
        (r#"{"push":{"fd":"7","message":{}}}"#, "a message has either `text` or `binary`"),
        (r#"{"push":{"fd":"7","message":{"text":"a","binary":""}}}"#, "a message has either"),
        (r#"{"push":{"fd":"7","message":{"text":"a","urgent":true}}}"#, "unknown field `urgent`"),
        (r#"{"send":{"fd":"7","bytes":"?"}}"#, "no base64: "),
        (r#"{"push_as":{"fd":"7","opcode":"shout","bytes":""}}"#, "unknown variant `shout`"),
        // Nothing is removed by leaving it out.
        (r#"{"keep_history":{"topic":"news"}}"#, "missing field `history`"),
        (r#"{"set_user_data":{"uid":"ada"}}"#, "missing field `data`"),
        (r#"{"set_deadline":{"fd":"7"}}"#, "missing field `after_millis`"),
        (r#"{"set_slow_consumer":{"fd":"7"}}"#, "missing field `policy`"),
        (r#"{"keep_history":{"topic":"news","history":{"bites":1}}}"#, "unknown field `bites`"),
        (r#"{"respond":{"fd":"7","response":{"status":101}}}"#, "101 is no status of a final response"),
        (
            r#"{"respond":{"fd":"7","response":{"status":200,"headers":[["X","a\r\nB: c"]]}}}"#,
            "control character in the value of header X",
        ),
        (
            r#"{"respond":{"fd":"7","response":{"status":200,"headers":[["Content-Length","1"]]}}}"#,
            "Content-Length is the server's own",
        ),
        (
            r#"{"answer_handshake":{"fd":"7","handshake":{"accept":{"headers":[["Upgrade","h2c"]]}}}}"#,
            "Upgrade is the server's own",
        ),
    ];
    for (text, what) in cases {
        assert!(wrong(text).contains(what), "{text}: {}", wrong(text));
    }
    let fd = fd(7);
    let later = Command::AnswerHandshake { fd, handshake: Handshake::later() };
    let error = serde_json::to_string(&later).expect_err("no answer").to_string();
    assert!(error.contains("::later is no answer"), "{error}");
}
