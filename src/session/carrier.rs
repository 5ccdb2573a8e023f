//! The framing of each transport: how one transport message is written.

use crate::codec::labels::{self, Labels};
use crate::codec::sse;
use crate::codec::tcp::Framer;
use crate::codec::unit;
use crate::codec::ws::{Opcode, header};
use crate::session::info::Transport;
use std::rc::Rc;

/// A transport's framing.
#[derive(Clone)]
pub(crate) enum Carrier {
    WebSocket,
    EventStream,
    /// The server's own long polling: JSON objects, each a unit.
    LongPolling,
    /// Units, which the application takes and carries.
    Socketless,
    Tcp(Rc<Framer>),
}

impl Carrier {
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Carrier::WebSocket => Transport::WebSocket,
            Carrier::EventStream => Transport::EventStream,
            Carrier::LongPolling => Transport::LongPolling,
            Carrier::Socketless => Transport::Session,
            Carrier::Tcp(_) => Transport::Tcp,
        }
    }

    /// Appends one transport message. Returns false, and appends nothing, if the framing has no way to send it.
    pub(crate) fn put(
        &self,
        run: &mut Vec<u8>,
        labels: Option<&Labels>,
        opcode: Opcode,
        data: &[u8],
    ) -> bool {
        let is_binary = opcode == Opcode::Binary;
        match self {
            Carrier::WebSocket => header::append_frame(run, opcode, data),
            Carrier::EventStream => run.extend(sse::encode(labels, is_binary, data)),
            Carrier::LongPolling => run.extend(labels::polled(labels, is_binary, data)),
            Carrier::Socketless => {
                run.extend_from_slice(&unit::header(is_binary, data.len()));
                run.extend_from_slice(data);
            }
            Carrier::Tcp(framer) => {
                let Some(package) = framer.frame(data.into()) else { return false };
                package.append_to(run);
            }
        }
        true
    }
}
