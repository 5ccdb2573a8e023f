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
        let (address, count) = self.share_address(by);
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

    /// Moves what is queued for a connection without a socket to `taken`, in whole units, as every run written to it
    /// is: until that has `bytes_max`, but a unit at least. `len_of_first` tells the length of the unit that bytes
    /// begin with. It counts as queued until it is [released](Connections::uncharge_taken).
    pub(crate) fn take_queued(
        &mut self,
        fd: Fd,
        taken: &mut Vec<u8>,
        len_of_first: fn(&[u8]) -> Option<usize>,
        bytes_max: usize,
    ) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        let payer = connection.address;
        let Some(outbox) = &mut connection.outbox else { return };
        let (before, taken_before) = (outbox.size(), size_of_taken(taken));
        take_units(outbox.unwritten(), taken, len_of_first, bytes_max);
        let taken_after = size_of_taken(taken);
        outbox.skip(taken_after.bytes - taken_before.bytes);
        self.budget.changed(payer, before, outbox.size());
        self.budget.changed(payer, taken_before, taken_after);
        self.note_crossing(fd);
        if let Some(connection) = self.table.get_mut(fd)
            && let Some(outbox) = connection.outbox.take_if(|outbox| outbox.bytes() == 0)
        {
            self.budget.put_outbox(payer, outbox);
        }
    }

    /// The first `len` bytes of what was taken are no longer needed.
    pub(crate) fn uncharge_taken(&mut self, fd: Fd, taken: &mut Vec<u8>, len: usize) {
        let before = size_of_taken(taken);
        taken.drain(..len);
        taken.shrink_to_fit();
        self.budget.changed(self.payer(fd), before, size_of_taken(taken));
    }

    /// Reports to the app, as if for new output, that the connection has something to take.
    pub(crate) fn tell_has_output(&mut self, fd: Fd) {
        self.with_output.push(fd);
    }
}

fn size_of_taken(taken: &Vec<u8>) -> Size {
    Size { bytes: taken.len(), held: taken.capacity() }
}

/// Appends whole units of `runs` to `taken`, up to a length of `bytes_max`; if `taken` is empty, at least the first
/// unit, whatever its length. A unit may go on in the next run, but the bytes that tell its length may not.
fn take_units<'a>(
    runs: impl Iterator<Item = &'a [u8]> + Clone,
    taken: &mut Vec<u8>,
    len_of_first: fn(&[u8]) -> Option<usize>,
    bytes_max: usize,
) {
    let (mut end, mut left) = (taken.len(), 0);
    // Found first, so that exactly the memory that is needed is reserved.
    'runs: for mut run in runs.clone() {
        loop {
            let step = run.len().min(left);
            (left, run) = (left - step, &run[step..]);
            if run.is_empty() {
                break;
            }
            let Some(len) = len_of_first(run) else { break 'runs };
            if end > 0 && end + len > bytes_max {
                break 'runs;
            }
            (end, left) = (end + len, len);
        }
    }
    taken.reserve_exact(end - taken.len());
    for run in runs {
        taken.extend_from_slice(&run[..run.len().min(end - taken.len())]);
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

    /// A digit and as many bytes as it says.
    fn len_of_first(bytes: &[u8]) -> Option<usize> {
        bytes.first().map(|digit| 1 + usize::from(digit - b'0'))
    }

    fn units(runs: &[&str], bytes_max: usize) -> String {
        let mut taken = Vec::new();
        take_units(runs.iter().map(|run| run.as_bytes()), &mut taken, len_of_first, bytes_max);
        String::from_utf8(taken).expect("text")
    }

    #[test]
    fn units_are_taken_whole_within_the_limit_and_one_at_least() {
        for runs in [["2aa2bb", "2cc", "2dd2ee"], ["2aa2b", "b2", "cc2dd2ee"]] {
            let all = runs.concat();
            for bytes_max in 0..=all.len() + 1 {
                let whole = (bytes_max.min(all.len()) / 3).max(1) * 3;
                assert_eq!(units(&runs, bytes_max), all[..whole], "{bytes_max}");
            }
        }
        assert_eq!(units(&[], 9), "");
        assert_eq!(units(&["", "4long", "1b"], 2), "4long");
        assert_eq!(units(&["1a", "4long", "1b"], 4), "1a");
        assert_eq!(units(&["00", "0"], 9), "000");
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
        let long = [&b"9"[..], &[b'x'; 100_000]].concat();
        fn line(bytes: &[u8]) -> Option<usize> {
            Some(if bytes[0] == b'9' { 100_001 } else { 4 })
        }
        for unit in [b"one;".as_slice(), b"two;", &long] {
            connections.write(fd, [unit, &[]], quota).expect("room");
        }
        let mut taken = Vec::new();
        connections.take_queued(fd, &mut taken, line, 9);
        connections.take_queued(fd, &mut taken, line, 9);
        assert_eq!(taken, b"one;two;");
        connections.uncharge_taken(fd, &mut taken, 4);
        connections.take_queued(fd, &mut taken, line, 9);
        assert_eq!(taken, b"two;");
        connections.uncharge_taken(fd, &mut taken, 4);
        connections.take_queued(fd, &mut taken, line, 9);
        assert_eq!((taken.len(), connections.holdings().queued_bytes), (100_001, 100_001));
        connections.take_queued(fd, &mut taken, line, 1 << 20);
        connections.uncharge_taken(fd, &mut taken, 100_001);
        let holdings = connections.holdings();
        assert_eq!((holdings.queued_bytes, holdings.outboxes, connections.outboxes_bytes()), (0, 0, 0));
        // It has no socket on which anything could follow.
        connections.finish(fd, CloseReason::new(Side::Local, 1000, "", Cause::Requested));
        assert_eq!(connections.write(fd, [b"late\n", &[]], quota), Err(Refused::Gone));
        assert!(connections.get(fd).is_none());
    }
}
