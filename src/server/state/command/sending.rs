//! What has to be known of a command to send it: whose it is, and its size. All variants are named: a new one can't be
//! forgotten.

use crate::fd::Fd;
use crate::server::state::command::Command;

impl Command {
    /// The connection that the command is for, if it is for one. Its [`Fd::reactor`] says where it can be carried out.
    pub fn fd(&self) -> Option<Fd> {
        match self {
            Command::Push { fd, .. }
            | Command::PushAs { fd, .. }
            | Command::PushPart { fd, .. }
            | Command::Send { fd, .. }
            | Command::Ping { fd, .. }
            | Command::Disconnect { fd, .. }
            | Command::Reset { fd }
            | Command::Join { fd, .. }
            | Command::Leave { fd, .. }
            | Command::Recover { fd, .. }
            | Command::Bind { fd, .. }
            | Command::BindWith { fd, .. }
            | Command::Unbind { fd }
            | Command::Pause { fd }
            | Command::Resume { fd }
            | Command::Confirm { fd }
            | Command::Protect { fd, .. }
            | Command::SetDeadline { fd, .. }
            | Command::SetSlowConsumer { fd, .. }
            | Command::AnswerHandshake { fd, .. }
            | Command::Respond { fd, .. }
            | Command::AnswerSubscribe { fd, .. }
            | Command::StartBody { fd, .. }
            | Command::WriteBody { fd, .. }
            | Command::EndBody { fd }
            | Command::Exists { fd }
            | Command::IsEstablished { fd }
            | Command::ClientInfo { fd }
            | Command::IsMember { fd, .. }
            | Command::Uid { fd }
            | Command::TopicsOf { fd } => Some(*fd),
            Command::PushToUser { .. }
            | Command::Publish { .. }
            | Command::Broadcast { .. }
            | Command::KeepHistory { .. }
            | Command::SetUserData { .. }
            | Command::ConnectionCount
            | Command::Connections { .. }
            | Command::ConnectionsOf { .. }
            | Command::Members { .. }
            | Command::MemberCount { .. }
            | Command::UsersIn { .. }
            | Command::UsersInWithData { .. }
            | Command::UserData { .. }
            | Command::Topics { .. }
            | Command::Stats
            | Command::Usage
            | Command::Turns
            | Command::MemoryBound
            | Command::ReloadSettings
            | Command::Shutdown => None,
        }
    }

    /// The size of its payload, as the mailbox counts it.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Command::Push { message, .. } => message.bytes(),
            Command::PushToUser { uid: name, message, except }
            | Command::Publish { topic: name, message, except } => {
                name.len() + message.bytes() + size_of_val(&**except)
            }
            Command::Broadcast { message, except } => message.bytes() + size_of_val(&**except),
            Command::PushAs { bytes, .. }
            | Command::PushPart { bytes, .. }
            | Command::Send { bytes, .. }
            | Command::Ping { bytes, .. }
            | Command::WriteBody { bytes, .. } => bytes.len(),
            Command::AnswerHandshake { handshake, .. } => handshake.bytes(),
            Command::Respond { response, .. } => response.bytes(),
            Command::StartBody { head, .. } => head.bytes(),
            Command::AnswerSubscribe { topic, answer, .. } => topic.len() + answer.bytes(),
            Command::Recover { topic: name, last_id: data, .. }
            | Command::BindWith { uid: name, data, .. } => name.len() + data.len(),
            Command::SetUserData { uid, data } => uid.len() + data.as_deref().map_or(0, str::len),
            Command::Disconnect { reason: name, .. }
            | Command::Join { topic: name, .. }
            | Command::Leave { topic: name, .. }
            | Command::KeepHistory { topic: name, .. }
            | Command::Bind { uid: name, .. }
            | Command::UserData { uid: name }
            | Command::ConnectionsOf { uid: name, .. }
            | Command::Members { topic: name, .. }
            | Command::MemberCount { topic: name }
            | Command::IsMember { topic: name, .. }
            | Command::UsersIn { topic: name, .. }
            | Command::UsersInWithData { topic: name, .. } => name.len(),
            Command::Reset { .. }
            | Command::Unbind { .. }
            | Command::Pause { .. }
            | Command::Resume { .. }
            | Command::Confirm { .. }
            | Command::Protect { .. }
            | Command::SetDeadline { .. }
            | Command::SetSlowConsumer { .. }
            | Command::EndBody { .. }
            | Command::Exists { .. }
            | Command::IsEstablished { .. }
            | Command::ClientInfo { .. }
            | Command::ConnectionCount
            | Command::Connections { .. }
            | Command::TopicsOf { .. }
            | Command::Topics { .. }
            | Command::Uid { .. }
            | Command::Stats
            | Command::Usage
            | Command::Turns
            | Command::MemoryBound
            | Command::ReloadSettings
            | Command::Shutdown => 0,
        }
    }
}
