//! One simulated connection: what its client has sent and got, and what the naive model knows of it.

use super::json::Json;
use super::transfers::Transfers;
use super::visitors::Ask;
use super::written::{self, Answer, Item, behind_pages, frame};
use super::*;

/// What the naive model knows of a connection that was opened.
#[derive(Default)]
pub(super) struct Model {
    pub(super) is_opened: bool,
    /// Messages that the handler was given.
    pub(super) messages: usize,
    /// What was pushed and accepted, in order.
    pub(super) pushed: Pushes,
    pub(super) is_closing: bool,
    /// What the server pushed by itself may have been too much for it.
    pub(super) is_doubtful: bool,
    pub(super) closed: Option<CloseReason>,
    pub(super) is_disconnected: bool,
    /// Its client has said that it goes, with this code.
    pub(super) left: Option<u16>,
    /// The server has begun to shut down.
    pub(super) is_shut: bool,
    pub(super) requests: usize,
}

pub(super) struct Client {
    pub(super) wire: u32,
    pub(super) fd: Fd,
    pub(super) script: Script,
    /// How much of the script is on its way or has arrived.
    pub(super) sent: usize,
    /// What the kernel has to tell and did not yet.
    pub(super) pending: Option<Ready>,
    /// Its place in the order in which sockets became ready.
    pub(super) pended: u64,
    /// Takes bytes seldom or never.
    pub(super) is_slow: bool,
    /// Nothing more happens from its side.
    pub(super) is_silent: bool,
    /// When the server last took bytes.
    pub(super) heard: Instant,
    /// When it sent the first of the bytes that are not read.
    pub(super) spoke: Instant,
    pub(super) transfers: Transfers,
    /// After the last turn.
    pub(super) was_open: bool,
    /// Something of it was not read when it was last open.
    pub(super) was_unread: bool,
    /// It was not to be read, after the last turn behind which it was open.
    pub(super) was_held: bool,
    pub(super) consumed: usize,
    pub(super) model: Model,
    /// How many items of the log were checked against what was written.
    pub(super) written_checked: usize,
    /// How many bytes were written, and how many messages in them.
    pub(super) written: usize,
    pub(super) arrived: u64,
    /// Who has it, of visitors.
    pub(super) visitor: Option<usize>,
    /// Requests without an answer, and answers that were not judged.
    pub(super) asked: VecDeque<Ask>,
    pub(super) answers: VecDeque<Answer>,
    /// What its event stream told it.
    pub(super) seen: Vec<Item>,
    /// How many bytes, or blocks of an event stream, were looked at for these.
    pub(super) judged: usize,
    /// No further answer comes.
    pub(super) is_last: bool,
    /// What is written from now on does not come to it.
    pub(super) is_deaf: bool,
}

impl Client {
    /// The n-th message of the script, counted from 1, if it has arrived.
    pub(super) fn message(&self, nth: usize) -> Option<(Opcode, &[u8])> {
        let mut messages = self.script.items.iter().filter_map(|item| match &item.what {
            What::Message(opcode, data) => Some((item.end, *opcode, &data[..])),
            _ => None,
        });
        let (end, opcode, data) = messages.nth(nth - 1)?;
        (end <= self.consumed_now()).then_some((opcode, data))
    }

    pub(super) fn consumed_now(&self) -> usize {
        self.sent - wire(self.wire, |wire| wire.readable.len())
    }

    /// Whether nothing has happened that could end the connection.
    pub(super) fn is_healthy(&self) -> bool {
        let ends = |what: &What| matches!(what, What::Close(_) | What::Error(_) | What::Refused(_));
        let ended = self.script.items.iter().any(|item| ends(&item.what) && item.end <= self.sent + 20_001);
        !ended
            && !self.model.is_closing
            && !self.model.is_doubtful
            && self.model.left.is_none()
            && !self.model.is_shut
            && self.model.closed.is_none()
            && !wire(self.wire, |wire| wire.fin || wire.reset)
    }

    /// Everything that the server took out of the socket has had its effect.
    pub(super) fn check_read(&self, server: &Server) {
        if !matches!(self.script.kind, Kind::WebSocket | Kind::Tcp(_))
            || !self.is_healthy()
            || !server.is_established(self.fd)
        {
            return;
        }
        if server.client_info(self.fd).is_some_and(|info| info.is_paused) {
            return;
        }
        // The rest of a read waits for the next turn, if its share of this one was over.
        let consumed = self.consumed_now() - server.sessions.connections.rest_bytes(self.fd).1;
        let is_message = |what: &What| matches!(what, What::Message(..));
        let arrived = self.script.items.iter().filter(|item| item.end <= consumed && is_message(&item.what));
        assert_eq!(arrived.count(), self.model.messages, "{}: messages got lost", self.fd);
        let is_waiting = wire(self.wire, |wire| !wire.readable.is_empty());
        let is_known = self.pending.is_some() || server.usage().pending > 0;
        // It is read again when it has read what it asked for.
        let is_held = server.sessions.connections.get(self.fd).is_some_and(|connection| {
            connection.flags.has(Flags::PAUSED_BY_PROTOCOL) && connection.queued_bytes() > 0
        });
        assert!(!is_waiting || is_known || is_held, "{}: bytes wait and nobody knows", self.fd);
    }

    pub(super) fn check_written(&mut self) {
        let (written, is_closed) = wire(self.wire, |wire| (std::mem::take(&mut wire.written), wire.closed));
        if written.len() == self.written && !is_closed {
            return wire(self.wire, |wire| wire.written = written);
        }
        self.written = written.len();
        match self.script.kind {
            Kind::WebSocket => self.check_frames(&written),
            Kind::Tcp(framing) => self.check_packages(framing, &written),
            Kind::EventStream => self.check_events(&written),
            Kind::Carrier => self.check_answers(&written),
            Kind::Http => self.check_responses(&written),
        }
        // What was not judged yet comes first the next time.
        wire(self.wire, |wire| wire.written = written);
    }

    /// The peer closed, and everything went out before the socket was closed.
    pub(super) fn has_ended_well(&self) -> bool {
        let is_clean =
            |reason: &CloseReason| reason.by == crate::Side::Peer && reason.cause == Cause::Requested;
        self.model.closed.as_ref().is_some_and(is_clean)
            && wire(self.wire, |wire| wire.server_fin && !wire.reset)
    }

    /// The 101, then frames: the accepted pushes in their order, pongs for pings, at most one close, the
    /// last.
    pub(super) fn check_frames(&mut self, written: &[u8]) {
        let Some(written) = behind_pages(written) else { return };
        let Some(head) = written.windows(4).position(|four| four == b"\r\n\r\n") else { return };
        // The request or its answer took too long.
        if written.starts_with(b"HTTP/1.1 408 ") || written.starts_with(b"HTTP/1.1 503 ") {
            return;
        }
        assert!(written.starts_with(b"HTTP/1.1 101 "), "{}: {}", self.fd, String::from_utf8_lossy(written));
        let pings = self.script.items.iter().filter_map(|item| match &item.what {
            What::Ping(payload) => Some(payload),
            _ => None,
        });
        let mut pings: Vec<&Vec<u8>> = pings.collect();
        let mut rest = &written[head + 4..];
        let mut arrivals = self.model.pushed.arrivals();
        let mut is_closed = false;
        let mut begun: Option<(Opcode, Vec<u8>)> = None;
        let is_labelled = self.visitor.is_some();
        let mut number = 0;
        let mut take = |opcode, data: &[u8]| {
            if !is_labelled {
                return arrivals.take(opcode, data);
            }
            let item = written::labelled(opcode, data);
            arrivals.take(item.message.0, &item.message.1);
            number += 1;
            if number > self.judged {
                self.judged = number;
                self.seen.push(item);
            }
        };
        while let Some((first, payload, after)) = frame(rest) {
            assert!(!is_closed, "{}: a frame after the close frame", self.fd);
            match first {
                0x01 | 0x02 => {
                    assert!(begun.is_none(), "{}: a message within another", self.fd);
                    let opcode = if first == 0x01 { Opcode::Text } else { Opcode::Binary };
                    begun = Some((opcode, payload.to_vec()));
                }
                0x80 => {
                    let (opcode, mut data) = begun.take().expect("a message that is continued");
                    data.extend_from_slice(payload);
                    take(opcode, &data);
                }
                0x81 | 0x82 => {
                    assert!(begun.is_none(), "{}: a message within another", self.fd);
                    let opcode = if first == 0x81 { Opcode::Text } else { Opcode::Binary };
                    take(opcode, payload);
                }
                0x88 => is_closed = true,
                0x89 => assert!(payload.len() == 8, "{}: a ping of the server's own", self.fd),
                // An urgent pong may overtake those of earlier pings, but each ping has one at most.
                0x8a => {
                    let ping = pings.iter().position(|ping| *ping == payload);
                    pings.swap_remove(ping.unwrap_or_else(|| panic!("{}: a pong for no ping", self.fd)));
                }
                _ => panic!("{}: first byte {first:#x}", self.fd),
            }
            rest = after;
        }
        if self.has_ended_well() {
            arrivals.check_complete();
        }
        self.arrived = arrivals.count;
    }

    /// The accepted pushes in their order and nothing else.
    fn check_packages(&mut self, framing: u8, written: &[u8]) {
        let mut rest = written;
        let mut arrivals = self.model.pushed.arrivals();
        while let Some((data, after)) = script::unpack(framing, rest) {
            arrivals.take(None, data);
            rest = after;
        }
        if self.has_ended_well() {
            assert_eq!(rest, [], "{}", self.fd);
            arrivals.check_complete();
        }
        self.arrived = arrivals.count;
    }

    fn check_answers(&mut self, written: &[u8]) {
        while let Some((answer, len)) = written::answer(&written[self.judged..]) {
            self.judged += len;
            self.answers.push_back(answer);
        }
    }

    /// The head, then events: the accepted pushes in their order, and at most one of the end, the last.
    fn check_events(&mut self, written: &[u8]) {
        let Some(head) = written.windows(4).position(|four| four == b"\r\n\r\n") else { return };
        if written.starts_with(b"HTTP/1.1 408 ") || written.starts_with(b"HTTP/1.1 503 ") {
            return;
        }
        assert!(
            written.starts_with(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"),
            "{}",
            self.fd
        );
        let mut rest = &written[head + 4..];
        let mut arrivals = self.model.pushed.arrivals();
        let (mut is_closed, mut was_slow, mut is_labelled) = (false, false, false);
        let mut number = 0;
        while let Some((block, after)) = written::block(rest) {
            assert!(!is_closed, "{}: an event after the end", self.fd);
            assert_eq!(block.retry.is_some(), number == 0, "{}", self.fd);
            rest = after;
            number += 1;
            let item = match (block.event, block.data) {
                ("close", Some(data)) => {
                    is_closed = true;
                    // What was not begun is dropped then.
                    was_slow = data.contains("slow consumer") || data.contains("does not read");
                    continue;
                }
                (event, Some(data)) => plain_item(event, data, block.id),
                ("", None) => block.id.map(|id| Item::new(&Json::Object(vec![label("id", id)]))),
                (event, None) => panic!("{}: {event:?} without data", self.fd),
            };
            let Some(item) = item else { continue };
            // The position of a stream without labels is no event, the token is none of the messages.
            if item.session.is_none() && (item.id.is_none() || !item.is_notice || is_labelled) {
                arrivals.take(item.message.0, &item.message.1);
            }
            is_labelled |= item.session.is_some() && block.event.is_empty();
            if number > self.judged {
                self.judged = number;
                self.seen.push(item);
            }
        }
        if self.has_ended_well() || is_closed && !was_slow {
            arrivals.check_complete();
        }
        self.arrived = arrivals.count;
    }

    pub(super) fn check_responses(&mut self, written: &[u8]) {
        let text = String::from_utf8_lossy(written);
        let mut rest = &text[..];
        let mut count = 0;
        while let Some((head, after)) = rest.split_once("\r\n\r\n") {
            let len = head.split("Content-Length: ").nth(1).and_then(|line| line.split("\r\n").next());
            let len: usize = len.and_then(|len| len.parse().ok()).expect("a length");
            if after.len() < len {
                break;
            }
            if head.starts_with("HTTP/1.1 200 ") {
                let What::Request(path) = &self.script.items[count].what else { panic!("no request") };
                assert!(
                    after[..len].starts_with(&format!("you asked for {path} y")),
                    "{}: {}",
                    self.fd,
                    &after[..len]
                );
                count += 1;
            }
            rest = &after[len..];
        }
        assert!(count <= self.model.requests, "{}: an answer without a question", self.fd);
        self.written_checked = count;
    }

    /// Once the socket is closed: opened and closed in pairs, and a clean end has lost nothing.
    pub(super) fn check_end(&self) {
        let Model { is_opened, is_disconnected, .. } = self.model;
        let is_closed = self.model.closed.is_some();
        let (kind, written) = (self.script.kind, wire(self.wire, |wire| wire.written.len()));
        let what = (is_opened, is_closed, is_disconnected);
        let is_pair = what == (true, true, false) || what == (false, false, true);
        assert!(is_pair, "{}: {kind:?} with {written} bytes written, {what:?}", self.fd);
    }
}

/// An event, labelled or not; `None`: a heartbeat.
fn plain_item(event: &str, data: String, id: Option<&str>) -> Option<Item> {
    let json = match event {
        "" if data == "{}" => return None,
        "" if data.starts_with('{') => Json::read(data.as_bytes()),
        "swio" => Json::read(data.as_bytes()),
        "" => Json::Object(vec![label("text", &data)]),
        "binary" | "gap" => Json::Object(vec![label(event, &data)]),
        _ => panic!("an event {event:?}"),
    };
    let mut item = Item::new(&json);
    item.id = item.id.or(id.map(str::to_owned));
    Some(item)
}

fn label(name: &str, value: &str) -> (String, Json) {
    (name.to_owned(), Json::Text(value.to_owned()))
}
