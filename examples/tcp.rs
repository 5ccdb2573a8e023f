//! One chat room for browsers and raw TCP: WebSockets on the address that you give, lines of text on a port that it
//! prints. Try `nc 127.0.0.1 PORT` and a browser together.
//!
//! ```sh
//! cargo run --release --example tcp [-- --listen 127.0.0.1:9501]
//! ```

use std::io;
use swio::{Fd, Framing, Response, Server};

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>swio: raw TCP</title>
<form onsubmit="socket.send(line.value); line.value = ''; return false"><input id="line" autofocus></form>
<pre id="chat"></pre>
<script>
  const socket = new WebSocket(`ws://${location.host}/`);
  socket.onmessage = (event) => { chat.append(event.data + "\n"); };
</script>
"#;

fn main() -> io::Result<()> {
    env_logger::init();
    let running = Server::builder()
        .listen(listen_address()?)
        .listen_tcp("127.0.0.1:0", Framing::EndMark(b"\n".into()))
        .on_request(|_server, _request| Response::html(PAGE))
        .on_message(|server, frame| say(server, frame.fd, frame.data.as_bytes()))
        .on_receive(say)
        .on_close(|server, fd, _reason| say(server, fd, b"(has left)"))
        .start()?;
    if let [web, .., lines] = running.addresses() {
        println!("tcp: open http://{web}/");
        println!("tcp: nc {} {}", lines.ip(), lines.port());
    }
    running.join()
}

/// Sends a text to everybody, on both protocols. Each line is a message of its own, because a message on raw TCP is a
/// line.
fn say(server: &mut Server, fd: Fd, text: &[u8]) {
    for line in String::from_utf8_lossy(text).trim_end().lines() {
        server.broadcast(format!("{fd}: {line}")).send();
    }
}

fn listen_address() -> io::Result<String> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, None, None) => Ok("127.0.0.1:9501".into()),
        (Some("--listen"), Some(address), None) => Ok(address),
        _ => Err(io::Error::other("usage: tcp [--listen ADDRESS]")),
    }
}
