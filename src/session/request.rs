//! Requests as callbacks see them, and the answers to requests and handshakes.

use crate::codec::http::response::check_header;
use crate::codec::http::{Head, Response, ResponseHead};
use crate::codec::query;
use crate::fd::Fd;
use crate::session::envelope::EnvelopeId;
use crate::session::route::{Params, Route};
use std::borrow::Cow;

/// An HTTP request, or the one that opens a WebSocket, event stream or long-polling session. It borrows the received
/// bytes: copy what you keep.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The connection.
    pub fd: Fd,
    pub(crate) head: Head<'a>,
    pub(crate) body: &'a [u8],
    pub(crate) params: Params<'a>,
    pub(crate) route: Route,
}

impl<'a> Request<'a> {
    /// The method, as sent: `GET`.
    pub fn method(&self) -> &'a str {
        self.head.method
    }

    /// The host that the request is for, with the port if one was sent: that of the target where it has one, and then
    /// `Host` does not count (RFC 9112 §3.2.2). `None` or empty if the client names none.
    pub fn host(&self) -> Option<&'a str> {
        self.head.host().map(|host| host.text)
    }

    /// The path without the query, as sent: still percent-encoded.
    pub fn path(&self) -> &'a str {
        self.head.path()
    }

    /// The part after the `?`; `None` if there is none.
    pub fn query(&self) -> Option<&'a str> {
        self.head.query()
    }

    /// The value of a parameter of the [route](crate::Builder::route), percent-decoded: `room` of `/chat/{room}`.
    /// `None` if the route has no such parameter, or its value is not UTF-8.
    pub fn param(&self, name: &str) -> Option<Cow<'a, str>> {
        self.params.get(name)
    }

    /// The first header of this name, in any case, if its value is UTF-8.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.head.value(name)
    }

    /// All headers in order, with their names as sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.head.headers()
    }

    /// The id of the last message that a reconnecting client has seen: the header `Last-Event-ID`, which browsers send
    /// by themselves, or else the first query parameter `last-event-id`. Clients of `swio.1` send one such parameter
    /// for each of their topics, `ID TOPIC`. Do not trust it: a client may send anything.
    pub fn last_event_id(&self) -> Option<Cow<'a, str>> {
        match self.header("last-event-id") {
            Some(id) => Some(Cow::Borrowed(id)),
            None => self.query_param("last-event-id"),
        }
    }

    /// The subprotocols that a WebSocket client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        self.head.list("sec-websocket-protocol")
    }

    /// The parameters of the query in order, percent-decoded and with `+` as a space, as forms send them (WHATWG URL
    /// §5.1). Whatever is not UTF-8 becomes replacement characters.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        form_urlencoded::parse(self.query().unwrap_or_default().as_bytes())
    }

    /// The first parameter of this name in the query, decoded as by [`Request::query_pairs`].
    ///
    /// ```no_run
    /// # use swio::{Request, Response};
    /// fn search(request: &Request<'_>) -> Response {
    ///     let words = request.query_param("q").unwrap_or_default();
    ///     Response::text(200, format!("nothing was found for {words}\n"))
    /// }
    /// ```
    pub fn query_param(&self, name: &str) -> Option<Cow<'a, str>> {
        query::param(self.query().unwrap_or_default(), name)
    }

    /// The fields of a form that was posted as `application/x-www-form-urlencoded`, decoded as by
    /// [`Request::query_pairs`]; none if the body is of another type.
    pub fn form_pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        let kind = self.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        let is_form = kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded");
        form_urlencoded::parse(if is_form { self.body } else { &[] })
    }

    /// The cookies in order, with names and values as sent (RFC 6265 §5.4), but without quotes around a value. There
    /// is no common encoding of values: decode what your program has encoded. A cookie that is not UTF-8 is left out.
    pub fn cookies(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let pairs = self.head.members("cookie", b';').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| {
            let (name, value) = (name.trim_end_matches([' ', '\t']), value.trim_start_matches([' ', '\t']));
            let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            (name, unquoted.unwrap_or(value))
        })
    }

    /// The first cookie of this name; see [`Request::cookies`].
    ///
    /// ```no_run
    /// # use swio::{Handshake, Request, Response};
    /// fn on_handshake(request: &Request<'_>) -> Handshake {
    ///     match request.cookie("session") {
    ///         Some(_session) => Handshake::accept(),
    ///         None => Handshake::refuse(Response::text(401, "log in first\n")),
    ///     }
    /// }
    /// ```
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        self.cookies().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// The body; empty if there is none.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// The answer to a request, which [`on_request`](crate::Handler::on_request) returns. A closure may return a
/// [`Response`] instead, which is sent at once.
///
/// ```no_run
/// use swio::{Reply, Response, Server};
///
/// Server::builder()
///     .listen("127.0.0.1:9501")
///     .on_request(|server, request| {
///         if request.path() != "/report" {
///             return Reply::Now(Response::not_found());
///         }
///         let (handle, fd) = (server.handle(), request.fd);
///         std::thread::spawn(move || handle.respond(fd, Response::text(200, "the report\n")).ok());
///         Reply::Later
///     })
///     .run()
/// # .unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reply {
    /// The response is sent when the callback returns.
    Now(Response),
    /// The response is given later, by [`Server::respond`](crate::Server::respond) or
    /// [`Handle::respond`](crate::Handle::respond), within
    /// [`Config::request_timeout`](crate::Config::request_timeout); after that the client gets 503. Meanwhile the
    /// client's next requests wait; other clients do not. A client that only ended its side of TCP meanwhile still gets
    /// the response: whether it is gone altogether shows when that is written.
    Later,
    /// The request waits for output of this [session without a socket](crate::Server::open_session).
    /// [`on_output`](crate::Handler::on_output) is called as soon as there is some, and after
    /// [`Config::poll_hold`](crate::Config::poll_hold) at the latest; then
    /// [`parked_request`](crate::Server::parked_request) names the connection to [`respond`](crate::Server::respond)
    /// to. A request that `on_output` leaves unanswered at that latest time gets 204. Only one request waits for a
    /// session: an earlier one that still waits gets 409. If there is no such session, or it ends, the request gets
    /// 404.
    Output(Fd),
    /// The head is sent when the callback returns; the body is written after that, with
    /// [`Server::write_body`](crate::Server::write_body).
    Stream(ResponseHead),
}

impl From<ResponseHead> for Reply {
    fn from(head: ResponseHead) -> Reply {
        Reply::Stream(head)
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Reply {
        Reply::Now(response)
    }
}

/// The answer to a handshake, which [`on_handshake`](crate::Handler::on_handshake) returns.
///
/// ```
/// use swio::{Handshake, Response};
///
/// let welcome = Handshake::accept().subprotocol("chat").header("X-Server", "one");
/// let go_away = Handshake::refuse(Response::text(401, "who are you?\n"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Handshake(pub(crate) Verdict);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept(Acceptance),
    Refuse(Response),
    Later,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acceptance {
    pub(crate) subprotocol: Option<Cow<'static, str>>,
    pub(crate) headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    pub(crate) envelope: Option<EnvelopeId>,
}

impl Handshake {
    /// Accepts the client.
    pub fn accept() -> Handshake {
        Handshake(Verdict::Accept(Acceptance::default()))
    }

    /// Refuses the client with this response, and closes the connection. 401, 403 and 404 are usual. Browsers do not
    /// show the response to the page. If the page must know the reason, accept the client and close with a code of
    /// your own (4000 to 4999).
    pub fn refuse(response: Response) -> Handshake {
        Handshake(Verdict::Refuse(response))
    }

    /// Answers later, by [`Server::answer_handshake`](crate::Server::answer_handshake) or
    /// [`Handle::answer_handshake`](crate::Handle::answer_handshake), for example when another thread has asked a
    /// database. Other clients do not wait. The answer must come within
    /// [`Config::request_timeout`](crate::Config::request_timeout); after that the client gets 503. What the client
    /// sends meanwhile is kept, within the limits of a request.
    ///
    /// ```no_run
    /// use swio::{Handshake, Response, Server};
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .on_handshake(|server, request| {
    ///         let (handle, fd) = (server.handle(), request.fd);
    ///         let token = request.query_param("token").unwrap_or_default().into_owned();
    ///         std::thread::spawn(move || {
    ///             let answer = match ask_the_database(&token) {
    ///                 true => Handshake::accept(),
    ///                 false => Handshake::refuse(Response::text(401, "who are you?\n")),
    ///             };
    ///             handle.answer_handshake(fd, answer).ok();
    ///         });
    ///         Handshake::later()
    ///     })
    ///     .run()
    /// # .unwrap();
    /// # fn ask_the_database(_: &str) -> bool { true }
    /// ```
    pub fn later() -> Handshake {
        Handshake(Verdict::Later)
    }

    /// Its size in bytes, as the mailbox counts it.
    pub(crate) fn bytes(&self) -> usize {
        match &self.0 {
            Verdict::Accept(Acceptance { headers, .. }) => {
                headers.iter().map(|(name, value)| name.len() + value.len()).sum()
            }
            Verdict::Refuse(response) => response.bytes(),
            Verdict::Later => 0,
        }
    }

    /// Chooses a subprotocol. It must be one that the client offered: clients fail on any other, so the server answers
    /// 500 instead.
    pub fn subprotocol(mut self, name: impl Into<Cow<'static, str>>) -> Handshake {
        if let Verdict::Accept(acceptance) = &mut self.0 {
            acceptance.subprotocol = Some(name.into());
        }
        self
    }

    /// Chooses the [envelope](crate::Envelope) of messages to the client. The client then does not speak `swio.1`,
    /// even if it offered to. If the envelope was not [added](crate::Server::add_envelope) to this server, the client
    /// gets 500.
    pub fn envelope(mut self, envelope: EnvelopeId) -> Handshake {
        if let Verdict::Accept(acceptance) = &mut self.0 {
            acceptance.envelope = Some(envelope);
        }
        self
    }

    /// Adds a header to the 101 response, to the head of the event stream, or to the first answer of long polling.
    ///
    /// # Panics
    /// If the name is not a token, the value has a control character, or the header belongs to the handshake itself.
    pub fn header(
        self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Handshake {
        self.checked_header(name.into(), value.into()).unwrap_or_else(|what| panic!("{what}"))
    }

    /// The same for a header that comes from outside the program.
    pub(crate) fn checked_header(
        mut self,
        name: Cow<'static, str>,
        value: Cow<'static, str>,
    ) -> Result<Handshake, String> {
        check_header(&name, &value)?;
        // The first answer to a poll is a response, and a stream's head is one: what they can't have is not taken here.
        let lower = name.to_ascii_lowercase();
        if lower == "upgrade" || lower.starts_with("sec-websocket-") {
            return Err(format!("{name} is the server's own"));
        }
        if let Verdict::Accept(acceptance) = &mut self.0 {
            acceptance.headers.push((name, value));
        }
        Ok(self)
    }
}

impl From<Response> for Handshake {
    fn from(response: Response) -> Handshake {
        Handshake::refuse(response)
    }
}
