//! A listening socket: bound with room for a rush, accepted from within a budget, left alone for a while when
//! the process can open no more files.

use crate::config::Config;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long to wait where accepting failed for want of files or memory. An edge-triggered listener tells of a
/// waiting connection once, so nobody else would ask again.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Between the probes of a peer that does not answer them.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// What is spoken there: a number of the app's.
    pub(crate) protocol: u16,
    /// Connections may be waiting that no edge will tell of again.
    pub(crate) is_pending: bool,
    /// Not to be tried before.
    pub(crate) retry_at: Option<Instant>,
}

/// What an attempt to accept came to.
pub(crate) enum Accepted {
    Stream(TcpStream, SocketAddr),
    /// Nobody waits.
    None,
    /// This one failed; the next may not.
    Skipped,
    /// None can be accepted for now.
    BackOff(io::Error),
}

/// Binds a listener. The address may be used again at once after a restart, and what is accepted has Nagle's
/// algorithm off where the system lets that be inherited.
pub(crate) fn bind(address: SocketAddr, protocol: u16, config: &Config) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if cfg!(unix) {
        socket.set_reuse_address(true)?;
    }
    if cfg!(target_os = "linux") {
        socket.set_tcp_nodelay(true)?;
    }
    if config.reuse_port {
        reuse_port(&socket)?;
    }
    // Before listen: the receive buffer decides the window that TCP can offer, and what is accepted inherits both.
    if let Some(bytes) = config.socket_send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = config.socket_recv_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    watch_peer(&socket, config)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(config.backlog).unwrap_or(i32::MAX))?;
    let socket = TcpListener::from_std(socket.into());
    Ok(Listener { socket, protocol, is_pending: false, retry_at: None })
}

/// Has the system find out that a peer is gone. What a listener accepts inherits it.
pub(super) fn watch_peer(socket: &Socket, config: &Config) -> io::Result<()> {
    if let Some(idle) = config.tcp_keepalive {
        let keepalive = TcpKeepalive::new().with_time(idle);
        #[cfg(any(unix, windows))]
        let keepalive = keepalive.with_interval(KEEPALIVE_INTERVAL.min(idle));
        socket.set_tcp_keepalive(&keepalive)?;
    }
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(config.tcp_user_timeout)?;
    Ok(())
}

#[cfg(unix)]
fn reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn reuse_port(_: &Socket) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "reuse_port is not to be had on this system"))
}

impl Listener {
    pub(crate) fn accept(&mut self, now: Instant) -> Accepted {
        match self.socket.accept() {
            Ok((stream, address)) => {
                if !cfg!(target_os = "linux")
                    && let Err(error) = stream.set_nodelay(true)
                {
                    log::debug!("TCP_NODELAY can't be set: {error}");
                }
                Accepted::Stream(stream, address)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_pending = false;
                Accepted::None
            }
            Err(error) if is_one_connections_own(&error) => Accepted::Skipped,
            Err(error) => {
                self.retry_at = Some(now + BACK_OFF);
                Accepted::BackOff(error)
            }
        }
    }
}

/// accept(2) on Linux reports errors of the connection that was to be accepted.
fn is_one_connections_own(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
        PermissionDenied, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
            | TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;

    /// A client, and what a listener of this configuration accepted of it.
    fn connected(config: &Config) -> (std::net::TcpStream, TcpStream) {
        let mut listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 0, config).expect("a free port");
        let address = listener.socket.local_addr().expect("bound");
        let client = std::net::TcpStream::connect(address).expect("it listens");
        loop {
            if let Accepted::Stream(stream, _) = listener.accept(Instant::now()) {
                return (client, stream);
            }
        }
    }

    #[test]
    fn what_is_accepted_has_the_buffers_that_were_asked_for() {
        let (send, recv) = (20_000, 30_000);
        let config = Config {
            socket_send_buffer_bytes: Some(send),
            socket_recv_buffer_bytes: Some(recv),
            ..Config::default()
        };
        let (_client, stream) = connected(&config);
        let socket = SockRef::from(&stream);
        // Linux doubles what is asked for, to have room for its own bookkeeping.
        let times = if cfg!(target_os = "linux") { 2 } else { 1 };
        assert_eq!(socket.send_buffer_size().expect("a socket"), times * send);
        assert_eq!(socket.recv_buffer_size().expect("a socket"), times * recv);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_accepted_inherits_the_options_of_its_listener() {
        let config = Config {
            tcp_user_timeout: Some(Duration::from_secs(7)),
            tcp_keepalive: Some(Duration::from_secs(9)),
            ..Config::default()
        };
        let (_client, stream) = connected(&config);
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), config.tcp_user_timeout);
        assert!(socket.keepalive().expect("an option") && socket.tcp_nodelay().expect("an option"));
        assert_eq!(Some(socket.tcp_keepalive_time().expect("an option")), config.tcp_keepalive);
        let interval = socket.tcp_keepalive_interval().expect("an option");
        assert_eq!(Some(interval), config.tcp_keepalive);
    }
}
