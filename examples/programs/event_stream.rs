//! Program 8 of docs/PROGRAMS.md: an endless stream of events.
//!
//! ```sh
//! cargo run --release --example event_stream [-- 127.0.0.1:8080]
//! ```

use swio::{Response, Server};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    Server::builder()
        .listen(address)
        .configure(|config| config.event_streams = true)
        .on_request(|server, request| {
            if request.method() != "POST" {
                return Response::not_found();
            }
            server.broadcast(String::from_utf8_lossy(request.body()).into_owned()).send();
            Response::new(204)
        })
        .run()
}
