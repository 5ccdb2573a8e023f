//! Long polling: messages as lines of JSON while they wait, and the answers that are made of them. Knows no
//! connection.

use super::json::quote;
use super::sse::Labels;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::Write as _;

/// Ends each message while it waits. No JSON has it inside: it is escaped.
pub(crate) const DELIMITER: u8 = b'\n';

/// One message, as an object: `{"text":".."}`, or `{"binary":"BASE64"}`, with its labels.
pub(crate) fn encode(labels: Option<&Labels>, is_binary: bool, data: &[u8]) -> Vec<u8> {
    let mut run = Vec::with_capacity(data.len() + 16);
    match is_binary {
        true => write!(run, "{{\"binary\":\"{}\"", STANDARD.encode(data)).expect("a Vec takes all"),
        false => {
            run.extend(b"{\"text\":");
            quote(&mut run, data);
        }
    }
    let labels = labels.into_iter().flat_map(|labels| [("event", &labels.event), ("id", &labels.id)]);
    for (name, value) in labels.filter(|(_, value)| !value.is_empty()) {
        write!(run, ",\"{name}\":").expect("a Vec takes all");
        quote(&mut run, value.as_bytes());
    }
    run.extend([b'}', DELIMITER]);
    run
}

/// How many messages these are.
pub(crate) fn count(messages: &[u8]) -> u64 {
    memchr::memchr_iter(DELIMITER, messages).count() as u64
}

/// Where the message with this number, from 0, begins.
pub(crate) fn start_of(messages: &[u8], number: u64) -> usize {
    match usize::try_from(number).ok().and_then(|number| number.checked_sub(1)) {
        None => 0,
        Some(before) => {
            memchr::memchr_iter(DELIMITER, messages).nth(before).map_or(messages.len(), |at| at + 1)
        }
    }
}

/// What an answer says.
#[derive(Debug, Default)]
pub(crate) struct Answer<'a> {
    /// The token of a session that has just begun.
    pub(crate) session: Option<&'a str>,
    /// The number of the last message.
    pub(crate) cursor: u64,
    /// Encoded messages, each with its delimiter.
    pub(crate) messages: &'a [u8],
    /// Code and reason of the session's end.
    pub(crate) closed: Option<(u16, &'a str)>,
}

impl Answer<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.messages.len() + 96);
        body.push(b'{');
        if let Some(token) = self.session {
            write!(body, "\"session\":\"{token}\",").expect("a Vec takes all");
        }
        write!(body, "\"cursor\":{},\"messages\":[", self.cursor).expect("a Vec takes all");
        let start = body.len();
        body.extend_from_slice(self.messages.strip_suffix(&[DELIMITER]).unwrap_or_default());
        body[start..].iter_mut().filter(|byte| **byte == DELIMITER).for_each(|byte| *byte = b',');
        body.push(b']');
        if let Some((code, reason)) = self.closed {
            write!(body, ",\"closed\":{{\"code\":{code},\"reason\":").expect("a Vec takes all");
            quote(&mut body, reason.as_bytes());
            body.push(b'}');
        }
        body.push(b'}');
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn messages_are_objects_and_lines() {
        assert_eq!(text(encode(None, false, b"a\n\"b\"")), "{\"text\":\"a\\n\\\"b\\\"\"}\n");
        assert_eq!(text(encode(None, true, b"\r\n\xff")), "{\"binary\":\"DQr/\"}\n");
        let labels = Labels { event: "x\ny".to_owned(), id: "7".to_owned() };
        let run = encode(Some(&labels), false, b"");
        assert_eq!(text(run), "{\"text\":\"\",\"event\":\"x\\ny\",\"id\":\"7\"}\n");
    }

    #[test]
    fn answers_hold_all_messages_in_order() {
        let messages =
            [encode(None, false, b"a"), encode(None, false, b","), encode(None, true, b"")].concat();
        assert_eq!(count(&messages), 3);
        let starts: Vec<usize> = (0..=4).map(|number| start_of(&messages, number)).collect();
        assert_eq!(starts, [0, 13, 26, messages.len(), messages.len()]);
        let answer = Answer { cursor: 8, messages: &messages, ..Answer::default() };
        let list = r#"[{"text":"a"},{"text":","},{"binary":""}]"#;
        assert_eq!(text(answer.encode()), format!("{{\"cursor\":8,\"messages\":{list}}}"));
        let answer = Answer { session: Some("T"), closed: Some((4000, "a \"b\"")), ..Answer::default() };
        assert_eq!(
            text(answer.encode()),
            r#"{"session":"T","cursor":0,"messages":[],"closed":{"code":4000,"reason":"a \"b\""}}"#
        );
    }
}
