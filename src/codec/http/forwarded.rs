//! The client's address behind a reverse proxy, and the host that it asked for: from `X-Forwarded-For` and
//! `X-Forwarded-Host`, or from `Forwarded` (RFC 7239). Only the last entry was written by the proxy itself; all entries
//! before it are what the proxy received, and may be forged.

use super::Head;
use crate::config::authority::Authority;
use crate::config::{ForwardedHeader, Network};
use std::net::{IpAddr, SocketAddr};

/// The right-most address that is not a trusted proxy, or the left-most one if all are trusted. `None` if that entry is
/// not an address. The port is 0 if the entry has none.
pub(crate) fn client(head: &Head<'_>, header: ForwardedHeader, trusted: &[Network]) -> Option<SocketAddr> {
    entry_of_client(head, header, trusted).map(|(client, _)| client)
}

/// The host that the proxy was asked for: the last one that it tells, or what stands beside the client.
pub(crate) fn host<'a>(
    head: &Head<'a>,
    header: ForwardedHeader,
    trusted: &[Network],
) -> Option<Authority<'a>> {
    let host = match header {
        ForwardedHeader::XForwardedFor => head.list("x-forwarded-host").last()?,
        ForwardedHeader::Forwarded => pair(entry_of_client(head, header, trusted)?.1, "host")?,
    };
    Authority::parse(host).filter(|authority| !authority.host.is_empty())
}

/// The client's address, and the entry that has it.
fn entry_of_client<'a>(
    head: &Head<'a>,
    header: ForwardedHeader,
    trusted: &[Network],
) -> Option<(SocketAddr, &'a str)> {
    let name = match header {
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
        ForwardedHeader::Forwarded => "forwarded",
    };
    let mut client = None;
    let lines: Vec<&[u8]> = head.values(name).collect();
    // Quotes are ignored: an unclosed one in the client's part must not hide the part that the proxy added.
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')) {
        let entry = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
        let node = match header {
            ForwardedHeader::XForwardedFor => entry,
            ForwardedHeader::Forwarded => pair(entry, "for")?,
        };
        let address = address(node)?;
        client = Some((address, entry));
        if !trusted.iter().any(|network| network.contains(address.ip())) {
            break;
        }
    }
    client
}

/// The value of this name in one element of `Forwarded`.
fn pair<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(other, _)| other.trim_matches([' ', '\t']).eq_ignore_ascii_case(name));
    let value = values.next()?.1.trim_matches([' ', '\t']);
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

fn address(node: &str) -> Option<SocketAddr> {
    let plain = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
    match plain.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip.to_canonical(), 0)),
        Err(_) => node.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::HEADERS_MAX;
    use super::*;

    fn client_of(lines: &[u8], header: ForwardedHeader) -> Option<String> {
        let bytes = [b"GET / HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n\r\n"].concat();
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let (head, _) = Head::parse(&bytes, &mut headers).expect("a good head").expect("a whole head");
        let trusted = ["10.0.0.0/8", "::1"].map(|network| network.parse().expect("a network"));
        client(&head, header, &trusted).map(|address| address.to_string())
    }

    #[test]
    fn the_last_that_is_not_trusted_is_the_client() {
        for (value, expected) in [
            ("192.0.2.1", Some("192.0.2.1:0")),
            ("192.0.2.1:80", Some("192.0.2.1:80")),
            ("2001:db8::1", Some("[2001:db8::1]:0")),
            ("[2001:db8::1]", Some("[2001:db8::1]:0")),
            ("[2001:db8::1]:80", Some("[2001:db8::1]:80")),
            ("::ffff:192.0.2.1", Some("192.0.2.1:0")),
            // Entries before it may be forged.
            ("6.6.6.6, 192.0.2.1", Some("192.0.2.1:0")),
            ("6.6.6.6,192.0.2.1 , 10.1.1.1,\t10.0.0.1", Some("192.0.2.1:0")),
            ("nonsense, 192.0.2.1, 10.0.0.1", Some("192.0.2.1:0")),
            ("10.0.0.3, 10.0.0.2", Some("10.0.0.3:0")),
            ("unknown", None),
            ("192.0.2.1, unknown", None),
            ("192.0.2.1, unknown, 10.0.0.1", None),
            ("192.0.2.1,", None),
            ("", None),
            ("192.0.2.1:99999", None),
            ("192.0.2", None),
            ("\"192.0.2.1\"", None),
        ] {
            let line = format!("X-Forwarded-For: {value}\r\nForwarded: for=6.6.6.6");
            assert_eq!(
                client_of(line.as_bytes(), ForwardedHeader::XForwardedFor).as_deref(),
                expected,
                "{value:?}"
            );
        }
        // In separate lines, and after bytes that are not text.
        let lines = b"X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 192.0.2.1";
        assert_eq!(client_of(lines, ForwardedHeader::XForwardedFor).as_deref(), Some("192.0.2.1:0"));
        let line = b"X-Forwarded-For: \xff\xfe, 192.0.2.1";
        assert_eq!(client_of(line, ForwardedHeader::XForwardedFor).as_deref(), Some("192.0.2.1:0"));
        assert_eq!(client_of(b"X: y", ForwardedHeader::XForwardedFor), None);
    }

    #[test]
    fn the_standard_header_says_the_same_in_more_words() {
        for (value, expected) in [
            ("for=192.0.2.1", Some("192.0.2.1:0")),
            ("proto=https;For=\"192.0.2.1:80\";by=10.0.0.1", Some("192.0.2.1:80")),
            ("for=\"[2001:db8::1]:80\"", Some("[2001:db8::1]:80")),
            ("for=6.6.6.6, for=192.0.2.1, for=10.0.0.1", Some("192.0.2.1:0")),
            ("for=\"6.6.6.6, for=192.0.2.1", Some("192.0.2.1:0")),
            ("for=_hidden", None),
            ("for=unknown, for=10.0.0.1", None),
            ("proto=https", None),
            ("for", None),
            ("for=", None),
        ] {
            let line = format!("X-Forwarded-For: 6.6.6.6\r\nForwarded: {value}");
            assert_eq!(
                client_of(line.as_bytes(), ForwardedHeader::Forwarded).as_deref(),
                expected,
                "{value:?}"
            );
        }
    }

    #[test]
    fn the_host_is_what_the_proxy_was_asked_for() {
        let host_of = |lines: &str, header| {
            let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let (head, _) = Head::parse(bytes.as_bytes(), &mut headers).expect("good").expect("whole");
            let trusted = ["10.0.0.0/8".parse().expect("a network")];
            host(&head, header, &trusted).map(|host| host.text.to_owned())
        };
        for (value, expected) in [
            ("b.example", Some("b.example")),
            ("b.example:8080", Some("b.example:8080")),
            ("forged.example, b.example", Some("b.example")),
            ("forged.example\r\nX-Forwarded-Host: b.example", Some("b.example")),
            ("b.example, not a host", None),
            (":80", None),
            ("", None),
        ] {
            let lines = format!("X-Forwarded-Host: {value}\r\nForwarded: for=192.0.2.1;host=c.example");
            assert_eq!(host_of(&lines, ForwardedHeader::XForwardedFor).as_deref(), expected, "{value}");
        }
        for (value, expected) in [
            ("for=192.0.2.1;host=b.example", Some("b.example")),
            (
                "for=6.6.6.6;host=c, for=192.0.2.1;Host=\"b.example:8080\", for=10.0.0.1;host=d",
                Some("b.example:8080"),
            ),
            ("for=192.0.2.1", None),
            ("host=b.example", None),
        ] {
            let lines = format!("X-Forwarded-Host: c.example\r\nForwarded: {value}");
            assert_eq!(host_of(&lines, ForwardedHeader::Forwarded).as_deref(), expected, "{value}");
        }
    }
}
