//! Sending one message to many connections: which ones, and whether it is kept.

use crate::fd::Fd;
use crate::server::Server;
use crate::session::fan_out::{Reach, Scope};
use crate::session::message::Message;
use std::rc::Rc;

/// A message that is about to be sent to every established connection, or to every one in a topic or of a user; see
/// [`broadcast`](Server::broadcast), [`publish`](Server::publish) and [`for_user`](Server::for_user).
#[must_use = "it goes out when it is sent"]
#[derive(Debug)]
pub struct Broadcast<'s, 'm> {
    server: &'s mut Server,
    target: Target,
    message: Message<'m>,
    except: Vec<Fd>,
    /// The topic whose history keeps it.
    history: Option<Rc<str>>,
}

/// The connections that are meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    All,
    Topic(u32),
    User(u32),
    Nobody,
}

impl<'s, 'm> Broadcast<'s, 'm> {
    pub(crate) fn new(server: &'s mut Server, target: Target, message: Message<'m>) -> Broadcast<'s, 'm> {
        Broadcast { server, target, message, except: Vec::new(), history: None }
    }

    /// Keeps it in this topic's history.
    pub(crate) fn kept_in(mut self, topic: Option<Rc<str>>) -> Self {
        self.history = topic;
        self
    }

    /// Leaves one connection out; may be called for several.
    pub fn except(mut self, fd: Fd) -> Self {
        self.except.push(fd);
        self
    }

    /// Leaves out any number of connections, in any order.
    ///
    /// ```no_run
    /// # use swio::{Fd, Server};
    /// fn tell_the_others(server: &mut Server, team: &[Fd]) {
    ///     server.broadcast("the others are on the move").except_all(team.iter().copied()).send();
    /// }
    /// ```
    pub fn except_all(mut self, fds: impl IntoIterator<Item = Fd>) -> Self {
        self.except.extend(fds);
        self
    }

    /// Queues the message for each connection that is meant.
    pub fn send(self) -> Reach {
        let Broadcast { server, target, mut message, mut except, history } = self;
        let is_kept = history.is_some();
        let mut brought_later = 0;
        if let Some(topic) = history {
            (message, brought_later) = server.record(&topic, message, &mut except);
        }
        // Sorted, because it is searched for each member.
        except.sort_unstable();
        let Server { sessions, rooms, .. } = server;
        let scope = Scope { topic: None, except: &except, is_for_all: false, is_kept };
        let mut reach = match target {
            Target::All => {
                let live = sessions.connections.live();
                sessions.fan_out(live.iter(1), message, Scope { is_for_all: true, ..scope })
            }
            Target::Topic(topic) => {
                let scope = Scope { topic: Some(rooms.topics.name(topic)), ..scope };
                sessions.fan_out(rooms.topics.indices(topic), message, scope)
            }
            Target::User(user) => sessions.fan_out(rooms.users.indices(user), message, scope),
            Target::Nobody => Reach::default(),
        };
        reach.queued += brought_later;
        reach
    }
}

impl Server {
    /// Sends a message to every established connection. Call [`send`](Broadcast::send) on the result, after
    /// [`except`](Broadcast::except) if some are to be left out. The message is encoded once for each form in which a
    /// receiver gets it, such as that of plain WebSockets, of event streams or of an [`Envelope`](crate::Envelope).
    ///
    /// ```no_run
    /// # use swio::{Frame, Server};
    /// fn relay(server: &mut Server, frame: Frame<'_>) {
    ///     server.broadcast(frame.data).except(frame.fd).send();
    /// }
    /// ```
    pub fn broadcast<'a>(&mut self, message: impl Into<Message<'a>>) -> Broadcast<'_, 'a> {
        Broadcast::new(self, Target::All, message.into())
    }
}
