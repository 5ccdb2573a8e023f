//! Program 4 of docs/PROGRAMS.md: a chat page and its server.
//!
//! ```sh
//! cargo run --release --example chat_page [-- 127.0.0.1:8080]
//! ```

use swio::{Callbacks, Response, Server};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    Server::builder()
        .listen(address)
        .route("/", || Callbacks::new().on_request(|_, _| Response::html(include_str!("chat_page.html"))))
        .route("/chat", || {
            Callbacks::new().on_message(|server, frame| {
                server.broadcast(frame.data).send();
            })
        })
        .run()
}
