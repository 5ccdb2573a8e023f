//! How messages go to a connection, and how far it has come: what every verb asks first.

use super::Sessions;
use super::state::{Marks, Phase, Session, WebSocket};
use crate::codec::ws::Role;
use crate::error::PushError;
use crate::fd::Fd;
use crate::net::connection::Life;

/// How messages go to an established connection.
pub(crate) enum Channel {
    /// As frames, masked where this side is the client, with labels in front of the payload where it speaks `swio.1`.
    /// A message to it may have been pushed in part only.
    WebSocket { is_unfinished: bool, is_labelled: bool, role: Role },
    /// As events, with labels in them where it speaks `swio.1`.
    EventStream { is_labelled: bool },
    /// As objects in the answers to its requests.
    LongPolling,
    /// As packages of the framing with this number.
    Tcp(u8),
}

impl Sessions {
    pub(crate) fn is_established(&self, fd: Fd) -> bool {
        self.check_established(fd).is_ok()
    }

    pub(crate) fn check_established(&self, fd: Fd) -> Result<(), PushError> {
        self.channel(fd).map(|_| ())
    }

    /// Which end of a connection this side is.
    pub(crate) fn role(&self, fd: Fd) -> Role {
        self.connections.get(fd).map_or(Role::Server, |connection| connection.session.role())
    }

    #[inline]
    pub(crate) fn channel(&self, fd: Fd) -> Result<Channel, PushError> {
        let connection = self.connections.get(fd).ok_or(PushError::Gone)?;
        match (&connection.session, connection.life) {
            (Session::WebSocket(websocket), Life::Open) if websocket.phase == Phase::Open => {
                Ok(Channel::WebSocket {
                    is_unfinished: websocket.marks.has(Marks::UNFINISHED),
                    is_labelled: websocket.marks.has(Marks::LABELLED),
                    role: websocket.role(),
                })
            }
            (Session::Http(_) | Session::Dialing(_), _) => Err(PushError::NotWebSocket),
            (Session::EventStream(stream), Life::Open) if !stream.is_ended => {
                Ok(Channel::EventStream { is_labelled: stream.is_labelled })
            }
            (Session::Poll(poll), Life::Open) if poll.end.is_none() => Ok(Channel::LongPolling),
            (session, Life::Open) => session.framing().map(Channel::Tcp).ok_or(PushError::Closing),
            _ => Err(PushError::Closing),
        }
    }

    pub(crate) fn websocket_mut(&mut self, fd: Fd) -> Option<&mut WebSocket> {
        match self.connections.session_mut(fd)? {
            Session::WebSocket(websocket) => Some(websocket),
            _ => None,
        }
    }

    pub(crate) fn set_phase(&mut self, fd: Fd, phase: Phase) {
        self.change_session(fd, |session| {
            if let Session::WebSocket(websocket) = session {
                websocket.phase = phase;
            }
        });
    }
}
