//! Commands, the verbs as data: each is carried out here, whoever sends it.

use crate::error::{Cause, CloseReason, PushError, Side};
use crate::fd::Fd;
use crate::server::Server;
use crate::server::api::broadcast::Broadcast;
use crate::server::state::command::Command;
use crate::server::state::outcome::Outcome;

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
            Command::PushAs { fd, opcode, bytes } => self.push_as(fd, opcode, &bytes).into(),
            Command::PushPart { fd, opcode, bytes, finish } => {
                self.push_part(fd, opcode, &bytes, finish).into()
            }
            Command::PushToUser { uid, message, except } => send(self.for_user(&uid, message), except),
            Command::Publish { topic, message, except } => send(self.publish(&topic, message), except),
            Command::Broadcast { message, except } => send(self.broadcast(message), except),
            Command::Send { fd, bytes } => self.send(fd, &bytes).into(),
            Command::Ping { fd, bytes } => self.ping(fd, &bytes).into(),
            Command::Disconnect { fd, code, reason } => self.disconnect(fd, code, &reason).into(),
            Command::Reset { fd } => self.reset(fd).into(),
            Command::Join { fd, topic } => self.join(fd, &topic).into(),
            Command::Leave { fd, topic } => self.leave(fd, &topic).into(),
            Command::KeepHistory { topic, history } => self.keep_history(&topic, history).into(),
            Command::Recover { fd, topic, last_id } => self.recover(fd, &topic, &last_id).into(),
            Command::Bind { fd, uid } => self.bind(fd, &uid).into(),
            Command::BindWith { fd, uid, data } => self.bind_with(fd, &uid, &data).into(),
            Command::Unbind { fd } => self.unbind(fd).into(),
            Command::SetUserData { uid, data } => self.set_user_data(&uid, data.as_deref()).into(),
            Command::Pause { fd } => self.pause(fd).into(),
            Command::Resume { fd } => self.resume(fd).into(),
            Command::Confirm { fd } => self.confirm(fd).into(),
            Command::Protect { fd, is_protected } => self.protect(fd, is_protected).into(),
            Command::SetDeadline { fd, after } => self.set_deadline(fd, after).into(),
            Command::SetSlowConsumer { fd, policy } => self.set_slow_consumer(fd, policy).into(),
            Command::AnswerHandshake { fd, handshake } => self.answer_handshake(fd, handshake).into(),
            Command::Respond { fd, response } => self.respond(fd, response).into(),
            Command::AnswerSubscribe { fd, topic, answer } => {
                self.answer_subscribe(fd, &topic, answer).into()
            }
            Command::StartBody { fd, head } => self.start_body(fd, head).into(),
            Command::WriteBody { fd, bytes } => self.write_body(fd, bytes).into(),
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
            Command::IsMember { fd, topic } => self.is_member(fd, &topic).into(),
            Command::UsersIn { topic, limit } => names(self.users_in(&topic).take(limit as usize)),
            Command::UsersInWithData { topic, limit } => users(self.users_in_with_data(&topic), limit),
            Command::Uid { fd } => text(self.uid(fd)),
            Command::UserData { uid } => text(self.user_data(&uid)),
            Command::TopicsOf { fd } => names(self.topics_of(fd)),
            Command::Topics { cursor, limit } => topics(self.topics_page(cursor, limit as usize)),
            Command::Stats => Outcome::Stats(Box::new(self.stats())),
            Command::Usage => Outcome::Usage(Box::new(self.usage())),
            Command::Turns => Outcome::Turns(self.turns()),
            Command::MemoryBound => Outcome::MemoryBound(self.memory_bound()),
            Command::ReloadSettings => self.reload_settings().into(),
            Command::Shutdown => {
                self.shutdown();
                Outcome::Done
            }
        }
    }

    /// Carries out a command whose outcome nobody is told. Then nobody knows either that there was no room for a piece
    /// of something: a body or message that is cut off is better than one with a gap in it.
    pub(crate) fn execute_unasked(&mut self, command: Command) -> Outcome {
        let whole = match &command {
            Command::WriteBody { fd, .. } | Command::PushPart { fd, .. } => Some(*fd),
            _ => None,
        };
        let outcome = self.execute(command);
        if let (Some(fd), Outcome::PushRefused(PushError::Full)) = (whole, &outcome) {
            let reason = CloseReason::without_frame(Side::Local, Cause::SlowConsumer);
            self.sessions.finish(fd, reason);
        }
        outcome
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

fn users<'a>(users: impl Iterator<Item = (&'a str, Option<&'a str>)>, limit: u32) -> Outcome {
    let users = users.take(limit as usize).map(|(uid, data)| (uid.to_owned(), data.map(str::to_owned)));
    Outcome::Users(users.collect())
}

fn text(text: Option<&str>) -> Outcome {
    Outcome::Text(text.map(str::to_owned))
}

fn topics((topics, next): (Vec<(&str, usize)>, Option<u32>)) -> Outcome {
    let topics = topics.into_iter().map(|(name, count)| (name.to_owned(), count as u64));
    Outcome::Topics { topics: topics.collect(), next }
}
