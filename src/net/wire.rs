//! The one place through which a connection's bytes leave and enter its socket. Everything above it queues and reads
//! plain bytes; everything below it is a stream.
//!
//! What changes the way of the bytes belongs here: TLS is a filter found by the connection's key, a connection that is
//! handed over brings its filter along, io_uring takes the place of the calls. A unix socket is only another stream.

use super::stream::Stream;
use std::io::{self, IoSlice};

/// Names what a connection's bytes go through on their way, such as TLS; 0 is nothing. Three bytes, for there are never
/// more filters than places in the table, and the fourth is needed elsewhere in a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FilterKey([u8; 3]);

impl FilterKey {
    pub(crate) const NONE: FilterKey = FilterKey([0; 3]);
}

/// A connection's socket, with what its bytes go through. Made where it is used: it is not kept.
pub(super) struct Wire<'a> {
    stream: &'a mut Stream,
}

impl<'a> Wire<'a> {
    /// The only way to a stream's bytes. A filter is looked up here, once there are any: it seals what is written, and
    /// what the socket does not take of that counts as queued; it opens what is read.
    #[inline]
    pub(super) fn of(stream: &'a mut Stream, filter: FilterKey) -> Wire<'a> {
        debug_assert_eq!(filter, FilterKey::NONE, "no filter is known yet");
        Wire { stream }
    }

    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    #[inline]
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(slices)
    }

    /// Ends this side of the connection; what the peer sends can still be read. A filter says its own farewell first.
    #[inline]
    pub(super) fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown_write()
    }
}
