//! Messages that go over HTTP: events of streams, and those that wait for a poll. They are pushed alike and differ only
//! in how they are encoded.

use crate::codec::sse::Labels;
use crate::codec::ws::Opcode;
use crate::codec::{poll, sse};
use crate::error::PushError;
use crate::fd::Fd;
use crate::net::output::Quota;
use crate::server::api::broadcast::{Reach, Target};
use crate::server::api::message::Message;
use crate::server::session::Session;
use crate::server::{Channel, Server};

pub(crate) struct Encoding {
    encode: fn(Option<&Labels>, bool, &[u8]) -> Vec<u8>,
    is_used_by: fn(&Session) -> bool,
}

pub(crate) const EVENTS: Encoding = Encoding { encode: sse::encode, is_used_by: Session::is_event_stream };
pub(crate) const POLLED: Encoding = Encoding { encode: poll::encode, is_used_by: Session::is_poll };

impl Server {
    pub(crate) fn push_labelled(
        &mut self,
        fd: Fd,
        channel: &Channel,
        (opcode, bytes): (Opcode, &[u8]),
        labels: Option<&Labels>,
        quota: Quota,
    ) -> Result<(), PushError> {
        if opcode.is_control() {
            return Err(PushError::Unsendable);
        }
        let encoding = if matches!(channel, Channel::LongPolling) { POLLED } else { EVENTS };
        let run = (encoding.encode)(labels, opcode == Opcode::Binary, bytes);
        let written = self.connections.write_owned(fd, &[], run, quota);
        written.map_err(|refused| self.refused(fd, refused))?;
        self.stats.messages_sent += 1;
        Ok(())
    }

    /// Queues a message for all of those that are meant who use this encoding.
    pub(crate) fn fan_out_labelled(
        &mut self,
        encoding: &Encoding,
        target: Target,
        message: &Message<'_>,
        except: &[Fd],
        reach: &mut Reach,
    ) {
        let is_binary = message.opcode() == Opcode::Binary;
        let run = (encoding.encode)(message.labels(), is_binary, message.as_bytes());
        let reached = self.fan_out(target, &run, None, message.delivery(), |connection| {
            (encoding.is_used_by)(&connection.session) && !except.contains(&connection.fd)
        });
        reach.queued += reached.queued;
        reach.refused += reached.refused;
    }
}
