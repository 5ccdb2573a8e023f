//! A server inside a program with its own loop: a game that updates its world 60 times a second and sends it to
//! everybody. A client that sends `kick` turns the ball around.
//!
//! ```sh
//! cargo run --release --example embed [-- --listen 127.0.0.1:9501]
//! ```

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use swio::Server;

const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);
/// The most kicks in one frame; the game would not notice more.
const KICKS_MAX: usize = 64;

fn main() -> io::Result<()> {
    env_logger::init();
    // Callbacks can't borrow the game, because the loop below owns it. They leave notes for it instead.
    let (kicks, kicked) = mpsc::sync_channel(KICKS_MAX);
    let mut event_loop = Server::builder()
        .listen(listen_address()?)
        .on_message(move |server, frame| {
            let answer = match frame.data.as_str() {
                Some("kick") if kicks.try_send(frame.fd).is_ok() => "you kicked the ball",
                Some("kick") => "too many kicks",
                _ => "send kick to turn the ball around",
            };
            server.push(frame.fd, answer).ok();
        })
        .build()?;
    for address in event_loop.addresses() {
        println!("embed: listening on ws://{address}/");
    }

    let (mut position, mut step) = (0_i32, 1_i32);
    let mut next_frame = Instant::now();
    loop {
        // Serve until this frame's time is up. `poll` returns as soon as it has done something, so it is called
        // again with the time that is left. The last call has no time left and only sends what is waiting.
        //
        // A host that waits for several things at once can add `event_loop.as_raw_fd()` (std::os::fd::AsRawFd) to
        // its own poll, select or epoll. It must call `poll(Some(Duration::ZERO))` when that is readable, and no
        // later than after `event_loop.timeout()`.
        next_frame = (next_frame + FRAME).max(Instant::now());
        loop {
            let left = next_frame.saturating_duration_since(Instant::now());
            if !event_loop.poll(Some(left))? {
                return Ok(());
            }
            if left.is_zero() {
                break;
            }
        }

        for fd in kicked.try_iter() {
            step = -step;
            println!("embed: {fd} kicked the ball at {position}");
        }
        position = (position + step).rem_euclid(100);
        // Between two polls the host can use the server. The next poll sends this.
        event_loop.server().broadcast(format!("the ball is at {position}")).send();
    }
}

fn listen_address() -> io::Result<String> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, None, None) => Ok("127.0.0.1:9501".into()),
        (Some("--listen"), Some(address), None) => Ok(address),
        _ => Err(io::Error::other("usage: embed [--listen ADDRESS]")),
    }
}
