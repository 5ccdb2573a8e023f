//! Whether the page that a request comes from may do what it asks for (RFC 6455 §10.2, RFC 6454 §7).

use super::{Head, Refusal};
use crate::config::Origins;
use crate::config::authority::Authority;

/// A request without an origin comes from a client that is not a browser, or from a browser's `GET` for its own site or
/// for something like an image on another site. The header that the browser adds tells these apart (W3C Fetch Metadata
/// §2.4). `host`: what the request is for.
pub(crate) fn check(head: &Head<'_>, allowed: &Origins, host: Option<Authority<'_>>) -> Result<(), Refusal> {
    let mut origins = head.values("origin");
    let is_allowed = match (origins.next(), origins.next()) {
        _ if *allowed == Origins::Any => true,
        (None, _) => {
            !head.values("sec-fetch-site").any(|site| [&b"cross-site"[..], b"same-site"].contains(&site))
        }
        (Some(origin), None) => std::str::from_utf8(origin).is_ok_and(|origin| allowed.let_in(origin, host)),
        _ => false,
    };
    if is_allowed { Ok(()) } else { Err(Refusal::Origin) }
}

#[cfg(test)]
mod tests {
    use super::super::head::HEADERS_MAX;
    use super::*;

    #[test]
    fn what_browsers_say_of_a_request_is_judged() {
        let judge = |lines: &str, allowed: &Origins| {
            let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let (head, _) = Head::parse(bytes.as_bytes(), &mut headers).expect("a head").expect("whole");
            check(&head, allowed, head.host()).is_ok()
        };
        let list = Origins::List(vec!["https://b.example".into()]);
        assert!(judge("", &Origins::Same) && judge("", &list) && judge("", &Origins::Any));
        assert!(judge("Origin: http://a\r\n", &Origins::Same));
        assert!(!judge("Origin: http://a\r\nOrigin: http://a\r\n", &Origins::Same));
        assert!(!judge("Origin: http://b\r\n", &Origins::Same));
        assert!(
            judge("Origin: https://b.example\r\n", &list) && !judge("Origin: http://b.example\r\n", &list)
        );
        assert!(judge("Origin: null\r\n", &Origins::Any) && judge("Origin: ?\r\nOrigin:\r\n", &Origins::Any));
        for (site, is_foreign) in
            [("none", false), ("same-origin", false), ("same-site", true), ("cross-site", true)]
        {
            let line = format!("Sec-Fetch-Site: {site}\r\n");
            assert_eq!(judge(&line, &Origins::Same), !is_foreign, "{site}");
            assert_eq!(judge(&line, &list), !is_foreign, "{site}");
            assert!(judge(&line, &Origins::Any), "{site}");
            assert!(judge(&format!("{line}Origin: https://b.example\r\n"), &list), "{site}");
        }
    }
}
