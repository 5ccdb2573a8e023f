//! The forms in which messages are sent: a format is the framing of a transport with some content in it. Each
//! established connection has the number of a format, and everything that differs by format is here.

use crate::codec::labels::{self, Labels, Notice};
use crate::codec::sse;
use crate::codec::tcp::{Framer, Framing};
use crate::codec::ws::Opcode;
use crate::net::outbox::Bytes;
use crate::session::carrier::Carrier;
use crate::session::envelope::{Envelope, EnvelopeId, Packets};
use crate::session::info::Transport;
use crate::session::message::Message;
use std::ops::Index;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A format's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FormatId(pub(crate) u8);

impl FormatId {
    /// WebSocket frames.
    pub(crate) const PLAIN: FormatId = FormatId(0);
    /// The same, masked, if this side is the client. Each frame has its own mask, so no bytes are shared.
    pub(crate) const MASKED: FormatId = FormatId(1);
    /// WebSocket frames of `swio.1`.
    pub(crate) const LABELLED: FormatId = FormatId(2);
    /// Events.
    pub(crate) const EVENTS: FormatId = FormatId(3);
    /// Events of `swio.1`.
    pub(crate) const LABELLED_EVENTS: FormatId = FormatId(4);
    /// Messages that wait for a poll, with labels.
    pub(crate) const POLLED: FormatId = FormatId(5);
    /// Units for a session that an application carries.
    pub(crate) const UNITS: FormatId = FormatId(6);

    /// That of a transport that the server offers by itself. `is_labelled`: to a client that speaks `swio.1`.
    pub(crate) fn of(transport: Transport, is_labelled: bool) -> FormatId {
        match (transport, is_labelled) {
            (Transport::LongPolling, _) => FormatId::POLLED,
            (Transport::EventStream, false) => FormatId::EVENTS,
            (Transport::EventStream, true) => FormatId::LABELLED_EVENTS,
            (Transport::Session, _) => FormatId::UNITS,
            (_, false) => FormatId::PLAIN,
            (_, true) => FormatId::LABELLED,
        }
    }

    /// Whether each frame needs a mask of its own, so that none is shared.
    #[inline]
    pub(crate) fn is_masked(self) -> bool {
        self == FormatId::MASKED
    }

    /// Whether these are the frames of `swio.1`, which begin with labels in both directions.
    #[inline]
    pub(crate) fn has_labelled_frames(self) -> bool {
        self == FormatId::LABELLED
    }

    /// What the first frame of a message that is pushed in parts begins with: no labels, if it could have some.
    pub(crate) fn head_of_parts(self) -> &'static [u8] {
        if self.has_labelled_frames() { b"\n" } else { b"" }
    }

    /// Whether it can be changed to one with an envelope: the client has not agreed to another form.
    pub(crate) fn takes_envelope(self) -> bool {
        ![FormatId::LABELLED, FormatId::LABELLED_EVENTS, FormatId::MASKED].contains(&self)
    }

    /// That of the raw TCP listener with this number.
    pub(crate) fn of_listener(number: u8) -> FormatId {
        FormatId(BUILT_IN.len() as u8 + number)
    }
}

/// In the order of their numbers, which tell them from each other in all servers of the process.
const BUILT_IN: [(Carrier, FormatContent); 7] = [
    (Carrier::WebSocket, FormatContent::Payload),
    (Carrier::WebSocket, FormatContent::Payload),
    (Carrier::WebSocket, FormatContent::Labelled(&FRAMES)),
    (Carrier::EventStream, FormatContent::Payload),
    (Carrier::EventStream, FormatContent::Labelled(&EVENTS)),
    (Carrier::LongPolling, FormatContent::Labelled(&POLLED)),
    (Carrier::Socketless, FormatContent::Payload),
];

const FRAMES: Labelling = Labelling { message: labels::frame, notice: labels::notice_frame };
const EVENTS: Labelling = Labelling { message: labels::event, notice: labels::notice_event };
const POLLED: Labelling = Labelling { message: labels::polled, notice: labels::notice_polled };

/// The number of formats that there is room for, so that one byte identifies a format.
const FORMATS_MAX: usize = 1 << 8;
/// Each may be used on four transports, not counting raw TCP.
pub(crate) const ENVELOPES_MAX: usize = 32;
pub(crate) const TCP_LISTENERS_MAX: usize = 120;
const _: () = assert!(BUILT_IN.len() + TCP_LISTENERS_MAX + 4 * ENVELOPES_MAX <= FORMATS_MAX);

/// The next key for a format or envelope: keys are unique in the process.
static NEXT_KEY: AtomicU64 = AtomicU64::new(BUILT_IN.len() as u64);

pub(crate) fn next_key() -> u64 {
    NEXT_KEY.fetch_add(1, Ordering::Relaxed)
}

/// What the framing carries.
#[derive(Clone)]
enum FormatContent {
    /// The message's payload; on an event stream with id and event name, which the transport has fields for.
    Payload,
    /// The payload with labels.
    Labelled(&'static Labelling),
    /// What the application's envelope makes of the message.
    Envelope(EnvelopeId, Rc<dyn Envelope>),
}

/// How labelled messages and notices are encoded.
struct Labelling {
    message: fn(Option<&Labels>, bool, &[u8]) -> Vec<u8>,
    notice: fn(Notice<'_>) -> Vec<u8>,
}

pub(crate) struct Format {
    pub(crate) carrier: Carrier,
    content: FormatContent,
    /// No other format of the process has it, but those of other servers that give the same bytes.
    key: u64,
    /// The format with the same framing and no envelope of the application.
    pub(crate) bare: FormatId,
}

impl Format {
    /// How notices are encoded; `None` if the clients get none.
    pub(crate) fn notice(&self) -> Option<fn(Notice<'_>) -> Vec<u8>> {
        match self.content {
            FormatContent::Labelled(labelling) => Some(labelling.notice),
            _ => None,
        }
    }

    /// Whether the clients are told what happened, and where in a topic they are: only these may subscribe.
    pub(crate) fn has_labels(&self) -> bool {
        matches!(self.content, FormatContent::Labelled(_))
    }

    /// Whether the encoding can contain the topic.
    pub(crate) fn reads_topic(&self) -> bool {
        !matches!(self.content, FormatContent::Payload)
    }

    /// What shows the network that an event stream is in use.
    pub(crate) fn heartbeat(&self) -> &'static [u8] {
        if self.has_labels() { labels::HEARTBEAT } else { sse::COMMENT }
    }

    /// The bytes of a message in this format; `None` if it has no form here.
    fn encode(&self, message: &Message<'_>) -> Option<Vec<u8>> {
        let (opcode, data, labels) = (message.opcode(), message.as_bytes(), message.labels());
        match &self.content {
            FormatContent::Payload => {
                let mut run = Vec::new();
                self.carrier.put(&mut run, labels, opcode, data).then_some(run)
            }
            FormatContent::Labelled(labelling) => {
                Some((labelling.message)(labels, opcode == Opcode::Binary, data))
            }
            FormatContent::Envelope(_, envelope) => self.envelop(&**envelope, message),
        }
    }

    /// A panic of the application's envelope costs the message, not the server: it may run outside any callback.
    fn envelop(&self, envelope: &dyn Envelope, message: &Message<'_>) -> Option<Vec<u8>> {
        let mut run = Vec::new();
        let mut packets = Packets::new(&self.carrier, &mut run);
        // Unwind safety: what was appended is discarded, and the envelope is responsible for its own state.
        let result = catch_unwind(AssertUnwindSafe(|| envelope.encode(message, &mut packets)));
        let is_whole = packets.is_whole();
        if result.is_err() {
            log::error!("an envelope panicked; the message is not sent to the connections that use it");
            return None;
        }
        if !is_whole {
            return None;
        }
        if let (Carrier::EventStream, Some(labels)) = (&self.carrier, message.labels())
            && let Some(id) = labels.stream_id()
        {
            // After all of its events, so that a client that resumes from here has seen them all.
            run.extend(sse::position(id));
        }
        Some(run)
    }
}

/// All formats of a server, by number:
///
/// ```text
/// 0 ..= 6      built in: WebSocket, event stream, long polling, session; plain or with the labels of swio.1
/// 7 ..= 6 + T  raw TCP, one for each of the T listeners
/// then         a transport with an envelope, added when a handshake first chooses the two
/// ```
pub(crate) struct Formats {
    formats: Vec<Format>,
    envelopes: Vec<(EnvelopeId, Rc<dyn Envelope>)>,
}

impl Formats {
    /// The built-in formats, and one for each raw TCP listener in order.
    pub(crate) fn new(framings: &[Framing]) -> Formats {
        let built_in = BUILT_IN.into_iter().enumerate();
        let built_in = built_in.map(|(number, (carrier, content))| (number, number as u64, carrier, content));
        let tcp = framings.iter().enumerate().map(|(number, framing)| {
            let carrier = Carrier::Tcp(Rc::new(Framer::new(framing)));
            (BUILT_IN.len() + number, next_key(), carrier, FormatContent::Payload)
        });
        let formats = built_in.chain(tcp).map(|(number, key, carrier, content)| Format {
            carrier,
            content,
            key,
            bare: FormatId(number as u8),
        });
        Formats { formats: formats.collect(), envelopes: Vec::new() }
    }

    /// Gives an envelope its id; `None` if there are too many.
    pub(crate) fn add_envelope(&mut self, envelope: Rc<dyn Envelope>) -> Option<EnvelopeId> {
        if self.envelopes.len() == ENVELOPES_MAX {
            return None;
        }
        let id = EnvelopeId(next_key());
        self.envelopes.push((id, envelope));
        Some(id)
    }

    /// The format with the framing of `id` and this envelope; `None` if the envelope is not this server's, or there
    /// are too many formats.
    pub(crate) fn with_envelope(&mut self, id: FormatId, envelope: EnvelopeId) -> Option<FormatId> {
        let bare = self[id].bare;
        let is_it = |format: &Format| match &format.content {
            FormatContent::Envelope(other, _) => format.bare == bare && *other == envelope,
            _ => false,
        };
        if let Some(number) = self.formats.iter().position(is_it) {
            return Some(FormatId(number as u8));
        }
        let (_, own) = self.envelopes.iter().find(|(other, _)| *other == envelope)?;
        let number = u8::try_from(self.formats.len()).ok()?;
        let content = FormatContent::Envelope(envelope, own.clone());
        let carrier = self[bare].carrier.clone();
        self.formats.push(Format { carrier, content, key: next_key(), bare });
        Some(FormatId(number))
    }

    /// The WebSocket format with the envelope of another format.
    pub(crate) fn on_websocket(&mut self, id: FormatId) -> FormatId {
        match self[id].content {
            FormatContent::Envelope(envelope, _) => self.with_envelope(FormatId::PLAIN, envelope),
            _ => None,
        }
        .unwrap_or(FormatId::PLAIN)
    }

    /// The bytes of a message in a format; `None` if it has no form there. A prepared message shares the bytes of
    /// earlier encodings.
    pub(crate) fn run(&self, id: FormatId, message: &Message<'_>) -> Option<Bytes> {
        let format = &self[id];
        match message.prepared() {
            Some(prepared) if id == FormatId::PLAIN => Some(Bytes::Shared(prepared.frame().clone())),
            Some(prepared) => {
                let run = prepared.run(format.key, message.labels(), || format.encode(message));
                run.map(Bytes::Shared)
            }
            None => format.encode(message).map(Bytes::Own),
        }
    }

    /// The framing of raw TCP in this format.
    pub(crate) fn framer(&self, id: FormatId) -> &Framer {
        match &self[id].carrier {
            Carrier::Tcp(framer) => framer,
            _ => &Framer::None,
        }
    }
}

impl Index<FormatId> for Formats {
    type Output = Format;

    fn index(&self, id: FormatId) -> &Format {
        &self.formats[usize::from(id.0)]
    }
}
