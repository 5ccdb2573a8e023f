//! HTTP/1.1 (RFC 9110, RFC 9112): request heads over httparse, bodies, responses. Enough of it to serve pages
//! and to be the ground that WebSocket handshakes, event streams and long polling stand on.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod forwarded;
pub(crate) mod head;
pub(crate) mod response;
pub(crate) mod response_head;

pub use answer::Answer;
pub(crate) use head::Head;
pub use response::Response;
pub(crate) use response_head::BodyFraming;
pub use response_head::ResponseHead;

/// A request that is refused before any callback sees it: a status, and what the client did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) what: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: u16, what: &'static str) -> Refusal {
        Refusal { status, what }
    }
}
