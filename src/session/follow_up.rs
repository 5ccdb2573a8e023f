//! What the sessions ask of the server once the current callback has returned. It is done before the server's own
//! `Deferred`, what handlers are told because of a verb: an answer that was given is sent before they hear more.

use crate::codec::http::Response;
use crate::fd::Fd;
use crate::session::request::Handshake;

/// The answer that was waited for.
#[derive(Debug)]
pub(crate) enum LateAnswer {
    Handshake(Handshake),
    Response(Response),
}

/// One such piece of work.
pub(crate) enum FollowUp {
    /// A waiting request got its answer.
    Answered(Fd, LateAnswer),
    /// The body of a response was written to its end.
    BodyEnded(Fd),
    /// A pause ends.
    Resumed(Fd),
    /// A session without a socket moves to a WebSocket.
    Adopted {
        session: Fd,
        websocket: Fd,
        /// The WebSocket is paused only for this.
        is_paused: bool,
    },
    /// A request has waited for the output of a session for as long as it may.
    WaitedOut(Fd, Fd),
}
