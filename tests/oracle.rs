//! tungstenite as the oracle: what its client sends must come back the same, and its client must receive exactly what
//! the server pushes. Messages, fragments, pings, buffer sizes and ends are random; a failure prints its seed.

use socket2::SockRef;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;
use swio::{Cause, CloseReason, Fd, Frame, Handler, Opcode, Request, Running, Server, Side};
use tungstenite::client::client_with_config;
use tungstenite::protocol::frame::Frame as Fragment;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

/// Reached only where a test fails.
const DEADLINE: Duration = Duration::from_secs(10);

/// At these a frame's header changes its form, or a buffer its kind.
const BORDERS: [usize; 12] = [0, 1, 2, 125, 126, 127, 2_047, 2_048, 65_535, 65_536, 65_537, 200_000];

/// Those that tungstenite knows as well.
const CODES: [u16; 13] = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];

/// splitmix64. Says which seed it had where a test fails.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new(seed: u64) -> Random {
        Random { seed, state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// Text of exactly `len` bytes, in characters of all lengths.
    fn text(&mut self, len: usize) -> String {
        const CHARACTERS: [char; 8] = ['a', ' ', '\0', 'é', '\u{7ff}', '漢', '\u{ffff}', '🎉'];
        let mut text = String::with_capacity(len);
        while text.len() < len {
            let mut draws = self.next();
            for _ in 0..16 {
                let character = CHARACTERS[(draws % 8) as usize];
                draws /= 8;
                let fits = text.len() + character.len_utf8() <= len;
                text.push(if fits { character } else { 'z' });
                if text.len() == len {
                    break;
                }
            }
        }
        text
    }

    fn message(&mut self) -> Message {
        let len = match self.below(10) {
            0..4 => self.pick(&BORDERS),
            4..9 => self.below(300),
            _ => self.below(200_000),
        };
        if self.chance(50) { Message::text(self.text(len)) } else { Message::binary(self.bytes(len)) }
    }

    fn close(&mut self) -> CloseFrame {
        let len = self.below(124);
        CloseFrame { code: self.pick(&CODES).into(), reason: self.text(len).into() }
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the seed was {}", self.seed);
        }
    }
}

// The server.

/// Pushes what the query's seed makes, if there is one, then echoes. Texts that begin with `disconnect`, `all`
/// or `others` are obeyed instead.
struct Subject {
    told: Sender<Told>,
}

#[derive(Debug, PartialEq)]
enum Told {
    Open(Fd),
    Closed(CloseReason),
}

impl Handler for Subject {
    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        let seed = request.query().and_then(|query| query.parse().ok());
        if let Some(seed) = seed {
            let mut random = Random::new(seed);
            for message in pushes(&mut random) {
                push(server, request.fd, message, &mut random);
            }
        }
        self.told.send(Told::Open(request.fd)).ok();
    }

    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        let text = frame.data.as_str().unwrap_or_default();
        if let Some(command) = text.strip_prefix("disconnect ") {
            let (code, reason) = command.split_once(' ').expect("a code and a reason");
            server.disconnect(frame.fd, code.parse().expect("a code"), reason);
        } else if text.starts_with("all ") {
            server.broadcast(frame.data).send();
        } else if text.starts_with("others ") {
            server.broadcast(frame.data).except(frame.fd).send();
        } else {
            server.push(frame.fd, frame.data).expect("the outbox has room");
        }
    }

    fn on_close(&mut self, _server: &mut Server, _fd: Fd, reason: &CloseReason) {
        self.told.send(Told::Closed(reason.clone())).ok();
    }
}

/// Every way to push, for messages that are equal however they were pushed.
fn push(server: &mut Server, fd: Fd, message: Message, random: &mut Random) {
    let by_opcode = random.chance(30);
    let owned = random.chance(50);
    let pushed = match &message {
        Message::Text(text) if by_opcode => server.push_as(fd, Opcode::Text, text.as_bytes()),
        Message::Text(text) if owned => server.push(fd, text.to_string()),
        Message::Text(text) => server.push(fd, text.as_str()),
        Message::Binary(bytes) if by_opcode => server.push_as(fd, Opcode::Binary, bytes),
        Message::Binary(bytes) if owned => server.push(fd, bytes.to_vec()),
        Message::Binary(bytes) => server.push(fd, &bytes[..]),
        Message::Ping(bytes) => server.push_as(fd, Opcode::Ping, bytes),
        Message::Pong(bytes) => server.push_as(fd, Opcode::Pong, bytes),
        other => panic!("nothing to push: {other:?}"),
    };
    pushed.expect("the outbox has room");
}

fn pushes(random: &mut Random) -> Vec<Message> {
    let count = if random.chance(90) { random.below(30) } else { 200 + random.below(400) };
    let mut push = || match random.below(10) {
        0 => {
            let len = random.below(126);
            Message::Ping(random.bytes(len).into())
        }
        1 => {
            let len = random.below(126);
            Message::Pong(random.bytes(len).into())
        }
        _ => random.message(),
    };
    (0..count).map(|_| push()).collect()
}

struct Live {
    running: Option<Running>,
    address: SocketAddr,
    told: Receiver<Told>,
}

impl Live {
    fn start() -> Live {
        let (told, receiver) = mpsc::channel();
        let running = Server::builder()
            .listen("127.0.0.1:0")
            .configure(|config| config.outbox_bytes_max = 256 << 20)
            .handler(move || Subject { told: told.clone() })
            .start()
            .expect("a free port");
        Live { address: running.addresses()[0], running: Some(running), told: receiver }
    }

    fn connect(&self, path: &str, random: &mut Random) -> (Client, Fd) {
        let config = WebSocketConfig::default()
            .read_buffer_size(random.pick(&[64, 1_000, 4_096, 128 << 10]))
            .write_buffer_size(random.pick(&[0, 1_000, 128 << 10]));
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        if random.chance(50) {
            // The server's writes are cut short then.
            SockRef::from(&stream).set_recv_buffer_size(64 << 10).expect("a socket");
        }
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        stream.set_write_timeout(Some(DEADLINE)).expect("a socket");
        let url = format!("ws://{}{path}", self.address);
        let (client, _) = client_with_config(url, stream, Some(config)).expect("a handshake");
        match self.told() {
            Told::Open(fd) => (client, fd),
            other => panic!("not open: {other:?}"),
        }
    }

    fn told(&self) -> Told {
        self.told.recv_timeout(DEADLINE).expect("the server says something")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let running = self.running.take().expect("only once");
        running.handle().shutdown().expect("it runs");
        let ended = running.join();
        if !thread::panicking() {
            ended.expect("an orderly end");
        }
    }
}

// The client.

type Client = WebSocket<TcpStream>;

/// Sends a message in one frame, or in fragments cut anywhere, with pings between them.
fn send(client: &mut Client, message: &Message, pings: &mut Vec<Vec<u8>>, random: &mut Random) {
    if random.chance(50) {
        return client.write(message.clone()).expect("it reads");
    }
    let kind = if message.is_text() { Data::Text } else { Data::Binary };
    let mut rest = message.clone().into_data();
    let mut opcode = OpCode::Data(kind);
    for left in (0..random.below(8)).rev() {
        if random.chance(30) {
            ping(client, pings, random);
        }
        let cut = if random.chance(20) { 0 } else { random.below(rest.len() + 1) };
        let piece = if left == 0 { std::mem::take(&mut rest) } else { rest.split_to(cut) };
        let fragment = Fragment::message(piece, opcode, left == 0);
        client.write(Message::Frame(fragment)).expect("it reads");
        opcode = OpCode::Data(Data::Continue);
        if left == 0 {
            return;
        }
    }
    client.write(Message::Frame(Fragment::message(rest, opcode, true))).expect("it reads");
}

fn ping(client: &mut Client, pings: &mut Vec<Vec<u8>>, random: &mut Random) {
    // Its number makes each of them another.
    let len = random.below(121);
    let payload = [&(pings.len() as u32).to_be_bytes()[..], &random.bytes(len)].concat();
    client.write(Message::Ping(payload.clone().into())).expect("it reads");
    pings.push(payload);
}

/// Reads until all of `messages` have come back in their order, and the last of `pings`. Where the client is
/// slow to read, the server may leave earlier ones unanswered (RFC 6455 §5.5.3), but not mix them up.
fn receive(client: &mut Client, messages: &[Message], pings: &[Vec<u8>]) {
    let mut messages = messages.iter();
    let mut unanswered = pings.iter();
    while messages.len() > 0 || unanswered.len() > 0 {
        match client.read().expect("all of it comes") {
            Message::Pong(payload) => {
                assert!(unanswered.any(|ping| *ping == payload), "a pong to nothing, or out of order");
            }
            message => same(Some(&message), messages.next()),
        }
    }
}

fn same(found: Option<&Message>, expected: Option<&Message>) {
    let start = |message: Option<&Message>| {
        let data = message.map(|message| message.clone().into_data());
        format!("{:?}", data.map(|data| (data.len(), data.slice(..data.len().min(40)))))
    };
    assert!(found == expected, "found {}, expected {}", start(found), start(expected));
}

/// Reads to the end: the close frame, and behind it nothing but the end of TCP.
fn closed(client: &mut Client) -> Option<CloseFrame> {
    let frame = match client.read() {
        Ok(Message::Close(frame)) => frame,
        other => panic!("not a close frame: {other:?}"),
    };
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)), "not the end");
    frame
}

/// Ends in one of the ways there are, and holds both sides' accounts of it against each other.
fn end(live: &Live, mut client: Client, random: &mut Random) {
    let frame = random.close();
    let code = u16::from(frame.code);
    let reason = match random.below(4) {
        0 => {
            client.close(Some(frame.clone())).expect("it reads");
            let answer = closed(&mut client).expect("a code");
            assert_eq!((answer.code, answer.reason.as_str()), (frame.code, ""));
            CloseReason::new(Side::Peer, code, &frame.reason, Cause::Requested)
        }
        1 => {
            client.close(None).expect("it reads");
            assert_eq!(closed(&mut client), None);
            CloseReason::new(Side::Peer, 1005, "", Cause::Requested)
        }
        2 => {
            let command = format!("disconnect {code} {}", frame.reason);
            client.send(Message::text(command)).expect("it reads");
            assert_eq!(closed(&mut client).as_ref(), Some(&frame));
            CloseReason::new(Side::Local, code, &frame.reason, Cause::Requested)
        }
        _ => CloseReason::new(Side::Peer, 1006, "", Cause::Lost),
    };
    drop(client);
    assert_eq!(live.told(), Told::Closed(reason));
}

// The tests.

#[test]
fn what_tungstenite_sends_comes_back_the_same() {
    let live = Live::start();
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let (mut client, _) = live.connect("/", &mut random);
        let mut pings = Vec::new();
        for _ in 0..random.below(6) {
            let answered = pings.len();
            let messages: Vec<Message> = (0..1 + random.below(8)).map(|_| random.message()).collect();
            for message in &messages {
                send(&mut client, message, &mut pings, &mut random);
                if random.chance(20) {
                    ping(&mut client, &mut pings, &mut random);
                }
            }
            client.flush().expect("it reads");
            receive(&mut client, &messages, &pings[answered..]);
        }
        end(&live, client, &mut random);
    }
}

#[test]
fn every_length_around_the_borders_comes_back_the_same() {
    let live = Live::start();
    let mut random = Random::new(1);
    let (mut client, _) = live.connect("/", &mut random);
    let around = |border: usize| border.saturating_sub(10)..border + 10;
    for len in (0..300).chain([2_048, 65_536, 200_000].into_iter().flat_map(around)) {
        let messages = [Message::text(random.text(len)), Message::binary(random.bytes(len))];
        for message in &messages {
            client.write(message.clone()).expect("it reads");
        }
        client.flush().expect("it reads");
        receive(&mut client, &messages, &[]);
    }
    end(&live, client, &mut random);
}

#[test]
fn what_the_server_pushes_is_what_tungstenite_reads() {
    let live = Live::start();
    let handle = live.running.as_ref().expect("it runs").handle();
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let (mut client, fd) = live.connect(&format!("/?{seed}"), &mut random);
        let mut expected = pushes(&mut Random::new(seed));
        // More from another thread, all of it before the client reads its first.
        for _ in 0..random.below(10) {
            let message = random.message();
            match &message {
                Message::Text(text) => handle.push(fd, text.as_str()).expect("it runs"),
                other => handle.push(fd, other.clone().into_data().to_vec()).expect("it runs"),
            }
            expected.push(message);
        }
        let frame = random.close();
        handle.disconnect(fd, frame.code.into(), &frame.reason).expect("it runs");
        for message in &expected {
            same(Some(&client.read().expect("all of it comes")), Some(message));
        }
        assert_eq!(closed(&mut client).as_ref(), Some(&frame));
        drop(client);
        let reason = CloseReason::new(Side::Local, frame.code.into(), &frame.reason, Cause::Requested);
        assert_eq!(live.told(), Told::Closed(reason));
    }
}

#[test]
fn a_broadcast_is_the_same_to_all_and_in_one_order() {
    const CLIENTS: usize = 5;
    let live = Live::start();
    let handle = live.running.as_ref().expect("it runs").handle();
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let (mut observer, _) = live.connect("/", &mut random);
        let clients: Vec<Client> = (0..CLIENTS).map(|_| live.connect("/", &mut random).0).collect();
        let scripts: Vec<Vec<Message>> = (0..=CLIENTS).map(|who| script(who, &mut random)).collect();
        let total: usize = scripts.iter().map(Vec::len).sum();
        let threads: Vec<_> = clients
            .into_iter()
            .zip(scripts.clone())
            .map(|(client, script)| thread::spawn(move || take_part(client, &script, total)))
            .collect();
        // One more voice, from another thread.
        for message in &scripts[CLIENTS] {
            handle.broadcast(message.to_text().expect("text")).expect("it runs");
        }
        let all: Vec<Message> = (0..total).map(|_| observer.read().expect("all of it comes")).collect();
        for (who, script) in scripts.iter().enumerate() {
            let own = all.iter().filter(|message| is_from(message, who));
            assert!(own.eq(script), "what {who} sent is not what came, or in another order");
        }
        for (who, thread) in threads.into_iter().enumerate() {
            let heard = thread.join().expect("the client's thread");
            let expected = all.iter().filter(|message| !(is_from(message, who) && is_for_others(message)));
            assert!(heard.iter().eq(expected), "{who} heard something else");
        }
        drop(observer);
        for _ in 0..=CLIENTS {
            assert!(matches!(live.told(), Told::Closed(reason) if reason.code == 1006));
        }
    }
}

/// Each message says for whom it is, from whom, and which one.
fn script(who: usize, random: &mut Random) -> Vec<Message> {
    let mut message = |number: usize| {
        let to = if who < 5 && random.chance(30) { "others" } else { "all" };
        let len = if random.chance(90) { random.below(200) } else { random.below(70_000) };
        Message::text(format!("{to} {who} {number} {}", random.text(len)))
    };
    (0..25).map(&mut message).collect()
}

fn is_from(message: &Message, who: usize) -> bool {
    let text = message.to_text().expect("text");
    text.split(' ').nth(1).is_some_and(|from| from.parse() == Ok(who))
}

fn is_for_others(message: &Message) -> bool {
    message.to_text().expect("text").starts_with("others ")
}

fn take_part(mut client: Client, script: &[Message], total: usize) -> Vec<Message> {
    for message in script {
        client.send(message.clone()).expect("it reads");
    }
    let own = script.iter().filter(|message| is_for_others(message)).count();
    (0..total - own).map(|_| client.read().expect("all of it comes")).collect()
}
