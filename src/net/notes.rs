//! What is kept for a few connections only, used: the app's notes, losses, and how a connection ends. A flag of the
//! connection says that it has an entry in `rare`, so that the others need no look-up. The entry is dropped with its
//! connection, or earlier when nothing is left in it.

use super::connection::{Flags, Life};
use super::connections::Connections;
use super::lost::Lost;
use super::rare::{Rare, SessionState};
use crate::error::{Cause, CloseReason};
use crate::fd::Fd;
use std::time::Duration;

impl<S: SessionState> Connections<S> {
    /// The app's note about a connection, if it has an entry.
    pub(crate) fn note(&self, fd: Fd) -> Option<&S::Note> {
        self.rare(fd).map(|rare| &rare.note)
    }

    pub(crate) fn note_mut(&mut self, fd: Fd) -> Option<&mut S::Note> {
        self.rare_mut(fd).map(|rare| &mut rare.note)
    }

    /// The app's note about a connection, made now if there is none; `None` if the connection is gone.
    pub(crate) fn note_or_default(&mut self, fd: Fd) -> Option<&mut S::Note> {
        self.get(fd)?;
        self.rare_or_default(fd).map(|rare| &mut rare.note)
    }

    /// Drops the entry if it is empty. Call it when a note may have become empty.
    pub(crate) fn tidy_note(&mut self, fd: Fd) {
        if self.rare(fd).is_some_and(Rare::is_empty)
            && let Some(connection) = self.table.get_mut(fd)
        {
            connection.flags.take(Flags::RARE);
            self.rares.remove(fd.index());
        }
    }

    /// What a connection has lost.
    pub(crate) fn lost(&self, fd: Fd) -> Lost {
        self.rare(fd).map(|rare| rare.lost).unwrap_or_default()
    }

    /// What all connections have lost, those that are gone included.
    pub(crate) fn lost_by_all(&self) -> Lost {
        self.rares.lost
    }

    pub(super) fn count_dropped(&mut self, fd: Fd, count: u64) {
        self.count_lost(fd, |lost| lost.dropped += count);
    }

    pub(super) fn count_replaced(&mut self, fd: Fd) {
        self.count_lost(fd, |lost| lost.replaced += 1);
    }

    fn count_lost(&mut self, fd: Fd, count: impl Fn(&mut Lost)) {
        count(&mut self.rares.lost);
        if let Some(rare) = self.rare_or_default(fd) {
            count(&mut rare.lost);
        }
    }

    /// Keeps the reason why a connection ends, unless it has one already, and sets the time by which it has to be gone.
    /// That leaves time for what is queued now, except for who did not read or not answer, and has had its time.
    pub(crate) fn note_reason(&mut self, fd: Fd, reason: CloseReason) {
        let Some(connection) = self.table.get(fd).filter(|connection| connection.life != Life::Dead) else {
            return;
        };
        let for_queued = match reason.cause {
            Cause::SlowConsumer | Cause::Timeout => Duration::ZERO,
            _ => self.longest_time(connection.queued_bytes()),
        };
        let most = self.limits.ending_timeout.saturating_add(for_queued);
        let ends_by = self.now().checked_add(most).map_or(u32::MAX, |at| self.tick(at));
        if let Some(connection) = self.table.get_mut(fd) {
            connection.flags.set(Flags::RARE);
            self.rares.set_reason(fd.index(), reason, ends_by);
        }
    }

    /// Removes the entry of a connection that was taken out of the table: why it ended, and the app's note.
    pub(super) fn take_rare(&mut self, fd: Fd, flags: Flags) -> (Option<CloseReason>, S::Note) {
        if !flags.has(Flags::RARE) {
            return Default::default();
        }
        let rare = self.rares.remove(fd.index());
        (rare.reason, rare.note)
    }

    pub(super) fn rare(&self, fd: Fd) -> Option<&Rare<S::Note>> {
        self.table.get(fd).filter(|connection| connection.flags.has(Flags::RARE))?;
        self.rares.get(fd.index())
    }

    pub(super) fn rare_mut(&mut self, fd: Fd) -> Option<&mut Rare<S::Note>> {
        self.table.get(fd).filter(|connection| connection.flags.has(Flags::RARE))?;
        self.rares.get_mut(fd.index())
    }

    pub(super) fn rare_or_default(&mut self, fd: Fd) -> Option<&mut Rare<S::Note>> {
        self.table.get_mut(fd)?.flags.set(Flags::RARE);
        Some(self.rares.get_or_default(fd.index()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::error::Side;
    use crate::net::limits::Limits;
    use crate::net::rare::{ENTRIES_KEPT, RareNote};
    use crate::net::stream::Stream;
    use std::time::Instant;

    #[derive(Debug, Default, PartialEq)]
    struct Text(String);

    impl RareNote for Text {
        fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }

    #[derive(Default)]
    struct Noted;

    impl SessionState for Noted {
        type Note = Text;
    }

    fn connections() -> Connections<Noted> {
        Connections::new(4, Limits::new(&Config::default()), Instant::now())
    }

    fn reason(cause: Cause) -> CloseReason {
        CloseReason::new(Side::Local, 1000, "", cause)
    }

    #[test]
    fn a_note_is_there_from_when_it_is_made_until_it_is_empty_or_its_connection_goes() {
        let mut connections = connections();
        let fds = [(); 2].map(|()| connections.insert(Stream::Socketless).expect("room"));
        assert_eq!(connections.note(fds[0]), None);
        assert_eq!(connections.note_mut(fds[0]), None);
        connections.note_or_default(fds[0]).expect("it is there").0.push('a');
        assert_eq!(connections.note(fds[0]), Some(&Text("a".into())));
        assert_eq!(connections.note(fds[1]), None);
        connections.tidy_note(fds[0]);
        connections.note_mut(fds[0]).expect("not empty").0.clear();
        connections.tidy_note(fds[0]);
        assert_eq!((connections.note(fds[0]), connections.rares.len()), (None, 0));
        // What else there is stays.
        connections.count_dropped(fds[1], 2);
        connections.note_or_default(fds[1]).expect("it is there").0.push('b');
        connections.note_mut(fds[1]).expect("made just now").0.clear();
        connections.tidy_note(fds[1]);
        assert_eq!((connections.lost(fds[1]).dropped, connections.lost_by_all().dropped), (2, 2));
        connections.note_mut(fds[1]).expect("it stayed").0.push('c');
        connections.note_reason(fds[1], reason(Cause::Requested));
        connections.note_reason(fds[1], reason(Cause::Lost));
        assert_eq!(connections.holdings().ending, 1);
        connections.kill(fds[1], reason(Cause::Idle));
        assert_eq!(connections.note_or_default(fds[1]), None, "it is dead");
        let connection = connections.table.remove(fds[1]).expect("not reaped yet");
        let (told, note) = connections.take_rare(fds[1], connection.flags);
        assert_eq!((told.map(|told| told.cause), note), (Some(Cause::Requested), Text("c".into())));
        assert_eq!((connections.holdings().ending, connections.rares.len()), (0, 0));
        // The next one in the same place has none of it.
        let next = connections.insert(Stream::Socketless).expect("room");
        assert_eq!(next.index(), fds[1].index());
        assert_eq!((connections.note(next), connections.lost(next)), (None, Lost::default()));
        assert_eq!((connections.note(fds[1]), connections.lost_by_all().dropped), (None, 2));
    }

    #[test]
    fn memory_for_entries_is_given_back_after_a_burst() {
        let mut connections = connections();
        let fds: Vec<Fd> =
            (0..100_000).map(|_| connections.insert(Stream::Socketless).expect("room")).collect();
        fds.iter().for_each(|fd| connections.kill(*fd, reason(Cause::Lost)));
        assert_eq!(connections.holdings().ending, fds.len());
        for fd in &fds[1..] {
            let connection = connections.table.remove(*fd).expect("not reaped yet");
            connections.take_rare(*fd, connection.flags);
        }
        assert_eq!(connections.holdings().ending, 1);
        let capacity = connections.rares.capacity();
        assert!(capacity <= 2 * ENTRIES_KEPT, "room for {capacity}, one is left");
    }
}
