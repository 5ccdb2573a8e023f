//! A server inside a program that has a loop of its own: here a game that steps its world 60 times a second
//! and shows it to everybody. A client that sends `kick` turns the ball around.
//!
//! ```sh
//! cargo run --release --example embed [-- --listen 127.0.0.1:9501]
//! ```

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use swio::Server;

const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);
/// Kicks in one frame; the game would not notice more.
const KICKS_MAX: usize = 64;

fn main() -> io::Result<()> {
    env_logger::init();
    // Callbacks can't borrow the game, which the loop below owns, so they leave notes for it.
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
        // Serve until this frame's time is up. `poll` returns as soon as it has done something, so it is
        // called again for what is left; the last call has no time left and only sends what is waiting.
        //
        // A host that waits for many things at once can add `event_loop.as_raw_fd()` (std::os::fd::AsRawFd)
        // to its own poll, select or epoll, and call `poll(Some(Duration::ZERO))` when that is readable, and
        // at the latest after `event_loop.timeout()`.
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
        // Between two polls the server is the host's to use. This leaves with the next poll.
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
