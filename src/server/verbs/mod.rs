//! What users do with a server, one group of methods a file, and what these keep.

pub(crate) mod close;
pub(crate) mod control;
pub(crate) mod groups;
pub(crate) mod history;
pub(crate) mod lookup;
pub(crate) mod memory;
pub(crate) mod outgoing;
pub(crate) mod parts;
pub(crate) mod pool;
pub(crate) mod presence;
pub(crate) mod push;
pub(crate) mod recovery;
pub(crate) mod reload;
pub(crate) mod shutdown;
pub(crate) mod tasks;
pub(crate) mod timing;
pub(crate) mod topics;
pub(crate) mod users;
pub(crate) mod waiting;
