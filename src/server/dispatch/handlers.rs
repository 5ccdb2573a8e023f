//! The handler of each route.

use crate::server::api::handler::{Handler, Nothing};
use crate::session::route::Route;

pub(crate) struct Handlers {
    handlers: Vec<Served>,
    /// The handler of each route, by the route's number. Several routes may have one handler, and differ in limits
    /// alone.
    numbers: Vec<u16>,
    /// Routes of clients that have ended.
    free: Vec<Route>,
}

/// A handler, and the first of its routes.
pub(crate) struct Served {
    pub(crate) route: Route,
    pub(crate) handler: Box<dyn Handler>,
}

impl Handlers {
    /// In the order of `Paths`: the root, raw TCP (`None`: the root's handler too), paths, and the root and all paths
    /// again for each listener that has options.
    pub(crate) fn new(
        root: Box<dyn Handler>,
        tcp: Vec<Option<Box<dyn Handler>>>,
        paths: Vec<Box<dyn Handler>>,
        listeners: usize,
    ) -> Handlers {
        let mut handlers = Handlers { handlers: Vec::new(), numbers: Vec::new(), free: Vec::new() };
        handlers.add(root);
        for handler in tcp {
            match handler {
                Some(handler) => drop(handlers.add(handler)),
                None => handlers.numbers.push(0),
            }
        }
        let first = handlers.numbers.len();
        for handler in paths {
            handlers.add(handler);
        }
        let paths = handlers.numbers[first..].to_vec();
        for _ in 0..listeners {
            handlers.numbers.push(0);
            handlers.numbers.extend(&paths);
        }
        handlers
    }

    /// Gives a handler a route; `None` if there are too many.
    fn add(&mut self, handler: Box<dyn Handler>) -> Option<Route> {
        let route = Route::new(self.numbers.len())?;
        self.numbers.push(self.handlers.len() as u16);
        self.handlers.push(Served { route, handler });
        Some(route)
    }

    /// Gives a client of this server its own handler; `None` if there are too many.
    pub(crate) fn add_client(&mut self, handler: Box<dyn Handler>) -> Option<Route> {
        let Some(route) = self.free.pop() else { return self.add(handler) };
        self.served(route).handler = handler;
        Some(route)
    }

    /// Takes back the handler of a client that has ended.
    pub(crate) fn remove_client(&mut self, route: Route) -> Box<dyn Handler> {
        let Served { route, handler } = self.served(route);
        let (route, handler) = (*route, std::mem::replace(handler, Box::new(Nothing)));
        self.free.push(route);
        handler
    }

    /// How many routes there are.
    pub(crate) fn routes_len(&self) -> usize {
        self.numbers.len()
    }

    #[inline]
    pub(crate) fn served(&mut self, route: Route) -> &mut Served {
        &mut self.handlers[usize::from(self.numbers[route.number()])]
    }

    /// One route of each handler.
    pub(crate) fn all(&self) -> Vec<Route> {
        self.handlers.iter().map(|served| served.route).collect()
    }

    /// For tests whose handler can't be `Send`.
    #[cfg(test)]
    pub(crate) fn replace_root(&mut self, handler: Box<dyn Handler>) {
        self.served(Route::ROOT).handler = handler;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Box<dyn Handler> {
        Box::new(Nothing)
    }

    #[test]
    fn routes_that_differ_in_their_limits_alone_have_one_handler() {
        let mut handlers = Handlers::new(nobody(), vec![None, Some(nobody())], vec![nobody(), nobody()], 2);
        let owners: Vec<usize> =
            (0..11).map(|number| handlers.served(Route::new(number).expect("few")).route.number()).collect();
        assert_eq!(owners, [0, 0, 2, 3, 4, 0, 3, 4, 0, 3, 4]);
        assert_eq!(handlers.all().iter().map(|route| route.number()).collect::<Vec<_>>(), [0, 2, 3, 4]);
        let client = handlers.add_client(nobody()).expect("few");
        assert_eq!((client.number(), handlers.served(client.outgoing()).route), (11, client));
        handlers.remove_client(client.outgoing());
        assert_eq!(handlers.add_client(nobody()), Some(client));
        assert_eq!(handlers.add_client(nobody()).map(Route::number), Some(12));
    }
}
