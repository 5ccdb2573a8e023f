//! Program 1 of docs/PROGRAMS.md: welcomes each client and answers each message.
//!
//! ```sh
//! cargo run --release --example welcome [-- 127.0.0.1:9501]
//! ```

use swio::Server;

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9501".into());
    Server::builder()
        .listen(address)
        .on_open(|server, request| {
            println!("{} is here", request.fd);
            server.push(request.fd, "hello, welcome").ok();
        })
        .on_message(|server, frame| {
            println!("{}", frame.data);
            server.push(frame.fd, r#"["hello","world"]"#).ok();
        })
        .on_close(|_server, fd, _reason| println!("{fd} has left"))
        .run()
}
