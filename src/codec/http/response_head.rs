//! Responses whose body is written piece by piece: the head, and how the pieces go onto the wire after it (RFC 9112
//! §6.3, §7.1).

use super::response::{Exchange, Response};
use std::borrow::Cow;

/// The start of a response whose body is written later, piece by piece, with
/// [`Server::write_body`](crate::Server::write_body), and ended with [`Server::end_body`](crate::Server::end_body).
/// Length, transfer coding, date and connection headers are the server's.
///
/// ```
/// use swio::ResponseHead;
///
/// let head = ResponseHead::new(200).header("Content-Type", "text/csv");
/// assert_eq!(head.status(), 200);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub(crate) response: Response,
    pub(crate) length: Option<u64>,
}

/// How a body goes onto the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseFraming {
    Chunked,
    /// So many bytes are still to come.
    Length(u64),
    /// The end of the connection is the end of the body.
    UntilClose,
    /// The response has no body: what is written is left out.
    Absent,
}

impl ResponseHead {
    /// A head with this status.
    ///
    /// # Panics
    /// As [`Response::new`].
    pub fn new(status: u16) -> ResponseHead {
        ResponseHead { response: Response::new(status), length: None }
    }

    /// Adds a header.
    ///
    /// # Panics
    /// As [`Response::header`].
    pub fn header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> ResponseHead {
        self.response = self.response.header(name, value);
        self
    }

    /// Says how many bytes the body will have, where that is known: then it is sent without chunks, and clients can
    /// show how far they are. What is written over it is refused; with less the connection is cut off.
    pub fn content_length(mut self, bytes: u64) -> ResponseHead {
        self.length = Some(bytes);
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.response.status()
    }

    /// What it takes of the mailbox.
    pub(crate) fn bytes(&self) -> usize {
        self.response.bytes()
    }

    /// Whether nothing but the end of the connection can end the body.
    pub(crate) fn ends_by_close(&self, is_1_1: bool) -> bool {
        self.has_body() && self.length.is_none() && !is_1_1
    }

    /// Writes the head, and says how the body goes after it.
    pub(crate) fn encode(&self, is_1_1: bool, about: &Exchange<'_>) -> (Vec<u8>, ResponseFraming) {
        let (head, framing) = match self.length {
            _ if !self.has_body() => (self.response.head(format_args!(""), about), ResponseFraming::Absent),
            Some(length) => {
                let line = format_args!("Content-Length: {length}\r\n");
                (self.response.head(line, about), ResponseFraming::Length(length))
            }
            None if is_1_1 => {
                let line = format_args!("Transfer-Encoding: chunked\r\n");
                (self.response.head(line, about), ResponseFraming::Chunked)
            }
            None => (self.response.head(format_args!(""), about), ResponseFraming::UntilClose),
        };
        (head, if about.is_head { ResponseFraming::Absent } else { framing })
    }

    fn has_body(&self) -> bool {
        self.response.has_body()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(head: &ResponseHead, is_1_1: bool, is_head: bool) -> (String, ResponseFraming) {
        let about = Exchange { is_head, keep_alive: !head.ends_by_close(is_1_1), date: "now" };
        let (head, framing) = head.encode(is_1_1, &about);
        (String::from_utf8(head).expect("text"), framing)
    }

    #[test]
    fn the_head_says_how_the_body_goes() {
        let head = |line: &str, connection: &str| {
            format!("HTTP/1.1 200 OK\r\nX-A: b\r\n{line}Date: now\r\nConnection: {connection}\r\n\r\n")
        };
        let open = ResponseHead::new(200).header("X-A", "b");
        let chunked = head("Transfer-Encoding: chunked\r\n", "keep-alive");
        assert_eq!(wire(&open, true, false), (chunked.clone(), ResponseFraming::Chunked));
        assert_eq!(wire(&open, true, true), (chunked, ResponseFraming::Absent));
        assert_eq!(wire(&open, false, false), (head("", "close"), ResponseFraming::UntilClose));
        let known = open.content_length(7);
        let length = head("Content-Length: 7\r\n", "keep-alive");
        assert_eq!(wire(&known, true, false), (length.clone(), ResponseFraming::Length(7)));
        assert_eq!(wire(&known, false, false), (length.clone(), ResponseFraming::Length(7)));
        assert_eq!(wire(&known, true, true), (length, ResponseFraming::Absent));
    }

    #[test]
    fn without_a_body_nothing_is_said_of_one() {
        for status in [204, 304] {
            let (head, framing) = wire(&ResponseHead::new(status).content_length(3), true, false);
            assert!(!head.contains("Content-Length") && !head.contains("Transfer-Encoding"), "{head}");
            assert_eq!(framing, ResponseFraming::Absent);
        }
    }
}
