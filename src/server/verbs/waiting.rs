//! Answers that are given later than in the callback that was asked for them: the request stays where it was held,
//! and the callback of what follows from the answer gets it whole again.

use crate::codec::http::head::{HEADERS_MAX, Head};
use crate::codec::http::{Refusal, Response};
use crate::fd::Fd;
use crate::server::Server;
use crate::server::api::request::{Handshake, Request, Verdict};
use crate::server::api::routes::Params;
use crate::server::deferred::Deferred;
use crate::server::dispatch::Dispatch;
use crate::server::session::{Awaited, Held, Progress, Session, Waiting};

/// What was waited for.
#[derive(Debug)]
pub(crate) enum LateAnswer {
    Handshake(Handshake),
    Response(Response),
}

impl Server {
    /// Answers a handshake that [`on_handshake`](crate::Handler::on_handshake) answered by [`Handshake::later`]. True
    /// where the connection waits for it; false where it is gone, has given up, was answered already or never asked.
    /// [`on_open`](crate::Handler::on_open) is called when the callback that runs now is over, and only from then on
    /// can be pushed to it.
    pub fn answer_handshake(&mut self, fd: Fd, handshake: Handshake) -> bool {
        if matches!(handshake.0, Verdict::Later) {
            return false;
        }
        self.answer_waiting(fd, Awaited::Handshake, LateAnswer::Handshake(handshake))
    }

    /// Answers a request that [`on_request`](crate::Handler::on_request) left open by
    /// [`Reply::Later`](crate::Reply::Later). True where the connection waits for it; false where it is gone, has given
    /// up, was answered already or never asked.
    /// Requests that the client sent behind this one wait for it too; over
    /// [`Config::request_timeout`](crate::Config::request_timeout) it gets 503.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use swio::{Reply, Response, Server};
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .on_request(|server, request| {
    ///         let fd = request.fd;
    ///         server.after(Duration::from_secs(1), move |server| {
    ///             server.respond(fd, Response::text(200, "a second has passed\n"));
    ///         });
    ///         Reply::Later
    ///     })
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn respond(&mut self, fd: Fd, response: Response) -> bool {
        self.answer_waiting(fd, Awaited::Response, LateAnswer::Response(response))
    }

    pub(crate) fn answer_waiting(&mut self, fd: Fd, awaited: Awaited, answer: LateAnswer) -> bool {
        let waiting = self.waiting(fd).filter(|waiting| waiting.awaited == awaited);
        let is_new = waiting.is_some_and(|waiting| !std::mem::replace(&mut waiting.is_answered, true));
        if is_new {
            self.deferred.push(Deferred::Answered(fd, answer));
        }
        is_new
    }

    /// Of a connection whose answer is on its way: ends it behind the answer; whether it was not ending already.
    pub(crate) fn end_behind_answer(&mut self, fd: Fd) -> Option<bool> {
        let waiting = self.waiting(fd).filter(|waiting| waiting.is_answered)?;
        Some(!std::mem::replace(&mut waiting.is_last, true))
    }

    pub(crate) fn waiting(&mut self, fd: Fd) -> Option<&mut Waiting> {
        match self.connections.session_mut(fd)? {
            Session::Http(http) => http.waiting(),
            _ => None,
        }
    }
}

impl Dispatch {
    /// More came while an answer is waited for. The client's end shall be seen, so it is read on, but only so far.
    pub(crate) fn wait_on(&mut self, fd: Fd, held: Box<Held>) {
        let len = held.progress.waiting.map_or(0, |waiting| waiting.len);
        if held.bytes.len() - len > self.server.config.head_bytes_max {
            self.server.connections.pause(fd);
        }
        self.hold(fd, held);
    }

    /// Whether the deadline was that of an answer.
    pub(crate) fn wait_expired(&mut self, fd: Fd) -> bool {
        let Some(waiting) = self.server.waiting(fd) else { return false };
        let awaited = waiting.awaited;
        if waiting.is_answered {
            return true;
        }
        if let Awaited::Messages(session) = awaited {
            self.poll_held(fd, session);
        } else if let Some(held) = self.take_held(fd) {
            self.refuse_request(fd, &held.bytes, Refusal::AnswerTimeout);
        }
        true
    }

    /// The answer is there: what follows from it, and then what the client sent behind its request.
    pub(crate) fn answered(&mut self, fd: Fd, answer: LateAnswer) {
        // It may have ended meanwhile.
        let Some(waiting) = self.server.waiting(fd).copied() else { return };
        let Some(mut held) = self.take_held(fd) else { return };
        self.server.connections.resume(fd);
        if let Err(refusal) = self.carry_out(fd, &held.bytes, &waiting, answer) {
            return self.refuse_request(fd, &held.bytes, refusal);
        }
        held.forget(waiting.len);
        self.serve_from(fd, held, Progress::default(), true);
    }

    fn carry_out(
        &mut self,
        fd: Fd,
        bytes: &[u8],
        waiting: &Waiting,
        answer: LateAnswer,
    ) -> Result<(), Refusal> {
        let (head, rest) = bytes.split_at(waiting.head_len);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let (head, _) = Head::parse(head, &mut headers)?.expect("parsed before");
        let router = self.routes.router();
        let matched = router.as_ref().and_then(|router| router.at(head.path()).ok());
        let params = Params(matched.as_ref().map(|matched| &matched.params));
        let request = Request { fd, head, body: &rest[..waiting.body_len], params };
        match answer {
            LateAnswer::Handshake(handshake) => {
                let offer = self.judge_handshake(&request)?;
                self.conclude_handshake(waiting.route, &request, &offer, handshake, waiting.is_last)
            }
            LateAnswer::Response(response) => {
                match waiting.awaited {
                    Awaited::Messages(_) => self.conclude_poll(&request, response, waiting.is_last),
                    _ => self.conclude(&request, response, waiting.is_last),
                }
                Ok(())
            }
        }
    }
}
