//! HTTP/1.1 (RFC 9110, RFC 9112): request heads, bodies and responses; httparse parses the grammar. As much as is
//! needed to serve pages, and for WebSocket handshakes, event streams and long polling.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod forwarded;
pub(crate) mod head;
pub(crate) mod origin;
mod refusal;
pub(crate) mod response;
pub(crate) mod response_head;

pub use answer::Answer;
pub(crate) use head::Head;
pub(crate) use refusal::{BadRequest, Refusal};
pub use response::Response;
pub(crate) use response_head::ResponseFraming;
pub use response_head::ResponseHead;
