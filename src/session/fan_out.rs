//! One message to many connections: one pass over them, in which the message is encoded once for each format.

use crate::error::PushError;
use crate::fd::Fd;
use crate::net::connection::Connection;
use crate::net::fan_out::FanOut;
use crate::session::Sessions;
use crate::session::formats::FormatId;
use crate::session::message::Message;
use crate::session::state::{ClosePhase, Marks, Session, WebSocket};

/// How many connections a message reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reach {
    /// Connections whose outbox took the message.
    pub queued: usize,
    /// Connections whose outbox was full. They did not get it; with the policy
    /// [`SlowConsumer::Close`](crate::SlowConsumer::Close) they are being closed.
    pub refused: usize,
    /// Connections that did not get it because an earlier message to them is not finished; see
    /// [`push_part`](crate::Server::push_part).
    pub unfinished: usize,
    /// Connections for which the message has no form: raw TCP whose [`Framing`](crate::Framing) has no way to send it,
    /// and those whose [`Envelope`](crate::Envelope) makes nothing of it.
    pub unsendable: usize,
}

/// WebSockets that are meant, but can't get the bytes that others of their format share.
#[derive(Debug, Default)]
struct Others {
    /// Each of their frames needs its own mask.
    outgoing: Vec<Fd>,
    /// How many are in the middle of a message, and miss this one.
    unfinished: usize,
    /// Also in the middle of a message, but they get this one after it.
    waiting: Vec<Fd>,
}

impl Others {
    /// The number of a connection's format; `None` if it gets nothing, or can't get the bytes that its format shares.
    #[inline(never)]
    fn judge(&mut self, fd: Fd, session: &Session, is_for_all: bool, is_kept: bool) -> Option<u8> {
        match session {
            Session::WebSocket(websocket) if websocket.phase == ClosePhase::Open => {
                self.note(fd, websocket, is_for_all, is_kept);
                None
            }
            Session::WebSocket(_) => None,
            session => session.format().map(|format| format.0),
        }
    }

    fn note(&mut self, fd: Fd, websocket: &WebSocket, is_for_all: bool, is_kept: bool) {
        let is_unfinished = websocket.marks.has(Marks::UNFINISHED);
        if websocket.format.is_masked() {
            if !is_for_all {
                self.outgoing.push(fd);
            }
        } else if is_unfinished && is_kept && websocket.format.has_labelled_frames() {
            self.waiting.push(fd);
        } else {
            self.unfinished += usize::from(is_unfinished);
        }
    }
}

#[inline(never)]
fn is_among(sorted: &[Fd], fd: Fd) -> bool {
    sorted.binary_search(&fd).is_ok()
}

/// Options of one fan-out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// The topic that it is published to.
    pub(crate) topic: Option<&'a str>,
    /// The connections that are left out, sorted.
    pub(crate) except: &'a [Fd],
    /// All connections are meant, except those that this side opened.
    pub(crate) is_for_all: bool,
    /// It is kept in a history.
    pub(crate) is_kept: bool,
}

impl Sessions {
    /// Queues a message for the connections at these indices.
    pub(crate) fn fan_out(
        &mut self,
        indices: impl Iterator<Item = u32>,
        mut message: Message<'_>,
        scope: Scope<'_>,
    ) -> Reach {
        let Scope { topic, except, is_for_all, is_kept } = scope;
        let Sessions { connections, formats, .. } = self;
        let delivery = message.delivery();
        let mut others = Others::default();
        // Most callers leave out nobody but the sender.
        let (only, except) = match except {
            [only] => (Some(*only), &[][..]),
            except => (None, except),
        };
        let choose = |fd: Fd, connection: &Connection<Session>| {
            if only == Some(fd) || !except.is_empty() && is_among(except, fd) {
                return None;
            }
            // The common case, kept as short as possible.
            match &connection.session {
                Session::WebSocket(websocket) if websocket.is_shared_now() => Some(websocket.format.0),
                session => others.judge(fd, session, is_for_all, is_kept),
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
        let result = connections.fan_out(delivery, indices, choose, encode);
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

    /// Counts the results of a pass, and closes slow consumers if their policy says so.
    fn settle(&mut self, result: FanOut) -> Reach {
        let FanOut { queued, empty, unsendable, refused } = result;
        self.counters.messages_sent += queued as u64;
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
