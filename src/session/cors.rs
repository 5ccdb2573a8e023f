//! What pages of other origins are told by HTTP (WHATWG Fetch §3.2), where `Config::origins` lets them in.

use crate::codec::http::{Head, Response};

/// The headers by which a browser shows an answer to the page that asked; none where no page did.
pub(crate) fn headers<'a>(head: &Head<'a>) -> impl Iterator<Item = (&'static str, &'a str)> + use<'a> {
    head.value("origin").into_iter().flat_map(|origin| {
        [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Vary", "Origin"),
        ]
    })
}

/// An answer that a page whose origin was let in may read.
pub(crate) fn permit(head: &Head<'_>, response: Response) -> Response {
    headers(head).fold(response, |response, (name, value)| response.header(name, value.to_owned()))
}
