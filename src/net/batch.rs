//! What is written in one turn, for all connections, in one buffer: each has a span of it, and what goes to many
//! is there once. Connections whose socket takes what they are sent never own an outbox.
//!
//! What goes to many has a lane for each form. A connection gets one form, so that of several messages in a turn each
//! follows directly on the one before, whatever others get meanwhile. Where something else lies between them, they are
//! joined.

use super::limits::BATCH_BYTES_MAX;

/// A part of the batch, or several that are joined. Small, because every connection has one.
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
    /// What single connections get. Each byte belongs to one of them.
    first: Vec<u8>,
    /// What many get in the most common form, which is 0.
    common: Vec<u8>,
    /// What many get in other forms, found by the form.
    others: Vec<Lane>,
    /// Bytes in those.
    others_len: usize,
    joints: Vec<Joint>,
}

#[derive(Debug, Default)]
struct Lane {
    form: u8,
    bytes: Vec<u8>,
}

/// Two spans of one connection, of which the second does not follow the first.
#[derive(Clone, Copy, Debug)]
struct Joint {
    /// May be joined itself.
    older: Span,
    newer: Span,
}

/// A place is a lane's number, and from this bit down an offset in it.
const LANE_SHIFT: u32 = 22;
const OFFSET: u32 = (1 << LANE_SHIFT) - 1;
const _: () = assert!(BATCH_BYTES_MAX < OFFSET as usize);
/// A span that is joined begins here, plus the number of its joint. No lane reaches it.
const JOINTS: u32 = 1 << 31;
const _: () = assert!((u8::MAX as u32 + 2) << LANE_SHIFT < JOINTS);
/// More than this many joints for one connection are no better than an outbox.
const JOINTS_MAX: usize = 3;

/// Memory kept from turn to turn: of the first lane, of each other, how many others and how many joints.
const KEPT_BYTES: usize = 1 << 20;
const KEPT_BYTES_OF_OTHERS: usize = 16 << 10;
const KEPT_LANES: usize = 16;
const KEPT_JOINTS: usize = 1 << 10;

/// Adds `parts` to a lane; `number` is the lane's.
fn add_to(bytes: &mut Vec<u8>, number: usize, parts: [&[u8]; 2]) -> Span {
    let base = (number as u32) << LANE_SHIFT;
    let start = base + bytes.len() as u32;
    bytes.extend_from_slice(parts[0]);
    bytes.extend_from_slice(parts[1]);
    Span { start, end: base + bytes.len() as u32 }
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.common.len() + self.others_len
    }

    /// The memory it owns.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        let others = self.others.iter().map(|lane| lane.bytes.capacity()).sum::<usize>();
        self.first.capacity() + self.common.capacity() + others + self.joints.capacity() * size_of::<Joint>()
    }

    /// Adds `parts`, which belong together, for one connection.
    pub(crate) fn add(&mut self, parts: [&[u8]; 2]) -> Span {
        add_to(&mut self.first, 0, parts)
    }

    /// Adds `run` for any number of connections that get this form.
    pub(crate) fn add_shared(&mut self, form: u8, run: &[u8]) -> Span {
        if form == 0 {
            return add_to(&mut self.common, 1, [run, &[]]);
        }
        let at = self.others.iter().position(|lane| lane.form == form).unwrap_or_else(|| {
            self.others.push(Lane { form, ..Lane::default() });
            self.others.len() - 1
        });
        self.others_len += run.len();
        add_to(&mut self.others[at].bytes, at + 2, [run, &[]])
    }

    /// Extends a connection's span by `next`. False if the two lie apart and are not worth a joint: those who are
    /// written to in turns, again and again, had better have outboxes, and there are not more joints than `bytes_max`
    /// allows.
    #[inline]
    pub(crate) fn extend(&mut self, span: &mut Span, next: Span, bytes_max: usize) -> bool {
        span.extend(next) || self.join(span, next, bytes_max)
    }

    /// The same for two that lie apart.
    #[cold]
    #[inline(never)]
    pub(crate) fn join(&mut self, span: &mut Span, next: Span, bytes_max: usize) -> bool {
        if next.is_empty() {
            return false;
        }
        let len = next.len() as u32;
        if let Some(joint) = self.joint_mut(*span)
            && joint.newer.extend(next)
        {
            span.end += len;
            return true;
        }
        let depth = std::iter::successors(self.joint(*span), |joint| self.joint(joint.older)).count();
        let taken = self.len() + self.joints.len() * size_of::<Joint>();
        if depth == JOINTS_MAX || taken > bytes_max / 2 {
            return false;
        }
        let start = JOINTS + self.joints.len() as u32;
        self.joints.push(Joint { older: *span, newer: next });
        *span = Span { start, end: start + span.len() as u32 + len };
        true
    }

    fn joint(&self, span: Span) -> Option<Joint> {
        self.joints.get(span.start.checked_sub(JOINTS)? as usize).copied()
    }

    fn joint_mut(&mut self, span: Span) -> Option<&mut Joint> {
        self.joints.get_mut(span.start.checked_sub(JOINTS)? as usize)
    }

    /// The span as one piece. What is joined is copied to the end, from where it is to be given back.
    pub(crate) fn in_one(&mut self, span: Span) -> Span {
        if self.joint(span).is_some() { self.copy_joined(span) } else { span }
    }

    fn copy_joined(&mut self, span: Span) -> Span {
        let Some(Joint { older, newer }) = self.joint(span) else { return self.copy(span) };
        let Span { start, .. } = self.copy_joined(older);
        let Span { end, .. } = self.copy(newer);
        Span { start, end }
    }

    fn copy(&mut self, Span { start, end }: Span) -> Span {
        let Batch { first, common, others, .. } = self;
        let range = (start & OFFSET) as usize..(end & OFFSET) as usize;
        let copied = first.len() as u32;
        match (start >> LANE_SHIFT) as usize {
            0 => first.extend_from_within(range),
            1 => first.extend_from_slice(&common[range]),
            number => first.extend_from_slice(&others[number - 2].bytes[range]),
        }
        Span { start: copied, end: first.len() as u32 }
    }

    /// The bytes of a span; `None` if it is joined and has to be put [in one](Batch::in_one) first.
    #[inline]
    pub(crate) fn get(&self, span: Span) -> Option<&[u8]> {
        let bytes = match span.start >> LANE_SHIFT {
            0 => &self.first,
            1 => &self.common,
            number => self.other(number)?,
        };
        Some(&bytes[(span.start & OFFSET) as usize..(span.end & OFFSET) as usize])
    }

    /// `None` for a joint, whose number is beyond those of all lanes.
    #[inline(never)]
    fn other(&self, number: u32) -> Option<&Vec<u8>> {
        self.others.get(number as usize - 2).map(|lane| &lane.bytes)
    }

    /// Frees the room of a span if it was added last, and for one connection only. So a turn of many echoes uses the
    /// same warm memory for each.
    pub(crate) fn give_back(&mut self, span: Span) {
        // In other lanes everything is shared, and the places are beyond those of the first.
        if span.end as usize == self.first.len() {
            self.first.truncate(span.start as usize);
        }
    }

    /// Empties the batch. No connection may have a span any more.
    pub(crate) fn clear(&mut self) {
        self.first.clear();
        self.first.shrink_to(KEPT_BYTES);
        self.common.clear();
        self.common.shrink_to(KEPT_BYTES_OF_OTHERS);
        self.joints.clear();
        self.joints.shrink_to(KEPT_JOINTS);
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

    /// More than any test adds.
    const MUCH: usize = 1 << 20;

    /// The bytes of a span, joined or not; what it takes to put them together is given back.
    fn bytes(batch: &mut Batch, span: Span) -> Vec<u8> {
        let len = batch.len();
        let one = batch.in_one(span);
        let bytes = batch.get(one).expect("it is in one").to_vec();
        if one != span {
            batch.give_back(one);
        }
        assert_eq!((batch.len(), bytes.len()), (len, span.len()));
        bytes
    }

    #[test]
    fn spans_grow_while_they_follow_each_other() {
        let mut batch = Batch::default();
        let mut one = batch.add([b"a", b"b"]);
        assert!(one.extend(batch.add([b"c", b""])));
        assert_eq!(batch.get(one), Some(&b"abc"[..]));
        batch.add([b"another's", b""]);
        assert!(!one.extend(batch.add([b"d", b""])));
        assert_eq!((batch.get(one), one.len()), (Some(&b"abc"[..]), 3));
    }

    #[test]
    fn what_lies_apart_is_joined() {
        let mut batch = Batch::default();
        let mut spans = [(); 40].map(|()| Span::default());
        let mut expected = Vec::new();
        // Each round one run for all, and one for each.
        for round in 0..2u8 {
            let shared = batch.add_shared(0, &[round; 5]);
            expected.extend([round; 5]);
            expected.push(b'0' + round);
            for span in &mut spans {
                assert!(batch.extend(span, shared, MUCH));
                let own = batch.add([&[b'0' + round], b""]);
                assert!(batch.extend(span, own, MUCH));
            }
        }
        for span in spans {
            assert_eq!(bytes(&mut batch, span), expected);
        }
        // The last one is extended in place, the others have as many joints as they may have.
        let own = batch.add([b"own", b""]);
        let [first, .., mut last] = spans;
        assert!(batch.extend(&mut last, own, MUCH));
        assert_eq!(bytes(&mut batch, last), [&expected[..], b"own"].concat());
        let (mut full, shared) = (first, batch.add_shared(0, b"more"));
        assert!(!batch.extend(&mut full, shared, MUCH));
        assert_eq!((full, bytes(&mut batch, full)), (first, expected));
        // Nor are there more for all than may be.
        let mut apart = batch.add([b"apart", b""]);
        let taken = batch.len() + batch.joints.len() * size_of::<Joint>();
        assert!(!batch.extend(&mut apart, shared, 2 * taken - 1));
        assert!(batch.extend(&mut apart, shared, 2 * taken));
        assert_eq!(batch.get(apart), None);
        assert_eq!(bytes(&mut batch, apart), b"apartmore");
        batch.clear();
        assert!(batch.joints.is_empty() && batch.len() == 0);
    }

    #[test]
    fn only_the_last_span_of_one_connection_is_given_back() {
        let mut batch = Batch::default();
        let first = batch.add([b"first", b""]);
        let shared = batch.add_shared(0, b"shared");
        batch.give_back(shared);
        assert_eq!(batch.get(shared), Some(&b"shared"[..]));
        let mut last = batch.add([b"last", b""]);
        batch.give_back(first);
        assert_eq!(batch.get(first), Some(&b"first"[..]));
        assert!(batch.extend(&mut last, shared, MUCH));
        batch.give_back(last);
        assert_eq!((batch.len(), bytes(&mut batch, last)), (15, b"lastshared".to_vec()));
        let plain = batch.add([b"plain", b""]);
        batch.give_back(plain);
        assert_eq!(batch.len(), 15);
    }

    #[test]
    fn what_goes_to_many_follows_on_what_they_got_before_of_the_same_form() {
        let mut batch = Batch::default();
        let mut spans = [Span::default(); 3];
        for round in 0..3u8 {
            for (form, span) in spans.iter_mut().enumerate() {
                assert!(span.extend(batch.add_shared(form as u8 * 7, &[form as u8, round])));
            }
            batch.add([b"for one alone", b""]);
        }
        for (form, span) in (0u8..).zip(spans) {
            assert_eq!(batch.get(span), Some(&[form, 0, form, 1, form, 2][..]));
            batch.give_back(span);
        }
        assert_eq!(batch.len(), 18 + 39);
        // One form does not follow on another.
        assert!(!spans[1].extend(batch.add_shared(0, b"x")) && !spans[0].extend(batch.add_shared(7, b"x")));
        batch.clear();
        assert_eq!((batch.len(), batch.add_shared(7, b"y").len()), (0, 1));
    }
}
