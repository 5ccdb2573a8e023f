//! Memory that all connections share: for outboxes, and for incomplete messages and requests. One address may have a
//! part of each, so that it can't shut out the others. What is held is charged to the entry of the connection's
//! address, its payer; 0, for those that are not counted, pays for nothing.

use super::addresses::Addresses;
use super::limits::{Limits, SHARES};
use super::outbox::{Outbox, Size};
use super::outboxes::OutboxPool;
use std::collections::HashMap;

/// The most memory of a payer: its place in the map, which may have room for twice as many.
pub(crate) const PAYER_BYTES: usize = (size_of::<(u32, Charges)>() + 1) * 16 / 7;

#[derive(Default)]
pub(crate) struct Budget {
    pub(super) pool: OutboxPool,
    pub(super) addresses: Addresses,
    /// Bytes held for incomplete messages and requests, as the app counts them.
    inbound: usize,
    /// Only those that hold something.
    pub(super) payers: HashMap<u32, Charges>,
}

/// What the connections of one address hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Charges {
    pub(super) outboxes: usize,
    pub(super) inbound: usize,
}

impl Budget {
    pub(super) fn take_outbox(&mut self, payer: u32) -> Box<Outbox> {
        let outbox = self.pool.take();
        self.charge(payer, |held| held.outboxes += outbox.size().held);
        outbox
    }

    pub(super) fn put_outbox(&mut self, payer: u32, outbox: Box<Outbox>) {
        self.charge(payer, |held| held.outboxes -= outbox.size().held);
        self.pool.put(outbox);
    }

    /// The size of one outbox changed.
    pub(super) fn changed(&mut self, payer: u32, before: Size, after: Size) {
        self.pool.changed(before, after);
        if before.held != after.held {
            self.charge(payer, |held| held.outboxes = held.outboxes + after.held - before.held);
        }
    }

    pub(super) fn inbound_changed(&mut self, payer: u32, before: usize, after: usize) {
        self.inbound = self.inbound + after - before;
        if before != after {
            self.charge(payer, |held| held.inbound = held.inbound + after - before);
        }
    }

    /// Another address pays for the outbox of a connection from now on.
    pub(super) fn hand_over(&mut self, from: u32, to: u32, outbox: Option<&Outbox>) {
        let bytes = outbox.map_or(0, |outbox| outbox.size().held);
        if bytes > 0 && from != to {
            self.charge(from, |held| held.outboxes -= bytes);
            self.charge(to, |held| held.outboxes += bytes);
        }
    }

    fn charge(&mut self, payer: u32, change: impl FnOnce(&mut Charges)) {
        if payer == 0 {
            return;
        }
        let held = self.payers.entry(payer).or_default();
        change(held);
        if *held == Charges::default() {
            self.payers.remove(&payer);
            if self.payers.is_empty() {
                self.payers.shrink_to(64);
            }
        }
    }

    pub(super) fn held(&self, payer: u32) -> Charges {
        if payer == 0 || self.payers.is_empty() {
            return Charges::default();
        }
        self.payers.get(&payer).copied().unwrap_or_default()
    }

    pub(super) fn inbound(&self) -> usize {
        self.inbound
    }

    /// How many payers hold something.
    pub(super) fn payers(&self) -> usize {
        self.payers.len()
    }

    /// How much more memory the outboxes of a payer's connections may take.
    pub(super) fn outboxes_room(&self, payer: u32, limits: &Limits) -> usize {
        let of_all = limits.outboxes_bytes_max.saturating_sub(self.pool.total().held);
        match payer {
            0 => of_all,
            payer => of_all.min(limits.outboxes_share.saturating_sub(self.held(payer).outboxes)),
        }
    }

    /// By how many bytes `more` in the outboxes of a payer's connections would exceed a limit, raised by `beyond`.
    pub(super) fn outboxes_excess(&self, payer: u32, more: usize, beyond: usize, limits: &Limits) -> usize {
        let of_all = (self.pool.total().held + more).saturating_sub(limits.outboxes_bytes_max + beyond);
        match payer {
            0 => of_all,
            payer => {
                let held = self.held(payer).outboxes + more;
                of_all.max(held.saturating_sub(limits.outboxes_share + beyond / SHARES))
            }
        }
    }

    /// How many more bytes a payer's connections may hold for incomplete messages and requests.
    pub(super) fn inbound_room(&self, payer: u32, limits: &Limits) -> usize {
        let of_all = limits.inbound_bytes_max.saturating_sub(self.inbound);
        match payer {
            0 => of_all,
            payer => of_all.min(limits.inbound_share.saturating_sub(self.held(payer).inbound)),
        }
    }

    /// Whether so little is left for all together that it is kept for the connections that are already here.
    pub(super) fn is_nearly_full(&self, limits: &Limits) -> bool {
        self.outboxes_room(0, limits) < limits.outboxes_bytes_max / 16
            || self.inbound_room(0, limits) < limits.inbound_bytes_max / 16
    }
}
