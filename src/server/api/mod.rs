//! What users of a server hold: builder, handlers, handles, requests, messages, and what they are told.

pub(crate) mod broadcast;
pub(crate) mod builder;
pub(crate) mod command;
pub(crate) mod event_loop;
pub(crate) mod handle;
pub(crate) mod handler;
pub(crate) mod info;
pub(crate) mod message;
pub(crate) mod request;
pub(crate) mod routes;
#[cfg(feature = "serde")]
pub(crate) mod serial;
