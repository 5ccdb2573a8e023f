//! A Swoole-style socket server on mio: WebSocket chat and push by callbacks and fd-like ids.

mod codec;
mod config;
mod error;
mod fd;
mod net;
mod server;
#[cfg(any(test, feature = "sim"))]
mod sim;
#[cfg(test)]
mod tests;

pub use codec::http::Response;
pub use codec::ws::Opcode;
pub use config::{Config, Origins, SlowConsumer};
pub use error::{Cause, CloseReason, Fault, PushError, Side};
pub use fd::{Fd, FdMap, ParseFdError};
pub use net::timers::TimerId;
pub use server::Server;
pub use server::broadcast::{Broadcast, Reach};
pub use server::builder::Builder;
pub use server::event_loop::{EventLoop, Running};
pub use server::handle::Handle;
pub use server::handler::Handler;
pub use server::info::{ClientInfo, Status, Usage};
pub use server::message::{Data, Frame, Message};
pub use server::request::{Handshake, Request};
