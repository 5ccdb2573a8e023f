//! Instructions of each message, counted by valgrind, so that the machine's other work does not show:
//! `cargo bench -p swio-benches --bench instructions [-- NAME…]`.
//!
//! Each line is a server on simulated sockets in a process of its own under `valgrind --tool=callgrind`, which
//! counts only inside of `measured_turn`: the turn of the reactor, and the publish where nobody sent anything. The
//! first turns, which make what later ones use again, are not counted. An operation is an echoed message or a
//! delivery, each of 64 bytes. The simulated sockets' own part stands for the kernel's: it is counted the same way,
//! without a server, and given beside the total. All members hear of the topic alike, whatever they speak.
//!
//! Counts repeat to about 0.3 %: hash maps have random seeds.

use std::process::{Command, ExitCode};
use swio::bench::{self, SimServer, SimSockets};
use swio::{Builder, Opcode, Server};

const PAYLOAD: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const TOPIC: &str = "news";
/// Turns before counting, and counted.
const WARM_UP: usize = 20;
const TURNS: usize = 50;
/// Name, who is there, what is done.
type Scenario = (&'static str, &'static [(Kind, usize)], Work);
const SCENARIOS: [Scenario; 6] = [
    ("echo-1000", &[(Kind::Plain, 1_000)], Work::Echo),
    ("broadcast-1000", &[(Kind::Plain, 1_000)], Work::Broadcast),
    ("publish-1000", &[(Kind::Plain, 1_000)], Work::Publish),
    ("publish-100", &[(Kind::Plain, 100)], Work::Publish),
    ("publish-100-and-swio.1", &[(Kind::Plain, 100), (Kind::Labelled, 1)], Work::Publish),
    (
        "publish-100-and-one-of-each",
        &[
            (Kind::Plain, 100),
            (Kind::Labelled, 1),
            (Kind::Stream, 1),
            (Kind::LabelledStream, 1),
            (Kind::Poll, 1),
        ],
        Work::Publish,
    ),
];
/// In front of a scenario's name: its sockets without a server.
const SOCKETS: &str = "sockets-of-";
/// In front of what a process of its own is to do.
const CHILD: &str = "--child";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Each connection sends a message and gets it back.
    Echo,
    /// One connection sends a message, which goes to all.
    Broadcast,
    /// The server publishes to a topic that all are members of.
    Publish,
}

/// What a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// A WebSocket that speaks `swio.1`.
    Labelled,
    Stream,
    LabelledStream,
    Poll,
}

impl Kind {
    fn request(self) -> String {
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let (target, headers) = match self {
            Kind::Plain => ("/", upgrade.to_owned()),
            Kind::Labelled => ("/", format!("{upgrade}Sec-WebSocket-Protocol: swio.1\r\n")),
            Kind::Stream => ("/", "Accept: text/event-stream\r\n".to_owned()),
            Kind::LabelledStream => {
                ("/?swio=stream&protocol=swio.1", "Accept: text/event-stream\r\n".to_owned())
            }
            Kind::Poll => ("/?swio=poll", String::new()),
        };
        format!("GET {target} HTTP/1.1\r\nHost: sim\r\n{headers}\r\n")
    }
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` does not say it: once each, without valgrind, to see that they work.
    if !arguments.iter().any(|argument| argument == "--bench" || argument == CHILD) {
        SCENARIOS.iter().for_each(|(name, ..)| run(name));
        return ExitCode::SUCCESS;
    }
    arguments.retain(|argument| argument != "--bench");
    if let [child, name] = &*arguments
        && child == CHILD
    {
        run(name);
        return ExitCode::SUCCESS;
    }
    println!("instructions of an operation {:>22} {:>12} {:>12}", "in all", "sockets", "swio");
    for (name, kinds, _) in SCENARIOS {
        if !arguments.is_empty() && !arguments.iter().any(|argument| argument == name) {
            continue;
        }
        let operations = (TURNS * kinds.iter().map(|(_, count)| count).sum::<usize>()) as f64;
        let counted = count(name).and_then(|all| Ok((all, count(&format!("{SOCKETS}{name}"))?)));
        let (all, sockets) = match counted {
            Ok((all, sockets)) => (all as f64 / operations, sockets as f64 / operations),
            Err(error) => {
                eprintln!("instructions: {name}: {error}");
                return ExitCode::FAILURE;
            }
        };
        println!("{name:<32} {all:>18.1} {sockets:>12.1} {:>12.1}", all - sockets);
    }
    ExitCode::SUCCESS
}

/// What a scenario's process counts.
fn count(name: &str) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured_turn*"])
        .arg(program)
        .args([CHILD, name])
        .output()
        .map_err(|error| format!("valgrind, of Debian's package of that name: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match collected {
        Some(collected) if output.status.success() && collected > 0 => Ok(collected),
        _ => Err(format!("{}\n{said}", output.status)),
    }
}

/// In a process of its own, under valgrind.
fn run(name: &str) {
    let plain = name.trim_start_matches(SOCKETS);
    let scenario = SCENARIOS.iter().find(|(name, ..)| *name == plain);
    let (_, kinds, work) = *scenario.unwrap_or_else(|| panic!("there is no scenario {plain}"));
    let mut message = Vec::new();
    bench::encode_masked(Opcode::Text, [0x37, 0xfa, 0x21, 0x3d], PAYLOAD.as_bytes(), &mut message);
    let kinds: Vec<Kind> = kinds.iter().flat_map(|(kind, count)| vec![*kind; *count]).collect();
    let senders = match work {
        Work::Echo => kinds.len(),
        Work::Broadcast => 1,
        Work::Publish => 0,
    };
    if name == plain {
        let mut group = Group::open(kinds, work);
        for turn in 0..WARM_UP + TURNS {
            group.server.send(senders, &message);
            match turn < WARM_UP {
                true => group.turn(senders),
                false => measured_turn(|| group.turn(senders)),
            }
            group.receive();
        }
        return;
    }
    let mut sockets = SimSockets::open(kinds.len());
    let answer = [0; 2 + PAYLOAD.len()];
    for turn in 0..WARM_UP + TURNS {
        sockets.send(senders, &message);
        match turn < WARM_UP {
            true => sockets.turn(senders, &answer),
            false => measured_turn(|| sockets.turn(senders, &answer)),
        }
        assert_eq!(sockets.take_written(), kinds.len() * answer.len());
    }
}

/// Valgrind counts while this runs, and knows it by its name.
#[inline(never)]
fn measured_turn(turn: impl FnOnce()) {
    turn();
}

struct Group {
    server: SimServer,
    kinds: Vec<Kind>,
    work: Work,
    /// Of each poll the token and the cursor.
    polls: Vec<(usize, String, u64)>,
}

impl Group {
    fn open(kinds: Vec<Kind>, work: Work) -> Group {
        let requests: Vec<String> = kinds.iter().map(|kind| kind.request()).collect();
        let requests: Vec<&[u8]> = requests.iter().map(String::as_bytes).collect();
        // A session of long polling is one more connection.
        let polls = kinds.iter().filter(|kind| **kind == Kind::Poll).count();
        let mut server = SimServer::open_by(behaviour(work), kinds.len() + polls, &requests);
        let mut polls = Vec::new();
        for (client, kind) in kinds.iter().enumerate() {
            let answer = text(server.take_written_to(client));
            let status = match kind {
                Kind::Plain | Kind::Labelled => "HTTP/1.1 101 ",
                Kind::Stream | Kind::LabelledStream | Kind::Poll => "HTTP/1.1 200 ",
            };
            assert!(answer.starts_with(status), "{answer}");
            if *kind == Kind::Poll {
                let token = answer.split("\"session\":\"").nth(1).and_then(|rest| rest.split('"').next());
                polls.push((client, token.expect("the first answer has it").to_owned(), 0));
            }
        }
        let mut group = Group { server, kinds, work, polls };
        group.park();
        group
    }

    fn turn(&mut self, senders: usize) {
        if self.work == Work::Publish {
            let reach = self.server.server().publish(TOPIC, PAYLOAD).send();
            assert_eq!(reach.queued, self.kinds.len());
        }
        self.server.turn(senders);
        // What was queued for a session is given to its poll by the turn that follows.
        if !self.polls.is_empty() {
            self.server.turn(0);
        }
    }

    /// Everybody got the message; polls ask on.
    fn receive(&mut self) {
        for client in 0..self.kinds.len() {
            let written = self.server.take_written_to(client);
            let is_there =
                written.windows(PAYLOAD.len()).filter(|bytes| *bytes == PAYLOAD.as_bytes()).count() == 1;
            assert!(is_there, "{client} got {:?}", String::from_utf8_lossy(&written));
            if let Some((_, _, cursor)) = self.polls.iter_mut().find(|(number, ..)| *number == client) {
                let answer = text(written);
                let next = answer.split("\"cursor\":").nth(1).and_then(|rest| rest.split(',').next());
                *cursor = next.expect("each answer has it").parse().expect("a number");
            }
        }
        self.park();
    }

    fn park(&mut self) {
        for (client, token, cursor) in &self.polls {
            let query = format!("swio=poll&session={token}&cursor={cursor}");
            let request = format!("GET /?{query} HTTP/1.1\r\nHost: sim\r\n\r\n");
            self.server.send_alone(*client, request.as_bytes());
            assert_eq!(self.server.take_written_to(*client), b"", "it is to wait");
        }
    }
}

fn behaviour(work: Work) -> Builder {
    let builder = Server::builder().configure(|config| {
        // No client sends as fast as a bench.
        config.messages_per_second_max = None;
        config.bytes_per_second_max = None;
        // Nothing but the messages, however long valgrind takes.
        config.ping_interval = None;
        config.event_streams = true;
        config.long_polling = true;
    });
    builder
        .on_open(|server, request| {
            server.join(request.fd, TOPIC).expect("there is room");
        })
        .on_message(move |server, frame| match work {
            Work::Echo => server.push(frame.fd, frame.data).expect("the outbox has room"),
            _ => drop(server.broadcast(frame.data).send()),
        })
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("answers are text")
}
