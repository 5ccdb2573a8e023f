//! What was published to the topics with a history, as naively as can be: everything is kept for ever, and what a
//! server may have forgotten is worked out anew for each question.

use super::*;
use crate::History;

/// The topics that have a history, and those of them that clients subscribe to.
pub(super) const TOPICS: [u8; 4] = [0, 1, 5, 6];
pub(super) const SUBSCRIBED: [u8; 2] = [5, 6];

/// What the server's stamps begin with; the ids of its histories begin with this too.
pub(super) const EPOCH: &str = "epoch";

#[derive(Debug)]
pub(super) struct Annals {
    limits: History,
    /// The n-th, counted from 1, has the stamp n.
    published: Vec<Published>,
}

#[derive(Debug)]
struct Published {
    topic: u8,
    at: Instant,
    opcode: Opcode,
    data: Vec<u8>,
    except: Fd,
}

/// What a client has missed, in order and with stamps, and whether that is all.
pub(super) type Missed = (Vec<(usize, Opcode, Vec<u8>)>, bool);

impl Annals {
    pub(super) fn new(limits: History) -> Annals {
        Annals { limits, published: Vec::new() }
    }

    pub(super) fn publish(&mut self, topic: u8, at: Instant, opcode: Opcode, data: Vec<u8>, except: Fd) {
        self.published.push(Published { topic, at, opcode, data, except });
    }

    /// The id of one of the messages, which is drawn by `number`, or of one that was never published.
    pub(super) fn any_id(&self, number: usize) -> String {
        let stamp = number % (self.published.len() + 1);
        let own = stamp
            .checked_sub(1)
            .map_or_else(String::new, |index| self.own_id(self.published[index].topic, stamp));
        match number {
            _ if number.is_multiple_of(17) => "made-up".to_owned(),
            _ if number.is_multiple_of(19) => format!("another{EPOCH}-{number}"),
            _ if number.is_multiple_of(5) => format!("@{EPOCH}-{stamp}"),
            _ if number.is_multiple_of(7) => own,
            _ => format!("{own}@{EPOCH}-{stamp}"),
        }
    }

    /// The stamps of a topic's messages.
    fn stamps(&self, topic: u8) -> impl DoubleEndedIterator<Item = usize> {
        let of_topic =
            self.published.iter().enumerate().filter(move |(_, published)| published.topic == topic);
        of_topic.map(|(index, _)| index + 1)
    }

    /// The id of a topic's last message up to a stamp.
    fn own_id(&self, topic: u8, stamp: usize) -> String {
        let seq = self.stamps(topic).filter(|other| *other <= stamp).count();
        format!("{}-{seq}", epoch_of(topic))
    }

    /// A client was sent a message with an id: its stamp.
    pub(super) fn saw(&self, topic: Option<u8>, id: &str, data: &[u8]) -> usize {
        let stamp = self.stamp(topic, id);
        let published = &self.published[stamp - 1];
        assert_eq!(data, published.data, "{id}");
        assert_eq!(topic.unwrap_or(published.topic), published.topic, "{id}");
        let (own, is_plain) = id.split_once('@').map_or((id, false), |(own, _)| (own, true));
        assert_eq!((own, is_plain), (&*self.own_id(published.topic, stamp), topic.is_none()), "{id}");
        stamp
    }

    /// A client was told an id of the server's: up to which message. Who has one id for all topics is told stamps.
    pub(super) fn stamp(&self, topic: Option<u8>, id: &str) -> usize {
        let number = |id: &str, epoch: &str| -> usize {
            let number = id.strip_prefix(epoch).and_then(|rest| rest.strip_prefix('-'));
            number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{id:?} for {topic:?}"))
        };
        match topic {
            Some(topic) => match number(id, &epoch_of(topic)) {
                0 => 0,
                seq => self.stamps(topic).nth(seq - 1).expect("published"),
            },
            None => number(id.split_once('@').expect("a stamp").1, EPOCH),
        }
    }

    /// What was published to a topic after the message with this id and is still kept.
    pub(super) fn since(&self, topic: u8, id: &str, now: Instant) -> Missed {
        let (own, stamp) = id.split_once('@').unwrap_or((id, ""));
        let [own, stamp] = [own, stamp].map(|id| {
            let (epoch, number) = id.rsplit_once('-')?;
            Some((epoch, number.parse::<usize>().ok()?))
        });
        let (seen, is_own) = match (own, stamp) {
            (Some((epoch, seq)), _) if *epoch == epoch_of(topic) => {
                (self.stamps(topic).take(seq).last().unwrap_or_default(), true)
            }
            (_, Some((EPOCH, stamp))) => (stamp, true),
            (None, None) => return (Vec::new(), false),
            _ => (0, false),
        };
        let (mut missed, mut is_complete) = (Vec::new(), is_own);
        for (behind, stamp) in self.stamps(topic).rev().enumerate() {
            if stamp <= seen {
                break;
            }
            let published = &self.published[stamp - 1];
            let is_kept = behind < self.limits.messages
                && now.saturating_duration_since(published.at) <= self.limits.age;
            match is_kept {
                true => missed.push((stamp, published.opcode, published.data.clone())),
                false => is_complete = false,
            }
        }
        missed.reverse();
        (missed, is_complete)
    }

    /// The number of a topic's newest.
    pub(super) fn head(&self, topic: u8) -> usize {
        self.stamps(topic).count()
    }

    /// A client that is always in these topics has missed none of the messages with these stamps that was for it.
    pub(super) fn check_not_missed(&self, topics: &[u8], stamps: std::ops::Range<usize>, was: Fd) {
        for stamp in stamps {
            let Published { topic, except, .. } = &self.published[stamp - 1];
            assert!(!topics.contains(topic) || *except == was, "{was}: {stamp} is missing");
        }
    }
}

/// What the ids of a topic's messages begin with: the histories begin in the order of this list.
fn epoch_of(topic: u8) -> String {
    let number = TOPICS.iter().position(|other| *other == topic).expect("a topic with a history");
    format!("{EPOCH}.{}", number + 1)
}
