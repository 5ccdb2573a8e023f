//! Users: which user a connection belongs to, and which users are in which topics. These are the verbs of the server;
//! the data is kept in `groups` and `presence`.

use crate::error::JoinError;
use crate::fd::Fd;
use crate::server::Deferred;
use crate::server::api::broadcast::{Broadcast, Target};
use crate::server::state::presence::Presence;
use crate::server::state::watches::Watched;
use crate::server::{Server, Stage};
use crate::session::fan_out::Reach;
use crate::session::message::Message;
use std::time::{Duration, Instant};

/// Users: a user is whatever name you [`bind`](Server::bind) to a connection, and may have any number of connections,
/// such as the tabs of a browser.
impl Server {
    /// Binds a connection to a user, by any name that is unique among your users. Returns false if it was bound to
    /// that user already. If it was another user's, it no longer is. Topics may be joined before or after.
    ///
    /// # Errors
    /// [`JoinError::Gone`], [`JoinError::Closing`] or [`JoinError::NotOpen`] if the connection is not established;
    /// [`JoinError::NameLength`] if the uid is empty or longer than
    /// [`Config::uid_bytes_max`](crate::Config::uid_bytes_max).
    ///
    /// ```no_run
    /// use swio::{Presence, Server};
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .on_open(|server, request| {
    ///         // A cookie or token that you check tells who it is.
    ///         let uid = request.header("X-User").unwrap_or("guest").to_owned();
    ///         server.bind(request.fd, &uid).ok();
    ///         server.join(request.fd, "lobby").ok();
    ///     })
    ///     .on_presence(|server, event| {
    ///         let verb = if event.kind == Presence::Joined { "is here" } else { "has left" };
    ///         server.publish(event.topic, format!("{} {verb}", event.uid)).send();
    ///     })
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn bind(&mut self, fd: Fd, uid: &str) -> Result<bool, JoinError> {
        self.bind_as(fd, uid, None)
    }

    /// Like [`bind`](Server::bind), and sets data of the user, such as its name and picture in JSON, in place of
    /// earlier data. [`on_presence`](crate::Handler::on_presence) and
    /// [`users_in_with_data`](Server::users_in_with_data) include it. It is dropped with the user, when the user has
    /// no connection any more and has left all topics.
    ///
    /// # Errors
    /// As for [`bind`](Server::bind), and [`JoinError::DataLength`] over
    /// [`Config::user_data_bytes_max`](crate::Config::user_data_bytes_max).
    ///
    /// ```no_run
    /// use swio::{Presence, Server};
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .on_open(|server, request| {
    ///         let fd = request.fd;
    ///         // Tell everybody who comes who is here.
    ///         let here: Vec<_> = server
    ///             .users_in_with_data("lobby")
    ///             .map(|(uid, name)| serde_json::json!({ "id": uid, "name": name }))
    ///             .collect();
    ///         server.push(fd, serde_json::json!(here).to_string()).ok();
    ///         server.bind_with(fd, "ada", "Ada Lovelace").ok();
    ///         server.join(fd, "lobby").ok();
    ///     })
    ///     .on_presence(|server, event| {
    ///         let kind = if event.kind == Presence::Joined { "member_added" } else { "member_removed" };
    ///         let told = serde_json::json!({ "event": kind, "id": event.uid, "name": event.data });
    ///         server.publish(event.topic, told.to_string()).send();
    ///     })
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn bind_with(&mut self, fd: Fd, uid: &str, data: &str) -> Result<bool, JoinError> {
        self.check_data(data)?;
        self.bind_as(fd, uid, Some(data))
    }

    /// Sets the data of a user in place of earlier data, or, with `None`, removes it. Returns false if there is no
    /// such user. Nobody is told of the change.
    ///
    /// # Errors
    /// [`JoinError::DataLength`] over [`Config::user_data_bytes_max`](crate::Config::user_data_bytes_max).
    pub fn set_user_data(&mut self, uid: &str, data: Option<&str>) -> Result<bool, JoinError> {
        self.check_data(data.unwrap_or_default())?;
        let Some(user) = self.rooms.users.find(uid) else { return Ok(false) };
        match data {
            Some(data) => self.rooms.data.insert(user, data.into()),
            None => self.rooms.data.remove(&user),
        };
        Ok(true)
    }

    /// The data of a user, as [`bind_with`](Server::bind_with) or [`set_user_data`](Server::set_user_data) set it.
    pub fn user_data(&self, uid: &str) -> Option<&str> {
        self.rooms.data.get(&self.rooms.users.find(uid)?).map(|data| &**data)
    }

    fn check_data(&self, data: &str) -> Result<(), JoinError> {
        let is_within = data.len() <= self.sessions.config.user_data_bytes_max;
        if is_within { Ok(()) } else { Err(JoinError::DataLength) }
    }

    fn bind_as(&mut self, fd: Fd, uid: &str, data: Option<&str>) -> Result<bool, JoinError> {
        self.check_joinable(fd, uid, self.sessions.config.uid_bytes_max)?;
        if let Some(user) = self.user_of(fd).filter(|user| &**self.rooms.users.name(*user) == uid) {
            data.map(|data| self.rooms.data.insert(user, data.into()));
            return Ok(false);
        }
        self.unbind(fd);
        let user = self.rooms.users.find_or_add(uid);
        self.rooms.users.add(fd, user);
        data.map(|data| self.rooms.data.insert(user, data.into()));
        for number in 0..self.rooms.topics.count_of(fd) {
            let topic = self.rooms.topics.nth_of(fd, number).expect("counted");
            self.enter(topic, user);
        }
        Ok(true)
    }

    /// Takes a connection from its user. Returns false if it had none. It stays in its topics.
    pub fn unbind(&mut self, fd: Fd) -> bool {
        let Some(user) = self.user_of(fd) else { return false };
        for number in 0..self.rooms.topics.count_of(fd) {
            let topic = self.rooms.topics.nth_of(fd, number).expect("counted");
            self.exit_for_good(topic, user);
        }
        self.rooms.remove_user(fd, user);
        true
    }

    /// The user of a connection, also in its `on_close`.
    pub fn uid(&self, fd: Fd) -> Option<&str> {
        match self.user_of(fd) {
            Some(user) => Some(self.rooms.users.name(user)),
            None => self.departed(fd)?.uid(),
        }
    }

    /// The connections of a user, in no order. A connection that is ending is included until just before its
    /// `on_close`: if there are none then, the user is gone.
    pub fn connections_of(&self, uid: &str) -> impl Iterator<Item = Fd> {
        let users = &self.rooms.users;
        users.find(uid).into_iter().flat_map(|user| users.members(user))
    }

    /// Sends a message to all established connections of a user, as [`broadcast`](Server::broadcast) does to all.
    /// Returns how many it reached.
    ///
    /// ```no_run
    /// # use swio::Server;
    /// fn remind(server: &mut Server) {
    ///     if server.push_to_user("ada", "your tea is ready").queued == 0 {
    ///         log::info!("ada is not here");
    ///     }
    /// }
    /// ```
    pub fn push_to_user<'a>(&mut self, uid: &str, message: impl Into<Message<'a>>) -> Reach {
        self.for_user(uid, message).send()
    }

    /// Like [`push_to_user`](Server::push_to_user), but some connections can be left out. Call
    /// [`send`](Broadcast::send) on the result.
    ///
    /// ```no_run
    /// # use swio::{Frame, Server};
    /// fn sync_my_other_tabs(server: &mut Server, frame: Frame<'_>) {
    ///     let Some(uid) = server.uid(frame.fd).map(str::to_owned) else { return };
    ///     server.for_user(&uid, frame.data).except(frame.fd).send();
    /// }
    /// ```
    pub fn for_user<'a>(&mut self, uid: &str, message: impl Into<Message<'a>>) -> Broadcast<'_, 'a> {
        let target = self.rooms.users.find(uid).map_or(Target::Nobody, Target::User);
        Broadcast::new(self, target, message.into())
    }

    /// The users in a topic, each once, in no order: those with a connection in it, and those who had one less than
    /// [`Config::presence_grace`](crate::Config::presence_grace) ago. Connections without a [user](Server::bind) are
    /// not counted.
    pub fn users_in(&self, topic: &str) -> impl Iterator<Item = &str> {
        let users = self.rooms.topics.find(topic).map_or(&[][..], |topic| self.rooms.roster.users(topic));
        users.iter().map(|user| &**self.rooms.users.name(*user))
    }

    /// The same with the data of each user, as [`bind_with`](Server::bind_with) or
    /// [`set_user_data`](Server::set_user_data) set it.
    pub fn users_in_with_data(&self, topic: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
        let rooms = &self.rooms;
        let users = rooms.topics.find(topic).map_or(&[][..], |topic| rooms.roster.users(topic));
        users.iter().map(|user| (&**rooms.users.name(*user), rooms.data.get(user).map(|data| &**data)))
    }

    pub(crate) fn user_of(&self, fd: Fd) -> Option<u32> {
        self.rooms.users.nth_of(fd, 0)
    }

    /// One more connection of the user is in the topic.
    pub(crate) fn enter(&mut self, topic: u32, user: u32) {
        let rooms = &mut self.rooms;
        if rooms.roster.enter(topic, user) {
            rooms.topics.pin(topic);
            rooms.users.pin(user);
            self.tell_presence(topic, user, Presence::Joined);
        }
    }

    /// One connection of the user less, on purpose: it is not expected to come back.
    pub(crate) fn exit_for_good(&mut self, topic: u32, user: u32) {
        if self.rooms.roster.exit_for_good(topic, user) {
            self.tell_left(topic, user);
        }
    }

    /// A connection has ended, and its user may be back in a moment.
    pub(crate) fn lose(&mut self, fd: Fd) {
        let Some(user) = self.user_of(fd) else { return };
        for topic in self.rooms.topics.groups_of(fd) {
            self.rooms.roster.exit(topic, user, self.sessions.connections.now());
        }
        self.rooms.remove_user(fd, user);
        self.settle_absences();
    }

    fn tell_left(&mut self, topic: u32, user: u32) {
        self.tell_presence(topic, user, Presence::Left);
        self.rooms.topics.unpin(topic);
        self.rooms.release_user(user);
    }

    /// Tells the handlers that watch the topic.
    fn tell_presence(&mut self, topic: u32, user: u32, presence: Presence) {
        let rooms = &self.rooms;
        let name = rooms.topics.name(topic);
        if rooms.watchers.has(Watched::Presence, name) {
            let (uid, data) = (rooms.users.name(user).clone(), rooms.data.get(&user).cloned());
            self.deferred.push(Deferred::Presence(name.clone(), uid, data, presence));
        }
    }

    /// How long a user may be absent before it counts as gone. When the server stops, nobody comes back.
    fn grace(&self) -> Duration {
        if self.stage == Stage::Serving { self.sessions.config.presence_grace } else { Duration::ZERO }
    }

    /// When the next absence may have been too long.
    pub(crate) fn next_absence(&self) -> Option<Instant> {
        self.rooms.roster.next(self.grace())
    }

    /// Users that were absent for too long have left.
    pub(crate) fn settle_absences(&mut self) {
        let (now, grace) = (self.sessions.connections.now(), self.grace());
        let most = self.sessions.config.presence_absences_max;
        while let Some((topic, user)) = self.rooms.roster.pop(now, grace, most) {
            self.tell_left(topic, user);
        }
    }
}
