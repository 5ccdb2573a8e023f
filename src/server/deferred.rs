//! What a verb of the server makes handlers hear of. A verb calls nobody back, so what it has to tell waits here until
//! the callback that it was called from is over.

use super::Server;
use super::api::handler::Handler;
use super::api::routes::Route;
use super::verbs::outgoing::ClientId;
use super::verbs::presence::Presence;
use super::verbs::topics::TopicEvent;
use super::verbs::waiting::LateAnswer;
use crate::fd::Fd;
use std::rc::Rc;

/// To be told at the end of the turn.
pub(crate) enum Deferred {
    /// [`Server::defer`].
    Call(Route, Box<dyn FnOnce(&mut Server)>),
    /// [`Server::answer_handshake`] and [`Server::respond`].
    Answered(Fd, LateAnswer),
    /// [`Server::resume`].
    Resumed(Fd),
    /// [`Server::reload`].
    Reloaded,
    TasksAbandoned,
    /// A client is to connect, or to be over where it was stopped; the first time with the handler that is its own.
    Dial(ClientId, Option<Box<dyn Handler>>),
    /// Handlers are told, then connections.
    BeforeShutdown,
    Topic(Rc<str>, TopicEvent),
    /// Of a topic and a user.
    Presence(Rc<str>, Rc<str>, Presence),
}
