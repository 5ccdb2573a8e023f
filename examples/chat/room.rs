//! The rooms: who is in them and what was said last. Knows nothing of names, JSON or how anything is sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use swio::Fd;

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
    /// Who is here, each with their connections: more than one with several tabs.
    people: BTreeMap<u64, Vec<Fd>>,
    history: VecDeque<Message>,
    empty_since: Option<Instant>,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self(PERMANENT.into_iter().map(|name| (name.to_owned(), Room::default())).collect())
    }

    /// Makes sure that there is such a room. At the limit, the one that has been empty for longest gives way.
    pub(crate) fn open(&mut self, name: &str) -> Result<(), Refusal> {
        self.forget_old();
        if !self.0.contains_key(name) && self.0.len() >= ROOMS_MAX {
            let empty = self.0.iter().filter(|(name, room)| room.people.is_empty() && !is_permanent(name));
            let oldest = empty.min_by_key(|(_, room)| room.empty_since).map(|(name, _)| name.clone());
            let problem = "There are too many rooms already. Please join one of them.";
            self.0.remove(&oldest.ok_or_else(|| Refusal::new("too-many-rooms", problem))?);
        }
        self.0.entry(name.to_owned()).or_default();
        Ok(())
    }

    /// Whether this is that person's first connection in the room.
    pub(crate) fn enter(&mut self, name: &str, who: u64, fd: Fd) -> bool {
        let Some(room) = self.0.get_mut(name) else { return false };
        let connections = room.people.entry(who).or_default();
        connections.push(fd);
        connections.len() == 1
    }

    /// Whether this was that person's last connection in the room.
    pub(crate) fn exit(&mut self, name: &str, who: u64, fd: Fd) -> bool {
        let Some(room) = self.0.get_mut(name) else { return false };
        let Some(connections) = room.people.get_mut(&who) else { return false };
        connections.retain(|other| *other != fd);
        let gone = connections.is_empty();
        if gone {
            room.people.remove(&who);
            room.empty_since = Some(Instant::now());
        }
        gone
    }

    pub(crate) fn remember(&mut self, name: &str, message: Message) {
        let Some(room) = self.0.get_mut(name) else { return };
        if room.history.len() == HISTORY_MAX {
            room.history.pop_front();
        }
        room.history.push_back(message);
    }

    /// Drops empty rooms in which nothing was said, or not for long.
    pub(crate) fn forget_old(&mut self) {
        self.0.retain(|name, room| {
            let recent = room.empty_since.is_some_and(|since| since.elapsed() < KEEP_EMPTY);
            is_permanent(name) || !room.people.is_empty() || (recent && !room.history.is_empty())
        });
    }

    pub(crate) fn people(&self, name: &str) -> impl Iterator<Item = u64> {
        self.0.get(name).into_iter().flat_map(|room| room.people.keys().copied())
    }

    pub(crate) fn connections(&self, name: &str) -> impl Iterator<Item = Fd> {
        self.0.get(name).into_iter().flat_map(|room| room.people.values().flatten().copied())
    }

    pub(crate) fn history(&self, name: &str) -> Vec<&Message> {
        self.0.get(name).into_iter().flat_map(|room| &room.history).collect()
    }

    pub(crate) fn list(&self) -> Vec<RoomLine<'_>> {
        self.0.iter().map(|(name, room)| RoomLine { name, people: room.people.len() }).collect()
    }
}

fn is_permanent(name: &str) -> bool {
    PERMANENT.contains(&name)
}
