//! Program 3 of docs/PROGRAMS.md: a chat as a component with its own state.
//!
//! ```sh
//! cargo run --release --example component [-- 0.0.0.0:8080]
//! ```

use std::collections::BTreeSet;
use swio::{CloseReason, Fault, Fd, Frame, Handler, Request, Server};

#[derive(Default)]
struct Chat {
    clients: BTreeSet<Fd>,
}

impl Handler for Chat {
    fn on_open(&mut self, _server: &mut Server, request: &Request<'_>) {
        self.clients.insert(request.fd);
        println!("New connection: {}", request.fd);
    }

    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        for &client in &self.clients {
            if client != frame.fd {
                server.push(client, frame.data).ok();
            }
        }
    }

    fn on_close(&mut self, _server: &mut Server, fd: Fd, _reason: &CloseReason) {
        self.clients.remove(&fd);
        println!("Connection {fd} has left");
    }

    fn on_error(&mut self, server: &mut Server, fd: Option<Fd>, fault: &Fault) {
        println!("Error: {fault}");
        if let Some(fd) = fd {
            server.close(fd);
        }
    }
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("0.0.0.0:8080".into());
    Server::builder().listen(address).handler(Chat::default).run()
}
