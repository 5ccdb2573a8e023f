//! From the bytes of a WebSocket to its handler.

use crate::codec::ws::Event;
use crate::codec::ws::decoder::Payload;
use crate::error::Fault;
use crate::fd::Fd;
use crate::server::dispatch::Dispatch;
use crate::session::frame::Frame;
use crate::session::route::Route;
use crate::session::websocket::{Step, WebSocketRead};

impl Dispatch {
    pub(crate) fn websocket_bytes(&mut self, fd: Fd, mut bytes: &mut [u8]) {
        let Some(mut read) = self.server.sessions.begin_websocket_read(fd) else { return };
        while !bytes.is_empty() {
            match self.server.sessions.websocket_step(fd, bytes, &mut read) {
                Step::Event(used, event) => {
                    let (input, rest) = bytes.split_at_mut(used);
                    bytes = rest;
                    if let Event::Close(code, reason) = event {
                        return self.server.sessions.close_received(fd, code, reason, bytes.is_empty());
                    }
                    self.websocket_event(fd, event, input, &read);
                    if !bytes.is_empty() && self.server.sessions.connections.puts_back(fd, bytes) {
                        return;
                    }
                }
                Step::Used(used) => bytes = &mut bytes[used..],
                Step::Stop => return,
                Step::Broken(error) => return self.broken(read.route, fd, error.close_code(), error.what()),
                Step::TooFast => {
                    self.server.sessions.counters.refusals.message_rate += 1;
                    return self.rate_limited(read.route, fd, "too many messages a second");
                }
            }
        }
    }

    #[inline]
    fn websocket_event(&mut self, fd: Fd, event: Event, input: &[u8], read: &WebSocketRead) {
        match event {
            Event::Message(opcode, payload) => {
                match read.is_labelled {
                    false => self.deliver(read.route, Frame::new(fd, opcode, payload.bytes(input))),
                    true => self.page_frame(read.route, fd, opcode, payload.bytes(input)),
                }
                if let Payload::Owned(bytes) = payload {
                    self.server.sessions.spare.put(bytes);
                }
            }
            Event::Part(kind, part) => {
                self.deliver(read.route, Frame::part(fd, kind, &part, &input[part.range.clone()]));
            }
            Event::Ping(payload) => {
                let data = payload.bytes(input);
                self.server.sessions.answer_ping(fd, data);
                self.call("on_ping", read.route, Some(fd), |handler, server| {
                    handler.on_ping(server, fd, data)
                });
            }
            Event::Pong(payload) => {
                let data = payload.bytes(input);
                self.server.sessions.note_pong(fd, data);
                self.call("on_pong", read.route, Some(fd), |handler, server| {
                    handler.on_pong(server, fd, data)
                });
            }
            Event::Close(..) => unreachable!("ends the read"),
        }
    }

    #[inline]
    pub(super) fn deliver(&mut self, route: Route, frame: Frame<'_>) {
        self.server.sessions.counters.messages_received += u64::from(frame.finish);
        self.call("on_message", route, Some(frame.fd), |handler, server| handler.on_message(server, frame));
    }

    /// The peer broke the protocol or exceeded a limit.
    pub(super) fn broken(&mut self, route: Route, fd: Fd, code: u16, what: &'static str) {
        let fault = self.server.sessions.broken(fd, code, what);
        self.report_fault(route, fd, fault);
    }

    pub(super) fn rate_limited(&mut self, route: Route, fd: Fd, what: &'static str) {
        let fault = self.server.sessions.rate_limited(fd, what);
        self.report_fault(route, fd, fault);
    }

    fn report_fault(&mut self, route: Route, fd: Fd, fault: Option<Fault>) {
        if let Some(fault) = fault {
            self.report(route, Some(fd), &fault);
        }
    }
}
