//! What can be asked of a server from elsewhere, as plain data, and the outcome. Each verb is carried out in one
//! place, `Server::execute`, for other threads, processes and languages alike.

use crate::codec::http::{Response, ResponseHead};
use crate::error::{JoinError, PushError};
use crate::fd::Fd;
use crate::server::state::subscription::Subscription;
use crate::session::fan_out::Reach;
use crate::session::info::{ClientInfo, Stats};
use crate::session::message::Message;
use crate::session::request::Handshake;

/// A verb of the server with all that it needs, owned. [`Server::execute`](crate::Server::execute) carries it out;
/// from other threads [`Handle::execute`](crate::Handle::execute) and [`Handle::ask`](crate::Handle::ask) do. Each
/// variant says which [`Outcome`] it has.
///
/// With the feature `serde` commands and outcomes can be serialized: as JSON from a worker in another language or an
/// HTTP API of yours, or in a binary format between your own programs. In JSON a variant's name is in snake case, an
/// [`Fd`] is text, and bytes are base64; in binary formats fds and bytes are as they are. An unknown or missing field
/// is an error that names it.
///
/// ```json
/// {"publish": {"topic": "news", "message": {"text": "it rains", "event": "weather"}, "except": ["7"]}}
/// {"disconnect": {"fd": "4294967297", "code": 4001, "reason": "another login"}}
/// {"respond": {"fd": "9", "response": {"status": 200, "headers": [["Content-Type", "text/plain"]], "text": "hi"}}}
/// "stats"
/// ```
///
#[cfg_attr(feature = "serde", doc = "```no_run")]
#[cfg_attr(not(feature = "serde"), doc = "```ignore")]
/// use swio::{Command, Response, Server};
///
/// // Only programs that may command the server may reach this: whoever can post here can do everything.
/// Server::builder()
///     .listen("127.0.0.1:9601")
///     .on_request(|server, request| match serde_json::from_slice::<Command>(request.body()) {
///         Ok(command) => {
///             let outcome = server.execute(command);
///             Response::json(serde_json::to_string(&outcome).expect("an outcome can be written"))
///         }
///         Err(error) => Response::text(400, format!("{error}\n")),
///     })
///     .run()
/// # .unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case", deny_unknown_fields))]
#[non_exhaustive]
pub enum Command {
    /// [`Server::push`](crate::Server::push). [`Outcome::Done`] or [`Outcome::PushRefused`].
    Push {
        /// The connection that gets it.
        fd: Fd,
        /// The message.
        message: Message<'static>,
    },
    /// [`Server::push_to_user`](crate::Server::push_to_user). [`Outcome::Reach`].
    PushToUser {
        /// The user whose connections get it.
        uid: String,
        /// The message.
        message: Message<'static>,
        /// Connections that do not get it.
        #[cfg_attr(feature = "serde", serde(default))]
        except: Vec<Fd>,
    },
    /// [`Server::publish`](crate::Server::publish). [`Outcome::Reach`].
    Publish {
        /// The topic whose members get it.
        topic: String,
        /// The message.
        message: Message<'static>,
        /// Connections that do not get it.
        #[cfg_attr(feature = "serde", serde(default))]
        except: Vec<Fd>,
    },
    /// [`Server::broadcast`](crate::Server::broadcast). [`Outcome::Reach`].
    Broadcast {
        /// The message.
        message: Message<'static>,
        /// Connections that do not get it.
        #[cfg_attr(feature = "serde", serde(default))]
        except: Vec<Fd>,
    },
    /// [`Server::send`](crate::Server::send): bytes as they are. [`Outcome::Done`] or [`Outcome::PushRefused`].
    Send {
        /// The connection that gets them.
        fd: Fd,
        /// The bytes.
        #[cfg_attr(feature = "serde", serde(with = "crate::session::serial::bytes"))]
        bytes: Vec<u8>,
    },
    /// [`Server::disconnect`](crate::Server::disconnect). [`Outcome::Bool`]: whether it was not ending already.
    Disconnect {
        /// The connection to end.
        fd: Fd,
        /// The close code.
        code: u16,
        /// The reason that is sent to the peer, up to 123 bytes.
        #[cfg_attr(feature = "serde", serde(default))]
        reason: String,
    },
    /// [`Server::reset`](crate::Server::reset). [`Outcome::Bool`]: whether there was such a connection.
    Reset {
        /// The connection to end.
        fd: Fd,
    },
    /// [`Server::join`](crate::Server::join). [`Outcome::Bool`], false if it was in the topic already, or
    /// [`Outcome::JoinRefused`].
    Join {
        /// The connection that joins.
        fd: Fd,
        /// The topic.
        topic: String,
    },
    /// [`Server::leave`](crate::Server::leave). [`Outcome::Bool`]: whether it was in the topic.
    Leave {
        /// The connection that leaves.
        fd: Fd,
        /// The topic.
        topic: String,
    },
    /// [`Server::bind`](crate::Server::bind). [`Outcome::Bool`], false if it was bound so already, or
    /// [`Outcome::JoinRefused`].
    Bind {
        /// The connection.
        fd: Fd,
        /// Its user.
        uid: String,
    },
    /// [`Server::unbind`](crate::Server::unbind). [`Outcome::Bool`]: whether it had a user.
    Unbind {
        /// The connection.
        fd: Fd,
    },
    /// [`Server::pause`](crate::Server::pause). [`Outcome::Bool`]: whether it is paused from now on, and was not
    /// before.
    Pause {
        /// The connection that is not to be read.
        fd: Fd,
    },
    /// [`Server::resume`](crate::Server::resume). [`Outcome::Bool`]: whether it was paused.
    Resume {
        /// The connection that is to be read again.
        fd: Fd,
    },
    /// [`Server::confirm`](crate::Server::confirm). [`Outcome::Bool`]: whether it waited for that.
    Confirm {
        /// The connection that is to be read from now on.
        fd: Fd,
    },
    /// [`Server::protect`](crate::Server::protect). [`Outcome::Bool`]: whether there is such a connection.
    Protect {
        /// The connection.
        fd: Fd,
        /// Whether it is exempt from the timeouts of silent connections.
        is_protected: bool,
    },
    /// [`Server::answer_handshake`](crate::Server::answer_handshake). [`Outcome::Bool`]: whether the connection waited
    /// for it.
    AnswerHandshake {
        /// The connection that waits.
        fd: Fd,
        /// The answer. [`Handshake::later`] is not an answer, and can't be serialized.
        handshake: Handshake,
    },
    /// [`Server::respond`](crate::Server::respond). [`Outcome::Bool`]: whether the connection waited for it.
    Respond {
        /// The connection that waits.
        fd: Fd,
        /// The answer.
        response: Response,
    },
    /// [`Server::answer_subscribe`](crate::Server::answer_subscribe). [`Outcome::Bool`]: whether the client waited for
    /// it.
    AnswerSubscribe {
        /// The connection that waits.
        fd: Fd,
        /// The topic that it asked for.
        topic: String,
        /// The answer. [`Subscription::later`] is not an answer, and can't be serialized.
        answer: Subscription,
    },
    /// [`Server::start_body`](crate::Server::start_body). [`Outcome::Bool`]: whether the connection waited for it.
    StartBody {
        /// The connection that waits.
        fd: Fd,
        /// The status and headers.
        head: ResponseHead,
    },
    /// [`Server::write_body`](crate::Server::write_body). [`Outcome::Done`] or [`Outcome::PushRefused`]. If the
    /// connection has no room for it, it is ended, because what is written next would leave a gap in the body.
    WriteBody {
        /// The connection that gets the body.
        fd: Fd,
        /// Its next bytes.
        #[cfg_attr(feature = "serde", serde(with = "crate::session::serial::bytes"))]
        bytes: Vec<u8>,
    },
    /// [`Server::end_body`](crate::Server::end_body). [`Outcome::Bool`]: whether the body is complete.
    EndBody {
        /// The connection that gets the body.
        fd: Fd,
    },
    /// [`Server::exists`](crate::Server::exists). [`Outcome::Bool`].
    Exists {
        /// The connection in question.
        fd: Fd,
    },
    /// [`Server::is_established`](crate::Server::is_established). [`Outcome::Bool`].
    IsEstablished {
        /// The connection in question.
        fd: Fd,
    },
    /// [`Server::client_info`](crate::Server::client_info). [`Outcome::ClientInfo`].
    ClientInfo {
        /// The connection in question.
        fd: Fd,
    },
    /// [`Server::connection_count`](crate::Server::connection_count). [`Outcome::Count`].
    ConnectionCount,
    /// [`Server::connections_page`](crate::Server::connections_page). [`Outcome::Fds`].
    Connections {
        /// The last connection of the page before; none for the first page.
        #[cfg_attr(feature = "serde", serde(default))]
        after: Option<Fd>,
        /// The largest number to return.
        limit: u32,
    },
    /// [`Server::connections_of`](crate::Server::connections_of). [`Outcome::Fds`].
    ConnectionsOf {
        /// The user in question.
        uid: String,
        /// The largest number to return.
        limit: u32,
    },
    /// [`Server::members`](crate::Server::members). [`Outcome::Fds`].
    Members {
        /// The topic in question.
        topic: String,
        /// The largest number to return.
        limit: u32,
    },
    /// [`Server::member_count`](crate::Server::member_count). [`Outcome::Count`].
    MemberCount {
        /// The topic in question.
        topic: String,
    },
    /// [`Server::users_in`](crate::Server::users_in). [`Outcome::Names`].
    UsersIn {
        /// The topic in question.
        topic: String,
        /// The largest number to return.
        limit: u32,
    },
    /// [`Server::topics_of`](crate::Server::topics_of). [`Outcome::Names`].
    TopicsOf {
        /// The connection in question.
        fd: Fd,
    },
    /// [`Server::topics_page`](crate::Server::topics_page). [`Outcome::Topics`].
    Topics {
        /// Where the page begins: 0, or the cursor that the page before returned.
        #[cfg_attr(feature = "serde", serde(default))]
        cursor: u32,
        /// The largest number to return.
        limit: u32,
    },
    /// [`Server::stats`](crate::Server::stats). [`Outcome::Stats`].
    Stats,
}

/// The outcome of a [`Command`].
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome {
    /// It is done. A message is in the connection's outbox.
    Done,
    /// How many connections the message reached.
    Reach(Reach),
    /// Yes or no; the command says to which question.
    Bool(bool),
    /// A number.
    Count(u64),
    /// Connections.
    Fds(Vec<Fd>),
    /// Names of topics or users.
    Names(Vec<String>),
    /// A page of topics.
    Topics {
        /// Each with the number of its connections.
        topics: Vec<(String, u64)>,
        /// The cursor of the next page; `None` after the last.
        next: Option<u32>,
    },
    /// Information about a connection; `None` if it is gone.
    ClientInfo(Option<Box<ClientInfo>>),
    /// What the server has done.
    Stats(Box<Stats>),
    /// The message was not taken.
    PushRefused(PushError),
    /// The connection did not join the topic, or was not bound to the user.
    JoinRefused(JoinError),
    /// The server ended before it reached the command.
    Stopped,
}

impl Outcome {
    /// Whether the command was not carried out: it was refused, or the server ended.
    pub fn is_error(&self) -> bool {
        matches!(self, Outcome::PushRefused(_) | Outcome::JoinRefused(_) | Outcome::Stopped)
    }
}

impl Command {
    /// The connection that the command is for, if it is for one. Its [`Fd::reactor`] says where it can be carried out.
    pub fn fd(&self) -> Option<Fd> {
        match self {
            Command::Push { fd, .. }
            | Command::Send { fd, .. }
            | Command::Disconnect { fd, .. }
            | Command::Reset { fd }
            | Command::Join { fd, .. }
            | Command::Leave { fd, .. }
            | Command::Bind { fd, .. }
            | Command::Unbind { fd }
            | Command::Pause { fd }
            | Command::Resume { fd }
            | Command::Confirm { fd }
            | Command::Protect { fd, .. }
            | Command::AnswerHandshake { fd, .. }
            | Command::Respond { fd, .. }
            | Command::AnswerSubscribe { fd, .. }
            | Command::StartBody { fd, .. }
            | Command::WriteBody { fd, .. }
            | Command::EndBody { fd }
            | Command::Exists { fd }
            | Command::IsEstablished { fd }
            | Command::ClientInfo { fd }
            | Command::TopicsOf { fd } => Some(*fd),
            Command::PushToUser { .. }
            | Command::Publish { .. }
            | Command::Broadcast { .. }
            | Command::ConnectionCount
            | Command::Connections { .. }
            | Command::ConnectionsOf { .. }
            | Command::Members { .. }
            | Command::MemberCount { .. }
            | Command::UsersIn { .. }
            | Command::Topics { .. }
            | Command::Stats => None,
        }
    }

    /// The size of its payload, as the mailbox counts it.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Command::Push { message, .. } => message.bytes(),
            Command::PushToUser { uid: name, message, except }
            | Command::Publish { topic: name, message, except } => {
                name.len() + message.bytes() + size_of_val(&**except)
            }
            Command::Broadcast { message, except } => message.bytes() + size_of_val(&**except),
            Command::Send { bytes, .. } | Command::WriteBody { bytes, .. } => bytes.len(),
            Command::AnswerHandshake { handshake, .. } => handshake.bytes(),
            Command::Respond { response, .. } => response.bytes(),
            Command::StartBody { head, .. } => head.bytes(),
            Command::AnswerSubscribe { topic, answer, .. } => topic.len() + answer.bytes(),
            Command::Disconnect { reason: name, .. }
            | Command::Join { topic: name, .. }
            | Command::Leave { topic: name, .. }
            | Command::Bind { uid: name, .. }
            | Command::ConnectionsOf { uid: name, .. }
            | Command::Members { topic: name, .. }
            | Command::MemberCount { topic: name }
            | Command::UsersIn { topic: name, .. } => name.len(),
            _ => 0,
        }
    }
}

impl From<bool> for Outcome {
    fn from(answer: bool) -> Outcome {
        Outcome::Bool(answer)
    }
}

impl From<Result<(), PushError>> for Outcome {
    fn from(pushed: Result<(), PushError>) -> Outcome {
        pushed.map_or_else(Outcome::PushRefused, |()| Outcome::Done)
    }
}

impl From<Result<bool, JoinError>> for Outcome {
    fn from(joined: Result<bool, JoinError>) -> Outcome {
        joined.map_or_else(Outcome::JoinRefused, Outcome::Bool)
    }
}
