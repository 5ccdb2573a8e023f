//! A Swoole-style socket server on [mio](https://docs.rs/mio): WebSocket chat, messaging and push by
//! callbacks and fd-like ids.
//!
//! ```no_run
//! use swio::Server;
//!
//! fn main() -> std::io::Result<()> {
//!     Server::builder()
//!         .listen("127.0.0.1:9501")
//!         .on_open(|server, request| { server.push(request.fd, "welcome to the chat room").ok(); })
//!         .on_message(|server, frame| { server.broadcast(frame.data).except(frame.fd).send(); })
//!         .on_close(|_server, fd, reason| println!("{fd} left: {reason}"))
//!         .run()
//! }
//! ```
//!
//! # How it works
//!
//! One thread waits for all sockets and calls you back: [`on_open`](Builder::on_open) when a WebSocket is
//! open, [`on_message`](Builder::on_message) for each message, [`on_close`](Builder::on_close) when it has
//! ended, and [`on_request`](Builder::on_request) for plain HTTP on the same port. Event streams and sessions of long
//! polling are connections as WebSockets are, with the same callbacks.
//!
//! Every callback gets the live [`Server`] and may act on any connection by its [`Fd`]: [`push`](Server::push),
//! [`broadcast`](Server::broadcast), [`disconnect`](Server::disconnect). Nothing blocks and nothing calls back from
//! within, so there is no lock to take and no order to guess. Callbacks should be quick, because everybody else waits
//! meanwhile: [`Server::task`] does long work on another thread and calls back with its result.
//!
//! Behaviour is given as closures or, if several callbacks share state, as one type that implements [`Handler`].
//!
//! | You want to | Use |
//! |---|---|
//! | run a server and nothing else | [`Builder::run`] |
//! | run it beside your own code, on a thread of its own | [`Builder::start`], [`Running`] |
//! | turn its loop from a loop of your own | [`Builder::build`], [`EventLoop::poll`] |
//! | push from other threads | [`Server::handle`], [`Handle`] |
//! | command the server from other programs and languages | [`Command`], [`Server::execute`], [`Handle::ask`] |
//! | have rooms | [`Server::join`], [`Server::publish`], [`Server::members`] |
//! | know whose connection it is, and who is where | [`Server::bind`], [`Server::push_to_user`], [`Server::users_in`] |
//! | attach data to a user | [`Server::bind_with`], [`Server::set_user_data`], [`Server::users_in_with_data`] |
//! | hear who comes and goes, or which topics are in use | [`Builder::on_presence`], [`Builder::on_topic`], [`Watches`] |
//! | do something later, or again and again | [`Server::after`], [`Server::every`], [`Server::timer`] |
//! | do work that takes long | [`Server::task`], [`Server::offload`] |
//! | keep data for each connection | [`FdMap`] |
//! | serve several applications on one port | [`Builder::route`], [`Callbacks`], [`Request::param`] |
//! | have other limits or origins for a path or a listener | [`RouteOptions`], [`ListenOptions`] |
//! | decide what happens to clients that do not read (backpressure) | [`SlowConsumer`], [`Message::latest`], [`Builder::on_buffer_full`] |
//! | look at a request before the WebSocket opens | [`Builder::on_handshake`], [`Handshake`] |
//! | ask another thread before a client is let in | [`Handshake::later`], [`Handle::answer_handshake`] |
//! | send or take what is too large to have at once | [`Server::push_part`], [`Config::deliver_fragments`] |
//! | serve a page | [`Builder::on_request`], [`Response`], or [`Reply::Later`] |
//! | answer with a body that is written piece by piece | [`Reply::Stream`], [`Server::write_body`] |
//! | give a client a deadline | [`Server::set_deadline`], [`Builder::on_deadline`] |
//! | bring returning clients up to date | [`Server::keep_history`], [`Server::recover`] |
//! | give pages reconnect, and fallback to what the network lets through | [`Builder::script`], [`SCRIPT`] |
//! | let pages subscribe to topics | [`Builder::on_subscribe`], [`Subscription`], and `docs/PROTOCOL.md` for how they ask |
//! | answer a subscription later, or with data | [`Subscription::later`], [`Server::answer_subscribe`], [`Subscription::data`] |
//! | push to pages by HTTP alone | [`Config::event_streams`], [`Message::event`], [`Config::long_polling`] |
//! | speak another server's protocol, beside your own | [`Envelope`], [`Handshake::envelope`] |
//! | carry connections in a way of your own, over HTTP requests for example | [`Server::open_session`], [`Handler::on_output`], [`Reply::Output`] |
//! | let such a connection go on over a WebSocket | [`Server::adopt`] |
//! | talk to devices or netcat, without WebSockets | [`Builder::listen_tcp`], [`Framing`], [`Builder::on_receive`] |
//! | give one such listener a handler of its own | [`Builder::listen_tcp_with`] |
//! | connect to another server | [`Client`], [`Server::connect`], [`client::blocking`] |
//! | say which pages and which hosts are let in | [`Origins`], [`Hosts`] |
//! | change limits, at start or later | [`Builder::configure`], [`Server::reload`], [`Config`] |
//! | know what is going on (metrics) | [`Server::client_info`], [`Server::stats`], [`Server::usage`], [`Server::turns`] |
//!
//! # What is promised
//!
//! - **Order.** What is pushed to a connection arrives in the order of the pushes, whoever pushed. A close
//!   comes after all of it, except that of a slow consumer, which is not sent what waited for it. Messages of one
//!   connection are delivered in the order they were sent. Between connections there is no order.
//! - **`Ok` of a push** means that the message is in the connection's outbox: it will be written unless the
//!   connection ends first, and then `on_close` says so. It does not mean that the peer has read it. If
//!   you must know, let the peer answer. `Err` means that nothing of it was sent, and says why
//!   ([`PushError`]).
//! - **An fd names one connection for all time.** A slot that is used again gives another fd, so what you
//!   push to an fd that you kept reaches that client or nobody ([`PushError::Gone`]).
//! - **`on_close` is called exactly once** for every connection that `on_open` was called for, with who ended
//!   it, the close code, the text and the cause ([`CloseReason`]).
//! - **A task's result** comes back exactly once, also if it panicked or the shutdown did not wait for it
//!   ([`TaskError`]).
//! - **Memory is bounded.** Heads, bodies, messages, fragments, outboxes and the mailbox have limits
//!   ([`Config`]), checked before the excess is kept, and there is one sum for all of it ([`MemoryBound`]), which is
//!   logged at start. An idle connection owns no buffer.
//! - **A peer that breaks the protocol** is told how, by status or close code, and disconnected; nobody
//!   else notices.
//! - **A panic in a callback** costs at most the connection that was served: a WebSocket gets close code 1011, a
//!   request or handshake 500. In `on_close`, a timer or [`Handle::run`] it costs no connection; an `every` timer
//!   that panics is cancelled. [`on_error`](Builder::on_error) is told. This needs `panic = "unwind"`, the
//!   default.
//! - **A silent peer** is pinged and, if it stays silent, disconnected: [`Config::ping_interval`],
//!   [`Config::pong_timeout`]. One whose network was cut lived on for 45 s by the defaults, 48 s with output waiting
//!   for it; without pings the system ended it, after 76 s and 60 s (`tests/half_open.rs`).
//!
//! WebSocket is RFC 6455, all of it and strictly; extensions are not offered. HTTP is RFC 9112 as far as
//! pages need it: keep-alive, pipelining, `HEAD`, bodies by length and in chunks. Event streams are those of WHATWG
//! HTML §9.2, switched on by [`Config::event_streams`]; long polling is by [`Config::long_polling`].
//!
//! # Security
//!
//! Browsers let any page open a WebSocket or event stream to any server, or post to it, and send the server's cookies
//! along. So the default is that only pages of the same origin can open a WebSocket, event stream or session, and post
//! to one: see [`Origins`]. Plain requests are not checked: [`on_request`](Builder::on_request) is called whoever asks.
//! Clients other than browsers send no origin and are admitted; [`on_handshake`](Builder::on_handshake) is the place to
//! ask them who they are. A page can also have a name server say that its own host is this machine: servers that only
//! this machine can reach answer for no foreign host, unless a proxy on it passes one on ([`Hosts`]). TLS is left to a
//! proxy in front.
//!
//! # Limits
//!
//! The number of connections is limited by the open files that the system allows: the soft limit is raised to the
//! hard one at start, 64 files are kept back for other things, and the log says what that leaves. (An fd has room
//! for 16,777,215.) Beyond it clients get 503, or are just closed if more than 32 are being told already.
//! Nearly all limits and timeouts are fields of [`Config`], each with its default and the reason for it; change
//! them by [`Builder::configure`]. Some can be set for each route and each listener: [`RouteOptions`],
//! [`ListenOptions`].
//!
//! # Operation
//!
//! A server that [`run`](Builder::run) serves shuts down gracefully on SIGTERM and SIGINT, and others do so on request:
//! see [`Builder::signals`]. Limits can be read from a TOML file, with the feature `toml`, and again on SIGHUP; or be
//! changed by [`Server::reload`] while the server runs.
//!
//! # Logging
//!
//! Through the [log](https://docs.rs/log) crate: `info` for start and end, `warn` for what an operator should see, `debug` for
//! what peers do wrong and why connections end. There is nothing for each message.
//!
//! # Layout of the source
//!
//! Layers, each knowing only those below it:
//!
//! - `client`: what users see of clients;
//! - `server`: the server as callbacks see it, which calls the handlers. Its parts, from the highest to the lowest:
//!   `start` (from configuration and handlers to a running server), `dispatch` (from the reactor to the handlers),
//!   `verbs` (what users do with a server), `api` (what users hold), `mod.rs` (the server itself), `state` (what is
//!   kept of many connections: topics, users, histories, tasks, commands);
//! - `session`: the protocol life of one connection, on every transport, and the forms in which messages go out. It
//!   knows no handler, no topic and no user;
//! - `net` (reactor, sockets, outboxes, deadlines) and `codec` (HTTP, WebSocket, event streams, long polling, packages
//!   on TCP: bytes in, events out), which do not know each other;
//! - `config`, `error` and `fd`; `random` and `panics`, which know nothing else.
//!
//! `page` is the script for pages and its types. `sim`, `bench`, `fuzzing` and `tests` are only for tests, benches and
//! fuzz targets. Benches are a package of their own in the workspace, fuzz targets one outside of it. Each file begins
//! with what it is for.

#[cfg(not(unix))]
compile_error!("swio is for Unix: its sockets, signals and limit of open files are those of Unix");

#[cfg(not(target_pointer_width = "64"))]
compile_error!("swio needs a 64-bit target: an fd is a token of the poller");

/// Their examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/SWOOLE.md")]
#[doc = include_str!("../docs/DEPLOY.md")]
struct Documents;

#[cfg(feature = "sim")]
#[doc(hidden)]
pub mod bench;
pub mod client;
mod codec;
mod config;
mod error;
mod fd;
#[cfg(feature = "sim")]
#[doc(hidden)]
pub mod fuzzing;
mod net;
mod panics;
mod random;
mod server;
mod session;
#[cfg(any(test, feature = "sim"))]
mod sim;
#[cfg(test)]
mod tests;

pub use client::{Client, Link, RunningClient};
pub use codec::http::{Answer, Response, ResponseHead};
pub use codec::tcp::{Framing, LengthType};
pub use codec::ws::Opcode;
pub use config::options::{ListenOptions, RouteOptions};
pub use config::{Config, ConfigError, ForwardedHeader, Network, ParseNetworkError, SlowConsumer};
pub use config::{Hosts, Origins};
pub use error::{Cause, CloseReason, Fault, JoinError, PushError, Side};
pub use fd::{Fd, FdMap, ParseFdError};
pub use net::lost::Lost;
pub use server::api::broadcast::Broadcast;
pub use server::api::handler::Callbacks;
pub use server::api::handler::Handler;
pub use server::start::builder::Builder;
pub use server::start::event_loop::{EventLoop, Running};
pub use server::state::command::Command;
pub use server::state::history::History;
pub use server::state::outcome::Outcome;
pub use server::state::outgoing::{Backoff, ClientId};
pub use server::state::pool::{TaskError, TaskId};
pub use server::state::presence::{Presence, PresenceEvent};
pub use server::state::report::{MemoryBound, Stats, Turns, Usage};
pub use server::state::returning::Recovered;
pub use server::state::rooms::TopicEvent;
pub use server::state::subscription::{SubscribeRequest, Subscription};
pub use server::state::timers::TimerId;
pub use server::state::watches::Watches;
pub use server::{Handle, Server};
pub use session::envelope::{Envelope, EnvelopeId, Packets};
pub use session::fan_out::Reach;
pub use session::frame::{Data, Frame};
pub use session::info::{ClientInfo, Refusals, Status, Transport};
pub use session::message::Message;
pub use session::prepared::Prepared;
pub use session::request::{Handshake, Reply, Request};
pub use session::script::SCRIPT;
pub use session::socketless::Output;
