//! The wire formats. Contract of this layer: byte slices in, events and bytes out; no sockets, no clock, no callbacks,
//! and no allocation in the common case. "More bytes needed" is a value, never an error.

pub(crate) mod arrival;
pub(crate) mod http;
mod json;
pub(crate) mod labels;
pub(crate) mod number;
pub(crate) mod page_command;
pub(crate) mod poll;
pub(crate) mod query;
pub(crate) mod sse;
pub(crate) mod tcp;
pub(crate) mod unit;
pub(crate) mod ws;
