//! What is written in one turn, for all connections, in one buffer: each has a span of it, and what goes to many
//! is there once. Connections whose socket takes what they are sent never own an outbox.
//!
//! What goes to many has a lane for each form. A connection gets one form, so that of several messages in a turn each
//! follows directly on the one before, whatever others get meanwhile.

use super::limits::BATCH_BYTES_MAX;

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
    /// What single connections get, and those of many who get the most common form.
    first: Lane,
    /// Found by their form, from 1 on.
    others: Vec<Lane>,
    /// Bytes in those.
    others_len: usize,
}

#[derive(Debug, Default)]
struct Lane {
    form: u8,
    bytes: Vec<u8>,
    /// Spans that end at this place or before it may belong to several connections.
    shared: u32,
}

/// A place is a lane's number, and from this bit down an offset in it.
const LANE_SHIFT: u32 = 24;
const OFFSET: u32 = (1 << LANE_SHIFT) - 1;
const _: () = assert!(BATCH_BYTES_MAX < OFFSET as usize);

/// Memory kept from turn to turn: of the first lane, of each other, and how many others.
const KEPT_BYTES: usize = 1 << 20;
const KEPT_BYTES_OF_OTHERS: usize = 4 << 10;
const KEPT_LANES: usize = 16;

impl Lane {
    /// Adds `parts`; `base` is the place of the lane's first byte.
    fn add(&mut self, base: u32, parts: [&[u8]; 2]) -> Span {
        let start = base + self.bytes.len() as u32;
        self.bytes.extend_from_slice(parts[0]);
        self.bytes.extend_from_slice(parts[1]);
        Span { start, end: base + self.bytes.len() as u32 }
    }
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.first.bytes.len() + self.others_len
    }

    /// The memory it owns.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.first.bytes.capacity() + self.others.iter().map(|lane| lane.bytes.capacity()).sum::<usize>()
    }

    /// Adds `parts`, which belong together, for one connection.
    pub(crate) fn add(&mut self, parts: [&[u8]; 2]) -> Span {
        self.first.add(0, parts)
    }

    /// Adds `run` for any number of connections that get this form. The most common form is 0.
    pub(crate) fn add_shared(&mut self, form: u8, run: &[u8]) -> Span {
        if form == 0 {
            let span = self.first.add(0, [run, &[]]);
            self.first.shared = span.end;
            return span;
        }
        let at = self.others.iter().position(|lane| lane.form == form).unwrap_or_else(|| {
            self.others.push(Lane { form, ..Lane::default() });
            self.others.len() - 1
        });
        self.others_len += run.len();
        self.others[at].add((at as u32 + 1) << LANE_SHIFT, [run, &[]])
    }

    pub(crate) fn get(&self, span: Span) -> &[u8] {
        if span.end > OFFSET {
            return self.get_from_others(span);
        }
        &self.first.bytes[span.start as usize..span.end as usize]
    }

    #[cold]
    fn get_from_others(&self, span: Span) -> &[u8] {
        let (start, end) = (span.start & OFFSET, span.end & OFFSET);
        let number = span.start >> LANE_SHIFT;
        &self.others[number as usize - 1].bytes[start as usize..end as usize]
    }

    /// Frees the room of a span if it was added last, and for one connection only. So a turn of many echoes uses the
    /// same warm memory for each.
    pub(crate) fn give_back(&mut self, span: Span) {
        // In other lanes everything is shared, and the places are beyond those of the first.
        if span.start >= self.first.shared && span.end as usize == self.first.bytes.len() {
            self.first.bytes.truncate(span.start as usize);
        }
    }

    /// Empties the batch. No connection may have a span any more.
    pub(crate) fn clear(&mut self) {
        self.first.bytes.clear();
        self.first.bytes.shrink_to(KEPT_BYTES);
        self.first.shared = 0;
        self.others.truncate(KEPT_LANES);
        for lane in &mut self.others {
            lane.bytes.clear();
            lane.bytes.shrink_to(KEPT_BYTES_OF_OTHERS);
        }
        self.others_len = 0;
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
        let shared = batch.add_shared(0, b"shared");
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

    #[test]
    fn what_goes_to_many_follows_on_what_they_got_before_of_the_same_form() {
        let mut batch = Batch::default();
        let mut spans = [Span::default(); 3];
        for round in 0..3u8 {
            for (form, span) in spans.iter_mut().enumerate() {
                assert!(span.extend(batch.add_shared(form as u8 * 7, &[form as u8, round])));
            }
        }
        for (form, span) in (0u8..).zip(spans) {
            assert_eq!(batch.get(span), [form, 0, form, 1, form, 2]);
            batch.give_back(span);
        }
        assert_eq!(batch.len(), 18);
        // One form does not follow on another.
        assert!(!spans[1].extend(batch.add_shared(0, b"x")) && !spans[0].extend(batch.add_shared(7, b"x")));
        batch.clear();
        assert_eq!((batch.len(), batch.add_shared(7, b"y").len()), (0, 1));
    }
}
