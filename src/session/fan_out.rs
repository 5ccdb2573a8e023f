//! One message to many: encoded once for each way that it is told, queued for each.

use crate::codec::ws::Role;
use crate::error::PushError;
use crate::fd::Fd;
use crate::net::connection::Connection;
use crate::net::outbox::Encoded;
use crate::net::output::Delivery;
use crate::session::Sessions;
use crate::session::census::Kind;
use crate::session::message::Message;
use crate::session::state::{Marks, Phase, Session, WebSocket};
use std::cell::RefCell;

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

/// What is particular to one fan-out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) except: &'a [Fd],
    /// All connections are meant: then those that were opened from here are not.
    pub(crate) is_for_all: bool,
    /// It is kept in a history.
    pub(crate) is_kept: bool,
}

impl Sessions {
    /// Queues a message for the connections at these places.
    pub(crate) fn fan_out(
        &mut self,
        indices: impl Iterator<Item = u32> + Clone,
        message: &Message<'_>,
        scope: Scope<'_>,
    ) -> Reach {
        let Scope { except, is_for_all, is_kept } = scope;
        let (frame, shared) = message.frame();
        let others = RefCell::new(Others::default());
        let wants = |connection: &Connection<Session>| {
            let Session::WebSocket(websocket) = &connection.session else { return false };
            if websocket.phase != Phase::Open || except.contains(&connection.fd) {
                return false;
            }
            let is_plain = websocket.is_plain();
            if !is_plain {
                others.borrow_mut().note(connection.fd, websocket, is_for_all, is_kept);
            }
            is_plain
        };
        let mut reach = self.fan_out_run(indices.clone(), &frame, shared, message.delivery(), wants);
        let Others { outgoing, unfinished, waiting } = others.into_inner();
        reach.unfinished = unfinished;
        if self.census[Kind::Tcp] > 0 {
            self.fan_out_packages(indices.clone(), message, except, &mut reach);
        }
        self.fan_out_labelled(indices, message, except, &mut reach);
        if !waiting.is_empty() {
            self.hold_back_kept(message, waiting, &mut reach);
        }
        for fd in outgoing {
            match self.push(fd, message.clone()) {
                Ok(()) => reach.queued += 1,
                Err(PushError::Unfinished) => reach.unfinished += 1,
                Err(_) => reach.refused += 1,
            }
        }
        reach
    }

    /// Queues one run for each at these places that `wants` it.
    pub(crate) fn fan_out_run(
        &mut self,
        indices: impl Iterator<Item = u32>,
        run: &[u8],
        shared: Option<Encoded>,
        delivery: Delivery,
        wants: impl Fn(&Connection<Session>) -> bool,
    ) -> Reach {
        let (queued, refused) = self.connections.fan_out(run, shared, delivery, indices, wants);
        self.stats.messages_sent += queued as u64;
        let reach = Reach { queued, refused: refused.len(), ..Reach::default() };
        for (fd, refused) in refused {
            self.refused(fd, refused);
        }
        reach
    }
}
