//! How much of what the simulation is for took place.

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
    subscriptions, leaves, labelled_sockets, repeated_posts
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
        assert!(self.sent_again > 1_000 && self.lost_answers > 1_000 && self.held > 100, "{self:?}");
        assert!(self.expired_sessions > 500 && self.refused_posts > 500 && self.bad_cursors > 5, "{self:?}");
        assert!(self.repeated_posts > 100 && self.leaves > 50 && self.labelled_sockets > 500, "{self:?}");
        assert!(self.returns > 1_000 && self.gaps > 50 && self.subscriptions > 500, "{self:?}");
    }
}
