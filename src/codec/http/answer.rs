//! Heads of responses, as a client reads them: httparse does the grammar.

use super::head::Headers;
use crate::codec::ws::handshake_client::AnswerError;

/// The answer of a server that was connected to: what `on_open` is told. Borrows what was received: copy what you
/// keep.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    status: u16,
    reason: &'a str,
    is_1_1: bool,
    headers: &'a [httparse::Header<'a>],
}

impl<'a> Answer<'a> {
    /// Reads a head from the start of `bytes`: the head and its length, or `None` where more bytes are needed.
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

    /// The status code; of an open WebSocket 101.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The status line's end, and where to go instead if that was said.
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

    /// The first header of this name, in any case, where its value is UTF-8.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.values(name).next().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All headers in their order; names as sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.headers.iter().map(|header| (header.name, header.value))
    }

    /// The subprotocol that the server chose.
    pub fn subprotocol(&self) -> Option<&'a str> {
        self.header("sec-websocket-protocol")
    }

    /// The values of every line of one name.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether a comma-separated list over all lines of one name has `token`, in any case.
    pub(crate) fn lists(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|line| line.split(','))
            .any(|member| member.trim_matches([' ', '\t']).eq_ignore_ascii_case(token))
    }
}
