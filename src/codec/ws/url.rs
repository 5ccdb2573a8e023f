//! `ws://` URLs (RFC 6455 §3). They have only a host, a port, a path and a query, so a few lines do instead of a crate;
//! errors name everything else that people write in URLs.

use std::fmt;
use std::net::IpAddr;

/// What is wrong with a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UrlError {
    /// A blank or a control character.
    NotPrintable,
    NotAscii,
    Scheme,
    Tls,
    Fragment,
    Credentials,
    NoHost,
    HostName,
    NoBracket,
    NotIpv6,
    AfterBracket,
    Port,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlError::NotPrintable => "blanks and control characters have to be percent-encoded",
            UrlError::NotAscii => "only ASCII: names in punycode (xn--), paths percent-encoded",
            UrlError::Scheme => "a URL begins with ws://",
            UrlError::Tls => "wss:// is not supported yet; connect through a local TLS proxy such as stunnel",
            UrlError::Fragment => "a WebSocket URL has no fragment (#)",
            UrlError::Credentials => "credentials do not belong in the URL: send an Authorization header",
            UrlError::NoHost => "no host",
            UrlError::HostName => "no host name; an IPv6 address stands in brackets",
            UrlError::NoBracket => "an IPv6 address ends with ]",
            UrlError::NotIpv6 => "no IPv6 address in the brackets",
            UrlError::AfterBracket => "only :PORT may follow the ]",
            UrlError::Port => "a port is a number from 1 to 65535",
        })
    }
}

/// A URL that a client can connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// A host name, or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The path, which begins with `/`, with the query.
    pub(crate) target: String,
}

impl Url {
    pub(crate) fn parse(url: &str) -> Result<Url, UrlError> {
        if let Some(at) = url.bytes().position(|byte| !(0x21..=0x7e).contains(&byte)) {
            let is_ascii = url.as_bytes()[at] < 0x80;
            return Err(if is_ascii { UrlError::NotPrintable } else { UrlError::NotAscii });
        }
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "ws" => {}
            "wss" => return Err(UrlError::Tls),
            _ => return Err(UrlError::Scheme),
        }
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (host, port) = split_port(authority)?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Url { host: host.to_ascii_lowercase(), port, target })
    }

    /// The host, if it is an address and not a name.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The value of the Host header, without the port if it is the scheme's default.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws://{}{}", self.authority(), self.target)
    }
}

fn split_port(authority: &str) -> Result<(&str, u16), UrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(UrlError::NoBracket)?;
            if !matches!(host.parse(), Ok(IpAddr::V6(_))) {
                return Err(UrlError::NotIpv6);
            }
            match port.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if port.is_empty() => (host, None),
                None => return Err(UrlError::AfterBracket),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match host {
        "" => return Err(UrlError::NoHost),
        host if !authority.starts_with('[') && !host.bytes().all(is_name) => {
            return Err(UrlError::HostName);
        }
        _ => {}
    }
    match port {
        None | Some("") => Ok((host, 80)),
        Some(port) => match port.parse() {
            Ok(port @ 1..) if !authority.contains('+') => Ok((host, port)),
            _ => Err(UrlError::Port),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, host, port, target, authority) in [
            ("ws://example.com", "example.com", 80, "/", "example.com"),
            ("WS://Example.COM:80/Chat?a=B", "example.com", 80, "/Chat?a=B", "example.com"),
            ("ws://127.0.0.1:9501/chat", "127.0.0.1", 9501, "/chat", "127.0.0.1:9501"),
            ("ws://[::1]:9501", "::1", 9501, "/", "[::1]:9501"),
            ("ws://[2001:db8::1]/x", "2001:db8::1", 80, "/x", "[2001:db8::1]"),
            ("ws://host?x=/y:1", "host", 80, "/?x=/y:1", "host"),
            ("ws://host:/", "host", 80, "/", "host"),
            ("ws://a-b.c_d:65535/%20", "a-b.c_d", 65535, "/%20", "a-b.c_d:65535"),
        ] {
            let expected = Url { host: host.into(), port, target: target.into() };
            assert_eq!(Url::parse(url), Ok(expected.clone()), "{url}");
            assert_eq!(expected.authority(), authority, "{url}");
            assert_eq!(Url::parse(&expected.to_string()), Ok(expected), "{url}");
        }
        assert_eq!(Url::parse("ws://[::1]").expect("a URL").address(), "::1".parse().ok());
        assert_eq!(Url::parse("ws://localhost").expect("a URL").address(), None);
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told() {
        for (url, what) in [
            ("", "begins with ws://"),
            ("example.com", "begins with ws://"),
            ("http://example.com", "begins with ws://"),
            ("wss://example.com", "TLS"),
            ("ws://", "no host"),
            ("ws:///chat", "no host"),
            ("ws://:80/", "no host"),
            ("ws://host:0", "port"),
            ("ws://host:65536", "port"),
            ("ws://host:+1", "port"),
            ("ws://host:80x", "port"),
            ("ws://::1/", "no host"),
            ("ws://[::1", "ends with ]"),
            ("ws://[::1]80", "follow the ]"),
            ("ws://[127.0.0.1]", "no IPv6"),
            ("ws://[]", "no IPv6"),
            ("ws://user:pass@host/", "credentials"),
            ("ws://host/#top", "fragment"),
            ("ws://host/a b", "percent-encoded"),
            ("ws://host/\r\nX: y", "percent-encoded"),
            ("ws://bücher.example", "punycode"),
            ("ws://ho%73t/", "no host name"),
        ] {
            let error = Url::parse(url).expect_err(url);
            assert!(error.to_string().contains(what), "{url}: {error}");
        }
    }
}
