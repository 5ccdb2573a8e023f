//! Event streams (WHATWG HTML §9.2): writes messages as events. Its main concern is that a line break in a payload can
//! never end the event or forge another field. Knows no connection.

use super::json;
use super::labels::Labels;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A comment, which readers ignore: it shows the network that the stream is alive.
pub(crate) const COMMENT: &[u8] = b":\n\n";

/// The name of an event whose data is base64.
const BINARY: &str = "binary";

/// A message as an event. Text is split at its line breaks, of whatever kind; readers join the lines with LF. Binary
/// data is base64, and the event is named `binary` unless the message has a name.
pub(crate) fn encode(labels: Option<&Labels>, is_binary: bool, data: &[u8]) -> Vec<u8> {
    let mut run = Vec::with_capacity(data.len() + 48);
    let event = labels.map_or("", |labels| &labels.event);
    field(&mut run, "event", if event.is_empty() && is_binary { BINARY } else { event });
    let id = labels.and_then(Labels::stream_id).unwrap_or_default();
    field(&mut run, "id", id);
    match is_binary {
        true => line(&mut run, STANDARD.encode(data).as_bytes()),
        false => lines(data).for_each(|text| line(&mut run, text)),
    }
    run.push(b'\n');
    run
}

/// Tells the reader how long to wait before it reconnects.
pub(crate) fn retry(run: &mut Vec<u8>, millis: u128) {
    run.extend_from_slice(format!("retry: {millis}\n\n").as_bytes());
}

/// Sets the id that a reader sends when it reconnects, without an event (§9.2.6).
pub(crate) fn position(id: &str) -> Vec<u8> {
    let mut run = Vec::new();
    field(&mut run, "id", id);
    run.push(b'\n');
    run
}

/// The event `close`, by which pages learn why the server ends the stream.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    let labels = Labels { event: "close".to_owned(), ..Labels::default() };
    let mut data = format!("{{\"code\":{code},\"reason\":").into_bytes();
    json::quote(&mut data, reason.as_bytes());
    data.push(b'}');
    encode(Some(&labels), false, &data)
}

/// A field, unless the value is empty. Line breaks are left out, because they would end the field, and NUL, because
/// readers ignore an id that contains it.
fn field(run: &mut Vec<u8>, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    run.extend_from_slice(name.as_bytes());
    run.extend_from_slice(b": ");
    run.extend(value.bytes().filter(|byte| !b"\r\n\0".contains(byte)));
    run.push(b'\n');
}

fn line(run: &mut Vec<u8>, text: &[u8]) {
    run.extend_from_slice(b"data: ");
    run.extend_from_slice(text);
    run.push(b'\n');
}

/// The lines of a text, which may end in LF, CR or CRLF. An empty text is one line.
fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let Some(at) = memchr::memchr2(b'\r', b'\n', text) else {
            is_over = true;
            return Some(text);
        };
        let line = &text[..at];
        let end = if text[at..].starts_with(b"\r\n") { 2 } else { 1 };
        text = &text[at + end..];
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event as a page sees it: name, id, data.
    type Seen = (String, String, String);

    /// Follows the steps of the standard (§9.2.6) literally.
    fn read(stream: &str) -> Vec<Seen> {
        let mut seen = Vec::new();
        let (mut event, mut id, mut data) = (String::new(), String::new(), String::new());
        for line in stream.replace("\r\n", "\n").replace('\r', "\n").split_terminator('\n') {
            if line.is_empty() {
                if let Some(text) = data.strip_suffix('\n') {
                    seen.push((event.clone(), id.clone(), text.to_owned()));
                }
                event.clear();
                data.clear();
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "event" => event = value.to_owned(),
                "id" if !value.contains('\0') => id = value.to_owned(),
                "data" => data.extend([value, "\n"]),
                _ => {}
            }
        }
        seen
    }

    fn labels(event: &str, id: &str) -> Labels {
        Labels { event: event.to_owned(), id: id.to_owned(), ..Labels::default() }
    }

    #[test]
    fn every_text_arrives_with_its_line_breaks_as_lf() {
        let pieces = ["", "\r", "\n", "\r\n", " ", "a", "data: x", ":", "id: 7", "\u{feff}", "\0", "ü"];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    let text = [a, b, c].concat();
                    let run = encode(None, false, text.as_bytes());
                    let joined = text.replace("\r\n", "\n").replace('\r', "\n");
                    let run = String::from_utf8(run).expect("text stays text");
                    assert_eq!(read(&run), [(String::new(), String::new(), joined)], "{text:?}");
                }
            }
        }
    }

    #[test]
    fn names_and_ids_can_forge_nothing() {
        for forged in ["x\ndata: evil\n\n", "\r\rid: 9", "a\0b\r\n"] {
            let run = encode(Some(&labels(forged, forged)), false, b"good");
            let plain = forged.replace(['\r', '\n', '\0'], "");
            let run = String::from_utf8(run).expect("text");
            assert_eq!(read(&run), [(plain.clone(), plain, "good".to_owned())]);
        }
    }

    #[test]
    fn binary_data_is_base64_under_a_name() {
        let run =
            |labels: Option<&Labels>| String::from_utf8(encode(labels, true, b"\r\n\xff")).expect("text");
        assert_eq!(run(None), "event: binary\ndata: DQr/\n\n");
        assert_eq!(run(Some(&labels("image", "3"))), "event: image\nid: 3\ndata: DQr/\n\n");
    }

    #[test]
    fn a_close_is_json_whatever_the_reason() {
        let run = String::from_utf8(close(4000, "say \"no\"\r\n\\ ü\u{1}")).expect("text");
        let data = r#"{"code":4000,"reason":"say \"no\"\u000d\n\\ ü\u0001"}"#;
        assert_eq!(read(&run), [("close".to_owned(), String::new(), data.to_owned())]);
    }

    #[test]
    fn comments_and_retries_are_no_events() {
        let mut run = COMMENT.to_vec();
        retry(&mut run, 3_000);
        run.extend(position("k3-17"));
        assert_eq!(run, b":\n\nretry: 3000\n\nid: k3-17\n\n");
        assert_eq!(read(":\n\nretry: 3000\n\nid: k3-17\n\n"), []);
    }
}
