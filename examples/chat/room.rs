//! The rooms: which there are and what was said last in each. Who is in them the server knows, for each room is one of
//! its topics. Knows nothing of names, JSON or how anything is sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use swio::Server;

use crate::wire::{Message, Refusal, RoomLine};

/// Rooms that are always there.
const PERMANENT: [&str; 3] = ["lobby", "random", "rust"];
const ROOMS_MAX: usize = 100;
const HISTORY_MAX: usize = 50;
/// How long an empty room keeps what was said in it, for those who come back.
const KEEP_EMPTY: Duration = Duration::from_secs(60 * 60);

/// By name, in the order in which the page lists them.
pub(crate) struct Rooms(BTreeMap<String, Room>);

#[derive(Default)]
struct Room {
    history: VecDeque<Message>,
    /// When the last who was here went, if anybody ever was.
    empty_since: Option<Instant>,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self(PERMANENT.into_iter().map(|name| (name.to_owned(), Room::default())).collect())
    }

    /// Makes sure that there is such a room. At the limit, the one that has been empty for longest gives way.
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

    /// The last who was here has gone.
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

    /// Drops empty rooms in which nothing was said, or not for long.
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
