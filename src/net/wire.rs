//! The one place through which a connection's bytes enter and leave its socket. Everything above it handles plain
//! bytes; below it is a stream. TLS will be a filter here, found by the connection's key; a connection that is handed
//! over to another process takes its filter along; io_uring would replace the calls made here. A unix socket is just
//! another [`Stream`].

use super::stream::Stream;
use std::io::{self, IoSlice};

/// Names the filter that a connection's bytes pass through, such as TLS; 0 is none. Three bytes are enough, because
/// there are never more filters than places in the table, and a connection has no room for a fourth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FilterKey([u8; 3]);

impl FilterKey {
    pub(crate) const NONE: FilterKey = FilterKey([0; 3]);
}

/// A connection's socket together with its filter. Made for each use, not kept.
pub(super) struct Wire<'a> {
    stream: &'a mut Stream,
}

impl<'a> Wire<'a> {
    /// The only access to a stream's bytes. Filters will be looked up here: one seals what is written (sealed bytes
    /// that the socket does not take count as queued) and opens what is read.
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

    /// Ends this side of the connection; what the peer sends can still be read. A filter ends its own protocol first.
    #[inline]
    pub(super) fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown_write()
    }
}
