//! The table of connections: an fd finds its connection, or nothing, but never another's. Grows without a
//! copy up to what was reserved.

use super::connection::Connection;
use crate::fd::Fd;
use slab::Slab;

/// Reserved at most, whatever the limit of open files says: untouched pages cost nothing, but address space
/// may be limited too.
pub(crate) const RESERVED_MAX: usize = 1 << 20;

pub(crate) struct Table<S> {
    /// `None` is a slot that is retired for good: all its generations are used up.
    slots: Slab<Option<Connection<S>>>,
    /// The generation that the next connection in each slot gets. Kept outside of the slab because vacant
    /// slots must remember it; looked at only when a connection comes or goes.
    generations: Vec<u32>,
    retired: usize,
    reactor: u8,
}

impl<S> Table<S> {
    pub(crate) fn new(reactor: u8, expected: usize) -> Table<S> {
        let reserved = expected.min(RESERVED_MAX);
        Table {
            slots: Slab::with_capacity(reserved),
            generations: Vec::with_capacity(reserved),
            retired: 0,
            reactor,
        }
    }

    /// Puts a connection in, made for the fd that it is given; `None` where the table can't grow.
    pub(crate) fn insert(&mut self, connection: impl FnOnce(Fd) -> Connection<S>) -> Option<Fd> {
        let key = self.slots.vacant_key();
        if key >= Fd::INDEX_MAX as usize {
            return None;
        }
        if key == self.generations.len() {
            self.generations.push(0);
        }
        let fd = Fd::new(self.generations[key], self.reactor, key as u32 + 1);
        self.slots.insert(Some(connection(fd)));
        Some(fd)
    }

    pub(crate) fn get(&self, fd: Fd) -> Option<&Connection<S>> {
        self.slots.get(key(fd))?.as_ref().filter(|connection| connection.fd == fd)
    }

    pub(crate) fn get_mut(&mut self, fd: Fd) -> Option<&mut Connection<S>> {
        self.slots.get_mut(key(fd))?.as_mut().filter(|connection| connection.fd == fd)
    }

    /// Takes a connection out. A slot whose generations are used up is not used again: its last fd must not
    /// come back.
    pub(crate) fn remove(&mut self, fd: Fd) -> Option<Connection<S>> {
        self.get(fd)?;
        match self.generations[key(fd)].checked_add(1) {
            Some(next) => {
                self.generations[key(fd)] = next;
                self.slots.remove(key(fd))
            }
            None => {
                self.retired += 1;
                self.slots[key(fd)].take()
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

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.retired
    }

    /// One more than the highest index in use or once used.
    pub(crate) fn index_end(&self) -> u32 {
        self.generations.len() as u32 + 1
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut Connection<S>> {
        self.slots.get_mut(index.checked_sub(1)? as usize)?.as_mut()
    }

    /// The connection in a slot, by its index, which counts from 1.
    pub(crate) fn at(&self, index: u32) -> Option<&Connection<S>> {
        self.slots.get(index.checked_sub(1)? as usize)?.as_ref()
    }
}

fn key(fd: Fd) -> usize {
    fd.index() as usize - 1
}
