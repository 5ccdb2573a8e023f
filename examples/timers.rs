//! Timers: `after` calls once, `every` again and again, `cancel` ends either. Who connects gets a countdown,
//! and a tick each second until it sends `stop`.
//!
//! ```sh
//! cargo run --release --example timers [-- --listen 127.0.0.1:9501]
//! ```

use std::io;
use std::time::Duration;
use swio::{CloseReason, Fd, FdMap, Frame, Handler, Request, Server, TimerId};

const SECOND: Duration = Duration::from_secs(1);

fn main() -> io::Result<()> {
    env_logger::init();
    let mut event_loop =
        Server::builder().listen(listen_address()?).handler(|| Clock { ticks: FdMap::new() }).build()?;
    for address in event_loop.addresses() {
        println!("timers: listening on ws://{address}/");
    }
    // A timer may be set before anybody is there.
    event_loop.server().every(60 * SECOND, |server, _| {
        println!("timers: {} clients", server.connections().count());
    });
    event_loop.run()
}

struct Clock {
    /// Each client's ticks, so that they can be cancelled.
    ticks: FdMap<TimerId>,
}

impl Handler for Clock {
    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        let fd = request.fd;
        count_down(server, fd, 3);
        // A timer's closure owns what it needs and is given the server anew each time.
        let mut ticks = 0;
        let timer = server.every(SECOND, move |server, _| {
            ticks += 1;
            server.push(fd, format!("tick {ticks}")).ok();
        });
        self.ticks.insert(fd, timer);
    }

    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        let answer = match frame.data.as_str() {
            Some("stop") if self.stop(server, frame.fd) => "stopped",
            Some("stop") => "already stopped",
            _ => "send stop to end the ticks",
        };
        server.push(frame.fd, answer).ok();
    }

    /// What `every` began goes on until it is cancelled, so a connection's timers end with it.
    fn on_close(&mut self, server: &mut Server, fd: Fd, _reason: &CloseReason) {
        self.stop(server, fd);
    }
}

impl Clock {
    fn stop(&mut self, server: &mut Server, fd: Fd) -> bool {
        self.ticks.remove(fd).is_some_and(|timer| server.cancel(timer))
    }
}

/// Each step sets the timer for the next one; a push to a client that has left is an error, and ends it.
fn count_down(server: &mut Server, fd: Fd, left: u32) {
    let text = if left == 0 { "lift-off".to_owned() } else { left.to_string() };
    if server.push(fd, text).is_ok() && left > 0 {
        server.after(SECOND, move |server| count_down(server, fd, left - 1));
    }
}

fn listen_address() -> io::Result<String> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, None, None) => Ok("127.0.0.1:9501".into()),
        (Some("--listen"), Some(address), None) => Ok(address),
        _ => Err(io::Error::other("usage: timers [--listen ADDRESS]")),
    }
}
