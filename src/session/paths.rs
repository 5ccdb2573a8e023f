//! Which route a path has, and what each route allows. All pairs of a route and a listener with options of its own are
//! numbered at start, so that a connection needs one number for its handler and its limits together.

use crate::config::options::Overrides;
use crate::config::{Config, ConfigError};
use crate::net::rate::Rates;
use crate::session::policy::Policy;
use crate::session::route::Route;
use matchit::{InsertError, Router};
use std::fmt;
use std::sync::Arc;

/// The options of a listener, and its name in error messages.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) overrides: Overrides,
}

/// The listeners and routes that were asked for at start, in order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Listeners for raw TCP.
    pub(crate) tcp: Vec<Named>,
    /// Listeners for HTTP that have options of their own; all others are alike.
    pub(crate) listeners: Vec<Named>,
    pub(crate) routes: Vec<(String, Overrides)>,
}

/// Routes are numbered so:
///
/// ```text
/// 0                     the root handler, by any listener without options
/// 1 ..= T               raw TCP, a number for each listener
/// T + 1 ..= T + P       the P paths, by any listener without options
/// then, for each listener with options, 1 + P numbers: the root handler, and the paths
/// then clients with a handler of their own
/// ```
#[derive(Debug)]
pub(crate) struct Paths {
    plan: Plan,
    /// Gives the number of a path, counted from 0. `None`: the root handler serves every path.
    router: Option<Arc<Router<usize>>>,
    /// By the number of the route. Only the first one, if nothing has options.
    policies: Vec<Policy>,
}

impl Plan {
    /// How many route numbers there are.
    fn len(&self) -> usize {
        self.tcp.len() + (1 + self.listeners.len()) * (1 + self.routes.len())
    }

    fn has_options(&self) -> bool {
        !self.listeners.is_empty()
            || self.tcp.iter().any(|tcp| !tcp.overrides.is_empty())
            || self.routes.iter().any(|(_, overrides)| !overrides.is_empty())
    }

    /// The configuration of each route in the order of their numbers, and its name in error messages.
    fn resolve<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = (String, Config)> + 'a {
        let alone = |name: String, overrides: &Overrides| {
            let mut config = config.clone();
            overrides.apply(&mut config);
            (name, config)
        };
        let root = std::iter::once((String::new(), config.clone()));
        let tcp = self.tcp.iter().map(move |tcp| alone(tcp.name.clone(), &tcp.overrides));
        let plain = self.routes.iter().map(move |(pattern, own)| alone(format!("route {pattern:?}"), own));
        let pairs = self.listeners.iter().flat_map(move |listener| {
            let (name, base) = alone(listener.name.clone(), &listener.overrides);
            let root = std::iter::once((name.clone(), base.clone()));
            root.chain(self.routes.iter().map(move |(pattern, own)| {
                let mut config = base.clone();
                own.apply(&mut config);
                (format!("route {pattern:?} by {name}"), config)
            }))
        });
        root.chain(tcp).chain(plain).chain(pairs)
    }

    fn policies(&self, config: &Config) -> Result<Vec<Policy>, ConfigError> {
        if !self.has_options() {
            return Ok(vec![Policy::new(config)]);
        }
        let mut policies = Vec::with_capacity(self.len());
        let known = config.warnings();
        for (name, resolved) in self.resolve(config) {
            resolved.check().map_err(|error| error.of(name.clone()))?;
            for warning in resolved.warnings().iter().filter(|warning| !known.contains(warning)) {
                log::warn!("{name}: {warning}");
            }
            policies.push(Policy::new(&resolved));
        }
        Ok(policies)
    }
}

impl Paths {
    pub(crate) fn new(plan: Plan, config: &Config) -> Result<Paths, ConfigError> {
        if plan.len() >= usize::from(Route::OUTGOING) {
            let what = "at most 32,767 routes, counted anew for each listener that has options of its own";
            return Err(ConfigError::new("", what));
        }
        for tcp in &plan.tcp {
            tcp.overrides.check_for_tcp().map_err(|error| error.of(tcp.name.clone()))?;
        }
        let router = router(plan.routes.iter().map(|(pattern, _)| &**pattern));
        let router = router.map_err(|error| ConfigError::new("", error.to_string()))?;
        let router = (!plan.routes.is_empty()).then(|| Arc::new(router));
        Ok(Paths { policies: plan.policies(config)?, plan, router })
    }

    /// Applies another configuration; options of a route or listener stay. If this fails, nothing is changed.
    pub(crate) fn reload(&mut self, config: &Config) -> Result<(), ConfigError> {
        self.policies = self.plan.policies(config)?;
        Ok(())
    }

    /// How many routes there are at start.
    pub(crate) fn len(&self) -> usize {
        self.plan.len()
    }

    /// The route of connections that come by this listener for HTTP with options.
    pub(crate) fn listener(&self, number: usize) -> Route {
        let (tcp, routes) = (self.plan.tcp.len(), self.plan.routes.len());
        Route::new(tcp + (1 + number) * (1 + routes)).expect("counted at start")
    }

    #[inline]
    pub(crate) fn policy(&self, route: Route) -> &Policy {
        // A connection that this side opened did not come by a path.
        let number = if route.is_outgoing() { 0 } else { route.number() };
        self.policies.get(number).unwrap_or(&self.policies[0])
    }

    pub(crate) fn rates(&self) -> Vec<Rates> {
        self.policies.iter().map(|policy| policy.rates).collect()
    }

    /// A configuration that allows everything that any route allows. Limits for all connections together follow from
    /// it.
    pub(crate) fn widest(&self, config: &Config) -> Config {
        let mut widest = config.clone();
        for policy in &self.policies {
            widest.event_streams |= policy.event_streams;
            widest.long_polling |= policy.long_polling;
            widest.message_bytes_max = widest.message_bytes_max.max(policy.message_bytes_max);
            widest.body_bytes_max = widest.body_bytes_max.max(policy.body_bytes_max);
        }
        widest
    }

    /// The number of the framing of a raw TCP listener; `None` if the listener speaks HTTP.
    pub(crate) fn framing_of(&self, listener: Route) -> Option<u8> {
        let framing = listener.number().checked_sub(1).filter(|framing| *framing < self.plan.tcp.len())?;
        u8::try_from(framing).ok()
    }

    /// Matches paths while handlers run. `None`: the root handler serves every path.
    pub(crate) fn router(&self) -> Option<Arc<Router<usize>>> {
        self.router.clone()
    }

    /// The route of the path with this number, for connections that come by `listener`.
    pub(crate) fn route(&self, listener: Route, path: usize) -> Route {
        let base = if listener == Route::ROOT { self.plan.tcp.len() } else { listener.number() };
        Route::new(base + 1 + path).expect("counted at start")
    }

    /// The route whose policy applies to a path: the path's own if it has one and policies differ, else the
    /// listener's.
    pub(crate) fn policy_route(&self, listener: Route, path: &str) -> Route {
        match &self.router {
            Some(router) if self.policies.len() > 1 => {
                router.at(path).map_or(listener, |matched| self.route(listener, *matched.value))
            }
            _ => listener,
        }
    }
}

/// The router gives each parameter of a pattern a letter, and panics when there are none left.
const PARAMETERS_MAX: usize = 25;

/// What is wrong with the pattern of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RouteError {
    NotAPath {
        pattern: String,
    },
    /// A parameter in the style of another router: it would match only itself.
    Parameter {
        pattern: String,
    },
    TooManyParameters {
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
            RouteError::NotAPath { pattern } => write!(f, "route {pattern:?}: a path begins with /"),
            RouteError::Parameter { pattern } => {
                write!(f, "route {pattern:?}: a parameter is {{name}}, and {{*name}} all that follows")
            }
            RouteError::TooManyParameters { pattern } => {
                write!(f, "route {pattern:?}: at most {PARAMETERS_MAX} parameters")
            }
            RouteError::Conflict { pattern, with } => {
                write!(f, "route {pattern:?} conflicts with {with:?}")
            }
            RouteError::Malformed { pattern, error } => write!(f, "route {pattern:?}: {error}"),
        }
    }
}

/// A router for these patterns, if they can be routes together.
fn router<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<Router<usize>, RouteError> {
    let mut router = Router::new();
    for (number, pattern) in patterns.enumerate() {
        if !pattern.starts_with('/') {
            return Err(RouteError::NotAPath { pattern: pattern.to_owned() });
        }
        // A double brace stands for itself.
        if pattern.replace("{{", "").matches('{').count() > PARAMETERS_MAX {
            return Err(RouteError::TooManyParameters { pattern: pattern.to_owned() });
        }
        if pattern.split('/').any(|segment| segment.starts_with([':', '*'])) {
            return Err(RouteError::Parameter { pattern: pattern.to_owned() });
        }
        router.insert(pattern, number).map_err(|error| match error {
            InsertError::Conflict { with } => RouteError::Conflict { pattern: pattern.to_owned(), with },
            error => RouteError::Malformed { pattern: pattern.to_owned(), error },
        })?;
    }
    Ok(router)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::RouteOptions;

    #[test]
    fn what_is_wrong_with_a_route_is_told() {
        let wrong =
            |patterns: &[&str]| router(patterns.iter().copied()).expect_err("wrong routes").to_string();
        assert_eq!(wrong(&["chat"]), r#"route "chat": a path begins with /"#);
        assert_eq!(wrong(&["/{a}", "/{b}"]), r#"route "/{b}" conflicts with "/{a}""#);
        for pattern in ["/chat/:room", "/files/*path", "/*"] {
            let error = format!("route {pattern:?}: a parameter is {{name}}, and {{*name}} all that follows");
            assert_eq!(wrong(&[pattern]), error);
        }
        assert!(wrong(&["/{a"]).starts_with(r#"route "/{a": "#));
        let many = |count: usize| (0..count).map(|number| format!("/{{p{number}}}")).collect::<String>();
        assert_eq!(wrong(&[&many(26)]), format!("route {:?}: at most 25 parameters", many(26)));
        assert!(router([&*many(25), &"/{{a}}".repeat(30)].into_iter()).is_ok());
        let right = ["/", "/chat/{room}", "/files/{*path}", "/chat/lobby", "/a:b*"];
        assert!(router(right.into_iter()).is_ok());
    }

    /// Limits messages to so many bytes.
    fn bytes(max: Option<usize>) -> Overrides {
        max.map_or(RouteOptions::new(""), |max| RouteOptions::new("").message_bytes_max(max)).overrides
    }

    #[test]
    fn each_pair_of_route_and_listener_has_its_number_and_its_limits() {
        let named = |max| Named { name: String::new(), overrides: bytes(max) };
        let plan = Plan {
            tcp: vec![named(None), named(Some(10))],
            listeners: vec![named(Some(20)), named(Some(30))],
            routes: vec![("/a".into(), bytes(Some(40))), ("/b".into(), bytes(None))],
        };
        let config = Config { message_bytes_max: 50, ..Config::default() };
        let mut paths = Paths::new(plan, &config).expect("valid");
        let listeners = [paths.listener(0), paths.listener(1)];
        let max = |paths: &Paths, route: Route| paths.policy(route).message_bytes_max;
        assert_eq!(
            [0, 1].map(|framing| (paths.framing_of(Route::tcp(framing)), max(&paths, Route::tcp(framing)))),
            [(Some(0), 50), (Some(1), 10)]
        );
        let mut seen = vec![Route::ROOT, Route::tcp(0), Route::tcp(1)];
        for (listener, expected) in [(Route::ROOT, 50), (listeners[0], 20), (listeners[1], 30)] {
            assert_eq!((paths.framing_of(listener), max(&paths, listener)), (None, expected));
            let routes = ["/a", "/b", "/c"].map(|path| paths.policy_route(listener, path));
            assert_eq!(routes.map(|route| max(&paths, route)), [40, expected, expected]);
            assert_eq!(routes[2], listener);
            seen.extend([listener, routes[0], routes[1]]);
        }
        seen.sort_by_key(|route| route.number());
        seen.dedup();
        assert_eq!(seen.iter().map(|route| route.number()).collect::<Vec<_>>(), (0..11).collect::<Vec<_>>());
        assert_eq!(max(&paths, Route::tcp(1).outgoing()), 50);
        assert_eq!(paths.widest(&config).message_bytes_max, 50);

        paths.reload(&Config { message_bytes_max: 5, ..Config::default() }).expect("valid");
        assert_eq!((max(&paths, Route::ROOT), max(&paths, listeners[1])), (5, 30));
        assert_eq!(paths.widest(&config).message_bytes_max, 50);
        assert_eq!(paths.widest(&Config { message_bytes_max: 5, ..Config::default() }).message_bytes_max, 40);
        let error = paths.reload(&Config { inbound_bytes_max: 1, ..Config::default() }).expect_err("too few");
        assert_eq!((error.key(), max(&paths, Route::ROOT)), ("inbound_bytes_max", 5));
    }

    #[test]
    fn without_options_there_is_one_policy_for_all() {
        let plan = Plan { routes: vec![("/a".into(), Overrides::default())], ..Plan::default() };
        let paths = Paths::new(plan, &Config::default()).expect("valid");
        assert_eq!((paths.policies.len(), paths.policy_route(Route::ROOT, "/a")), (1, Route::ROOT));
        assert_eq!(paths.route(Route::ROOT, 0), Route::new(1).expect("few"));
    }
}
