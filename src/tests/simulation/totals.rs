//! How much of what the simulation is for took place.

/// How often what the simulation is for took place.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) turns: u64,
    pub(super) connections: u64,
    pub(super) messages: u64,
    pub(super) pushes: u64,
    pub(super) refused_full: u64,
    pub(super) resets: u64,
    pub(super) timeouts: u64,
    pub(super) panics: u64,
    pub(super) protocol_errors: u64,
    pub(super) clean_closes: u64,
    pub(super) requests: u64,
    pub(super) room_events: u64,
    pub(super) dropped: u64,
    pub(super) replaced: u64,
    pub(super) pauses: u64,
    pub(super) late_answers: u64,
    pub(super) shutdowns: u64,
    pub(super) sessions: u64,
    pub(super) event_streams: u64,
    pub(super) polls: u64,
    pub(super) posts: u64,
    pub(super) held: u64,
    pub(super) sent_again: u64,
    pub(super) lost_answers: u64,
    pub(super) bad_cursors: u64,
    pub(super) refused_posts: u64,
    pub(super) expired_sessions: u64,
    pub(super) returns: u64,
    pub(super) gaps: u64,
    pub(super) subscriptions: u64,
    pub(super) leaves: u64,
    pub(super) labelled_sockets: u64,
    pub(super) repeated_posts: u64,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Totals) {
        self.turns += other.turns;
        self.connections += other.connections;
        self.messages += other.messages;
        self.pushes += other.pushes;
        self.refused_full += other.refused_full;
        self.resets += other.resets;
        self.timeouts += other.timeouts;
        self.panics += other.panics;
        self.protocol_errors += other.protocol_errors;
        self.clean_closes += other.clean_closes;
        self.requests += other.requests;
        self.room_events += other.room_events;
        self.dropped += other.dropped;
        self.replaced += other.replaced;
        self.pauses += other.pauses;
        self.late_answers += other.late_answers;
        self.shutdowns += other.shutdowns;
        self.sessions += other.sessions;
        self.event_streams += other.event_streams;
        self.polls += other.polls;
        self.posts += other.posts;
        self.held += other.held;
        self.sent_again += other.sent_again;
        self.lost_answers += other.lost_answers;
        self.bad_cursors += other.bad_cursors;
        self.refused_posts += other.refused_posts;
        self.expired_sessions += other.expired_sessions;
        self.returns += other.returns;
        self.gaps += other.gaps;
        self.subscriptions += other.subscriptions;
        self.leaves += other.leaves;
        self.labelled_sockets += other.labelled_sockets;
        self.repeated_posts += other.repeated_posts;
    }

    /// A simulation in which nothing goes wrong proves nothing.
    pub(super) fn check_that_everything_happened(&self) {
        let Totals { turns, connections, messages, pushes, refused_full, .. } = *self;
        assert!(turns > 50_000 && connections > 5_000 && messages > 10_000 && pushes > 20_000, "{self:?}");
        assert!(refused_full > 100 && self.resets > 100 && self.timeouts > 100, "{self:?}");
        assert!(self.panics > 100 && self.protocol_errors > 100 && self.clean_closes > 100, "{self:?}");
        assert!(self.requests > 1_000 && self.room_events > 1_000, "{self:?}");
        assert!(self.pauses > 1_000 && self.late_answers > 1_000 && self.shutdowns > 10, "{self:?}");
        assert!(self.dropped > 500 && self.replaced > 500, "{self:?}");
        assert!(self.sessions > 1_000 && self.event_streams > 1_000 && self.posts > 5_000, "{self:?}");
        assert!(self.sent_again > 1_000 && self.lost_answers > 1_000 && self.held > 100, "{self:?}");
        assert!(self.expired_sessions > 500 && self.refused_posts > 500 && self.bad_cursors > 5, "{self:?}");
        assert!(self.repeated_posts > 100 && self.leaves > 50 && self.labelled_sockets > 500, "{self:?}");
        assert!(self.returns > 1_000 && self.gaps > 50 && self.subscriptions > 500, "{self:?}");
    }
}
