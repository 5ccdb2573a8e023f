//! A gateway for a protocol that nobody speaks, on the public API alone: its own envelope, its own polling transport,
//! its own authentication, and a poll that becomes a WebSocket.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /toy?key=KEY` | a token, for a session |
//! | `GET /toy?session=TOKEN&have=N` | packets, one a line, once there are some; `N` of those before have arrived |
//! | `POST /toy?session=TOKEN` | takes packets, one a line: `join TOPIC`, `say TOPIC TEXT`, `bye` |
//! | WebSocket at `/toy?key=KEY` | a session from the start |
//! | WebSocket at `/toy?session=TOKEN` | the session goes on over it after the packet `move` |
//!
//! A packet to the client is `TOPIC: TEXT`. Other clients of the server get the text alone.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;
use swio::{
    CloseReason, Envelope, EnvelopeId, Fd, FdMap, Frame, Handler, Handshake, Message, Packets, Reply,
    Request, Response, Server, Side,
};

const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 << 10;

struct Lines;

impl Envelope for Lines {
    fn encode(&self, message: &Message<'_>, out: &mut Packets<'_>) {
        let Some(text) = message.as_str() else { return };
        out.text(&format!("{}: {text}", message.topic().unwrap_or("-")));
    }
}

#[derive(Default)]
pub(crate) struct Toy {
    /// Who may come, by key.
    keys: HashMap<&'static str, &'static str>,
    lines: Option<EnvelopeId>,
    sessions: HashMap<String, Fd>,
    tokens: FdMap<String>,
    /// Of each WebSocket that wants to go on as a session, which.
    moving: FdMap<Fd>,
}

impl Toy {
    pub(crate) fn new() -> Toy {
        Toy { keys: HashMap::from([("open sesame", "ali")]), ..Toy::default() }
    }

    fn session(&self, request: &Request<'_>) -> Option<Fd> {
        self.sessions.get(&*request.query_param("session")?).copied()
    }

    fn user(&self, request: &Request<'_>) -> Option<&'static str> {
        self.keys.get(&*request.query_param("key")?).copied()
    }

    /// A client has come in: whoever it is, its messages go in lines.
    fn admit(&mut self, server: &mut Server, fd: Fd, user: &str) {
        server.bind(fd, user).ok();
        server.set_envelope(fd, self.lines.expect("added at the start")).ok();
    }

    fn open_session(&mut self, server: &mut Server, request: &Request<'_>) -> Response {
        let Some(user) = self.user(request) else { return Response::text(401, "who are you?\n") };
        let Some(fd) = server.open_session(request, TIMEOUT) else { return Response::text(503, "full\n") };
        self.admit(server, fd, user);
        let token = format!("{:016x}", RandomState::new().hash_one(fd.to_u64()));
        self.sessions.insert(token.clone(), fd);
        self.tokens.insert(fd, token.clone());
        Response::text(200, token)
    }

    fn poll(&mut self, server: &mut Server, fd: Fd, request: &Request<'_>) -> Reply {
        if !server.touch_session(fd) {
            return Response::text(404, "no such session\n").into();
        }
        let have = request.query_param("have").and_then(|have| have.parse().ok()).unwrap_or(0);
        if !server.acknowledge_output(fd, have) {
            return Response::text(400, "more than was sent\n").into();
        }
        Reply::Output(fd)
    }

    /// One packet of a client.
    fn take(&mut self, server: &mut Server, fd: Fd, packet: &str) {
        match packet.split(' ').collect::<Vec<_>>()[..] {
            ["join", topic] => {
                server.join(fd, topic).ok();
            }
            ["say", topic, ref words @ ..] if server.is_member(fd, topic) => {
                server.publish(topic, words.join(" ")).send();
            }
            ["bye"] => {
                let is_session = server.end_session(fd, Side::Peer, 1000, "bye");
                let _ = is_session || server.disconnect(fd, 1000, "bye");
            }
            _ => {
                server.push(fd, "what?").ok();
            }
        }
    }
}

impl Handler for Toy {
    fn on_start(&mut self, server: &mut Server) {
        self.lines = Some(server.add_envelope(Lines));
    }

    fn on_handshake(&mut self, _server: &mut Server, request: &Request<'_>) -> Handshake {
        match self.user(request).is_some() || self.session(request).is_some() {
            true => Handshake::accept(),
            false => Handshake::refuse(Response::text(401, "who are you?\n")),
        }
    }

    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        match (self.session(request), self.user(request)) {
            (Some(session), _) => {
                self.moving.insert(request.fd, session);
            }
            (None, user) => self.admit(server, request.fd, user.unwrap_or_default()),
        }
    }

    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        let packet = frame.data.as_str().unwrap_or_default();
        match self.moving.get(frame.fd) {
            Some(session) if packet == "move" && server.adopt(*session, frame.fd) => {}
            Some(_) => {
                server.disconnect(frame.fd, 4000, "a move was expected");
            }
            None => self.take(server, frame.fd, packet),
        }
    }

    fn on_request(&mut self, server: &mut Server, request: &Request<'_>) -> Reply {
        let session = self.session(request);
        match (request.method(), session) {
            ("GET", None) if request.query_param("session").is_none() => {
                self.open_session(server, request).into()
            }
            ("GET", Some(fd)) => self.poll(server, fd, request),
            ("POST", Some(fd)) => {
                for packet in std::str::from_utf8(request.body()).unwrap_or_default().lines() {
                    match server.count_message(fd) {
                        true => self.take(server, fd, packet),
                        false => return Response::text(429, "too fast\n").into(),
                    }
                }
                Response::new(204).into()
            }
            _ => Response::text(404, "no such session\n").into(),
        }
    }

    fn on_output(&mut self, server: &mut Server, fd: Fd) {
        let Some(by) = server.parked_request(fd) else { return };
        let Some(output) = server.read_output(fd, ANSWER_BYTES_MAX) else { return };
        let packets: Vec<u8> = output.iter().flat_map(|(_, packet)| [packet, b"\n"].concat()).collect();
        let end = output.end.filter(|_| output.is_all).cloned();
        let response = Response::text(200, "").header("X-Over", if end.is_some() { "yes" } else { "no" });
        server.respond(by, response.body(packets));
        if let Some(end) = end {
            server.end_session(fd, end.by, end.code, &end.text);
        }
    }

    fn on_close(&mut self, _server: &mut Server, fd: Fd, _reason: &CloseReason) {
        self.moving.remove(fd);
        if let Some(token) = self.tokens.remove(fd) {
            self.sessions.remove(&token);
        }
    }
}
