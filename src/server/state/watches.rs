//! Which handlers hear of which topics: events of topics and of presence go to those handlers only.

use crate::session::route::Route;

/// The topics for which a handler's [`on_topic`](crate::Handler::on_topic) and
/// [`on_presence`](crate::Handler::on_presence) are called: what [`Handler::watches`](crate::Handler::watches) returns
/// and [`Server::watch`](crate::Server::watch) takes.
///
/// ```
/// use swio::Watches;
///
/// // As in Pusher: presence is reported for presence channels only.
/// let watches = Watches::topics_with_prefix("presence-").and(Watches::all().only_topics());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Watches {
    /// Prefixes of the topics' names; every name begins with the empty one.
    topics: Vec<Box<str>>,
    presence: Vec<Box<str>>,
}

/// What can be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    Topics,
    Presence,
}

impl Watches {
    /// Nothing: the default of a [`Handler`](crate::Handler).
    pub fn none() -> Watches {
        Watches::default()
    }

    /// Both kinds of events of all topics.
    pub fn all() -> Watches {
        Watches::topics_with_prefix("")
    }

    /// Both kinds of events of the topics whose names begin with this.
    pub fn topics_with_prefix(prefix: impl Into<Box<str>>) -> Watches {
        let prefix = prefix.into();
        Watches { topics: vec![prefix.clone()], presence: vec![prefix] }
    }

    /// What either of the two watches.
    pub fn and(mut self, other: Watches) -> Watches {
        self.topics.extend(other.topics);
        self.presence.extend(other.presence);
        self
    }

    /// Of the same topics only the events of [`on_topic`](crate::Handler::on_topic).
    pub fn only_topics(mut self) -> Watches {
        self.presence.clear();
        self
    }

    /// Of the same topics only the events of [`on_presence`](crate::Handler::on_presence).
    pub fn only_presence(mut self) -> Watches {
        self.topics.clear();
        self
    }

    fn has(&self, what: Watched, topic: &str) -> bool {
        let prefixes = match what {
            Watched::Topics => &self.topics,
            Watched::Presence => &self.presence,
        };
        prefixes.iter().any(|prefix| topic.starts_with(&**prefix))
    }
}

/// The handlers that watch anything, in the order of their routes' numbers.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Vec<(Route, Watches)>);

impl Watchers {
    /// Replaces what a handler watches.
    pub(crate) fn set(&mut self, route: Route, watches: Watches) {
        let place = self.0.binary_search_by_key(&route.number(), |(route, _)| route.number());
        match (place, watches == Watches::none()) {
            (Ok(at), true) => drop(self.0.remove(at)),
            (Ok(at), false) => self.0[at].1 = watches,
            (Err(_), true) => {}
            (Err(at), false) => self.0.insert(at, (route, watches)),
        }
    }

    /// Whether any handler is to be told.
    pub(crate) fn has(&self, what: Watched, topic: &str) -> bool {
        self.0.iter().any(|(_, watches)| watches.has(what, topic))
    }

    /// The handlers to tell.
    pub(crate) fn of(&self, what: Watched, topic: &str) -> Vec<Route> {
        self.0.iter().filter(|(_, watches)| watches.has(what, topic)).map(|(route, _)| *route).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(number: usize) -> Route {
        Route::new(number).expect("few")
    }

    #[test]
    fn each_is_told_what_it_asked_for_in_the_order_of_the_routes() {
        let mut watchers = Watchers::default();
        watchers.set(route(7), Watches::topics_with_prefix("a/").and(Watches::topics_with_prefix("b/")));
        watchers.set(route(2), Watches::all().only_topics());
        watchers.set(route(4), Watches::topics_with_prefix("b/").only_presence());
        watchers.set(route(5), Watches::none());
        let told = |watchers: &Watchers, what, topic| -> Vec<usize> {
            let told: Vec<usize> = watchers.of(what, topic).iter().map(|route| route.number()).collect();
            assert_eq!(watchers.has(what, topic), !told.is_empty());
            told
        };
        for (topic, topics, presence) in
            [("a/1", &[2, 7][..], &[7][..]), ("b/", &[2, 7], &[4, 7]), ("a", &[2], &[]), ("c/b/", &[2], &[])]
        {
            assert_eq!(told(&watchers, Watched::Topics, topic), topics, "{topic}");
            assert_eq!(told(&watchers, Watched::Presence, topic), presence, "{topic}");
        }
        watchers.set(route(7), Watches::all());
        watchers.set(route(2), Watches::none());
        assert_eq!(told(&watchers, Watched::Topics, "c"), [7]);
        watchers.set(route(7), Watches::none());
        assert_eq!(told(&watchers, Watched::Topics, "c"), []);
    }
}
