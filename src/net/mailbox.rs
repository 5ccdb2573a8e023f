//! Delivery to the reactor from any thread: bounded by number and bytes, never blocking on the reactor, with one
//! wake-up however many mails wait. Knows nothing about a mail but its size.

use mio::Waker;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A mail that was not taken, and why.
#[derive(Debug)]
pub(crate) enum Undelivered<T> {
    Full(T),
    /// The reactor has ended.
    Closed(T),
}

struct Queue<T> {
    mails: Vec<T>,
    bytes: usize,
    /// Mails that the limits do not count.
    exempt: usize,
    /// Delivered after all others.
    last: Option<T>,
    open: bool,
}

struct SharedQueue<T> {
    queue: Mutex<Queue<T>>,
    waker: Waker,
    items_max: usize,
    bytes_max: usize,
}

/// The end that any thread may hold.
pub(crate) struct Sender<T>(Arc<SharedQueue<T>>);

/// The reactor's end. Dropping it closes the mailbox.
pub(crate) struct Mailbox<T>(Arc<SharedQueue<T>>);

pub(crate) fn mailbox<T>(waker: Waker, items_max: usize, bytes_max: usize) -> (Sender<T>, Mailbox<T>) {
    let queue = Mutex::new(Queue { mails: Vec::new(), bytes: 0, exempt: 0, last: None, open: true });
    let shared = Arc::new(SharedQueue { queue, waker, items_max, bytes_max });
    (Sender(shared.clone()), Mailbox(shared))
}

impl<T> SharedQueue<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        // Nothing that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender(self.0.clone())
    }
}

/// How a mail is counted.
enum Counted {
    /// With so many bytes, against the limits.
    Limited(usize),
    Exempt,
    Last,
}

impl<T> Sender<T> {
    /// Puts a mail in whose payload has `bytes` bytes. A mail bigger than the whole mailbox is taken when the
    /// mailbox is empty: it would never fit otherwise.
    pub(crate) fn send(&self, mail: T, bytes: usize) -> Result<(), Undelivered<T>> {
        self.deliver(mail, Counted::Limited(bytes))
    }

    /// Puts a mail in that the limits do not count: their sender has a limit of its own.
    pub(crate) fn send_exempt(&self, mail: T) -> Result<(), Undelivered<T>> {
        self.deliver(mail, Counted::Exempt)
    }

    /// Adds a mail that is never refused as too much. At most one such mail waits, after all others; a second one
    /// changes nothing.
    pub(crate) fn send_last(&self, mail: T) -> Result<(), Undelivered<T>> {
        self.deliver(mail, Counted::Last)
    }

    /// A mail that is refused goes back to the sender, who drops it when the lock is free again: what it owns may send
    /// mail itself.
    fn deliver(&self, mail: T, counted: Counted) -> Result<(), Undelivered<T>> {
        let was_empty = {
            let mut queue = self.0.lock();
            if !queue.open {
                return Err(Undelivered::Closed(mail));
            }
            let was_empty = queue.mails.is_empty() && queue.last.is_none();
            match counted {
                Counted::Limited(bytes) => {
                    let items = queue.mails.len() - queue.exempt;
                    let fits = items < self.0.items_max && queue.bytes + bytes <= self.0.bytes_max;
                    if !fits && items > 0 {
                        return Err(Undelivered::Full(mail));
                    }
                    queue.mails.push(mail);
                    queue.bytes += bytes;
                }
                Counted::Exempt => {
                    queue.mails.push(mail);
                    queue.exempt += 1;
                }
                Counted::Last => queue.last = Some(mail),
            }
            was_empty
        };
        if was_empty && let Err(error) = self.0.waker.wake() {
            log::error!("the reactor can't be woken: {error}");
        }
        Ok(())
    }
}

impl<T> Mailbox<T> {
    /// Takes all that waits, leaving the emptied `into` for the senders to fill.
    pub(crate) fn take(&self, into: &mut Vec<T>) {
        debug_assert!(into.is_empty());
        let mut queue = self.0.lock();
        std::mem::swap(&mut queue.mails, into);
        into.extend(queue.last.take());
        queue.bytes = 0;
        queue.exempt = 0;
    }

    /// Closes the mailbox. Mails that were not taken are dropped.
    pub(crate) fn close(&self) {
        let mut queue = self.0.lock();
        queue.open = false;
        let undelivered = (std::mem::take(&mut queue.mails), queue.last.take());
        drop(queue);
        drop(undelivered);
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        self.close();
    }
}
