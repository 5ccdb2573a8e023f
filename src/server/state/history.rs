//! Recent messages of topics, for clients that reconnect: each message has an id that tells its place in its topic,
//! and rings bound them by number, bytes and age, and all of them by bytes. Knows no connection.

use crate::codec::number;
use crate::codec::ws::Opcode;
use crate::error::JoinError;
use crate::session::message::Message;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::{self, Write as _};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a kept message costs beside its bytes: itself, its places in its ring and in the order of all, the allocator's
/// overhead.
const ENTRY_BYTES: usize = size_of::<Entry>() + 2 * size_of::<usize>() + 3 * 32;

/// How much of a topic's messages is kept; see [`keep_history`](crate::Server::keep_history). When any limit is
/// reached, the oldest are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct History {
    /// How many messages. Default 100.
    pub messages: usize,
    /// How many bytes of memory. Each message costs some two hundred beside its own. Default 1 MiB.
    pub bytes: usize,
    /// For how long. Default 5 minutes: a client that reconnects later starts again.
    #[cfg_attr(feature = "serde", serde(rename = "age_millis", with = "crate::session::scalars::millis"))]
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
    /// The topic of each kept message, by stamp, the oldest first.
    order: BTreeMap<u64, Rc<str>>,
    bytes: usize,
    /// How many messages were recorded by this server, over all topics. A message's stamp is this count when it was
    /// recorded. Stamps put messages of several topics in order, so one stamp tells a client's place in all topics.
    /// They have a meaning on this server alone.
    stamp: u64,
    /// Distinguishes this server's stamps from those of the server before it, whose count began again.
    epoch: Box<str>,
    /// How many histories this server has begun. The number of each is a part of its epoch.
    begun: u64,
}

#[derive(Debug)]
struct Ring {
    limits: History,
    entries: VecDeque<Rc<Entry>>,
    bytes: usize,
    /// Which of the histories that this server has begun.
    number: u64,
    /// Distinguishes the ids of this history from those of any other, even of the same topic.
    epoch: Box<str>,
    /// Number of the topic's last message.
    seq: u64,
    /// Number and stamp of the last message that is not kept (any more): a client that has seen it has missed nothing.
    lost: (u64, u64),
}

/// A client's place in a topic's history, as far as it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the history: a topic's history may be dropped and begun again.
    ring: u64,
    /// The number of the last message that it has seen.
    seq: u64,
    is_known: bool,
}

/// Something of a history that a client can't be sent: of which history, and up to which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    ring: u64,
    lost: u64,
}

/// The number of a message in its topic, and its stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) seq: u64,
    pub(crate) stamp: u64,
}

/// A message that is kept.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) number: Recorded,
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
    /// The name of a topic, if it has a history.
    pub(crate) fn name(&self, topic: &str) -> Option<Rc<str>> {
        if self.topics.is_empty() {
            return None;
        }
        self.topics.get_key_value(topic).map(|(name, _)| name.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }

    /// Begins to keep a topic's messages, changes how much is kept, or drops them.
    ///
    /// # Errors
    /// [`JoinError::NoRandomness`].
    pub(crate) fn keep(&mut self, topic: &str, limits: Option<History>) -> Result<(), JoinError> {
        self.draw_epoch(getrandom::fill)?;
        let none = History { messages: 0, ..History::default() };
        let ring = self.topics.entry(topic.into()).or_insert_with(|| {
            self.begun += 1;
            Ring {
                limits: none,
                entries: VecDeque::new(),
                bytes: 0,
                number: self.begun,
                epoch: format!("{}.{}", self.epoch, self.begun).into(),
                seq: 0,
                lost: (0, self.stamp),
            }
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

    /// Draws, once, what distinguishes this server from others.
    fn draw_epoch<E: fmt::Display>(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), JoinError> {
        if !self.epoch.is_empty() {
            return Ok(());
        }
        let mut random = [0; 8];
        fill(&mut random).map_err(|error| {
            log::error!("no histories, for the system gives no random numbers: {error}");
            JoinError::NoRandomness
        })?;
        self.epoch = base36(u64::from_be_bytes(random)).into();
        Ok(())
    }

    /// Keeps a message, as far as the limits allow. Returns its numbers, from which its [`id`](Histories::id) is made.
    pub(crate) fn record(
        &mut self,
        topic: &Rc<str>,
        message: &Message<'_>,
        now: Instant,
        bytes_max: usize,
    ) -> Option<Recorded> {
        let ring = self.topics.get_mut(topic)?;
        self.stamp += 1;
        ring.seq += 1;
        let number = Recorded { seq: ring.seq, stamp: self.stamp };
        let entry = Entry {
            number,
            at: now,
            opcode: message.opcode(),
            event: message.labels().map_or("", |labels| &labels.event).into(),
            bytes: message.as_bytes().into(),
        };
        let cost = entry.cost();
        if cost > ring.limits.bytes.min(bytes_max) {
            ring.lost = (number.seq, number.stamp);
        } else {
            ring.bytes += cost;
            self.bytes += cost;
            ring.entries.push_back(Rc::new(entry));
            self.order.insert(number.stamp, topic.clone());
        }
        self.expire(topic, now);
        while self.bytes > bytes_max {
            let Some(oldest) = self.order.values().next().cloned() else { break };
            self.drop_first(&oldest);
        }
        Some(number)
    }

    /// The id of a topic's message with this number.
    pub(crate) fn id(&self, topic: &str, seq: u64) -> Option<String> {
        let epoch = &self.topics.get(topic)?.epoch;
        let mut id = String::with_capacity(epoch.len() + 12);
        write!(id, "{epoch}-{seq}").expect("a String takes all");
        Some(id)
    }

    /// The id of a topic's newest message.
    pub(crate) fn head_id(&self, topic: &str) -> Option<String> {
        self.id(topic, self.topics.get(topic)?.seq)
    }

    /// An id, possibly empty, with a client's place in all topics of this server: it has seen everything up to this
    /// stamp.
    pub(crate) fn overall_id(&self, id: &str, stamp: u64) -> String {
        format!("{id}@{}-{stamp}", self.epoch)
    }

    /// The same for a client that has seen everything so far.
    pub(crate) fn overall_head_id(&self) -> String {
        self.overall_id("", self.stamp)
    }

    /// The place of a client that has seen everything in a topic so far.
    pub(crate) fn head(&self, topic: &str) -> Option<Place> {
        let ring = self.topics.get(topic)?;
        Some(Place { is_known: true, ..ring.place(ring.seq) })
    }

    /// The place of a client of which nothing is known except that all messages are new to it.
    pub(crate) fn start(&self, topic: &str) -> Option<Place> {
        Some(self.topics.get(topic)?.place(0))
    }

    /// The place of a client in a topic, if it has seen the message with this id: `EPOCH-SEQ`, `@SERVER-STAMP` or both
    /// together, of which the first takes precedence. If the id is of another history, all messages of this one are
    /// new to the client. A made-up id gets nothing.
    pub(crate) fn place(&self, topic: &str, id: &str) -> Option<Place> {
        let ring = self.topics.get(topic)?;
        let (id, stamp) = id.split_once('@').unwrap_or((id, ""));
        let (id, stamp) = (parse(id), parse(stamp));
        let known = match (id, stamp) {
            (Some((epoch, seq)), _) if *epoch == *ring.epoch => Some(seq).filter(|seq| *seq <= ring.seq),
            (_, Some((epoch, stamp))) if *epoch == *self.epoch => {
                let is_real = stamp <= self.stamp;
                return Some(if is_real { ring.place_at(stamp) } else { ring.place(ring.seq) });
            }
            (None, None) => None,
            _ => return self.start(topic),
        };
        Some(match known {
            Some(seq) => Place { is_known: true, ..ring.place(seq) },
            None => ring.place(ring.seq),
        })
    }

    /// What is not kept of what was published to a topic after a place.
    pub(crate) fn gap_since(&mut self, topic: &str, place: Place, now: Instant) -> Option<Gap> {
        self.expire(topic, now);
        let ring = self.topics.get(topic)?;
        let has_all = place.is_known && place.ring == ring.number && place.seq >= ring.lost.0;
        (!has_all).then_some(Gap { ring: ring.number, lost: ring.lost.0 })
    }

    /// The place of a client that has seen the topic's message with this number.
    pub(crate) fn place_of(&self, topic: &str, seq: u64) -> Option<Place> {
        Some(Place { is_known: true, ..self.topics.get(topic)?.place(seq) })
    }

    /// The first message of a topic that is kept after a place.
    pub(crate) fn next_after(&self, topic: &str, place: Place) -> Option<Rc<Entry>> {
        let is_of_it = self.topics.get(topic)?.number == place.ring;
        self.next(topic, if is_of_it { place.seq } else { 0 })
    }

    /// The same after the message with this number.
    pub(crate) fn next(&self, topic: &str, seq: u64) -> Option<Rc<Entry>> {
        let entries = &self.topics.get(topic)?.entries;
        entries.get(entries.partition_point(|entry| entry.number.seq <= seq)).cloned()
    }

    /// Drops what a topic keeps beyond its limits.
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
        // A message that was never kept may be newer.
        ring.lost = ring.lost.max((entry.number.seq, entry.number.stamp));
        self.bytes -= entry.cost();
        self.order.remove(&entry.number.stamp);
    }
}

/// The two parts of an id.
pub(crate) fn parse(id: &str) -> Option<(&str, u64)> {
    let (epoch, number) = id.rsplit_once('-')?;
    Some((epoch, number::canonical(number)?))
}

impl Ring {
    /// The place after the message with this number, which may be made up.
    fn place(&self, seq: u64) -> Place {
        Place { ring: self.number, seq, is_known: false }
    }

    /// The place after the last message that has this stamp or an earlier one.
    fn place_at(&self, stamp: u64) -> Place {
        let unseen = self.entries.partition_point(|entry| entry.number.stamp <= stamp);
        let seq = self.entries.get(unseen).map_or(self.seq, |entry| entry.number.seq - 1);
        Place { is_known: stamp >= self.lost.1, ..self.place(seq) }
    }

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
    /// A drawn epoch has more digits at one time than at another, so a seed would not always give the same run.
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
            let number = self.histories.record(&topic.into(), &text.into(), now, bytes_max);
            self.check();
            let number = number.expect("a topic with a history");
            let id = self.histories.id(topic, number.seq).expect("a topic with a history");
            self.histories.overall_id(&id, number.stamp)
        }

        fn since(&mut self, topic: &str, id: &str, second: u64) -> (Vec<String>, bool) {
            let now = self.start + Duration::from_secs(second);
            let place = self.histories.place(topic, id).expect("a history");
            let is_complete = self.histories.gap_since(topic, place, now).is_none();
            self.check();
            let first = self.histories.next_after(topic, place);
            let missed = std::iter::successors(first, |entry| self.histories.next(topic, entry.number.seq));
            let text = |entry: Rc<Entry>| String::from_utf8(entry.bytes.to_vec()).expect("text");
            (missed.map(text).collect(), is_complete)
        }

        /// Checks the counts against what is kept.
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
        assert_eq!(kept.histories.place("b", &ids[0]), None);
        let head = kept.histories.head("a").expect("a history");
        assert_eq!(kept.histories.gap_since("b", head, kept.start), None);
        assert_eq!(kept.histories.head_id("a").as_deref(), Some(own(&ids[4])));
        assert_eq!(kept.histories.place("a", &ids[4]), Some(head));
        let start = kept.histories.start("a").expect("a history");
        assert!(kept.histories.gap_since("a", start, kept.start).is_some());
    }

    /// The part of an id that is for its topic, and the one that is for its server.
    fn parts(id: &str) -> (&str, String) {
        let (own, stamp) = id.split_once('@').expect("two parts");
        (own, format!("@{stamp}"))
    }

    fn own(id: &str) -> &str {
        parts(id).0
    }

    #[test]
    fn each_topic_counts_by_itself() {
        let mut kept = Kept::new(History::default());
        kept.keep("b", History::default());
        let ids = ["a", "b", "b", "a"].map(|topic| kept.publish(topic, topic, 0, ALL));
        let epoch = |topic: &str| kept.histories.topics[topic].epoch.clone();
        let (a, b) = (epoch("a"), epoch("b"));
        assert_ne!(a, b);
        let own: Vec<&str> = ids.iter().map(|id| own(id)).collect();
        assert_eq!(own, [format!("{a}-1"), format!("{b}-1"), format!("{b}-2"), format!("{a}-2")]);
        assert_eq!(kept.since("a", own[0], 0), texts(&["a"], true));
        assert_eq!(kept.since("b", own[1], 0), texts(&["b"], true));
        // Another topic's id says nothing about this one.
        assert_eq!(kept.since("b", own[3], 0), texts(&["b", "b"], false));
    }

    #[test]
    fn one_stamp_tells_a_place_in_every_topic() {
        for is_stamp_alone in [false, true] {
            let id = |id: &str| if is_stamp_alone { parts(id).1 } else { id.to_owned() };
            let mut kept = Kept::new(History::default());
            let before = id(&kept.publish("a", "1", 0, ALL));
            // What was published to the topic before was not kept.
            kept.keep("b", History::default());
            assert_eq!(kept.since("b", &before, 0), texts(&[], true));
            kept.publish("b", "2", 0, ALL);
            let last = id(&kept.publish("a", "3", 0, ALL));
            kept.publish("b", "4", 0, ALL);
            assert_eq!(kept.since("a", &before, 0), texts(&["3"], true));
            assert_eq!(kept.since("b", &before, 0), texts(&["2", "4"], true));
            assert_eq!(kept.since("b", &last, 0), texts(&["4"], true));
            assert_eq!(kept.since("a", &last, 0), texts(&[], true));
            let head = kept.histories.overall_head_id();
            assert_eq!(kept.since("b", &head, 0), texts(&[], true));
            kept.keep("late", History::default());
            assert_eq!(kept.since("late", &before, 0), texts(&[], false));
            assert_eq!(kept.since("late", &head, 0), texts(&[], true));
        }
    }

    /// For example in a topic that another server published to. Nothing is known of other topics.
    #[test]
    fn an_id_whose_stamp_is_another_servers_is_good_in_its_own_topic() {
        let mut kept = Kept::new(History::default());
        kept.keep("b", History::default());
        let first = kept.publish("a", "1", 0, ALL);
        kept.publish("a", "2", 0, ALL);
        kept.publish("b", "3", 0, ALL);
        let id = format!("{}@other-7", own(&first));
        assert_eq!(kept.since("a", &id, 0), texts(&["2"], true));
        assert_eq!(kept.since("b", &id, 0), texts(&["3"], false));
    }

    #[test]
    fn another_servers_id_gets_all_that_is_kept_and_a_made_up_one_nothing() {
        let mut kept = Kept::new(History::default());
        let id = kept.publish("a", "1", 0, ALL);
        let (own, stamp) = parts(&id);
        let (epoch, server) = (kept.histories.topics["a"].epoch.clone(), kept.histories.epoch.clone());
        assert!(server.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        for others in ["other-1", "x-18446744073709551615", "@other-1", "x-1@other-1", "x-1@", "other-1@y"] {
            assert_eq!(kept.since("a", others, 0), texts(&["1"], false), "{others:?}");
        }
        let past = [
            format!("{epoch}-+1"),
            format!("{epoch}-01"),
            format!("{epoch}-2"),
            format!("{epoch}-{}0", u64::MAX),
            format!("{own}9"),
            format!("{stamp}9"),
        ];
        let nonsense = ["", "-", "7", "@", "@-", "@7", &epoch, &format!("{epoch}-"), &format!("@{server}-")];
        for made_up in past.iter().map(String::as_str).chain(nonsense) {
            assert_eq!(kept.since("a", made_up, 0), texts(&[], false), "{made_up:?}");
        }
    }

    #[test]
    fn a_history_that_begins_anew_knows_nothing_of_the_one_before_it() {
        let mut kept = Kept::new(History::default());
        let ids = ["1", "2", "3"].map(|text| kept.publish("a", text, 0, ALL));
        let place = kept.histories.head("a").expect("a history");
        kept.keep("a", None);
        kept.keep("a", History::default());
        kept.publish("a", "4", 0, ALL);
        for id in &ids {
            assert_eq!(kept.since("a", own(id), 0), texts(&["4"], false));
        }
        // By its stamp, a client that has seen all of the first history has missed nothing of this one.
        assert_eq!(kept.since("a", &parts(&ids[2]).1, 0), texts(&["4"], true));
        assert_eq!(kept.since("a", &parts(&ids[1]).1, 0), texts(&["4"], false));
        // A place in the first history is not a place in this one, even if its number is higher.
        assert!(kept.histories.gap_since("a", place, kept.start).is_some());
        let next = kept.histories.next_after("a", place).expect("a message");
        assert_eq!(&*next.bytes, b"4");
    }

    #[test]
    fn without_randomness_there_is_no_history_and_it_is_said() {
        let mut histories = Histories::default();
        let drawn = histories.draw_epoch(|_| Err("none"));
        assert_eq!((drawn, &*histories.epoch), (Err(JoinError::NoRandomness), ""));
        assert_eq!(JoinError::NoRandomness.to_string(), "the system gives no random numbers");
        // The next attempt may succeed, and after that no more numbers are drawn.
        let seven = |random: &mut [u8]| {
            random.fill(7);
            Ok::<(), &str>(())
        };
        assert_eq!((histories.draw_epoch(seven), histories.epoch.is_empty()), (Ok(()), false));
        assert_eq!(histories.draw_epoch(|_| Err("none")), Ok(()));
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
        // A message too large to be kept at all: those before it are kept.
        let large = kept.publish("a", &"x".repeat(2 * small), 0, ALL);
        assert_eq!(kept.since("a", &second, 0), texts(&["3"], false));
        assert_eq!(kept.since("a", &large, 0), texts(&[], true));
        // That it is missing is still known when those before it are gone.
        assert_eq!(kept.since("a", &third, 301), texts(&[], false));

        let mut kept = Kept::new(History { age: Duration::from_secs(10), ..History::default() });
        let first = kept.publish("a", "1", 0, ALL);
        kept.publish("a", "2", 5, ALL);
        assert_eq!(kept.since("a", &first, 15), texts(&["2"], true));
        assert_eq!(kept.since("a", &first, 16), texts(&[], false));

        // The oldest of all is dropped, whichever topic it is in.
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
