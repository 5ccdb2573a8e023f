//! Commands of `swio.1` clients, such as subscribe and ping: a query in front of a frame's payload, or in a `POST`.
//! Documented in docs/PROTOCOL.md. Knows no connection.

use super::number;
use super::query;
use super::ws::close;
use std::borrow::Cow;
use std::fmt;

/// The most bytes of data that a client may send along when it asks for a topic.
pub(crate) const DATA_BYTES_MAX: usize = 4096;
/// The most bytes of a query, beside the topic's name: data whose every byte is percent-encoded, an id, and some more.
const QUERY_BYTES_MAX: usize = 3 * DATA_BYTES_MAX + (1 << 10);

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PageCommand<'a> {
    /// The payload is a message.
    Send,
    Subscribe {
        topic: Cow<'a, str>,
        /// The id of the last message that the client has from this topic.
        last_id: Option<Cow<'a, str>>,
        /// What the client sent along; perhaps empty.
        data: Cow<'a, str>,
    },
    Unsubscribe {
        topic: Cow<'a, str>,
    },
    Ping,
    /// Only in a `POST`: WebSockets have a frame for it.
    Close {
        code: u16,
        reason: Cow<'a, str>,
    },
}

/// What is wrong with a command. Knows what the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandError {
    /// The query names no command: the client does not know the protocol that it agreed to.
    Missing,
    TooLong,
    Unknown,
    NoTopic,
    TopicTooLong,
    DataTooLong,
    CloseCode,
    CloseReasonTooLong,
    /// A WebSocket closes by a close frame.
    CloseOnWebSocket,
}

impl CommandError {
    /// What a WebSocket is closed with.
    pub(crate) fn close_code(self) -> u16 {
        close::PROTOCOL_ERROR
    }

    /// What a `POST` is answered with.
    pub(crate) fn status(self) -> u16 {
        400
    }

    /// Also the reason text of a close frame, so at most 123 bytes.
    pub(crate) fn what(self) -> &'static str {
        match self {
            CommandError::Missing => "no command: a message begins with a line feed",
            CommandError::TooLong => "a query that is much too long",
            CommandError::Unknown => "an unknown command",
            CommandError::NoTopic => "a command without a topic",
            CommandError::TopicTooLong => "the name of a topic that is much too long",
            CommandError::DataTooLong => "data of a subscription that is too long",
            CommandError::CloseCode => "a bad close code",
            CommandError::CloseReasonTooLong => "a close reason that is too long",
            CommandError::CloseOnWebSocket => "a close command on a WebSocket",
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

/// What a request's query asks for.
pub(crate) fn asked(query: &str) -> impl Iterator<Item = Cow<'_, str>> {
    query::values(query, "swio")
}

/// Whether a request's query is a command, valid or not: it has `swio`, and does not open a session.
pub(crate) fn is_one(query: &str) -> bool {
    asked(query).any(|what| !matches!(&*what, "stream" | "poll"))
}

impl<'a> PageCommand<'a> {
    /// Splits a frame at its first line feed, into query and payload.
    pub(crate) fn split(frame: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        match memchr::memchr(b'\n', frame) {
            Some(at) => (&frame[..at], &frame[at + 1..]),
            None => (frame, &[]),
        }
    }

    /// Reads a query. Unknown parameters are ignored; if a parameter is repeated, the first counts. The name of a topic
    /// may have up to `topic_bytes_max` bytes.
    pub(crate) fn parse(query: &'a [u8], topic_bytes_max: usize) -> Result<PageCommand<'a>, CommandError> {
        if query.is_empty() {
            return Ok(PageCommand::Send);
        }
        // What is never read is not worth the work: a message may have a megabyte of it.
        if query.len() > QUERY_BYTES_MAX.saturating_add(topic_bytes_max.saturating_mul(3)) {
            return Err(CommandError::TooLong);
        }
        let (mut what, mut topic, mut last_id, mut data) = (None, None, None, None);
        let (mut code, mut reason) = (None, None);
        for (name, pair) in query::pairs(query) {
            let place = match name {
                b"swio" => &mut what,
                b"topic" => &mut topic,
                b"last-event-id" => &mut last_id,
                b"data" => &mut data,
                b"code" => &mut code,
                b"reason" => &mut reason,
                _ => continue,
            };
            place.get_or_insert_with(|| query::value(pair));
        }
        Ok(match what.as_deref() {
            Some("send") => PageCommand::Send,
            // An empty id means that the client has no message.
            Some("subscribe") => {
                let (topic, data) = (checked(topic, topic_bytes_max)?, data.unwrap_or_default());
                if data.len() > DATA_BYTES_MAX {
                    return Err(CommandError::DataTooLong);
                }
                PageCommand::Subscribe { topic, last_id: last_id.filter(|last_id| !last_id.is_empty()), data }
            }
            Some("unsubscribe") => PageCommand::Unsubscribe { topic: checked(topic, topic_bytes_max)? },
            Some("ping") => PageCommand::Ping,
            Some("close") => {
                let (code, reason) = (code.as_deref().map(parse_code), reason.unwrap_or_default());
                let code = code.unwrap_or(Some(close::NO_STATUS)).ok_or(CommandError::CloseCode)?;
                if reason.len() > close::REASON_BYTES_MAX {
                    return Err(CommandError::CloseReasonTooLong);
                }
                PageCommand::Close { code, reason }
            }
            Some(_) => return Err(CommandError::Unknown),
            None => return Err(CommandError::Missing),
        })
    }
}

fn checked(topic: Option<Cow<'_, str>>, bytes_max: usize) -> Result<Cow<'_, str>, CommandError> {
    match topic.filter(|topic| !topic.is_empty()) {
        None => Err(CommandError::NoTopic),
        Some(topic) if topic.len() > bytes_max => Err(CommandError::TopicTooLong),
        Some(topic) => Ok(topic),
    }
}

/// The same codes are allowed as in a close frame.
fn parse_code(code: &str) -> Option<u16> {
    number::canonical(code).filter(|code| close::may_be_sent(*code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_read() {
        let parse = |query: &'static str| PageCommand::parse(query.as_bytes(), 100);
        let subscribe = |topic: &'static str, last_id: Option<&'static str>| {
            let last_id = last_id.map(Cow::Borrowed);
            Ok(PageCommand::Subscribe { topic: topic.into(), last_id, data: "".into() })
        };
        assert_eq!(parse(""), Ok(PageCommand::Send));
        assert_eq!(parse("swio=send"), Ok(PageCommand::Send));
        assert_eq!(parse("swio=subscribe&topic=news"), subscribe("news", None));
        assert_eq!(parse("swio=subscribe&topic=news&last-event-id="), subscribe("news", None));
        assert_eq!(
            parse("last-event-id=k3-17&topic=a+%26%C3%BC%0A&swio=subscribe&topic=b&more=1"),
            subscribe("a &ü\n", Some("k3-17"))
        );
        let last_id = None;
        let with_data = PageCommand::Subscribe { topic: "a".into(), last_id, data: "{\"x\": 1}".into() };
        assert_eq!(parse("swio=subscribe&topic=a&data=%7B%22x%22:+1%7D&data=b"), Ok(with_data));
        assert_eq!(parse("swio=unsubscribe&topic=%00"), Ok(PageCommand::Unsubscribe { topic: "\0".into() }));
        assert_eq!(parse("swio=ping&swio=close"), Ok(PageCommand::Ping));
        let close = |code, reason: &'static str| Ok(PageCommand::Close { code, reason: reason.into() });
        assert_eq!(parse("swio=close"), close(1005, ""));
        assert_eq!(parse("swio=close&code=4999&reason=bye+bye"), close(4999, "bye bye"));
    }

    #[test]
    fn what_is_no_command_is_said() {
        let (none, unknown) = (CommandError::Missing, CommandError::Unknown);
        let (no_topic, bad_code) = (CommandError::NoTopic, CommandError::CloseCode);
        for (query, expected) in [
            ("hello", none),
            ("&", none),
            ("topic=news", none),
            ("swio", unknown),
            ("swio=Send", unknown),
            ("swio=publish&topic=news", unknown),
            ("swio=subscribe", no_topic),
            ("swio=subscribe&topic=", no_topic),
            ("swio=unsubscribe&topic", no_topic),
            ("swio=close&code=", bad_code),
            ("swio=close&code=1005", bad_code),
            ("swio=close&code=65536", bad_code),
            ("swio=close&code=-1", bad_code),
            ("swio=close&code=%2B1000", bad_code),
            ("swio=close&code=01000", bad_code),
        ] {
            assert_eq!(PageCommand::parse(query.as_bytes(), 100), Err(expected), "{query}");
        }
        let long = format!("swio=close&reason={}", "x".repeat(124));
        let parse = |query: &str| PageCommand::parse(query.as_bytes(), 100).map(|_| ());
        assert_eq!(parse(&long), Err(CommandError::CloseReasonTooLong));
        assert_eq!(parse(&long[..long.len() - 1]), Ok(()));
        let long = format!("swio=subscribe&topic=a&data={}", "x".repeat(4097));
        assert_eq!(parse(&long), Err(CommandError::DataTooLong));
        assert_eq!(parse(&long[..long.len() - 1]), Ok(()));
        // All that may be long is, and every byte of it is encoded.
        let (topic, data, id) = ("%20".repeat(100), "%20".repeat(4096), "x".repeat(256));
        let long = format!("swio=subscribe&topic={topic}&data={data}&last-event-id={id}");
        assert_eq!(parse(&long), Ok(()));
        assert_eq!(parse(&format!("{long}{}", "&".repeat(1 << 10))), Err(CommandError::TooLong));
        let long = format!("swio=subscribe&topic={topic}x");
        assert_eq!(parse(&long), Err(CommandError::TopicTooLong));
        assert_eq!(parse(&long[..long.len() - 1]), Ok(()));
        // Whatever bytes they are.
        for byte in 0..=255 {
            PageCommand::parse(&[byte, b'=', byte, b'%', byte], 100).expect_err("no command");
        }
    }

    #[test]
    fn a_frame_is_cut_at_its_first_line_feed() {
        let split = |frame: &'static str| {
            let (query, payload) = PageCommand::split(frame.as_bytes());
            (std::str::from_utf8(query).expect("text"), std::str::from_utf8(payload).expect("text"))
        };
        assert_eq!(split(""), ("", ""));
        assert_eq!(split("\n"), ("", ""));
        assert_eq!(split("\nhello\n"), ("", "hello\n"));
        assert_eq!(split("swio=ping"), ("swio=ping", ""));
        assert_eq!(split("swio=send\n\r\n"), ("swio=send", "\r\n"));
    }

    #[test]
    fn requests_are_commands_by_their_name() {
        for name in ["send", "subscribe", "unsubscribe", "ping", "close", "publish", ""] {
            assert!(is_one(&format!("room=1&swio={name}&session=x")), "{name}");
        }
        assert!(!is_one("") && !is_one("swio=poll") && !is_one("swio=stream") && !is_one("send"));
    }
}
