//! What comes of a command, as plain data.

use crate::config::ConfigError;
use crate::error::{JoinError, PushError};
use crate::fd::Fd;
use crate::server::state::report::{MemoryBound, Stats, Turns, Usage};
use crate::server::state::returning::Recovered;
use crate::session::fan_out::Reach;
use crate::session::info::ClientInfo;

/// The outcome of a [`Command`](crate::Command).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome {
    /// It is done. A message is in the connection's outbox.
    Done,
    /// How many connections the message reached.
    Reach(Reach),
    /// Yes or no; the command says to which question.
    Bool(bool),
    /// A number.
    Count(u64),
    /// Connections.
    Fds(Vec<Fd>),
    /// Names of topics or users.
    Names(Vec<String>),
    /// A page of topics.
    Topics {
        /// Each with the number of its connections.
        topics: Vec<(String, u64)>,
        /// The cursor of the next page; `None` after the last.
        next: Option<u32>,
    },
    /// Information about a connection; `None` if it is gone.
    ClientInfo(Option<Box<ClientInfo>>),
    /// What the server has done.
    Stats(Box<Stats>),
    /// What the server holds.
    Usage(Box<Usage>),
    /// How long its turns took.
    Turns(Turns),
    /// How much memory it can take.
    MemoryBound(MemoryBound),
    /// A text; `None` if there is none.
    Text(Option<String>),
    /// Users, each with its data if it has some.
    Users(Vec<(String, Option<String>)>),
    /// What a client was pushed of the messages that it missed.
    Recovered(Recovered),
    /// The message was not taken.
    PushRefused(PushError),
    /// The connection did not join the topic or was not bound to the user, or what was to be kept of one is not.
    JoinRefused(JoinError),
    /// The configuration stays as it was.
    ReloadRefused(ConfigError),
    /// The server ended before it reached the command.
    Stopped,
}

impl Outcome {
    /// Whether the command was not carried out: it was refused, or the server ended.
    pub fn is_error(&self) -> bool {
        matches!(
            self,
            Outcome::PushRefused(_) | Outcome::JoinRefused(_) | Outcome::ReloadRefused(_) | Outcome::Stopped
        )
    }
}

impl From<bool> for Outcome {
    fn from(answer: bool) -> Outcome {
        Outcome::Bool(answer)
    }
}

impl From<Result<(), PushError>> for Outcome {
    fn from(pushed: Result<(), PushError>) -> Outcome {
        pushed.map_or_else(Outcome::PushRefused, |()| Outcome::Done)
    }
}

impl From<Result<bool, JoinError>> for Outcome {
    fn from(joined: Result<bool, JoinError>) -> Outcome {
        joined.map_or_else(Outcome::JoinRefused, Outcome::Bool)
    }
}

impl From<Result<(), JoinError>> for Outcome {
    fn from(kept: Result<(), JoinError>) -> Outcome {
        kept.map_or_else(Outcome::JoinRefused, |()| Outcome::Done)
    }
}

impl From<Result<Recovered, PushError>> for Outcome {
    fn from(recovered: Result<Recovered, PushError>) -> Outcome {
        recovered.map_or_else(Outcome::PushRefused, Outcome::Recovered)
    }
}

impl From<Result<(), ConfigError>> for Outcome {
    fn from(reloaded: Result<(), ConfigError>) -> Outcome {
        reloaded.map_or_else(Outcome::ReloadRefused, |()| Outcome::Done)
    }
}
