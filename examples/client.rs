//! A client for the terminal: sends the lines that you type, prints what arrives, and reconnects when the connection is
//! lost.
//!
//! ```sh
//! cargo run --release --example client -- ws://127.0.0.1:9501/chat
//! ```

use std::io::{self, BufRead as _};
use std::process::ExitCode;
use std::thread;
use swio::{Backoff, Client};

fn main() -> ExitCode {
    env_logger::init();
    let Some(url) = std::env::args().nth(1) else {
        eprintln!("usage: client ws://HOST[:PORT]/[PATH]");
        return ExitCode::from(2);
    };
    match run(url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(url: String) -> io::Result<()> {
    let client = Client::connect(url)
        .reconnect(Backoff::default())
        .on_open(|_, _| println!("(connected)"))
        .on_message(|_, frame| println!("{}", frame.data))
        .on_close(|_, reason| println!("({reason})"))
        .on_error(|_, fault| eprintln!("({fault})"))
        .start()?;
    let handle = client.handle();
    let id = client.id();
    // Reading from the terminal blocks, so the client runs on a thread of its own.
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let push = move |server: &mut swio::Server| {
                let fd = server.client_fd(id);
                if fd.is_none_or(|fd| server.push(fd, line).is_err()) {
                    eprintln!("(not sent)");
                }
            };
            if handle.run(push).is_err() {
                return;
            }
        }
        handle
            .run(move |server| {
                server.stop_client(id);
            })
            .ok();
    });
    client.join()
}
