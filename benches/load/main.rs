//! Load on real sockets: `cargo bench -p swio-benches --bench load [-- MODE …]`; `-- --help` lists all there is.
//!
//! The server is this program once more, in a process and where possible on a core of its own; `--against`
//! gives the same load to others. Each round starts each server afresh, in turns, and the ratios printed are
//! medians of the rounds' own: what else the machine does meets all alike. The figure to go by is the server's
//! CPU time; throughput and latency are also those of the client, which is not much cheaper than a good server.
//!
//! Every byte that comes back is compared. There are no figures of a server that errs: a wrong byte, a wrong
//! order, a message too many or too few, a broken frame, a close without an answer end the run with status 1.

mod attack;
mod churn;
mod client;
mod exchange;
mod hold;
mod options;
mod process;

use client::Client;
use options::{Mode, Plan};
use process::Server;
use std::process::ExitCode;

/// What one server did in one round, in the order of the headings.
type Outcome = [f64; 4];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == process::CHILD) {
        eprintln!("load: {}", process::become_server(&arguments[1..]));
        return ExitCode::FAILURE;
    }
    let plans = options::parse(arguments).unwrap_or_else(|wrong| {
        eprintln!("load: {wrong}\n\n{}", options::USAGE);
        std::process::exit(2);
    });
    if plans.is_empty() {
        println!("{}", options::USAGE);
    }
    let core = process::prepare();
    if let Err(error) = plans.iter().try_for_each(|plan| run(plan, core.as_deref())) {
        eprintln!("load: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run(plan: &Plan, core: Option<&str>) -> Result<(), String> {
    let Plan { mode, connections, size, window, senders, seconds, rounds, .. } = plan;
    println!("\n{mode:?}: {connections} connections, {senders} sending, {size} bytes, window {window}");
    let cores = if core.is_some() { "a core for each side" } else { "not pinned to cores" };
    println!("{rounds} rounds of {seconds} s, {cores}");
    let mut rounds = Vec::new();
    for round in 0..plan.rounds {
        let mut outcomes = vec![Outcome::default(); plan.servers.len()];
        // Of two: A B, B A, A B …
        for turn in 0..plan.servers.len() {
            let at = (round + turn) % plan.servers.len();
            let line = &plan.servers[at];
            outcomes[at] = measure(plan, line, core).map_err(|error| format!("`{line}`: {error}"))?;
        }
        rounds.push(outcomes);
    }
    print(plan, &rounds);
    Ok(())
}

fn measure(plan: &Plan, line: &str, core: Option<&str>) -> Result<Outcome, String> {
    let server = Server::start(line, core)?;
    let before = server.anonymous_bytes()?;
    if plan.mode == Mode::Churn {
        return churn::run(plan, server.address);
    }
    if plan.mode == Mode::Attack {
        return attack::run(plan, server.address);
    }
    if let Some(kinds) = plan.mode.pushed() {
        return hold::run(plan, &server, before, kinds);
    }
    let mut client = Client::open(plan, server.address).map_err(|error| format!("opening: {error}"))?;
    server.check_holds(plan.connections)?;
    let outcome = match plan.mode {
        Mode::Echo | Mode::FanOut => client.exchange(plan, &server)?,
        Mode::Idle => client.hold(plan, &server, before)?,
        Mode::Churn | Mode::Attack | Mode::Streams | Mode::Polls | Mode::Both => {
            unreachable!("they have clients of their own")
        }
    };
    client.close()?;
    Ok(outcome)
}

/// One line for each server, and one for each that swio is compared with: swio's figure as a multiple of the
/// other's, with the least and the greatest of all rounds.
fn print(plan: &Plan, rounds: &[Vec<Outcome>]) {
    let headings = match plan.mode {
        Mode::Echo => ["messages/s", "server CPU µs/message", "median µs", "client busy %"],
        Mode::FanOut => ["deliveries/s", "server CPU µs/delivery", "median µs to the last", "client busy %"],
        Mode::Churn => ["connections/s", "half of turns under µs", "99.9 % under µs", "longest µs"],
        Mode::Attack => ["half of echoes under µs", "99.9 % under µs", "longest µs", "99.9 % of turns µs"],
        Mode::Idle => ["bytes/connection", "after a message each", "CPU µs/connection/s", "client busy %"],
        Mode::Streams | Mode::Polls | Mode::Both => {
            ["bytes/connection", "after 3 broadcasts", "CPU µs/connection/s", "server CPU µs/delivery"]
        }
    };
    print_row("medians", headings.map(str::to_owned));
    for (number, line) in plan.servers.iter().enumerate() {
        let figures = std::array::from_fn(|column| {
            let figure = median(rounds.iter().map(|outcomes| outcomes[number][column]).collect());
            if figure.abs() < 1_000.0 { format!("{figure:.2}") } else { format!("{figure:.0}") }
        });
        print_row(name(line), figures);
    }
    for (number, line) in plan.servers.iter().enumerate().skip(1) {
        let ratios = std::array::from_fn(|column| {
            let ratios = rounds.iter().map(|outcomes| outcomes[0][column] / outcomes[number][column]);
            let (least, most) = ratios.clone().fold((f64::MAX, 0.0), |(a, b), c| (c.min(a), c.max(b)));
            format!("{:.2} ({least:.2}..{most:.2})", median(ratios.collect()))
        });
        print_row(&format!("swio / {}", name(line)), ratios);
    }
}

fn print_row(name: &str, cells: [String; 4]) {
    println!("  {name:<20}{}", cells.map(|cell| format!("{cell:>24}")).concat());
}

/// The program's, without the directories.
fn name(line: &str) -> &str {
    let program = line.split_whitespace().next().unwrap_or_default();
    program.rsplit('/').next().unwrap_or_default()
}

/// Not a number where there are none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len => (values[(len - 1) / 2] + values[len / 2]) / 2.0,
    }
}
