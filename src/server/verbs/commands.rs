//! Commands, the verbs as data: each is carried out here, whoever sends it.

use crate::codec::ws::close;
use crate::error::{Cause, CloseReason, PushError, Side};
use crate::fd::Fd;
use crate::server::Server;
use crate::server::api::broadcast::Broadcast;
use crate::server::state::command::{Command, Outcome};

impl Server {
    /// Carries out a command: the same as the method that its variant names, on this thread and at once.
    ///
    /// ```no_run
    /// # use swio::{Command, Fd, Outcome, Server};
    /// fn tell(server: &mut Server, fd: Fd) {
    ///     let command = Command::Push { fd, message: "hello".into() };
    ///     if let Outcome::PushRefused(error) = server.execute(command) {
    ///         log::info!("{fd}: {error}");
    ///     }
    /// }
    /// ```
    pub fn execute(&mut self, command: Command) -> Outcome {
        match command {
            Command::Push { fd, message } => self.push(fd, message).into(),
            Command::PushToUser { uid, message, except } => send(self.for_user(&uid, message), except),
            Command::Publish { topic, message, except } => send(self.publish(&topic, message), except),
            Command::Broadcast { message, except } => send(self.broadcast(message), except),
            Command::Send { fd, bytes } => self.send(fd, &bytes).into(),
            Command::Disconnect { fd, code, reason } => self.disconnect(fd, code, &reason).into(),
            Command::Reset { fd } => self.reset(fd).into(),
            Command::Join { fd, topic } => self.join(fd, &topic).into(),
            Command::Leave { fd, topic } => self.leave(fd, &topic).into(),
            Command::Bind { fd, uid } => self.bind(fd, &uid).into(),
            Command::Unbind { fd } => self.unbind(fd).into(),
            Command::Pause { fd } => self.pause(fd).into(),
            Command::Resume { fd } => self.resume(fd).into(),
            Command::Confirm { fd } => self.confirm(fd).into(),
            Command::Protect { fd, is_protected } => self.protect(fd, is_protected).into(),
            Command::AnswerHandshake { fd, handshake } => self.answer_handshake(fd, handshake).into(),
            Command::Respond { fd, response } => self.respond(fd, response).into(),
            Command::AnswerSubscribe { fd, topic, answer } => {
                self.answer_subscribe(fd, &topic, answer).into()
            }
            Command::StartBody { fd, head } => self.start_body(fd, head).into(),
            Command::WriteBody { fd, bytes } => {
                let written = self.write_body(fd, bytes);
                if written == Err(PushError::Full) {
                    // A body that is cut off is better than one with a gap in it.
                    let reason = CloseReason::new(Side::Local, close::ABNORMAL, "", Cause::SlowConsumer);
                    self.sessions.finish(fd, reason);
                }
                written.into()
            }
            Command::EndBody { fd } => self.end_body(fd).into(),
            Command::Exists { fd } => self.exists(fd).into(),
            Command::IsEstablished { fd } => self.is_established(fd).into(),
            Command::ClientInfo { fd } => Outcome::ClientInfo(self.client_info(fd).map(Box::new)),
            Command::ConnectionCount => Outcome::Count(self.connection_count() as u64),
            Command::Connections { after, limit } => {
                Outcome::Fds(self.connections_page(after, limit as usize))
            }
            Command::ConnectionsOf { uid, limit } => first(self.connections_of(&uid), limit),
            Command::Members { topic, limit } => first(self.members(&topic), limit),
            Command::MemberCount { topic } => Outcome::Count(self.member_count(&topic) as u64),
            Command::UsersIn { topic, limit } => names(self.users_in(&topic).take(limit as usize)),
            Command::TopicsOf { fd } => names(self.topics_of(fd)),
            Command::Topics { cursor, limit } => {
                let (topics, next) = self.topics_page(cursor, limit as usize);
                let topics = topics.into_iter().map(|(name, count)| (name.to_owned(), count as u64));
                Outcome::Topics { topics: topics.collect(), next }
            }
            Command::Stats => Outcome::Stats(Box::new(self.stats())),
        }
    }
}

fn send(broadcast: Broadcast<'_, '_>, except: Vec<Fd>) -> Outcome {
    Outcome::Reach(broadcast.except_all(except).send())
}

fn first(fds: impl Iterator<Item = Fd>, limit: u32) -> Outcome {
    Outcome::Fds(fds.take(limit as usize).collect())
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Outcome {
    Outcome::Names(names.map(str::to_owned).collect())
}
