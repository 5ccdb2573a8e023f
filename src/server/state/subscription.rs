//! What clients ask to be in, what handlers answer, and the questions that are not answered yet: bounded for each
//! connection and, by the memory for what waits to become whole, for all of them.

use crate::fd::Fd;
use crate::net::timers::TimerId;
use std::collections::HashMap;
use std::rc::Rc;

/// Questions of one connection that may wait for an answer.
const QUESTIONS_MAX: usize = 64;
/// Ids of the server's own are shorter.
const ID_BYTES_MAX: usize = 256;
/// What a question takes beside its texts, about: its entry, its timer and the allocator's part.
const QUESTION_BYTES: usize = 256;

/// A client that asks to be in a topic: what [`on_subscribe`](crate::Handler::on_subscribe) is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SubscribeRequest<'a> {
    /// The connection.
    pub fd: Fd,
    /// The topic's name, which may be any text.
    pub topic: &'a str,
    /// What the client sent along, such as a token: up to 4,096 bytes, empty where it sent nothing.
    pub data: &'a str,
}

impl<'a> SubscribeRequest<'a> {
    pub(crate) fn new(fd: Fd, topic: &'a str, data: &'a str) -> SubscribeRequest<'a> {
        SubscribeRequest { fd, topic, data }
    }
}

/// The answer to a client that asks to be in a topic: what [`on_subscribe`](crate::Handler::on_subscribe) returns.
/// Closures may return a `bool` instead, for [`allow`](Subscription::allow) and [`deny`](Subscription::deny).
///
/// ```
/// use swio::Subscription;
///
/// let welcome = Subscription::allow().data(r#"{"online":12}"#);
/// let go_away = Subscription::deny("members only");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[must_use]
pub struct Subscription(pub(crate) SubscribeVerdict);

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub(crate) enum SubscribeVerdict {
    /// With what the client is told; empty: nothing.
    Allow(String),
    /// Why.
    Deny(String),
    #[cfg_attr(feature = "serde", serde(skip))]
    Later,
}

impl Subscription {
    /// Lets the client [join](crate::Server::join) the topic.
    pub fn allow() -> Subscription {
        Subscription(SubscribeVerdict::Allow(String::new()))
    }

    /// Does not let it, and tells it why: a text for people.
    pub fn deny(reason: impl Into<String>) -> Subscription {
        Subscription(SubscribeVerdict::Deny(reason.into()))
    }

    /// No answer yet: it is given by [`Server::answer_subscribe`](crate::Server::answer_subscribe) or
    /// [`Handle::answer_subscribe`](crate::Handle::answer_subscribe), within
    /// [`Config::request_timeout`](crate::Config::request_timeout); after that the client is denied.
    ///
    /// ```no_run
    /// use std::thread;
    /// use swio::{Server, Subscription};
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .on_subscribe(|server, request| {
    ///         let (handle, fd, topic) = (server.handle(), request.fd, request.topic.to_owned());
    ///         let token = request.data.to_owned();
    ///         thread::spawn(move || {
    ///             let answer = match ask_the_database(&topic, &token) {
    ///                 true => Subscription::allow(),
    ///                 false => Subscription::deny("members only"),
    ///             };
    ///             handle.answer_subscribe(fd, &topic, answer).ok();
    ///         });
    ///         Subscription::later()
    ///     })
    ///     .run()
    /// # .unwrap();
    /// # fn ask_the_database(_: &str, _: &str) -> bool { true }
    /// ```
    pub fn later() -> Subscription {
        Subscription(SubscribeVerdict::Later)
    }

    /// What the client is told when it is in: a text, such as JSON. It should be short beside
    /// [`Config::outbox_bytes_max`](crate::Config::outbox_bytes_max). Of a denial there is the reason alone.
    pub fn data(mut self, data: impl Into<String>) -> Subscription {
        if let SubscribeVerdict::Allow(told) = &mut self.0 {
            *told = data.into();
        }
        self
    }

    /// What it takes of the mailbox.
    pub(crate) fn bytes(&self) -> usize {
        match &self.0 {
            SubscribeVerdict::Allow(text) | SubscribeVerdict::Deny(text) => text.len(),
            SubscribeVerdict::Later => 0,
        }
    }
}

impl From<bool> for Subscription {
    fn from(is_allowed: bool) -> Subscription {
        if is_allowed { Subscription::allow() } else { Subscription::deny("not allowed") }
    }
}

/// A question that waits for an answer.
#[derive(Debug)]
pub(crate) struct Question {
    topic: Rc<str>,
    /// Of the last message that the client has of it.
    pub(crate) last_id: Option<Box<str>>,
    /// When the answer is late.
    timer: TimerId,
}

impl Question {
    fn bytes(&self) -> usize {
        QUESTION_BYTES + self.topic.len() + self.last_id.as_deref().map_or(0, str::len)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Questions {
    of: HashMap<Fd, Vec<Question>>,
}

impl Questions {
    pub(crate) fn has(&self, fd: Fd, topic: &str) -> bool {
        self.of.get(&fd).is_some_and(|questions| questions.iter().any(|question| *question.topic == *topic))
    }

    /// Whether there is room for one more question of this connection, within so many bytes.
    pub(crate) fn has_room(&self, fd: Fd, topic: &str, room: usize) -> bool {
        let count = self.of.get(&fd).map_or(0, Vec::len);
        count < QUESTIONS_MAX && QUESTION_BYTES + ID_BYTES_MAX + topic.len() <= room
    }

    /// Adds a question: how many bytes it takes.
    pub(crate) fn add(&mut self, fd: Fd, topic: Rc<str>, last_id: Option<&str>, timer: TimerId) -> usize {
        // One that is too long is none of the server's, as an empty one is none.
        let last_id = last_id.map(|id| if id.len() > ID_BYTES_MAX { "" } else { id }.into());
        let question = Question { topic, last_id, timer };
        let bytes = question.bytes();
        self.of.entry(fd).or_default().push(question);
        bytes
    }

    /// Takes a question out, its timer, and how many bytes it took.
    pub(crate) fn take(&mut self, fd: Fd, topic: &str) -> Option<(Question, TimerId, usize)> {
        let questions = self.of.get_mut(&fd)?;
        let at = questions.iter().position(|question| *question.topic == *topic)?;
        let question = questions.swap_remove(at);
        if questions.is_empty() {
            self.of.remove(&fd);
            self.shrink();
        }
        let (timer, bytes) = (question.timer, question.bytes());
        Some((question, timer, bytes))
    }

    /// The topics that a connection has asked for.
    pub(crate) fn topics_of(&self, fd: Fd) -> Vec<Rc<str>> {
        self.of.get(&fd).into_iter().flatten().map(|question| question.topic.clone()).collect()
    }

    /// After a burst the memory is given back.
    fn shrink(&mut self) {
        if self.of.is_empty() {
            self.of.shrink_to(64);
        }
    }
}
