//! Connections without a loop: each call returns when its work is done.

use super::Client;
use crate::codec::http::Answer;
use crate::codec::http::answer::AnswerError;
use crate::codec::http::head::{self, HEADERS_MAX};
use crate::codec::ws::handshake_client::{self, Ask};
use crate::codec::ws::header::{self, ControlFrame};
use crate::codec::ws::{Decoder, Event, MessageLimits, Opcode, ProtocolError, Role, Spare, close, mask};
use crate::config::Config;
use crate::error::{Cause, CloseReason, Fault, Side};
use crate::net::blocking::BlockingStream;
use crate::net::resolver;
use crate::random::Random;
use crate::session::message::Message;
use std::time::{Duration, Instant};
use std::{fmt, io};

/// Opens a WebSocket to this URL. For headers, subprotocols or settings use [`Client::open`].
///
/// # Errors
/// As for [`Client::open`].
pub fn connect(url: impl Into<String>) -> io::Result<Connection> {
    Client::connect(url).open()
}

impl Client {
    /// Opens the connection for use without a loop: see [`blocking`](self). The callbacks are not called, and the
    /// client does not reconnect. Connecting to each address, and the handshake, take at most
    /// [`Config::connect_timeout`] each; looking up the name takes as long as the system's resolver does.
    ///
    /// # Errors
    /// If the URL can't work or the attempt failed; the error says why.
    pub fn open(self) -> io::Result<Connection> {
        let target = self.target()?;
        self.config.check()?;
        let url = target.ask.url.to_string();
        Connection::open(&target.ask, self.config).map_err(|error| {
            let (kind, text) = (error.kind(), error.to_string());
            io::Error::new(
                kind,
                Fault::Connect { url: url.into(), cause: Cause::Io(kind), text: text.into() },
            )
        })
    }
}

/// After the deadline a read or a pong counts as at least this many bytes, because each is a system call.
const LATE_BYTES_MIN: usize = 4096;

/// An open WebSocket for use without a loop; made by [`connect`] or [`Client::open`].
///
/// Pings are answered only while [`receive`](Connection::receive) waits: if a program does other things for longer than
/// the server waits for a pong, the server ends the connection. An error says why the connection ended; all later calls
/// return the same one. Dropping this ends TCP without a close frame, so the server sees a lost connection.
pub struct Connection {
    stream: BlockingStream,
    decoder: Decoder,
    spare: Spare,
    limits: MessageLimits,
    random: Random,
    config: Config,
    subprotocol: Option<String>,
    /// Bytes that were read; those before `start` are used.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: Option<CloseReason>,
}

impl Connection {
    fn open(ask: &Ask, config: Config) -> io::Result<Connection> {
        let mut random = Random::default();
        random.check()?;
        let addresses = match ask.url.address() {
            Some(address) => vec![(address, ask.url.port).into()],
            None => resolver::look_up(&ask.url.host, ask.url.port)?,
        };
        let stream = BlockingStream::connect(addresses, config.connect_timeout)?;
        let limits = MessageLimits {
            role: Role::Client,
            message_bytes_max: config.message_bytes_max,
            fragments_max: config.fragments_max,
            room: config.inbound_bytes_max,
            in_parts: false,
        };
        let mut connection = Connection {
            stream,
            decoder: Decoder::default(),
            spare: Spare::default(),
            limits,
            random,
            buffer: vec![0; config.read_buffer_bytes.max(config.head_bytes_max)],
            config,
            subprotocol: None,
            start: 0,
            end: 0,
            ended: None,
        };
        connection.shake_hands(ask)?;
        Ok(connection)
    }

    fn shake_hands(&mut self, ask: &Ask) -> io::Result<()> {
        let timeout = self.config.connect_timeout;
        let key = handshake_client::key(self.random.bytes());
        self.stream.write_all(ask.encode(&key).as_bytes(), timeout)?;
        let deadline = Instant::now().checked_add(timeout);
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
        loop {
            let bytes = &self.buffer[self.start..self.end];
            if bytes.iter().zip(b"HTTP/1.").any(|(byte, expected)| byte != expected) {
                return Err(wrong(AnswerError::NotHttp.what()));
            }
            if !head::has_end(bytes) {
                if bytes.len() > self.config.head_bytes_max || self.end == self.buffer.len() {
                    return Err(wrong("the head of the answer is too big"));
                }
                match self.stream.read(&mut self.buffer[self.end..], deadline)? {
                    0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "ended before the answer")),
                    len => self.end += len,
                }
                continue;
            }
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let Ok(Some((answer, len))) = Answer::parse(bytes, &mut headers) else {
                return Err(wrong(AnswerError::Malformed.what()));
            };
            if len > self.config.head_bytes_max {
                return Err(wrong("the head of the answer is too big"));
            }
            self.start += len;
            match answer.status() {
                101 => {
                    ask.check(&answer, &key).map_err(|error| wrong(error.what()))?;
                    self.subprotocol = answer.subprotocol().map(str::to_owned);
                    return Ok(());
                }
                // RFC 9110 §15.2: an interim response; the final one follows.
                100..=199 => {}
                status => {
                    return Err(io::Error::other(format!(
                        "{}: {}",
                        Cause::Refused(status),
                        answer.summary()
                    )));
                }
            }
        }
    }

    /// The subprotocol that the server chose, if any.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Sends a message: text from strings, binary from bytes. Returns when the system has taken it. If the server reads
    /// nothing for [`Config::pong_timeout`], the connection ends.
    ///
    /// # Errors
    /// Why the connection ended.
    pub fn push<'a>(&mut self, message: impl Into<Message<'a>>) -> Result<(), CloseReason> {
        self.check()?;
        let message = message.into();
        let (key, bytes) = (self.random.bytes(), message.as_bytes());
        let header = header::encode(true, message.opcode(), bytes.len()).masked(key);
        let mut frame = Vec::with_capacity(header.as_slice().len() + bytes.len());
        frame.extend_from_slice(header.as_slice());
        frame.extend_from_slice(bytes);
        mask::apply(&mut frame[header.as_slice().len()..], key);
        self.write(&frame)
    }

    /// Sends a ping. Data over 125 bytes is cut off.
    ///
    /// # Errors
    /// Why the connection ended.
    pub fn ping(&mut self, data: &[u8]) -> Result<(), CloseReason> {
        self.check()?;
        self.write_control(Opcode::Ping, &data[..data.len().min(header::CONTROL_MAX)])
    }

    /// Waits for a message, for at most `timeout` (`None`: until the connection ends). `Ok(None)` means that none came
    /// in time. A message that is there already is returned at once, even if the timeout is zero.
    ///
    /// # Errors
    /// Why the connection ended.
    pub fn receive(
        &mut self,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Option<Message<'static>>, CloseReason> {
        self.check()?;
        let deadline = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
        match self.next_event(deadline)? {
            None => Ok(None),
            Some(Received::Message(message)) => Ok(Some(message)),
            Some(Received::Close(code, text)) => {
                self.write_control(Opcode::Close, &close::payload(code, ""))?;
                self.await_end();
                Err(self.end(CloseReason { by: Side::Peer, code, text, cause: Cause::Requested }))
            }
        }
    }

    /// Closes the connection: sends a close frame, waits for the server's for at most [`Config::close_timeout`], and
    /// returns why the connection ended, which may have happened before. Messages that arrive meanwhile are dropped.
    /// For code and reason see [`Server::disconnect`](crate::Server::disconnect).
    pub fn close(mut self, code: u16, reason: &str) -> CloseReason {
        if let Some(ended) = self.ended.take() {
            return ended;
        }
        let code = if close::may_be_sent(code) { code } else { close::NORMAL };
        if let Err(ended) = self.write_control(Opcode::Close, &close::payload(code, reason)) {
            return ended;
        }
        let deadline = Instant::now().checked_add(self.config.close_timeout);
        loop {
            match self.next_event(deadline) {
                Ok(Some(Received::Message(_))) if !is_over(deadline) => {}
                Ok(Some(Received::Close(..))) => {
                    self.await_end();
                    return CloseReason::new(Side::Local, code, reason, Cause::Requested);
                }
                Ok(_) => return CloseReason::without_frame(Side::Local, Cause::Timeout),
                Err(ended) => return ended,
            }
        }
    }

    /// The next message or close frame; `None` at the deadline.
    fn next_event(&mut self, deadline: Option<Instant>) -> Result<Option<Received>, CloseReason> {
        // After the deadline a message that has already arrived is still read, but endless input must not keep this
        // going.
        let mut late_bytes = self.limits.message_bytes_max.saturating_add(self.buffer.len());
        let mut spend = |bytes: usize| {
            if is_over(deadline) {
                late_bytes = late_bytes.saturating_sub(bytes.max(LATE_BYTES_MIN));
            }
            late_bytes > 0
        };
        loop {
            if self.start == self.end {
                if !spend(self.end) {
                    return Ok(None);
                }
                self.start = 0;
                match self.stream.read(&mut self.buffer, deadline) {
                    Ok(0) => {
                        return Err(self.end(CloseReason::without_frame(Side::Peer, Cause::Lost)));
                    }
                    Ok(len) => self.end = len,
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                        self.end = 0;
                        return Ok(None);
                    }
                    Err(error) => return Err(self.failed(&error)),
                }
            }
            let input = &mut self.buffer[self.start..self.end];
            let step = match self.decoder.whole(input, &self.limits) {
                Ok(Some((used, event))) => Ok((used, Some(event))),
                Ok(None) => self.decoder.piece(input, &self.limits, &mut self.spare),
                Err(error) => Err(error),
            };
            let (used, event) = match step {
                Ok(step) => step,
                Err(error) => return Err(self.broken(error)),
            };
            let input = &self.buffer[self.start..self.start + used];
            self.start += used;
            match event {
                Some(Event::Message(opcode, payload)) => {
                    let message = Message::new(opcode, payload.bytes(input).to_vec());
                    return Ok(Some(Received::Message(message)));
                }
                Some(Event::Ping(payload)) => {
                    let pong =
                        ControlFrame::new(Opcode::Pong, payload.bytes(input), Some(self.random.bytes()));
                    self.write(pong.as_slice())?;
                    if !spend(0) {
                        return Ok(None);
                    }
                }
                Some(Event::Close(code, reason)) => return Ok(Some(Received::Close(code, reason))),
                // Parts are never asked for.
                Some(Event::Pong(_) | Event::Part(..)) | None => {}
            }
        }
    }

    fn write_control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), CloseReason> {
        let frame = ControlFrame::new(opcode, payload, Some(self.random.bytes()));
        self.write(frame.as_slice())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CloseReason> {
        let written = self.stream.write_all(bytes, self.config.pong_timeout);
        written.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => self.end(CloseReason::without_frame(Side::Local, Cause::SlowConsumer)),
            _ => self.failed(&error),
        })
    }

    /// The server broke the protocol: the close frame says how (RFC 6455 §7.1.7).
    fn broken(&mut self, error: ProtocolError) -> CloseReason {
        let (code, what) = (error.close_code(), error.what());
        // If sending fails too, the first error stays the reason.
        let frame = ControlFrame::new(Opcode::Close, &close::payload(code, what), Some(self.random.bytes()));
        self.stream.write_all(frame.as_slice(), self.config.close_timeout).ok();
        let cause = if code == close::TOO_BIG { Cause::TooBig(what) } else { Cause::Protocol(what) };
        self.end(CloseReason::new(Side::Local, code, what, cause))
    }

    fn failed(&mut self, error: &io::Error) -> CloseReason {
        self.end(CloseReason::without_frame(Side::Peer, Cause::Io(error.kind())))
    }

    /// Waits for the server to end TCP, as RFC 6455 §7.1.1 wants it.
    fn await_end(&mut self) {
        let deadline = Instant::now().checked_add(self.config.close_timeout);
        while !is_over(deadline) && self.stream.read(&mut self.buffer, deadline).is_ok_and(|len| len > 0) {}
    }

    fn end(&mut self, reason: CloseReason) -> CloseReason {
        self.stream.shutdown();
        self.ended.insert(reason).clone()
    }

    fn check(&self) -> Result<(), CloseReason> {
        self.ended.clone().map_or(Ok(()), Err)
    }
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// What the caller is interested in.
enum Received {
    Message(Message<'static>),
    Close(u16, Box<str>),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("ended", &self.ended).finish_non_exhaustive()
    }
}
