//! Histories on the server: topics that have one, and connections that catch up from it.

use crate::codec::labels::Labels;
use crate::codec::sse;
use crate::codec::ws::Opcode;
use crate::config::SlowConsumer;
use crate::error::{JoinError, PushError};
use crate::fd::Fd;
use crate::net::quota::{Delivery, Quota};
use crate::server::Server;
use crate::server::state::history::{Entry, History, Recorded};
use crate::server::state::returning::{Elsewhere, Positions, Recovered, Returning};
use crate::session::info::Transport;
use crate::session::message::Message;
use crate::session::request::Request;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A missed message is as much work as so many bytes of it.
const MISSED_BYTES_OF_WORK: usize = 1 << 10;

impl Server {
    /// Keeps what is published to a topic from now on, for clients that reconnect; with `None`, drops it and keeps no
    /// more. Each of these messages gets an id, which counts the topic's messages and has a meaning in this topic
    /// alone. Event streams, polls and WebSockets that speak `swio.1` get the id, and send the last one when they
    /// reconnect: a client that [joins](Server::join) the topic again in its `on_open` is pushed everything that it
    /// missed, nothing twice, after `on_open` and before anything that is published later. If some of it is lost, an
    /// event or notice `gap` with the topic's name comes first. For plain WebSockets there is
    /// [`recover`](Server::recover).
    ///
    /// All histories together are bounded by [`Config::history_bytes_max`](crate::Config::history_bytes_max). A topic
    /// keeps its history while it has no members. Who was left out of a message ([`except`](crate::Broadcast::except))
    /// is not kept: a client that reconnects is another connection, and may get a message that its last one was left
    /// out of.
    ///
    /// # Errors
    /// [`JoinError::NameLength`]; [`JoinError::TopicsFull`] if as many topics have a history as there may be topics;
    /// [`JoinError::NoRandomness`] if the system has no random numbers to tell this server's ids from another's.
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
        self.histories.keep(topic, history)?;
        if is_new {
            // Clients that are in the topic already get ids from now on, and may reconnect before the first message.
            let members: Vec<Fd> = self.members(topic).collect();
            members.into_iter().for_each(|fd| self.note_join(fd, topic));
        }
        Ok(())
    }

    /// Pushes to a connection what was published to a topic after the message with this id, in order, as far as it is
    /// [kept](Server::keep_history). The connection need not be in the topic; if it joins in the same callback, no
    /// message is missing and none comes twice. An id of another topic, of a history that was dropped, of another
    /// server or made up is no error: the result is then not complete. Nothing is known of a topic without a history.
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
        let (place, now) = (self.histories.place(topic, last_id), self.sessions.connections.now());
        let Some(place) = place else { return Ok(Recovered { messages: 0, is_complete: false }) };
        let is_complete = self.histories.has_all_since(topic, place, now).unwrap_or(false);
        let (mut messages, mut next) = (0, self.histories.next_after(topic, place));
        while let Some(entry) = next {
            self.push_missed(fd, topic, &entry)?;
            messages += 1;
            next = self.histories.next(topic, entry.number.seq);
        }
        Ok(Recovered { messages, is_complete })
    }

    /// The positions of a client that opens a session by this request.
    pub(crate) fn positions(&self, fd: Fd, request: &Request<'_>) -> Positions {
        match self.sessions.channel(fd) {
            Ok(channel) if self.sessions.formats[channel.format].has_labels() => Positions::in_query(request),
            _ => Positions::overall(request.last_event_id().as_deref()),
        }
    }

    /// From now on, what is published to histories that the connection joins waits for [`Server::bring_up_to_date`].
    pub(crate) fn begin_return(&mut self, fd: Fd, positions: Positions) {
        self.returning = Some(Returning { fd, positions, joined: Vec::new(), excepted: Vec::new() });
    }

    /// Ends what [`Server::begin_return`] began: pushes what was missed, in the order in which it was published, and
    /// tells the client its positions in the histories that it has joined. The position in the topic that it has
    /// `subscribed` to is not told here, but with the answer.
    pub(crate) fn bring_up_to_date(&mut self, subscribed: Option<&str>) {
        let Some(Returning { fd, joined, excepted, .. }) = self.returning.take() else { return };
        if joined.is_empty() || self.sessions.check_established(fd).is_err() {
            return;
        }
        let now = self.sessions.connections.now();
        // The next message of each topic, by its stamp: messages that the outbox does not take are not even looked at.
        let mut next = BTreeMap::new();
        for (topic, place) in &joined {
            if let Some(false) = self.histories.has_all_since(topic, *place, now) {
                self.tell_gap(fd, topic);
            }
            let entry = self.histories.next_after(topic, *place);
            next.extend(entry.map(|entry| (entry.number.stamp, (topic, entry))));
        }
        while let Some((stamp, (topic, entry))) = next.pop_first() {
            if !excepted.contains(&stamp)
                && let Err(error) = self.push_missed(fd, topic, &entry)
            {
                log::debug!("{fd}: was not brought up to date in {topic:?}: {error}");
                // If the connection lives on, it misses these.
                let others = next.values().map(|(topic, _)| *topic);
                [topic].into_iter().chain(others).for_each(|topic| self.tell_gap(fd, topic));
                break;
            }
            let entry = self.histories.next(topic, entry.number.seq);
            next.extend(entry.map(|entry| (entry.number.stamp, (topic, entry))));
        }
        let others = joined.iter().map(|(topic, _)| &**topic).filter(|topic| Some(*topic) != subscribed);
        self.tell_positions(fd, others);
    }

    /// Tells a client its positions in topics, for its next return, even if it has seen no message yet.
    fn tell_positions<'a>(&mut self, fd: Fd, topics: impl Iterator<Item = &'a str>) {
        let mut topics = topics.peekable();
        if topics.peek().is_some() && self.is_plain_stream(fd) {
            let run = sse::position(&self.histories.overall_head_id());
            self.sessions.connections.write_owned(fd, &[], run, Quota::Control).ok();
            return;
        }
        for topic in topics {
            if let Some(id) = self.histories.head_id(topic) {
                self.sessions.tell(fd, &[("position", topic), ("id", &id)]);
            }
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

    /// Whether it is an event stream without notices: its transport has fields and events for what they say.
    fn is_plain_stream(&self, fd: Fd) -> bool {
        self.sessions.channel(fd).is_ok_and(|channel| {
            channel.transport == Transport::EventStream && !self.sessions.formats[channel.format].has_labels()
        })
    }

    /// A connection is in a topic now, or its topic has a history now.
    pub(crate) fn note_join(&mut self, fd: Fd, topic: &str) {
        let Some(name) = self.histories.name(topic) else { return };
        let Some(returning) = self.returning.as_mut().filter(|returning| returning.fd == fd) else {
            return self.tell_positions(fd, [topic].into_iter());
        };
        // Its history was dropped and has begun again meanwhile: its place in the first one gives it a gap.
        if returning.joined.iter().any(|(joined, _)| *joined == name) {
            return;
        }
        let Positions { of, elsewhere } = &returning.positions;
        let place = match (of.get(topic), elsewhere) {
            (Some(id), _) | (None, Elsewhere::At(id)) => self.histories.place(topic, id),
            (None, Elsewhere::Unknown) => self.histories.start(topic),
            (None, Elsewhere::New) => self.histories.head(topic),
        };
        returning.joined.extend(place.map(|place| (name, place)));
    }

    /// A connection has left a topic.
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
        // A message that is dropped to make room for the next one would be lost silently.
        let policy = match self.sessions.connections.slow_consumer(fd, Quota::Message(Delivery::default())).0
        {
            SlowConsumer::DropOldest => SlowConsumer::DropNewest,
            policy => policy,
        };
        let message = self.with_ids(topic, message.event(&*entry.event), entry.number).published_to(topic);
        let work = 1 + entry.bytes.len() / MISSED_BYTES_OF_WORK;
        self.missed_work += work;
        self.sessions.connections.charge(work);
        self.sessions.push_in_order(fd, message.slow_consumer(policy))
    }

    /// Keeps a message to a topic that has a history, and gives it its id. A client that is still catching up is added
    /// to `except`, and gets the message from the history. Returns true if there is such a client.
    pub(crate) fn record<'a>(
        &mut self,
        topic: &Rc<str>,
        message: Message<'a>,
        except: &mut Vec<Fd>,
    ) -> (Message<'a>, bool) {
        let now = self.sessions.connections.now();
        let Some(number) =
            self.histories.record(topic, &message, now, self.sessions.config.history_bytes_max)
        else {
            return (message, false);
        };
        let is_in = |returning: &&mut Returning| returning.joined.iter().any(|(name, _)| name == topic);
        let mut waits = false;
        if let Some(returning) = self.returning.as_mut().filter(is_in) {
            waits = !except.contains(&returning.fd);
            match waits {
                true => except.push(returning.fd),
                false => returning.excepted.push(number.stamp),
            }
        }
        (self.with_ids(topic, message, number).in_order(), waits)
    }

    /// A message with its id, and with the id that it has on event streams without labels.
    fn with_ids<'a>(&self, topic: &str, message: Message<'a>, number: Recorded) -> Message<'a> {
        let id = self.histories.id(topic, number.seq).unwrap_or_default();
        let message = match self.sessions.census[Transport::EventStream] {
            0 => message,
            _ => message.overall_id(self.histories.overall_id(&id, number.stamp)),
        };
        message.id(id)
    }
}
