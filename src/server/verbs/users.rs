//! Users: whose a connection is, and which users are in which topics. Verbs of the server; who is where is kept in
//! `groups` and `presence`.

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

/// Users: a user is whoever you say by [`bind`](Server::bind), with any number of connections, such as the tabs of a
/// browser.
impl Server {
    /// Says whose connection this is, by any name that tells your users apart; false where that was known. It is
    /// another user's no more, if it was. Topics may be joined before or after.
    ///
    /// # Errors
    /// [`JoinError::Gone`], [`JoinError::Closing`] or [`JoinError::NotWebSocket`] by what the fd names;
    /// [`JoinError::NameLength`] where the uid is empty or longer than
    /// [`Config::uid_bytes_max`](crate::Config::uid_bytes_max).
    ///
    /// ```no_run
    /// use swio::{Presence, Server};
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .on_open(|server, request| {
    ///         // Who it is a cookie or token tells, checked by you.
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

    /// As [`bind`](Server::bind), with data of the user's, such as name and picture in JSON. It replaces what the user
    /// had before. [`on_presence`](crate::Handler::on_presence) and
    /// [`users_in_with_data`](Server::users_in_with_data) give it along. It is forgotten with the user: when there is
    /// no connection any more and all topics are left.
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
    ///         // Whoever comes is told who is here.
    ///         let here: Vec<String> = server
    ///             .users_in_with_data("lobby")
    ///             .map(|(uid, data)| format!("{{\"id\":{uid:?},\"info\":{}}}", data.unwrap_or("null")))
    ///             .collect();
    ///         server.push(fd, format!("[{}]", here.join(","))).ok();
    ///         server.bind_with(fd, "ada", r#"{"name":"Ada Lovelace"}"#).ok();
    ///         server.join(fd, "lobby").ok();
    ///     })
    ///     .on_presence(|server, event| {
    ///         let name = if event.kind == Presence::Joined { "member_added" } else { "member_removed" };
    ///         let info = event.data.unwrap_or("null");
    ///         server.publish(event.topic, format!("{{\"event\":{name:?},\"info\":{info}}}")).send();
    ///     })
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn bind_with(&mut self, fd: Fd, uid: &str, data: &str) -> Result<bool, JoinError> {
        self.check_data(data)?;
        self.bind_as(fd, uid, Some(data))
    }

    /// Says something of a user in place of what was said before, or, with `None`, nothing any more; false where there
    /// is no such user. Nobody is told of that.
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

    /// What was said of a user, by [`bind_with`](Server::bind_with) or [`set_user_data`](Server::set_user_data).
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

    /// Makes the connection nobody's; false where it is that already. It stays in its topics.
    pub fn unbind(&mut self, fd: Fd) -> bool {
        let Some(user) = self.user_of(fd) else { return false };
        for number in 0..self.rooms.topics.count_of(fd) {
            let topic = self.rooms.topics.nth_of(fd, number).expect("counted");
            self.exit_for_good(topic, user);
        }
        self.rooms.remove_user(fd, user);
        true
    }

    /// Whose connection this is, also in its `on_close`.
    pub fn uid(&self, fd: Fd) -> Option<&str> {
        match self.user_of(fd) {
            Some(user) => Some(self.rooms.users.name(user)),
            None => self.departed(fd)?.uid(),
        }
    }

    /// The connections of a user, in no order. One that is ending is among them until just before its `on_close`: where
    /// there are none then, the user is gone.
    pub fn connections_of(&self, uid: &str) -> impl Iterator<Item = Fd> {
        let users = &self.rooms.users;
        users.find(uid).into_iter().flat_map(|user| users.members(user))
    }

    /// Sends a message to all established connections of a user, encoded once: how many it reached.
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
        let target = self.rooms.users.find(uid).map_or(Target::Nobody, Target::User);
        Broadcast::new(self, target, message.into()).send()
    }

    /// The users in a topic, each once, in no order: those with a connection in it, and those who had one less than
    /// [`Config::presence_grace`](crate::Config::presence_grace) ago. Connections that are
    /// [bound](Server::bind) to nobody are not counted.
    pub fn users_in(&self, topic: &str) -> impl Iterator<Item = &str> {
        let users = self.rooms.topics.find(topic).map_or(&[][..], |topic| self.rooms.roster.users(topic));
        users.iter().map(|user| &**self.rooms.users.name(*user))
    }

    /// The same with what was said of each, by [`bind_with`](Server::bind_with) or
    /// [`set_user_data`](Server::set_user_data).
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
            rooms.topics.hold(topic);
            rooms.users.hold(user);
            self.tell_presence(topic, user, Presence::Joined);
        }
    }

    /// One less, by intent: nothing speaks for its coming back.
    pub(crate) fn exit_for_good(&mut self, topic: u32, user: u32) {
        if self.rooms.roster.exit_for_good(topic, user) {
            self.tell_left(topic, user);
        }
    }

    /// A connection has ended, and the user may be back in a moment.
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
        self.rooms.topics.release(topic);
        self.rooms.release_user(user);
    }

    /// Has those told who watch the topic.
    fn tell_presence(&mut self, topic: u32, user: u32, presence: Presence) {
        let rooms = &self.rooms;
        let name = rooms.topics.name(topic);
        if rooms.watchers.has(Watched::Presence, name) {
            let (uid, data) = (rooms.users.name(user).clone(), rooms.data.get(&user).cloned());
            self.deferred.push(Deferred::Presence(name.clone(), uid, data, presence));
        }
    }

    /// How long whoever goes may be absent. When the server stops nobody comes back.
    fn grace(&self) -> Duration {
        if self.stage == Stage::Serving { self.sessions.config.presence_grace } else { Duration::ZERO }
    }

    /// When an absence may have been too long.
    pub(crate) fn next_absence(&self) -> Option<Instant> {
        self.rooms.roster.next(self.grace())
    }

    /// Whoever was absent for too long has left.
    pub(crate) fn settle_absences(&mut self) {
        let (now, grace) = (self.sessions.connections.now(), self.grace());
        let most = self.sessions.config.presence_absences_max;
        while let Some((topic, user)) = self.rooms.roster.pop(now, grace, most) {
            self.tell_left(topic, user);
        }
    }
}
