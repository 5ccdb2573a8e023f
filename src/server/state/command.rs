//! What can be asked of a server from elsewhere, as plain data. Each verb is carried out in one place,
//! `Server::execute`, for other threads, processes and languages alike.

mod sending;

use crate::codec::http::{Response, ResponseHead};
use crate::codec::ws::Opcode;
use crate::config::SlowConsumer;
use crate::fd::Fd;
use crate::server::state::history::History;
#[cfg(doc)]
use crate::server::state::outcome::Outcome;
use crate::server::state::subscription::Subscription;
use crate::session::message::Message;
use crate::session::request::Handshake;
use std::time::Duration;

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
/// {"set_deadline": {"fd": "9", "after_millis": 10000}}
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
///
/// Each method of [`Server`](crate::Server) has its command, or a reason to have none:
///
/// - Closures and callbacks are no data, and the ids of what was begun with them mean something only to their server:
///   [`after`](crate::Server::after), [`every`](crate::Server::every), [`timer`](crate::Server::timer),
///   [`cancel`](crate::Server::cancel), [`defer`](crate::Server::defer), [`task`](crate::Server::task),
///   [`offload`](crate::Server::offload), [`reload`](crate::Server::reload), [`connect`](crate::Server::connect),
///   [`client_fd`](crate::Server::client_fd), [`stop_client`](crate::Server::stop_client). So are envelopes:
///   [`add_envelope`](crate::Server::add_envelope) and [`set_envelope`](crate::Server::set_envelope).
/// - The handler whose callback runs is meant: [`watch`](crate::Server::watch).
/// - A session without a socket is carried where the requests of its client come in, in their order:
///   [`open_session`](crate::Server::open_session), [`touch_session`](crate::Server::touch_session),
///   [`read_output`](crate::Server::read_output), [`acknowledge_output`](crate::Server::acknowledge_output),
///   [`acknowledged_output`](crate::Server::acknowledged_output), [`parked_request`](crate::Server::parked_request),
///   [`count_message`](crate::Server::count_message), [`adopt`](crate::Server::adopt),
///   [`end_session`](crate::Server::end_session). To commands it is a connection like any other.
/// - These belong to the program that runs the server: [`builder`](crate::Server::builder),
///   [`config`](crate::Server::config), [`handle`](crate::Server::handle), [`execute`](crate::Server::execute).
/// - Another command says the same: `Disconnect` is [`close`](crate::Server::close), `Connections`
///   [`connections`](crate::Server::connections), `Topics` [`topics`](crate::Server::topics), `PushToUser` with
///   `except` [`for_user`](crate::Server::for_user), and `ClientInfo` has [`remote_addr`](crate::Server::remote_addr).
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
    /// [`Server::push_as`](crate::Server::push_as). [`Outcome::Done`] or [`Outcome::PushRefused`].
    PushAs {
        /// The connection that gets it.
        fd: Fd,
        /// The kind of the frame.
        opcode: Opcode,
        /// The payload.
        #[cfg_attr(feature = "serde", serde(with = "crate::session::scalars::bytes"))]
        bytes: Vec<u8>,
    },
    /// [`Server::push_part`](crate::Server::push_part). [`Outcome::Done`] or [`Outcome::PushRefused`].
    PushPart {
        /// The connection that gets it.
        fd: Fd,
        /// The kind of the message in the first part, [`Opcode::Continuation`] in each other.
        opcode: Opcode,
        /// The part.
        #[cfg_attr(feature = "serde", serde(with = "crate::session::scalars::bytes"))]
        bytes: Vec<u8>,
        /// Whether it is the last.
        finish: bool,
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
        #[cfg_attr(feature = "serde", serde(with = "crate::session::scalars::bytes"))]
        bytes: Vec<u8>,
    },
    /// [`Server::ping`](crate::Server::ping). [`Outcome::Done`] or [`Outcome::PushRefused`].
    Ping {
        /// The connection that gets it.
        fd: Fd,
        /// What its peer sends back.
        #[cfg_attr(feature = "serde", serde(default, with = "crate::session::scalars::bytes"))]
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
    /// [`Server::keep_history`](crate::Server::keep_history). [`Outcome::Done`] or [`Outcome::JoinRefused`].
    KeepHistory {
        /// The topic.
        topic: String,
        /// How much is kept; `None`: nothing.
        #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::session::scalars::given"))]
        history: Option<History>,
    },
    /// [`Server::recover`](crate::Server::recover). [`Outcome::Recovered`] or [`Outcome::PushRefused`].
    Recover {
        /// The connection that catches up.
        fd: Fd,
        /// The topic.
        topic: String,
        /// The id of the last message that it has.
        last_id: String,
    },
    /// [`Server::bind`](crate::Server::bind). [`Outcome::Bool`], false if it was bound so already, or
    /// [`Outcome::JoinRefused`].
    Bind {
        /// The connection.
        fd: Fd,
        /// Its user.
        uid: String,
    },
    /// [`Server::bind_with`](crate::Server::bind_with). The outcomes of [`Command::Bind`].
    BindWith {
        /// The connection.
        fd: Fd,
        /// Its user.
        uid: String,
        /// Data of the user.
        data: String,
    },
    /// [`Server::unbind`](crate::Server::unbind). [`Outcome::Bool`]: whether it had a user.
    Unbind {
        /// The connection.
        fd: Fd,
    },
    /// [`Server::set_user_data`](crate::Server::set_user_data). [`Outcome::Bool`], false if there is no such user, or
    /// [`Outcome::JoinRefused`].
    SetUserData {
        /// The user.
        uid: String,
        /// Data of the user; `None` removes what there is.
        #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::session::scalars::given"))]
        data: Option<String>,
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
    /// [`Server::set_deadline`](crate::Server::set_deadline). [`Outcome::Bool`]: whether there is such a connection.
    SetDeadline {
        /// The connection.
        fd: Fd,
        /// How long from now; `None` removes its deadline. Serialized as `after_millis`.
        #[cfg_attr(
            feature = "serde",
            serde(rename = "after_millis", with = "crate::session::scalars::millis_or_none")
        )]
        after: Option<Duration>,
    },
    /// [`Server::set_slow_consumer`](crate::Server::set_slow_consumer). [`Outcome::Bool`]: whether there is such a
    /// connection.
    SetSlowConsumer {
        /// The connection.
        fd: Fd,
        /// What happens to messages for which it has no room; `None`: what the configuration says.
        #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::session::scalars::given"))]
        policy: Option<SlowConsumer>,
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
    /// [`Server::write_body`](crate::Server::write_body). [`Outcome::Done`] or [`Outcome::PushRefused`].
    WriteBody {
        /// The connection that gets the body.
        fd: Fd,
        /// Its next bytes.
        #[cfg_attr(feature = "serde", serde(with = "crate::session::scalars::bytes"))]
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
    /// [`Server::is_member`](crate::Server::is_member). [`Outcome::Bool`].
    IsMember {
        /// The connection in question.
        fd: Fd,
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
    /// [`Server::users_in_with_data`](crate::Server::users_in_with_data). [`Outcome::Users`].
    UsersInWithData {
        /// The topic in question.
        topic: String,
        /// The largest number to return.
        limit: u32,
    },
    /// [`Server::uid`](crate::Server::uid). [`Outcome::Text`].
    Uid {
        /// The connection in question.
        fd: Fd,
    },
    /// [`Server::user_data`](crate::Server::user_data). [`Outcome::Text`].
    UserData {
        /// The user in question.
        uid: String,
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
    /// [`Server::usage`](crate::Server::usage). [`Outcome::Usage`].
    Usage,
    /// [`Server::turns`](crate::Server::turns). [`Outcome::Turns`].
    Turns,
    /// [`Server::memory_bound`](crate::Server::memory_bound). [`Outcome::MemoryBound`].
    MemoryBound,
    /// [`Server::reload_settings`](crate::Server::reload_settings). [`Outcome::Done`] or [`Outcome::ReloadRefused`].
    ReloadSettings,
    /// [`Server::shutdown`](crate::Server::shutdown). [`Outcome::Done`].
    Shutdown,
}
