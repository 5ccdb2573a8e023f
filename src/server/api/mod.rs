//! What users of a server hold: handlers, handles, broadcasts.

pub(crate) mod broadcast;
pub(crate) mod handle;
pub(crate) mod handler;
