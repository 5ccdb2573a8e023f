//! Connections that come and go: many threads each hold their share of them, and for each new one the oldest leaves.
//! At the end all leave at once. The server tells how long its turns were meanwhile.

use crate::Outcome;
use crate::options::Plan;
use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::client::client_with_config;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

/// Handshakes under way at once.
const THREADS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) fn run(plan: &Plan, server: SocketAddr) -> Result<Outcome, String> {
    let share = plan.connections.div_ceil(THREADS);
    let time = Duration::from_secs(plan.seconds as u64);
    let threads: Vec<_> = (0..THREADS).map(|_| thread::spawn(move || churn(server, share, time))).collect();
    let mut came = 0;
    let mut held = Vec::new();
    for thread in threads {
        let (count, connections) = thread.join().expect("no panic").map_err(|error| error.to_string())?;
        came += count;
        held.push(connections);
    }
    // All at once, and without a word.
    drop(held);
    thread::sleep(Duration::from_millis(500));
    let turns = ask(server).map_err(|error| format!("asking for the turns: {error}"))?;
    let [half, nearly_all, longest] = turns[..] else { return Err("not three numbers".into()) };
    Ok([came as f64 / plan.seconds as f64, half, nearly_all, longest])
}

/// Fills its share first; what comes in the time after that counts.
fn churn(
    server: SocketAddr,
    share: usize,
    time: Duration,
) -> Result<(usize, VecDeque<WebSocket<TcpStream>>), Failure> {
    let mut held = VecDeque::with_capacity(share + 1);
    while held.len() < share {
        held.push_back(open(server)?);
    }
    let mut came = 0;
    let end = Instant::now() + time;
    while Instant::now() < end {
        held.push_back(open(server)?);
        came += 1;
        leave(held.pop_front().expect("just filled"))?;
    }
    Ok((came, held))
}

pub(crate) fn open(server: SocketAddr) -> Result<WebSocket<TcpStream>, Failure> {
    let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Its default takes 128 KiB for each.
    let config = WebSocketConfig::default().read_buffer_size(1 << 10);
    let (mut socket, _) = client_with_config(format!("ws://{server}/"), stream, Some(config))?;
    socket.send(Message::text("hello"))?;
    let answer = socket.read()?;
    if answer == Message::text("hello") { Ok(socket) } else { Err(format!("got {answer:?}").into()) }
}

/// By the closing handshake.
fn leave(mut socket: WebSocket<TcpStream>) -> Result<(), Failure> {
    socket.close(None)?;
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

pub(crate) fn ask(server: SocketAddr) -> Result<Vec<f64>, Failure> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.write_all(b"GET /turns HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let numbers = answer.rsplit("\r\n").next().unwrap_or_default().split_whitespace();
    Ok(numbers.map(str::parse).collect::<Result<_, _>>()?)
}
