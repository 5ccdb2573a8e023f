//! What clients ask for beside sending messages, by frames of `swio.1` and by `POST` alike: to be in topics, and a
//! sign of life.

use crate::codec::page_command::{CommandError, PageCommand};
use crate::codec::ws::Opcode;
use crate::fd::Fd;
use crate::server::dispatch::Dispatch;
use crate::server::state::returning::Positions;
use crate::server::state::subscription::SubscribeRequest;
use crate::session::frame::Frame;
use crate::session::route::Route;

impl Dispatch {
    /// Takes a frame of `swio.1`.
    pub(crate) fn page_frame(&mut self, route: Route, fd: Fd, opcode: Opcode, frame: &[u8]) {
        let (query, payload) = PageCommand::split(frame);
        let command = self.server.sessions.parse_command(query);
        if !matches!(command, Ok(PageCommand::Ping)) {
            self.server.sessions.note_message(fd);
        }
        match command {
            Ok(PageCommand::Send) => self.deliver(route, Frame::new(fd, opcode, payload)),
            // A WebSocket has a frame for it.
            Ok(PageCommand::Close { .. }) => self.bad_command(route, fd, CommandError::CloseOnWebSocket),
            Ok(command) => self.run_command(route, fd, &command),
            Err(error) => self.bad_command(route, fd, error),
        }
    }

    fn bad_command(&mut self, route: Route, fd: Fd, error: CommandError) {
        self.broken(route, fd, error.close_code(), error.what());
    }

    /// Does what a command asks for, where it asks for no message and no end.
    pub(crate) fn run_command(&mut self, route: Route, fd: Fd, command: &PageCommand<'_>) {
        match command {
            PageCommand::Subscribe { topic, last_id, data } => {
                self.subscribe(route, &SubscribeRequest::new(fd, topic, data), last_id.as_deref());
            }
            PageCommand::Unsubscribe { topic } => {
                self.server.take_question(fd, topic);
                self.server.leave(fd, topic);
                self.server.sessions.tell(fd, &[("unsubscribed", topic)]);
            }
            PageCommand::Ping => self.server.sessions.tell(fd, &[("pong", "1")]),
            PageCommand::Send | PageCommand::Close { .. } => {}
        }
    }

    /// Asks the handler, which decides who may be in which topic.
    fn subscribe(&mut self, route: Route, request: &SubscribeRequest<'_>, last_id: Option<&str>) {
        let &SubscribeRequest { fd, topic, .. } = request;
        if self.server.is_member(fd, topic) {
            self.server.take_question(fd, topic);
            return self.server.tell_subscribed_in_order(fd, topic);
        }
        if self.server.questions.has(fd, topic) {
            // The client is told when the answer is there.
            return;
        }
        self.server.begin_return(fd, Positions::in_topic(topic, last_id));
        let answer = self
            .call("on_subscribe", route, Some(fd), |handler, server| handler.on_subscribe(server, request));
        self.server.conclude_subscribe(fd, topic, last_id, answer.unwrap_or(false.into()));
    }
}
