//! One message to many: one pass over those who are meant, in which it is encoded once for each format.

use crate::error::PushError;
use crate::fd::Fd;
use crate::net::connection::Connection;
use crate::net::fan_out::FanOut;
use crate::server::Server;
use crate::server::api::message::Message;
use crate::server::formats::FormatId;
use crate::server::session::{Marks, Phase, Session, WebSocket};
use std::rc::Rc;

/// A message on its way to every established connection, or every one in a topic; see
/// [`broadcast`](Server::broadcast) and [`publish`](Server::publish).
#[must_use = "it goes out when it is sent"]
#[derive(Debug)]
pub struct Broadcast<'s, 'm> {
    server: &'s mut Server,
    target: Target,
    message: Message<'m>,
    except: Vec<Fd>,
    /// The topic that keeps it.
    history: Option<Rc<str>>,
}

/// Who is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    All,
    Topic(u32),
    User(u32),
    Nobody,
}

/// How many a message reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Connections whose outbox took the message.
    pub queued: usize,
    /// Connections whose outbox was full: they did not get it, and where the policy is
    /// [`SlowConsumer::Close`](crate::SlowConsumer::Close) they are being closed.
    pub refused: usize,
    /// Connections that did not get it because a message to them is not finished; see
    /// [`push_part`](Server::push_part).
    pub unfinished: usize,
    /// Connections for which the message has no form: raw TCP whose [`Framing`](crate::Framing) has no way to send it,
    /// and those whose [`Envelope`](crate::Envelope) makes nothing of it.
    pub unsendable: usize,
}

/// WebSockets that are meant, but can't be given what all others of their format are.
#[derive(Debug, Default)]
struct Others {
    /// Each of their frames needs a mask of its own.
    outgoing: Vec<Fd>,
    /// How many are in the middle of a message.
    unfinished: usize,
    /// They are too, but get it after that.
    waiting: Vec<Fd>,
}

impl Others {
    /// The key of what a connection gets; `None` where it gets nothing, or what all others of its format do not.
    #[inline(never)]
    fn judge(&mut self, fd: Fd, session: &Session, is_for_all: bool, is_kept: bool) -> Option<u8> {
        match session {
            Session::WebSocket(websocket) if websocket.phase == Phase::Open => {
                self.note(fd, websocket, is_for_all, is_kept);
                None
            }
            Session::WebSocket(_) => None,
            session => session.format().map(|format| format.0),
        }
    }

    fn note(&mut self, fd: Fd, websocket: &WebSocket, is_for_all: bool, is_kept: bool) {
        let is_unfinished = websocket.marks.has(Marks::UNFINISHED);
        if websocket.format == FormatId::MASKED {
            if !is_for_all {
                self.outgoing.push(fd);
            }
        } else if is_unfinished && is_kept && websocket.format == FormatId::LABELLED {
            self.waiting.push(fd);
        } else {
            self.unfinished += usize::from(is_unfinished);
        }
    }
}

impl<'s, 'm> Broadcast<'s, 'm> {
    pub(crate) fn new(server: &'s mut Server, target: Target, message: Message<'m>) -> Broadcast<'s, 'm> {
        Broadcast { server, target, message, except: Vec::new(), history: None }
    }

    /// It is kept in this topic's history.
    pub(crate) fn kept_in(mut self, topic: Option<Rc<str>>) -> Self {
        self.history = topic;
        self
    }

    /// Leaves one connection out; may be called for several.
    pub fn except(mut self, fd: Fd) -> Self {
        self.except.push(fd);
        self
    }

    /// Leaves connections out, any number of them and in any order.
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

    /// Queues the message for each of them.
    pub fn send(self) -> Reach {
        let Broadcast { server, target, mut message, mut except, history } = self;
        let is_kept = history.is_some();
        let mut is_brought_later = false;
        if let Some(topic) = history {
            (message, is_brought_later) = server.record(&topic, message, &mut except);
        }
        // To be searched for each member.
        except.sort_unstable();
        let mut reach = server.fan_out(target, message, &except, is_kept);
        reach.queued += usize::from(is_brought_later);
        reach
    }
}

#[inline(never)]
fn is_among(sorted: &[Fd], fd: Fd) -> bool {
    sorted.binary_search(&fd).is_ok()
}

impl Server {
    /// `except` is sorted.
    fn fan_out(&mut self, target: Target, mut message: Message<'_>, except: &[Fd], is_kept: bool) -> Reach {
        let Server { connections, rooms, formats, .. } = self;
        let is_for_all = matches!(target, Target::All);
        let topic = match target {
            Target::Topic(topic) => Some(rooms.topics.name(topic)),
            _ => None,
        };
        let delivery = message.delivery();
        let mut others = Others::default();
        // To leave out the sender alone is what most do.
        let (only, except) = match except {
            [only] => (Some(*only), &[][..]),
            except => (None, except),
        };
        let choose = |connection: &Connection<Session>| {
            if only == Some(connection.fd) || !except.is_empty() && is_among(except, connection.fd) {
                return None;
            }
            // What most connections need is done here, and as little as can be.
            match &connection.session {
                Session::WebSocket(websocket) if websocket.is_shared_now() => Some(websocket.format.0),
                session => others.judge(connection.fd, session, is_for_all, is_kept),
            }
        };
        let encode = |format| {
            let format = FormatId(format);
            if let Some(topic) = topic.filter(|_| formats[format].reads_topic() && message.topic().is_none())
            {
                message.set_topic(topic);
            }
            formats.run(format, &message)
        };
        let result = match target {
            Target::All => connections.fan_out(delivery, 1..connections.index_end(), choose, encode),
            Target::Topic(topic) => {
                connections.fan_out(delivery, rooms.topics.indices(topic), choose, encode)
            }
            Target::User(user) => connections.fan_out(delivery, rooms.users.indices(user), choose, encode),
            Target::Nobody => return Reach::default(),
        };
        if let (Some(topic), false) = (topic, others.waiting.is_empty()) {
            message.set_topic(topic);
        }
        let mut reach = self.settle(result);
        reach.unfinished = others.unfinished;
        if !others.waiting.is_empty() {
            self.hold_back_kept(&message, others.waiting, &mut reach);
        }
        for fd in others.outgoing {
            match self.push(fd, message.clone()) {
                Ok(()) => reach.queued += 1,
                Err(PushError::Unfinished) => reach.unfinished += 1,
                Err(_) => reach.refused += 1,
            }
        }
        reach
    }

    /// Counts what became of a pass, and closes whom the policy wants closed.
    fn settle(&mut self, result: FanOut) -> Reach {
        let FanOut { queued, empty, unsendable, refused } = result;
        self.stats.messages_sent += queued as u64;
        if unsendable > 0 {
            log::debug!("a message has no form for {unsendable} of its receivers, and is not sent to them");
        }
        let reach = Reach { queued: queued + empty, refused: refused.len(), unsendable, unfinished: 0 };
        for (fd, refused) in refused {
            self.refused(fd, refused);
        }
        reach
    }
}
