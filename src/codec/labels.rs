//! Labels of messages (topic, id, event name), and how each kind of connection gets them: labelled event streams and
//! long polling as members of a JSON object, WebSockets of `swio.1` as a query in front of the payload. A notice is
//! labels without a payload. Documented in docs/PROTOCOL.md. Knows no connection.

use super::json::quote;
use super::unit;
use super::ws::{Opcode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::Write as _;

/// WebSockets with this subprotocol, and event streams with this `protocol`, get labels.
pub(crate) const PROTOCOL: &str = "swio.1";

/// An empty event, which shows the page and the network that the stream is alive.
pub(crate) const HEARTBEAT: &[u8] = b"data: {}\n\n";

/// What a message has in addition to its payload. An empty text means that it has no such label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) topic: String,
    pub(crate) id: String,
    pub(crate) event: String,
    /// In place of the id on event streams without labels: it stands for the client's place in all topics. None of
    /// the labels that clients are told.
    pub(crate) overall_id: String,
}

impl Labels {
    /// The id that event streams without labels are told; `None` if there is none.
    pub(crate) fn stream_id(&self) -> Option<&str> {
        [&self.overall_id, &self.id].into_iter().find(|id| !id.is_empty()).map(|id| &**id)
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = [("topic", &*self.topic), ("id", &*self.id), ("event", &*self.event)];
        all.into_iter().filter(|(_, value)| !value.is_empty())
    }
}

/// The names and values of a notice.
pub(crate) type Notice<'a> = &'a [(&'a str, &'a str)];

/// A message that is longer is announced: a page is not told of the bytes that arrive of one.
pub(crate) const ANNOUNCED_BYTES: usize = 64 << 10;

/// The notice before a message that takes `len` bytes on the wire.
fn announced(len: usize, notice: fn(Notice<'_>) -> Vec<u8>) -> Vec<u8> {
    if len > ANNOUNCED_BYTES { notice(&[("coming", &len.to_string())]) } else { Vec::new() }
}

/// A message as a complete WebSocket frame: `LABELS LF PAYLOAD`.
pub(crate) fn frame(labels: Option<&Labels>, is_binary: bool, data: &[u8]) -> Vec<u8> {
    let query = query(labels.into_iter().flat_map(Labels::pairs));
    let mut run = announced(data.len(), notice_frame);
    add_frame(&mut run, if is_binary { Opcode::Binary } else { Opcode::Text }, &query, data);
    run
}

/// A notice as a complete WebSocket frame, with nothing after its labels.
pub(crate) fn notice_frame(notice: Notice<'_>) -> Vec<u8> {
    let mut run = Vec::new();
    add_frame(&mut run, Opcode::Text, &query(notice.iter().copied()), b"");
    run
}

fn query<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    query.finish()
}

fn add_frame(run: &mut Vec<u8>, opcode: Opcode, query: &str, data: &[u8]) {
    let len = query.len() + 1 + data.len();
    let header = header::encode(true, opcode, len);
    run.reserve_exact(header.as_slice().len() + len);
    run.extend_from_slice(header.as_slice());
    run.extend_from_slice(query.as_bytes());
    run.push(b'\n');
    run.extend_from_slice(data);
}

/// A message as an event whose data is an object: `{"text":".."}` or `{"binary":"BASE64"}` with the labels.
pub(crate) fn event(labels: Option<&Labels>, is_binary: bool, data: &[u8]) -> Vec<u8> {
    let mut run = announced(if is_binary { data.len().div_ceil(3) * 4 } else { data.len() }, notice_event);
    run.reserve(data.len() + 48);
    run.extend(b"data: ");
    object(&mut run, labels, is_binary, data);
    run.extend(b"\n\n");
    run
}

/// A notice as an event.
pub(crate) fn notice_event(notice: Notice<'_>) -> Vec<u8> {
    let mut run = b"data: ".to_vec();
    notice_object(&mut run, notice);
    run.extend(b"\n\n");
    run
}

/// A message as an object for long polling: a unit.
pub(crate) fn polled(labels: Option<&Labels>, is_binary: bool, data: &[u8]) -> Vec<u8> {
    let mut run = Vec::with_capacity(data.len() + 48);
    run.extend_from_slice(&[0; unit::HEADER_BYTES]);
    object(&mut run, labels, is_binary, data);
    unit::finish(&mut run, 0, false);
    run
}

/// A notice as an object for long polling: a unit.
pub(crate) fn notice_polled(notice: Notice<'_>) -> Vec<u8> {
    let mut run = vec![0; unit::HEADER_BYTES];
    notice_object(&mut run, notice);
    unit::finish(&mut run, 0, false);
    run
}

fn object(run: &mut Vec<u8>, labels: Option<&Labels>, is_binary: bool, data: &[u8]) {
    match is_binary {
        true => write!(run, "{{\"binary\":\"{}\"", STANDARD.encode(data)).expect("a Vec takes all"),
        false => {
            run.extend(b"{\"text\":");
            quote(run, data);
        }
    }
    labels.into_iter().flat_map(Labels::pairs).for_each(|(name, value)| {
        run.push(b',');
        member(run, name, value);
    });
    run.push(b'}');
}

fn notice_object(run: &mut Vec<u8>, notice: Notice<'_>) {
    run.push(b'{');
    for (number, (name, value)) in notice.iter().enumerate() {
        if number > 0 {
            run.push(b',');
        }
        member(run, name, value);
    }
    run.push(b'}');
}

/// The name is one of this crate's and needs no escapes.
fn member(run: &mut Vec<u8>, name: &str, value: &str) {
    write!(run, "\"{name}\":").expect("a Vec takes all");
    quote(run, value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("text")
    }

    /// The one unit that these bytes are.
    fn unit_text(bytes: Vec<u8>) -> String {
        let units: Vec<_> = unit::iter(&bytes).collect();
        let &[(false, unit)] = &*units else { panic!("{units:?}") };
        assert_eq!(unit.len() + unit::HEADER_BYTES, bytes.len());
        text(unit.to_vec())
    }

    fn all() -> Labels {
        Labels {
            topic: "a b&c=ü".to_owned(),
            id: "k3-17".to_owned(),
            event: "x\ny".to_owned(),
            ..Labels::default()
        }
    }

    #[test]
    fn frames_have_their_labels_in_front() {
        assert_eq!(frame(None, false, b"hello"), b"\x81\x06\nhello");
        assert_eq!(frame(Some(&Labels::default()), true, b""), b"\x82\x01\n");
        let labels = "topic=a+b%26c%3D%C3%BC&id=k3-17&event=x%0Ay\n\nhello";
        let run = frame(Some(&all()), false, b"\nhello");
        assert_eq!(run, [&[0x81, labels.len() as u8], labels.as_bytes()].concat());
        let announced = notice_frame(&[("coming", "70000")]);
        let run = frame(Some(&all()), true, &[7; 70_000]);
        let run = run.strip_prefix(&announced[..]).expect("it is announced");
        assert_eq!(
            (run[0], run[1], run.len()),
            (0x82, 127, 10 + "topic=a+b%26c%3D%C3%BC&id=k3-17&event=x%0Ay\n".len() + 70_000)
        );
        assert_eq!(frame(None, true, &[7; ANNOUNCED_BYTES])[..2], [0x82, 127]);
        assert_eq!(notice_frame(&[("pong", "1")]), b"\x81\x07pong=1\n");
    }

    #[test]
    fn objects_have_their_labels_as_members() {
        assert_eq!(unit_text(polled(None, false, b"a\n\"b\"")), "{\"text\":\"a\\n\\\"b\\\"\"}");
        assert_eq!(unit_text(polled(None, true, b"\r\n\xff")), "{\"binary\":\"DQr/\"}");
        let members = r#"{"text":"","topic":"a b&c=ü","id":"k3-17","event":"x\ny"}"#;
        assert_eq!(unit_text(polled(Some(&all()), false, b"")), members);
        assert_eq!(text(event(Some(&all()), false, b"")), format!("data: {members}\n\n"));
        assert_eq!(text(event(None, true, b"\r\n\xff")), "data: {\"binary\":\"DQr/\"}\n\n");
        let run = text(event(None, true, &[0; 60_000]));
        assert!(run.starts_with("data: {\"coming\":\"80000\"}\n\ndata: {\"binary\":\"AAAA"));
        let notice: Notice<'_> = &[("subscribed", "a\r\nb"), ("id", "1")];
        let members = r#"{"subscribed":"a\u000d\nb","id":"1"}"#;
        assert_eq!(unit_text(notice_polled(notice)), members);
        assert_eq!(text(notice_event(notice)), format!("data: {members}\n\n"));
    }

    /// A line break of any kind in an event would end its line.
    #[test]
    fn an_event_is_one_line() {
        for piece in ["\r", "\n", "\r\n", "\n\ndata: evil\n\n"] {
            let labels = Labels {
                topic: piece.to_owned(),
                id: piece.to_owned(),
                event: piece.to_owned(),
                ..Labels::default()
            };
            for run in [event(Some(&labels), false, piece.as_bytes()), notice_event(&[("gap", piece)])] {
                let run = text(run);
                let line = run.strip_suffix("\n\n").expect("an event");
                assert!(!line.contains(['\r', '\n']), "{line:?}");
            }
        }
    }
}
