//! A client for the fuzzing server of Autobahn|Testsuite: echoes in each test case, then asks the server for its
//! report.
//!
//! ```sh
//! cargo run --release --example autobahn_client -- ws://127.0.0.1:9001
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use swio::Client;
use swio::client::blocking;

/// The suite's largest messages have 16 MiB, in up to 256 Ki fragments.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

fn main() -> ExitCode {
    env_logger::init();
    let Some(server) = std::env::args().nth(1) else {
        eprintln!("usage: autobahn_client ws://HOST:PORT");
        return ExitCode::from(2);
    };
    match run(&server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("autobahn_client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(server: &str) -> Result<(), Box<dyn Error>> {
    let mut asked = blocking::connect(format!("{server}/getCaseCount"))?;
    let count = asked.receive(Duration::from_secs(10))?.ok_or("no count of cases")?;
    let count: u32 = count.as_str().ok_or("a count that is no text")?.parse()?;
    for case in 1..=count {
        echo(format!("{server}/runCase?case={case}&agent=swio"))?;
    }
    let mut asked = blocking::connect(format!("{server}/updateReports?agent=swio"))?;
    // The server closes the connection when the reports are written.
    while asked.receive(Duration::from_secs(60)).is_ok_and(|message| message.is_some()) {}
    println!("autobahn_client: {count} cases");
    Ok(())
}

fn echo(url: String) -> std::io::Result<()> {
    Client::connect(url)
        .configure(|config| {
            config.message_bytes_max = MESSAGE_BYTES_MAX;
            config.fragments_max = u32::MAX;
            config.outbox_bytes_max = 4 * MESSAGE_BYTES_MAX;
        })
        .on_message(|client, frame| {
            client.push(frame.data).ok();
        })
        .run()
}
