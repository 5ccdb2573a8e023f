//! Topics, which connections join and leave and to which messages are published. These are the verbs of the server;
//! the members are kept in `groups`.

use crate::error::{JoinError, PushError};
use crate::fd::Fd;
use crate::server::api::broadcast::{Broadcast, Target};
use crate::server::state::rooms::{Departed, TopicEvent};
use crate::server::state::watches::{Watched, Watches};
use crate::server::{Deferred, Server};
use crate::session::message::Message;
use std::rc::Rc;

/// Topics: named groups of connections. A topic is created by the first that joins and removed with the last that
/// leaves. A connection leaves all of its topics when it ends.
impl Server {
    /// Puts a connection into a topic. Returns false if it is in it already. Names are compared byte for byte.
    ///
    /// # Errors
    /// [`JoinError::Gone`], [`JoinError::Closing`] or [`JoinError::NotOpen`] if the connection is not established;
    /// [`JoinError::NameLength`], [`JoinError::ConnectionFull`] or [`JoinError::TopicsFull`] over a limit of
    /// [`Config`](crate::Config).
    ///
    /// ```no_run
    /// use swio::Server;
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .on_open(|server, request| {
    ///         let room = request.path().to_owned();
    ///         if let Err(error) = server.join(request.fd, &room) {
    ///             server.disconnect(request.fd, 1008, &error.to_string());
    ///         }
    ///     })
    ///     .on_message(|server, frame| {
    ///         let rooms: Vec<String> = server.topics_of(frame.fd).map(str::to_owned).collect();
    ///         for room in rooms {
    ///             server.publish(&room, frame.data).except(frame.fd).send();
    ///         }
    ///     })
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn join(&mut self, fd: Fd, topic: &str) -> Result<bool, JoinError> {
        self.check_joinable(fd, topic, self.sessions.config.topic_bytes_max)?;
        let (name, topics) = (topic, &mut self.rooms.topics);
        let known = topics.find(topic);
        if known.is_some_and(|known| topics.contains(fd, known)) {
            return Ok(false);
        }
        if topics.count_of(fd) >= self.sessions.config.topics_per_connection_max {
            return Err(JoinError::ConnectionFull);
        }
        if known.is_none() && topics.len() >= self.sessions.config.topics_max {
            return Err(JoinError::TopicsFull);
        }
        let topic = known.unwrap_or_else(|| topics.find_or_add(topic));
        if topics.add(fd, topic) == 1 {
            self.tell_topic(topic, TopicEvent::Occupied);
        }
        if let Some(user) = self.user_of(fd) {
            self.enter(topic, user);
        }
        self.note_join(fd, name);
        Ok(true)
    }

    /// Takes a connection out of a topic. Returns false if it is not in it.
    pub fn leave(&mut self, fd: Fd, topic: &str) -> bool {
        let Some(topic) =
            self.rooms.topics.find(topic).filter(|topic| self.rooms.topics.contains(fd, *topic))
        else {
            return false;
        };
        if let Some(user) = self.user_of(fd) {
            self.exit_for_good(topic, user);
        }
        let name = self.take_out(fd, topic);
        self.note_leave(fd, &name);
        true
    }

    /// Sends a message to every established connection in a topic, as [`broadcast`](Server::broadcast) does to all.
    /// The publisher need not be in the topic. A topic without members is no error.
    ///
    /// ```no_run
    /// # use swio::{Frame, Server};
    /// fn say(server: &mut Server, frame: Frame<'_>) {
    ///     let reach = server.publish("lobby", frame.data).except(frame.fd).send();
    ///     server.push(frame.fd, format!("{} others were told", reach.queued)).ok();
    /// }
    /// ```
    pub fn publish<'a>(&mut self, topic: &str, message: impl Into<Message<'a>>) -> Broadcast<'_, 'a> {
        let target = self.rooms.topics.find(topic).map_or(Target::Nobody, Target::Topic);
        let history = self.histories.name(topic);
        Broadcast::new(self, target, message.into()).kept_in(history)
    }

    /// The connections in a topic, in no order. A connection that is ending is included until just before its
    /// `on_close`.
    pub fn members(&self, topic: &str) -> impl Iterator<Item = Fd> {
        let topics = &self.rooms.topics;
        topics.find(topic).into_iter().flat_map(|topic| topics.members(topic))
    }

    /// How many connections are in a topic.
    pub fn member_count(&self, topic: &str) -> usize {
        self.rooms.topics.find(topic).map_or(0, |topic| self.rooms.topics.count(topic))
    }

    /// Whether a connection is in a topic.
    pub fn is_member(&self, fd: Fd, topic: &str) -> bool {
        self.rooms.topics.find(topic).is_some_and(|topic| self.rooms.topics.contains(fd, topic))
    }

    /// The topics that a connection is in, in no order; in its `on_close`, those that it has just left.
    pub fn topics_of(&self, fd: Fd) -> impl Iterator<Item = &str> {
        let topics = &self.rooms.topics;
        let left = self.departed(fd).into_iter().flat_map(|departed| &departed.topics);
        topics.groups_of(fd).map(|topic| topics.name(topic)).chain(left).map(|name| &**name)
    }

    /// All topics that have members, each with its number of connections, in no order.
    pub fn topics(&self) -> impl Iterator<Item = (&str, usize)> {
        self.rooms.topics.occupied(0).map(|(_, name, count)| (&**name, count))
    }

    /// Up to `limit` topics from `cursor` on, with their numbers of connections, and the cursor of the next page,
    /// `None` after the last. The first cursor is 0. This is the way to show very many over several turns: a topic
    /// that exists all the time is on exactly one page, whatever is created or removed meanwhile.
    ///
    /// ```no_run
    /// # use swio::Server;
    /// fn list(server: &Server) {
    ///     let mut cursor = Some(0);
    ///     while let Some(start) = cursor {
    ///         let (topics, next) = server.topics_page(start, 100);
    ///         for (topic, count) in topics {
    ///             println!("{topic}: {count}");
    ///         }
    ///         cursor = next;
    ///     }
    /// }
    /// ```
    pub fn topics_page(&self, cursor: u32, limit: usize) -> (Vec<(&str, usize)>, Option<u32>) {
        let mut topics = self.rooms.topics.occupied(cursor);
        let page = topics.by_ref().take(limit).map(|(_, name, count)| (&**name, count)).collect();
        (page, topics.next().map(|(place, ..)| place))
    }

    pub(crate) fn check_joinable(&self, fd: Fd, name: &str, bytes_max: usize) -> Result<(), JoinError> {
        self.sessions.check_established(fd).map_err(|error| match error {
            PushError::Closing => JoinError::Closing,
            PushError::NotOpen => JoinError::NotOpen,
            _ => JoinError::Gone,
        })?;
        match name.len() {
            len if len == 0 || len > bytes_max => Err(JoinError::NameLength),
            _ => Ok(()),
        }
    }

    pub(crate) fn departed(&self, fd: Fd) -> Option<&Departed> {
        self.rooms.departed.as_ref().filter(|departed| departed.fd == fd)
    }

    /// Takes a member out of a topic. If it belongs to a user, the user's presence must have been updated before.
    fn take_out(&mut self, fd: Fd, topic: u32) -> Rc<str> {
        let name = self.rooms.topics.name(topic).clone();
        if self.rooms.topics.count(topic) == 1 {
            self.tell_topic(topic, TopicEvent::Vacated);
        }
        self.rooms.topics.remove(fd, topic);
        name
    }

    /// Tells the handlers that watch the topic.
    fn tell_topic(&mut self, topic: u32, event: TopicEvent) {
        let name = self.rooms.topics.name(topic);
        if self.rooms.watchers.has(Watched::Topics, name) {
            self.deferred.push(Deferred::Topic(name.clone(), event));
        }
    }

    /// Sets the topics that the handler whose callback runs hears of from now on, in place of what its
    /// [`watches`](crate::Handler::watches) returned. Topics that nobody watches cost nothing.
    ///
    /// ```no_run
    /// # use swio::{Frame, Server, Watches};
    /// fn listen_in(server: &mut Server, frame: Frame<'_>) {
    ///     let prefix = format!("app/{}/", frame.data);
    ///     server.watch(Watches::topics_with_prefix(prefix));
    /// }
    /// ```
    pub fn watch(&mut self, watches: Watches) {
        self.rooms.watchers.set(self.route, watches);
    }

    /// A connection has ended: it leaves its topics and its user. What it was in is known until
    /// [`forget_departed`](Server::forget_departed).
    pub(crate) fn depart(&mut self, fd: Fd) {
        let count = self.rooms.topics.count_of(fd);
        if count == 0 && self.rooms.users.count_of(fd) == 0 {
            return;
        }
        let uid = self.uid(fd).map(Rc::from);
        self.lose(fd);
        let mut topics = Vec::with_capacity(count);
        // From the last one on, so that none has to move up.
        for number in (0..count).rev() {
            let topic = self.rooms.topics.nth_of(fd, number).expect("counted");
            topics.push(self.take_out(fd, topic));
        }
        self.rooms.departed = Some(Departed { fd, topics, uid });
    }

    pub(crate) fn forget_departed(&mut self) {
        self.rooms.departed = None;
    }
}
