//! A correct client whose connection is cut at random points.

use super::*;

/// Every topic here has a history, so a message's number is its place among those of its topic.
type Log = Arc<Mutex<Vec<&'static str>>>;

/// Publishes to a topic what its next message is: which of the topic it is.
fn publish_next(server: &mut Server, log: &Log, topic: &'static str) {
    let number = {
        let mut log = log.lock().expect("no panic before");
        log.push(topic);
        log.iter().filter(|other| **other == topic).count()
    };
    server.publish(topic, number.to_string()).send();
}

/// A client by the book (docs/PROTOCOL.md), which checks that it misses nothing without a word and sees nothing twice.
struct Reader {
    page: Page,
    positions: Positions,
    subscribed: BTreeSet<&'static str>,
    /// Of each topic, which message it saw last.
    seen: BTreeMap<&'static str, usize>,
    gaps: BTreeSet<&'static str>,
    /// Subscriptions that are not answered.
    asked: usize,
}

impl Reader {
    fn come_back(&mut self, live: &Live) {
        self.page = Page::come_back(live, self.page.kind, &self.positions);
        self.asked = self.subscribed.len();
        for topic in self.subscribed.clone() {
            let position = &self.positions[topic];
            self.page.command(&format!("swio=subscribe&topic={topic}&last-event-id={position}"), "");
        }
    }

    fn take(&mut self) -> Told {
        let told = self.page.next();
        let label = |name: &str| told.labels.get(name).map(String::as_str);
        let id = label("id").unwrap_or_default().to_owned();
        if let Some(text) = &told.text {
            let topic = known(label("topic").expect("published"));
            let (number, last) = (text.parse().expect("a number"), self.seen.get(topic).copied());
            let is_next = last.is_none_or(|last| number == last + 1);
            let is_behind_gap = self.gaps.remove(topic) && last.is_none_or(|last| number > last);
            assert!(is_next || is_behind_gap, "{topic}: {number} behind {last:?}");
            self.seen.insert(topic, number);
            self.positions.insert(topic.to_owned(), id);
        } else if let Some(topic) = label("gap") {
            self.gaps.insert(known(topic));
        } else if let Some(topic) = label("subscribed") {
            self.is_up_to_date(known(topic), id);
            self.subscribed.insert(known(topic));
            self.asked -= 1;
        } else if let Some(topic) = label("position") {
            self.is_up_to_date(known(topic), id);
        }
        told
    }

    /// The server says that it has seen all of a topic up to this.
    fn is_up_to_date(&mut self, topic: &'static str, id: String) {
        let count = id.rsplit('-').next().and_then(|place| place.parse().ok()).expect("an id");
        let has_gap = self.gaps.remove(topic);
        let last = self.seen.insert(topic, count).unwrap_or(count);
        assert!(last == count || has_gap, "{topic}: {last} of {count} at {id}");
        self.positions.insert(topic.to_owned(), id);
    }

    fn subscribe(&mut self, topic: &'static str) {
        self.page.command(&format!("swio=subscribe&topic={topic}"), "");
        self.asked += 1;
        while self.asked > 0 {
            self.take();
        }
    }

    /// Reads all that there is.
    fn catch_up(&mut self) {
        self.page.command("swio=ping", "");
        while self.take() != told(&[("pong", "1")]) {}
    }
}

fn known(topic: &str) -> &'static str {
    ["a", "b", "x", "y"].into_iter().find(|known| *known == topic).expect("one of those")
}

/// Pages subscribe to `a` and `b` and are put into `x` and `y`; rings are of any length, connections are cut anywhere.
fn resume_by_chance(kind: Kind, seed: u64) {
    let mut random = Random(seed);
    let log = Log::default();
    let [messages, publishing] = [[0, 1, 3, 20], [0, 30, 60, 100]].map(|of| of[random.below(4)]);
    let (on_open, on_subscribe) = (log.clone(), log.clone());
    let mut chance = Random(seed + 1);
    let mut another = Random(seed + 2);
    let builder = Server::builder()
        .on_start(move |server| {
            for topic in ["a", "b", "x", "y"] {
                let history = History { messages, ..History::default() };
                server.keep_history(topic, history).expect("a short name");
            }
        })
        .on_open(move |server, request| {
            for topic in ["x", "y"] {
                server.join(request.fd, topic).expect("open");
                if chance.below(100) < publishing {
                    publish_next(server, &on_open, ["a", "x", "y"][chance.below(3)]);
                }
            }
        })
        .on_subscribe(move |server, request| {
            if another.below(100) < publishing {
                publish_next(server, &on_subscribe, known(request.topic));
            }
            true
        });
    let live = pages(builder);
    let mut reader = Reader {
        page: Page::open(&live, kind),
        positions: BTreeMap::new(),
        subscribed: BTreeSet::new(),
        seen: BTreeMap::new(),
        gaps: BTreeSet::new(),
        asked: 0,
    };
    while reader.positions.len() < 2 {
        reader.take();
    }
    reader.subscribe("a");
    reader.subscribe("b");
    for _ in 0..40 {
        let topics: Vec<_> = (0..random.below(6)).map(|_| ["a", "b", "x", "y"][random.below(4)]).collect();
        let (count, log) = (topics.len(), log.clone());
        live.ask(move |server| topics.into_iter().for_each(|topic| publish_next(server, &log, topic)));
        match random.below(3) {
            // What was published came for certain.
            0 => (0..random.below(count + 1)).for_each(|_| {
                reader.take();
            }),
            1 => reader.catch_up(),
            _ => reader.come_back(&live),
        }
    }
    reader.catch_up();
    let log = log.lock().expect("no panic before");
    for (topic, seen) in &reader.seen {
        let count = log.iter().filter(|other| *other == topic).count();
        assert!(*seen == count || reader.gaps.contains(topic), "{topic}: {seen} of {count}");
    }
    assert_eq!(reader.asked, 0);
}

/// splitmix64.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

#[test]
fn wherever_a_connection_is_cut_nothing_is_lost_without_a_word_and_nothing_comes_twice() {
    for seed in 0..20 {
        for kind in KINDS {
            let result = std::panic::catch_unwind(|| resume_by_chance(kind, seed));
            assert!(result.is_ok(), "{kind:?} with seed {seed}");
        }
    }
}
