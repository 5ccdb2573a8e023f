//! Response headers for pages of other origins (WHATWG Fetch §3.2) that `Config::origins` allows.

use crate::codec::http::{Head, Response};

/// The headers that let a browser show an answer to the page that asked. None if no page asked.
pub(crate) fn headers<'a>(head: &Head<'a>) -> impl Iterator<Item = (&'static str, &'a str)> + use<'a> {
    head.value("origin").into_iter().flat_map(|origin| {
        [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Vary", "Origin"),
        ]
    })
}

/// The response, readable for the allowed page that asked.
pub(crate) fn permit(head: &Head<'_>, response: Response) -> Response {
    headers(head).fold(response, |response, (name, value)| response.header(name, value.to_owned()))
}
