//! A non-blocking byte stream: real, or simulated for tests and benches. Knows nothing of what the bytes
//! mean.

use mio::net::TcpStream;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(any(test, feature = "sim"))]
    Sim(crate::sim::SimStream),
}

impl Stream {
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => stream.read(buffer),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => stream.write(bytes),
        }
    }

    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write_vectored(slices),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => stream.write_vectored(slices),
        }
    }

    /// Ends this side of the connection; what the peer sends can still be read.
    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => stream.shutdown_write(),
        }
    }

    /// Asked of the kernel each time rather than kept: most connections are never asked about.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => None,
        }
    }
}
