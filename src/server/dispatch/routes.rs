//! Which handler serves which path, and the parameters in it.

use crate::server::api::handler::{Handler, Nothing};
use crate::session::route::Route;
use matchit::{InsertError, Router};
use std::fmt;
use std::rc::Rc;

pub(crate) struct Routes {
    handlers: Vec<Box<dyn Handler>>,
    /// Numbers that clients had.
    free: Vec<Route>,
    router: Option<Rc<Router<Route>>>,
}

impl Routes {
    pub(crate) fn new(root: Box<dyn Handler>) -> Routes {
        Routes { handlers: vec![root], free: Vec::new(), router: None }
    }

    /// Gives a pattern of paths its handler.
    pub(crate) fn add(&mut self, pattern: &str, handler: Box<dyn Handler>) {
        let route = Route::new(self.handlers.len()).expect("checked by `check`");
        self.handlers.push(handler);
        let mut router = self.router.take().unwrap_or_default();
        let own = Rc::get_mut(&mut router).expect("nobody matches yet");
        own.insert(pattern, route).expect("checked by `check`");
        self.router = Some(router);
    }

    /// Gives a client that this server is its own handler; `None` where there are too many.
    pub(crate) fn add_client(&mut self, handler: Box<dyn Handler>) -> Option<Route> {
        if let Some(route) = self.free.pop() {
            self.handlers[route.number()] = handler;
            return Some(route);
        }
        let route = Route::new(self.handlers.len())?;
        self.handlers.push(handler);
        Some(route)
    }

    /// Gives back the handler of a client that is over.
    pub(crate) fn remove_client(&mut self, route: Route) -> Box<dyn Handler> {
        self.free.push(route);
        std::mem::replace(&mut self.handlers[route.number()], Box::new(Nothing))
    }

    pub(crate) fn handler(&mut self, route: Route) -> &mut dyn Handler {
        &mut *self.handlers[route.number()]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Route> + use<> {
        (0..self.handlers.len()).filter_map(Route::new)
    }

    /// To match a path with, while handlers run. `None`: every path is the root's.
    pub(crate) fn router(&self) -> Option<Rc<Router<Route>>> {
        self.router.clone()
    }

    /// For tests whose handler can't be `Send`.
    #[cfg(test)]
    pub(crate) fn replace_root(&mut self, handler: Box<dyn Handler>) {
        self.handlers[0] = handler;
    }
}

/// What is wrong with the pattern of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RouteError {
    TooMany,
    NotAPath {
        pattern: String,
    },
    /// A parameter in the style of another router: it would match itself and nothing else.
    Parameter {
        pattern: String,
    },
    Conflict {
        pattern: String,
        with: String,
    },
    Malformed {
        pattern: String,
        error: InsertError,
    },
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouteError::TooMany => f.write_str("at most 32,766 routes"),
            RouteError::NotAPath { pattern } => write!(f, "route {pattern:?}: a path begins with /"),
            RouteError::Parameter { pattern } => {
                write!(f, "route {pattern:?}: a parameter is {{name}}, and {{*name}} all that follows")
            }
            RouteError::Conflict { pattern, with } => {
                write!(f, "route {pattern:?} conflicts with {with:?}")
            }
            RouteError::Malformed { pattern, error } => write!(f, "route {pattern:?}: {error}"),
        }
    }
}

/// Whether these patterns can be routes together.
pub(crate) fn check<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<(), RouteError> {
    let mut router = Router::new();
    for (number, pattern) in patterns.enumerate() {
        if number + 1 >= usize::from(Route::OUTGOING) {
            return Err(RouteError::TooMany);
        }
        if !pattern.starts_with('/') {
            return Err(RouteError::NotAPath { pattern: pattern.to_owned() });
        }
        if pattern.split('/').any(|segment| segment.starts_with([':', '*'])) {
            return Err(RouteError::Parameter { pattern: pattern.to_owned() });
        }
        router.insert(pattern, ()).map_err(|error| match error {
            InsertError::Conflict { with } => RouteError::Conflict { pattern: pattern.to_owned(), with },
            error => RouteError::Malformed { pattern: pattern.to_owned(), error },
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_route_is_told() {
        let wrong =
            |patterns: &[&str]| check(patterns.iter().copied()).expect_err("wrong routes").to_string();
        assert_eq!(wrong(&["chat"]), r#"route "chat": a path begins with /"#);
        assert_eq!(wrong(&["/{a}", "/{b}"]), r#"route "/{b}" conflicts with "/{a}""#);
        for pattern in ["/chat/:room", "/files/*path", "/*"] {
            let error = format!("route {pattern:?}: a parameter is {{name}}, and {{*name}} all that follows");
            assert_eq!(wrong(&[pattern]), error);
        }
        assert!(wrong(&["/{a"]).starts_with(r#"route "/{a": "#));
        assert_eq!(
            check(["/", "/chat/{room}", "/files/{*path}", "/chat/lobby", "/a:b*"].into_iter()),
            Ok(())
        );
    }
}
