//! A chat room over plain HTTP: pages receive with `EventSource` and send with `POST`. Pages that were offline get the
//! messages that they missed. Try `curl -N -H 'Accept: text/event-stream' http://127.0.0.1:9501/` and a browser
//! together.
//!
//! ```sh
//! cargo run --release --example sse [-- --listen 127.0.0.1:9501]
//! ```

use std::io;
use swio::{History, Message, Response, Server};

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>swio: event streams</title>
<form onsubmit="say(line.value); line.value = ''; return false"><input id="line" autofocus></form>
<pre id="chat"></pre>
<script>
  let session;
  const stream = new EventSource("/?swio=stream");
  stream.addEventListener("swio", (event) => { session = JSON.parse(event.data).session; });
  stream.addEventListener("said", (event) => { chat.append(event.data + "\n"); });
  // Some of what was said while the page was away is not known any more.
  stream.addEventListener("gap", () => { chat.append("(…)\n"); });
  const say = (body) => fetch(`/?swio=send&session=${session}`, { method: "POST", body });
</script>
"#;

fn main() -> io::Result<()> {
    env_logger::init();
    let running = Server::builder()
        .listen(listen_address()?)
        .configure(|config| config.event_streams = true)
        .on_start(|server| server.keep_history("room", History::default()).expect("a short name"))
        .on_request(|_server, _request| Response::html(PAGE))
        .on_open(|server, request| {
            server.join(request.fd, "room").ok();
        })
        .on_message(|server, frame| {
            let said = format!("{}: {}", frame.fd, frame.data);
            server.publish("room", Message::from(said).event("said")).send();
        })
        // Shutting down closes the streams of all clients.
        .signals(true)
        .start()?;
    for address in running.addresses() {
        println!("sse: open http://{address}/");
    }
    running.join()
}

fn listen_address() -> io::Result<String> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, None, None) => Ok("127.0.0.1:9501".into()),
        (Some("--listen"), Some(address), None) => Ok(address),
        _ => Err(io::Error::other("usage: sse [--listen ADDRESS]")),
    }
}
