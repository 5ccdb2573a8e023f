//! Peers whose network is gone: nothing of theirs arrives any more, no reset, no FIN, no acknowledgement. They must be
//! ended within the configured time, as timed out, with and without output that waits for them.
//!
//! The client lives in a network namespace of its own, at the other end of a veth pair, and cuts itself off by a
//! blackhole route. This needs Linux, unshare, ip and permission to make namespaces; without these it fails only if CI
//! is set. `cargo test --test half_open -- --defaults` measures the defaults instead.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("half_open: needs Linux's network namespaces");
}

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(target_os = "linux")]
#[path = "common/mod.rs"]
mod common;

#[cfg(target_os = "linux")]
mod linux {
    use super::common::transports::{Kind, Reader, all_transports};
    use super::common::{self, Event, Events, Live};
    use std::io::{BufRead as _, BufReader, Lines, Write as _, stdin};
    use std::net::{SocketAddr, TcpListener};
    use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
    use std::sync::mpsc;
    use std::time::{Duration, Instant};
    use swio::{Cause, Config, Fd, Server};

    const SERVER: &str = "10.77.0.1";
    const CLIENT: &str = "10.77.0.2";
    /// Where the other end waits for the server's own WebSockets; the network is all its own.
    const CALLED: &str = "10.77.0.2:9501";
    /// More than any socket's buffers take.
    const MUCH: usize = 6 << 20;

    pub(super) fn main() {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
        match arguments[..] {
            ["--inside", "client", port, tcp] => be_cut_off(port, tcp),
            ["--inside", "tests"] => tests(),
            ["--inside", "defaults"] => measure_defaults(),
            ["--list", ..] => {}
            ["--defaults"] => outside("defaults"),
            _ => outside("tests"),
        }
    }

    /// Runs this program in a network of its own.
    fn outside(what: &str) {
        let can =
            Command::new("unshare").args(["-rn", "ip", "link", "add", "swio0", "type", "veth"]).output();
        let reason = match can {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(reason) = reason {
            println!("half_open: DID NOT RUN: no network namespace to be had: {reason}");
            std::process::exit(i32::from(std::env::var_os("CI").is_some()));
        }
        let exe = std::env::current_exe().expect("this program");
        let status = Command::new("unshare").arg("-rn").arg(exe).args(["--inside", what]).status();
        let status = status.expect("it ran before");
        std::process::exit(status.code().unwrap_or(1));
    }

    fn ip(arguments: &str) {
        let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip is there");
        assert!(status.success(), "ip {arguments}");
    }

    /// The process at the other end, told by lines what to do, saying by lines that it is done.
    struct Peer {
        process: Child,
        to: ChildStdin,
        from: Lines<BufReader<ChildStdout>>,
    }

    impl Peer {
        /// With its network up, and two connections of this kind open or ready to be.
        fn start(kind: Kind, port: u16, tcp: u16) -> Peer {
            let exe = std::env::current_exe().expect("this program");
            let mut process = Command::new("unshare")
                .arg("-n")
                .arg(exe)
                .args(["--inside", "client", &port.to_string(), &tcp.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("unshare is there");
            let to = process.stdin.take().expect("a pipe");
            let from = BufReader::new(process.stdout.take().expect("a pipe")).lines();
            let mut peer = Peer { process, to, from };
            peer.expect("ready");
            ip(&format!("link add swio0 type veth peer name swio1 netns {}", peer.process.id()));
            ip(&format!("addr add {SERVER}/24 dev swio0"));
            ip("link set swio0 up");
            peer.tell(&format!("open {kind:?}"));
            peer.expect("open");
            peer
        }

        fn cut(&mut self) {
            self.tell("cut");
            self.expect("cut");
        }

        fn tell(&mut self, line: &str) {
            writeln!(self.to, "{line}").expect("it listens");
        }

        fn expect(&mut self, line: &str) {
            assert_eq!(self.from.next().expect("it speaks").expect("a text"), line);
        }
    }

    impl Drop for Peer {
        fn drop(&mut self) {
            self.process.kill().ok();
            self.process.wait().ok();
            // Mostly it goes with the network at its other end.
            Command::new("ip").args(["link", "del", "swio0"]).output().ok();
        }
    }

    fn be_cut_off(port: &str, tcp: &str) {
        println!("ready");
        let address = |port: &str| format!("{SERVER}:{port}").parse::<SocketAddr>().expect("an address");
        let mut readers = Vec::new();
        let mut accepted = Vec::new();
        for line in stdin().lines() {
            match line.expect("a text").split_once(' ') {
                Some(("open", kind)) => {
                    ip(&format!("addr add {CLIENT}/24 dev swio1"));
                    ip("link set swio1 up");
                    match Kind::ALL.into_iter().find(|known| format!("{known:?}") == kind).expect("a kind") {
                        Kind::Outgoing => accepted.push(TcpListener::bind(CALLED).expect("it is free")),
                        kind => {
                            readers.extend([(); 2].map(|()| open(kind, address(port), address(tcp))));
                        }
                    }
                    println!("open");
                }
                Some(("accept", _)) => {
                    readers.extend([(); 2].map(|()| Reader::accept(&accepted[0])));
                    println!("accepted");
                }
                _ => {
                    ip(&format!("route add blackhole {SERVER}/32"));
                    println!("cut");
                }
            }
        }
        drop(readers);
    }

    /// Those that poll have a request waiting, which is to vanish with them.
    fn open(kind: Kind, address: SocketAddr, tcp: SocketAddr) -> Reader {
        let mut reader = Reader::open(kind, address, tcp, false);
        reader.ask();
        reader
    }

    /// Cuts an idle client and one with output waiting off, and gives how long each lived on and why it ended.
    fn cut_off(kind: Kind, change: impl FnOnce(&mut Config), patience: Duration) -> [(Duration, Cause); 2] {
        let (tell, told) = mpsc::channel();
        let (opened, connected, closed) = (tell.clone(), tell.clone(), tell.clone());
        let builder = Server::builder()
            .on_open(move |_, request| common::tell(&opened, Event::Open(request.fd)))
            .on_close(move |_, fd, reason| common::tell(&closed, Event::Close(fd, reason.clone())));
        // Of HTTP it is not the connection that is asked about.
        let builder = match kind {
            Kind::Tcp => builder.on_connect(move |_, fd| common::tell(&connected, Event::Open(fd))),
            _ => builder,
        };
        let builder = builder.listen(format!("{SERVER}:0"));
        let builder = all_transports(builder, format!("{SERVER}:0")).configure(change);
        ip("link set lo up");
        ip(&format!("addr replace {SERVER}/32 dev lo"));
        let running = builder.start().expect("an address of this network");
        let (addresses, handle) = (running.addresses().to_vec(), running.handle());
        ip(&format!("addr del {SERVER}/32 dev lo"));
        let mut peer = Peer::start(kind, addresses[0].port(), addresses[1].port());
        if kind == Kind::Outgoing {
            handle.run(move |server| [(); 2].iter().for_each(|()| call(server, &tell))).expect("it runs");
            peer.tell("accept 2");
            peer.expect("accepted");
        }
        let events = Events(told);
        let [idle, busy]: [Fd; 2] = [events.open(), events.open()];
        peer.cut();
        let begun = Instant::now();
        handle.push(busy, "x".repeat(MUCH)).expect("it runs");
        let mut ends = [None, None];
        while ends.iter().any(Option::is_none) {
            let left = patience.checked_sub(begun.elapsed()).expect("they end in time");
            match events.next_within(left) {
                Event::Close(fd, reason) => {
                    assert!(fd == idle || fd == busy);
                    ends[usize::from(fd == busy)] = Some((begun.elapsed(), reason.cause));
                }
                event => panic!("{event:?}"),
            }
        }
        handle.shutdown().expect("it runs");
        running.join().expect("a good end");
        ends.map(|end| end.expect("both"))
    }

    /// Opens a WebSocket to the other end.
    fn call(server: &mut Server, tell: &mpsc::Sender<Event>) {
        let (opened, closed) = (tell.clone(), tell.clone());
        let (set, fd) = mpsc::channel();
        let client = swio::Client::connect(format!("ws://{CALLED}/"))
            .on_open(move |link, _| {
                let fd = link.fd().expect("it is open");
                common::tell(&set, fd);
                common::tell(&opened, Event::Open(fd));
            })
            .on_close(move |_, reason| {
                common::tell(&closed, Event::Close(fd.try_recv().expect("it was open"), reason.clone()));
            });
        server.connect(client).expect("a good address");
    }

    fn check(what: &str, kind: Kind, ends: [(Duration, Cause); 2], within: Duration) {
        for (of, (lived, cause)) in ["idle", "with output waiting"].iter().zip(ends) {
            println!("half_open: {what}, {kind:?}, {of}: ended after {lived:?}: {cause}");
            // Of raw TCP nothing is asked: where nothing waits to be read, it is its silence that ends it.
            let is_silent = kind == Kind::Tcp && what == "by heartbeats" && *of == "idle";
            let expected = if is_silent { Cause::Idle } else { Cause::Timeout };
            assert_eq!(cause, expected, "{what}, {kind:?}, {of}");
            assert!(lived <= within, "{what}, {kind:?}, {of}: {lived:?}");
        }
    }

    fn tests() {
        let second = Duration::from_secs(1);
        for kind in Kind::ALL {
            let ends = cut_off(
                kind,
                |config| {
                    config.ping_interval = Some(second);
                    config.pong_timeout = second;
                    config.close_timeout = second;
                    (config.poll_hold, config.poll_grace) = (second, second);
                    // Where nothing is asked of the peer, silence alone ends it, or the system.
                    config.idle_timeout = (kind == Kind::Tcp).then_some(2 * second);
                    config.tcp_user_timeout = Some(4 * second);
                },
                30 * second,
            );
            // The ping, its answer, a last word, and the room to go on that a slow machine needs.
            check("by heartbeats", kind, ends, 10 * second);
        }
        for kind in [Kind::WebSocket, Kind::EventStream, Kind::Tcp, Kind::Outgoing] {
            let ends = cut_off(
                kind,
                |config| {
                    config.ping_interval = None;
                    config.tcp_user_timeout = Some(2 * second);
                    config.tcp_keepalive = Some(second);
                },
                30 * second,
            );
            // The system looks at the time when it sends again, which it does ever more seldom.
            check("by TCP", kind, ends, 15 * second);
        }
        // Nobody would notice otherwise that all of this proves nothing.
        check_that_the_living_live();
        println!("half_open: passed");
    }

    fn check_that_the_living_live() {
        ip("link set lo up");
        let live = Live::start(common::echo().configure(|config| {
            config.tcp_user_timeout = Some(Duration::from_secs(1));
            config.tcp_keepalive = Some(Duration::from_secs(1));
        }));
        let mut client = live.open();
        live.after(Duration::from_secs(3)).recv_timeout(common::DEADLINE).expect("a timer");
        client.text("still here");
        client.expect_text("still here");
    }

    fn measure_defaults() {
        let minute = Duration::from_secs(60);
        check("by the defaults", Kind::WebSocket, cut_off(Kind::WebSocket, |_| {}, 3 * minute), 2 * minute);
        check(
            "without pings",
            Kind::WebSocket,
            cut_off(Kind::WebSocket, |config| config.ping_interval = None, 4 * minute),
            3 * minute,
        );
    }
}
