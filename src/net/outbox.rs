//! Output that a socket did not take at once. Small runs are copied together, large ones are kept as they are; a flush
//! writes them all with as few system calls as possible. It knows nothing of frames but keeps each run whole: an urgent
//! run may overtake others only between two runs. A message that may be dropped while it waits is a run of its own.

mod drops;

use super::wire::Wire;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::sync::Arc;

/// An encoded, immutable, shareable run of bytes, ready for any socket.
pub(crate) type Encoded = Arc<[u8]>;

/// Runs up to this size are copied rather than shared: a copy of 2 KiB costs no more than counting
/// references, and puts many runs in one slice.
pub(crate) const COPIED_MAX: usize = 2 << 10;
/// A tail of copied runs grows to this size, then a new one begins.
const TAIL_BYTES: usize = 64 << 10;
/// A tail doubles when it grows, but never has more than this much spare room.
pub(crate) const TAIL_SPARE_BYTES: usize = 8 << 10;
/// A larger tail buffer is freed after use.
pub(crate) const KEPT_BYTES: usize = 64 << 10;
/// Slices in one writev.
const SLICES: usize = 64;
/// Writes to one socket before the others get their turn. Without this, a peer that reads as fast as the kernel takes
/// bytes could block the loop for the whole of its outbox.
pub(crate) const WRITES_PER_FLUSH: usize = 16;
/// And bytes.
pub(crate) const BYTES_PER_FLUSH: usize = 1 << 20;

/// What a run costs in addition to its bytes: its place in the queue, which may have twice the room it needs, the
/// allocator's overhead, and its key.
pub(crate) const RUN_BYTES: usize = 2 * size_of::<Run>() + 16 + 64;
/// More room in the queue.
const QUEUE_SPARE: usize = 16;
/// What an empty outbox costs.
pub(crate) const EMPTY_BYTES: usize = size_of::<Outbox>() + QUEUE_SPARE * size_of::<Run>() + 32 + KEYS_BYTES;
/// The first node of the keys.
const KEYS_BYTES: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    runs: VecDeque<Run>,
    /// How much of the first run is written.
    written: usize,
    /// How many runs, from the first on, may not be overtaken.
    pinned: usize,
    /// Bytes accepted and not yet written.
    bytes: usize,
    /// Capacity of all runs.
    capacity: usize,
    /// How many runs are messages of their own.
    messages: usize,
    /// The run's number for each key of a message.
    keys: BTreeMap<u64, u64>,
    /// The number of the newest run.
    next_number: u64,
    /// What the messages that may be dropped cost.
    droppable: usize,
    /// A tail buffer kept for the next use.
    spare: Vec<u8>,
    /// High-watermark callback fired, low-watermark not yet.
    pub(super) is_above: bool,
}

#[derive(Debug)]
struct Run {
    bytes: Bytes,
    kind: Kind,
    /// Never decreases from one run to the next.
    number: u64,
}

#[derive(Debug)]
pub(crate) enum Bytes {
    Own(Vec<u8>),
    Shared(Encoded),
    /// A part of the program: it takes no memory.
    Static(&'static [u8]),
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes::Own(bytes)
    }
}

impl From<Cow<'static, [u8]>> for Bytes {
    fn from(bytes: Cow<'static, [u8]>) -> Bytes {
        match bytes {
            Cow::Borrowed(bytes) => Bytes::Static(bytes),
            Cow::Owned(bytes) => Bytes::Own(bytes),
        }
    }
}

impl Bytes {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Own(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
            Bytes::Static(bytes) => bytes,
        }
    }

    /// The memory that it takes. Shared bytes are charged in full to each holder: which one is the last is not known.
    pub(super) fn capacity(&self) -> usize {
        match self {
            Bytes::Own(bytes) => bytes.capacity(),
            Bytes::Shared(bytes) => bytes.len(),
            Bytes::Static(_) => 0,
        }
    }

    /// From now on it is shared, if it was not.
    pub(crate) fn share(&mut self) -> Encoded {
        if let Bytes::Shared(bytes) = self {
            return bytes.clone();
        }
        let shared = Encoded::from(self.as_slice());
        *self = Bytes::Shared(shared.clone());
        shared
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Copied runs, one after the other; the last tail of the queue may still grow.
    Tail,
    /// Continues the last `head` bytes of the tail before it, which may already be written.
    Joined {
        head: usize,
    },
    Whole,
    /// May be replaced by a newer one while it waits.
    Urgent,
    /// A message that may be dropped or replaced until some of it is written.
    Message(Terms),
}

/// What may happen to a message while it waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// It may be dropped to make room for others.
    pub(crate) may_drop: bool,
    /// A newer one with the same key takes its place.
    pub(crate) key: Option<u64>,
}

impl Terms {
    /// Whether the message needs a run of its own.
    pub(crate) fn stand_alone(self) -> bool {
        self.may_drop || self.key.is_some()
    }
}

impl Run {
    fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    fn cost(&self) -> usize {
        self.bytes().len() + RUN_BYTES
    }

    fn is_joined(&self) -> bool {
        matches!(self.kind, Kind::Joined { .. })
    }

    fn terms(&self) -> Option<Terms> {
        match self.kind {
            Kind::Message(terms) => Some(terms),
            _ => None,
        }
    }
}

/// The size of one outbox, or of all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Bytes accepted and not yet written.
    pub(crate) bytes: usize,
    /// The memory that this takes.
    pub(crate) held: usize,
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Everything is written.
    Drained,
    /// The socket takes no more for now.
    Blocked,
    /// The socket would take more, but other connections are waiting.
    Yielded,
}

impl Outbox {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What counts against the connection's limit.
    pub(crate) fn cost(&self) -> usize {
        self.bytes + self.messages * RUN_BYTES
    }

    pub(crate) fn size(&self) -> Size {
        let held = EMPTY_BYTES + self.runs.len() * RUN_BYTES + self.capacity + self.spare.capacity();
        Size { bytes: self.bytes, held }
    }

    /// Appends a copy of `parts`, which belong together. `is_exact`: allocates no spare room.
    pub(crate) fn push_copy(&mut self, parts: [&[u8]; 2], is_exact: bool) {
        let len = parts[0].len() + parts[1].len();
        self.bytes += len;
        let has_room = |run: &Run| run.kind == Kind::Tail && run.bytes().len() + len <= TAIL_BYTES;
        if !self.runs.back().is_some_and(has_room) {
            let tail = std::mem::take(&mut self.spare);
            self.capacity += tail.capacity();
            let run = self.run(Bytes::Own(tail), Kind::Tail);
            self.runs.push_back(run);
        }
        let Some(Run { bytes: Bytes::Own(tail), .. }) = self.runs.back_mut() else {
            unreachable!("a tail is last")
        };
        let (needed, capacity) = (tail.len() + len, tail.capacity());
        if needed > capacity {
            let ahead = if is_exact { 0 } else { capacity.min(TAIL_SPARE_BYTES) };
            tail.reserve_exact((capacity + ahead).min(TAIL_BYTES).max(needed) - tail.len());
            self.capacity += tail.capacity() - capacity;
        }
        tail.extend_from_slice(parts[0]);
        tail.extend_from_slice(parts[1]);
    }

    /// Appends `head` and `body`, which belong together, without copying the body.
    pub(crate) fn push_owned(&mut self, head: &[u8], mut body: Bytes) {
        self.push_copy([head, &[]], true);
        if let Bytes::Own(body) = &mut body {
            body.shrink_to_fit();
        }
        let run = self.run(body, Kind::Joined { head: head.len() });
        self.append(run);
    }

    pub(crate) fn push_shared(&mut self, bytes: Encoded) {
        let run = self.run(Bytes::Shared(bytes), Kind::Whole);
        self.append(run);
    }

    fn run(&mut self, bytes: Bytes, kind: Kind) -> Run {
        self.next_number += 1;
        Run { bytes, kind, number: self.next_number }
    }

    fn append(&mut self, run: Run) {
        self.bytes += run.bytes().len();
        self.count(&run);
        self.runs.push_back(run);
    }

    /// Appends a message that may be dropped or replaced, or puts it in the place of the one with its key. True if
    /// there was one.
    pub(crate) fn push_message(&mut self, bytes: Bytes, terms: Terms) -> bool {
        let mut run = self.run(bytes, Kind::Message(terms));
        let Some(at) = terms.key.and_then(|key| self.find(key)) else {
            self.append(run);
            return false;
        };
        run.number = self.runs[at].number;
        self.bytes += run.bytes().len();
        self.count(&run);
        let old = std::mem::replace(&mut self.runs[at], run);
        self.bytes -= old.bytes().len();
        self.uncount(&old);
        // Its key went with the old one.
        self.keys.extend(terms.key.map(|key| (key, old.number)));
        true
    }

    /// What the waiting message with this key costs.
    pub(crate) fn cost_of(&self, key: u64) -> usize {
        self.find(key).map_or(0, |at| self.runs[at].cost())
    }

    /// Where the message with this key waits, if nothing of it is written.
    fn find(&self, key: u64) -> Option<usize> {
        let number = *self.keys.get(&key)?;
        let first = self.runs.partition_point(|run| run.number < number);
        let has_key = |run: &Run| run.terms().is_some_and(|terms| terms.key == Some(key));
        // An urgent run has the number of a neighbour.
        let at = first + self.runs.range(first..).position(has_key)?;
        (at >= self.begun()).then_some(at)
    }

    /// How many runs are partly written, and can't be dropped any more.
    fn begun(&self) -> usize {
        usize::from(self.written > 0)
    }

    fn count(&mut self, run: &Run) {
        self.capacity += run.bytes.capacity();
        if let Some(terms) = run.terms() {
            self.messages += 1;
            self.keys.extend(terms.key.map(|key| (key, run.number)));
            self.droppable += if terms.may_drop { run.cost() } else { 0 };
        }
    }

    fn uncount(&mut self, run: &Run) {
        self.capacity -= run.bytes.capacity();
        if let Some(terms) = run.terms() {
            self.messages -= 1;
            if let Some(key) = terms.key.filter(|key| self.keys.get(key) == Some(&run.number)) {
                self.keys.remove(&key);
            }
            self.droppable -= if terms.may_drop { run.cost() } else { 0 };
        }
    }

    /// Keeps the queue's own memory in proportion to its runs, by whose number it is counted.
    fn shrink(&mut self) {
        if self.runs.capacity() > 2 * self.runs.len() + QUEUE_SPARE {
            self.runs.shrink_to(self.runs.len() + self.runs.len() / 2);
        }
    }

    /// Counts the first `len` bytes as written: they were written directly.
    pub(crate) fn skip(&mut self, len: usize) {
        self.advance(len);
    }

    /// Lets no urgent run overtake what is queued now.
    pub(crate) fn pin(&mut self) {
        self.pinned = self.runs.len();
    }

    /// Inserts `bytes` before everything that is neither pinned nor partly written, in place of an urgent run that
    /// already waits there.
    pub(crate) fn push_urgent(&mut self, bytes: Vec<u8>) {
        let mut at = self.pinned.max(self.begun());
        while self.runs.get(at).is_some_and(Run::is_joined) {
            at += 1;
        }
        let neighbour = self.runs.get(at.saturating_sub(1)).map_or(0, |run| run.number);
        let run = Run { bytes: Bytes::Own(bytes), kind: Kind::Urgent, number: neighbour };
        self.bytes += run.bytes().len();
        self.count(&run);
        match self.runs.get_mut(at) {
            Some(waiting) if waiting.kind == Kind::Urgent => {
                let old = std::mem::replace(waiting, run);
                self.bytes -= old.bytes().len();
                self.uncount(&old);
            }
            _ => self.runs.insert(at, run),
        }
    }

    /// Writes until everything is written or the socket takes no more.
    pub(super) fn flush(&mut self, mut wire: Wire<'_>) -> io::Result<Flushed> {
        let mut left = BYTES_PER_FLUSH;
        for _ in 0..WRITES_PER_FLUSH {
            let written = match self.write_once(&mut wire, left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.spare.capacity() > self.bytes {
                        self.spare = Vec::new();
                    }
                    return Ok(Flushed::Blocked);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.advance(written);
            if self.bytes == 0 {
                return Ok(Flushed::Drained);
            }
            left = left.saturating_sub(written);
            if left == 0 {
                break;
            }
        }
        Ok(Flushed::Yielded)
    }

    /// Writes up to `most` bytes.
    fn write_once(&self, wire: &mut Wire<'_>, most: usize) -> io::Result<usize> {
        let first = &self.runs[0].bytes()[self.written..];
        if self.runs.len() == 1 || first.len() >= most {
            return wire.write(&first[..first.len().min(most)]);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let (mut count, mut left) = (0, most);
        for (slice, bytes) in slices.iter_mut().zip(self.unwritten()) {
            if left == 0 {
                break;
            }
            let bytes = &bytes[..bytes.len().min(left)];
            (*slice, count, left) = (IoSlice::new(bytes), count + 1, left - bytes.len());
        }
        wire.write_vectored(&slices[..count])
    }

    /// The bytes that are not written yet, run by run.
    pub(super) fn unwritten(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let skips = std::iter::once(self.written).chain(std::iter::repeat(0));
        self.runs.iter().zip(skips).map(|(run, skip)| &run.bytes()[skip..])
    }

    fn advance(&mut self, written: usize) {
        assert!(written <= self.bytes, "more written than there was");
        self.bytes -= written;
        self.written += written;
        while let Some(len) =
            self.runs.front().map(|run| run.bytes().len()).filter(|len| *len <= self.written)
        {
            self.written -= len;
            self.pinned = self.pinned.saturating_sub(1);
            self.pop();
        }
        self.shrink();
    }

    fn pop(&mut self) {
        let Some(run) = self.runs.pop_front() else { return };
        self.uncount(&run);
        if let Run { bytes: Bytes::Own(mut tail), kind: Kind::Tail, .. } = run
            && tail.capacity() <= KEPT_BYTES
            && tail.capacity() > self.spare.capacity()
        {
            tail.clear();
            self.spare = tail;
        }
    }

    /// Empties it for the next use.
    pub(super) fn clear(&mut self) {
        while !self.runs.is_empty() {
            self.pop();
        }
        self.shrink();
        (self.written, self.pinned, self.bytes, self.is_above) = (0, 0, 0, false);
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
