//! One message to many: encoded once, queued for each.

use crate::codec::ws::Role;
use crate::error::PushError;
use crate::fd::Fd;
use crate::net::connection::Connection;
use crate::net::outbox::Encoded;
use crate::net::output::Delivery;
use crate::server::Server;
use crate::server::api::message::Message;
use crate::server::census::Kind;
use crate::server::session::{Marks, Phase, Session, WebSocket};
use std::cell::RefCell;
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
    /// Raw TCP connections whose [`Framing`](crate::Framing) has no way to send this message.
    pub unsendable: usize,
}

/// WebSockets that are meant, but can't be given the frame that all others are.
#[derive(Debug, Default)]
struct Others {
    /// Each of their frames needs a mask of its own.
    outgoing: Vec<Fd>,
    /// How many are in the middle of a message.
    unfinished: usize,
    /// They are too, but get it behind that.
    waiting: Vec<Fd>,
}

impl Others {
    #[cold]
    fn note(&mut self, fd: Fd, websocket: &WebSocket, is_for_all: bool, is_kept: bool) {
        let is_unfinished = websocket.marks.has(Marks::UNFINISHED);
        if websocket.role() == Role::Client {
            if !is_for_all {
                self.outgoing.push(fd);
            }
        } else if is_unfinished && is_kept && websocket.marks.has(Marks::LABELLED) {
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

    /// Queues the message for each of them.
    pub fn send(self) -> Reach {
        let Broadcast { server, target, mut message, mut except, history } = self;
        let is_kept = history.is_some();
        let mut is_brought_later = false;
        if let Some(topic) = history {
            (message, is_brought_later) = server.record(&topic, message, &mut except);
        }
        if let (Target::Topic(topic), true) = (target, server.census.has_labels()) {
            message = message.topic(server.rooms.topics.name(topic));
        }
        let (frame, shared) = message.frame();
        let others = RefCell::new(Others::default());
        let is_for_all = matches!(target, Target::All);
        let wants = |fd: Fd, connection: &Connection<Session>| {
            let Session::WebSocket(websocket) = &connection.session else { return false };
            if websocket.phase != Phase::Open || except.contains(&fd) {
                return false;
            }
            let is_plain = websocket.is_plain();
            if !is_plain {
                others.borrow_mut().note(fd, websocket, is_for_all, is_kept);
            }
            is_plain
        };
        let mut reach = server.fan_out(target, &frame, shared, message.delivery(), wants);
        let Others { outgoing, unfinished, waiting } = others.into_inner();
        reach.unfinished = unfinished;
        reach.queued += usize::from(is_brought_later);
        if server.census[Kind::Tcp] > 0 {
            server.fan_out_packages(target, &message, &except, &mut reach);
        }
        server.fan_out_labelled(target, &message, &except, &mut reach);
        if !waiting.is_empty() {
            server.hold_back_kept(&message, waiting, &mut reach);
        }
        for fd in outgoing {
            match server.push(fd, message.clone()) {
                Ok(()) => reach.queued += 1,
                Err(PushError::Unfinished) => reach.unfinished += 1,
                Err(_) => reach.refused += 1,
            }
        }
        reach
    }
}

impl Server {
    /// Queues one run for each that is meant and that `wants` it.
    pub(crate) fn fan_out(
        &mut self,
        target: Target,
        run: &[u8],
        shared: Option<Encoded>,
        delivery: Delivery,
        wants: impl Fn(Fd, &Connection<Session>) -> bool,
    ) -> Reach {
        let Server { connections, rooms, .. } = self;
        let (queued, refused) = match target {
            Target::All => {
                let live = connections.live();
                connections.fan_out(run, shared, delivery, live.iter(1), wants)
            }
            Target::Topic(topic) => {
                connections.fan_out(run, shared, delivery, rooms.topics.indices(topic), wants)
            }
            Target::User(user) => {
                connections.fan_out(run, shared, delivery, rooms.users.indices(user), wants)
            }
            Target::Nobody => return Reach::default(),
        };
        self.stats.messages_sent += queued as u64;
        let reach = Reach { queued, refused: refused.len(), ..Reach::default() };
        for (fd, refused) in refused {
            self.refused(fd, refused);
        }
        reach
    }
}
