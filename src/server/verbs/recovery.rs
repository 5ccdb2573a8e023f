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
use crate::server::state::laggards::{Behind, EXCEPTED_MAX, Missed, Told};
use crate::server::state::returning::{Elsewhere, Positions, Recovered, Returning};
use crate::session::info::Transport;
use crate::session::message::Message;
use crate::session::request::Request;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A missed message is as much work as so many bytes of it.
const MISSED_BYTES_OF_WORK: usize = 1 << 10;
/// When so much waits for a session without a socket, what else it has missed stays in the histories until it is read.
const AT_ONCE_BYTES: usize = 16 << 10;
/// What a message's labels add to it, roughly.
const LABELS_BYTES: usize = 256;

impl Server {
    /// Keeps what is published to a topic from now on, for clients that reconnect; with `None`, drops it and keeps no
    /// more. Each of these messages gets an id, which counts the topic's messages and has a meaning in this topic
    /// alone. Event streams, polls and WebSockets that speak `swio.1` get the id, and send the last one when they
    /// reconnect: a client that [joins](Server::join) the topic again in its `on_open` is pushed everything that it
    /// missed, nothing twice, after `on_open` and before anything that is published to histories later. If some of it
    /// is lost, an event or notice `gap` with the topic's name comes first. A session of long polling that missed more
    /// than 16 KiB is given the rest as it polls; what else is pushed to it may come before that. For plain WebSockets
    /// there is [`recover`](Server::recover).
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
        let is_complete =
            self.histories.name(topic).is_some() && self.histories.gap_since(topic, place, now).is_none();
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
        let told = joined.iter().map(|(topic, _)| topic).filter(|topic| Some(&***topic) != subscribed);
        let told_after = told.map(|topic| (topic.clone(), Told::Position)).collect();
        let places = joined.into_iter().map(|(topic, place)| Missed { topic, place, gap: None }).collect();
        let mut behind = Behind { places, excepted, told_after };
        let bytes_max = if self.sessions.is_socketless(fd) { AT_ONCE_BYTES } else { usize::MAX };
        if self.laggards.get_mut(fd).is_some() || !self.read_on(fd, &mut behind, bytes_max) {
            self.sessions.fall_behind(fd);
            self.laggards.add(fd, behind);
        }
    }

    /// Reads what a session without a socket has missed, until so many bytes wait for it.
    pub(crate) fn catch_up(&mut self, fd: Fd, bytes_max: usize) {
        let Some(mut behind) = self.laggards.take(fd) else { return };
        match self.read_on(fd, &mut behind, bytes_max) {
            true => self.sessions.is_up_to_date(fd),
            false => self.laggards.add(fd, behind),
        }
    }

    /// Pushes what a client has missed, in the order in which it was published, until so many bytes wait for it. Then
    /// tells it the rest. False if there is more.
    fn read_on(&mut self, fd: Fd, behind: &mut Behind, bytes_max: usize) -> bool {
        let now = self.sessions.connections.now();
        // The next message of each topic, by its stamp: messages that the outbox does not take are not even looked at.
        let mut next = BTreeMap::new();
        for (at, missed) in behind.places.iter_mut().enumerate() {
            let gap = self.histories.gap_since(&missed.topic, missed.place, now);
            if gap.is_some() && std::mem::replace(&mut missed.gap, gap) != gap {
                self.tell_gap(fd, &missed.topic);
            }
            let entry = self.histories.next_after(&missed.topic, missed.place);
            next.extend(entry.map(|entry| (entry.number.stamp, (at, entry))));
        }
        while let Some((stamp, (at, entry))) = next.pop_first() {
            let queued = self.sessions.connections.get(fd).map_or(0, |connection| connection.queued_bytes());
            if queued >= bytes_max || queued > 0 && queued + entry.bytes.len() + LABELS_BYTES > bytes_max {
                return false;
            }
            let topic = behind.places[at].topic.clone();
            if !behind.excepted.contains(&stamp)
                && let Err(error) = self.push_missed(fd, &topic, &entry)
            {
                log::debug!("{fd}: was not brought up to date in {topic:?}: {error}");
                // If the connection lives on, it misses these.
                let others = next.values().map(|(at, _)| *at);
                [at].into_iter().chain(others).for_each(|at| self.tell_gap(fd, &behind.places[at].topic));
                break;
            }
            if let Some(place) = self.histories.place_of(&topic, entry.number.seq) {
                behind.places[at].place = place;
            }
            let entry = self.histories.next(&topic, entry.number.seq);
            next.extend(entry.map(|entry| (entry.number.stamp, (at, entry))));
        }
        let subscribed = |(_, told): &&(Rc<str>, Told)| *told == Told::Subscribed;
        self.tell_positions(
            fd,
            behind.told_after.iter().filter(|told| !subscribed(told)).map(|(topic, _)| &**topic),
        );
        for (topic, _) in behind.told_after.iter().filter(subscribed) {
            self.tell_subscribed(fd, topic, "");
        }
        true
    }

    /// Tells a client its positions in topics, for its next return, even if it has seen no message yet.
    fn tell_positions<'a>(&mut self, fd: Fd, topics: impl Iterator<Item = &'a str>) {
        let mut topics = topics.peekable();
        if topics.peek().is_some() && self.is_plain_stream(fd) {
            let run = sse::position(&self.histories.overall_head_id());
            self.sessions.connections.write_owned(fd, &[], run.into(), Quota::Control).ok();
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
        self.laggards.leave(fd, topic);
    }

    /// A connection is gone.
    pub(crate) fn forget_missed(&mut self, fd: Fd) {
        self.laggards.take(fd);
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

    /// Keeps a message to a topic that has a history, and gives it its id. Clients that are still behind are added to
    /// `except`, and get the message from the history. Returns how many there are.
    pub(crate) fn record<'a>(
        &mut self,
        topic: &Rc<str>,
        message: Message<'a>,
        except: &mut Vec<Fd>,
    ) -> (Message<'a>, usize) {
        let now = self.sessions.connections.now();
        let Some(number) =
            self.histories.record(topic, &message, now, self.sessions.config.history_bytes_max)
        else {
            return (message, 0);
        };
        let is_in = |returning: &&mut Returning| returning.joined.iter().any(|(name, _)| name == topic);
        let named = except.len();
        let mut laden = Vec::new();
        let laggards: Vec<Fd> = self.laggards.in_topic(topic).collect();
        for fd in laggards {
            if !except[..named].contains(&fd) {
                except.push(fd);
            } else if let Some(behind) = self.laggards.get_mut(fd) {
                behind.excepted.push(number.stamp);
                laden.extend((behind.excepted.len() > EXCEPTED_MAX).then_some(fd));
            }
        }
        laden.into_iter().for_each(|fd| self.catch_up(fd, usize::MAX));
        if let Some(returning) = self.returning.as_mut().filter(is_in) {
            match except.contains(&returning.fd) {
                false => except.push(returning.fd),
                true => returning.excepted.push(number.stamp),
            }
        }
        (self.with_ids(topic, message, number).in_order(), except.len() - named)
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
