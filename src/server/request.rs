//! What callbacks are told of a request, and what they answer a handshake with.

use super::routes::Params;
use crate::codec::http::response::{is_field_value, is_token};
use crate::codec::http::{Head, Response};
use crate::fd::Fd;
use std::borrow::Cow;

/// An HTTP request, or the one that opened a WebSocket. Borrows what was received: copy what you keep.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The connection.
    pub fd: Fd,
    pub(crate) head: Head<'a>,
    pub(crate) body: &'a [u8],
    pub(crate) params: Params<'a>,
}

impl<'a> Request<'a> {
    /// The method, as sent: `GET`.
    pub fn method(&self) -> &'a str {
        self.head.method
    }

    /// The path without the query, as sent: still percent-encoded.
    pub fn path(&self) -> &'a str {
        self.head.path()
    }

    /// What follows the `?`.
    pub fn query(&self) -> Option<&'a str> {
        self.head.query()
    }

    /// The value of a parameter of the [route](crate::Builder::route), percent-decoded: `room` of `/chat/{room}`.
    /// `None` where the route has no such parameter, or its value is no UTF-8.
    pub fn param(&self, name: &str) -> Option<Cow<'a, str>> {
        self.params.get(name)
    }

    /// The first header of this name, in any case, where its value is UTF-8.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.head.value(name)
    }

    /// All headers in their order; names as sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.head.headers()
    }

    /// The subprotocols that a WebSocket client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        self.head.list("sec-websocket-protocol")
    }

    /// The body; empty where there is none.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// The answer to a WebSocket handshake: what `on_handshake` gives.
///
/// ```
/// use swio::{Handshake, Response};
///
/// let welcome = Handshake::accept().subprotocol("chat").header("X-Server", "one");
/// let go_away = Handshake::refuse(Response::text(401, "who are you?\n"));
/// ```
#[derive(Debug)]
#[must_use]
pub struct Handshake(pub(crate) Result<Acceptance, Response>);

#[derive(Debug, Default)]
pub(crate) struct Acceptance {
    pub(crate) subprotocol: Option<Cow<'static, str>>,
    pub(crate) headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl Handshake {
    /// Lets the client in.
    pub fn accept() -> Handshake {
        Handshake(Ok(Acceptance::default()))
    }

    /// Sends the client away with this response, and closes. 401, 403 and 404 are usual. Browsers do not show
    /// it to the page: one that must know why is better let in and closed with a code of yours (4000 to
    /// 4999).
    pub fn refuse(response: Response) -> Handshake {
        Handshake(Err(response))
    }

    /// Chooses a subprotocol. It must be one that the client offered: clients fail on any other, so the
    /// server answers 500 then.
    pub fn subprotocol(mut self, name: impl Into<Cow<'static, str>>) -> Handshake {
        if let Ok(acceptance) = &mut self.0 {
            acceptance.subprotocol = Some(name.into());
        }
        self
    }

    /// Adds a header to the 101 response.
    ///
    /// # Panics
    /// Where the name is no token, the value has a control character, or the header is the handshake's own.
    pub fn header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Handshake {
        let (name, value) = (name.into(), value.into());
        assert!(is_token(&name), "{name:?} is no header name");
        assert!(is_field_value(&value), "control character in the value of header {name}");
        let own = ["upgrade", "connection", "content-length", "transfer-encoding"];
        let lower = name.to_ascii_lowercase();
        assert!(
            !own.contains(&&*lower) && !lower.starts_with("sec-websocket-"),
            "{name} is the server's own"
        );
        if let Ok(acceptance) = &mut self.0 {
            acceptance.headers.push((name, value));
        }
        self
    }
}

impl From<Response> for Handshake {
    fn from(response: Response) -> Handshake {
        Handshake::refuse(response)
    }
}
