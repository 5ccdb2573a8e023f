//! What one connection can make the server do.

use crate::process::{PATIENCE, Process, frame, get, read_until_quiet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

/// What the default configuration allows one connection.
const MESSAGES_PER_SECOND: f64 = 2_500.0;
const BYTES_PER_SECOND: f64 = (32 << 20) as f64;
const MEMBERS: usize = 1_000;

/// What one connection makes the server do again and again.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    bound: &'static str,
    /// How many messages of the limit an operation takes.
    messages: f64,
    /// Opens the connection, and gives what is sent each time.
    prepare: fn(&Process) -> (Vec<TcpStream>, Vec<u8>),
}

impl Load {
    pub(crate) fn measure(&self, count_max: u32) {
        let process = Process::start();
        let (mut streams, operation) = (self.prepare)(&process);
        let stream = &mut streams[0];
        stream.write_all(&operation).expect("it reads");
        let answer = read_until_quiet(stream).len();
        let of_bytes = BYTES_PER_SECOND / operation.len() as f64;
        let per_second = (MESSAGES_PER_SECOND / self.messages).min(of_bytes);
        // Within the burst of two seconds.
        let most = ((per_second * 1.5) as u32).min(count_max);
        let (begun, before) = (Instant::now(), process.cpu());
        let mut count = 0_u32;
        let mut buffer = vec![0; answer];
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        while count < most && begun.elapsed() < PATIENCE / 4 {
            stream.write_all(&operation).expect("within the limits");
            stream.read_exact(&mut buffer).expect("an answer within the limits");
            count += 1;
        }
        let each = (process.cpu() - before) / f64::from(count);
        println!(
            "| {} | {} | {:.1} µs | {:.2} ns | {:.1} % | {} |",
            self.name,
            operation.len(),
            each * 1e6,
            each * 1e9 / operation.len() as f64,
            each * per_second * 100.0,
            self.bound
        );
    }
}

const RATE: &str = "`messages_per_second_max`";

pub(crate) fn loads() -> Vec<Load> {
    [requests(), frames(), commands()].into_iter().flatten().collect()
}

fn requests() -> Vec<Load> {
    vec![
        Load {
            name: "the smallest GET",
            bound: RATE,
            messages: 1.0,
            prepare: |process| (vec![process.connect()], get("/").into_bytes()),
        },
        Load {
            name: "GET of the script",
            bound: RATE,
            messages: 1.0,
            prepare: |process| (vec![process.connect()], get("/swio.js").into_bytes()),
        },
        Load {
            name: "GET with 7.9 KB of `+=+&`",
            bound: "`messages_per_second_max`, `head_bytes_max`",
            messages: 1.0,
            prepare: |process| {
                (vec![process.connect()], get(&format!("/?{}", "+=+&".repeat(1_980))).into_bytes())
            },
        },
        Load {
            name: "the same poll again, 60 KB",
            bound: RATE,
            messages: 1.0,
            prepare: |process| {
                let mut stream = process.connect();
                stream.write_all(get("/60k?swio=poll").as_bytes()).expect("it reads");
                let answer = String::from_utf8(read_until_quiet(&mut stream)).expect("text");
                let token = answer.split("\"session\":\"").nth(1).and_then(|rest| rest.split('"').next());
                let target = format!("/60k?swio=poll&session={}&cursor=0", token.expect("a token"));
                (vec![stream], get(&target).into_bytes())
            },
        },
    ]
}

fn frames() -> Vec<Load> {
    vec![
        Load {
            name: "an echo of one byte",
            bound: RATE,
            messages: 1.0,
            prepare: |process| (vec![process.open("/", "")], frame(1, b"x")),
        },
        Load {
            name: "an echo of 2 MiB",
            bound: "`bytes_per_second_max`",
            messages: 1.0,
            prepare: |process| (vec![process.open("/", "")], frame(2, &[7; 2 << 20])),
        },
        Load {
            name: "a message in 1,000 fragments of one byte",
            bound: RATE,
            messages: 1_000.0,
            prepare: |process| {
                let mut message = frame(1, b"x");
                message[0] &= 0x7f;
                for _ in 0..998 {
                    message.extend([0, 0x81, 0, 0, 0, 0, b'x']);
                }
                message.extend([0x80, 0x81, 0, 0, 0, 0, b'x']);
                (vec![process.open("/", "")], message)
            },
        },
        Load {
            name: "a ping",
            bound: RATE,
            messages: 1.0,
            prepare: |process| (vec![process.open("/", "")], frame(9, b"")),
        },
    ]
}

fn commands() -> Vec<Load> {
    vec![
        Load {
            name: "a label query of 12 KB of `+=+&`",
            bound: "`bytes_per_second_max`, 13 KiB for a query",
            messages: 1.0,
            prepare: |process| {
                let query = format!("swio=ping&{}", "+=+&".repeat(3_100));
                (vec![process.open("/", "Sec-WebSocket-Protocol: swio.1\r\n")], frame(1, query.as_bytes()))
            },
        },
        Load {
            name: "subscribe to 1 MB of history, unsubscribe",
            bound: "`messages_per_second_max`, in which it is 17 messages",
            // Two, and what is sent counts too.
            messages: 17.0,
            prepare: |process| {
                let commands = [
                    frame(1, b"swio=subscribe&topic=news&last-event-id=a-0"),
                    frame(1, b"swio=unsubscribe&topic=news"),
                ];
                (vec![process.open("/", "Sec-WebSocket-Protocol: swio.1\r\n")], commands.concat())
            },
        },
        Load {
            name: "one byte that the program sends to 1,000",
            bound: "the program; `messages_per_second_max`",
            messages: 1.0,
            prepare: |process| {
                let members = (0..MEMBERS).map(|_| process.open("/room", "")).collect();
                (members, frame(1, b"x"))
            },
        },
    ]
}
