//! The small examples do what they say: each runs as its own process on a free port, and is used as its reader would
//! use it. The chat is tested in a browser, by tests/browser.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::protocol::frame::coding::OpCode;
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::{Message, WebSocket};

/// How long anything may take. Generous, for loaded machines: only a failing test waits for so long.
const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn echo_answers_the_sender_in_kind() {
    let echo = Example::run("echo", &[]);
    let (mut one, mut two) = (echo.open(), echo.open());
    for message in [Message::text("grüße"), Message::binary(vec![0, 159, 146]), Message::text("")] {
        one.send(message.clone()).expect("sent");
        assert_eq!(one.read().expect("an answer"), message);
    }
    // Had the other client been sent anything, it would come before its own answer.
    two.send(Message::text("mine")).expect("sent");
    assert_eq!(text(&mut two), "mine");
}

#[test]
fn echo_with_broadcast_answers_everybody() {
    let echo = Example::run("echo", &["--broadcast"]);
    let mut clients = [echo.open(), echo.open(), echo.open()];
    clients[1].send(Message::text("to all")).expect("sent");
    for client in &mut clients {
        assert_eq!(text(client), "to all");
    }
}

#[test]
fn handler_relays_to_everybody_else_and_says_what_happens() {
    let handler = Example::run("handler", &[]);
    let (mut one, mut two) = (handler.open(), handler.open());
    assert_eq!([handler.line(), handler.line()], ["New connection! (1)", "New connection! (2)"]);
    one.send(Message::text("hello")).expect("sent");
    assert_eq!(text(&mut two), "hello");
    assert_eq!(handler.line(), "1 says \"hello\" to 1 others");
    // What the first client gets next is the other's: its own words did not come back.
    two.send(Message::text("good day")).expect("sent");
    assert_eq!(text(&mut one), "good day");
    assert_eq!(handler.line(), "2 says \"good day\" to 1 others");
    one.close(None).expect("a close frame");
    assert_eq!(handler.line(), "Connection 1 has disconnected: closed by the peer, 1005");
    // An opcode that is not known.
    let header = FrameHeader { opcode: OpCode::from(3), mask: Some([1, 2, 3, 4]), ..FrameHeader::default() };
    two.send(Message::Frame(Frame::from_payload(header, "".into()))).expect("sent");
    assert!(handler.line().starts_with("An error has occurred: the peer broke the protocol (1002)"));
    assert!(handler.line().starts_with("Connection 2 has disconnected: closed by this side, 1002"));
}

#[test]
fn timers_count_down_and_tick_until_stopped() {
    let timers = Example::run("timers", &[]);
    let start = Instant::now();
    let mut client = timers.open();
    let mut heard = Vec::new();
    until(&mut client, &mut heard, "tick 1");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    for answer in ["stopped", "already stopped"] {
        client.send(Message::text("stop")).expect("sent");
        until(&mut client, &mut heard, answer);
    }
    until(&mut client, &mut heard, "lift-off");
    // Ticks may have been on their way before the first answer, none come behind it; the countdown goes on.
    let stopped = heard.iter().position(|text| text == "stopped").expect("waited for");
    assert!(heard[stopped..].iter().all(|text| !text.starts_with("tick")), "{heard:?}");
    heard.retain(|text| !text.starts_with("tick") && !text.ends_with("stopped"));
    assert_eq!(heard, ["3", "2", "1", "lift-off"]);
}

#[test]
fn push_from_thread_pushes_the_same_to_everybody_and_has_a_page() {
    let example = Example::run("push_from_thread", &[]);
    let (mut one, mut two) = (example.open(), example.open());
    let price = text(&mut two);
    assert!(price.starts_with("second ") && price.ends_with(" €"), "{price}");
    // The first client was there before, so it has seen this one too.
    until(&mut one, &mut Vec::new(), &price);
    assert!(example.get("/").starts_with("HTTP/1.1 200 "));
    assert!(example.get("/").contains("new WebSocket("));
    assert!(example.get("/nothing").starts_with("HTTP/1.1 404 "));
}

#[test]
fn embed_shows_its_world_and_takes_kicks() {
    let embed = Example::run("embed", &[]);
    let mut client = embed.open();
    let next = |client: &mut Client| {
        let text = text(client);
        let position = text.strip_prefix("the ball is at ").expect("nothing else is said unasked");
        position.parse::<i32>().expect("a position")
    };
    let step = (next(&mut client) - next(&mut client)).rem_euclid(100);
    assert_eq!(step, 99, "one forward");
    client.send(Message::text("kick")).expect("sent");
    until(&mut client, &mut Vec::new(), "you kicked the ball");
    assert!(embed.line().starts_with("embed: 1 kicked the ball at "));
    // It was turned before that was printed, but what was shown before may still be on its way.
    let deadline = Instant::now() + DEADLINE;
    let mut last = next(&mut client);
    loop {
        let position = next(&mut client);
        if (last - position).rem_euclid(100) == 1 {
            return;
        }
        assert!(Instant::now() < deadline, "the ball was not turned around");
        last = position;
    }
}

#[test]
fn sse_is_a_room_over_plain_http_that_remembers() {
    let example = Example::run("sse", &[]);
    let stream = |lines: &str| {
        let mut stream = BufReader::new(example.connect());
        let head = format!(
            "GET /?swio=stream HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{lines}\r\n"
        );
        stream.get_mut().write_all(head.as_bytes()).expect("sent");
        stream
    };
    let until_field = |stream: &mut BufReader<TcpStream>, name: &str| loop {
        let mut line = String::new();
        assert_ne!(stream.read_line(&mut line).expect("a line in time"), 0, "an end before {name}");
        if let Some(value) = line.strip_prefix(name) {
            break value.trim_end().to_owned();
        }
    };
    let mut one = stream("");
    let session = until_field(&mut one, "data: ");
    let token = session.split('"').nth(3).expect("a token").to_owned();
    let say = |text: &str| {
        let len = text.len();
        let head = format!(
            "POST /?swio=send&session={token} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n"
        );
        let mut poster = example.connect();
        poster.write_all(format!("{head}Connection: close\r\n\r\n{text}").as_bytes()).expect("sent");
        let mut answer = String::new();
        poster.read_to_string(&mut answer).expect("an answer and its end");
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    };
    say("hello");
    assert_eq!(until_field(&mut one, "event: "), "said");
    let id = until_field(&mut one, "id: ");
    assert_eq!(until_field(&mut one, "data: "), "1: hello");
    say("anybody?");
    let mut back = stream(&format!("Last-Event-ID: {id}\r\n"));
    assert!(until_field(&mut back, "data: ").contains("session"));
    assert_eq!(until_field(&mut back, "data: "), "1: anybody?");
    assert!(example.get("/").contains("new EventSource"));
}

#[test]
fn tcp_is_one_room_for_browsers_and_lines() {
    let example = Example::run("tcp", &[]);
    let netcat = example.line();
    let address = netcat.strip_prefix("tcp: nc ").expect("where to connect").replace(' ', ":");
    let mut lines = BufReader::new(TcpStream::connect(address).expect("it listens"));
    lines.get_ref().set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut line = String::new();
    lines.get_mut().write_all(b"anybody here?\r\n").expect("sent");
    lines.read_line(&mut line).expect("a line");
    assert_eq!(line, "1: anybody here?\n");
    let mut browser = example.open();
    lines.get_mut().write_all(b"hello\n").expect("sent");
    until(&mut browser, &mut Vec::new(), "1: hello");
    line.clear();
    lines.read_line(&mut line).expect("a line");
    browser.send(Message::text("two\nlines")).expect("sent");
    for expected in ["2: two\n", "2: lines\n"] {
        line.clear();
        lines.read_line(&mut line).expect("a line");
        assert_eq!(line, expected);
    }
    drop(lines);
    until(&mut browser, &mut Vec::new(), "1: (has left)");
    assert!(example.get("/").contains("new WebSocket("));
}

#[test]
fn long_polling_counts_for_who_asks() {
    let example = Example::run("long_polling", &[]);
    assert!(example.get("/").contains("swio=poll"));
    let first = example.get("/?swio=poll");
    let (_, token) = first.split_once(r#"{"session":""#).expect("a session");
    let session = &token[..22];
    assert!(first.ends_with(r#""cursor":1,"messages":[{"text":"welcome"}]}"#), "{first}");
    let next = example.get(&format!("/?swio=poll&session={session}&cursor=1"));
    assert!(next.contains(r#""cursor":2,"messages":[{"text":""#), "{next}");
}

#[test]
fn page_has_its_script_and_publishes_what_is_said() {
    let example = Example::run("page", &[]);
    assert!(example.get("/").contains(r#"<script src="/swio.js">"#));
    assert!(example.get("/swio.js").ends_with(swio::SCRIPT));
    let first = example.get("/?swio=poll");
    let (_, token) = first.split_once(r#"{"session":""#).expect("a session");
    let session = &token[..22];
    for (command, said) in [("subscribe&topic=room", ""), ("send", "hello")] {
        assert!(example.ask(&format!("POST /?swio={command}&session={session}"), said).contains(" 204 "));
    }
    let next = example.get(&format!("/?swio=poll&session={session}&cursor=0"));
    assert!(next.contains(": hello\",\"topic\":\"room\""), "{next}");
}

#[test]
fn client_sends_what_is_typed_and_shows_what_comes() {
    let echo = Example::run("echo", &[]);
    let mut child = Command::new(path("client"))
        .arg(format!("ws://{}/", echo.address))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let mut typed = child.stdin.take().expect("piped");
    let mut shown = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert_eq!(shown.next().as_deref(), Some("(connected)"));
    for line in ["one", "two"] {
        writeln!(typed, "{line}").expect("it reads");
        assert_eq!(shown.next().as_deref(), Some(line));
    }
    drop(typed);
    assert_eq!(shown.next().as_deref(), Some("(closed by this side, 1000)"));
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_wrong_argument_is_answered_with_the_usage() {
    for name in ["echo", "push_from_thread", "timers", "handler", "embed", "tcp", "long_polling", "page"] {
        let output = Command::new(path(name)).arg("--lisen").output().expect("the example starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name}");
        assert!(said.contains(&format!("usage: {name} [--listen ADDRESS]")), "{name}: {said}");
    }
}

#[test]
fn welcome_greets_and_answers() {
    let program = Example::program("welcome");
    let mut client = program.open();
    let line = program.line();
    let fd = line.strip_suffix(" is here").expect("its words");
    assert_eq!(text(&mut client), "hello, welcome");
    client.send(Message::text("good day")).expect("sent");
    assert_eq!(program.line(), "good day");
    assert_eq!(text(&mut client), r#"["hello","world"]"#);
    client.close(None).expect("a close frame");
    assert_eq!(program.line(), format!("{fd} has left"));
}

#[test]
fn frame_fields_are_printed_and_answered_with_the_time() {
    let program = Example::program("frame_fields");
    let mut client = program.open();
    let line = program.line();
    let fd = line.strip_prefix("handshake success with fd ").expect("its words");
    client.send(Message::text("hi")).expect("sent");
    assert_eq!(program.line(), format!("fd {fd}: hi, opcode 1, finish true"));
    let answer = text(&mut client);
    let date = answer.strip_prefix("this is server, ").expect("its words");
    assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
    client.send(Message::binary(b"bytes".to_vec())).expect("sent");
    assert_eq!(program.line(), format!("fd {fd}: bytes, opcode 2, finish true"));
    client.close(None).expect("a close frame");
    assert_eq!(program.line(), format!("fd {fd} closed"));
}

#[test]
fn component_relays_to_everybody_else_and_ends_who_errs() {
    let program = Example::program("component");
    let (mut one, mut two) = (program.open(), program.open());
    let lines = [program.line(), program.line()];
    let fds = lines.each_ref().map(|line| line.strip_prefix("New connection: ").expect("its words"));
    one.send(Message::text("hello")).expect("sent");
    assert_eq!(text(&mut two), "hello");
    // Had its own words come back, they would come before the other's.
    two.send(Message::text("good day")).expect("sent");
    assert_eq!(text(&mut one), "good day");
    one.close(None).expect("a close frame");
    assert_eq!(program.line(), format!("Connection {} has left", fds[0]));
    let header = FrameHeader { opcode: OpCode::from(3), mask: Some([1, 2, 3, 4]), ..FrameHeader::default() };
    two.send(Message::Frame(Frame::from_payload(header, "".into()))).expect("sent");
    assert!(program.line().starts_with("Error: the peer broke the protocol (1002)"));
    assert_eq!(program.line(), format!("Connection {} has left", fds[1]));
}

#[test]
fn chat_page_has_a_page_and_its_chat() {
    let program = Example::program("chat_page");
    assert!(program.get("/").contains("function sendMessage("));
    let mut clients = [program.open_at("/chat"), program.open_at("/chat")];
    clients[0].send(Message::text("to all")).expect("sent");
    for client in &mut clients {
        assert_eq!(text(client), "to all");
    }
}

#[test]
fn client_class_says_hello_and_leaves_or_says_why_not() {
    let run = |url: String| Command::new(path("client_class")).arg(url).output().expect("the program starts");
    let echo = Example::run("echo", &[]);
    let output = run(format!("ws://{}/", echo.address));
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "Connected\nReceived: Hello, World!\nClosed: 1000 \n");
    // No server is there.
    let output = run(format!("ws://{}/", free_address()));
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("Error: can't connect to ws://127."), "{said}");
}

#[test]
fn long_poll_holds_until_there_is_a_message() {
    let program = Example::program("long_poll");
    let mut held = program.connect();
    write!(held, "GET /?since=0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    // Another request is answered meanwhile; this one waits.
    held.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    assert!(held.read(&mut [0]).is_err(), "it was not held");
    held.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    assert!(program.ask("POST /", "say \"hi\"").starts_with("HTTP/1.1 204 "));
    let mut answer = String::new();
    held.read_to_string(&mut answer).expect("an answer and its end");
    let timestamp = |answer: &str| {
        let (_, json) = answer.split_once("\r\n\r\n").expect("a head");
        let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(json["message"], "say \"hi\"");
        json["timestamp"].as_u64().expect("a number")
    };
    let first = timestamp(&answer);
    // Who has not seen it gets it at once.
    assert_eq!(timestamp(&program.get("/?since=0")), first);
    // Who has is held, and let go in time.
    let start = Instant::now();
    assert!(program.get(&format!("/?since={first}")).starts_with("HTTP/1.1 204 "));
    assert!(start.elapsed() < DEADLINE);
}

#[test]
fn event_stream_goes_on_with_each_message() {
    let program = Example::program("event_stream");
    let mut stream = BufReader::new(program.connect());
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    stream.get_mut().write_all(head.as_bytes()).expect("sent");
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert_ne!(stream.read_line(&mut line).expect("a line in time"), 0, "an end in the head");
    }
    for text in ["one", "two"] {
        assert!(program.ask("POST /", text).starts_with("HTTP/1.1 204 "));
        while !line.starts_with("data:") {
            line.clear();
            assert_ne!(stream.read_line(&mut line).expect("a line in time"), 0, "an end before {text}");
        }
        assert_eq!(line, format!("data: {text}\n"));
        line.clear();
    }
}

type Client = WebSocket<TcpStream>;

/// A running example; ended when dropped.
struct Example {
    child: Child,
    address: String,
    /// What it prints, line by line.
    lines: Receiver<String>,
}

impl Example {
    fn run(name: &str, arguments: &[&str]) -> Example {
        let mut child = Command::new(path(name))
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let lines = lines_of(&mut child);
        let mut example = Example { child, address: String::new(), lines };
        let line = example.line();
        let (_, url) = line.split_once("://").expect("a URL");
        example.address = url.trim_end_matches('/').to_owned();
        example
    }

    /// One of examples/programs, which says nothing of where it listens. Trying whether it does costs an fd or more:
    /// its first client need not be 1.
    fn program(name: &str) -> Example {
        let deadline = Instant::now() + DEADLINE;
        loop {
            assert!(Instant::now() < deadline, "{name} does not listen");
            let address = free_address();
            let mut child =
                Command::new(path(name)).arg(&address).stdout(Stdio::piped()).spawn().expect("it starts");
            let lines = lines_of(&mut child);
            let mut example = Example { child, address, lines };
            // It has ended where somebody else was quicker to take the port.
            while Instant::now() < deadline && example.child.try_wait().expect("a child").is_none() {
                if TcpStream::connect(&example.address).is_ok() {
                    return example;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line in time")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream
    }

    /// A client behind its handshake.
    fn open(&self) -> Client {
        self.open_at("/")
    }

    fn open_at(&self, path: &str) -> Client {
        let url = format!("ws://{}{path}", self.address);
        tungstenite::client(url, self.connect()).expect("a handshake").0
    }

    /// A plain request's whole answer.
    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path}"), "")
    }

    fn ask(&self, what: &str, body: &str) -> String {
        let mut stream = self.connect();
        let len = body.len();
        let head = format!(
            "{what} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer and its end");
        answer
    }
}

/// Reads to the end whether anybody listens or not: an example that prints into a closed pipe panics.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
    lines
}

/// Where nobody listens, for now. On Linux all of 127/8 is this machine: each call has an address of its own, where
/// nobody else looks for a port.
fn free_address() -> String {
    static CALLS: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = match cfg!(target_os = "linux") {
        true => [127, high.max(1), low, CALLS.fetch_add(1, Ordering::Relaxed).clamp(1, 254)],
        false => [127, 0, 0, 1],
    };
    let listener = TcpListener::bind((IpAddr::from(address), 0)).expect("a free port");
    listener.local_addr().expect("bound").to_string()
}

impl Drop for Example {
    fn drop(&mut self) {
        self.child.kill().expect("ours to end");
        self.child.wait().expect("ended");
    }
}

/// Adds texts to `heard` up to the one that is waited for, unless it was heard already.
fn until(client: &mut Client, heard: &mut Vec<String>, awaited: &str) {
    let deadline = Instant::now() + DEADLINE;
    while !heard.iter().any(|text| text == awaited) {
        assert!(Instant::now() < deadline, "{awaited:?} did not come, but {heard:?}");
        heard.push(text(client));
    }
}

/// The next message, which is a text.
fn text(client: &mut Client) -> String {
    client.read().expect("a message in time").into_text().expect("a text").as_str().to_owned()
}

/// Cargo builds the examples beside the tests, `debug/deps/examples-…` and `debug/examples/NAME`, unless it
/// is told to build this test alone.
fn path(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().expect("a path");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(name);
    path.set_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{} is not built: run cargo build --examples first", path.display());
    path
}
