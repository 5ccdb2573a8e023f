//! Notices: what clients that speak `swio.1` or poll are told beside messages.

use crate::codec::labels::Notice;
use crate::fd::Fd;
use crate::net::quota::{Quota, Refused};
use crate::session::Sessions;

impl Sessions {
    /// Sends a notice to a client that has labels. The notice is certain to be sent while the connection lives: a
    /// connection without room for it is ended.
    pub(crate) fn tell(&mut self, fd: Fd, notice: Notice<'_>) {
        let Ok(channel) = self.channel(fd) else { return };
        let Some(encode) = self.formats[channel.format].notice() else { return };
        let run = encode(notice);
        if channel.is_unfinished {
            self.hold_back(fd, &run).ok();
        } else {
            self.write_certain(fd, run);
        }
    }

    /// Sends what may not be lost: a connection without room for it is ended.
    pub(crate) fn write_certain(&mut self, fd: Fd, run: Vec<u8>) {
        if let Err(Refused::Full(_)) = self.connections.write_owned(fd, &[], run.into(), Quota::Control) {
            self.close_slow(fd, "the outbox is full");
        }
    }
}
