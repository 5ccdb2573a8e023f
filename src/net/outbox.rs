//! Output that a socket did not take at once. Small runs are copied together, large ones kept as they are; a
//! flush writes them all with as few system calls as the kernel allows. Knows nothing of frames, but keeps each
//! run whole: only between runs may an urgent one overtake.

use super::stream::Stream;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// An encoded, immutable, shareable run of bytes, ready for any socket.
pub(crate) type Encoded = Arc<[u8]>;

/// Runs up to this size are copied rather than shared: a copy of 2 KiB costs no more than counting
/// references, and lets one slice carry many runs.
pub(crate) const COPIED_MAX: usize = 2 << 10;
/// A tail of copied runs grows up to this size, then a new one is begun.
const TAIL_BYTES: usize = 64 << 10;
/// A tail buffer that had to grow beyond this for one run is given back to the allocator after use.
const KEPT_BYTES: usize = 64 << 10;
/// Slices in one writev.
const SLICES: usize = 64;
/// Writes to one socket before the others get their turn: a peer that reads as fast as the kernel takes
/// bytes could otherwise hold the loop for the length of its outbox.
const WRITES_PER_FLUSH: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    runs: VecDeque<Run>,
    /// How much of the first run is written.
    written: usize,
    /// So many runs from the first on may not be overtaken.
    pinned: usize,
    /// Bytes accepted and not yet written.
    bytes: usize,
    /// A tail buffer kept for the next use.
    spare: Vec<u8>,
}

#[derive(Debug)]
enum Run {
    /// Copied runs, one behind the other; the last of the queue may still grow.
    Tail(Vec<u8>),
    /// Belongs to the run before it, also when that is written already.
    Owned(Vec<u8>),
    Shared(Encoded),
    /// May be replaced by a newer one while it waits.
    Urgent(Vec<u8>),
}

impl Run {
    fn bytes(&self) -> &[u8] {
        match self {
            Run::Tail(bytes) | Run::Owned(bytes) | Run::Urgent(bytes) => bytes,
            Run::Shared(bytes) => bytes,
        }
    }
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Everything is written.
    Drained,
    /// The socket takes no more for now.
    Blocked,
    /// The socket would take more, but others are waiting.
    Yielded,
}

impl Outbox {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a copy of `parts`, which belong together.
    pub(crate) fn copy(&mut self, parts: [&[u8]; 2]) {
        let len = parts[0].len() + parts[1].len();
        self.bytes += len;
        let has_room = |run: &Run| matches!(run, Run::Tail(tail) if tail.len() + len <= TAIL_BYTES);
        if !self.runs.back().is_some_and(has_room) {
            let tail = std::mem::take(&mut self.spare);
            self.runs.push_back(Run::Tail(tail));
        }
        let Some(Run::Tail(tail)) = self.runs.back_mut() else { unreachable!("a tail is last") };
        // Doubled, but to no more than a tail is kept for.
        let needed = tail.len() + len;
        if needed > tail.capacity() {
            tail.reserve_exact((2 * tail.capacity()).min(TAIL_BYTES).max(needed) - tail.len());
        }
        tail.extend_from_slice(parts[0]);
        tail.extend_from_slice(parts[1]);
    }

    /// Appends `head` and `body`, which belong together, without copying the body.
    pub(crate) fn own(&mut self, head: &[u8], bytes: Vec<u8>) {
        self.copy([head, &[]]);
        self.bytes += bytes.len();
        self.runs.push_back(Run::Owned(bytes));
    }

    pub(crate) fn share(&mut self, bytes: Encoded) {
        self.bytes += bytes.len();
        self.runs.push_back(Run::Shared(bytes));
    }

    /// Counts the first `len` bytes as written: whoever found the outbox empty has written them already.
    pub(crate) fn skip(&mut self, len: usize) {
        self.advance(len);
    }

    /// Lets no urgent run overtake what is queued now.
    pub(crate) fn pin(&mut self) {
        self.pinned = self.runs.len();
    }

    /// Puts `bytes` in front of everything that is neither pinned nor partly written; replaces an urgent run
    /// that waits there.
    pub(crate) fn urgent(&mut self, bytes: Vec<u8>) {
        let mut at = self.pinned.max(usize::from(self.written > 0));
        while matches!(self.runs.get(at), Some(Run::Owned(_))) {
            at += 1;
        }
        self.bytes += bytes.len();
        match self.runs.get_mut(at) {
            Some(Run::Urgent(waiting)) => {
                self.bytes -= waiting.len();
                *waiting = bytes;
            }
            _ => self.runs.insert(at, Run::Urgent(bytes)),
        }
    }

    /// Writes until all is written or the stream takes no more.
    pub(crate) fn flush(&mut self, stream: &mut Stream) -> io::Result<Flushed> {
        for _ in 0..WRITES_PER_FLUSH {
            let written = match self.write_once(stream) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.advance(written);
            if self.bytes == 0 {
                return Ok(Flushed::Drained);
            }
        }
        Ok(Flushed::Yielded)
    }

    fn write_once(&self, stream: &mut Stream) -> io::Result<usize> {
        let first = &self.runs[0].bytes()[self.written..];
        if self.runs.len() == 1 {
            return stream.write(first);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        slices[0] = IoSlice::new(first);
        let mut count = 1;
        for (slice, run) in slices[1..].iter_mut().zip(self.runs.iter().skip(1)) {
            *slice = IoSlice::new(run.bytes());
            count += 1;
        }
        stream.write_vectored(&slices[..count])
    }

    fn advance(&mut self, written: usize) {
        assert!(written <= self.bytes, "more written than there was");
        self.bytes -= written;
        self.written += written;
        while let Some(run) = self.runs.front() {
            let len = run.bytes().len();
            if self.written < len {
                return;
            }
            self.written -= len;
            self.pinned = self.pinned.saturating_sub(1);
            if let Some(Run::Tail(tail)) = self.runs.pop_front() {
                self.keep(tail);
            }
        }
    }

    fn keep(&mut self, mut tail: Vec<u8>) {
        if tail.capacity() <= KEPT_BYTES && tail.capacity() > self.spare.capacity() {
            tail.clear();
            self.spare = tail;
        }
    }

    /// Forgets everything, for the next use.
    fn clear(&mut self) {
        while let Some(run) = self.runs.pop_front() {
            if let Run::Tail(tail) = run {
                self.keep(tail);
            }
        }
        self.runs.shrink_to(SLICES);
        (self.written, self.pinned, self.bytes) = (0, 0, 0);
    }
}

/// Outboxes that nobody uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    #[expect(clippy::vec_box, reason = "connections hold boxes, so that an idle one costs a pointer")]
    spare: Vec<Box<Outbox>>,
    in_use: usize,
}

/// Kept for the next use; more are given back to the allocator, so a burst leaves no lasting mark.
const POOLED_MAX: usize = 64;

impl Pool {
    pub(crate) fn take(&mut self) -> Box<Outbox> {
        self.in_use += 1;
        self.spare.pop().unwrap_or_default()
    }

    pub(crate) fn put(&mut self, mut outbox: Box<Outbox>) {
        self.in_use -= 1;
        if self.spare.len() < POOLED_MAX {
            outbox.clear();
            self.spare.push(outbox);
        }
    }

    /// The memory that it keeps for the next use.
    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> usize {
        let of_one = |outbox: &Outbox| {
            size_of::<Outbox>() + outbox.spare.capacity() + outbox.runs.capacity() * size_of::<Run>()
        };
        self.spare.iter().map(|outbox| of_one(outbox)).sum()
    }

    pub(crate) fn in_use(&self) -> usize {
        self.in_use
    }
}
