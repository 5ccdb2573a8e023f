//! A client that comes back, while it is brought up to date.

use crate::fd::Fd;
use crate::server::state::history::Place;
use std::rc::Rc;

/// A client that is brought up to date when its `on_open` or `on_subscribe` is over. Until then what is published to
/// the histories that it has joined waits for that, so that all of it arrives once and in order.
#[derive(Debug)]
pub(crate) struct Returning {
    pub(crate) fd: Fd,
    /// Where it was, if it says so.
    pub(crate) place: Option<Place>,
    /// Topics with a history that it has joined meanwhile, and where it is in them.
    pub(crate) joined: Vec<(Rc<str>, Place)>,
    /// Numbers of messages that were published meanwhile, but not for it.
    pub(crate) excepted: Vec<u64>,
}
