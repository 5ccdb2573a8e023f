//! HTTP/1.1 (RFC 9110, RFC 9112): request heads over httparse, bodies, responses. Enough of it to serve pages
//! and to be the ground that WebSocket handshakes, event streams and long polling stand on.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod forwarded;
pub(crate) mod head;
mod refusal;
pub(crate) mod response;

pub use answer::Answer;
pub(crate) use head::Head;
pub(crate) use refusal::{BadRequest, Refusal};
pub use response::Response;
