//! What the fuzz targets in fuzz/ run: a function for each codec that reads outside data, and one for the whole
//! server. Each takes any bytes and panics if something is wrong. Hidden, only with the feature `sim`, and no stable
//! API.

mod server;
mod texts;

pub use server::server;
pub use texts::{fd, forwarded_header, last_event_id, url};

use crate::codec::http::body::Body;
use crate::codec::http::head::{BodyFraming, HEADERS_MAX};
use crate::codec::http::{Answer, Head, forwarded, origin};
use crate::codec::labels::{self, Labels};
use crate::codec::page_command::{self, PageCommand};
use crate::codec::tcp::{Framer, PackageError, PackageLimits, PartialPackage};
use crate::codec::unit;
use crate::codec::ws::handshake_client::Ask;
use crate::codec::ws::url::Url;
use crate::codec::ws::{self, close, handshake, mask, utf8};
use crate::config::authority::Authority;
use crate::config::{ForwardedHeader, Origins};
use crate::{Framing, LengthType, Opcode};

/// The start of an input decides what is done with the rest.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// 0 if nothing is left.
    fn byte(&mut self) -> u8 {
        match self.0.split_off_first() {
            Some(byte) => *byte,
            None => 0,
        }
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Where the rest is cut: lengths that are used in turn.
    fn cuts(&mut self) -> Vec<usize> {
        let count = 1 + usize::from(self.byte() % 4);
        (0..count).map(|_| 1 + usize::from(self.byte())).collect()
    }
}

/// Bytes cut into pieces of these lengths.
fn pieces<'a>(mut bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for len in cuts.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(bytes.len().min(*len));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// What the WebSocket decoder returned, with parts joined.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Message(Opcode, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    Wrong(ws::ProtocolError),
}

/// However a stream is cut, the decoder returns the same, and never holds more than a message may have.
pub fn ws_decoder(bytes: &[u8]) {
    let mut input = Input(bytes);
    let limits = ws::MessageLimits {
        role: input.one_of(&[ws::Role::Server, ws::Role::Client]),
        message_bytes_max: input.one_of(&[1 << 16, 1_000, 130, 5]),
        fragments_max: input.one_of(&[64, 3]),
        room: usize::MAX,
        in_parts: input.one_of(&[false, true]),
    };
    let cuts = input.cuts();
    let whole = decode(&[input.0], &limits);
    let cut = decode(&pieces(input.0, &cuts), &limits);
    assert_eq!(whole, cut, "cut into {cuts:?}");
    for said in &whole {
        if let Said::Message(opcode, message) = said {
            assert!(message.len() <= limits.message_bytes_max);
            assert!(*opcode != Opcode::Text || std::str::from_utf8(message).is_ok());
        }
    }
}

fn decode(pieces: &[&[u8]], limits: &ws::MessageLimits) -> Vec<Said> {
    // Beside its message it holds itself, and a control frame.
    const OWN_BYTES_MAX: usize = 1_024;
    let (mut decoder, mut spare) = (ws::Decoder::default(), ws::Spare::default());
    let (mut said, mut parts) = (Vec::new(), Vec::new());
    for piece in pieces {
        let (mut input, mut rest) = (piece.to_vec(), 0);
        while rest < input.len() {
            let whole = decoder.whole(&mut input[rest..], limits);
            let step = match whole {
                Ok(Some((used, event))) => Ok((used, Some(event))),
                Ok(None) => decoder.piece(&mut input[rest..], limits, &mut spare),
                Err(error) => Err(error),
            };
            let (used, event) = match step {
                Ok(step) => step,
                Err(error) => {
                    said.push(Said::Wrong(error));
                    return said;
                }
            };
            assert!(used > 0, "it must get on");
            assert!(decoder.held_bytes() <= limits.message_bytes_max + OWN_BYTES_MAX);
            let step = &input[rest..rest + used];
            match event {
                None => assert_eq!(rest + used, input.len(), "without an event all is used up"),
                Some(ws::Event::Message(opcode, payload)) => {
                    said.push(Said::Message(opcode, payload.bytes(step).to_vec()));
                }
                Some(ws::Event::Part(opcode, part)) => {
                    assert_eq!(part.is_first, parts.is_empty());
                    parts.push(step[part.range].to_vec());
                    if part.is_last {
                        said.push(Said::Message(opcode, std::mem::take(&mut parts).concat()));
                    }
                }
                Some(ws::Event::Ping(payload)) => said.push(Said::Ping(payload.bytes(step).to_vec())),
                Some(ws::Event::Pong(payload)) => said.push(Said::Pong(payload.bytes(step).to_vec())),
                Some(ws::Event::Close(code, reason)) => {
                    said.push(Said::Close(code, reason.into()));
                    return said;
                }
            }
            rest += used;
        }
    }
    said
}

/// The head and body of a request: the same however much of it has arrived.
pub fn http_request(bytes: &[u8]) {
    let mut input = Input(bytes);
    let bytes_max = input.one_of(&[1 << 16, 100, 3]);
    let cuts = input.cuts();
    let bytes = input.0;
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let parsed = Head::parse(bytes, &mut headers);
    check_prefixes(
        bytes,
        &cuts,
        parsed.as_ref().map(|parsed| parsed.map(|(_, len)| len)).map_err(drop),
        |bytes| {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            Head::parse(bytes, &mut headers).map(|parsed| parsed.map(|(_, len)| len)).map_err(drop)
        },
    );
    let Ok(Some((head, len))) = parsed else { return };
    look_at(&head);
    if let Ok(framing) = head.framing() {
        body(framing, &bytes[len..], &cuts, bytes_max);
    }
}

/// An error stays an error however much more arrives, and a complete request keeps its length.
fn check_prefixes(
    bytes: &[u8],
    cuts: &[usize],
    whole: Result<Option<usize>, ()>,
    parse: impl Fn(&[u8]) -> Result<Option<usize>, ()>,
) {
    let mut len = 0;
    for piece in pieces(bytes, cuts) {
        len += piece.len();
        match parse(&bytes[..len]) {
            Ok(None) => assert!(len < bytes.len() || whole == Ok(None)),
            judged => return assert_eq!(judged, whole, "of the first {len} bytes"),
        }
    }
}

fn look_at(head: &Head<'_>) {
    let query = head.query().unwrap_or_default();
    assert!(head.path() == "*" || head.path().starts_with('/'), "{}", head.path());
    form_urlencoded::parse(query.as_bytes()).for_each(drop);
    percent_encoding::percent_decode_str(head.path()).decode_utf8().ok();
    if page_command::is_one(query) {
        PageCommand::parse(query.as_bytes(), 256).ok();
    }
    head.keeps_alive();
    if handshake::is_attempt(head) && handshake::check(head).is_ok() {
        let subprotocols = ["chat".to_owned(), labels::PROTOCOL.to_owned()];
        if let Ok(Some(chosen)) = handshake::subprotocol(head, &subprotocols) {
            assert!(head.list("sec-websocket-protocol").any(|offered| offered == chosen));
        }
    }
    for entry in ["https://example.com", "https://*.example.com"] {
        origin::check(head, &Origins::List(vec![entry.into()]), head.host()).ok();
    }
    if let Some(host) = head.host() {
        let page = format!("http://{}", host.text);
        assert_eq!(Origins::Same.let_in(&page, Some(host)), !host.host.is_empty(), "{page}");
        assert_eq!(Authority::parse(host.text), Some(host));
    }
    let trusted = ["10.0.0.0/8", "::1"].map(|network| network.parse().expect("a network"));
    for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
        forwarded::client(head, header, &trusted);
        forwarded::host(head, header, &trusted);
    }
}

fn body(framing: Option<BodyFraming>, bytes: &[u8], cuts: &[usize], bytes_max: usize) {
    let Ok(mut whole) = Body::new(framing, bytes_max) else { return };
    let end = whole.end(bytes, bytes_max);
    let mut growing = Body::new(framing, bytes_max).expect("it was taken just now");
    let mut len = 0;
    for piece in pieces(bytes, cuts) {
        len += piece.len();
        match growing.end(&bytes[..len], bytes_max) {
            Ok(None) => assert!(len < bytes.len() || end == Ok(None)),
            judged => {
                assert_eq!(judged, end, "of the first {len} bytes");
                break;
            }
        }
    }
    if let Ok(Some(end)) = end {
        let mut bytes = bytes[..end].to_vec();
        let plain = whole.plain(&mut bytes);
        assert!(plain.len() <= bytes_max);
        if let Body::Chunked { len, .. } = whole {
            assert_eq!(plain.len(), len);
        }
    }
}

/// The answer to a client's handshake.
pub fn http_answer(bytes: &[u8]) {
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    let mut input = Input(bytes);
    let cuts = input.cuts();
    let bytes = input.0;
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let parsed = Answer::parse(bytes, &mut headers);
    check_prefixes(bytes, &cuts, parsed.map(|parsed| parsed.map(|(_, len)| len)).map_err(drop), |bytes| {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        Answer::parse(bytes, &mut headers).map(|parsed| parsed.map(|(_, len)| len)).map_err(drop)
    });
    let Ok(Some((answer, _))) = parsed else { return };
    answer.summary();
    let url = Url::parse("ws://example.com/").expect("a good URL");
    let ask = Ask { url, headers: Vec::new(), subprotocols: vec!["chat".into()] };
    if ask.check(&answer, KEY).is_ok() {
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(answer.subprotocol().is_none_or(|name| name == "chat"));
    }
}

/// However a stream of packages is cut, the packages are the same; and what is framed can be read back.
pub fn tcp_framing(bytes: &[u8]) {
    let mut input = Input(bytes);
    let types = [LengthType::U8, LengthType::U16Be, LengthType::U16Le, LengthType::U32Be, LengthType::U32Le];
    let framing = match input.byte() % 3 {
        0 => Framing::None,
        1 => {
            let len = 1 + usize::from(input.byte() % 8);
            Framing::EndMark(input.bytes(len).to_vec().into())
        }
        _ => Framing::Length {
            length_type: input.one_of(&types),
            length_offset: u16::from(input.byte() % 16),
            body_offset: u16::from(input.byte() % 32),
        },
    };
    let package_bytes_max = input.one_of(&[1 << 16, 300, 10, 1]);
    let cuts = input.cuts();
    if framing.check().is_err() {
        return;
    }
    let framer = Framer::new(&framing);
    let limits = PackageLimits { package_bytes_max, room: usize::MAX };
    let (whole, wrong) = receive(&framer, &[input.0], &limits);
    let (cut, also_wrong) = receive(&framer, &pieces(input.0, &cuts), &limits);
    assert_eq!(wrong, also_wrong, "cut into {cuts:?}");
    if framing == Framing::None {
        assert_eq!(whole.concat(), cut.concat());
    } else {
        assert_eq!(whole, cut, "cut into {cuts:?}");
    }
    let limits = PackageLimits { package_bytes_max: usize::MAX, room: usize::MAX };
    if let Some(package) = framer.frame(input.0.into()).filter(|_| !input.0.is_empty()) {
        let mut run = Vec::new();
        package.append_to(&mut run);
        let (packages, wrong) = receive(&framer, &pieces(&run, &cuts), &limits);
        let total = packages.concat();
        let comes_back = if framing == Framing::None { total.len() } else { packages[0].len() };
        assert_eq!((wrong, comes_back), (None, input.0.len()));
    }
}

fn receive(
    framer: &Framer,
    pieces: &[&[u8]],
    limits: &PackageLimits,
) -> (Vec<Vec<u8>>, Option<PackageError>) {
    let (mut packages, mut partial) = (Vec::new(), None::<PartialPackage>);
    for piece in pieces {
        let mut input = *piece;
        while !input.is_empty() {
            if partial.is_none() {
                match framer.whole(input, limits) {
                    Ok(None) => {}
                    Ok(Some((used, data))) => {
                        assert!(used > 0, "it must get on");
                        packages.push(input[data].to_vec());
                        input = &input[used..];
                        continue;
                    }
                    Err(error) => return (packages, Some(error)),
                }
            }
            let held = partial.get_or_insert_default();
            let (used, data) = match held.step(framer, input, limits) {
                Ok(step) => step,
                Err(error) => return (packages, Some(error)),
            };
            input = &input[used..];
            match data {
                Some(data) => packages.push(partial.take().expect("just used").bytes()[data].to_vec()),
                None => assert!(input.is_empty(), "without a package all is used up"),
            }
        }
    }
    (packages, None)
}

/// Commands of `swio.1`, and the labels of messages.
pub fn commands(bytes: &[u8]) {
    let (query, payload) = PageCommand::split(bytes);
    assert!(query.len() + payload.len() <= bytes.len());
    match PageCommand::parse(query, 256) {
        Ok(PageCommand::Subscribe { topic, .. } | PageCommand::Unsubscribe { topic }) => {
            assert!(!topic.is_empty())
        }
        Ok(PageCommand::Close { code, reason }) => {
            assert!(code == close::NO_STATUS || close::may_be_sent(code));
            assert!(reason.len() <= close::REASON_BYTES_MAX);
        }
        Ok(PageCommand::Send | PageCommand::Ping) | Err(_) => {}
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let labels = Labels { topic: text(query), id: text(payload), ..Labels::default() };
    let data = text(payload);
    let frame = labels::frame(Some(&labels), false, data.as_bytes());
    let body = &frame[frame.len() - data.len()..];
    assert_eq!(body, data.as_bytes());
    let event = labels::event(Some(&labels), false, data.as_bytes());
    assert_eq!(event.iter().position(|byte| *byte == b'\n'), Some(event.len() - 2), "one line of JSON");
    let polled = [labels::polled(Some(&labels), false, data.as_bytes()), labels::polled(None, true, payload)];
    let first = polled[0].len();
    let polled = polled.concat();
    assert_eq!((unit::count(&polled), unit::start_of(&polled, 1)), (2, first));
}

/// UTF-8 in pieces and as a whole, compared with the standard library.
pub fn utf8_validator(bytes: &[u8]) {
    let mut input = Input(bytes);
    let cuts = input.cuts();
    let expected = std::str::from_utf8(input.0);
    assert_eq!(utf8::check(input.0).is_ok(), expected.is_ok());
    let mut validator = utf8::Validator::default();
    let mut pushed = 0;
    for piece in pieces(input.0, &cuts) {
        pushed += piece.len();
        let judged = validator.push(piece);
        // Bytes are bad if no continuation could make them valid.
        let is_bad = std::str::from_utf8(&input.0[..pushed]).is_err_and(|error| error.error_len().is_some());
        assert_eq!(judged.is_err(), is_bad, "of the first {pushed} bytes");
        if is_bad {
            return;
        }
    }
    assert_eq!(validator.finish().is_ok(), expected.is_ok());
}

/// Payloads of close frames, and masks.
pub fn close_payload(bytes: &[u8]) {
    if let Ok((code, reason)) = close::parse(bytes) {
        let reason = reason.to_owned();
        let again = close::payload(code, &reason);
        assert_eq!(again, &bytes[..bytes.len().min(again.len())]);
        assert!(bytes.len() <= 125 && again.len() == bytes.len() || bytes.len() > 125 && again.len() > 121);
    }
    let reason = String::from_utf8_lossy(bytes);
    let payload = close::payload(close::NORMAL, &reason);
    assert!(payload.len() <= 125 && close::parse(&payload).is_ok());
    let mut masked = bytes.to_vec();
    let key = [1, 2, 3, 255];
    let (start, end) = masked.split_at_mut(bytes.len() / 3);
    mask::apply(start, key);
    mask::apply(end, mask::rotate(key, start.len()));
    assert!(masked.iter().zip(bytes).enumerate().all(|(at, (new, old))| *new == old ^ key[at % 4]));
}

/// A settings file.
#[cfg(feature = "toml")]
pub fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match crate::Config::from_toml(text) {
        Ok(config) => assert!(config.check().is_ok()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
