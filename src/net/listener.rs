//! A listening socket: bound with a backlog for a rush, accepted from within a budget, left alone for a while when the
//! process can open no more files.

use crate::config::Config;
use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long to wait after accepting failed for want of files or memory. An edge-triggered listener reports a waiting
/// connection once, so it has to be tried again without an event.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The time between probes that the peer does not answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// The app's number for it.
    pub(crate) number: u16,
    /// Connections may be waiting for which no further edge will come.
    pub(crate) is_pending: bool,
    /// Not tried again before this.
    pub(crate) retry_at: Option<Instant>,
}

/// The outcome of an attempt to accept.
pub(crate) enum Accepted {
    Stream(OwnedFd, SocketAddr),
    /// No connection is waiting.
    None,
    /// This one failed; the next may not.
    Skipped,
    /// No connection can be accepted for now.
    BackOff(io::Error),
}

/// Binds a listener. The address can be reused at once after a restart, and accepted sockets have Nagle's algorithm off
/// if the system lets them inherit that.
pub(crate) fn bind(address: SocketAddr, number: u16, config: &Config) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if cfg!(target_os = "linux") {
        socket.set_tcp_nodelay(true)?;
    }
    if config.reuse_port {
        socket.set_reuse_port(true)?;
    }
    // Before listen: the receive buffer decides the window that TCP can offer, and accepted sockets inherit both.
    if let Some(bytes) = config.socket_send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = config.socket_recv_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    bound_unsent(&socket, config)?;
    watch_peer(&socket, config)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(config.backlog).unwrap_or(i32::MAX))?;
    let socket = TcpListener::from_std(socket.into());
    Ok(Listener { socket, number, is_pending: false, retry_at: None })
}

/// Bounds what the system keeps unsent for a peer. Accepted sockets inherit this from their listener.
pub(super) fn bound_unsent(socket: &Socket, config: &Config) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(bytes) = config.socket_unsent_bytes_max {
        socket.set_tcp_notsent_lowat(u32::try_from(bytes).unwrap_or(u32::MAX))?;
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (socket, config);
    Ok(())
}

/// Lets the system find out that a peer is gone. Accepted sockets inherit this from their listener.
pub(super) fn watch_peer(socket: &Socket, config: &Config) -> io::Result<()> {
    if let Some(idle) = config.tcp_keepalive {
        let keepalive = TcpKeepalive::new().with_time(idle).with_interval(KEEPALIVE_INTERVAL.min(idle));
        socket.set_tcp_keepalive(&keepalive)?;
    }
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(config.tcp_user_timeout)?;
    Ok(())
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
                Accepted::Stream(stream.into(), address)
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

/// accept(2) on Linux also reports errors of the connection that was being accepted.
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
    fn connected(config: &Config) -> (std::net::TcpStream, OwnedFd) {
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
            socket_unsent_bytes_max: Some(12_345),
            ..Config::default()
        };
        let (_client, stream) = connected(&config);
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), config.tcp_user_timeout);
        assert!(socket.keepalive().expect("an option") && socket.tcp_nodelay().expect("an option"));
        assert_eq!(Some(socket.tcp_keepalive_time().expect("an option")), config.tcp_keepalive);
        assert_eq!(socket.tcp_notsent_lowat().expect("an option"), 12_345);
        let interval = socket.tcp_keepalive_interval().expect("an option");
        assert_eq!(Some(interval), config.tcp_keepalive);
    }
}
