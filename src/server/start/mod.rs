//! From configuration and behaviour to a running server.

pub(crate) mod builder;
pub(crate) mod event_loop;
pub(crate) mod prepared;
