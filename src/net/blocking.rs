//! A blocking byte stream with deadlines, for programs that have no loop. Knows nothing of what the bytes mean.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct BlockingStream(TcpStream);

impl BlockingStream {
    /// Tries the addresses in turn, each for at most `timeout`; the error is the last one's.
    pub(crate) fn connect(
        addresses: impl IntoIterator<Item = SocketAddr>,
        timeout: Duration,
    ) -> io::Result<BlockingStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(BlockingStream(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Reads what is there, or waits for it; 0 at the end. `TimedOut` at the deadline, and not before it was looked
    /// once.
    pub(crate) fn read(&mut self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // Zero is "for ever" to the system.
            self.0.set_read_timeout(left.map(|left| left.max(Duration::from_millis(1))))?;
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) && left == Some(Duration::ZERO) => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                // The system's own timeout is a little early; the deadline is what counts.
                Err(error) if is_timeout(&error) && left.is_some() => {}
                result => return result,
            }
        }
    }

    /// Writes all. `TimedOut` if the peer reads nothing for so long; part of it may be written then.
    pub(crate) fn write_all(&mut self, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
        self.0.set_write_timeout(Some(patience.max(Duration::from_millis(1))))?;
        while !bytes.is_empty() {
            match self.0.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => bytes = &bytes[len..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends both sides.
    pub(crate) fn shutdown(&mut self) {
        self.0.shutdown(Shutdown::Both).ok();
    }
}

/// What a timeout of the system's is called differs.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
