//! Program 7 of docs/PROGRAMS.md: requests that wait until there is a new message.
//!
//! ```sh
//! cargo run --release --example long_poll [-- 127.0.0.1:8080]
//! ```

use std::time::{Duration, UNIX_EPOCH};
use swio::{Reply, Response, Server};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let (mut timestamp, mut newest, mut held) = (0, String::new(), Vec::new());
    Server::builder()
        .listen(address)
        .on_request(move |server, request| {
            let fd = request.fd;
            if request.method() == "POST" {
                timestamp = UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis() as u64).max(timestamp + 1);
                let message = String::from_utf8_lossy(request.body());
                newest = serde_json::json!({ "message": message, "timestamp": timestamp }).to_string();
                for fd in held.drain(..) {
                    server.respond(fd, Response::json(newest.clone()));
                }
                return Response::new(204).into();
            }
            let since = request.query_param("since").and_then(|since| since.parse().ok());
            if timestamp > since.unwrap_or(0) {
                return Response::json(newest.clone()).into();
            }
            held.retain(|&fd| server.exists(fd));
            held.push(fd);
            server.after(Duration::from_secs(8), move |server| _ = server.respond(fd, Response::new(204)));
            Reply::Later
        })
        .run()
}
