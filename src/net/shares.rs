//! What connections hold of the memory that all share, and how much more each may have; see `budget`.

#[cfg(test)]
use super::budget::Charges;
#[cfg(test)]
use super::connection::Connection;
use super::connections::Connections;
use super::rare::SessionState;
use crate::fd::Fd;
#[cfg(test)]
use std::collections::HashMap;

impl<S: SessionState> Connections<S> {
    /// The memory of all outboxes.
    pub(crate) fn outboxes_bytes(&self) -> usize {
        self.budget.pool.total().held
    }

    /// Whether so little memory is left, for outboxes or for incomplete messages and requests, that it is kept for the
    /// connections that are already here.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.budget.is_nearly_full(&self.limits)
    }

    /// The address that pays for what a connection holds.
    pub(super) fn payer(&self, fd: Fd) -> u32 {
        let leaving = || self.leaving.filter(|(leaving, _)| *leaving == fd).map_or(0, |(_, address)| address);
        self.table.get(fd).map_or_else(leaving, |connection| connection.address)
    }

    /// How much memory the outboxes of a connection's address may take, and how much of it is left.
    pub(crate) fn outboxes_share_and_room(&self, fd: Fd) -> (usize, usize) {
        let (payer, limits) = (self.payer(fd), &self.limits);
        let share = if payer == 0 { limits.outboxes_bytes_max } else { limits.outboxes_share };
        (share, self.budget.outboxes_room(payer, limits))
    }

    /// How many more bytes a connection may hold for incomplete messages and requests.
    pub(crate) fn inbound_room(&self, fd: Fd) -> usize {
        self.budget.inbound_room(self.payer(fd), &self.limits)
    }

    /// What a connection holds for incomplete messages and requests was `before` bytes.
    pub(crate) fn inbound_changed(&mut self, fd: Fd, before: usize, after: usize) {
        self.budget.inbound_changed(self.payer(fd), before, after);
    }

    /// What all hold for incomplete messages and requests.
    pub(crate) fn inbound_bytes(&self) -> usize {
        self.budget.inbound()
    }
}

#[cfg(test)]
impl<S: SessionState> Connections<S> {
    /// Checks what is charged to each address against what its connections hold. `taken` gives what a connection holds
    /// of its output beside its outbox; `inbound` and `noted`, what it holds for incomplete messages and requests, of
    /// which there may be more that only the app knows.
    pub(crate) fn check_shares(
        &self,
        taken: impl Fn(&Connection<S>) -> usize,
        inbound: impl Fn(&S) -> usize,
        noted: impl Fn(&S::Note) -> usize,
    ) {
        let mut payers = HashMap::<u32, Charges>::new();
        for (fd, connection) in self.iter_from(1) {
            let held = payers.entry(connection.address).or_default();
            let outbox = connection.outbox.as_ref().map_or(0, |outbox| outbox.size().held);
            held.outboxes += outbox + taken(connection);
            held.inbound += inbound(&connection.session) + self.note(fd).map_or(0, &noted);
        }
        payers.remove(&0);
        for (payer, held) in &payers {
            let charged = self.budget.held(*payer);
            assert_eq!(charged.outboxes, held.outboxes, "of address {payer}");
            assert!(charged.inbound >= held.inbound, "of address {payer}: {charged:?}, {held:?}");
            assert!(charged.inbound <= self.limits.inbound_share, "of address {payer}: {charged:?}");
        }
        assert!(self.budget.payers.keys().all(|payer| payers.contains_key(payer)));
    }
}
