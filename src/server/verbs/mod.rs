//! What users do with a server, one group of methods per file. Two verbs are with the types that they need:
//! `Server::broadcast` in `api/broadcast.rs`, and `Server::connect` in `client/mod.rs`.

pub(crate) mod answers;
pub(crate) mod commands;
pub(crate) mod control;
pub(crate) mod envelopes;
pub(crate) mod lookup;
pub(crate) mod memory;
pub(crate) mod outgoing;
pub(crate) mod push;
pub(crate) mod recovery;
pub(crate) mod reload;
pub(crate) mod shutdown;
pub(crate) mod socketless;
pub(crate) mod subscribing;
pub(crate) mod tasks;
pub(crate) mod timing;
pub(crate) mod topics;
pub(crate) mod users;
