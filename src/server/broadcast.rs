//! One message to everybody: encoded once, queued for each.

use super::Server;
use super::message::Message;
use super::session::{Phase, Session, WebSocket};
use crate::codec::ws::header;
use crate::fd::Fd;

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
        let frame = encode(&message);
        let (queued, refused) = server.connections.fan_out(&frame, |connection| {
            matches!(connection.session, Session::WebSocket(WebSocket { phase: Phase::Open, .. }))
                && !except.contains(&connection.fd)
        });
        let reach = Reach { queued, refused: refused.len() };
        for (fd, refused) in refused {
            server.refused(fd, refused);
        }
        reach
    }
}

fn encode(message: &Message<'_>) -> Vec<u8> {
    let bytes = message.as_bytes();
    let header = header::encode(true, message.opcode(), bytes.len());
    let mut frame = Vec::with_capacity(header.as_slice().len() + bytes.len());
    frame.extend_from_slice(header.as_slice());
    frame.extend_from_slice(bytes);
    frame
}
