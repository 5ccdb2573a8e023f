//! Why connections end that nobody ended on purpose.

use crate::error::{Cause, CloseReason, Side};
use std::io;

pub(super) fn io_failure(error: &io::Error) -> CloseReason {
    let cause = match error.kind() {
        // TCP_USER_TIMEOUT or keepalive: the peer acknowledges nothing.
        io::ErrorKind::TimedOut => Cause::Timeout,
        kind => Cause::Io(kind),
    };
    CloseReason::without_frame(Side::Peer, cause)
}

pub(super) fn connection_lost() -> CloseReason {
    CloseReason::without_frame(Side::Peer, Cause::Lost)
}
