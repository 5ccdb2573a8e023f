//! The outbox against a naive one, which keeps a list of whole items: random operations, byte for byte.

use super::*;
use crate::net::stream::Stream;
use crate::net::wire::FilterKey;
use crate::sim::{self, wire};
use crate::tests::Random;

#[derive(Clone, Debug, PartialEq)]
struct Item {
    bytes: Vec<u8>,
    kind: Kind,
}

/// What an outbox is to do, the simple way.
#[derive(Debug, Default)]
struct Naive {
    items: Vec<Item>,
    written: usize,
    pinned: usize,
}

impl Naive {
    fn copy(&mut self, bytes: &[u8]) {
        match self.items.last_mut() {
            Some(Item { bytes: tail, kind: Kind::Tail }) if tail.len() + bytes.len() <= TAIL_BYTES => {
                tail.extend_from_slice(bytes);
            }
            _ => self.push(bytes, Kind::Tail),
        }
    }

    fn push(&mut self, bytes: &[u8], kind: Kind) {
        self.items.push(Item { bytes: bytes.to_vec(), kind });
    }

    fn terms(&self, at: usize) -> Terms {
        match self.items[at].kind {
            Kind::Message(terms) if at > 0 || self.written == 0 => terms,
            _ => Terms::default(),
        }
    }

    fn message(&mut self, bytes: &[u8], terms: Terms) -> bool {
        let waiting =
            (0..self.items.len()).find(|at| terms.key.is_some() && self.terms(*at).key == terms.key);
        match waiting {
            Some(at) => self.items[at] = Item { bytes: bytes.to_vec(), kind: Kind::Message(terms) },
            None => self.push(bytes, Kind::Message(terms)),
        }
        waiting.is_some()
    }

    fn drop_oldest(&mut self, excess: usize, kept: Option<u64>) -> Option<u64> {
        let may_drop = |naive: &Naive, at: usize| {
            let terms = naive.terms(at);
            terms.may_drop && (kept.is_none() || terms.key != kept)
        };
        let cost = |naive: &Naive, at: usize| naive.items[at].bytes.len() + RUN_BYTES;
        let all: usize =
            (0..self.items.len()).filter(|at| may_drop(self, *at)).map(|at| cost(self, at)).sum();
        if all < excess {
            return None;
        }
        let (mut freed, mut count) = (0, 0);
        while freed < excess {
            let oldest = (0..self.items.len()).find(|at| may_drop(self, *at)).expect("enough of them");
            freed += cost(self, oldest);
            count += 1;
            self.items.remove(oldest);
            self.pinned -= usize::from(oldest < self.pinned);
        }
        Some(count)
    }

    fn urgent(&mut self, bytes: &[u8]) {
        let mut at = self.pinned.max(usize::from(self.written > 0));
        while self.items.get(at).is_some_and(|item| matches!(item.kind, Kind::Joined { .. })) {
            at += 1;
        }
        if self.items.get(at).is_some_and(|item| item.kind == Kind::Urgent) {
            self.items.remove(at);
        }
        self.items.insert(at, Item { bytes: bytes.to_vec(), kind: Kind::Urgent });
    }

    fn len(&self) -> usize {
        self.items.iter().map(|item| item.bytes.len()).sum::<usize>() - self.written
    }

    /// The next `len` bytes.
    fn wire(&self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for item in &self.items {
            if bytes.len() >= self.written + len {
                break;
            }
            bytes.extend_from_slice(&item.bytes);
        }
        bytes[self.written..self.written + len].to_vec()
    }

    /// A frame is dropped where none of its bytes is written, but for those in a tail that is begun or pinned.
    fn discard_unbegun(&mut self) {
        let mut kept = self.pinned.max(usize::from(self.written > 0));
        let is_joined = |naive: &Naive, at: usize| match naive.items.get(at) {
            Some(Item { kind: Kind::Joined { head }, .. }) => Some(*head),
            _ => None,
        };
        if kept == 0 && is_joined(self, 0).is_some() {
            kept = 1;
        }
        while let Some(head) = is_joined(self, kept) {
            let start = if kept == 1 { self.written } else { 0 };
            let tail = self.items[..kept].last_mut().filter(|item| item.kind == Kind::Tail);
            if let Some(tail) = tail
                && tail.bytes.len() >= start + head
            {
                tail.bytes.truncate(tail.bytes.len() - head);
                break;
            }
            kept += 1;
        }
        self.items.truncate(kept);
        self.advance(0);
    }

    fn advance(&mut self, len: usize) {
        self.written += len;
        while let Some(item) = self.items.first().filter(|item| item.bytes.len() <= self.written) {
            self.written -= item.bytes.len();
            self.items.remove(0);
            self.pinned = self.pinned.saturating_sub(1);
        }
    }
}

/// Bytes in which every piece is distinguishable.
fn bytes(random: &mut Random, number: u32) -> Vec<u8> {
    let len = [1, 4, 100, 3_000, 9_000][random.below(5) as usize] + random.below(60) as usize;
    number.to_be_bytes().into_iter().cycle().take(len).collect()
}

fn terms(random: &mut Random) -> Terms {
    let key = random.chance(50).then(|| random.below(6));
    Terms { may_drop: key.is_none() || random.chance(50), key }
}

/// What is counted is what there is.
fn check(outbox: &Outbox, naive: &Naive) {
    assert_eq!(outbox.bytes(), naive.len());
    let messages = naive.items.iter().filter(|item| matches!(item.kind, Kind::Message(_))).count();
    assert_eq!(outbox.cost(), outbox.bytes() + messages * RUN_BYTES);
    let capacity: usize = outbox.runs.iter().map(|run| run.bytes.capacity()).sum();
    assert_eq!(outbox.capacity, capacity);
    let queue = outbox.runs.capacity() * size_of::<Run>();
    let really = size_of::<Outbox>() + queue + capacity + outbox.spare.capacity();
    let held = outbox.size().held;
    assert!(really <= held, "{really} bytes are {held}, in {} runs", outbox.runs.len());
}

#[test]
fn random_operations_agree_with_the_naive_outbox() {
    let mut happened = [0_u64; 5];
    for seed in 0..100 {
        sim::forget_all();
        let (stream, number) = sim::socket();
        let mut stream = Stream::Sim(stream);
        let mut random = Random::new(seed);
        let (mut outbox, mut naive) = (Outbox::default(), Naive::default());
        for step in 0..200 {
            let data = bytes(&mut random, step);
            let cut = random.below(data.len() as u64 + 1) as usize;
            match random.below(13) {
                0 | 1 => {
                    outbox.push_copy([&data[..cut], &data[cut..]], random.chance(30));
                    naive.copy(&data);
                }
                2 => {
                    outbox.push_owned(&data[..cut], data[cut..].to_vec().into());
                    naive.copy(&data[..cut]);
                    naive.push(&data[cut..], Kind::Joined { head: cut });
                }
                3 => {
                    outbox.push_shared(data.as_slice().into());
                    naive.push(&data, Kind::Whole);
                }
                4..=6 => {
                    let terms = terms(&mut random);
                    let of_own = random.chance(50);
                    let run =
                        if of_own { Bytes::Own(data.clone()) } else { Bytes::Shared(data.as_slice().into()) };
                    let cost = terms.key.map(|key| outbox.cost_of(key));
                    let is_replaced = outbox.push_message(run, terms);
                    assert_eq!(is_replaced, naive.message(&data, terms));
                    assert_eq!(is_replaced, cost.is_some_and(|cost| cost > 0));
                    happened[0] += u64::from(is_replaced);
                }
                7 => {
                    outbox.push_urgent(data.clone());
                    naive.urgent(&data);
                }
                8 => {
                    outbox.pin();
                    naive.pinned = naive.items.len();
                }
                9 => {
                    let (excess, kept) = (1 + random.below(30_000) as usize, random.below(12));
                    let kept = (kept < 6).then_some(kept);
                    let dropped = outbox.drop_oldest(excess, kept);
                    assert_eq!(dropped, naive.drop_oldest(excess, kept));
                    happened[1] += dropped.unwrap_or_default();
                    happened[2] += u64::from(dropped.is_none());
                }
                10 if random.chance(30) => {
                    let before = outbox.bytes();
                    outbox.discard_unbegun();
                    naive.discard_unbegun();
                    happened[4] += u64::from(outbox.bytes() < before && outbox.bytes() > 0);
                }
                _ if outbox.bytes() > 0 => {
                    let room =
                        [3, 200, 20_000, 200_000][random.below(4) as usize] + random.below(50) as usize;
                    wire(number, |wire| (wire.room, wire.written) = (room, Vec::new()));
                    outbox.flush(Wire::of(&mut stream, FilterKey::NONE)).expect("an open socket");
                    let written = wire(number, |wire| std::mem::take(&mut wire.written));
                    assert!(naive.wire(written.len()) == written, "seed {seed}, step {step}");
                    naive.advance(written.len());
                    happened[3] += u64::from(naive.written > 0);
                }
                _ => {}
            }
            check(&outbox, &naive);
        }
        while outbox.bytes() > 0 {
            wire(number, |wire| wire.room = usize::MAX);
            outbox.flush(Wire::of(&mut stream, FilterKey::NONE)).expect("an open socket");
        }
        let written = wire(number, |wire| std::mem::take(&mut wire.written));
        assert!(written == naive.wire(naive.len()), "seed {seed}: the rest");
        outbox.clear();
        assert_eq!((outbox.messages, outbox.keys.len(), outbox.droppable, outbox.capacity), (0, 0, 0, 0));
    }
    assert!(happened.iter().all(|count| *count > 100), "{happened:?}");
}

#[test]
fn a_queue_of_many_small_messages_gives_its_memory_back_as_it_shrinks() {
    let mut outbox = Outbox::default();
    let terms = Terms { may_drop: true, key: None };
    for _ in 0..10_000 {
        outbox.push_message(Bytes::Own(vec![7]), terms);
    }
    assert_eq!(outbox.drop_oldest(outbox.cost() - RUN_BYTES - 1, None), Some(9_999));
    assert!(outbox.runs.capacity() <= 2 + QUEUE_SPARE, "{}", outbox.runs.capacity());
    assert_eq!(outbox.drop_oldest(RUN_BYTES + 2, None), None);
    assert_eq!(outbox.bytes(), 1);
}

#[test]
fn each_of_many_keys_is_found_where_it_waits() {
    const KEYS: u64 = 3_000;
    let latest = |key| Terms { may_drop: false, key: Some(key) };
    let mut outbox = Outbox::default();
    for key in 0..KEYS {
        assert!(!outbox.push_message(Bytes::Own(vec![1; 2]), latest(key)));
        // Runs in between, and urgent ones with numbers of their neighbours.
        outbox.push_copy([b"x", b""], false);
        outbox.push_urgent(vec![0; 3]);
        outbox.pinned = (outbox.pinned + 1) % outbox.runs.len();
    }
    for key in (0..KEYS).rev() {
        let before = outbox.find(key).expect("it waits");
        assert!(outbox.push_message(Bytes::Own(vec![2; 4]), latest(key)));
        let at = outbox.find(key).expect("it waits");
        assert_eq!((at, outbox.runs[at].bytes()), (before, &[2; 4][..]));
        assert_eq!(outbox.runs[at].terms(), Some(latest(key)));
    }
    assert_eq!(outbox.keys.len(), KEYS as usize);
    assert!(outbox.runs.iter().is_sorted_by_key(|run| run.number));
}

/// Of frames of all kinds, the ones that were begun stay, whole.
#[test]
fn what_is_not_begun_is_discarded_frame_by_frame() {
    let mut outbox = Outbox::default();
    outbox.push_copy([b"one", b""], false);
    outbox.push_owned(b"two:", vec![b'2'; 5_000].into());
    outbox.push_copy([b"three", b""], false);
    outbox.push_shared([b'4'; 3_000][..].into());
    outbox.push_message(Bytes::Own(b"five".to_vec()), Terms { may_drop: true, key: Some(5) });
    let left = |outbox: &Outbox| outbox.unwritten().collect::<Vec<_>>().concat();
    // Within the first, whose tail has the head of the second.
    outbox.skip(1);
    outbox.discard_unbegun();
    assert_eq!((left(&outbox), outbox.bytes()), (b"ne".to_vec(), 2));
    assert_eq!((outbox.messages, outbox.droppable, outbox.keys.len()), (0, 0, 0));
    // Between two frames nothing stays.
    outbox.push_owned(b"two:", vec![b'2'; 5_000].into());
    outbox.skip(2);
    outbox.discard_unbegun();
    assert_eq!((left(&outbox), outbox.runs.len()), (Vec::new(), 0));
    // Within a head, and within a body whose head is written.
    for (written, rest) in [(2, 5_002), (4, 5_000), (1_004, 4_000)] {
        outbox.push_owned(b"two:", vec![b'2'; 5_000].into());
        outbox.push_copy([b"three", b""], false);
        outbox.skip(written);
        outbox.discard_unbegun();
        assert_eq!(outbox.bytes(), rest);
        outbox.skip(rest);
    }
    // Begun by another way.
    outbox.push_copy([b"the rest of one", b""], false);
    outbox.pin();
    outbox.push_owned(b"two:", vec![b'2'; 5_000].into());
    outbox.discard_unbegun();
    assert_eq!(left(&outbox), b"the rest of one");
    assert_eq!(outbox.size().held, EMPTY_BYTES + RUN_BYTES + outbox.capacity);
}
