//! Which host a request is for, and whether that host and the page that asks are let in.

use crate::codec::http::{Head, Refusal, forwarded, origin};
use crate::config::Hosts;
use crate::config::authority::Authority;
use crate::fd::Fd;
use crate::session::Sessions;
use crate::session::route::Route;

/// The port that a URL without one means.
const HTTP_PORT: u16 = 80;

impl Sessions {
    /// Refuses a request for a host that is not served. Those that name none come from no browser.
    pub(crate) fn check_host(&self, fd: Fd, head: &Head<'_>) -> Result<(), Refusal> {
        let Some(host) = head.host().filter(|authority| !authority.host.is_empty()) else { return Ok(()) };
        let asked = || self.asked_host(fd, head).unwrap_or(host);
        let is_served = match &self.config.hosts {
            Hosts::Any => true,
            Hosts::Auto => {
                host.is_loopback() || !self.is_loopback_only(fd) || self.is_passed_on(fd, head, host)
            }
            hosts @ Hosts::List(_) => hosts.list(asked().host).unwrap_or(true),
        };
        if is_served {
            return Ok(());
        }
        log::debug!("{fd}: asks for the host {:?}, which the setting hosts does not let in", asked().text);
        Err(Refusal::Host)
    }

    /// Refuses what the page may not do that a request comes from.
    pub(crate) fn check_origin(&self, fd: Fd, head: &Head<'_>, route: Route) -> Result<(), Refusal> {
        origin::check(head, &self.policy(route).origins, self.asked_host(fd, head))
    }

    /// The host that the client asked for: a trusted proxy may ask for another one and tell which it was.
    pub(crate) fn asked_host<'a>(&self, fd: Fd, head: &Head<'a>) -> Option<Authority<'a>> {
        let host = head.host();
        let (header, trusted) = (self.config.forwarded_header, &self.config.trusted_proxies);
        host.filter(|host| self.connections.is_via_proxy(fd) && self.is_passed_on(fd, head, *host))
            .and_then(|_| forwarded::host(head, header, trusted))
            .or(host)
    }

    /// Whether a trusted proxy passes on a request of somebody else's. A page can put all headers of a proxy into its
    /// own requests to a server on its machine; but the browser names the port that it connects to in `Host`, and a
    /// proxy that passes on what it was asked for another one.
    fn is_passed_on(&self, fd: Fd, head: &Head<'_>, host: Authority<'_>) -> bool {
        let (header, trusted) = (self.config.forwarded_header, &self.config.trusted_proxies);
        let has_own_port = || {
            let local = self.connections.get(fd).and_then(|connection| connection.stream.local_addr());
            local.is_some_and(|local| local.port() == host.port.unwrap_or(HTTP_PORT))
        };
        self.connections.is_via_proxy(fd)
            && (forwarded::client(head, header, trusted).is_some()
                || forwarded::host(head, header, trusted).is_some())
            && (host.is_loopback() || !has_own_port())
    }

    /// Whether a connection came by a listener that only this machine can reach.
    fn is_loopback_only(&self, fd: Fd) -> bool {
        let listeners = &self.loopback_listeners;
        !listeners.is_empty()
            && self
                .connections
                .get(fd)
                .and_then(|connection| connection.stream.local_addr())
                .is_some_and(|local| listeners.contains(&local))
    }
}
