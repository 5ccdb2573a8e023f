//! What was published to a topic lately, for clients that come back: each message under an id that says after which
//! others it came, in rings bounded by number, bytes and age, and by the bytes of all. Knows no connection.

use crate::codec::ws::Opcode;
use crate::session::message::Message;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a kept message costs beside its bytes: itself, its places in its ring and among all, the allocator's part.
const ENTRY_BYTES: usize = size_of::<Entry>() + 2 * size_of::<usize>() + 3 * 32;

/// How much of a topic's messages is kept; see [`keep_history`](crate::Server::keep_history). Whichever limit is
/// reached first, the oldest go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// How many messages. Default 100.
    pub messages: usize,
    /// How many bytes of memory, some two hundred for each message beside its own. Default 1 MiB.
    pub bytes: usize,
    /// For how long. Default 5 minutes: who comes back later begins anew.
    pub age: Duration,
}

impl Default for History {
    fn default() -> History {
        History { messages: 100, bytes: 1 << 20, age: Duration::from_secs(300) }
    }
}

/// All topics with a history.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    topics: HashMap<Rc<str>, Ring>,
    /// Whose each kept message is, the oldest first.
    order: BTreeMap<u64, Rc<str>>,
    bytes: usize,
    /// Of the last message. One count for all topics: so one id tells a client's place in each.
    seq: u64,
    /// Tells this server's ids from those of the one before it, whose count began anew.
    epoch: Box<str>,
}

#[derive(Debug)]
struct Ring {
    limits: History,
    entries: VecDeque<Rc<Entry>>,
    bytes: usize,
    /// Of the last message that is not kept (any more): whoever has seen it has lost nothing.
    lost: u64,
}

/// Where a client is in the count of all messages, as far as it can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    is_known: bool,
}

/// A message that is kept.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    at: Instant,
    pub(crate) opcode: Opcode,
    pub(crate) event: Box<str>,
    pub(crate) bytes: Box<[u8]>,
}

impl Entry {
    fn cost(&self) -> usize {
        ENTRY_BYTES + self.event.len() + self.bytes.len()
    }
}

impl Histories {
    /// The name of a topic that has a history.
    pub(crate) fn name(&self, topic: &str) -> Option<Rc<str>> {
        if self.topics.is_empty() {
            return None;
        }
        self.topics.get_key_value(topic).map(|(name, _)| name.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }

    /// Begins to keep a topic's messages, keeps more or less of them, or forgets them.
    pub(crate) fn keep(&mut self, topic: &str, limits: Option<History>) -> Result<(), getrandom::Error> {
        if self.epoch.is_empty() {
            let mut random = [0; 8];
            getrandom::fill(&mut random)?;
            self.epoch = base36(u64::from_be_bytes(random)).into();
        }
        let (seq, none) = (self.seq, History { messages: 0, ..History::default() });
        let ring = self.topics.entry(topic.into()).or_insert_with(|| Ring {
            limits: none,
            entries: VecDeque::new(),
            bytes: 0,
            lost: seq,
        });
        ring.limits = limits.unwrap_or(none);
        while self.topics.get(topic).is_some_and(Ring::is_over) {
            self.drop_first(topic);
        }
        if limits.is_none() {
            self.topics.remove(topic);
        }
        Ok(())
    }

    /// Keeps a message, as far as the limits go: its number, of which its [`id`](Histories::id) is made.
    pub(crate) fn record(
        &mut self,
        topic: &Rc<str>,
        message: &Message<'_>,
        now: Instant,
        bytes_max: usize,
    ) -> Option<u64> {
        let ring = self.topics.get_mut(topic)?;
        self.seq += 1;
        let entry = Entry {
            seq: self.seq,
            at: now,
            opcode: message.opcode(),
            event: message.labels().map_or("", |labels| &labels.event).into(),
            bytes: message.as_bytes().into(),
        };
        let cost = entry.cost();
        if cost > ring.limits.bytes.min(bytes_max) {
            ring.lost = self.seq;
        } else {
            ring.bytes += cost;
            self.bytes += cost;
            ring.entries.push_back(Rc::new(entry));
            self.order.insert(self.seq, topic.clone());
        }
        self.expire(topic, now);
        while self.bytes > bytes_max {
            let Some(oldest) = self.order.values().next().cloned() else { break };
            self.drop_first(&oldest);
        }
        Some(self.seq)
    }

    /// The id of the message with this number.
    pub(crate) fn id(&self, seq: u64) -> String {
        let mut id = String::with_capacity(self.epoch.len() + 12);
        write!(id, "{}-{seq}", self.epoch).expect("a String takes all");
        id
    }

    /// Where somebody is who has seen all so far.
    pub(crate) fn head(&self) -> Place {
        Place { seq: self.seq, is_known: true }
    }

    /// The id of the newest message of all.
    pub(crate) fn head_id(&self) -> String {
        self.id(self.seq)
    }

    /// Where a client is that has seen the message with this id. Of another server's id nothing is known but that all
    /// messages of this one are new; a made-up one gets nothing.
    pub(crate) fn place(&self, id: &str) -> Place {
        let parsed = id.rsplit_once('-').and_then(|(epoch, seq)| Some((epoch, seq.parse::<u64>().ok()?)));
        match parsed {
            Some((epoch, seq)) if *epoch == *self.epoch && seq <= self.seq => Place { seq, is_known: true },
            Some((epoch, _)) if *epoch != *self.epoch => Place { seq: 0, is_known: false },
            _ => Place { seq: self.seq, is_known: false },
        }
    }

    /// Whether all that was published to a topic behind a place is kept; `None` where it has no history.
    pub(crate) fn has_all_since(&mut self, topic: &str, place: Place, now: Instant) -> Option<bool> {
        self.expire(topic, now);
        let ring = self.topics.get(topic)?;
        Some(place.is_known && place.seq >= ring.lost)
    }

    /// The first message that is kept of a topic behind the one with this number.
    pub(crate) fn next(&self, topic: &str, seq: u64) -> Option<Rc<Entry>> {
        let entries = &self.topics.get(topic)?.entries;
        entries.get(entries.partition_point(|entry| entry.seq <= seq)).cloned()
    }

    /// Drops what a topic keeps over its limits.
    fn expire(&mut self, topic: &str, now: Instant) {
        while let Some(ring) = self.topics.get(topic) {
            let is_old = |entry: &Rc<Entry>| now.saturating_duration_since(entry.at) > ring.limits.age;
            if !ring.is_over() && !ring.entries.front().is_some_and(is_old) {
                return;
            }
            self.drop_first(topic);
        }
    }

    fn drop_first(&mut self, topic: &str) {
        let Some(ring) = self.topics.get_mut(topic) else { return };
        let Some(entry) = ring.entries.pop_front() else { return };
        ring.bytes -= entry.cost();
        // One that was never kept may be newer.
        ring.lost = ring.lost.max(entry.seq);
        self.bytes -= entry.cost();
        self.order.remove(&entry.seq);
    }
}

impl Ring {
    fn is_over(&self) -> bool {
        self.entries.len() > self.limits.messages || self.bytes > self.limits.bytes
    }
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((number % 36) as u32, 36).expect("a digit"));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
impl crate::Server {
    /// Drawn, it has more digits at one time than at another, and a seed would not always give the same run.
    pub(crate) fn set_epoch(&mut self, epoch: &str) {
        self.histories.epoch = epoch.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: usize = 1 << 30;

    struct Kept {
        histories: Histories,
        start: Instant,
    }

    impl Kept {
        fn new(limits: History) -> Kept {
            let mut kept = Kept { histories: Histories::default(), start: Instant::now() };
            kept.keep("a", limits);
            kept
        }

        fn keep(&mut self, topic: &str, limits: impl Into<Option<History>>) {
            self.histories.keep(topic, limits.into()).expect("random");
        }

        fn publish(&mut self, topic: &str, text: &str, second: u64, bytes_max: usize) -> String {
            let now = self.start + Duration::from_secs(second);
            let seq = self.histories.record(&topic.into(), &text.into(), now, bytes_max);
            self.check();
            self.histories.id(seq.expect("a topic with a history"))
        }

        fn since(&mut self, topic: &str, id: &str, second: u64) -> (Vec<String>, bool) {
            let now = self.start + Duration::from_secs(second);
            let place = self.histories.place(id);
            let is_complete = self.histories.has_all_since(topic, place, now).expect("a history");
            self.check();
            let next = |seq| self.histories.next(topic, seq);
            let missed = std::iter::successors(next(place.seq), |entry| next(entry.seq));
            let text = |entry: Rc<Entry>| String::from_utf8(entry.bytes.to_vec()).expect("text");
            (missed.map(text).collect(), is_complete)
        }

        /// What is counted is what is there.
        fn check(&self) {
            let rings = || self.histories.topics.values();
            let cost = |ring: &Ring| ring.entries.iter().map(|entry| entry.cost()).sum::<usize>();
            assert!(rings().all(|ring| ring.bytes == cost(ring)));
            assert_eq!(self.histories.bytes, rings().map(cost).sum());
            assert_eq!(self.histories.order.len(), rings().map(|ring| ring.entries.len()).sum());
        }
    }

    fn texts(texts: &[&str], is_complete: bool) -> (Vec<String>, bool) {
        (texts.iter().map(|text| text.to_string()).collect(), is_complete)
    }

    #[test]
    fn what_came_after_an_id_is_found_and_what_is_lost_is_said() {
        let mut kept = Kept::new(History { messages: 3, ..History::default() });
        let ids: Vec<String> = ["1", "2", "3", "4", "5"].map(|text| kept.publish("a", text, 0, ALL)).into();
        assert_eq!(kept.since("a", &ids[4], 0), texts(&[], true));
        assert_eq!(kept.since("a", &ids[2], 0), texts(&["4", "5"], true));
        assert_eq!(kept.since("a", &ids[1], 0), texts(&["3", "4", "5"], true));
        assert_eq!(kept.since("a", &ids[0], 0), texts(&["3", "4", "5"], false));
        let (place, start) = (kept.histories.place(&ids[0]), kept.start);
        assert!(kept.histories.has_all_since("b", place, start).is_none());
        assert_eq!(kept.histories.head_id(), ids[4]);
        assert_eq!(kept.histories.place(&ids[4]), kept.histories.head());
    }

    #[test]
    fn one_count_serves_all_topics() {
        let mut kept = Kept::new(History::default());
        let before = kept.publish("a", "1", 0, ALL);
        // What was published to it before was not kept.
        kept.keep("b", History::default());
        assert_eq!(kept.since("b", &before, 0), texts(&[], true));
        kept.publish("b", "2", 0, ALL);
        let last = kept.publish("a", "3", 0, ALL);
        kept.publish("b", "4", 0, ALL);
        assert_eq!(kept.since("b", &before, 0), texts(&["2", "4"], true));
        assert_eq!(kept.since("b", &last, 0), texts(&["4"], true));
        assert_eq!(kept.since("a", &last, 0), texts(&[], true));
        kept.keep("late", History::default());
        assert_eq!(kept.since("late", &before, 0), texts(&[], false));
    }

    #[test]
    fn another_servers_id_gets_all_that_is_kept_and_a_made_up_one_nothing() {
        let mut kept = Kept::new(History::default());
        let id = kept.publish("a", "1", 0, ALL);
        let epoch = kept.histories.epoch.clone();
        assert!(epoch.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(kept.since("a", "other-1", 0), texts(&["1"], false));
        assert_eq!(kept.since("a", "x-18446744073709551615", 0), texts(&["1"], false));
        for made_up in ["", "-", "7", &epoch, &format!("{epoch}-"), &format!("{epoch}-2"), &format!("{id}9")]
        {
            assert_eq!(kept.since("a", made_up, 0), texts(&[], false), "{made_up:?}");
        }
        let past = format!("{epoch}-{}0", u64::MAX);
        assert_eq!(kept.since("a", &past, 0), texts(&[], false));
    }

    #[test]
    fn number_bytes_age_and_the_sum_of_all_are_bounded() {
        let small = ENTRY_BYTES + 1;
        let mut kept = Kept::new(History { bytes: 2 * small, ..History::default() });
        let first = kept.publish("a", "1", 0, ALL);
        let second = kept.publish("a", "2", 0, ALL);
        assert_eq!(kept.since("a", &first, 0), texts(&["2"], true));
        let third = kept.publish("a", "3", 0, ALL);
        assert_eq!(kept.since("a", &second, 0), texts(&["3"], true));
        assert_eq!(kept.since("a", &first, 0), texts(&["2", "3"], true));
        // Too large to be kept at all: those before it are there, but it is not.
        let large = kept.publish("a", &"x".repeat(2 * small), 0, ALL);
        assert_eq!(kept.since("a", &second, 0), texts(&["3"], false));
        assert_eq!(kept.since("a", &large, 0), texts(&[], true));
        // Nor is that forgotten when those before it are gone.
        assert_eq!(kept.since("a", &third, 301), texts(&[], false));

        let mut kept = Kept::new(History { age: Duration::from_secs(10), ..History::default() });
        let first = kept.publish("a", "1", 0, ALL);
        kept.publish("a", "2", 5, ALL);
        assert_eq!(kept.since("a", &first, 15), texts(&["2"], true));
        assert_eq!(kept.since("a", &first, 16), texts(&[], false));

        // The oldest of all goes, whosever it is.
        let mut kept = Kept::new(History::default());
        kept.keep("b", History::default());
        let ids = ["a", "b", "a", "b"].map(|topic| kept.publish(topic, "x", 0, 3 * small));
        assert_eq!((kept.histories.bytes, kept.histories.order.len()), (3 * small, 3));
        assert_eq!(kept.since("a", &ids[0], 0), texts(&["x"], true));
        assert_eq!(kept.since("b", &ids[0], 0), texts(&["x", "x"], true));
        kept.publish("a", "y", 0, 0);
        assert_eq!(kept.histories.bytes, 0);
        assert_eq!(kept.since("b", &ids[3], 0), texts(&[], true));
        assert_eq!(kept.since("b", &ids[0], 0), texts(&[], false));
    }

    #[test]
    fn limits_change_and_what_is_kept_is_forgotten() {
        let mut kept = Kept::new(History::default());
        let ids = ["1", "2", "3"].map(|text| kept.publish("a", text, 0, ALL));
        kept.keep("a", History { messages: 1, ..History::default() });
        kept.check();
        assert_eq!(kept.since("a", &ids[0], 0), texts(&["3"], false));
        kept.keep("a", None);
        kept.check();
        assert_eq!((kept.histories.bytes, kept.histories.len()), (0, 0));
        assert!(kept.histories.record(&"a".into(), &"x".into(), kept.start, ALL).is_none());
    }
}
