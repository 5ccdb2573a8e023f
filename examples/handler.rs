//! A chat as a struct with its own state, which handles open, message, close and error: the shape of Ratchet's
//! `MessageComponentInterface`.
//!
//! ```sh
//! cargo run --release --example handler [-- --listen 127.0.0.1:9501]
//! ```

use std::collections::BTreeSet;
use std::io;
use swio::{CloseReason, Fault, Fd, Frame, Handler, Request, Server};

fn main() -> io::Result<()> {
    env_logger::init();
    let event_loop = Server::builder().listen(listen_address()?).handler(Chat::default).build()?;
    for address in event_loop.addresses() {
        println!("handler: listening on ws://{address}/");
    }
    event_loop.run()
}

/// All callbacks run on one thread, one at a time, so plain data is enough.
#[derive(Default)]
struct Chat {
    clients: BTreeSet<Fd>,
}

impl Handler for Chat {
    fn on_open(&mut self, _server: &mut Server, request: &Request<'_>) {
        self.clients.insert(request.fd);
        println!("New connection! ({})", request.fd);
    }

    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        println!("{} says {:?} to {} others", frame.fd, frame.data, self.clients.len() - 1);
        // `server.broadcast(frame.data).except(frame.fd).send()` does the same, and encodes the message only once.
        for &client in self.clients.iter().filter(|&&client| client != frame.fd) {
            // An error means that this client is leaving or reads too slowly. The others still get the message.
            server.push(client, frame.data).ok();
        }
    }

    fn on_close(&mut self, _server: &mut Server, fd: Fd, reason: &CloseReason) {
        self.clients.remove(&fd);
        println!("Connection {fd} has disconnected: {reason}");
    }

    fn on_error(&mut self, server: &mut Server, fd: Option<Fd>, fault: &Fault) {
        println!("An error has occurred: {fault}");
        if let Some(fd) = fd {
            server.disconnect(fd, 1011, "internal error");
        }
    }
}

fn listen_address() -> io::Result<String> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, None, None) => Ok("127.0.0.1:9501".into()),
        (Some("--listen"), Some(address), None) => Ok(address),
        _ => Err(io::Error::other("usage: handler [--listen ADDRESS]")),
    }
}
