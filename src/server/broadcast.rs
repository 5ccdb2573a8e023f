//! One message to everybody: encoded once, queued for each.

use super::Server;
use super::message::Message;
use super::session::{Phase, Session, WebSocket};
use crate::fd::Fd;
use std::cell::Cell;

/// A message on its way to every established connection; see [`broadcast`](Server::broadcast).
#[must_use = "a broadcast goes out when it is sent"]
#[derive(Debug)]
pub struct Broadcast<'s, 'm> {
    server: &'s mut Server,
    message: Message<'m>,
    except: Vec<Fd>,
}

/// How many a broadcast reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Connections whose outbox took the message.
    pub queued: usize,
    /// Connections whose outbox was full: they did not get it, and unless the policy is
    /// [`SlowConsumer::Refuse`](crate::SlowConsumer::Refuse) they are being closed.
    pub refused: usize,
    /// Connections that did not get it because a message to them is not finished; see
    /// [`push_part`](Server::push_part).
    pub unfinished: usize,
}

impl<'s, 'm> Broadcast<'s, 'm> {
    pub(crate) fn new(server: &'s mut Server, message: Message<'m>) -> Broadcast<'s, 'm> {
        Broadcast { server, message, except: Vec::new() }
    }

    /// Leaves one connection out; may be called for several.
    pub fn except(mut self, fd: Fd) -> Self {
        self.except.push(fd);
        self
    }

    /// Queues the message for everybody.
    pub fn send(self) -> Reach {
        let Broadcast { server, message, except } = self;
        let (frame, shared) = message.frame();
        let unfinished = Cell::new(0);
        let (queued, refused) = server.connections.fan_out(&frame, shared, |connection| {
            let Session::WebSocket(WebSocket { phase: Phase::Open, is_unfinished, .. }) = connection.session
            else {
                return false;
            };
            if except.contains(&connection.fd) {
                return false;
            }
            unfinished.set(unfinished.get() + usize::from(is_unfinished));
            !is_unfinished
        });
        let reach = Reach { queued, refused: refused.len(), unfinished: unfinished.get() };
        for (fd, refused) in refused {
            server.refused(fd, refused);
        }
        reach
    }
}
