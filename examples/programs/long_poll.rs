//! Program 7 of docs/PROGRAMS.md: requests that are held until there is a new message.
//!
//! ```sh
//! cargo run --release --example long_poll [-- 127.0.0.1:8080]
//! ```

use serde_json::json;
use std::collections::BTreeSet;
use std::mem::take;
use std::time::{Duration, UNIX_EPOCH};
use swio::{Response, Server};

const HOLD: Duration = Duration::from_secs(8);

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let (mut message, mut timestamp, mut held) = (String::new(), 0, BTreeSet::new());
    Server::builder()
        .listen(address)
        .on_request(move |server, request| {
            let fd = request.fd;
            if request.method() == "POST" {
                let now = UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis());
                message = String::from_utf8_lossy(request.body()).into_owned();
                timestamp = now.max(timestamp + 1);
                for fd in take(&mut held) {
                    server.respond(fd, answer(&message, timestamp));
                }
                return Response::new(204);
            }
            let since = request.query_param("since").and_then(|since| since.parse().ok());
            if timestamp > since.unwrap_or(0) {
                return answer(&message, timestamp);
            }
            held.retain(|&fd| server.exists(fd));
            held.insert(fd);
            server.after(HOLD, move |server| {
                server.respond(fd, Response::new(204));
            });
            Response::later()
        })
        .run()
}

fn answer(message: &str, timestamp: u128) -> Response {
    let json = json!({ "message": message, "timestamp": timestamp as u64 }).to_string();
    Response::new(200).header("Content-Type", "application/json").body(json.into_bytes())
}
