//! Heads of responses, for clients, and what may be wrong with them; httparse parses the grammar.

use super::head::Headers;
use crate::error::Cause;
use std::fmt;

/// Why the answer to a handshake does not open a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerError {
    NotHttp,
    Malformed,
    HttpVersion,
    Upgrade,
    Connection,
    NoAccept,
    Accept,
    Extension,
    Subprotocol,
}

impl AnswerError {
    pub(crate) fn what(self) -> &'static str {
        match self {
            AnswerError::NotHttp => "the answer is not HTTP",
            AnswerError::Malformed => "malformed answer",
            AnswerError::HttpVersion => "the handshake was answered in HTTP/1.0",
            AnswerError::Upgrade => "the answer's Upgrade is not websocket",
            AnswerError::Connection => "the answer's Connection does not list Upgrade",
            AnswerError::NoAccept => "the answer has no Sec-WebSocket-Accept",
            AnswerError::Accept => "the answer's Sec-WebSocket-Accept is not that of the key",
            AnswerError::Extension => "the answer has an extension that was not offered",
            AnswerError::Subprotocol => "the answer has a subprotocol that was not offered",
        }
    }
}

impl From<AnswerError> for Cause {
    fn from(error: AnswerError) -> Cause {
        Cause::Protocol(error.what())
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

/// A server's response to a client's handshake, as `on_open` gets it. It borrows the received bytes: copy what you want
/// to keep.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    status: u16,
    reason: &'a str,
    is_1_1: bool,
    headers: &'a [httparse::Header<'a>],
}

impl<'a> Answer<'a> {
    /// Reads a head from the start of `bytes`. Returns the head and its length, or `None` if more bytes are needed.
    pub(crate) fn parse(
        bytes: &'a [u8],
        headers: &'a mut Headers<'a>,
    ) -> Result<Option<(Answer<'a>, usize)>, AnswerError> {
        let mut response = httparse::Response::new(headers);
        match response.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => {
                let (Some(status), Some(version)) = (response.code, response.version) else {
                    return Err(AnswerError::Malformed);
                };
                let reason = response.reason.unwrap_or_default();
                Ok(Some((Answer { status, reason, is_1_1: version == 1, headers: response.headers }, len)))
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(_) => Err(AnswerError::Malformed),
        }
    }

    /// The status code: 101 if the WebSocket is open.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Status and reason phrase, and the location if it is a redirect.
    pub(crate) fn summary(&self) -> String {
        let line = format!("{} {}", self.status, self.reason);
        match self.header("location") {
            Some(location) => format!("{}, see {location}", line.trim_end()),
            None => line.trim_end().to_owned(),
        }
    }

    pub(crate) fn is_1_1(&self) -> bool {
        self.is_1_1
    }

    /// The first header with this name, in any case; `None` if its value is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.values(name).next().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All headers in their order, with names as sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.headers.iter().map(|header| (header.name, header.value))
    }

    /// The subprotocol that the server chose, if any.
    pub fn subprotocol(&self) -> Option<&'a str> {
        self.header("sec-websocket-protocol")
    }

    /// The values of all lines with this name.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether the comma-separated lists of all lines with this name contain `token`, in any case.
    pub(crate) fn lists(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|line| line.split(|byte| *byte == b','))
            .any(|member| member.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}
