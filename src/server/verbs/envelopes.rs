//! Envelopes: added to a server, and chosen for a connection.

use crate::error::PushError;
use crate::fd::Fd;
use crate::server::Server;
use crate::session::envelope::{Envelope, EnvelopeId};
use crate::session::formats::ENVELOPES_MAX;
use std::rc::Rc;

impl Server {
    /// Adds an envelope, which handshakes can [choose](crate::Handshake::envelope) by its id from then on. Do this in
    /// [`on_start`](crate::Handler::on_start), before there are connections.
    ///
    /// # Panics
    /// If there are 32 already: an envelope is for all connections that speak a protocol, not for one of them.
    pub fn add_envelope(&mut self, envelope: impl Envelope + 'static) -> EnvelopeId {
        let id = self.sessions.formats.add_envelope(Rc::new(envelope));
        id.unwrap_or_else(|| panic!("a server has at most {ENVELOPES_MAX} envelopes"))
    }

    /// Gives an established connection another envelope, for everything that is pushed to it from now on. For clients
    /// that say only after the handshake which protocol they speak, for [sessions](Server::open_session) without a
    /// socket, and for raw TCP, in [`on_connect`](crate::Handler::on_connect).
    ///
    /// # Errors
    /// [`PushError::Gone`], [`PushError::Closing`] or [`PushError::NotOpen`] if the connection is not established;
    /// [`PushError::Unsendable`] if the envelope is not this server's, the connection speaks `swio.1`, or this server
    /// [opened](Server::connect) it.
    pub fn set_envelope(&mut self, fd: Fd, envelope: EnvelopeId) -> Result<(), PushError> {
        let format = self.sessions.channel(fd)?.format;
        if !format.takes_envelope() {
            return Err(PushError::Unsendable);
        }
        let format = self.sessions.formats.with_envelope(format, envelope).ok_or(PushError::Unsendable)?;
        if let Some(session) = self.sessions.connections.session_mut(fd) {
            session.set_format(format);
        }
        Ok(())
    }
}
