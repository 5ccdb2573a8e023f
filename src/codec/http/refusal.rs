//! Why a request is refused before any callback sees it, and what the client is told then. A typed cause, so that
//! statistics are kept by cause and not by status.

use std::fmt;

/// Why a request is refused. Knows the status and the text of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    BadRequest(BadRequest),
    HeadTooBig,
    TooManyHeaders,
    BodyTooBig,
    /// The request was begun but not completed in time.
    RequestTimeout,
    /// A page of this origin may not connect.
    Origin,
    /// The request is for a host that is not served here.
    Host,
    /// A handshake for a path without a route.
    NotFound,
    /// The memory for incomplete requests is used up.
    NoRoom,
    /// The handler ended the connection, or there is no slot for another session.
    NotNow,
    /// The handler answered `later` and then did not answer in time.
    AnswerTimeout,
    ServerFull,
    MemoryFull,
    /// Too many connections from one address.
    AddressFull,
    HandshakeRate,
    ByteRate,
    RequestRate,
    /// The fault is the server's own.
    Internal,
}

/// What is wrong with a request or handshake that breaks the rules of HTTP or of RFC 6455 §4.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadRequest {
    Head,
    Line,
    Target,
    Connect,
    Tls,
    HttpVersion,
    NoHost,
    Host,
    DuplicateHost,
    Length,
    DuplicateLength,
    LengthAndCoding,
    CodingInHttp10,
    UnknownCoding,
    Chunk,
    HandshakeMethod,
    HandshakeHttpVersion,
    HandshakeUpgrade,
    HandshakeConnection,
    HandshakeBody,
    NoWebSocketVersion,
    WebSocketVersion,
    DuplicateWebSocketVersion,
    NoKey,
    Key,
    DuplicateKey,
    Subprotocol,
}

impl Refusal {
    pub(crate) const fn status(self) -> u16 {
        match self {
            Refusal::BadRequest(what) => what.status(),
            Refusal::Origin => 403,
            Refusal::NotFound => 404,
            Refusal::RequestTimeout => 408,
            Refusal::BodyTooBig => 413,
            Refusal::Host => 421,
            Refusal::AddressFull | Refusal::HandshakeRate | Refusal::ByteRate | Refusal::RequestRate => 429,
            Refusal::HeadTooBig | Refusal::TooManyHeaders => 431,
            Refusal::Internal => 500,
            Refusal::NoRoom
            | Refusal::NotNow
            | Refusal::AnswerTimeout
            | Refusal::ServerFull
            | Refusal::MemoryFull => 503,
        }
    }

    /// The text of the response.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Refusal::BadRequest(what) => what.what(),
            Refusal::HeadTooBig => "request head too big",
            Refusal::TooManyHeaders => "too many headers",
            Refusal::BodyTooBig => "request body too big",
            Refusal::RequestTimeout => "the request took too long",
            Refusal::Origin => "pages of other sites are not allowed (Config::origins)",
            Refusal::Host => "this host is not served here (Config::hosts)",
            Refusal::NotFound => "nothing is at this path",
            Refusal::NoRoom => "no memory for partial requests",
            Refusal::NotNow => "not now",
            Refusal::AnswerTimeout => "the answer took too long",
            Refusal::ServerFull => "the server is full",
            Refusal::MemoryFull => "the server's memory is full",
            Refusal::AddressFull => "too many connections from your address",
            Refusal::HandshakeRate => "too many handshakes from your address",
            Refusal::ByteRate => "too many bytes a second",
            Refusal::RequestRate => "too many requests a second",
            Refusal::Internal => "internal server error",
        }
    }
}

impl BadRequest {
    const fn status(self) -> u16 {
        match self {
            BadRequest::HandshakeMethod => 405,
            BadRequest::WebSocketVersion => 426,
            BadRequest::UnknownCoding | BadRequest::Connect => 501,
            BadRequest::HttpVersion | BadRequest::HandshakeHttpVersion => 505,
            _ => 400,
        }
    }

    const fn what(self) -> &'static str {
        match self {
            BadRequest::Head => "malformed request head",
            BadRequest::Line => "malformed request line",
            BadRequest::Target => "malformed request target",
            BadRequest::Connect => "this server is no proxy",
            BadRequest::Tls => "TLS is not spoken here: use ws:// or http://",
            BadRequest::HttpVersion => "HTTP/1.0 and HTTP/1.1 only",
            BadRequest::NoHost => "no Host header",
            BadRequest::Host => "malformed Host header",
            BadRequest::DuplicateHost => "more than one Host header",
            BadRequest::Length => "malformed Content-Length",
            BadRequest::DuplicateLength => "more than one Content-Length",
            BadRequest::LengthAndCoding => "both Content-Length and Transfer-Encoding",
            BadRequest::CodingInHttp10 => "Transfer-Encoding in HTTP/1.0",
            BadRequest::UnknownCoding => "unknown Transfer-Encoding",
            BadRequest::Chunk => "malformed chunked body",
            BadRequest::HandshakeMethod => "a WebSocket handshake is a GET request",
            BadRequest::HandshakeHttpVersion => "a WebSocket handshake needs HTTP/1.1",
            BadRequest::HandshakeUpgrade => "Upgrade does not list websocket",
            BadRequest::HandshakeConnection => "Connection does not list Upgrade",
            BadRequest::HandshakeBody => "a WebSocket handshake has no body",
            BadRequest::NoWebSocketVersion => "no Sec-WebSocket-Version",
            BadRequest::WebSocketVersion => "Sec-WebSocket-Version must be 13",
            BadRequest::DuplicateWebSocketVersion => "more than one Sec-WebSocket-Version",
            BadRequest::NoKey => "no Sec-WebSocket-Key",
            BadRequest::Key => "Sec-WebSocket-Key is not 16 bytes in base64",
            BadRequest::DuplicateKey => "more than one Sec-WebSocket-Key",
            BadRequest::Subprotocol => "none of the offered subprotocols is spoken here",
        }
    }
}

impl From<BadRequest> for Refusal {
    fn from(what: BadRequest) -> Refusal {
        Refusal::BadRequest(what)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}
