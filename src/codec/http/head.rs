//! Request heads: httparse parses the grammar, this file checks the rules around it (RFC 9112 §2.2, §3, §6; RFC 9110
//! §4.2, §7.2). It is stricter than httparse wherever two readers could understand one request differently.

use super::{BadRequest, Refusal};
use crate::config::authority::Authority;

/// Maximum number of header lines of one request.
pub(crate) const HEADERS_MAX: usize = 64;

/// Room for the headers of one head; see [`Head::parse`].
pub(crate) type Headers<'a> = [httparse::Header<'a>; HEADERS_MAX];

/// A parsed request head. It borrows the bytes that it was parsed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a str,
    target: RequestTarget<'a>,
    /// HTTP/1.1; otherwise 1.0.
    pub(crate) is_1_1: bool,
    headers: &'a [httparse::Header<'a>],
}

/// What a request is for.
#[derive(Clone, Copy, Debug)]
struct RequestTarget<'a> {
    /// The target's own in absolute form, or else that of `Host`, which may be empty. `None`: there is neither.
    host: Option<Authority<'a>>,
    /// Begins with `/`, or is `*`.
    path: &'a str,
    query: Option<&'a str>,
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
        let target = RequestTarget::parse(method, target)?;
        let mut head = Head { method, target, is_1_1: version == 1, headers: request.headers };
        let host = head.check_host()?;
        head.target.host = head.target.host.or(host);
        Ok(Some((head, len)))
    }

    /// RFC 9112 §3.2: exactly one Host in HTTP/1.1, at most one in 1.0, and it is valid, also where the target has a
    /// host of its own.
    fn check_host(&self) -> Result<Option<Authority<'a>>, BadRequest> {
        let mut hosts = self.values("host");
        match (hosts.next(), hosts.next()) {
            (None, _) if self.is_1_1 => Err(BadRequest::NoHost),
            (None, _) => Ok(None),
            (Some(host), None) => {
                let host = std::str::from_utf8(host).ok().and_then(Authority::parse);
                host.map(Some).ok_or(BadRequest::Host)
            }
            _ => Err(BadRequest::DuplicateHost),
        }
    }

    pub(crate) fn path(&self) -> &'a str {
        self.target.path
    }

    pub(crate) fn query(&self) -> Option<&'a str> {
        self.target.query
    }

    /// The host that the request is for, which may be empty.
    pub(crate) fn host(&self) -> Option<Authority<'a>> {
        self.target.host
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

impl<'a> RequestTarget<'a> {
    /// RFC 9112 §3.2.
    fn parse(method: &str, target: &'a str) -> Result<RequestTarget<'a>, BadRequest> {
        let is_options = method == "OPTIONS";
        match target {
            // RFC 9112 §3.2.3: its target is a host and a port, which is no form of any other method.
            _ if method == "CONNECT" => Err(BadRequest::Connect),
            // Browsers and other clients leave much as it is that RFC 3986 has percent-encoded, but never this.
            _ if target.contains('#') => Err(BadRequest::Target),
            "*" if is_options => Ok(RequestTarget { host: None, path: "*", query: None }),
            _ if target.starts_with('/') => Ok(RequestTarget::of(None, target)),
            _ => RequestTarget::absolute(target, is_options).ok_or(BadRequest::Target),
        }
    }

    /// RFC 9112 §3.2.2, RFC 9110 §4.2: servers must accept the absolute form too, and its host counts.
    fn absolute(target: &'a str, is_options: bool) -> Option<RequestTarget<'a>> {
        let (scheme, rest) = target.split_once("://")?;
        if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return None;
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let host = Authority::parse(authority).filter(|authority| !authority.host.is_empty())?;
        let target = RequestTarget::of(Some(host), rest);
        Some(match target.path {
            // RFC 9112 §3.2.4: without a path and a query it is the server that is asked about.
            "" if is_options && target.query.is_none() => RequestTarget { path: "*", ..target },
            "" => RequestTarget { path: "/", ..target },
            _ => target,
        })
    }

    fn of(host: Option<Authority<'a>>, origin_form: &'a str) -> RequestTarget<'a> {
        match origin_form.split_once('?') {
            Some((path, query)) => RequestTarget { host, path, query: Some(query) },
            None => RequestTarget { host, path: origin_form, query: None },
        }
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
    fn every_form_of_target_is_read() {
        let read = |method: &str, target: &str| {
            parse(&format!("{method} {target} HTTP/1.1\r\nHost: own:7\r\n\r\n"), |head| {
                let host = head.host().expect("a host").text;
                format!("{host} {} {:?}", head.path(), head.query())
            })
        };
        for (target, expected) in [
            ("/x", "own:7 /x None"),
            ("/x?", "own:7 /x Some(\"\")"),
            ("/x?y?z", "own:7 /x Some(\"y?z\")"),
            ("//x", "own:7 //x None"),
            ("/http://a/", "own:7 /http://a/ None"),
            ("/{a}|\"<^`", "own:7 /{a}|\"<^` None"),
            ("http://a/x?y", "a /x Some(\"y\")"),
            ("HTTPS://A:1", "A:1 / None"),
            ("http://a?x", "a / Some(\"x\")"),
            ("http://a/?x", "a / Some(\"x\")"),
            ("http://a:?", "a: / Some(\"\")"),
            ("http://[::1]:80/x", "[::1]:80 /x None"),
            ("http://a//b", "a //b None"),
            ("ws://a/x", "a /x None"),
        ] {
            assert_eq!(read("GET", target).as_deref(), Ok(expected), "{target}");
        }
        assert_eq!(read("OPTIONS", "*").as_deref(), Ok("own:7 * None"));
        assert_eq!(read("OPTIONS", "http://a").as_deref(), Ok("a * None"));
        assert_eq!(read("OPTIONS", "http://a/").as_deref(), Ok("a / None"));
        assert_eq!(read("OPTIONS", "http://a?").as_deref(), Ok("a / Some(\"\")"));
        for bad in [
            "x",
            "*",
            "?x",
            "ftp://a/",
            "a:80",
            "http:",
            "http:/",
            "http:/a",
            "http://",
            "http:///x",
            "http://?x",
            "http://:80/",
            "http://user@a/",
            "http://user:pw@a/",
            "http://a:x/",
            "http://a:65536/",
            "http://[::1/",
            "http://a\\b/",
            "http://a%zz/",
            "/x#y",
            "http://a/#",
            "*?",
            "://a/",
        ] {
            assert_eq!(read("GET", bad).map_err(|refusal| refusal.status()), Err(400), "{bad}");
        }
        assert_eq!(read("CONNECT", "a:80").map_err(|refusal| refusal.status()), Err(501));
        assert_eq!(read("CONNECT", "/").map_err(|refusal| refusal.status()), Err(501));
        // In HTTP/1.0 a request may name no host at all.
        assert_eq!(parse("GET / HTTP/1.0\r\n\r\n", |head| head.host().is_none()), Ok(true));
        let host =
            parse("GET http://a/ HTTP/1.0\r\n\r\n", |head| head.host().map(|host| host.host.to_owned()));
        assert_eq!(host, Ok(Some("a".into())));
    }

    #[test]
    fn a_host_is_a_host() {
        let with = |version, host: &str| status(&format!("GET / HTTP/1.{version}\r\nHost: {host}\r\n\r\n"));
        for host in ["", "a", "a:80", "A.b-c_d:", "[::1]:9501", "%61", " a ", "127.0.0.1"] {
            assert_eq!((with(1, host), with(0, host)), (200, 200), "{host:?}");
        }
        for host in [
            "a b", "a/b", "http://a", "u@a", "a,b c", "a:x", "a:99999", "[::1", "::1", "a\"", "a\\",
            "b\u{fc}",
        ] {
            assert_eq!((with(1, host), with(0, host)), (400, 400), "{host:?}");
            // Also where it does not count.
            let bytes = format!("GET http://a/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(status(&bytes), 400, "{host:?}");
        }
        assert_eq!(status("GET http://a/ HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status("GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
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
