//! The protocols: from a connection's bytes to a handler and back, one file for each step on the way.

pub(crate) mod commands;
pub(crate) mod cors;
pub(crate) mod date;
pub(crate) mod dialing;
pub(crate) mod event_stream;
pub(crate) mod http;
pub(crate) mod labelled;
pub(crate) mod liveness;
pub(crate) mod polling;
pub(crate) mod posting;
pub(crate) mod proxies;
pub(crate) mod refusal;
pub(crate) mod script;
pub(crate) mod tcp;
pub(crate) mod tokens;
pub(crate) mod upgrade;
pub(crate) mod websocket;
