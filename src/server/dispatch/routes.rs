//! Which handler serves which path, and the parameters in it.

use crate::server::api::handler::{Handler, Nothing};
use crate::session::route::Route;
use matchit::{InsertError, Router};
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

/// What is wrong with these patterns, if anything.
pub(crate) fn check<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut router = Router::new();
    for (number, pattern) in patterns.enumerate() {
        if number + 1 >= usize::from(Route::OUTGOING) {
            return Err("at most 32,766 routes".into());
        }
        if !pattern.starts_with('/') {
            return Err(format!("route {pattern:?}: a path begins with /"));
        }
        // They would match themselves and nothing else.
        if pattern.split('/').any(|segment| segment.starts_with([':', '*'])) {
            return Err(format!(
                "route {pattern:?}: a parameter is {{name}}, and {{*name}} all that follows"
            ));
        }
        router.insert(pattern, ()).map_err(|error| match error {
            InsertError::Conflict { with } => format!("route {pattern:?} conflicts with {with:?}"),
            error => format!("route {pattern:?}: {error}"),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_route_is_told() {
        let wrong = |patterns: &[&str]| check(patterns.iter().copied()).expect_err("wrong routes");
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
