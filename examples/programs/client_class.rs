//! Program 5 of docs/PROGRAMS.md: a client that says hello, prints the answer and closes.
//!
//! ```sh
//! cargo run --release --example client_class [-- ws://127.0.0.1:8080]
//! ```

use swio::Client;

fn main() -> std::io::Result<()> {
    let url = std::env::args().nth(1).unwrap_or("ws://127.0.0.1:8080".into());
    Client::connect(url)
        .on_open(|client, _answer| {
            println!("Connected");
            client.push("Hello, World!").ok();
        })
        .on_message(|client, frame| {
            println!("Received: {}", frame.data);
            client.disconnect(1000, "");
        })
        .on_close(|_client, reason| println!("Closed: {} {}", reason.code, reason.text))
        .on_error(|_client, fault| println!("Error: {fault}"))
        .run()
}
