//! Request heads: httparse parses the grammar, this file checks the rules around it (RFC 9112 §2.2, §3, §6; RFC 9110
//! §7.2). It is stricter than httparse wherever two readers could understand one request differently.

use super::{BadRequest, Refusal};

/// Maximum number of header lines of one request.
pub(crate) const HEADERS_MAX: usize = 64;

/// Room for the headers of one head; see [`Head::parse`].
pub(crate) type Headers<'a> = [httparse::Header<'a>; HEADERS_MAX];

/// A parsed request head. It borrows the bytes that it was parsed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a str,
    /// In origin form: a path with an optional query, or `*`.
    pub(crate) target: &'a str,
    /// HTTP/1.1; otherwise 1.0.
    pub(crate) is_1_1: bool,
    headers: &'a [httparse::Header<'a>],
}

/// How to find the end of a request's body (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    Length(u64),
    Chunked,
}

/// Whether `bytes` contain the empty line that ends a head.
pub(crate) fn has_end(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
        rest = &rest[at + 1..];
        if rest.starts_with(b"\n") || rest.starts_with(b"\r\n") {
            return true;
        }
    }
    false
}

impl<'a> Head<'a> {
    /// Reads a head from the start of `bytes`. Returns the head and its length, or `None` if more bytes are needed.
    pub(crate) fn parse(
        bytes: &'a [u8],
        headers: &'a mut Headers<'a>,
    ) -> Result<Option<(Head<'a>, usize)>, Refusal> {
        let mut request = httparse::Request::new(headers);
        let len = match request.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyHeaders),
            Err(httparse::Error::Version) => return Err(BadRequest::HttpVersion.into()),
            // The record type of a TLS handshake (RFC 8446 §5.1): the client used https or wss.
            Err(_) if bytes.first() == Some(&22) => {
                return Err(BadRequest::Tls.into());
            }
            Err(_) => return Err(BadRequest::Head.into()),
        };
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version)
        else {
            return Err(BadRequest::Line.into());
        };
        let target = origin_form(target).ok_or(BadRequest::Target)?;
        let head = Head { method, target, is_1_1: version == 1, headers: request.headers };
        head.check_host()?;
        Ok(Some((head, len)))
    }

    /// RFC 9112 §3.2: exactly one Host in HTTP/1.1, at most one in 1.0.
    fn check_host(&self) -> Result<(), Refusal> {
        match self.values("host").count() {
            1 => Ok(()),
            0 if !self.is_1_1 => Ok(()),
            0 => Err(BadRequest::NoHost.into()),
            _ => Err(BadRequest::DuplicateHost.into()),
        }
    }

    pub(crate) fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    pub(crate) fn query(&self) -> Option<&'a str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// All header lines in their order, with names as sent.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.headers.iter().map(|header| (header.name, header.value))
    }

    /// The values of all lines with this name.
    pub(crate) fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.headers().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of the first line with this name; `None` if it is not UTF-8.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).next().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The members of the comma-separated lists of all lines with this name (RFC 9110 §5.6.1). Members that are not
    /// UTF-8 are left out.
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.members(name, b',').filter(|member| !member.is_empty())
    }

    /// What is between the separators of all lines with this name, without blanks around it, as far as it is UTF-8.
    pub(crate) fn members<'n>(
        &self,
        name: &'n str,
        separator: u8,
    ) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.values(name)
            .flat_map(move |line| line.split(move |byte| *byte == separator))
            .filter_map(|member| std::str::from_utf8(member).ok())
            .map(|member| member.trim_matches([' ', '\t']))
    }

    pub(crate) fn lists(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|member| member.eq_ignore_ascii_case(token))
    }

    /// How the body is framed; `None` if there is no body. Everything that two readers could understand differently is
    /// refused, because it is what makes request smuggling possible (RFC 9112 §6.3, §11.2).
    pub(crate) fn framing(&self) -> Result<Option<BodyFraming>, Refusal> {
        let mut lengths = self.values("content-length");
        let length = lengths.next();
        if lengths.next().is_some() {
            return Err(BadRequest::DuplicateLength.into());
        }
        let mut codings = self.values("transfer-encoding");
        match (length, codings.next()) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(BadRequest::LengthAndCoding.into()),
            (None, Some(_)) if !self.is_1_1 => Err(BadRequest::CodingInHttp10.into()),
            (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none() => {
                Ok(Some(BodyFraming::Chunked))
            }
            (None, Some(_)) => Err(BadRequest::UnknownCoding.into()),
            (Some(length), None) => match decimal(length) {
                Some(0) => Ok(None),
                Some(length) => Ok(Some(BodyFraming::Length(length))),
                None => Err(BadRequest::Length.into()),
            },
        }
    }

    /// Whether the connection may serve another request after this one (RFC 9112 §9.3).
    pub(crate) fn keeps_alive(&self) -> bool {
        if self.is_1_1 { !self.lists("connection", "close") } else { self.lists("connection", "keep-alive") }
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// RFC 9112 §3.2: servers must accept the absolute form too. What follows its authority is the origin form.
fn origin_form(target: &str) -> Option<&str> {
    if target.starts_with('/') || target == "*" {
        return Some(target);
    }
    let scheme_end = target.find("://")?;
    if !["http", "https", "ws", "wss"].iter().any(|scheme| target[..scheme_end].eq_ignore_ascii_case(scheme))
    {
        return None;
    }
    let rest = &target[scheme_end + 3..];
    match rest.find(['/', '?']) {
        Some(at) if rest[at..].starts_with('/') => Some(&rest[at..]),
        Some(_) => None,
        None => Some("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T>(bytes: &str, look: impl FnOnce(&Head<'_>) -> T) -> Result<T, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let (head, len) = Head::parse(bytes.as_bytes(), &mut headers)?.expect("a whole head");
        assert_eq!(len, bytes.len());
        Ok(look(&head))
    }

    fn status(bytes: &str) -> u16 {
        parse(bytes, |head| head.framing().err().map_or(200, |refusal| refusal.status()))
            .unwrap_or_else(|refusal| refusal.status())
    }

    #[test]
    fn who_begins_with_tls_is_told_that_there_is_none() {
        let told = |bytes: &[u8]| Head::parse(bytes, &mut [httparse::EMPTY_HEADER; HEADERS_MAX]).err();
        let refusal = told(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc").expect("no head");
        assert_eq!((refusal.status(), refusal.what()), (400, "TLS is not spoken here: use ws:// or http://"));
        assert_eq!(told(b"\x17\x03").expect("no head").what(), "malformed request head");
    }

    #[test]
    fn a_head_is_read_whole_and_only_whole() {
        let bytes = "GET /chat?room=1 HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2, 3\r\n\r\n";
        parse(bytes, |head| {
            assert_eq!((head.method, head.path(), head.query()), ("GET", "/chat", Some("room=1")));
            assert_eq!(head.value("HOST"), Some("a"));
            assert_eq!(head.list("x").collect::<Vec<_>>(), ["1", "2", "3"]);
            assert!(head.keeps_alive());
        })
        .expect("a good head");
        for end in 0..bytes.len() {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let head = Head::parse(&bytes.as_bytes()[..end], &mut headers);
            assert!(matches!(head, Ok(None)), "cut at {end}");
            assert!(!has_end(&bytes.as_bytes()[..end]), "cut at {end}");
        }
        assert!(has_end(bytes.as_bytes()));
        assert!(has_end(b"GET / HTTP/1.1\n\n"));
    }

    #[test]
    fn every_form_of_target_names_the_same_path() {
        let path = |target| {
            parse(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), |head| head.path().to_owned())
        };
        assert_eq!(path("/x"), Ok("/x".into()));
        assert_eq!(path("http://a/x?y"), Ok("/x".into()));
        assert_eq!(path("HTTPS://a:1"), Ok("/".into()));
        for bad in ["x", "ftp://a/", "http://a?x", "a:80"] {
            assert_eq!(path(bad).map_err(|refusal| refusal.status()), Err(400), "{bad}");
        }
    }

    #[test]
    fn malformed_and_ambiguous_heads_are_refused() {
        let head = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        assert_eq!(status(&head("Content-Length: 3\r\n")), 200);
        assert_eq!(status(&head("Transfer-Encoding: chunked\r\n")), 200);
        for (bytes, expected) in [
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
            ("GET /\r\nHost: a\r\n\r\n".to_owned(), 400),
            ("G\u{e9}T / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
            (head(" folded: x\r\n"), 400),
            (head("X: a\r\n b\r\n"), 400),
            (head("X : a\r\n"), 400),
            (head("X: a\0b\r\n"), 400),
            (head("X: a\rb\r\n"), 400),
            (head("Content-Length: 3\r\nContent-Length: 3\r\n"), 400),
            (head("Content-Length: 3, 3\r\n"), 400),
            (head("Content-Length: +3\r\n"), 400),
            (head("Content-Length: -3\r\n"), 400),
            (head("Content-Length: 99999999999999999999\r\n"), 400),
            (head("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400),
            (head("Transfer-Encoding: gzip, chunked\r\n"), 501),
            (head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 501),
            (head(&"X: y\r\n".repeat(HEADERS_MAX)), 431),
        ] {
            assert_eq!(status(&bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_member_that_is_no_text_takes_no_other_with_it() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX: a, \xe7, b\r\nX: \xff\r\nX: c\r\n\r\n";
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let (head, _) = Head::parse(bytes, &mut headers).expect("a good head").expect("a whole head");
        assert_eq!(head.list("x").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(head.value("x"), None);
    }

    #[test]
    fn keep_alive_is_the_default_of_1_1_only() {
        let keeps = |version, lines: &str| {
            parse(&format!("GET / HTTP/1.{version}\r\nHost: a\r\n{lines}\r\n"), |head| head.keeps_alive())
        };
        assert_eq!(keeps(1, ""), Ok(true));
        assert_eq!(keeps(1, "Connection: x, Close\r\n"), Ok(false));
        assert_eq!(keeps(0, ""), Ok(false));
        assert_eq!(keeps(0, "Connection: Keep-Alive\r\n"), Ok(true));
    }
}
