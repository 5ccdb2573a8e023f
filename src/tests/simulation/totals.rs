//! How much of what the simulation is for took place.

/// Of so many deliveries to sockets that are not blocked one may need an outbox.
const NEEDLESS_MIN: u64 = 60;

macro_rules! totals {
    ($($name:ident),*) => {
        /// How often what the simulation is for took place.
        #[derive(Debug, Default)]
        pub(super) struct Totals {
            $(pub(super) $name: u64,)*
        }

        impl Totals {
            pub(super) fn add(&mut self, other: &Totals) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

totals! {
    turns, connections, messages, pushes, refused_full, resets, timeouts, panics, protocol_errors, clean_closes,
    requests, room_events, dropped, replaced, pauses, late_answers, shutdowns, sessions, event_streams, polls,
    posts, held, sent_again, lost_answers, bad_cursors, refused_posts, expired_sessions, returns, gaps,
    subscriptions, leaves, labelled_sockets, repeated_posts, resets_within, fanned_out, needless_outboxes
}

impl Totals {
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
        assert!(self.sent_again > 1_000 && self.lost_answers > 1_000 && self.held > 50, "{self:?}");
        assert!(self.expired_sessions > 500 && self.refused_posts > 300 && self.bad_cursors > 5, "{self:?}");
        assert!(self.repeated_posts > 100 && self.leaves > 50 && self.labelled_sockets > 500, "{self:?}");
        assert!(self.resets_within > 500 && self.fanned_out > 2_000, "{self:?}");
        // Those that are written to in turns with others, and those that have messages with a key.
        assert!(self.needless_outboxes * NEEDLESS_MIN < self.fanned_out, "{self:?}");
        assert!(self.returns > 1_000 && self.gaps > 50 && self.subscriptions > 500, "{self:?}");
    }
}
