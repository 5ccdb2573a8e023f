//! A non-blocking byte stream: a real socket, none, or a simulated one for tests and benches. Knows nothing of what the
//! bytes mean.

use super::listener::{bound_unsent, watch_peer};
use crate::config::Config;
use crate::fd::Fd;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
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
    /// A connected stream socket of any family, TCP or unix: everything is done through its descriptor. Not mio's type,
    /// which is for TCP alone and is larger in debug builds.
    Socket(OwnedFd),
    /// There is no socket: it takes and gives nothing.
    Socketless,
    #[cfg(any(test, feature = "sim"))]
    Sim(crate::sim::SimStream),
}

impl Stream {
    /// Begins to connect; [`Stream::is_connected`] tells the outcome.
    pub(crate) fn connect(address: SocketAddr, config: &Config) -> io::Result<Stream> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        bound_unsent(&SockRef::from(&stream), config)?;
        watch_peer(&SockRef::from(&stream), config)?;
        Ok(Stream::Socket(stream.into()))
    }

    /// Registers for all readiness, once: changing the interest would cost a system call each time. Closing the socket
    /// ends the registration.
    pub(super) fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Stream::Socket(socket) => {
                let interest = Interest::READABLE | Interest::WRITABLE;
                registry.register(&mut SourceFd(&socket.as_raw_fd()), token, interest)
            }
            Stream::Socketless => Ok(()),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => Ok(()),
        }
    }

    /// Registers a socket that is registered for another connection. What arrived meanwhile is reported again.
    pub(super) fn reregister(&mut self, registry: &Registry, fd: Fd) -> io::Result<()> {
        match self {
            Stream::Socket(socket) => {
                let interest = Interest::READABLE | Interest::WRITABLE;
                registry.reregister(&mut SourceFd(&socket.as_raw_fd()), Token(fd.to_u64() as usize), interest)
            }
            Stream::Socketless => Ok(()),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => {
                stream.opened_as(fd);
                Ok(())
            }
        }
    }

    /// The outcome of connecting, asked when the socket is reported writable; that may be a false alarm.
    pub(crate) fn is_connected(&self) -> io::Result<bool> {
        match self {
            Stream::Socket(socket) => {
                let socket = SockRef::from(socket);
                match socket.take_error()? {
                    Some(error) => Err(error),
                    None => match socket.peer_addr() {
                        Ok(_) => Ok(true),
                        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
                        Err(error) => Err(error),
                    },
                }
            }
            Stream::Socketless => Ok(true),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => Ok(true),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Socket(socket) => {
                let (len, _) = rustix::net::recv(socket, buffer, RecvFlags::empty())?;
                Ok(len)
            }
            Stream::Socketless => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => stream.read(buffer),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Socket(socket) => Ok(rustix::net::send(socket, bytes, SEND_FLAGS)?),
            Stream::Socketless => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => stream.write(bytes),
        }
    }

    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            // Unlike writev, this has a flag against the signal.
            Stream::Socket(socket) => {
                Ok(rustix::net::sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), SEND_FLAGS)?)
            }
            Stream::Socketless => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => stream.write_vectored(slices),
        }
    }

    /// Ends this side of the connection; what the peer sends can still be read.
    pub(super) fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Stream::Socket(socket) => Ok(rustix::net::shutdown(socket, Shutdown::Write)?),
            Stream::Socketless => Ok(()),
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(stream) => stream.shutdown_write(),
        }
    }

    /// Makes closing the socket a reset, which loses what is on its way.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Stream::Socket(socket) => {
                if let Err(error) = SockRef::from(socket).set_linger(Some(Duration::ZERO)) {
                    log::debug!("SO_LINGER can't be set: {error}");
                }
            }
            Stream::Socketless => {}
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => {}
        }
    }

    /// Written bytes that the peer has not acknowledged. Where the system can't tell, it is as if there were none: then
    /// only what the socket takes is seen.
    pub(super) fn unacknowledged(&self) -> usize {
        match self {
            Stream::Socket(socket) => swio_unacknowledged::unacknowledged(socket.as_fd()).unwrap_or(0),
            Stream::Socketless => 0,
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => 0,
        }
    }

    /// An error of the socket that was not reported yet.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        match self {
            Stream::Socket(socket) => SockRef::from(socket).take_error().ok().flatten(),
            Stream::Socketless => None,
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => None,
        }
    }

    /// Also `None` for sockets of a family without IP addresses.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Stream::Socket(socket) => SockRef::from(socket).local_addr().ok()?.as_socket().map(canonical),
            Stream::Socketless => None,
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => None,
        }
    }

    /// Asked of the kernel each time rather than kept: most connections are never asked about.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Stream::Socket(socket) => SockRef::from(socket).peer_addr().ok()?.as_socket().map(canonical),
            Stream::Socketless => None,
            #[cfg(any(test, feature = "sim"))]
            Stream::Sim(_) => None,
        }
    }
}

/// The one form of an address: to a listener for both families, IPv4 addresses are mapped into IPv6.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Writing to a peer that is gone must be an error, not a signal that ends the program.
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: SendFlags = SendFlags::empty();

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    #[test]
    fn it_takes_no_more_than_its_descriptor() {
        assert_eq!(size_of::<OwnedFd>(), 4);
        // The simulated ones need a tag beside their number.
        assert_eq!(size_of::<Stream>(), 8);
    }

    #[test]
    fn a_unix_socket_is_a_stream_like_any_other() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("a socket");
        let mut stream = Stream::Socket(ours.into());
        let mut buffer = [0; 16];
        let error = stream.read(&mut buffer).expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        theirs.write_all(b"hello").expect("a socket");
        assert_eq!(stream.read(&mut buffer).expect("something was sent"), 5);
        assert_eq!(&buffer[..5], b"hello");
        assert_eq!(stream.write(b"one ").expect("room"), 4);
        let slices = [IoSlice::new(b"two "), IoSlice::new(b"three")];
        assert_eq!(stream.write_vectored(&slices).expect("room"), 9);
        stream.shutdown_write().expect("a socket");
        let mut all = String::new();
        theirs.read_to_string(&mut all).expect("text");
        assert_eq!(all, "one two three");
        assert!(stream.is_connected().expect("a socket"));
        assert_eq!((stream.peer_addr(), stream.local_addr()), (None, None));
        drop(theirs);
        assert_eq!(stream.read(&mut buffer).expect("its end"), 0);
    }
}
