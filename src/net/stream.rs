//! A non-blocking byte stream: real, or simulated for tests and benches. Knows nothing of what the bytes
//! mean.

use super::listener::watch_peer;
use crate::config::Config;
use mio::net::TcpStream;
use socket2::SockRef;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

/// On epoll and kqueue a read that fills less than the buffer has taken all there was, and what comes later
/// makes a new edge. mio's other selectors promise only that a read to `WouldBlock` has.
pub(super) const SHORT_READ_DRAINS: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
));

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// There is none: it takes and gives nothing.
    Socketless,
    #[cfg(any(test, feature = "sim"))]
    Sim(crate::sim::SimStream),
}

impl Stream {
    /// Begins to connect; [`Stream::is_connected`] tells how it goes.
    pub(crate) fn connect(address: SocketAddr, config: &Config) -> io::Result<Stream> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        watch_peer(&SockRef::from(&stream), config)?;
        Ok(Stream::Tcp(stream))
    }

    /// What became of connecting, once the socket is writable; that it is may be a false alarm.
    pub(crate) fn is_connected(&self) -> io::Result<bool> {
        match self {
            Stream::Tcp(stream) => match stream.take_error()? {
                Some(error) => Err(error),
                None => match stream.peer_addr() {
                    Ok(_) => Ok(true),
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
                    Err(error) => Err(error),
                },
            },
            Stream::Socketless => Ok(true),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => Ok(true),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Socketless => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => stream.read(buffer),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Socketless => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => stream.write(bytes),
        }
    }

    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write_vectored(slices),
            Stream::Socketless => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => stream.write_vectored(slices),
        }
    }

    /// Ends this side of the connection; what the peer sends can still be read.
    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Socketless => Ok(()),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => stream.shutdown_write(),
        }
    }

    /// From now on closing it is a reset, which loses what is on its way.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Stream::Tcp(stream) => {
                if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
                    log::debug!("SO_LINGER can't be set: {error}");
                }
            }
            Stream::Socketless => {}
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => {}
        }
    }

    /// An error of the socket that nobody has been told of yet.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        match self {
            Stream::Tcp(stream) => stream.take_error().ok().flatten(),
            Stream::Socketless => None,
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => None,
        }
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Socketless => None,
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => None,
        }
    }

    /// Asked of the kernel each time rather than kept: most connections are never asked about.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            Stream::Socketless => None,
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => None,
        }
    }
}
