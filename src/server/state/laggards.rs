//! Sessions without a socket that have not been given all that they missed, because nothing carries it to them yet.
//! They keep their places in the histories, which cost a few bytes, and the rest is read from there as they ask.

use crate::fd::Fd;
use crate::server::state::history::{Gap, Place};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// How many messages may be published meanwhile that are not for one of them.
pub(crate) const EXCEPTED_MAX: usize = 256;

/// What a client has not been sent of the histories that it has joined.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    pub(crate) places: Vec<Missed>,
    /// Stamps of messages that were published meanwhile, but not for it.
    pub(crate) excepted: Vec<u64>,
    /// What it is told when it has been sent everything: for each topic its position, or that it is subscribed.
    pub(crate) told_after: Vec<(Rc<str>, Told)>,
}

#[derive(Debug)]
pub(crate) struct Missed {
    pub(crate) topic: Rc<str>,
    pub(crate) place: Place,
    /// The gap that it was told of last.
    pub(crate) gap: Option<Gap>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Position,
    Subscribed,
}

#[derive(Debug, Default)]
pub(crate) struct Laggards {
    of: HashMap<Fd, Behind>,
    /// Who is behind in each topic.
    topics: HashMap<Rc<str>, HashSet<Fd>>,
}

impl Laggards {
    /// Adds to what a client has not been sent.
    pub(crate) fn add(&mut self, fd: Fd, more: Behind) {
        for missed in &more.places {
            self.topics.entry(missed.topic.clone()).or_default().insert(fd);
        }
        let behind = self.of.entry(fd).or_default();
        behind.places.extend(more.places);
        behind.excepted.extend(more.excepted);
        behind.told_after.extend(more.told_after);
    }

    /// Takes a client out.
    pub(crate) fn take(&mut self, fd: Fd) -> Option<Behind> {
        let behind = self.of.remove(&fd)?;
        behind.places.iter().for_each(|missed| self.take_from(fd, &missed.topic));
        if self.of.is_empty() {
            *self = Laggards::default();
        }
        Some(behind)
    }

    fn take_from(&mut self, fd: Fd, topic: &str) {
        let Some(fds) = self.topics.get_mut(topic) else { return };
        fds.remove(&fd);
        if fds.is_empty() {
            self.topics.remove(topic);
        }
    }

    /// A client has left a topic.
    pub(crate) fn leave(&mut self, fd: Fd, topic: &str) {
        let Some(behind) = self.of.get_mut(&fd) else { return };
        behind.places.retain(|missed| *missed.topic != *topic);
        behind.told_after.retain(|(name, _)| **name != *topic);
        self.take_from(fd, topic);
    }

    /// Lets a client be told that it is subscribed when it has been sent everything. False if it is not behind in the
    /// topic.
    pub(crate) fn tell_subscribed_after(&mut self, fd: Fd, topic: &str) -> bool {
        let Some(behind) = self.of.get_mut(&fd) else { return false };
        let Some(missed) = behind.places.iter().find(|missed| *missed.topic == *topic) else { return false };
        if !behind.told_after.iter().any(|(name, told)| **name == *topic && *told == Told::Subscribed) {
            behind.told_after.push((missed.topic.clone(), Told::Subscribed));
        }
        true
    }

    pub(crate) fn get_mut(&mut self, fd: Fd) -> Option<&mut Behind> {
        self.of.get_mut(&fd)
    }

    /// Who is behind in a topic, in no order.
    pub(crate) fn in_topic(&self, topic: &str) -> impl Iterator<Item = Fd> {
        self.topics.get(topic).into_iter().flatten().copied()
    }
}
