//! A chat page with the script that comes with swio. It works over whichever transport the network lets through, and
//! pages that were offline get the messages that they missed.
//!
//! ```sh
//! cargo run --release --example page [-- --listen 127.0.0.1:9501]
//! ```

use std::io;
use swio::{History, Response, Server};

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>swio: a page</title>
<form><input autofocus> <output></output></form>
<pre></pre>
<script src="/swio.js"></script>
<script>
  const [form, input, output, log] = ["form", "input", "output", "pre"].map((name) => document.querySelector(name));
  const swio = new Swio("/");
  swio.onopen = () => { output.value = `by ${swio.transport}`; };
  swio.onclose = ({ willReconnect }) => { output.value = willReconnect ? "coming back ..." : "closed"; };
  const room = swio.subscribe("room");
  room.onmessage = ({ data }) => { log.append(data, "\n"); };
  // Some of what was said meanwhile is not known any more.
  room.ongap = () => { log.append("(...)\n"); };
  form.onsubmit = () => { swio.send(input.value); input.value = ""; return false; };
</script>
"#;

fn main() -> io::Result<()> {
    env_logger::init();
    let event_loop = Server::builder()
        .listen(listen_address()?)
        .configure(|config| (config.event_streams, config.long_polling) = (true, true))
        .script("/swio.js")
        .on_start(|server| server.keep_history("room", History::default()).expect("a short name"))
        .on_request(|_, _| Response::html(PAGE))
        .on_subscribe(|_, request| request.topic == "room")
        .on_message(|server, frame| {
            server.publish("room", format!("{}: {}", frame.fd, frame.data)).send();
        })
        .signals(true)
        .build()?;
    for address in event_loop.addresses() {
        println!("page: listening on http://{address}/");
    }
    event_loop.run()
}

fn listen_address() -> io::Result<String> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, None, None) => Ok("127.0.0.1:9501".into()),
        (Some("--listen"), Some(address), None) => Ok(address),
        _ => Err(io::Error::other("usage: page [--listen ADDRESS]")),
    }
}
