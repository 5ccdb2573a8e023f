//! The server as other threads see it: everything goes through its mailbox, and nothing blocks.

use crate::codec::http::{Response, ResponseHead};
use crate::error::PushError;
use crate::fd::Fd;
use crate::net::mailbox::Undelivered;
use crate::server::state::command::Command;
use crate::server::state::outcome::Outcome;
use crate::server::state::outgoing::ClientId;
use crate::server::state::pool::{TaskError, TaskId, TaskOutput};
use crate::server::state::subscription::Subscription;
use crate::server::{Errand, Handle, Mail, OnOutcome, Server};
use crate::session::message::Message;
use crate::session::request::Handshake;
use std::any::Any;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl OnOutcome {
    pub(crate) fn give(mut self, outcome: Outcome) {
        if let Some(call) = self.0.take() {
            call(outcome);
        }
    }

    /// Drops the closure without calling it.
    fn dismiss(mut self) {
        self.0 = None;
    }
}

impl Drop for OnOutcome {
    fn drop(&mut self) {
        // The mailbox may be dropped while the thread panics: a second panic would end the process.
        if let Some(call) = self.0.take()
            && catch_unwind(AssertUnwindSafe(|| call(Outcome::Stopped))).is_err()
        {
            log::error!("a closure given to Handle::ask panicked");
        }
    }
}

impl Handle {
    /// Has a [`Command`] carried out, and ignores its outcome. A piece of a body or message
    /// ([`Command::WriteBody`], [`Command::PushPart`]) for which the connection has no room ends the connection: what
    /// is cut off is better than what has a gap in it.
    ///
    /// # Errors
    /// [`PushError::Busy`] if the mailbox is full, [`PushError::Stopped`] if the server has ended.
    pub fn execute(&self, command: Command) -> Result<(), PushError> {
        let bytes = command.bytes();
        self.send(Mail::Command(Box::new(command), None), bytes)
    }

    /// Has a [`Command`] carried out, and gives its outcome to `on_outcome`, which is called exactly once if this
    /// returns `Ok`, and never otherwise. It runs on the server's thread, where everything else waits for it: let it
    /// only pass the outcome on. If the server ends before it reaches the command, the outcome is
    /// [`Outcome::Stopped`].
    ///
    /// ```no_run
    /// # use swio::{Command, Handle, Outcome, PushError};
    /// use std::sync::mpsc;
    ///
    /// fn is_anybody_in(handle: &Handle, topic: &str) -> Result<bool, PushError> {
    ///     let (sender, receiver) = mpsc::channel();
    ///     let command = Command::MemberCount { topic: topic.to_owned() };
    ///     handle.ask(command, move |outcome| { sender.send(outcome).ok(); })?;
    ///     match receiver.recv() {
    ///         Ok(Outcome::Count(count)) => Ok(count > 0),
    ///         _ => Err(PushError::Stopped),
    ///     }
    /// }
    /// ```
    ///
    /// Never wait for the outcome on the server's own thread: it would wait for itself.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn ask<F>(&self, command: Command, on_outcome: F) -> Result<(), PushError>
    where
        F: FnOnce(Outcome) + Send + 'static,
    {
        let bytes = command.bytes() + size_of::<F>();
        let on_outcome = OnOutcome(Some(Box::new(on_outcome)));
        self.send(Mail::Command(Box::new(command), Some(on_outcome)), bytes)
    }

    /// [`Server::push`] from another thread.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn push<'a>(&self, fd: Fd, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        self.execute(Command::Push { fd, message: message.into().into_owned() })
    }

    /// [`Server::broadcast`] from another thread.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn broadcast<'a>(&self, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        self.execute(Command::Broadcast { message: message.into().into_owned(), except: Vec::new() })
    }

    /// The same, to all connections but `fd`.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn broadcast_except<'a>(&self, message: impl Into<Message<'a>>, fd: Fd) -> Result<(), PushError> {
        self.execute(Command::Broadcast { message: message.into().into_owned(), except: vec![fd] })
    }

    /// [`Server::publish`] from another thread.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn publish<'a>(&self, topic: &str, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        let message = message.into().into_owned();
        self.execute(Command::Publish { topic: topic.to_owned(), message, except: Vec::new() })
    }

    /// [`Server::push_to_user`] from another thread.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn push_to_user<'a>(&self, uid: &str, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        let message = message.into().into_owned();
        self.execute(Command::PushToUser { uid: uid.to_owned(), message, except: Vec::new() })
    }

    /// [`Server::disconnect`] from another thread.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn disconnect(&self, fd: Fd, code: u16, reason: &str) -> Result<(), PushError> {
        self.execute(Command::Disconnect { fd, code, reason: reason.to_owned() })
    }

    /// [`Server::answer_handshake`] from another thread, such as one that asks a database who the client is. If the
    /// client has given up or the time is over, nothing happens.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn answer_handshake(&self, fd: Fd, handshake: Handshake) -> Result<(), PushError> {
        self.execute(Command::AnswerHandshake { fd, handshake })
    }

    /// [`Server::respond`] from another thread. If the client has given up or the time is over, nothing happens.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn respond(&self, fd: Fd, response: Response) -> Result<(), PushError> {
        self.execute(Command::Respond { fd, response })
    }

    /// [`Server::answer_subscribe`] from another thread. If the client no longer waits for it, nothing happens.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn answer_subscribe(
        &self,
        fd: Fd,
        topic: &str,
        answer: impl Into<Subscription>,
    ) -> Result<(), PushError> {
        self.execute(Command::AnswerSubscribe { fd, topic: topic.into(), answer: answer.into() })
    }

    /// [`Server::start_body`] from another thread. If the client has given up or the time is over, nothing happens.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn start_body(&self, fd: Fd, head: ResponseHead) -> Result<(), PushError> {
        self.execute(Command::StartBody { fd, head })
    }

    /// [`Server::write_body`] from another thread. If the connection has no room for it, it is closed; to
    /// write it again instead, [`ask`](Handle::ask).
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn write_body(&self, fd: Fd, bytes: impl Into<Vec<u8>>) -> Result<(), PushError> {
        self.execute(Command::WriteBody { fd, bytes: bytes.into() })
    }

    /// [`Server::end_body`] from another thread.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn end_body(&self, fd: Fd) -> Result<(), PushError> {
        self.execute(Command::EndBody { fd })
    }

    /// Runs `call` on the server's own thread, with everything that a callback can do.
    ///
    /// # Errors
    /// As for [`Handle::execute`].
    pub fn run(&self, call: impl FnOnce(&mut Server) + Send + 'static) -> Result<(), PushError> {
        self.run_sized(0, call)
    }

    /// The same for a `call` that owns so many bytes. They count against
    /// [`Config::mailbox_bytes_max`](crate::Config::mailbox_bytes_max).
    pub(crate) fn run_sized(
        &self,
        bytes: usize,
        call: impl FnOnce(&mut Server) + Send + 'static,
    ) -> Result<(), PushError> {
        self.send(Mail::Errand(Errand::Run(Box::new(call))), bytes)
    }

    /// Sends a value of any type to the server's [`on_pipe_message`](crate::Handler::on_pipe_message).
    ///
    /// # Errors
    /// As for [`Handle::execute`]. The message counts with its own size, without what it points to.
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
        self.send(Mail::Errand(Errand::Message(Box::new(message))), size_of::<T>())
    }

    /// A task's result. If the server has ended, nobody waits for it.
    pub(crate) fn finished(&self, id: TaskId, result: Result<TaskOutput, TaskError>) {
        self.0.send_exempt(Mail::Errand(Errand::Finished(id, result))).ok();
    }

    /// Delivers the addresses of the name that a client connects to, or why there are none.
    pub(crate) fn resolved(&self, client: ClientId, addresses: io::Result<Vec<SocketAddr>>) {
        self.0.send_exempt(Mail::Errand(Errand::Resolved(client, addresses))).ok();
    }

    /// [`Server::shutdown`] from another thread, after all that was sent before. Unlike [`Command::Shutdown`], a full
    /// mailbox does not refuse it.
    ///
    /// # Errors
    /// [`PushError::Stopped`] if the server has ended.
    pub fn shutdown(&self) -> Result<(), PushError> {
        self.0.send_last(Mail::Command(Box::new(Command::Shutdown), None)).map_err(refusal)
    }

    fn send(&self, mail: Mail, bytes: usize) -> Result<(), PushError> {
        self.0.send(mail, bytes).map_err(refusal)
    }
}

/// Why the mail came back. The caller gets this error, so its closure is not called.
fn refusal(undelivered: Undelivered<Mail>) -> PushError {
    let (error, mail) = match undelivered {
        Undelivered::Full(mail) => (PushError::Busy, mail),
        Undelivered::Closed(mail) => (PushError::Stopped, mail),
    };
    if let Mail::Command(_, Some(reply)) = mail {
        reply.dismiss();
    }
    error
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}
