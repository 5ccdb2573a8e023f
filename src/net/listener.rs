//! A listening socket: bound with room for a rush, accepted from within a budget, left alone for a while when
//! the process can open no more files.

use crate::config::Config;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long to wait where accepting failed for want of files or memory. An edge-triggered listener tells of a
/// waiting connection once, so nobody else would ask again.
const BACK_OFF: Duration = Duration::from_millis(100);

pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
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
pub(crate) fn bind(address: SocketAddr, config: &Config) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if cfg!(unix) {
        socket.set_reuse_address(true)?;
    }
    if cfg!(target_os = "linux") {
        socket.set_tcp_nodelay(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(config.backlog).unwrap_or(i32::MAX))?;
    Ok(Listener { socket: TcpListener::from_std(socket.into()), is_pending: false, retry_at: None })
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
