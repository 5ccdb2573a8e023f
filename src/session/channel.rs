//! How messages are sent to a connection, and whether it is established: what every verb checks first.

use super::Sessions;
use super::formats::FormatId;
use super::info::Transport;
use super::state::{ClosePhase, Marks, Session, WebSocket};
use crate::codec::ws::Role;
use crate::error::PushError;
use crate::fd::Fd;
use crate::net::connection::Life;

/// How messages are sent to an established connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel {
    pub(crate) transport: Transport,
    pub(crate) format: FormatId,
    /// A message was pushed to it in part and is not finished.
    pub(crate) is_unfinished: bool,
}

impl Sessions {
    pub(crate) fn is_established(&self, fd: Fd) -> bool {
        self.check_established(fd).is_ok()
    }

    pub(crate) fn check_established(&self, fd: Fd) -> Result<(), PushError> {
        self.channel(fd).map(|_| ())
    }

    /// The role of this side on a connection.
    pub(crate) fn role(&self, fd: Fd) -> Role {
        self.connections.get(fd).map_or(Role::Server, |connection| connection.session.role())
    }

    #[inline]
    pub(crate) fn channel(&self, fd: Fd) -> Result<Channel, PushError> {
        let connection = self.connections.get(fd).ok_or(PushError::Gone)?;
        match &connection.session {
            // The common case, without a look at the others.
            Session::WebSocket(websocket)
                if websocket.phase == ClosePhase::Open && connection.life == Life::Open =>
            {
                Ok(Channel {
                    transport: Transport::WebSocket,
                    format: websocket.format,
                    is_unfinished: websocket.marks.has(Marks::UNFINISHED),
                })
            }
            session => other_channel(session, connection.life),
        }
    }

    /// The transport of a connection, if it is established.
    pub(crate) fn transport(&self, fd: Fd) -> Result<Transport, PushError> {
        self.channel(fd).map(|channel| channel.transport)
    }

    pub(crate) fn websocket_mut(&mut self, fd: Fd) -> Option<&mut WebSocket> {
        match self.connections.session_mut(fd)? {
            Session::WebSocket(websocket) => Some(websocket),
            _ => None,
        }
    }

    pub(crate) fn set_phase(&mut self, fd: Fd, phase: ClosePhase) {
        self.change_session(fd, |session| {
            if let Session::WebSocket(websocket) = session {
                websocket.phase = phase;
            }
        });
    }
}

fn other_channel(session: &Session, life: Life) -> Result<Channel, PushError> {
    match session.format() {
        Some(format) if life == Life::Open => {
            Ok(Channel { transport: session.transport(), format, is_unfinished: false })
        }
        None if matches!(session, Session::Http(_) | Session::Dialing(_)) => Err(PushError::NotOpen),
        _ => Err(PushError::Closing),
    }
}
