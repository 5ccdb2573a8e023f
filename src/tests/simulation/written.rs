//! What the server wrote, read naively and strictly.

use super::handler;
use super::json::Json;
use crate::codec::ws::Opcode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What follows the pages that a client asked for before its handshake, once they are whole.
pub(super) fn behind_pages(mut bytes: &[u8]) -> Option<&[u8]> {
    while bytes.starts_with(b"HTTP/1.1 200 ") {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&bytes[..head]).expect("a head is text");
        let len = text.split("Content-Length: ").nth(1).and_then(|line| line.split("\r\n").next());
        let len: usize = len.and_then(|len| len.parse().ok()).expect("a length");
        bytes = bytes.get(head + 4 + len..)?;
    }
    Some(bytes)
}

/// The first frame of `bytes` if it is whole: first byte, payload, what follows. Strict about what servers
/// send.
pub(super) fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&short, rest) = rest.split_first()?;
    assert!(short & 0x80 == 0, "a server's frame is not masked");
    let (len, rest) = match short {
        126 => {
            let (len, rest) = rest.split_at_checked(2)?;
            let len = usize::from(u16::from_be_bytes([len[0], len[1]]));
            assert!(len >= 126);
            (len, rest)
        }
        127 => panic!("no frame here is so long"),
        len => (usize::from(len), rest),
    };
    let (payload, rest) = rest.split_at_checked(len)?;
    Some((first, payload, rest))
}

/// An event, or what comes between events.
pub(super) struct Block<'a> {
    pub(super) event: &'a str,
    pub(super) id: Option<&'a str>,
    /// `None`: no event.
    pub(super) data: Option<String>,
    pub(super) retry: Option<&'a str>,
}

/// The first block of an event stream if it is whole, and what follows.
pub(super) fn block(bytes: &[u8]) -> Option<(Block<'_>, &[u8])> {
    let len = bytes.windows(2).position(|two| two == b"\n\n")?;
    let text = std::str::from_utf8(&bytes[..len]).expect("an event stream is text");
    let mut block = Block { event: "", id: None, data: None, retry: None };
    for line in text.split('\n').filter(|line| !line.starts_with(':')) {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no field: {line:?}"));
        match name {
            "event" => block.event = value,
            "id" => block.id = Some(value),
            "retry" => block.retry = Some(value),
            "data" => match &mut block.data {
                Some(data) => data.extend(["\n", value]),
                none => *none = Some(value.to_owned()),
            },
            _ => panic!("no field of an event: {line:?}"),
        }
    }
    Some((block, &bytes[len + 2..]))
}

/// An answer to a request.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Nothing follows.
    pub(super) is_last: bool,
}

/// The first answer of `bytes` if it is whole, and its length.
pub(super) fn answer(bytes: &[u8]) -> Option<(Answer, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("an answer");
    let status: u16 = status[..3].parse().expect("a status");
    let header = |wanted: &str| {
        let mut fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
        fields.find(|(name, _)| *name == wanted).map(|(_, value)| value)
    };
    let len = match header("Content-Length") {
        Some(len) => len.parse().expect("a length"),
        None => {
            assert_eq!(status, 204, "an answer without a length");
            0
        }
    };
    let body = bytes.get(end..end + len)?.to_vec();
    Some((Answer { status, body, is_last: header("Connection") == Some("close") }, end + len))
}

/// A message or a notice, with its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// A notice as the model has it.
    pub(super) message: (Opcode, Vec<u8>),
    pub(super) is_notice: bool,
    pub(super) id: Option<String>,
    pub(super) topic: Option<String>,
    pub(super) gap: Option<String>,
    pub(super) subscribed: Option<String>,
    pub(super) position: Option<String>,
    pub(super) session: Option<String>,
}

impl Item {
    pub(super) fn new(json: &Json) -> Item {
        let (message, is_notice) = match (json.text("text"), json.text("binary")) {
            (Some(text), None) => ((Opcode::Text, text.into_bytes()), false),
            (None, Some(base64)) => ((Opcode::Binary, STANDARD.decode(base64).expect("base64")), false),
            _ => ((Opcode::Text, notice(json)), true),
        };
        let [id, position, topic, gap, subscribed, session] =
            ["id", "position", "topic", "gap", "subscribed", "session"].map(|name| json.text(name));
        Item { message, is_notice, id, topic, gap, subscribed, position, session }
    }
}

/// A message of a WebSocket with labels in front.
pub(super) fn labelled(opcode: Opcode, data: &[u8]) -> Item {
    let at = data.iter().position(|byte| *byte == b'\n').expect("the end of the labels");
    let labels = form_urlencoded::parse(&data[..at]);
    let members = labels.map(|(name, value)| (name.into_owned(), Json::Text(value.into_owned())));
    let members: Vec<_> = members.collect();
    let names = ["gap", "subscribed", "denied", "position"];
    let is_notice = members.iter().any(|(name, _)| names.contains(&&**name));
    let mut item = Item::new(&Json::Object(members));
    if !is_notice {
        (item.message, item.is_notice) = ((opcode, data[at + 1..].to_vec()), false);
    }
    item
}

/// What an answer to a poll says.
pub(super) struct Polled {
    pub(super) session: Option<String>,
    pub(super) cursor: usize,
    pub(super) items: Vec<Item>,
    /// The code of the session's end.
    pub(super) closed: Option<u16>,
}

/// As the model notes it: without the epoch of its ids.
fn notice(json: &Json) -> Vec<u8> {
    let Json::Object(members) = json else { panic!("no object: {json:?}") };
    let labels: Vec<(&str, &str)> = members
        .iter()
        .map(|(name, value)| match value {
            Json::Text(id) if name == "id" => (&**name, id.rsplit('-').next().unwrap_or_default()),
            Json::Text(value) => (&**name, &**value),
            _ => panic!("no label: {json:?}"),
        })
        .collect();
    handler::notice(&labels)
}

pub(super) fn polled(body: &[u8]) -> Polled {
    let body = Json::read(body);
    let Some(Json::List(messages)) = body.member("messages") else { panic!("no messages: {body:?}") };
    Polled {
        session: body.text("session"),
        cursor: body.number("cursor").expect("a cursor") as usize,
        items: messages.iter().map(Item::new).collect(),
        closed: body.member("closed").and_then(|closed| closed.number("code")).map(|code| code as u16),
    }
}
