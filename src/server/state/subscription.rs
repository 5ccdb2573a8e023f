//! What clients ask to be in, what handlers answer, and the questions that are not answered yet. These are bounded for
//! each connection and, by the memory for incomplete messages, for all of them.

use crate::fd::Fd;
use crate::server::state::timers::TimerId;
use std::collections::HashMap;
use std::rc::Rc;

/// How many questions of one connection may wait for an answer.
const QUESTIONS_MAX: usize = 64;
/// The server's own ids are shorter.
const ID_BYTES_MAX: usize = 256;
/// What a question takes beside its texts, roughly: its entry, its timer and the allocator's overhead.
const QUESTION_BYTES: usize = 256;

/// A client that asks to be in a topic: what [`on_subscribe`](crate::Handler::on_subscribe) gets.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SubscribeRequest<'a> {
    /// The connection.
    pub fd: Fd,
    /// The topic's name, which may be any text.
    pub topic: &'a str,
    /// What the client sent with it, such as a token: up to 4,096 bytes, empty if it sent nothing.
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
    /// With a reason.
    Deny(String),
    #[cfg_attr(feature = "serde", serde(skip))]
    Later,
}

impl Subscription {
    /// Lets the client [join](crate::Server::join) the topic.
    pub fn allow() -> Subscription {
        Subscription(SubscribeVerdict::Allow(String::new()))
    }

    /// Denies it, and tells the client why: a text for people.
    pub fn deny(reason: impl Into<String>) -> Subscription {
        Subscription(SubscribeVerdict::Deny(reason.into()))
    }

    /// No answer yet. It is given by [`Server::answer_subscribe`](crate::Server::answer_subscribe) or
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

    /// Sets what the client is told when it is in: a text, such as JSON. It should be short compared with
    /// [`Config::outbox_bytes_max`](crate::Config::outbox_bytes_max). On a denial this has no effect: there is the
    /// reason alone.
    pub fn data(mut self, data: impl Into<String>) -> Subscription {
        if let SubscribeVerdict::Allow(told) = &mut self.0 {
            *told = data.into();
        }
        self
    }

    /// Its size in bytes, as the mailbox counts it.
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
    /// The id of the last message of the topic that the client has.
    pub(crate) last_id: Option<Box<str>>,
    /// Expires when the answer is late.
    pub(crate) timer: TimerId,
}

impl Question {
    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
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

    /// Adds a question. Returns how many bytes it takes.
    pub(crate) fn add(&mut self, fd: Fd, topic: Rc<str>, last_id: Option<&str>, timer: TimerId) -> usize {
        // An id that is too long is not one of the server's, just like an empty one.
        let last_id = last_id.map(|id| if id.len() > ID_BYTES_MAX { "" } else { id }.into());
        let question = Question { topic, last_id, timer };
        let bytes = question.bytes();
        self.of.entry(fd).or_default().push(question);
        bytes
    }

    /// Takes a question out.
    pub(crate) fn take(&mut self, fd: Fd, topic: &str) -> Option<Question> {
        let questions = self.of.get_mut(&fd)?;
        let at = questions.iter().position(|question| *question.topic == *topic)?;
        let question = questions.swap_remove(at);
        if questions.is_empty() {
            self.of.remove(&fd);
            self.shrink();
        }
        Some(question)
    }

    /// The topics that a connection has asked for.
    pub(crate) fn topics_of(&self, fd: Fd) -> Vec<Rc<str>> {
        self.of.get(&fd).into_iter().flatten().map(|question| question.topic.clone()).collect()
    }

    /// After a burst the memory is released.
    fn shrink(&mut self) {
        if self.of.is_empty() {
            self.of.shrink_to(64);
        }
    }
}
