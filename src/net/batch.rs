//! The output of one turn for all connections in one buffer. Each connection has a span of it, and what goes to many is
//! in it once. Connections whose sockets take their output never need an outbox.

/// A part of the batch. Small, because every connection has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }

    pub(crate) fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Extends the span by `next`, if that follows it directly. False if it does not.
    pub(crate) fn extend(&mut self, next: Span) -> bool {
        if self.is_empty() {
            *self = next;
            return true;
        }
        let follows = self.end == next.start;
        if follows {
            self.end = next.end;
        }
        follows
    }
}

#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Spans that end at this place or before it may belong to several connections.
    shared: u32,
}

/// Memory that is kept from one turn to the next.
const KEPT_BYTES: usize = 1 << 20;

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The memory it owns.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds `parts`, which belong together, for one connection.
    pub(crate) fn add(&mut self, parts: [&[u8]; 2]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(parts[0]);
        self.bytes.extend_from_slice(parts[1]);
        Span { start, end: self.bytes.len() as u32 }
    }

    /// Adds `run` for any number of connections.
    pub(crate) fn add_shared(&mut self, run: &[u8]) -> Span {
        let span = self.add([run, &[]]);
        self.shared = span.end;
        span
    }

    pub(crate) fn get(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..span.end as usize]
    }

    /// Frees the room of a span if it was added last, and for one connection only. So a turn of many echoes uses the
    /// same warm memory for each.
    pub(crate) fn give_back(&mut self, span: Span) {
        if span.end as usize == self.bytes.len() && span.start >= self.shared {
            self.bytes.truncate(span.start as usize);
        }
    }

    /// Empties the batch. No connection may have a span any more.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.shared = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_grow_while_they_follow_each_other() {
        let mut batch = Batch::default();
        let mut one = batch.add([b"a", b"b"]);
        assert!(one.extend(batch.add([b"c", b""])));
        assert_eq!(batch.get(one), b"abc");
        batch.add([b"another's", b""]);
        assert!(!one.extend(batch.add([b"d", b""])));
        assert_eq!((batch.get(one), one.len()), (&b"abc"[..], 3));
    }

    #[test]
    fn only_the_last_span_of_one_connection_is_given_back() {
        let mut batch = Batch::default();
        let first = batch.add([b"first", b""]);
        let shared = batch.add_shared(b"shared");
        batch.give_back(first);
        batch.give_back(shared);
        assert_eq!(batch.get(shared), b"shared");
        let last = batch.add([b"last", b""]);
        batch.give_back(last);
        assert_eq!(batch.len(), 11);
        // A span that began before what is shared and grew beyond it.
        let mut mixed = shared;
        assert!(mixed.extend(batch.add([b"tail", b""])));
        batch.give_back(mixed);
        assert_eq!(batch.get(shared), b"shared");
    }
}
