//! What signals do, with real processes: the settings example is started, gets a signal, and is waited for.

mod common;

use common::*;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

#[test]
fn sigterm_and_sigint_end_the_server_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::start("end_well", "shutdown_code = 1012");
        let mut clients = [(); 3].map(|()| process.open());
        process.signal(signal);
        assert_eq!(process.line(), "settings: 3 clients are told");
        for client in &mut clients {
            assert_eq!(client.answer_close(1012), "server shutdown");
        }
        drop(clients);
        assert_eq!(process.line(), "settings: good bye");
        assert_eq!(process.wait().code(), Some(0));
        assert!(std::net::TcpStream::connect(process.address).is_err(), "it still listens");
    }
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let mut process = Process::start("at_once", "shutdown_timeout = '1 h'\nclose_timeout = '1 h'");
    let mut silent = process.open();
    process.signal(Signal::TERM);
    assert_eq!(silent.read_frame().close().0, 1001);
    assert_eq!(process.line(), "settings: 1 clients are told");
    process.signal(Signal::INT);
    assert_eq!(process.line(), "settings: good bye");
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn a_server_that_hangs_can_be_ended() {
    let mut process = Process::start("hangs", "");
    let mut client = process.open();
    client.text("works");
    client.expect_text("works");
    client.text("hang");
    // The first one waits for the loop, which does not come back.
    process.signal(Signal::TERM);
    let begun = Instant::now();
    while process.child.try_wait().expect("our child").is_none() {
        assert!(begun.elapsed() < DEADLINE, "it can't be ended");
        process.signal(Signal::TERM);
        thread::yield_now();
    }
    assert_eq!(process.wait().signal(), Some(Signal::TERM.as_raw()));
}

#[test]
fn sighup_reads_the_settings_again() {
    let mut process = Process::start("again", "message_bytes_max = 10");
    let mut client = process.open();
    process.write("message_bytes_max = '1 KiB'");
    process.signal(Signal::HUP);
    assert_eq!(process.line(), "settings: a message may have 1024 bytes now");
    client.text(&"x".repeat(1_000));
    client.expect_text(&"x".repeat(1_000));
    // What is wrong is told, and changes nothing; the server goes on.
    process.write("message_bytes_max = 2000\nbacklogg = 3");
    process.signal(Signal::HUP);
    let told = process.line();
    assert!(told.starts_with("settings: the settings were not applied: "), "{told}");
    assert!(told.ends_with("again.toml:2: backlogg is not known: is it backlog?"), "{told}");
    client.text(&"x".repeat(1_025));
    client.until_close(1009);
    let told = "settings: the peer exceeded a limit (1009): message over message_bytes_max";
    assert_eq!(process.line(), told);
    process.write("");
    process.signal(Signal::HUP);
    assert_eq!(process.line(), "settings: a message may have 2097152 bytes now");
    process.signal(Signal::TERM);
    assert_eq!(process.line(), "settings: 0 clients are told");
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn a_wrong_file_is_no_start() {
    let file = file("no_start");
    std::fs::write(&file, "max_conn = 3").expect("a file in the target directory");
    let output = Process::command(&file).output().expect("the example starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.ends_with("no_start.toml:1: max_conn is a setting of Swoole; here it is connections_max\n"),
        "{said}"
    );
}

/// This process is signalled: the one server that listens keeps it alive.
#[test]
fn a_server_takes_no_signals_unless_it_is_asked_to() {
    let mut live = Live::start(echo());
    let (told, is_told) = mpsc::channel();
    let mut heard = Live::start(echo().signals(true).on_reload(move |_| tell(&told, ())));
    let own = rustix::process::getpid();
    kill_process(own, Signal::HUP).expect("this process");
    assert_eq!(is_told.recv_timeout(DEADLINE), Ok(()), "there is no file, but handlers may have their own");
    still_serving(&live);
    still_serving(&heard);
    kill_process(own, Signal::TERM).expect("this process");
    heard.join();
    still_serving(&live);
    live.handle.shutdown().expect("it takes mail");
    live.join();
}

/// The example with settings of its own; ended when dropped.
struct Process {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
    file: PathBuf,
}

fn file(test: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("signals_{test}.toml"))
}

impl Process {
    fn start(test: &str, settings: &str) -> Process {
        let file = file(test);
        std::fs::write(&file, settings).expect("a file in the target directory");
        let mut child = Process::command(&file).stdout(Stdio::piped()).spawn().expect("the example starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| tell(&sender, line)));
        let first = lines.recv_timeout(DEADLINE).expect("a line in time");
        let address = first.trim_end_matches('/').rsplit('/').next().expect("an address");
        Process { child, address: address.parse().expect("an address"), lines, file }
    }

    fn command(file: &PathBuf) -> Command {
        // Cargo builds the examples beside the tests.
        let mut path = std::env::current_exe().expect("a path");
        path.pop();
        path.pop();
        path.push("examples/settings");
        assert!(path.exists(), "{} is not built: run cargo build --examples --all-features", path.display());
        let mut command = Command::new(path);
        command.args(["--listen", "127.0.0.1:0", "--settings"]).arg(file);
        command
    }

    fn open(&self) -> Client {
        Client::open(self.address)
    }

    fn write(&self, settings: &str) {
        std::fs::write(&self.file, settings).expect("a file in the target directory");
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("our child");
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line in time")
    }

    fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            assert!(begun.elapsed() < DEADLINE, "it does not end");
            thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
