//! A counter that pages watch by long polling; the same callbacks would serve WebSockets. To watch it by hand:
//!
//! ```sh
//! cargo run --release --example long_polling [-- --listen 127.0.0.1:9501]
//! curl 'http://127.0.0.1:9501/?swio=poll'
//! curl 'http://127.0.0.1:9501/?swio=poll&session=SESSION&cursor=CURSOR'
//! ```
//!
//! Use the session and the cursor of the previous response. A page does nothing else.

use std::io;
use std::time::Duration;
use swio::{Response, Server};

const PAGE: &str = r#"<!doctype html><title>Counter</title><output>...</output><script type="module">
let { session, cursor, messages } = await (await fetch("?swio=poll")).json();
for (;;) {
    for (const { text } of messages) document.querySelector("output").value = text;
    const answer = await fetch(`?swio=poll&session=${session}&cursor=${cursor}`);
    if (!answer.ok) location.reload();
    ({ cursor, messages } = await answer.json());
}
</script>"#;

fn main() -> io::Result<()> {
    env_logger::init();
    let event_loop = Server::builder()
        .listen(listen_address()?)
        .configure(|config| config.long_polling = true)
        .on_start(|server| {
            let mut count = 0;
            server.every(Duration::from_secs(1), move |server, _| {
                count += 1;
                server.broadcast(count.to_string()).send();
            });
        })
        .on_open(|server, request| {
            server.push(request.fd, "welcome").ok();
        })
        .on_request(|_, _| Response::html(PAGE))
        .build()?;
    for address in event_loop.addresses() {
        println!("long_polling: listening on http://{address}/");
    }
    event_loop.run()
}

fn listen_address() -> io::Result<String> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, None, None) => Ok("127.0.0.1:9501".into()),
        (Some("--listen"), Some(address), None) => Ok(address),
        _ => Err(io::Error::other("usage: long_polling [--listen ADDRESS]")),
    }
}
