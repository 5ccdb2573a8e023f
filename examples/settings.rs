//! A server with its limits in a file. SIGHUP reads the file again; SIGTERM and Ctrl-C shut the server down cleanly.
//!
//! ```sh
//! cargo run --release --example settings --features toml -- --settings examples/swio.toml
//! kill -HUP $(pidof settings)
//! ```

use std::io;
use std::process::ExitCode;
use swio::Server;

fn main() -> ExitCode {
    env_logger::init();
    let mut listen = "127.0.0.1:9501".to_owned();
    let mut settings = "examples/swio.toml".to_owned();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--listen", Some(address)) => listen = address,
            ("--settings", Some(path)) => settings = path,
            (argument, _) => {
                eprintln!(
                    "settings: what is {argument}?\nusage: settings [--listen ADDRESS] [--settings FILE]"
                );
                return ExitCode::from(2);
            }
        }
    }
    match run(&listen, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("settings: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(listen: &str, settings: &str) -> io::Result<()> {
    let event_loop = Server::builder()
        .listen(listen)
        .settings(settings)
        .signals(true)
        .on_message(|server, frame| match frame.data.as_str() {
            // For trying out what a signal does in the meantime.
            Some("hang") => loop {
                std::thread::park();
            },
            _ => {
                server.push(frame.fd, frame.data).ok();
            }
        })
        .on_reload(|server| {
            println!("settings: a message may have {} bytes now", server.config().message_bytes_max);
        })
        .on_error(|_, _, fault| println!("settings: {fault}"))
        .on_before_shutdown(|server| println!("settings: {} clients are told", server.connection_count()))
        .on_shutdown(|_| println!("settings: good bye"))
        .build()?;
    for address in event_loop.addresses() {
        println!("settings: listening on ws://{address}/");
    }
    event_loop.run()
}
