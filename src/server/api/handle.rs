//! The server's verbs for other threads: everything goes by mail and never waits.

use crate::codec::http::{Response, ResponseHead};
use crate::error::PushError;
use crate::fd::Fd;
use crate::net::mailbox::Undelivered;
use crate::server::state::pool::{Output, TaskError, TaskId};
use crate::server::state::subscription::Subscription;
use crate::server::{Handle, Mail, Server};
use crate::session::message::Message;
use crate::session::request::Handshake;
use std::any::Any;
use std::fmt;

impl Handle {
    /// [`Server::push`] from another thread.
    ///
    /// # Errors
    /// [`PushError::Busy`] where the mailbox is full, [`PushError::Stopped`] where the server has ended.
    pub fn push<'a>(&self, fd: Fd, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        let message = message.into().into_owned();
        let bytes = message.as_bytes().len();
        self.send(Mail::Push(fd, message), bytes)
    }

    /// [`Server::broadcast`] from another thread.
    ///
    /// # Errors
    /// As for [`Handle::push`].
    pub fn broadcast<'a>(&self, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        self.broadcast_but(message.into(), None)
    }

    /// The same, to everybody but `fd`.
    ///
    /// # Errors
    /// As for [`Handle::push`].
    pub fn broadcast_except<'a>(&self, message: impl Into<Message<'a>>, fd: Fd) -> Result<(), PushError> {
        self.broadcast_but(message.into(), Some(fd))
    }

    fn broadcast_but(&self, message: Message<'_>, except: Option<Fd>) -> Result<(), PushError> {
        let message = message.into_owned();
        let bytes = message.as_bytes().len();
        self.send(Mail::Broadcast(message, except), bytes)
    }

    /// [`Server::publish`] from another thread.
    ///
    /// # Errors
    /// As for [`Handle::push`].
    pub fn publish<'a>(&self, topic: &str, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        let message = message.into().into_owned();
        let bytes = topic.len() + message.as_bytes().len();
        self.send(Mail::Publish(topic.into(), message), bytes)
    }

    /// [`Server::push_to_user`] from another thread.
    ///
    /// # Errors
    /// As for [`Handle::push`].
    pub fn push_to_user<'a>(&self, uid: &str, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        let message = message.into().into_owned();
        let bytes = uid.len() + message.as_bytes().len();
        self.send(Mail::PushToUser(uid.into(), message), bytes)
    }

    /// [`Server::disconnect`] from another thread.
    ///
    /// # Errors
    /// As for [`Handle::push`].
    pub fn disconnect(&self, fd: Fd, code: u16, reason: &str) -> Result<(), PushError> {
        self.send(Mail::Disconnect(fd, code, reason.into()), reason.len())
    }

    /// [`Server::answer_handshake`] from another thread, such as one that asks a database who the client is. Where
    /// the client has given up or the time is over, nothing happens.
    ///
    /// # Errors
    /// As for [`Handle::push`].
    pub fn answer_handshake(&self, fd: Fd, handshake: Handshake) -> Result<(), PushError> {
        let bytes = handshake.bytes();
        self.send(Mail::AnswerHandshake(fd, handshake), bytes)
    }

    /// [`Server::respond`] from another thread. Where the client has given up or the time is over, nothing happens.
    ///
    /// # Errors
    /// As for [`Handle::push`].
    pub fn respond(&self, fd: Fd, response: Response) -> Result<(), PushError> {
        let bytes = response.bytes();
        self.send(Mail::Respond(fd, response), bytes)
    }

    /// [`Server::answer_subscribe`] from another thread. Where the client waits for it no more, nothing happens.
    ///
    /// # Errors
    /// As for [`Handle::push`].
    pub fn answer_subscribe(
        &self,
        fd: Fd,
        topic: &str,
        answer: impl Into<Subscription>,
    ) -> Result<(), PushError> {
        let answer = answer.into();
        let bytes = topic.len() + answer.bytes();
        self.send(Mail::AnswerSubscribe(fd, topic.into(), answer), bytes)
    }

    /// [`Server::start_body`] from another thread. Where the client has given up or the time is over, nothing happens.
    ///
    /// # Errors
    /// As for [`Handle::push`].
    pub fn start_body(&self, fd: Fd, head: ResponseHead) -> Result<(), PushError> {
        let bytes = head.bytes();
        self.send(Mail::StartBody(fd, head), bytes)
    }

    /// [`Server::write_body`] from another thread. Where the connection has no room for it, the connection is ended:
    /// a body with a hole in it would be worse than one that is cut off.
    ///
    /// # Errors
    /// As for [`Handle::push`].
    pub fn write_body(&self, fd: Fd, bytes: impl Into<Vec<u8>>) -> Result<(), PushError> {
        let bytes = bytes.into();
        let len = bytes.len();
        self.send(Mail::WriteBody(fd, bytes), len)
    }

    /// [`Server::end_body`] from another thread.
    ///
    /// # Errors
    /// As for [`Handle::push`].
    pub fn end_body(&self, fd: Fd) -> Result<(), PushError> {
        self.send(Mail::EndBody(fd), 0)
    }

    /// Runs `call` on the server's own thread, with everything that a callback can do.
    ///
    /// # Errors
    /// As for [`Handle::push`].
    pub fn run(&self, call: impl FnOnce(&mut Server) + Send + 'static) -> Result<(), PushError> {
        self.send(Mail::Run(Box::new(call)), 0)
    }

    /// Gives the server's [`on_pipe_message`](crate::Handler::on_pipe_message) a value of any type.
    ///
    /// # Errors
    /// As for [`Handle::push`]. Of the message, its own size counts, and not what it points to.
    ///
    /// ```no_run
    /// use swio::Server;
    ///
    /// struct Price(u64);
    ///
    /// let running = Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .on_pipe_message(|server, message| {
    ///         if let Some(Price(cents)) = message.downcast_ref() {
    ///             server.broadcast(format!("{cents} cents")).send();
    ///         }
    ///     })
    ///     .start()?;
    /// running.handle().send_message(Price(4_200)).ok();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn send_message<T: Any + Send>(&self, message: T) -> Result<(), PushError> {
        self.send(Mail::Message(Box::new(message)), size_of::<T>())
    }

    /// What came of a task. A server that has ended does not care.
    pub(crate) fn finished(&self, id: TaskId, result: Result<Output, TaskError>) {
        self.0.send_exempt(Mail::Finished(id, result)).ok();
    }

    /// [`Server::shutdown`] from another thread. A full mailbox does not refuse it.
    ///
    /// # Errors
    /// [`PushError::Stopped`] where the server has ended.
    pub fn shutdown(&self) -> Result<(), PushError> {
        self.0.send_last(Mail::Shutdown).map_err(refusal)
    }

    fn send(&self, mail: Mail, bytes: usize) -> Result<(), PushError> {
        self.0.send(mail, bytes).map_err(refusal)
    }
}

fn refusal(undelivered: Undelivered) -> PushError {
    match undelivered {
        Undelivered::Full => PushError::Busy,
        Undelivered::Closed => PushError::Stopped,
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}
