//! A host, perhaps with a port, as it stands in URLs, in `Host` and in origins (RFC 3986 §3.2, RFC 9110 §7.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// As it was written.
    pub(crate) text: &'a str,
    /// As it was written; an IPv6 address is in brackets. Perhaps empty.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// `None` if it is not `uri-host [ ":" port ]`: user information, for one, has no place in it.
    pub(crate) fn parse(text: &'a str) -> Option<Authority<'a>> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (text, ""),
        };
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port {
            "" => None,
            port => Some(port.parse().ok().filter(|_| is_number)?),
        };
        is_host(host).then_some(Authority { text, host, port })
    }

    /// Whether it names this machine, in a way that no name server can be made to say.
    pub(crate) fn is_loopback(self) -> bool {
        let name = self.host.strip_suffix('.').unwrap_or(self.host);
        let top = name.rsplit('.').next().unwrap_or_default();
        top.eq_ignore_ascii_case("localhost") || address(name).is_some_and(|address| address.is_loopback())
    }
}

/// Whether two hosts are the same one.
pub(crate) fn is_same_host(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || address(one).is_some_and(|one| address(other) == Some(one))
}

/// The address that a host is; `None` if it is a name. One that is mapped into IPv6 is the IPv4 address.
pub(crate) fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => Some(rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.to_canonical()),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// RFC 3986 §3.2.2. Of literals only IPv6 addresses, for there are no others yet.
fn is_host(text: &str) -> bool {
    if text.starts_with('[') {
        return address(text).is_some();
    }
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte);
        let mut is_hex = || bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit());
        let is_encoded = byte == b'%' && is_hex() && is_hex();
        if !is_plain && !is_encoded {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, host, port) in [
            ("", "", None),
            ("a.example", "a.example", None),
            ("a.example:80", "a.example", Some(80)),
            ("a.example:", "a.example", None),
            (":80", "", Some(80)),
            ("127.0.0.1:65535", "127.0.0.1", Some(65_535)),
            ("[::1]", "[::1]", None),
            ("[::1]:9501", "[::1]", Some(9_501)),
            ("xn--bcher-kva.example.", "xn--bcher-kva.example.", None),
            ("a_b~c!$&'()*+,;=%7e", "a_b~c!$&'()*+,;=%7e", None),
        ] {
            assert_eq!(Authority::parse(text), Some(Authority { text, host, port }), "{text}");
        }
        for text in [
            "a b",
            " a",
            "a/",
            "a?b",
            "a#b",
            "a@b",
            "user:pw@a",
            "b\u{fc}cher",
            "a\\b",
            "a:b",
            "a:+1",
            "a:-1",
            "a:65536",
            "a:80:80",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[a]",
            "[127.0.0.1]",
            "[fe80::1%25eth0]",
            "[v1.a]",
            "a%4",
            "a%zz",
            "a\"",
            "<a>",
            "a|b",
            "a^b",
            "a`b",
            "{a}",
            "a]",
            "a\0",
            "a\t",
        ] {
            assert_eq!(Authority::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn hosts_are_the_same_however_they_are_written() {
        assert!(is_same_host("A.Example", "a.eXample") && is_same_host("[::1]", "[0:0::0:1]"));
        assert!(is_same_host("[2001:DB8::1]", "[2001:db8:0::1]"));
        assert!(!is_same_host("a.example", "b.example") && !is_same_host("[::1]", "[::2]"));
        assert!(!is_same_host("a", "[::1]") && !is_same_host("[::1]", "a"));
    }

    #[test]
    fn this_machine_has_its_names() {
        let is_loopback = |text| Authority::parse(text).expect(text).is_loopback();
        for text in [
            "localhost",
            "LocalHost:9501",
            "localhost.",
            "chat.localhost:80",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]:9501",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(text), "{text}");
        }
        for text in [
            "",
            "localhost.example",
            "notlocalhost",
            "127.0.0.1.example",
            "128.0.0.1",
            "127.1",
            "[::2]",
            "a.example:9501",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(text), "{text}");
        }
    }
}
