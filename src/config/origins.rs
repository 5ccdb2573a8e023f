//! Which pages and which names of hosts are let in: how the settings write them, and whether one is among them.

use super::authority::{Authority, address, is_same_host};
use std::net::IpAddr;

/// Which pages may open a WebSocket, an event stream or a session of long polling, and post to it (RFC 6455 §10.2).
/// Browsers send the page's origin with the request. Clients that are not browsers send none and are always let in. For
/// an image or the like, browsers send no origin either, but say that it is loaded from another site
/// (`Sec-Fetch-Site`): that is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origins {
    /// Only this server's own pages: the origin's host and port equal the `Host` of the request, or the host that one
    /// of the [`trusted_proxies`](crate::Config::trusted_proxies) was asked for. This is the default because browsers
    /// send cookies with cross-site handshakes too: it is the defence against CSRF.
    #[default]
    Same,
    /// Pages of these origins, and those of [`Same`](Origins::Same). Written as browsers write them:
    /// `https://example.com`, `http://localhost:8080`, without a path or a trailing slash. A page that was opened from
    /// a file has the origin `null`. `https://*.example.com` is every
    /// subdomain, at any depth, but not `https://example.com` itself. Default ports may be written. What no browser
    /// ever sends is an error at start.
    List(Vec<String>),
    /// Any page.
    Any,
}

/// Which hosts a request may be for, by its `Host`; others get 421. A page of anybody's can have a name server say that
/// its own name is `127.0.0.1`: its requests then reach a server that only this machine can reach, and to the browser
/// they are of the same origin. Only their `Host` shows it. Requests that name no host come from no browser, and are
/// let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hosts {
    /// The default. On listeners that are bound to a loopback address: `localhost`, `*.localhost` and loopback
    /// addresses; and whatever a proxy on this machine was asked for: it is one of the
    /// [`trusted_proxies`](crate::Config::trusted_proxies), says for whom it asks, and its `Host` has not the
    /// listener's own port, which a browser that connects itself always has there. On all other listeners: any.
    #[default]
    Auto,
    /// These, on all listeners, whatever the port: `example.com`, `192.0.2.7`, `[2001:db8::7]`. `*.example.com` is
    /// every subdomain, at any depth, but not `example.com` itself. Behind a proxy that passes on which host it was
    /// asked for, as described at [`trusted_proxies`](crate::Config::trusted_proxies), that one counts.
    List(Vec<String>),
    /// Any.
    Any,
}

/// An origin as browsers write it (RFC 6454 §6.2).
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    /// `None`: the scheme's own.
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Origin<'a>> {
        let (scheme, authority) = text.split_once("://")?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(is_plain) {
            return None;
        }
        let Authority { host, port, .. } = Authority::parse(authority)?;
        let origin = Origin { scheme, host, port: port.filter(|port| Some(*port) != default_port(scheme)) };
        (!host.is_empty()).then_some(origin)
    }

    /// Whether a page of this origin was loaded from `host`. The scheme is not compared: behind a proxy that ends TLS,
    /// the server can't know which one the page was loaded with.
    fn is_of(self, host: Authority<'_>) -> bool {
        let default = default_port(self.scheme);
        default.is_some()
            && is_same_host(self.host, host.host)
            && self.port.or(default) == host.port.or(default)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    [("http", 80), ("https", 443)]
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(scheme))
        .map(|(_, port)| *port)
}

impl Origins {
    /// Whether a page of `origin` may do what it asks for. `host`: what the request is for.
    pub(crate) fn let_in(&self, origin: &str, host: Option<Authority<'_>>) -> bool {
        let page = Origin::parse(origin);
        let is_own = page.zip(host).is_some_and(|(page, host)| page.is_of(host));
        match self {
            Origins::Any => true,
            Origins::Same => is_own,
            Origins::List(list) => is_own || list.iter().any(|entry| is_page(entry, origin, page)),
        }
    }

    /// What is wrong with them, if they can't work.
    pub(super) fn check(&self) -> Result<(), String> {
        let Origins::List(list) = self else { return Ok(()) };
        list.iter().try_for_each(|entry| check_origin(entry).map_err(|what| format!("has {entry:?}, {what}")))
    }
}

impl Hosts {
    /// Whether this host is in the list; `None` if there is none.
    pub(crate) fn list(&self, host: &str) -> Option<bool> {
        match self {
            Hosts::Auto | Hosts::Any => None,
            Hosts::List(list) => Some(list.iter().any(|entry| is_meant(entry, host))),
        }
    }

    /// What is wrong with them, if they can't work.
    pub(super) fn check(&self) -> Result<(), String> {
        let Hosts::List(list) = self else { return Ok(()) };
        list.iter().try_for_each(|entry| {
            let what = match Authority::parse(entry) {
                Some(Authority { host, port: None, text }) if host == text => match check_host(host) {
                    Ok(()) => return Ok(()),
                    Err(what) => what,
                },
                Some(_) => "which has a port: write the name alone",
                None => NO_HOST,
            };
            Err(format!("has {entry:?}, {what}"))
        })
    }
}

/// For pages without an origin, browsers send this.
const NULL: &str = "null";
/// What a wildcard begins with.
const WILDCARD: &str = "*.";

const NO_HOST: &str =
    "which is no host: write a name (in punycode), or an address, in brackets if it is of IPv6";

/// Whether an entry of a list, which may have a wildcard, means this host.
fn is_meant(entry: &str, host: &str) -> bool {
    let Some(name) = entry.strip_prefix(WILDCARD) else { return is_same_host(entry, host) };
    let Some(at) = host.len().checked_sub(name.len()).filter(|at| *at >= 2) else { return false };
    let (labels, rest) = host.as_bytes().split_at(at);
    labels.ends_with(b".") && rest.eq_ignore_ascii_case(name.as_bytes())
}

/// Whether an entry of a list means the page of `origin`, which was read as `page`.
fn is_page(entry: &str, origin: &str, page: Option<Origin<'_>>) -> bool {
    match (Origin::parse(entry), page) {
        (Some(entry), Some(page)) => {
            entry.scheme.eq_ignore_ascii_case(page.scheme)
                && entry.port == page.port
                && is_meant(entry.host, page.host)
        }
        (None, None) => entry == NULL && origin == NULL,
        _ => false,
    }
}

fn check_origin(entry: &str) -> Result<(), &'static str> {
    if entry == NULL {
        return Ok(());
    }
    if entry == "*" {
        return Err("which is no origin: to let in any page, say so in place of the list");
    }
    let origin = Origin::parse(entry).ok_or(
        "which is no origin: write scheme://host[:port], no path, names in punycode, IPv6 addresses in brackets",
    )?;
    if ["ws", "wss"].iter().any(|scheme| scheme.eq_ignore_ascii_case(origin.scheme)) {
        return Err("which no page has: pages are of http:// or https://");
    }
    if origin.port == Some(0) {
        return Err("which no page has: there is no port 0");
    }
    // What the hosts of other schemes are is theirs to say.
    let has_rules = default_port(origin.scheme).is_some() || origin.host.contains('*');
    if has_rules { check_host(origin.host) } else { Ok(()) }
}

/// Whether browsers ever send this host, or one that it stands for.
fn check_host(entry: &str) -> Result<(), &'static str> {
    let name = entry.strip_prefix(WILDCARD).unwrap_or(entry);
    if name.contains('*') {
        return Err("whose wildcard does not stand for subdomains: write *.example.com");
    }
    let is_wildcard = name.len() < entry.len();
    match address(name) {
        Some(_) if is_wildcard => {
            return Err("whose wildcard stands before an address, which has no subdomains");
        }
        Some(IpAddr::V4(_) | IpAddr::V6(_)) => return Ok(()),
        None => {}
    }
    let labels = name.strip_suffix('.').unwrap_or(name);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !labels.split('.').all(|label| !label.is_empty() && label.bytes().all(is_plain)) {
        return Err(NO_HOST);
    }
    // WHATWG URL §3.5: a host whose last label is a number is an address, which browsers write in one way.
    let last = labels.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("which is no host: an address has four numbers, such as 127.0.0.1");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Option<Authority<'_>> {
        Some(Authority::parse(text).expect(text))
    }

    #[test]
    fn the_same_origin_is_judged_by_host_and_port() {
        let is_same = |of: &'static str, origin| Origins::Same.let_in(origin, host(of));
        for (of, origin) in [
            ("a.example", "http://a.example"),
            ("A.example:80", "http://a.example"),
            ("a.example:80", "HTTP://A.example"),
            ("a.example", "https://a.example:443"),
            ("127.0.0.1:9501", "http://127.0.0.1:9501"),
            ("[::1]:9501", "http://[::1]:9501"),
            ("[0:0::1]", "http://[::1]:80"),
        ] {
            assert!(is_same(of, origin), "{of} {origin}");
        }
        for (of, origin) in [
            ("a.example", "http://b.example"),
            ("a.example", "http://a.example:81"),
            ("a.example:443", "http://a.example"),
            ("a.example", "http://a.example.evil"),
            ("a.example", "http://user@a.example"),
            ("a.example", "http://a.example/"),
            ("a.example", "http://a.example http://a.example"),
            ("a.example", "null"),
            ("a.example", "ftp://a.example"),
            ("a.example", "a.example"),
            ("a.example", "://a.example"),
            ("", "http://"),
            ("null", "null"),
        ] {
            assert!(!is_same(of, origin), "{of} {origin}");
        }
        assert!(!Origins::Same.let_in("http://a.example", None));
    }

    #[test]
    fn a_list_means_what_is_written_in_it() {
        let list = |entries: &[&str]| Origins::List(entries.iter().map(|entry| entry.to_string()).collect());
        for (entry, origin) in [
            ("https://a.example", "https://a.example"),
            ("https://a.example:443", "https://a.example"),
            ("HTTPS://A.Example", "https://a.example"),
            ("http://a.example:8080", "http://a.example:8080"),
            ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080"),
            ("https://*.example", "https://a.example"),
            ("https://*.example", "https://a.b.Example:443"),
            ("http://*.a.example:81", "http://x.a.example:81"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
            ("app://.", "app://."),
            ("null", "null"),
        ] {
            let list = list(&["https://other.example", entry]);
            assert_eq!(list.check(), Ok(()), "{entry}");
            assert!(list.let_in(origin, host("own.test")), "{entry} {origin}");
            assert!(list.let_in("https://own.test", host("own.test")), "its own pages too");
        }
        for (entry, origin) in [
            ("https://a.example", "http://a.example"),
            ("https://a.example", "https://a.example:80"),
            ("https://a.example", "https://b.a.example"),
            ("https://*.example", "https://example"),
            ("https://*.example", "https://.example"),
            ("https://*.example", "https://aexample"),
            ("https://*.example", "https://a.example:81"),
            ("https://*.example", "http://a.example"),
            ("https://a.example", "null"),
            ("null", "https://null"),
        ] {
            assert!(!list(&[entry]).let_in(origin, host("own.test")), "{entry} {origin}");
        }
    }

    #[test]
    fn what_could_never_match_is_refused() {
        for (entry, what) in [
            ("", "no origin"),
            ("*", "to let in any page"),
            ("a.example", "no origin"),
            ("NULL", "no origin"),
            ("https://", "no origin"),
            ("https://a.example/", "no origin"),
            ("https://a.example/x", "no origin"),
            ("https://user@a.example", "no origin"),
            ("https://b\u{fc}cher.example", "punycode"),
            ("https://::1", "brackets"),
            ("https://a.example:x", "no origin"),
            ("https://a.example:0", "port 0"),
            ("1http://a", "no origin"),
            ("wss://a.example", "http:// or https://"),
            ("ws://a.example", "http:// or https://"),
            ("https://*", "*.example.com"),
            ("https://a.*.example", "*.example.com"),
            ("https://*a.example", "*.example.com"),
            ("https://*.*.example", "*.example.com"),
            ("https://*.127.0.0.1", "no subdomains"),
            ("https://127.1", "four numbers"),
            ("https://a..example", "no host"),
            ("https://a%2eexample", "no host"),
            ("https://a,b", "no host"),
        ] {
            let error =
                Origins::List(vec!["https://a.example".into(), entry.into()]).check().expect_err(entry);
            assert!(error.starts_with(&format!("has {entry:?}, wh")) && error.contains(what), "{error}");
        }
        assert_eq!((Origins::Same.check(), Origins::Any.check()), (Ok(()), Ok(())));
    }

    #[test]
    fn hosts_are_names_without_ports() {
        let entries = ["a.example", "*.b.example", "192.0.2.7", "[2001:db8::7]"];
        let hosts = Hosts::List(entries.map(str::to_owned).into());
        assert_eq!(hosts.check(), Ok(()));
        for host in ["a.example", "A.EXAMPLE", "x.b.example", "192.0.2.7", "[2001:db8:0::7]"] {
            assert_eq!(hosts.list(host), Some(true), "{host}");
        }
        for host in ["", "b.example", "a.example.", "x.a.example", "192.0.2.8", "localhost"] {
            assert_eq!(hosts.list(host), Some(false), "{host}");
        }
        assert_eq!((Hosts::Auto.list("a"), Hosts::Any.list("a")), (None, None));
        for (entry, what) in [
            ("", "no host"),
            ("a.example:80", "has a port"),
            ("a.example:", "has a port"),
            ("https://a.example", "no host"),
            ("2001:db8::7", "brackets"),
            ("*", "*.example.com"),
            ("127.1", "four numbers"),
        ] {
            let error = Hosts::List(vec![entry.into()]).check().expect_err(entry);
            assert!(error.contains(what), "{error}");
        }
    }
}
