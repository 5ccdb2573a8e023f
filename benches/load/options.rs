//! What the command line asks for. All counts and times are bounded: a slip of the finger costs no machine.

use std::ops::RangeInclusive;

/// A message starts with the sender in 4 hexadecimal digits and the sequence number in 8. The letters behind it
/// are a part of a pattern that depends on both, so nothing is kept to compare with.
pub(crate) const SIZE_MIN: usize = 12;

pub(crate) const USAGE: &str = "\
usage: cargo bench -p swio-benches --bench load [-- MODE [OPTION…]]    without a mode: a short run of each
  echo             each connection gets back what it sends
  fan-out          some of the connections send; each message goes to all of them
  idle             hold connections: memory and CPU time of each
  churn            hold connections that leave all the time and are replaced by new ones: how long the server's turns
                   take; swio only
  attack           connections that make the server work as hard as they can, and how long an echo takes meanwhile;
                   swio only
  streams          hold event streams: as idle, and a broadcast has to reach all
  polls            hold parked long polls, the same; a poll's bytes are those of its connection and of its session
  both             half of the connections are event streams, half are parked polls
  --connections N  1 to 28000 (echo 100, attack 220, fan-out 1000, both 19800, else 10000)
  --size BYTES     of a message, 12 to 1048576 (64)
  --window N       messages under way for each sender, 1 to 1024 (1)
  --senders N      of fan-out, 1 to 64 (1)
  --seconds N      measured in each round, 1 to 20 (2)
  --rounds N       1 to 99 (5)
  --against LINE   another server of one process, several times if wanted: its start line, which is split at
                   spaces and run without a shell; it listens on 127.0.0.1:{PORT}. 'swio {PORT} echo' and
                   'swio {PORT} fan-out' are this server once more and show how much is noise;
                   a number at the end is its socket_unsent_bytes_max";

const DEFAULT_SET: [&str; 9] = [
    "echo",
    "echo --window 16",
    "echo --size 16384",
    "fan-out",
    "idle",
    "churn",
    "attack",
    "streams",
    "polls",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Echo,
    FanOut,
    Idle,
    Churn,
    Attack,
    Streams,
    Polls,
    Both,
}

/// What a connection without WebSocket is pushed to by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    Poll,
}

impl Mode {
    /// Of which kinds the connections are in turn, where they are no WebSockets.
    pub(crate) fn pushed(self) -> Option<&'static [Kind]> {
        match self {
            Mode::Streams => Some(&[Kind::Stream]),
            Mode::Polls => Some(&[Kind::Poll]),
            Mode::Both => Some(&[Kind::Stream, Kind::Poll]),
            Mode::Echo | Mode::FanOut | Mode::Idle | Mode::Churn | Mode::Attack => None,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) mode: Mode,
    pub(crate) connections: usize,
    pub(crate) size: usize,
    pub(crate) window: usize,
    /// Those with the lowest numbers; all of them but in fan-out.
    pub(crate) senders: usize,
    pub(crate) seconds: usize,
    pub(crate) rounds: usize,
    /// Start lines: swio's own, then those of the others.
    pub(crate) servers: Vec<String>,
}

/// Empty where there is nothing to do but to show the usage, as for `cargo test --benches`, which says nothing.
pub(crate) fn parse(mut arguments: Vec<String>) -> Result<Vec<Plan>, String> {
    if arguments.is_empty() || arguments.iter().any(|argument| argument == "--help") {
        return Ok(Vec::new());
    }
    arguments.retain(|argument| argument != "--bench" && argument != "--quick");
    if arguments.is_empty() {
        let lines = DEFAULT_SET.map(|line| format!("{line} --seconds 1 --rounds 3"));
        return lines.iter().map(|line| Plan::parse(line.split(' ').map(str::to_owned))).collect();
    }
    Plan::parse(arguments.into_iter()).map(|plan| vec![plan])
}

impl Plan {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Plan, String> {
        let (mode, connections, kind) = match arguments.next().unwrap_or_default().as_str() {
            "echo" => (Mode::Echo, 100, "echo"),
            "fan-out" => (Mode::FanOut, 1_000, "fan-out"),
            "idle" => (Mode::Idle, 10_000, "echo"),
            "attack" => (Mode::Attack, 220, "attacked"),
            "churn" => (Mode::Churn, 10_000, "echo"),
            "streams" => (Mode::Streams, 10_000, "echo"),
            "polls" => (Mode::Polls, 10_000, "echo"),
            // As many as a process may have files of.
            "both" => (Mode::Both, 19_800, "echo"),
            other => return Err(format!("there is no mode {other}")),
        };
        let servers = vec![format!("swio {{PORT}} {kind}")];
        let (size, window, senders, seconds, rounds) = (64, 1, 1, 2, 5);
        let mut plan = Plan { mode, connections, size, window, senders, seconds, rounds, servers };
        while let Some(option) = arguments.next() {
            plan.set(&option, arguments.next().ok_or(format!("{option} is unknown or has no value"))?)?;
        }
        let copies = if mode == Mode::FanOut { plan.connections } else { 1 };
        plan.senders = if mode == Mode::FanOut { plan.senders } else { plan.connections };
        let messages = (plan.senders * plan.window).saturating_mul(copies);
        if plan.senders > plan.connections || messages.saturating_mul(plan.size) > 256 << 20 {
            return Err("more senders than connections, or over 256 MiB under way at once".into());
        }
        Ok(plan)
    }

    fn set(&mut self, option: &str, value: String) -> Result<(), String> {
        let number = |range: RangeInclusive<usize>| {
            let number = value.parse().ok().filter(|number| range.contains(number));
            number.ok_or(format!("{option} needs a number from {} to {}", range.start(), range.end()))
        };
        match option {
            "--connections" => self.connections = number(1..=28_000)?,
            "--size" => self.size = number(SIZE_MIN..=1 << 20)?,
            "--window" => self.window = number(1..=1_024)?,
            "--senders" if self.mode == Mode::FanOut => self.senders = number(1..=64)?,
            "--seconds" => self.seconds = number(1..=20)?,
            "--rounds" => self.rounds = number(1..=99)?,
            "--against"
                if matches!(self.mode, Mode::Churn | Mode::Attack) || self.mode.pushed().is_some() =>
            {
                return Err("only swio is asked for these figures".into());
            }
            "--against" if value.contains("{PORT}") => self.servers.push(value),
            "--against" => return Err("--against needs a start line with {PORT} in it".into()),
            other => return Err(format!("this mode knows no {other}")),
        }
        Ok(())
    }
}
