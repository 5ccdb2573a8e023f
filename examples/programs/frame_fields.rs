//! Program 2 of docs/PROGRAMS.md: the fields of a frame.
//!
//! ```sh
//! cargo run --release --example frame_fields [-- 0.0.0.0:8080]
//! ```

use std::time::SystemTime;
use swio::Server;

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("0.0.0.0:8080".into());
    Server::builder()
        .listen(address)
        .on_open(|_server, request| println!("handshake success with fd {}", request.fd))
        .on_message(|server, frame| {
            let (fd, opcode) = (frame.fd, frame.opcode as u8);
            println!("fd {fd}: {}, opcode {opcode}, finish {}", frame.data, frame.finish);
            let now = httpdate::fmt_http_date(SystemTime::now());
            server.push(fd, format!("this is server, {now}")).ok();
        })
        .on_close(|_server, fd, _reason| println!("fd {fd} closed"))
        .run()
}
