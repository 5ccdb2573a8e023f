//! The server's process, what it uses, and connections to it. The figures are Linux's.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// As the first argument: be the server.
pub(crate) const CHILD: &str = "--child";
/// How long a row may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const UPGRADE: &str = "GET {PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{LINES}\r\n";

/// The server's process.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    pub(crate) fn start() -> Process {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .arg(CHILD)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("the server says where it is");
        Process { address: line.trim().parse().expect("an address"), child }
    }

    /// Seconds of CPU time that it has used.
    pub(crate) fn cpu(&self) -> f64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs").flatten();
        let nanoseconds = threads.filter_map(|thread| {
            let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            schedstat.split(' ').next()?.parse::<f64>().ok()
        });
        nanoseconds.sum::<f64>() / 1e9
    }

    /// Memory in user space that is its own, in bytes.
    pub(crate) fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a figure");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
    }

    /// What is held for outboxes, and for incomplete messages and requests.
    pub(crate) fn held(&self) -> (f64, f64) {
        let mut asking = self.connect();
        asking.write_all(get("/usage").as_bytes()).expect("it reads");
        let answer = String::from_utf8(read_until_quiet(&mut asking)).expect("text");
        let (_, numbers) = answer.rsplit_once("\r\n\r\n").expect("a body");
        let (outboxes, inbound) = numbers.split_once(' ').expect("two numbers");
        (outboxes.parse().expect("a number"), inbound.parse().expect("a number"))
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it accepts");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("an option");
        stream
    }

    /// An open WebSocket, with these lines in its handshake.
    pub(crate) fn open(&self, path: &str, lines: &str) -> TcpStream {
        let mut stream = self.connect();
        stream
            .write_all(UPGRADE.replace("{PATH}", path).replace("{LINES}", lines).as_bytes())
            .expect("it reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        stream
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A masked frame; the mask is zero.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(opcode, payload.len());
    frame.extend_from_slice(payload);
    frame
}

pub(crate) fn header(opcode: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match len {
        0..126 => frame.push(0x80 | len as u8),
        126..0x1_0000 => frame.extend([&[0x80 | 126], &(len as u16).to_be_bytes()[..]].concat()),
        _ => frame.extend([&[0x80 | 127], &(len as u64).to_be_bytes()[..]].concat()),
    }
    frame.extend([0; 4]);
    frame
}

pub(crate) fn read_until_quiet(stream: &mut TcpStream) -> Vec<u8> {
    let (mut all, mut chunk) = (Vec::new(), [0; 64 << 10]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return all,
            Ok(len) => all.extend_from_slice(&chunk[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return all,
            Err(error) => panic!("{error}"),
        }
    }
}
