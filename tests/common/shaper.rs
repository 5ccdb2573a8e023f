//! A slow line: a relay that passes so many bytes a second each way, in segments of an MTU of 1500, with little room on
//! either side.

use super::DEADLINE;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const SEGMENT_BYTES: usize = 1448;
const ROOM_BYTES: usize = 8 << 10;

/// How fast a line is, in bytes a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) to_client: usize,
    pub(crate) to_server: usize,
}

/// A line of such rates to a server; gives its near end.
pub(crate) fn line(server: SocketAddr, rates: Rates) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    narrow(&Socket::from(listener.try_clone().expect("a socket")));
    let near = listener.local_addr().expect("an address");
    thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            narrow(&socket);
            socket.connect_timeout(&server.into(), DEADLINE).expect("the server accepts");
            let server = TcpStream::from(socket);
            let ends = [client.try_clone(), server.try_clone()].map(|end| end.expect("a socket"));
            let [client_end, server_end] = ends;
            thread::spawn(move || pass(server_end, client_end, rates.to_client));
            thread::spawn(move || pass(client, server, rates.to_server));
        }
    });
    near
}

fn narrow(socket: &Socket) {
    socket.set_tcp_mss(SEGMENT_BYTES as u32).expect("an option");
    socket.set_recv_buffer_size(ROOM_BYTES).expect("an option");
    socket.set_send_buffer_size(ROOM_BYTES).expect("an option");
    socket.set_tcp_nodelay(true).expect("an option");
}

/// Passes bytes on until either end is over. A line that lags behind, because its machine is busy, does not catch up.
fn pass(mut from: TcpStream, mut to: TcpStream, rate: usize) {
    // Ten times a second at least.
    let mut piece = vec![0; SEGMENT_BYTES.min(rate / 10).max(1)];
    let mut due = Instant::now();
    loop {
        match from.read(&mut piece) {
            Ok(0) => {
                to.shutdown(Shutdown::Write).ok();
                return;
            }
            Ok(len) if to.write_all(&piece[..len]).is_ok() => {
                due = due.max(Instant::now() - Duration::from_millis(100));
                due += Duration::from_secs_f64(len as f64 / rate as f64);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => {
                from.shutdown(Shutdown::Both).ok();
                to.shutdown(Shutdown::Both).ok();
                return;
            }
        }
    }
}
