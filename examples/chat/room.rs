//! The rooms and their recent messages. Each room is a topic of the server, so the server knows who is in it. Knows
//! nothing of names, JSON or sending.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use swio::Server;

use crate::wire::{Message, Refusal, RoomLine};

/// Rooms that always exist.
const PERMANENT: [&str; 3] = ["lobby", "random", "rust"];
const ROOMS_MAX: usize = 100;
const HISTORY_MAX: usize = 50;
/// How long an empty room keeps its messages, for people who come back.
const KEEP_EMPTY: Duration = Duration::from_secs(60 * 60);

/// The rooms by name, in the order in which the page lists them.
pub(crate) struct Rooms(BTreeMap<String, Room>);

#[derive(Default)]
struct Room {
    history: VecDeque<Message>,
    /// When the last person left, if anybody was ever here.
    empty_since: Option<Instant>,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self(PERMANENT.into_iter().map(|name| (name.to_owned(), Room::default())).collect())
    }

    /// Makes the room if it does not exist. At the limit, the room that has been empty for longest is removed.
    pub(crate) fn open(&mut self, server: &Server, name: &str) -> Result<(), Refusal> {
        self.forget_old(server);
        if !self.0.contains_key(name) && self.0.len() >= ROOMS_MAX {
            let is_empty = |name: &str| server.member_count(name) == 0 && !is_permanent(name);
            let empty = self.0.iter().filter(|(name, _)| is_empty(name));
            let oldest = empty.min_by_key(|(_, room)| room.empty_since).map(|(name, _)| name.clone());
            let problem = "There are too many rooms already. Please join one of them.";
            self.0.remove(&oldest.ok_or_else(|| Refusal::new("too-many-rooms", problem))?);
        }
        self.0.entry(name.to_owned()).or_default();
        Ok(())
    }

    /// The last person has left.
    pub(crate) fn emptied(&mut self, name: &str) {
        if let Some(room) = self.0.get_mut(name) {
            room.empty_since = Some(Instant::now());
        }
    }

    pub(crate) fn remember(&mut self, name: &str, message: Message) {
        let Some(room) = self.0.get_mut(name) else { return };
        if room.history.len() == HISTORY_MAX {
            room.history.pop_front();
        }
        room.history.push_back(message);
    }

    /// Removes empty rooms that have no messages, or have been empty for long.
    pub(crate) fn forget_old(&mut self, server: &Server) {
        self.0.retain(|name, room| {
            let recent = room.empty_since.is_some_and(|since| since.elapsed() < KEEP_EMPTY);
            is_permanent(name) || server.member_count(name) > 0 || (recent && !room.history.is_empty())
        });
    }

    pub(crate) fn history(&self, name: &str) -> Vec<&Message> {
        self.0.get(name).into_iter().flat_map(|room| &room.history).collect()
    }

    pub(crate) fn list(&self, server: &Server) -> Vec<RoomLine<'_>> {
        self.0.keys().map(|name| RoomLine { name, people: server.users_in(name).count() }).collect()
    }
}

fn is_permanent(name: &str) -> bool {
    PERMANENT.contains(&name)
}
