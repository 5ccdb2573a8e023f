//! Envelopes: the form of messages to a connection, if the application decides it.

use crate::codec::ws::Opcode;
use crate::session::carrier::Carrier;
use crate::session::info::Transport;
use crate::session::message::Message;

/// The form of messages to a connection: what is sent for each message that is pushed, published or broadcast.
///
/// Without an envelope a connection gets the payload as it is. A server that speaks another server's protocol wraps
/// it, and clients of different protocols can be in the same topic. An envelope is called once for each message and
/// each transport on which a receiver uses it, and not at all if no receiver does:
///
/// ```text
///                                      ┌─ WebSocket            81 05 hello
///                                      │
///  publish("news", "hello") ───────────┼─ WebSocket, envelope  81 21 {"channel":"news","data":"hello"}
///    topic "news"                      │
///    payload hello, text               ├─ event stream, the    data: {"channel":"news","data":"hello"}
///                                      │  same envelope
///                                      │
///                                      └─ WebSocket, swio.1    81 10 topic=news LF hello
/// ```
///
/// An envelope knows nothing of framing: it gives [`Packets`] the transport messages that one message becomes, and the
/// server frames them as each connection needs.
///
/// [Add](crate::Server::add_envelope) it to a server, and [choose](crate::Handshake::envelope) it in the answer to a
/// handshake:
///
/// ```no_run
/// use std::sync::{Arc, OnceLock};
/// use swio::{Envelope, EnvelopeId, Handshake, Message, Packets, Server};
///
/// struct Json;
///
/// impl Envelope for Json {
///     fn encode(&self, message: &Message<'_>, out: &mut Packets<'_>) {
///         // Binary messages have no form here: clients with this envelope do not get them.
///         let Some(text) = message.as_str() else { return };
///         let topic = message.topic().unwrap_or_default();
///         out.text(&serde_json::json!({ "channel": topic, "data": text }).to_string());
///     }
/// }
///
/// let json = Arc::new(OnceLock::<EnvelopeId>::new());
/// let chosen = json.clone();
/// Server::builder()
///     .listen("127.0.0.1:9501")
///     .on_start(move |server| json.set(server.add_envelope(Json)).expect("on_start is called once"))
///     .on_handshake(move |_, request| match (request.path(), chosen.get()) {
///         ("/json", Some(json)) => Handshake::accept().envelope(*json),
///         _ => Handshake::accept(),
///     })
///     .run()
/// # .unwrap();
/// ```
///
/// Only messages go through an envelope. What the protocols send by themselves, such as pings and close frames, does
/// not; nor does what is sent by [`push_as`](crate::Server::push_as), [`push_part`](crate::Server::push_part) or
/// [`send`](crate::Server::send). Use these to answer in the envelope's own protocol.
pub trait Envelope {
    /// Gives `out` what is sent to a connection for `message`. If nothing is given, or this panics, the message has no
    /// form here: a push of it fails with [`PushError::Unsendable`](crate::PushError::Unsendable), and a publish
    /// counts it as [`Reach::unsendable`](crate::Reach::unsendable).
    ///
    /// The result must depend on the message alone: it is shared by all connections with this envelope, and kept by
    /// a [`Prepared`](crate::Prepared) message.
    fn encode(&self, message: &Message<'_>, out: &mut Packets<'_>);
}

/// What an [`Envelope`] makes of a message: any number of transport messages, in order.
pub struct Packets<'a> {
    carrier: &'a Carrier,
    run: &'a mut Vec<u8>,
    count: usize,
    is_unsendable: bool,
}

impl<'a> Packets<'a> {
    pub(crate) fn new(carrier: &'a Carrier, run: &'a mut Vec<u8>) -> Packets<'a> {
        Packets { carrier, run, count: 0, is_unsendable: false }
    }

    /// Whether something was added, and the transport can send all of it.
    pub(crate) fn is_whole(&self) -> bool {
        self.count > 0 && !self.is_unsendable
    }

    /// Adds a text: a text frame of a WebSocket, an event `message` of an event stream, `{"text":".."}` in the answer
    /// to a poll, a package of raw TCP, or a text in the [output](crate::Output) of a session without a socket.
    pub fn text(&mut self, text: &str) {
        self.put(Opcode::Text, text.as_bytes());
    }

    /// Adds bytes: a binary frame of a WebSocket, an event `binary` with base64 on an event stream,
    /// `{"binary":"BASE64"}` in the answer to a poll, a package of raw TCP, or bytes in the
    /// [output](crate::Output) of a session without a socket.
    pub fn binary(&mut self, bytes: &[u8]) {
        self.put(Opcode::Binary, bytes);
    }

    /// Adds the payload of a message unchanged and with its own kind.
    pub fn payload(&mut self, message: &Message<'_>) {
        self.put(message.opcode(), message.as_bytes());
    }

    /// The transport that the message is sent by. Most envelopes need not know.
    pub fn transport(&self) -> Transport {
        self.carrier.transport()
    }

    fn put(&mut self, opcode: Opcode, data: &[u8]) {
        self.count += 1;
        // All or nothing: a part of what a message becomes may mean something else.
        self.is_unsendable |= !self.carrier.put(self.run, None, opcode, data);
    }
}

impl std::fmt::Debug for Packets<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packets").field("transport", &self.transport()).field("count", &self.count).finish()
    }
}

/// Identifies an envelope that was [added](crate::Server::add_envelope) to a server. It is valid for that server only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnvelopeId(pub(crate) u64);
