//! Bodies of long polling's responses. Messages are units of JSON while they wait. Knows no connection.

use super::json::quote;
use super::unit;
use std::io::Write as _;

/// The body of a response.
#[derive(Debug, Default)]
pub(crate) struct PollBody<'a> {
    /// The session's token, in its first response.
    pub(crate) session: Option<&'a str>,
    /// How long a request may wait, in milliseconds; sent with the token.
    pub(crate) hold: Option<u128>,
    /// The number of the last message.
    pub(crate) cursor: u64,
    /// Encoded messages: units of JSON.
    pub(crate) messages: &'a [u8],
    /// Close code and reason, if the session has ended.
    pub(crate) closed: Option<(u16, &'a str)>,
}

impl PollBody<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.messages.len() + 96);
        body.push(b'{');
        if let Some(token) = self.session {
            write!(body, "\"session\":\"{token}\",").expect("a Vec takes all");
        }
        if let Some(hold) = self.hold {
            write!(body, "\"hold\":{hold},").expect("a Vec takes all");
        }
        write!(body, "\"cursor\":{},\"messages\":[", self.cursor).expect("a Vec takes all");
        for (number, (_, message)) in unit::iter(self.messages).enumerate() {
            if number > 0 {
                body.push(b',');
            }
            body.extend_from_slice(message);
        }
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
    use crate::codec::labels::polled;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn answers_hold_all_messages_in_order() {
        let messages =
            [polled(None, false, b"a"), polled(None, false, b","), polled(None, true, b"")].concat();
        let answer = PollBody { cursor: 8, messages: &messages, ..PollBody::default() };
        let list = r#"[{"text":"a"},{"text":","},{"binary":""}]"#;
        assert_eq!(text(answer.encode()), format!("{{\"cursor\":8,\"messages\":{list}}}"));
        let closed = Some((4000, "a \"b\""));
        let answer = PollBody { session: Some("T"), hold: Some(25_000), closed, ..PollBody::default() };
        assert_eq!(
            text(answer.encode()),
            r#"{"session":"T","hold":25000,"cursor":0,"messages":[],"closed":{"code":4000,"reason":"a \"b\""}}"#
        );
    }
}
