//! A server's process that is stopped and continued by signals: whoever answered meanwhile has answered in time. The
//! process is this program once more.

#[path = "common/mod.rs"]
mod common;

use common::*;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const MANY: usize = 3_000;
const PING_INTERVAL: Duration = Duration::from_secs(3);
const PONG_TIMEOUT: Duration = Duration::from_secs(2);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(|argument| &**argument) {
        Some("--serve") => serve(),
        Some("--list") => {}
        _ => nobody_is_lost_where_the_process_is_stopped_again_and_again(),
    }
}

fn serve() {
    let builder = echo().configure(|config| {
        (config.ping_interval, config.pong_timeout) = (Some(PING_INTERVAL), PONG_TIMEOUT);
    });
    let running = builder.listen("127.0.0.1:0").start().expect("a free port");
    println!("{}", running.addresses()[0]);
    // Until the other process ends.
    std::io::stdin().read_to_end(&mut Vec::new()).expect("a pipe");
}

/// Ends with this.
struct Process(Child);

impl Process {
    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.0.id().to_string()]).status();
        assert!(status.expect("kill is there").success());
    }

    /// Stopped for this time, in which `meanwhile` is done again and again.
    fn stop_for(&self, time: Duration, mut meanwhile: impl FnMut()) {
        self.signal("-STOP");
        let until = Instant::now() + time;
        while Instant::now() < until {
            meanwhile();
            thread::sleep(Duration::from_millis(20));
        }
        self.signal("-CONT");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Answers all pings that have come. Returns how many connections are at their end.
fn answer_pings(streams: &mut [TcpStream]) -> usize {
    let (pong, mut buffer, mut ended) = (masked(FIN | PONG, b""), [0; 256], 0);
    for stream in streams {
        match stream.read(&mut buffer) {
            Ok(0) => ended += 1,
            Ok(_) if buffer[0] == FIN | PING => stream.write_all(&pong).expect("room"),
            Ok(_) => ended += 1,
            Err(error) => ended += usize::from(error.kind() != ErrorKind::WouldBlock),
        }
    }
    ended
}

fn nobody_is_lost_where_the_process_is_stopped_again_and_again() {
    let exe = std::env::current_exe().expect("this program");
    let mut command = Command::new(exe);
    command.arg("--serve").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process(command.spawn().expect("it starts"));
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let address: SocketAddr = line.trim().parse().expect("an address");
    let mut streams: Vec<TcpStream> = Vec::new();
    while streams.len() < MANY {
        let stream = Client::open(address).stream;
        stream.set_nonblocking(true).expect("an option");
        streams.push(stream);
        if streams.len().is_multiple_of(100) {
            assert_eq!(answer_pings(&mut streams), 0);
        }
    }
    // Longer than all timeouts, for long enough that pings are sent, and longer than a ping may be unanswered.
    for millis in [6_000, 2_500, 4_000] {
        process.stop_for(Duration::from_millis(millis), || assert_eq!(answer_pings(&mut streams), 0));
        let until = Instant::now() + Duration::from_millis(100);
        while Instant::now() < until {
            assert_eq!(answer_pings(&mut streams), 0);
        }
    }
    let until = Instant::now() + PING_INTERVAL + PONG_TIMEOUT;
    while Instant::now() < until {
        assert_eq!(answer_pings(&mut streams), 0, "of {MANY} connections");
        thread::sleep(Duration::from_millis(20));
    }
    println!("stopped: {MANY} connections are there");
}
