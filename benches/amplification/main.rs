//! What an attacker can take: `cargo bench -p swio-benches --bench amplification [-- NAME…]`. The tables of
//! docs/LIMITS.md are its output.
//!
//! Each row is a server with the default configuration, in a process of its own, and one attack on it from one address.
//! The first table has what one connection can make the server do: operations are sent one at a time, each after the
//! answer to the one before, as that costs the server most. Its CPU time for one operation, times as many as the
//! limits allow in a second, is the load of a core. The second table has the memory that one address can have held.
//!
//! The server trusts no proxy, so that the loopback address is an address like any other; it serves event streams, long
//! polling and the script. The figures of processes are Linux's.

mod hoards;
mod loads;
mod process;
mod server;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
    if arguments.first().is_some_and(|first| first == process::CHILD) {
        return server::serve();
    }
    // As a test it is only seen to work.
    let is_quick = arguments.iter().all(|argument| argument != "--bench");
    arguments.retain(|argument| argument != "--bench");
    let is_asked = |name: &str| arguments.is_empty() || arguments.iter().any(|asked| name.contains(&**asked));
    println!("| one connection | bytes sent | CPU for each | for a byte sent | of a core | bound by |");
    println!("|---|---:|---:|---:|---:|---|");
    for load in loads::loads() {
        if is_asked(load.name) {
            load.measure(if is_quick { 10 } else { u32::MAX });
        }
    }
    println!();
    println!("| one address | held | of what all share | memory of the process | bound by |");
    println!("|---|---:|---:|---:|---|");
    for hoard in hoards::hoards() {
        if is_asked(hoard.name) {
            hoard.measure(if is_quick { 10 } else { hoards::CONNECTIONS });
        }
    }
}
