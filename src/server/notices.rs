//! What a verb of the server makes handlers hear of. A verb calls nobody back, so what it has to tell waits here until
//! the callback that it was called from is over.

use super::Server;
use super::routes::Route;

/// To be told at the end of the turn.
pub(crate) enum Notice {
    /// [`Server::defer`].
    Deferred(Route, Box<dyn FnOnce(&mut Server)>),
    /// [`Server::reload`].
    Reloaded,
    /// Handlers are told, then connections.
    BeforeShutdown,
}
