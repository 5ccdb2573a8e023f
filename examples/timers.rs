//! Timers: `after` calls once, `every` calls repeatedly, `cancel` ends either. Each client gets a countdown, and a tick
//! each second until it sends `stop`.
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
    // Timers can be set before the loop runs.
    event_loop.server().every(60 * SECOND, |server, _| {
        println!("timers: {} clients", server.connections().count());
    });
    event_loop.run()
}

struct Clock {
    /// The timer of each client's ticks, to cancel it.
    ticks: FdMap<TimerId>,
}

impl Handler for Clock {
    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        let fd = request.fd;
        count_down(server, fd, 3);
        // A timer's closure owns what it needs, and gets the server as a parameter each time.
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

    /// A timer of `every` goes on until it is cancelled, so it is cancelled when its connection ends.
    fn on_close(&mut self, server: &mut Server, fd: Fd, _reason: &CloseReason) {
        self.stop(server, fd);
    }
}

impl Clock {
    fn stop(&mut self, server: &mut Server, fd: Fd) -> bool {
        self.ticks.remove(fd).is_some_and(|timer| server.cancel(timer))
    }
}

/// Each step sets the timer for the next one. If the client has left, the push fails and the countdown ends.
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
