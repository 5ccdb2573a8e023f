//! Responses: what a callback builds, and how it is written (RFC 9112 §4, §6).

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// A response to an HTTP request. The server adds the headers for length, date and connection.
///
/// ```
/// use swio::Response;
///
/// let page = Response::html("<!doctype html><title>hello</title>").header("Cache-Control", "no-store");
/// assert_eq!(page.status(), 200);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// A response with this status and no body.
    ///
    /// # Panics
    /// If the status is not in 200..=599. Lower ones are sent by the server itself.
    pub fn new(status: u16) -> Response {
        Response::checked(status).unwrap_or_else(|what| panic!("{what}"))
    }

    /// The same for a status that is not the program's own.
    pub(crate) fn checked(status: u16) -> Result<Response, String> {
        if !(200..=599).contains(&status) {
            return Err(format!("{status} is no status of a final response"));
        }
        Ok(Response { status, headers: Vec::new(), body: Cow::Borrowed(&[]) })
    }

    /// A response whose body is plain text.
    pub fn text(status: u16, text: impl Into<Cow<'static, str>>) -> Response {
        Response::new(status)
            .header("Content-Type", "text/plain; charset=utf-8")
            .body(into_bytes(text.into()))
    }

    /// An HTML page, with status 200.
    pub fn html(page: impl Into<Cow<'static, str>>) -> Response {
        Response::new(200).header("Content-Type", "text/html; charset=utf-8").body(into_bytes(page.into()))
    }

    /// JSON, with status 200. The text is sent as it is; use any library to make it.
    ///
    /// ```
    /// let answer = swio::Response::json(r#"{"online":12}"#).header("Cache-Control", "no-store");
    /// ```
    pub fn json(text: impl Into<Cow<'static, str>>) -> Response {
        Response::new(200).header("Content-Type", "application/json").body(into_bytes(text.into()))
    }

    /// 404 with a short text.
    pub fn not_found() -> Response {
        Response::text(404, "Not found\n")
    }

    /// Adds a header.
    ///
    /// # Panics
    /// If the server itself sets the header (length, date, connection, transfer coding), if the name is not a token, or
    /// if the value has a line break or another control character (RFC 9110 §5.5): with one, a value that comes from a
    /// user could forge the response.
    pub fn header(self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Response {
        self.checked_header(name.into(), value.into()).unwrap_or_else(|what| panic!("{what}"))
    }

    /// The same for a header that is not the program's own.
    pub(crate) fn checked_header(
        mut self,
        name: Cow<'static, str>,
        value: Cow<'static, str>,
    ) -> Result<Response, String> {
        check_header(&name, &value)?;
        self.headers.push((name, value));
        Ok(self)
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Cow<'static, [u8]>>) -> Response {
        self.body = body.into();
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    #[cfg(feature = "serde")]
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    #[cfg(feature = "serde")]
    pub(crate) fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    /// The number of bytes that it counts as in the mailbox.
    pub(crate) fn bytes(&self) -> usize {
        self.body.len() + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    /// Encodes the head, and returns it with the body that follows. A `HEAD` request gets the same head as a `GET`, and
    /// no body (RFC 9110 §9.3.2).
    pub(crate) fn encode(self, about: &Exchange<'_>) -> (Vec<u8>, Cow<'static, [u8]>) {
        let (has_body, len) = (self.has_body(), self.body.len());
        let head = match has_body {
            true => self.head(format_args!("Content-Length: {len}\r\n"), about),
            false => self.head(format_args!(""), about),
        };
        let body = if has_body && !about.is_head { self.body } else { Cow::Borrowed(&[][..]) };
        (head, body)
    }

    /// Writes the head. `framing`: the header line that says where the body ends.
    pub(crate) fn head(&self, framing: fmt::Arguments<'_>, about: &Exchange<'_>) -> Vec<u8> {
        let mut head = String::with_capacity(256);
        let reason = reason_phrase(self.status);
        write!(head, "HTTP/1.1 {} {reason}\r\n", self.status).expect("a String takes all");
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").expect("a String takes all");
        }
        let is_upgrade = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
        let connection = if about.keep_alive {
            "keep-alive"
        } else if is_upgrade {
            "Upgrade, close"
        } else {
            "close"
        };
        write!(head, "{framing}Date: {}\r\nConnection: {connection}\r\n\r\n", about.date)
            .expect("a String takes all");
        head.into_bytes()
    }

    /// Whether a response with this status has a body (RFC 9110 §6.4.1).
    pub(crate) fn has_body(&self) -> bool {
        !matches!(self.status, 204 | 304)
    }
}

/// What encoding a response depends on besides the response itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) is_head: bool,
    pub(crate) keep_alive: bool,
    pub(crate) date: &'a str,
}

fn into_bytes(text: Cow<'static, str>) -> Cow<'static, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// Whether a program may add it to a head: it can't forge what follows, and is not one of the server's own.
pub(crate) fn check_header(name: &str, value: &str) -> Result<(), String> {
    if !is_token(name) {
        return Err(format!("{name:?} is no header name"));
    }
    if !is_field_value(value) {
        return Err(format!("control character in the value of header {name}"));
    }
    let own = ["content-length", "transfer-encoding", "connection", "date"];
    if own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(format!("{name} is the server's own"));
    }
    Ok(())
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token(name: &str) -> bool {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(is_tchar)
}

/// RFC 9110 §5.5.
pub(crate) fn is_field_value(value: &str) -> bool {
    value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f))
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(response: Response, is_head: bool, keep_alive: bool) -> String {
        let about = Exchange { is_head, keep_alive, date: "Thu, 01 Jan 1970 00:00:00 GMT" };
        let (mut head, body) = response.encode(&about);
        head.extend_from_slice(&body);
        String::from_utf8(head).expect("text")
    }

    #[test]
    fn a_response_has_its_length_and_date() {
        assert_eq!(
            wire(Response::text(200, "hi"), false, true),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\
             Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: keep-alive\r\n\r\nhi"
        );
    }

    #[test]
    fn head_gets_the_length_but_not_the_body() {
        let answer = wire(Response::text(200, "hi"), true, false);
        assert!(answer.contains("Content-Length: 2\r\n") && answer.ends_with("Connection: close\r\n\r\n"));
        assert!(!wire(Response::new(204), false, true).contains("Content-Length"));
    }

    #[test]
    fn forged_headers_are_refused() {
        for (name, value) in
            [("X", "a\r\nSet-Cookie: b"), ("X", "a\nb"), ("X\r\nY", "a"), ("", "a"), ("X", "\0")]
        {
            let forged = std::panic::catch_unwind(|| Response::new(200).header(name, value));
            assert!(forged.is_err(), "{name:?}: {value:?}");
        }
    }
}
