//! What was published to the topics with a history, as naively as can be: everything is kept for ever, and what a
//! server may have forgotten is worked out anew for each question.

use super::*;
use crate::History;

/// The topics that have a history, and those of them that clients subscribe to.
pub(super) const TOPICS: [u8; 4] = [0, 1, 5, 6];
pub(super) const SUBSCRIBED: [u8; 2] = [5, 6];

#[derive(Debug)]
pub(super) struct Annals {
    limits: History,
    /// What every id of this server begins with, once a client was told one.
    epoch: Option<String>,
    /// The n-th, counted from 1, has the id `EPOCH-n`.
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

/// What a client has missed, in order and with numbers, and whether that is all.
pub(super) type Missed = (Vec<(usize, Opcode, Vec<u8>)>, bool);

impl Annals {
    pub(super) fn new(limits: History) -> Annals {
        Annals { limits, epoch: None, published: Vec::new() }
    }

    pub(super) fn publish(&mut self, topic: u8, at: Instant, opcode: Opcode, data: Vec<u8>, except: Fd) {
        self.published.push(Published { topic, at, opcode, data, except });
    }

    /// The id of one of the messages, whose number is drawn by `number`, or of one that was never published.
    pub(super) fn any_id(&self, number: usize) -> String {
        match &self.epoch {
            Some(_) if number.is_multiple_of(17) => "made-up".to_owned(),
            Some(epoch) if number.is_multiple_of(19) => format!("another{epoch}-{number}"),
            Some(epoch) => format!("{epoch}-{}", number % (self.published.len() + 1)),
            None => "none".to_owned(),
        }
    }

    /// A client was sent a message with an id: which one it is.
    pub(super) fn saw(&mut self, id: &str, data: &[u8]) -> usize {
        let number = self.number(id);
        assert_eq!(data, self.published[number - 1].data, "{id}");
        number
    }

    /// A client was told an id: of which message.
    pub(super) fn number(&mut self, id: &str) -> usize {
        let (epoch, number) = id.rsplit_once('-').expect("an id");
        assert_eq!(self.epoch.get_or_insert_with(|| epoch.to_owned()), epoch);
        number.parse().expect("a number")
    }

    /// What was published to a topic behind the message with this id and is still kept.
    pub(super) fn since(&self, topic: u8, id: &str, now: Instant) -> Missed {
        let (epoch, number) = id.rsplit_once('-').unwrap_or_default();
        let (seen, is_own) = match (number.parse::<usize>(), self.epoch.as_deref() == Some(epoch)) {
            (Ok(number), is_own) => (if is_own { number } else { 0 }, is_own),
            (Err(_), _) => return (Vec::new(), false),
        };
        let all = self.published.iter().enumerate().filter(|(_, published)| published.topic == topic);
        let (mut missed, mut is_complete) = (Vec::new(), is_own);
        for (behind, (index, published)) in all.rev().enumerate() {
            if index < seen {
                break;
            }
            let is_kept = behind < self.limits.messages
                && now.saturating_duration_since(published.at) <= self.limits.age;
            match is_kept {
                true => missed.push((index + 1, published.opcode, published.data.clone())),
                false => is_complete = false,
            }
        }
        missed.reverse();
        (missed, is_complete)
    }

    /// The number of the newest.
    pub(super) fn head(&self) -> usize {
        self.published.len()
    }

    /// A client that is always in these topics has missed none of these messages that was for it.
    pub(super) fn check_not_missed(&self, topics: &[u8], numbers: std::ops::Range<usize>, was: Fd) {
        for number in numbers {
            let Published { topic, except, .. } = &self.published[number - 1];
            assert!(!topics.contains(topic) || *except == was, "{was}: {number} is missing");
        }
    }
}
