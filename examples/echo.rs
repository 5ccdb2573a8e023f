//! The echo server for conformance and load tests: messages up to 64 MiB, any origin, no limits per address and no
//! limits on speed. With `--broadcast` each message goes to everybody, including the sender.
//!
//! ```sh
//! cargo run --release --example echo -- --listen 127.0.0.1:9501 [--broadcast]
//! ```

use std::io;
use std::process::ExitCode;
use swio::{Origins, Server};

fn main() -> ExitCode {
    env_logger::init();
    let mut listen = "127.0.0.1:9501".to_owned();
    let mut broadcast = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--listen" => match arguments.next() {
                Some(address) => listen = address,
                None => return usage("--listen needs an address, such as 127.0.0.1:9501"),
            },
            "--broadcast" => broadcast = true,
            other => return usage(&format!("unknown argument {other}")),
        }
    }
    match run(&listen, broadcast) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage(wrong: &str) -> ExitCode {
    eprintln!("echo: {wrong}\nusage: echo [--listen ADDRESS] [--broadcast]");
    ExitCode::from(2)
}

fn run(listen: &str, broadcast: bool) -> io::Result<()> {
    const MESSAGE_BYTES_MAX: usize = 64 << 20;
    let event_loop = Server::builder()
        .listen(listen)
        .configure(|config| {
            config.message_bytes_max = MESSAGE_BYTES_MAX;
            config.fragments_max = u32::MAX;
            // Room for several echoes of the largest message.
            config.outbox_bytes_max = 4 * MESSAGE_BYTES_MAX;
            config.outboxes_bytes_max = 16 * MESSAGE_BYTES_MAX;
            config.origins = Origins::Any;
            config.connections_per_address_max = None;
            config.handshakes_per_address_max = None;
            config.messages_per_second_max = None;
            config.bytes_per_second_max = None;
        })
        .on_message(move |server, frame| {
            if broadcast {
                server.broadcast(frame.data).send();
            } else {
                server.push(frame.fd, frame.data).ok();
            }
        })
        .build()?;
    for address in event_loop.addresses() {
        println!("echo: listening on ws://{address}/");
    }
    event_loop.run()
}
