//! Clients: against swio itself, against tungstenite's server, and against servers that misbehave.

mod common;

use common::*;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use swio::client::{self, blocking};
use swio::{Backoff, Cause, Client as Caller, CloseReason, Fault, Handshake, Message, PushError, Response};
use swio::{Opcode, RunningClient, Server, Side};

// ---------------------------------------------------------------------------------------------- tools

/// What a client's callbacks were told.
#[derive(Debug, PartialEq)]
enum Told {
    Open(Option<String>),
    Message(Message<'static>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseReason),
    Failed(Cause, String),
    Error(String),
}

/// A client that tells the test what it is told.
fn recorded_client(url: impl Into<String>) -> (Caller, Receiver<Told>) {
    let (sender, receiver) = mpsc::channel();
    let senders = [(); 6].map(|()| sender.clone());
    let [open, message, ping, pong, close, error] = senders;
    let client = Caller::connect(url)
        .on_open(move |_, answer| tell(&open, Told::Open(answer.subprotocol().map(str::to_owned))))
        .on_message(move |_, frame| tell(&message, Told::Message(Message::from(frame.data).into_owned())))
        .on_ping(move |_, data| tell(&ping, Told::Ping(data.to_vec())))
        .on_pong(move |_, data| tell(&pong, Told::Pong(data.to_vec())))
        .on_close(move |_, reason| tell(&close, Told::Close(reason.clone())))
        .on_error(move |_, fault| {
            tell(
                &error,
                match fault {
                    Fault::Connect { cause, text, .. } => Told::Failed(*cause, text.to_string()),
                    fault => Told::Error(fault.to_string()),
                },
            );
        });
    (client, receiver)
}

fn next(told: &Receiver<Told>) -> Told {
    told.recv_timeout(DEADLINE).expect("the client is told something")
}

fn is_open(told: &Receiver<Told>) {
    assert!(matches!(next(told), Told::Open(_)));
}

fn text(text: &str) -> Told {
    Told::Message(Message::from(text.to_owned()))
}

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/chat?room=1")
}

/// Waits for the end of a client on a thread of its own.
fn join(client: RunningClient) -> std::io::Result<()> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(client.join()));
    receiver.recv_timeout(DEADLINE).expect("the client ends in time")
}

fn patient(millis: u64) -> impl FnOnce(&mut swio::Config) {
    move |config| {
        config.connect_timeout = Duration::from_millis(millis);
        config.close_timeout = Duration::from_millis(millis);
    }
}

/// A server that serves each of its connections by `serve`, one after the other.
struct Rogue {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Rogue {
    fn start(connections: usize, serve: impl Fn(&mut Peer) + Send + 'static) -> Rogue {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let thread = thread::spawn(move || {
            for _ in 0..connections {
                let (stream, _) = listener.accept().expect("a client");
                stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
                serve(&mut Peer { stream, head: String::new() });
            }
        });
        Rogue { address, thread: Some(thread) }
    }

    fn url(&self) -> String {
        url(self.address)
    }

    /// Everything that the server's thread saw was right.
    fn done(mut self) {
        let thread = self.thread.take().expect("once");
        assert!(thread.join().is_ok(), "the server's side");
    }
}

/// A server's end of a connection.
struct Peer {
    stream: TcpStream,
    head: String,
}

impl Peer {
    fn read_head(&mut self) -> &str {
        let mut byte = [0];
        while !self.head.ends_with("\r\n\r\n") {
            self.stream.read_exact(&mut byte).expect("a request");
            self.head.push(byte[0] as char);
        }
        &self.head
    }

    /// The 101 that the request asks for, with more header lines.
    fn answer(&mut self, lines: &str) -> String {
        let key = self
            .read_head()
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
            .expect("a key")
            .to_owned();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{lines}\r\n"
        )
    }

    fn open(&mut self) {
        let answer = self.answer("");
        self.send(answer.as_bytes());
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the client reads");
    }

    /// A frame of the client's, which must be masked: its first byte, the key, the payload.
    fn frame(&mut self) -> (u8, [u8; 4], Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).expect("a frame");
        assert!(head[1] & 0x80 != 0, "a client's frame is masked");
        let len = match head[1] & 0x7f {
            126 => {
                let mut len = [0; 2];
                self.stream.read_exact(&mut len).expect("a length");
                u16::from_be_bytes(len).into()
            }
            127 => {
                let mut len = [0; 8];
                self.stream.read_exact(&mut len).expect("a length");
                u64::from_be_bytes(len) as usize
            }
            len => len.into(),
        };
        let (mut key, mut payload) = ([0; 4], vec![0; len]);
        self.stream.read_exact(&mut key).expect("a key");
        self.stream.read_exact(&mut payload).expect("a payload");
        payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        (head[0], key, payload)
    }

    /// Closes in good order: the client answers, then this side ends TCP.
    fn close(&mut self, code: u16) {
        self.send(&close_frame(code));
        let (first, _, payload) = self.frame();
        assert_eq!((first, payload), (FIN | CLOSE, code.to_be_bytes().to_vec()));
    }

    /// The client ends TCP; what it says before is let pass.
    fn until_end(&mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the client hangs"),
        }
    }
}

/// A frame of a server's: not masked.
fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(len as u8),
        len @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

fn close_frame(code: u16) -> Vec<u8> {
    plain(FIN | CLOSE, &code.to_be_bytes())
}

fn echo_live() -> Live {
    Live::start(echo())
}

// ---------------------------------------------------------------------------------------------- in order

#[test]
fn what_is_sent_comes_back_and_the_close_is_a_clean_one() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let (client, told) = recorded_client(url(live.address));
    let running = client.start().expect("a client");
    is_open(&told);
    let fd = events.open();
    running.push("from the client").expect("it runs");
    assert_eq!(events.message(), b"from the client");
    live.handle.push(fd, "from the server").expect("it runs");
    assert_eq!(next(&told), text("from the server"));
    running.stop().expect("it runs");
    let reason = CloseReason::new(Side::Local, 1000, "", Cause::Requested);
    assert_eq!(next(&told), Told::Close(reason));
    assert_eq!(events.close(), (fd, CloseReason::new(Side::Peer, 1000, "", Cause::Requested)));
    join(running).expect("a good end");
    live.until_empty();
}

/// Its thread is held up meanwhile: what is pushed waits in the mailbox.
#[test]
fn what_is_pushed_to_a_client_from_other_threads_is_bounded_in_bytes() {
    let (builder, events) = recorded();
    let live = Live::start(builder);
    let (client, told) = recorded_client(url(live.address));
    let client = client.configure(|config| {
        config.mailbox_bytes_max = 16 << 20;
        config.outbox_bytes_max = 64 << 20;
    });
    let running = client.start().expect("a client");
    is_open(&told);
    let (held, is_held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let hold = running.handle().run(move |_| {
        held.send(()).expect("the test waits");
        released.recv_timeout(DEADLINE).ok();
    });
    hold.expect("it runs");
    is_held.recv_timeout(DEADLINE).expect("the client's thread is held up");
    let outcomes: Vec<_> = (0..400).map(|_| running.push(vec![7; 1 << 20])).collect();
    assert_eq!(outcomes[..16], [Ok(()); 16]);
    assert_eq!(outcomes[16..], [Err(PushError::Busy); 384]);
    drop(release);
    // What was taken arrives, and there is room again.
    (0..16).for_each(|_| assert_eq!(events.message().len(), 1 << 20));
    assert_eq!(running.push("one more"), Ok(()));
    assert_eq!(events.message(), b"one more");
    running.stop().expect("it runs");
    join(running).expect("a good end");
}

#[test]
fn every_length_around_the_borders_comes_back_the_same() {
    let live = echo_live();
    let lengths = [0, 1, 3, 4, 5, 125, 126, 127, 0xffff, 0x1_0000, 0x1_0001, 1 << 20];
    let (sender, receiver) = mpsc::channel();
    let running = Caller::connect(url(live.address))
        .on_open(move |client, _| {
            for len in lengths {
                client.push("x".repeat(len)).expect("there is room");
                client.push(vec![0x5a; len]).expect("there is room");
            }
        })
        .on_message(move |_, frame| tell(&sender, Message::from(frame.data).into_owned()))
        .start()
        .expect("a client");
    for len in lengths {
        for expected in [Message::from("x".repeat(len)), Message::from(vec![0x5a; len])] {
            let message = receiver.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(message, expected, "{len}");
        }
    }
    running.stop().expect("it runs");
    join(running).expect("a good end");
}

#[test]
fn all_ways_to_send_are_masked() {
    let live = echo_live();
    let (sender, receiver) = mpsc::channel();
    let prepared = Message::from("prepared").prepare();
    Caller::connect(url(live.address))
        .on_open(move |client, _| {
            let fd = client.fd().expect("it is open");
            client.push(&prepared).expect("there is room");
            let server = client.server();
            server.push_part(fd, Opcode::Text, "in pä".as_bytes(), false).expect("there is room");
            assert_eq!(server.push(fd, "between"), Err(PushError::Unfinished));
            server.push_part(fd, Opcode::Continuation, b"rts", true).expect("there is room");
            server.join(fd, "room").expect("it is open");
            assert_eq!(server.publish("room", "published").send().queued, 1);
            assert_eq!(server.broadcast("broadcast").send().queued, 0);
            assert_eq!((server.connection_count(), server.connections().count()), (0, 0));
            client.ping(b"ping").expect("there is room");
        })
        .on_message({
            let sender = sender.clone();
            move |_, frame| tell(&sender, frame.data.to_string())
        })
        .on_pong(move |client, data| {
            tell(&sender, String::from_utf8_lossy(data).into_owned());
            client.disconnect(4000, "enough");
        })
        .run()
        .expect("a good end");
    let heard: Vec<_> = receiver.try_iter().collect();
    assert_eq!(heard, ["prepared", "in pärts", "published", "ping"]);
}

#[test]
fn headers_and_subprotocols_are_sent_and_the_answer_is_told() {
    let builder = Server::builder().on_handshake(|_, request| {
        let is_right = request.header("Cookie") == Some("a=b")
            && request.header("Host").is_some_and(|host| host.starts_with("127.0.0.1:"))
            && (request.path(), request.query()) == ("/chat", Some("room=1"))
            && request.subprotocols().eq(["v2", "v1"]);
        match is_right {
            true => Handshake::accept().subprotocol("v1").header("X-Server", "one"),
            false => Response::text(400, "wrong\n").into(),
        }
    });
    let live = Live::start(builder);
    let (sender, receiver) = mpsc::channel();
    Caller::connect(url(live.address))
        .header("Cookie", "a=b")
        .subprotocol("v2")
        .subprotocol("v1")
        .on_open(move |client, answer| {
            let header = answer.header("x-server").map(str::to_owned);
            tell(&sender, (answer.status(), answer.subprotocol().map(str::to_owned), header));
            client.disconnect(1000, "");
        })
        .run()
        .expect("a good end");
    assert_eq!(receiver.try_recv(), Ok((101, Some("v1".into()), Some("one".into()))));
}

#[test]
fn pings_are_answered_and_a_silent_server_is_pinged_and_given_up() {
    let rogue = Rogue::start(1, |peer| {
        peer.open();
        peer.send(&plain(FIN | PING, b"are you there?"));
        let (first, _, payload) = peer.frame();
        assert_eq!((first, &*payload), (FIN | PONG, &b"are you there?"[..]));
        let (first, _, payload) = peer.frame();
        assert_eq!((first, payload.len()), (FIN | PING, 8));
        let (first, _, payload) = peer.frame();
        assert_eq!((first, &payload[..2]), (FIN | CLOSE, &1001u16.to_be_bytes()[..]));
        peer.until_end();
    });
    let (client, told) = recorded_client(rogue.url());
    let running = client
        .configure(|config| {
            config.ping_interval = Some(Duration::from_millis(100));
            config.pong_timeout = Duration::from_millis(100);
            config.linger_timeout = Duration::from_millis(100);
        })
        .start()
        .expect("a client");
    is_open(&told);
    assert_eq!(next(&told), Told::Ping(b"are you there?".to_vec()));
    let reason = CloseReason::new(Side::Local, 1001, "no answer to ping", Cause::Timeout);
    assert_eq!(next(&told), Told::Close(reason));
    join(running).expect("it was open");
    rogue.done();
}

#[test]
fn no_two_frames_have_the_same_mask() {
    const FRAMES: usize = 600;
    let rogue = Rogue::start(1, |peer| {
        peer.open();
        let mut keys: Vec<_> = (0..FRAMES).map(|_| peer.frame().1).collect();
        keys.sort_unstable();
        keys.dedup();
        // By chance two of so many 32-bit keys are the same once in 24,000 runs, three never.
        assert!(keys.len() >= FRAMES - 1, "{} of {FRAMES}", keys.len());
        peer.send(&close_frame(1000));
    });
    Caller::connect(rogue.url())
        .on_open(|client, _| (0..FRAMES).for_each(|_| client.push("same").expect("there is room")))
        .run()
        .expect("a good end");
    rogue.done();
}

#[test]
fn the_server_ends_tcp_first_and_is_waited_for() {
    for waits in [true, false] {
        let rogue = Rogue::start(1, move |peer| {
            peer.open();
            peer.send(&close_frame(4001));
            let (first, _, payload) = peer.frame();
            assert_eq!((first, payload), (FIN | CLOSE, 4001u16.to_be_bytes().to_vec()));
            if waits {
                peer.stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
                let error = peer.stream.read(&mut [0]).expect_err("the client waits for the server");
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                peer.stream.shutdown(Shutdown::Write).expect("still connected");
            }
            // Where the server never ends, the client does after a while.
            peer.stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
            peer.until_end();
        });
        let (client, told) = recorded_client(rogue.url());
        client.configure(patient(if waits { 5_000 } else { 100 })).run().expect("a good end");
        is_open(&told);
        let reason = CloseReason::new(Side::Peer, 4001, "", Cause::Requested);
        assert_eq!(next(&told), Told::Close(reason));
        rogue.done();
    }
}

// ---------------------------------------------------------------------------------------------- misbehaviour

/// What becomes of a client whose handshake is answered by `answer`, which may use the right answer.
fn answered(answer: impl Fn(String) -> String + Send + 'static) -> (Cause, String) {
    let rogue = Rogue::start(1, move |peer| {
        let right = peer.answer("");
        peer.send(answer(right).as_bytes());
        peer.until_end();
    });
    let (client, told) = recorded_client(rogue.url());
    let error = client.configure(patient(5_000)).run().expect_err("it can't open");
    let Told::Failed(cause, text) = next(&told) else { panic!("no failure") };
    assert!(error.to_string().starts_with("can't connect to ws://127.0.0.1:"), "{error}");
    assert!(told.try_recv().is_err(), "that was all");
    rogue.done();
    (cause, text)
}

#[test]
fn a_wrong_answer_to_the_handshake_is_no_connection_and_says_why() {
    let redirect = "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n";
    let (cause, text) = answered(|_| redirect.to_owned());
    assert_eq!((cause, &*text), (Cause::Refused(302), "302 Found, see http://elsewhere.example/"));
    let (cause, text) = answered(|_| "HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nno!".to_owned());
    assert_eq!((cause, &*text), (Cause::Refused(401), "401 Unauthorized"));
    let (cause, text) = answered(|_| "HTTP/1.1 200\r\n\r\n".to_owned());
    assert_eq!((cause, &*text), (Cause::Refused(200), "200"));
    for (from, to) in [
        ("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x"),
        ("Sec-WebSocket-Accept: ", "X-Accept: "),
        ("Upgrade: websocket\r\n", ""),
        ("Connection: Upgrade\r\n", "Connection: close\r\n"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("HTTP/1.1", "HTCPCP/1.0"),
        ("HTTP/1.1 101", "HTTP/1.1 1o1"),
        ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: never-offered\r\n\r\n"),
        ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
    ] {
        let (cause, _) = answered(move |right| right.replacen(from, to, 1));
        assert!(matches!(cause, Cause::Protocol(_)), "{from:?} -> {to:?}: {cause}");
    }
    let (cause, _) =
        answered(|right| right.replacen("\r\n", &format!("\r\nX: {}\r\n", "x".repeat(9_000)), 1));
    // The head is judged when it is whole, or when it is too long to become so.
    assert!(matches!(cause, Cause::TooBig(_)), "{cause}");
    let (cause, _) = answered(|_| format!("HTTP/1.1 101 X\r\nX: {}", "x".repeat(9_000)));
    assert!(matches!(cause, Cause::TooBig(_)), "{cause}");
}

#[test]
fn answers_before_the_answer_are_passed_over() {
    let rogue = Rogue::start(1, |peer| {
        let right = peer.answer("");
        let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
        peer.send(format!("{early}{right}").as_bytes());
        peer.close(1000);
    });
    let (client, told) = recorded_client(rogue.url());
    client.run().expect("a good end");
    is_open(&told);
    rogue.done();
    let (cause, _) = answered(|right| format!("{}{right}", "HTTP/1.1 100 Continue\r\n\r\n".repeat(400)));
    assert!(matches!(cause, Cause::TooBig(_)), "{cause}");
}

#[test]
fn silence_a_reset_and_an_early_end_are_told_apart() {
    let end = |serve: fn(&mut Peer)| {
        let rogue = Rogue::start(1, serve);
        let (client, told) = recorded_client(rogue.url());
        client.configure(patient(200)).run().expect_err("it can't open");
        rogue.done();
        match next(&told) {
            Told::Failed(cause, _) => cause,
            told => panic!("{told:?}"),
        }
    };
    assert_eq!(end(|peer| peer.until_end()), Cause::Timeout, "silence");
    assert_eq!(
        end(|peer| {
            peer.read_head();
            peer.send(b"HTTP/1.1 101 Switch");
            peer.until_end();
        }),
        Cause::Timeout,
        "half an answer"
    );
    assert_eq!(
        end(|peer| {
            peer.read_head();
        }),
        Cause::Lost,
        "an end"
    );
    let reset = end(|peer| {
        peer.read_head();
        socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).expect("an option");
    });
    assert_eq!(reset, Cause::Io(ErrorKind::ConnectionReset));
}

#[test]
fn nobody_there_and_no_such_name() {
    let refused = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let (client, told) = recorded_client(url(refused));
    let error = client.run().expect_err("nobody listens");
    let blocked = blocking::connect(format!("ws://{refused}/")).expect_err("nobody listens").to_string();
    let once = format!("can't connect to ws://{refused}/: Connection refused");
    assert!(blocked.starts_with(&once), "{blocked}");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(matches!(next(&told), Told::Failed(Cause::Io(ErrorKind::ConnectionRefused), _)));
    // Longer than a name may be: no name server is asked.
    let (client, told) = recorded_client(format!("ws://{}.invalid/", "x".repeat(64)));
    client.run().expect_err("no such name");
    let Told::Failed(Cause::Io(_), text) = next(&told) else { panic!("no failure") };
    assert!(!text.is_empty());
    let error = Caller::connect("wss://127.0.0.1/").run().expect_err("no TLS");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("TLS"), "{error}");
    assert!(Caller::connect("http://127.0.0.1/").start().is_err());
}

#[test]
fn a_name_with_several_addresses_is_tried_to_the_end() {
    // `localhost` is ::1 as well on most machines, and nobody listens there.
    let live = echo_live();
    let (client, told) = recorded_client(format!("ws://localhost:{}/", live.address.port()));
    let running = client.start().expect("a client");
    is_open(&told);
    running.stop().expect("it runs");
    join(running).expect("a good end");
}

/// What a client does whose server sends this behind the handshake: the close code it sends, and why it ended.
fn after(bytes: &[u8]) -> (u16, CloseReason) {
    let (sender, receiver) = mpsc::channel();
    let bytes = bytes.to_vec();
    let rogue = Rogue::start(1, move |peer| {
        peer.open();
        peer.send(&bytes);
        let (first, _, payload) = peer.frame();
        assert_eq!(first, FIN | CLOSE);
        tell(&sender, u16::from_be_bytes([payload[0], payload[1]]));
        peer.until_end();
    });
    let (client, told) = recorded_client(rogue.url());
    client
        .configure(|config| {
            config.message_bytes_max = 1_000;
            config.linger_timeout = Duration::from_millis(50);
        })
        .run()
        .expect("it was open");
    rogue.done();
    is_open(&told);
    let reason =
        told.iter().find_map(|told| if let Told::Close(reason) = told { Some(reason) } else { None });
    (receiver.try_recv().expect("a code"), reason.expect("a close"))
}

#[test]
fn a_server_that_breaks_the_protocol_is_told_how() {
    let mut masked = plain(FIN | TEXT, b"abcd");
    masked[1] |= 0x80;
    masked.splice(2..2, [0; 4]);
    let (code, reason) = after(&masked);
    assert_eq!((code, reason.cause), (1002, Cause::Protocol("server frames must not be masked")));
    for (bytes, code) in [
        (plain(FIN | TEXT, b"\xff"), 1007),
        (plain(FIN | CONTINUATION, b"x"), 1002),
        (plain(FIN | 3, b"x"), 1002),
        (plain(FIN | 0x40 | TEXT, b"x"), 1002),
        (plain(PING, b"x"), 1002),
        (plain(FIN | CLOSE, b"x"), 1002),
        (plain(FIN | BINARY, &[0; 1_001]), 1009),
        (vec![FIN | BINARY, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1009),
    ] {
        let (sent, reason) = after(&bytes);
        assert_eq!((sent, reason.code, reason.by), (code, code, Side::Local), "{bytes:x?}");
    }
}

#[test]
fn what_comes_at_once_with_the_answer_or_byte_by_byte_is_the_same() {
    let stream = || {
        let mut bytes = plain(TEXT, "hälf".as_bytes());
        bytes.extend(plain(FIN | PING, b"!"));
        bytes.extend(plain(FIN | CONTINUATION, b" and half"));
        bytes.extend(plain(FIN | BINARY, &[7; 300]));
        bytes.extend(close_frame(1000));
        bytes
    };
    for by_byte in [false, true] {
        let rogue = Rogue::start(1, move |peer| {
            let mut bytes = peer.answer("").into_bytes();
            bytes.extend(stream());
            match by_byte {
                false => peer.send(&bytes),
                true => {
                    peer.stream.set_nodelay(true).expect("an option");
                    bytes.iter().for_each(|byte| peer.send(&[*byte]));
                }
            }
            assert_eq!(peer.frame().0, FIN | PONG);
            assert_eq!(peer.frame().0, FIN | CLOSE);
        });
        let (client, told) = recorded_client(rogue.url());
        client.run().expect("a good end");
        rogue.done();
        is_open(&told);
        assert_eq!(next(&told), Told::Ping(b"!".to_vec()));
        assert_eq!(next(&told), text("hälf and half"));
        assert_eq!(next(&told), Told::Message(Message::from(vec![7; 300])));
        assert!(matches!(next(&told), Told::Close(_)));
    }
}

#[test]
fn a_panic_costs_the_connection_and_nothing_else() {
    let live = echo_live();
    let (sender, receiver) = mpsc::channel();
    let closes = sender.clone();
    Caller::connect(url(live.address))
        .on_open(|_, _| panic!("not today"))
        .on_error(move |_, fault| tell(&sender, fault.to_string()))
        .on_close(move |_, reason| tell(&closes, reason.code.to_string()))
        .run()
        .expect("it was open");
    let heard: Vec<_> = receiver.try_iter().collect();
    assert_eq!(heard, ["on_client_open panicked: not today", "1011"]);
    still_serving(&live);
}

// ---------------------------------------------------------------------------------------------- again

fn soon() -> Backoff {
    Backoff { first: Duration::from_millis(20), longest: Duration::from_millis(100), ..Backoff::default() }
}

#[test]
fn a_client_connects_again_until_it_is_stopped() {
    let rogue = Rogue::start(3, |peer| {
        peer.open();
        peer.close(1012);
    });
    let (client, told) = recorded_client(rogue.url());
    let running = client.reconnect(soon()).start().expect("a client");
    for _ in 0..3 {
        is_open(&told);
        assert!(matches!(next(&told), Told::Close(CloseReason { by: Side::Peer, code: 1012, .. })));
    }
    rogue.done();
    // Nobody listens any more.
    assert!(matches!(next(&told), Told::Failed(Cause::Io(ErrorKind::ConnectionRefused), _)));
    running.stop().expect("it runs");
    join(running).expect("stopped, and not failed");
}

#[test]
fn it_finds_a_server_that_comes_late_and_comes_back() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let (client, told) = recorded_client(url(free));
    let running = client.reconnect(soon()).start().expect("a client");
    assert!(matches!(next(&told), Told::Failed(..)));
    for _ in 0..2 {
        let server = Server::builder().listen(free).start().expect("the port is free");
        loop {
            match next(&told) {
                Told::Failed(..) => {}
                Told::Open(_) => break,
                told => panic!("{told:?}"),
            }
        }
        server.handle().shutdown().expect("it runs");
        server.join().expect("a good end");
        let Told::Close(reason) = next(&told) else { panic!("no close") };
        assert_eq!((reason.by, reason.code), (Side::Peer, 1001));
    }
    running.stop().expect("it runs");
    join(running).expect("stopped, and not failed");
}

#[test]
fn it_gives_up_after_so_many_attempts_and_waits_longer_each_time() {
    let refused = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let (client, told) = recorded_client(url(refused));
    let began = Instant::now();
    let backoff = Backoff { first: Duration::from_millis(40), attempts_max: Some(4), ..Backoff::default() };
    let error = client.reconnect(backoff).run().expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(told.try_iter().count(), 4);
    // 40, 80 and 160 ms, each by chance up to half shorter.
    assert!(began.elapsed() >= Duration::from_millis(140), "{:?}", began.elapsed());
}

#[test]
fn its_own_disconnect_and_a_stop_while_it_waits_are_its_end() {
    let live = echo_live();
    Caller::connect(url(live.address))
        .reconnect(soon())
        .on_open(|client, _| {
            client.disconnect(4000, "that was all");
        })
        .run()
        .expect("a good end");
    let refused = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    Caller::connect(url(refused))
        .reconnect(Backoff { first: Duration::from_secs(3_600), ..Backoff::default() })
        .on_error(|client, _| {
            // In the callback of the failure, so before the wait; and from a timer, so within it.
            let id = client.id();
            client.server().after(Duration::from_millis(50), move |server| {
                assert!(server.stop_client(id));
                assert!(!server.stop_client(id));
            });
        })
        .run()
        .expect("stopped, and not failed");
}

#[test]
fn a_stop_when_it_was_closed_is_its_end() {
    let rogue = Rogue::start(2, |peer| {
        peer.open();
        peer.close(4001);
    });
    let mut closed = 0;
    Caller::connect(rogue.url())
        .reconnect(soon())
        .on_close(move |client, reason| {
            assert_eq!(reason.code, 4001);
            closed += 1;
            if closed == 2 {
                assert!(client.stop());
            }
        })
        .run()
        .expect("stopped, and not failed");
    rogue.done();
}

// ---------------------------------------------------------------------------------------------- many, and in servers

#[test]
fn a_thousand_clients_on_one_reactor() {
    const CLIENTS: usize = 1_000;
    let live = Live::start(echo().configure(|config| {
        config.connections_per_address_max = None;
        config.handshakes_per_address_max = None;
    }));
    let (sender, receiver) = mpsc::channel();
    let address = live.address;
    let thread = thread::spawn(move || {
        client::run_all((0..CLIENTS).map(|number| {
            let sender = sender.clone();
            Caller::connect(url(address))
                .on_open(move |client, _| client.push(number.to_string()).expect("there is room"))
                .on_message(move |client, frame| {
                    tell(&sender, frame.data.to_string());
                    client.disconnect(1000, "");
                })
        }))
    });
    let mut heard: Vec<usize> = (0..CLIENTS)
        .map(|_| receiver.recv_timeout(DEADLINE).expect("an echo").parse().expect("a number"))
        .collect();
    heard.sort_unstable();
    assert!(heard.into_iter().eq(0..CLIENTS));
    thread.join().expect("no panic").expect("a good end");
    live.until_empty();
}

#[test]
fn a_server_relays_between_its_clients_and_another_server() {
    let upstream = echo_live();
    let up = url(upstream.address);
    // The handler's own callbacks: the client has none.
    let (opened, is_opened) = mpsc::channel();
    let relay = Live::start(
        Server::builder()
            .on_start(move |server| {
                server.connect(Caller::connect(&up)).expect("a URL");
            })
            .on_client_open(move |server, fd, answer| {
                assert_eq!(answer.status(), 101);
                server.join(fd, "upstream").expect("it is open");
                tell(&opened, fd);
            })
            .on_message(|server, frame| {
                let upstream = server.members("upstream").next();
                match upstream.filter(|upstream| *upstream != frame.fd) {
                    Some(upstream) => server.push(upstream, frame.data).expect("there is room"),
                    None => {
                        server.broadcast(frame.data).send();
                    }
                }
            }),
    );
    let fd = is_opened.recv_timeout(DEADLINE).expect("the relay connects");
    let mut one = relay.open();
    let mut other = relay.open();
    one.text("by way of the other server");
    one.expect_text("by way of the other server");
    other.expect_text("by way of the other server");
    assert_eq!(relay.ask(|server| (server.connection_count(), server.usage().clients)), (2, 1));
    assert!(relay.ask(move |server| server.connections().all(|other| other != fd)));
    drop((one, other));
    relay.stop();
    upstream.until_empty();
}

#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    let upstream = echo_live();
    let live = Live::start(echo());
    let before = live.ask(|server| server.usage());
    for round in 0..5 {
        let (sender, receiver) = mpsc::channel();
        let up = url(upstream.address);
        live.ask(move |server| {
            for _ in 0..50 {
                let sender = sender.clone();
                let client = Caller::connect(&up).on_open(move |client, _| {
                    client.disconnect(1000, "");
                    tell(&sender, client.fd());
                });
                server.connect(client).expect("a URL");
                server.connect(Caller::connect("ws://127.0.0.1:1/")).expect("a URL");
            }
        });
        assert_eq!(receiver.iter().take(50).count(), 50, "{round}");
        live.until("they are over", |server| (server.usage().clients == 0).then_some(()));
    }
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), before);
    still_serving(&live);
}

#[test]
fn a_shutdown_ends_clients_too_whatever_they_are_doing() {
    let upstream = echo_live();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent_url = url(silent.local_addr().expect("an address"));
    let up = url(upstream.address);
    let live = Live::start(echo());
    let (sender, receiver) = mpsc::channel();
    live.ask(move |server| {
        let open = Caller::connect(up).reconnect(soon()).on_open(move |_, _| tell(&sender, ()));
        server.connect(open).expect("a URL");
        // Accepted by the system, but never answered.
        server.connect(Caller::connect(silent_url)).expect("a URL");
        let waiting = Backoff { first: Duration::from_secs(3_600), ..Backoff::default() };
        server.connect(Caller::connect("ws://127.0.0.1:1/").reconnect(waiting)).expect("a URL");
    });
    receiver.recv_timeout(DEADLINE).expect("it opens");
    live.stop();
    upstream.until_empty();
}

// ---------------------------------------------------------------------------------------------- tungstenite

#[test]
fn tungstenite_reads_what_a_client_sends() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let mut socket = tungstenite::accept(stream).expect("a handshake");
        let mut heard = Vec::new();
        loop {
            match socket.read() {
                Ok(tungstenite::Message::Close(_)) => {}
                Ok(message) => {
                    if message.is_text() || message.is_binary() {
                        socket.send(message.clone()).expect("the client reads");
                    }
                    heard.push(message);
                }
                Err(tungstenite::Error::ConnectionClosed) => return heard.len(),
                Err(error) => panic!("{error}"),
            }
        }
    });
    let (sender, receiver) = mpsc::channel();
    Caller::connect(url(address))
        .on_open(|client, _| {
            client.push("text").expect("there is room");
            client.push(vec![1; 100_000]).expect("there is room");
            client.ping(b"ping").expect("there is room");
        })
        .on_message({
            let sender = sender.clone();
            move |_, frame| tell(&sender, frame.data.len())
        })
        .on_pong(move |client, data| {
            tell(&sender, data.len());
            client.disconnect(4000, "enough");
        })
        .run()
        .expect("a good end");
    assert!(receiver.try_iter().eq([4, 100_000, 4]));
    assert_eq!(thread.join().expect("no panic"), 3);
}

// ---------------------------------------------------------------------------------------------- blocking

#[test]
fn a_script_sends_receives_pings_and_closes() {
    let live = Live::start(echo().on_handshake(|_, _| Handshake::accept().subprotocol("v1")));
    let mut script = Caller::connect(url(live.address)).subprotocol("v1").open().expect("a connection");
    assert_eq!(script.subprotocol(), Some("v1"));
    assert_eq!(script.receive(Duration::ZERO), Ok(None));
    for len in [0, 1, 125, 126, 0xffff, 0x1_0000, 1 << 20] {
        script.push("x".repeat(len)).expect("it is open");
        let message = script.receive(DEADLINE).expect("it is open").expect("an echo");
        assert_eq!(message.as_str(), Some(&*"x".repeat(len)));
        script.push(vec![9; len]).expect("it is open");
        let message = script.receive(DEADLINE).expect("it is open").expect("an echo");
        assert_eq!((message.as_str(), message.as_bytes()), (None, &*vec![9; len]));
    }
    script.ping(b"are you there?").expect("it is open");
    script.push("behind the pong").expect("it is open");
    let message = script.receive(None).expect("it is open").expect("an echo");
    assert_eq!(message, Message::from("behind the pong"));
    let expected = CloseReason::new(Side::Local, 4000, "that was all", Cause::Requested);
    assert_eq!(script.close(4000, "that was all"), expected);
    live.until_empty();
}

#[test]
fn a_script_is_told_why_it_ended_each_time_it_asks() {
    let rogue = Rogue::start(1, |peer| {
        peer.open();
        peer.send(&plain(FIN | PING, b"!"));
        assert_eq!(peer.frame().0, FIN | PONG);
        peer.send(&plain(FIN | CLOSE, &[&4002u16.to_be_bytes()[..], b"go"].concat()));
        assert_eq!(peer.frame().2, 4002u16.to_be_bytes());
    });
    let mut script = blocking::connect(rogue.url()).expect("a connection");
    let reason = CloseReason::new(Side::Peer, 4002, "go", Cause::Requested);
    assert_eq!(script.receive(DEADLINE), Err(reason.clone()));
    assert_eq!(script.receive(DEADLINE), Err(reason.clone()));
    assert_eq!(script.push("too late"), Err(reason.clone()));
    assert_eq!(script.close(1000, ""), reason);
    rogue.done();
}

#[test]
fn a_script_waits_only_so_long() {
    let (held, is_held) = mpsc::channel::<()>();
    let rogue = Rogue::start(1, move |peer| {
        peer.open();
        // Half a frame.
        peer.send(&plain(FIN | TEXT, b"abc")[..3]);
        is_held.recv_timeout(DEADLINE).ok();
    });
    let mut script = Caller::connect(rogue.url()).configure(patient(100)).open().expect("a connection");
    let began = Instant::now();
    assert_eq!(script.receive(Duration::from_millis(50)), Ok(None));
    assert!(began.elapsed() >= Duration::from_millis(50));
    let reason = script.close(1000, "");
    assert_eq!((reason.code, reason.cause), (1006, Cause::Timeout));
    drop(held);
    rogue.done();
}

/// What never ends does not keep a script for longer than it wants to wait: neither while it waits for a message nor
/// while it closes.
#[test]
fn a_script_leaves_a_server_that_never_stops_talking() {
    let endless = |what: Vec<u8>| {
        Rogue::start(1, move |peer| {
            peer.open();
            let mut reader = peer.stream.try_clone().expect("another handle");
            let reading = thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            while peer.stream.write_all(&what).is_ok() {}
            reading.join().expect("it reads").ok();
        })
    };
    let (ping, message) = (plain(FIN | PING, b""), plain(FIN | TEXT, b"hello"));
    let closed = [close_frame(1000), vec![0; 1 << 16]].concat();
    let began = Instant::now();
    for what in [ping, message, closed] {
        let rogue = endless(what.repeat(1 + 60_000 / what.len()));
        let script = || Caller::connect(rogue.url()).configure(patient(100)).open().expect("a connection");
        let mut waiting = script();
        waiting.receive(Duration::from_millis(50)).ok();
        drop(waiting);
        rogue.done();
    }
    for what in [plain(FIN | PING, b""), plain(FIN | TEXT, b"hello")] {
        let rogue = endless(what.repeat(1 + 60_000 / what.len()));
        let script = Caller::connect(rogue.url()).configure(patient(100)).open().expect("a connection");
        assert_eq!(script.close(1000, "").cause, Cause::Timeout);
        rogue.done();
    }
    assert!(began.elapsed() < DEADLINE);
}

#[test]
fn a_script_that_can_t_open_says_why() {
    type Answer = fn(&mut Peer);
    let wrong: [(Answer, &str); 6] = [
        (
            |peer| {
                peer.read_head();
                peer.send(b"HTTP/1.1 401 Unauthorized\r\n\r\n");
            },
            "status 401",
        ),
        (
            |peer| {
                let answer = peer.answer("").replace("Accept: ", "Accept: x");
                peer.send(answer.as_bytes());
            },
            "Sec-WebSocket-Accept",
        ),
        (
            |peer| {
                peer.read_head();
                peer.send(b"SSH-2.0-OpenSSH\r\n");
            },
            "not HTTP",
        ),
        (
            |peer| {
                peer.read_head();
                peer.send(format!("HTTP/1.1 101 {}", "x".repeat(100_000)).as_bytes());
            },
            "too big",
        ),
        (
            |peer| {
                peer.read_head();
            },
            "before the answer",
        ),
        (|peer| peer.until_end(), "timed out"),
    ];
    for (serve, what) in wrong {
        let rogue = Rogue::start(1, move |peer| {
            serve(peer);
            peer.stream.shutdown(Shutdown::Write).ok();
            peer.until_end();
        });
        let error = Caller::connect(rogue.url()).configure(patient(300)).open().expect_err(what);
        assert!(error.to_string().contains(what), "{what}: {error}");
        rogue.done();
    }
}

#[test]
fn a_script_tells_a_server_what_it_did_wrong() {
    for (bytes, code) in [
        (plain(FIN | TEXT, b"\xff"), 1007),
        (vec![FIN | TEXT, 0x80, 0, 0, 0, 0], 1002),
        (plain(FIN | BINARY, &[0; 1_001]), 1009),
    ] {
        let (sender, receiver): (Sender<u16>, _) = mpsc::channel();
        let rogue = Rogue::start(1, move |peer| {
            peer.open();
            peer.send(&bytes);
            let (_, _, payload) = peer.frame();
            tell(&sender, u16::from_be_bytes([payload[0], payload[1]]));
        });
        let mut script = Caller::connect(rogue.url())
            .configure(|config| config.message_bytes_max = 1_000)
            .open()
            .expect("a connection");
        let reason = script.receive(DEADLINE).expect_err("it broke the protocol");
        assert_eq!((reason.by, reason.code), (Side::Local, code));
        rogue.done();
        assert_eq!(receiver.try_recv(), Ok(code));
    }
}
