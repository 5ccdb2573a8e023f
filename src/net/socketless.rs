//! Connections without a socket of their own. Their output waits in the outbox, under the same limits, until the app
//! takes it and sends it in another way. Such a connection is always blocked and never registered with the poller.

use super::connection::Flags;
use super::connections::Connections;
use super::outbox::Size;
use super::rare::SessionState;
use super::stream::Stream;
use crate::fd::Fd;

impl<S: SessionState> Connections<S> {
    /// Adds a connection that was opened through the connection `by`, and counts for the same address. `None` if there
    /// is no room for it.
    pub(crate) fn insert_socketless(&mut self, by: Fd, session: S) -> Option<Fd> {
        if !self.has_room_for_socketless() || self.is_nearly_full() {
            return None;
        }
        let address = self.table.get(by).map_or(0, |connection| connection.address);
        let count = self.addresses.share(address);
        let is_within = self.limits.connections_per_address_max.is_none_or(|max| count <= max);
        let fd = if is_within { self.insert(Stream::Socketless) } else { None };
        let Some(connection) = fd.and_then(|fd| self.table.get_mut(fd)) else {
            self.uncount_address(address);
            return None;
        };
        connection.session = session;
        connection.flags.set(Flags::BLOCKED);
        connection.address = address;
        fd
    }
}

impl<S: SessionState> Connections<S> {
    /// Moves queued output to `taken`, in whole units that end in `delimiter`, as every run that is written to such a
    /// connection does: up to `bytes_max` bytes in `taken`, but at least one unit. It counts as queued until it is
    /// [released](Connections::release_taken).
    pub(crate) fn take_queued(&mut self, fd: Fd, taken: &mut Vec<u8>, delimiter: u8, bytes_max: usize) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        let Some(outbox) = &mut connection.outbox else { return };
        let (before, taken_before) = (outbox.size(), size_of_taken(taken));
        take_units(outbox.unwritten(), taken, delimiter, bytes_max);
        let taken_after = size_of_taken(taken);
        outbox.skip(taken_after.bytes - taken_before.bytes);
        self.pool.changed(before, outbox.size());
        self.pool.changed(taken_before, taken_after);
        self.note_crossing(fd);
        if let Some(connection) = self.table.get_mut(fd)
            && let Some(outbox) = connection.outbox.take_if(|outbox| outbox.bytes() == 0)
        {
            self.pool.put(outbox);
        }
    }

    /// The first `len` bytes of what was taken are no longer needed.
    pub(crate) fn release_taken(&mut self, taken: &mut Vec<u8>, len: usize) {
        let before = size_of_taken(taken);
        taken.drain(..len);
        taken.shrink_to_fit();
        self.pool.changed(before, size_of_taken(taken));
    }

    /// Reports to the app, as if for new output, that the connection has something to take.
    pub(crate) fn tell_has_output(&mut self, fd: Fd) {
        self.has_output.push(fd);
    }
}

fn size_of_taken(taken: &Vec<u8>) -> Size {
    Size { bytes: taken.len(), held: taken.capacity() }
}

/// Appends whole units of `runs` to `taken`, up to a length of `bytes_max`; if `taken` is empty, at least the first
/// unit, whatever its length.
fn take_units<'a>(
    runs: impl Iterator<Item = &'a [u8]> + Clone,
    taken: &mut Vec<u8>,
    delimiter: u8,
    bytes_max: usize,
) {
    let start = taken.len();
    let (mut whole, mut seen) = (start, start);
    for run in runs.clone() {
        let room = bytes_max.saturating_sub(seen);
        let end = if run.len() <= room {
            run.len()
        } else {
            match memchr::memrchr(delimiter, &run[..room]) {
                Some(at) => at + 1,
                None if whole == 0 => memchr::memchr(delimiter, run).map_or(run.len(), |at| at + 1),
                None => 0,
            }
        };
        seen += end;
        if run[..end].ends_with(&[delimiter]) {
            whole = seen;
        }
        if end < run.len() {
            break;
        }
    }
    taken.reserve_exact(whole - start);
    for run in runs {
        taken.extend_from_slice(&run[..run.len().min(whole - taken.len())]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::error::{Cause, CloseReason, Side};
    use crate::net::limits::Limits;
    use crate::net::quota::{Delivery, Quota, Refused};
    use std::time::Instant;

    fn units(runs: &[&str], bytes_max: usize) -> String {
        let mut taken = Vec::new();
        take_units(runs.iter().map(|run| run.as_bytes()), &mut taken, b'\n', bytes_max);
        String::from_utf8(taken).expect("text")
    }

    #[test]
    fn units_are_taken_whole_within_the_limit_and_one_at_least() {
        let runs = ["aa\nbb\n", "cc\n", "dd\nee\n"];
        let all = runs.concat();
        for bytes_max in 0..=all.len() + 1 {
            let whole = (bytes_max.min(all.len()) / 3).max(1) * 3;
            assert_eq!(units(&runs, bytes_max), all[..whole], "{bytes_max}");
        }
        assert_eq!(units(&[], 9), "");
        assert_eq!(units(&["", "long\n", "b\n"], 2), "long\n");
        assert_eq!(units(&["a\n", "long\n", "b\n"], 4), "a\n");
    }

    #[test]
    fn those_without_a_socket_take_no_place_from_those_with_one_where_files_are_the_limit() {
        let limits = Limits::new(&Config { long_polling: true, ..Config::default() });
        assert_eq!(limits.connections_max, 2 * limits.of_a_kind_max);
        let mut connections = Connections::<()>::new(4, limits, Instant::now());
        (connections.limits.connections_max, connections.limits.of_a_kind_max) = (4, 2);
        let by = Fd::new(0, 0, 9);
        assert!([(); 2].iter().all(|()| connections.insert_socketless(by, ()).is_some()));
        assert_eq!(connections.insert_socketless(by, ()), None);
        assert!(connections.has_room_for_socket());
        // A number that was asked for holds for both together.
        let limits =
            Limits::new(&Config { long_polling: true, connections_max: Some(2), ..Config::default() });
        assert_eq!((limits.connections_max, limits.of_a_kind_max), (2, 2));
        connections.limits = limits;
        assert!(!connections.has_room_for_socket() && !connections.has_room_for_socketless());
    }

    #[test]
    fn what_is_queued_is_taken_once_and_all_memory_comes_back() {
        let mut connections = Connections::<()>::new(4, Limits::new(&Config::default()), Instant::now());
        let by = connections.insert(Stream::Socketless).expect("room");
        let fd = connections.insert_socketless(by, ()).expect("room");
        let quota = Quota::Message(Delivery::default());
        for unit in [b"one\n".as_slice(), b"two\n", &[&[b'x'; 100_000][..], b"\n"].concat()] {
            connections.write(fd, [unit, &[]], quota).expect("room");
        }
        let mut taken = Vec::new();
        connections.take_queued(fd, &mut taken, b'\n', 9);
        connections.take_queued(fd, &mut taken, b'\n', 9);
        assert_eq!(taken, b"one\ntwo\n");
        connections.release_taken(&mut taken, 4);
        connections.take_queued(fd, &mut taken, b'\n', 9);
        assert_eq!(taken, b"two\n");
        connections.release_taken(&mut taken, 4);
        connections.take_queued(fd, &mut taken, b'\n', 9);
        assert_eq!((taken.len(), connections.holdings().queued_bytes), (100_001, 100_001));
        connections.take_queued(fd, &mut taken, b'\n', 1 << 20);
        connections.release_taken(&mut taken, 100_001);
        let holdings = connections.holdings();
        assert_eq!((holdings.queued_bytes, holdings.outboxes, connections.outboxes_bytes()), (0, 0, 0));
        // It has no socket on which anything could follow.
        connections.finish(fd, CloseReason::new(Side::Local, 1000, "", Cause::Requested));
        assert_eq!(connections.write(fd, [b"late\n", &[]], quota), Err(Refused::Gone));
        assert!(connections.get(fd).is_none());
    }
}
