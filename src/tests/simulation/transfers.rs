//! Whether a client may be given up because what it has begun to send, or to read, does not come on.

use super::*;

/// What was seen of a client after each turn.
#[derive(Default)]
pub(super) struct Transfers {
    seen: Vec<Seen>,
    /// It may have been given up.
    pub(super) have_dragged: bool,
}

pub(super) struct Seen {
    pub(super) at: Instant,
    /// Bytes that the server took out of the socket, and wrote to it.
    pub(super) consumed: usize,
    pub(super) written: usize,
    /// Something waits in the server for the client to read it.
    pub(super) is_queued: bool,
}

impl Transfers {
    pub(super) fn note(&mut self, now: Seen, script: &Script, config: &Config) {
        self.have_dragged |= self.drag(&now, script, config);
        self.seen.push(now);
    }

    /// Whether for `pong_timeout` or more, in one direction, something was incomplete and less came of it than has to.
    fn drag(&self, now: &Seen, script: &Script, config: &Config) -> bool {
        // What it took in this very turn may have come too late.
        let consumed = self.seen.last().map_or(0, |seen| seen.consumed);
        // Deadlines are a tick or two coarse.
        let is_recent = |seen: &&Seen| seen.at + config.pong_timeout > now.at + 2 * TICK;
        let mut long_ago = self.seen.iter().rev().skip_while(is_recent);
        let is_read = |seen: &Seen| self.seen.iter().any(|other| other.at >= seen.at && !other.is_queued);
        // Control frames come between the fragments of a message too.
        let is_sent = |seen: &Seen| {
            let mut messages = script.items.iter().filter(|item| matches!(item.what, What::Message(..)));
            messages.any(|item| item.end > seen.consumed && item.end <= consumed)
        };
        long_ago.any(|seen| {
            let least = (now.at - seen.at).as_secs_f64() * f64::from(config.bytes_per_second_min);
            let is_little = |len: usize| (len as f64) < least;
            is_little(now.written - seen.written) && !is_read(seen)
                || is_little(consumed - seen.consumed) && !is_sent(seen)
        })
    }
}
