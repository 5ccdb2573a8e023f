//! The server's process: its start, its end, its core, its CPU time and memory. The figures are Linux's.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// As the first argument: become the server of the start line that follows.
pub(crate) const CHILD: &str = "--child";
/// More than the options allow to be under way.
const OUTBOX_BYTES_MAX: usize = 1 << 30;

/// What those who attack ask for again and again: so many messages of this size.
const HISTORY: usize = 100;
const HISTORY_BYTES: usize = 10_000;

/// A server that listens. Ends with this.
pub(crate) struct Server {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it on a free port, pinned to a core, and waits until it listens.
    pub(crate) fn start(line: &str, core: Option<&str>) -> Result<Server, String> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(|error| format!("no free port: {error}"))?;
        let line = line.replace("{PORT}", &address.port().to_string());
        let child = spawn(&line, core).map_err(|error| format!("it can't be started: {error}"))?;
        let mut server = Server { pid: child.id(), child, address };
        let end = Instant::now() + Duration::from_secs(10);
        // A socket that got this very port as its own is connected with itself.
        while !TcpStream::connect(address).is_ok_and(|stream| stream.local_addr().ok() != Some(address)) {
            if server.child.try_wait().is_ok_and(|status| status.is_some()) || Instant::now() > end {
                return Err(format!("it does not listen on {address}; start it by hand to see why"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Whether it is this very process that has the connections: else its figures would say nothing.
    pub(crate) fn check_holds(&self, connections: usize) -> Result<(), String> {
        let files = fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count);
        if files > connections { Ok(()) } else { Err("another process has its connections".into()) }
    }

    /// Memory in user space that is its own.
    pub(crate) fn anonymous_bytes(&self) -> Result<u64, String> {
        let kib = field(self.pid, "RssAnon:").and_then(|kib| kib.strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib << 10).ok_or_else(|| "/proc does not tell its memory".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(line: &str, core: Option<&str>) -> io::Result<Child> {
    let this = std::env::current_exe()?;
    let mut command = Command::new(if core.is_some() { "taskset".as_ref() } else { this.as_os_str() });
    if let Some(core) = core {
        command.args(["-c", core]).arg(&this);
    }
    // Both taskset and the child put what they start in their own place: the process stays the same.
    command.arg(CHILD).args(line.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// Becomes the server of this start line; gives why that failed.
pub(crate) fn become_server(line: &[String]) -> io::Error {
    // For the case that the load generator is killed and can't see to it.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).ok();
    match line {
        [own, port, kind, unsent @ ..] if own == "swio" => {
            serve(port, kind, unsent.first().and_then(|bytes| bytes.parse().ok()))
        }
        [program, arguments @ ..] => Command::new(program).args(arguments).exec(),
        [] => io::Error::other("no start line"),
    }
}

/// `unsent_max`: what the kernel keeps unsent for a connection, if that is not to be the default.
fn serve(port: &str, kind: &str, unsent_max: Option<usize>) -> io::Error {
    let (is_fan_out, is_attacked) = (kind == "fan-out", kind == "attacked");
    swio::Server::builder()
        .listen(format!("127.0.0.1:{port}"))
        .configure(move |config| {
            (config.event_streams, config.long_polling) = (true, true);
            if is_attacked {
                return;
            }
            config.socket_unsent_bytes_max = unsent_max.or(config.socket_unsent_bytes_max);
            config.outbox_bytes_max = OUTBOX_BYTES_MAX;
            config.outboxes_bytes_max = OUTBOX_BYTES_MAX;
            config.messages_per_second_max = None;
            config.bytes_per_second_max = None;
            // Nobody asks again while they are counted.
            config.poll_hold = Duration::from_secs(600);
        })
        .on_start(|server| {
            server.keep_history("news", swio::History::default()).expect("a short name");
            for _ in 0..HISTORY {
                server.publish("news", vec![7; HISTORY_BYTES]).send();
            }
        })
        .on_subscribe(|_, _| true)
        .on_message(move |server, frame| {
            if is_fan_out {
                server.broadcast(frame.data).send();
            } else {
                server.push(frame.fd, frame.data).ok();
            }
        })
        .on_request(|server, request| {
            if let Some(text) = request.query_param("broadcast") {
                let reach = server.broadcast(&*text).send();
                return swio::Response::text(200, reach.queued.to_string());
            }
            let turns = server.turns();
            let micros = [turns.p50, turns.p999, turns.longest].map(|length| length.as_micros().to_string());
            swio::Response::text(200, micros.join(" "))
        })
        .run()
        .err()
        .unwrap_or_else(|| io::Error::other("the server ended"))
}

/// Seconds of CPU time that a process has used. Threads' clocks are exact but end with them, ticks are coarse but
/// stay; neither says too much.
pub(crate) fn cpu_time(pid: u32) -> Result<f64, String> {
    let path = format!("/proc/{pid}");
    let text = |name: &str| fs::read_to_string(format!("{path}/{name}"));
    let stat = text("stat").map_err(|error| format!("{path}/stat: {error}"))?;
    let threads = fs::read_dir(format!("{path}/task")).into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        schedstat.split(' ').next()?.parse::<f64>().ok()
    });
    // The fields 14 and 15, utime and stime; the 2nd, in parentheses, is a name that may have spaces in it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok((nanoseconds.sum::<f64>() / 1e9).max(ticks / 100.0))
}

/// Raises the limit of open files, pins this process to one core, and gives another, for the server. Without two
/// cores or without taskset everything runs where the system puts it.
pub(crate) fn prepare() -> Option<String> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Where it can't be raised, the first connection too many says so.
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
    // Such as 0-2,7: whatever there is between them, these are cores.
    let allowed = field(std::process::id(), "Cpus_allowed_list:")?;
    let (server, rest) = allowed.split_once(['-', ','])?;
    let client = rest.split(['-', ',']).next()?;
    let pid = std::process::id().to_string();
    let status = Command::new("taskset").args(["-p", "-c", client, &pid]).stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success()).then(|| server.to_owned())
}

fn field(pid: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}
