//! Histories on the server: topics that have one, and connections that are brought up to date from it.

use crate::codec::labels::Labels;
use crate::codec::sse;
use crate::codec::ws::Opcode;
use crate::config::SlowConsumer;
use crate::error::{JoinError, PushError};
use crate::fd::Fd;
use crate::net::quota::{Delivery, Quota};
use crate::server::Server;
use crate::server::state::history::{Entry, History, Place};
use crate::server::state::returning::Returning;
use crate::session::info::Transport;
use crate::session::message::Message;
use std::collections::BTreeMap;
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

impl Server {
    /// Keeps what is published to a topic from now on, for clients that come back; with `None` forgets it. Each of
    /// these messages gets an id, which event streams, polls and WebSockets that speak `swio.1` are told, and say
    /// when they come back: one that [joins](Server::join) the topic again in its `on_open` is pushed all that it has
    /// missed, none twice, when `on_open` is over, and before anything that is published later. Where some of it is
    /// lost, an event or notice `gap` with the topic's name comes first. For plain WebSockets there is
    /// [`recover`](Server::recover). All histories together are bounded by
    /// [`Config::history_bytes_max`](crate::Config::history_bytes_max); a topic keeps its own while nobody is in it.
    /// Whom a message was not for ([`except`](crate::Broadcast::except)) is not kept: a client that comes back is
    /// another connection, and may get what the one that it was before was left out of.
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
        if topic.is_empty() || topic.len() > self.sessions.config.topic_bytes_max {
            return Err(JoinError::NameLength);
        }
        let is_new = self.histories.name(topic).is_none();
        if is_new && history.is_none() {
            return Ok(());
        }
        if is_new && self.histories.len() >= self.sessions.config.topics_max {
            return Err(JoinError::TopicsFull);
        }
        self.histories.keep(topic, history).map_err(|error| {
            log::error!("no history of {topic:?}, for the system has no random numbers: {error}");
            JoinError::TopicsFull
        })
    }

    /// Pushes to a connection what was published to a topic behind the message with this id, in order, as far as it
    /// is [kept](Server::keep_history). Whether it is in the topic is not asked: join it in the same callback, and no
    /// message is missing and none comes twice. An id that is not this server's, be it of one before it or made up,
    /// is no error: then it is not complete. Of a topic without a history nothing is known.
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
        self.sessions.check_established(fd)?;
        let (place, now) = (self.histories.place(last_id), self.sessions.connections.now());
        let is_complete = self.histories.has_all_since(topic, place, now).unwrap_or(false);
        let (mut messages, mut seen) = (0, place.seq);
        while let Some(entry) = self.histories.next(topic, seen) {
            self.push_missed(fd, topic, &entry)?;
            (messages, seen) = (messages + 1, entry.seq);
        }
        Ok(Recovered { messages, is_complete })
    }

    /// From now on what is published to histories that the connection joins waits for [`Server::bring_up_to_date`].
    pub(crate) fn begin_return(&mut self, fd: Fd, last_id: Option<&str>) {
        let place = last_id.map(|last_id| self.histories.place(last_id));
        self.returning = Some(Returning { fd, place, joined: Vec::new(), excepted: Vec::new() });
    }

    /// In a topic that a client has joined since it is somewhere else than in others.
    pub(crate) fn set_place(&mut self, topic: &str, place: Place) {
        let joined = self.returning.iter_mut().flat_map(|returning| &mut returning.joined);
        joined.filter(|(name, _)| **name == *topic).for_each(|(_, its)| *its = place);
    }

    /// Ends what [`Server::begin_return`] began: pushes what was missed. True where a topic with a history was
    /// joined, be it but the one that is `subscribed`.
    pub(crate) fn bring_up_to_date(&mut self, subscribed: Option<&str>) -> bool {
        let Some(Returning { fd, joined, excepted, .. }) = self.returning.take() else { return false };
        if joined.is_empty() || self.sessions.check_established(fd).is_err() {
            return false;
        }
        let has_others = joined.iter().any(|(topic, _)| Some(&**topic) != subscribed);
        let now = self.sessions.connections.now();
        // Of each topic the next one, by its number: what no outbox takes is not even looked at.
        let mut next = BTreeMap::new();
        for (topic, place) in &joined {
            if let Some(false) = self.histories.has_all_since(topic, *place, now) {
                self.tell_gap(fd, topic);
            }
            next.extend(self.histories.next(topic, place.seq).map(|entry| (entry.seq, (topic, entry))));
        }
        while let Some((seq, (topic, entry))) = next.pop_first() {
            if !excepted.contains(&seq)
                && let Err(error) = self.push_missed(fd, topic, &entry)
            {
                log::debug!("{fd}: was not brought up to date in {topic:?}: {error}");
                // Where it lives on, it is without these.
                let others = next.values().map(|(topic, _)| *topic);
                [topic].into_iter().chain(others).for_each(|topic| self.tell_gap(fd, topic));
                break;
            }
            next.extend(self.histories.next(topic, seq).map(|entry| (entry.seq, (topic, entry))));
        }
        has_others
    }

    /// Tells a client where it is, for its next return: also one that has seen no message yet.
    pub(crate) fn tell_position(&mut self, fd: Fd) {
        let id = self.histories.head_id();
        match self.is_plain_stream(fd) {
            true => {
                let run = sse::position(&id);
                self.sessions.connections.write_owned(fd, &[], run, Quota::Control).ok();
            }
            false => self.sessions.tell(fd, &[("position", &id)]),
        }
    }

    fn tell_gap(&mut self, fd: Fd, topic: &str) {
        match self.is_plain_stream(fd) {
            true => {
                let labels = Labels { event: "gap".to_owned(), ..Labels::default() };
                self.sessions.write_certain(fd, sse::encode(Some(&labels), false, topic.as_bytes()));
            }
            false => self.sessions.tell(fd, &[("gap", topic)]),
        }
    }

    /// Whether it is an event stream that is told no notices: it has fields and events for what they say.
    fn is_plain_stream(&self, fd: Fd) -> bool {
        self.sessions.channel(fd).is_ok_and(|channel| {
            channel.transport == Transport::EventStream
                && self.sessions.formats[channel.format].notice().is_none()
        })
    }

    /// A connection is in a topic now.
    pub(crate) fn note_join(&mut self, fd: Fd, topic: &str) {
        let Some(topic) = self.histories.name(topic) else { return };
        let head = self.histories.head();
        match self.returning.as_mut().filter(|returning| returning.fd == fd) {
            Some(returning) => returning.joined.push((topic, returning.place.unwrap_or(head))),
            None => self.tell_position(fd),
        }
    }

    /// And now it is not.
    pub(crate) fn note_leave(&mut self, fd: Fd, topic: &str) {
        if let Some(returning) = self.returning.as_mut().filter(|returning| returning.fd == fd) {
            returning.joined.retain(|(name, _)| **name != *topic);
        }
    }

    fn push_missed(&mut self, fd: Fd, topic: &str, entry: &Entry) -> Result<(), PushError> {
        let message = match entry.opcode {
            Opcode::Text => Message::text(&*entry.bytes),
            _ => Message::binary(&*entry.bytes),
        };
        // What makes room for the next one would be lost without a word.
        let policy = match self.sessions.connections.policy(fd, Quota::Message(Delivery::default())).0 {
            SlowConsumer::DropOldest => SlowConsumer::DropNewest,
            policy => policy,
        };
        let message = message.event(&*entry.event).id(self.histories.id(entry.seq)).published_to(topic);
        self.sessions.push_in_order(fd, message.slow_consumer(policy))
    }

    /// Keeps a message to a topic that has a history, and gives it its id. Where it waits for a client to be brought
    /// up to date, that is one of those that it is not for now.
    pub(crate) fn record<'a>(
        &mut self,
        topic: &Rc<str>,
        message: Message<'a>,
        except: &mut Vec<Fd>,
    ) -> (Message<'a>, bool) {
        let now = self.sessions.connections.now();
        let Some(seq) = self.histories.record(topic, &message, now, self.sessions.config.history_bytes_max)
        else {
            return (message, false);
        };
        let is_in = |returning: &&mut Returning| returning.joined.iter().any(|(name, _)| name == topic);
        let mut waits = false;
        if let Some(returning) = self.returning.as_mut().filter(is_in) {
            waits = !except.contains(&returning.fd);
            match waits {
                true => except.push(returning.fd),
                false => returning.excepted.push(seq),
            }
        }
        (message.id(self.histories.id(seq)).in_order(), waits)
    }
}
