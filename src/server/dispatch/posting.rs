//! From what is posted for a session to its handler.

use crate::codec::http::{Refusal, Response};
use crate::server::dispatch::{Dispatch, polling};
use crate::session::Sessions;
use crate::session::frame::Frame;
use crate::session::posting::{NotTaken, Posted};
use crate::session::request::Request;

impl Dispatch {
    pub(super) fn take_post(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        self.server.sessions.check_origin(request.fd, &request.head, request.route)?;
        let response = match self.receive_post(request) {
            Ok(()) => Response::new(204).header("Cache-Control", "no-store"),
            Err(refused) => refused.response(),
        };
        self.server.sessions.answer_page(request, response, false);
        Ok(())
    }

    pub(super) fn take_preflight(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        self.server.sessions.check_origin(request.fd, &request.head, request.route)?;
        self.server.sessions.answer_page(request, Sessions::preflight(&request.head), false);
        Ok(())
    }

    fn receive_post(&mut self, request: &Request<'_>) -> Result<(), NotTaken> {
        match self.server.sessions.judge_post(request)? {
            Posted::Done => {}
            Posted::Left(fd, reason) => polling::on_goodbye(&mut self.server, fd, &reason),
            Posted::Command(route, fd, command) => self.run_command(route, fd, &command),
            Posted::Message(route, fd, opcode) => {
                let frame = Frame::new(fd, opcode, request.body);
                self.call("on_message", route, Some(fd), |handler, server| handler.on_message(server, frame))
                    .ok_or(NotTaken(500, "internal error"))?;
            }
        }
        Ok(())
    }
}
