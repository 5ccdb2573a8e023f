//! Histories on the server: topics that have one, and connections that are brought up to date from it.

use crate::codec::ws::Opcode;
use crate::error::{JoinError, PushError};
use crate::fd::Fd;
use crate::server::Server;
use crate::server::api::message::Message;
use crate::server::api::request::Request;
use crate::server::verbs::history::{Entry, History};
use std::borrow::Cow;
use std::rc::Rc;

/// What [`recover`](Server::recover) found of the messages that a client has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// How many were pushed to it.
    pub messages: usize,
    /// Whether these are all. Where not, the client's picture has a gap: give it the whole anew.
    pub is_complete: bool,
}

/// A client that comes back, while its `on_open` runs.
#[derive(Debug)]
pub(crate) struct Returning {
    fd: Fd,
    last_id: Box<str>,
}

impl Server {
    /// Keeps what is published to a topic from now on, for clients that come back; with `None` forgets it. Each of
    /// these messages gets an id, which event streams are sent, and say in their next request: a stream that was broken
    /// and [joins](Server::join) the topic again in its `on_open` is first pushed all that it has missed, none twice;
    /// where some of it is lost, behind an event `gap` with the topic's name. For others there is
    /// [`recover`](Server::recover). All histories together are bounded by
    /// [`Config::history_bytes_max`](crate::Config::history_bytes_max); a topic keeps its own while nobody is in it.
    ///
    /// # Errors
    /// [`JoinError::NameLength`], and [`JoinError::TopicsFull`] where as many topics have a history as there may be
    /// topics, or the system has no random numbers to tell this server's ids from another's.
    ///
    /// ```no_run
    /// use swio::{History, Server};
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .configure(|config| config.event_streams = true)
    ///     .on_start(|server| {
    ///         let history = History { messages: 1_000, ..History::default() };
    ///         server.keep_history("news", history).expect("a short name");
    ///     })
    ///     .on_open(|server, request| { server.join(request.fd, "news").ok(); })
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn keep_history(
        &mut self,
        topic: &str,
        history: impl Into<Option<History>>,
    ) -> Result<(), JoinError> {
        let history = history.into();
        if topic.is_empty() || topic.len() > self.config.topic_bytes_max {
            return Err(JoinError::NameLength);
        }
        let is_new = self.histories.name(topic).is_none();
        if is_new && history.is_none() {
            return Ok(());
        }
        if is_new && self.histories.len() >= self.config.topics_max {
            return Err(JoinError::TopicsFull);
        }
        self.histories.keep(topic, history).map_err(|error| {
            log::error!("no history of {topic:?}, for the system has no random numbers: {error}");
            JoinError::TopicsFull
        })
    }

    /// Pushes to a connection what was published to a topic behind the message with this id, in order, as far as it is
    /// [kept](Server::keep_history). Whether it is in the topic is not asked: join it in the same callback, and no
    /// message is missing and none comes twice. An id that is not this server's, be it of one before it or made up, is
    /// no error: then it is not complete. Of a topic without a history nothing is known.
    ///
    /// # Errors
    /// As for [`Server::push`]; messages before the one that failed were pushed.
    ///
    /// ```no_run
    /// # use swio::{PushError, Request, Server};
    /// fn on_open(server: &mut Server, request: &Request<'_>) -> Result<(), PushError> {
    ///     if let Some(last_id) = request.query_param("after") {
    ///         let recovered = server.recover(request.fd, "news", &last_id)?;
    ///         if !recovered.is_complete {
    ///             server.push(request.fd, "load the page again")?;
    ///         }
    ///     }
    ///     server.join(request.fd, "news").ok();
    ///     Ok(())
    /// }
    /// ```
    pub fn recover(&mut self, fd: Fd, topic: &str, last_id: &str) -> Result<Recovered, PushError> {
        self.check_established(fd)?;
        let now = self.connections.now();
        let Some((missed, is_complete)) = self.histories.since(topic, last_id, now) else {
            return Ok(Recovered { messages: 0, is_complete: false });
        };
        self.push_missed(fd, &missed)?;
        Ok(Recovered { messages: missed.len(), is_complete })
    }

    /// Notes where a client was, for the topics that it joins while its `on_open` runs.
    pub(crate) fn begin_return(&mut self, request: &Request<'_>) {
        let returning = |last_id: Cow<'_, str>| Returning { fd: request.fd, last_id: (*last_id).into() };
        self.returning = request.last_event_id().map(returning);
    }

    pub(crate) fn end_return(&mut self) {
        self.returning = None;
    }

    /// A connection is in a topic now: where it was before, it is brought up to date.
    pub(crate) fn catch_up(&mut self, fd: Fd, topic: &str) {
        let Some(returning) = self.returning.as_ref().filter(|returning| returning.fd == fd) else { return };
        let now = self.connections.now();
        let Some((missed, is_complete)) = self.histories.since(topic, &returning.last_id, now) else {
            return;
        };
        let told = match is_complete {
            true => Ok(()),
            false => self.push(fd, Message::from(topic).event("gap")),
        };
        if let Err(error) = told.and_then(|()| self.push_missed(fd, &missed)) {
            log::debug!("{fd}: was not brought up to date in {topic:?}: {error}");
        }
    }

    fn push_missed(&mut self, fd: Fd, missed: &[(String, Rc<Entry>)]) -> Result<(), PushError> {
        for (id, entry) in missed {
            let message = match entry.opcode {
                Opcode::Text => Message::text(&*entry.bytes),
                _ => Message::binary(&*entry.bytes),
            };
            self.push(fd, message.event(&*entry.event).id(id))?;
        }
        Ok(())
    }

    /// Keeps a message to a topic that has a history, and gives it its id.
    pub(crate) fn record<'a>(&mut self, topic: &Rc<str>, message: Message<'a>) -> Message<'a> {
        let now = self.connections.now();
        match self.histories.record(topic, &message, now, self.config.history_bytes_max) {
            Some(id) => message.id(id),
            None => message,
        }
    }
}
