//! The table of connections: an fd finds its own connection or nothing, never another's. Up to the reserved size it
//! grows without moving.

use super::connection::Connection;
use super::live::Live;
use crate::fd::Fd;
use slab::Slab;
use std::rc::Rc;

/// The most that is reserved if only the limit of open files says how many connections there may be, which may be any
/// number.
const RESERVED_MAX: usize = 1 << 20;

/// For how many places a table is reserved that may have so many. `are_set`: a setting says so.
pub(crate) fn reserved_for(places: usize, are_set: bool) -> usize {
    if are_set { places } else { places.min(RESERVED_MAX) }
}

pub(crate) struct Table<S> {
    /// `None` is a slot that is retired for good: all its generations are used up.
    slots: Slab<Option<Connection<S>>>,
    /// The generation that the next connection in each slot gets. Kept outside of the slab because vacant
    /// slots must remember it; looked at only when a connection comes or goes.
    generations: Vec<u32>,
    /// Which slots hold a connection. Shared with walks that go on while the table is used.
    live: Rc<Live>,
    retired: usize,
    reactor: u8,
    /// The reactor and index of the first slot, as they are in an fd.
    first: u32,
}

impl<S> Table<S> {
    /// What a slot costs beside the connection: the slab's own word, the generation, a bit in the map of live slots.
    pub(crate) const SLOT_BYTES: usize = 8 + 4 + 1;

    /// Reserves `expected` slots, or what the system has address space for. Untouched pages cost nothing.
    pub(crate) fn new(reactor: u8, expected: usize) -> Table<S> {
        let mut reserved = expected.min(Fd::INDEX_MAX as usize);
        while !can_reserve(reserved * (size_of::<Option<Connection<S>>>() + Table::<S>::SLOT_BYTES)) {
            reserved /= 2;
        }
        Table {
            slots: Slab::with_capacity(reserved),
            generations: Vec::with_capacity(reserved),
            live: Rc::new(Live::with_capacity(reserved)),
            retired: 0,
            reactor,
            first: Fd::new(0, reactor, 1).to_u64() as u32,
        }
    }

    /// Puts a connection in, made for the generation that it is given; `None` if the table can't grow.
    pub(crate) fn insert(&mut self, connection: impl FnOnce(u32) -> Connection<S>) -> Option<Fd> {
        let key = self.slots.vacant_key();
        if key >= Fd::INDEX_MAX as usize {
            return None;
        }
        if key == self.generations.len() {
            self.generations.push(0);
        }
        let fd = Fd::new(self.generations[key], self.reactor, key as u32 + 1);
        self.slots.insert(Some(connection(self.generations[key])));
        // This copies only if the table is changed during a walk.
        Rc::make_mut(&mut self.live).insert(fd.index());
        Some(fd)
    }

    pub(crate) fn get(&self, fd: Fd) -> Option<&Connection<S>> {
        let connection = self.slots.get(self.key(fd))?.as_ref()?;
        (connection.generation == fd.generation()).then_some(connection)
    }

    pub(crate) fn get_mut(&mut self, fd: Fd) -> Option<&mut Connection<S>> {
        let key = self.key(fd);
        let connection = self.slots.get_mut(key)?.as_mut()?;
        (connection.generation == fd.generation()).then_some(connection)
    }

    /// Takes a connection out. A slot whose generations are used up is not used again: its last fd must not
    /// come back.
    pub(crate) fn remove(&mut self, fd: Fd) -> Option<Connection<S>> {
        self.get(fd)?;
        Rc::make_mut(&mut self.live).remove(fd.index());
        let key = self.key(fd);
        match self.generations[key].checked_add(1) {
            Some(next) => {
                self.generations[key] = next;
                self.slots.remove(key)
            }
            None => {
                self.retired += 1;
                self.slots[key].take()
            }
        }
    }

    /// As if the slot had been used so often that only this generation and later ones are left.
    #[cfg(test)]
    pub(crate) fn set_next_generation(&mut self, index: u32, generation: u32) {
        self.generations[index as usize - 1] = generation;
    }

    /// How many connections there is room for without moving anything.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.slots.capacity().min(self.generations.capacity())
    }

    /// How many slots there is room for without moving any.
    pub(super) fn reserved(&self) -> usize {
        self.generations.capacity()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.retired
    }

    /// The slots that hold a connection now. The table may be used during a walk over them, but [`Table::at`] has to be
    /// asked which connections are still there.
    pub(crate) fn live(&self) -> Rc<Live> {
        self.live.clone()
    }

    /// The first slot at `from` or after it that holds a connection: for walks over several turns.
    pub(crate) fn next_live(&self, from: u32) -> Option<u32> {
        self.live.next(from)
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> Option<(Fd, &mut Connection<S>)> {
        let reactor = self.reactor;
        let connection = self.slots.get_mut(index.checked_sub(1)? as usize)?.as_mut()?;
        Some((Fd::new(connection.generation, reactor, index), connection))
    }

    /// The connection in a slot and its fd, by the slot's index, which counts from 1.
    pub(crate) fn at(&self, index: u32) -> Option<(Fd, &Connection<S>)> {
        let connection = self.slots.get(index.checked_sub(1)? as usize)?.as_ref()?;
        Some((self.fd(connection, index), connection))
    }

    /// The slot of an fd: its reactor and index without those of the first slot. For an fd of another reactor this is
    /// beyond all slots, so that one comparison finds both out.
    #[inline]
    fn key(&self, fd: Fd) -> usize {
        (fd.to_u64() as u32).wrapping_sub(self.first) as usize
    }

    /// A connection does not store its fd: slot and generation give it.
    fn fd(&self, connection: &Connection<S>, index: u32) -> Fd {
        Fd::new(connection.generation, self.reactor, index)
    }
}

fn can_reserve(bytes: usize) -> bool {
    let mut memory = Vec::<u8>::new();
    let is_there = memory.try_reserve_exact(bytes).is_ok();
    // Otherwise the compiler may leave it out.
    std::hint::black_box(&memory);
    is_there
}
