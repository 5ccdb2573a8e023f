//! Pushes from a thread of your own: a price each second, to every browser that has the page open.
//!
//! ```sh
//! cargo run --release --example push_from_thread [-- --listen 127.0.0.1:9501]
//! ```

use std::io;
use std::thread;
use std::time::Duration;
use swio::{Handle, PushError, Response, Server};

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>swio: push from a thread</title>
<h1 id="price">…</h1>
<p>Open this page in a second window: both show the same price at the same time.</p>
<script>
  const socket = new WebSocket(`ws://${location.host}/`);
  socket.onmessage = (event) => { price.textContent = event.data; };
  socket.onclose = () => { price.textContent = "the server is gone"; };
</script>
"#;

fn main() -> io::Result<()> {
    env_logger::init();
    // `start` runs the server on a thread of its own; `run` would use this one.
    let running = Server::builder()
        .listen(listen_address()?)
        .on_request(|_server, request| match request.path() {
            "/" => Response::html(PAGE),
            _ => Response::not_found(),
        })
        .start()?;
    for address in running.addresses() {
        println!("push_from_thread: open http://{address}/");
    }
    // Other threads use the server through a handle. It is cheap to clone, and its methods never block.
    let handle = running.handle();
    thread::spawn(move || publish_prices(&handle));
    running.join()
}

/// Stands for your program's source of data: a database, a queue, a sensor.
fn publish_prices(handle: &Handle) {
    let mut cents: i64 = 10_000;
    for second in 1_i64.. {
        cents += (second * 7_919) % 201 - 100;
        match handle.broadcast(format!("second {second}: {}.{:02} €", cents / 100, cents % 100)) {
            Ok(()) => {}
            // The server's mailbox is full. A price can be skipped.
            Err(PushError::Busy) => eprintln!("push_from_thread: skipped second {second}"),
            // The server has ended.
            Err(_) => return,
        }
        thread::sleep(Duration::from_secs(1));
    }
}

fn listen_address() -> io::Result<String> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, None, None) => Ok("127.0.0.1:9501".into()),
        (Some("--listen"), Some(address), None) => Ok(address),
        _ => Err(io::Error::other("usage: push_from_thread [--listen ADDRESS]")),
    }
}
