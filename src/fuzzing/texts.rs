//! Short texts from outside: ids, URLs, and the header of a proxy.

use crate::codec::http::head::HEADERS_MAX;
use crate::codec::http::{Head, forwarded};
use crate::codec::ws::url::Url;
use crate::config::ForwardedHeader;
use crate::fd::Fd;
use crate::server::state::history;

/// Ids of histories, as a client that comes back gives them.
pub fn last_event_id(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((epoch, number)) = history::parse(text) else { return };
    assert!(epoch.len() < text.len());
    assert_eq!(history::parse(&format!("{epoch}-{number}")), Some((epoch, number)));
}

/// URLs that clients are given.
pub fn url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(url) = Url::parse(text) else { return };
    assert!(url.target.starts_with('/'));
    assert!(!url.authority().contains(char::is_whitespace) && !url.target.contains(char::is_whitespace));
    assert_eq!(Url::parse(&url.to_string()), Ok(url));
}

/// An fd as a text or a number.
pub fn fd(bytes: &[u8]) {
    if let Some(number) = bytes.first_chunk().map(|number| u64::from_le_bytes(*number))
        && let Some(fd) = Fd::from_u64(number)
    {
        assert_eq!((fd.to_u64(), fd.to_string().parse()), (number, Ok(fd)));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(fd) = text.parse::<Fd>()
    {
        assert_eq!(Fd::from_u64(fd.to_u64()), Some(fd));
    }
}

/// The header of a proxy. Its first part may have been written by anybody.
pub fn forwarded_header(bytes: &[u8]) {
    let trusted = ["10.0.0.0/8", "::1"].map(|network| network.parse().expect("a network"));
    for (name, header) in
        [("X-Forwarded-For", ForwardedHeader::XForwardedFor), ("Forwarded", ForwardedHeader::Forwarded)]
    {
        let head = [b"GET / HTTP/1.1\r\nHost: a\r\n", name.as_bytes(), b": ", bytes, b"\r\n\r\n"].concat();
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let Ok(Some((head, _))) = Head::parse(&head, &mut headers) else { continue };
        let client = forwarded::client(&head, header, &trusted);
        assert!(client.is_none_or(|client| client.ip() == client.ip().to_canonical()));
    }
}
